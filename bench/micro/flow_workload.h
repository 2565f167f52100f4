// One workload for every connection table under test: N established IPv4 flows, each with a 64-byte
// record that holds its key, looked up in random order.
#pragma once

#include <cstdint>
#include <vector>

#include "base/addr.h"
#include "base/rng.h"
#include "base/siphash.h"

namespace weir::bench {

inline constexpr unsigned kBurst = 32;
inline constexpr SipKey kKey{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};

inline FlowKey flow_of(std::uint32_t i) {
  return {.local = IpAddr::v4(10, 0, 0, 1),
          .remote = IpAddr::v4(0x0b00'0000U + i / 4),
          .local_port = 443,
          .remote_port = static_cast<std::uint16_t>(1'024 + i % 4)};
}

struct alignas(64) Record {
  FlowKey flow;
};

struct Lookup {
  std::uint64_t hash;
  std::uint32_t index;
};

struct FlowWorkload {
  explicit FlowWorkload(std::uint32_t n) : records(n), lookups(std::size_t{1} << 20U) {
    for (std::uint32_t i = 0; i < n; ++i) records[i].flow = flow_of(i);
    Rng rng(n);
    for (Lookup& l : lookups) {
      l.index = rng.below(n);
      l.hash = siphash13(kKey, flow_of(l.index));
    }
  }
  // The next burst, over and over.
  const Lookup* burst() {
    const Lookup* at = lookups.data() + next_;
    next_ = (next_ + kBurst) % lookups.size();
    return at;
  }

  std::vector<Record> records;
  std::vector<Lookup> lookups;

 private:
  std::size_t next_ = 0;
};

}  // namespace weir::bench
