// What every micro benchmark reports: items a second and `cycles`, TSC cycles per item.
//
// The TSC runs at one rate whatever the core's clock does, so cycles are time in another unit. The
// machine may be shared: cycles of a plain loop are counted in the time that the thread had a core;
// under manual time they are the median iteration's, which one preempted iteration does not move.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <vector>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace weir::bench {

inline std::uint64_t nanoseconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

inline std::uint64_t tsc() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return nanoseconds(CLOCK_MONOTONIC);  // its cycles are nanoseconds, then
#endif
}

// Ticks of tsc() a nanosecond, measured once over 20 ms.
inline double ticks_per_ns() {
  static const double rate = [] {
    const std::uint64_t from = nanoseconds(CLOCK_MONOTONIC), ticks = tsc();
    std::uint64_t took = 0;
    while (took < 20'000'000) took = nanoseconds(CLOCK_MONOTONIC) - from;
    return static_cast<double>(tsc() - ticks) / static_cast<double>(took);
  }();
  return rate;
}

// Stands from just before the benchmark's loop to just behind it.
class Meter {
 public:
  explicit Meter(benchmark::State& state, std::int64_t items_per_iteration = 1)
      : state_(state), per_iteration_(items_per_iteration) {
    (void)ticks_per_ns();
    start_ = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  }
  ~Meter() {
    const double ns = static_cast<double>(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - start_);
    const std::int64_t items = items_ != 0 ? items_ : state_.iterations() * per_iteration_;
    state_.SetItemsProcessed(items);
    if (items == 0) return;
    state_.counters["cycles"] = spent_.empty() ? ns * ticks_per_ns() / static_cast<double>(items)
                                               : median() / static_cast<double>(per_iteration_);
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  void items(std::int64_t n) { items_ = n; }  // in all, where iterations differ
  // One iteration under manual time: these ticks alone count.
  void spent(std::uint64_t ticks) {
    spent_.push_back(ticks);
    state_.SetIterationTime(static_cast<double>(ticks) / ticks_per_ns() * 1e-9);
  }

 private:
  double median() {
    const auto middle = spent_.begin() + static_cast<std::ptrdiff_t>(spent_.size() / 2);
    std::nth_element(spent_.begin(), middle, spent_.end());
    return static_cast<double>(*middle);
  }

  benchmark::State& state_;
  std::int64_t per_iteration_;
  std::int64_t items_ = 0;
  std::uint64_t start_ = 0;
  std::vector<std::uint64_t> spent_;
};

}  // namespace weir::bench
