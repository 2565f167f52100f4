#include "socket/packet_pool.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/assert.h"

namespace weir::posix {

PacketPool::~PacketPool() {
  WEIR_ASSERT(in_use_ == 0);
  while (free_ != nullptr) {
    Buf* b = free_;
    free_ = b->next;
    std::free(b);
  }
}

PacketPool::Block* PacketPool::take(std::uint32_t size) {
  const std::uint32_t counts = (size + kBlockSize - 1) / kBlockSize;
  if (counts > limit_ - in_use_) return nullptr;
  void* raw = free_;
  if (counts == 1 && raw != nullptr) {
    free_ = free_->next;
  } else {
    raw = std::malloc(sizeof(Block) + std::size_t{counts} * kBlockSize);
  }
  if (raw == nullptr) return nullptr;
  auto* block = ::new (raw) Block;
  block->counts = counts;
  block->size = counts * kBlockSize;
  block->buf.data = memory_of(block);
  block->buf.room = block->size;
  in_use_ += counts;
  return block;
}

// The marks are those of a port's driver, in the same quarters and eighths of the pool.
Buf* PacketPool::take_copy(std::size_t before, std::span<const std::byte> octets) {
  const auto size = static_cast<std::uint32_t>(before + octets.size());
  Block* block = take(size);
  if (block == nullptr) return nullptr;
  Buf& b = block->buf;
  std::memcpy(b.data + before, octets.data(), octets.size());
  b.len = size;
  b.room -= size;
  const std::uint32_t left = limit_ - in_use_;
  unsigned flags = 0;
  if (left < limit_ / 4) flags |= Buf::kScarce;
  if (left < limit_ / 8) flags |= Buf::kLast;
  b.flags = static_cast<std::uint8_t>(flags);
  return &b;
}

void PacketPool::give(Buf* b) {
  static_assert(offsetof(Block, buf) == 0);
  auto* block = reinterpret_cast<Block*>(b);
  WEIR_ASSERT(in_use_ >= block->counts);
  in_use_ -= block->counts;
  if (block->counts > 1) return std::free(block);
  b->next = free_;
  free_ = b;
}

void PacketPool::give(BufChain&& chain) {
  while (Buf* b = chain.pop_front()) give(b);
}

BufSource PacketPool::source() {
  return {this, [](void* context, Buf** out, unsigned n) {
            auto* pool = static_cast<PacketPool*>(context);
            for (unsigned i = 0; i < n; ++i) {
              if (pool->limit_ - pool->in_use_ <= pool->limit_ / 8) return i;
              Block* block = pool->take(kBlockSize);
              if (block == nullptr) return i;
              out[i] = &block->buf;
            }
            return n;
          }};
}

}  // namespace weir::posix
