// ICMP (RFC 792, RFC 1122 §3.2.2) and ICMPv6 (RFC 4443): errors about our packets, echo, and errors
// about theirs.
#include <algorithm>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"
#include "wire/parse.h"

namespace weir::wire {
namespace {

constexpr std::size_t kIcmpHeader = 8;
constexpr std::size_t kMinQuote = 8;          // octets of what IP carried (RFC 792)
constexpr std::size_t kMaxIcmp4Error = 576;   // RFC 1812 §4.3.2.3
constexpr std::size_t kMaxIcmp6Error = 1280;  // RFC 4443 §2.4c

bool is_icmp4_error(std::uint8_t type) {
  switch (type) {
    case 3:   // destination unreachable
    case 4:   // source quench
    case 5:   // redirect
    case 11:  // time exceeded
    case 12:  // parameter problem
      return true;
    default:
      return false;
  }
}

bool is_error(const Frame& f) {
  return f.kind == Kind::kIcmp6 ? f.icmp.type < 128 : is_icmp4_error(f.icmp.type);
}

// The quoted octets that our packet's IP header carried.
Fault parse_inner_l4(std::span<const std::byte> l4, std::uint8_t protocol, IcmpPacket& out) {
  out.inner_protocol = protocol;
  out.inner.local_port = out.inner.remote_port = 0;
  out.inner_seq = Seq{0};
  if (protocol == kTcpProtocol || protocol == kUdpProtocol) {
    if (l4.size() < kMinQuote) return Fault::kIcmpMalformed;
    out.inner.local_port = load16(l4.data());
    out.inner.remote_port = load16(l4.data() + 2);
    if (protocol == kTcpProtocol) out.inner_seq = Seq{load32(l4.data() + 4)};
  }
  out.has_inner = true;
  return Fault::kNone;
}

// Lengths and checksum in the quote are not looked at: routers are known to alter them.
Fault parse_inner_v4(std::span<const std::byte> quote, IcmpPacket& out) {
  if (quote.size() < kIpv4MinHeader) return Fault::kIcmpMalformed;
  const std::byte* p = quote.data();
  const std::size_t header = std::size_t{load8(p) & 0x0fU} * 4;
  if (load8(p) >> 4U != 4 || header < kIpv4MinHeader || header > quote.size()) {
    return Fault::kIcmpMalformed;
  }
  if ((load16(p + 6) & 0x1fffU) != 0) return Fault::kNone;  // a later fragment has no ports
  out.inner_len = load16(p + 2);
  out.inner.local = load_ipv4(p + 12);
  out.inner.remote = load_ipv4(p + 16);
  return parse_inner_l4(quote.subspan(header), load8(p + 9), out);
}

Fault parse_inner_v6(std::span<const std::byte> quote, IcmpPacket& out) {
  if (quote.size() < kIpv6Header || load8(quote.data()) >> 4U != 6) return Fault::kIcmpMalformed;
  UpperLayer upper;
  if (walk_extensions(quote, upper) != Fault::kNone) return Fault::kIcmpMalformed;
  if (upper.is_part) return Fault::kNone;  // none of ours: Weir sends no fragments
  out.inner_len = std::uint32_t{load16(quote.data() + 4)} + kIpv6Header;
  out.inner.local = load_ipv6(quote.data() + 8);
  out.inner.remote = load_ipv6(quote.data() + 24);
  if (out.inner.local.is_v4() || out.inner.remote.is_v4()) return Fault::kIcmpMalformed;
  return parse_inner_l4(quote.subspan(upper.offset), upper.protocol, out);
}

bool checksum_ok(std::span<const std::byte> packet, const Frame& f) {
  Checksum sum;
  if (f.kind == Kind::kIcmp6) sum.add_pseudo_header(f.src, f.dst, kIcmpv6, f.l4_len);
  sum.add(packet);
  return sum.finish() == 0;
}

// The checksum field after one word changed: RFC 1624 §3 eqn. 3, rather than a fresh sum that would
// hide damage done to the payload here. Of the two zeros it gives 0xffff: a message of zeros alone
// (an echo reply may be one) sums to nothing else, and for every other message both are right.
std::uint16_t mended_checksum(std::uint16_t field, std::uint16_t before, std::uint16_t after) {
  std::uint32_t sum = std::uint32_t{static_cast<std::uint16_t>(~field)} +
                      static_cast<std::uint16_t>(~before) + after;
  sum = (sum & 0xffffU) + (sum >> 16U);
  sum = (sum & 0xffffU) + (sum >> 16U);
  return sum == 0xffffU ? std::uint16_t{0xffff} : static_cast<std::uint16_t>(~sum);
}

std::uint16_t word_of(const IpAddr& addr, std::size_t at) {
  return static_cast<std::uint16_t>(addr.octets()[at] << 8U | addr.octets()[at + 1]);
}

// Writes Ethernet and IP headers back to where the frame came from; returns where ICMP goes.
std::byte* write_reply_headers(std::byte* out, const MacAddr& dst_mac, const MacAddr& src_mac,
                               const IpFields& ip) {
  const bool v4 = ip.src.is_v4();
  write_ethernet(out, dst_mac, src_mac, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
  if (v4) {
    write_ipv4(out + kEthHeader, ip, true);
    return out + kEthHeader + kIpv4MinHeader;
  }
  write_ipv6(out + kEthHeader, ip);
  return out + kEthHeader + kIpv6Header;
}

}  // namespace

Fault parse_icmp(std::span<const std::byte> first, Frame& out) {
  if (out.l4_len < kIcmpHeader) return Fault::kIcmpMalformed;
  if (out.l4_offset + std::size_t{out.l4_len} > first.size()) return Fault::kShortFrame;
  const auto packet = first.subspan(out.l4_offset, out.l4_len);
  if (!checksum_ok(packet, out)) return Fault::kIcmpChecksum;
  IcmpPacket& icmp = out.icmp;
  icmp.type = load8(packet.data());
  icmp.code = load8(packet.data() + 1);
  icmp.rest = load32(packet.data() + 4);
  icmp.has_inner = false;
  // Of the rest that is no error, redirects among it, the stack answers echo and drops all else.
  //= RFC4443 2.4-b
  //= RFC4861 8.1
  if (out.kind == Kind::kIcmp6 && (icmp.type == kNdSolicitation || icmp.type == kNdAdvertisement)) {
    return parse_nd(packet, out);
  }
  if (!is_error(out)) return Fault::kNone;
  const auto quote = packet.subspan(kIcmpHeader);
  return out.kind == Kind::kIcmp4 ? parse_inner_v4(quote, icmp) : parse_inner_v6(quote, icmp);
}

//= RFC1122 3.2.2.6-a
//= RFC1122 3.2.2.6-b
std::size_t make_echo_reply(std::span<std::byte> frame, const Frame& parsed,
                            const MacAddr& local_mac, const IpAddr& local_ip) {
  const bool v4 = parsed.kind == Kind::kIcmp4;
  WEIR_ASSERT(v4 ? parsed.icmp.type == kIcmp4Echo
                 : parsed.kind == Kind::kIcmp6 && parsed.icmp.type == kIcmp6Echo);
  WEIR_ASSERT(parsed.l4_offset + std::size_t{parsed.l4_len} <= frame.size());
  std::byte* icmp = frame.data() + kEthHeader + (v4 ? kIpv4MinHeader : kIpv6Header);
  std::memmove(icmp, frame.data() + parsed.l4_offset, parsed.l4_len);
  const IpFields ip{.src = local_ip,
                    .dst = parsed.src,
                    .tos = parsed.tos,  // RFC 1122 §3.2.2.6 leaves it open; the kernel reflects it
                    .protocol = v4 ? kIcmp : kIcmpv6,
                    .l4_len = parsed.l4_len};
  write_reply_headers(frame.data(), parsed.src_mac, local_mac, ip);
  const std::uint16_t before = load16(icmp);
  store8(icmp, v4 ? kIcmp4EchoReply : kIcmp6EchoReply);
  std::uint16_t sum = mended_checksum(load16(icmp + 2), before, load16(icmp));
  for (std::size_t i = 0; !v4 && local_ip != parsed.dst && i < 16; i += 2) {
    sum = mended_checksum(sum, word_of(parsed.dst, i), word_of(local_ip, i));
  }
  store16(icmp + 2, sum);
  return static_cast<std::size_t>(icmp - frame.data()) + parsed.l4_len;
}

bool carries_icmp_error(std::span<const std::byte> frame, const Frame& parsed) {
  if (parsed.l4_offset >= frame.size()) return false;
  if (parsed.src.is_v4()) {
    return parsed.protocol == kIcmp && is_icmp4_error(load8(&frame[parsed.l4_offset]));
  }
  return leads_to_icmp6_error(frame, parsed.l4_offset, parsed.protocol);
}

//= RFC1122 3.2.2-b
std::size_t write_icmp_error(std::span<std::byte> out, const MacAddr& local_mac,
                             const IpAddr& local_ip, std::uint8_t type, std::uint8_t code,
                             std::span<const std::byte> offender, const Frame& parsed,
                             std::uint32_t rest) {
  WEIR_ASSERT(out.size() >= kMaxIcmpErrorFrame);
  const bool v4 = parsed.src.is_v4();
  WEIR_ASSERT(local_ip.is_v4() == v4);
  const std::size_t packet_end =
      std::min(parsed.l4_offset + std::size_t{parsed.l4_len}, offender.size());
  //= RFC4443 2.4-c
  const std::size_t room = v4 ? kMaxIcmp4Error - kIpv4MinHeader - kIcmpHeader
                              : kMaxIcmp6Error - kIpv6Header - kIcmpHeader;
  const std::size_t quoted = std::min(packet_end - parsed.l3_offset, room);
  const std::size_t l4_len = kIcmpHeader + quoted;
  const IpFields ip{
      .src = local_ip, .dst = parsed.src, .protocol = v4 ? kIcmp : kIcmpv6, .l4_len = l4_len};
  std::byte* icmp = write_reply_headers(out.data(), parsed.src_mac, local_mac, ip);
  store8(icmp, type);
  store8(icmp + 1, code);
  store16(icmp + 2, 0);
  store32(icmp + 4, rest);
  std::memcpy(icmp + kIcmpHeader, offender.data() + parsed.l3_offset, quoted);
  Checksum sum;
  if (!v4) sum.add_pseudo_header(ip.src, ip.dst, kIcmpv6, static_cast<std::uint32_t>(l4_len));
  sum.add({icmp, l4_len});
  store16(icmp + 2, sum.finish());
  return static_cast<std::size_t>(icmp - out.data()) + l4_len;
}

}  // namespace weir::wire
