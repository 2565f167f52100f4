// IPv6: lengths, addresses, the chain of extension headers.
#include "frames.h"

namespace weir::wire::test {
namespace {

constexpr std::uint8_t kTcpNext = 6;

// `headers`, the last of which names TCP, before a segment with two octets of text.
Frame parse_chain(std::uint8_t first_header, const char* headers) {
  Octets behind = hex(headers);
  append(behind, tcp_segment(hex("61 62"), true));
  return parse(ipv6_frame(first_header, behind));
}

TEST(Ipv6, ShortFrameAndVersion) {
  Octets f = golden_sack6();
  f.resize(53);
  EXPECT_EQ(parse(f).fault, Fault::kShortFrame);
  f = golden_sack6();
  put8(f, 14, 0x40);
  EXPECT_EQ(parse(f).fault, Fault::kIpVersion);
}

TEST(Ipv6, TrafficClassIsTos) {
  Octets f = golden_sack6();
  put16(f, 14, 0x6b8f);  // class 0xb8, flow label f....
  EXPECT_EQ(parse(f).tos, 0xb8);
}

TEST(Ipv6, PayloadLength) {
  Octets f = golden_sack6();
  put16(f, 18, 0x30);
  EXPECT_EQ(parse(f).fault, Fault::kIpTotalLength);
  put16(f, 18, 0);  // a jumbogram, or nothing
  EXPECT_EQ(parse(f).fault, Fault::kTcpHeader);
}

TEST(Ipv6, PaddingIsNotPayload) {
  Octets f = golden_sack6();
  f.resize(f.size() + 9, std::byte{0xee});
  EXPECT_EQ(parse(f).kind, Kind::kTcp);
  EXPECT_EQ(parse(f).payload_len, 3U);
}

TEST(Ipv6, TcpChecksum) {
  Octets f = golden_sack6();
  put8(f, f.size() - 1, 0);
  EXPECT_EQ(parse(f).fault, Fault::kTcpChecksum);
  f = golden_sack6();
  put8(f, 23, 9);  // the source address
  EXPECT_EQ(parse(f).fault, Fault::kTcpChecksum);
}

// They would pass for the IPv4 flow of the same addresses.
TEST(Ipv6, Ipv4MappedAddressesAreRefused) {
  for (const std::size_t at : {22U, 38U}) {
    Octets f = golden_sack6();
    const Octets mapped = hex("00 00 00 00 00 00 00 00 00 00 ff ff 0a 00 00 01");
    std::copy(mapped.begin(), mapped.end(), f.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_EQ(parse(f).fault, Fault::kIpVersion);
  }
}

TEST(Ipv6, ExtensionHeadersAreWalked) {
  const Frame f = parse_chain(0,
                              "3c 00 05 02 00 00 01 00 "                          // hop-by-hop
                              "2b 01 01 0c 00 00 00 00 00 00 00 00 00 00 00 00 "  // destination
                              "2c 00 00 00 00 00 00 00 "    // routing, none left
                              "06 00 00 00 12 34 56 78 ");  // atomic fragment
  ASSERT_EQ(f.fault, Fault::kNone);
  EXPECT_EQ(f.kind, Kind::kTcp);
  EXPECT_EQ(f.protocol, 6);
  EXPECT_EQ(f.l4_offset, 54 + 40);
  EXPECT_EQ(f.payload_len, 2U);
}

TEST(Ipv6, NoNextHeaderAndUnknownOnesAreOther) {
  EXPECT_EQ(parse(ipv6_frame(59, {})).kind, Kind::kOtherIp);
  EXPECT_EQ(parse(ipv6_frame(50, Octets(8))).kind, Kind::kOtherIp);
  EXPECT_EQ(parse(ipv6_frame(1, Octets(8))).kind, Kind::kOtherIp);
  EXPECT_EQ(parse(ipv6_frame(17, Octets(8))).kind, Kind::kUdp);
}

TEST(Ipv6, Fragments) {
  EXPECT_EQ(parse_chain(44, "06 00 00 01 00 00 00 00").fault, Fault::kIpFragment);
  EXPECT_EQ(parse_chain(44, "06 00 00 08 00 00 00 00").fault, Fault::kIpFragment);
  EXPECT_EQ(parse_chain(44, "06 00 00 06 00 00 00 00").fault, Fault::kNone);  // reserved bits
}

TEST(Ipv6, RouteWithSegmentsLeft) {
  EXPECT_EQ(parse_chain(43, "06 00 00 01 00 00 00 00").fault, Fault::kIpSourceRoute);
}

TEST(Ipv6, HopByHopOnlyFirst) {
  EXPECT_EQ(parse_chain(60, "00 00 01 04 00 00 00 00 06 00 01 04 00 00 00 00").fault,
            Fault::kIpExtension);
}

TEST(Ipv6, ChainBeyondThePacket) {
  EXPECT_EQ(parse_chain(60, "06 09 01 04 00 00 00 00").fault, Fault::kIpExtension);
  EXPECT_EQ(parse(ipv6_frame(60, hex("06 00 01 04 00 00 00"))).fault, Fault::kIpExtension);
  EXPECT_EQ(parse(ipv6_frame(60, {})).fault, Fault::kIpExtension);
}

TEST(Ipv6, ChainTooLong) {
  for (const std::size_t headers : {8U, 9U}) {
    Octets behind;
    for (std::size_t i = 1; i <= headers; ++i) {
      append(behind, hex(i == headers ? "06 00 01 04 00 00 00 00" : "3c 00 01 04 00 00 00 00"));
    }
    append(behind, tcp_segment({}, true));
    const Frame f = parse(ipv6_frame(60, behind));
    EXPECT_EQ(f.fault, headers == 8 ? Fault::kNone : Fault::kIpExtension);
  }
}

// RFC 8200 §4.2: the two highest bits of an unknown option's type say what to do.
TEST(Ipv6, UnknownOptions) {
  EXPECT_EQ(parse_chain(kTcpNext, "").fault, Fault::kNone);
  EXPECT_EQ(parse_chain(60, "06 00 3e 04 00 00 00 00").fault, Fault::kNone);
  for (const char* bad : {"06 00 7e 04 00 00 00 00", "06 00 be 04 00 00 00 00",
                          "06 00 fe 04 00 00 00 00", "06 00 c2 04 00 01 00 00"}) {
    EXPECT_EQ(parse_chain(60, bad).fault, Fault::kIpExtension) << bad;
  }
}

TEST(Ipv6, OptionsThatRunOver) {
  EXPECT_EQ(parse_chain(60, "06 00 01 05 00 00 00 00").fault, Fault::kIpExtension);
  EXPECT_EQ(parse_chain(60, "06 00 01 03 00 00 00 01").fault, Fault::kIpExtension);
}

TEST(Ipv6, TooManyOptions) {
  // 22 octets of options: Pad1 is the shortest there is.
  EXPECT_EQ(
      parse_chain(60, "06 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00")
          .fault,
      Fault::kIpExtension);
}

}  // namespace
}  // namespace weir::wire::test
