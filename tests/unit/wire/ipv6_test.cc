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

//= RFC8200 8.1 type=test
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

//= RFC8200 4-a type=test
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
}

TEST(Ipv6, PartsOfADatagram) {
  Octets behind = hex("06 00 00 11 00 00 be ef");
  append(behind, Octets(16));
  Frame f = parse(ipv6_frame(44, behind));
  EXPECT_EQ(f.kind, Kind::kFragment);
  EXPECT_EQ(f.protocol, 6);
  EXPECT_EQ(f.fragment.id, 0xbeefU);
  EXPECT_EQ(f.fragment.offset, 16);
  EXPECT_TRUE(f.fragment.more);
  EXPECT_EQ(f.fragment.header, 54);
  EXPECT_EQ(f.fragment.named_at, 20);
  EXPECT_EQ(f.l4_offset, 62);
  EXPECT_EQ(f.l4_len, 16U);
  // Behind another header; what stands behind the part's own is not looked at.
  behind = hex("2c 00 01 04 00 00 00 00 00 00 00 08 00 00 00 01");
  append(behind, Octets(5));
  f = parse(ipv6_frame(60, behind));
  EXPECT_EQ(f.kind, Kind::kFragment);
  EXPECT_EQ(f.fragment.header, 62);
  EXPECT_EQ(f.fragment.named_at, 54);
  EXPECT_EQ(f.protocol, 0);
  EXPECT_TRUE(f.had_fragment_header);
}

// RFC 6946: a packet of its own; the reserved bits say nothing.
//= RFC6946 4-a type=test
TEST(Ipv6, AtomicFragment) {
  const Frame f = parse_chain(44, "06 00 00 06 00 00 00 00");
  EXPECT_EQ(f.fault, Fault::kNone);
  EXPECT_EQ(f.kind, Kind::kTcp);
  EXPECT_TRUE(f.had_fragment_header);
  EXPECT_FALSE(parse(golden_sack6()).had_fragment_header);
}

void expect_problem(const Frame& f, Fault fault, unsigned code, unsigned pointer) {
  EXPECT_EQ(f.fault, fault);
  EXPECT_TRUE(f.problem.due);
  EXPECT_EQ(f.problem.code, code);
  EXPECT_EQ(f.problem.pointer, pointer);
}

Frame parse_part(const char* fragment_header, std::size_t len) {
  Octets behind = hex(fragment_header);
  append(behind, Octets(len));
  return parse(ipv6_frame(44, behind));
}

//= RFC8200 4.5-f type=test
TEST(Ipv6, APartOfOddLengthThatIsNotTheLast) {
  expect_problem(parse_part("11 00 00 09 00 00 00 01", 12), Fault::kFragmentLength, 0, 4);
  EXPECT_EQ(parse_part("11 00 00 08 00 00 00 01", 12).fault, Fault::kNone);
  EXPECT_EQ(parse_part("11 00 00 08 00 00 00 01", 0).fault, Fault::kFragmentLength);
}

//= RFC8200 4.5-g type=test
TEST(Ipv6, APartBeyond65535) {
  expect_problem(parse_part("11 00 ff f8 00 00 00 01", 8), Fault::kFragmentLength, 0, 42);
  EXPECT_EQ(parse_part("11 00 ff f8 00 00 00 01", 7).fault, Fault::kNone);
  Octets behind = hex("2c 00 01 04 00 00 00 00 11 00 ff f8 00 00 00 01");  // its 8 octets count
  append(behind, Octets(1));
  expect_problem(parse(ipv6_frame(60, behind)), Fault::kFragmentLength, 0, 50);
}

