#include "bench_near.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string_view>

#include "bench_bare.h"
#include "bench_setup.h"
#include "entropy.h"
#include "stack/stack.h"

namespace weir::app {
namespace {

constexpr Duration kLook = 10ms;
constexpr Duration kWarm = 200ms;  // before anything is measured
constexpr Duration kStall = 20s;   // without progress: it hangs
constexpr Duration kSay = 2s;      // between two lines of progress
constexpr Duration kComesToRest = 5s;
constexpr std::uint32_t kEthIpTcp = 14 + 20 + 32;  // with timestamps (RFC 7323 §3.2)
constexpr std::uint32_t kFewestOctets = 60;        // of a frame, without its checksum

Duration steady() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

bool yields(const BenchConfig& c) {
  return c.cores.size() == 2 && c.cores[0] == c.cores[1];
}

Percentiles percentiles(const telemetry::HistogramSnapshot& s) {
  return {.count = s.count(),
          .p50 = s.percentile(0.5),
          .p99 = s.percentile(0.99),
          .p999 = s.percentile(0.999)};
}

// What is recorded from now on for as long as a round lasts. False: a signal came.
bool observe(const telemetry::Histogram& h, const BenchConfig& c, const BenchEnds& ends,
             Percentiles& out) {
  if (ends.pause(kWarm)) return false;
  const auto before = std::make_unique<telemetry::HistogramSnapshot>();
  before->add(h);
  if (ends.pause(c.duration)) return false;
  const auto after = std::make_unique<telemetry::HistogramSnapshot>();
  after->add(h);
  after->subtract(*before);
  out = percentiles(*after);
  return true;
}

const std::string kSignal = "ended by a signal";

// This side's stack and handler on its worker.
class Near {
 public:
  Near(const BenchConfig& c, const BenchEnds& ends)
      : config_(c), ends_(ends), task_(ends.eal, ends.worker) {}

  [[nodiscard]] std::optional<std::string> start() {
    ends_.swallow();
    stack::Secrets secrets;
    if (!draw_secrets(secrets)) return "getrandom gives nothing; refusing to start";
    loop_ = std::make_unique<EchoLoop<EchoClient>>(
        ends_.port.queue(0), bench_stack(config_, BenchSide::kClient, ends_.port), secrets,
        bench_echo(config_), config_.stages);
    task_.begin([this](const auto& stop) { loop_->run(yields(config_), stop); });
    return std::nullopt;
  }
  void end() {
    task_.end();
    loop_.reset();
  }
  [[nodiscard]] EchoClient& client() { return loop_->handler(); }
  [[nodiscard]] std::optional<SideFigures> figures() { return loop_->figures(); }

  // Until so many are open; bounded by the lack of progress.
  [[nodiscard]] std::optional<std::string> open(std::uint32_t n, bool says) {
    client().open(n);
    Duration moved = steady(), said = moved;
    for (std::uint64_t seen = client().opened(), told = seen; client().opened() < n;) {
      if (ends_.pause(kLook)) return kSignal;
      const std::uint64_t now = client().opened();
      const Duration at = steady();
      if (now != seen) moved = at;
      seen = now;
      if (client().errors() > 0 || at - moved > kStall) {
        return std::to_string(seen) + " of " + std::to_string(n) + " connections were opened, " +
               std::to_string(client().errors()) + " errors";
      }
      if (!says || at - said < kSay) continue;
      const auto rate =
          static_cast<double>(now - told) * 1e6 / static_cast<double>((at - said).count());
      std::fprintf(stderr, "weir: bench: %llu of %u connections open, %.0f a second\n",
                   static_cast<unsigned long long>(now), n, rate);
      said = at;
      told = now;
    }
    return std::nullopt;
  }

