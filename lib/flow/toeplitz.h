// The Toeplitz hash by which a port spreads received packets over its queues ("receive side
// scaling"), and the table behind it: which queue a port would choose for a flow.
//
// A statement about a port that does as it was told. Ports and clouds that do otherwise exist, so
// whoever relies on it must compare with what arrives. No secret: never use it for a hash table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/addr.h"

namespace weir::flow {

class RssHash {
 public:
  static constexpr std::size_t kMinKey = 40;  // octets: what an IPv6 4-tuple needs

  // Pre: key.size() >= kMinKey (ports use 40 or 52). Octets beyond the 40th play no part here.
  explicit RssHash(std::span<const std::byte> key);

  // Over source and destination address, source and destination port of a packet that this host
  // receives: `rx_view.remote` is the source. IPv4 is hashed over 12 octets, IPv6 over 36.
  [[nodiscard]] std::uint32_t operator()(const FlowKey& rx_view) const;

 private:
  static constexpr std::size_t kInput = 36;
  // The hash is linear over XOR: the part of each half octet of the input, by its value. 4.6 kB;
  // whole octets would take 36 kB, all of an L1 cache.
  std::array<std::array<std::uint32_t, 16>, 2 * kInput> part_;
};

struct RssMap {
  RssHash hash;
  std::vector<std::uint16_t> reta;  // the port's redirection table: queue by hash modulo its size

  // The queue that receives this flow; 0 when the table is empty (a port without RSS).
  [[nodiscard]] unsigned queue(const FlowKey& rx_view) const {
    return reta.empty() ? 0 : reta[hash(rx_view) % reta.size()];
  }
};

}  // namespace weir::flow
