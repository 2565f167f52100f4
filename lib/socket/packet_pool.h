// The buffers of one embedded stack: blocks of 2 KiB, made as they are needed up to a limit, kept
// for the next.
//
// Owns every block; a Buf handed out is the stack's until it is given back. Throws nothing: a pool
// that is empty, or a host without memory, hands out nothing. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/buf.h"

namespace weir::posix {

class PacketPool {
 public:
  static constexpr std::uint32_t kBlockSize = 2'048;

  explicit PacketPool(std::uint32_t limit) : limit_(limit) {}
  ~PacketPool();  // every block must be back
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  // `octets` behind `before` octets of room, in one block: parsers want headers, and ICMP whole, in
  // one piece. One longer than 2 KiB counts as so many, and is not kept. The Buf says how scarce
  // blocks are. Or null.
  [[nodiscard]] Buf* take_copy(std::size_t before, std::span<const std::byte> octets);
  void give(Buf* b);
  void give(BufChain&& chain);
  // Of empty blocks; valid as long as the pool. The last eighth is left to what comes in: text that
  // waits for an ACK may not take the buffer that the ACK needs.
  [[nodiscard]] BufSource source();

  [[nodiscard]] std::uint32_t limit() const { return limit_; }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }

 private:
  struct Block {
    Buf buf;  // first: a Buf's address is its block's
    std::uint32_t counts = 1;
    std::uint32_t size = kBlockSize;
  };
  [[nodiscard]] Block* take(std::uint32_t size);
  [[nodiscard]] static std::byte* memory_of(Block* block) {
    return reinterpret_cast<std::byte*>(block + 1);
  }

  std::uint32_t limit_;
  std::uint32_t in_use_ = 0;  // in blocks of kBlockSize
  Buf* free_ = nullptr;
};

}  // namespace weir::posix
