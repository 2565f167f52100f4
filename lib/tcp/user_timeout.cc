// When to give up: R2 (RFC 9293 §3.8.3), or the user timeout where one is set (§3.9.1.1, OPEN; the
// local half of RFC 5482: the option of its §3.3 is neither sent nor read).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// R2, in retransmissions.
//= RFC9293 MUST-21
//= RFC9293 SHLD-11
std::uint8_t retry_limit(const Tcb& t) {
  const std::uint8_t own = t.own != nullptr ? t.own->set.retries : std::uint8_t{0};
  if (!t.has(kUserClosed)) return own != 0 ? own : t.config->retries2;
  return own != 0 ? std::min(t.config->orphan_retries, own) : t.config->orphan_retries;
}

std::uint32_t timeout_ms(Duration d) {
  constexpr Duration kMost = std::chrono::hours(24 * 24);  // within half of what 32 bits count
  const auto ms =
      std::chrono::ceil<std::chrono::milliseconds>(std::clamp(d, Duration::zero(), kMost));
  return static_cast<std::uint32_t>(ms.count());
}

}  // namespace

//= RFC5482 3-a
Duration user_timeout(const Tcb& t) {
  const OwnSettings* own = own_settings(t);
  return own != nullptr && own->user_timeout_ms != 0
             ? std::chrono::milliseconds(own->user_timeout_ms)
             : t.config->user_timeout;
}

bool user_set_timeout(Tcb& t, Duration timeout, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.user_timeout_ms = timeout_ms(timeout);
  return true;
}

bool user_set_retries(Tcb& t, std::uint8_t retries, Outbox& out) {
  if (lend_own(t, out) == nullptr) return false;
  t.own->set.retries = retries;
  return true;
}

void note_progress(Tcb& t, Instant now) {
  t.una_ms = ms_of(now);
}

// As in Linux, nothing ends before something was sent twice: a timeout below the RTO is not a
// reason to end a connection whose ACK is on its way.
//= RFC5482 3-b
bool user_timeout_over(const Tcb& t, Instant now) {
  const std::uint32_t limit = timeout_ms(user_timeout(t));
  return limit != 0 && t.retries > 0 && ms_of(now) - t.una_ms >= limit;
}

bool gives_up(const Tcb& t, Instant now) {
  if (user_timeout_over(t, now)) return true;
  if (user_timeout(t) > Duration::zero() && !t.has(kUserClosed)) return false;
  return t.retries >= retry_limit(t);
}

Instant no_later_than_user_timeout(const Tcb& t, Instant now, Instant due) {
  const std::uint32_t limit = timeout_ms(user_timeout(t));
  if (limit == 0 || t.retries == 0) return due;
  const std::uint32_t waited = ms_of(now) - t.una_ms;
  const std::uint32_t left = waited < limit ? limit - waited : 1;
  return std::min(due, now + std::chrono::milliseconds(left));
}

}  // namespace weir::tcp
