// What Linux's tcp_get_info tells (net/ipv4/tcp.c there; RFC 4898), of a control block.
#include "tcp/info.h"

#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

std::uint32_t segments(const Tcb& t, std::uint32_t octets) {
  return (octets + t.mss - 1) / t.mss;
}

CaState ca_state(const Tcb& t) {
  if (t.recovery == Recovery::kRto && before(t.snd_una, t.recover)) return CaState::kLoss;
  if (t.recovery == Recovery::kFast) return CaState::kRecovery;
  if (ecn_covers_loss(t)) return CaState::kCwr;
  const bool sacked = t.log != nullptr && t.log->sacked() > 0;
  return sacked || t.dup_acks > 0 ? CaState::kDisorder : CaState::kOpen;
}

void in_flight_by_log(const Tcb& t, Info& i) {
  const SentLog& log = *t.log;
  i.unacked = log.size();
  for (unsigned k = 0; k < log.size(); ++k) {
    const SentSegment& s = log[k];
    if (s.is(kSentSacked)) {
      ++i.sacked;
    } else if (s.is(kSentLost)) {
      ++i.lost;
    } else if (s.is(kSentAgain) && !s.is(kSentUntimed)) {
      ++i.retrans;
      // Lost it still is, until the peer has it (Linux's lost_out); not so what only probes.
      const bool probe = t.tlp_out && t.tlp_again && k + 1 == log.size();
      if (!probe) ++i.lost;
    }
  }
}

// Without a log the octets are all that is known.
void in_flight_by_octets(const Tcb& t, Info& i) {
  i.unacked = segments(t, distance(t.snd_una, t.snd_nxt));
  i.sacked = std::min<std::uint32_t>(t.dup_acks, i.unacked);
  if (t.recovery == Recovery::kNone || !before(t.snd_una, t.recover)) return;
  const Seq resent = later_of(t.rtx_nxt, t.snd_una);
  i.retrans = std::min(segments(t, distance(t.snd_una, resent)), i.unacked);
  if (!before(resent, t.rtx_end)) return;
  // Duplicate ACKs may be for some of it: no segment counts twice (Linux's tcp_limit_reno_sacked).
  i.lost = std::min(segments(t, distance(resent, t.rtx_end)), i.unacked);
  i.sacked = std::min(i.sacked, i.unacked - i.lost);
}

void options(const Tcb& t, Info& i) {
  unsigned o = 0;
  if (t.has(kTimestamps)) o |= kInfoTimestamps;
  if (t.has(kSack)) o |= kInfoSack;
  if (t.has(kScaling)) o |= kInfoScaling;
  if (t.ecn_has(kEcnEcho)) o |= kInfoEcn;
  if (t.own != nullptr && t.own->stats.ect_in) o |= kInfoEcnSeen;
  i.options = static_cast<std::uint8_t>(o);
  i.snd_wscale = t.snd_wscale;
  i.rcv_wscale = t.has(kScaling) ? t.rcv_wscale : std::uint8_t{0};
}

void timers(const Tcb& t, Info& i, Instant now) {
  i.backoff = t.retries;
  if (t.has(kPersisting)) {
    i.probes = t.retries;
  } else {
    i.retransmits = t.retries;
    i.probes = t.keepalive_unanswered;
  }
  i.rto = t.rto.rto();
  i.ato = t.rcv_nxt != t.irs + 1 ? Duration(ack_delay(t)) : Duration::zero();
  i.last_data_sent = t.last_sent != Instant{} ? now - t.last_sent : Duration::zero();
  i.last_ack_recv = now - t.last_received;
  if (t.rto.sampled()) {
    i.rtt = t.rto.srtt();
    i.rttvar = t.rto.rttvar();
  }
  if (t.min_rtt_us != kNoRtt) i.min_rtt = Duration(t.min_rtt_us);
}

