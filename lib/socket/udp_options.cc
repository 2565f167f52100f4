// setsockopt and getsockopt of a UDP socket (Linux's net/core/sock.c, net/ipv4/ip_sockglue.c).
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "socket/options.h"
#include "socket/udp_socket.h"

namespace weir::posix {
namespace {

constexpr int kLeastRcvbuf = 2'304, kLeastSndbuf = 4'608, kMostBuffer = 4 << 20;

// An int that is kept as it is given, within limits.
struct Plain {
  int level, name;
  int UdpOptions::*value;
  bool boolean;
  int least, most;
};
constexpr Plain kPlain[] = {
    {SOL_SOCKET, SO_REUSEADDR, &UdpOptions::reuse_addr, true, 0, 1},
    {SOL_SOCKET, SO_REUSEPORT, &UdpOptions::reuse_port, true, 0, 1},
    {SOL_SOCKET, SO_BROADCAST, &UdpOptions::broadcast, true, 0, 1},
    {SOL_SOCKET, SO_KEEPALIVE, &UdpOptions::keepalive, true, 0, 1},
    {SOL_SOCKET, SO_DONTROUTE, &UdpOptions::dont_route, true, 0, 1},
    {SOL_SOCKET, SO_OOBINLINE, &UdpOptions::oob_inline, true, 0, 1},
    {SOL_SOCKET, SO_INCOMING_CPU, &UdpOptions::incoming_cpu, false, INT_MIN, INT_MAX},
    {SOL_SOCKET, SO_PRIORITY, &UdpOptions::priority, false, 0, 6},
    {SOL_SOCKET, SO_MARK, &UdpOptions::mark, false, INT_MIN, INT_MAX},
    {SOL_SOCKET, SO_TIMESTAMP, &UdpOptions::timestamp, true, 0, 1},
    {IPPROTO_UDP, UDP_CORK, &UdpOptions::cork, true, 0, 1},
    {IPPROTO_IP, IP_RECVTOS, &UdpOptions::recvtos, true, 0, 1},
    {IPPROTO_IP, IP_RECVTTL, &UdpOptions::recvttl, true, 0, 1},
    {IPPROTO_IP, IP_PKTINFO, &UdpOptions::pktinfo, true, 0, 1},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, &UdpOptions::recvtclass, true, 0, 1},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &UdpOptions::recvhops, true, 0, 1},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, &UdpOptions::pktinfo6, true, 0, 1},
    {IPPROTO_IP, IP_TOS, &UdpOptions::tos, false, INT_MIN, INT_MAX},
    {IPPROTO_IP, IP_TTL, &UdpOptions::ttl, false, -1, 255},
    {IPPROTO_IP, IP_RECVERR, &UdpOptions::recverr, true, 0, 1},
    {IPPROTO_IP, IP_MTU_DISCOVER, &UdpOptions::mtu_discover, false, 0, 5},
    {IPPROTO_IPV6, IPV6_V6ONLY, &UdpOptions::v6_only, true, 0, 1},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, &UdpOptions::hops, false, -1, 255},
    {IPPROTO_IPV6, IPV6_TCLASS, &UdpOptions::tclass, false, -1, 255},
    {IPPROTO_IPV6, IPV6_RECVERR, &UdpOptions::recverr6, true, 0, 1},
};

const Plain* plain_of(const UdpSocket& s, int level, int name) {
  if (level == IPPROTO_IPV6 && s.family != AF_INET6) return nullptr;
  const auto* found = std::find_if(std::begin(kPlain), std::end(kPlain), [&](const Plain& p) {
    return p.level == level && p.name == name;
  });
  return found == std::end(kPlain) ? nullptr : found;
}

timeval* time_of(UdpSocket& s, int level, int name) {
  if (level != SOL_SOCKET) return nullptr;
  if (name == SO_RCVTIMEO) return &s.options.rcvtimeo;
  return name == SO_SNDTIMEO ? &s.options.sndtimeo : nullptr;
}

int buffer_size(int asked, int least) {
  const auto limited = std::min<unsigned>(static_cast<unsigned>(asked), kMostBuffer);
  return std::max(2 * static_cast<int>(limited), least);
}

int set_plain(EmbeddedStack& e, UdpSocket& s, const Plain& p, int v) {
  if (p.boolean) v = v != 0 ? 1 : 0;
  if (p.name == IPV6_V6ONLY && p.level == IPPROTO_IPV6 && s.id) return EINVAL;
  if (v < p.least || v > p.most) return p.value == &UdpOptions::priority ? EPERM : EINVAL;
  if (p.value == &UdpOptions::ttl && v == 0) return EINVAL;
  if (p.value == &UdpOptions::tos) v &= 0xff;
  if (p.value == &UdpOptions::tclass && v < 0) v = 0;
  s.options.*p.value = v;
  const bool all = s.options.recverr != 0 || s.options.recverr6 != 0;
  if (p.value == &UdpOptions::cork && v == 0) return udp_flush(e, s);
  if (s.id) {
    e.tcp().set_udp_broadcast(*s.id, s.options.broadcast != 0);
    e.tcp().set_udp_errors(*s.id, all ? stack::UdpErrors::kAll : stack::UdpErrors::kHard);
  }
  return 0;
}

