// UDP in and out (RFC 768; RFC 1122 §4.1; RFC 8200 §8.1).
#include "wire/udp.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"
#include "wire/parse.h"

namespace weir::wire {
namespace {

constexpr std::size_t kLengthAt = 4, kChecksumAt = 6;

}  // namespace

// The Length field counts: octets that IP carries behind it are not of the datagram (RFC 9868 would
// put options there). A checksum of zero was not computed, which IPv6 does not allow.
//= RFC768 length
//= RFC768 checksum-b
//= RFC1122 4.1.3.4-b
//= RFC8200 8.1-b
Fault parse_udp(std::span<const std::byte> first, bool checksum_verified, Frame& out) {
  const std::size_t here = std::min<std::size_t>(out.l4_len, first.size() - out.l4_offset);
  const auto datagram = first.subspan(out.l4_offset, here);
  if (datagram.size() < kUdpHeader) return Fault::kUdpLength;
  const std::uint32_t length = load16(&datagram[kLengthAt]);
  if (length < kUdpHeader || length > out.l4_len) return Fault::kUdpLength;
  out.udp = {load16(datagram.data()), load16(&datagram[2])};
  out.payload_offset = static_cast<std::uint16_t>(out.l4_offset + kUdpHeader);
  out.payload_len = length - static_cast<std::uint32_t>(kUdpHeader);
  out.checksum_pending = false;
  out.kind = Kind::kUdp;
  if (load16(&datagram[kChecksumAt]) == 0) {
    return out.src.is_v4() ? Fault::kNone : Fault::kUdpChecksum;
  }
  if (checksum_verified) return Fault::kNone;
  out.checksum_pending = datagram.size() < length;
  if (out.checksum_pending) return Fault::kNone;
  return l4_checksum_ok(first, out, {}) ? Fault::kNone : Fault::kUdpChecksum;
}

// A sum that comes out as zero goes as its other form, as zero says that there is none.
//= RFC768 checksum-a
//= RFC1122 4.1.3.4-a
//= RFC8200 8.1-a
std::size_t write_udp_frame(std::span<std::byte> out, const UdpFrame& f,
                            std::span<const Piece> payload) {
  const bool v4 = f.flow.local.is_v4();
  WEIR_ASSERT(f.flow.remote.is_v4() == v4 && out.size() >= udp_frame_header(v4));
  WEIR_ASSERT(f.payload_len <= (v4 ? kMaxUdpText4 : kMaxUdpText6));
  write_ethernet(out.data(), f.dst_mac, f.src_mac, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6);
  const auto length = static_cast<std::uint32_t>(kUdpHeader + f.payload_len);
  const IpFields ip{.src = f.flow.local,
                    .dst = f.flow.remote,
                    .tos = f.tos,
                    .ttl = f.ttl,
                    .protocol = kUdpProtocol,
                    .l4_len = length};
  v4 ? write_ipv4(out.data() + kEthHeader, ip, true) : write_ipv6(out.data() + kEthHeader, ip);
  const std::size_t header = udp_frame_header(v4);
  std::byte* const udp = out.data() + header - kUdpHeader;
  store16(udp, f.flow.local_port);
  store16(udp + 2, f.flow.remote_port);
  store16(udp + kLengthAt, static_cast<std::uint16_t>(length));
  store16(udp + kChecksumAt, 0);
  Checksum sum;
  sum.add_pseudo_header(f.flow.local, f.flow.remote, kUdpProtocol, length);
  sum.add({udp, kUdpHeader});
  std::size_t octets = 0;
  for (const Piece& piece : payload) {
    sum.add({piece.data, piece.len});
    octets += piece.len;
  }
  WEIR_ASSERT(octets == f.payload_len);
  const std::uint16_t field = sum.finish();
  store16(udp + kChecksumAt, field == 0 ? std::uint16_t{0xffff} : field);
  return header;
}

void set_destination_mac(std::span<std::byte> frame, const MacAddr& dst) {
  WEIR_ASSERT(frame.size() >= kEthHeader);
  std::memcpy(frame.data(), dst.octets.data(), dst.octets.size());
}

}  // namespace weir::wire
