// What is counted of one connection, where something is (RFC 4898; Linux's struct tcp_info). Called
// only where there is a record: whoever calls has looked.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

std::uint32_t pieces(const TxSegment& s) {  // what the port makes of it
  return s.mss == 0 || s.len <= s.mss ? 1 : (s.len + s.mss - 1) / s.mss;
}

std::uint32_t us_since(Instant then, Instant now) {
  constexpr std::int64_t kMost = 0xffff'ffff;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>((now - then).count(), 0, kMost));
}

// What holds text back at this moment, when everything that may go has gone. As Linux's chronograph
// (tcp_chrono_start): cwnd is asked first, then the peer's window, then the program.
Limit limit_of(const Tcb& t) {
  if (t.sndq.empty()) return Limit::kIdle;
  if (!t.synchronized() || cwnd_room(t) < t.mss) return Limit::kPath;
  const std::uint32_t waits = unsent_octets(t);
  if (waits == 0) return t.has(kWantWritable) ? Limit::kSendBuf : Limit::kPath;
  const Seq end = t.snd_nxt + std::min<std::uint32_t>(waits, t.mss);
  return after(end, t.snd_una + t.snd_wnd) ? Limit::kRcvWnd : Limit::kPath;
}

// -- Delivery rate: one sample a round trip ------------------------------------------------------

// What went at one instant belongs to one sample.
void watch_rate(Tcb& t, Instant now) {
  Statistics& s = t.own->stats;
  const bool sent = t.last_sent == now && t.snd_una != t.snd_nxt;
  if (sent && !s.rate_running) {
    s.rate_running = true;
    s.rate_starved = false;
    s.rate_begin = now;
    s.rate_delivered = s.delivered_octets;
  }
  if (sent && s.rate_begin == now) s.rate_end = t.snd_nxt;
  if (unsent_octets(t) == 0 && cwnd_room(t) > 0) s.rate_starved = true;
}

// A sample of a sender that had no more to send counts where it says more than the last.
void end_rate_sample(Tcb& t, Instant now) {
  Statistics& s = t.own->stats;
  if (!s.rate_running || before(t.snd_una, s.rate_end)) return;
  s.rate_running = false;
  const std::uint32_t us = us_since(s.rate_begin, now);
  const auto octets = static_cast<std::uint32_t>(s.delivered_octets - s.rate_delivered);
  if (us == 0 || octets == 0) return;
  const bool more = std::uint64_t{octets} * s.rate_us >= std::uint64_t{s.rate_octets} * us;
  if (s.rate_starved && !more) return;
  s.rate_octets = octets;
  s.rate_us = us;
  s.rate_app_limited = s.rate_starved;
}

void end_rto(Statistics& s, Instant now) {
  if (s.rto_since == kNever) return;
  s.total_rto_ms += us_since(s.rto_since, now) / 1'000;
  s.rto_since = kNever;
}

}  // namespace

void count_open(Tcb& t) {
  Statistics& s = t.own->stats;
  s.una_mark = t.snd_una;
  s.rcv_mark = t.rcv_nxt;
  s.sent_high = t.snd_nxt;
}

void count_established(Tcb& t, Instant now) {
  Statistics& s = t.own->stats;
  s.since = s.last_data_in = s.limit_since = now;
  s.limit = Limit::kIdle;
  s.delivered = 1;                          // the SYN, or the SYN-ACK
  s.bytes_acked = t.has(kPassive) ? 0 : 1;  // as Linux has it
  s.una_mark = t.snd_una;
  end_rto(s, now);
  if (t.rto.sampled()) count_rtt(t, t.rto.srtt());
}

void count_rtt(Tcb& t, Micros rtt) {
  const auto us = static_cast<std::uint32_t>(std::max<std::int64_t>(rtt.count(), 0));
  t.own->stats.min_rtt_us = std::min(t.own->stats.min_rtt_us, us);
}

void count_segment(Tcb& t, const RxSegment& seg, Instant now) {
  Statistics& s = t.own->stats;
  s.bytes_acked += distance(s.una_mark, t.snd_una);  // by those before it
  s.una_mark = t.snd_una;
  s.bytes_received += distance(s.rcv_mark, t.rcv_nxt);
  s.rcv_mark = t.rcv_nxt;
  // What a port has merged is longer than any segment was.
  const std::uint32_t n = seg.len > t.rcv_mss ? (seg.len + t.rcv_mss - 1) / t.rcv_mss : 1;
  s.segs_in += n;
  if (seg.len > 0) {
    s.data_segs_in += n;
    s.last_data_in = now;
  }
  if ((seg.tos & kEcnMask) != kNotEct) s.ect_in = true;
}

// Without a log (`news` null) nobody knows how many segments the octets came in: as few as they
// can.
void count_ack(Tcb& t, const SackNews* news, const RxSegment& seg, Instant now) {
  Statistics& s = t.own->stats;
  const std::uint32_t acked = distance(s.una_mark, t.snd_una);
  const std::uint32_t n = news != nullptr ? news->segments : (acked + t.mss - 1) / t.mss;
  s.delivered_octets += news != nullptr ? news->delivered : acked;
  s.delivered += n;
  if (t.ecn_has(kEcnTold)) s.delivered_ce += n;
  if (is_dsack(seg)) ++s.dsack_dups;
  if (acked > 0) end_rto(s, now);
  end_rate_sample(t, now);
}

void count_rto(Tcb& t, Instant now) {
  Statistics& s = t.own->stats;
  if (t.retries == 0) {
    ++s.total_rto_recoveries;
    s.rto_since = now;
  }
  ++s.total_rto;
}

void count_reordering(Tcb& t, std::uint32_t octets) {
  Statistics& s = t.own->stats;
  const std::uint32_t n = std::min<std::uint32_t>((octets + t.mss - 1) / t.mss, 300);
  s.reordering = static_cast<std::uint16_t>(std::max<std::uint32_t>(s.reordering, n));
  ++s.reord_seen;
}

void count_limits(Tcb& t, Instant now) {
  Statistics& s = t.own->stats;
  watch_rate(t, now);
  const Limit limit = limit_of(t);
  if (limit == s.limit) return;
  const Duration spent = std::max<Duration>(now - s.limit_since, Duration::zero());
  s.limit_us[static_cast<unsigned>(s.limit)] += static_cast<std::uint64_t>(spent.count());
  s.limit = limit;
  s.limit_since = now;
}

void count_sent(Own& own, const TxSegment& seg) {
  Statistics& s = own.stats;
  const std::uint32_t n = pieces(seg);
  const bool numbered = (seg.flags & (SYN | FIN)) != 0;
  const Seq end = seg.seq + seg.len + (numbered ? 1U : 0U);
  s.segs_out += n;
  s.bytes_sent += seg.len;
  if (seg.len > 0) s.data_segs_out += n;
  if (seg.len == 0 && !numbered) return;
  if (after(end, s.sent_high)) {
    s.sent_high = end;
  } else {
    s.total_retrans += n;
    s.bytes_retrans += seg.len;
  }
}

}  // namespace weir::tcp
