// A hierarchical timing wheel (Varghese and Lauck, 1987). See wheel.h.
//
// A node lies in the level of the highest 8-bit digit in which its tick differs from the cursor, at
// the slot that this digit names. So below the top level an occupied slot is always ahead of the
// cursor without wrapping, and all that lies in a lower level is due before all in a higher one.
// The top level is a circle: a tick beyond it waits in the slot farthest away and is placed again
// when the cursor gets there.
#include "timer/wheel.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>

namespace weir::timer {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20U;

constexpr std::size_t bytes_for(std::uint32_t capacity, std::size_t node) {
  return std::max<std::size_t>(capacity, 1) * node;
}

}  // namespace

Wheel::Wheel(std::uint32_t capacity, Instant start, Duration tick)
    : capacity_(capacity), start_(start), tick_us_(static_cast<std::uint64_t>(tick.count())) {
  WEIR_ASSERT(tick > Duration::zero() && start.time_since_epoch() >= Duration::zero());
  void* p = mmap(nullptr, bytes_for(capacity_, sizeof(Node)), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  nodes_ = static_cast<Node*>(p);
  // Whoever is due is anywhere among them: with small pages each would miss the TLB, too. A kernel
  // that has no others says no.
  if (bytes_for(capacity_, sizeof(Node)) >= kHugePage) {
    static_cast<void>(madvise(p, bytes_for(capacity_, sizeof(Node)), MADV_HUGEPAGE));
  }
  heads_.fill(kNoIndex);
}

Wheel::~Wheel() {
  munmap(nodes_, bytes_for(capacity_, sizeof(Node)));
}

Wheel::Tick Wheel::floor_tick(Instant t) const {
  if (t <= start_) return 0;
  return static_cast<std::uint64_t>((t - start_).count()) / tick_us_;
}

Wheel::Tick Wheel::ceil_tick(Instant t) const {
  if (t <= start_) return 0;
  const auto us = static_cast<std::uint64_t>((t - start_).count());
  return std::min(us / tick_us_ + (us % tick_us_ != 0 ? 1U : 0U), kMaxTick);
}

void Wheel::cancel(std::uint32_t id) {
  WEIR_ASSERT(id < capacity_);
  if (nodes_[id].where == 0) return;
  unlink(id);
  --armed_count_;
}

void Wheel::move_earlier(std::uint32_t id, Instant deadline) {
  const Tick tick = std::max(ceil_tick(deadline), cursor_);
  Node& node = nodes_[id];
  if (node.where != 0) {
    if (tick >= node.tick()) return;
    unlink(id);
  } else {
    ++armed_count_;
  }
  if (tick == cursor_) look_at_ = Instant::min();
  place(id, tick);
}

unsigned Wheel::slot_for(Tick tick) const {
  const Tick differ = tick ^ cursor_;
  unsigned level =
      differ == 0 ? 0 : (static_cast<unsigned>(std::bit_width(differ)) - 1) / kSlotBits;
  if (level < kLevels - 1) return level * kSlots + index_of(tick, level);
  level = kLevels - 1;
  constexpr unsigned kTopShift = kSlotBits * (kLevels - 1);
  const Tick here = cursor_ >> kTopShift;
  const Tick ahead = std::min<Tick>((tick >> kTopShift) - here, kSlots - 1);
  return level * kSlots + static_cast<unsigned>((here + ahead) % kSlots);
}

// Pre: not linked, tick >= cursor_.
void Wheel::place(std::uint32_t id, Tick tick) {
  const unsigned slot = slot_for(tick);
  const std::uint32_t head = heads_[slot];
  nodes_[id] = {.next = head, .prev = kNoIndex, .where = tick << kWhereBits | (slot + 1)};
  if (head != kNoIndex) nodes_[head].prev = id;
  heads_[slot] = id;
  bits_[slot / kSlots][slot % kSlots / 64] |= std::uint64_t{1} << (slot % 64);
}

// Pre: linked.
void Wheel::unlink(std::uint32_t id) {
  Node& node = nodes_[id];
  const unsigned slot = node.slot();
  if (node.next != kNoIndex) nodes_[node.next].prev = node.prev;
  if (node.prev != kNoIndex) {
    nodes_[node.prev].next = node.next;
  } else {
    heads_[slot] = node.next;
    if (node.next == kNoIndex) {
      bits_[slot / kSlots][slot % kSlots / 64] &= ~(std::uint64_t{1} << (slot % 64));
    }
  }
  node.where = 0;
}

unsigned Wheel::first_from(unsigned level, unsigned from) const {
  if (from >= kSlots) return kSlots;
  unsigned word = from / 64;
  std::uint64_t bits = bits_[level][word] & (~std::uint64_t{0} << (from % 64));
  while (bits == 0) {
    if (++word == kSlots / 64) return kSlots;
    bits = bits_[level][word];
  }
  return word * 64 + static_cast<unsigned>(std::countr_zero(bits));
}

Wheel::Due Wheel::earliest() const {
  // The cursor stands in an occupied slot of a higher level only while that is half cascaded: it
  // may hold what is due at the cursor, so it goes before everything else.
  for (unsigned level = kLevels - 1; level > 0; --level) {
    const unsigned here = index_of(cursor_, level);
    if (occupied(level, here)) return {level, here, cursor_};
  }
  for (unsigned level = 0; level < kLevels; ++level) {
    const unsigned here = index_of(cursor_, level);
    const unsigned index = first_from(level, here);
    if (index == kSlots) continue;
    return {level, index,
            ((cursor_ >> (kSlotBits * level)) + (index - here)) << (kSlotBits * level)};
  }
  constexpr unsigned kTop = kLevels - 1;
  const unsigned index = first_from(kTop, 0);  // behind the cursor's digit: one turn ahead
  if (index == kSlots) return {};
  const Tick turn = (cursor_ >> (kSlotBits * kTop)) + kSlots - index_of(cursor_, kTop);
  return {kTop, index, (turn + index) << (kSlotBits * kTop)};
}

unsigned Wheel::advance(Instant now, std::span<std::uint32_t> expired) {
  if (now < look_at_) return 0;
  const Tick target = floor_tick(now);
  unsigned count = 0;
  unsigned budget = kCascadePerCall;
  for (;;) {  // each turn expires or moves a node, within the span and the budget
    const Due due = earliest();
    if (due.tick > target || due.tick == kNoTick) break;
    if (due.level == 0 ? count == expired.size() : budget == 0) return count;
    cursor_ = due.tick;
    if (due.level == 0) {
      count += drain(due.index, expired.subspan(count));
    } else {
      budget -= cascade(due.level * kSlots + due.index, budget);
    }
  }
  cursor_ = std::max(cursor_, target);
  look_at_ = time_of(cursor_ + 1);
  return count;
}

unsigned Wheel::drain(unsigned slot, std::span<std::uint32_t> expired) {
  unsigned count = 0;
  std::uint32_t id = heads_[slot];
  while (id != kNoIndex && count < expired.size()) {
    Node& node = nodes_[id];
    expired[count++] = id;
    id = node.next;
    if (id != kNoIndex) __builtin_prefetch(&nodes_[id]);
    node.where = 0;
  }
  heads_[slot] = id;
  if (id != kNoIndex) {
    nodes_[id].prev = kNoIndex;
  } else {
    bits_[0][slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  }
  armed_count_ -= count;
  return count;
}

// Moves up to `budget` nodes of a slot that the cursor has reached to the levels below.
unsigned Wheel::cascade(unsigned slot, unsigned budget) {
  unsigned moved = 0;
  while (moved < budget && occupied(slot / kSlots, slot % kSlots)) {
    const std::uint32_t id = heads_[slot];
    const Tick tick = nodes_[id].tick();
    if (nodes_[id].next != kNoIndex) __builtin_prefetch(&nodes_[nodes_[id].next]);
    unlink(id);
    place(id, tick);
    ++moved;
  }
  return moved;
}

Instant Wheel::next_deadline() const {
  const Due due = earliest();
  return due.tick == kNoTick ? kNever : time_of(due.tick);
}

}  // namespace weir::timer
