#include "bench_figures.h"

#include <algorithm>
#include <charconv>

namespace weir::app {
namespace {

using telemetry::kCounterInfo;
using telemetry::kStageNames;

// Calls see(name, number) for each number of the figures.
template <class Figures, class See>
void each_number(Figures& f, See&& see) {
  for (std::size_t i = 0; i < kStageNames.size(); ++i) {
    see("stage_" + std::string(kStageNames[i]), f.meter.stages[i]);
  }
  see("busy", f.meter.busy);
  see("idle", f.meter.idle);
  see("busy_iterations", f.meter.busy_iterations);
  see("idle_iterations", f.meter.idle_iterations);
  see("interrupted", f.meter.interrupted);
  see("interrupted_iterations", f.meter.interrupted_iterations);
  see("span", f.meter.span);
  see("connections", f.connections);
  see("requests", f.requests);
  see("errors", f.errors);
  see("text_octets", f.text_octets);
  see("elapsed_us", f.elapsed_us);
  see("peak_connections", f.peak_connections);
  see("record_octets", f.record_octets);
  see("buffer_octets", f.buffer_octets);
  see("time_wait", f.time_wait);
  see("time_wait_octets", f.time_wait_octets);
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    see("count_" + std::string(kCounterInfo[i].name), f.counters[i]);
  }
}

double uninterrupted(const telemetry::StageMeter::Sums& m) {
  if (m.busy_iterations == 0) return 1;
  return 1 + static_cast<double>(m.interrupted_iterations) / static_cast<double>(m.busy_iterations);
}

// The word before the next space, which is taken off as well.
std::string_view next_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

}  // namespace

std::uint64_t SideFigures::counter(std::string_view name) const {
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (kCounterInfo[i].name == name) return counters[i];
  }
  return 0;
}

double SideFigures::units(BenchMode mode) const {
  switch (mode) {
    case BenchMode::kCps:
      return static_cast<double>(connections);
    case BenchMode::kRps:
    case BenchMode::kLatency:
    case BenchMode::kCold:
      return static_cast<double>(requests);
    case BenchMode::kStream:
      return static_cast<double>(text_octets) / 1'024;
  }
  return 0;
}

double SideFigures::busy() const {
  return static_cast<double>(meter.busy) * uninterrupted(meter);
}

double SideFigures::stage(std::size_t i) const {
  return static_cast<double>(meter.stages[i]) * uninterrupted(meter);
}

SideFigures since(const SideFigures& now, const SideFigures& before) {
  SideFigures d = now;
  const auto take = [](std::uint64_t& n, std::uint64_t m) { n -= std::min(n, m); };
  const telemetry::StageMeter::Sums& m = before.meter;
  for (std::size_t i = 0; i < kStageNames.size(); ++i) take(d.meter.stages[i], m.stages[i]);
  take(d.meter.busy, m.busy);
  take(d.meter.idle, m.idle);
  take(d.meter.busy_iterations, m.busy_iterations);
  take(d.meter.idle_iterations, m.idle_iterations);
  take(d.meter.interrupted, m.interrupted);
  take(d.meter.interrupted_iterations, m.interrupted_iterations);
  take(d.meter.span, m.span);
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) take(d.counters[i], before.counters[i]);
  take(d.connections, before.connections);
  take(d.requests, before.requests);
  take(d.errors, before.errors);
  take(d.text_octets, before.text_octets);
  return d;
}

std::string to_line(const SideFigures& f) {
  std::string out;
  each_number(f, [&](const std::string& name, std::uint64_t n) {
    out += (out.empty() ? "" : " ") + name + "=" + std::to_string(n);
  });
  return out;
}

// The same names in the same order: both ends are the same program.
std::optional<SideFigures> parse_figures(std::string_view line) {
  SideFigures f;
  bool right = true;
  each_number(f, [&](const std::string& name, std::uint64_t& n) {
    const std::string_view word = next_word(line);
    const bool named =
        word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=';
    if (!named) {
      right = false;
      return;
    }
    const char* const end = word.data() + word.size();
    const auto [at, error] = std::from_chars(word.data() + name.size() + 1, end, n);
    right = right && error == std::errc() && at == end;
  });
  if (!right || !line.empty()) return std::nullopt;
  return f;
}

std::optional<std::string> complaint(const BenchReport& r) {
  for (std::size_t i = 0; i < r.rounds.size(); ++i) {
    const std::string round = "round " + std::to_string(i + 1) + ": ";
    const auto& [client, server] = r.rounds[i];
    for (const auto& [name, side] : {std::pair{"client", &client}, std::pair{"server", &server}}) {
      if (!*side || (*side)->errors == 0) continue;
      return round + std::to_string((*side)->errors) + " errors at the " + name;
    }
    if (!client || !server) continue;
    if (client->connections != server->connections) {
      return round + std::to_string(client->connections) + " connections at the client, " +
             std::to_string(server->connections) + " at the server";
    }
    if (client->requests != server->requests) {
      return round + std::to_string(client->requests) + " requests answered at the client, " +
             std::to_string(server->requests) + " at the server";
    }
  }
  if (r.buffers_left == 0) return std::nullopt;
  return std::to_string(r.buffers_left) + " buffers did not come back";
}

}  // namespace weir::app
