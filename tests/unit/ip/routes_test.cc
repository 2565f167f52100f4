#include "ip/routes.h"

#include <gtest/gtest.h>

namespace weir::ip {
namespace {

const IpAddr kHost = IpAddr::v4(10, 1, 2, 3);
const IpAddr kGateway = IpAddr::v4(10, 1, 2, 1);

IpAddr v6(std::uint8_t net, std::uint8_t host) {
  return IpAddr::v6({0xfd, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host});
}

TEST(Routes, OnLinkGoesStraightElseByTheGateway) {
  Routes r;
  r.add_address(kHost, 24);
  EXPECT_FALSE(r.lookup(IpAddr::v4(8, 8, 8, 8)));
  r.set_gateway(kGateway);
  const auto near = r.lookup(IpAddr::v4(10, 1, 2, 77));
  ASSERT_TRUE(near);
  EXPECT_EQ(near->next_hop, IpAddr::v4(10, 1, 2, 77));
  EXPECT_EQ(near->source, kHost);
  const auto far = r.lookup(IpAddr::v4(8, 8, 8, 8));
  ASSERT_TRUE(far);
  EXPECT_EQ(far->next_hop, kGateway);
  EXPECT_EQ(far->source, kHost);
  EXPECT_EQ(r.lookup(IpAddr::v4(10, 1, 3, 77))->next_hop, kGateway);
}

TEST(Routes, LongestPrefixAndSourceOfTheGatewaysNetwork) {
  Routes r;
  r.add_address(IpAddr::v4(192, 0, 2, 9), 32);  // a service address: the default source
  r.add_address(IpAddr::v4(10, 0, 0, 1), 8);
  r.add_address(kHost, 24);
  r.set_gateway(kGateway);
  EXPECT_EQ(r.lookup(IpAddr::v4(10, 1, 2, 9))->source, kHost);
  EXPECT_EQ(r.lookup(IpAddr::v4(10, 9, 9, 9))->source, IpAddr::v4(10, 0, 0, 1));
  EXPECT_EQ(r.lookup(IpAddr::v4(192, 0, 2, 10))->next_hop, kGateway);
  EXPECT_EQ(r.lookup(IpAddr::v4(192, 0, 2, 10))->source, kHost);
  EXPECT_EQ(r.default_source(true), IpAddr::v4(192, 0, 2, 9));
  EXPECT_FALSE(r.default_source(false));
}

TEST(Routes, GatewayOffEveryPrefixIsReachedFromTheDefaultSource) {
  Routes r;
  r.add_address(kHost, 32);
  r.set_gateway(IpAddr::v4(172, 16, 0, 1));
  EXPECT_EQ(r.lookup(IpAddr::v4(8, 8, 8, 8))->source, kHost);
}

TEST(Routes, NoUnicastPacketGoesToTheseAddresses) {
  Routes r;
  r.add_address(kHost, 24);
  r.set_gateway(kGateway);
  for (const IpAddr& dst :
       {IpAddr{}, IpAddr::v4(0, 0, 0, 0), IpAddr::v4(224, 0, 0, 1), IpAddr::v4(127, 0, 0, 1),
        IpAddr::v4(255, 255, 255, 255), IpAddr::v4(10, 1, 2, 255), kHost}) {
    EXPECT_FALSE(r.lookup(dst)) << to_string(dst);
  }
}

TEST(Routes, KnowsItsOwnAndItsBroadcastAddresses) {
  Routes r;
  r.add_address(kHost, 22);
  r.add_address(IpAddr::v4(10, 9, 0, 0), 31);
  r.add_address(IpAddr::v4(10, 8, 0, 1), 0);
  EXPECT_TRUE(r.is_local(kHost));
  EXPECT_TRUE(r.is_local(IpAddr::v4(10, 8, 0, 1)));
  EXPECT_FALSE(r.is_local(kGateway));
  EXPECT_TRUE(r.is_broadcast(IpAddr::v4(255, 255, 255, 255)));
  EXPECT_TRUE(r.is_broadcast(IpAddr::v4(10, 1, 3, 255)));
  EXPECT_FALSE(r.is_broadcast(IpAddr::v4(10, 1, 2, 255)));  // inside the /22
  EXPECT_FALSE(r.is_broadcast(IpAddr::v4(10, 9, 0, 1)));    // RFC 3021: /31 has none
  EXPECT_FALSE(r.is_broadcast(v6(0, 0xff)));
}

TEST(Routes, FamiliesDoNotMix) {
  Routes r;
  r.add_address(kHost, 0);  // every IPv4 address is on link
  EXPECT_FALSE(r.lookup(v6(1, 1)));
  r.add_address(v6(1, 1), 64);
  r.set_gateway(v6(1, 0xfe));
  EXPECT_EQ(r.lookup(v6(1, 2))->next_hop, v6(1, 2));
  EXPECT_EQ(r.lookup(v6(2, 2))->next_hop, v6(1, 0xfe));
  EXPECT_EQ(r.lookup(v6(2, 2))->source, v6(1, 1));
  EXPECT_EQ(r.lookup(IpAddr::v4(8, 8, 8, 8))->next_hop, IpAddr::v4(8, 8, 8, 8));
  EXPECT_EQ(r.gateway(false), v6(1, 0xfe));
  EXPECT_FALSE(r.gateway(true));
}

}  // namespace
}  // namespace weir::ip
