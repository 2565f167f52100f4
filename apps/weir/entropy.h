// The system's entropy, for whoever makes stacks and ports.
#pragma once

#include <sys/random.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <type_traits>

#include "stack/stack.h"

namespace weir::app {

// False when the system has no entropy: then nothing may start.
template <class T>
[[nodiscard]] bool draw(T& out) {
  static_assert(std::is_trivially_copyable_v<T>);
  auto* at = reinterpret_cast<unsigned char*>(&out);
  std::size_t left = sizeof out;
  while (left > 0) {
    const ssize_t n = getrandom(at, left, GRND_NONBLOCK);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    left -= static_cast<std::size_t>(n);
  }
  return true;
}

[[nodiscard]] inline bool draw_secrets(stack::Secrets& s) {
  return draw(s.isn) && draw(s.table) && draw(s.ports) && draw(s.cookies) && draw(s.seed);
}

}  // namespace weir::app
