// IPv4 and TCP headers out (RFC 791 §3.1, RFC 9293 §3.1), by whole words whose sum is taken on the
// way. The one writer of TCP over IPv4: inlined where a driver fills its buffers, and behind
// write_tcp_frame.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/addr.h"
#include "base/assert.h"
#include "wire/frame.h"
#include "wire/octets.h"
#include "wire/parse.h"
#include "wire/sum.h"
#include "wire/tcp.h"

namespace weir::wire {

// Where the TCP header begins in a frame that Weir writes.
[[nodiscard]] constexpr std::size_t tcp_offset(bool v4) {
  return kEthHeader + (v4 ? kIpv4MinHeader : kIpv6Header);
}

struct Tcp4Frame {
  const MacAddr& src_mac;
  const MacAddr& dst_mac;
  const FlowKey& flow;  // local is the source; IPv4
  Seq seq, ack;
  std::uint32_t payload_len = 0;
  std::uint16_t wnd = 0, urgent = 0, ip_id = 0;
  std::uint8_t flags = 0, tos = 0, ttl = 0;
};

namespace detail {

// Every piece is a multiple of 4, aligned by NOPs, so there is nothing to pad. `O`: TcpOptions, or
// what has the same fields.
//= RFC9293 MUST-69
template <class O>
inline std::byte* write_tcp_options(std::byte* p, const O& o, std::uint64_t& sum) {
  const auto put = [&p, &sum](std::uint32_t word) {
    word = __builtin_bswap32(word);
    store_raw(p, word);
    sum += word;
    p += 4;
  };
  const std::byte* const begin = p;
  if (o.mss != 0) put(0x0204'0000U | o.mss);
  if (o.has_timestamps) {
    put(o.sack_permitted ? 0x0402'080aU : 0x0101'080aU);
    put(o.ts_val);
    put(o.ts_ecr);
  } else if (o.sack_permitted) {
    put(0x0101'0402U);
  }
  if (o.window_scale != kNoWindowScale) put(0x0103'0300U | o.window_scale);
  if (o.sack_count == 0) return p;
  WEIR_ASSERT(o.sack_count <= o.sack.size());
  const std::size_t room = kTcpMaxHeader - kTcpMinHeader - static_cast<std::size_t>(p - begin);
  const std::size_t blocks = std::min<std::size_t>(o.sack_count, (room - 4) / 8);  // RFC 2018 §3
  if (blocks == 0) return p;
  put(0x0101'0502U + static_cast<std::uint32_t>(8 * blocks));
  for (std::size_t i = 0; i < blocks; ++i) {
    put(o.sack[i].left.raw());
    put(o.sack[i].right.raw());
  }
  return p;
}

// An IPv4 address as it lies in memory.
[[nodiscard]] inline std::uint32_t raw_ipv4(const IpAddr& a) {
  return load_raw32(a.octets().data() + 12);
}

}  // namespace detail

// Ethernet, IPv4 with DF set, TCP; the octets written. Under kSoftware the sum is that of headers
// before no text: add_text_sum does the rest. Pre: both addresses IPv4; room for kMaxTcpFrameHeader
// octets; what IP carries, f.payload_len octets of text included, fits its 16-bit length.
//= RFC791 3.1-c
//= RFC6864 4.1-a
//= RFC9293 MUST-2
template <class O>
inline std::size_t write_tcp4(std::byte* out, const Tcp4Frame& f, const O& options,
                              TxChecksum how) {
  constexpr std::size_t kTcpAt = kEthHeader + kIpv4MinHeader;
  std::memcpy(out, f.dst_mac.octets.data(), 6);
  std::memcpy(out + 6, f.src_mac.octets.data(), 6);
  store_raw(out + 12, __builtin_bswap16(kEtherTypeIpv4));
  std::byte* const ip = out + kEthHeader;
  std::byte* const tcp = out + kTcpAt;
  std::uint64_t segment = 0;
  const std::byte* const end = detail::write_tcp_options(tcp + kTcpMinHeader, options, segment);
  const auto header = static_cast<std::size_t>(end - tcp);
  const std::size_t total = kIpv4MinHeader + header + f.payload_len;
  WEIR_ASSERT(total <= 0xffff);
  const std::uint32_t src = detail::raw_ipv4(f.flow.local), dst = detail::raw_ipv4(f.flow.remote);
  const std::uint64_t addresses = std::uint64_t{src} + dst;
  // Words as they lie in memory: the first octet is the lowest.
  const std::uint32_t length = __builtin_bswap16(static_cast<std::uint16_t>(total));
  const std::uint32_t w0 = 0x45U | std::uint32_t{f.tos} << 8U | length << 16U;
  const std::uint32_t w1 = __builtin_bswap16(f.ip_id) | 0x0040U << 16U;  // DF
  std::uint32_t w2 = f.ttl | std::uint32_t{kTcpProtocol} << 8U;
  if (how == TxChecksum::kSoftware || how == TxChecksum::kIpSoftware) {
    const std::uint16_t sum = fold_ones(std::uint64_t{w0} + w1 + w2 + addresses);
    w2 |= static_cast<std::uint32_t>(static_cast<std::uint16_t>(~sum)) << 16U;
  }
  store_raw(ip, w0 | std::uint64_t{w1} << 32U);
  store_raw(ip + 8, w2 | std::uint64_t{src} << 32U);
  store_raw(ip + 16, dst);
  const std::uint32_t ports = __builtin_bswap16(f.flow.local_port) |
                              std::uint32_t{__builtin_bswap16(f.flow.remote_port)} << 16U;
  const std::uint32_t seq = __builtin_bswap32(f.seq.raw()), ack = __builtin_bswap32(f.ack.raw());
  const std::uint32_t offset_flags_wnd = static_cast<std::uint32_t>(header << 2U) |
                                         std::uint32_t{f.flags} << 8U |
                                         std::uint32_t{__builtin_bswap16(f.wnd)} << 16U;
  const std::uint32_t urgent = __builtin_bswap16(f.urgent);
  std::uint64_t sum = addresses + (std::uint32_t{kTcpProtocol} << 8U);
  if (how != TxChecksum::kOffloadTso) {
    sum += __builtin_bswap16(static_cast<std::uint16_t>(total - kIpv4MinHeader));
  }
  std::uint16_t field = 0;
  if (how == TxChecksum::kSoftware) {
    sum += segment + ports + seq + ack + offset_flags_wnd + urgent;
    field = static_cast<std::uint16_t>(~fold_ones(sum));
  } else {
    field = fold_ones(sum);
  }
  store_raw(tcp, ports | std::uint64_t{seq} << 32U);
  store_raw(tcp + 8, ack | std::uint64_t{offset_flags_wnd} << 32U);
  store_raw(tcp + 16, field | urgent << 16U);
  return kTcpAt + header;
}

// Completes the checksum of the TCP header at `tcp`, which is right for the headers alone: `text`
// is the sum of what follows them (as of sum_octets).
inline void add_text_sum(std::byte* tcp, std::uint64_t text) {
  const auto headers = static_cast<std::uint16_t>(~load_raw16(tcp + 16));
  store_raw(tcp + 16, static_cast<std::uint16_t>(~fold_ones(add_ones(headers, text))));
}

}  // namespace weir::wire
