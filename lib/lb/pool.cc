#include "lb/pool.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::lb {

Pool::Pool(const PoolConfig& config)
    : config_(config),
      health_(config.backends.size()),
      counters_(std::make_unique<BackendCounters[]>(config.backends.size())) {
  WEIR_ASSERT(!config_.backends.empty() && config_.backends.size() <= kMaxBackends);
}

// The first in rotation, or the least busy with ties broken by rotation.
std::uint32_t Pool::scan(const BackendSet& tried, bool healthy_only, Instant now) const {
  const auto n = static_cast<std::uint32_t>(config_.backends.size());
  std::uint32_t best = kNoBackend;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t b = (next_ + i) % n;
    if (tried[b] || (healthy_only && put_aside(b, now))) continue;
    if (config_.balance == Balance::kRoundRobin) return b;
    if (best == kNoBackend || counters_[b].active.get() < counters_[best].active.get()) best = b;
  }
  return best;
}

std::uint32_t Pool::pick(const BackendSet& tried, Instant now) {
  std::uint32_t b = scan(tried, true, now);
  if (b == kNoBackend) b = scan(tried, false, now);
  if (b == kNoBackend) return b;
  Health& h = health_[b];
  if (h.failures > 0 && !put_aside(b, now)) {
    // Its time is over: this session finds out, and the others keep away until it has.
    h.on_trial = true;
    h.aside_until = now + config_.connect_timeout;
  }
  next_ = (b + 1) % static_cast<std::uint32_t>(config_.backends.size());
  counters_[b].active.up();
  return b;
}

void Pool::on_connected(std::uint32_t backend) {
  health_[backend] = Health{};
  counters_[backend].total.add();
}

void Pool::on_connect_failed(std::uint32_t backend, Instant now) {
  Health& h = health_[backend];
  counters_[backend].failed.add();
  if (h.failures == 0 || h.on_trial) ++h.failures;
  h.on_trial = false;
  h.aside_until = std::max(h.aside_until, now + aside_time(h.failures));
}

Duration Pool::aside_time(std::uint32_t failures) const {
  const std::uint32_t doublings = std::min(failures - 1, 20U);
  return std::min(config_.put_aside_min * (std::int64_t{1} << doublings), config_.put_aside_max);
}

}  // namespace weir::lb
