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
constexpr std::size_t kFragmentHeader = 8;
constexpr std::uint16_t kFragmentOffset = 0xfff8;
constexpr std::uint16_t kMoreFragments = 1;
constexpr std::size_t kMaxPayload = 65'535;

// Codes of the ICMPv6 parameter problem (RFC 4443 §3.4, RFC 7112 §5).
enum ProblemCode : std::uint8_t {
  kErroneousField = 0,
  kUnknownNextHeader = 1,
  kUnknownOption = 2,
  kIncompleteChain = 3,
};

bool is_extension(std::uint8_t protocol) {
  return protocol == kHopByHop || protocol == kRouting || protocol == kFragment ||
         protocol == kDestinationOptions;
}

ParameterProblem problem_at(std::size_t pointer, ProblemCode code, bool even_to_multicast = false) {
  return {true, even_to_multicast, code, static_cast<std::uint32_t>(pointer)};
}

// The two highest bits of an unknown option's type: skip, discard, discard and say so, discard and
// say so unless the packet went to a group.
//= RFC8200 4.2-a
//= RFC8200 4.2-b
//= RFC8200 4.2-c
//= RFC8200 4.2-d
//= RFC7045 3
Fault unknown_option(std::uint8_t type, std::size_t at, ParameterProblem& problem) {
  const unsigned action = type >> 6U;
  if (action == 0) return Fault::kNone;
  if (action >= 2) problem = problem_at(at, kUnknownOption, action == 2);
  return Fault::kIpExtension;
}

// The options of a header that ends at `end`, from `at`; both count from the IPv6 header.
Fault check_options(std::span<const std::byte> packet, std::size_t at, std::size_t end,
                    ParameterProblem& problem) {
  for (unsigned count = 0; at < end; ++count) {
    if (count == kMaxOptions) return Fault::kIpExtension;
    const std::uint8_t type = load8(&packet[at]);
    if (type == kPad1) {
      ++at;
      continue;
    }
    if (end - at < 2) return Fault::kIpExtension;
    const std::size_t len = std::size_t{load8(&packet[at + 1])} + 2;
    if (len > end - at) return Fault::kIpExtension;
    if (type != kPadN) {
      const Fault f = unknown_option(type, at, problem);
      if (f != Fault::kNone) return f;
    }
    at += len;
  }
  return Fault::kNone;
}

// Every type is unknown here, type 0 by RFC 5095: with no segments left it is skipped.
//= RFC8200 4.4-a
//= RFC8200 4.4-b
//= RFC5095 3
//= RFC7045 2.2
Fault check_routing(std::span<const std::byte> packet, std::size_t at, ParameterProblem& problem) {
  if (load8(&packet[at + 3]) == 0) return Fault::kNone;
  problem = problem_at(at + 2, kErroneousField);
  return Fault::kIpSourceRoute;
}

// RFC 6946 §4: an atomic fragment is a whole packet, whatever parts bear its identification.
//= RFC6946 4-a
void read_fragment(std::span<const std::byte> packet, std::size_t at, std::size_t named_at,
                   UpperLayer& out) {
  const std::uint16_t word = load16(&packet[at + 2]);
  out.had_fragment_header = true;
  out.is_part = (word & (kFragmentOffset | kMoreFragments)) != 0;
  out.fragment.id = load32(&packet[at + 4]);
  out.fragment.offset = word & kFragmentOffset;
  out.fragment.more = (word & kMoreFragments) != 0;
  out.fragment.header = static_cast<std::uint16_t>(at);
  out.fragment.named_at = static_cast<std::uint16_t>(named_at);
}

// Octets of the upper layer's header that a first fragment must hold.
std::size_t upper_header(std::span<const std::byte> l4, std::uint8_t protocol) {
  switch (protocol) {
    case kTcpProtocol:
      return l4.size() < kTcpMinHeader ? kTcpMinHeader
                                       : static_cast<std::size_t>(load8(&l4[12]) >> 4U) * 4;
    case kUdpProtocol:
    case kIcmpv6:
      return 8;
    default:  // not spoken: nothing will look
      return 0;
  }
}

// Past the extension headers from `at` on, the first of type `next`, by their lengths alone. False
// when the packet ends before they do.
bool skip_extensions(std::span<const std::byte> packet, std::size_t& at, std::uint8_t& next) {
  for (unsigned count = 0; is_extension(next) && count < kMaxExtensions; ++count) {
    if (packet.size() - at < 8) return false;
    const std::size_t len =
        next == kFragment ? kFragmentHeader : (std::size_t{load8(&packet[at + 1])} + 1) * 8;
    if (len > packet.size() - at) return false;
    next = load8(&packet[at]);
    at += len;
  }
  return true;
}

