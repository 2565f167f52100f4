// What is sent, and when (RFC 9293 §3.7, §3.8): one call per connection per burst turns everything
// that became due into segments, and an ACK that is owed rides on the first of them.
#include <algorithm>
#include <new>
#include <utility>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// Made where it stays: its options are too long to be copied for nothing.
TxSegment& add_segment(Outbox& out) {
  return *::new (&out.tx.add()) TxSegment;
}

// Header fields common to all segments of a synchronized connection. Takes the owed ACK along.
//= RFC7323 3.2-b
TxSegment& make_segment(Tcb& t, Seq seq, Instant now, Outbox& out) {
  TxSegment& s = add_segment(out);
  s.seq = seq;
  s.ack = t.rcv_nxt;
  s.flags = ecn_ack_flags(t);
  s.wnd = advertise_window(t);
  if (t.has(kTimestamps)) {
    s.options.has_timestamps = true;
    s.options.ts_val = ts_now(t, now);
    s.options.ts_ecr = t.ts_recent;
  }
  t.last_ack_sent = t.rcv_nxt;
  on_ack_sent(t);
  t.clear(kAckNow);
  return s;
}

//= RFC7323 3.2-d
void send_syn(Tcb& t, Instant now, Outbox& out) {
  TxSegment& s = add_segment(out);
  s.seq = t.iss;
  s.flags = SYN;
  if (t.state == State::kSynReceived) {
    s.flags = SYN | ACK;
    s.ack = t.rcv_nxt;
  }
  s.wnd = static_cast<std::uint16_t>(offered_in_syn(t));
  t.rcv_adv = t.rcv_nxt + s.wnd;
  s.options.mss = t.rcv_mss;
  //= RFC2018 2
  s.options.sack_permitted = t.has(kSack);
  //= RFC7323 2.1-a
  if (t.has(kScaling)) s.options.window_scale = t.rcv_wscale;
  if (t.has(kTimestamps)) {
    s.options.has_timestamps = true;
    s.options.ts_val = ts_now(t, now);
    s.options.ts_ecr = t.ts_recent;
  }
  const bool again = t.snd_nxt != t.iss;
  s.flags |= ecn_syn_flags(t, again, out);
  t.snd_nxt = t.iss + 1;
  t.clear(kSynDue | kAckNow);
  (again ? out.counters->retrans_segs : out.counters->out_segs).add();
  if (!again) {
    note_progress(t, now);
    t.set(kTiming);
    t.rtt_start = now;
  } else {
    t.clear(kTiming);
  }
  t.rtx_deadline = no_later_than_user_timeout(t, now, now + t.rto.rto());
}

// One segment of text, FIN, or both. `len` octets from `seq` lie in the queue.
TxSegment& emit(Tcb& t, Seq seq, std::uint32_t len, bool fin, Instant now, Outbox& out) {
  TxSegment& s = make_segment(t, seq, now, out);
  s.len = len;
  s.mss = t.mss;
  if (len < t.mss) add_sack_blocks(t, s.options, t.mss - len);
  if (len > 0) {
    attach_text(t, seq, s);
    //= RFC9293 MUST-61
    const bool last = distance(t.snd_una, seq) + len == t.sndq.bytes();
    if (last && !t.in_mode(kMore)) s.flags |= PSH;
  }
  if (fin) s.flags |= FIN;
  mark_urgent(t, s);
  pacing_sent(t, len, now);
  return s;
}

// SND.UNA + SND.WND - SND.NXT, 0 when the window shrank below it (MUST-34, SHLD-15).
//= RFC9293 MUST-34
//= RFC9293 SHLD-15
std::uint32_t usable_window(const Tcb& t) {
  const std::uint32_t out = distance(t.snd_una, t.snd_nxt);
  return t.snd_wnd > out ? t.snd_wnd - out : 0;
}

// Nagle (§3.7.4) in the variant of appendix A.3, which Linux has too: a small segment waits for the
// ACK of the small one before it, not for that of full ones, or the tail of every message would
// wait for a delayed ACK.
//= RFC9293 SHLD-7
//= RFC9293 MUST-17
bool nagle_holds(const Tcb& t, bool fin) {
  return !fin && !t.has(kNoDelay) && after(t.snd_small, t.snd_una) && !t.in_mode(kUrgentOut);
}

