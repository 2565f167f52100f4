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
  const unsigned odd =
      (static_cast<unsigned>(t.state) ^ static_cast<unsigned>(State::kEstablished)) |
      static_cast<unsigned>(t.recovery) | (t.flags & (kPersisting | kPeerFinKnown | kUserClosed)) |
      (t.modes & (kMore | kUrgentOut)) | (t.ecn & kEcnWait) | t.ofo_count | t.mtu_probe |
      static_cast<unsigned>(t.tlp_out);
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
  after_sack(t, news, now, out);
}

void take_text(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  seg.buf->seq = seg.seq;
  append_in_order(t, seg.buf, out);
  t.dup_acks_due = 0;
  on_text_received(t, seg.len, seg.len, now);
  moderate_receive_buffer(t, seg, now);
  t.note(kNoticeReadable);
}

}  // namespace

bool predicted(const Tcb& t, const RxSegment& seg) {
  const std::uint32_t acked = distance(t.snd_una, seg.ack);
  return (seg.flags & ~PSH) == ACK && seg.seq == t.rcv_nxt && seg.options.sack_count == 0 &&
         seg.wnd != 0 && t.snd_wnd != 0 && acked <= distance(t.snd_una, t.snd_nxt) &&
         (seg.len > 0 ? seg.buf != nullptr && usual_text(t, seg)
                      : acked > 0 && seg.buf == nullptr) &&
         undisturbed(t) && usual_stamp(t, seg);
}

// In the order of check_ack and process_text.
void predicted_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (seg.len > 0 && now - t.last_received > t.rto.rto()) begin_quick_acks(t);
  t.last_received = now;
  t.keepalive_unanswered = 0;
  t.tos_in = seg.tos;
  update_ts_recent(t, seg, now);
  t.ecn_clear(kEcnTold);
  if (seg.ack != t.snd_una) take_ack(t, seg, now, out);
  follow_window(t, seg);
  if (t.ecn_has(kEcnSend)) t.ecn_high = later_of(t.ecn_high, t.snd_una - 1);
  if (seg.len > 0) take_text(t, seg, now, out);
}

}  // namespace weir::tcp
