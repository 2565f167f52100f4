// A hierarchical timing wheel (Varghese and Lauck, 1987): 4 levels of 256 slots, one node per id.
//
// Says which ids are due; never what is due for them. The caller keeps the true deadline and an id
// may come out before it: extending a deadline does not move the node, so the caller that gets an
// id too soon arms it again. Reads no clock, allocates nothing after construction, calls nothing
// back. The wheel owns its nodes; ids belong to the caller (slab indices of connections).
//
// Costs, whatever the wheel holds: arm, cancel and armed are O(1); next_deadline is O(levels) by
// bitmap; advance does at most expired.size() expirations and kCascadePerCall moves to a lower
// level, and a node moves down at most 3 times between arm and expiry within the horizon of 2^32
// ticks (one more time per further 2^32). Idle time costs nothing: empty slots are skipped by
// bitmap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/assert.h"
#include "base/slab.h"
#include "base/time.h"

namespace weir::timer {

class Wheel {
 public:
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kSlotBits = 8;
  static constexpr unsigned kSlots = 1U << kSlotBits;
  static constexpr unsigned kCascadePerCall = 256;
  static constexpr unsigned kNodeSize = 16;  // octets an id takes

  // Ids are 0 .. capacity-1. Nodes that were never armed take no memory. Pre: tick > 0, start not
  // before the epoch of Instant. Throws std::bad_alloc.
  Wheel(std::uint32_t capacity, Instant start, Duration tick = 1ms);
  ~Wheel();
  Wheel(const Wheel&) = delete;
  Wheel& operator=(const Wheel&) = delete;

  // Sees to it that `id` comes out no later than the first tick at or after `deadline`. Moves the
  // node only when that is earlier than where it stands; kNever asks for nothing. A deadline in
  // the past comes out of the next advance.
  void arm(std::uint32_t id, Instant deadline) {
    WEIR_ASSERT(id < capacity_);
    const Node& node = nodes_[id];
    if (deadline == kNever) return;
    if (node.where != 0 && deadline >= time_of(node.tick())) return;  // extended: lazy
    move_earlier(id, deadline);
  }

  void prefetch(std::uint32_t id) const { __builtin_prefetch(&nodes_[id]); }

  // Nothing happens if the id is not armed.
  void cancel(std::uint32_t id);

  [[nodiscard]] bool armed(std::uint32_t id) const {
    WEIR_ASSERT(id < capacity_);
    return nodes_[id].where != 0;
  }

  // Unlinks ids that stand at a tick not after `now` and writes them to `expired`, earliest tick
  // first (any order within a tick). Returns how many. When the span or the cascade budget ran out
  // there may be more: then next_deadline() <= now, and the next call goes on where this stopped.
  // Never early: an id comes out only when `now` has reached the whole tick it was rounded up to.
  unsigned advance(Instant now, std::span<std::uint32_t> expired);

  // No id is due before this; kNever when nothing is armed. Exact for the nearest 256 ticks at
  // most, else the start of the earliest occupied slot: a sleeper may wake up to 3 times too soon.
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] std::uint32_t armed_count() const { return armed_count_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] Duration tick() const { return Duration{static_cast<Duration::rep>(tick_us_)}; }

 private:
  using Tick = std::uint64_t;  // whole ticks since start_
  static constexpr Tick kNoTick = ~Tick{0};
  static constexpr unsigned kWhereBits = 11;  // slot of all levels, plus one: 1 .. 1024
  static constexpr Tick kMaxTick = (Tick{1} << (64 - kWhereBits)) - 1;

  struct Node {  // all zero: not armed
    std::uint32_t next, prev;
    std::uint64_t where;  // tick << kWhereBits | (slot + 1)

    [[nodiscard]] Tick tick() const { return where >> kWhereBits; }
    [[nodiscard]] unsigned slot() const {
      return static_cast<unsigned>(where & ((1U << kWhereBits) - 1)) - 1;
    }
  };
  static_assert(sizeof(Node) == kNodeSize, "budget: one node a connection");

  struct Due {  // an occupied slot and the first tick it covers
    unsigned level = 0;
    unsigned index = 0;
    Tick tick = kNoTick;
  };

  [[nodiscard]] Instant time_of(Tick tick) const {
    return start_ + Duration{static_cast<Duration::rep>(tick * tick_us_)};
  }
  [[nodiscard]] Tick floor_tick(Instant t) const;
  [[nodiscard]] Tick ceil_tick(Instant t) const;

  void move_earlier(std::uint32_t id, Instant deadline);
  void place(std::uint32_t id, Tick tick);
  void unlink(std::uint32_t id);
  [[nodiscard]] unsigned slot_for(Tick tick) const;
  [[nodiscard]] Due earliest() const;
  unsigned drain(unsigned slot, std::span<std::uint32_t> expired);
  unsigned cascade(unsigned slot, unsigned budget);

  // The index of `tick`'s slot in its level.
  static constexpr unsigned index_of(Tick tick, unsigned level) {
    return static_cast<unsigned>(tick >> (kSlotBits * level)) & (kSlots - 1);
  }
  [[nodiscard]] bool occupied(unsigned level, unsigned index) const {
    return (bits_[level][index / 64] >> (index % 64) & 1U) != 0;
  }
  // The first occupied index at or after `from`, kSlots if there is none.
  [[nodiscard]] unsigned first_from(unsigned level, unsigned from) const;

  Node* nodes_ = nullptr;
  std::uint32_t capacity_;
  std::uint32_t armed_count_ = 0;
  Instant start_;
  std::uint64_t tick_us_;
  Tick cursor_ = 0;                   // every tick before this one is done with
  Instant look_at_ = Instant::min();  // advance has nothing to do before this
  std::array<std::array<std::uint64_t, kSlots / 64>, kLevels> bits_{};
  std::array<std::uint32_t, kLevels * kSlots> heads_;  // valid where the bit is set
};

}  // namespace weir::timer
