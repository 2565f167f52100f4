// One worker with all that is its own: stack, handler, loop. The control plane sees it through
// atomics: counters at any time, gauges as of the last 100 ms, and asks for things by a word.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dpdk/idle.h"
#include "dpdk/queue.h"
#include "published.h"
#include "sample.h"
#include "socket/worker.h"

namespace weir::app {

// What a listener's program leaves open; the last: what it connected itself.
struct LeakGauge {
  Endpoint local, peer;  // peer: of the oldest
  Duration oldest{};
  std::uint32_t count = 0;
  bool used = false;
};
inline constexpr std::size_t kListenersShown = 16;
using LeakGauges = std::array<LeakGauge, kListenersShown + 1>;

enum class Order : std::uint8_t { kRun, kDrain, kAbort, kQuit };  // each after the one before

class Shard {
 public:
  Shard() = default;
  virtual ~Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  virtual std::optional<std::string> start() = 0;  // listeners; an error in one line
  virtual void run() = 0;                          // on the worker's thread, until kQuit
  virtual void collect(Sample& into) const = 0;    // from any thread
  // After a fault of the worker's thread, on that thread: resets for all connections, and no more.
  virtual void last_words() = 0;

  void order(Order o) { order_.store(o, std::memory_order_release); }
  // Of a generator: from now on so many a second. One thread orders.
  void pace(double per_second) {
    pace_.store(per_second, std::memory_order_relaxed);
    paces_.fetch_add(1, std::memory_order_release);
  }
  // No connection is left but TIME-WAIT, since the last order was carried out.
  [[nodiscard]] bool at_rest() const {
    return done_.load(std::memory_order_acquire) == order_.load(std::memory_order_relaxed) &&
           gauges().connections == 0 && gauges().half_open == 0;
  }
  // The handler has done all that it was asked to.
  [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }
  // No address waits to be found free any more.
  [[nodiscard]] bool addresses_settled() const { return settled_.load(std::memory_order_acquire); }
  // How many addresses others claim, and which: written once each, before they are counted.
  [[nodiscard]] std::size_t conflicts() const {
    return conflict_count_.load(std::memory_order_acquire);
  }
  [[nodiscard]] const stack::AddressConflict& conflict(std::size_t i) const {
    return conflicts_[i];
  }
  [[nodiscard]] Duration busy() const {
    return Duration(static_cast<std::int64_t>(busy_us_.get()));
  }
  [[nodiscard]] stack::Gauges gauges() const {
    return {connections_.load(std::memory_order_relaxed),
            established_.load(std::memory_order_relaxed),
            half_open_.load(std::memory_order_relaxed),
            time_wait_.load(std::memory_order_relaxed),
            neighbours_.load(std::memory_order_relaxed),
            accept_waiting_.load(std::memory_order_relaxed),
            close_wait_.load(std::memory_order_relaxed),
            Duration(oldest_close_wait_us_.load(std::memory_order_relaxed))};
  }

 protected:
  void publish(const stack::Gauges& g, Order carried_out) {
    connections_.store(g.connections, std::memory_order_relaxed);
    established_.store(g.established, std::memory_order_relaxed);
    half_open_.store(g.half_open, std::memory_order_relaxed);
    time_wait_.store(g.time_wait, std::memory_order_relaxed);
    neighbours_.store(g.neighbours, std::memory_order_relaxed);
    accept_waiting_.store(g.accept_waiting, std::memory_order_relaxed);
    close_wait_.store(g.close_wait, std::memory_order_relaxed);
    oldest_close_wait_us_.store(g.oldest_close_wait.count(), std::memory_order_relaxed);
    done_.store(carried_out, std::memory_order_release);
  }
  void publish_addresses(std::span<const stack::AddressConflict> conflicts, bool settled) {
    std::size_t n = conflict_count_.load(std::memory_order_relaxed);
    for (; n < std::min(conflicts.size(), conflicts_.size()); ++n) conflicts_[n] = conflicts[n];
    conflict_count_.store(n, std::memory_order_release);
    settled_.store(settled, std::memory_order_release);
  }
  void publish(const LeakGauges& leaks) { leaks_.store(leaks); }
  void add_leaks(Sample& into) const {
    const LeakGauges leaks = leaks_.load();
    for (const LeakGauge& l : leaks) {
      if (!l.used) continue;
      const bool outgoing = &l == &leaks.back();
      into.add(Leak{outgoing ? "outgoing" : to_string(l.local), l.count, l.oldest,
                    l.oldest > Duration::zero() ? to_string(l.peer) : std::string()});
    }
  }
  void add_busy(Duration d) { busy_us_.add(static_cast<std::uint64_t>(d.count())); }
  void set_finished() { finished_.store(true, std::memory_order_release); }
  [[nodiscard]] unsigned paces() const { return paces_.load(std::memory_order_acquire); }
  [[nodiscard]] double pace() const { return pace_.load(std::memory_order_relaxed); }
  [[nodiscard]] Order ordered() const { return order_.load(std::memory_order_acquire); }

