// Urgent text (RFC 9293 §3.8.5, RFC 6093): a pointer that both ends move forward. The text itself
// stays in line, and the pointer is a number to compare with: it reserves and skips nothing.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// The octet that the application reads next.
Seq unread_from(const Tcb& t) {
  return t.rcv_nxt - (t.fin_taken ? 1U : 0U) - t.rcvq.bytes();
}

}  // namespace

//= RFC9293 MUST-31
//= RFC9293 MUST-32
//= RFC6093 3.1
//= RFC6093 4
//= RFC6093 6
void urgent_arrives(Tcb& t, Seq up, Outbox& out) {
  if (!after(up, unread_from(t))) return;
  if (t.in_mode(kUrgentIn) && !after(up, t.rcv_up)) return;
  t.enter_mode(kUrgentIn);
  t.rcv_up = up;
  t.note(kNoticeUrgent);
  out.counters->urgent_in.add();
}

void urgent_read(Tcb& t) {
  if (t.in_mode(kUrgentIn) && at_or_after(unread_from(t), t.rcv_up)) t.leave_mode(kUrgentIn);
}

//= RFC9293 MUST-33
Urgent urgent_unread(const Tcb& t) {
  if (!t.in_mode(kUrgentIn)) return {};
  const std::uint32_t unread = t.rcvq.bytes();
  const std::uint32_t ahead = distance(unread_from(t), t.rcv_up);
  return {std::min(ahead, unread), takes_text(t.state) && ahead > unread};
}

//= RFC9293 MUST-30
void user_urgent(Tcb& t) {
  t.snd_up = (t.synchronized() ? t.snd_una : t.iss + 1) + t.sndq.bytes();
  t.enter_mode(kUrgentOut);
  // No window for the text: the pointer goes all the same.
  if (t.synchronized() && t.snd_wnd <= distance(t.snd_una, t.snd_nxt)) t.set(kAckNow);
}

void urgent_acked(Tcb& t) {
  if (t.in_mode(kUrgentOut) && at_or_after(t.snd_una, t.snd_up)) t.leave_mode(kUrgentOut);
}

// Further ahead than 16 bits reach, the field is as large as it can be, and a later segment tells
// more.
//= RFC9293 MUST-62
void mark_urgent(const Tcb& t, TxSegment& s) {
  if (!t.in_mode(kUrgentOut) || !after(t.snd_up, s.seq)) return;
  s.flags |= URG;
  s.urgent = static_cast<std::uint16_t>(std::min(distance(s.seq, t.snd_up), 0xffffU));
}

}  // namespace weir::tcp
