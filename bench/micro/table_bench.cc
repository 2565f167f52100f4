// Connection table: a lookup with the key confirmed on the record, per packet. The budget it
// serves: 2 DRAM misses for a segment of a cold connection, of which the table's line is one.
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

// The life of a connection among few others in a table made for many: looked up as a stranger,
// inserted, found three times, erased.
void come_and_go(benchmark::State& state) {
  constexpr std::uint32_t kOpen = 128;
  flow::Table table(static_cast<std::uint32_t>(state.range(0)));
  Rng rng(4);
  std::array<std::uint64_t, kOpen> hashes;
  for (std::uint32_t i = 0; i < kOpen; ++i) {
    WEIR_ASSERT(table.insert(hashes[i] = rng.next(), i));
  }
  const auto is = [](std::uint32_t want) { return [want](std::uint32_t h) { return h == want; }; };
  std::vector<std::uint64_t> fresh(1U << 12U);  // as many as a cache holds lines of
  for (auto& hash : fresh) hash = rng.next();
  const Meter meter(state, kOpen);
  std::size_t at = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kOpen; ++i) {
      const std::uint64_t hash = fresh[at++ % fresh.size()];
      benchmark::DoNotOptimize(table.find(hash, is(i)));
      table.erase(hashes[i], i);
      benchmark::DoNotOptimize(table.insert(hash, i));
      for (unsigned n = 0; n < 3; ++n) benchmark::DoNotOptimize(table.find(hash, is(i)));
      hashes[i] = hash;
    }
  }
}

// A connection comes, a connection goes, at capacity; and how many lines a search reads then.
void churn(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  flow::Table table(n);
  Rng rng(2);
  std::vector<std::uint64_t> hashes(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    hashes[i] = rng.next();
    WEIR_ASSERT(table.insert(hashes[i], i));
  }
  std::uint64_t refused = 0;
  const Meter meter(state, kBurst);
  for (auto _ : state) {
    for (unsigned i = 0; i < kBurst; ++i) {
      const std::uint32_t at = rng.below(n);
      table.erase(hashes[at], at);
      hashes[at] = rng.next();
      refused += table.insert(hashes[at], at) ? 0U : 1U;
    }
  }
  std::uint64_t hit = 0, miss = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    hit += table.lines_read(hashes[i], [i](std::uint32_t h) { return h == i; });
    miss += table.lines_read(rng.next(), [](std::uint32_t) { return false; });
  }
  state.counters["lines_hit"] = static_cast<double>(hit) / n;
  state.counters["lines_miss"] = static_cast<double>(miss) / n;
  state.counters["refused"] = static_cast<double>(refused);
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
BENCHMARK(come_and_go)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(churn)->Arg(10'000)->Arg(10'000'000);
BENCHMARK(tags<flow::detail::match_tags_scalar>)->Name("tags_scalar");
#if defined(__SSE2__)
BENCHMARK(tags<flow::detail::match_tags_sse2>)->Name("tags_sse2");
#endif

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
