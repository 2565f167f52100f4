// Frames for tests: golden ones, written out by hand and judged by tcpdump, and builders that leave
// room to break things. Owns nothing; every function returns its own octets.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "wire/checksum.h"
#include "wire/frame.h"

namespace weir::wire::test {

using Octets = std::vector<std::byte>;

// "02 00 0a": pairs of hex digits, white space between them ignored.
Octets hex(std::string_view text);

inline void put8(Octets& f, std::size_t at, unsigned v) {
  f.at(at) = static_cast<std::byte>(v);
}
inline void put16(Octets& f, std::size_t at, unsigned v) {
  put8(f, at, v >> 8U & 0xffU);
  put8(f, at + 1, v & 0xffU);
}
inline unsigned get8(const Octets& f, std::size_t at) {
  return std::to_integer<unsigned>(f.at(at));
}
inline unsigned get16(const Octets& f, std::size_t at) {
  return get8(f, at) << 8U | get8(f, at + 1);
}
void append(Octets& to, const Octets& more);

inline constexpr MacAddr kMacA{{2, 0, 0, 0, 0, 0xa1}};
inline constexpr MacAddr kMacB{{2, 0, 0, 0, 0, 0xb2}};
inline constexpr IpAddr kA4 = IpAddr::v4(10, 0, 0, 1);
inline constexpr IpAddr kB4 = IpAddr::v4(10, 0, 0, 2);
inline constexpr IpAddr kA6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
inline constexpr IpAddr kB6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});

// From A to B, except the ARP request, which A broadcasts.
Octets golden_syn4();   // 10.0.0.1:49153 > 10.0.0.2:80, the options of a Linux SYN
Octets golden_data4();  // timestamps and "hello", ECT(0)
Octets golden_sack6();  // 2001:db8::1:49153 > 2001:db8::2:443, timestamps, one SACK block, "abc"
Octets golden_echo4();  // echo request with "pingpong!", an odd length
Octets golden_echo6();
Octets golden_arp();  // who has 10.0.0.2, tell 10.0.0.1

// Sets the IPv4 header checksum of a frame to what is right.
void mend_ipv4(Octets& frame);

// An IPv4 or IPv6 frame from A to B. Lengths and the IPv4 checksum are right, `l4` is taken as is.
Octets ipv4_frame(std::uint8_t protocol, const Octets& l4, const Octets& options = {});
Octets ipv6_frame(std::uint8_t next_header, const Octets& behind);

// Sets the checksum at `at` of `l4`, with a pseudo header A to B when `protocol` is not ICMP.
void mend_l4(Octets& l4, std::size_t at, std::uint8_t protocol, bool v6);

// A TCP segment of 20 octets from port 49153 to 80 and `text`, its checksum right.
Octets tcp_segment(const Octets& text, bool v6);

// Parses from a heap buffer of exactly the frame's size, so that a sanitizer sees an overrun.
Frame parse(const Octets& frame, ParseOptions options = {});

}  // namespace weir::wire::test
