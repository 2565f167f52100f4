// SEGMENT ARRIVES, otherwise (RFC 9293 §3.10.7.4), in the RFC's order, with RFC 5961's checks.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// The segment under way: what is left of it after each step.
struct Arrival {
  const RxSegment& seg;
  Seq seq;
  std::uint32_t len;
  std::uint8_t flags;
  std::uint32_t wnd;  // scaled, but on a SYN (RFC 7323 §2.2)
  BufChain text;

  [[nodiscard]] bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] std::uint32_t seg_len() const {
    return len + (has(SYN) ? 1U : 0U) + (has(FIN) ? 1U : 0U);
  }
};

void cut_front(Arrival& a, std::uint32_t n, Outbox& out) {
  a.seq += n;
  a.len -= n;
  while (n > 0) {
    Buf* head = a.text.head();
    if (head->len > n) return a.text.trim_head(n);
    n -= head->len;
    out.release.push_back(a.text.pop_front());
  }
}

void cut_back(Arrival& a, std::uint32_t n, Outbox& out) {
  a.len -= n;
  std::uint32_t keep = a.len;
  BufChain kept;
  while (Buf* b = a.text.pop_front()) {
    if (keep == 0) {
      out.release.push_back(b);
      continue;
    }
    if (b->len > keep) b->trim_back(b->len - keep);
    keep -= b->len;
    kept.push_back(b);
  }
  a.text = std::move(kept);
}

// First: is any of it in the window? As the RFC's table, with two allowances that it asks for: at
// the right edge an empty segment counts (its ACK must be read when the window is closed), and at
// RCV.NXT any segment does (its text is cut to nothing).
bool acceptable(const Tcb& t, const Arrival& a) {
  const std::uint32_t wnd = rcv_wnd(t);
  if (a.seq == t.rcv_nxt) return true;
  if (a.seg_len() == 0) return distance(t.rcv_nxt, a.seq) <= wnd;
  return before(a.seq, t.rcv_nxt + wnd) && after(a.seq + a.seg_len(), t.rcv_nxt);
}

// What a segment outside the window gets: an ACK, unless it is a RST. One that carries nothing is
// answered at the pace of challenge ACKs, lest two endpoints answer each other for ever.
//= RFC9293 MAY-13
void answer_unacceptable(Tcb& t, const Arrival& a, Instant now, Outbox& out) {
  const bool probe = !a.has(RST) && !a.has(FIN) && a.seq + 1 == t.rcv_nxt && a.len <= 1;
  const bool again = a.len > 0 && at_or_before(a.seq + a.len, t.rcv_nxt) &&
                     distance(a.seq, t.rcv_nxt) <= std::max(t.rcv_buf, t.config->rmem);
  (probe   ? out.counters->probes_in
   : again ? out.counters->drop_duplicate
           : out.counters->drop_out_of_window)
      .add();
  if (a.has(RST)) return;
  const bool last_fin = a.has(FIN) && a.seq + a.seg_len() == t.rcv_nxt;
  if (t.state == State::kTimeWait && last_fin) enter_time_wait(t, now);
  if (a.len > 0 || a.has(FIN)) {
    if (again) note_twice(t, a.seq, a.seq + a.len);
    t.set(kAckNow);
  } else {
    challenge_ack(t, now, out);
  }
}

// No SYN comes this far: check_syn has answered it.
void trim_to_window(Tcb& t, Arrival& a, Outbox& out) {
  if (before(a.seq, t.rcv_nxt)) {
    const std::uint32_t old = distance(a.seq, t.rcv_nxt);
    if (old > a.len) a.flags &= static_cast<std::uint8_t>(~FIN);
    if (a.len > 0) note_twice(t, a.seq, a.seq + std::min(old, a.len));
    cut_front(a, std::min(old, a.len), out);
    t.set(kAckNow);  // a duplicate: the ACK was lost
  }
  const Seq edge = t.rcv_nxt + rcv_wnd(t);
  if (a.len > 0 && after(a.seq + a.len, edge)) {
    cut_back(a, std::min(a.len, distance(edge, a.seq + a.len)), out);
    a.flags &= static_cast<std::uint8_t>(~FIN);
    t.set(kAckNow);
  }
}

// A simultaneous open: the peer's SYN once more, alone or with the ACK of ours. Its SYN is known;
// what is left of the segment is judged as usual.
bool strip_known_syn(Tcb& t, Arrival& a) {
  if (t.state != State::kSynReceived || !a.has(SYN) || a.seq != t.irs) return true;
  if (!a.has(ACK)) {
    t.set(kSynDue);
    return false;
  }
  a.flags &= static_cast<std::uint8_t>(~SYN);
  a.seq += 1;
  ecn_on_syn(t, a.seg);
  return true;
}

