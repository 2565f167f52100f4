// Delayed acknowledgments (RFC 9293 §3.8.6.3, RFC 5681 §4.2), and those at a connection's beginning
// that are not delayed: a peer in slow start counts ACKs (Linux's quick ACKs).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
// A peer further away waits longer before it sends again; an ACK may wait as long for company.
//= RFC813 5-b
Micros ack_delay(const Tcb& t) {
  return std::min(std::max(t.rto.srtt(), t.config->delack_min), t.config->delack_max);
}

void begin_quick_acks(Tcb& t) {
  const std::uint32_t half = t.rcv_buf / (2 * std::uint32_t{t.rcv_mss});
  const std::uint32_t most =
      std::min<std::uint32_t>(std::max<std::uint32_t>(half, 2), t.config->quickacks);
  const std::uint32_t left = t.quick_acks & ~unsigned{kInteractive};
  if (most > left) t.quick_acks = static_cast<std::uint8_t>(t.quick_acks - left + most);
}

void user_quickack(Tcb& t, bool on) {
  if (!on) {
    t.quick_acks |= kInteractive;
    return;
  }
  t.quick_acks = static_cast<std::uint8_t>(t.quick_acks & ~unsigned{kInteractive});
  if (t.unacked_in > 0) t.set(kAckNow);
}

void on_text_sent(Tcb& t) {
  if (t.rcv_nxt != t.irs + 1) t.quick_acks |= kInteractive;
}

void on_ack_sent(Tcb& t) {
  const bool left = (t.quick_acks & ~unsigned{kInteractive}) != 0;
  if (t.unacked_in > 0 && left) --t.quick_acks;
  t.unacked_in = 0;
  t.delack_deadline = kNever;
}

//= RFC813 5-a
//= RFC9293 MUST-40
//= RFC9293 SHLD-18
//= RFC9293 SHLD-19
//= RFC5681 4.2-a
void on_text_received(Tcb& t, std::uint32_t octets, std::uint32_t in_segment, Instant now) {
  t.unacked_in += octets;
  // What a port has merged is longer than any segment was.
  const std::uint32_t longest = t.rcv_mss - (t.has(kTimestamps) ? 12U : 0U);
  const std::uint32_t full = std::min(in_segment, longest);
  t.peer_seg = static_cast<std::uint16_t>(std::max<std::uint32_t>(t.peer_seg, full));
  const bool quick = t.quick_acks > 0 && t.quick_acks < kInteractive;
  if (t.unacked_in >= 2 * std::uint32_t{t.peer_seg} || quick) {
    t.set(kAckNow);
  } else if (t.delack_deadline == kNever) {
    t.delack_deadline = now + ack_delay(t);
  }
}

// The ACK of a FIN behind text waits for company as one of text does, since the application's own
// FIN is likely to follow (Linux's pingpong mode). Where that has gone already nothing will.
void on_fin_received(Tcb& t, bool was_early, Instant now) {
  const bool alone = t.rcv_nxt - 1 == t.irs + 1;  // of all that came
  t.unacked_in += 1;
  t.quick_acks |= kInteractive;
  const bool gone = t.state != State::kEstablished;
  if (alone || was_early || gone || t.unacked_in > t.peer_seg) {
    t.set(kAckNow);
  } else if (t.delack_deadline == kNever) {
    t.delack_deadline = now + ack_delay(t);
  }
}

}  // namespace weir::tcp
