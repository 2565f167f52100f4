// The congestion window, whatever algorithm grows it: initial window (RFC 6928), slow start (RFC
// 5681, 3465, 9406), reaction to loss (RFC 5681 §3.1, RFC 9438 §4.6-8), restart after idle. Reno
// and CUBIC differ in how much they keep of a window and in how they grow it in congestion
// avoidance.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

bool is_cubic(const Tcb& t) {
  return !t.in_mode(kReno);
}

std::uint32_t us_of(Instant t) {
  return static_cast<std::uint32_t>(t.time_since_epoch().count());
}

// Appropriate byte counting's L (RFC 3465 §2.2-3, RFC 9406 §4.2) in octets: what one ACK may add in
// slow start, however much it acknowledges. Octets are counted, so ACKs that are split gain
// nothing.
//= RFC3465 2.2
//= RFC3465 2.3
//= RFC9406 4.2-c
std::uint32_t abc_limit(const Tcb& t, bool after_rto) {
  if (after_rto) return t.mss;
  const std::uint32_t segments = t.config->slow_start_limit;
  return segments == 0 || t.config->pacing ? kMaxCwnd : segments * t.mss;
}

// Returns what of the ACK is beyond slow start.
//= RFC5681 3.1-c
std::uint32_t slow_start(Tcb& t, const Growth& g) {
  //= RFC9406 4.3-b
  const bool initial = t.ssthresh == kNoSsthresh;
  const bool hystart = initial && is_cubic(t) && t.config->hystart && t.log != nullptr;
  std::uint32_t add = std::min(g.acked, abc_limit(t, g.after_rto));
  if (hystart) {
    const SlowStart s = hystart_on_ack(t.log->hystart, t.snd_una, t.snd_nxt, g.rtt_us);
    if (s != SlowStart::kFull) add /= 4;  //= RFC9406 4.2-f
    if (s == SlowStart::kOver) t.ssthresh = t.cwnd + add;
  }
  const std::uint32_t grown = std::min({t.cwnd + add, t.ssthresh, kMaxCwnd});
  add -= std::min(add, grown - t.cwnd);
  t.cwnd = grown;
  return add;
}

// RFC 5681 §3.1, counted in octets (RFC 3465 §2.1).
//= RFC5681 3.1-d
//= RFC3465 2.1
void reno_avoid(Tcb& t, std::uint32_t acked) {
  t.cwnd_acked += acked;
  if (t.cwnd_acked < t.cwnd) return;
  t.cwnd_acked -= t.cwnd;
  t.cwnd = std::min(t.cwnd + t.mss, kMaxCwnd);
}

void cubic_avoid(Tcb& t, std::uint32_t acked, Instant now) {
  const CubicAck a{.acked = acked,
                   .mss = t.mss,
                   .rtt_us = static_cast<std::uint32_t>(t.rto.srtt().count()),
                   .now_us = us_of(now),
                   .prior = t.undo.cwnd};
  t.cwnd = cubic_grow(t.cubic, t.cwnd, t.cwnd_acked, a);
}

// True when cwnd was what held back the rest; in slow start also until it is twice what was out
// (RFC 7661's lesson in short, RFC 9438 §5.8; Linux's tcp_is_cwnd_limited).
//= RFC9438 5.8
bool in_use(const Tcb& t) {
  return t.cwnd_filled || (t.cwnd < t.ssthresh && t.cwnd < 2 * std::uint64_t{t.cwnd_used});
}

}  // namespace

