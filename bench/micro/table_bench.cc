// Connection table: a lookup with the key confirmed on the record, per packet.
#include "flow/table.h"

#include <benchmark/benchmark.h>

#include <array>

#include "meter.h"
#include "table_setup.h"

namespace weir::bench {
namespace {

struct Setup {
  explicit Setup(std::uint32_t n) : work(n), with(work) {}
  FlowWorkload work;
  TableSetup with;
};

void find_one_by_one(benchmark::State& state) {
  Setup& s = kept_setup<Setup>(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    const Lookup* burst = s.work.burst();
    for (unsigned i = 0; i < kBurst; ++i) benchmark::DoNotOptimize(s.with.find(burst[i]));
  }
}

// As the worker does it.
void find_burst(benchmark::State& state) {
  Setup& s = kept_setup<Setup>(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    s.with.find_burst(s.work.burst(), [](std::uint32_t h) { benchmark::DoNotOptimize(h); });
  }
}

void miss_burst(benchmark::State& state) {
  Setup& s = kept_setup<Setup>(static_cast<std::uint32_t>(state.range(0)));
  const Meter meter(state, kBurst);
  Rng rng(1);
  std::array<std::uint64_t, kBurst> hashes;
  for (auto _ : state) {
    for (auto& hash : hashes) s.with.table.prefetch(hash = rng.next());
    for (const auto hash : hashes) benchmark::DoNotOptimize(s.with.table.candidate(hash));
  }
}

// A connection comes, a connection goes, at capacity.
void churn(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  flow::Table table(n);
  Rng rng(2);
  std::vector<std::uint64_t> hashes(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    hashes[i] = rng.next();
    WEIR_ASSERT(table.insert(hashes[i], i));
  }
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    for (unsigned i = 0; i < kBurst; ++i) {
      const std::uint32_t at = rng.below(n);
      table.erase(hashes[at], at);
      hashes[at] = rng.next();
      benchmark::DoNotOptimize(table.insert(hashes[at], at));
    }
  }
}

using MatchTags = unsigned (*)(const std::uint16_t*, std::uint16_t);
template <MatchTags match>
void tags(benchmark::State& state) {
  struct alignas(64) Line {
    std::uint16_t lanes[12];
  };
  std::vector<Line> lines(256);
  Rng rng(3);
  for (auto& line : lines) {
    for (auto& lane : line.lanes) lane = static_cast<std::uint16_t>(rng.next());
  }
  const Meter meter(state, static_cast<std::int64_t>(lines.size()));
  for (auto _ : state) {
    for (const Line& line : lines) benchmark::DoNotOptimize(match(line.lanes, lines[0].lanes[3]));
  }
}

BENCHMARK(find_one_by_one)->Arg(10'000);
BENCHMARK(find_burst)->Arg(10'000);
BENCHMARK(miss_burst)->Arg(10'000);
BENCHMARK(find_one_by_one)->Arg(10'000'000);
BENCHMARK(find_burst)->Arg(10'000'000);
BENCHMARK(miss_burst)->Arg(10'000'000);
BENCHMARK(churn)->Arg(10'000)->Arg(10'000'000);
BENCHMARK(tags<flow::detail::match_tags_scalar>)->Name("tags_scalar");
#if defined(__SSE2__)
BENCHMARK(tags<flow::detail::match_tags_sse2>)->Name("tags_sse2");
#endif

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