int set_linger(UdpSocket& s, const void* value, socklen_t length) {
  struct linger l {};
  if (length < sizeof l) return EINVAL;
  std::memcpy(&l, value, sizeof l);
  s.options.linger = l.l_onoff != 0 ? 1 : 0;
  if (l.l_onoff != 0) s.options.linger_s = l.l_linger;
  return 0;
}

int set_buffer(EmbeddedStack& e, UdpSocket& s, int name, int v) {
  switch (name) {
    case SO_RCVBUF:
      s.options.rcvbuf = buffer_size(v, kLeastRcvbuf);
      if (s.id) e.tcp().set_udp_rcvbuf(*s.id, static_cast<std::uint32_t>(s.options.rcvbuf));
      return 0;
    case SO_SNDBUF:
      s.options.sndbuf = buffer_size(v, kLeastSndbuf);
      e.changed(s, EPOLLOUT | EPOLLWRNORM);
      return 0;
    case SO_RCVLOWAT:
      s.options.rcvlowat = v < 0 ? 0x7fff'ffff : std::max(v, 1);
      return 0;
    default:
      return ENOPROTOOPT;
  }
}

// What is only told.
int told(EmbeddedStack& e, UdpSocket& s, int level, int name, int& v) {
  if (level == IPPROTO_UDP) return ENOPROTOOPT;
  if (level != SOL_SOCKET) return unknown_option(level, s.family == AF_INET);
  switch (name) {
    case SO_TYPE:
      v = SOCK_DGRAM;
      return 0;
    case SO_DOMAIN:
      v = s.family;
      return 0;
    case SO_PROTOCOL:
      v = IPPROTO_UDP;
      return 0;
    case SO_ACCEPTCONN:
      v = 0;
      return 0;
    case SO_ERROR:
      v = s.id ? errno_of(e.tcp().udp_take_error(*s.id)) : 0;
      return 0;
    case SO_RCVBUF:
      v = s.options.rcvbuf;
      return 0;
    case SO_SNDBUF:
      v = s.options.sndbuf;
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

template <class T>
int give(const T& from, void* value, socklen_t& length) {
  length = std::min<socklen_t>(length, sizeof from);
  if (length > 0 && value == nullptr) return EFAULT;
  if (length > 0) std::memcpy(value, &from, length);
  return 0;
}

}  // namespace

int udp_set_option(EmbeddedStack& e, UdpSocket& s, int level, int name, const void* value,
                   socklen_t length) {
  if (timeval* time = time_of(s, level, name)) {
    timeval t{};
    if (length < sizeof t) return EINVAL;
    std::memcpy(&t, value, sizeof t);
    if (t.tv_usec < 0 || t.tv_usec >= 1'000'000) return EDOM;
    *time = t.tv_sec < 0 ? timeval{} : t;
    return 0;
  }
  if (level == SOL_SOCKET && name == SO_LINGER) return set_linger(s, value, length);
  if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE) {
    return read_pacing_rate(value, length, s.options.max_pacing_rate);
  }
  int v = 0;
  if (!read_int(level, value, length, v)) return EINVAL;
  if (const Plain* p = plain_of(s, level, name)) return set_plain(e, s, *p, v);
  return level == SOL_SOCKET ? set_buffer(e, s, name, v) : ENOPROTOOPT;
}

int udp_get_option(EmbeddedStack& e, UdpSocket& s, int level, int name, void* value,
                   socklen_t& length) {
  if (const timeval* time = time_of(s, level, name)) {
    return give(*time, value, length);
  }
  if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE) {
    return give_pacing_rate(s.options.max_pacing_rate, value, length);
  }
  if (level == SOL_SOCKET && name == SO_MEMINFO) {  // RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, ...
    const auto stats = s.id ? e.tcp().udp_stats(*s.id) : std::nullopt;
    const std::array<std::uint32_t, 9> words{stats ? stats->charged : 0U,
                                             static_cast<std::uint32_t>(s.options.rcvbuf), 0U,
                                             static_cast<std::uint32_t>(s.options.sndbuf)};
    return give(words, value, length);
  }
  if (level == SOL_SOCKET && name == SO_COOKIE) return give_cookie(e, s, value, length);
  if (level == SOL_SOCKET && name == SO_LINGER) {
    return give(linger{s.options.linger, s.options.linger_s}, value, length);
  }
  int v = 0;
  if (const Plain* p = plain_of(s, level, name)) {
    v = s.options.*p->value;
    if (v < 0 && (p->value == &UdpOptions::ttl || p->value == &UdpOptions::hops))
      v = e.tcp().tcp_config().ttl;
  } else if (const int fault = told(e, s, level, name, v)) {
    return fault;
  }
  // What fits an octet fits a program's char, of IP options.
  if (level == IPPROTO_IP && length > 0 && length < sizeof v && v >= 0 && v <= 255) {
    return give(static_cast<unsigned char>(v), value, length);
  }
  return give(v, value, length);
}

}  // namespace weir::posix
