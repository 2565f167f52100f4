// Where one core's cycles go: a meter for each stage of an iteration, and for iterations that found
// nothing to do.
//
// Reads no clock: the tick is given by whoever drives the stack. Whoever ends a stage marks it,
// once an iteration: what passed since the mark before belongs to it, so the stages sum up to the
// whole. An iteration that turns out idle goes to a sum of its own, and so does one that took
// longer than any iteration's work can: the core was taken from it meanwhile. One thread writes;
// others read when that thread has ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::telemetry {

enum class Stage : std::uint8_t {
  kRx,           // frames out of the port
  kParse,        // headers and checksums
  kLookup,       // the connection table, prefetches
  kTcp,          // segments to connections, and what the connections have to send
  kTimers,       // the wheel, SYN and TIME-WAIT queues
  kApplication,  // the handler, with the calls that it makes into the stack
  kTx,           // packets into the port, buffers given back
};
inline constexpr std::array<std::string_view, 7> kStageNames = {
    "rx", "parse", "lookup", "tcp", "timers", "application", "tx"};
inline constexpr std::size_t kStages = kStageNames.size();

class StageMeter {
 public:
  using Tick = std::uint64_t (*)();

  struct Sums {  // ticks
    std::array<std::uint64_t, kStages> stages{};
    std::uint64_t busy = 0;  // of iterations that did something: all stages together
    std::uint64_t idle = 0;
    std::uint64_t interrupted = 0;  // busy as well, but longer than the limit: no stage has them
    std::uint64_t busy_iterations = 0, idle_iterations = 0, interrupted_iterations = 0;
    std::uint64_t span = 0;  // from the first iteration that did something to the end of the last
  };

  struct Options {
    bool split;           // false: the stages stay 0, a mark costs a branch
    std::uint64_t limit;  // ticks; a longer iteration was interrupted
  };
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

  explicit StageMeter(Tick tick, const Options& options = {true, kNoLimit})
      : tick_(tick), options_(options) {}

  void begin() {
    under_way_ = {};
    began_ = last_ = tick_();
  }
  void mark(Stage ended) {
    if (!options_.split) return;
    const std::uint64_t now = tick_();
    under_way_[static_cast<std::size_t>(ended)] += now - last_;
    last_ = now;
  }
  // Directly after the last stage's mark.
  void end(bool busy) {
    const std::uint64_t now = options_.split ? last_ : tick_();
    const std::uint64_t took = now - began_;
    if (!busy) {
      sums_.idle += took;
      ++sums_.idle_iterations;
      return;
    }
    if (sums_.span == 0) first_ = began_;
    sums_.span = now - first_;
    if (took > options_.limit) {
      sums_.interrupted += took;
      ++sums_.interrupted_iterations;
      return;
    }
    sums_.busy += took;
    ++sums_.busy_iterations;
    for (std::size_t i = 0; i < kStages; ++i) sums_.stages[i] += under_way_[i];
  }

  [[nodiscard]] const Sums& sums() const { return sums_; }

 private:
  Tick tick_;
  Options options_;
  std::uint64_t began_ = 0, last_ = 0, first_ = 0;
  std::array<std::uint64_t, kStages> under_way_{};
  Sums sums_;
};

}  // namespace weir::telemetry
