#include "base/duration_text.h"

#include <charconv>
#include <limits>

namespace weir {

std::optional<Duration> parse_duration(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || n < 0) return std::nullopt;
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  std::int64_t scale = 0;
  if (unit == "us") scale = 1;
  if (unit == "ms") scale = 1'000;
  if (unit == "s") scale = 1'000'000;
  if (unit == "m" || unit == "min") scale = 60'000'000;
  if (unit == "h") scale = 3'600'000'000;
  if (scale == 0 || n > std::numeric_limits<std::int64_t>::max() / scale) return std::nullopt;
  return Duration(n * scale);
}

std::string duration_text(Duration d) {
  const std::int64_t us = d.count();
  if (us % 1'000'000 == 0) return std::to_string(us / 1'000'000) + "s";
  if (us % 1'000 == 0) return std::to_string(us / 1'000) + "ms";
  return std::to_string(us) + "us";
}

}  // namespace weir
