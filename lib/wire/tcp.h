// The TCP header and its options (RFC 9293 §3.1-3.2, RFC 7323 §2-3, RFC 2018 §2-3).
//
// Turns octets into validated fields and back. Never keeps state, never allocates, never reads
// beyond the span it is given. Fields are in host order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"
#include "base/seq.h"

namespace weir::wire {

enum TcpFlags : std::uint8_t {
  FIN = 1,
  SYN = 2,
  RST = 4,
  PSH = 8,
  ACK = 16,
  URG = 32,
  ECE = 64,
  CWR = 128
};

inline constexpr std::uint8_t kNoWindowScale = 0xff;
inline constexpr std::uint8_t kMaxWindowScale = 14;  // RFC 7323 §2.3

struct SackBlock {
  Seq left, right;
};

struct TcpOptions {
  std::uint16_t mss = 0;  // 0: the option was absent
  std::uint8_t window_scale = kNoWindowScale;
  bool sack_permitted = false;
  bool has_timestamps = false;
  std::uint8_t sack_count = 0;
  std::uint32_t ts_val = 0, ts_ecr = 0;
  std::array<SackBlock, 4> sack{};
};

struct TcpHeader {
  std::uint16_t src_port = 0, dst_port = 0;
  Seq seq, ack;
  std::uint16_t wnd = 0;  // as on the wire, unscaled
  std::uint16_t urgent = 0;
  std::uint8_t flags = 0;
  TcpOptions options;
};

inline constexpr std::size_t kTcpMinHeader = 20;
inline constexpr std::size_t kTcpMaxHeader = 60;

// Octets that `o` takes on the wire, padding included: a multiple of 4, at most 40.
[[nodiscard]] std::size_t tcp_options_size(const TcpOptions& o);

// Parses the header at the front of `segment` (the whole TCP segment, already cut to the length
// that IP gives). Returns the header's length in octets, or 0 when the data offset is below 5 or
// runs beyond the segment (MUST-7: dropped; never read further). An option with an illegal length
// ends option parsing: what stood before it counts. Unknown options are skipped (MUST-6).
[[nodiscard]] std::size_t parse_tcp(std::span<const std::byte> segment, TcpHeader& out);

// Writes header and options, checksum field zero. Returns the octets written (<= kTcpMaxHeader).
// Option order is Linux's: MSS, SACK-permitted, timestamps, NOP, window scale; NOP NOP timestamps,
// then NOP NOP SACK. Padding is zero (MUST-69). Pre: out.size() >= kTcpMaxHeader.
std::size_t write_tcp(std::span<std::byte> out, const TcpHeader& h);

}  // namespace weir::wire
