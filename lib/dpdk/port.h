// A port: one Ethernet device with its pools, and a Queue for each worker.
//
// Owns the device from open until it is destroyed (a TAP interface ends with it), the mbuf pools
// and the rings between the workers. All of it is control plane; packets pass through the Queues.
// Workers must have stopped, and given back what they hold, before a Port is destroyed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "dpdk/device.h"
#include "dpdk/eal.h"
#include "dpdk/queue.h"

namespace weir::dpdk {

enum class OffloadUse : std::uint8_t {
  kAuto,  // what the hardware (or the other side of a virtio ring) does
  kOff,   // checksums and segmentation always in software
  kAll,   // also what a software driver (TAP) claims, though it costs as much there
};

struct PortConfig {
  std::string device;
  std::uint16_t mtu = 1'500;             // IP octets
  std::uint16_t workers = 1;             // a Queue for each
  std::uint16_t rx_descriptors = 1'024;  // a queue
  std::uint16_t tx_descriptors = 1'024;
  std::uint32_t rx_buffers = 16'384;      // of the port, for received frames
  std::uint32_t payload_buffers = 8'192;  // for text and frames of the stacks' own
  // For headers and copied text: control segments can be sent however full the others are.
  std::uint32_t header_buffers = 4'096;
  std::uint32_t handover_slots = 1'024;  // frames that may wait for a worker; rounded up to 2^n
  std::optional<MacAddr> mac;            // empty: the device's own
  OffloadUse offloads = OffloadUse::kAuto;
  bool wakeable = false;                // wake_this_thread will be asked
  bool multicast = false;               // frames to groups too: IPv6 needs them (RFC 4861 §7.2.1)
  std::array<std::byte, 52> rss_key{};  // random octets
};

// How the port spreads flows over the workers: Toeplitz over the 4-tuple, then the table.
struct RssInfo {
  bool hardware = false;            // false: the port does not; the table is ours, for hand-over
  std::vector<std::byte> key;       // as the port reports it
  std::vector<std::uint16_t> reta;  // worker by hash modulo the table's size
};

struct PoolStats {
  std::string_view name;  // "rx", "payload", "header", "indirect"
  std::uint32_t size = 0;
  std::uint32_t in_use = 0;         // out of the pool: a port's own receive ring holds some of "rx"
  std::uint32_t buffer_octets = 0;  // that one of them takes, with its mbuf
};

struct PortStats {
  std::uint64_t rx_frames = 0, rx_missed = 0, rx_no_buffer = 0, rx_errors = 0;
  std::uint64_t tx_frames = 0, tx_errors = 0;
  bool link_up = false;
};

class Port {
 public:
  // The error is one line: the device, what is missing, the cure.
  static Result<std::unique_ptr<Port>, std::string> open(const Eal& eal, const PortConfig& config);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // Megabytes of EalConfig::memory_mb that a port of this config takes.
  [[nodiscard]] static unsigned memory_mb(const PortConfig& config);

  [[nodiscard]] Queue& queue(unsigned worker);
  [[nodiscard]] unsigned workers() const;
  [[nodiscard]] unsigned rx_queues() const;  // fewer than workers: the rest is fed by hand-over
  [[nodiscard]] MacAddr mac() const;
  [[nodiscard]] std::uint16_t mtu() const;
  [[nodiscard]] const Offloads& offloads() const;
  [[nodiscard]] const RssInfo& rss() const;
  [[nodiscard]] std::string_view driver() const;  // the PMD's name
  [[nodiscard]] std::array<PoolStats, 4> pool_stats() const;
  [[nodiscard]] PortStats stats() const;

  // For a worker that sleeps in poll or epoll: a descriptor that is readable when frames have come
  // for it, or -1 where the driver has none. What the driver says by signal it says to the calling
  // thread from now on, and to no other. Pre: PortConfig::wakeable.
  [[nodiscard]] int wake_this_thread(unsigned worker);

 private:
  struct Impl;
  explicit Port(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::dpdk
