// Timing wheel: what arming, extending and advancing cost, by how many nodes stand in it. The
// budgets it serves: no work in the wheel per ACK; an idle connection costs nothing per tick; 10
// million keepalives spread evenly; the cost does not grow with what the wheel holds.
#include "timer/wheel.h"

#include <benchmark/benchmark.h>

#include <algorithm>
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

// Keepalives of two hours, spread evenly, in the order of nobody's index: as those of as many idle
// connections stand. What comes out is armed anew, for two hours.
struct Keepalives {
  static constexpr Duration kTime = 7'200s;
  explicit Keepalives(std::uint32_t n) : count(n), wheel(n, Instant{}) {
    const std::uint64_t stride = 2'654'435'761U % n | 1U;  // a walk through all ids
    std::uint64_t id = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      while (wheel.armed(static_cast<std::uint32_t>(id))) id = (id + 1) % n;
      wheel.arm(static_cast<std::uint32_t>(id), Instant{1ms} + kTime * i / n);
      id = (id + stride) % n;
    }
  }
  // How many came out by then.
  unsigned advance_to(Instant now) {
    unsigned fired = 0;
    do {
      const unsigned n = wheel.advance(now, out);
      for (unsigned i = 0; i < n; ++i) wheel.arm(out[i], now + kTime);
      fired += n;
    } while (wheel.next_deadline() <= now);
    return fired;
  }
  std::uint32_t count;
  timer::Wheel wheel;
  Instant now{};
  std::array<std::uint32_t, 64> out{};
};

// A tick of a millisecond, whoever is due.
void keepalive_tick(benchmark::State& state) {
  Keepalives k(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state);
  std::uint64_t fired = 0;
  for (auto _ : state) fired += k.advance_to(k.now += 1ms);
  state.counters["due_a_tick"] =
      static_cast<double>(fired) / static_cast<double>(state.iterations());
}

// One keepalive through its life: armed, moved down the levels, due; items are those that came out,
// in turns of a tick or of what passes until the next is due, if that is longer.
void keepalive_life(benchmark::State& state) {
  Keepalives k(static_cast<std::uint32_t>(state.range(0)));
  const Duration step = std::max<Duration>(Keepalives::kTime / k.count, 1ms);
  std::int64_t fired = 0;
  Meter meter(state);
  for (auto _ : state) fired += k.advance_to(k.now += step);
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
BENCHMARK(keepalive_tick)->Arg(1'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(keepalive_life)->Arg(1'000)->Arg(1'000'000)->Arg(10'000'000);
BENCHMARK(advance_over_an_idle_hour);
BENCHMARK(next_deadline)->Arg(1'000)->Arg(1'000'000);

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
