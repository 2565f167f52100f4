// Whether an address is free: RFC 4862 §5.4, RFC 5227 §2.1, §2.3.
#include "ip/dad.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace weir::ip {
namespace {

const IpAddr kA6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
const IpAddr kB6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
const IpAddr kA4 = IpAddr::v4(10, 0, 0, 1);
const IpAddr kB4 = IpAddr::v4(10, 0, 0, 2);
constexpr Instant kStart{100s};

struct World {
  explicit World(const DadConfig& config, std::vector<IpAddr> addrs = {}) : dad(config) {
    for (const IpAddr& a : addrs) EXPECT_TRUE(dad.add(a));
    dad.start(now);
  }

  // Each message until `limit`, as "?10.0.0.1@1500 ", a pass as "+", an announcement as "!": in
  // milliseconds since the start.
  std::string run(Duration limit = 60s) {
    std::string said;
    for (unsigned i = 0; i < 1'000 && dad.next_deadline() <= kStart + limit; ++i) {
      now = std::max(now, dad.next_deadline());
      DadWork work;
      dad.advance(now, work);
      const std::string at = "@" + std::to_string((now - kStart) / 1ms) + " ";
      for (const IpAddr& a : work.passed.items()) said += "+" + to_string(a) + at;
      for (const DadMessage& m : work.messages.items()) {
        said += (m.announcement ? "!" : "?") + to_string(m.addr) + at;
        sent.push_back(now - kStart);
      }
    }
    return said;
  }

  Dad dad;
  Instant now = kStart;
  std::vector<Duration> sent;
};

TEST(Dad, NothingIsAskedUnlessItIsToBe) {
  Dad dad({.transmits = 0, .arp_probes = 0});
  EXPECT_FALSE(dad.add(kA6));
  EXPECT_FALSE(dad.add(kA4));
  dad.start(kStart);
  EXPECT_TRUE(dad.settled());
  EXPECT_EQ(dad.next_deadline(), kNever);
}

//= RFC4862 5.4-a type=test
//= RFC4862 5.4.2-a type=test
TEST(Dad, OneQuestionThenASecondOfSilence) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World w({.transmits = 1, .seed = seed}, {kA6});
    EXPECT_TRUE(w.dad.is_tentative(kA6));
    EXPECT_FALSE(w.dad.settled());
    const std::string said = w.run();
    ASSERT_EQ(w.sent.size(), 1U);
    EXPECT_LE(w.sent[0], 1s);
    const std::string asked = std::to_string(w.sent[0] / 1ms);
    const std::string passed = std::to_string((w.sent[0] + 1s) / 1ms);
    EXPECT_EQ(said, "?2001:db8::1@" + asked + " +2001:db8::1@" + passed + " ");
    EXPECT_TRUE(w.dad.settled());
    EXPECT_FALSE(w.dad.is_tentative(kA6));
  }
}

//= RFC4862 5.4.2-a type=test
TEST(Dad, TheFirstQuestionWaitsARandomTime) {
  Duration least = 10s, most = 0s;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World w({.transmits = 1, .seed = seed}, {kA6});
    w.run();
    least = std::min(least, w.sent[0]);
    most = std::max(most, w.sent[0]);
  }
  EXPECT_LT(least, 200ms);
  EXPECT_GT(most, 800ms);
}

//= RFC4862 5.4-a type=test
TEST(Dad, AsManyQuestionsAsTheSettingSays) {
  World w({.transmits = 3, .seed = 1}, {kA6, kB6});
  w.run();
  ASSERT_EQ(w.sent.size(), 6U);
  EXPECT_EQ(w.sent[2] - w.sent[0], 1s);
  EXPECT_EQ(w.sent[4] - w.sent[2], 1s);
}

