// Timing wheel: what arming, extending and advancing cost, by how many nodes stand in it.
#include "timer/wheel.h"

#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "base/rng.h"
#include "meter.h"

namespace weir::bench {
namespace {

using timer::Wheel;

Duration some_timeout(Rng& rng) {
  return 200ms + Duration{rng.below(2'000'000)};
}

struct Setup {
  explicit Setup(std::uint32_t n) : count(n), wheel(n, Instant{}) {
    for (std::uint32_t id = 0; id < n; ++id) wheel.arm(id, some_timeout(rng) + Instant{});
  }
  std::uint32_t count;
  Rng rng{1};
  Wheel wheel;
};

// A later deadline than the one it stands at: the common case, an ACK came.
void extend(benchmark::State& state) {
  Setup s(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state);
  for (auto _ : state) s.wheel.arm(s.rng.below(s.count), Instant{3s});
}

void cancel_and_arm(benchmark::State& state) {
  Setup s(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state);
  for (auto _ : state) {
    const std::uint32_t id = s.rng.below(s.count);
    s.wheel.cancel(id);
    s.wheel.arm(id, Instant{} + some_timeout(s.rng));
  }
}

// Every iteration of a worker: the same tick, nothing to do.
void advance_same_tick(benchmark::State& state) {
  Setup s(static_cast<std::uint32_t>(state.range(0)));
  std::array<std::uint32_t, 64> out;
  const Meter meter(state);
  for (auto _ : state) benchmark::DoNotOptimize(s.wheel.advance(Instant{1us}, out));
}

// A loop of 100 us, whatever comes out armed again: items are nodes, through their whole life.
void advance_and_rearm(benchmark::State& state) {
  Setup s(static_cast<std::uint32_t>(state.range(0)));
  std::array<std::uint32_t, 64> out;
  Instant now{};
  std::int64_t fired = 0;
  Meter meter(state);
  for (auto _ : state) {
    for (;;) {  // one pass with something in it
      now += 100us;
      const unsigned n = s.wheel.advance(now, out);
      for (unsigned i = 0; i < n; ++i) s.wheel.arm(out[i], now + some_timeout(s.rng));
      fired += n;
      if (n != 0) break;
    }
  }
  meter.items(fired);
}

// An hour of nothing in one step, with a node armed at its end.
void advance_over_an_idle_hour(benchmark::State& state) {
  Wheel wheel(1, Instant{});
  std::array<std::uint32_t, 64> out;
  Instant now{};
  const Meter meter(state);
  for (auto _ : state) {
    wheel.arm(0, now + 1h);
    now += 1h;
    benchmark::DoNotOptimize(wheel.advance(now, out));
  }
}

void next_deadline(benchmark::State& state) {
  Setup s(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state);
  for (auto _ : state) benchmark::DoNotOptimize(s.wheel.next_deadline());
}

BENCHMARK(extend)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(cancel_and_arm)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(advance_same_tick)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(advance_and_rearm)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(advance_over_an_idle_hour);
BENCHMARK(next_deadline)->Arg(1'000)->Arg(1'000'000);

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