void windows(const Tcb& t, Info& i) {
  const std::uint32_t headers = (t.has(kIpv6) ? 60U : 40U) + (t.has(kTimestamps) ? 12U : 0U);
  i.snd_mss = t.mss;
  i.pmtu = t.mss + headers;
  i.rcv_mss = t.peer_seg;
  i.advmss = t.rcv_mss;
  i.snd_cwnd = t.cwnd / t.mss;
  if (t.ssthresh != kNoSsthresh) i.snd_ssthresh = t.ssthresh / t.mss;
  i.reordering = t.config->reordering;
  i.rcv_ssthresh = std::min(t.rcv_buf, t.max_rcv_wnd);
  i.rcv_space = t.read_before;
  i.rcv_rtt = Duration(t.rcv_rtt_us);
  i.snd_wnd = t.snd_wnd;
  i.rcv_wnd = rcv_wnd(t);
  i.notsent_bytes = unsent_octets(t);
  i.pacing_rate = pacing_rate(t);
  if (t.max_pacing_rate != 0) i.max_pacing_rate = t.max_pacing_rate;
}

void counts(const Statistics& s, Info& i) {
  i.bytes_sent = s.bytes_sent;
  i.bytes_retrans = s.bytes_retrans;
  i.segs_out = s.segs_out;
  i.segs_in = s.segs_in;
  i.data_segs_out = s.data_segs_out;
  i.data_segs_in = s.data_segs_in;
  i.total_retrans = s.total_retrans;
  i.delivered = s.delivered;
  i.delivered_ce = s.delivered_ce;
  i.dsack_dups = s.dsack_dups;
  i.reord_seen = s.reord_seen;
  i.rcv_ooopack = s.rcv_ooopack;
  i.reordering = std::max<std::uint32_t>(i.reordering, s.reordering);
  if (s.rate_us != 0) {
    i.delivery_rate = std::uint64_t{s.rate_octets} * 1'000'000 / s.rate_us;
    i.delivery_rate_app_limited = s.rate_app_limited;
  }
  i.total_rto = s.total_rto;
  i.total_rto_recoveries = s.total_rto_recoveries;
  i.total_rto_time = std::chrono::milliseconds(s.total_rto_ms);
}

// What goes on up to this moment.
void counts_until_now(const Tcb& t, Info& i, Instant now) {
  const Statistics& s = t.own->stats;
  i.bytes_acked = s.bytes_acked + distance(s.una_mark, t.snd_una);
  i.bytes_received = s.bytes_received + distance(s.rcv_mark, t.rcv_nxt);
  if (s.last_data_in != Instant{}) i.last_data_recv = now - s.last_data_in;
  if (t.last_sent == Instant{} && s.since != Instant{}) i.last_data_sent = now - s.since;
  if (!i.min_rtt && s.min_rtt_us != kNoRtt) i.min_rtt = Duration(s.min_rtt_us);
  if (s.rto_since != kNever) i.total_rto_time += now - s.rto_since;
  auto us = s.limit_us;
  us[static_cast<unsigned>(s.limit)] +=
      static_cast<std::uint64_t>(Duration(now - s.limit_since).count());
  const auto spent = [&us](Limit l) {
    return Duration(static_cast<std::int64_t>(us[static_cast<unsigned>(l)]));
  };
  i.rwnd_limited = spent(Limit::kRcvWnd);
  i.sndbuf_limited = spent(Limit::kSendBuf);
  i.busy_time = spent(Limit::kPath) + i.rwnd_limited + i.sndbuf_limited;
}

}  // namespace

Info info_of(const Tcb& t, Instant now) {
  Info i{.state = t.state, .ca_state = ca_state(t)};
  options(t, i);
  timers(t, i, now);
  windows(t, i);
  if (t.log != nullptr) {
    in_flight_by_log(t, i);
  } else {
    in_flight_by_octets(t, i);
  }
  if (t.own == nullptr) return i;
  counts(t.own->stats, i);
  counts_until_now(t, i, now);
  return i;
}

}  // namespace weir::tcp
