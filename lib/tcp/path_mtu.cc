// Path MTU discovery (RFC 1191, RFC 8201): what a message "packet too big" does to one connection,
// and when larger segments are tried again.
//
// Every IPv4 packet says "don't fragment" and none is ever fragmented here, so the segment size is
// all there is to change. What is known of a path is kept for each connection alone: a forged
// message that hits one (RFC 5927) slows down no other.
#include <algorithm>
#include <array>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint32_t kMinIpv6Mtu = 1280;  // RFC 8200 §5

// RFC 1191 §7, table 7-1.
constexpr std::array<std::uint32_t, 11> kPlateaus = {65'535, 32'000, 17'914, 8'166, 4'352, 2'002,
                                                     1'492,  1'006,  508,    296,   68};

//= RFC1191 6.4-d
std::uint32_t headers(const Tcb& t) {
  return (t.has(kIpv6) ? 60U : 40U) + (t.has(kTimestamps) ? 12U : 0U);
}

// For a router that names no MTU: the next plateau below the packet it could not forward.
//= RFC1191 5
std::uint32_t plateau_below(const Tcb& t, std::uint32_t packet) {
  const std::uint32_t longest = t.mss + headers(t);
  if (packet == 0 || packet > longest) packet = longest;  // §5: some name too much
  for (const std::uint32_t p : kPlateaus) {
    if (p < packet) return p;
  }
  return kPlateaus.back();
}

// The octets of text that fit, or 0 for a message that means nothing.
std::uint32_t mss_of(const Tcb& t, const IcmpError& e) {
  if (t.has(kIpv6)) {
    //= RFC8201 4-b
    return e.mtu < kMinIpv6Mtu ? 0 : e.mtu - headers(t);
  }
  const std::uint32_t mtu = e.mtu == 0 ? plateau_below(t, e.packet) : e.mtu;
  //= RFC1191 3-c
  //= RFC5927 7.2-a
  return std::max<std::uint32_t>(mtu, t.config->min_pmtu) - headers(t);
}

// All of what is out again, in smaller pieces. Without a log nobody knows which of it was too big.
//= RFC1191 6.4-a
//= RFC1191 6.4-b
//= RFC8201 5.4-a
void resend_smaller(Tcb& t, Instant now) {
  if (t.snd_una == t.snd_nxt || t.has(kPersisting)) return;
  if (t.log != nullptr) {
    fit_log(t, true);
  } else {
    // As after a time-out, but the window is what it was: this was no sign of congestion.
    if (t.recovery == Recovery::kFast) t.cwnd = std::min(t.cwnd, t.ssthresh);  // it was inflated
    t.recovery = Recovery::kRto;
    t.recover = t.snd_nxt;
    t.rtx_nxt = t.snd_una;
    t.rtx_end = t.snd_nxt;
  }
  t.frto = Frto::kOff;
  arm_rtx(t, now);
}

}  // namespace

// No window is below one segment, no threshold below two.
void set_mss(Tcb& t, std::uint32_t mss) {
  t.mss = static_cast<std::uint16_t>(mss);
  t.cwnd = std::max<std::uint32_t>(t.cwnd, t.mss);
  t.ssthresh = std::max<std::uint32_t>(t.ssthresh, 2U * t.mss);
}

void fit_log(Tcb& t, bool lost) {
  if (t.log == nullptr || t.log->fit(t.mss, t.fin_sent(), lost)) return;
  t.log->stale = true;  // too many pieces: all goes again, as if nothing were known of it
  for (unsigned i = 0; lost && i < t.log->size(); ++i) t.log->mark_lost(i);
}

std::uint32_t seconds_of(Instant t) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count());
}

bool on_packet_too_big(Tcb& t, const IcmpError& e, Instant now, Outbox& out) {
  if (!t.synchronized()) return false;  // no SYN is too big
  const std::uint32_t mss = mss_of(t, e);
  if (mss == 0) return false;
  if (t.mtu_probe != 0 && e.seq == t.mtu_probe_end - t.mtu_probe && mss < t.mtu_probe) {
    mtu_probe_refused(t, std::max<std::uint32_t>(mss, t.mss), now, out);
    if (mss >= t.mss) return true;
  }
  //= RFC8201 4-a
  //= RFC1191 3-d
  if (mss >= t.mss) return false;
  //= RFC1191 3-b
  //= RFC8201 4-d
  mtu_probe_forget(t);
  set_mss(t, mss);
  t.mss_lowered_s = seconds_of(now);
  if (t.mtu_low != 0) t.mtu_low = t.mtu_high = t.mss;
  out.counters->pmtu_lowered.add();
  resend_smaller(t, now);
  return true;
}

// The path may have changed: a larger segment is tried, and if it is still too big somebody says
// so.
//= RFC1191 3-e
//= RFC1191 6.3
//= RFC8201 4-c
void path_mtu_expire(Tcb& t, Instant now) {
  if (t.recovery != Recovery::kNone) return;
  if (std::chrono::seconds(seconds_of(now) - t.mss_lowered_s) < t.config->mtu_expires) return;
  t.mss_lowered_s = seconds_of(now);
  if (t.mtu_low != 0) {
    t.mtu_high = t.full_mss;  // nobody says so on this path: the search goes on from here
  } else {
    set_mss(t, t.full_mss);
  }
}

}  // namespace weir::tcp
