#include "sim/pcap_writer.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace weir::sim {
namespace {

constexpr std::size_t kSnapLen = 262'144;

template <std::size_t N>
void put(std::ostream& out, const std::array<std::uint32_t, N>& words) {
  for (const std::uint32_t word : words) {
    for (unsigned shift = 0; shift < 32; shift += 8) out.put(static_cast<char>(word >> shift));
  }
}

}  // namespace

PcapWriter::PcapWriter(std::ostream& out) : out_(out) {
  constexpr std::uint32_t kMagic = 0xa1b2c3d4, kVersion = 4U << 16U | 2U, kEthernet = 1;
  put<6>(out_, {kMagic, kVersion, 0, 0, kSnapLen, kEthernet});
}

void PcapWriter::write(Instant when, std::span<const std::byte> frame) {
  const auto us = static_cast<std::uint64_t>(when.time_since_epoch().count());
  const std::size_t kept = std::min(frame.size(), kSnapLen);
  put<4>(out_,
         {static_cast<std::uint32_t>(us / 1'000'000), static_cast<std::uint32_t>(us % 1'000'000),
          static_cast<std::uint32_t>(kept), static_cast<std::uint32_t>(frame.size())});
  out_.write(reinterpret_cast<const char*>(frame.data()), static_cast<std::streamsize>(kept));
}

}  // namespace weir::sim
