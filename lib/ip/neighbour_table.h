// Neighbours plus the packets that wait for them (RFC 1122 §2.3.2.2).
//
// `Pending` is whatever the stack sends later; the table only keeps it, in a pool sized at
// construction, and hands every item back exactly once: to `deliver` when its neighbour answers, to
// `drop` when it fails, or as the one displaced by a newer item.
#pragma once

#include <optional>
#include <type_traits>
#include <vector>

#include "ip/neighbours.h"

namespace weir::ip {

template <class Pending>
class NeighbourTable : public Neighbours {
  static_assert(std::is_trivially_copyable_v<Pending>);

 public:
  NeighbourTable(std::uint32_t capacity, const NeighbourConfig& config)
      : Neighbours(capacity, config), pool_(config.pool), queues_(capacity) {}

  // Keeps `item` until `id` is resolved. Pre: use(id) has just said kWait. Returns what found no
  // place and is the caller's to drop: the oldest that waits for `id` (the latest is the one worth
  // keeping), or `item` itself when the pool is empty.
  //= RFC1122 2.3.2.2
  //= RFC4861 7.2.2-d
  [[nodiscard]] std::optional<Pending> hold(NeighbourId id, const Pending& item) {
    WEIR_ASSERT(state(id) == State::kIncomplete);
    Queue& q = queues_[id];
    std::optional<Pending> displaced;
    if (q.count > 0 && (q.count >= config().queue_len || pool_.full())) displaced = pop(q);
    const std::uint32_t node = q.count < config().queue_len ? pool_.take() : kNoIndex;
    if (node == kNoIndex) return item;
    ::new (pool_.slot(node)) Node{item, kNoIndex};
    (q.count == 0 ? q.head : pool_[q.tail].next) = node;
    q.tail = node;
    ++q.count;
    return displaced;
  }

  // As Neighbours::on_arp; `deliver(item)` gets what waited, oldest first, when an entry resolves.
  template <class Deliver>
  ArpOutcome on_arp(const wire::ArpPacket& arp, const Routes& routes, const MacAddr& local_mac,
                    Instant now, Deliver&& deliver) {
    const ArpOutcome outcome = Neighbours::on_arp(arp, routes, local_mac, now);
    if (outcome.resolved != kNoIndex) drain(outcome.resolved, deliver);
    return outcome;
  }

  // As Neighbours::on_nd; `deliver` as above.
  template <class Deliver>
  NdOutcome on_nd(const wire::Frame& f, const Routes& routes, const MacAddr& local_mac, Instant now,
                  Deliver&& deliver) {
    const NdOutcome outcome = Neighbours::on_nd(f, routes, local_mac, now);
    if (outcome.resolved != kNoIndex) drain(outcome.resolved, deliver);
    return outcome;
  }

  // As Neighbours::advance; `drop(item)` gets what waited for entries that failed. `out.failed` is
  // for the caller to look at and to clear.
  template <class Drop>
  void advance(Instant now, NeighbourWork& out, Drop&& drop) {
    const std::size_t before = out.failed.size();
    Neighbours::advance(now, out);
    for (const NeighbourId id : out.failed.items().subspan(before)) drain(id, drop);
  }

  // Gives up everything that waits, before the table goes.
  template <class Drop>
  void drop_all(Drop&& drop) {
    for (NeighbourId id = 0; id < queues_.size(); ++id) drain(id, drop);
  }

  [[nodiscard]] std::uint32_t pending() const { return pool_.size(); }
  [[nodiscard]] std::uint32_t pending(NeighbourId id) const { return queues_[id].count; }

 private:
  struct Node {
    Pending item;
    std::uint32_t next;
  };
  struct Queue {
    std::uint32_t head = kNoIndex, tail = kNoIndex, count = 0;
  };

  Pending pop(Queue& q) {
    const std::uint32_t node = q.head;
    const Pending item = pool_[node].item;
    q.head = pool_[node].next;
    --q.count;
    pool_.give(node);
    return item;
  }

  template <class Fn>
  void drain(NeighbourId id, Fn& fn) {
    Queue& q = queues_[id];
    while (q.count > 0) fn(pop(q));
  }

  Slab<Node> pool_;
  std::vector<Queue> queues_;
};

}  // namespace weir::ip
