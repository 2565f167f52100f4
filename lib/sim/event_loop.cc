#include "sim/event_loop.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace weir::sim {

bool EventLoop::later(const Item& a, const Item& b) {
  return a.when != b.when ? a.when > b.when : a.order > b.order;
}

void EventLoop::at(Instant when, Event event) {
  heap_.push_back({std::max(when, now_), made_++, std::move(event)});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

Instant EventLoop::next_event() const {
  return heap_.empty() ? kNever : heap_.front().when;
}

void EventLoop::run_until(Instant until) {
  WEIR_ASSERT(until != kNever);
  while (next_event() <= until) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Item item = std::move(heap_.back());
    heap_.pop_back();
    now_ = item.when;
    item.event();
  }
  now_ = std::max(now_, until);
}

}  // namespace weir::sim
