// `weir bench memory`: what connections that nobody moves take, everything counted: records,
// tables, timers, pools, page tables. One stack without a port, in virtual time, each kind in a
// process of its own.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace weir::app {

enum class Resting : std::uint8_t { kIdle, kHalfOpen, kTimeWait };
inline constexpr std::array kResting{Resting::kIdle, Resting::kHalfOpen, Resting::kTimeWait};

struct MemoryConfig {
  std::array<std::uint32_t, kResting.size()> counts{100'000, 100'000, 100'000};  // 0: not that kind
  bool json = false;
};

struct MemoryFigures {
  std::uint64_t count = 0;   // that there really are
  std::uint64_t octets = 0;  // by which resident memory and page tables grew
  double first_ns = 0;       // that one cost to make, among the first tenth
  double last_ns = 0;        // among the last
};

struct RestingInfo {
  const char* name;      // in the report, and in JSON
  std::uint32_t budget;  // octets each
  std::uint32_t most;    // that can be asked for
};
[[nodiscard]] RestingInfo info_of(Resting kind);

// Makes `count` of them in this process. Pre: count > 0.
[[nodiscard]] MemoryFigures make_resting(Resting kind, std::uint32_t count);

// The exit code: 0; 1 when there was not memory enough; 2 when it could not start.
[[nodiscard]] int run_memory(const MemoryConfig& config);

}  // namespace weir::app
