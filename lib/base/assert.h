// Assertions for our own bugs. Always on: a peer must never be able to trip one.
#pragma once

namespace weir::detail {
[[noreturn]] void assert_failed(const char* what, const char* file, int line) noexcept;
}

#define WEIR_ASSERT(condition)                          \
  (__builtin_expect(static_cast<bool>(condition), true) \
       ? static_cast<void>(0)                           \
       : ::weir::detail::assert_failed(#condition, __FILE__, __LINE__))
