// One reading of everything that a running Weir counts, and how it is put into words.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "stack/stack.h"
#include "telemetry/counters.h"
#include "telemetry/histogram.h"

namespace weir::app {

struct Field {
  std::string name;
  std::uint64_t value = 0;
  bool gauge = false;  // of the moment; else it only grows
};

struct PoolUse {
  std::string name;
  std::uint32_t in_use = 0, size = 0;
};

struct NamedHistogram {
  std::string name;
  telemetry::HistogramSnapshot values;
};

// Connections of one listener that their peers have closed and the program has not (CLOSE-WAIT).
struct Leak {
  std::string listener;  // its address and port, or "outgoing"
  std::uint32_t count = 0;
  Duration oldest{};
  std::string peer;  // of the oldest, when there is one
};

struct Sample {
  Duration uptime{};
  std::array<std::uint64_t, telemetry::kCounterInfo.size()> counters{};
  stack::Gauges gauges;
  std::vector<Leak> leaks;  // one a listener, whether it leaks or not
  std::vector<Field> app;   // of the application, and per backend
  std::vector<Field> port;  // as the port counts
  std::vector<PoolUse> pools;
  std::vector<stack::ListenerStats> listeners;  // by address; of all cores together
  std::vector<NamedHistogram> latency;
  Duration busy{};  // iterations that found work, of all cores
  unsigned cores = 0;

  [[nodiscard]] std::uint64_t counter(std::string_view name) const;
  void add(const telemetry::Counters& c);
  void add(const stack::Gauges& g);
  void add(const Leak& leak);
  void add(const stack::ListenerStats& l);
  void add(std::string_view name, const telemetry::Histogram& h);
  void add_app(const std::vector<Field>& fields);  // of the same names in the same order
};

// One line for what happened between two samples.
[[nodiscard]] std::string stats_line(const Sample& before, const Sample& now);
[[nodiscard]] std::string stats_json(const Sample& before, const Sample& now);
// Everything that is not zero; several lines.
[[nodiscard]] std::string summary_text(const Sample& s);
[[nodiscard]] std::string summary_json(const Sample& s);  // one line

[[nodiscard]] std::uint64_t value_of(const std::vector<Field>& fields, std::string_view name);
// The drops that moved, the stacks' and the port's.
[[nodiscard]] std::vector<Field> new_drops(const Sample& before, const Sample& now);
[[nodiscard]] std::string fields_json(const std::vector<Field>& fields);
[[nodiscard]] double seconds(Duration d);
// The part of the cores' time, 0..1, in iterations that found work.
[[nodiscard]] double busy_share(const Sample& before, const Sample& now);

}  // namespace weir::app