bool check_sequence(Tcb& t, Arrival& a, Instant now, Outbox& out) {
  if (!strip_known_syn(t, a)) return false;
  if (!check_timestamps(t, a.seg, now, out)) return false;
  if (!acceptable(t, a)) {
    answer_unacceptable(t, a, now, out);
    return false;
  }
  return true;
}

// Second: exactly at RCV.NXT, or a challenge (RFC 5961 §3.2).
//= RFC5961 3.2-a
//= RFC5961 3.2-b
//= RFC5961 3.2-c
//= RFC1337 3-a
//= RFC9293 SHLD-2
//= RFC9293 MUST-66
bool check_rst(Tcb& t, Arrival& a, Instant now, Outbox& out) {
  if (!a.has(RST)) return true;
  if (a.seq != t.rcv_nxt) {
    out.counters->drop_bad_rst.add();
    if (in_window(a.seq, t.rcv_nxt, rcv_wnd(t))) challenge_ack(t, now, out);
    return false;
  }
  if (t.state == State::kTimeWait && t.config->rfc1337) return false;
  if (t.state == State::kEstablished || t.state == State::kCloseWait) {
    out.counters->estab_resets.add();
  }
  const bool opening = t.state == State::kSynReceived && !t.has(kPassive);
  close_now(t, opening ? CloseReason::kRefused : CloseReason::kReset, out);
  return false;
}

// Fourth: a SYN here is an old duplicate, an attack, or a peer that restarted (RFC 5961 §4.2).
//= RFC5961 4.2-a
//= RFC5961 4.2-b
bool check_syn(Tcb& t, Arrival& a, Instant now, Outbox& out) {
  if (!a.has(SYN)) return true;
  out.counters->drop_syn_in_window.add();
  challenge_ack(t, now, out);
  return false;
}

}  // namespace

bool finish_open(Tcb& t, const RxSegment& seg, Seq seq, std::uint32_t wnd, Instant now,
                 Outbox& out) {
  const Seq ack = seg.ack;
  if (!after(ack, t.snd_una) || after(ack, t.snd_nxt)) {
    TxSegment rst;
    rst.seq = ack;
    rst.flags = RST;
    out.counters->out_rsts.add();
    out.tx.push(rst);
    return false;
  }
  // There was no control block yet when a listener's SYN-ACK went: what the entry knew of it, else
  // the timestamp that comes back, is what is left. Not of one that was resent (RFC 6298 §5.7), nor
  // where this is not the first answer.
  //= RFC7323 4.1
  if (t.has(kPassive) && !t.has(kSynResent) && !t.late_open) sample_rtt(t, seg, now);
  establish(t, Trigger::kRcvAckOfSyn, now);
  t.snd_wl1 = seq;
  t.snd_wl2 = ack;
  t.snd_wnd = t.max_snd_wnd = wnd;
  return true;
}

