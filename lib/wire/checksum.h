// The Internet checksum (RFC 1071) and the pseudo headers of TCP (RFC 9293 §3.1, RFC 8200 §8.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"

namespace weir::wire {

// A one's complement sum in progress: octets in network order, even and odd spans alike. A span
// that already holds its checksum sums to 0xffff when that is right.
class Checksum {
 public:
  void add(std::span<const std::byte> octets);  // any length; an odd one shifts what follows
  void add_pseudo_header(const IpAddr& src, const IpAddr& dst, std::uint8_t protocol,
                         std::uint32_t length);
  // The folded sum, not complemented: what an offloading port wants in the checksum field.
  [[nodiscard]] std::uint16_t sum() const;
  // The value for the checksum field, in host order (store it big-endian).
  [[nodiscard]] std::uint16_t finish() const { return static_cast<std::uint16_t>(~sum()); }

 private:
  void add_words(std::uint64_t partial);

  std::uint64_t sum_ = 0;  // of 16-bit words as they lie in memory
  bool odd_ = false;
};

[[nodiscard]] std::uint16_t checksum(std::span<const std::byte> octets);

}  // namespace weir::wire
