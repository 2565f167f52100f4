// SEGMENT ARRIVES in SYN-SENT (RFC 9293 §3.10.7.3), and what a SYN's options settle.
#include <algorithm>

#include "tcp/internal.h"
#include "tcp/reset.h"

namespace weir::tcp {

//= RFC9293 MUST-15
//= RFC9293 MUST-16
void apply_syn_options(Tcb& t, const RxSegment& seg, Instant now) {
  const wire::TcpOptions& o = seg.options;
  const std::uint16_t fallback = t.has(kIpv6) ? 1220 : 536;
  const std::uint16_t peer = o.mss != 0 ? o.mss : fallback;
  std::uint32_t mss = std::min(peer, t.rcv_mss);
  mss = std::max<std::uint32_t>(mss, 88);  // CVE-2019-11479: a peer must not make us send crumbs
  if (!o.has_timestamps) t.clear(kTimestamps);
  //= RFC2018 3-a
  if (!o.sack_permitted) t.clear(kSack);  // RFC 2018 §2: never to a peer that did not ask
  if (t.has(kTimestamps)) {
    mss -= 12;
    store_ts_recent(t, o.ts_val, now);
  }
  t.mss = t.full_mss = static_cast<std::uint16_t>(mss);
  //= RFC7323 2.2-a
  if (o.window_scale == wire::kNoWindowScale) t.clear(kScaling);
  t.snd_wscale =
      t.has(kScaling) ? std::min(o.window_scale, wire::kMaxWindowScale) : std::uint8_t{0};
  if (!t.has(kScaling)) t.rcv_wscale = 0;
  fit_window(t);
}

void establish(Tcb& t, Trigger trigger, Instant now) {
  t.snd_una = t.snd_small = t.pushed = t.iss + 1;
  if (t.has(kSynDue)) {  // a SYN-ACK of ours was due in this burst: now only its ACK is
    t.clear(kSynDue);
    t.set(kAckNow);
  }
  transition(t, trigger);
  if (t.has(kTiming)) {
    t.clear(kTiming);
    t.rto.on_sample(std::chrono::duration_cast<Micros>(
        std::min<Duration>(now - t.rtt_start, t.config->rto_max)));
  }
  if (t.has(kSynResent) && !t.rto.sampled()) t.rto.on_syn_timeout();  // RFC 6298 §5.7
  mtu_search_begin(t, now);
  cc_init(t);
  t.ecn_high = t.snd_una - 1;
  t.retries = 0;
  t.soft_error = CloseReason::kNone;
  t.path_news |= kPathProven;
  t.rtx_deadline = kNever;
  t.last_received = now;
  begin_keepalive(t, now);
  begin_quick_acks(t);
  begin_receive_buffer(t, now);
  t.note(kNoticeConnected);
  if (t.own != nullptr) count_established(t, now);
  if (t.has(kFinQueued)) transition(t, Trigger::kClose);  // closed while it was opening
}

namespace {

//= RFC5961 3.2-d
// First and second: the ACK and the RST. True when the SYN is to be looked at.
bool check_ack_and_rst(Tcb& t, const RxSegment& seg, Outbox& out) {
  const bool has_ack = (seg.flags & ACK) != 0;
  const bool ack_ok = has_ack && after(seg.ack, t.iss) && at_or_before(seg.ack, t.snd_nxt);
  if (has_ack && !ack_ok) {
    if ((seg.flags & RST) == 0) {
      out.counters->out_rsts.add();
      out.tx.push(reset_for(seg));
    }
    return false;
  }
  if ((seg.flags & RST) != 0) {
    if (ack_ok) {
      out.counters->attempt_fails.add();
      close_now(t, CloseReason::kRefused, out);
    } else {
      out.counters->drop_closed_rst.add();
    }
    return false;
  }
  return (seg.flags & SYN) != 0;
}

}  // namespace

//= RFC9293 MUST-10
void syn_sent_arrives(Tcb& t, const RxSegment& seg, Instant now, Outbox& out) {
  if (!check_ack_and_rst(t, seg, out)) return release_segment(seg, out);
  const std::uint32_t offered = rcv_wnd(t);  // by our SYN
  t.irs = seg.seq;
  t.rcv_nxt = t.rcv_adv = t.last_ack_sent = seg.seq + 1;
  if (t.own != nullptr) t.own->stats.rcv_mark = t.rcv_nxt;
  apply_syn_options(t, seg, now);
  ecn_on_syn(t, seg);
  t.snd_wl1 = seg.seq;
  t.snd_wl2 = seg.ack;
  //= RFC7323 2.2-b
  t.snd_wnd = t.max_snd_wnd = seg.wnd;  // never scaled in a SYN, RFC 7323 §2.2
  if ((seg.flags & ACK) == 0) {         // simultaneous open
    transition(t, Trigger::kRcvSyn);
    t.set(kSynDue);
    t.retries = 0;
    return release_segment(seg, out);  // its text comes again: nothing of it was acknowledged
  }
  establish(t, Trigger::kRcvSynAck, now);
  t.rcv_adv = t.rcv_nxt + offered;
  t.set(kAckNow);
  if (seg.len == 0 && (seg.flags & FIN) == 0) return release_segment(seg, out);
  rest_of_syn_arrives(t, seg, now, out);
}

}  // namespace weir::tcp
