// Hashes of a 4-tuple: SipHash for tables and initial sequence numbers, Toeplitz for queues; and
// the choice of an ephemeral port.
#include <benchmark/benchmark.h>

#include <array>

#include "base/siphash.h"
#include "flow/ports.h"
#include "flow/toeplitz.h"
#include "flow_workload.h"
#include "meter.h"

namespace weir::bench {
namespace {

FlowKey v6_flow() {
  FlowKey flow = flow_of(7);
  flow.local = IpAddr::v6({0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  flow.remote = IpAddr::v6({0x20, 1, 0xd, 0xb8, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  return flow;
}

// Varies the port, so that nothing is hoisted out of the loop.
template <class Hash>
void run(benchmark::State& state, const Hash& hash) {
  FlowKey flow = state.range(0) == 6 ? v6_flow() : flow_of(7);
  const Meter meter(state);
  for (auto _ : state) {
    ++flow.remote_port;
    benchmark::DoNotOptimize(hash(flow));
  }
}

void sip13(benchmark::State& state) {
  run(state, [](const FlowKey& flow) { return siphash13(kKey, flow); });
}
void sip24(benchmark::State& state) {
  run(state, [](const FlowKey& flow) { return siphash24(kKey, flow); });
}
void toeplitz(benchmark::State& state) {
  std::array<std::byte, 40> key;
  Rng rng(1);
  for (auto& octet : key) octet = static_cast<std::byte>(rng.next() & 0xffU);
  run(state, flow::RssHash(key));
}
void pick_port(benchmark::State& state) {
  flow::PortPicker picker(32'768, 60'999, kKey);
  const IpAddr local = IpAddr::v4(10, 0, 0, 1);
  Endpoint remote{IpAddr::v4(10, 0, 0, 2), 80};
  const Meter meter(state);
  for (auto _ : state) {
    ++remote.port;
    benchmark::DoNotOptimize(picker.pick(local, remote, [](std::uint16_t) { return true; }));
  }
}

BENCHMARK(sip13)->Arg(4)->Arg(6);
BENCHMARK(sip24)->Arg(4)->Arg(6);
BENCHMARK(toeplitz)->Arg(4)->Arg(6);
BENCHMARK(pick_port);

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
