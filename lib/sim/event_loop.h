// Virtual time: a clock that moves only from event to event, and the events, in order.
//
// Deterministic: events of one instant run in the order in which they were made. Nothing here
// waits or looks at a real clock. Single-threaded; owns the events until they have run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/time.h"

namespace weir::sim {

class EventLoop {
 public:
  using Event = std::function<void()>;

  explicit EventLoop(Instant start = Instant{1s}) : now_(start) {}

  [[nodiscard]] Instant now() const { return now_; }
  // An instant that has passed means now.
  void at(Instant when, Event event);
  void after(Duration delay, Event event) { at(now_ + delay, std::move(event)); }
  [[nodiscard]] Instant next_event() const;  // kNever if there is none
  [[nodiscard]] std::size_t pending() const { return heap_.size(); }

  // Runs what is due up to and at `until`, events that those make included; the clock ends there.
  void run_until(Instant until);

 private:
  struct Item {
    Instant when;
    std::uint64_t order;
    Event event;
  };
  static bool later(const Item& a, const Item& b);

  Instant now_;
  std::uint64_t made_ = 0;
  std::vector<Item> heap_;
};

}  // namespace weir::sim
