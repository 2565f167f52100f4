#include "dpdk/idle.h"

#include <sched.h>

#include <algorithm>
#include <ctime>

namespace weir::dpdk {
namespace {

constexpr std::uint32_t kSpins = 16;   // empty iterations before the first yield
constexpr std::uint32_t kYields = 16;  // yields before the first sleep
constexpr Duration kFirstSleep = 10us;

}  // namespace

std::optional<Idle> parse_idle(std::string_view text) {
  if (text == "poll") return Idle::kPoll;
  if (text == "yield") return Idle::kYield;
  if (text == "sleep") return Idle::kSleep;
  return std::nullopt;
}

void IdleWaiter::wait(Instant now, Instant deadline) {
  if (empty_ < kSpins + kYields) {
    sleep_ = std::min(kFirstSleep, config_.max_sleep);
    if (++empty_ > kSpins) sched_yield();
    return;
  }
  if (config_.mode == Idle::kYield) {
    sched_yield();
    return;
  }
  const Duration until = deadline == kNever ? config_.max_sleep : deadline - now;
  const Duration d = std::min(sleep_, until);
  if (d > Duration::zero()) {
    const timespec t{d.count() / 1'000'000, d.count() % 1'000'000 * 1'000};
    nanosleep(&t, nullptr);  // a signal (a frame on a TAP) ends it early: as good
  }
  sleep_ = std::min(sleep_ + sleep_ / 2, config_.max_sleep);
}

}  // namespace weir::dpdk