//= RFC5681 3.1-a
//= RFC6928 2-a
//= RFC6928 2-b
void cc_init(Tcb& t) {
  //= RFC5681 3.1-b
  const std::uint32_t segments = t.has(kSynResent) ? 1 : t.config->initial_cwnd;
  t.cwnd = std::min<std::uint32_t>(segments * t.mss, std::max<std::uint32_t>(2U * t.mss, 14'600));
  t.recover = t.snd_una - 1;  // the first text may be recovered: an ACK beyond `recover` is enough
  t.rtx_nxt = t.rtx_end = t.cwnd_mark = t.snd_una;
}

std::uint32_t flight(const Tcb& t) {
  if (t.log != nullptr) return t.log->pipe();
  if (t.recovery != Recovery::kRto) return distance(t.snd_una, t.snd_nxt);
  // What was out when the timer fired counts as lost until it is resent.
  return distance(t.snd_una, later_of(t.rtx_nxt, t.snd_una)) + distance(t.recover, t.snd_nxt);
}

std::uint32_t cwnd_room(const Tcb& t) {
  if (t.frto == Frto::kProbing) return frto_room(t);
  std::uint32_t allowed = t.cwnd;
  //= RFC3042 2-a
  //= RFC3042 2-b
  //= RFC3042 2-c
  if (t.recovery == Recovery::kNone && t.log == nullptr) {
    allowed += std::min<std::uint32_t>(t.dup_acks, 2) * t.mss;
  }
  const std::uint32_t used = flight(t);
  return allowed > used ? allowed - used : 0;
}

// Also remembers what an undo brings back.
//= RFC5681 3.1-e
//= RFC9438 4.6-a
void cc_reduce(Tcb& t, std::uint32_t out) {
  t.undo = {.cwnd = t.cwnd, .ssthresh = t.ssthresh, .w_max = t.cubic.w_max};
  t.undo_running = t.cubic.running;
  t.undo_cwr = t.ecn_has(kEcnCwrDue);
  t.cwnd_acked = 0;
  const bool cubic = is_cubic(t);
  if (cubic) cubic_reduce(t.cubic, t.cwnd);
  // RFC 9438 §4.6 lets an implementation take cwnd where cwnd does not grow unused.
  t.ssthresh = std::max<std::uint32_t>(cubic ? cubic_beta(t.cwnd) : out / 2, 2U * t.mss);
}

// RFC 9438 §4.9.2, RFC 4015 §3.2: the network had lost nothing.
//= RFC9438 4.9.2
void cc_undo(Tcb& t, Instant now) {
  t.cwnd = std::max(t.cwnd, t.undo.cwnd);
  t.ssthresh = std::max(t.ssthresh, t.undo.ssthresh);
  t.cubic.w_max = t.undo.w_max;
  t.cubic.running = t.undo_running;
  cubic_pause(t.cubic, us_of(now));
  t.recovery = Recovery::kNone;
  t.recover = t.snd_una - 1;
  t.rtx_nxt = t.rtx_end = t.snd_una;
  if (!t.undo_cwr) t.ecn_clear(kEcnCwrDue);  // what an ECE asked for before stays due
}

//= RFC9293 MUST-19
void cc_grow(Tcb& t, const Growth& g, Instant now) {
  if (t.ecn_has(kEcnTold)) return;  //= RFC3168 6.1.2-e
  if (!in_use(t) && !g.after_rto) return cubic_pause(t.cubic, us_of(now));
  const std::uint32_t acked = t.cwnd < t.ssthresh ? slow_start(t, g) : g.acked;
  if (acked == 0) return;
  if (is_cubic(t)) {
    cubic_avoid(t, acked, now);
  } else {
    reno_avoid(t, acked);
  }
}

// The best that is known of cwnd's use in a round trip: that it was filled, else the most that was
// out (Linux's tcp_cwnd_validate).
void note_cwnd_use(Tcb& t) {
  const bool filled = flight(t) + t.mss > t.cwnd;
  const std::uint32_t out = distance(t.snd_una, t.snd_nxt);
  const bool over = at_or_after(t.snd_una, t.cwnd_mark);
  if (!over && !filled && (t.cwnd_filled || out <= t.cwnd_used)) return;
  t.cwnd_filled = filled;
  t.cwnd_used = out;
  t.cwnd_mark = t.snd_nxt;
}

//= RFC5681 3.1-f
//= RFC9438 4.8-a
//= RFC8961 4-4
void cc_on_rto(Tcb& t) {
  // Once for a segment, not again for each back-off.
  //= RFC5681 3.1-g
  if (t.recovery != Recovery::kRto || at_or_after(t.snd_una, t.recover) || t.retries == 1) {
    cc_reduce(t, distance(t.snd_una, t.snd_nxt));
    cubic_forget(t.cubic);
  }
  t.cwnd = t.mss;  // loss window
  //= RFC6582 3.2-f
  t.recover = t.snd_nxt;
  t.recovery = Recovery::kRto;
  t.rtx_nxt = t.snd_una;
  t.rtx_end = t.log == nullptr ? t.snd_nxt : t.snd_una;  // a log says what is lost
}

// As for a loss, but that there is nothing to resend, and down to one segment (RFC 9438 §4.6).
//= RFC3168 6.1.2-a
void cc_on_ecn(Tcb& t, std::uint32_t flight) {
  const std::uint32_t out = std::min(flight, t.cwnd);
  cc_reduce(t, out);
  t.cwnd = std::max<std::uint32_t>(is_cubic(t) ? cubic_beta(out) : out / 2, t.mss);
}

// Nothing was sent for one RTO, so the window's knowledge of the path is old.
//= RFC5681 4.1
void cc_restart_after_idle(Tcb& t, Instant now) {
  if (t.snd_una != t.snd_nxt) return;
  cubic_pause(t.cubic, us_of(now));
  if (!t.config->slow_start_after_idle) return;
  if (t.last_sent == Instant{} || now - t.last_sent <= t.rto.rto()) return;
  const std::uint32_t cwnd = t.cwnd;
  t.clear(kSynResent);
  const Seq recover = t.recover;
  cc_init(t);
  t.recover = recover;
  t.cwnd = std::min(t.cwnd, cwnd);
  t.cubic.running = false;  // the curve begins anew where slow start ends
}

}  // namespace weir::tcp
