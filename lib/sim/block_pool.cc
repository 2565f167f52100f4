#include "sim/block_pool.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace weir::sim {

BlockPool::~BlockPool() {
  while (head_ != nullptr) destroy(head_);
}

Buf* BlockPool::take(std::uint32_t size) {
  if (outstanding_ >= limit_) {
    ++refused_;
    return nullptr;
  }
  auto* block = new Block;
  block->owner = this;
  block->memory = new std::byte[size];
  block->size = size;
  block->buf.data = block->memory;
  block->buf.room = size;
  block->next = head_;
  if (head_ != nullptr) head_->prev = block;
  head_ = block;
  peak_ = std::max(peak_, ++outstanding_);
  return &block->buf;
}

Buf* BlockPool::take_copy(std::span<const std::byte> from) {
  Buf* b = take(static_cast<std::uint32_t>(from.size()));
  if (b == nullptr) return nullptr;
  std::memcpy(b->data, from.data(), from.size());
  b->len = b->room;
  b->room = 0;
  return b;
}

void BlockPool::give(Buf* b) {
  static_assert(offsetof(Block, buf) == 0);
  auto* block = reinterpret_cast<Block*>(b);
  WEIR_ASSERT(block->owner == this);  // another pool's, or given back before
  destroy(block);
}

void BlockPool::give(BufChain&& chain) {
  while (Buf* b = chain.pop_front()) give(b);
}

std::uint32_t BlockPool::in_use() const {
  std::uint32_t n = 0;
  for (const Block* b = head_; b != nullptr; b = b->next) {
    const bool fresh = b->buf.len == 0 && b->buf.room == b->size && b->buf.data == b->memory;
    n += fresh ? 0 : 1;
  }
  return n;
}

void BlockPool::destroy(Block* block) {
  (block->prev == nullptr ? head_ : block->prev->next) = block->next;
  if (block->next != nullptr) block->next->prev = block->prev;
  --outstanding_;
  block->owner = nullptr;
  delete[] block->memory;
  delete block;
}

BufSource BlockPool::source() {
  return {this, [](void* context, Buf** out, unsigned n) {
            auto* pool = static_cast<BlockPool*>(context);
            for (unsigned i = 0; i < n; ++i) {
              out[i] = pool->take(pool->block_size_);
              if (out[i] == nullptr) return i;
            }
            return n;
          }};
}

}  // namespace weir::sim
