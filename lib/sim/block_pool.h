// Heap blocks for a simulated driver, each with its Buf at the head.
//
// Every block's data is an allocation of its own, exactly as large as asked, so that
// AddressSanitizer sees the first octet read or written beyond it; a block given back is freed at
// once, so that it sees a late use. Counts what is out: a test proves that nothing leaked by
// `outstanding() == 0`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/buf.h"

namespace weir::sim {

class BlockPool {
 public:
  static constexpr std::uint32_t kNoLimit = 0xffff'ffffU;

  // `block_size`: the room of blocks handed out through source(). `limit`: blocks out at one time;
  // beyond it take fails, as a driver's pool would.
  explicit BlockPool(std::uint32_t block_size = 2048, std::uint32_t limit = kNoLimit)
      : block_size_(block_size), limit_(limit) {}
  ~BlockPool();  // frees what is still out
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  [[nodiscard]] Buf* take(std::uint32_t size);                    // empty, room `size`; or null
  [[nodiscard]] Buf* take_copy(std::span<const std::byte> from);  // full, no room; or null
  void give(Buf* b);                                              // one, whatever follows it
  void give(BufChain&& chain);
  [[nodiscard]] BufSource source();  // valid as long as the pool

  void set_limit(std::uint32_t limit) { limit_ = limit; }
  [[nodiscard]] std::uint32_t limit() const { return limit_; }
  [[nodiscard]] std::uint32_t outstanding() const { return outstanding_; }
  // Of those, the blocks that hold or held octets: not the stock that a stack keeps of fresh ones.
  [[nodiscard]] std::uint32_t in_use() const;
  [[nodiscard]] std::uint32_t peak() const { return peak_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

 private:
  struct Block {
    Buf buf;  // first: a Buf's address is its block's
    BlockPool* owner = nullptr;
    Block* prev = nullptr;
    Block* next = nullptr;
    std::byte* memory = nullptr;
    std::uint32_t size = 0;
  };
  void destroy(Block* block);

  std::uint32_t block_size_;
  std::uint32_t limit_;
  std::uint32_t outstanding_ = 0;
  std::uint32_t peak_ = 0;
  std::uint64_t refused_ = 0;
  Block* head_ = nullptr;
};

}  // namespace weir::sim