// Text below a full segment waits for more of it.
bool small_waits(const Tcb& t, bool fin) {
  return nagle_holds(t, fin) || cork_holds(t, fin);
}

// Sender's silly window avoidance (§3.8.6.2.1).
//= RFC813 4-b
//= RFC9293 MUST-38
bool worth_sending(const Tcb& t, std::uint32_t len, bool last, bool fin) {
  if (len >= t.mss) return true;
  if (last) return !small_waits(t, fin);
  const bool idle = t.snd_una == t.snd_nxt;
  return (idle || t.has(kNoDelay)) && len >= t.max_snd_wnd / 2;
}

// SND.NXT, unless it lies beyond the peer's window (a probe's octet, a FIN, a window that shrank):
// there our ACKs would be dropped as out of window, and with them what they acknowledge.
Seq acceptable_seq(const Tcb& t) {
  return earlier_of(t.snd_nxt, t.snd_una + t.snd_wnd);
}

void note_sent(Tcb& t, Seq end, Instant now) {
  t.last_sent = now;
  if (!t.has(kTiming)) {
    t.set(kTiming);
    t.rtt_seq = end;
    t.rtt_start = now;
  }
  //= RFC6298 5.1
  if (t.rtx_deadline == kNever || t.has(kPersisting)) {
    t.retries = 0;
    arm_rtx(t, now);
  }
}

// Text, FIN or both for the first time, from SND.NXT on.
void send_next(Tcb& t, std::uint32_t len, bool fin, Instant now, Outbox& out) {
  if (t.snd_una == t.snd_nxt) note_progress(t, now);
  TxSegment& s = emit(t, t.snd_nxt, len, fin, now, out);
  ecn_mark_new(t, s);
  if (len > 0) {
    on_text_sent(t);
    push_or_not(t, s);
  }
  out.counters->out_segs.add();
  advance_cursor(t, len);
  t.snd_nxt += len + (fin ? 1U : 0U);
  if (t.log != nullptr) log_sent(t, len, fin, (s.flags & PSH) != 0, now);
  if (len % t.mss != 0) t.snd_small = t.snd_nxt;
}

// Record `i` of the log once more.
void send_again(Tcb& t, unsigned i, Instant now, Outbox& out) {
  const Seq seq = t.log->begin_of(i);
  const bool fin = t.fin_sent() && after((*t.log)[i].end(), t.fin_seq());
  TxSegment& s = emit(t, seq, t.log->length_of(i) - (fin ? 1U : 0U), fin, now, out);
  if ((*t.log)[i].is(kSentPush)) s.flags |= PSH;
  out.counters->retrans_segs.add();
  log_sent_again(t, i, now);
  t.clear(kTiming);  //= RFC9293 MUST-18
}

// What a port segments by itself has its URG and CWR on every piece, or on none, as it likes.
std::uint32_t longest_segment(const Tcb& t, const Outbox& out) {
  const bool alone = t.ecn_has(kEcnCwrDue) || t.in_mode(kUrgentOut);
  return out.tso_max > t.mss && !alone ? out.tso_max / t.mss * t.mss : t.mss;
}

// New text in one segment that is longer than the others are (mtu_probe.cc).
void send_mtu_probe(Tcb& t, std::uint32_t len, Instant now, Outbox& out) {
  log_begin(t, now, out);
  const std::uint16_t mss = std::exchange(t.mss, static_cast<std::uint16_t>(len));
  send_next(t, len, false, now, out);
  t.mss = mss;
  t.mtu_probe = static_cast<std::uint16_t>(len);
  t.mtu_probe_end = t.snd_nxt;
  note_sent(t, t.snd_nxt, now);
  if (t.log != nullptr) arm_tlp(t, now);
}

// Octets of `left` that went.
std::uint32_t probe_path(Tcb& t, std::uint32_t left, Instant now, Outbox& out) {
  path_mtu_expire(t, now);
  const std::uint32_t len = mtu_probe_due(t, left, usable_window(t));
  if (len == 0 || out.tx.room() <= 1 || pacing_holds(t, now)) return 0;
  send_mtu_probe(t, len, now, out);
  return len;
}

