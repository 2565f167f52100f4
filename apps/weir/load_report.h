// How `weir load` puts into words what it did: a line an interval, and a summary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "load.h"
#include "sample.h"

namespace weir::app {

[[nodiscard]] std::vector<Field> load_fields(const LoadHandler& h);
[[nodiscard]] std::uint64_t load_errors(const Sample& s);  // of every kind

// The errors that moved, by name; `all`: those that did not as well.
[[nodiscard]] std::vector<Field> load_new_errors(const Sample& before, const Sample& now, bool all);
[[nodiscard]] std::string load_error_names(const Sample& before, const Sample& now);  // "resets 3"
// connect, first_byte or request, of what was recorded between the two.
[[nodiscard]] telemetry::HistogramSnapshot load_latency(const Sample& before, const Sample& now,
                                                        std::string_view name);
// Of what is paced, what has begun and not ended: requests, or connections.
[[nodiscard]] std::uint64_t load_under_way(const Sample& s, const LoadConfig& config);

[[nodiscard]] const char* load_profile(const LoadConfig& config);  // "conformant" or "stripped"
// What every figure of the stripped profile bears: "" or "  [STRIPPED]".
[[nodiscard]] const char* load_label(const LoadConfig& config);

[[nodiscard]] std::string load_line(const LoadConfig& config, const Sample& before,
                                    const Sample& now);
[[nodiscard]] std::string load_stats_json(const LoadConfig& config, const Sample& before,
                                          const Sample& now);
// Rates from `first` to `last`; counts and percentiles from there to `end`, which is after the
// drain; errors of the whole run.
[[nodiscard]] std::string load_summary(const LoadConfig& config, const Sample& first,
                                       const Sample& last, const Sample& end);
[[nodiscard]] std::string load_summary_json(const LoadConfig& config, const Sample& first,
                                            const Sample& last, const Sample& end);  // one line

}  // namespace weir::app
