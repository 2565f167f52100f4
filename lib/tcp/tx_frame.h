// From a TxPacket to the fields that wire writes, and to whole frames where no port does the rest.
#pragma once

#include <cstddef>
#include <span>

#include "base/assert.h"
#include "tcp/core.h"
#include "wire/frame.h"
#include "wire/write_tcp4.h"

namespace weir::tcp {

[[nodiscard]] inline wire::TcpFrame to_frame(const TxPacket& p) {
  wire::TcpFrame f;
  f.src_mac = p.src_mac;
  f.dst_mac = p.dst_mac;
  f.flow = p.flow;
  f.tos = p.tos;
  f.ttl = p.ttl;
  f.ip_id = p.ip_id;
  f.payload_len = p.seg.len;
  f.tcp.seq = p.seg.seq;
  f.tcp.ack = p.seg.ack;
  f.tcp.wnd = p.seg.wnd;
  f.tcp.urgent = p.seg.urgent;
  f.tcp.flags = p.seg.flags;
  const TxOptions& o = p.seg.options;
  f.tcp.options.mss = o.mss;
  f.tcp.options.window_scale = o.window_scale;
  f.tcp.options.sack_permitted = o.sack_permitted;
  f.tcp.options.has_timestamps = o.has_timestamps;
  f.tcp.options.ts_val = o.ts_val;
  f.tcp.options.ts_ecr = o.ts_ecr;
  f.tcp.options.sack_count = o.sack_count;
  for (std::size_t i = 0; i < o.sack_count; ++i) f.tcp.options.sack[i] = o.sack[i];
  return f;
}

// Its headers, Ethernet's to TCP's; the octets written. Under wire::TxChecksum::kSoftware the
// text's sum is to follow (wire::add_text_sum). Pre: as wire::write_tcp_frame.
inline std::size_t write_headers(std::span<std::byte> out, const TxPacket& p,
                                 wire::TxChecksum how) {
  if (!p.flow.local.is_v4()) {
    return wire::write_tcp_frame(out, to_frame(p), how, std::uint16_t{0});
  }
  WEIR_ASSERT(p.flow.remote.is_v4() && out.size() >= wire::kMaxTcpFrameHeader);
  const wire::Tcp4Frame f{.src_mac = p.src_mac,
                          .dst_mac = p.dst_mac,
                          .flow = p.flow,
                          .seq = p.seg.seq,
                          .ack = p.seg.ack,
                          .payload_len = p.seg.len,
                          .wnd = p.seg.wnd,
                          .urgent = p.seg.urgent,
                          .ip_id = p.ip_id,
                          .flags = p.seg.flags,
                          .tos = p.tos,
                          .ttl = p.ttl};
  return wire::write_tcp4(out.data(), f, p.seg.options, how);
}

// The octets of `packet` in one frame, both checksums computed; not padded. Returns the frame's
// length. Pre: out.size() >= wire::kMaxTcpFrameHeader + packet.seg.len, and the segment's text is
// in its buffers.
std::size_t write_frame(std::span<std::byte> out, const TxPacket& packet);

// What TSO does in software: of a packet longer than its MSS the piece that begins `at` octets
// behind its text's start, at most the MSS long. One that is no longer is returned as it is.
[[nodiscard]] TxPacket cut_segment(const TxPacket& packet, std::uint32_t at);

}  // namespace weir::tcp
