// The IPv4 header (RFC 791, RFC 1122 §3.2.1).
#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"
#include "wire/parse.h"

namespace weir::wire {
namespace {

constexpr std::uint8_t kEndOfOptions = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kLooseSourceRoute = 131;
constexpr std::uint8_t kStrictSourceRoute = 137;
constexpr std::uint16_t kDontFragment = 0x4000;  //= RFC1191 3-a
constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kFragmentOffset = 0x1fff;
constexpr std::size_t kMaxDatagram = 65'535;

// Options are skipped (RFC 1122 §3.2.1.8) save source routes, which RFC 7126 §4.3 would have
// dropped.
//= RFC9293 MUST-50
Fault check_options(const std::byte* p, const std::byte* end) {
  while (p < end) {
    const std::uint8_t kind = load8(p);
    if (kind == kEndOfOptions) break;
    if (kind == kNoOperation) {
      ++p;
      continue;
    }
    if (end - p < 2) return Fault::kIpHeaderLength;
    const std::size_t len = load8(p + 1);
    if (len < 2 || len > static_cast<std::size_t>(end - p)) return Fault::kIpHeaderLength;
    if (kind == kLooseSourceRoute || kind == kStrictSourceRoute) return Fault::kIpSourceRoute;
    p += len;
  }
  return Fault::kNone;
}

// A part of a datagram, `len` octets behind its header of `header`, at most 65,535 with the header
// (RFC 791 §3.2): what no host sends ends here, the "ping of death" with it.
//= RFC791 3.2-a
Fault parse_part(const std::byte* p, std::size_t header, std::size_t len, FragmentFields& out) {
  const std::uint16_t word = load16(p + 6);
  out.id = load16(p + 4);
  out.offset = static_cast<std::uint16_t>((word & kFragmentOffset) * 8U);
  out.more = (word & kMoreFragments) != 0;
  if (len == 0 || (out.more && len % 8 != 0)) return Fault::kFragmentLength;
  return header + out.offset + len > kMaxDatagram ? Fault::kFragmentLength : Fault::kNone;
}

}  // namespace

//= RFC791 3.1-a
//= RFC791 3.1-b
Fault parse_ipv4(std::span<const std::byte> first, std::size_t frame_len, bool checksum_verified,
                 Frame& out) {
  if (first.size() < kEthHeader + kIpv4MinHeader) return Fault::kShortFrame;
  const std::byte* p = first.data() + kEthHeader;
  const std::uint8_t version_ihl = load8(p);
  if (version_ihl >> 4U != 4) return Fault::kIpVersion;
  const std::size_t header = std::size_t{version_ihl & 0x0fU} * 4;
  if (header < kIpv4MinHeader || header > first.size() - kEthHeader) return Fault::kIpHeaderLength;
  const std::size_t total = load16(p + 2);
  if (total < header || total > frame_len - kEthHeader) return Fault::kIpTotalLength;
  if (!checksum_verified && checksum({p, header}) != 0) return Fault::kIpChecksum;
  if (header > kIpv4MinHeader) {
    if (const Fault f = check_options(p + kIpv4MinHeader, p + header); f != Fault::kNone) return f;
  }
  const bool part = (load16(p + 6) & (kMoreFragments | kFragmentOffset)) != 0;
  if (part) {
    if (const Fault f = parse_part(p, header, total - header, out.fragment); f != Fault::kNone) {
      return f;
    }
  }
  out.kind = part ? Kind::kFragment : Kind::kOtherIp;
  out.had_fragment_header = false;
  out.tos = load8(p + 1);
  out.ttl = load8(p + 8);
  out.protocol = load8(p + 9);
  out.src = load_ipv4(p + 12);
  out.dst = load_ipv4(p + 16);
  out.l3_offset = kEthHeader;
  out.l4_offset = static_cast<std::uint16_t>(kEthHeader + header);
  out.l4_len = static_cast<std::uint32_t>(total - header);
  return Fault::kNone;
}

//= RFC791 3.1-c
//= RFC6864 4.1-a
void write_ipv4(std::byte* out, const IpFields& ip, bool with_checksum) {
  const std::size_t total = kIpv4MinHeader + ip.l4_len;
  WEIR_ASSERT(total <= 0xffff);
  store16(out, static_cast<std::uint16_t>(0x4500U | ip.tos));
  store16(out + 2, static_cast<std::uint16_t>(total));
  store16(out + 4, ip.id);
  store16(out + 6, kDontFragment);
  store8(out + 8, ip.ttl);
  store8(out + 9, ip.protocol);
  store16(out + 10, 0);
  store32(out + 12, ip.src.v4_value());
  store32(out + 16, ip.dst.v4_value());
  if (with_checksum) store16(out + 10, checksum({out, kIpv4MinHeader}));
}

}  // namespace weir::wire
