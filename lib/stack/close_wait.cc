// Connections in CLOSE-WAIT, in the order in which their peers closed: a program that never closes
// shows here, by the listener it got them from and by their age (RFC 9293 §3.6, MUST-12).
#include "stack/impl.h"

namespace weir::stack {

std::uint32_t& Stack::Impl::close_wait_count(const Conn& c) {
  if (!c.tcb.has(tcp::kPassive)) return close_waits.of_connects;
  return close_waits.of_listener[c.listener];
}

// Called whenever the state may have changed.
void Stack::Impl::note_close_wait(std::uint32_t index) {
  Conn& c = conns[index];
  const bool is = c.tcb.state == tcp::State::kCloseWait;
  if (is == c.in_close_wait) return;
  c.in_close_wait = is;
  CloseWaits& l = close_waits;
  if (is) {
    c.close_wait_ms = now_ms();
    c.close_wait_prev = l.tail;
    c.close_wait_next = kNoIndex;
    (l.tail == kNoIndex ? l.head : conns[l.tail].close_wait_next) = index;
    l.tail = index;
    ++l.count;
    ++close_wait_count(c);
    return;
  }
  (c.close_wait_prev == kNoIndex ? l.head : conns[c.close_wait_prev].close_wait_next) =
      c.close_wait_next;
  (c.close_wait_next == kNoIndex ? l.tail : conns[c.close_wait_next].close_wait_prev) =
      c.close_wait_prev;
  --l.count;
  --close_wait_count(c);
}

CloseWait Stack::Impl::close_wait_of(const Conn& c) const {
  CloseWait w;
  w.flow = c.flow;
  w.age = std::chrono::milliseconds(now_ms() - c.close_wait_ms);
  if (c.tcb.has(tcp::kPassive)) w.listener = c.listener;
  return w;
}

std::size_t Stack::oldest_close_waits(std::span<CloseWait> out) const {
  Impl& s = *impl_;
  std::size_t n = 0;
  for (std::uint32_t i = s.close_waits.head; i != kNoIndex && n < out.size(); ++n) {
    out[n] = s.close_wait_of(s.conns[i]);
    i = s.conns[i].close_wait_next;
  }
  return n;
}

}  // namespace weir::stack
