// Pacing: what cwnd lets go in one round trip leaves spread over it, as Linux's SO_MAX_PACING_RATE
// and tcp_pacing_ss_ratio have it (no RFC; RFC 9406 §4.2 and RFC 9438 §5.5 like it). Off by
// default.
//
// Nothing is sent before pace_next. Each segment moves it by the time that its octets take; a timer
// of the connection wakes it up, which may be a tick late: so much is made up for at once.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint32_t kTickUs = 1'000;  // of the timer wheel

bool paced(const Tcb& t) {
  return t.max_pacing_rate != 0 || (t.config->pacing && t.rto.sampled());
}

std::uint64_t percent_of(const Tcb& t) {  // of cwnd, in a round trip
  return t.cwnd < t.ssthresh / 2 ? t.config->pacing_ss_ratio : t.config->pacing_ca_ratio;
}

// Microseconds that `octets` take: at the rate of cwnd a round trip and some, so that the pace
// never is what limits; and not above the connection's own limit.
std::uint64_t time_of(const Tcb& t, std::uint32_t octets) {
  std::uint64_t us = 0;
  if (t.config->pacing && t.rto.sampled()) {
    const std::uint64_t percent = percent_of(t);
    const auto srtt = static_cast<std::uint64_t>(t.rto.srtt().count());
    us = octets * srtt / t.cwnd * 100 / percent;
  }
  if (t.max_pacing_rate != 0) {
    us = std::max(us, std::uint64_t{octets} * 1'000'000 / t.max_pacing_rate);
  }
  return std::min<std::uint64_t>(us, 60'000'000);
}

}  // namespace

std::uint64_t pacing_rate(const Tcb& t) {
  std::uint64_t rate = ~std::uint64_t{0};
  if (t.config->pacing && t.rto.sampled() && t.rto.srtt().count() > 0) {
    const auto srtt = static_cast<std::uint64_t>(t.rto.srtt().count());
    rate = std::uint64_t{t.cwnd} * percent_of(t) * 10'000 / srtt;
  }
  return t.max_pacing_rate != 0 ? std::min<std::uint64_t>(rate, t.max_pacing_rate) : rate;
}

bool pacing_holds(Tcb& t, Instant now) {
  if (!paced(t) || t.pace_next <= now) return false;
  t.pace_waits = true;
  return true;
}

// Octets that may go in one piece: what a tick's time lets go, min_tso_segs at least.
std::uint32_t pacing_quantum(const Tcb& t, std::uint32_t longest) {
  if (!paced(t)) return longest;
  const std::uint64_t us = std::max<std::uint64_t>(time_of(t, t.mss), 1);
  const std::uint64_t segments = std::max<std::uint64_t>(kTickUs / us, t.config->min_tso_segs);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(segments * t.mss, longest));
}

void pacing_sent(Tcb& t, std::uint32_t octets, Instant now) {
  if (!paced(t)) return;
  t.pace_next = std::max(t.pace_next, now - Duration(kTickUs)) + Duration(time_of(t, octets));
}

// About a millisecond's worth of cwnd, more where the peer is near, and half of cwnd at most
// (Linux's tcp_tso_autosize and tcp_cwnd_test). Whether anything is paced plays no part.
std::uint32_t burst_length(const Tcb& t) {
  constexpr std::uint32_t kMost = 65'536;
  std::uint64_t octets = kMost;
  if (t.rto.sampled() && t.rto.srtt().count() > 0) {
    const auto srtt = static_cast<std::uint64_t>(t.rto.srtt().count());
    octets = std::uint64_t{t.cwnd} * percent_of(t) * 10'000 / srtt / 1'024;
    if (t.min_rtt_us < 16 * 512) octets += kMost >> (t.min_rtt_us / 512);
  }
  const std::uint64_t segments = std::max<std::uint64_t>(octets / t.mss, t.config->min_tso_segs);
  const std::uint32_t half = std::max<std::uint32_t>(t.cwnd / t.mss / 2, 1);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(segments, half)) * t.mss;
}

void user_pace(Tcb& t, std::uint32_t octets_per_second) {
  t.max_pacing_rate = octets_per_second;
  t.pace_next = {};  // what waits waited for the old pace
}

}  // namespace weir::tcp
