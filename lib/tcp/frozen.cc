// A connection at rest (RFC 9293 §3.3.1), taken apart and put together again.
//
// Exact, in that nothing that is sent or told later differs. What is not kept, and why that is so:
//   snd_nxt, last_ack_sent   SND.UNA and RCV.NXT: nothing is in flight, no ACK is owed
//   snd_wl2                  no ACK below SND.UNA comes as far as where it is compared (§3.10.7.4)
//   snd_small, rtx_nxt, rtx_end, cwnd_mark, reo_round_end, rtt_seq, tlp_end
//                            marks that SND.UNA has passed or reached: all at SND.UNA, or unset
//   recover, ecn_high        likewise; whether they lie at SND.UNA itself is a bit
//   irs                      only asked whether anything has come since, which is a bit
//   iss, peer_fin, rcv_up, snd_up, early, dsack_left, dsack_right, rtt_start, una_ms
//                            written before they are read again
//   undo but for its cwnd, may_undo, partial_acked, undo_running, undo_cwr
//                            of a recovery, and the next one writes them
//   pace_next                further back than what a late timer may make up for
//   max_rcv_wnd              fit_window
#include "tcp/frozen.h"

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

enum FrozenBit : std::uint16_t {
  kSampled = 1,  // rto has a round trip
  kCubicRunning = 2,
  kCwndFilled = 4,
  kRecoverHere = 8,   // recover is SND.UNA, not below
  kEcnHighHere = 16,  // ecn_high likewise
  kTlpOut = 32,
  kTlpAgain = 64,
  kReorderingSeen = 128,
  kHasHeard = 256,  // RCV.NXT is beyond the peer's SYN
  kHasSent = 512,   // last_sent is set
  kHasLife = 1024,  // life_deadline is not kNever
  kLateOpen = 2048,
};

constexpr std::uint16_t kNotAtRest = kAckNow | kSynDue | kFinQueued | kUserClosed | kWantWritable |
                                     kTiming | kPersisting | kPeerFinKnown | kDsackDue;

bool nothing_queued(const Tcb& t) {
  return t.sndq.empty() && t.rcvq.empty() && t.ofo_head == nullptr && t.log == nullptr &&
         t.nxt_buf == nullptr && t.own == nullptr && !t.records;
}

bool nothing_owed(const Tcb& t) {
  return !t.has(kNotAtRest) && t.last_ack_sent == t.rcv_nxt && t.unacked_in == 0 &&
         t.dup_acks_due == 0 && t.notices == 0 && t.path_news == 0 &&
         !t.in_mode(kUrgentIn | kUrgentOut | kLowat) && !t.ecn_has(kEcnWait);
}

bool no_recovery(const Tcb& t) {
  return t.recovery == Recovery::kNone && t.frto == Frto::kOff && t.dup_acks == 0 &&
         t.retries == 0 && t.mtu_probe == 0 && !after(t.recover, t.snd_una) &&
         (!t.tlp_out || t.tlp_end == t.snd_una) && !after(t.snd_small, t.snd_una) &&
         !(t.ecn_has(kEcnSend) && after(t.ecn_high, t.snd_una));
}

// But for the life of the connection.
bool no_timer(const Tcb& t) {
  return t.rtx_deadline == kNever && t.probe_deadline == kNever && t.delack_deadline == kNever &&
         t.cork_deadline == kNever && !t.pace_waits;
}

bool in_reach(Instant t, Instant now) {
  return t > now - Moment::kReach / 2 && t < now + Moment::kReach / 2;
}

bool instants_in_reach(const Tcb& t, Instant now) {
  constexpr Duration kMadeUp = 1ms;  // pacing.cc: so much of what a late timer lost goes at once
  return (t.last_sent == Instant{} || in_reach(t.last_sent, now)) &&
         in_reach(t.last_received, now) &&
         (t.life_deadline == kNever || in_reach(t.life_deadline, now)) &&
         t.pace_next <= now - kMadeUp;
}

