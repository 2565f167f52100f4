// A TCP socket: what a connection, a listener and neither have in common, and how Linux moves
// between them (net/ipv4/af_inet.c keeps the same two states: of the socket and of TCP).
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <span>

#include "socket/descriptors.h"
#include "socket/embedded_stack.h"
#include "socket/tcp_options.h"

namespace weir::posix {

// sk_state, as far as the calls tell its values apart.
enum class Phase : std::uint8_t {
  kClosed,     // never opened, or over
  kListening,  // `listener`
  kOpening,    // SYN-SENT
  kOpen,       // ESTABLISHED and all that follows
};

// sock->state: what connect has to say.
enum class Use : std::uint8_t { kUnconnected, kConnecting, kConnected, kDisconnecting };

struct TcpSocket : Descriptor {
  explicit TcpSocket(int address_family) : Descriptor(Kind::kTcp) { family = address_family; }

  Phase phase = Phase::kClosed;
  Use use = Use::kUnconnected;
  Endpoint local, peer;     // port 0: none
  bool bound_addr = false;  // by bind: they outlive a connection
  bool bound_port = false;
  bool port_back = false;  // the connection that had it is over: local.port is told, not held
  bool shut_read = false, shut_write = false;  // sk_shutdown
  bool fin_out = false;                        // the connection was told to send its FIN
  bool fin_seen = false;                       // SOCK_DONE: nothing follows what is there
  int error = 0, soft_error = 0;               // errnos, each told once
  stack::ListenerId listener = 0;              // kListening
  std::uint32_t backlog = 0;                   // kListening: as it is told, one less than wait
  std::uint64_t came = 0;                      // connections that entered its accept queue
  std::optional<stack::ConnId> conn;           // kOpening, kOpen; kClosed while text is unread
  std::optional<tcp::Info> last;               // of a connection that is over
  TcpOptions options;

  [[nodiscard]] std::uint16_t port_held() const { return port_back ? 0 : local.port; }
  [[nodiscard]] bool v4_only() const { return family == AF_INET; }
};

// The socket that a connection belongs to is its user word.
void attach(EmbeddedStack& e, TcpSocket& s, stack::ConnId id);
// No connection any more: it is closed (or reset, where text is unread), or with `abort` reset.
void detach(EmbeddedStack& e, TcpSocket& s, bool abort);
// Once everything of a connection that is over has been read, its record goes back.
void forget_if_over(EmbeddedStack& e, TcpSocket& s);
[[nodiscard]] std::size_t unread(const EmbeddedStack& e, const TcpSocket& s);
// SO_RCVLOWAT octets of text, no more than half of what the buffer holds.
[[nodiscard]] bool readable(const EmbeddedStack& e, const TcpSocket& s);
// sock_error(): the error that is due, told once.
[[nodiscard]] int take_error(TcpSocket& s);
void on_reset(EmbeddedStack& e, TcpSocket& s);  // as if the peer had done it

[[nodiscard]] int errno_of(stack::Error e);
[[nodiscard]] int errno_of(tcp::CloseReason r);

// -- The calls (tcp_calls.cc): errnos, 0 for none ----------------------------------------------
int tcp_bind(EmbeddedStack& e, TcpSocket& s, const sockaddr* addr, socklen_t length);
int tcp_listen(EmbeddedStack& e, TcpSocket& s, int backlog);
int tcp_connect(EmbeddedStack& e, TcpSocket& s, const sockaddr* addr, socklen_t length);
int tcp_shutdown(EmbeddedStack& e, TcpSocket& s, int how);
void tcp_close(EmbeddedStack& e, TcpSocket& s);
// The accepted socket, or null and why.
TcpSocket* tcp_accept(EmbeddedStack& e, TcpSocket& s, int flags, int& error);

// -- Text (tcp_stream.cc): octets, or an errno below 0 -----------------------------------------
ssize_t tcp_send(EmbeddedStack& e, TcpSocket& s, std::span<const iovec> from, int flags);
ssize_t tcp_receive(EmbeddedStack& e, TcpSocket& s, std::span<const iovec> to, int flags);

// -- Who may bind what (ports_in_use.cc) -------------------------------------------------------
// What a port is chosen from: ip_local_port_range, within it IP_LOCAL_PORT_RANGE.
struct PortRange {
  std::uint16_t low = 0, high = 0;
};
[[nodiscard]] PortRange port_range(const EmbeddedStack& e, const TcpSocket& s);
// 0 or EADDRINUSE. With port 0 one is chosen and written to s.local.
int claim_port(EmbeddedStack& e, TcpSocket& s, const Endpoint& at);
// Whether `s` may listen where it is bound.
[[nodiscard]] bool may_listen(const EmbeddedStack& e, const TcpSocket& s);

// -- Readiness (readiness.cc) ------------------------------------------------------------------
[[nodiscard]] std::uint32_t ready_of(const EmbeddedStack& e, const TcpSocket& s);
[[nodiscard]] std::uint32_t ready_of(const EmbeddedStack& e, const Descriptor& d);

}  // namespace weir::posix
