// `weir bench time-wait`: connections closed at a steady rate until as many records stand in
// TIME-WAIT as 2MSL allows, and beyond: each second enters as many as it ends. What a connection
// costs then, beside a stack that keeps no record.
//
// Two stacks without a port in one process, in virtual time: a second of the stack's takes as long
// as the machine needs for it.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "telemetry/stages.h"

namespace weir::app {

struct TimeWaitConfig {
  std::uint32_t rate = 1'000'000;  // connections closed in a second of the stack's
  std::uint32_t wait = 60;         // 2MSL, seconds: even
  std::uint32_t seconds = 10;      // beyond the plateau
  bool json = false;
};
inline constexpr std::uint32_t kMostRate = 2'000'000, kMostWait = 240;

// Cycles of a connection, in all and by stage: medians over some seconds.
struct TimeWaitCost {
  double total = 0;
  std::array<double, telemetry::kStages> stages{};
};

struct TimeWaitFigures {
  TimeWaitCost off;               // no record kept
  TimeWaitCost first;             // the first second: none stand, memory is touched first
  TimeWaitCost standing;          // the last seconds before the plateau: they enter, none ends
  TimeWaitCost turnover;          // beyond it: as many end as enter
  std::uint64_t records = 0;      // at the plateau
  std::uint64_t octets = 0;       // by which memory and page tables grew till then
  std::uint64_t connections = 0;  // of the stack with TIME-WAIT
  std::uint64_t failed = 0;       // of both: without an answer, or without their record
  double ticks_per_second = 0;    // of the cycles
};

// Octets that it takes, at most.
[[nodiscard]] std::uint64_t time_wait_memory(const TimeWaitConfig& config);

// Runs it in this process. `progress`: a line each second of the stack's; null: none.
[[nodiscard]] TimeWaitFigures measure_time_wait(const TimeWaitConfig& config, std::FILE* progress);

// What is wrong with it, as one line.
[[nodiscard]] std::optional<std::string> complaint(const TimeWaitConfig& config);

// The exit code: 0; 1 when a connection failed; 2 when it could not start.
[[nodiscard]] int run_time_wait(const TimeWaitConfig& config);

}  // namespace weir::app
