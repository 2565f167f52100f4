// A UDP socket (SOCK_DGRAM) over the stack's UDP: what Linux's net/ipv4/udp.c answers. Owns its
// stack::UdpId, which it gets when it is bound, by bind or by its first connect or send.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>

#include "socket/descriptors.h"
#include "socket/embedded_stack.h"

namespace weir::posix {

struct UdpOptions {
  int reuse_addr = 0, reuse_port = 0, broadcast = 0, v6_only = 0;
  int sndbuf = 212'992, rcvbuf = 212'992;  // as told: net.core.wmem_default and rmem_default
  int rcvlowat = 1;
  int tos = 0, ttl = -1, tclass = 0, hops = -1;  // -1: as the stack's settings have it
  int recverr = 0, recverr6 = 0, mtu_discover = 1;
  timeval rcvtimeo{}, sndtimeo{};
};

struct UdpSocket : Descriptor {
  explicit UdpSocket(int address_family) : Descriptor(Kind::kUdp) { family = address_family; }

  std::optional<stack::UdpId> id;  // none: not bound
  bool connected = false;
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
// 0.0.0.0:0 or [::]:0 while it is not bound; nothing while it is not connected.
[[nodiscard]] Endpoint udp_local(const EmbeddedStack& e, const UdpSocket& s);
[[nodiscard]] std::optional<Endpoint> udp_peer(const EmbeddedStack& e, const UdpSocket& s);
// Octets of the datagram that is next (SIOCINQ); 0 for none.
[[nodiscard]] std::size_t udp_next_size(const EmbeddedStack& e, const UdpSocket& s);

// One datagram: its octets, or an errno below 0. `name` may be null; *cut: MSG_TRUNC of msg_flags.
ssize_t udp_send(EmbeddedStack& e, UdpSocket& s, std::span<const iovec> from, int flags,
                 const sockaddr* name, socklen_t length);
ssize_t udp_receive(EmbeddedStack& e, UdpSocket& s, std::span<const iovec> to, int flags,
                    Endpoint& from, bool& cut);

[[nodiscard]] std::uint32_t ready_of(const EmbeddedStack& e, const UdpSocket& s);
void on_udp_event(EmbeddedStack& e, const stack::UdpReady& r);
[[nodiscard]] int errno_of(stack::UdpError error);

}  // namespace weir::posix
