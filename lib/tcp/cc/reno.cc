// Recovery without SACK: fast retransmit and fast recovery (RFC 5681 §3.2) as NewReno has them (RFC
// 6582).
#include <algorithm>
#include <utility>

#include "tcp/internal.h"

//= RFC9293 MAY-18
namespace weir::tcp {
namespace {

//= RFC5681 3.2-b
//= RFC5681 3.2-c
//= RFC6582 3.2-b
void enter_fast_recovery(Tcb& t, Outbox& out) {
  // What is out beyond cwnd is limited transmit's, and not counted (RFC 5681 §3.2, 2).
  if (!ecn_covers_loss(t)) cc_reduce(t, std::min(distance(t.snd_una, t.snd_nxt), t.cwnd));
  t.cwnd = t.ssthresh + 3U * t.mss;
  t.recover = t.snd_nxt;
  t.recovery = Recovery::kFast;
  t.partial_acked = false;
  t.rtx_nxt = t.snd_una;
  t.rtx_end = earlier_of(t.snd_una + t.mss, t.snd_nxt);
  out.counters->fast_retransmits.add();
}

// RFC 6582 §3.2 step 3.
void on_ack_in_fast_recovery(Tcb& t, std::uint32_t acked) {
  //= RFC6582 3.2-c
  if (at_or_after(t.snd_una, t.recover)) {  // full acknowledgment
    const std::uint32_t outstanding = distance(t.snd_una, t.snd_nxt);
    t.cwnd = std::min(t.ssthresh, std::max<std::uint32_t>(outstanding, t.mss) + t.mss);
    t.recovery = Recovery::kNone;
    return;
  }
  //= RFC6582 3.2-d
  t.partial_acked = true;
  t.rtx_nxt = t.snd_una;  // partial: the next hole is resent, the window deflated
  t.rtx_end = earlier_of(t.snd_una + t.mss, t.snd_nxt);
  t.cwnd -= std::min(acked, t.cwnd);
  if (acked >= t.mss) t.cwnd += t.mss;
  t.cwnd = std::max<std::uint32_t>(t.cwnd, t.mss);
}

}  // namespace

//= RFC5681 3.2-a
void cc_on_dup_ack(Tcb& t, Instant now, Outbox& out) {
  out.counters->dup_acks_in.add();
  if (t.dup_acks < 0xff) ++t.dup_acks;
  frto_on_ack(t, {}, now, out);
  if (t.recovery == Recovery::kFast) {
    // At most one for each segment that is out: more are forged.
    //= RFC5681 3.2-d
    if (t.cwnd < t.ssthresh + distance(t.snd_una, t.snd_nxt)) t.cwnd += t.mss;
  } else if (t.recovery == Recovery::kNone && t.dup_acks >= t.config->reordering &&
             after(t.snd_una, t.recover)) {  // more than recover
    //= RFC6582 3.2-a
    if (t.mtu_probe != 0 && mtu_probe_on_dup_acks(t, out)) return;
    enter_fast_recovery(t, out);
  }
}

void cc_on_ack(Tcb& t, std::uint32_t acked, Instant now, Outbox& out) {
  // Each duplicate told of a segment that has arrived; what it let go was its share (RFC 3042).
  const std::uint32_t known = std::exchange(t.dup_acks, std::uint8_t{0}) * std::uint32_t{t.mss};
  // Old marks stay close behind, lest the sequence space wraps round them.
  t.recover = later_of(t.recover, t.snd_una - 1);
  t.rtx_end = later_of(t.rtx_end, t.snd_una);
  frto_on_ack(t, {.acked = acked}, now, out);
  if (t.recovery == Recovery::kFast) return on_ack_in_fast_recovery(t, acked);
  const bool after_rto = t.recovery == Recovery::kRto;
  if (after_rto && at_or_after(t.snd_una, t.recover)) t.recovery = Recovery::kNone;
  const std::uint32_t fresh =
      std::max(acked - std::min(acked, known), std::min<std::uint32_t>(acked, t.mss));
  cc_grow(t, {.acked = fresh, .after_rto = after_rto}, now);
}

}  // namespace weir::tcp
