#include "lb/http_backends.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"

namespace weir::lb::http {

Backends::Backends(stack::Stack& s, const Config& config, const std::vector<Pool>& pools)
    : stack_(s),
      max_idle_(config.idle_backends),
      timeout_(config.idle_backend_timeout),
      slab_(config.max_sessions) {
  std::uint32_t lists = 0;
  for (const Pool& p : pools) {
    first_.push_back(lists);
    lists += static_cast<std::uint32_t>(p.config().backends.size());
  }
  lists_.resize(lists);
}

std::uint32_t Backends::add(Connection conn, std::uint32_t pool, std::uint32_t pick) {
  if (slab_.full()) {
    const auto any = std::find_if(lists_.begin(), lists_.end(),
                                  [](const List& l) { return l.head != kNoIndex; });
    if (any == lists_.end()) return kNoIndex;
    close(any->head);
  }
  const std::uint32_t index = slab_.take();
  high_water_ = std::max(high_water_, index + 1);
  auto& b = *::new (slab_.slot(index)) Backend{};
  b.conn = conn;
  b.pool = pool;
  b.pick = pick;
  b.live = true;
  b.last_moved = stack_.now();
  conn.set_user(user_of(index));
  conn.set_nodelay(true);
  return index;
}

void Backends::unlink(Backend& b, std::uint32_t index) {
  List& list = list_of(b);
  WEIR_ASSERT(b.parked && list.count > 0);
  b.parked = false;
  if (list.head == index) list.head = b.next;
  if (b.next != kNoIndex) slab_[b.next].prev = b.prev;
  if (b.prev != kNoIndex) slab_[b.prev].next = b.next;
  b.next = b.prev = kNoIndex;
  --list.count;
  --idle_;
}

std::uint32_t Backends::take_idle(std::uint32_t pool, std::uint32_t pick) {
  std::uint32_t index = kNoIndex;
  for (;;) {
    index = lists_[first_[pool] + pick].head;
    if (index == kNoIndex) return kNoIndex;
    // Its events of this burst may be still to come: what they will say is known already.
    const Connection c = slab_[index].conn;
    if (c.state() == tcp::State::kEstablished && c.readable() == 0) break;
    abort(index);
  }
  Backend& b = slab_[index];
  unlink(b, index);
  b.reused = true;
  b.spoke = false;
  b.last_moved = stack_.now();
  return index;
}

void Backends::park(std::uint32_t index) {
  Backend& b = slab_[index];
  List& list = list_of(b);
  WEIR_ASSERT(b.in.empty() && b.parsed == 0 && b.connected);
  if (list.count >= max_idle_) return close(index);
  b.session = kNoIndex;
  b.parked = true;
  b.next = list.head;
  if (list.head != kNoIndex) slab_[list.head].prev = index;
  list.head = index;
  ++list.count;
  ++idle_;
  b.last_moved = stack_.now();
  b.conn.set_timer(b.last_moved + timeout_);
}

void Backends::remove(std::uint32_t index) {
  Backend& b = slab_[index];
  WEIR_ASSERT(b.live);
  if (b.parked) unlink(b, index);
  if (!b.in.empty()) stack_.release(std::move(b.in));
  b.live = false;
  slab_.give(index);
}

void Backends::abort(std::uint32_t index) {
  slab_[index].conn.abort();
  remove(index);
}

void Backends::close(std::uint32_t index) {
  slab_[index].conn.close();
  remove(index);
}

void Backends::close_idle() {
  for (List& l : lists_) {
    while (l.head != kNoIndex) close(l.head);
  }
}

void Backends::abort_all() {
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (slab_[i].live) abort(i);
  }
}

}  // namespace weir::lb::http
