#include "ip/dad.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::ip {
namespace {

// RFC 5227 §1.1
constexpr Duration kProbeWait = 1s, kProbeMin = 1s, kProbeMax = 2s;
constexpr Duration kAnnounceWait = 2s, kAnnounceInterval = 2s;
constexpr unsigned kAnnounceNum = 2;
constexpr Duration kMaxSolicitDelay = 1s;  // RFC 4861 §10, MAX_RTR_SOLICITATION_DELAY

}  // namespace

Dad::Dad(const DadConfig& config) : config_(config), rng_(config.seed) {}

bool Dad::add(const IpAddr& addr) {
  if ((addr.is_v4() ? config_.arp_probes : config_.transmits) == 0) return false;
  round_of(addr).addrs.push_back(addr);
  return true;
}

Duration Dad::between(Duration low, Duration high) {
  const auto width = static_cast<std::uint32_t>((high - low).count()) + 1;
  return low + Duration(rng_.below(width));
}

//= RFC4862 5.4.2-a
//= RFC5227 2.1.1-a
void Dad::start(Instant now) {
  v4_.questions = config_.arp_probes;
  v4_.announcements = kAnnounceNum;
  v6_.questions = config_.transmits;
  if (!v4_.addrs.empty()) v4_.deadline = now + between(0s, kProbeWait);
  if (!v6_.addrs.empty()) v6_.deadline = now + between(0s, kMaxSolicitDelay);
}

bool Dad::is_tentative(const IpAddr& addr) const {
  const Round& r = addr.is_v4() ? v4_ : v6_;
  return r.tentative && std::find(r.addrs.begin(), r.addrs.end(), addr) != r.addrs.end();
}

bool Dad::fail(const IpAddr& addr) {
  if (!is_tentative(addr)) return false;
  Round& r = round_of(addr);
  const auto found = std::find(r.addrs.begin(), r.addrs.end(), addr);
  if (static_cast<std::size_t>(found - r.addrs.begin()) < r.at) --r.at;
  r.addrs.erase(found);
  if (r.addrs.empty()) {
    r.tentative = false;
    r.deadline = kNever;
  }
  return true;
}

void Dad::advance(Instant now, DadWork& out) {
  advance(v4_, true, now, out);
  advance(v6_, false, now, out);
}

void Dad::advance(Round& r, bool v4, Instant now, DadWork& out) {
  while (r.deadline <= now) {
    if (!step(r, out)) return;
    schedule(r, v4, now);
  }
}

// One message for each address, or word that each has passed. False when `out` is full before that.
bool Dad::step(Round& r, DadWork& out) {
  for (; r.at < r.addrs.size(); ++r.at) {
    if (out.messages.room() == 0 || out.passed.room() == 0) return false;
    const IpAddr& addr = r.addrs[r.at];
    if (r.questions > 0) {
      out.messages.push({addr, false});
      continue;
    }
    if (r.tentative) out.passed.push(addr);
    if (r.announcements > 0) out.messages.push({addr, true});
  }
  r.at = 0;
  return true;
}

// RFC 4862 §5.4: an address has passed when RetransTimer after the last solicitation nobody has
// objected. RFC 5227 §2.1.1 has its own times, and §2.3 the announcements.
void Dad::schedule(Round& r, bool v4, Instant now) {
  if (r.questions > 0) {
    const bool last = --r.questions == 0;
    const Duration wait =
        v4 ? (last ? kAnnounceWait : between(kProbeMin, kProbeMax)) : config_.retrans_timer;
    r.deadline = now + wait;
    return;
  }
  r.tentative = false;
  if (r.announcements > 0) --r.announcements;
  r.deadline = r.announcements > 0 ? now + kAnnounceInterval : kNever;
}

Instant Dad::next_deadline() const {
  return std::min(v4_.deadline, v6_.deadline);
}

bool Dad::settled() const {
  const auto done = [](const Round& r) { return !r.tentative || r.addrs.empty(); };
  return done(v4_) && done(v6_);
}

}  // namespace weir::ip
