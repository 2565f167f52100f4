// The client's side of the modes that need no HTTP, and what they find: `weir bench latency`, `weir
// bench cold`, and the bare port beside `weir bench stream`.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "bench.h"
#include "bench_far.h"
#include "bench_figures.h"
#include "dpdk/eal.h"
#include "dpdk/port.h"

namespace weir::app {

// This process's end of the port, and how the other one is spoken to. Errors are one line.
struct BenchEnds {
  dpdk::Eal& eal;
  unsigned worker;
  dpdk::Port& port;
  std::function<void()> swallow;  // frames that are left of what went before
  std::function<std::optional<std::string>(FarTask)> begin_far;
  std::function<Result<SideFigures, std::string>()> look_far;
  std::function<std::optional<std::string>()> end_far;
  // Waits so long; true: this process is asked to end.
  std::function<bool(Duration)> pause;
};

// Bare frames to and fro, then messages over a connection, of as many octets on the wire.
[[nodiscard]] Result<LatencyRound, std::string> latency_round(const BenchConfig& c,
                                                              const BenchEnds& ends);

// Opens BenchConfig::beside connections and measures; opens the others and measures again, over all
// of them and over the first ones. Says how far it is on stderr, unless the answer is for a
// program.
[[nodiscard]] Result<ColdRound, std::string> cold_round(const BenchConfig& c,
                                                        const BenchEnds& ends);

// Octets of text a second that the port alone would carry in full frames: with IP, TCP and its
// timestamps in each of them.
[[nodiscard]] Result<double, std::string> bare_rate(const BenchConfig& c, const BenchEnds& ends);

// What is wrong with the memory there is for `connections` on both sides, as one line.
[[nodiscard]] std::optional<std::string> lacks_memory(std::uint64_t connections);

}  // namespace weir::app
