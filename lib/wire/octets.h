// Octets in network order to numbers and back, at any alignment. Bounds are the caller's.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir::wire {

static_assert(std::endian::native == std::endian::little);

// As they lie in memory: for one's complement sums (RFC 1071 §2(B)).
[[nodiscard]] inline std::uint16_t load_raw16(const void* from) {
  std::uint16_t v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
[[nodiscard]] inline std::uint32_t load_raw32(const void* from) {
  std::uint32_t v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
[[nodiscard]] inline std::uint64_t load_raw64(const void* from) {
  std::uint64_t v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}

[[nodiscard]] inline std::uint8_t load8(const std::byte* p) {
  return std::to_integer<std::uint8_t>(*p);
}
[[nodiscard]] inline std::uint16_t load16(const std::byte* p) {
  return __builtin_bswap16(load_raw16(p));
}
[[nodiscard]] inline std::uint32_t load32(const std::byte* p) {
  return __builtin_bswap32(load_raw32(p));
}

inline void store8(std::byte* p, std::uint8_t v) {
  *p = std::byte{v};
}
inline void store16(std::byte* p, std::uint16_t v) {
  v = __builtin_bswap16(v);
  std::memcpy(p, &v, sizeof(v));
}
inline void store32(std::byte* p, std::uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof(v));
}

// As it is to lie in memory.
template <class T>
inline void store_raw(std::byte* p, T v) {
  std::memcpy(p, &v, sizeof(v));
}

}  // namespace weir::wire
