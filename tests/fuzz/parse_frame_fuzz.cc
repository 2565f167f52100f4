// libFuzzer: parse_frame and the writers that answer, on an exact-size heap buffer so that ASan
// sees the first octet read beyond the frame. The first octet of the input chooses options and
// scatter.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/assert.h"
#include "wire/frame.h"

using namespace weir;
using namespace weir::wire;

namespace {

void check(const Frame& f, std::size_t frame_len) {
  WEIR_ASSERT((f.kind == Kind::kMalformed) == (f.fault != Fault::kNone));
  if (f.kind == Kind::kTcp) {
    WEIR_ASSERT(f.payload_offset >= f.l4_offset + 20);
    WEIR_ASSERT(f.payload_offset + std::size_t{f.payload_len} <= frame_len);
    WEIR_ASSERT(f.tcp.options.sack_count <= 4);
  }
  if (f.kind >= Kind::kTcp && f.kind <= Kind::kOtherIp) {
    WEIR_ASSERT(f.l4_offset + std::size_t{f.l4_len} <= frame_len);
    WEIR_ASSERT(f.src.is_v4() == f.dst.is_v4());
  }
}

// Header fields that Weir keeps survive being written and read again.
void round_trip(const TcpHeader& h) {
  const auto out = std::make_unique<std::byte[]>(kTcpMaxHeader);
  const std::size_t n = write_tcp({out.get(), kTcpMaxHeader}, h);
  TcpHeader back;
  WEIR_ASSERT(parse_tcp({out.get(), n}, back) == n);
  WEIR_ASSERT(back.seq == h.seq && back.ack == h.ack && back.flags == h.flags);
  WEIR_ASSERT(back.options.mss == h.options.mss);
  WEIR_ASSERT(back.options.window_scale == h.options.window_scale);
  WEIR_ASSERT(back.options.ts_val == h.options.ts_val);
}

void answer(std::span<std::byte> frame, const Frame& f) {
  const MacAddr mac{{2, 0, 0, 0, 0, 1}};
  if (f.kind < Kind::kTcp || f.kind > Kind::kOtherIp) return;
  const auto out = std::make_unique<std::byte[]>(kMaxIcmpErrorFrame);
  write_icmp_error({out.get(), kMaxIcmpErrorFrame}, mac, f.dst, 3, 3, frame, f);
  const bool echo = (f.kind == Kind::kIcmp4 && f.icmp.type == kIcmp4Echo) ||
                    (f.kind == Kind::kIcmp6 && f.icmp.type == kIcmp6Echo);
  if (!echo) return;
  const std::size_t n = make_echo_reply(frame, f, mac);
  WEIR_ASSERT(n <= frame.size());
  Frame reply;
  parse_frame(frame.first(n), n, {}, reply);
  WEIR_ASSERT(reply.fault == Fault::kNone);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const std::size_t len = size - 1;
  const auto exact = std::make_unique<std::byte[]>(len);
  if (len > 0) std::memcpy(exact.get(), data + 1, len);
  const std::size_t unseen = choice >> 2U;  // octets in later parts of the frame
  Frame f;
  parse_frame({exact.get(), len}, len + unseen, {(choice & 1U) != 0, (choice & 2U) != 0}, f);
  check(f, len + unseen);
  if (f.kind == Kind::kTcp) round_trip(f.tcp);
  answer({exact.get(), len}, f);
  return 0;
}