 private:
  std::atomic<Order> order_{Order::kRun};
  std::atomic<Order> done_{Order::kRun};
  std::atomic<double> pace_{0};
  std::atomic<unsigned> paces_{0};  // how often it was set
  std::atomic<bool> finished_{false};
  std::atomic<bool> settled_{false};
  std::atomic<std::size_t> conflict_count_{0};
  std::array<stack::AddressConflict, 64> conflicts_;
  telemetry::Counter busy_us_;
  Published<LeakGauges> leaks_;
  std::atomic<std::uint32_t> connections_{0}, established_{0}, half_open_{0}, time_wait_{0},
      neighbours_{0}, accept_waiting_{0}, close_wait_{0};
  std::atomic<std::int64_t> oldest_close_wait_us_{0};
};

// What a listener tells, for another thread to read: written whole every time, read field by field.
class PublishedListener {
 public:
  void publish(const stack::ListenerStats& s) {
    set(0, s.backlog);
    set(1, s.waiting);
    set(2, s.half_open);
    set(3, s.accepted);
    set(4, s.accept_overflows);
    set(5, s.syn_overflows);
  }
  [[nodiscard]] stack::ListenerStats read(const Endpoint& at) const {
    stack::ListenerStats s;
    s.local = at;
    s.backlog = small(0);
    s.waiting = small(1);
    s.half_open = small(2);
    s.accepted = get(3);
    s.accept_overflows = get(4);
    s.syn_overflows = get(5);
    return s;
  }