std::uint16_t bits_of(const Tcb& t) {
  const auto bit = [](bool is, FrozenBit b) { return is ? unsigned{b} : 0U; };
  return static_cast<std::uint16_t>(
      bit(t.rto.sampled(), kSampled) | bit(t.cubic.running, kCubicRunning) |
      bit(t.cwnd_filled, kCwndFilled) | bit(t.recover == t.snd_una, kRecoverHere) |
      bit(t.ecn_high == t.snd_una, kEcnHighHere) | bit(t.tlp_out, kTlpOut) |
      bit(t.tlp_again, kTlpAgain) | bit(t.reordering_seen, kReorderingSeen) |
      bit(t.rcv_nxt != t.irs + 1, kHasHeard) | bit(t.last_sent != Instant{}, kHasSent) |
      bit(t.life_deadline != kNever, kHasLife) | bit(t.late_open, kLateOpen));
}

}  // namespace

bool may_freeze(const Tcb& t, Instant now) {
  return t.state == State::kEstablished && t.snd_una == t.snd_nxt && nothing_queued(t) &&
         nothing_owed(t) && no_recovery(t) && no_timer(t) && instants_in_reach(t, now);
}

Frozen freeze(const Tcb& t) {
  const bool stamped = t.has(kTimestamps);
  return {.rcv_nxt = t.rcv_nxt,
          .snd_una = t.snd_una,
          .rcv_adv = t.rcv_adv,
          .snd_wl1 = t.snd_wl1,
          .pushed = t.pushed,
          .read_mark = t.read_mark,
          .snd_wnd = t.snd_wnd,
          .max_snd_wnd = t.max_snd_wnd,
          .cwnd = t.cwnd,
          .ssthresh = t.ssthresh,
          .cwnd_acked = t.cwnd_acked,
          .cwnd_used = t.cwnd_used,
          .prior_cwnd = t.undo.cwnd,
          .srtt = t.rto.srtt(),
          .rttvar = t.rto.rttvar(),
          .rto = t.rto.rto(),
          .w_max = t.cubic.w_max,
          .w_est = t.cubic.w_est,
          .est_acked = t.cubic.est_acked,
          .k_ms = t.cubic.k_ms,
          .elapsed_us = t.cubic.elapsed_us,
          .last_us = t.cubic.last_us,
          .min_rtt_us = t.min_rtt_us,
          .min_rtt_late_us = t.min_rtt_late_us,
          .min_rtt_since_s = t.min_rtt_since_s,
          .stamps = {stamped ? t.ts_recent : t.rcv_rtt_edge.raw(),
                     stamped ? t.ts_recent_age_s : t.rcv_rtt_edge_us},
          .ts_offset = t.ts_offset,
          .challenge_ms = t.challenge_ms,
          .rcv_buf = t.rcv_buf,
          .read_mark_us = t.read_mark_us,
          .read_before = t.read_before,
          .rcv_rtt_us = t.rcv_rtt_us,
          .max_pacing_rate = t.max_pacing_rate,
          .mss_lowered_s = t.mss_lowered_s,
          .flags = t.flags,
          .mss = t.mss,
          .rcv_mss = t.rcv_mss,
          .peer_seg = t.peer_seg,
          .full_mss = t.full_mss,
          .mtu_low = t.mtu_low,
          .mtu_high = t.mtu_high,
          .bits = bits_of(t),
          .last_sent = Moment(t.last_sent),
          .last_received = Moment(t.last_received),
          .life_deadline = Moment(t.life_deadline),
          .wscales = static_cast<std::uint8_t>(t.rcv_wscale << 4U | t.snd_wscale),
          .ecn = t.ecn,
          .modes = t.modes,
          .tos_in = t.tos_in,
          .quick_acks = t.quick_acks,
          .keepalive_unanswered = t.keepalive_unanswered,
          .soft_error = static_cast<std::uint8_t>(t.soft_error),
          .reo_mult = t.reo_mult,
          .reo_persist = t.reo_persist};
}

