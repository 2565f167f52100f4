// The figures of several rounds as a table and as JSON.
#include <algorithm>
#include <functional>

#include "bench_figures.h"
#include "json.h"

namespace weir::app {
namespace {

using telemetry::kCounterInfo;
using telemetry::kStageNames;

std::string_view mode_name(BenchMode m) {
  constexpr std::array<std::string_view, 5> kNames = {"cps", "rps", "stream", "latency", "cold"};
  return kNames[static_cast<std::size_t>(m)];
}
std::string_view unit_name(BenchMode m) {
  constexpr std::array<std::string_view, 5> kNames = {"connection", "request", "KiB", "message",
                                                      "message"};
  return kNames[static_cast<std::size_t>(m)];
}

double per(double v, double n) {
  return n > 0 ? v / n : 0;
}
double per(std::uint64_t v, double n) {
  return per(static_cast<double>(v), n);
}

// Units a second, of each round, as the client saw it: a server does not know when it began.
std::vector<double> rates(const BenchReport& r) {
  std::vector<double> out;
  for (const BenchRound& round : r.rounds) {
    if (!round.client) continue;
    const double seconds = static_cast<double>(round.client->elapsed_us) / 1e6;
    out.push_back(per(round.client->units(r.config.mode), seconds));
  }
  return out;
}

// The stream's rate in the bare port's, each round's by itself: the median.
double bare_ratio(const BenchReport& r) {
  std::vector<double> out;
  const std::vector<double> all = rates(r);
  for (std::size_t i = 0; i < std::min(all.size(), r.bare.size()); ++i) {
    out.push_back(per(all[i] * 1'024, r.bare[i]));
  }
  return median(out);
}

double cycles_per_unit(const SideFigures& f, BenchMode mode) {
  return per(f.busy(), f.units(mode));
}

using Side = std::optional<SideFigures> BenchRound::*;

// The round whose cost is the median: a round as it was, so that its stages sum up. The lower one
// of the middle two. Null when this side is not known.
const SideFigures* typical(const BenchReport& r, Side side) {
  std::vector<const SideFigures*> all;
  for (const BenchRound& round : r.rounds) {
    if (round.*side) all.push_back(&*(round.*side));
  }
  if (all.empty()) return nullptr;
  std::sort(all.begin(), all.end(), [&](const SideFigures* a, const SideFigures* b) {
    return cycles_per_unit(*a, r.config.mode) < cycles_per_unit(*b, r.config.mode);
  });
  return all[(all.size() - 1) / 2];
}

double frames_per_iteration(const SideFigures& f) {
  return per(f.counter("rx_frames"),
             static_cast<double>(f.meter.busy_iterations + f.meter.interrupted_iterations));
}

double held_octets(const SideFigures& f) {
  return static_cast<double>(f.record_octets) +
         per(f.buffer_octets, static_cast<double>(f.peak_connections));
}

// -- JSON ---------------------------------------------------------------------------------------

std::string stages_json(const SideFigures& f, double n, bool stages) {
  JsonObject o;
  for (std::size_t i = 0; stages && i < kStageNames.size(); ++i) {
    o.real(kStageNames[i], per(f.stage(i), n));
  }
  o.real("total", per(f.busy(), n));
  return o.str();
}

std::string side_json(const SideFigures& f, const BenchConfig& c) {
  JsonObject o;
  o.number("connections", f.connections);
  o.number("requests", f.requests);
  o.number("errors", f.errors);
  o.number("text_octets", f.text_octets);
  o.raw("cycles_per_unit", stages_json(f, f.units(c.mode), c.stages));
  const auto n = static_cast<double>(f.connections);
  o.raw("cycles_per_connection", stages_json(f, n, c.stages));
  o.real("packets_in_per_connection", per(f.counter("rx_frames"), n));
  o.real("packets_out_per_connection", per(f.counter("tx_frames"), n));
  o.real("octets_in_per_connection", per(f.counter("rx_bytes"), n));
  o.real("octets_out_per_connection", per(f.counter("tx_bytes"), n));
  o.real("frames_per_iteration", frames_per_iteration(f));
  o.real("octets_held_per_connection", held_octets(f));
  o.number("record_octets", f.record_octets);
  o.number("buffer_octets", f.buffer_octets);
  o.number("peak_connections", f.peak_connections);
  o.number("time_wait", f.time_wait);
  o.number("time_wait_octets", f.time_wait_octets);
  o.number("busy_cycles", f.meter.busy);
  o.number("idle_cycles", f.meter.idle);
  o.number("iterations", f.meter.busy_iterations);
  o.number("interrupted_iterations", f.meter.interrupted_iterations);
  o.number("interrupted_cycles", f.meter.interrupted);
  o.number("span_cycles", f.meter.span);
  JsonObject counters;
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (f.counters[i] > 0) counters.number(kCounterInfo[i].name, f.counters[i]);
  }
  o.raw("counters", counters.str());
  return o.str();
}

std::string list_json(const std::vector<double>& v) {
  std::string out;
  for (const double x : v) out += (out.empty() ? "" : ",") + format("%.3f", x);
  return "[" + out + "]";
}

// -- Text ---------------------------------------------------------------------------------------

class Table {
 public:
  // `mark`: behind each title.
  Table(const SideFigures* client, const SideFigures* server, const char* mark)
      : client_(client), server_(server), mark_(mark) {}

  void head(const std::string& title, const char* client, const char* server) {
    out_ += format("\n  %-36s", (title + mark_).c_str());
    if (client_ != nullptr) out_ += format("%14s       ", client);
    if (server_ != nullptr) out_ += format("%14s", server);
    end_line();
  }
  // One row; `share` true: behind the value, its share of what the meter saw busy.
  void row(const std::string& name, const std::function<double(const SideFigures&)>& value,
           const char* pattern = nullptr,
           const std::function<double(const SideFigures&)>& share = nullptr) {
    out_ += format("    %-34s", name.c_str());
    for (const SideFigures* f : {client_, server_}) {
      if (f == nullptr) continue;
      const double v = value(*f);
      out_ += format("%14s", (pattern == nullptr ? grouped(v) : format(pattern, v)).c_str());
      out_ += share ? format(" %4.1f %%", share(*f)) : std::string(7, ' ');
    }
    end_line();
  }
  [[nodiscard]] const std::string& str() const { return out_; }

 private:
  void end_line() {
    out_.erase(out_.find_last_not_of(' ') + 1);
    out_ += "\n";
  }
  const SideFigures* client_;
  const SideFigures* server_;
  const char* mark_;
  std::string out_;
};

std::string cores_text(const BenchConfig& c) {
  std::string out;
  const bool both = c.cores.size() > 1;
  if (c.role != BenchRole::kServer) out += "client on CPU " + std::to_string(c.cores[0]);
  if (both) out += ", ";
  if (c.role != BenchRole::kClient) out += "server on CPU " + std::to_string(c.cores.back());
  return out;
}

std::string head_text(const BenchReport& r) {
  const BenchConfig& c = r.config;
  std::string out = "weir bench " + std::string(mode_name(c.mode)) + ", port " + c.port + ", " +
                    std::to_string(r.rounds.size()) + " round" + (r.rounds.size() == 1 ? "" : "s");
  const std::string body = std::to_string(c.body) + " octets";
  switch (c.mode) {
    case BenchMode::kCps:
      out += ", one request a connection, bodies of " + body + ", " +
             std::to_string(c.concurrency) + " at once";
      break;
    case BenchMode::kRps:
      out += ", bodies of " + body + ", " + std::to_string(c.connections) + " connections";
      break;
    case BenchMode::kStream:
      out += ", bodies of " + body + " to the client, " + std::to_string(c.connections) +
             " connections";
      break;
    case BenchMode::kLatency:
    case BenchMode::kCold:
      break;
  }
  out += "\n" + machine_text(r);
  if (c.stripped) {
    out +=
        "\n  [STRIPPED] no TCP options but MSS, closed by the client's RST, no TIME-WAIT: no "
        "figure "
        "of a conformant TCP\n";
  } else {
    out += "\n  TIME-WAIT full: " + std::to_string(r.time_wait / 1s) + " s, " +
           (c.client_closes ? "at the client" : "at the server") + "\n";
  }
  if (!r.note.empty()) out += "  note: " + r.note + "\n";
  return out;
}

// What every figure of the stripped profile bears.
const char* stripped_mark(const BenchReport& r) {
  return r.config.stripped ? "  [STRIPPED]" : "";
}

std::string rate_text(const BenchReport& r) {
  const std::vector<double> all = rates(r);
  if (all.empty()) return {};
  const auto [least, most] = std::minmax_element(all.begin(), all.end());
  const bool stream = r.config.mode == BenchMode::kStream;
  const double scale = stream ? 1'024.0 / 1e6 : 1;
  const std::string unit = stream ? "MB" : std::string(unit_name(r.config.mode)) + "s";
  return format("\n  %s %s/s   (median; %s to %s)%s\n", grouped(median(all) * scale).c_str(),
                unit.c_str(), grouped(*least * scale).c_str(), grouped(*most * scale).c_str(),
                stripped_mark(r));
}

void cycle_rows(Table& t, const BenchReport& r) {
  const BenchMode mode = r.config.mode;
  t.head("cycles per " + std::string(unit_name(mode)), "client", "server");
  for (std::size_t i = 0; r.config.stages && i < kStageNames.size(); ++i) {
    t.row(
        std::string(kStageNames[i]),
        [=](const SideFigures& f) { return per(f.stage(i), f.units(mode)); }, nullptr,
        [=](const SideFigures& f) {
          return 100 * per(f.meter.stages[i], static_cast<double>(f.meter.busy));
        });
  }
  t.row("total", [=](const SideFigures& f) { return cycles_per_unit(f, mode); });
  t.row(
      "busy, of the time it took",
      [](const SideFigures& f) {
        const auto busy = static_cast<double>(f.meter.busy + f.meter.interrupted);
        return 100 * per(busy, static_cast<double>(f.meter.span));
      },
      "%.0f %%");
}

void connection_rows(Table& t) {
  const auto per_connection = [](const char* counter) {
    return [counter](const SideFigures& f) {
      return per(f.counter(counter), static_cast<double>(f.connections));
    };
  };
  t.head("per connection", "", "");
  t.row("packets in", per_connection("rx_frames"), "%.2f");
  t.row("packets out", per_connection("tx_frames"), "%.2f");
  t.row("octets in, headers included", per_connection("rx_bytes"));
  t.row("octets out", per_connection("tx_bytes"));
  t.row("octets held while it is open", held_octets);
  t.row("  its records", [](const SideFigures& f) { return static_cast<double>(f.record_octets); });
  t.row("  buffers, all those in use", [](const SideFigures& f) {
    return per(f.buffer_octets, static_cast<double>(f.peak_connections));
  });
  t.row("octets held in TIME-WAIT", [](const SideFigures& f) {
    return static_cast<double>(f.time_wait > 0 ? f.time_wait_octets : 0);
  });
}

void round_rows(Table& t) {
  t.head("in this round", "", "");
  t.row("connections", [](const SideFigures& f) { return static_cast<double>(f.connections); });
  t.row("requests", [](const SideFigures& f) { return static_cast<double>(f.requests); });
  t.row("open at one time, at most",
        [](const SideFigures& f) { return static_cast<double>(f.peak_connections); });
  t.row("in TIME-WAIT at the end",
        [](const SideFigures& f) { return static_cast<double>(f.time_wait); });
  t.row(
      "frames an iteration", [](const SideFigures& f) { return frames_per_iteration(f); }, "%.1f");
  t.row("iterations", [](const SideFigures& f) {
    return static_cast<double>(f.meter.busy_iterations + f.meter.interrupted_iterations);
  });
  t.row("  of them interrupted",
        [](const SideFigures& f) { return static_cast<double>(f.meter.interrupted_iterations); });
  t.row("segments sent again",
        [](const SideFigures& f) { return static_cast<double>(f.counter("retrans_segs")); });
}

std::string drops_text(const SideFigures& f, const char* side) {
  std::string out;
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (!telemetry::is_drop(kCounterInfo[i]) || f.counters[i] == 0) continue;
    out += (out.empty() ? "" : ", ") + std::string(kCounterInfo[i].name) + " " +
           std::to_string(f.counters[i]);
  }
  return out.empty() ? out : "    dropped by the " + std::string(side) + ": " + out + "\n";
}

// What the port alone carries, and how much of it the stream was.
std::string bare_text(const BenchReport& r) {
  if (r.bare.empty()) return {};
  const double ratio = bare_ratio(r);
  return format("  the port alone: %s MB/s of text in full frames; the stream is %.2f of it\n",
                grouped(median(r.bare) / 1e6).c_str(), ratio);
}

}  // namespace

std::string grouped(double v) {
  std::string digits = format("%.0f", v);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  const std::size_t half = v.size() / 2;
  return v.size() % 2 == 1 ? v[half] : (v[half - 1] + v[half]) / 2;
}

std::string machine_text(const BenchReport& r) {
  return format("  %s, TSC %.0f MHz, %s", r.cpu.c_str(), static_cast<double>(r.tsc_hz) / 1e6,
                cores_text(r.config).c_str());
}

std::string report_text(const BenchReport& r) {
  if (r.config.mode >= BenchMode::kLatency) return echo_text(r);
  const SideFigures* const client = typical(r, &BenchRound::client);
  const SideFigures* const server = typical(r, &BenchRound::server);
  std::string out = head_text(r) + rate_text(r) + bare_text(r);
  Table t(client, server, stripped_mark(r));
  cycle_rows(t, r);
  connection_rows(t);
  round_rows(t);
  out += t.str();
  if (client != nullptr) out += drops_text(*client, "client");
  if (server != nullptr) out += drops_text(*server, "server");
  return out;
}

std::string report_json(const BenchReport& r) {
  if (r.config.mode >= BenchMode::kLatency) return echo_json(r);
  const BenchConfig& c = r.config;
  JsonObject o;
  o.text("event", "bench");
  o.text("mode", mode_name(c.mode));
  o.text("port", c.port);
  o.text("cpu", r.cpu);
  o.number("tsc_hz", r.tsc_hz);
  std::string cores;
  for (const unsigned core : c.cores) cores += (cores.empty() ? "" : ",") + std::to_string(core);
  o.raw("cores", "[" + cores + "]");
  if (!r.note.empty()) o.text("note", r.note);
  o.text("profile", c.stripped ? "stripped" : "conformant");
  o.number("time_wait_seconds", c.stripped ? 0 : static_cast<std::uint64_t>(r.time_wait / 1s));
  o.text("closed_by", c.stripped ? "reset" : (c.client_closes ? "client" : "server"));
  o.number("rounds", r.rounds.size());
  o.number("body", c.body);
  o.text("unit", unit_name(c.mode));
  if (const std::vector<double> all = rates(r); !all.empty()) {
    o.real("rate", median(all));
    o.raw("rates", list_json(all));
  }
  if (!r.bare.empty()) {
    o.raw("bare_octets_per_second", list_json(r.bare));
    o.real("ratio_to_bare", bare_ratio(r));
  }
  for (const auto& [name, side] :
       {std::pair{"client", &BenchRound::client}, std::pair{"server", &BenchRound::server}}) {
    if (const SideFigures* const f = typical(r, side)) o.raw(name, side_json(*f, c));
  }
  o.number("buffers_left", r.buffers_left);
  const auto wrong = complaint(r);
  o.raw("ok", wrong ? "false" : "true");
  if (wrong) o.text("complaint", *wrong);
  return o.str();
}

}  // namespace weir::app