//= RFC9293 MUST-60
//= RFC9293 SHLD-27
//= RFC9293 SHLD-28
void send_new_text(Tcb& t, Instant now, Outbox& out) {
  std::uint32_t left = unsent_octets(t);
  bool fin_due = t.has(kFinQueued) && !t.fin_sent();
  if (left == 0) cork_nothing_held(t);
  if ((left == 0 && !fin_due) || t.ecn_has(kEcnWait)) return;
  cc_restart_after_idle(t, now);
  if (t.mss != t.full_mss && !t.records) left -= probe_path(t, left, now, out);
  const std::uint32_t longest = pacing_quantum(t, longest_segment(t, out));
  bool corked = false;
  Burst burst;
  while ((left > 0 || fin_due) && out.tx.room() > 1 && !pacing_holds(t, now)) {
    std::uint32_t room = std::min(usable_window(t), cwnd_room(t));
    const unsigned records = t.log != nullptr ? t.log->room() : SentLog::kCapacity / 2;
    if (records == 0) break;
    room = std::min<std::uint32_t>(room, records * t.mss);
    std::uint32_t len = std::min({left, room, longest});
    const std::uint32_t record =
        t.records ? record_length(t, t.snd_nxt, std::min(left, len + 1)) : left;
    const bool whole = record <= len && record < left;  // its end goes, full segment or not
    len = std::min(len, record);
    if (len > t.mss && !whole && (len < left || small_waits(t, fin_due))) len -= len % t.mss;
    const bool last = len == left;
    const bool fin = fin_due && last;
    if (len == 0 && !fin) break;
    if (!whole && !worth_sending(t, len, last, fin)) {
      corked = last && cork_holds(t, fin);
      break;
    }
    log_begin(t, now, out);  // of a FIN alone, too: its loss is probed for
    send_next(t, len, fin, now, out);
    left -= len;
    push_burst(t, burst, len, whole, out);
    fin_due = fin_due && !fin;
    note_sent(t, t.snd_nxt, now);
    if (t.log != nullptr) arm_tlp(t, now);
  }
  push_burst_over(t, burst, out);
  if (burst.any) note_cwnd_use(t);
  if (t.in_mode(kLowat) && t.has(kWantWritable)) note_room(t);
  if (corked) return cork_text_held(t, now);
  if (left == 0) cork_nothing_held(t);
  // Text waits and nothing is on its way that would bring an ACK: the persist timer must.
  if (left > 0 && t.snd_una == t.snd_nxt && t.rtx_deadline == kNever && !t.pace_waits) {
    t.set(kPersisting);
    t.rtx_deadline = now + t.rto.rto();
  }
}

// Octets of the queue that may be resent at rtx_nxt; 0 when window or cwnd say wait.
//= RFC9293 SHLD-16
//= RFC9293 SHLD-17
std::uint32_t resend_length(const Tcb& t) {
  const std::uint32_t offset = distance(t.snd_una, t.rtx_nxt);
  const std::uint32_t text = t.sndq.bytes() > offset ? t.sndq.bytes() - offset : 0;
  std::uint32_t len = std::min({text, std::uint32_t{t.mss}, distance(t.rtx_nxt, t.rtx_end)});
  const std::uint32_t window = t.snd_wnd > offset ? t.snd_wnd - offset : 0;
  if (len > window) len = offset == 0 ? std::max<std::uint32_t>(window, 1) : window;
  return record_length(t, t.rtx_nxt, len);
}

// What the log takes for lost, oldest first.
//= RFC2018 5-a
void resend_lost(Tcb& t, Instant now, Outbox& out) {
  for (unsigned i = 0; t.log->lost() > 0 && i < t.log->size() && out.tx.room() > 1; ++i) {
    if (!(*t.log)[i].is(kSentLost)) continue;
    const Seq end = (*t.log)[i].end();
    const bool fin = t.fin_sent() && after(end, t.fin_seq());
    const std::uint32_t len = t.log->length_of(i) - (fin ? 1U : 0U);
    const bool at_once = i == 0 && t.log->first_due;
    if (!at_once && t.log->pipe() > 0 && cwnd_room(t) < len) return;
    if (!at_once && pacing_holds(t, now)) return;
    if (distance(t.snd_una, end) - (fin ? 1U : 0U) > t.snd_wnd)
      return log_abandon(t, out);  // it shrank
    send_again(t, i, now, out);
    t.log->first_due = false;
    if (t.rtx_deadline == kNever) arm_rtx(t, now);
  }
}

