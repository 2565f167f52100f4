// The IPv6 header and its extension headers (RFC 8200 §3, §4).
#include "base/assert.h"
#include "wire/octets.h"
#include "wire/parse.h"

namespace weir::wire {
namespace {

enum Extension : std::uint8_t {
  kHopByHop = 0,
  kRouting = 43,
  kFragment = 44,
  kDestinationOptions = 60,
};
// RFC 8504 §5.3 lets a host limit both; legitimate chains are far shorter.
constexpr unsigned kMaxExtensions = 8;
constexpr unsigned kMaxOptions = 16;
constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;
constexpr std::uint16_t kMoreOrOffset = 0xfff9;

bool is_extension(std::uint8_t protocol) {
  return protocol == kHopByHop || protocol == kRouting || protocol == kFragment ||
         protocol == kDestinationOptions;
}

// RFC 8200 §4.2: an unknown option is skipped only when the two highest bits of its type are zero.
Fault check_options(const std::byte* p, const std::byte* end) {
  for (unsigned count = 0; p < end; ++count) {
    if (count == kMaxOptions) return Fault::kIpExtension;
    const std::uint8_t type = load8(p);
    if (type == kPad1) {
      ++p;
      continue;
    }
    if (end - p < 2) return Fault::kIpExtension;
    const std::size_t len = std::size_t{load8(p + 1)} + 2;
    if (len > static_cast<std::size_t>(end - p)) return Fault::kIpExtension;
    if (type != kPadN && type >> 6U != 0) return Fault::kIpExtension;
    p += len;
  }
  return Fault::kNone;
}

// One extension header of `len` octets at `p`.
Fault check_extension(std::uint8_t type, const std::byte* p, std::size_t len) {
  switch (type) {
    case kRouting:  // §4.4: with no segments left it is ignored
      return load8(p + 3) == 0 ? Fault::kNone : Fault::kIpSourceRoute;
    case kFragment:  // RFC 6946: an atomic fragment is a whole packet
      return (load16(p + 2) & kMoreOrOffset) == 0 ? Fault::kNone : Fault::kIpFragment;
    default:
      return check_options(p + 2, p + len);
  }
}

}  // namespace

Fault walk_extensions(std::span<const std::byte> packet, UpperLayer& out) {
  std::size_t offset = kIpv6Header;
  std::uint8_t next = load8(packet.data() + 6);
  std::size_t named_at = 6;
  bool fragment = false;
  for (unsigned count = 0; is_extension(next); ++count) {
    const std::byte* p = packet.data() + offset;
    const std::size_t left = packet.size() - offset;
    if (count == kMaxExtensions || left < 8) return Fault::kIpExtension;
    // §4.1: hop-by-hop options come first or not at all.
    if (next == kHopByHop && count > 0) return Fault::kIpExtension;
    const std::size_t len = next == kFragment ? 8 : (std::size_t{load8(p + 1)} + 1) * 8;
    if (len > left) return Fault::kIpExtension;
    if (const Fault f = check_extension(next, p, len); f != Fault::kNone) return f;
    fragment = fragment || next == kFragment;
    next = load8(p);
    named_at = offset;
    offset += len;
  }
  out = {offset, next, static_cast<std::uint16_t>(named_at), fragment};
  return Fault::kNone;
}

Fault parse_ipv6(std::span<const std::byte> first, std::size_t frame_len, Frame& out) {
  if (first.size() < kEthHeader + kIpv6Header) return Fault::kShortFrame;
  const std::byte* p = first.data() + kEthHeader;
  const std::uint32_t version_class_label = load32(p);
  if (version_class_label >> 28U != 6) return Fault::kIpVersion;
  const std::size_t total = kIpv6Header + load16(p + 4);
  if (total > frame_len - kEthHeader) return Fault::kIpTotalLength;
  out.src = load_ipv6(p + 8);
  out.dst = load_ipv6(p + 24);
  // Such addresses belong on no wire, and here they would pass for IPv4 flows (RFC 4942 §2.2).
  if (out.src.is_v4() || out.dst.is_v4()) return Fault::kIpVersion;
  UpperLayer upper;
  const auto packet = first.subspan(kEthHeader);
  const Fault f = walk_extensions(total < packet.size() ? packet.first(total) : packet, upper);
  if (f != Fault::kNone) return f;
  out.tos = static_cast<std::uint8_t>(version_class_label >> 20U);
  out.ttl = load8(p + 7);
  out.protocol = upper.protocol;
  out.l3_offset = kEthHeader;
  out.l4_offset = static_cast<std::uint16_t>(kEthHeader + upper.offset);
  out.l4_len = static_cast<std::uint32_t>(total - upper.offset);
  out.next_header_at = upper.named_at;
  out.had_fragment_header = upper.fragment;
  return Fault::kNone;
}

void write_ipv6(std::byte* out, const IpFields& ip) {
  WEIR_ASSERT(ip.l4_len <= 0xffff);
  store32(out, 6U << 28U | std::uint32_t{ip.tos} << 20U);
  store16(out + 4, static_cast<std::uint16_t>(ip.l4_len));
  store8(out + 6, ip.protocol);
  store8(out + 7, ip.ttl);
  std::memcpy(out + 8, ip.src.octets().data(), 16);
  std::memcpy(out + 24, ip.dst.octets().data(), 16);
}

}  // namespace weir::wire