// RFC 7112 §4: from `at` on, headers down to the upper layer's are all in this packet. What they
// say is judged when the packet is whole.
//= RFC7112 5-a
//= RFC8200 4.5-i
bool chain_complete(std::span<const std::byte> packet, std::size_t at, std::uint8_t next) {
  if (!skip_extensions(packet, at, next)) return false;
  return packet.size() - at >= upper_header(packet.subspan(at), next);
}

// `packet` is the part as it came, `len` what stands behind its Fragment header, seen here or not.
//= RFC8200 4.5-f
//= RFC8200 4.5-g
Fault check_part(std::span<const std::byte> packet, std::size_t len, UpperLayer& upper) {
  const FragmentFields& part = upper.fragment;
  if (len == 0) return Fault::kFragmentLength;
  if (part.more && len % 8 != 0) {
    upper.problem = problem_at(4, kErroneousField);  // the Payload Length field
    return Fault::kFragmentLength;
  }
  if (part.header - kIpv6Header + part.offset + len > kMaxPayload) {
    upper.problem = problem_at(std::size_t{part.header} + 2, kErroneousField);  // its offset
    return Fault::kFragmentLength;
  }
  if (part.offset == 0 && !chain_complete(packet, upper.offset, upper.protocol)) {
    upper.problem = problem_at(0, kIncompleteChain);
    return Fault::kFragmentChain;
  }
  return Fault::kNone;
}

// The extension header of type `next` at `at`, `len` octets long, named at `named_at`.
Fault check_extension(std::span<const std::byte> packet, std::uint8_t next, std::size_t at,
                      std::size_t len, std::size_t named_at, UpperLayer& out) {
  switch (next) {
    case kRouting:
      return check_routing(packet, at, out.problem);
    case kFragment:
      read_fragment(packet, at, named_at, out);
      return Fault::kNone;
    default:
      return check_options(packet, at + 2, at + len, out.problem);
  }
}

}  // namespace

bool leads_to_icmp6_error(std::span<const std::byte> packet, std::size_t at, std::uint8_t next) {
  return skip_extensions(packet, at, next) && next == kIcmpv6 && at < packet.size() &&
         load8(&packet[at]) < 128;
}

//= RFC8200 4-a
//= RFC8200 4.1-a
Fault walk_extensions(std::span<const std::byte> packet, UpperLayer& out) {
  std::size_t offset = kIpv6Header;
  std::size_t named_at = 6;
  std::uint8_t next = load8(&packet[named_at]);
  for (unsigned count = 0; is_extension(next) && !out.is_part; ++count) {
    const std::size_t left = packet.size() - offset;
    if (count == kMaxExtensions || left < 8) return Fault::kIpExtension;
    // §4.1: hop-by-hop options come first, or they are no header that is known.
    //= RFC8200 4.3
    if (next == kHopByHop && count > 0) {
      out.problem = problem_at(named_at, kUnknownNextHeader);
      return Fault::kIpExtension;
    }
    const std::size_t len =
        next == kFragment ? kFragmentHeader : (std::size_t{load8(&packet[offset + 1])} + 1) * 8;
    if (len > left) return Fault::kIpExtension;
    const Fault f = check_extension(packet, next, offset, len, named_at, out);
    if (f != Fault::kNone) return f;
    next = load8(&packet[offset]);
    named_at = offset;
    offset += len;
  }
  out.offset = offset;
  out.protocol = next;
  out.named_at = static_cast<std::uint16_t>(named_at);
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
  upper.offset = kIpv6Header;
  auto packet = first.subspan(kEthHeader);
  if (total < packet.size()) packet = packet.first(total);
  Fault f = walk_extensions(packet, upper);
  if (f == Fault::kNone && upper.is_part) f = check_part(packet, total - upper.offset, upper);
  if (upper.problem.due && !leads_to_icmp6_error(packet, kIpv6Header, load8(p + 6))) {
    out.problem = upper.problem;
  }
  out.kind = upper.is_part ? Kind::kFragment : Kind::kOtherIp;
  out.had_fragment_header = upper.had_fragment_header;
  out.fragment = upper.fragment;
  out.fragment.header = static_cast<std::uint16_t>(out.fragment.header + kEthHeader);
  out.fragment.named_at = static_cast<std::uint16_t>(out.fragment.named_at + kEthHeader);
  out.tos = static_cast<std::uint8_t>(version_class_label >> 20U);
  out.ttl = load8(p + 7);
  out.protocol = upper.protocol;
  out.l3_offset = kEthHeader;
  out.l4_offset = static_cast<std::uint16_t>(kEthHeader + upper.offset);
  out.l4_len = static_cast<std::uint32_t>(total - upper.offset);
  out.next_header_at = static_cast<std::uint16_t>(upper.named_at);
  return f;
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
