// A queue of T in which each record keeps its index until its turn comes: first in, first out, in
// O(1), by index. Sized once; never grows.
//
// Records lie in the order of the queue, in chunks, so whoever goes along it reads memory in
// sequence and none of them holds a link. Chunks are touched only as they are first used, and used
// again last in, first out: the memory is that of the most records there ever were.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "base/assert.h"
#include "base/slab.h"

namespace weir {

template <class T>
class Fifo {
 public:
  static constexpr std::uint32_t kChunk =
      1'024;  // records: whole pages of any T of 4 octets' times

  // Throws std::bad_alloc.
  explicit Fifo(std::uint32_t capacity)
      : capacity_(capacity), next_chunk_(capacity / kChunk + 2) {  // the first and last: in part
    void* p = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(p);
  }
  ~Fifo() { munmap(base_, bytes()); }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;

  // The last of the queue from now on; kNoIndex when full. The record is not constructed: the
  // caller writes all of it.
  [[nodiscard]] std::uint32_t push() {
    if (size_ == capacity_) return kNoIndex;
    if (size_ == 0) {
      first_ = last_ = take_chunk() * kChunk;
    } else if ((last_ + 1) % kChunk != 0) {
      ++last_;
    } else {
      const std::uint32_t chunk = take_chunk();
      next_chunk_[last_ / kChunk] = chunk;
      last_ = chunk * kChunk;
    }
    ++size_;
    return last_;
  }
  // Frees the first. Pre: not empty.
  void pop() {
    WEIR_ASSERT(size_ > 0);
    const std::uint32_t gone = first_;
    first_ = following(gone);
    --size_;
    if (first_ == kNoIndex || first_ / kChunk != gone / kChunk) give_chunk(gone / kChunk);
  }

  // kNoIndex when empty.
  [[nodiscard]] std::uint32_t first() const { return size_ == 0 ? kNoIndex : first_; }
  // Who comes after `index`, which is in the queue; kNoIndex: nobody.
  [[nodiscard]] std::uint32_t following(std::uint32_t index) const {
    if (index == last_) return kNoIndex;
    return (index + 1) % kChunk != 0 ? index + 1 : next_chunk_[index / kChunk] * kChunk;
  }

  [[nodiscard]] T& operator[](std::uint32_t index) {
    return *std::launder(reinterpret_cast<T*>(slot(index)));
  }
  [[nodiscard]] const T& operator[](std::uint32_t index) const {
    return *std::launder(reinterpret_cast<const T*>(base_ + std::size_t{index} * sizeof(T)));
  }
  // Raw storage, for placement new.
  [[nodiscard]] void* slot(std::uint32_t index) { return base_ + std::size_t{index} * sizeof(T); }

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  // Records from this one on were never used. Those before may be free, or never used either: then
  // all their octets are zero.
  [[nodiscard]] std::uint32_t used() const { return fresh_ * kChunk; }

 private:
  [[nodiscard]] std::size_t bytes() const { return next_chunk_.size() * kChunk * sizeof(T); }
  std::uint32_t take_chunk() {
    if (free_ == kNoIndex) return fresh_++;
    const std::uint32_t chunk = free_;
    free_ = next_chunk_[chunk];
    return chunk;
  }
  void give_chunk(std::uint32_t chunk) {
    next_chunk_[chunk] = free_;
    free_ = chunk;
  }

  std::byte* base_ = nullptr;
  std::uint32_t capacity_;
  std::uint32_t size_ = 0;
  std::uint32_t first_ = 0, last_ = 0;  // valid while there are some
  std::uint32_t fresh_ = 0;             // chunks below this one were used at least once
  std::uint32_t free_ = kNoIndex;       // chunks, linked as those of the queue
  std::vector<std::uint32_t> next_chunk_;
};

}  // namespace weir
