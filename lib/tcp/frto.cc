// F-RTO (RFC 5682): was a time-out spurious? After it only the first segment is sent again. If the
// ACK of that leaves something to be acknowledged, two new segments go instead of old ones, and the
// next ACK tells: one of text that was not resent shows that the first flight arrived, late.
//
// With SACK the variant of §3.1, without it that of §2.1. Where timestamps show that the ACK
// answers the first sending (Eifel, RFC 3522) nothing more is waited for.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

//= RFC5682 2.1-e
void spurious(Tcb& t, Instant now, Outbox& out) {
  t.frto = Frto::kOff;
  out.counters->spurious_rtos.add();
  if (t.log != nullptr) t.log->forget_lost();
  cc_undo(t, now);
}

// Step 3a: the time-out was right. One of the two new segments has arrived; with three in the
// window slow start goes on with what is lost.
//= RFC5682 2.1-d
void genuine(Tcb& t) {
  t.cwnd = 3U * t.mss;
  t.frto = Frto::kOff;
}

// Step 2: the ACK of what was resent.
void on_first_ack(Tcb& t, const FrtoAck& a, Instant now, Outbox& out) {
  if (a.acked == 0) {
    //= RFC5682 3.1
    if (t.log == nullptr) t.frto = Frto::kOff;  // with SACK: the scoreboard learns, step 2 remains
    return;
  }
  if (a.of_first_sending) return spurious(t, now, out);
  t.frto = Frto::kOff;
  if (at_or_after(t.snd_una, t.recover)) return;  //= RFC5682 2.1-b
  const bool all_of_it =
      t.log != nullptr ? !(*t.log)[0].is(kSentAgain) : at_or_after(t.snd_una, t.rtx_nxt);
  if (all_of_it) t.frto = Frto::kProbing;  //= RFC5682 2.1-c
}

}  // namespace

// Step 1. Called before the window is cut. A time-out in the recovery from another is none of its.
//= RFC5682 2.1-a
void frto_begin(Tcb& t) {
  const bool again = t.recovery == Recovery::kRto && before(t.snd_una, t.recover);
  t.frto = t.config->frto && !again ? Frto::kResent : Frto::kOff;
}

// Octets that step 2 lets go: two segments that were not sent before.
std::uint32_t frto_room(const Tcb& t) {
  const std::uint32_t sent = distance(t.recover, t.snd_nxt);
  return 2U * t.mss > sent ? 2U * t.mss - sent : 0;
}

void frto_on_ack(Tcb& t, const FrtoAck& a, Instant now, Outbox& out) {
  if (t.frto == Frto::kOff) return;
  if (t.frto == Frto::kResent) {
    on_first_ack(t, a, now, out);
  } else if (a.acked > 0 || a.sacked_old) {
    spurious(t, now, out);  // step 3: of what was sent once, before the time-out
  } else if (t.log == nullptr || a.sacked_new) {
    genuine(t);
  }
}

// Nothing new could be sent: §2.1 (2b) goes back to what is lost.
void frto_give_up(Tcb& t) {
  t.frto = Frto::kOff;
}

}  // namespace weir::tcp
