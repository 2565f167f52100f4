// A rest (lib/tcp/frozen.h): what it costs to put a control block away, and to bring it back.
#include "tcp/frozen.h"

#include <benchmark/benchmark.h>

#include <memory>

#include "meter.h"
#include "tcp/listen.h"

namespace weir::bench {
namespace {

constexpr Instant kNow{1'000s};

// Established by a listener, with nothing under way.
struct Resting {
  Resting() {
    tcp::RxSegment syn;
    syn.seq = Seq{1'000};
    syn.flags = tcp::SYN;
    syn.wnd = 65'535;
    syn.options.mss = 1'460;
    syn.options.has_timestamps = syn.options.sack_permitted = true;
    syn.options.ts_val = 1;
    syn.options.window_scale = 7;
    const FlowKey flow{IpAddr::v4(10, 0, 0, 1), IpAddr::v4(10, 0, 0, 2), 80, 12'345};
    tcp::SynEntry entry;
    tcp::open_syn_entry(entry, syn, flow, Seq{5'000}, config);
    tcp::open_passive(tcb, entry, {.iss = Seq{5'000}}, kNow);
    tcp::RxSegment ack = syn;
    ack.seq = Seq{1'001};
    ack.ack = Seq{5'001};
    ack.flags = tcp::ACK;
    out.counters = &counters;
    tcp::on_segment(tcb, ack, kNow, out);
    tcb.notices = tcb.path_news = 0;
  }

  tcp::Config config;
  telemetry::Counters counters;
  tcp::Outbox out;
  tcp::Tcb tcb{config};
};

void freeze(benchmark::State& state) {
  Resting r;
  const Meter meter(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(r.tcb);
    if (!tcp::may_freeze(r.tcb, kNow)) state.SkipWithError("it may not rest");
    benchmark::DoNotOptimize(tcp::freeze(r.tcb));
  }
}

void thaw(benchmark::State& state) {
  const Resting r;
  tcp::Frozen frozen = tcp::freeze(r.tcb);
  alignas(64) std::byte place[sizeof(tcp::Tcb)];
  const Meter meter(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(frozen);
    auto* t = ::new (place) tcp::Tcb(r.config);
    tcp::thaw(*t, frozen, kNow);
    benchmark::DoNotOptimize(*t);
    std::destroy_at(t);
  }
}

BENCHMARK(freeze);
BENCHMARK(thaw);

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
