// The Toeplitz hash of receive side scaling (Microsoft, "RSS hashing functions"). See toeplitz.h.
#include "flow/toeplitz.h"

#include "base/assert.h"

namespace weir::flow {

namespace {

// The 32 bits of the key that begin at bit `at`.
std::uint32_t window(std::span<const std::byte> key, std::size_t at) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const std::size_t octet = at / 8 + i;
    bits = bits << 8U | (octet < key.size() ? std::to_integer<std::uint64_t>(key[octet]) : 0);
  }
  return static_cast<std::uint32_t>(bits >> (8 - at % 8));
}

}  // namespace

RssHash::RssHash(std::span<const std::byte> key) {
  WEIR_ASSERT(key.size() >= kMinKey);
  for (std::size_t half = 0; half < part_.size(); ++half) {
    for (unsigned value = 0; value < 16; ++value) {
      std::uint32_t hash = 0;
      for (unsigned bit = 0; bit < 4; ++bit) {  // bit 0: the most significant, the first sent
        if ((value >> (3 - bit) & 1U) != 0) hash ^= window(key, half * 4 + bit);
      }
      part_[half][value] = hash;
    }
  }
}

std::uint32_t RssHash::operator()(const FlowKey& rx_view) const {
  std::uint32_t hash = 0;
  std::size_t half = 0;
  const auto add = [&](std::uint8_t octet) {
    hash ^= part_[half][octet >> 4U] ^ part_[half + 1][octet & 15U];
    half += 2;
  };
  const std::size_t skip = rx_view.remote.is_v4() && rx_view.local.is_v4() ? 12 : 0;
  for (std::size_t i = skip; i < 16; ++i) add(rx_view.remote.octets()[i]);
  for (std::size_t i = skip; i < 16; ++i) add(rx_view.local.octets()[i]);
  add(static_cast<std::uint8_t>(rx_view.remote_port >> 8U));
  add(static_cast<std::uint8_t>(rx_view.remote_port & 0xffU));
  add(static_cast<std::uint8_t>(rx_view.local_port >> 8U));
  add(static_cast<std::uint8_t>(rx_view.local_port & 0xffU));
  return hash;
}

}  // namespace weir::flow
