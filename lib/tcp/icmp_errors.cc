// What an ICMP error does to a connection (RFC 9293 §3.9.2.2, RFC 1122 §4.2.3.9, with the
// judgement of RFC 5927 and RFC 5461).
//
// Believed only when it quotes what is in flight. No error ends a connection that is established:
// "hard" ones end an open, the rest is remembered and tells, should time run out, why.
#include "tcp/internal.h"

namespace weir::tcp {
namespace {

CloseReason reason_of(PathError what) {
  switch (what) {
    case PathError::kNetUnreachable:
      return CloseReason::kNetUnreachable;
    case PathError::kProblem:
      return CloseReason::kProtocol;
    case PathError::kPortUnreachable:
      return CloseReason::kRefused;
    case PathError::kHostUnreachable:
    case PathError::kTooBig:
      break;
  }
  return CloseReason::kUnreachable;
}

// SND.UNA =< SEG.SEQ < SND.NXT.
//= RFC5927 4.1
//= RFC8201 4-e
//= RFC8899 4.6.1
bool in_flight(const Tcb& t, Seq seq) {
  return distance(t.snd_una, seq) < distance(t.snd_una, t.snd_nxt);
}

}  // namespace

//= RFC9293 MUST-47
//= RFC9293 SHLD-25
void note_soft_error(Tcb& t, CloseReason what) {
  if (t.soft_error == what) return;
  t.soft_error = what;
  t.note(kNoticeSoftError);
}

//= RFC9293 MUST-54
//= RFC9293 MUST-56
IcmpVerdict on_icmp_error(Tcb& t, const IcmpError& e, Instant now, Outbox& out) {
  if (t.state <= State::kListen || !in_flight(t, e.seq)) return IcmpVerdict::kForged;
  if (e.what == PathError::kTooBig) {
    return on_packet_too_big(t, e, now, out) ? IcmpVerdict::kTaken : IcmpVerdict::kIgnored;
  }
  //= RFC5927 5.2
  //= RFC1122 4.2.3.9-b
  if (e.what == PathError::kPortUnreachable && !t.synchronized()) {
    out.counters->attempt_fails.add();
    //= RFC9293 SHLD-26
    close_now(t, CloseReason::kRefused, out);
    return IcmpVerdict::kTaken;
  }
  //= RFC1122 4.2.3.9-a
  note_soft_error(t, reason_of(e.what));
  return IcmpVerdict::kTaken;
}

// A half-open connection has no application to tell: either nobody is there, or time decides.
//= RFC9293 MUST-54
HalfOpenVerdict half_open_icmp(Seq iss, const IcmpError& e) {
  if (e.seq != iss) return HalfOpenVerdict::kForged;
  return e.what == PathError::kPortUnreachable ? HalfOpenVerdict::kAbandon : HalfOpenVerdict::kKeep;
}

}  // namespace weir::tcp
