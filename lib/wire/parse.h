// The steps of parse_frame and the headers that several writers share; for this directory alone.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "wire/frame.h"
#include "wire/octets.h"

namespace weir::wire {

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;

enum Protocol : std::uint8_t { kIcmp = 1, kTcpProtocol = 6, kUdpProtocol = 17, kIcmpv6 = 58 };

inline constexpr std::uint8_t kNdSolicitation = 135, kNdAdvertisement = 136;

// Each fills its part of `out` and says what is wrong. Pre: `first` holds an Ethernet header.
[[nodiscard]] Fault parse_arp(std::span<const std::byte> first, Frame& out);
[[nodiscard]] Fault parse_ipv4(std::span<const std::byte> first, std::size_t frame_len,
                               bool checksum_verified, Frame& out);
[[nodiscard]] Fault parse_ipv6(std::span<const std::byte> first, std::size_t frame_len, Frame& out);
// Pre: parse_ipv4 or parse_ipv6 went well.
[[nodiscard]] Fault parse_icmp(std::span<const std::byte> first, Frame& out);
[[nodiscard]] Fault parse_udp(std::span<const std::byte> first, bool checksum_verified, Frame& out);

// Of the options of a TCP header, from `p` to `end`.
void parse_tcp_options(const std::byte* p, const std::byte* end, TcpOptions& o);

// Pre: parse_icmp's own checks are done; `packet` is the ICMPv6 message, of type 135 or 136.
[[nodiscard]] Fault parse_nd(std::span<const std::byte> packet, Frame& out);

// What an IPv6 packet carries behind its extension headers, and where. Offsets count from the IPv6
// header.
struct UpperLayer {
  std::size_t offset = 0;
  std::uint8_t protocol = 0;
  std::uint16_t named_at = 6;  // the Next Header field that says so
  bool had_fragment_header = false;
  bool is_part = false;  // the walk ended behind the Fragment header of a part: `fragment` is set
  FragmentFields fragment;   // header and named_at from the IPv6 header
  ParameterProblem problem;  // when the walk found fault
};
// Pre: `packet` begins with an IPv6 header and is cut to the packet's length.
[[nodiscard]] Fault walk_extensions(std::span<const std::byte> packet, UpperLayer& out);

// Whether the headers from `at` on, the first of type `next`, end at an ICMPv6 error.
[[nodiscard]] bool leads_to_icmp6_error(std::span<const std::byte> packet, std::size_t at,
                                        std::uint8_t next);

[[nodiscard]] inline IpAddr load_ipv6(const std::byte* p) {
  return std::bit_cast<IpAddr>(std::array{load_raw64(p), load_raw64(p + 8)});
}
// IpAddr::v4 by two stores of a word each: by octets it would stall the loads that follow.
[[nodiscard]] inline IpAddr load_ipv4(const std::byte* p) {
  constexpr std::uint64_t kMapped = 0xffff'0000U;  // octets 8 to 11: 00 00 ff ff
  return std::bit_cast<IpAddr>(
      std::array<std::uint64_t, 2>{0, std::uint64_t{load_raw32(p)} << 32U | kMapped});
}

// The same into its place, by words: a value would be put together elsewhere first, and copied from
// there before its words are in the cache.
inline void store_ipv4(IpAddr& out, std::uint32_t raw) {
  const std::uint64_t high = 0, low = std::uint64_t{raw} << 32U | 0xffff'0000U;
  std::memcpy(static_cast<void*>(&out), &high, sizeof(high));
  std::memcpy(reinterpret_cast<std::byte*>(&out) + sizeof(high), &low, sizeof(low));
}

// Pre for all: room for the header at `out`.
void write_ethernet(std::byte* out, const MacAddr& dst, const MacAddr& src, std::uint16_t type);

struct IpFields {
  const IpAddr& src;
  const IpAddr& dst;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  std::uint16_t id = 0;  // IPv4
  std::size_t l4_len = 0;
};
// 20 octets, DF set; the checksum is 0 unless `with_checksum`.
void write_ipv4(std::byte* out, const IpFields& ip, bool with_checksum);
void write_ipv6(std::byte* out, const IpFields& ip);  // 40 octets

}  // namespace weir::wire
