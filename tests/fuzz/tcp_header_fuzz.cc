// libFuzzer: a TCP header with its options, from an exact-size heap buffer; what is written anew
// reads as what was read, padded with zeros. Past all checksums: every input gets to the options.
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/assert.h"
#include "wire/tcp.h"

using namespace weir;
using namespace weir::wire;

namespace {

// `b` is what was read back of `a`, written in `size` octets. SACK blocks are the one thing that a
// writer may leave out: a sender of other manners finds room for more of them beside its options.
void expect_same(const TcpOptions& a, const TcpOptions& b, std::size_t size) {
  WEIR_ASSERT(a.mss == b.mss && a.window_scale == b.window_scale);
  WEIR_ASSERT(a.sack_permitted == b.sack_permitted && a.has_timestamps == b.has_timestamps);
  if (a.has_timestamps) WEIR_ASSERT(a.ts_val == b.ts_val && a.ts_ecr == b.ts_ecr);
  const std::size_t one_more = b.sack_count == 0 ? 12 : 8;
  WEIR_ASSERT(b.sack_count <= a.sack_count);
  WEIR_ASSERT(b.sack_count == a.sack_count || size + one_more > kTcpMaxHeader - kTcpMinHeader);
  for (std::size_t i = 0; i < b.sack_count; ++i) {
    WEIR_ASSERT(a.sack[i].left == b.sack[i].left && a.sack[i].right == b.sack[i].right);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto exact = std::make_unique<std::byte[]>(size);
  if (size > 0) std::memcpy(exact.get(), data, size);
  TcpHeader h;
  const std::size_t len = parse_tcp({exact.get(), size}, h);
  WEIR_ASSERT(len == 0 || (len >= kTcpMinHeader && len <= kTcpMaxHeader && len <= size));
  if (len == 0) return 0;
  WEIR_ASSERT(h.options.sack_count <= h.options.sack.size());
  const std::size_t options = tcp_options_size(h.options);
  WEIR_ASSERT(options <= kTcpMaxHeader - kTcpMinHeader);
  const auto out = std::make_unique<std::byte[]>(kTcpMaxHeader);
  const std::size_t n = write_tcp({out.get(), kTcpMaxHeader}, h);
  WEIR_ASSERT(n == kTcpMinHeader + options);
  TcpHeader back;
  WEIR_ASSERT(parse_tcp({out.get(), n}, back) == n);
  WEIR_ASSERT(back.src_port == h.src_port && back.dst_port == h.dst_port);
  WEIR_ASSERT(back.seq == h.seq && back.ack == h.ack && back.flags == h.flags);
  WEIR_ASSERT(back.wnd == h.wnd && back.urgent == h.urgent);
  expect_same(h.options, back.options, options);
  return 0;
}