void send_retransmissions(Tcb& t, Instant now, Outbox& out) {
  if (t.log != nullptr) resend_lost(t, now, out);
  t.rtx_nxt = later_of(t.rtx_nxt, t.snd_una);
  while (before(t.rtx_nxt, t.rtx_end) && out.tx.room() > 1) {
    if (t.recovery == Recovery::kRto && flight(t) > 0 && flight(t) + t.mss > t.cwnd) return;
    if (t.rtx_nxt != t.snd_una && pacing_holds(t, now)) return;
    const std::uint32_t len = resend_length(t);
    const bool fin =
        t.fin_sent() && t.rtx_nxt + len == t.fin_seq() && after(t.rtx_end, t.fin_seq());
    if (len == 0 && !fin) return;
    emit(t, t.rtx_nxt, len, fin, now, out);
    out.counters->retrans_segs.add();
    t.rtx_nxt += len + (fin ? 1U : 0U);
    t.clear(kTiming);  //= RFC9293 MUST-18
    if (t.rtx_deadline == kNever) arm_rtx(t, now);
  }
}

// What was lost first; but after a time-out that may have been spurious new text, if there is any
// (RFC 5682 §2.1, step 2b).
void send_text(Tcb& t, Instant now, Outbox& out) {
  if (t.frto == Frto::kProbing) {
    send_new_text(t, now, out);
    if (t.snd_nxt != t.recover || t.pace_waits) return;
    //= RFC5682 2.1-f
    frto_give_up(t);
  }
  send_retransmissions(t, now, out);
  send_new_text(t, now, out);
}

// One for the burst; but one for each segment that came early, since a sender without SACK learns
// of a loss by counting them, and text that goes the other way does not count (RFC 5681 §2, §4.2).
//= RFC9293 MUST-58
void send_acks(Tcb& t, Instant now, Outbox& out) {
  unsigned due = t.dup_acks_due;
  if (t.has(kAckNow) && (due == 0 || t.rcv_nxt != t.last_ack_sent)) ++due;
  t.dup_acks_due = 0;
  for (; due > 0 && out.tx.room() > 0; --due) {
    const Seq seq = t.synchronized() ? acceptable_seq(t) : t.snd_nxt;
    TxSegment& s = make_segment(t, seq, now, out);
    add_sack_blocks(t, s.options, t.mss);
    mark_urgent(t, s);
    out.counters->out_segs.add();
  }
}

}  // namespace

std::uint32_t unsent_octets(const Tcb& t) {
  if (!t.synchronized()) return t.sndq.bytes();
  const std::uint32_t sent = distance(t.snd_una, t.snd_nxt) - (t.fin_sent() ? 1U : 0U);
  return t.sndq.bytes() - sent;
}

void arm_rtx(Tcb& t, Instant now) {
  t.clear(kPersisting);
  t.rtx_deadline = now + t.rto.rto();
}

//= RFC7323 3.2-e
TxSegment make_reset(const Tcb& t, Instant now) {
  TxSegment s;
  s.seq = t.synchronized() ? acceptable_seq(t) : t.snd_nxt;
  s.ack = t.rcv_nxt;
  s.flags = RST | ACK;
  if (t.has(kTimestamps)) {
    s.options.has_timestamps = true;
    s.options.ts_val = ts_now(t, now);
    s.options.ts_ecr = t.ts_recent;
  }
  return s;
}

void send_reset(Tcb& t, Instant now, Outbox& out) {
  if (t.state == State::kSynSent) return;  // §3.10.5: nothing was agreed, nothing is reset
  out.counters->out_rsts.add();
  out.tx.push(make_reset(t, now));
}

// §3.8.6.1: one octet beyond the window, or what little the window takes (SWS override).
//= RFC9293 MUST-35
//= RFC9293 MUST-36
void send_probe(Tcb& t, Instant now, Outbox& out) {
  out.counters->persist_probes.add();
  if (t.snd_una != t.snd_nxt) {  // the last probe's octet is still unacknowledged
    emit(t, t.snd_una, 1, false, now, out);
    return;
  }
  const std::uint32_t most = std::min<std::uint32_t>(unsent_octets(t), t.mss);
  const std::uint32_t len =
      record_length(t, t.snd_nxt, std::clamp<std::uint32_t>(usable_window(t), 1, most));
  emit(t, t.snd_nxt, len, false, now, out);
  advance_cursor(t, len);
  t.snd_nxt += len;
  t.last_sent = now;
}

