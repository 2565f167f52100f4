// RFC 9293 §3.10.7.4, the TIME-WAIT rows; RFC 6191; RFC 1337.
#include "tcp/time_wait.h"

#include "tcp/internal.h"

namespace weir::tcp {

void make_tw_state(TwState& r, const Tcb& t, const FlowKey& flow) {
  r.local_port = flow.local_port;
  r.remote_port = flow.remote_port;
  r.snd_nxt = t.snd_nxt;
  r.rcv_nxt = t.rcv_nxt;
  r.ts_recent = t.ts_recent;
  r.has_timestamps = t.has(kTimestamps) ? 1 : 0;
  r.restarted = 0;
  r.dead = 0;
}

//= RFC9293 MAY-2
//= RFC9293 SHLD-4
//= RFC6191 2-a
//= RFC6191 2-b
//= RFC6191 2-c
//= RFC6191 2-d
//= RFC6191 2-e
//= RFC1337 2-a
//= RFC1337 3-a
TwAnswer tw_arrives(const TwState& r, const RxSegment& seg, const Config& config) {
  const bool rst = (seg.flags & RST) != 0;
  if (rst) {
    return !config.rfc1337 && seg.seq == r.rcv_nxt ? TwAnswer::kEnd : TwAnswer::kDrop;
  }
  if ((seg.flags & (SYN | ACK)) == SYN) {
    // RFC 6191 §2: timestamps that were not there before are as good as newer ones.
    const bool stamped = config.timestamps && seg.options.has_timestamps;
    const bool both = stamped && r.has_timestamps != 0;
    const bool newer = stamped && (!both || after(Seq{seg.options.ts_val}, Seq{r.ts_recent}));
    const bool same = !both || seg.options.ts_val == r.ts_recent;
    return newer || (same && after(seg.seq, r.rcv_nxt)) ? TwAnswer::kNewSyn : TwAnswer::kAck;
  }
  if ((seg.flags & SYN) != 0) return TwAnswer::kAck;
  if ((seg.flags & FIN) != 0 && seg.seq + seg_len(seg) == r.rcv_nxt) return TwAnswer::kAckRestart;
  // An ACK of nothing new must not be answered, or two of us would talk for ever.
  return seg_len(seg) > 0 ? TwAnswer::kAck : TwAnswer::kDrop;
}

void end_time_wait(Tcb& t, Outbox& out) {
  transition(t, Trigger::kTimeout2Msl);
  close_now(t, CloseReason::kNormal, out);
}

TxSegment make_tw_ack(const TwState& r, std::uint32_t ts_now) {
  TxSegment s;
  s.seq = r.snd_nxt;
  s.ack = r.rcv_nxt;
  s.flags = ACK;
  s.wnd = 0;  // nothing more is received
  if (r.has_timestamps != 0) {
    s.options.has_timestamps = true;
    s.options.ts_val = ts_now;
    s.options.ts_ecr = r.ts_recent;
  }
  return s;
}

}  // namespace weir::tcp
