#include "load_csv.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "json.h"
#include "load_report.h"

namespace weir::app {
namespace {

constexpr std::array kRates{"connected", "completed", "requests",
                            "answers",   "bytes_in",  "bytes_out"};
constexpr std::array kRateNames{"connects_per_s", "completed_per_s", "requests_per_s",
                                "answers_per_s",  "octets_in_per_s", "octets_out_per_s"};
constexpr std::array kLatencies{"connect", "first_byte", "request"};

// What the schedule of the config asks for at `t` seconds.
std::optional<double> scheduled(const LoadConfig& c, double t) {
  if (!c.paced()) return std::nullopt;
  const double ramp = seconds(c.ramp);
  if (t >= ramp) return c.rate_to;
  return c.rate_from + (c.rate_to - c.rate_from) * t / ramp;
}

}  // namespace

std::string load_csv_header() {
  std::string out = "time_s,profile,loop,unit,target_per_s";
  for (const char* name : kRateNames) out += std::string(",") + name;
  out += ",open,connecting";
  for (const char* name : kLatencies) {
    for (const char* part : {"p50", "p90", "p99", "p999", "max"}) {
      out += std::string(",") + name + "_" + part + "_us";
    }
  }
  out += ",retransmitted,busy,errors";
  for (const Field& e : load_new_errors({}, {}, true)) out += "," + e.name;
  return out;
}

std::string load_csv_row(const LoadConfig& config, std::optional<double> target,
                         const Sample& before, const Sample& now) {
  const double s = std::max(1e-6, seconds(now.uptime - before.uptime));
  std::string out = format("%.3f,", seconds(now.uptime)) + load_profile(config) + "," +
                    (config.paced() ? "open" : "closed") + "," +
                    (config.mode == LoadMode::kRequests ? "requests" : "connections") + ",";
  if (target) out += format("%.1f", *target);
  for (const char* name : kRates) {
    out += format(",%.1f",
                  static_cast<double>(value_of(now.app, name) - value_of(before.app, name)) / s);
  }
  for (const char* name : {"open", "connecting"}) {
    out += "," + std::to_string(value_of(now.app, name));
  }
  for (const char* name : kLatencies) {
    const auto h = load_latency(before, now, name);
    for (const double share : {0.5, 0.9, 0.99, 0.999}) {
      out += h.count() == 0 ? "," : "," + std::to_string(h.percentile(share));
    }
    out += h.count() == 0 ? "," : "," + std::to_string(h.max());
  }
  out += "," + std::to_string(now.counter("retrans_segs") - before.counter("retrans_segs"));
  out += format(",%.3f", busy_share(before, now));
  out += "," + std::to_string(load_errors(now) - load_errors(before));
  for (const Field& e : load_new_errors(before, now, true)) out += "," + std::to_string(e.value);
  return out;
}

std::optional<std::string> LoadCsv::open() {
  file_.reset(std::fopen(config_.csv.c_str(), "we"));
  if (!file_) {
    return "load.csv = \"" + config_.csv + "\": " + std::strerror(errno) +
           "; name a file that can be written";
  }
  if (!write(load_csv_header())) return std::nullopt;
  return "load.csv = \"" + config_.csv + "\": takes no header; name a file on a disk with room";
}

std::optional<std::string> LoadCsv::add(const Sample& now, Duration least) {
  if (!file_ || now.uptime - last_.uptime < least) return std::nullopt;
  const auto target = target_ ? target_ : scheduled(config_, seconds(now.uptime));
  auto wrong = write(load_csv_row(config_, target, last_, now));
  last_ = now;
  return wrong;
}

std::optional<std::string> LoadCsv::write(const std::string& line) {
  if (std::fputs((line + "\n").c_str(), file_.get()) >= 0 && std::fflush(file_.get()) == 0) {
    return std::nullopt;
  }
  const std::string why = std::strerror(errno);
  file_.reset();
  return "load.csv = \"" + config_.csv + "\": " + why + "; no more rows are written";
}

}  // namespace weir::app
