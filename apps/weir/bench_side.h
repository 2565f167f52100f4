// One side of a benchmark in this process: its port, its worker, and a loop for each round.
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "base/assert.h"
#include "bench_loop.h"
#include "dpdk/eal.h"
#include "dpdk/port.h"

namespace weir::app {

template <class H>
class LocalSide {
 public:
  using Order = typename BenchLoop<H>::Order;

  LocalSide(dpdk::Eal& eal, std::unique_ptr<dpdk::Port> port, unsigned worker)
      : eal_(eal), port_(std::move(port)), worker_(worker) {}
  ~LocalSide() { quit(); }
  LocalSide(const LocalSide&) = delete;
  LocalSide& operator=(const LocalSide&) = delete;

  [[nodiscard]] dpdk::Port& port() { return *port_; }
  [[nodiscard]] unsigned worker() const { return worker_; }
  [[nodiscard]] H& handler() { return loop_->handler(); }

  // Makes the stack; nothing runs yet. Throws std::bad_alloc.
  template <class... Args>
  void prepare(const stack::Config& config, const stack::Secrets& secrets, bool stages,
               const Args&... args) {
    swallow();
    rest_octets_ = peak_octets_ = octets_in_use();
    loop_ = std::make_unique<BenchLoop<H>>(port_->queue(0), config, secrets, stages, args...);
  }
  void launch() {
    running_ = true;
    eal_.launch(worker_, [this] { loop_->run(); });
  }
  void order(Order o) { loop_->order(o); }
  [[nodiscard]] bool rests() const { return loop_->rests(); }
  void quit() {
    if (!running_) return;
    loop_->order(Order::kQuit);
    eal_.join(worker_);
    running_ = false;
  }
  // Looks at the pools: to be called now and then while a round runs.
  void watch() { peak_octets_ = std::max(peak_octets_, octets_in_use()); }

  // After quit. The stack goes.
  [[nodiscard]] SideFigures take_figures() {
    WEIR_ASSERT(!running_);
    SideFigures f = loop_->figures();
    f.buffer_octets = peak_octets_ - std::min(peak_octets_, rest_octets_);
    loop_.reset();
    return f;
  }
  // Buffers that are out of the pools.
  [[nodiscard]] std::uint64_t buffers_in_use() const {
    std::uint64_t n = 0;
    for (const dpdk::PoolStats& p : port_->pool_stats()) n += p.in_use;
    return n;
  }
  // Frames that nobody waits for: a new stack would take them for somebody's.
  void swallow() {
    constexpr unsigned kBursts = 1'024;  // more than any port holds
    dpdk::Queue& queue = port_->queue(0);
    std::array<Buf*, 32> frames{};
    for (unsigned i = 0; i < kBursts; ++i) {
      const unsigned n = queue.rx_burst(frames);
      if (n == 0) return;
      BufChain chain;
      for (unsigned k = 0; k < n; ++k) {
        for (Buf *b = frames[k], *next = nullptr; b != nullptr; b = next) {
          next = b->next;
          chain.push_back(b);
        }
      }
      queue.release(std::move(chain));
    }
  }

 private:
  [[nodiscard]] std::uint64_t octets_in_use() const {
    std::uint64_t n = 0;
    for (const dpdk::PoolStats& p : port_->pool_stats()) {
      n += std::uint64_t{p.in_use} * p.buffer_octets;
    }
    return n;
  }

  dpdk::Eal& eal_;
  std::unique_ptr<dpdk::Port> port_;
  unsigned worker_;
  std::unique_ptr<BenchLoop<H>> loop_;
  bool running_ = false;
  std::uint64_t rest_octets_ = 0, peak_octets_ = 0;
};

}  // namespace weir::app