namespace {

// RFC 5961 §5.2: (SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT.
//= RFC5961 5.2-a
//= RFC9293 MAY-12
bool ack_in_range(Tcb& t, Seq ack, Instant now, Outbox& out) {
  if (after(ack, t.snd_nxt)) {
    out.counters->drop_future_ack.add();
    challenge_ack(t, now, out);
    return false;
  }
  if (before(ack, t.snd_una - t.max_snd_wnd)) {
    out.counters->drop_old_ack.add();
    challenge_ack(t, now, out);
    return false;
  }
  return true;
}

// SND.WL1 and SND.WL2 keep an old segment from bringing an old window.
void update_window(Tcb& t, const Arrival& a, Instant now) {
  const Seq ack = a.seg.ack;
  if (before(ack, t.snd_una)) return;
  if (!before(t.snd_wl1, a.seq) && !(t.snd_wl1 == a.seq && at_or_before(t.snd_wl2, ack))) return;
  const std::uint32_t old = t.snd_wnd;
  const bool persisted = t.has(kPersisting);
  const bool was_closed = old == 0 || persisted;
  t.snd_wnd = a.wnd;
  //= RFC5961 5.2-b
  t.max_snd_wnd = std::max(t.max_snd_wnd, t.snd_wnd);
  t.snd_wl1 = a.seq;
  t.snd_wl2 = ack;
  if (t.snd_wnd == 0) {
    //= RFC6429 4-a
    //= RFC9293 MUST-37
    if (!t.has(kUserClosed)) t.retries = 0;  // an orphan is not kept for ever (RFC 6429 §4)
  } else if (was_closed &&
             t.snd_wnd > old) {  // it opened: text flows again, the probe's octet first
    t.clear(kPersisting);
    t.rtx_deadline = kNever;
    if (!t.has(kUserClosed)) t.retries = 0;
    t.rto.restore();
    if (t.snd_una != t.snd_nxt && t.log != nullptr) {
      arm_rtx(t, now);
    } else if (t.snd_una != t.snd_nxt && !persisted && t.recovery != Recovery::kRto) {
      arm_rtx(t, now);  // a window that closes and opens says nothing of what is in flight
    } else if (t.snd_una != t.snd_nxt) {
      t.mtu_probe = 0;
      t.rtx_nxt = t.snd_una;
      t.rtx_end = t.snd_nxt;
      if (t.recovery == Recovery::kRto) t.recover = t.snd_nxt;  // all of it counts as lost again
      t.frto = Frto::kOff;
      arm_rtx(t, now);  // never without a timer
    }
  }
}

// Fifth.
bool check_ack(Tcb& t, Arrival& a, Instant now, Outbox& out) {
  if (!a.has(ACK)) {
    out.counters->drop_no_ack_flag.add();
    return false;
  }
  if (t.state == State::kSynReceived && !finish_open(t, a.seg, a.seq, a.wnd, now, out)) {
    return false;
  }
  const Seq ack = a.seg.ack;
  if (!ack_in_range(t, ack, now, out)) return false;
  // Only now: a blind segment must neither poison TS.Recent nor pass for a sign of life.
  if (a.len > 0 && now - t.last_received > t.rto.rto()) begin_quick_acks(t);  // it slow-starts
  t.last_received = now;
  t.keepalive_unanswered = 0;
  t.tos_in = a.seg.tos;  //= RFC9293 MAY-9
  update_ts_recent(t, a.seg, now);
  // Text that tells nothing of ours leaves what is held where it is, as Linux's header prediction.
  const bool predicted =
      ack == t.snd_una && a.len > 0 && a.seq == t.rcv_nxt && !a.has(FIN) && a.wnd == t.snd_wnd;
  if (!predicted) cork_on_ack(t);
  ecn_note_echo(t, a.flags, ack);
  const Recovery recovery = t.recovery;
  const std::uint32_t flight = distance(t.snd_una, t.snd_nxt);
  //= RFC5681 3.2-e
  const bool duplicate =
      ack == t.snd_una && t.snd_una != t.snd_nxt && seg_len(a.seg) == 0 && a.wnd == t.snd_wnd;
  const bool logged = t.log != nullptr;
  SackNews news = logged ? take_sack(t, a.seg, now, out) : SackNews{};
  const bool advances = after(ack, t.snd_una);
  if (advances) on_ack_advance(t, a.seg, now, out);
  update_window(t, a, now);
  end_tlp(t, a.seg, advances);
  if (t.log != nullptr) {
    after_sack(t, news, now, out);
  } else if (duplicate && !t.has(kPersisting)) {
    cc_on_dup_ack(t, now, out);
  }
  ecn_after_ack(t, recovery, flight, now, out);
  if (t.own != nullptr) count_ack(t, logged ? &news : nullptr, a.seg, now);
  return t.state != State::kClosed;
}

// Text that would be kept for long is as good as lost while buffers are short: what is early, or
// waits for a slow reader. What buffers are left then are for those who hold next to none. The
// segment's ACK was taken; the peer sends the text again.
bool must_give_back(const Tcb& t, const Arrival& a) {
  const std::uint8_t flags = a.text.head()->flags;
  if ((flags & Buf::kScarce) == 0) return false;
  const std::uint32_t little = 2 * std::uint32_t{t.rcv_mss};
  return (flags & Buf::kLast) != 0 || a.seq != t.rcv_nxt || t.rcvq.bytes() > little;
}

// Sixth. The pointer counts from the segment as it came, not from what is left of it.
//= RFC9293 MUST-66
void check_urg(Tcb& t, const Arrival& a, Outbox& out) {
  if (a.has(URG) && takes_text(t.state)) urgent_arrives(t, a.seg.seq + a.seg.urgent, out);
}

// The application is gone. The RST has the number that the peer expects, as a closed port's has
// (§3.10.7.1): one behind our FIN, should that be lost, would only be challenged.
//= RFC9293 SHLD-3
void refuse_text(Tcb& t, const Arrival& a, Instant now, Outbox& out) {
  out.counters->drop_data_after_close.add();
  out.counters->out_rsts.add();
  TxSegment rst = make_reset(t, now);
  rst.seq = a.seg.ack;
  rst.ack = Seq{};
  rst.flags = RST;
  out.tx.push(rst);
  close_now(t, CloseReason::kAborted, out);
}

// Seventh.
bool process_text(Tcb& t, Arrival& a, Instant now, Outbox& out) {
  if (!takes_text(t.state)) return true;
  if (a.has(FIN) && !t.has(kPeerFinKnown)) {
    t.set(kPeerFinKnown);
    t.peer_fin = a.seq + a.len;
  }
  if (a.len == 0) return true;
  if (t.has(kUserClosed)) {
    refuse_text(t, a, now, out);
    return false;
  }
  if (must_give_back(t, a)) {
    out.counters->drop_no_buffer.add();
    return true;
  }
  ecn_on_text(t, a.has(CWR), a.seg.tos);
  const bool hole = t.ofo_head != nullptr || a.seq != t.rcv_nxt;
  const Seq before_it = t.rcv_nxt;
  receive_text(t, std::move(a.text), out);
  //= RFC5681 4.2-b
  if (hole) t.set(kAckNow);  // RFC 5681 §4.2: at once, to tell of the hole or of its filling
  if (t.rcv_nxt == before_it) {
    note_early(t, a.seq);
    if (t.own != nullptr) ++t.own->stats.rcv_ooopack;
    if (t.dup_acks_due < 0xff) ++t.dup_acks_due;
  } else {
    t.dup_acks_due = 0;
    on_text_received(t, distance(before_it, t.rcv_nxt), a.len, now);
    moderate_receive_buffer(t, a.seg, now);
    t.note(kNoticeReadable);
  }
  return true;
}

}  // namespace

