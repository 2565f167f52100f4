// The connections of a stack: a seat for each, and a record only for those that are not at rest.
//
// A seat has the index that the table's handles, ConnIds and the wheel's nodes mean, for as long as
// the connection lives. While something goes on it points to the connection's Conn; of one at rest
// it holds what that must be made from again (tcp/frozen.h), in four cache lines. There are as many
// Conns as seats, so none ever waits for one; of both, memory is touched only as it is first used,
// and what was given back last is lent first: resident are the seats, and as many Conns as were
// busy at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/addr.h"
#include "base/slab.h"
#include "stack/conn.h"
#include "tcp/frozen.h"

namespace weir::stack {

struct alignas(64) Seat {
  Conn* conn;    // null: at rest
  FlowKey flow;  // always
  // The rest of it only at rest: as Conn has it.
  std::uint32_t neighbour;
  std::uint64_t user;
  std::uint16_t listener;
  std::uint8_t tos, ttl;
  bool has_user_deadline, has_life_deadline;  // so far the first line, all that a timer asks
  tcp::Moment user_deadline;
  tcp::Frozen frozen;
};
static_assert(sizeof(Seat) == 256, "budget of an idle established connection");

class Conns {
 public:
  explicit Conns(std::uint32_t capacity);

  // A seat with a record that is not constructed: the caller does so at `slot`. kNoIndex when full.
  [[nodiscard]] std::uint32_t take(const FlowKey& flow) {
    const std::uint32_t index = seats_.take();
    if (index == kNoIndex) return kNoIndex;
    seats_[index].flow = flow;
    lend(index);
    return index;
  }
  void give(std::uint32_t index) {
    take_back(index);
    seats_.give(index);
  }

  // Pre: not at rest.
  [[nodiscard]] Conn& operator[](std::uint32_t index) { return *seats_[index].conn; }
  [[nodiscard]] const Conn& operator[](std::uint32_t index) const { return *seats_[index].conn; }
  [[nodiscard]] void* slot(std::uint32_t index) { return seats_[index].conn; }
  [[nodiscard]] std::uint32_t index_of(const Conn& c) { return owners_[lent_index(c)] - 1; }

  // Pre: taken.
  [[nodiscard]] bool resting(std::uint32_t index) const { return seats_[index].conn == nullptr; }
  [[nodiscard]] Seat& seat(std::uint32_t index) { return seats_[index]; }
  [[nodiscard]] const Seat& seat(std::uint32_t index) const { return seats_[index]; }
  [[nodiscard]] const void* seat_slot(std::uint32_t index) { return seats_.slot(index); }

  // What a connection at rest has no more, not constructed. Pre: resting.
  void lend(std::uint32_t index) {
    const std::uint32_t at = lent_.take();
    WEIR_ASSERT(at != kNoIndex);
    seats_[index].conn = static_cast<Conn*>(lent_.slot(at));
    owners_[at] = index + 1;
  }
  // Pre: not at rest; the record is destroyed.
  void take_back(std::uint32_t index) {
    const std::uint32_t at = lent_index(*seats_[index].conn);
    owners_[at] = 0;
    lent_.give(at);
    seats_[index].conn = nullptr;
  }

  [[nodiscard]] std::uint32_t size() const { return seats_.size(); }
  [[nodiscard]] std::uint32_t capacity() const { return seats_.capacity(); }
  [[nodiscard]] bool full() const { return seats_.full(); }
  [[nodiscard]] std::uint32_t lent() const { return lent_.size(); }

  // For whoever goes through the records that are lent: they lie below lent_end(), and others with
  // them, whose owner is kNoIndex.
  [[nodiscard]] std::uint32_t lent_end() const { return lent_.used(); }
  [[nodiscard]] std::uint32_t owner(std::uint32_t at) const { return owners_[at] - 1; }
  [[nodiscard]] const Conn& lent_at(std::uint32_t at) const { return lent_[at]; }
  void prefetch_activity(std::uint32_t at) const {
    __builtin_prefetch(&lent_[at].tcb.last_received);
  }
  // All of a record and of its seat. Pre: it has an owner.
  void prefetch_whole(std::uint32_t at) const {
    const auto lines = [](const void* of, std::size_t octets) {
      for (std::size_t i = 0; i < octets; i += 64) {
        __builtin_prefetch(static_cast<const std::byte*>(of) + i);
      }
    };
    lines(&lent_[at], sizeof(Conn));
    lines(&seats_[owner(at)], sizeof(Seat));
  }

 private:
  [[nodiscard]] std::uint32_t lent_index(const Conn& c) {
    return static_cast<std::uint32_t>(&c - &lent_[0]);
  }

  Slab<Seat> seats_;
  Slab<Conn> lent_;
  Slab<std::uint32_t> owners_;  // by place in lent_: the seat's index and one more; 0: none
};

// First in, first out, of connections linked through one of their fields. None of them rests.
template <std::uint32_t Conn::*Next>
struct ConnList {
  std::uint32_t head = kNoIndex, tail = kNoIndex;

  [[nodiscard]] bool empty() const { return head == kNoIndex; }
  void push(Conns& conns, std::uint32_t index) {
    conns[index].*Next = kNoIndex;
    if (head == kNoIndex) {
      head = index;
    } else {
      conns[tail].*Next = index;
    }
    tail = index;
  }
  std::uint32_t pop(Conns& conns) {
    const std::uint32_t index = head;
    head = conns[index].*Next;
    if (head == kNoIndex) tail = kNoIndex;
    return index;
  }
};

}  // namespace weir::stack
