// The backends of one pool as one core sees them: which is next, and which is put aside.
//
// Health is passive: a backend whose connect fails is put aside for a time that grows with each
// failure in a row, then a single session tries it. While every backend is put aside they are tried
// all the same, so a pool is never closed by its own memory. No I/O, no clock; not thread-safe
// but for the counters.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/time.h"
#include "lb/counters.h"

namespace weir::lb {

inline constexpr std::uint32_t kMaxBackends = 256;
inline constexpr std::uint32_t kNoBackend = 0xffff'ffffU;

enum class Balance : std::uint8_t { kRoundRobin, kLeastConnections };

struct PoolConfig {
  std::string name;
  Balance balance = Balance::kRoundRobin;
  std::vector<Endpoint> backends;        // 1..kMaxBackends
  Duration connect_timeout = 3s;         // of one try: a lost SYN goes again after rto_initial, 1 s
  std::uint32_t retries = kMaxBackends;  // further backends tried; each at most once a session
  Duration put_aside_min = 1s;           // after the first failure, then doubled
  Duration put_aside_max = 30s;
};

using BackendSet = std::bitset<kMaxBackends>;

class Pool {
 public:
  explicit Pool(const PoolConfig& config);

  // A backend that is not in `tried`, or kNoBackend. Counts it as active.
  [[nodiscard]] std::uint32_t pick(const BackendSet& tried, Instant now);
  // What became of a pick: each pick ends in one on_released, after any of the others.
  void on_connected(std::uint32_t backend);
  void on_connect_failed(std::uint32_t backend, Instant now);
  void on_released(std::uint32_t backend) { counters_[backend].active.down(); }

  [[nodiscard]] const PoolConfig& config() const { return config_; }
  [[nodiscard]] const Endpoint& endpoint(std::uint32_t backend) const {
    return config_.backends[backend];
  }
  [[nodiscard]] const BackendCounters& counters(std::uint32_t backend) const {
    return counters_[backend];
  }
  [[nodiscard]] bool put_aside(std::uint32_t backend, Instant now) const {
    return now < health_[backend].aside_until;
  }

 private:
  struct Health {
    Instant aside_until = Instant::min();
    std::uint32_t failures = 0;  // in a row; failures of one outage at the same time count once
    bool on_trial = false;       // its time is over and one session is finding out
  };

  [[nodiscard]] std::uint32_t scan(const BackendSet& tried, bool healthy_only, Instant now) const;
  [[nodiscard]] Duration aside_time(std::uint32_t failures) const;

  PoolConfig config_;
  std::vector<Health> health_;
  std::unique_ptr<BackendCounters[]> counters_;
  std::uint32_t next_ = 0;  // where the rotation goes on
};

}  // namespace weir::lb