namespace {

void thaw_numbers(Tcb& t, const Frozen& f) {
  const auto is = [&f](FrozenBit b) { return (f.bits & b) != 0; };
  t.rcv_nxt = t.last_ack_sent = f.rcv_nxt;
  t.snd_una = t.snd_nxt = t.snd_wl2 = f.snd_una;
  t.snd_small = t.rtx_nxt = t.rtx_end = t.cwnd_mark = t.tlp_end = f.snd_una;
  t.recover = f.snd_una - (is(kRecoverHere) ? 0U : 1U);
  t.ecn_high = f.snd_una - (is(kEcnHighHere) ? 0U : 1U);
  t.irs = f.rcv_nxt - (is(kHasHeard) ? 0x4000'0000U : 1U);
  t.rcv_adv = f.rcv_adv;
  t.snd_wl1 = f.snd_wl1;
  t.snd_wnd = f.snd_wnd;
  t.max_snd_wnd = f.max_snd_wnd;
  t.pushed = f.pushed;
  t.flags = f.flags;
  resume_established(t);
  t.snd_wscale = f.wscales & 15U;
  t.rcv_wscale = f.wscales >> 4U;
  t.ecn = f.ecn;
  t.modes = f.modes;
  t.tos_in = f.tos_in;
  t.soft_error = static_cast<CloseReason>(f.soft_error);
  t.ts_offset = f.ts_offset;
  t.challenge_ms = f.challenge_ms;
  t.late_open = is(kLateOpen);
  if (t.has(kTimestamps)) {
    t.ts_recent = f.stamps[0];
    t.ts_recent_age_s = f.stamps[1];
  } else {
    t.rcv_rtt_edge = Seq{f.stamps[0]};
    t.rcv_rtt_edge_us = f.stamps[1];
  }
}

void thaw_path(Tcb& t, const Frozen& f) {
  const auto is = [&f](FrozenBit b) { return (f.bits & b) != 0; };
  t.cwnd = f.cwnd;
  t.ssthresh = f.ssthresh;
  t.cwnd_acked = f.cwnd_acked;
  t.cwnd_used = f.cwnd_used;
  t.cwnd_filled = is(kCwndFilled);
  t.undo.cwnd = f.prior_cwnd;
  t.rto.resume(f.srtt, f.rttvar, f.rto, is(kSampled));
  t.cubic = {.w_max = f.w_max,
             .w_est = f.w_est,
             .est_acked = f.est_acked,
             .k_ms = f.k_ms,
             .elapsed_us = f.elapsed_us,
             .last_us = f.last_us,
             .running = is(kCubicRunning)};
  t.min_rtt_us = f.min_rtt_us;
  t.min_rtt_late_us = f.min_rtt_late_us;
  t.min_rtt_since_s = f.min_rtt_since_s;
  t.max_pacing_rate = f.max_pacing_rate;
  t.mss = f.mss;
  t.full_mss = f.full_mss;
  t.mtu_low = f.mtu_low;
  t.mtu_high = f.mtu_high;
  t.mss_lowered_s = f.mss_lowered_s;
  t.reo_mult = f.reo_mult;
  t.reo_persist = f.reo_persist;
  t.tlp_out = is(kTlpOut);
  t.tlp_again = is(kTlpAgain);
  t.reordering_seen = is(kReorderingSeen);
}

void thaw_receiver(Tcb& t, const Frozen& f, Instant now) {
  const auto is = [&f](FrozenBit b) { return (f.bits & b) != 0; };
  t.rcv_mss = f.rcv_mss;
  t.peer_seg = f.peer_seg;
  t.rcv_buf = f.rcv_buf;
  t.read_mark = f.read_mark;
  t.read_mark_us = f.read_mark_us;
  t.read_before = f.read_before;
  t.rcv_rtt_us = f.rcv_rtt_us;
  t.quick_acks = f.quick_acks;
  t.keepalive_unanswered = f.keepalive_unanswered;
  t.last_received = f.last_received.near(now);
  if (is(kHasSent)) t.last_sent = f.last_sent.near(now);
  t.life_deadline = life_deadline(f, now);
}

}  // namespace

Instant life_deadline(const Frozen& f, Instant now) {
  return (f.bits & kHasLife) != 0 ? f.life_deadline.near(now) : kNever;
}

void thaw(Tcb& t, const Frozen& f, Instant now) {
  thaw_numbers(t, f);
  thaw_path(t, f);
  thaw_receiver(t, f, now);
  fit_window(t);
}

}  // namespace weir::tcp
