#include "wire/checksum.h"

#include "wire/octets.h"

namespace weir::wire {
namespace {

// Folds with end-around carry to 16 bits (RFC 1071 §1).
std::uint16_t fold(std::uint64_t sum) {
  sum = (sum & 0xffff'ffffU) + (sum >> 32U);
  sum = (sum & 0xffff'ffffU) + (sum >> 32U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<std::uint16_t>(sum);
}

// 32-bit words into a 64-bit sum: carries gather above and need no care before 2^32 of them.
std::uint64_t sum_octets(const std::byte* p, std::size_t n) {
  std::uint64_t sum = 0;
  const std::size_t words = n / 4;
  for (std::size_t i = 0; i < words; ++i) sum += load_raw32(p + 4 * i);
  p += 4 * words;
  if ((n & 2U) != 0) {
    sum += load_raw16(p);
    p += 2;
  }
  if ((n & 1U) != 0) sum += load8(p);  // padded behind with a zero octet
  return sum;
}

}  // namespace

// A span that begins at an odd octet sums with its octets exchanged (RFC 1071 §2(B)).
void Checksum::add_words(std::uint64_t partial) {
  const std::uint16_t folded = fold(partial);
  sum_ += odd_ ? __builtin_bswap16(folded) : folded;
}

void Checksum::add(std::span<const std::byte> octets) {
  add_words(sum_octets(octets.data(), octets.size()));
  odd_ = odd_ != ((octets.size() & 1U) != 0);
}

void Checksum::add_pseudo_header(const IpAddr& src, const IpAddr& dst, std::uint8_t protocol,
                                 std::uint32_t length) {
  // Zeros do not change the sum, so the layouts for IPv4 and IPv6 differ in the addresses alone.
  std::uint64_t sum =
      std::uint64_t{__builtin_bswap32(length)} + __builtin_bswap32(std::uint32_t{protocol});
  for (unsigned i = src.is_v4() ? 12 : 0; i < 16; i += 4) {
    sum += load_raw32(src.octets().data() + i);
    sum += load_raw32(dst.octets().data() + i);
  }
  add_words(sum);
}

std::uint16_t Checksum::sum() const {
  return __builtin_bswap16(fold(sum_));
}

std::uint16_t checksum(std::span<const std::byte> octets) {
  Checksum c;
  c.add(octets);
  return c.finish();
}

}  // namespace weir::wire
