// setsockopt (Linux's net/core/sock.c, net/ipv4/tcp.c, net/ipv4/ip_sockglue.c).
#include <linux/tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

#include "socket/option_table.h"
#include "socket/options.h"

namespace weir::posix {
namespace {

constexpr int kMostBuffer = 4 << 20;                       // net.core.rmem_max, wmem_max
constexpr int kLeastSndbuf = 4'608, kLeastRcvbuf = 2'304;  // SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF
constexpr int kLeastMss = 88, kMostMss = 32'767;           // TCP_MIN_MSS, MAX_TCP_WINDOW
constexpr int kMostLinger2 = 120;                          // TCP_FIN_TIMEOUT_MAX, seconds

// Twice what is asked for, as Linux counts the buffers' own cost; no errors, only limits.
int buffer_size(int asked, int least) {
  const int limited = asked < 0 ? kMostBuffer : std::min(asked, kMostBuffer);  // Linux: unsigned
  return std::max(2 * limited, least);
}

int set_linger(TcpSocket& s, const void* value, socklen_t length) {
  struct linger l {};
  if (length < sizeof l) return EINVAL;
  std::memcpy(&l, value, sizeof l);
  s.options.linger = l.l_onoff != 0 ? 1 : 0;
  s.options.linger_s = l.l_onoff != 0 ? l.l_linger : s.options.linger_s;
  return 0;
}

int set_time(timeval& to, const void* value, socklen_t length) {
  timeval t{};
  if (length < sizeof t) return EINVAL;
  std::memcpy(&t, value, sizeof t);
  if (t.tv_usec < 0 || t.tv_usec >= 1'000'000) return EDOM;
  to = t.tv_sec < 0 ? timeval{} : t;
  return 0;
}

// tcp_set_rcvlowat: half of what the buffer may come to.
int most_rcvlowat(const EmbeddedStack& e, const TcpSocket& s) {
  const int own = s.options.rcvbuf;
  return own != 0 ? own / 2
                  : static_cast<int>(std::min<std::uint32_t>(e.tcp_config().rmem, INT_MAX));
}

int set_socket(const EmbeddedStack& e, TcpSocket& s, int name, int v) {
  TcpOptions& o = s.options;
  switch (name) {
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      o.sndbuf = buffer_size(v, kLeastSndbuf);
      return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      o.rcvbuf = buffer_size(v, kLeastRcvbuf);
      return 0;
    case SO_RCVLOWAT:
      o.rcvlowat = std::clamp(v < 0 ? INT_MAX : v, 1, most_rcvlowat(e, s));
      return 0;
    default:  // SO_TYPE, SO_ERROR and the like are only told
      return ENOPROTOOPT;
  }
}

int set_congestion(TcpSocket& s, const void* value, socklen_t length) {
  constexpr std::size_t kMostName = 15;
  if (length < 1) return EINVAL;
  std::string_view name(static_cast<const char*>(value), std::min<std::size_t>(length, kMostName));
  name = name.substr(0, name.find('\0'));
  if (name == "cubic") {
    s.options.congestion = static_cast<int>(tcp::CongestionControl::kCubic);
  } else if (name == "reno") {
    s.options.congestion = static_cast<int>(tcp::CongestionControl::kReno);
  } else {
    return ENOENT;
  }
  return 0;
}

int set_tcp(TcpSocket& s, int name, int v) {
  TcpOptions& o = s.options;
  switch (name) {
    case TCP_MAXSEG:
      if (v != 0 && (v < kLeastMss || v > kMostMss)) return EINVAL;
      o.maxseg = v;
      return 0;
    case TCP_TIMESTAMP:  // for who repairs a connection, which is not to be had here
      return EPERM;
    case TCP_LINGER2:
      o.linger2 = v < 0 ? TcpOptions::kUnset : std::min(v, kMostLinger2);
      return 0;
    case TCP_DEFER_ACCEPT:
      o.defer_accept = std::max(v, 0);
      return 0;
    case TCP_WINDOW_CLAMP:
      if (v == 0 && s.phase != Phase::kClosed) return EINVAL;
      o.window_clamp = v == 0 ? 0 : std::max(kLeastRcvbuf / 2, v);
      return 0;
    default:
      return ENOPROTOOPT;
  }
}

int set_ip(TcpSocket& s, int name, int v) {
  if (name != IP_TOS && name != IP_TTL) return ENOPROTOOPT;
  if (name == IP_TOS) {
    s.options.tos = v & 0xfc;  // the two bits below are TCP's, for ECN
    return 0;
  }
  if (v != -1 && (v < 1 || v > 255)) return EINVAL;
  s.options.ttl = v;
  return 0;
}

int set_ip6(TcpSocket& s, int name, int v) {
  if (name != IPV6_TCLASS && name != IPV6_UNICAST_HOPS) return ENOPROTOOPT;
  if (v < -1 || v > 255) return EINVAL;
  if (name == IPV6_TCLASS) {
    s.options.tclass = v < 0 ? 0 : v & 0xfc;
  } else {
    s.options.hops = v;
  }
  return 0;
}

int set_int(TcpSocket& s, const IntOption& o, int v) {
  if (!o.boolean && (v < o.least || v > o.most)) return o.name == SO_PRIORITY ? EPERM : EINVAL;
  if (o.value == &TcpOptions::v6_only && s.port_held() != 0) return EINVAL;
  if (o.value == &TcpOptions::port_range) {
    const auto range = static_cast<std::uint32_t>(v);
    const std::uint32_t low = range & 0xffffU, high = range >> 16U;
    if (low != 0 && high != 0 && low > high) return EINVAL;
  }
  s.options.*o.value = o.boolean ? static_cast<int>(v != 0) : v;
  return 0;
}

int store(const EmbeddedStack& e, TcpSocket& s, int level, int name, const void* value,
          socklen_t length) {
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) return set_congestion(s, value, length);
  if (level == SOL_SOCKET && name == SO_LINGER) return set_linger(s, value, length);
  if (level == SOL_SOCKET && name == SO_RCVTIMEO)
    return set_time(s.options.rcvtimeo, value, length);
  if (level == SOL_SOCKET && name == SO_SNDTIMEO)
    return set_time(s.options.sndtimeo, value, length);
  if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE) {
    return read_pacing_rate(value, length, s.options.max_pacing_rate);
  }
  if (level == IPPROTO_IPV6 && s.v4_only()) return ENOPROTOOPT;
  int v = 0;
  if (!read_int(level, value, length, v)) return EINVAL;
  if (const IntOption* one = int_option(level, name)) return set_int(s, *one, v);
  switch (level) {
    case IPPROTO_IP:
      return set_ip(s, name, v);
    case SOL_SOCKET:
      return set_socket(e, s, name, v);
    case IPPROTO_TCP:
      return set_tcp(s, name, v);
    case IPPROTO_IPV6:
      return set_ip6(s, name, v);
    default:
      return ENOPROTOOPT;
  }
}

