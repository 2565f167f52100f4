// Frames of TxPackets in software: what a port does that has no offloads. See tx_frame.h.
#include "tcp/tx_frame.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"

namespace weir::tcp {
namespace {

// The `len` octets from `offset` octets behind the start of `*b`, across its chain.
void gather(const Buf* b, std::uint32_t offset, std::uint32_t len, std::byte* out) {
  while (len > 0) {
    WEIR_ASSERT(b != nullptr);  // the segment claims more text than its buffers hold
    if (offset >= b->len) {
      offset -= b->len;
    } else {
      const std::uint32_t n = std::min(len, b->len - offset);
      std::memcpy(out, b->data + offset, n);
      out += n;
      len -= n;
      offset = 0;
    }
    b = b->next;
  }
}

}  // namespace

std::size_t write_frame(std::span<std::byte> out, const TxPacket& packet) {
  std::array<std::byte, wire::kMaxTcpFrameHeader> headers;
  const std::size_t header = write_headers(headers, packet, wire::TxChecksum::kSoftware);
  const std::uint32_t len = packet.seg.len;
  WEIR_ASSERT(out.size() >= header + len);
  gather(packet.seg.payload, packet.seg.payload_offset, len, out.data() + header);
  wire::add_text_sum(headers.data() + wire::tcp_offset(packet.flow.local.is_v4()),
                     wire::sum_octets(out.data() + header, len));
  std::memcpy(out.data(), headers.data(), header);
  return header + len;
}

// Every piece has the header's fields, sequence number and IP identification move on, FIN and PSH
// stand in the last, CWR in the first (as Linux's tcp_gso_segment).
TxPacket cut_segment(const TxPacket& packet, std::uint32_t at) {
  const TxSegment& whole = packet.seg;
  if (whole.mss == 0 || whole.len <= whole.mss) return packet;
  TxPacket piece = packet;
  piece.seg.seq = whole.seq + at;
  piece.seg.payload_offset = whole.payload_offset + at;
  piece.seg.len = std::min<std::uint32_t>(whole.mss, whole.len - at);
  piece.ip_id = static_cast<std::uint16_t>(packet.ip_id + at / whole.mss);
  const bool first = at == 0, last = at + piece.seg.len == whole.len;
  const unsigned cut =
      (last ? 0U : unsigned{tcp::FIN | tcp::PSH}) | (first ? 0U : unsigned{tcp::CWR});
  piece.seg.flags = static_cast<std::uint8_t>(whole.flags & ~cut);
  return piece;
}

}  // namespace weir::tcp
