#include "ip/routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "wire/frame.h"

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

// The same answers from a list of prefixes that is read from end to end, bit by bit.
struct NaiveRoutes {
  struct Prefix {
    IpAddr addr;
    unsigned len;
  };
  std::vector<Prefix> prefixes;

  static bool bit(const IpAddr& a, unsigned i) {
    return (a.octets()[i / 8] >> (7 - i % 8) & 1U) != 0;
  }
  static bool inside(const Prefix& p, const IpAddr& a) {
    if (p.addr.is_v4() != a.is_v4()) return false;
    const unsigned first = a.is_v4() ? 96 : 0;
    for (unsigned i = first; i < first + p.len; ++i) {
      if (bit(p.addr, i) != bit(a, i)) return false;
    }
    return true;
  }
  [[nodiscard]] const Prefix* match(const IpAddr& a) const {
    const Prefix* best = nullptr;
    for (const Prefix& p : prefixes) {
      if (inside(p, a) && (best == nullptr || p.len > best->len)) best = &p;
    }
    return best;
  }
  [[nodiscard]] bool local(const IpAddr& a) const {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](auto& p) { return p.addr == a; });
  }
  [[nodiscard]] bool broadcast(const IpAddr& a) const {
    if (a == IpAddr::v4(255, 255, 255, 255)) return true;
    return std::any_of(prefixes.begin(), prefixes.end(), [&](const Prefix& p) {
      if (!a.is_v4() || p.len >= 31 || !inside(p, a)) return false;
      for (unsigned i = 96 + p.len; i < 128; ++i) {
        if (!bit(a, i)) return false;
      }
      return true;
    });
  }
};

// Addresses of which many are near each other, of both families.
IpAddr near_address(Rng& rng) {
  const auto octet = [&] {
    constexpr std::array<std::uint8_t, 6> kSome = {0, 1, 2, 127, 254, 255};
    return kSome[rng.below(kSome.size())];
  };
  if (rng.below(4) == 0) {
    return IpAddr::v6({0xfd, octet(), 0, 0, 0, 0, 0, octet(), octet(), 0, 0, 0, 0, 0, 0, octet()});
  }
  return IpAddr::v4(10, octet(), octet(), octet());
}

TEST(Routes, AnswersAsANaiveListDoes) {
  Rng rng(20'261'121);
  unsigned hits = 0;
  for (unsigned round = 0; round < 300; ++round) {
    Routes r;
    NaiveRoutes naive;
    for (std::uint32_t n = rng.below(12); n > 0; --n) {
      const IpAddr a = near_address(rng);
      const auto len = static_cast<std::uint8_t>(rng.below(a.is_v4() ? 33 : 129));
      r.add_address(a, len);
      naive.prefixes.push_back({a, len});
    }
    for (unsigned i = 0; i < 300; ++i) {
      const IpAddr a = near_address(rng);
      const NaiveRoutes::Prefix* const match = naive.match(a);
      ASSERT_EQ(r.is_on_link(a), match != nullptr) << to_string(a);
      ASSERT_EQ(r.is_local(a), naive.local(a)) << to_string(a);
      ASSERT_EQ(r.is_broadcast(a), naive.broadcast(a)) << to_string(a);
      const auto route = r.lookup(a);
      const bool sends =
          match != nullptr && a.is_unicast() && !naive.local(a) && !naive.broadcast(a);
      ASSERT_EQ(route.has_value(), sends) << to_string(a);
      ASSERT_EQ(r.is_other_host(a), a.is_unicast() && !naive.local(a) && !naive.broadcast(a));
      if (!route) continue;
      ++hits;
      ASSERT_EQ(route->next_hop, a);
      ASSERT_EQ(route->source, match->addr);
    }
    for (const IpAddr& a : {IpAddr{}, IpAddr::v4(std::uint32_t{0}), IpAddr::v4(127, 0, 0, 1)}) {
      ASSERT_FALSE(r.is_local(a) || r.is_other_host(a)) << to_string(a);
    }
  }
  EXPECT_GT(hits, 1'000U);
}

const IpAddr kGlobal6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
const IpAddr kOther6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
const IpAddr kFar6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9});
const IpAddr kLocal6 = IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1});
const IpAddr kRouter6 = IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0xfe});

Routes with_link_local() {
  Routes r;
  r.add_address(kLocal6, 64);
  r.add_address(kGlobal6, 64);
  return r;
}

