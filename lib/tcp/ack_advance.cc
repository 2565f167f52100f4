// An ACK of something new (RFC 9293 §3.10.7.4, fifth; RFC 6298 §5.2-3; RFC 7323 §4).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {

namespace {

void take_rtt(Tcb& t, Micros rtt) {
  t.rto.on_sample(rtt);
  if (t.own != nullptr) count_rtt(t, rtt);
}

}  // namespace

// A sample from the one segment that is timed, else from the echoed timestamp, which a
// retransmission does not make ambiguous.
//= RFC9293 MUST-18
//= RFC7323 4.1
//= RFC6298 3
void sample_rtt(Tcb& t, const RxSegment& seg, Instant now) {
  if (t.has(kTiming) && at_or_after(seg.ack, t.rtt_seq)) {
    t.clear(kTiming);
    return take_rtt(t, std::chrono::duration_cast<Micros>(
                           std::min<Duration>(now - t.rtt_start, t.config->rto_max)));
  }
  if (t.has(kTimestamps) && !t.has(kTiming) && seg.options.ts_ecr != 0) {
    const std::uint32_t ms = ts_now(t, now) - seg.options.ts_ecr;
    if (std::chrono::milliseconds(ms) <= t.config->rto_max) {
      take_rtt(t, Micros(static_cast<std::int32_t>(ms) * 1'000));
    }
  }
}

// Pre: kWantWritable.
void note_room(Tcb& t) {
  const std::uint32_t all = send_buffer(t);
  if (t.sndq.bytes() > all - all / 3 || !lowat_reached(t)) return;
  t.clear(kWantWritable);
  t.note(kNoticeWritable);
}

namespace {

void on_fin_acked(Tcb& t, Instant now, Outbox& out) {
  t.clear(kFinQueued);
  transition(t, Trigger::kRcvAckOfFin);
  switch (t.state) {
    case State::kFinWait2:
      if (t.has(kUserClosed)) begin_fin_wait_2(t, now, out);
      break;
    case State::kTimeWait:
      enter_time_wait(t, now);
      break;
    default:
      close_now(t, CloseReason::kNormal, out);
  }
}

}  // namespace

void on_ack_advance(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  const std::uint32_t acked = distance(t.snd_una, seg.ack);
  const bool fin_acked = t.fin_sent() && acked == t.sndq.bytes() + 1;
  // RFC 6582 §3.2, step 3: of the partial ACKs only the first restarts the timer.
  //= RFC6582 3.2-e
  const bool impatient = t.log == nullptr && t.recovery == Recovery::kFast && t.partial_acked;
  sample_rtt(t, seg, now);
  drop_acked(t, std::min(acked, t.sndq.bytes()), out);
  t.snd_una = seg.ack;
  t.snd_small = later_of(t.snd_small, t.snd_una);  // never so far behind that it seems ahead
  t.retries = 0;
  note_progress(t, now);
  urgent_acked(t);
  t.soft_error = CloseReason::kNone;
  t.path_news = kPathProven;  // whatever was doubted
  if (t.log == nullptr) cc_on_ack(t, acked, now, out);
  // A small window took what an override sent: the next waits no longer (§3.8.6.2.1: 0.1 to 1 s).
  if (t.has(kPersisting) && seg.wnd > 0) t.rto.restore();
  if (t.snd_una == t.snd_nxt) {
    t.clear(kPersisting);
    //= RFC6298 5.2
    t.rtx_deadline = kNever;  // RFC 6298 §5.2
  } else if (!impatient || t.recovery != Recovery::kFast) {
    //= RFC6298 5.3
    arm_rtx(t, now);  // §5.3
  }
  if (t.has(kWantWritable)) note_room(t);
  if (t.mtu_probe != 0) mtu_probe_acked(t, out);
  if (fin_acked) on_fin_acked(t, now, out);
}

}  // namespace weir::tcp
