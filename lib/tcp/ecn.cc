// Explicit Congestion Notification (RFC 3168 §6.1): asked for, agreed, marked, told and answered. A
// cut of the window itself is congestion control's (cc_on_ecn).
#include "tcp/internal.h"

namespace weir::tcp {

//= RFC9293 SHLD-8
//= RFC3168 6.1.1-a
void ecn_open(Tcb& t) {
  if (t.config->ecn == 1) t.ecn_set(kEcnAsked);
}

// For a SYN, or the SYN-ACK of a simultaneous open. One that nobody answered goes again without, as
// something on the path may swallow what it does not know (§6.1.1.1).
std::uint8_t ecn_syn_flags(Tcb& t, bool again, Outbox& out) {
  if (t.state == State::kSynReceived) {  //= RFC3168 6.1.1-c
    return t.ecn_has(kEcnSend) ? std::uint8_t{ECE} : std::uint8_t{0};
  }
  if (!t.ecn_has(kEcnAsked)) return 0;
  //= RFC3168 6.1.1.1-a
  if (again && t.config->ecn_fallback && !t.ecn_has(kEcnPlainSyn)) {
    t.ecn_set(kEcnPlainSyn);
    out.counters->ecn_fallbacks.add();
  }
  return t.ecn_has(kEcnPlainSyn) ? std::uint8_t{0} : std::uint8_t{ECE | CWR};
}

// A peer that reflects our flags, ECE and CWR on its SYN-ACK, has agreed to nothing. Whoever sent
// one SYN without may not mark text, but tells of marks all the same (§6.1.1).
//= RFC3168 6.1.1-d
//= RFC3168 6.1.1-e
//= RFC3168 6.1.1-f
void ecn_on_syn(Tcb& t, const RxSegment& seg) {
  const bool setup = (seg.flags & ACK) != 0 ? is_ecn_setup_syn_ack(seg) : is_ecn_setup_syn(seg);
  if (!setup || !t.ecn_has(kEcnAsked)) return t.ecn_clear(kEcnAsked | kEcnEcho | kEcnSend);
  t.ecn_set(kEcnEcho);
  if (!t.ecn_has(kEcnPlainSyn)) t.ecn_set(kEcnSend);
}

void ecn_accept(Tcb& t) {
  t.ecn_set(kEcnAsked | kEcnEcho | kEcnSend);
}

// Text that lies in the window: what is outside says nothing (§6.1.5), and neither does a pure ACK
// (§6.1.4). The peer's CWR first, since the segment that carries it may be marked again.
//= RFC3168 6.1.3-a
//= RFC3168 6.1.3-b
//= RFC3168 6.1.5-b
void ecn_on_text(Tcb& t, bool cwr, std::uint8_t tos) {
  if (!t.ecn_has(kEcnEcho)) return;
  if (cwr) {
    t.ecn_clear(kEcnDemand);
    t.set(kAckNow);  // the peer's window may be a single segment
  }
  if ((tos & kEcnMask) == kCe) {
    if (!t.ecn_has(kEcnDemand)) t.set(kAckNow);
    t.ecn_set(kEcnDemand);
  }
}

// Never a retransmission, a window probe, a SYN or a segment without text: none comes here.
//= RFC3168 6.1.2-b
//= RFC3168 6.1.4
//= RFC3168 6.1.5-a
//= RFC3168 6.1.6
void ecn_mark_new(Tcb& t, TxSegment& s) {
  if (s.len == 0 || !t.ecn_has(kEcnSend)) return;
  s.ecn = kEct0;  //= RFC8311 4.1
  if (!t.ecn_has(kEcnCwrDue)) return;
  s.flags |= CWR;
  t.ecn_high = s.seq;
  t.ecn_clear(kEcnCwrDue);
}

// Of an ACK that is not older than those before it.
void ecn_note_echo(Tcb& t, std::uint8_t flags, Seq ack) {
  t.ecn_clear(kEcnTold);
  const bool told = (flags & ECE) != 0 && at_or_after(ack, t.snd_una);
  if (told && t.ecn_has(kEcnSend)) t.ecn_set(kEcnTold);
}

// A loss cuts the window that an ECE would cut: it is told to the peer the same way.
void ecn_after_loss(Tcb& t, Recovery before) {
  const bool loss = before != Recovery::kFast && t.recovery == Recovery::kFast;
  if (loss && !ecn_covers_loss(t)) ecn_window_cut(t);
}

// The CWR waits, or is on its way until something beyond ecn_high is acknowledged: an ECE before
// that is about the window that was cut.
void ecn_after_ack(Tcb& t, Recovery before, std::uint32_t flight, Instant now, Outbox& out) {
  if (!t.ecn_has(kEcnSend) || t.state == State::kClosed) return;
  ecn_after_loss(t, before);
  t.ecn_high = later_of(t.ecn_high, t.snd_una - 1);  // lest the sequence space wraps round it
  //= RFC3168 6.1.2-c
  const bool new_window =
      t.recovery == Recovery::kNone && !t.ecn_has(kEcnCwrDue) && after(t.snd_una, t.ecn_high);
  if (t.ecn_has(kEcnTold) && new_window && flight > 0) {
    out.counters->ecn_cuts.add();
    ecn_window_cut(t);
    if (t.cwnd > t.mss) {
      cc_on_ecn(t, flight);
    } else {  //= RFC3168 6.1.2-d
      t.ecn_set(kEcnWait);
      arm_rtx(t, now);
    }
  }
  if (t.ecn_has(kEcnWait) && t.rtx_deadline == kNever) arm_rtx(t, now);
}

//= RFC3168 6.1.2-b
void ecn_window_cut(Tcb& t) {
  if (!t.ecn_has(kEcnSend)) return;
  t.ecn_set(kEcnCwrDue);
  t.ecn_high = t.snd_nxt;
}

}  // namespace weir::tcp
