// A UDP socket (SOCK_DGRAM) over the stack's UDP: what Linux's net/ipv4/udp.c answers. Owns its
// stack::UdpId, which it gets when it is bound, by bind or by its first connect or send.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "socket/descriptors.h"
#include "socket/embedded_stack.h"

namespace weir::posix {

struct UdpOptions {
  int reuse_addr = 0, reuse_port = 0, broadcast = 0, v6_only = 0;
  int keepalive = 0, priority = 0, mark = 0, dont_route = 0, oob_inline = 0;  // kept and told
  int incoming_cpu = 0;
  std::uint64_t max_pacing_rate = ~std::uint64_t{0};
  int linger = 0, linger_s = 0;
  int cork = 0;  // UDP_CORK: as MSG_MORE with every datagram
  // What recvmsg tells along with a datagram.
  int timestamp = 0, recvtos = 0, recvttl = 0, pktinfo = 0;
  int recvtclass = 0, recvhops = 0, pktinfo6 = 0;
  int sndbuf = 212'992, rcvbuf = 212'992;  // as told: net.core.wmem_default and rmem_default
  int rcvlowat = 1;
  int tos = 0, ttl = -1, tclass = 0, hops = -1;  // -1: as the stack's settings have it
  int recverr = 0, recverr6 = 0, mtu_discover = 1;
  timeval rcvtimeo{}, sndtimeo{};
};

struct UdpSocket : Descriptor {
  explicit UdpSocket(int address_family);

  std::optional<stack::UdpId> id;  // none: not bound
  bool connected = false;
  Endpoint bound;        // by bind; port 0: not kept once the peer is forgotten
  bool holding = false;  // MSG_MORE: `held` is the beginning of a datagram
  std::vector<std::byte> held;
  stack::UdpSend held_how;  // as its first part was to go
  bool shut_read = false, shut_write = false;
  UdpOptions options;
};

// Errnos, 0 for none.
int udp_bind(EmbeddedStack& e, UdpSocket& s, const sockaddr* addr, socklen_t length);
int udp_connect(EmbeddedStack& e, UdpSocket& s, const sockaddr* addr, socklen_t length);
int udp_shutdown(UdpSocket& s, int how);
void udp_close(EmbeddedStack& e, UdpSocket& s);
int udp_get_option(EmbeddedStack& e, UdpSocket& s, int level, int name, void* value,
                   socklen_t& length);
int udp_set_option(EmbeddedStack& e, UdpSocket& s, int level, int name, const void* value,
                   socklen_t length);
int udp_flush(EmbeddedStack& e, UdpSocket& s);  // what MSG_MORE holds goes
// 0.0.0.0:0 or [::]:0 while it is not bound; nothing while it is not connected.
[[nodiscard]] Endpoint udp_local(const EmbeddedStack& e, const UdpSocket& s);
[[nodiscard]] std::optional<Endpoint> udp_peer(const EmbeddedStack& e, const UdpSocket& s);
// Octets of the datagram that is next (SIOCINQ); 0 for none.
[[nodiscard]] std::size_t udp_next_size(const EmbeddedStack& e, const UdpSocket& s);

// What came along with a datagram.
struct UdpArrival {
  Endpoint from, to;
  std::uint8_t tos = 0, ttl = 0;
  Instant at;
  bool cut = false;  // MSG_TRUNC of msg_flags
};

// One datagram: its octets, or an errno below 0. `name` may be null.
// `control`: sendmsg's, or null.
ssize_t udp_send(EmbeddedStack& e, UdpSocket& s, std::span<const iovec> from, int flags,
                 const sockaddr* name, socklen_t length, const msghdr* control = nullptr);
ssize_t udp_receive(EmbeddedStack& e, UdpSocket& s, std::span<const iovec> to, int flags,
                    UdpArrival& arrival);

[[nodiscard]] std::uint32_t ready_of(const EmbeddedStack& e, const UdpSocket& s);
void on_udp_event(EmbeddedStack& e, const stack::UdpReady& r);
[[nodiscard]] int errno_of(stack::UdpError error);

}  // namespace weir::posix
