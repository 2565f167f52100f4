// A value or an error, for calls that may be refused.
#pragma once

#include <utility>
#include <variant>

#include "base/assert.h"

namespace weir {

template <class T, class E>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by intent
  Result(E error) : v_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by intent

  [[nodiscard]] bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] T& value() {
    WEIR_ASSERT(ok());
    return *std::get_if<0>(&v_);
  }
  [[nodiscard]] const T& value() const {
    WEIR_ASSERT(ok());
    return *std::get_if<0>(&v_);
  }
  T& operator*() { return value(); }
  T* operator->() { return &value(); }
  [[nodiscard]] const E& error() const {
    WEIR_ASSERT(!ok());
    return *std::get_if<1>(&v_);
  }

 private:
  std::variant<T, E> v_;
};

}  // namespace weir
