// getsockopt: values in Linux's units, cut to the length that is asked for.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "socket/option_table.h"
#include "socket/options.h"

namespace weir::posix {
namespace {

int give(const void* from, std::size_t size, void* value, socklen_t& length) {
  length = static_cast<socklen_t>(std::min<std::size_t>(length, size));
  if (length > 0 && value == nullptr) return EFAULT;
  if (length > 0) std::memcpy(value, from, length);
  return 0;
}

int give_int(int v, void* value, socklen_t& length) {
  return give(&v, sizeof v, value, length);
}

int seconds(Duration d) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(d).count());
}

int pending_error(const EmbeddedStack& e, TcpSocket& s) {
  if (const int v = take_error(s)) return v;
  const int soft = std::exchange(s.soft_error, 0);
  const bool healed = s.conn && e.tcp().soft_error(*s.conn) == tcp::CloseReason::kNone;
  return healed ? 0 : soft;
}

// struct linger, struct timeval, SO_MEMINFO's nine words. -1 for what is none of these.
int get_struct(EmbeddedStack& e, TcpSocket& s, int name, void* value, socklen_t& length) {
  switch (name) {
    case SO_LINGER: {
      const struct linger l { s.options.linger, s.options.linger_s };
      return give(&l, sizeof l, value, length);
    }
    case SO_RCVTIMEO:
      return give(&s.options.rcvtimeo, sizeof s.options.rcvtimeo, value, length);
    case SO_SNDTIMEO:
      return give(&s.options.sndtimeo, sizeof s.options.sndtimeo, value, length);
    case SO_MEMINFO: {  // SK_MEMINFO_RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, FWD, WMEM_QUEUED, ...
      const auto unacked = static_cast<std::uint32_t>(s.conn ? e.tcp().unacked(*s.conn) : 0);
      const std::array<std::uint32_t, 9> words{static_cast<std::uint32_t>(unread(e, s)),
                                               static_cast<std::uint32_t>(receive_buffer_of(e, s)),
                                               0,
                                               static_cast<std::uint32_t>(send_buffer_of(e, s)),
                                               0,
                                               unacked,
                                               0,
                                               0,
                                               0};
      return give(words.data(), sizeof words, value, length);
    }
    case SO_MAX_PACING_RATE:
      return give_pacing_rate(s.options.max_pacing_rate, value, length);
    case SO_COOKIE:
      return give_cookie(e, s, value, length);
    default:
      return -1;
  }
}

int get_socket(const EmbeddedStack& e, TcpSocket& s, int name, int& v) {
  switch (name) {
    case SO_ERROR:
      v = pending_error(e, s);
      return 0;
    case SO_TYPE:
      v = SOCK_STREAM;
      return 0;
    case SO_DOMAIN:
      v = s.family;
      return 0;
    case SO_PROTOCOL:
      v = IPPROTO_TCP;
      return 0;
    case SO_ACCEPTCONN:
      v = s.phase == Phase::kListening ? 1 : 0;
      return 0;
    case SO_SNDBUF:
      v = send_buffer_of(e, s);
      return 0;
    case SO_RCVBUF:
      v = receive_buffer_of(e, s);
      return 0;
    case SO_RCVLOWAT:
      v = s.options.rcvlowat;
      return 0;
    case SO_SNDLOWAT:
      v = 1;
      return 0;
    default:
      return ENOPROTOOPT;
  }
}

// How long so many seconds are in SYN-ACKs resent, as Linux rounds them (secs_to_retrans).
int defer_accept_of(const TcpOptions& o) {
  constexpr int kFirst = 1, kMost = 120;  // TCP_TIMEOUT_INIT, TCP_RTO_MAX
  if (o.defer_accept == 0) return 0;
  int step = kFirst, period = kFirst;
  for (int n = 1; o.defer_accept > period && n < 255; ++n) {
    step = std::min(2 * step, kMost);
    period += step;
  }
  return period;
}

// Of a connection that is not, the clock without an offset of its own.
std::uint32_t timestamp_of(const EmbeddedStack& e, const TcpSocket& s) {
  if (s.conn) return e.tcp().timestamp(*s.conn, e.now());
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(e.now().time_since_epoch());
  return static_cast<std::uint32_t>(ms.count());
}

int maxseg_of(const EmbeddedStack& e, const TcpSocket& s) {
  constexpr int kDefault = 536;  // TCP_MSS_DEFAULT
  const int live = mss_of(e, s);
  if (live != 0) return live;
  return s.options.maxseg != 0 ? s.options.maxseg : kDefault;
}