  // No message is under way any more, and both sides counted the same.
  [[nodiscard]] std::optional<std::string> settle() {
    client().ask(0);
    for (const Duration limit = steady() + kComesToRest; client().under_way() > 0;) {
      if (ends_.pause(kLook)) return kSignal;
      if (steady() >= limit)
        return std::to_string(client().under_way()) + " messages got no answer";
    }
    const auto near = figures();
    auto far = ends_.look_far();
    if (!near) return "the client's side hangs";
    if (!far) return far.error();
    if (near->errors + far->errors > 0) {
      return std::to_string(near->errors) + " errors at the client, " +
             std::to_string(far->errors) + " at the server";
    }
    if (near->connections != far->connections || near->requests != far->requests) {
      return std::to_string(near->connections) + " connections and " +
             std::to_string(near->requests) + " answers at the client, " +
             std::to_string(far->connections) + " and " + std::to_string(far->requests) +
             " at the server";
    }
    return std::nullopt;
  }

 private:
  const BenchConfig& config_;
  const BenchEnds& ends_;
  std::unique_ptr<EchoLoop<EchoClient>> loop_;
  BenchTask task_;  // after what it runs
};

struct Bare {
  std::optional<std::string> error;
  Percentiles times;
};

Bare bare_latency(const BenchConfig& c, const BenchEnds& ends, std::uint32_t octets) {
  if (auto error = ends.begin_far(FarTask::kReflect)) return {error, {}};
  ends.swallow();
  const auto times = std::make_unique<telemetry::Histogram>();
  BareCounts counts;
  Bare out;
  BenchTask task(ends.eal, ends.worker);
  task.begin(
      [&](const auto& stop) { ping(ends.port.queue(0), octets, yields(c), stop, counts, *times); });
  const bool whole = observe(*times, c, ends, out.times);
  task.end();
  out.error = ends.end_far();
  if (!whole) out.error = kSignal;
  if (!out.error && (counts.errors > 0 || out.times.count == 0)) {
    out.error = "the bare loop lost " + std::to_string(counts.errors.load()) + " frames";
  }
  return out;
}

std::optional<std::string> tcp_latency(const BenchConfig& c, const BenchEnds& ends,
                                       Percentiles& times) {
  if (auto error = ends.begin_far(FarTask::kEcho)) return error;
  Near near(c, ends);
  if (auto error = near.start()) return error;
  if (auto error = near.open(1, false)) return error;
  near.client().ask(1);
  if (!observe(near.client().times(), c, ends, times)) return kSignal;
  if (auto error = near.settle()) return error;
  near.end();
  return ends.end_far();
}

// What both sides did between two looks.
struct Both {
  SideFigures client, server;
};
Result<Both, std::string> look(Near& near, const BenchEnds& ends) {
  const auto mine = near.figures();
  if (!mine) return std::string("the client's side hangs");
  const auto theirs = ends.look_far();
  if (!theirs) return theirs.error();
  return Both{*mine, theirs.value()};
}

std::optional<std::string> ask_phase(Near& near, const BenchConfig& c, const BenchEnds& ends,
                                     std::uint32_t among, ColdPhase& out) {
  near.client().ask(among);
  if (ends.pause(kWarm)) return kSignal;
  const auto before = look(near, ends);
  if (!before) return before.error();
  const Duration began = steady();
  if (ends.pause(c.duration)) return kSignal;
  const auto after = look(near, ends);
  if (!after) return after.error();
  out.elapsed_us = static_cast<std::uint64_t>((steady() - began).count());
  out.among = among;
  out.client = since(after.value().client, before.value().client);
  out.server = since(after.value().server, before.value().server);
  return near.settle();
}

std::optional<std::string> cold_phases(Near& near, const BenchConfig& c, const BenchEnds& ends,
                                       ColdRound& r) {
  const auto beside = static_cast<std::uint32_t>(c.beside);
  const auto all = static_cast<std::uint32_t>(c.connections);
  if (auto error = near.open(beside, false)) return error;
  if (auto error = ask_phase(near, c, ends, beside, r.hot)) return error;
  const auto before = look(near, ends);
  if (!before) return before.error();
  const Duration began = steady();
  if (auto error = near.open(all, !c.json)) return error;
  r.opening.elapsed_us = static_cast<std::uint64_t>((steady() - began).count());
  if (ends.pause(kWarm)) return kSignal;  // the last ACKs of the handshakes
  const auto after = look(near, ends);
  if (!after) return after.error();
  r.opening.client = since(after.value().client, before.value().client);
  r.opening.server = since(after.value().server, before.value().server);
  if (auto error = ask_phase(near, c, ends, all, r.cold)) return error;
  return ask_phase(near, c, ends, beside, r.again);
}

}  // namespace

Result<LatencyRound, std::string> latency_round(const BenchConfig& c, const BenchEnds& ends) {
  LatencyRound r;
  r.frame_octets = std::max(kFewestOctets, kEthIpTcp + static_cast<std::uint32_t>(c.body));
  const Bare bare = bare_latency(c, ends, r.frame_octets);
  if (bare.error) return *bare.error;
  r.bare = bare.times;
  if (auto error = tcp_latency(c, ends, r.tcp)) return *error;
  return r;
}

Result<ColdRound, std::string> cold_round(const BenchConfig& c, const BenchEnds& ends) {
  if (auto error = ends.begin_far(FarTask::kEcho)) return *error;
  ColdRound r;
  Near near(c, ends);
  if (auto error = near.start()) return *error;
  if (auto error = cold_phases(near, c, ends, r)) return *error;
  near.end();
  if (auto error = ends.end_far()) return *error;
  return r;
}

Result<double, std::string> bare_rate(const BenchConfig& c, const BenchEnds& ends) {
  const std::uint32_t octets = full_frame(ends.port);
  ends.swallow();
  BareCounts counts;
  BenchTask task(ends.eal, ends.worker);
  task.begin([&](const auto& stop) { sink(ends.port.queue(0), octets, stop, counts); });
  auto error = ends.begin_far(FarTask::kFlood);
  double rate = 0;
  if (!error && !ends.pause(kWarm)) {
    const std::uint64_t before = counts.frames;
    const Duration began = steady();
    if (ends.pause(c.duration)) error = kSignal;
    const auto frames = static_cast<double>(counts.frames - before);
    rate = frames * (octets - kEthIpTcp) * 1e6 / static_cast<double>((steady() - began).count());
  }
  if (auto e = ends.end_far(); e && !error) error = e;
  task.end();
  ends.swallow();
  if (error) return *error;
  if (counts.errors > 0 || rate <= 0)
    return std::string("the bare port carried nothing, or other frames");
  return rate;
}

std::optional<std::string> lacks_memory(std::uint64_t connections) {
  std::ifstream in("/proc/meminfo");
  std::uint64_t free_kib = 0;
  for (std::string word; in >> word;) {
    if (word == "MemAvailable:") {
      in >> free_kib;
      break;
    }
  }
  constexpr std::uint64_t kRest = std::uint64_t{1} << 30U;  // ports, pools, everything else
  constexpr std::uint64_t kAwake = 1'000'000;  // what comes and goes in the second before it rests
  const stack::Footprint f = stack::Stack::footprint();
  const std::uint64_t each = 2 * std::uint64_t{f.resting} + EchoClient::record_octets();
  const std::uint64_t awake = std::min(connections, kAwake) * 2 * (f.connection - f.resting);
  const std::uint64_t wanted = connections * each + awake + kRest;
  if (free_kib == 0 || wanted <= free_kib * 1'024) return std::nullopt;
  return "--connections " + std::to_string(connections) + ": takes " +
         std::to_string(wanted >> 20U) + " MiB on both sides, " + std::to_string(free_kib >> 10U) +
         " are free; at most " +
         std::to_string(free_kib * 1'024 > kRest + awake ? (free_kib * 1'024 - kRest - awake) / each
                                                         : 0) +
         " here";
}

}  // namespace weir::app
