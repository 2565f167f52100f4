// How events become a handler's calls.
#pragma once

#include <utility>

#include "socket/socket.h"

namespace weir {

// A handler that has UDP sockets: told once a turn of each that has something to tell.
template <class H>
concept HasUdp = requires(H& h, stack::Stack& s, const stack::UdpReady& r) {
  h.on_udp(s, r);
};

template <Handler H>
unsigned dispatch(stack::Stack& s, H& handler) {
  unsigned n = 0;
  stack::Ready r;
  for (; s.next_ready(r); ++n) {
    const Connection c{s, r.conn};
    const auto user_now = [&] { return s.user_of(r.conn); };
    bool called = false;  // a call may have ended it
    const auto due = [&](stack::Event e) {
      return (r.events & e) != 0 && (!std::exchange(called, true) || s.alive(r.conn));
    };
    if (due(stack::kAccepted)) handler.on_accept(c, r.listener);
    if (due(stack::kConnected)) handler.on_connected(c, user_now());
    if constexpr (HasUrgent<H>) {
      if (due(stack::kUrgent)) handler.on_urgent(c, user_now());
    }
    if (due(stack::kReadable)) handler.on_readable(c, user_now());
    if (due(stack::kWritable)) handler.on_writable(c, user_now());
    if (due(stack::kPeerClosed)) handler.on_peer_closed(c, user_now());
    if (due(stack::kTimer)) handler.on_timer(c, user_now());
    //= RFC9293 SHLD-20
    if constexpr (requires { handler.on_soft_error(c, user_now(), r.reason); }) {
      if (due(stack::kSoftError)) handler.on_soft_error(c, user_now(), s.soft_error(r.conn));
    }
    if (due(stack::kClosed)) {
      handler.on_closed(c, user_now(), r.reason);
      s.close(r.conn);  // the record goes back; a handler need not ask for it
    }
  }
  if constexpr (HasUdp<H>) {
    stack::UdpReady u;
    for (; s.next_udp_ready(u); ++n) handler.on_udp(s, u);
  }
  return n;
}

}  // namespace weir
