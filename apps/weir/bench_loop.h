// One side of a benchmark on its worker: stack, handler, loop and meter, made anew for each round.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "bench_figures.h"
#include "dpdk/cycles.h"
#include "dpdk/idle.h"
#include "dpdk/queue.h"
#include "load.h"
#include "serve.h"
#include "socket/worker.h"

namespace weir::app {

// No connection of the handler's own is left, nor will there be another.
[[nodiscard]] inline bool is_done(const LoadHandler& h, bool draining) {
  const LoadCounters& c = h.counters();
  return h.finished() || (draining && c.open.get() == 0 && c.connecting.get() == 0);
}
[[nodiscard]] inline bool is_done(const ServeHandler& h, bool draining) {
  return draining && h.sessions() == 0;
}

template <class H>
class BenchLoop {
 public:
  enum class Order : std::uint8_t { kRun, kDrain, kAbort, kQuit };

  template <class... Args>
  BenchLoop(dpdk::Queue& queue, const stack::Config& config, const stack::Secrets& secrets,
            bool stages, const Args&... args)
      : stack_(config, secrets, queue.source(), dpdk::Queue::now()),
        handler_(stack_, args...),
        meter_(&dpdk::cycles, {stages, dpdk::cycles_hz() / kTooLong}),
        worker_(queue, stack_, handler_) {
    worker_.set_meter(&meter_);
  }

  [[nodiscard]] H& handler() { return handler_; }

  // On the worker's thread, until kQuit.
  void run() {
    dpdk::IdleWaiter idle({.mode = dpdk::Idle::kYield});
    begin();
    for (unsigned work = 0; step(work);) {
      idle.after(work, stack_.now(), worker_.next_deadline());
    }
    end();
  }

  // The same in steps, where a thread has more than one loop: begin, step until it is false, end.
  void begin() { started_ = dpdk::Queue::now(); }
  bool step(unsigned& work) {
    work = worker_.run_once();
    if (work != 0) peak_ = std::max(peak_, stack_.gauges().connections);
    if (const Order o = order_.load(std::memory_order_acquire); o != carried_out_) {
      if (o == Order::kQuit) return false;
      carry_out(o, carried_out_);
      carried_out_ = o;
    }
    if (!done_ && is_done(handler_, carried_out_ != Order::kRun)) {
      done_ = true;
      elapsed_ = stack_.now() - started_;
    }
    if (done_ && work == 0) rests_.store(at_rest(), std::memory_order_release);
    return true;
  }
  void end() {
    worker_.set_meter(nullptr);  // what follows is not part of the round
    stack_.release_spare();
    worker_.run_once();
  }

  void order(Order o) { order_.store(o, std::memory_order_release); }
  // The handler is done, and no connection is left but in TIME-WAIT.
  [[nodiscard]] bool rests() const { return rests_.load(std::memory_order_acquire); }

  // Once the worker has ended.
  [[nodiscard]] SideFigures figures() const {
    SideFigures f;
    f.meter = meter_.sums();
    for (std::size_t i = 0; i < f.counters.size(); ++i) {
      f.counters[i] = (stack_.counters().*telemetry::kCounterInfo[i].field).get();
    }
    f.elapsed_us = static_cast<std::uint64_t>(elapsed_.count());
    f.peak_connections = peak_;
    f.record_octets = stack::Stack::footprint().connection + H::record_octets();
    f.time_wait = stack_.gauges().time_wait;
    f.time_wait_octets = stack::Stack::footprint().time_wait;
    add_counts(handler_, f);
    return f;
  }

 private:
  // An iteration of a millisecond: no burst takes as long, the scheduler's shortest slice does.
  static constexpr std::uint64_t kTooLong = 1'000;  // the part of a second

  static void add_counts(const LoadHandler& h, SideFigures& f) {
    const LoadCounters& c = h.counters();
    f.connections = c.completed.get();
    f.requests = c.answers.get();
    f.errors = c.connect_errors() + c.answer_errors() + c.server_closed.get();
    f.text_octets = c.bytes_in.get();
  }
  static void add_counts(const ServeHandler& h, SideFigures& f) {
    const ServeCounters& c = h.counters();
    f.connections = c.sessions_total.get();
    f.requests = c.requests.get();
    f.errors = c.bad_requests.get() + c.resets.get() + c.refused.get() + c.aborted.get() +
               c.idle_timeouts.get();
    f.text_octets = c.body_bytes_out.get();
  }
  [[nodiscard]] bool at_rest() const {
    const stack::Gauges g = stack_.gauges();
    return g.connections == 0 && g.half_open == 0;
  }
  void carry_out(Order o, Order before) {
    if (before < Order::kDrain) handler_.stop_accepting();
    if (o == Order::kAbort) handler_.abort_all();
  }

  stack::Stack stack_;
  H handler_;
  telemetry::StageMeter meter_;
  Worker<dpdk::Queue, H> worker_;
  std::atomic<Order> order_{Order::kRun};
  std::atomic<bool> rests_{false};
  Order carried_out_ = Order::kRun;
  bool done_ = false;
  Instant started_;
  Duration elapsed_{};
  std::uint32_t peak_ = 0;
};

}  // namespace weir::app
