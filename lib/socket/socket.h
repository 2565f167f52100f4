// The native interface: what a program links to.
//
// A program is a Handler: one call per ready connection per burst, on the core that owns it. A
// Connection is a value of two words; one that outlived its connection does nothing when called.
// Text is received as a loan of the buffers it arrived in and sent from buffers, copies or the
// program's own memory; nothing here copies unless it says so.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>

#include "stack/stack.h"

namespace weir {

using stack::ListenerId;
using tcp::CloseReason;

class Connection {
 public:
  Connection() = default;
  Connection(stack::Stack& s, stack::ConnId id) : stack_(&s), id_(id) {}

  [[nodiscard]] bool alive() const { return stack_ != nullptr && stack_->alive(id_); }

  // -- Sending: backpressure is `send_room`; on_writable follows once want_writable was called.
  std::size_t send(std::span<const std::byte> octets) {  // copies; octets taken
    return stack_->send_copy(id_, octets);
  }
  // No copy: `octets` must stay as they are until unacked() says that they were acknowledged. After
  // close() or abort() nothing says so any more: close only then, or lend what outlives the stack.
  // Octets taken.
  std::size_t send_borrowed(std::span<const std::byte> octets) {
    return stack_->send_borrowed(id_, octets);
  }
  void send(BufChain&& chain) { stack_->send_buffers(id_, std::move(chain)); }  // no copy
  [[nodiscard]] std::size_t send_room() const { return stack_->send_room(id_); }
  [[nodiscard]] std::size_t unacked() const { return stack_->unacked(id_); }
  void want_writable() { stack_->want_writable(id_); }

  // -- Receiving: a loan, to be passed on by send() or given back by release().
  [[nodiscard]] std::size_t readable() const { return stack_->readable(id_); }
  [[nodiscard]] BufChain receive(std::size_t max) { return stack_->receive_buffers(id_, max); }
  void release(BufChain&& loan) { stack_->release(std::move(loan)); }
  // Copied instead: as many octets as there are and `into` holds; what is left of a buffer stays.
  std::size_t receive_copy(std::span<std::byte> into) { return stack_->receive_copy(id_, into); }
  [[nodiscard]] std::size_t peek(std::size_t offset, std::span<std::byte> into) const {
    return stack_->peek(id_, offset, into);
  }

  void shutdown_send() { stack_->shutdown_send(id_); }
  void close() { stack_->close(id_); }  // no more events
  void abort() { stack_->abort(id_); }  // no more events

  void set_user(std::uint64_t user) { stack_->set_user(id_, user); }
  void set_timer(Instant when) { stack_->set_timer(id_, when); }
  void set_nodelay(bool on) { stack_->set_nodelay(id_, on); }
  // At most so many octets of text a second (Linux's SO_MAX_PACING_RATE); 0: no limit.
  void set_pacing_rate(std::uint32_t octets_per_second) {
    stack_->set_pacing_rate(id_, octets_per_second);
  }

  // -- Settings of this connection alone; as soon as it is accepted or connect was called. False:
  // the connection is gone, or the stack has no record left to keep them in. More in stack/stack.h.
  // Probes an idle peer; what is left zero is as in the config (keepalive_time, _intvl, _probes).
  bool set_keepalive(const tcp::Keepalive& k) { return stack_->set_keepalive(id_, k); }
  // Milliseconds that text may stay unacknowledged, in place of retries2; zero: as in the config.
  bool set_user_timeout(Duration timeout) { return stack_->set_user_timeout(id_, timeout); }
  // Retransmissions before the connection ends; 0: as in the config.
  bool set_retries(std::uint8_t retries) { return stack_->set_retries(id_, retries); }
  // close() sends a RST when zero; what is unacknowledged after a time is given up with one; in
  // whole seconds. nullopt, the default: all is sent.
  bool set_linger(std::optional<Duration> linger) { return stack_->set_linger(id_, linger); }
  void set_cork(bool on) { stack_->set_cork(id_, on); }  // small text is held, 200 ms at most
  void set_tos(std::uint8_t tos) { stack_->set_tos(id_, tos); }              // DSCP << 2
  [[nodiscard]] std::uint8_t tos_in() const { return stack_->tos_in(id_); }  // that came last
  // Urgent text: RFC 6093 asks new programs to do without.
  std::size_t send_urgent(std::span<const std::byte> octets) {  // copies; octets taken
    return stack_->send_urgent(id_, octets);
  }
  [[nodiscard]] tcp::Urgent urgent() const { return stack_->urgent(id_); }
  [[nodiscard]] FlowKey flow() const { return stack_->flow_of(id_); }
  [[nodiscard]] CloseReason soft_error() const { return stack_->soft_error(id_); }
  [[nodiscard]] tcp::State state() const { return stack_->state_of(id_); }
  [[nodiscard]] std::optional<tcp::Info> info() const { return stack_->info(id_); }
  [[nodiscard]] stack::ConnId id() const { return id_; }
  [[nodiscard]] stack::Stack& owner() const { return *stack_; }

 private:
  stack::Stack* stack_ = nullptr;
  stack::ConnId id_;
};

// Calls come in this order for one connection in one burst: accept or connected, readable,
// writable, peer_closed, timer, soft_error, closed. `user` is what set_user stored, 0 at first.
// A handler may have on_soft_error(c, user, reason): nothing gets through at present (MUST-47).
template <class H>
concept Handler = requires(H& h, Connection c, std::uint64_t user, ListenerId l, CloseReason r) {
  h.on_accept(c, l);
  h.on_connected(c, user);
  h.on_readable(c, user);
  h.on_writable(c, user);
  h.on_peer_closed(c, user);
  h.on_timer(c, user);
  h.on_closed(c, user, r);
};

// A Handler that wants to know of urgent text; called before on_readable.
template <class H>
concept HasUrgent = requires(H& h, Connection c, std::uint64_t user) {
  h.on_urgent(c, user);
};

// Hands every ready connection to `handler`. A call may end its own or another connection.
template <Handler H>
unsigned dispatch(stack::Stack& s, H& handler);

}  // namespace weir

#include "socket/dispatch.h"  // IWYU pragma: export
