// Durations as people write them: "200ms", "5 s", "2h".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace weir {

// "200ms" or "5 s" strictly; us, ms, s, m (or min), h. Not negative.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);
// In the largest of s, ms, us that leaves no rest.
[[nodiscard]] std::string duration_text(Duration d);

}  // namespace weir
