#include "programs.h"

#include "json.h"
#include "lb/front.h"
#include "lb_fields.h"
#include "load.h"
#include "load_report.h"
#include "serve.h"

namespace weir::app {
namespace {

std::string joined(const std::vector<Endpoint>& list) {
  std::string out;
  for (const Endpoint& e : list) out += (out.empty() ? "" : ", ") + to_string(e);
  return out;
}

// Programs that listen.
class Listening : public Program {
 public:
  [[nodiscard]] std::string announcement() const override {
    return "listening on " + joined(listens_on());
  }
  [[nodiscard]] std::string announcement_json() const override {
    return "\"listening\":" + json_string(joined(listens_on()));
  }
};

// -- lb -----------------------------------------------------------------------------------------

class LbProgram final : public Listening {
 public:
  explicit LbProgram(const Config& c) : config_(c) {}
  [[nodiscard]] std::unique_ptr<Shard> make_shard(const ShardSetup& s) const override {
    return std::make_unique<HandlerShard<lb::Front>>(s.queue, s.stack, s.secrets, s.idle,
                                                     &lb_fields, config_.lb);
  }
  [[nodiscard]] std::vector<Endpoint> listens_on() const override {
    std::vector<Endpoint> out;
    for (const auto& l : config_.lb.listeners) out.push_back(l.address);
    return out;
  }

 private:
  const Config& config_;
};

// -- serve --------------------------------------------------------------------------------------

std::vector<Field> serve_fields(const ServeHandler& h) {
  const ServeCounters& c = h.counters();
  return {{"sessions", c.sessions.get(), true},
          {"sessions_total", c.sessions_total.get()},
          {"requests", c.requests.get()},
          {"bad_requests", c.bad_requests.get()},
          {"body_bytes_in", c.body_bytes_in.get()},
          {"body_bytes_out", c.body_bytes_out.get()},
          {"idle_timeouts", c.idle_timeouts.get()},
          {"resets", c.resets.get()},
          {"refused", c.refused.get()},
          {"aborted", c.aborted.get()}};
}

class ServeProgram final : public Listening {
 public:
  explicit ServeProgram(const Config& c) : config_(c) {}
  [[nodiscard]] std::unique_ptr<Shard> make_shard(const ShardSetup& s) const override {
    return std::make_unique<HandlerShard<ServeHandler>>(s.queue, s.stack, s.secrets, s.idle,
                                                        &serve_fields, config_.serve,
                                                        config_.limits.max_connections);
  }
  [[nodiscard]] std::vector<Endpoint> listens_on() const override {
    std::vector<Endpoint> out;
    for (const auto& l : config_.serve.listeners) out.push_back(l.address);
    return out;
  }

 private:
  const Config& config_;
};

// -- load ---------------------------------------------------------------------------------------

class LoadProgram final : public Program {
 public:
  explicit LoadProgram(const Config& c) : config_(c), csv_(c.load) {
    if (c.load.find_rate) finder_.emplace(c.load);
  }
  [[nodiscard]] std::unique_ptr<Shard> make_shard(const ShardSetup& s) const override {
    return std::make_unique<HandlerShard<LoadHandler>>(
        s.queue, s.stack, s.secrets, s.idle, &load_fields, config_.load,
        LoadHandler::Share{s.stack.shard, s.stack.shards});
  }
  [[nodiscard]] std::string announcement() const override {
    return "load for " + joined(config_.load.targets) + load_label(config_.load);
  }
  [[nodiscard]] std::string announcement_json() const override {
    return "\"targets\":" + json_string(joined(config_.load.targets)) + ",\"profile\":\"" +
           load_profile(config_.load) + "\"";
  }
  [[nodiscard]] std::string line(const Sample& before, const Sample& now,
                                 bool json) const override {
    const LoadConfig& c = config_.load;
    return json ? load_stats_json(c, before, now) : load_line(c, before, now);
  }
  [[nodiscard]] std::string summary(const Measured& s, bool json) const override {
    const LoadConfig& c = config_.load;
    return json ? load_summary_json(c, s.first, s.last, s.end) + "\n"
                : load_summary(c, s.first, s.last, s.end);
  }
  [[nodiscard]] Duration warmup() const override { return config_.load.warmup; }
  [[nodiscard]] bool needs_link() const override { return true; }
  [[nodiscard]] bool may_finish() const override { return config_.load.connections_total > 0; }
  [[nodiscard]] RateFinder* finder() override { return finder_ ? &*finder_ : nullptr; }
  [[nodiscard]] LoadCsv* csv() override { return config_.load.csv.empty() ? nullptr : &csv_; }
  // The rates that a search tried in vain had errors.
  [[nodiscard]] bool went_well(const Sample& s) const override {
    return finder_ ? finder_->found() : load_errors(s) == 0;
  }

 private:
  const Config& config_;
  std::optional<RateFinder> finder_;
  LoadCsv csv_;
};

}  // namespace

std::string Program::line(const Sample& before, const Sample& now, bool json) const {
  return json ? stats_json(before, now) : stats_line(before, now);
}

std::string Program::summary(const Measured& span, bool json) const {
  return json ? summary_json(span.end) + "\n" : summary_text(span.end);
}

std::unique_ptr<Program> make_program(const Config& config) {
  switch (config.command) {
    case Command::kLb:
      return std::make_unique<LbProgram>(config);
    case Command::kServe:
      return std::make_unique<ServeProgram>(config);
    case Command::kLoad:
      return std::make_unique<LoadProgram>(config);
    case Command::kRun:  // is another program (run_program.h)
      break;
  }
  return nullptr;
}

}  // namespace weir::app
