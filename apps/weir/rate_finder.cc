#include "rate_finder.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "base/duration_text.h"
#include "json.h"
#include "load_report.h"

namespace weir::app {
namespace {

using ull = unsigned long long;

constexpr double kMostRate = 100'000'000;  // of load.rate
constexpr double kPrecision = 0.05;        // of the rate that passed
constexpr double kShort = 0.01;            // what may be missing of what was due
constexpr double kMoreUnderWay = 8;        // beside 1 %: connections come and go
constexpr Duration kDrainPoll = 50ms;

}  // namespace

double RateSearch::next() const {
  if (failed_ == 0) return passed_ >= kMostRate ? 0 : std::min(passed_ * 2, kMostRate);
  if (passed_ == 0) return failed_ <= 1 ? 0 : std::floor(failed_ / 2);
  if (failed_ - passed_ <= std::max(1.0, passed_ * kPrecision)) return 0;
  return std::floor((passed_ + failed_) / 2);
}

void RateSearch::judge(bool passed) {
  WEIR_ASSERT(!done());
  if (!passed && !again_) {
    again_ = true;
    return;
  }
  again_ = false;
  (passed ? passed_ : failed_) = rate_;
  rate_ = next();
}

RateFinder::RateFinder(const LoadConfig& config)
    : config_(config), find_(*config.find_rate), search_(config.rate_to) {}

const char* RateFinder::unit() const {
  return config_.mode == LoadMode::kRequests ? "requests" : "connections";
}

RateFinder::Turn RateFinder::poll(const Sample& now, bool json) {
  WEIR_ASSERT(!finished());
  switch (phase_) {
    case Phase::kDraining:
      if (load_under_way(now, config_) > 0 && now.uptime < drained_by_) {
        due_ = now.uptime + kDrainPoll;
        return {};
      }
      [[fallthrough]];
    case Phase::kBegin:
      phase_ = Phase::kSettling;
      ordered_ = now;
      due_ = now.uptime + find_.settle;
      return {search_.rate(), {}};
    case Phase::kSettling:
      phase_ = Phase::kMeasuring;
      from_ = now;
      due_ = now.uptime + find_.step;
      return {};
    case Phase::kMeasuring:
      return end_step(now, json);
  }
  return {};
}

RateFinder::Turn RateFinder::end_step(const Sample& now, bool json) {
  ++steps_;
  const Verdict v = judge(now);
  Turn turn;
  turn.line = line(v, seconds(now.uptime - from_.uptime), json);
  if (!v.why.empty()) last_failure_ = v.why;
  search_.judge(v.why.empty());
  if (search_.done()) {
    turn.rate = 0;
    return turn;
  }
  if (v.why.empty()) {
    phase_ = Phase::kSettling;
    ordered_ = now;
    due_ = now.uptime + find_.settle;
    turn.rate = search_.rate();
    return turn;
  }
  // What a failed rate left under way is none of the next one's business.
  phase_ = Phase::kDraining;
  due_ = now.uptime + kDrainPoll;
  drained_by_ = now.uptime + config_.connect_timeout + config_.timeout;
  turn.rate = 0;
  return turn;
}

RateFinder::Verdict RateFinder::judge(const Sample& now) const {
  Verdict v;
  const bool requests = config_.mode == LoadMode::kRequests;
  v.due = search_.rate() * seconds(now.uptime - from_.uptime);
  const char* const begun = requests ? "requests" : "opened";
  v.started = value_of(now.app, begun) - value_of(from_.app, begun);
  v.errors = load_errors(now) - load_errors(ordered_);
  v.retrans = now.counter("retrans_segs") - from_.counter("retrans_segs");
  v.busy = busy_share(from_, now);
  const auto answers = load_latency(from_, now, "request");
  v.p50 = answers.percentile(0.5);
  v.p99 = answers.percentile(0.99);
  if (!requests) v.p99 = std::max(v.p99, load_latency(from_, now, "connect").percentile(0.99));
  const auto before = static_cast<double>(load_under_way(from_, config_));
  const auto after = static_cast<double>(load_under_way(now, config_));
  if (v.errors > 0) {
    v.why = load_error_names(ordered_, now);
  } else if (static_cast<double>(v.started) + 1 < v.due * (1 - kShort)) {
    v.why = format("%.1f %% of what was due was not begun",
                   100 * (1 - static_cast<double>(v.started) / v.due));
  } else if (after - before > kMoreUnderWay + v.due * kShort) {
    v.why = format("unanswered: %.0f more than before", after - before);
  } else if (find_.max_latency && v.p99 > static_cast<std::uint64_t>(find_.max_latency->count())) {
    v.why = format("p99 %llu us, above load.max_latency", static_cast<ull>(v.p99));
  }
  return v;
}

std::string RateFinder::line(const Verdict& v, double seconds, bool json) const {
  const char* const outcome = v.why.empty() ? "passed" : "failed";
  if (!json) {
    return format("step %2u  %.0f %s/s for %.1f s: started %llu of %.0f, ", steps_, search_.rate(),
                  unit(), seconds, static_cast<ull>(v.started), v.due) +
           format("p50 %llu p99 %llu us, retrans %llu, busy %.0f%%: ", static_cast<ull>(v.p50),
                  static_cast<ull>(v.p99), static_cast<ull>(v.retrans), v.busy * 100) +
           outcome + (v.why.empty() ? "" : ", " + v.why) + load_label(config_);
  }
  JsonObject o;
  o.text("event", "step");
  o.text("profile", load_profile(config_));
  o.number("step", steps_);
  o.text("unit", unit());
  o.real("rate", search_.rate());
  o.real("seconds", seconds);
  o.real("due", v.due);
  o.number("started", v.started);
  o.number("errors", v.errors);
  o.number("p50_us", v.p50);
  o.number("p99_us", v.p99);
  o.number("retrans", v.retrans);
  o.real("busy", v.busy);
  o.text("outcome", outcome);
  o.text("why", v.why);
  return o.str();
}

std::string RateFinder::result(bool json) const {
  if (json) {
    JsonObject o;
    o.text("event", "found");
    o.text("profile", load_profile(config_));
    o.text("unit", unit());
    o.raw("complete", finished() ? "true" : "false");
    o.real("rate", search_.passed());
    o.real("failed_rate", search_.failed());
    o.number("steps", steps_);
    o.text("why", last_failure_);
    return o.str() + "\n";
  }
  std::string out = finished() ? "highest rate: " : "the search was cut short; so far: ";
  if (search_.passed() > 0) {
    out += format("%.0f %s/s passed", search_.passed(), unit());
  } else {
    out += "none passed";
  }
  if (search_.failed() > 0) {
    out += format(", %.0f failed", search_.failed()) + " (" + last_failure_ + ")";
  }
  return out + format("; %u steps of ", steps_) + duration_text(find_.step) + load_label(config_) +
         "\n";
}

}  // namespace weir::app
