#include "dpdk/pools.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>

#include "dpdk/mbuf.h"
#include "wire/frame.h"

namespace weir::dpdk {
namespace {

constexpr unsigned kCache = 256;  // mbufs a worker keeps at hand

std::uint16_t room_for(std::size_t octets) {
  const std::size_t aligned =
      (octets + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
  return static_cast<std::uint16_t>(RTE_PKTMBUF_HEADROOM + aligned);
}

// A worker's cache must not be able to hold a great part of a small pool.
unsigned cache_for(std::uint32_t count) {
  return std::min(kCache, count / 8);
}

}  // namespace

PoolSizes pool_sizes(const PortConfig& config, unsigned rx_buffer) {
  // Text in the header pool: a whole segment, for ports that do not gather.
  const std::size_t frame = wire::kMaxTcpFrameHeader + config.mtu;
  return {{{{"rx", config.rx_buffers, room_for(rx_buffer)},
            {"payload", config.payload_buffers, room_for(std::max<std::size_t>(frame, 2'048))},
            {"header", config.header_buffers, room_for(frame)},
            {"indirect", 2 * config.header_buffers, 0}}}};
}

std::string Pools::create(const PoolSizes& sizes, int socket) {
  static unsigned serial = 0;  // names are unique for good: a pool may outlive its port
  ++serial;
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    const PoolSizes::One& one = sizes.of[i];
    names_[i] = one.name;
    const std::string name = "weir" + std::to_string(serial) + "_" + std::string(one.name);
    pools_[i] = rte_pktmbuf_pool_create(name.c_str(), one.count, cache_for(one.count), kPrivSize,
                                        one.room, socket);
    if (pools_[i] == nullptr) {
      return "no memory for " + std::to_string(one.count) + " " + std::string(one.name) +
             " buffers (" + rte_strerror(rte_errno) + ")";
    }
  }
  return {};
}

Pools::~Pools() {
  for (rte_mempool* p : pools_) {
    if (p != nullptr && rte_mempool_full(p) != 0) rte_mempool_free(p);
  }
}

std::array<PoolStats, 4> Pools::stats() const {
  std::array<PoolStats, 4> out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (pools_[i] == nullptr) continue;
    const rte_mempool& p = *pools_[i];
    out[i] = {names_[i], p.size, rte_mempool_in_use_count(&p),
              p.header_size + p.elt_size + p.trailer_size};
  }
  return out;
}

}  // namespace weir::dpdk
