// DPDK's rte_timer beside Weir's wheel: what each ACK, each new deadline and each turn of a loop
// pay, by how many timers stand.
//
// rte_timer is a skip list by deadline, moved at every extension; the wheel's node stays until it
// is due, as the control block keeps the true deadline. rte_timer reads the clock itself, so that
// timers that expire cannot be compared.
#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/rng.h"
#include "meter.h"
#include "timer/wheel.h"

namespace weir::bench {
namespace {

constexpr Duration kFar = 3'600s;  // beyond the end of the program

Duration some_timeout(Rng& rng) {
  return kFar + Duration{rng.below(2'000'000)};
}

struct WeirTimers {
  explicit WeirTimers(std::uint32_t n) : count(n), wheel(n, Instant{}) {
    for (std::uint32_t id = 0; id < n; ++id) wheel.arm(id, Instant{} + some_timeout(rng));
  }
  static constexpr double kOctets = timer::Wheel::kNodeSize;
  void extend() { wheel.arm(rng.below(count), Instant{} + 2 * kFar); }
  void cancel_and_arm() {
    const std::uint32_t id = rng.below(count);
    wheel.cancel(id);
    wheel.arm(id, Instant{} + some_timeout(rng));
  }
  void turn() { benchmark::DoNotOptimize(wheel.advance(Instant{1us}, out)); }

  std::uint32_t count;
  Rng rng{1};
  timer::Wheel wheel;
  std::array<std::uint32_t, 64> out{};
};

void nothing(rte_timer*, void*) {}

struct RteTimers {
  explicit RteTimers(std::uint32_t n) : timers(n) {
    for (rte_timer& t : timers) {
      rte_timer_init(&t);
      arm(t, some_timeout(rng));
    }
  }
  ~RteTimers() {
    for (rte_timer& t : timers) rte_timer_stop(&t);
  }
  RteTimers(const RteTimers&) = delete;
  RteTimers& operator=(const RteTimers&) = delete;

  static constexpr double kOctets = sizeof(rte_timer);
  rte_timer& any() { return timers[rng.below(static_cast<std::uint32_t>(timers.size()))]; }
  void arm(rte_timer& t, Duration after) const {
    const auto us = static_cast<std::uint64_t>(after.count());
    if (rte_timer_reset(&t, us * per_us, SINGLE, lcore, nothing, nullptr) != 0) std::abort();
  }
  void extend() { arm(any(), kFar + some_timeout(rng)); }
  void cancel_and_arm() {
    rte_timer& t = any();
    rte_timer_stop(&t);
    arm(t, some_timeout(rng));
  }
  void turn() { rte_timer_manage(); }

  std::uint64_t per_us = rte_get_timer_hz() / 1'000'000;
  unsigned lcore = rte_lcore_id();
  Rng rng{1};
  std::vector<rte_timer> timers;
};

template <class Timers, void (Timers::*Step)()>
void run(benchmark::State& state, const char* budget) {
  Timers t(static_cast<std::uint32_t>(state.range(0)));
  {
    const Meter meter(state);
    for (auto _ : state) (t.*Step)();
  }
  state.counters["octets"] = Timers::kOctets;
  state.SetLabel(budget);
}

void weir_wheel_extend(benchmark::State& s) {
  run<WeirTimers, &WeirTimers::extend>(s, "no work in the wheel per ACK");
}
void rte_timer_extend(benchmark::State& s) {
  run<RteTimers, &RteTimers::extend>(s, "no work in the wheel per ACK");
}
void weir_wheel_arm(benchmark::State& s) {
  run<WeirTimers, &WeirTimers::cancel_and_arm>(s, "a connection: once");
}
void rte_timer_arm(benchmark::State& s) {
  run<RteTimers, &RteTimers::cancel_and_arm>(s, "a connection: once");
}
void weir_wheel_turn(benchmark::State& s) {
  run<WeirTimers, &WeirTimers::turn>(s, "an idle connection costs nothing per tick");
}
void rte_timer_turn(benchmark::State& s) {
  run<RteTimers, &RteTimers::turn>(s, "an idle connection costs nothing per tick");
}

BENCHMARK(weir_wheel_extend)->Arg(1'000)->Arg(100'000);
BENCHMARK(rte_timer_extend)->Arg(1'000)->Arg(100'000);
BENCHMARK(weir_wheel_arm)->Arg(1'000)->Arg(100'000);
BENCHMARK(rte_timer_arm)->Arg(1'000)->Arg(100'000);
BENCHMARK(weir_wheel_turn)->Arg(1'000)->Arg(100'000);
BENCHMARK(rte_timer_turn)->Arg(1'000)->Arg(100'000);

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  const char* eal[] = {argv[0],          "--no-huge",     "-m", "256", "--no-pci", "--no-shconf",
                       "--no-telemetry", "--log-level=3", "-l", "0"};
  if (rte_eal_init(sizeof eal / sizeof *eal, const_cast<char**>(eal)) < 0 ||
      rte_timer_subsystem_init() != 0) {
    std::fputs("no EAL\n", stderr);
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
