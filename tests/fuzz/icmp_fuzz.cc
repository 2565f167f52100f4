// libFuzzer: ICMP, ICMPv6 and ARP with every checksum right, so that the quoted packets are
// reached. The first octet chooses which; the rest is the message. Exact-size heap buffers.
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/frame.h"
#include "wire/octets.h"

using namespace weir;
using namespace weir::wire;

namespace {

constexpr std::size_t kIp4 = 20, kIp6 = 40;
const IpAddr kFrom4 = IpAddr::v4(192, 0, 2, 1), kTo4 = IpAddr::v4(192, 0, 2, 2);

struct Made {
  std::unique_ptr<std::byte[]> octets;
  std::size_t len = 0;
  [[nodiscard]] std::span<std::byte> all() const { return {octets.get(), len}; }
};

Made frame_around(std::size_t header, const std::uint8_t* data, std::size_t size) {
  Made m{std::make_unique<std::byte[]>(kEthHeader + header + size), kEthHeader + header + size};
  if (size > 0) std::memcpy(m.octets.get() + kEthHeader + header, data, size);
  return m;
}

Made icmp4(const std::uint8_t* data, std::size_t size) {
  Made m = frame_around(kIp4, data, size);
  std::byte* ip = m.octets.get() + kEthHeader;
  store16(ip - 2, 0x0800);
  store8(ip, 0x45);
  store16(ip + 2, static_cast<std::uint16_t>(kIp4 + size));
  store8(ip + 8, 64);
  store8(ip + 9, 1);
  store32(ip + 12, kFrom4.v4_value());
  store32(ip + 16, kTo4.v4_value());
  store16(ip + 10, checksum({ip, kIp4}));
  if (size < 4) return m;
  store16(ip + kIp4 + 2, 0);
  store16(ip + kIp4 + 2, checksum({ip + kIp4, size}));
  return m;
}

Made icmp6(const std::uint8_t* data, std::size_t size) {
  Made m = frame_around(kIp6, data, size);
  std::byte* ip = m.octets.get() + kEthHeader;
  store16(ip - 2, 0x86dd);
  store8(ip, 0x60);
  store16(ip + 4, static_cast<std::uint16_t>(size));
  store8(ip + 6, 58);
  store8(ip + 7, 255);
  const IpAddr from = *parse_ip("2001:db8::1"), to = *parse_ip("2001:db8::2");
  std::memcpy(ip + 8, from.octets().data(), 16);
  std::memcpy(ip + 24, to.octets().data(), 16);
  if (size < 4) return m;
  store16(ip + kIp6 + 2, 0);
  Checksum sum;
  sum.add_pseudo_header(from, to, 58, static_cast<std::uint32_t>(size));
  sum.add({ip + kIp6, size});
  store16(ip + kIp6 + 2, sum.finish());
  return m;
}

Made arp(const std::uint8_t* data, std::size_t size) {
  Made m = frame_around(0, data, size);
  store16(m.octets.get() + 12, 0x0806);
  return m;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 1'500) return 0;
  const unsigned which = data[0] % 3;
  const Made m = which == 0   ? icmp4(data + 1, size - 1)
                 : which == 1 ? icmp6(data + 1, size - 1)
                              : arp(data + 1, size - 1);
  Frame f;
  parse_frame(m.all(), m.len, {}, f);
  WEIR_ASSERT((f.kind == Kind::kMalformed) == (f.fault != Fault::kNone));
  if (which != 2 && size >= 9) WEIR_ASSERT(f.kind != Kind::kTcp && f.kind != Kind::kArp);
  const bool echo = (f.kind == Kind::kIcmp4 && f.icmp.type == kIcmp4Echo) ||
                    (f.kind == Kind::kIcmp6 && f.icmp.type == kIcmp6Echo);
  if (!echo) return 0;
  const std::size_t n = make_echo_reply(m.all(), f, MacAddr{{2, 0, 0, 0, 0, 1}});
  WEIR_ASSERT(n <= m.len);
  Frame reply;
  parse_frame(m.all().first(n), n, {}, reply);
  WEIR_ASSERT(reply.fault == Fault::kNone);
  return 0;
}
