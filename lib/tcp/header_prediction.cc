// Header prediction (RFC 7323 §5.6, Van Jacobson): the next segment of an undisturbed connection,
// be it text in order, an ACK of something new or both, in straight code.
//
// Nothing is decided here: segment_arrives.cc does that, and of its steps those are left out that
// such a segment would pass without effect. Whatever else the two leave behind is a mistake;
// header_prediction_test.cc has the same random lives go both ways, and compares.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// Nothing is lost, early, probed for, held back or counted.
bool undisturbed(const Tcb& t) {
  const unsigned odd = static_cast<unsigned>(t.recovery) |
                       (t.flags & (kPersisting | kPeerFinKnown)) |
                       (t.modes & (kMore | kUrgentOut)) | (t.ecn & kEcnWait) | t.ofo_count |
                       t.mtu_probe | static_cast<unsigned>(t.tlp_out);
  if (odd != 0 || t.own != nullptr) return false;
  return t.log == nullptr || (t.log->sacked() | t.log->lost()) == 0;
}

// One buffer, all in the window, no mark to tell of, and no reason to give it back.
bool usual_text(const Tcb& t, const RxSegment& seg) {
  const Buf* b = seg.buf;
  const bool marked = (seg.tos & kEcnMask) == kCe && t.ecn_has(kEcnEcho);
  return b->next == nullptr && (b->flags & Buf::kScarce) == 0 && seg.len <= rcv_wnd(t) && !marked;
}

bool usual_stamp(const Tcb& t, const RxSegment& seg) {
  if (!t.has(kTimestamps)) return true;
  return seg.options.has_timestamps && !before(Seq{seg.options.ts_val}, Seq{t.ts_recent});
}

// SND.WND is set by every segment that is not older than the one that set it last.
void follow_window(Tcb& t, const RxSegment& seg) {
  const bool newer =
      before(t.snd_wl1, seg.seq) || (t.snd_wl1 == seg.seq && at_or_before(t.snd_wl2, seg.ack));
  if (!newer) return;
  t.snd_wnd = seg.wnd << t.snd_wscale;
  t.max_snd_wnd = std::max(t.max_snd_wnd, t.snd_wnd);
  t.snd_wl1 = seg.seq;
  t.snd_wl2 = seg.ack;
}

void take_ack(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (t.log == nullptr) return on_ack_advance(t, seg, now, out);
  if (is_only_segment(t, seg)) return take_only_segment(t, seg, now, out);
  SackNews news = take_sack(t, seg, now, out);
  on_ack_advance(t, seg, now, out);
  if (t.log != nullptr) after_sack(t, news, now, out);
}

void take_text(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  seg.buf->seq = seg.seq;
  append_in_order(t, seg.buf, out);
  t.dup_acks_due = 0;
  on_text_received(t, seg.len, seg.len, now);
  moderate_receive_buffer(t, seg, now);
  t.note(kNoticeReadable);
}

// The last ACK of the handshake; text or an ACK while the connection stands; the ends of both
// sides.
bool expected(const Tcb& t, const RxSegment& seg, std::uint32_t acked) {
  const bool fin = (seg.flags & FIN) != 0;
  if (t.state == State::kSynReceived) {
    return acked > 0 && !fin && (seg.len == 0 || !t.has(kUserClosed));
  }
  if (t.state < State::kEstablished || t.state == State::kTimeWait || t.snd_wnd == 0) return false;
  if (seg.len == 0 && !fin) return acked > 0;
  return t.state == State::kEstablished || (takes_text(t.state) && seg.len == 0);
}

}  // namespace

bool predicted(const Tcb& t, const RxSegment& seg) {
  const std::uint32_t acked = distance(t.snd_una, seg.ack);
  return (seg.flags & (SYN | RST | ACK | URG | ECE | CWR)) == ACK && seg.seq == t.rcv_nxt &&
         seg.options.sack_count == 0 && seg.wnd != 0 && acked <= distance(t.snd_una, t.snd_nxt) &&
         expected(t, seg, acked) && undisturbed(t) && usual_stamp(t, seg) &&
         (seg.buf == nullptr ? seg.len == 0 : usual_text(t, seg));
}

// In the order of check_ack, process_text and check_fin.
void predicted_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (t.state == State::kSynReceived) {
    (void)finish_open(t, seg, seg.seq, seg.wnd << t.snd_wscale, now, out);
  }
  if (seg.len > 0 && now - t.last_received > t.rto.rto()) begin_quick_acks(t);
  t.last_received = now;
  t.keepalive_unanswered = 0;
  t.tos_in = seg.tos;
  update_ts_recent(t, seg, now);
  t.ecn_clear(kEcnTold);
  if (seg.ack != t.snd_una) take_ack(t, seg, now, out);
  follow_window(t, seg);
  if (t.state == State::kClosed) return;  // it was the ACK of the last FIN
  if (t.ecn_has(kEcnSend)) t.ecn_high = later_of(t.ecn_high, t.snd_una - 1);
  if (seg.len > 0) take_text(t, seg, now, out);
  if ((seg.flags & FIN) == 0) return;
  t.set(kPeerFinKnown);
  t.peer_fin = t.rcv_nxt;
  check_fin(t, true, now, out);
}

}  // namespace weir::tcp
