// The whole of one core's endpoint per packet, port and octets on the wire apart: from a frame in a
// block to the decision what to send. Bursts of 32, each frame of another connection, in an order
// in which each connection comes round once: with 100,000 of them none is in a near cache.
#include <benchmark/benchmark.h>

#include <vector>

#include "base/rng.h"
#include "stack_rig.h"

namespace weir::bench {
namespace {

using enum wire::TcpFlags;

constexpr std::uint32_t kText = 1'448;

// Every flow once, in random order, over and over.
std::vector<Remote> shuffled_remotes(std::uint32_t n, std::uint32_t first = 0) {
  std::vector<Remote> remotes(n);
  for (std::uint32_t i = 0; i < n; ++i) remotes[i].flow = StackRig::flow(first + i);
  Rng rng(n);
  for (std::uint32_t i = n; i > 1; --i) std::swap(remotes[i - 1], remotes[rng.below(i)]);
  return remotes;
}

// A SYN with Linux's options to its SYN-ACK, while so many others are half-open: the queue is full,
// so each takes the place of the oldest (RFC 4987 §3.2), which is the state of a flood.
void syn_to_synack(benchmark::State& state) {
  const auto half_open = static_cast<std::uint32_t>(state.range(0));
  StackRig rig({.half_open = half_open});
  std::uint32_t next = 0;
  Remote r;
  const auto burst = [&] {
    for (unsigned i = 0; i < kFrames; ++i) {
      r.flow = StackRig::flow(next++ & ((1U << 30U) - 1));
      rig.add(r, SYN);
    }
    return rig.run();
  };
  while (next < half_open) {
    burst();
    rig.settle();
  }
  std::uint64_t synacks = 0;
  {
    Meter meter(state, kFrames);
    for (auto _ : state) {
      meter.spent(burst());
      for (const tcp::TxPacket& p : rig.tx()) synacks += p.seg.flags == (SYN | ACK) ? 1 : 0;
      rig.settle();
    }
  }
  const auto wanted = static_cast<std::uint64_t>(state.iterations()) * kFrames;
  if (synacks != wanted) state.SkipWithError("a SYN was not answered by a SYN-ACK");
  if (rig.stack().gauges().half_open != half_open) state.SkipWithError("the SYN queue is not full");
}

// A connection that comes and goes: SYN, ACK, accept, then the peer's RST. Items are connections.
void open_and_reset(benchmark::State& state) {
  const auto others = static_cast<std::uint32_t>(state.range(0));
  StackRig rig({.connections = others + kFrames});
  std::vector<Remote> standing = shuffled_remotes(others);
  rig.establish(standing);
  std::vector<Remote> burst(kFrames);
  std::uint32_t next = others;
  std::uint64_t accepted = 0;
  const auto pass = [&](unsigned flags) {
    for (const Remote& r : burst) rig.add(r, flags);
    return rig.run();
  };
  {
    Meter meter(state, kFrames);
    for (auto _ : state) {
      for (Remote& r : burst) {
        r = Remote{};
        r.flow = StackRig::flow(next++);
      }
      std::uint64_t ticks = pass(SYN);
      if (rig.tx().size() != kFrames) state.SkipWithError("a SYN was not answered by a SYN-ACK");
      for (unsigned i = 0; i < rig.tx().size(); ++i) {
        burst[i].snd_nxt += 1;
        burst[i].rcv_nxt = rig.tx()[i].seg.seq + 1;
        burst[i].ts_ecr = rig.tx()[i].seg.options.ts_val;
      }
      rig.settle();
      ticks += pass(ACK);
      accepted += rig.accepted().size();
      rig.settle();
      ticks += pass(RST);
      rig.settle();
      meter.spent(ticks);
    }
  }
  if (accepted != static_cast<std::uint64_t>(state.iterations()) * kFrames) {
    state.SkipWithError("a connection was not accepted");
  }
  if (rig.stack().gauges().connections != others) state.SkipWithError("a connection was left");
}

// A full segment in order on an established connection: delivered, read by its user, and
// acknowledged: every second one at once (RFC 5681 §4.2), or all of a burst together where there is
// one connection. `acks` says how many ACKs went out per segment.
void segment_to_ack(benchmark::State& state) {
  const auto n = static_cast<std::uint32_t>(state.range(0));
  StackRig rig({.connections = n});
  std::vector<Remote> remotes = shuffled_remotes(n);
  rig.establish(remotes);
  std::size_t at = 0;
  std::uint64_t bursts = 0;
  const auto burst = [&](std::size_t step = 1) {
    for (unsigned i = 0; i < kFrames; ++i) {
      Remote& r = remotes[at];
      at = at + step < n ? at + step : 0;
      rig.add(r, ACK, kText);
      r.snd_nxt += kText;
    }
    ++bursts;
    return rig.run();
  };
  // The first segments of a connection are acknowledged otherwise than those that follow; then
  // every other connection is put one segment ahead, so that in each burst half of them have an ACK
  // due.
  for (const std::size_t step : {std::size_t{1}, std::size_t{1}, std::size_t{2}}) {
    at = 0;
    for (std::size_t done = 0; done < n; done += kFrames * step) {
      burst(step);
      rig.settle();
    }
  }
  at = 0;
  std::uint64_t acks = 0;
  {
    Meter meter(state, kFrames);
    for (auto _ : state) {
      meter.spent(burst());
      acks += rig.tx().size();
      rig.settle();
    }
  }
  const auto segments = static_cast<std::uint64_t>(state.iterations()) * kFrames;
  state.counters["acks"] = static_cast<double>(acks) / static_cast<double>(segments);
  if (rig.read() != bursts * kFrames * kText) state.SkipWithError("text was lost");
}

BENCHMARK(syn_to_synack)->ArgName("half_open")->Arg(32)->Arg(4'096)->Arg(100'000)->UseManualTime();
BENCHMARK(open_and_reset)->ArgName("others")->Arg(0)->Arg(1'000)->Arg(100'000)->UseManualTime();
BENCHMARK(segment_to_ack)->ArgName("conns")->Arg(1)->Arg(1'000)->Arg(100'000)->UseManualTime();

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
