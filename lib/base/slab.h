// A fixed number of T, taken and given back by index in O(1). Sized once; never grows.
//
// Memory is reserved in one piece and touched only as records are first used, so a slab of ten
// million costs what is used of it. Freed records are handed out again last in, first out.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "base/assert.h"

namespace weir {

inline constexpr std::uint32_t kNoIndex = 0xffff'ffffU;

template <class T>
class Slab {
  static_assert(sizeof(T) >= sizeof(std::uint32_t), "a free record holds the next one's index");

 public:
  explicit Slab(std::uint32_t capacity) : capacity_(capacity) {
    void* p = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(p);
  }
  ~Slab() { munmap(base_, bytes()); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // kNoIndex when full. The record is not constructed: the caller writes all of it.
  [[nodiscard]] std::uint32_t take() {
    std::uint32_t index = free_;
    if (index != kNoIndex) {
      free_ = *link(index);
    } else if (fresh_ < capacity_) {
      index = fresh_++;
    } else {
      return kNoIndex;
    }
    ++size_;
    return index;
  }
  void give(std::uint32_t index) {
    WEIR_ASSERT(index < fresh_ && size_ > 0);
    ::new (slot(index)) std::uint32_t(free_);
    free_ = index;
    --size_;
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
  // Records from this one on were never used. Those before may have been given back.
  [[nodiscard]] std::uint32_t used() const { return fresh_; }
  [[nodiscard]] bool full() const { return size_ == capacity_; }

 private:
  [[nodiscard]] std::size_t bytes() const {
    return std::size_t{capacity_ == 0 ? 1 : capacity_} * sizeof(T);
  }
  std::uint32_t* link(std::uint32_t index) {
    return std::launder(reinterpret_cast<std::uint32_t*>(slot(index)));
  }

  std::byte* base_ = nullptr;
  std::uint32_t capacity_;
  std::uint32_t fresh_ = 0;  // records below this one were used at least once
  std::uint32_t free_ = kNoIndex;
  std::uint32_t size_ = 0;
};

}  // namespace weir
