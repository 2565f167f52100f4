// Time as an argument: instants and durations. Nothing here reads a clock; whoever drives a stack
// stamps `Instant`s at ingress, from a real clock or a virtual one.
#pragma once

#include <chrono>
#include <cstdint>

namespace weir {

using namespace std::chrono_literals;

// A short duration that is stored often: 32 bits of microseconds, up to 35 minutes.
using Micros = std::chrono::duration<std::int32_t, std::micro>;

// A duration in arithmetic or in a config: 64 bits.
using Duration = std::chrono::microseconds;

struct Clock {  // a tag: an Instant of Weir is not an instant of any std clock
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock>;
  static constexpr bool is_steady = true;
};

using Instant = std::chrono::time_point<Clock, Duration>;

inline constexpr Instant kNever = Instant::max();

}  // namespace weir
