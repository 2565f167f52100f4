// Frames with TCP in them, in and out; the Ethernet header; the way through the parser.
#include "wire/frame.h"

#include <algorithm>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"
#include "wire/parse.h"
#include "wire/write_tcp4.h"

namespace weir::wire {
namespace {

//= RFC8200 8.1
bool segment_sum_ok(std::span<const std::byte> segment, const Frame& f) {
  Checksum sum;
  sum.add_pseudo_header(f.src, f.dst, kTcpProtocol, f.l4_len);
  sum.add(segment);
  return sum.finish() == 0;
}

// The part of the TCP segment that lies in `first`.
std::span<const std::byte> segment_in(std::span<const std::byte> first, const Frame& f) {
  return first.subspan(f.l4_offset, std::min<std::size_t>(f.l4_len, first.size() - f.l4_offset));
}

//= RFC9293 MUST-3
Fault parse_segment(std::span<const std::byte> first, bool checksum_verified, Frame& out) {
  const auto segment = segment_in(first, out);
  const std::size_t header = parse_tcp(segment, out.tcp);
  if (header == 0) return Fault::kTcpHeader;
  const bool whole = segment.size() == out.l4_len;
  if (!checksum_verified && whole && !segment_sum_ok(segment, out)) return Fault::kTcpChecksum;
  out.checksum_pending = !checksum_verified && !whole;
  out.payload_offset = static_cast<std::uint16_t>(out.l4_offset + header);
  out.payload_len = out.l4_len - static_cast<std::uint32_t>(header);
  out.kind = Kind::kTcp;
  return Fault::kNone;
}

Fault parse_upper_layer(std::span<const std::byte> first, bool v4, bool checksum_verified,
                        Frame& out) {
  if (out.kind == Kind::kFragment) return Fault::kNone;
  if (out.protocol == kTcpProtocol) return parse_segment(first, checksum_verified, out);
  if (out.protocol == (v4 ? kIcmp : kIcmpv6)) {
    out.kind = v4 ? Kind::kIcmp4 : Kind::kIcmp6;
    return parse_icmp(first, out);
  }
  if (out.protocol == kUdpProtocol) return parse_udp(first, checksum_verified, out);
  out.kind = Kind::kOtherIp;
  return Fault::kNone;
}

Fault parse_ethernet(std::span<const std::byte> first, std::size_t frame_len, ParseOptions options,
                     Frame& out) {
  if (first.size() < kEthHeader) return Fault::kShortFrame;
  std::memcpy(out.dst_mac.octets.data(), first.data(), 6);
  std::memcpy(out.src_mac.octets.data(), first.data() + 6, 6);
  Fault fault;
  switch (load16(first.data() + 12)) {
    case kEtherTypeIpv4:
      fault = parse_ipv4(first, frame_len, options.ip_checksum_verified, out);
      if (fault != Fault::kNone) return fault;
      return parse_upper_layer(first, true, options.l4_checksum_verified, out);
    case kEtherTypeIpv6:
      fault = parse_ipv6(first, frame_len, out);
      if (fault != Fault::kNone) return fault;
      out.had_fragment_header = out.had_fragment_header || options.put_together;
      return parse_upper_layer(first, false, options.l4_checksum_verified, out);
    case kEtherTypeArp:
      return parse_arp(first, out);
    default:  // 802.1Q tags and 802.3 lengths among them
      out.kind = Kind::kOther;
      return Fault::kNone;
  }
}

// Of text in pieces, folded, as it lies in memory.
std::uint16_t sum_of(std::span<const Piece> payload, std::uint32_t payload_len) {
  Checksum sum;
  std::size_t octets = 0;
  for (const Piece& piece : payload) {
    sum.add({piece.data, piece.len});
    octets += piece.len;
  }
  WEIR_ASSERT(octets == payload_len);
  return __builtin_bswap16(sum.sum());
}

// The checksum field of the TCP header at `tcp`, `header` octets long.
//= RFC9293 MUST-2
std::uint16_t tcp_checksum_field(const std::byte* tcp, std::size_t header, const TcpFrame& f,
                                 TxChecksum how) {
  const auto length = static_cast<std::uint32_t>(header + f.payload_len);
  Checksum sum;
  sum.add_pseudo_header(f.flow.local, f.flow.remote, kTcpProtocol,
                        how == TxChecksum::kOffloadTso ? 0 : length);
  if (how != TxChecksum::kSoftware) return sum.sum();
  sum.add({tcp, header});
  return sum.finish();
}

}  // namespace

void parse_frame(std::span<const std::byte> first, std::size_t frame_len, ParseOptions options,
                 Frame& out) {
  WEIR_ASSERT(frame_len >= first.size());
  out.problem = {};
  out.fault = parse_ethernet(first, frame_len, options, out);
  if (out.fault != Fault::kNone) out.kind = Kind::kMalformed;
}

bool l4_checksum_ok(std::span<const std::byte> first, const Frame& parsed,
                    std::span<const Piece> rest) {
  const std::uint32_t length = parsed.payload_offset - parsed.l4_offset + parsed.payload_len;
  const std::size_t here = std::min<std::size_t>(length, first.size() - parsed.l4_offset);
  Checksum sum;
  sum.add_pseudo_header(parsed.src, parsed.dst, parsed.protocol, length);
  sum.add(first.subspan(parsed.l4_offset, here));
  std::size_t left = length - here;
  for (const Piece& piece : rest) {
    const std::size_t n = std::min<std::size_t>(piece.len, left);
    sum.add({piece.data, n});
    left -= n;
  }
  return left == 0 && sum.finish() == 0;
}

void write_ethernet(std::byte* out, const MacAddr& dst, const MacAddr& src, std::uint16_t type) {
  std::memcpy(out, dst.octets.data(), 6);
  std::memcpy(out + 6, src.octets.data(), 6);
  store16(out + 12, type);
}

namespace {

// Under kSoftware before no text.
std::size_t write_headers(std::span<std::byte> out, const TcpFrame& f, TxChecksum how) {
  WEIR_ASSERT(out.size() >= kMaxTcpFrameHeader);
  const bool v4 = f.flow.local.is_v4();
  WEIR_ASSERT(f.flow.remote.is_v4() == v4);
  if (v4) {
    const Tcp4Frame plain{.src_mac = f.src_mac,
                          .dst_mac = f.dst_mac,
                          .flow = f.flow,
                          .seq = f.tcp.seq,
                          .ack = f.tcp.ack,
                          .payload_len = f.payload_len,
                          .wnd = f.tcp.wnd,
                          .urgent = f.tcp.urgent,
                          .ip_id = f.ip_id,
                          .flags = f.tcp.flags,
                          .tos = f.tos,
                          .ttl = f.ttl};
    return write_tcp4(out.data(), plain, f.tcp.options, how);
  }
  write_ethernet(out.data(), f.dst_mac, f.src_mac, kEtherTypeIpv6);
  constexpr std::size_t kTcpAt = kEthHeader + kIpv6Header;
  std::byte* const tcp = out.data() + kTcpAt;
  const std::size_t header = write_tcp(out.subspan(kTcpAt), f.tcp);
  store16(tcp, f.flow.local_port);
  store16(tcp + 2, f.flow.remote_port);
  write_ipv6(out.data() + kEthHeader, {.src = f.flow.local,
                                       .dst = f.flow.remote,
                                       .tos = f.tos,
                                       .ttl = f.ttl,
                                       .protocol = kTcpProtocol,
                                       .l4_len = header + f.payload_len});
  store16(tcp + 16, tcp_checksum_field(tcp, header, f, how));
  return kTcpAt + header;
}

}  // namespace

std::size_t write_tcp_frame(std::span<std::byte> out, const TcpFrame& f, TxChecksum how,
                            std::uint16_t text) {
  const std::size_t header = write_headers(out, f, how);
  if (how == TxChecksum::kSoftware) {
    add_text_sum(out.data() + tcp_offset(f.flow.local.is_v4()), text);
  }
  return header;
}

std::size_t write_tcp_frame(std::span<std::byte> out, const TcpFrame& f, TxChecksum how,
                            std::span<const Piece> payload) {
  const bool sums = how == TxChecksum::kSoftware;
  return write_tcp_frame(out, f, how, sums ? sum_of(payload, f.payload_len) : std::uint16_t{0});
}

}  // namespace weir::wire
