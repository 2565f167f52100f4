#include "pattern.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace weir::app {
namespace {

struct PatternBlock {
  std::array<std::byte, kPatternSize> octets;
  PatternBlock() {
    for (std::uint32_t i = 0; i < kPatternSize; ++i) octets[i] = std::byte{pattern(i)};
  }
};

}  // namespace

std::span<const std::byte> pattern_octets() {
  static const auto block = std::make_unique<PatternBlock>();
  return block->octets;
}

bool matches_pattern(std::span<const std::byte> octets, std::uint64_t at) {
  const std::span<const std::byte> all = pattern_octets();
  while (!octets.empty()) {
    const std::size_t from = at % kPatternSize;
    const std::size_t n = std::min(octets.size(), all.size() - from);
    if (std::memcmp(octets.data(), all.data() + from, n) != 0) return false;
    octets = octets.subspan(n);
    at += n;
  }
  return true;
}

}  // namespace weir::app
