// What gives way when a port's buffers run short: text that waits is put together in fewer of them,
// what came out of order goes back, and whoever holds buffers and gets nowhere is reset, the one
// that has stood still longest first (RFC 6429 §4). The connections are swept a few at a time, as
// long as frames say that buffers are scarce. Datagrams that nobody has received for as long go
// too, and the text of connections that have ended.
#include <utility>

#include "stack/impl.h"

namespace weir::stack {
namespace {

constexpr Duration kLasts = 100ms;  // without a frame that says so again
constexpr unsigned kConnsPerCall = 32, kSlotsPerCall = 1'024;
// How long a connection must have stood still before it may be reset: while buffers are scarce, and
// while there are only the last. Longer than a peer that comes back needs to be heard again.
constexpr Duration kStillScarce = 30s, kStillLast = 2s;

constexpr Duration limit_of(bool last) {
  return last ? kStillLast : kStillScarce;
}

}  // namespace

void Stack::Impl::note_pressure(std::uint8_t buf_flags) {
  if (now >= pressure.until) pressure = {};
  pressure.until = now + kLasts;
  pressure.last = (buf_flags & Buf::kLast) != 0;
}

void Stack::Impl::advance_pressure() {
  if (now >= pressure.until) return;
  unsigned conns_left = kConnsPerCall;
  for (unsigned slots = kSlotsPerCall; slots > 0 && conns_left > 0; --slots) {
    if (pressure.cursor == generations.size()) return end_sweep();
    const std::uint32_t index = pressure.cursor++;
    if (!busy(index)) continue;
    --conns_left;
    relieve(index);
  }
}

void Stack::Impl::relieve(std::uint32_t index) {
  Conn& c = conns[index];
  const bool early = pressure.last && c.tcb.ofo_head != nullptr;
  if (c.tcb.rcvq.bufs() > 1 || early) {
    tcp::shrink_receive_queue(c.tcb, early, outbox);
    released.append(std::move(outbox.release));
  }
  if (c.tcb.state == tcp::State::kClosed) return forget_unread(index);
  const Duration still = standing_still(c);
  if (still <= pressure.oldest_for) return;
  pressure.oldest = id_of(index);
  pressure.oldest_for = still;
}

// What a connection that has ended left to be read: there is nobody to reset any more. Text that a
// FIN had ended is not all there then, and that is told.
void Stack::Impl::forget_unread(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.tcb.rcvq.empty()) return;
  if (std::chrono::milliseconds(now_ms() - c.read_ms) < limit_of(pressure.last)) return;
  counters.drop_no_buffer.add();
  tcp::release_buffers(c.tcb, outbox);
  released.append(std::move(outbox.release));
  if (c.tcb.close_reason != tcp::CloseReason::kNormal) return;
  c.tcb.close_reason = tcp::CloseReason::kAborted;
  c.events = static_cast<std::uint16_t>(c.events | kClosed);
  mark_ready(index);
}

// How long its text has waited: received, for the application to read it; queued, for the peer to
// acknowledge it. Zero for one that holds no buffer of a port.
Duration Stack::Impl::standing_still(const Conn& c) const {
  const tcp::Tcb& t = c.tcb;
  if (!t.synchronized() || t.state == tcp::State::kTimeWait) return Duration::zero();
  const bool unread = !t.rcvq.empty();
  const bool unsent = !t.sndq.empty();
  std::uint32_t ms = 0;
  if (unread) ms = std::max(ms, now_ms() - c.read_ms);
  if (unsent) ms = std::max(ms, now_ms() - c.acked_ms);
  return std::chrono::milliseconds(ms);
}

//= RFC6429 4-c
void Stack::Impl::end_sweep() {
  pressure.cursor = 0;
  const ConnId victim = std::exchange(pressure.oldest, ConnId{});
  const Duration still = std::exchange(pressure.oldest_for, Duration::zero());
  const Duration limit = limit_of(pressure.last);
  counters.drop_udp_mem.add(udp.give_back_older(now - limit, released));
  if (still < limit || tx.room() < kOneCall) return;
  if (generations[victim.index] != victim.generation || !busy(victim.index)) return;
  if (standing_still(conns[victim.index]) < limit) return;  // it moved since the sweep passed it
  counters.pressure_resets.add();
  pressure.until = Instant::min();  // whether that was enough, the next frame tells
  tcp::end_stalled(conns[victim.index].tcb, now, outbox);
  flush(victim.index);
  settle(victim.index);
}

}  // namespace weir::stack
