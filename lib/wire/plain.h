// The straight way for the frame that nearly all are: Ethernet II, IPv4 without options, a whole
// datagram in one piece (RFC 791 §3.1), TCP with no options, timestamps, or a SYN's usual ones
// (RFC 9293 §3.1-3.2, RFC 7323 §3.2).
//
// Takes what parse_frame would take, by whole words; of all else, and of every frame with a fault,
// it says only that it is another. parse_frame is the model that tests hold it to. Inlined into the
// one loop over a burst.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/addr.h"
#include "wire/frame.h"
#include "wire/octets.h"
#include "wire/parse.h"
#include "wire/sum.h"

namespace weir::wire {

namespace detail {

// Options of `len` octets, a multiple of 4.
inline void parse_plain_options(const std::byte* p, std::size_t len, TcpOptions& o) {
  constexpr std::uint32_t kTimestamps = 0x0a08'0101;  // NOP NOP, kind, length: as in memory
  constexpr std::uint32_t kSackPermittedTimestamps = 0x0a08'0204;
  const bool usual = len == 12 && load_raw32(p) == kTimestamps;
  const bool syn = len == 20 && load_raw16(p) == 0x0402 &&
                   load_raw32(p + 4) == kSackPermittedTimestamps &&
                   (load_raw32(p + 16) & 0xff'ffffU) == 0x03'0301U;
  if (len != 0 && !usual && !syn) return parse_tcp_options(p, p + len, o);
  o.mss = syn ? load16(p + 2) : std::uint16_t{0};
  o.window_scale = syn ? std::min(load8(p + 19), kMaxWindowScale) : kNoWindowScale;
  o.sack_permitted = syn;
  o.has_timestamps = len != 0;
  o.sack_count = 0;
  const std::byte* const values = p + (syn ? 8 : 4);
  o.ts_val = len == 0 ? 0 : load32(values);
  o.ts_ecr = len == 0 ? 0 : load32(values + 4);
}

}  // namespace detail

// False: parse_frame says what it is; `out` and `flow` are as they were. Else both are set as
// parse_frame sets `out`, the flow as its receiver sees it. `frame`: the whole of it.
//= RFC791 3.1-a
//= RFC791 3.1-b
//= RFC9293 MUST-3
//= RFC9293 MUST-7
[[nodiscard]] inline bool parse_plain(std::span<const std::byte> frame, ParseOptions verified,
                                      Frame& out, FlowKey& flow) {
  constexpr std::size_t kLeast = kEthHeader + kIpv4MinHeader + kTcpMinHeader;
  constexpr std::uint32_t kIpv4NoOptions = 0x45'0008;  // EtherType, version and length: in memory
  constexpr std::uint64_t kPart = 0xff3f;              // More Fragments, or an offset: in memory
  if (frame.size() < kLeast) return false;
  const std::byte* const ip = frame.data() + kEthHeader;
  const std::byte* const tcp = ip + kIpv4MinHeader;
  const std::uint64_t a = load_raw64(ip), b = load_raw64(ip + 8);
  const std::uint32_t src = load_raw32(ip + 12), dst = load_raw32(ip + 16);
  const std::size_t total = load16(ip + 2);
  const std::size_t header = std::size_t{load8(tcp + 12)} >> 4U << 2U;
  const bool other = (load_raw32(ip - 2) & 0xff'ffffU) != kIpv4NoOptions ||
                     (a >> 48U & kPart) != 0 || (b >> 8U & 0xffU) != kTcpProtocol ||
                     header < kTcpMinHeader || total < kIpv4MinHeader + header ||
                     total > frame.size() - kEthHeader;
  if (other) return false;
  if (!verified.ip_checksum_verified && fold_ones(add_ones(add_ones(a, b), dst)) != 0xffff) {
    return false;
  }
  const std::size_t l4_len = total - kIpv4MinHeader;
  if (!verified.l4_checksum_verified) {
    const std::uint64_t pseudo = std::uint64_t{src} + dst + (std::uint32_t{kTcpProtocol} << 8U) +
                                 __builtin_bswap16(static_cast<std::uint16_t>(l4_len));
    if (fold_ones(sum_octets(tcp, l4_len, pseudo)) != 0xffff) return false;
  }
  out.kind = Kind::kTcp;
  out.fault = Fault::kNone;
  out.problem = {};
  std::memcpy(out.dst_mac.octets.data(), frame.data(), 6);
  std::memcpy(out.src_mac.octets.data(), frame.data() + 6, 6);
  store_ipv4(out.src, src);
  store_ipv4(out.dst, dst);
  store_ipv4(flow.remote, src);
  store_ipv4(flow.local, dst);
  out.tos = static_cast<std::uint8_t>(a >> 8U & 0xffU);
  out.ttl = static_cast<std::uint8_t>(b & 0xffU);
  out.protocol = kTcpProtocol;
  out.had_fragment_header = out.checksum_pending = false;
  out.l3_offset = kEthHeader;
  out.l4_offset = kEthHeader + kIpv4MinHeader;
  out.payload_offset = static_cast<std::uint16_t>(kEthHeader + kIpv4MinHeader + header);
  out.payload_len = static_cast<std::uint32_t>(l4_len - header);
  out.l4_len = static_cast<std::uint32_t>(l4_len);
  TcpHeader& t = out.tcp;
  t.src_port = flow.remote_port = load16(tcp);
  t.dst_port = flow.local_port = load16(tcp + 2);
  t.seq = Seq{load32(tcp + 4)};
  t.ack = Seq{load32(tcp + 8)};
  t.flags = load8(tcp + 13);
  t.wnd = load16(tcp + 14);
  t.urgent = load16(tcp + 18);
  detail::parse_plain_options(tcp + kTcpMinHeader, header - kTcpMinHeader, t.options);
  return true;
}

}  // namespace weir::wire
