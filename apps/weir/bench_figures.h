// What one side of a benchmark counted in one round, and how several rounds are put into words.
// Numbers and text only: no DPDK, no clock.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench.h"
#include "telemetry/counters.h"
#include "telemetry/stages.h"

namespace weir::app {

struct SideFigures {
  telemetry::StageMeter::Sums meter;
  std::array<std::uint64_t, telemetry::kCounterInfo.size()> counters{};
  std::uint64_t connections = 0;  // client: ended as they were meant to; server: accepted
  std::uint64_t requests = 0;     // answered
  std::uint64_t errors = 0;
  std::uint64_t text_octets = 0;  // client: received; server: sent, heads left out
  std::uint64_t elapsed_us = 0;   // client: from its first turn to the end of its last connection
  std::uint64_t peak_connections = 0;  // control blocks in use at one time
  std::uint64_t record_octets = 0;     // one open connection with all its parts, program's included
  std::uint64_t buffer_octets = 0;     // of this side's pools, at the peak
  std::uint64_t time_wait = 0;         // records at the end of the round
  std::uint64_t time_wait_octets = 0;  // one of them

  [[nodiscard]] std::uint64_t counter(std::string_view name) const;
  // What the mode counts in: connections, requests, KiB of text.
  [[nodiscard]] double units(BenchMode mode) const;
  // Cycles of all iterations that did something. Those that were interrupted count as the mean of
  // the others.
  [[nodiscard]] double busy() const;
  [[nodiscard]] double stage(std::size_t i) const;
};

// One line, and back; nothing when it is not such a line.
[[nodiscard]] std::string to_line(const SideFigures& f);
[[nodiscard]] std::optional<SideFigures> parse_figures(std::string_view line);

// What passed between two looks at the same side: cycles and counts.
[[nodiscard]] SideFigures since(const SideFigures& now, const SideFigures& before);

struct Percentiles {  // nanoseconds; at most 1/128 too high
  std::uint64_t count = 0, p50 = 0, p99 = 0, p999 = 0;
};
struct LatencyRound {
  Percentiles bare, tcp;           // from send to receive of what came back
  std::uint32_t frame_octets = 0;  // of both, on the wire
};

// `among` connections in their turn, for so long.
struct ColdPhase {
  SideFigures client, server;
  std::uint64_t elapsed_us = 0;
  std::uint32_t among = 0;
};
struct ColdRound {
  ColdPhase hot;      // few, and no others are open
  ColdPhase opening;  // the others
  ColdPhase cold;     // all of them
  ColdPhase again;    // the few, while all are open
};

struct BenchRound {
  std::optional<SideFigures> client, server;
};

struct BenchReport {
  BenchConfig config;
  std::string cpu;
  std::uint64_t tsc_hz = 0;
  Duration time_wait{};
  std::string note;  // what makes the figures doubtful
  // Out of the pools when all was over: nothing may be. Not of ports that hold some themselves.
  std::uint64_t buffers_left = 0;
  std::vector<BenchRound> rounds;
  std::vector<double> bare;  // stream: octets of text a second that the port alone carries, a round
  std::vector<LatencyRound> latency;
  std::vector<ColdRound> cold;
};

// Of latency and cold, in bench_echo_report.cc.
[[nodiscard]] std::string echo_text(const BenchReport& r);
[[nodiscard]] std::string echo_json(const BenchReport& r);

// What all reports begin with: the processor, who runs where.
[[nodiscard]] std::string machine_text(const BenchReport& r);
[[nodiscard]] std::string grouped(double v);         // 1234567 as 1,234,567
[[nodiscard]] double median(std::vector<double> v);  // 0 of nothing

// The median of what `value` makes of each round.
template <class Round, class Value>
[[nodiscard]] double median_of(const std::vector<Round>& rounds, const Value& value) {
  std::vector<double> all;
  all.reserve(rounds.size());
  for (const Round& r : rounds) all.push_back(value(r));
  return median(std::move(all));
}

[[nodiscard]] std::string report_text(const BenchReport& r);
[[nodiscard]] std::string report_json(const BenchReport& r);  // one line

// What went wrong, as one line; nothing when all connections did what they should, and both sides
// saw the same number of them.
[[nodiscard]] std::optional<std::string> complaint(const BenchReport& r);

}  // namespace weir::app
