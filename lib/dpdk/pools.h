// The mbuf pools of one port.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dpdk/port.h"

struct rte_mempool;

namespace weir::dpdk {

struct PoolSizes {
  struct One {
    std::string_view name;
    std::uint32_t count = 0;
    std::uint16_t room = 0;  // octets of data, headroom included
  };
  std::array<One, 4> of;  // rx, payload, header, indirect
};

[[nodiscard]] PoolSizes pool_sizes(const PortConfig& config, unsigned rx_buffer);

// Owns the four. A pool that does not have all its mbufs back when this ends is left as it is:
// somebody may still hold them.
class Pools {
 public:
  Pools() = default;
  ~Pools();
  Pools(const Pools&) = delete;
  Pools& operator=(const Pools&) = delete;

  // Empty, or what is wrong.
  std::string create(const PoolSizes& sizes, int socket);
  [[nodiscard]] rte_mempool* rx() const { return pools_[0]; }
  [[nodiscard]] rte_mempool* payload() const { return pools_[1]; }
  [[nodiscard]] rte_mempool* header() const { return pools_[2]; }
  [[nodiscard]] rte_mempool* indirect() const { return pools_[3]; }
  [[nodiscard]] std::array<PoolStats, 4> stats() const;

 private:
  std::array<rte_mempool*, 4> pools_{};
  std::array<std::string_view, 4> names_{};
};

}  // namespace weir::dpdk
