// One's complement sums in registers (RFC 1071): of 16-bit words as they lie in memory, which come
// out right in memory too (§2(B)). Whoever writes or parses a header by words sums it on the way.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "wire/octets.h"

namespace weir::wire {

// With end-around carry.
[[nodiscard]] inline std::uint64_t add_ones(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  const bool carry = __builtin_add_overflow(a, b, &sum);
  return sum + (carry ? 1U : 0U);
}

// To 16 bits, as they lie in memory. Never 0 unless `sum` is.
[[nodiscard]] inline std::uint16_t fold_ones(std::uint64_t sum) {
  const auto low = static_cast<std::uint32_t>(sum), high = static_cast<std::uint32_t>(sum >> 32U);
  std::uint32_t s = 0;
  const bool carry = __builtin_add_overflow(low, high, &s);
  s += carry ? 1U : 0U;
  // The upper half of this is both halves' sum and the carry out of the lower one.
  return static_cast<std::uint16_t>((s + std::rotl(s, 16)) >> 16U);
}

// The octets behind the last whole eight, padded with zeros. Pre: n < 8.
[[nodiscard]] inline std::uint64_t load_tail(const std::byte* p, std::size_t n) {
  std::uint64_t word = 0;
  unsigned at = 0;
  if ((n & 4U) != 0) {
    word = load_raw32(p);
    p += 4;
    at = 32;
  }
  if ((n & 2U) != 0) {
    word |= std::uint64_t{load_raw16(p)} << at;
    p += 2;
    at += 16;
  }
  if ((n & 1U) != 0) word |= std::uint64_t{load8(p)} << at;
  return word;
}

// `sum` and `n` octets more; an odd last one is padded behind with zero. Four chains, as each
// addition waits for the carry of the one before.
[[nodiscard]] inline std::uint64_t sum_octets(const std::byte* p, std::size_t n,
                                              std::uint64_t sum = 0) {
  if (n >= 64) {
    std::uint64_t b = 0, c = 0, d = 0;
    for (; n >= 32; p += 32, n -= 32) {
      sum = add_ones(sum, load_raw64(p));
      b = add_ones(b, load_raw64(p + 8));
      c = add_ones(c, load_raw64(p + 16));
      d = add_ones(d, load_raw64(p + 24));
    }
    sum = add_ones(add_ones(sum, b), add_ones(c, d));
  }
  for (; n >= 8; p += 8, n -= 8) sum = add_ones(sum, load_raw64(p));
  return n == 0 ? sum : add_ones(sum, load_tail(p, n));
}

// The same of octets that are copied on the way. The two do not overlap.
[[nodiscard]] inline std::uint64_t copy_and_sum(std::byte* to, const std::byte* from,
                                                std::size_t n) {
  std::uint64_t sum = 0, b = 0;
  for (; n >= 16; to += 16, from += 16, n -= 16) {
    const std::uint64_t first = load_raw64(from), second = load_raw64(from + 8);
    store_raw(to, first);
    store_raw(to + 8, second);
    sum = add_ones(sum, first);
    b = add_ones(b, second);
  }
  sum = add_ones(sum, b);
  if (n >= 8) {
    const std::uint64_t word = load_raw64(from);
    store_raw(to, word);
    sum = add_ones(sum, word);
    to += 8;
    from += 8;
    n -= 8;
  }
  if (n == 0) return sum;
  std::memcpy(to, from, n);
  return add_ones(sum, load_tail(from, n));
}

}  // namespace weir::wire