// What is kept of the gateways is what it would be had they come last, and the next hop alone is
// lookup's.
TEST(Routes, NextHopIsLookups) {
  Rng rng(4);
  unsigned found = 0, beyond = 0;
  for (unsigned round = 0; round < 2'000; ++round) {
    Routes r, last;  // the same but for when its gateways came
    std::vector<std::pair<IpAddr, bool>> ours;
    std::optional<IpAddr> via4, via6;
    for (unsigned step = 1 + rng.below(6); step > 0; --step) {
      const IpAddr a = near_address(rng);
      const auto known = [&](const auto& o) { return o.first == a; };
      if (rng.below(3) == 0) {
        (a.is_v4() ? via4 : via6) = a;
        r.set_gateway(a);
      } else if (std::none_of(ours.begin(), ours.end(), known)) {
        ours.emplace_back(a, rng.below(3) > 0);
        const auto len = static_cast<std::uint8_t>(8 + rng.below(a.is_v4() ? 25 : 100));
        for (Routes* x : {&r, &last}) x->add_address(a, len, ours.back().second);
      }
      if (!ours.empty() && rng.below(3) == 0) {
        auto& [addr, usable] = ours[rng.below(static_cast<std::uint32_t>(ours.size()))];
        usable = !usable;
        for (Routes* x : {&r, &last}) x->set_usable(addr, usable);
      }
    }
    if (via4) last.set_gateway(*via4);
    if (via6) last.set_gateway(*via6);
    if (rng.below(4) == 0) {
      r.set_point_to_point();
      last.set_point_to_point();
    }
    for (unsigned i = 0; i < 20; ++i) {
      const IpAddr dst = near_address(rng);
      const auto route = r.lookup(dst), same = last.lookup(dst);
      ASSERT_EQ(route.has_value(), same.has_value());
      if (route) {
        ASSERT_EQ(route->next_hop, same->next_hop);
        ASSERT_EQ(route->source, same->source);
      }
      if (!dst.is_unicast() || r.is_broadcast(dst) || r.is_ours(dst)) continue;
      const IpAddr* const hop = r.next_hop(dst);
      ASSERT_EQ(hop != nullptr, route.has_value());
      if (hop == nullptr) continue;
      ASSERT_EQ(*hop, route->next_hop);
      ++found;
      beyond += *hop == dst ? 0 : 1;
    }
  }
  EXPECT_GT(found, 5'000U);
  EXPECT_GT(beyond, 1'000U);
}

TEST(Routes, SourceIsOfTheDestinationsScope) {
  Routes r = with_link_local();
  EXPECT_EQ(r.default_source(false), kGlobal6);
  r.set_gateway(kRouter6);
  EXPECT_EQ(r.lookup(kRouter6)->source, kLocal6);
  EXPECT_EQ(r.lookup(kOther6)->source, kGlobal6);
  EXPECT_EQ(r.lookup(kFar6)->next_hop, kRouter6);
  EXPECT_EQ(r.lookup(kFar6)->source, kGlobal6);
}

TEST(Routes, LinkLocalNeverLeavesTheLink) {
  Routes r;
  r.add_address(kGlobal6, 64);
  r.set_gateway(kOther6);
  EXPECT_FALSE(r.lookup(kRouter6));  // there is no fe80::/64, and no gateway to it
  Routes only;
  only.add_address(kLocal6, 64);
  only.set_gateway(kRouter6);
  EXPECT_FALSE(only.lookup(kFar6));  // nor does its source
}

TEST(Routes, UnusableAddressIsNeitherSourceNorDestination) {
  Routes r;
  r.add_address(kGlobal6, 64, false);
  EXPECT_TRUE(r.is_ours(kGlobal6));
  EXPECT_FALSE(r.is_local(kGlobal6));
  EXPECT_FALSE(r.default_source(false));
  EXPECT_FALSE(r.lookup(kOther6));
  EXPECT_FALSE(r.lookup(kGlobal6));
  EXPECT_TRUE(r.is_on_link(kOther6));
  r.set_usable(kGlobal6, true);
  EXPECT_TRUE(r.is_local(kGlobal6));
  EXPECT_EQ(r.lookup(kOther6)->source, kGlobal6);
  r.set_usable(kGlobal6, false);
  EXPECT_FALSE(r.lookup(kOther6));
  r.set_usable(kFar6, true);  // none of ours
  EXPECT_FALSE(r.is_local(kFar6));
}

TEST(Routes, TheNextUsableAddressOfANetworkIsItsSource) {
  Routes r;
  r.add_address(kGlobal6, 64, false);
  r.add_address(kFar6, 64);
  r.add_address(kOther6, 64);
  const IpAddr peer = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 77});
  EXPECT_EQ(r.lookup(peer)->source, kOther6);
  EXPECT_EQ(r.default_source(false), kFar6);
  r.set_usable(kGlobal6, true);  // the first of them again
  EXPECT_EQ(r.lookup(peer)->source, kGlobal6);
  EXPECT_EQ(r.default_source(false), kGlobal6);
}

//= RFC4861 7.2.1 type=test
TEST(Routes, GroupsAreThoseOfOurAddresses) {
  Routes r;
  EXPECT_FALSE(r.is_our_group(wire::kAllNodes));  // no IPv6 here
  r.add_address(kGlobal6, 64, false);
  EXPECT_TRUE(r.is_our_group(wire::kAllNodes));
  EXPECT_TRUE(r.is_our_group(wire::solicited_node(kGlobal6)));
  EXPECT_FALSE(r.is_our_group(wire::solicited_node(kOther6)));
  EXPECT_FALSE(r.is_our_group(IpAddr::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2})));
}

}  // namespace
}  // namespace weir::ip
