// Buffers of a packet script: heap blocks of exactly the size asked for, so that a sanitizer sees
// every octet too far, each counted until it is given back.
//
// Text is a function of its sequence number, so any octet of any segment can be checked alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/buf.h"

namespace weir::test {

enum class Side : std::uint8_t { kOurs, kTheirs };

[[nodiscard]] inline std::byte pattern(Side side, Seq s) {
  const std::uint32_t x = (s.raw() ^ (side == Side::kOurs ? 0U : 0x5bd1e995U)) * 2'654'435'761U;
  return static_cast<std::byte>(x >> 24U);
}

// Owns every block it hands out. `live` counts those not given back.
class Bufs {
 public:
  Bufs() = default;
  Bufs(const Bufs&) = delete;
  Bufs& operator=(const Bufs&) = delete;

  // A Buf of `len` octets of the pattern from `s`, with `room` octets behind them.
  [[nodiscard]] Buf* make(Side side, Seq s, std::uint32_t len, std::uint32_t room = 0) {
    auto* block = new Block;
    block->octets = std::make_unique<std::byte[]>(len + room);
    block->data = block->octets.get();
    block->len = len;
    block->room = room;
    for (std::uint32_t i = 0; i < len; ++i) block->data[i] = pattern(side, s + i);
    ++live_;
    return block;
  }
  void give_back(BufChain&& chain) {
    while (Buf* b = chain.pop_front()) {
      delete static_cast<Block*>(b);
      --live_;
    }
  }
  [[nodiscard]] int live() const { return live_; }

 private:
  struct Block : Buf {
    std::unique_ptr<std::byte[]> octets;
  };
  int live_ = 0;
};

}  // namespace weir::test
