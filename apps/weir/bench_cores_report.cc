// The figures of `weir bench cps --cores-each` as text and as JSON.
#include <numeric>

#include "bench_cores.h"
#include "json.h"

namespace weir::app {
namespace {

using Phase = std::vector<PairFigures> CoresRound::*;
using Value = double PairFigures::*;

double sum(const std::vector<PairFigures>& v, Value of) {
  return std::accumulate(v.begin(), v.end(), 0.0,
                         [of](double s, const PairFigures& p) { return s + p.*of; });
}
double mean(const std::vector<PairFigures>& v, Value of) {
  return v.empty() ? 0 : sum(v, of) / static_cast<double>(v.size());
}

double pair_median(const std::vector<CoresRound>& rounds, Phase phase, std::size_t i, Value of) {
  return median_of(rounds, [&](const CoresRound& r) { return (r.*phase)[i].*of; });
}

std::string list(const std::vector<CoresRound>& rounds, Phase phase, Value of) {
  std::string out;
  for (std::size_t i = 0; i < (rounds.front().*phase).size(); ++i) {
    out += (i == 0 ? "" : ",") + format("%.3f", pair_median(rounds, phase, i, of));
  }
  return "[" + out + "]";
}

}  // namespace

double scale_in_cycles(const std::vector<CoresRound>& rounds) {
  return median_of(rounds, [](const CoresRound& r) {
    const double together = mean(r.together, &PairFigures::cycles);
    return together > 0 ? static_cast<double>(r.together.size()) *
                              mean(r.alone, &PairFigures::cycles) / together
                        : 0;
  });
}

double scale_in_rate(const std::vector<CoresRound>& rounds) {
  return median_of(rounds, [](const CoresRound& r) {
    const double alone = mean(r.alone, &PairFigures::rate);
    return alone > 0 ? sum(r.together, &PairFigures::rate) / alone : 0;
  });
}

std::string cores_report_text(const BenchReport& r, const std::vector<CoresRound>& rounds) {
  const BenchConfig& c = r.config;
  std::string out =
      format("weir bench cps, %u cores, each with its own generator on a ring, %u at once each\n",
             c.pairs, c.concurrency) +
      machine_text(r) + "\n";
  if (!r.note.empty()) out += "  note: " + r.note + "\n";
  out += format("\n  %-24s %20s %20s %20s %20s\n", "", "alone, connections/s", "together",
                "alone, cycles", "together");
  for (std::size_t i = 0; i < c.pairs; ++i) {
    out += format("    %-22s", format("CPU %u", c.cores[i]).c_str());
    for (const Value of : {&PairFigures::rate, &PairFigures::cycles}) {
      for (const Phase phase : {&CoresRound::alone, &CoresRound::together}) {
        out += format(" %20s", grouped(pair_median(rounds, phase, i, of)).c_str());
      }
    }
    out += "\n";
  }
  out += format("\n  %u cores are %.2f times one in cycles per connection, %.2f times in rate\n",
                c.pairs, scale_in_cycles(rounds), scale_in_rate(rounds));
  return out + "  cycles: of a connection, server's and generator's side together\n";
}

std::string cores_report_json(const BenchReport& r, const std::vector<CoresRound>& rounds) {
  JsonObject o;
  o.text("event", "bench");
  o.text("mode", "cores");
  o.text("cpu", r.cpu);
  o.number("tsc_hz", r.tsc_hz);
  if (!r.note.empty()) o.text("note", r.note);
  o.number("pairs", r.config.pairs);
  o.number("rounds", rounds.size());
  o.raw("alone_rate", list(rounds, &CoresRound::alone, &PairFigures::rate));
  o.raw("together_rate", list(rounds, &CoresRound::together, &PairFigures::rate));
  o.raw("alone_cycles", list(rounds, &CoresRound::alone, &PairFigures::cycles));
  o.raw("together_cycles", list(rounds, &CoresRound::together, &PairFigures::cycles));
  o.real("scale_in_cycles", scale_in_cycles(rounds));
  o.real("scale_in_rate", scale_in_rate(rounds));
  o.raw("ok", "true");
  return o.str();
}

}  // namespace weir::app