// What the new value lets happen at once, and what it makes worth waiting for (Linux's
// sk_write_space and tcp_set_rcvlowat).
void tell_anew(EmbeddedStack& e, TcpSocket& s, std::uint32_t before, int level, int name) {
  const std::uint32_t ready = ready_of(e, s);
  if (s.conn && (ready & EPOLLOUT) == 0) e.tcp().want_room(*s.conn);
  std::uint32_t why = ready & ~before & (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
  const bool room = (level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT) ||
                    (level == SOL_SOCKET && name == SO_SNDBUF);
  if (room) why |= ready & EPOLLOUT;  // was there any before or not
  const bool text = unread(e, s) > 0 || s.fin_seen;
  if (level == SOL_SOCKET && name == SO_RCVLOWAT && text) why |= ready & (EPOLLIN | EPOLLRDNORM);
  if (why != 0) e.changed(s, why);
}

}  // namespace

bool read_int(int level, const void* value, socklen_t length, int& v) {
  if (length >= sizeof v) {
    std::memcpy(&v, value, sizeof v);
  } else if (level == IPPROTO_IP) {  // nothing is 0
    v = length == 0 ? 0 : static_cast<const unsigned char*>(value)[0];
  } else {
    return false;
  }
  return true;
}

int read_pacing_rate(const void* value, socklen_t length, std::uint64_t& rate) {
  std::uint32_t four = 0;
  if (length < sizeof four) return EINVAL;
  std::memcpy(&four, value, sizeof four);
  rate = four == ~std::uint32_t{0} ? TcpOptions::kNoRate : four;
  if (length >= sizeof rate) std::memcpy(&rate, value, sizeof rate);
  return 0;
}

int set_option(EmbeddedStack& e, TcpSocket& s, int level, int name, const void* value,
               socklen_t length) {
  const std::uint32_t before = ready_of(e, s);
  if (const int fault = store(e, s, level, name, value, length)) return fault;
  apply_option(e, s, level, name);
  e.settle();  // what was held goes
  tell_anew(e, s, before, level, name);
  return 0;
}

}  // namespace weir::posix
