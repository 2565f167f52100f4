// Keepalives (RFC 9293 §3.8.4). Off unless the configuration turns them on (MUST-24, MUST-25).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {

void on_keepalive_deadline(Tcb& t, Instant now, Outbox& out) {
  const Config& c = *t.config;
  // Half-closed too, as long as the application is there: nothing else finds a dead peer then.
  const bool wanted = t.synchronized() && t.state != State::kTimeWait && !t.has(kUserClosed);
  if (!c.keepalive || !wanted) return;
  const Instant due = t.last_received + c.keepalive_time;
  //= RFC9293 MUST-26
  if (t.snd_una != t.snd_nxt) {  // the retransmission timer judges
    t.life_deadline = std::max<Instant>(due, now + c.keepalive_intvl);
    return;
  }
  if (t.keepalive_unanswered == 0 && now < due) {
    t.life_deadline = due;
    return;
  }
  //= RFC9293 MUST-29
  if (t.keepalive_unanswered >= c.keepalive_probes) {
    send_reset(t, out);
    return close_now(t, CloseReason::kTimedOut, out);
  }
  ++t.keepalive_unanswered;
  out.counters->keepalive_probes.add();
  //= RFC9293 SHLD-12
  TxSegment probe;  // SHLD-12: no text, SEG.SEQ = SND.NXT-1
  probe.seq = t.snd_nxt - 1;
  probe.ack = t.rcv_nxt;
  probe.flags = ACK;
  probe.wnd = static_cast<std::uint16_t>(rcv_wnd(t) >> t.rcv_wscale);
  if (t.has(kTimestamps)) {
    probe.options.has_timestamps = true;
    probe.options.ts_val = ts_now(t, now);
    probe.options.ts_ecr = t.ts_recent;
  }
  out.tx.push(probe);
  t.life_deadline = now + c.keepalive_intvl;
}

}  // namespace weir::tcp