//= RFC4862 5.4.5 type=test
TEST(Dad, AnAddressThatFailsNeverPasses) {
  World w({.transmits = 2, .seed = 1}, {kA6, kB6});
  w.run(1'100ms);
  EXPECT_TRUE(w.dad.fail(kA6));
  EXPECT_FALSE(w.dad.fail(kA6));
  EXPECT_FALSE(w.dad.is_tentative(kA6));
  EXPECT_FALSE(w.dad.settled());
  const std::string said = w.run();
  EXPECT_EQ(said.find("2001:db8::1@"), std::string::npos) << said;
  EXPECT_NE(said.find("+2001:db8::2@"), std::string::npos) << said;
  EXPECT_TRUE(w.dad.settled());
}

TEST(Dad, TheLastOneToFailEndsIt) {
  World w({.transmits = 1, .seed = 1}, {kA6});
  EXPECT_TRUE(w.dad.fail(kA6));
  EXPECT_TRUE(w.dad.settled());
  EXPECT_EQ(w.dad.next_deadline(), kNever);
  EXPECT_FALSE(w.dad.fail(kB6));  // was never added
}

//= RFC5227 2.1.1-a type=test
//= RFC5227 2.3 type=test
TEST(Dad, ArpProbesThenAnnouncements) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World w({.arp_probes = 3, .seed = seed}, {kA4});
    const std::string said = w.run();
    ASSERT_EQ(w.sent.size(), 5U) << said;
    EXPECT_LE(w.sent[0], 1s);
    for (const std::size_t i : {1U, 2U}) {
      EXPECT_GE(w.sent[i] - w.sent[i - 1], 1s);
      EXPECT_LE(w.sent[i] - w.sent[i - 1], 2s);
    }
    EXPECT_EQ(w.sent[3] - w.sent[2], 2s);  // ANNOUNCE_WAIT
    EXPECT_EQ(w.sent[4] - w.sent[3], 2s);  // ANNOUNCE_INTERVAL
    EXPECT_EQ(std::count(said.begin(), said.end(), '?'), 3);
    EXPECT_EQ(std::count(said.begin(), said.end(), '!'), 2);
    EXPECT_EQ(std::count(said.begin(), said.end(), '+'), 1);
  }
}

//= RFC5227 2.3 type=test
TEST(Dad, AnAddressIsUsableFromItsFirstAnnouncement) {
  World w({.arp_probes = 3, .seed = 1}, {kA4, kB4});
  w.run(10s);
  EXPECT_TRUE(w.dad.settled());
  World again({.arp_probes = 3, .seed = 1}, {kA4, kB4});
  again.run(w.sent[6] - 1us);
  EXPECT_FALSE(again.dad.settled());
  again.run(w.sent[6]);
  EXPECT_TRUE(again.dad.settled());
  EXPECT_FALSE(again.dad.fail(kA4));  // from here on it is defended, not given up
}

TEST(Dad, ManyAddressesTakeSeveralCallsAtOnce) {
  std::vector<IpAddr> many;
  for (unsigned i = 1; i <= 100; ++i) many.push_back(IpAddr::v4(0x0a00'0000U + i));
  World w({.arp_probes = 2, .seed = 3}, many);
  w.run();
  EXPECT_EQ(w.sent.size(), 400U);
  EXPECT_EQ(w.sent[0], w.sent[99]);
  EXPECT_TRUE(w.dad.settled());
}

// A conflict that comes while the questions of one step are still going out.
TEST(Dad, AFailureAmidAStepSkipsNobody) {
  Dad dad({.arp_probes = 1, .seed = 3});
  for (unsigned i = 1; i <= 40; ++i) ASSERT_TRUE(dad.add(IpAddr::v4(0x0a00'0000U + i)));
  dad.start(kStart);
  DadWork first, second;
  const Instant now = dad.next_deadline();
  dad.advance(now, first);
  ASSERT_EQ(first.messages.size(), 32U);
  EXPECT_TRUE(dad.fail(first.messages.items()[3].addr));
  dad.advance(now, second);
  ASSERT_EQ(second.messages.size(), 8U);
  EXPECT_EQ(second.messages.items()[0].addr, IpAddr::v4(0x0a00'0000U + 33));
}

TEST(Dad, FamiliesDoNotWaitForEachOther) {
  World w({.transmits = 1, .arp_probes = 1, .seed = 5}, {kA4, kA6});
  const std::string said = w.run();
  EXPECT_NE(said.find("+10.0.0.1@"), std::string::npos);
  EXPECT_LT(said.find("+2001:db8::1@"), said.find("+10.0.0.1@"));
}

}  // namespace
}  // namespace weir::ip
