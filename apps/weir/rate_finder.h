// The search of `weir load --find-rate`: the highest rate that is served without errors, by
// doubling and then bisection.
//
// RateSearch decides which rate comes next; RateFinder makes the steps: it is given a reading of
// the counters when it is due, says which rate to set, and judges each step. Both know neither a
// clock nor a socket.
#pragma once

#include <optional>
#include <string>

#include "load_config.h"
#include "sample.h"

namespace weir::app {

// Doubles (or halves, where the first fails) until one rate has passed and one has failed, then
// bisects until they are 5 % or 1/s apart. A rate that fails is tried once more: two in a row say
// that it was not the machine's other work. At most 80 steps.
class RateSearch {
 public:
  // Pre: first >= 1.
  explicit RateSearch(double first) : rate_(first) {}

  void judge(bool passed);  // Pre: !done()
  [[nodiscard]] bool done() const { return rate_ == 0; }
  [[nodiscard]] double rate() const { return rate_; }      // to try now; per second
  [[nodiscard]] double passed() const { return passed_; }  // the highest; 0: none
  [[nodiscard]] double failed() const { return failed_; }  // the lowest; 0: none
  [[nodiscard]] bool again() const { return again_; }      // rate() has failed once

 private:
  [[nodiscard]] double next() const;
  double rate_, passed_ = 0, failed_ = 0;
  bool again_ = false;
};

class RateFinder {
 public:
  // `config` has find_rate, and outlives it.
  explicit RateFinder(const LoadConfig& config);

  struct Turn {
    std::optional<double> rate;  // to be set now
    std::string line;            // of a step that is over, without a newline; else empty
  };
  // Pre: now.uptime >= due().
  [[nodiscard]] Turn poll(const Sample& now, bool json);
  [[nodiscard]] Duration due() const { return due_; }  // the uptime of the next poll
  [[nodiscard]] bool finished() const { return search_.done(); }
  [[nodiscard]] bool found() const { return search_.done() && search_.passed() > 0; }
  // What came of it, or of what there was time for; ends with a newline.
  [[nodiscard]] std::string result(bool json) const;

 private:
  enum class Phase : std::uint8_t { kBegin, kSettling, kMeasuring, kDraining };
  struct Verdict {
    double due = 0;  // what the rate asked for meanwhile
    std::uint64_t started = 0, p50 = 0, p99 = 0, retrans = 0, errors = 0;
    double busy = 0;
    std::string why;  // it failed; empty: it passed
  };
  [[nodiscard]] Verdict judge(const Sample& now) const;
  [[nodiscard]] std::string line(const Verdict& v, double seconds, bool json) const;
  [[nodiscard]] const char* unit() const;
  Turn end_step(const Sample& now, bool json);

  const LoadConfig& config_;
  const FindRate& find_;
  RateSearch search_;
  Phase phase_ = Phase::kBegin;
  Duration due_{};
  Duration drained_by_{};  // what is under way after a failure may last so long
  Sample ordered_;         // when the step's rate was set
  Sample from_;            // when it had settled
  unsigned steps_ = 0;
  std::string last_failure_;
};

}  // namespace weir::app
