// RFC 9293 §3.10.7.2 and the SYN-RECEIVED rows of §3.10.7.4.
#include "tcp/listen.h"

#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

bool stamped(const SynEntry& e) {
  return (e.bits & SynEntry::kTimestampsOffered) != 0;
}

// That its SYN-ACK offers.
std::uint32_t window_of(const SynEntry& e, const Config& c, std::uint16_t mtu,
                        const OwnSettings* own) {
  const std::uint32_t mss = offered_mss(mtu, !e.flow.local.is_v4(), own);
  return syn_window(first_rcv_buf(c, own), own != nullptr ? own->window_clamp : 0,
                    mss - (stamped(e) ? 12U : 0U));
}

}  // namespace

std::uint8_t window_scale_of(const Config& config, const OwnSettings* own) {
  return own != nullptr ? own_window_scale(config, *own) : window_scale_for(config.rmem);
}

ListenAnswer listen_arrives(const RxSegment& seg) {
  if ((seg.flags & RST) != 0) return ListenAnswer::kDrop;   // first
  if ((seg.flags & ACK) != 0) return ListenAnswer::kReset;  // second
  if ((seg.flags & SYN) == 0) return ListenAnswer::kDrop;   // fourth
  // SYN with FIN is nobody's handshake; every scanner's, though.
  return (seg.flags & FIN) != 0 ? ListenAnswer::kDrop : ListenAnswer::kSyn;
}

void open_syn_entry(SynEntry& e, const RxSegment& syn, const FlowKey& flow, Seq iss,
                    const Config& config) {
  e.flow = flow;
  e.iss = iss;
  e.irs = syn.seq;
  e.mss = syn.options.mss;
  const bool scaled = config.window_scaling && syn.options.window_scale != wire::kNoWindowScale;
  e.scale_and_retries =
      scaled ? std::min(syn.options.window_scale, wire::kMaxWindowScale) : SynEntry::kNoScale;
  const bool stamps = config.timestamps && syn.options.has_timestamps;
  const bool sack = config.sack && syn.options.sack_permitted;
  e.offer(stamps, sack);
  // An ECT codepoint on a SYN is the path's work: what it writes there says nothing (as Linux).
  const bool marked = (syn.tos & kEcnMask) != kNotEct;
  if (config.ecn != 0 && is_ecn_setup_syn(syn) && !marked) e.offer_ecn();
  e.ts_recent = syn.options.ts_val;
}

//= RFC3168 6.1.1-e
void syn_came_again(SynEntry& e, const RxSegment& syn) {
  if (!is_ecn_setup_syn(syn)) e.withdraw_ecn();
}

//= RFC9293 MUST-14
//= RFC9293 SHLD-5
TxSegment make_syn_ack(const SynEntry& e, const Config& config, std::uint16_t mtu,
                       std::uint32_t ts_now, const OwnSettings* own) {
  TxSegment s;
  s.seq = e.iss;
  s.ack = e.irs + 1;
  s.flags = SYN | ACK;
  s.wnd = static_cast<std::uint16_t>(window_of(e, config, mtu, own));
  s.options.mss = offered_mss(mtu, !e.flow.local.is_v4(), own);
  //= RFC7323 2.1-b
  if (e.scale() != SynEntry::kNoScale) {
    s.options.window_scale = window_scale_of(config, own);
  }
  //= RFC7323 3.2-a
  if (stamped(e)) {
    s.options.has_timestamps = true;
    s.options.ts_val = ts_now;
    s.options.ts_ecr = e.ts_recent;
  }
  s.options.sack_permitted = (e.bits & SynEntry::kSackOffered) != 0;
  if (e.ecn_offered()) s.flags |= ECE;  //= RFC3168 6.1.1-c
  return s;
}

//= RFC5961 3.2-c
//= RFC5961 4.2-a
SynAnswer syn_entry_arrives(const SynEntry& e, const RxSegment& seg, const Config& config,
                            std::uint16_t mtu, const OwnSettings* own) {
  const Seq rcv_nxt = e.irs + 1;
  const std::uint8_t flags = seg.flags;
  if ((flags & (SYN | RST | ACK)) == SYN && seg.seq == e.irs) return SynAnswer::kResendSynAck;
  if (stamped(e) && (flags & RST) == 0) {  // RFC 7323 §3.2, §5.3
    if (!seg.options.has_timestamps) return SynAnswer::kDrop;
    if (before(Seq{seg.options.ts_val}, Seq{e.ts_recent})) return SynAnswer::kChallenge;
  }
  const bool in_wnd =
      seg.seq == rcv_nxt || in_window(seg.seq, rcv_nxt, window_of(e, config, mtu, own));
  if (!in_wnd) return (flags & RST) != 0 ? SynAnswer::kDrop : SynAnswer::kChallenge;
  if ((flags & RST) != 0) {
    return seg.seq == rcv_nxt ? SynAnswer::kAbandon : SynAnswer::kChallenge;
  }
  if ((flags & SYN) != 0) return SynAnswer::kChallenge;  // RFC 5961 §4.2
  if ((flags & ACK) == 0) return SynAnswer::kDrop;
  return seg.ack == e.iss + 1 ? SynAnswer::kEstablish : SynAnswer::kReset;
}

void open_passive(Tcb& t, const SynEntry& e, const OpenArgs& args, Instant now) {
  const Config& c = *t.config;
  t.iss = e.iss;
  t.irs = e.irs;
  t.snd_una = t.iss;
  t.snd_nxt = t.iss + 1;
  t.rcv_nxt = t.last_ack_sent = t.irs + 1;
  const OwnSettings* own = own_settings(t);
  t.rcv_adv = t.rcv_nxt + window_of(e, c, args.mtu, own);
  t.ts_offset = args.ts_offset;
  t.rcv_mss = offered_mss(args.mtu, args.ipv6, own);
  //= RFC9293 MUST-11
  t.set(kPassive);
  if (args.ipv6) t.set(kIpv6);
  // What the SYN-ACK told of, whatever the Config has become since.
  if ((e.bits & SynEntry::kTimestampsOffered) != 0) t.set(kTimestamps);
  if ((e.bits & SynEntry::kSackOffered) != 0) t.set(kSack);
  if (e.scale() != SynEntry::kNoScale) {
    t.set(kScaling);
    t.rcv_wscale = window_scale_of(c, own);
  }
  if (e.retries() > 0 && e.resent() > 0) t.set(kSynResent);
  t.late_open = (e.bits & SynEntry::kAnswered) != 0;
  if (args.syn_ack_sent != kNever && e.resent() == 0 && !t.late_open) {
    t.set(kTiming);
    t.rtt_seq = t.iss + 1;
    t.rtt_start = args.syn_ack_sent;
  }
  if (e.ecn_offered()) ecn_accept(t);
  RxSegment syn;
  syn.options.mss = e.mss;
  syn.options.has_timestamps = stamped(e);
  syn.options.ts_val = e.ts_recent;
  syn.options.sack_permitted = (e.bits & SynEntry::kSackOffered) != 0;
  syn.options.window_scale = e.scale() == SynEntry::kNoScale ? wire::kNoWindowScale : e.scale();
  apply_syn_options(t, syn, now);
  if (t.own != nullptr) {
    count_open(t);
    t.own->stats.total_retrans = e.resent();
  }
  transition(t, Trigger::kPassiveOpen);
  transition(t, Trigger::kRcvSyn);  // the last ACK, given to on_segment, ends the handshake
}

}  // namespace weir::tcp
