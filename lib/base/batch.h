// A bounded list in place: filled through one step of an iteration, drained once per burst.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/assert.h"

namespace weir {

// `Behind`: places behind the last that may be written to before `add` makes them part of it.
template <class T, std::size_t N, std::size_t Behind = 0>
class Batch {
 public:
  static constexpr std::size_t kCapacity = N;

  T& push(const T& item) {
    WEIR_ASSERT(size_ < N);
    return items_[size_++] = item;
  }
  // The place behind the last, as it was left: for the caller to fill, whole.
  T& add() {
    WEIR_ASSERT(size_ < N);
    return items_[size_++];
  }
  [[nodiscard]] T* behind() { return items_.data() + size_; }
  T pop() {
    WEIR_ASSERT(size_ > 0);
    return items_[--size_];
  }
  [[nodiscard]] std::size_t room() const { return N - size_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::span<const T> items() const { return {items_.data(), size_}; }
  [[nodiscard]] std::span<T> items() { return {items_.data(), size_}; }
  void clear() { size_ = 0; }

 private:
  std::array<T, N + Behind> items_;
  std::size_t size_ = 0;
};

}  // namespace weir
