// The octets of the bodies that `weir serve` sends and `weir load` checks: octet i of a body is
// pattern(i mod kPatternSize).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::app {

inline constexpr std::uint32_t kPatternSize = 1'048'573;  // a prime, so that no offset is round
[[nodiscard]] constexpr std::uint8_t pattern(std::uint32_t i) {
  return static_cast<std::uint8_t>(i * 31U + (i >> 8U) * 17U + (i >> 16U) * 7U);
}

// All of them, once; made at the first call and kept.
[[nodiscard]] std::span<const std::byte> pattern_octets();
// `octets` are those of a body from `at` on.
[[nodiscard]] bool matches_pattern(std::span<const std::byte> octets, std::uint64_t at);

}  // namespace weir::app
