// Packetization layer path MTU discovery (RFC 4821, in the words of RFC 8899 where they differ): a
// path that swallows large packets and tells nobody is found out by segments that arrive, or do
// not.
//
// Off, on once a black hole shows, or always (`mtu_probing`, Linux's). A search keeps
// mtu_low <= mss <= mtu_high and sends one segment of new text half-way between them, with enough
// behind it that its loss is told by SACKs or duplicate ACKs. That loss is no sign of congestion.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint32_t kBehind = 3;      // segments behind a probe: RFC 4821 §7.4, DupThresh
constexpr std::uint32_t kMinWindow = 11;  // segments, as Linux: a probe's loss costs less then
constexpr std::uint32_t kLeastMss = 88;   // as of a peer's MSS: CVE-2019-11479
constexpr std::uint32_t kLeastIpv6 = 1280 - 60;

std::uint32_t least_mss(const Tcb& t) {
  if (!t.has(kIpv6)) return std::min<std::uint32_t>(kLeastMss, t.full_mss);
  return std::min<std::uint32_t>(kLeastIpv6 - (t.has(kTimestamps) ? 12U : 0U), t.full_mss);
}

Seq probe_begin(const Tcb& t) {
  return t.mtu_probe_end - t.mtu_probe;
}

void search_from(Tcb& t, std::uint32_t mss) {
  t.mtu_low = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(mss, least_mss(t), t.full_mss));
  t.mtu_high = t.full_mss;
  set_mss(t, t.mtu_low);
}

// RFC 4821 §7.6.2.
//= RFC4821 7.6.2-a
void probe_failed(Tcb& t, Outbox& out) {
  t.mtu_high = static_cast<std::uint16_t>(std::max<std::uint32_t>(t.mtu_probe - 1U, t.mtu_low));
  t.mtu_probe = 0;
  out.counters->mtup_fail.add();
}

// Octets that were sent in one segment and that nobody acknowledges.
std::uint32_t stuck_segment(const Tcb& t) {
  if (t.log != nullptr && t.log->size() > 0) return t.log->length_of(0);
  return std::min<std::uint32_t>(t.mss, distance(t.snd_una, t.snd_nxt));
}

}  // namespace

//= RFC4821 7.2
void mtu_search_begin(Tcb& t, Instant now) {
  if (t.config->mtu_probing < 2) return;
  t.mss_lowered_s = seconds_of(now);
  search_from(t, t.config->base_mss);
}

// Octets of the probe to send now; 0: none. Half-way: RFC 4821 §7.3.
//= RFC4821 7.3
//= RFC4821 7.4
//= RFC4821 7.5
//= RFC8899 5.3.2
std::uint32_t mtu_probe_due(const Tcb& t, std::uint32_t unsent, std::uint32_t window) {
  if (t.mtu_low == 0 || t.mtu_probe != 0) return 0;
  if (t.mtu_high - t.mtu_low < t.config->probe_threshold) return 0;
  if (t.recovery != Recovery::kNone || t.dup_acks > 0 || before(t.rtx_nxt, t.rtx_end)) return 0;
  if (t.log != nullptr && (t.log->sacked() > 0 || t.log->lost() > 0)) return 0;
  if (t.log != nullptr && t.log->room() <= kBehind) return 0;
  const std::uint32_t size = (t.mtu_low + t.mtu_high + 1U) / 2U;
  const std::uint32_t needed = size + kBehind * t.mss;
  if (unsent < needed || window < needed) return 0;
  return t.cwnd >= kMinWindow * t.mss && cwnd_room(t) >= size ? size : 0;
}

// RFC 4821 §7.6.1: it arrived, so all segments may be as large.
//= RFC4821 7.6.1
void mtu_probe_acked(Tcb& t, Outbox& out) {
  if (before(t.snd_una, t.mtu_probe_end)) return;
  t.mtu_low = std::min(t.mtu_probe, t.full_mss);
  t.mtu_probe = 0;
  set_mss(t, t.mtu_low);
  out.counters->mtup_success.add();
}

// Pre: there is a log. Something is lost: the probe alone, so that its size is the reason, or more.
//= RFC4821 7.6.4
void mtu_probe_on_loss(Tcb& t, Outbox& out) {
  if (after(t.snd_una, probe_begin(t))) return mtu_probe_forget(t);  // some of it arrived
  const unsigned i = t.log->first_from(probe_begin(t));
  const bool there = i < t.log->size() && t.log->begin_of(i) == probe_begin(t);
  if (!there || !(*t.log)[i].is(kSentLost)) return;
  const bool alone = t.log->lost() == t.log->length_of(i) && t.recovery == Recovery::kNone;
  if (!alone) return mtu_probe_forget(t);
  probe_failed(t, out);
  fit_log(t, true);
}

// The same told by duplicate ACKs. True when the loss was the probe's.
//= RFC4821 7.6.2-b
bool mtu_probe_on_dup_acks(Tcb& t, Outbox& out) {
  const std::uint32_t size = t.mtu_probe;
  if (t.snd_una != probe_begin(t)) {
    mtu_probe_forget(t);
    return false;
  }
  probe_failed(t, out);
  t.rtx_end = earlier_of(t.snd_una + size, t.snd_nxt);
  t.recover = t.snd_nxt;  // the duplicate ACKs still to come tell of nothing else
  return true;
}

// RFC 4821 §7.6.3: a time-out is congestion, whatever else it is. What was first in line is not
// tried again at that size.
//= RFC4821 7.6.3
void mtu_probe_timed_out(Tcb& t, Outbox& out) {
  if (t.snd_una == probe_begin(t)) probe_failed(t, out);
  mtu_probe_forget(t);
}

// It is not known what became of it. Should it be sent again, then in usual segments.
void mtu_probe_forget(Tcb& t) {
  t.mtu_probe = 0;
  fit_log(t, false);
}

// A router on the way would not take the probe, and said what it would take.
//= RFC4821 7.1
//= RFC8899 4.6.2
void mtu_probe_refused(Tcb& t, std::uint32_t mss, Instant now, Outbox& out) {
  const Seq begin = probe_begin(t);
  const std::uint32_t size = t.mtu_probe;
  probe_failed(t, out);
  t.mtu_high = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(mss, t.mtu_low, t.mtu_high));
  t.mss_lowered_s = seconds_of(now);
  if (t.log != nullptr) return fit_log(t, true);
  if (begin != t.snd_una) return;  // duplicate ACKs will ask for it
  t.rtx_end = begin + size;
  t.recover = t.snd_nxt;
}

// Called for each time-out from R1 on. What is stuck is larger than the size that every path takes:
// the path may swallow it. Once searching, each further time-out halves what is believed.
//= RFC4821 7.7
//= RFC8899 4.3
void mtu_black_hole(Tcb& t, Instant now, Outbox& out) {
  const Config& c = *t.config;
  if (c.mtu_probing == 0) return;
  const std::uint32_t base = c.base_mss;
  const bool again = t.mtu_low != 0 && t.mss <= base;
  const std::uint32_t next = std::max(again ? std::min(base, t.mtu_low / 2U) : base, least_mss(t));
  if (next >= t.mss || stuck_segment(t) <= next) return;
  t.mss_lowered_s = seconds_of(now);
  search_from(t, next);
  fit_log(t, true);
  out.counters->mtu_black_holes.add();
}

}  // namespace weir::tcp