// Eighth: the FIN, once everything before it has come.
void check_fin(Tcb& t, bool in_segment, Instant now, Outbox& out) {
  if (!t.has(kPeerFinKnown) || t.rcv_nxt != t.peer_fin || !takes_text(t.state)) return;
  t.rcv_nxt += 1;
  t.rcv_adv = later_of(t.rcv_adv, t.rcv_nxt);
  t.clear(kPeerFinKnown);
  t.fin_taken = true;
  drop_early(t, out);  // nothing follows a FIN
  on_fin_received(t, !in_segment, now);
  t.note(kNoticePeerClosed);  //= RFC9293 MUST-12
  transition(t, Trigger::kRcvFin);
  if (t.state == State::kTimeWait) enter_time_wait(t, now);
}

namespace {

void in_order(Tcb& t, Arrival& a, Instant now, Outbox& out) {
  if (!check_sequence(t, a, now, out)) return;  // first
  if (!check_rst(t, a, now, out)) return;       // second
  if (!check_syn(t, a, now, out)) return;       // fourth
  trim_to_window(t, a, out);
  if (!check_ack(t, a, now, out)) return;     // fifth
  check_urg(t, a, out);                       // sixth
  if (!process_text(t, a, now, out)) return;  // seventh
  check_fin(t, a.has(FIN), now, out);         // eighth
}

// Takes the segment's text over, as of sequence number `seq`.
void arrive(Tcb& t, const RxSegment& seg, Seq seq, std::uint8_t flags, Instant now, Outbox& out) {
  const bool syn = (seg.flags & SYN) != 0;
  Arrival a{seg, seq, seg.len, flags, syn ? seg.wnd : seg.wnd << t.snd_wscale, {}};
  Seq at = seg.seq + (syn ? 1U : 0U);
  for (Buf* b = seg.buf; b != nullptr;) {
    Buf* next = b->next;
    b->seq = at;
    at += b->len;
    a.text.push_back(b);
    b = next;
  }
  in_order(t, a, now, out);
  out.release.append(std::move(a.text));
}

}  // namespace

void on_segment(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (predicted(t, seg)) return predicted_arrives(t, seg, now, out);
  segment_arrives(t, seg, now, out);
}

void segment_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (t.own != nullptr) count_segment(t, seg, now);
  if (t.state == State::kClosed) return release_segment(seg, out);
  if (t.state == State::kSynSent) return syn_sent_arrives(t, seg, now, out);
  arrive(t, seg, seg.seq, seg.flags, now, out);
}

void rest_of_syn_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  arrive(t, seg, seg.seq + 1, static_cast<std::uint8_t>(seg.flags & ~SYN), now, out);
}

void release_segment(const RxSegment& seg, Outbox& out) {
  for (Buf* b = seg.buf; b != nullptr;) {
    Buf* next = b->next;
    out.release.push_back(b);
    b = next;
  }
}

}  // namespace weir::tcp
