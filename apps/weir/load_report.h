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

[[nodiscard]] std::string load_line(const Sample& before, const Sample& now);
[[nodiscard]] std::string load_stats_json(const Sample& before, const Sample& now);
// Rates from `first` to `last`; counts and percentiles from there to `end`, which is after the
// drain; errors of the whole run.
[[nodiscard]] std::string load_summary(const Sample& first, const Sample& last, const Sample& end);
[[nodiscard]] std::string load_summary_json(const Sample& first, const Sample& last,
                                            const Sample& end);  // one line

}  // namespace weir::app
