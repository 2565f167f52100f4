#include "wire/tcp.h"

#include <algorithm>

#include "base/assert.h"
#include "wire/octets.h"
#include "wire/parse.h"
#include "wire/write_tcp4.h"

namespace weir::wire {
namespace {

enum Option : std::uint8_t {
  kEol = 0,
  kNop = 1,
  kMss = 2,
  kWindowScale = 3,
  kSackPermitted = 4,
  kSack = 5,
  kTimestamps = 8,
};
constexpr std::size_t kMaxOptions = kTcpMaxHeader - kTcpMinHeader;
constexpr std::uint32_t kNopNopTimestamps = 0x0101'080a;

void take_timestamps(const std::byte* values, TcpOptions& o) {
  o.has_timestamps = true;
  o.ts_val = load32(values);
  o.ts_ecr = load32(values + 4);
}

// RFC 2018 §3: one to four blocks.
void take_sack(const std::byte* p, std::size_t len, TcpOptions& o) {
  if (len < 10 || (len - 2) % 8 != 0) return;
  o.sack_count = static_cast<std::uint8_t>((len - 2) / 8);
  for (std::size_t i = 0; i < o.sack_count; ++i) {
    o.sack[i] = {Seq{load32(p + 2 + 8 * i)}, Seq{load32(p + 6 + 8 * i)}};
  }
}

// `p` holds kind, length, and len - 2 octets of value. A known kind with another length than its
// own is passed over like an unknown one.
//= RFC9293 MUST-6
void take_option(const std::byte* p, std::size_t len, TcpOptions& o) {
  switch (load8(p)) {
    case kMss:
      if (len == 4) o.mss = load16(p + 2);
      break;
    case kWindowScale:
      // RFC 7323 §2.3: a larger shift count is used as 14.
      //= RFC7323 2.3-a
      if (len == 3) o.window_scale = std::min(load8(p + 2), kMaxWindowScale);
      break;
    case kSackPermitted:
      if (len == 2) o.sack_permitted = true;
      break;
    case kSack:
      take_sack(p, len, o);
      break;
    case kTimestamps:
      if (len == 10) take_timestamps(p + 2, o);
      break;
    default:
      break;
  }
}

// Octets of all options but SACK.
std::size_t fixed_options_size(const TcpOptions& o) {
  std::size_t n = 0;
  if (o.mss != 0) n += 4;
  if (o.has_timestamps) {
    n += 12;  // SACK-permitted stands where the two NOPs would
  } else if (o.sack_permitted) {
    n += 4;
  }
  if (o.window_scale != kNoWindowScale) n += 4;
  return n;
}

// SACK blocks that fit behind `fixed` octets of other options: three beside timestamps (RFC 2018
// §3).
std::size_t sack_blocks_that_fit(const TcpOptions& o, std::size_t fixed) {
  WEIR_ASSERT(o.sack_count <= o.sack.size());
  return std::min<std::size_t>(o.sack_count, (kMaxOptions - fixed - 4) / 8);
}

}  // namespace

//= RFC9293 MUST-4
//= RFC9293 MUST-5
//= RFC9293 MUST-7
//= RFC9293 MUST-64
//= RFC9293 MUST-68
void parse_tcp_options(const std::byte* p, const std::byte* end, TcpOptions& o) {
  o.mss = 0;
  o.window_scale = kNoWindowScale;
  o.sack_permitted = o.has_timestamps = false;
  o.sack_count = 0;
  o.ts_val = o.ts_ecr = 0;
  if (end - p == 12 && load32(p) == kNopNopTimestamps) {  // RFC 7323 appendix A: nearly always
    take_timestamps(p + 4, o);
    return;
  }
  while (p < end) {
    const std::uint8_t kind = load8(p);
    if (kind == kEol) return;
    if (kind == kNop) {
      ++p;
      continue;
    }
    if (end - p < 2) return;
    const std::size_t len = load8(p + 1);
    if (len < 2 || len > static_cast<std::size_t>(end - p)) return;
    take_option(p, len, o);
    p += len;
  }
}

std::size_t tcp_options_size(const TcpOptions& o) {
  const std::size_t fixed = fixed_options_size(o);
  const std::size_t blocks = sack_blocks_that_fit(o, fixed);
  return fixed + (blocks == 0 ? 0 : 4 + 8 * blocks);
}

std::size_t parse_tcp(std::span<const std::byte> segment, TcpHeader& out) {
  if (segment.size() < kTcpMinHeader) return 0;
  const std::byte* p = segment.data();
  const std::size_t length = std::size_t{load8(p + 12)} >> 4U << 2U;
  if (length < kTcpMinHeader || length > segment.size()) return 0;
  out.src_port = load16(p);
  out.dst_port = load16(p + 2);
  out.seq = Seq{load32(p + 4)};
  out.ack = Seq{load32(p + 8)};
  out.flags = load8(p + 13);  //= RFC3360 2.2
  out.wnd = load16(p + 14);
  out.urgent = load16(p + 18);
  parse_tcp_options(p + kTcpMinHeader, p + length, out.options);
  return length;
}

std::size_t write_tcp(std::span<std::byte> out, const TcpHeader& h) {
  WEIR_ASSERT(out.size() >= kTcpMaxHeader);
  std::byte* p = out.data();
  store16(p, h.src_port);
  store16(p + 2, h.dst_port);
  store32(p + 4, h.seq.raw());
  store32(p + 8, h.ack.raw());
  store8(p + 13, h.flags);
  store16(p + 14, h.wnd);
  store16(p + 16, 0);
  store16(p + 18, h.urgent);
  std::uint64_t unused_sum = 0;
  const std::byte* end = detail::write_tcp_options(p + kTcpMinHeader, h.options, unused_sum);
  const auto length = static_cast<std::size_t>(end - p);
  store8(p + 12, static_cast<std::uint8_t>(length << 2U));
  return length;
}

}  // namespace weir::wire
