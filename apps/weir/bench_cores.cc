#include "bench_cores.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>

#include "bench_loop.h"
#include "bench_setup.h"
#include "dpdk/eal.h"
#include "dpdk/port.h"
#include "entropy.h"

namespace weir::app {
namespace {

constexpr Duration kLook = 10ms;
constexpr Duration kComesToRest = 20s;

Duration steady() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

bool asked_to_end(Duration wait) {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  const timespec t{wait.count() / 1'000'000, wait.count() % 1'000'000 * 1'000};
  return sigtimedwait(&set, nullptr, &t) > 0;
}

// A server and its generator on one worker.
class Pair {
 public:
  Pair(dpdk::Eal& eal, unsigned worker, std::unique_ptr<dpdk::Port> near,
       std::unique_ptr<dpdk::Port> far)
      : eal_(eal), worker_(worker), near_(std::move(near)), far_(std::move(far)) {}
  ~Pair() { quit(); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  [[nodiscard]] std::optional<std::string> launch(const BenchConfig& c) {
    stack::Secrets secrets, others;
    if (!draw_secrets(secrets) || !draw_secrets(others)) {
      return "getrandom gives nothing; refusing to start";
    }
    server_ = std::make_unique<BenchLoop<ServeHandler>>(
        far_->queue(0), bench_stack(c, BenchSide::kServer, *far_), secrets, c.stages,
        bench_serve(c), bench_sessions(c));
    if (!server_->handler().start()) return "the server cannot listen";
    client_ = std::make_unique<BenchLoop<LoadHandler>>(
        near_->queue(0), bench_stack(c, BenchSide::kClient, *near_), others, c.stages,
        bench_load(c), LoadHandler::Share{});
    running_ = true;
    eal_.launch(worker_, [this] { run(); });
    return std::nullopt;
  }
  void drain() { client_->order(BenchLoop<LoadHandler>::Order::kDrain); }
  // Once the generator has ended its connections, the server ends what it has left of them.
  [[nodiscard]] bool rests() {
    if (!client_->rests()) return false;
    server_->order(BenchLoop<ServeHandler>::Order::kDrain);
    return server_->rests();
  }
  void quit() {
    if (!running_) return;
    client_->order(BenchLoop<LoadHandler>::Order::kQuit);
    server_->order(BenchLoop<ServeHandler>::Order::kQuit);
    eal_.join(worker_);
    running_ = false;
  }
  // After quit. The stacks go.
  [[nodiscard]] BenchRound take_figures() {
    BenchRound r{client_->figures(), server_->figures()};
    client_.reset();
    server_.reset();
    return r;
  }

 private:
  void run() {
    client_->begin();
    server_->begin();
    for (bool near = true, far = true; near || far;) {
      unsigned work = 0;
      if (near) near = client_->step(work);
      if (far) far = server_->step(work);
    }
    client_->end();
    server_->end();
  }

  dpdk::Eal& eal_;
  unsigned worker_;
  std::unique_ptr<dpdk::Port> near_, far_;
  std::unique_ptr<BenchLoop<LoadHandler>> client_;
  std::unique_ptr<BenchLoop<ServeHandler>> server_;
  bool running_ = false;
};

using Pairs = std::vector<std::unique_ptr<Pair>>;

std::string device_of(unsigned pair, bool far) {
  return "ring:bench" + std::to_string(pair) + (far ? "/b" : "/a");
}

Result<std::unique_ptr<dpdk::Eal>, std::string> open_eal(const BenchConfig& c) {
  dpdk::EalConfig e;
  e.cores.assign(c.cores.begin(), c.cores.begin() + c.pairs);
  e.memory_mb = 64;
  e.hugepages = c.hugepages;
  e.verbose = c.verbose;
  for (unsigned i = 0; i < c.pairs; ++i) {
    for (const bool far : {false, true}) {
      e.devices.push_back(device_of(i, far));
      e.memory_mb += 2 * dpdk::Port::memory_mb(bench_port(c, e.devices.back()));
    }
  }
  return dpdk::Eal::init(e);
}

std::optional<std::string> open_pairs(const BenchConfig& c, dpdk::Eal& eal, Pairs& out) {
  for (unsigned i = 0; i < c.pairs; ++i) {
    auto near = dpdk::Port::open(eal, bench_port(c, device_of(i, false)));
    if (!near) return near.error();
    auto far = dpdk::Port::open(eal, bench_port(c, device_of(i, true)));
    if (!far) return far.error();
    out.push_back(std::make_unique<Pair>(eal, i, std::move(*near), std::move(*far)));
  }
  return std::nullopt;
}

PairFigures figures_of(const BenchRound& r) {
  const auto n = static_cast<double>(r.client->connections);
  const auto us = static_cast<double>(r.client->elapsed_us);
  if (n <= 0 || us <= 0) return {};
  return {.rate = n * 1e6 / us, .cycles = (r.client->busy() + r.server->busy()) / n};
}

// These pairs at once. Figures by pair; each round goes into the report, where it is checked.
std::optional<std::string> run_some(const BenchConfig& c, std::span<std::unique_ptr<Pair>> pairs,
                                    BenchReport& report, std::vector<PairFigures>& out) {
  for (auto& p : pairs) {
    if (auto error = p->launch(c)) return error;
  }
  bool ended = false;
  for (const Duration end = steady() + c.duration; !ended && steady() < end;) {
    ended = asked_to_end(kLook);
  }
  for (auto& p : pairs) p->drain();
  bool rest = false;
  for (const Duration limit = steady() + kComesToRest; !rest && steady() < limit;) {
    ended = asked_to_end(kLook) || ended;
    rest = true;
    for (auto& p : pairs) rest = rest && p->rests();
  }
  for (auto& p : pairs) {
    p->quit();
    report.rounds.push_back(p->take_figures());
    out.push_back(figures_of(report.rounds.back()));
  }
  if (ended) return "ended by a signal";
  if (!rest) return "connections did not come to an end";
  return complaint(report);
}

}  // namespace

int run_cores(const BenchConfig& c, BenchReport& report) {
  const auto fail = [](const std::string& what, int code) {
    std::fprintf(stderr, "weir: bench: %s\n", what.c_str());
    return code;
  };
  auto eal = open_eal(c);
  if (!eal) return fail(eal.error(), 2);
  report.tsc_hz = dpdk::cycles_hz();
  Pairs pairs;
  if (auto error = open_pairs(c, **eal, pairs)) return fail("--port " + *error, 2);
  std::vector<CoresRound> rounds;
  for (unsigned i = 0; i < c.repeat; ++i) {
    CoresRound r;
    std::optional<std::string> error;
    for (std::size_t k = 0; k < pairs.size() && !error; ++k) {
      error = run_some(c, std::span(pairs).subspan(k, 1), report, r.alone);
    }
    if (!error) error = run_some(c, pairs, report, r.together);
    if (error) return fail(*error, 1);
    rounds.push_back(std::move(r));
  }
  const std::string text =
      c.json ? cores_report_json(report, rounds) + "\n" : cores_report_text(report, rounds);
  (void)std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace weir::app
