// Packets that wait to be fetched, in the order they were sent, each with its instant: one run of
// octets that grows to what was needed once, up to a limit.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

#include "base/assert.h"
#include "base/time.h"

namespace weir::posix {

class OutputQueue {
 public:
  explicit OutputQueue(std::size_t limit) : limit_(limit) {}

  // Room for a packet of at most `size` octets, to be written and then committed; empty when the
  // queue is full. Valid until the next call.
  [[nodiscard]] std::span<std::byte> prepare(std::size_t size) {
    if (octets_.size() - read_ + size > limit_) return {};
    if (read_ == octets_.size()) {
      octets_.clear();
      read_ = 0;
    } else if (read_ > kSlack && read_ > octets_.size() / 2) {
      octets_.erase(octets_.begin(), octets_.begin() + static_cast<std::ptrdiff_t>(read_));
      read_ = 0;
    }
    end_ = octets_.size();
    octets_.resize(end_ + size);
    return {octets_.data() + end_, size};
  }
  // What was prepared is a packet of `size` octets.
  void commit(std::size_t size, Instant when) {
    WEIR_ASSERT(end_ + size <= octets_.size());
    octets_.resize(end_ + size);
    packets_.push_back({when, size});
  }

  [[nodiscard]] bool empty() const { return packets_.empty(); }
  [[nodiscard]] Instant when() const { return packets_.front().when; }
  [[nodiscard]] std::span<const std::byte> front() const {
    return {octets_.data() + read_, packets_.front().size};
  }
  void pop() {
    read_ += packets_.front().size;
    packets_.pop_front();
  }

 private:
  struct Packet {
    Instant when;
    std::size_t size;
  };
  static constexpr std::size_t kSlack = 65'536;

  std::size_t limit_;
  std::vector<std::byte> octets_;
  std::size_t read_ = 0, end_ = 0;
  std::deque<Packet> packets_;
};

}  // namespace weir::posix
