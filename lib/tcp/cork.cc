// The cork (Linux's TCP_CORK and MSG_MORE; RFC 9293 §3.9.1.2 where a SEND has no PUSH): text below
// a full segment is held for more of it, but not for ever.
//
// The timer runs only while nothing is in flight, as Linux's does, which is that of zero-window
// probes; until then the next ACK has a look. MSG_MORE holds back the end of one SEND, until the
// next SEND or the next ACK; it goes without PSH then, as its program asked for none.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr Duration kLeastHold = 200ms;  // Linux's TCP_RTO_MIN

}  // namespace

//= RFC9293 MAY-16
bool cork_holds(const Tcb& t, bool fin) {
  return t.in_mode(kCork | kMore) && !t.in_mode(kCorkFlush) && !t.in_mode(kUrgentOut) && !fin;
}

void cork_text_held(Tcb& t, Instant now) {
  if (t.snd_una != t.snd_nxt) {
    t.cork_deadline = kNever;
  } else if (t.cork_deadline == kNever) {
    t.cork_deadline = now + std::max<Duration>(t.rto.rto(), kLeastHold);
  }
}

void cork_nothing_held(Tcb& t) {
  t.cork_deadline = kNever;
  t.leave_mode(kCorkFlush);
}

void cork_on_ack(Tcb& t) {
  if (!t.in_mode(kMore) || t.in_mode(kCork)) return;
  t.enter_mode(kCorkFlush);
  t.cork_deadline = kNever;
}

//= RFC9293 MUST-60
void on_cork_deadline(Tcb& t, Outbox& out) {
  t.cork_deadline = kNever;
  t.enter_mode(kCorkFlush);
  t.leave_mode(kMore);  // it goes with PSH
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
  if (t.in_mode(kMore)) t.enter_mode(kCorkFlush);
}

void user_more(Tcb& t, bool more) {
  if (more) {
    t.enter_mode(kMore);
    t.leave_mode(kCorkFlush);
    return;
  }
  t.leave_mode(kMore);
  if (!t.in_mode(kCork)) t.cork_deadline = kNever;
}

}  // namespace weir::tcp
