// Neighbour solicitations and advertisements (RFC 4861 §4.3, §4.4, §7.1; RFC 6980).
#include <algorithm>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"
#include "wire/parse.h"

namespace weir::wire {
namespace {

constexpr std::size_t kNdHeader = 24;  // ICMPv6's 4 octets, the flags, the target
constexpr std::uint8_t kHopLimit = 255;
constexpr std::uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;
constexpr unsigned kMaxOptions = 32;
constexpr unsigned kRouter = 0x80, kSolicited = 0x40, kOverride = 0x20;
constexpr std::array<std::uint8_t, 13> kSolicitedNode{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

// The address in a link-layer option of eight octets; a group or zero is nobody's (RFC 4861 §4.6.1,
// RFC 2464 §6).
Fault take_lladdr(const std::byte* option, std::size_t len, NdPacket& out) {
  if (len != 8) return Fault::kNdMalformed;
  if (out.has_lladdr) return Fault::kNone;  // the first one counts
  std::memcpy(out.lladdr.octets.data(), option + 2, out.lladdr.octets.size());
  out.has_lladdr = true;
  const bool nobodys = out.lladdr.is_multicast() || out.lladdr.is_zero();
  return nobodys ? Fault::kNdMalformed : Fault::kNone;
}

//= RFC4861 7.1-b
//= RFC4861 4.6
Fault parse_options(std::span<const std::byte> options, NdPacket& out) {
  const std::uint8_t wanted = out.advertisement ? kTargetLinkLayer : kSourceLinkLayer;
  for (unsigned count = 0; !options.empty(); ++count) {
    if (count == kMaxOptions || options.size() < 8) return Fault::kNdMalformed;
    const std::size_t len = std::size_t{load8(options.data() + 1)} * 8;
    if (len == 0 || len > options.size()) return Fault::kNdMalformed;
    if (load8(options.data()) == wanted) {
      if (const Fault f = take_lladdr(options.data(), len, out); f != Fault::kNone) return f;
    }
    options = options.subspan(len);
  }
  return Fault::kNone;
}

}  // namespace

IpAddr solicited_node(const IpAddr& addr) {
  std::array<std::uint8_t, 16> octets = addr.octets();
  std::copy(kSolicitedNode.begin(), kSolicitedNode.end(), octets.begin());
  return IpAddr::v6(octets);
}

bool is_solicited_node(const IpAddr& addr) {
  return std::equal(kSolicitedNode.begin(), kSolicitedNode.end(), addr.octets().begin());
}

MacAddr multicast_mac(const IpAddr& group) {
  const auto& o = group.octets();
  return {{0x33, 0x33, o[12], o[13], o[14], o[15]}};
}

// What makes a message that nobody off the link, and no fragment, can have sent.
//= RFC4861 7.1-a
//= RFC6980 5-a
Fault parse_nd(std::span<const std::byte> packet, Frame& out) {
  if (out.ttl != kHopLimit || out.icmp.code != 0 || packet.size() < kNdHeader ||
      out.had_fragment_header) {
    return Fault::kNdMalformed;
  }
  NdPacket& nd = out.nd;
  nd = {};
  const unsigned flags = load8(packet.data() + 4);
  nd.advertisement = out.icmp.type == kNdAdvertisement;
  nd.router = nd.advertisement && (flags & kRouter) != 0;
  nd.solicited = nd.advertisement && (flags & kSolicited) != 0;
  nd.override_flag = nd.advertisement && (flags & kOverride) != 0;
  nd.target = load_ipv6(packet.data() + 8);
  if (nd.target.is_multicast() || nd.target.is_v4()) return Fault::kNdMalformed;
  const Fault fault = parse_options(packet.subspan(kNdHeader), nd);
  if (fault != Fault::kNone) return fault;
  //= RFC4861 7.1.1
  const bool probe = !nd.advertisement && out.src.is_unspecified();
  if (probe && (!is_solicited_node(out.dst) || nd.has_lladdr)) return Fault::kNdMalformed;
  //= RFC4861 7.1.2
  if (nd.solicited && out.dst.is_multicast()) return Fault::kNdMalformed;
  out.kind = Kind::kNd;
  return Fault::kNone;
}

//= RFC6980 5-b
std::size_t write_nd_frame(std::span<std::byte> out, const NdAddresses& at, const NdPacket& nd) {
  WEIR_ASSERT(out.size() >= kMaxNdFrame);
  const std::size_t l4_len = kNdHeader + (nd.has_lladdr ? 8 : 0);
  write_ethernet(out.data(), at.dst_mac, at.src_mac, kEtherTypeIpv6);
  write_ipv6(
      out.data() + kEthHeader,
      {.src = at.src, .dst = at.dst, .ttl = kHopLimit, .protocol = kIcmpv6, .l4_len = l4_len});
  std::byte* p = out.data() + kEthHeader + kIpv6Header;
  std::fill_n(p, l4_len, std::byte{0});
  store8(p, nd.advertisement ? kNdAdvertisement : kNdSolicitation);
  store8(p + 4,
         static_cast<std::uint8_t>((nd.router ? kRouter : 0U) | (nd.solicited ? kSolicited : 0U) |
                                   (nd.override_flag ? kOverride : 0U)));
  std::memcpy(p + 8, nd.target.octets().data(), 16);
  if (nd.has_lladdr) {
    store8(p + kNdHeader, nd.advertisement ? kTargetLinkLayer : kSourceLinkLayer);
    store8(p + kNdHeader + 1, 1);
    std::memcpy(p + kNdHeader + 2, nd.lladdr.octets.data(), nd.lladdr.octets.size());
  }
  Checksum sum;
  sum.add_pseudo_header(at.src, at.dst, kIcmpv6, static_cast<std::uint32_t>(l4_len));
  sum.add({p, l4_len});
  store16(p + 2, sum.finish());
  return kEthHeader + kIpv6Header + l4_len;
}

}  // namespace weir::wire
