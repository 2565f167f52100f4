#include "flow/listeners.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace weir::flow {
namespace {

const IpAddr kAny4 = IpAddr::v4(std::uint32_t{0});
const IpAddr kOne = IpAddr::v4(10, 0, 0, 1);
const IpAddr kTwo = IpAddr::v4(10, 0, 0, 2);
const IpAddr kSix = IpAddr::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

TEST(Listeners, OfIpv6AloneTakesNoIpv4) {
  Listeners listeners(8);
  EXPECT_TRUE(listeners.add(IpAddr{}, 80, 1, true));
  EXPECT_EQ(listeners.find(kSix, 80), 1U);
  EXPECT_EQ(listeners.find(IpAddr::v4(10, 0, 0, 1), 80), kNoIndex);
  EXPECT_TRUE(listeners.add(IpAddr::v4(std::uint32_t{0}), 80, 2));
  EXPECT_EQ(listeners.find(IpAddr::v4(10, 0, 0, 1), 80), 2U);
  EXPECT_EQ(listeners.find(kSix, 80), 1U);
}

TEST(Listeners, TheMostSpecificWins) {
  Listeners listeners(16);
  EXPECT_EQ(listeners.find(kOne, 80), kNoIndex);
  EXPECT_TRUE(listeners.add(IpAddr{}, 80, 1));
  EXPECT_EQ(listeners.find(kOne, 80), 1U);
  EXPECT_EQ(listeners.find(kSix, 80), 1U);
  EXPECT_TRUE(listeners.add(kAny4, 80, 2));
  EXPECT_TRUE(listeners.add(kOne, 80, 3));
  EXPECT_EQ(listeners.find(kOne, 80), 3U);
  EXPECT_EQ(listeners.find(kTwo, 80), 2U);
  EXPECT_EQ(listeners.find(kSix, 80), 1U);
  EXPECT_EQ(listeners.find(kOne, 81), kNoIndex);
  EXPECT_TRUE(listeners.remove(kOne, 80));
  EXPECT_FALSE(listeners.remove(kOne, 80));
  EXPECT_EQ(listeners.find(kOne, 80), 2U);
  EXPECT_EQ(listeners.size(), 2U);
}

TEST(Listeners, TakenAndFull) {
  Listeners listeners(2);
  EXPECT_TRUE(listeners.add(kOne, 80, 1));
  EXPECT_FALSE(listeners.add(kOne, 80, 2));
  EXPECT_EQ(listeners.find(kOne, 80), 1U);
  EXPECT_TRUE(listeners.add(kOne, 81, 2));
  EXPECT_FALSE(listeners.add(kOne, 82, 3));
  EXPECT_TRUE(listeners.remove(kOne, 80));
  EXPECT_TRUE(listeners.add(kOne, 82, 3));
}

TEST(Listeners, FillsWithRegularKeys) {  // ports in a row, addresses in a row
  Listeners listeners(65'535);
  for (std::uint32_t i = 0; i < 65'535; ++i) {
    ASSERT_TRUE(listeners.add(IpAddr::v4(0x0a00'0000U + i / 4'096),
                              static_cast<std::uint16_t>(1 + i % 4'096), i));
  }
  for (std::uint32_t i = 0; i < 65'535; ++i) {
    ASSERT_EQ(listeners.find(IpAddr::v4(0x0a00'0000U + i / 4'096),
                             static_cast<std::uint16_t>(1 + i % 4'096)),
              i);
  }
}

TEST(Listeners, AgreesWithTheNaiveTwin) {
  Rng rng(3);
  Listeners listeners(64);
  std::map<std::pair<IpAddr, std::uint16_t>, std::uint32_t> twin;
  const std::vector<IpAddr> addrs{IpAddr{}, kAny4, kOne, kTwo, kSix};
  for (std::uint32_t op = 0; op < 100'000; ++op) {
    const IpAddr& addr = addrs[rng.below(5)];
    const auto port = static_cast<std::uint16_t>(rng.below(20));
    switch (rng.below(3)) {
      case 0: {
        const bool room = twin.size() < 64;
        ASSERT_EQ(listeners.add(addr, port, op), room && twin.try_emplace({addr, port}, op).second);
        break;
      }
      case 1:
        ASSERT_EQ(listeners.remove(addr, port), twin.erase({addr, port}) == 1);
        break;
      default: {
        auto it = twin.find({addr, port});
        if (it == twin.end() && addr.is_v4()) it = twin.find({kAny4, port});
        if (it == twin.end()) it = twin.find({IpAddr{}, port});
        ASSERT_EQ(listeners.find(addr, port), it == twin.end() ? kNoIndex : it->second);
      }
    }
    ASSERT_EQ(listeners.size(), twin.size());
  }
}

}  // namespace
}  // namespace weir::flow
