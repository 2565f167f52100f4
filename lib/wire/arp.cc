// ARP (RFC 826) between Ethernet and IPv4.
#include <algorithm>

#include "base/assert.h"
#include "wire/octets.h"
#include "wire/parse.h"

namespace weir::wire {
namespace {

constexpr std::size_t kArpLength = 28;
constexpr std::uint16_t kHardwareEthernet = 1;
constexpr std::uint16_t kLengths = 0x0604;  // of a MAC and of an IPv4 address

MacAddr load_mac(const std::byte* p) {
  MacAddr mac;
  std::memcpy(mac.octets.data(), p, mac.octets.size());
  return mac;
}

void store_mac(std::byte* p, const MacAddr& mac) {
  std::memcpy(p, mac.octets.data(), mac.octets.size());
}

}  // namespace

//= RFC826 reception-a
Fault parse_arp(std::span<const std::byte> first, Frame& out) {
  if (first.size() < kEthHeader + kArpLength) return Fault::kShortFrame;
  const std::byte* p = first.data() + kEthHeader;
  if (load16(p) != kHardwareEthernet || load16(p + 2) != kEtherTypeIpv4 ||
      load16(p + 4) != kLengths) {
    return Fault::kArpMalformed;
  }
  ArpPacket& arp = out.arp;
  arp.op = load16(p + 6);
  arp.sender_mac = load_mac(p + 8);
  arp.sender_ip = load_ipv4(p + 14);
  arp.target_mac = load_mac(p + 18);
  arp.target_ip = load_ipv4(p + 24);
  // A group address as an answer would turn unicast into a flood (RFC 1812 §3.3.2).
  if (arp.op < 1 || arp.op > 2 || arp.sender_mac.is_multicast() || arp.sender_mac.is_zero()) {
    return Fault::kArpMalformed;
  }
  out.kind = Kind::kArp;
  return Fault::kNone;
}

std::size_t write_arp_frame(std::span<std::byte> out, const MacAddr& src_mac,
                            const MacAddr& dst_mac, const ArpPacket& arp) {
  WEIR_ASSERT(out.size() >= kMinFrame);
  WEIR_ASSERT(arp.sender_ip.is_v4() && arp.target_ip.is_v4());
  std::byte* p = out.data();
  write_ethernet(p, dst_mac, src_mac, kEtherTypeArp);
  p += kEthHeader;
  store16(p, kHardwareEthernet);
  store16(p + 2, kEtherTypeIpv4);
  store16(p + 4, kLengths);
  store16(p + 6, arp.op);
  store_mac(p + 8, arp.sender_mac);
  store32(p + 14, arp.sender_ip.v4_value());
  store_mac(p + 18, arp.target_mac);
  store32(p + 24, arp.target_ip.v4_value());
  std::fill(p + kArpLength, out.data() + kMinFrame, std::byte{0});
  return kMinFrame;
}

}  // namespace weir::wire