 private:
  void set(std::size_t i, std::uint64_t v) { values_[i].store(v, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get(std::size_t i) const {
    return values_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t small(std::size_t i) const {
    return static_cast<std::uint32_t>(get(i));
  }
  std::array<std::atomic<std::uint64_t>, 6> values_{};
};

[[nodiscard]] inline LeakGauges leaks_of(const stack::Stack& s) {
  LeakGauges out;
  LeakGauge& outgoing = out.back();
  outgoing.count = s.gauges().close_wait;
  for (stack::ListenerId id = 0; id < kListenersShown; ++id) {
    const auto stats = s.listener_stats(id);
    if (!stats) continue;
    out[id].used = true;
    out[id].local = stats->local;
    out[id].count = stats->close_wait;
    outgoing.count -= std::min(outgoing.count, stats->close_wait);
  }
  outgoing.used = outgoing.count > 0;
  std::array<stack::CloseWait, 64> first;
  const std::size_t n = s.oldest_close_waits(first);
  for (const stack::CloseWait& w : std::span(first).first(n)) {
    const std::size_t at = w.listener ? *w.listener : kListenersShown;
    if (at >= out.size() || out[at].oldest > Duration::zero()) continue;
    out[at].oldest = std::max<Duration>(w.age, 1ms);
    out[at].peer = {w.flow.remote, w.flow.remote_port};
  }
  return out;
}

// H: a Handler with stop_accepting and abort_all; it may have start, finished and latency. Fields:
// std::vector<Field> of an H.
template <class H>
class HandlerShard final : public Shard {
 public:
  using Fields = std::vector<Field> (*)(const H&);

  template <class... Args>
  HandlerShard(dpdk::Queue& queue, const stack::Config& config, const stack::Secrets& secrets,
               const dpdk::IdleConfig& idle, Fields fields, const Args&... args)
      : queue_(queue),
        stack_(config, secrets, queue.source(), dpdk::Queue::now()),
        handler_(stack_, args...),
        worker_(queue, stack_, handler_),
        idle_(idle),
        fields_(fields) {}

  std::optional<std::string> start() override {
    if constexpr (requires { handler_.start(); }) {
      const auto opened = handler_.start();
      if (!opened.ok()) {
        return "listener " + std::to_string(opened.error().listener + 1) + ": " +
               std::string(stack::to_string(opened.error().error));
      }
    }
    for (ListenerId id = 0; const auto l = stack_.listener_stats(id); ++id) {
      addresses_.push_back(l->local);  // before the worker's thread begins
    }
    listeners_ = std::vector<PublishedListener>(addresses_.size());
    return std::nullopt;
  }

  void run() override {
    dpdk::IdleWaiter idle(idle_);
    Order done = Order::kRun;
    Instant published{}, before = dpdk::Queue::now();
    bool busy = false;                    // the iteration before found work
    [[maybe_unused]] unsigned paced = 0;  // the last pace that was taken up
    bool settled = false;                 // told that the addresses are
    for (;;) {
      const unsigned work = worker_.run_once();
      const Instant now = stack_.now();
      // From one iteration's stamp to the next: no clock is read for it.
      if (busy) add_busy(now - before);
      before = now;
      busy = work != 0;
      if (!settled && stack_.addresses_settled()) {
        settled = true;
        publish_addresses(stack_.address_conflicts(), true);
      }
      if constexpr (requires { handler_.set_rate(0.0, now); }) {
        if (const unsigned n = paces(); n != paced) {
          paced = n;
          handler_.set_rate(pace(), now);
        }
      }
      if (const Order o = ordered(); o != done) {
        carry_out(o, done);
        done = o;
        published = {};
        if (o == Order::kQuit) break;
      } else if (now - published >= kPublishEvery) {
        published = now;
        publish(stack_.gauges(), done);
        publish_addresses(stack_.address_conflicts(), settled);
        publish(leaks_of(stack_));
        publish_listeners();
        if constexpr (requires { handler_.finished(); }) {
          if (handler_.finished()) set_finished();
        }
      }
      idle.after(work, now, worker_.next_deadline());
    }
    stack_.release_spare();  // so that the pools tell what is really held
    worker_.run_once();
    publish(stack_.gauges(), done);
  }

  void last_words() override {
    std::uint32_t from = 0;
    for (bool more = true; more;) {
      more = stack_.poll_last_resets(from);
      queue_.transmit(stack_.tx_packets(), {}, stack_.counters());
    }
  }

  void collect(Sample& into) const override {
    into.add(stack_.counters());
    into.add(gauges());
    add_leaks(into);
    for (std::size_t i = 0; i < listeners_.size(); ++i) into.add(listeners_[i].read(addresses_[i]));
    into.add_app(fields_(handler_));
    into.busy += busy();
    ++into.cores;
    if constexpr (requires { handler_.latency(); }) {
      into.add("connect", handler_.latency().connect);
      into.add("first_byte", handler_.latency().first_byte);
      into.add("request", handler_.latency().request);
    }
  }

 private:
  static constexpr Duration kPublishEvery = 100ms;

  // One that has stopped keeps what it last said.
  void publish_listeners() {
    for (ListenerId id = 0; id < listeners_.size(); ++id) {
      if (const auto l = stack_.listener_stats(id)) listeners_[id].publish(*l);
    }
  }
  void carry_out(Order o, Order done) {
    publish_listeners();
    if (done < Order::kDrain && o >= Order::kDrain) handler_.stop_accepting();
    if (done < Order::kAbort && o == Order::kAbort) handler_.abort_all();
  }

  dpdk::Queue& queue_;
  stack::Stack stack_;
  H handler_;
  Worker<dpdk::Queue, H> worker_;
  dpdk::IdleConfig idle_;
  Fields fields_;
  std::vector<Endpoint> addresses_;  // of the listeners, in their order
  std::vector<PublishedListener> listeners_;
};

}  // namespace weir::app
