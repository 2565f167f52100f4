#include "wire/checksum.h"

#include "wire/octets.h"
#include "wire/sum.h"

namespace weir::wire {

// A span that begins at an odd octet sums with its octets exchanged (RFC 1071 §2(B)).
void Checksum::add_words(std::uint64_t partial) {
  const std::uint16_t folded = fold_ones(partial);
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
  return __builtin_bswap16(fold_ones(sum_));
}

std::uint16_t checksum(std::span<const std::byte> octets) {
  const std::uint16_t folded = fold_ones(sum_octets(octets.data(), octets.size()));
  return static_cast<std::uint16_t>(~__builtin_bswap16(folded));
}

}  // namespace weir::wire
