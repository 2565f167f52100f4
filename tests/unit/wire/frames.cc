#include "frames.h"

#include <algorithm>
#include <memory>

namespace weir::wire::test {
namespace {

unsigned digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  return static_cast<unsigned>(c - 'a' + 10);
}

}  // namespace

Octets hex(std::string_view text) {
  Octets out;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == ' ' || text[i] == '\n') continue;
    out.push_back(static_cast<std::byte>(digit(text[i]) << 4U | digit(text[i + 1])));
    ++i;
  }
  return out;
}

void append(Octets& to, const Octets& more) {
  const std::size_t at = to.size();
  to.resize(at + more.size());
  std::copy(more.begin(), more.end(), to.begin() + static_cast<std::ptrdiff_t>(at));
}

Octets golden_syn4() {
  return hex(
      "02 00 00 00 00 b2 02 00 00 00 00 a1 08 00 "
      "45 00 00 3c 12 34 40 00 40 06 14 86 0a 00 00 01 0a 00 00 02 "
      "c0 01 00 50 11 22 33 44 00 00 00 00 a0 02 fa f0 33 f1 00 00 "
      "02 04 05 b4 04 02 08 0a 00 00 00 64 00 00 00 00 01 03 03 07");
}

Octets golden_data4() {
  return hex(
      "02 00 00 00 00 b2 02 00 00 00 00 a1 08 00 "
      "45 02 00 39 12 34 40 00 40 06 14 87 0a 00 00 01 0a 00 00 02 "
      "c0 01 00 50 11 22 33 45 55 66 77 88 80 18 01 f6 48 82 00 00 "
      "01 01 08 0a 00 00 00 c8 00 00 01 f4 "
      "68 65 6c 6c 6f");
}

Octets golden_sack6() {
  return hex(
      "02 00 00 00 00 b2 02 00 00 00 00 a1 86 dd "
      "60 00 00 00 00 2f 06 40 "
      "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 "
      "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02 "
      "c0 01 01 bb 01 02 03 04 0a 0b 0c 0d b0 10 03 e8 1a 4d 00 00 "
      "01 01 08 0a 00 00 00 c8 00 00 01 f4 01 01 05 0a 00 00 10 00 00 00 14 00 "
      "61 62 63");
}

Octets golden_echo4() {
  return hex(
      "02 00 00 00 00 b2 02 00 00 00 00 a1 08 00 "
      "45 00 00 25 12 34 40 00 40 01 14 a2 0a 00 00 01 0a 00 00 02 "
      "08 00 d7 0e 42 42 00 07 70 69 6e 67 70 6f 6e 67 21");
}

Octets golden_echo6() {
  return hex(
      "02 00 00 00 00 b2 02 00 00 00 00 a1 86 dd "
      "60 00 00 00 00 11 3a 40 "
      "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 "
      "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02 "
      "80 00 03 4e 42 42 00 07 70 69 6e 67 70 6f 6e 67 21");
}

Octets golden_arp() {
  return hex(
      "ff ff ff ff ff ff 02 00 00 00 00 a1 08 06 "
      "00 01 08 00 06 04 00 01 02 00 00 00 00 a1 0a 00 00 01 00 00 00 00 00 00 0a 00 00 02 "
      "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
}

void mend_ipv4(Octets& frame) {
  const std::size_t header = (get8(frame, kEthHeader) & 0x0fU) * 4;
  put16(frame, kEthHeader + 10, 0);
  put16(frame, kEthHeader + 10, checksum(std::span(frame).subspan(kEthHeader, header)));
}

Octets ipv4_frame(std::uint8_t protocol, const Octets& l4, const Octets& options) {
  Octets f = hex("02 00 00 00 00 b2 02 00 00 00 00 a1 08 00 45 00 00 00 12 34 40 00 40 00 00 00");
  append(f, hex("0a 00 00 01 0a 00 00 02"));
  append(f, options);
  append(f, l4);
  const std::size_t header = kIpv4MinHeader + options.size();
  put8(f, kEthHeader, static_cast<unsigned>(0x40 + header / 4));
  put16(f, kEthHeader + 2, static_cast<unsigned>(header + l4.size()));
  put8(f, kEthHeader + 9, protocol);
  mend_ipv4(f);
  return f;
}

Octets ipv6_frame(std::uint8_t next_header, const Octets& behind) {
  Octets f = golden_echo6();
  f.resize(kEthHeader + kIpv6Header);
  put16(f, kEthHeader + 4, static_cast<unsigned>(behind.size()));
  put8(f, kEthHeader + 6, next_header);
  append(f, behind);
  return f;
}

void mend_l4(Octets& l4, std::size_t at, std::uint8_t protocol, bool v6) {
  put16(l4, at, 0);
  Checksum sum;
  if (protocol != 1) {
    sum.add_pseudo_header(v6 ? kA6 : kA4, v6 ? kB6 : kB4, protocol,
                          static_cast<std::uint32_t>(l4.size()));
  }
  sum.add(l4);
  put16(l4, at, sum.finish());
}

Octets tcp_segment(const Octets& text, bool v6) {
  Octets l4 = hex("c0 01 00 50 00 00 00 01 00 00 00 02 50 10 03 e8 00 00 00 00");
  append(l4, text);
  mend_l4(l4, 16, 6, v6);
  return l4;
}

Frame parse(const Octets& frame, ParseOptions options) {
  const auto exact = std::make_unique<std::byte[]>(frame.size());
  std::copy(frame.begin(), frame.end(), exact.get());
  Frame out;
  parse_frame({exact.get(), frame.size()}, frame.size(), options, out);
  return out;
}

}  // namespace weir::wire::test
