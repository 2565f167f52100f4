// A token bucket: how often something may be sent in answer to what strangers send (ICMP errors,
// RFC 1812 §4.3.2.8; RSTs). Reads no clock, allocates nothing; its owner is the one caller.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace weir::ip {

class TokenBucket {
 public:
  // Full at first. `per_second` at most 10^6, `burst` at least 1.
  constexpr TokenBucket(std::uint32_t per_second, std::uint32_t burst)
      : rate_(per_second), full_(std::int64_t{burst} * kToken), level_(full_) {}

  // Takes one token, or says that there is none. An earlier `now` than the last adds none. With
  // `cost` drawn at random, one on the average, nobody counts by the answers it gets what others
  // drew (CVE-2020-25705); the level is never below none.
  [[nodiscard]] constexpr bool allow(Instant now, unsigned cost = 1) {
    refill(now);
    if (level_ < kToken) return false;
    level_ = std::max<std::int64_t>(0, level_ - cost * kToken);
    return true;
  }

 private:
  // At `rate_` tokens a second, one microsecond is worth `rate_` of these.
  static constexpr std::int64_t kToken = 1'000'000;

  constexpr void refill(Instant now) {
    if (now <= last_) return;
    const std::int64_t missing = full_ - level_;
    const std::int64_t elapsed = now.time_since_epoch().count() - last_.time_since_epoch().count();
    last_ = now;
    if (rate_ == 0) return;
    // Compared before multiplying: the first call may come any time after the epoch.
    const bool fills = elapsed >= missing / rate_ + 1;
    level_ = fills ? full_ : std::min(full_, level_ + elapsed * rate_);
  }

  std::int64_t rate_;
  std::int64_t full_;
  std::int64_t level_;
  Instant last_{};
};

}  // namespace weir::ip
