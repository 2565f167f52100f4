// The figures of `weir bench latency` and `weir bench cold` as text and as JSON.
#include <functional>
#include <string_view>

#include "bench_figures.h"
#include "json.h"

namespace weir::app {
namespace {

using telemetry::kStageNames;

double ratio(double a, double b) {
  return b > 0 ? a / b : 0;
}

std::string notes(const BenchReport& r) {
  std::string out = "\n" + machine_text(r) + "\n";
  if (!r.note.empty()) out += "  note: " + r.note + "\n";
  return out;
}

void begin_json(const BenchReport& r, std::string_view mode, JsonObject& o) {
  const BenchConfig& c = r.config;
  o.text("event", "bench");
  o.text("mode", mode);
  o.text("port", c.port);
  o.text("cpu", r.cpu);
  o.number("tsc_hz", r.tsc_hz);
  if (!r.note.empty()) o.text("note", r.note);
  o.number("body", c.body);
}

// -- latency
// ----------------------------------------------------------------------------------------

using Point = std::uint64_t Percentiles::*;
constexpr std::array<std::pair<const char*, Point>, 3> kPoints = {
    std::pair{"p50", &Percentiles::p50}, std::pair{"p99", &Percentiles::p99},
    std::pair{"p99.9", &Percentiles::p999}};

double bare_of(const BenchReport& r, Point p) {
  return median_of(r.latency,
                   [p](const LatencyRound& l) { return static_cast<double>(l.bare.*p); });
}
double tcp_of(const BenchReport& r, Point p) {
  return median_of(r.latency, [p](const LatencyRound& l) { return static_cast<double>(l.tcp.*p); });
}
double latency_ratio(const BenchReport& r, Point p) {
  return median_of(r.latency, [p](const LatencyRound& l) {
    return ratio(static_cast<double>(l.tcp.*p), static_cast<double>(l.bare.*p));
  });
}

std::string latency_text(const BenchReport& r) {
  std::string out = "weir bench latency, port " + r.config.port + ", " +
                    std::to_string(r.latency.size()) + " rounds, messages of " +
                    std::to_string(r.config.body) + " octets (frames of " +
                    std::to_string(r.latency.front().frame_octets) + "), one at a time" + notes(r);
  out += format("\n  %-24s %12s %12s %8s\n", "to and fro", "bare frame", "TCP", "ratio");
  for (const auto& [name, p] : kPoints) {
    out += format("    %-22s %9s ns %9s ns %8.2f\n", name, grouped(bare_of(r, p)).c_str(),
                  grouped(tcp_of(r, p)).c_str(), latency_ratio(r, p));
  }
  out += format("    %-22s %12s %12s\n", "measured, a round",
                grouped(bare_of(r, &Percentiles::count)).c_str(),
                grouped(tcp_of(r, &Percentiles::count)).c_str());
  return out;
}

std::string percentiles_json(const BenchReport& r, double (*of)(const BenchReport&, Point)) {
  JsonObject o;
  o.real("p50", of(r, &Percentiles::p50));
  o.real("p99", of(r, &Percentiles::p99));
  o.real("p999", of(r, &Percentiles::p999));
  return o.str();
}

std::string latency_json(const BenchReport& r) {
  JsonObject o;
  begin_json(r, "latency", o);
  o.number("rounds", r.latency.size());
  o.number("frame_octets", r.latency.front().frame_octets);
  o.raw("bare_ns", percentiles_json(r, bare_of));
  o.raw("tcp_ns", percentiles_json(r, tcp_of));
  o.raw("ratio", percentiles_json(r, latency_ratio));
  o.real("count", tcp_of(r, &Percentiles::count));
  o.raw("ok", "true");
  return o.str();
}

// -- cold
// -------------------------------------------------------------------------------------------

using Phase = ColdPhase ColdRound::*;
constexpr std::array<std::pair<const char*, Phase>, 3> kPhases = {
    std::pair{"hot", &ColdRound::hot}, std::pair{"cold", &ColdRound::cold},
    std::pair{"again", &ColdRound::again}};

double cycles(const SideFigures& f) {
  return ratio(f.busy(), static_cast<double>(f.requests));
}
double a_second(std::uint64_t n, const ColdPhase& p) {
  return ratio(static_cast<double>(n) * 1e6, static_cast<double>(p.elapsed_us));
}
using SideOf = SideFigures ColdPhase::*;
double cycles_of(const BenchReport& r, Phase p, SideOf side) {
  return median_of(r.cold, [&](const ColdRound& c) { return cycles((c.*p).*side); });
}
double rate_of(const BenchReport& r, Phase p) {
  return median_of(r.cold,
                   [&](const ColdRound& c) { return a_second((c.*p).client.requests, c.*p); });
}
double opening_rate(const BenchReport& r) {
  return median_of(
      r.cold, [](const ColdRound& c) { return a_second(c.opening.client.connections, c.opening); });
}
double cold_ratio(const BenchReport& r, Phase p, SideOf side) {
  return median_of(
      r.cold, [&](const ColdRound& c) { return ratio(cycles((c.*p).*side), cycles(c.hot.*side)); });
}

std::string cold_text(const BenchReport& r) {
  const BenchConfig& c = r.config;
  std::string out = "weir bench cold, port " + c.port + ", " + std::to_string(r.cold.size()) +
                    " rounds, messages of " + std::to_string(c.body) + " octets, " +
                    std::to_string(c.window) + " under way" + notes(r);
  out +=
      format("\n  opened: %s connections at %s a second\n",
             grouped(static_cast<double>(c.connections)).c_str(), grouped(opening_rate(r)).c_str());
  out += format("\n  %-38s %12s %14s %8s %14s %8s\n", "each connection in its turn", "messages/s",
                "server, cycles", "ratio", "client, cycles", "ratio");
  const auto row = [&](const std::string& name, Phase p) {
    out += format(
        "    %-36s %12s %14s %8.2f %14s %8.2f\n", name.c_str(), grouped(rate_of(r, p)).c_str(),
        grouped(cycles_of(r, p, &ColdPhase::server)).c_str(), cold_ratio(r, p, &ColdPhase::server),
        grouped(cycles_of(r, p, &ColdPhase::client)).c_str(), cold_ratio(r, p, &ColdPhase::client));
  };
  const std::string beside = grouped(static_cast<double>(c.beside));
  row("hot: " + beside + ", no others open", &ColdRound::hot);
  row("cold: all of them", &ColdRound::cold);
  row(beside + " of them, the others open", &ColdRound::again);
  if (!c.stages) return out;
  out += format("\n  %-38s", "server's cycles for a message");
  for (const std::string_view stage : kStageNames)
    out += format(" %11s", std::string(stage).c_str());
  out += "\n";
  for (const auto& [name, phase] : kPhases) {
    out += format("    %-36s", name);
    for (std::size_t i = 0; i < kStageNames.size(); ++i) {
      out += format(" %11.0f", median_of(r.cold, [&, p = phase](const ColdRound& x) {
                      return ratio((x.*p).server.stage(i),
                                   static_cast<double>((x.*p).server.requests));
                    }));
    }
    out += "\n";
  }
  return out;
}

std::string phase_json(const BenchReport& r, Phase p) {
  JsonObject o;
  o.number("connections", (r.cold.front().*p).among);
  o.real("rate", rate_of(r, p));
  o.real("server_cycles", cycles_of(r, p, &ColdPhase::server));
  o.real("client_cycles", cycles_of(r, p, &ColdPhase::client));
  o.real("server_ratio", cold_ratio(r, p, &ColdPhase::server));
  o.real("client_ratio", cold_ratio(r, p, &ColdPhase::client));
  return o.str();
}

std::string cold_json(const BenchReport& r) {
  JsonObject o;
  begin_json(r, "cold", o);
  o.number("rounds", r.cold.size());
  o.number("connections", r.config.connections);
  o.number("beside", r.config.beside);
  o.number("window", r.config.window);
  o.real("opening_rate", opening_rate(r));
  for (const auto& [name, p] : kPhases) o.raw(name, phase_json(r, p));
  o.raw("ok", "true");
  return o.str();
}

}  // namespace

std::string echo_text(const BenchReport& r) {
  return r.config.mode == BenchMode::kLatency ? latency_text(r) : cold_text(r);
}

std::string echo_json(const BenchReport& r) {
  return r.config.mode == BenchMode::kLatency ? latency_json(r) : cold_json(r);
}

}  // namespace weir::app
