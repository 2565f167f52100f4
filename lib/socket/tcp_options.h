// What setsockopt has made of a TCP socket, in the units and with the values that getsockopt tells.
#pragma once

#include <sys/time.h>

#include <cstdint>

namespace weir::posix {

struct TcpOptions {
  static constexpr int kUnset = -1;
  static constexpr std::uint64_t kNoRate = ~std::uint64_t{0};

  // SOL_SOCKET
  int reuse_addr = 0, reuse_port = 0, keepalive = 0, broadcast = 0, dont_route = 0, oob_inline = 0;
  int priority = 0, mark = 0, timestamp = 0, incoming_cpu = 0;
  int sndbuf = 0, rcvbuf = 0;  // doubled; 0: the stack's
  int rcvlowat = 1;
  int linger = 0, linger_s = 0;
  timeval rcvtimeo{}, sndtimeo{};
  std::uint64_t max_pacing_rate = kNoRate;  // octets a second
  // IPPROTO_TCP; 0, but where kUnset is said: as the stack's settings have it
  int nodelay = 0, cork = 0, maxseg = 0;
  int keepidle = 0, keepintvl = 0, keepcnt = 0, user_timeout = 0, syncnt = 0;
  int linger2 = 0;       // kUnset: no FIN-WAIT-2 after close
  int defer_accept = 0;  // seconds
  int window_clamp = 0, notsent_lowat = 0, inq = 0;
  int quickack = kUnset;
  int congestion = kUnset;  // tcp::CongestionControl
  // IPPROTO_IP, IPPROTO_IPV6
  int tos = kUnset, ttl = kUnset, tclass = kUnset, hops = kUnset;
  int v6_only = 0;
  int mtu_discover = 1;  // IP_PMTUDISC_WANT: DF is on every packet anyhow
  int mtu_discover6 = 1;
  int recverr = 0, recverr6 = 0;
  // What a datagram would bring along: kept and told.
  int recvtos = 0, recvttl = 0, pktinfo = 0, recvtclass = 0, recvhops = 0, pktinfo6 = 0;
  int no_port = 0;     // IP_BIND_ADDRESS_NO_PORT
  int freebind = 0;    // IP_FREEBIND, IPV6_FREEBIND
  int port_range = 0;  // IP_LOCAL_PORT_RANGE: the highest in the upper half; 0: as the Config says
};

}  // namespace weir::posix
