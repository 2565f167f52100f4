// Initial sequence numbers (RFC 6528) and timestamp offsets: what each SYN costs in keyed hashing.
#include "tcp/isn.h"

#include <benchmark/benchmark.h>

#include "flow_workload.h"
#include "meter.h"

namespace weir::bench {
namespace {

FlowKey flow_of_family(std::int64_t family) {
  FlowKey flow = flow_of(7);
  if (family == 6) {
    flow.local = IpAddr::v6({0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    flow.remote = IpAddr::v6({0x20, 1, 0xd, 0xb8, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  }
  return flow;
}

// The port and the clock move, so that nothing is hoisted out of the loop.
void initial_sequence(benchmark::State& state) {
  FlowKey flow = flow_of_family(state.range(0));
  Instant now{1s};
  const Meter meter(state);
  for (auto _ : state) {
    ++flow.remote_port;
    now += 1us;
    benchmark::DoNotOptimize(tcp::initial_sequence(kKey, flow, now));
  }
}

void timestamp_offset(benchmark::State& state) {
  FlowKey flow = flow_of_family(state.range(0));
  const Meter meter(state);
  for (auto _ : state) {
    ++flow.remote_port;
    benchmark::DoNotOptimize(tcp::timestamp_offset(kKey, flow));
  }
}

BENCHMARK(initial_sequence)->ArgName("ip")->Arg(4)->Arg(6);
BENCHMARK(timestamp_offset)->ArgName("ip")->Arg(4)->Arg(6);

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
