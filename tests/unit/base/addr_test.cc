// Address text, strictly; the IPv4-mapped representation.
#include "base/addr.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using namespace std::string_view_literals;

TEST(ParseIp, ReadsDottedQuads) {
  EXPECT_EQ(parse_ip("10.0.0.1"), IpAddr::v4(10, 0, 0, 1));
  EXPECT_EQ(parse_ip("0.0.0.0"), IpAddr::v4(std::uint32_t{0}));
  EXPECT_EQ(parse_ip("255.255.255.255"), IpAddr::v4(0xffff'ffffU));
}

TEST(ParseIp, RefusesWhatOtherParsersGuessAt) {
  for (const auto text : {""sv,
                          "1"sv,
                          "1.2.3"sv,
                          "1.2.3.4.5"sv,
                          "1.2.3."sv,
                          ".1.2.3"sv,
                          "1..2.3"sv,
                          "256.1.1.1"sv,
                          "1.1.1.256"sv,
                          "01.02.03.04"sv,
                          "1.2.3.00"sv,
                          "1.2.3.0004"sv,
                          "0x1.2.3.4"sv,
                          "+1.2.3.4"sv,
                          "-1.2.3.4"sv,
                          " 1.2.3.4"sv,
                          "1.2.3.4 "sv,
                          "1.2.3.4\0"sv,
                          "1,2,3,4"sv,
                          "a.b.c.d"sv,
                          "1.2.3.4294967297"sv}) {
    EXPECT_EQ(parse_ip(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(ParseIp, ReadsIpv6) {
  EXPECT_EQ(parse_ip("::"), IpAddr{});
  EXPECT_EQ(parse_ip("::1"), IpAddr::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(parse_ip("2001:DB8:0:0:0:0:0:a"),
            IpAddr::v6({0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a}));
  EXPECT_EQ(parse_ip("::ffff:10.0.0.1"), IpAddr::v4(10, 0, 0, 1));
}

TEST(ParseIp, RefusesMalformedIpv6) {
  for (const auto text : {":"sv, ":::"sv, "1:2"sv, "::1::"sv, "12345::"sv, "1:2:3:4:5:6:7:8:9"sv,
                          "fe80::1%eth0"sv, "[::1]"sv, "::1\0"sv, "::1\0junk"sv, "::1 "sv,
                          "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"sv}) {
    EXPECT_EQ(parse_ip(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(ToString, IsRfc5952) {
  EXPECT_EQ(to_string(IpAddr::v4(10, 0, 0, 1)), "10.0.0.1");
  EXPECT_EQ(to_string(IpAddr{}), "::");
  EXPECT_EQ(to_string(*parse_ip("2001:0DB8:0:0:1:0:0:1")), "2001:db8::1:0:0:1");
  EXPECT_EQ(to_string(*parse_ip("2001:db8:0:1:1:1:1:1")), "2001:db8:0:1:1:1:1:1");
}

TEST(ToString, BracketsIpv6Endpoints) {
  EXPECT_EQ(to_string(Endpoint{IpAddr::v4(10, 0, 0, 1), 80}), "10.0.0.1:80");
  EXPECT_EQ(to_string(Endpoint{*parse_ip("::1"), 65535}), "[::1]:65535");
}

TEST(Mac, ReadsAndPrints) {
  const auto mac = parse_mac("02:00:5E:00:0a:ff");
  ASSERT_TRUE(mac.has_value());
  EXPECT_EQ(mac->octets, (std::array<std::uint8_t, 6>{0x02, 0, 0x5e, 0, 0x0a, 0xff}));
  EXPECT_EQ(to_string(*mac), "02:00:5e:00:0a:ff");
  EXPECT_TRUE(MacAddr::broadcast().is_multicast());
  EXPECT_TRUE(MacAddr{}.is_zero());
}

TEST(Mac, RefusesOtherForms) {
  for (const auto text :
       {""sv, "02:00:00:00:00"sv, "02:00:00:00:00:0"sv, "02-00-00-00-00-01"sv,
        "02:00:00:00:00:0g"sv, "02:00:00:00:00:01:"sv, "0200.0000.0001"sv, ":02:00:00:00:00:0"sv}) {
    EXPECT_EQ(parse_mac(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(IpAddr, HoldsIpv4Mapped) {
  constexpr IpAddr kAddr = IpAddr::v4(192, 0, 2, 33);
  static_assert(kAddr.is_v4() && kAddr.v4_value() == 0xc000'0221U);
  EXPECT_FALSE(parse_ip("::192.0.2.33")->is_v4());
}

// RFC 1122 §3.2.1.3.
TEST(IpAddr, KnowsWhatMayBeASource) {
  for (const auto text : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255",
                          "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"}) {
    EXPECT_FALSE(parse_ip(text)->is_unicast()) << text;
  }
  for (const auto text : {"1.0.0.1", "10.0.0.1", "223.255.255.255", "2001:db8::1", "fe80::1"}) {
    EXPECT_TRUE(parse_ip(text)->is_unicast()) << text;
  }
  EXPECT_TRUE(parse_ip("224.0.0.1")->is_multicast());
  EXPECT_TRUE(parse_ip("ff02::1")->is_multicast());
  EXPECT_TRUE(parse_ip("0.0.0.0")->is_unspecified());
}

TEST(FlowKey, Reverses) {
  const FlowKey flow{IpAddr::v4(10, 0, 0, 1), IpAddr::v4(10, 0, 0, 2), 80, 1'234};
  EXPECT_NE(flow, flow.reversed());
  EXPECT_EQ(flow, flow.reversed().reversed());
  EXPECT_EQ(flow.reversed().local_port, 1'234);
}

}  // namespace
}  // namespace weir
