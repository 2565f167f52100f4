// What a worker does when an iteration found nothing: goes on, yields, or sleeps for a little.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"

namespace weir::dpdk {

enum class Idle : std::uint8_t { kPoll, kYield, kSleep };

[[nodiscard]] std::optional<Idle> parse_idle(std::string_view text);  // "poll", "yield", "sleep"

struct IdleConfig {
  Idle mode = Idle::kSleep;
  Duration max_sleep = 100us;  // what a frame may wait for at most, the system's own delay apart
};

class IdleWaiter {
 public:
  explicit IdleWaiter(const IdleConfig& config) : config_(config) {}

  // After each iteration: `work` as Worker::run_once returns it. Sleeps, if at all, no longer than
  // until `deadline`.
  void after(unsigned work, Instant now, Instant deadline) {
    if (work != 0 || config_.mode == Idle::kPoll) {
      empty_ = 0;
      return;
    }
    wait(now, deadline);
  }

 private:
  void wait(Instant now, Instant deadline);

  IdleConfig config_;
  std::uint32_t empty_ = 0;  // iterations since there was work
  Duration sleep_{};
};

}  // namespace weir::dpdk
