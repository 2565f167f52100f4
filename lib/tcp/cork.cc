// The cork (Linux's TCP_CORK; RFC 9293 §3.9.1.2 where a SEND has no PUSH): text below a full
// segment is held for more of it, but not for ever.
#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr Duration kLongest = 200ms;

}  // namespace

//= RFC9293 MAY-16
bool cork_holds(const Tcb& t, bool fin) {
  return t.in_mode(kCork) && !t.in_mode(kCorkFlush) && !t.in_mode(kUrgentOut) && !fin;
}

void cork_text_held(Tcb& t, Instant now) {
  if (t.cork_deadline == kNever) t.cork_deadline = now + kLongest;
}

void cork_nothing_held(Tcb& t) {
  t.cork_deadline = kNever;
  t.leave_mode(kCorkFlush);
}

//= RFC9293 MUST-60
void on_cork_deadline(Tcb& t, Outbox& out) {
  t.cork_deadline = kNever;
  t.enter_mode(kCorkFlush);
  out.counters->cork_flushes.add();
}

void user_nodelay(Tcb& t, bool on) {
  if (!on) return t.clear(kNoDelay);
  t.set(kNoDelay);
  t.enter_mode(kCorkFlush);
}

void user_cork(Tcb& t, bool on) {
  if (on) return t.enter_mode(kCork);
  t.leave_mode(kCork);
  t.cork_deadline = kNever;
}

}  // namespace weir::tcp
