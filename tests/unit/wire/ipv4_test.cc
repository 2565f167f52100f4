// IPv4: each reason to refuse a packet, options, padding.
#include "frames.h"

namespace weir::wire::test {
namespace {

Octets segment_frame(const Octets& options = {}) {
  return ipv4_frame(6, tcp_segment(hex("61 62"), false), options);
}

TEST(Ipv4, ShortFrame) {
  Octets f = segment_frame();
  f.resize(33);
  EXPECT_EQ(parse(f).fault, Fault::kShortFrame);
  f.resize(13);
  EXPECT_EQ(parse(f).fault, Fault::kShortFrame);
}

TEST(Ipv4, Version) {
  Octets f = segment_frame();
  put8(f, 14, 0x65);
  EXPECT_EQ(parse(f).fault, Fault::kIpVersion);
}

TEST(Ipv4, HeaderLength) {
  Octets f = segment_frame();
  put8(f, 14, 0x44);
  EXPECT_EQ(parse(f).fault, Fault::kIpHeaderLength);
  f.resize(14 + 56);
  put8(f, 14, 0x4f);  // 60 octets, 56 there
  EXPECT_EQ(parse(f).fault, Fault::kIpHeaderLength);
}

//= RFC791 3.1-a type=test
TEST(Ipv4, TotalLength) {
  Octets f = segment_frame();
  const auto total = static_cast<unsigned>(f.size() - 14);
  put16(f, 16, 19);
  EXPECT_EQ(parse(f).fault, Fault::kIpTotalLength);
  put16(f, 16, total + 1);
  EXPECT_EQ(parse(f).fault, Fault::kIpTotalLength);
  put16(f, 16, total);
  EXPECT_EQ(parse(f).fault, Fault::kNone);
}

//= RFC791 3.1-a type=test
TEST(Ipv4, HeaderChecksumUnlessThePortDidIt) {
  Octets f = segment_frame();
  put8(f, 22, 63);  // the TTL
  EXPECT_EQ(parse(f).fault, Fault::kIpChecksum);
  EXPECT_EQ(parse(f, {.ip_checksum_verified = true}).fault, Fault::kNone);
}

TEST(Ipv4, Fragments) {
  for (const unsigned word : {0x2000U, 0x0001U, 0x1000U, 0x3000U}) {
    Octets f = ipv4_frame(6, Octets(24));
    put16(f, 20, word);
    mend_ipv4(f);
    const Frame p = parse(f);
    EXPECT_EQ(p.kind, Kind::kFragment) << word;
    EXPECT_EQ(p.fragment.id, 0x1234U);
    EXPECT_EQ(p.fragment.offset, (word & 0x1fffU) * 8);
    EXPECT_EQ(p.fragment.more, (word & 0x2000U) != 0);
    EXPECT_EQ(p.l4_offset, 34);
    EXPECT_EQ(p.l4_len, 24U);
    EXPECT_EQ(p.protocol, 6);
  }
  Octets f = segment_frame();
  put16(f, 20, 0x8000);  // the reserved bit says nothing
  mend_ipv4(f);
  EXPECT_EQ(parse(f).fault, Fault::kNone);
}

//= RFC9293 MUST-50 type=test
TEST(Ipv4, OptionsAreSkipped) {
  for (const char* options :
       {"01 01 01 01", "00 83 03 00", "94 04 00 00", "01 07 07 04 00 00 00 00", "44 04 05 00"}) {
    const Frame f = parse(segment_frame(hex(options)));
    EXPECT_EQ(f.kind, Kind::kTcp) << options;
    EXPECT_EQ(f.payload_len, 2U);
    EXPECT_EQ(f.l4_offset, 34 + hex(options).size());
  }
  EXPECT_EQ(parse(segment_frame(Octets(40, std::byte{1}))).kind, Kind::kTcp);
}

TEST(Ipv4, SourceRoutesAreRefused) {
  EXPECT_EQ(parse(segment_frame(hex("83 03 04 00"))).fault, Fault::kIpSourceRoute);
  EXPECT_EQ(parse(segment_frame(hex("01 89 03 04"))).fault, Fault::kIpSourceRoute);
  EXPECT_EQ(parse(segment_frame(hex("94 04 00 00 83 03 04 00"))).fault, Fault::kIpSourceRoute);
}

TEST(Ipv4, OptionsWithIllegalLengths) {
  for (const char* options : {"94 00 00 00", "94 01 00 00", "94 05 00 00", "01 01 01 94"}) {
    EXPECT_EQ(parse(segment_frame(hex(options))).fault, Fault::kIpHeaderLength) << options;
  }
}

TEST(Ipv4, PaddingIsNotPayload) {
  Octets f = ipv4_frame(6, tcp_segment({}, false));
  f.resize(60, std::byte{0xee});
  const Frame parsed = parse(f);
  EXPECT_EQ(parsed.kind, Kind::kTcp);
  EXPECT_EQ(parsed.payload_len, 0U);
  EXPECT_EQ(parsed.l4_len, 20U);
}

TEST(Ipv4, OtherProtocols) {
  EXPECT_EQ(parse(ipv4_frame(17, hex("00 35 c0 01 00 08 00 00"))).kind, Kind::kUdp);
  EXPECT_EQ(parse(ipv4_frame(132, hex("00"))).kind, Kind::kOtherIp);
  EXPECT_EQ(parse(ipv4_frame(58, hex("80 00 00 00 00 00 00 00"))).kind, Kind::kOtherIp);
  EXPECT_EQ(parse(ipv4_frame(132, hex("00"))).protocol, 132);
}

TEST(Ipv4, TcpHeaderFaults) {
  Octets segment = tcp_segment({}, false);
  put8(segment, 12, 0x40);
  EXPECT_EQ(parse(ipv4_frame(6, segment)).fault, Fault::kTcpHeader);
  put8(segment, 12, 0x60);
  EXPECT_EQ(parse(ipv4_frame(6, segment)).fault, Fault::kTcpHeader);
  EXPECT_EQ(parse(ipv4_frame(6, {})).fault, Fault::kTcpHeader);
  // The frame goes on, but IP says that the packet does not.
  Octets f = ipv4_frame(6, Octets(19));
  f.resize(60);
  EXPECT_EQ(parse(f).fault, Fault::kTcpHeader);
}

//= RFC9293 MUST-3 type=test
TEST(Ipv4, TcpChecksumUnlessThePortDidIt) {
  for (const std::size_t at : {34U, 50U, 54U, 55U}) {
    Octets f = segment_frame();
    put8(f, at, get8(f, at) ^ 0x10U);
    EXPECT_EQ(parse(f).fault, Fault::kTcpChecksum) << at;
    EXPECT_EQ(parse(f, {.l4_checksum_verified = true}).fault, Fault::kNone) << at;
  }
  Octets f = segment_frame();
  put8(f, 33, 9);  // the pseudo header has the destination address
  mend_ipv4(f);
  EXPECT_EQ(parse(f).fault, Fault::kTcpChecksum);
}

// The first part of a scattered frame, in its own exact buffer.
TEST(Ipv4, ScatteredSegmentIsLeftForTheCallerToSum) {
  Octets whole = ipv4_frame(6, tcp_segment(hex("61 62 63 64 65 66 67"), false));
  const auto end = static_cast<std::ptrdiff_t>(whole.size());
  whole.resize(whole.size() + 2, std::byte{0xee});  // padding, in the last piece
  for (std::ptrdiff_t cut = 54; cut < end; ++cut) {
    const Octets first(whole.begin(), whole.begin() + cut);
    const Octets rest(whole.begin() + cut, whole.end());
    Frame f;
    parse_frame(first, whole.size(), {}, f);
    ASSERT_EQ(f.kind, Kind::kTcp) << cut;
    EXPECT_EQ(f.payload_len, 7U);
    EXPECT_TRUE(f.checksum_pending);
    const Piece split[] = {{rest.data(), 1}, {rest.data() + 1, std::uint32_t(rest.size() - 1)}};
    EXPECT_TRUE(l4_checksum_ok(first, f, split)) << cut;
    EXPECT_FALSE(l4_checksum_ok(first, f, std::span(split).first(0))) << cut;
    Octets broken = rest;
    put8(broken, 0, get8(broken, 0) ^ 1U);
    const Piece wrong[] = {{broken.data(), std::uint32_t(broken.size())}};
    EXPECT_FALSE(l4_checksum_ok(first, f, wrong)) << cut;
    parse_frame(first, whole.size(), {.l4_checksum_verified = true}, f);
    EXPECT_FALSE(f.checksum_pending);
  }
  Frame f;
  parse_frame(std::span(whole).first(53), whole.size(), {}, f);
  EXPECT_EQ(f.fault, Fault::kTcpHeader);  // headers must lie in the first part
}

// Zeros that never came would not change the sum.
TEST(Ipv4, AScatteredSegmentWithAPieceMissingIsNotOk) {
  const Octets whole = ipv4_frame(6, tcp_segment(Octets(4), false));
  const auto first = std::span(whole).first(54);
  Frame f;
  parse_frame(first, whole.size(), {}, f);
  ASSERT_TRUE(f.checksum_pending);
  const Piece rest{whole.data() + 54, 4};
  const Piece cut{whole.data() + 54, 2};
  EXPECT_TRUE(l4_checksum_ok(first, f, {&rest, 1}));
  EXPECT_FALSE(l4_checksum_ok(first, f, {&cut, 1}));
}

Fault part_fault(unsigned word, std::size_t len, const Octets& options = {}) {
  Octets f = ipv4_frame(17, Octets(len), options);
  put16(f, 20, word);
  mend_ipv4(f);
  return parse(f).fault;
}

//= RFC791 3.2-a type=test
TEST(Ipv4, PartsOfImpossibleLength) {
  EXPECT_EQ(part_fault(0x2000, 0), Fault::kFragmentLength);
  EXPECT_EQ(part_fault(0x0005, 0), Fault::kFragmentLength);
  EXPECT_EQ(part_fault(0x2000, 12), Fault::kFragmentLength);  // more follow: 8 octets a unit
  EXPECT_EQ(part_fault(0x2000, 16), Fault::kNone);
  EXPECT_EQ(part_fault(0x0002, 12), Fault::kNone);  // the last may end anywhere
}

// 65,535 octets are the most that Total Length can say of the whole, header and all.
//= RFC791 3.2-a type=test
TEST(Ipv4, PingOfDeath) {
  EXPECT_EQ(part_fault(0x1fff, 8), Fault::kFragmentLength);
  EXPECT_EQ(part_fault(0x1fff, 1400), Fault::kFragmentLength);
  EXPECT_EQ(part_fault(8'188, 11), Fault::kNone);  // 20 + 65,504 + 11
  EXPECT_EQ(part_fault(8'188, 12), Fault::kFragmentLength);
  EXPECT_EQ(part_fault(8'188, 11, hex("01 01 01 01")), Fault::kFragmentLength);
}

}  // namespace
}  // namespace weir::wire::test
