// Frames of virtual time as a classic pcap file (microseconds, Ethernet), for Wireshark.
#pragma once

#include <ostream>
#include <span>

#include "base/time.h"

namespace weir::sim {

class PcapWriter {
 public:
  explicit PcapWriter(std::ostream& out);  // writes the file header; `out` outlives the writer
  void write(Instant when, std::span<const std::byte> frame);

 private:
  std::ostream& out_;
};

}  // namespace weir::sim
