// `weir bench cps --cores-each N`: does a second core bring as much as the first? N cores, each
// with a server's shard and the generator of its traffic on a ring of their own, in turn in one
// thread: each pair alone, then all at once. What they share is the machine: caches, memory, clock.
#pragma once

#include <string>
#include <vector>

#include "bench_figures.h"

namespace weir::app {

struct PairFigures {
  double rate = 0;    // connections a second
  double cycles = 0;  // a connection, both sides
};
struct CoresRound {
  std::vector<PairFigures> alone, together;  // by pair
};

// Of the median round: N times what a connection took alone, by what it took with the others; and
// all rates together by the mean of those alone.
[[nodiscard]] double scale_in_cycles(const std::vector<CoresRound>& rounds);
[[nodiscard]] double scale_in_rate(const std::vector<CoresRound>& rounds);

[[nodiscard]] std::string cores_report_text(const BenchReport& r,
                                            const std::vector<CoresRound>& rounds);
[[nodiscard]] std::string cores_report_json(const BenchReport& r,
                                            const std::vector<CoresRound>& rounds);

// The exit code, as run_bench's. Pre: config.pairs CPUs in config.cores.
[[nodiscard]] int run_cores(const BenchConfig& config, BenchReport& report);

}  // namespace weir::app
