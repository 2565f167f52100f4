// Congestion control: Reno (RFC 5681) with NewReno's recovery (RFC 6582), limited transmit
// (RFC 3042) and the initial window of RFC 6928.
#include <algorithm>

#include "tcp/internal.h"

//= RFC9293 MAY-18
namespace weir::tcp {
namespace {

constexpr std::uint8_t kDupThresh = 3;  // RFC 5681 §3.2

std::uint32_t half_flight(const Tcb& t) {  // RFC 5681 (4)
  const std::uint32_t outstanding = distance(t.snd_una, t.snd_nxt);
  return std::max<std::uint32_t>(outstanding / 2, 2U * t.mss);
}

void enter_fast_recovery(Tcb& t, Outbox& out) {
  // What is out beyond cwnd is limited transmit's, and not counted (RFC 5681 §3.2, 2).
  const std::uint32_t counted = std::min(distance(t.snd_una, t.snd_nxt), t.cwnd);
  t.ssthresh = std::max<std::uint32_t>(counted / 2, 2U * t.mss);
  t.cwnd = t.ssthresh + kDupThresh * std::uint32_t{t.mss};
  t.recover = t.snd_nxt;
  t.recovery = Recovery::kFast;
  t.rtx_nxt = t.snd_una;
  t.rtx_end = earlier_of(t.snd_una + t.mss, t.snd_nxt);
  out.counters->fast_retransmits.add();
}

// RFC 6582 §3.2 step 3.
void on_ack_in_fast_recovery(Tcb& t, std::uint32_t acked) {
  if (at_or_after(t.snd_una, t.recover)) {  // full acknowledgment
    const std::uint32_t outstanding = distance(t.snd_una, t.snd_nxt);
    t.cwnd = std::min(t.ssthresh, std::max<std::uint32_t>(outstanding, t.mss) + t.mss);
    t.recovery = Recovery::kNone;
    return;
  }
  t.rtx_nxt = t.snd_una;  // partial: the next hole is resent, the window deflated
  t.rtx_end = earlier_of(t.snd_una + t.mss, t.snd_nxt);
  t.cwnd -= std::min(acked, t.cwnd);
  if (acked >= t.mss) t.cwnd += t.mss;
  t.cwnd = std::max<std::uint32_t>(t.cwnd, t.mss);
}

//= RFC9293 MUST-19
void grow(Tcb& t, std::uint32_t acked) {
  if (t.cwnd < t.ssthresh) {  // slow start: at most one SMSS an ACK defeats ACK splitting
    t.cwnd += std::min<std::uint32_t>(acked, t.mss);
    return;
  }
  t.cwnd_acked += acked;  // congestion avoidance, counted in octets (§3.1, ABC)
  if (t.cwnd_acked >= t.cwnd) {
    t.cwnd_acked -= t.cwnd;
    t.cwnd += t.mss;
  }
}

}  // namespace

void cc_init(Tcb& t) {
  const std::uint32_t segments = t.has(kSynResent) ? 1 : t.config->initial_cwnd;  // RFC 6928 §2
  t.cwnd = std::min<std::uint32_t>(segments * t.mss, std::max<std::uint32_t>(2U * t.mss, 14'600));
  t.recover = t.snd_una - 1;  // the first text may be recovered: an ACK beyond `recover` is enough
  t.rtx_nxt = t.rtx_end = t.snd_una;
}

std::uint32_t flight(const Tcb& t) {
  if (t.log != nullptr) return t.log->pipe();
  if (t.recovery != Recovery::kRto) return distance(t.snd_una, t.snd_nxt);
  // What was out when the timer fired counts as lost until it is resent.
  return distance(t.snd_una, later_of(t.rtx_nxt, t.snd_una)) + distance(t.recover, t.snd_nxt);
}

std::uint32_t cwnd_room(const Tcb& t) {
  std::uint32_t allowed = t.cwnd;
  if (t.recovery == Recovery::kNone && t.log == nullptr) {  // limited transmit, RFC 3042
    allowed += std::min<std::uint32_t>(t.dup_acks, 2) * t.mss;
  }
  const std::uint32_t used = flight(t);
  return allowed > used ? allowed - used : 0;
}

void cc_on_dup_ack(Tcb& t, Outbox& out) {
  out.counters->dup_acks_in.add();
  if (t.dup_acks < 0xff) ++t.dup_acks;
  if (t.recovery == Recovery::kFast) {
    // At most one for each segment that is out: more are forged (RFC 5681 §3.2).
    if (t.cwnd < t.ssthresh + distance(t.snd_una, t.snd_nxt)) t.cwnd += t.mss;
  } else if (t.recovery == Recovery::kNone && t.dup_acks >= kDupThresh &&
             after(t.snd_una, t.recover)) {  // RFC 6582 §3.2 step 2: more than recover
    enter_fast_recovery(t, out);
  }
}

void cc_on_ack(Tcb& t, std::uint32_t acked, std::uint32_t flight_before) {
  t.dup_acks = 0;
  // Old marks stay close behind, lest the sequence space wraps round them.
  t.recover = later_of(t.recover, t.snd_una - 1);
  t.rtx_end = later_of(t.rtx_end, t.snd_una);
  t.rtx_nxt = later_of(t.rtx_nxt, t.snd_una);
  if (t.recovery == Recovery::kFast) return on_ack_in_fast_recovery(t, acked);
  if (t.recovery == Recovery::kRto && at_or_after(t.snd_una, t.recover)) {
    t.recovery = Recovery::kNone;
  }
  cc_grow(t, acked, flight_before);
}

// RFC 7661's lesson in short: a window that was not in use is not grown.
void cc_grow(Tcb& t, std::uint32_t acked, std::uint32_t flight_before) {
  const bool limited =
      t.cwnd < t.ssthresh ? 2 * flight_before >= t.cwnd : flight_before + t.mss >= t.cwnd;
  if (limited || t.recovery == Recovery::kRto) grow(t, acked);
}

void cc_on_rto(Tcb& t) {
  if (t.recovery != Recovery::kRto || at_or_after(t.snd_una, t.recover)) {
    t.ssthresh = half_flight(t);  // once for the window, not again for each back-off (§3.1)
  }
  t.cwnd = t.mss;  // loss window
  t.cwnd_acked = 0;
  t.dup_acks = 0;
  t.recover = t.snd_nxt;
  t.recovery = Recovery::kRto;
  t.rtx_nxt = t.snd_una;
  t.rtx_end = t.log == nullptr ? t.snd_nxt : t.snd_una;  // a log says what is lost
}

// RFC 5681 §4.1: nothing sent for one RTO, so the window's knowledge of the path is old.
void cc_restart_after_idle(Tcb& t, Instant now) {
  if (!t.config->slow_start_after_idle || t.snd_una != t.snd_nxt) return;
  if (t.last_sent == Instant{} || now - t.last_sent <= t.rto.rto()) return;
  const std::uint32_t cwnd = t.cwnd;
  t.clear(kSynResent);
  const Seq recover = t.recover;
  cc_init(t);
  t.recover = recover;
  t.cwnd = std::min(t.cwnd, cwnd);
}

}  // namespace weir::tcp