int get_tcp(const EmbeddedStack& e, const TcpSocket& s, int name, int& v) {
  const TcpOptions& o = s.options;
  const tcp::Config& c = e.tcp_config();
  const auto or_else = [](int own, int config) { return own != 0 ? own : config; };
  switch (name) {
    case TCP_MAXSEG:
      v = maxseg_of(e, s);
      return 0;
    case TCP_KEEPIDLE:
      v = or_else(o.keepidle, seconds(c.keepalive_time));
      return 0;
    case TCP_KEEPINTVL:
      v = or_else(o.keepintvl, seconds(c.keepalive_intvl));
      return 0;
    case TCP_KEEPCNT:
      v = or_else(o.keepcnt, c.keepalive_probes);
      return 0;
    case TCP_SYNCNT:
      v = or_else(o.syncnt, c.syn_retries);
      return 0;
    case TCP_LINGER2:
      v = o.linger2 < 0 ? -1 : or_else(o.linger2, seconds(c.fin_timeout));
      return 0;
    case TCP_DEFER_ACCEPT:
      v = defer_accept_of(o);
      return 0;
    case TCP_WINDOW_CLAMP:
      v = o.window_clamp;
      return 0;
    case TCP_TIMESTAMP:
      v = static_cast<int>(timestamp_of(e, s));
      return 0;
    case TCP_QUICKACK:
      v = o.quickack < 0 ? 1 : o.quickack;
      return 0;
    default:
      return ENOPROTOOPT;
  }
}

int get_congestion(const EmbeddedStack& e, const TcpSocket& s, void* value, socklen_t& length) {
  std::array<char, 16> name{};  // TCP_CA_NAME_MAX
  const auto cc = s.options.congestion < 0
                      ? e.tcp_config().congestion_control
                      : static_cast<tcp::CongestionControl>(s.options.congestion);
  const bool cubic = cc == tcp::CongestionControl::kCubic;
  std::memcpy(name.data(), cubic ? "cubic" : "reno", cubic ? 5 : 4);
  return give(name.data(), name.size(), value, length);
}

int get_ip(const EmbeddedStack& e, const TcpSocket& s, int name, int& v) {
  switch (name) {
    case IP_TOS:
      v = s.options.tos < 0 ? 0 : s.options.tos;
      return 0;
    case IP_TTL:
      v = s.options.ttl < 0 ? e.tcp_config().ttl : s.options.ttl;
      return 0;
    case IP_MTU:
      v = mtu_of(e, s);
      return s.conn ? 0 : ENOTCONN;
    default:
      return ENOPROTOOPT;
  }
}

int get_ip6(const EmbeddedStack& e, const TcpSocket& s, int name, int& v) {
  switch (name) {
    case IPV6_TCLASS:
      v = s.options.tclass < 0 ? 0 : s.options.tclass;
      return 0;
    case IPV6_UNICAST_HOPS:
      v = s.options.hops < 0 ? e.tcp_config().ttl : s.options.hops;
      return 0;
    case IPV6_MTU:
      v = mtu_of(e, s);
      return s.conn ? 0 : ENOTCONN;
    default:
      return ENOPROTOOPT;
  }
}

int get_int(const EmbeddedStack& e, TcpSocket& s, int level, int name, int& v) {
  switch (level) {
    case SOL_SOCKET:
      return get_socket(e, s, name, v);
    case IPPROTO_TCP:
      return get_tcp(e, s, name, v);
    case IPPROTO_IP:
      return get_ip(e, s, name, v);
    case IPPROTO_IPV6:
      return get_ip6(e, s, name, v);
    default:
      return unknown_option(level, s.v4_only());
  }
}

}  // namespace

int give_pacing_rate(std::uint64_t rate, void* value, socklen_t& length) {
  if (length >= sizeof rate) return give(&rate, sizeof rate, value, length);
  const auto four = static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, ~std::uint32_t{0}));
  return give(&four, sizeof four, value, length);
}

int give_cookie(EmbeddedStack& e, Descriptor& d, void* value, socklen_t& length) {
  if (length < sizeof d.cookie) return EINVAL;
  while (d.cookie == 0) d.cookie = e.draw();
  return give(&d.cookie, sizeof d.cookie, value, length);
}

int unknown_option(int level, bool v4) {
  const bool known = level == SOL_SOCKET || level == IPPROTO_TCP || level == IPPROTO_IP;
  return known || !v4 ? ENOPROTOOPT : EOPNOTSUPP;
}

int get_option(EmbeddedStack& e, TcpSocket& s, int level, int name, void* value,
               socklen_t& length) {
  if (level == SOL_SOCKET) {
    if (const int done = get_struct(e, s, name, value, length); done >= 0) return done;
  }
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) return get_congestion(e, s, value, length);
  if (level == IPPROTO_TCP && name == TCP_INFO) return get_info(e, s, value, length);
  if (level == IPPROTO_TCP && name == TCP_CC_INFO) {
    length = 0;  // neither cubic nor reno has any
    return 0;
  }
  if (level == IPPROTO_IPV6 && s.v4_only()) return EOPNOTSUPP;
  int v = 0;
  const IntOption* one = int_option(level, name);
  int fault = get_int(e, s, level, name, v);
  if (fault == ENOPROTOOPT && one != nullptr) {
    v = s.options.*one->value;
    fault = 0;
  }
  if (fault != 0) return fault;
  // What fits an octet fits a program's char, of IP options.
  if (level == IPPROTO_IP && length > 0 && length < sizeof v && v >= 0 && v <= 255) {
    const auto octet = static_cast<unsigned char>(v);
    return give(&octet, sizeof octet, value, length);
  }
  return give_int(v, value, length);
}

}  // namespace weir::posix
