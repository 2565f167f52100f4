#include "socket/option_table.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <climits>

namespace weir::posix {
namespace {

using O = TcpOptions;

constexpr int kTcp = IPPROTO_TCP, kIp = IPPROTO_IP, kIp6 = IPPROTO_IPV6;
constexpr int kLocalPortRange = 51;  // IP_LOCAL_PORT_RANGE, Linux 6.3
constexpr int kMostKeepalive = 32'767, kMostProbes = 127;

constexpr std::array kInts{
    IntOption{SOL_SOCKET, SO_REUSEADDR, &O::reuse_addr, true},
    IntOption{SOL_SOCKET, SO_REUSEPORT, &O::reuse_port, true},
    IntOption{SOL_SOCKET, SO_KEEPALIVE, &O::keepalive, true},
    IntOption{SOL_SOCKET, SO_BROADCAST, &O::broadcast, true},
    IntOption{SOL_SOCKET, SO_DONTROUTE, &O::dont_route, true},
    IntOption{SOL_SOCKET, SO_OOBINLINE, &O::oob_inline, true},
    IntOption{SOL_SOCKET, SO_INCOMING_CPU, &O::incoming_cpu, false, INT_MIN},
    IntOption{SOL_SOCKET, SO_TIMESTAMP, &O::timestamp, true},
    IntOption{SOL_SOCKET, SO_PRIORITY, &O::priority, false, 0, 6},
    IntOption{SOL_SOCKET, SO_MARK, &O::mark, false, INT_MIN},
    IntOption{kTcp, TCP_NODELAY, &O::nodelay, true},
    IntOption{kTcp, TCP_CORK, &O::cork, true},
    IntOption{kTcp, TCP_KEEPIDLE, &O::keepidle, false, 1, kMostKeepalive},
    IntOption{kTcp, TCP_KEEPINTVL, &O::keepintvl, false, 1, kMostKeepalive},
    IntOption{kTcp, TCP_KEEPCNT, &O::keepcnt, false, 1, kMostProbes},
    IntOption{kTcp, TCP_SYNCNT, &O::syncnt, false, 1, kMostProbes},
    IntOption{kTcp, TCP_USER_TIMEOUT, &O::user_timeout},
    IntOption{kTcp, TCP_QUICKACK, &O::quickack, true},
    IntOption{kTcp, TCP_NOTSENT_LOWAT, &O::notsent_lowat, false, INT_MIN},
    IntOption{kTcp, TCP_INQ, &O::inq, false, 0, 1},
    IntOption{kIp, IP_MTU_DISCOVER, &O::mtu_discover, false, 0, 5},
    IntOption{kIp, IP_RECVERR, &O::recverr, true},
    IntOption{kIp, IP_RECVTOS, &O::recvtos, true},
    IntOption{kIp, IP_RECVTTL, &O::recvttl, true},
    IntOption{kIp, IP_PKTINFO, &O::pktinfo, true},
    IntOption{kIp, IP_BIND_ADDRESS_NO_PORT, &O::no_port, true},
    IntOption{kIp, IP_FREEBIND, &O::freebind, true},
    IntOption{kIp, kLocalPortRange, &O::port_range, false, INT_MIN},
    IntOption{kIp6, IPV6_V6ONLY, &O::v6_only, true},
    IntOption{kIp6, IPV6_MTU_DISCOVER, &O::mtu_discover6, false, 0, 5},
    IntOption{kIp6, IPV6_RECVERR, &O::recverr6, true},
    IntOption{kIp6, IPV6_FREEBIND, &O::freebind, true},
    IntOption{kIp6, IPV6_RECVTCLASS, &O::recvtclass, true},
    IntOption{kIp6, IPV6_RECVHOPLIMIT, &O::recvhops, true},
    IntOption{kIp6, IPV6_RECVPKTINFO, &O::pktinfo6, true},
};

}  // namespace

const IntOption* int_option(int level, int name) {
  const auto is = [&](const IntOption& o) { return o.level == level && o.name == name; };
  const auto at = std::find_if(kInts.begin(), kInts.end(), is);
  return at == kInts.end() ? nullptr : &*at;
}

}  // namespace weir::posix
