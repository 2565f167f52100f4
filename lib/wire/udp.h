// The UDP header (RFC 768, RFC 8200 §8.1) in whole frames: what is read of one, and what Weir
// sends.
//
// Reading is parse_frame's. Never keeps state; never reads beyond what IP states.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"
#include "wire/frame.h"

namespace weir::wire {

inline constexpr std::size_t kUdpHeader = 8;
inline constexpr std::size_t kMaxUdpFrameHeader = kEthHeader + kIpv6Header + kUdpHeader;
// Octets of text that one datagram can carry: what IP's 16-bit lengths leave beside the headers.
inline constexpr std::size_t kMaxUdpText4 = 65'535 - kIpv4MinHeader - kUdpHeader;  // 65,507
inline constexpr std::size_t kMaxUdpText6 = 65'535 - kIpv6Header - kUdpHeader;     // 65,487

struct UdpFrame {
  MacAddr src_mac, dst_mac;
  FlowKey flow;  // local is the source
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  std::uint32_t payload_len = 0;
};

// Octets of Ethernet, IP and UDP header before the text.
[[nodiscard]] constexpr std::size_t udp_frame_header(bool v4) {
  return kEthHeader + (v4 ? kIpv4MinHeader : kIpv6Header) + kUdpHeader;
}

// Writes those headers (DF set for IPv4), both checksums computed. Returns the octets written.
// `payload` are the pieces whose octets follow, payload_len in all. Pre: both addresses of one
// family; out.size() >= udp_frame_header; payload_len at most kMaxUdpText4 or kMaxUdpText6.
std::size_t write_udp_frame(std::span<std::byte> out, const UdpFrame& f,
                            std::span<const Piece> payload);

// The frame's destination, where it was not known when the frame was written. Pre: a whole header.
void set_destination_mac(std::span<std::byte> frame, const MacAddr& dst);

}  // namespace weir::wire
