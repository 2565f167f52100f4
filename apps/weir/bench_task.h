// What the modes beside cps, rps and stream run on one core: a loop until it is told to stop, and
// EchoLoop, that of a stack with one of the handlers of bench_echo.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "bench_echo.h"
#include "bench_figures.h"
#include "dpdk/cycles.h"
#include "dpdk/eal.h"
#include "dpdk/idle.h"
#include "dpdk/queue.h"
#include "socket/worker.h"

namespace weir::app {

// One loop at a time on a worker of the EAL.
class BenchTask {
 public:
  using Loop = std::function<void(const std::atomic<bool>& stop)>;

  BenchTask(dpdk::Eal& eal, unsigned worker) : eal_(eal), worker_(worker) {}
  ~BenchTask() { end(); }
  BenchTask(const BenchTask&) = delete;
  BenchTask& operator=(const BenchTask&) = delete;

  void begin(Loop loop) {
    end();
    stop_ = false;
    running_ = true;
    eal_.launch(worker_, [this, loop = std::move(loop)] { loop(stop_); });
  }
  void end() {
    if (!running_) return;
    stop_ = true;
    eal_.join(worker_);
    running_ = false;
  }

 private:
  dpdk::Eal& eal_;
  unsigned worker_;
  std::atomic<bool> stop_{false};
  bool running_ = false;
};

inline void count_into(const EchoServer& h, SideFigures& f) {
  f.connections = h.accepted();
  f.requests = h.answers();
  f.errors = h.errors();
}
inline void count_into(const EchoClient& h, SideFigures& f) {
  f.connections = h.opened();
  f.requests = h.answers();
  f.errors = h.errors();
}

template <class H>
class EchoLoop {
 public:
  EchoLoop(dpdk::Queue& queue, const stack::Config& config, const stack::Secrets& secrets,
           const EchoConfig& echo, bool stages)
      : queue_(queue),
        stack_(config, secrets, queue.source(), dpdk::Queue::now()),
        handler_(stack_, echo),
        meter_(&dpdk::cycles, {stages, dpdk::cycles_hz() / kTooLong}),
        worker_(queue, stack_, handler_) {
    worker_.set_meter(&meter_);
  }

  [[nodiscard]] H& handler() { return handler_; }

  // On the side's core. Connections stay open and go with the stack: nothing is said to the peer.
  void run(bool yields, const std::atomic<bool>& stop) {
    dpdk::IdleWaiter idle({.mode = yields ? dpdk::Idle::kYield : dpdk::Idle::kPoll});
    while (!stop.load(std::memory_order_relaxed)) {
      const unsigned work = worker_.run_once();
      if (looks_.load(std::memory_order_acquire) != looked_.load(std::memory_order_relaxed)) look();
      idle.after(work, stack_.now(), worker_.next_deadline());
    }
    worker_.set_meter(nullptr);
    stack_.release_all();
    queue_.release(stack_.take_released());
  }

  // From another thread, while it runs: the figures as of now. None: it did not answer in 10 s.
  [[nodiscard]] std::optional<SideFigures> figures() {
    const unsigned wanted = looks_.load(std::memory_order_relaxed) + 1;
    looks_.store(wanted, std::memory_order_release);
    constexpr auto kStep = std::chrono::microseconds(200);
    for (unsigned i = 0; i < 50'000; ++i) {
      if (looked_.load(std::memory_order_acquire) == wanted) return seen_;
      std::this_thread::sleep_for(kStep);
    }
    return std::nullopt;
  }

 private:
  static constexpr std::uint64_t kTooLong = 1'000;  // the part of a second, as in BenchLoop

  void look() {
    seen_ = SideFigures{};
    seen_.meter = meter_.sums();
    for (std::size_t i = 0; i < seen_.counters.size(); ++i) {
      seen_.counters[i] = (stack_.counters().*telemetry::kCounterInfo[i].field).get();
    }
    seen_.peak_connections = stack_.gauges().connections;
    seen_.record_octets = stack::Stack::footprint().connection + H::record_octets();
    count_into(handler_, seen_);
    looked_.store(looks_.load(std::memory_order_relaxed), std::memory_order_release);
  }

  dpdk::Queue& queue_;
  stack::Stack stack_;
  H handler_;
  telemetry::StageMeter meter_;
  Worker<dpdk::Queue, H> worker_;
  std::atomic<unsigned> looks_{0}, looked_{0};
  SideFigures seen_;
};

}  // namespace weir::app
