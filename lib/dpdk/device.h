// The one string that names a port, and what it asks of DPDK and of the machine.
//
//   tap:NAME  af_packet:IFACE  af_xdp:IFACE  pcap:IFACE  memif:ARGS  virtio-user:ARGS  vhost:PATH
//   ring:NAME[/a|/b]  null  0000:01:00.0  vdev:net_xxx,ARGS  net_xxx,ARGS
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::dpdk {

enum class DeviceKind : std::uint8_t {
  kTap,
  kAfPacket,
  kAfXdp,
  kPcap,
  kMemif,
  kVirtioUser,
  kVhost,
  kRing,
  kNull,
  kPci,
  kRaw,
};

struct Device {
  DeviceKind kind = DeviceKind::kRaw;
  std::string text;    // as the user wrote it: every error begins with it
  std::string driver;  // the PMD's name, "net_tap"; empty for PCI
  std::string target;  // interface, path or address that the text names
  std::string args;    // arguments of the user's own, for the PMD

  [[nodiscard]] std::string refuse(std::string_view what) const;  // "text: what"
};

[[nodiscard]] bool is_pci_address(std::string_view text);  // "0000:01:00.0" or "01:00.0"

// The error is one line: the text, what is wrong with it, what may stand there.
[[nodiscard]] Result<Device, std::string> parse_device(std::string_view text);

// What can be seen before DPDK is asked: the interface, the device node, the rights of this process
// (in its network namespace). Empty when nothing stands in the way, else one line.
[[nodiscard]] std::string check_device(const Device& device);

// Whether it is a PCI device behind a uio driver: it reaches memory by physical address, which only
// hugepages have for good.
[[nodiscard]] bool needs_hugepages(const Device& device);

// The PMD's arguments for a port of `queues` queues and frames of `frame` octets at most.
[[nodiscard]] std::string vdev_args(const Device& device, unsigned queues, unsigned frame);

// Octets that a receive buffer must hold for this PMD, at least `frame`.
[[nodiscard]] unsigned rx_buffer_size(const Device& device, unsigned frame);

}  // namespace weir::dpdk