//= RFC7112 5-a type=test
//= RFC8200 4.5-i type=test
TEST(Ipv6, AFirstPartHoldsAllHeaders) {
  expect_problem(parse_part("06 00 00 01 00 00 00 01", 16), Fault::kFragmentChain, 3, 0);
  Octets behind = hex("3c 00 00 01 00 00 00 01 06 01 01 0c 00 00 00 00");
  expect_problem(parse(ipv6_frame(44, behind)), Fault::kFragmentChain, 3, 0);
  Octets whole = hex("06 00 00 01 00 00 00 01");
  append(whole, tcp_segment(Octets(4), true));
  EXPECT_EQ(parse(ipv6_frame(44, whole)).kind, Kind::kFragment);
  put8(whole, 8 + 12, 0x70);  // options of 8 octets, 4 of which are not there
  expect_problem(parse(ipv6_frame(44, whole)), Fault::kFragmentChain, 3, 0);
  EXPECT_EQ(parse_part("3b 00 00 01 00 00 00 01", 8).fault, Fault::kNone);  // no next header
}

//= RFC8200 4.4-a type=test
//= RFC5095 3 type=test
//= RFC7045 2.2 type=test
TEST(Ipv6, RouteWithSegmentsLeft) {
  for (const char* type : {"06 02 00 01", "06 02 02 01", "06 02 04 01", "06 02 63 ff"}) {
    const Frame f =
        parse_chain(43, (std::string(type) + " 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
                                             "00 00 00 00")
                            .c_str());
    expect_problem(f, Fault::kIpSourceRoute, 0, 42);
  }
}

//= RFC8200 4.4-b type=test
TEST(Ipv6, RouteThatIsDoneIsSkipped) {
  EXPECT_EQ(parse_chain(43, "06 00 00 00 00 00 00 00").kind, Kind::kTcp);
  EXPECT_EQ(parse_chain(43, "06 00 63 00 00 00 00 00").kind, Kind::kTcp);
}

//= RFC8200 4.1-a type=test
//= RFC8200 4.3 type=test
TEST(Ipv6, HopByHopOnlyFirst) {
  expect_problem(parse_chain(60, "00 00 01 04 00 00 00 00 06 00 01 04 00 00 00 00"),
                 Fault::kIpExtension, 1, 40);
  EXPECT_EQ(parse_chain(0, "06 00 01 04 00 00 00 00").kind, Kind::kTcp);
}

// RFC 4443 §2.4e: nothing is said about an ICMPv6 error.
TEST(Ipv6, NoProblemIsDueForAnIcmpError) {
  Octets behind = hex("3a 00 fe 04 00 00 00 00");
  Octets error = hex("01 04 00 00 00 00 00 00");
  append(behind, error);
  EXPECT_FALSE(parse(ipv6_frame(60, behind)).problem.due);
  put8(behind, 8, 0x80);
  EXPECT_TRUE(parse(ipv6_frame(60, behind)).problem.due);
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
//= RFC8200 4.2-a type=test
//= RFC8200 4.2-b type=test
//= RFC8200 4.2-c type=test
//= RFC8200 4.2-d type=test
//= RFC7045 3 type=test
TEST(Ipv6, UnknownOptions) {
  EXPECT_EQ(parse_chain(kTcpNext, "").fault, Fault::kNone);
  EXPECT_EQ(parse_chain(60, "06 00 3e 04 00 00 00 00").fault, Fault::kNone);
  Frame f = parse_chain(60, "06 00 7e 04 00 00 00 00");
  EXPECT_EQ(f.fault, Fault::kIpExtension);
  EXPECT_FALSE(f.problem.due);
  f = parse_chain(60, "06 00 be 04 00 00 00 00");
  expect_problem(f, Fault::kIpExtension, 2, 42);
  EXPECT_TRUE(f.problem.even_to_multicast);
  f = parse_chain(0, "06 00 01 00 fe 02 00 00");
  expect_problem(f, Fault::kIpExtension, 2, 44);
  EXPECT_FALSE(f.problem.even_to_multicast);
  expect_problem(parse_chain(0, "06 00 c2 04 00 01 00 00"), Fault::kIpExtension, 2, 42);
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