// RFC 8985 §7.3: new text where there is some, whatever cwnd says; else the last segment again.
//= RFC8985 7.3
void send_tail_probe(Tcb& t, Instant now, Outbox& out) {
  if (t.mtu_probe != 0) mtu_probe_forget(t);
  if (t.log->stale) return log_abandon(t, out);  // its records may be longer than a segment is now
  SentLog& log = *t.log;
  const std::uint32_t len = record_length(
      t, t.snd_nxt, std::min({unsent_octets(t), usable_window(t), std::uint32_t{t.mss}}));
  t.tlp_again = len == 0 || log.room() == 0;
  if (t.tlp_again) {
    send_again(t, log.size() - 1, now, out);
  } else {
    send_next(t, len, t.has(kFinQueued) && len == unsent_octets(t), now, out);
    t.last_sent = now;
  }
  t.tlp_out = true;
  t.tlp_end = t.snd_nxt;
  out.counters->tlp_probes.add();
  arm_rtx(t, now);
}

// Nothing is in flight, lost, or held back; no SACK block and no ACK of early text is due. The
// window of a segment at least is open to what cwnd says (it is never less), and the peer's.
bool goes_alone(const Tcb& t, const Outbox& out) {
  const unsigned odd = static_cast<unsigned>(t.recovery) | (t.flags & (kSynDue | kPersisting)) |
                       (t.modes & (kCork | kMore | kUrgentOut | kLowat)) |
                       (t.ecn & (kEcnWait | kEcnCwrDue)) | static_cast<unsigned>(t.records) |
                       t.dup_acks_due | (t.mss ^ t.full_mss);
  const std::uint32_t len = t.sndq.bytes();
  return odd == 0 && t.snd_una == t.snd_nxt && (len > 0 || t.has(kFinQueued)) && len <= t.mss &&
         len <= t.snd_wnd && t.synchronized() && t.log == nullptr && out.tx.room() > 1 &&
         !t.config->pacing && t.max_pacing_rate == 0 && !after(t.rtx_end, t.rtx_nxt) &&
         !nagle_holds(t, t.has(kFinQueued));
}

// As send_new_text has it, and in its order.
void send_alone(Tcb& t, Instant now, Outbox& out) {
  const bool fin = t.has(kFinQueued);
  t.pace_waits = false;
  t.rtx_nxt = later_of(t.rtx_nxt, t.snd_una);
  cc_restart_after_idle(t, now);
  note_progress(t, now);
  TxSegment& s = make_segment(t, t.snd_nxt, now, out);
  s.len = t.sndq.bytes();
  s.mss = t.mss;
  if (s.len < t.mss) add_sack_blocks(t, s.options, t.mss - s.len);
  if (s.len > 0) {  // from the queue's front, where nothing of it is in flight, to its end
    s.payload = t.sndq.head();
    s.flags |= PSH;
    on_text_sent(t);
    t.pushed = s.seq + s.len;
  }
  ecn_mark_new(t, s);
  if (fin) s.flags |= FIN;
  out.counters->out_segs.add();
  t.nxt_buf = t.sndq.tail();
  t.nxt_offset = t.sndq.empty() ? 0 : t.sndq.tail()->len;
  t.snd_nxt += s.len + (fin ? 1U : 0U);
  log_alone(t, s.len, now, out);
  if (s.len != t.mss && s.len > 0) t.snd_small = t.snd_nxt;
  note_sent(t, t.snd_nxt, now);
  if (t.log != nullptr) arm_tlp(t, now);
  note_cwnd_use(t);
  cork_nothing_held(t);
}

// Room for one segment more is always left for the ACK.
//= RFC9293 MUST-59
void transmit(Tcb& t, Instant now, Outbox& out) {
  t.pace_waits = false;
  if (t.state <= State::kListen || out.tx.room() == 0) return;
  if (t.has(kSynDue)) return send_syn(t, now, out);
  if (t.state == State::kSynSent) return;
  if (t.log != nullptr && t.log->stale) log_abandon(t, out);
  if (t.synchronized()) send_text(t, now, out);
  send_acks(t, now, out);
}

void poll_transmit(Tcb& t, Instant now, Outbox& out) {
  if (goes_alone(t, out)) {
    send_alone(t, now, out);
  } else {
    transmit(t, now, out);
  }
  if (t.own != nullptr) count_limits(t, now);
}

}  // namespace weir::tcp
