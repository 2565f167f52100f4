#include "wire/udp.h"

#include <algorithm>
#include <array>
#include <string>

#include "frames.h"

namespace weir::wire::test {
namespace {

constexpr std::uint8_t kUdp = 17;

// From port 49153 to 53, its length and checksum right.
Octets datagram(const Octets& text, bool v6) {
  Octets l4 = hex("c0 01 00 35 00 00 00 00");
  append(l4, text);
  put16(l4, 4, static_cast<unsigned>(l4.size()));
  mend_l4(l4, 6, kUdp, v6);
  return l4;
}

Octets frame_of(const Octets& l4, bool v6) {
  return v6 ? ipv6_frame(kUdp, l4) : ipv4_frame(kUdp, l4);
}

struct Udp : testing::TestWithParam<bool> {
  const bool v6 = GetParam();
  const Octets text = hex("68 65 6c 6c 6f");
};
INSTANTIATE_TEST_SUITE_P(Families, Udp, testing::Bool(),
                         [](const auto& info) { return info.param ? "V6" : "V4"; });

//= RFC768 length type=test
TEST_P(Udp, PortsAndTextAreRead) {
  const Frame f = parse(frame_of(datagram(text, v6), v6));
  ASSERT_EQ(f.fault, Fault::kNone);
  EXPECT_EQ(f.kind, Kind::kUdp);
  EXPECT_EQ(f.udp.src_port, 49'153);
  EXPECT_EQ(f.udp.dst_port, 53);
  EXPECT_EQ(f.payload_offset, f.l4_offset + 8);
  EXPECT_EQ(f.payload_len, 5U);
  EXPECT_FALSE(f.checksum_pending);
}

TEST_P(Udp, ADatagramMayBeEmpty) {
  const Frame f = parse(frame_of(datagram({}, v6), v6));
  ASSERT_EQ(f.fault, Fault::kNone);
  EXPECT_EQ(f.payload_len, 0U);
}

//= RFC768 length type=test
TEST_P(Udp, ALengthThatCannotBeIsAFault) {
  const Octets good = datagram(text, v6);
  for (const unsigned wrong : {0U, 1U, 7U, 14U, 0xffffU}) {
    Octets l4 = good;
    put16(l4, 4, wrong);
    EXPECT_EQ(parse(frame_of(l4, v6), {true, true}).fault, Fault::kUdpLength) << wrong;
  }
  for (std::size_t octets = 0; octets < 8; ++octets) {
    const Octets l4(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(octets));
    EXPECT_EQ(parse(frame_of(l4, v6), {true, true}).fault, Fault::kUdpLength) << octets;
  }
}

// What IP carries behind UDP's length is neither text nor summed.
TEST_P(Udp, TheLengthFieldEndsTheDatagram) {
  Octets l4 = datagram(text, v6);
  append(l4, hex("de ad be ef"));
  const Frame f = parse(frame_of(l4, v6));
  ASSERT_EQ(f.fault, Fault::kNone);
  EXPECT_EQ(f.payload_len, 5U);
  EXPECT_EQ(f.l4_len, 17U);
}

//= RFC1122 4.1.3.4-b type=test
TEST_P(Udp, EachOctetIsSummed) {
  const Octets good = frame_of(datagram(text, v6), v6);
  const std::size_t begin = v6 ? 54 : 34;
  for (std::size_t at = begin; at < begin + 13; ++at) {
    if (at == begin + 4 || at == begin + 5) continue;  // the length
    Octets f = good;
    put8(f, at, get8(f, at) ^ 0x10U);
    EXPECT_EQ(parse(f).fault, Fault::kUdpChecksum) << at;
    EXPECT_EQ(parse(f, {true, true}).fault, Fault::kNone) << at;
  }
  Octets moved = good;  // the pseudo header too
  put8(moved, v6 ? 53 : 33, 9);
  if (!v6) mend_ipv4(moved);
  EXPECT_EQ(parse(moved).fault, Fault::kUdpChecksum);
}

//= RFC768 checksum-b type=test
//= RFC8200 8.1-b type=test
TEST_P(Udp, WithoutAChecksumOnlyIpv4IsTaken) {
  Octets l4 = datagram(text, v6);
  put16(l4, 6, 0);
  for (const bool verified : {false, true}) {
    EXPECT_EQ(parse(frame_of(l4, v6), {true, verified}).fault,
              v6 ? Fault::kUdpChecksum : Fault::kNone);
  }
}

TEST_P(Udp, AScatteredDatagramIsSummedByTheCaller) {
  Octets l4 = datagram(text, v6);
  append(l4, hex("de ad be ef"));  // not of the datagram
  const Octets whole = frame_of(l4, v6);
  const std::size_t begin = v6 ? 54 : 34;
  for (std::size_t cut = begin + 8; cut < begin + 13; ++cut) {
    const Octets first(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    Octets behind(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
    Frame f;
    parse_frame(first, whole.size(), {}, f);
    ASSERT_EQ(f.fault, Fault::kNone);
    ASSERT_TRUE(f.checksum_pending);
    const Piece rest{behind.data(), static_cast<std::uint32_t>(behind.size())};
    EXPECT_TRUE(l4_checksum_ok(first, f, {&rest, 1})) << cut;
    put8(behind, 0, get8(behind, 0) ^ 1U);
    EXPECT_FALSE(l4_checksum_ok(first, f, {&rest, 1})) << cut;
    EXPECT_FALSE(l4_checksum_ok(first, f, {})) << cut;
  }
}

//= RFC768 checksum-a type=test
//= RFC1122 4.1.3.4-a type=test
TEST_P(Udp, WhatIsWrittenIsRead) {
  UdpFrame f;
  f.src_mac = kMacA;
  f.flow = {v6 ? kA6 : kA4, v6 ? kB6 : kB4, 53, 49'153};
  f.tos = 0xb9;
  f.ttl = 17;
  f.payload_len = 5;
  const std::array pieces{Piece{text.data(), 3}, Piece{text.data() + 3, 2}};
  Octets frame(kMaxUdpFrameHeader);
  frame.resize(write_udp_frame(frame, f, pieces));
  EXPECT_EQ(frame.size(), udp_frame_header(!v6));
  append(frame, text);
  set_destination_mac(frame, kMacB);
  const Frame read = parse(frame);
  ASSERT_EQ(read.fault, Fault::kNone);
  EXPECT_EQ(read.kind, Kind::kUdp);
  EXPECT_EQ(read.src_mac, kMacA);
  EXPECT_EQ(read.dst_mac, kMacB);
  EXPECT_EQ(read.src, f.flow.local);
  EXPECT_EQ(read.dst, f.flow.remote);
  EXPECT_EQ(read.udp.src_port, 53);
  EXPECT_EQ(read.udp.dst_port, 49'153);
  EXPECT_EQ(read.tos, 0xb9);
  EXPECT_EQ(read.ttl, 17);
  EXPECT_EQ(read.payload_len, 5U);
  if (!v6) {
    EXPECT_EQ(get16(frame, 20), 0x4000U);  // DF: Weir sends no fragments
  }
}

// Two octets of text that make the sum come out as zero.
//= RFC768 checksum-a type=test
//= RFC8200 8.1-a type=test
TEST_P(Udp, AChecksumOfZeroGoesAsItsOtherForm) {
  UdpFrame f;
  f.flow = {v6 ? kA6 : kA4, v6 ? kB6 : kB4, 53, 49'153};
  f.payload_len = 2;
  Octets two(2);
  const Piece piece{two.data(), 2};
  Octets frame(kMaxUdpFrameHeader);
  const std::size_t n = write_udp_frame(frame, f, {&piece, 1});
  put16(two, 0, get16(frame, n - 2));  // what was missing to all ones
  frame.resize(kMaxUdpFrameHeader);
  frame.resize(write_udp_frame(frame, f, {&piece, 1}));
  EXPECT_EQ(get16(frame, n - 2), 0xffffU);
  append(frame, two);
  EXPECT_EQ(parse(frame).fault, Fault::kNone);
}

TEST_P(Udp, TheLargestDatagramThereIs) {
  const std::size_t most = v6 ? kMaxUdpText6 : kMaxUdpText4;
  EXPECT_EQ(most, v6 ? 65'487U : 65'507U);
  const Octets body(most, std::byte{0x5a});
  UdpFrame f;
  f.flow = {v6 ? kA6 : kA4, v6 ? kB6 : kB4, 53, 49'153};
  f.payload_len = static_cast<std::uint32_t>(most);
  const Piece piece{body.data(), f.payload_len};
  Octets frame(kMaxUdpFrameHeader);
  frame.resize(write_udp_frame(frame, f, {&piece, 1}));
  append(frame, body);
  const Frame read = parse(frame);
  ASSERT_EQ(read.fault, Fault::kNone);
  EXPECT_EQ(read.payload_len, most);
}

// tcpdump -v calls this one "udp sum ok": 10.0.0.1.49153 > 10.0.0.2.53, "hello".
TEST(UdpGolden, OneWrittenOutByHand) {
  const Octets l4 = hex("c0 01 00 35 00 0d e7 c8 68 65 6c 6c 6f");
  const Frame f = parse(ipv4_frame(kUdp, l4));
  EXPECT_EQ(f.fault, Fault::kNone);
  EXPECT_EQ(f.payload_len, 5U);
}

}  // namespace
}  // namespace weir::wire::test
