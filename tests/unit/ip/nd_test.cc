// The neighbour table with IPv6 neighbours (RFC 4861 §7.2, §7.3, RFC 6583).
#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"
#include "ip/neighbour_table.h"

namespace weir::ip {
namespace {

using State = Neighbours::State;
using Use = Neighbours::Use;

IpAddr global(unsigned i) {
  return IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                     static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)});
}
MacAddr mac_of(unsigned i) {
  return {{2, 0, 6, 0, static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)}};
}

constexpr unsigned kUs = 0xffff;
const MacAddr kOurMac{{2, 0, 0, 0, 0, 1}};

struct World {
  explicit World(std::uint32_t capacity = 8, NeighbourConfig config = {})
      : table(capacity, config) {
    routes.add_address(global(kUs), 64);
  }
  ~World() { table.check_invariants(); }

  NdOutcome feed(wire::Frame f) {
    f.kind = wire::Kind::kNd;
    const NdOutcome o = table.on_nd(f, routes, kOurMac, now);
    table.check_invariants();
    return o;
  }
  // Of `from`, with the MAC address it says that it has.
  NdOutcome solicit(unsigned from, const MacAddr& mac, unsigned target = kUs) {
    wire::Frame f;
    f.src = global(from);
    f.src_mac = mac;
    f.nd.target = global(target);
    f.nd.has_lladdr = true;
    f.nd.lladdr = mac;
    return feed(f);
  }
  struct Flags {
    bool solicited = true, override_flag = true, router = false, lladdr = true;
  };
  NdOutcome advert(unsigned target, const MacAddr& mac, const Flags& flags) {
    wire::Frame f;
    f.src = global(target);
    f.src_mac = mac;
    f.nd.advertisement = true;
    f.nd.target = global(target);
    f.nd.solicited = flags.solicited;
    f.nd.override_flag = flags.override_flag;
    f.nd.router = flags.router;
    f.nd.has_lladdr = flags.lladdr;
    f.nd.lladdr = mac;
    return feed(f);
  }
  NdOutcome advert(unsigned target, const MacAddr& mac) { return advert(target, mac, Flags{}); }

  // What advance says at `t`: "m" and "u" for a multicast and a unicast solicitation, "F" failed.
  std::string at(Duration t) {
    now = Instant{t};
    NeighbourWork work;
    table.advance(now, work);
    table.check_invariants();
    std::string said;
    for (const Solicit& s : work.solicits.items()) {
      const bool group = s.dst_mac == wire::multicast_mac(wire::solicited_node(s.target));
      EXPECT_TRUE(group || table.mac(s.id) != nullptr);
      said += group ? 'm' : 'u';
    }
    for (std::size_t i = 0; i < work.failed.size(); ++i) said += 'F';
    return said;
  }
  Use use(NeighbourId id) { return table.use(id, now); }
  State state(NeighbourId id) const { return table.state(id); }
  NeighbourId resolved(unsigned i) {
    const NeighbourId id = table.lookup_or_create(global(i));
    EXPECT_EQ(use(id), Use::kWait);
    EXPECT_EQ(at(now.time_since_epoch()), "m");
    EXPECT_EQ(advert(i, mac_of(i)).resolved, id);
    return id;
  }
  // Known, but not proven: as after a solicitation of it.
  NeighbourId stale(unsigned i) {
    solicit(i, mac_of(i));
    const NeighbourId id = table.find(global(i));
    EXPECT_EQ(state(id), State::kStale);
    return id;
  }

  Routes routes;
  Neighbours table;
  Instant now{100s};
};

//= RFC4861 7.2.2-a type=test
//= RFC4861 7.2.2-c type=test
TEST(Nd, AsksTheGroupThreeTimesASecondApartThenFails) {
  World w;
  const NeighbourId id = w.table.lookup_or_create(global(1));
  EXPECT_EQ(w.use(id), Use::kWait);
  EXPECT_EQ(w.at(100s), "m");
  EXPECT_EQ(w.at(100'999ms), "");
  EXPECT_EQ(w.at(101s), "m");
  EXPECT_EQ(w.at(102s), "m");
  EXPECT_EQ(w.at(102'999ms), "");
  EXPECT_EQ(w.at(103s), "F");
  EXPECT_EQ(w.use(id), Use::kFailed);
}

//= RFC4861 7.2.5-b type=test
TEST(Nd, AnswerResolvesAsItsFlagSays) {
  World w;
  const NeighbourId asked = w.resolved(1);
  EXPECT_EQ(w.state(asked), State::kReachable);
  const NeighbourId unasked = w.table.lookup_or_create(global(2));
  EXPECT_EQ(w.use(unasked), Use::kWait);
  EXPECT_EQ(w.advert(2, mac_of(2), {.solicited = false}).resolved, unasked);
  EXPECT_EQ(w.state(unasked), State::kStale);
}

//= RFC4861 7.2.5-b type=test
TEST(Nd, AnswerWithoutAnAddressResolvesNothing) {
  World w;
  const NeighbourId id = w.table.lookup_or_create(global(1));
  EXPECT_EQ(w.use(id), Use::kWait);
  EXPECT_EQ(w.advert(1, mac_of(1), {.lladdr = false}).resolved, kNoIndex);
  EXPECT_EQ(w.state(id), State::kIncomplete);
}

//= RFC4861 7.2.5-a type=test
TEST(Nd, AdvertisementMakesNoEntry) {
  World w;
  w.advert(1, mac_of(1));
  w.advert(1, mac_of(1), {.solicited = false});
  EXPECT_EQ(w.table.size(), 0U);
  // Nor does it fill one that nobody asked for.
  const NeighbourId id = w.table.lookup_or_create(global(1));
  w.advert(1, mac_of(1));
  EXPECT_EQ(w.table.mac(id), nullptr);
}

//= RFC4861 7.2.5-c type=test
TEST(Nd, WithoutOverrideAnotherAddressOnlyCastsDoubt) {
  World w;
  const NeighbourId id = w.resolved(1);
  for (const bool solicited : {false, true}) {
    w.table.confirm(id, w.now);
    EXPECT_EQ(w.state(id), State::kReachable);
    w.advert(1, mac_of(66), {.solicited = solicited, .override_flag = false});
    EXPECT_EQ(w.state(id), State::kStale);
    EXPECT_EQ(*w.table.mac(id), mac_of(1));
  }
  // In any state but REACHABLE it is ignored.
  w.advert(1, mac_of(66), {.override_flag = false});
  EXPECT_EQ(w.state(id), State::kStale);
  EXPECT_EQ(w.use(id), Use::kReady);
  w.advert(1, mac_of(66), {.override_flag = false});
  EXPECT_EQ(w.state(id), State::kDelay);
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
}

//= RFC4861 7.2.5-c type=test
TEST(Nd, WithOverrideAnotherAddressIsTakenButNotTrusted) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.advert(1, mac_of(2), {.solicited = false});
  EXPECT_EQ(*w.table.mac(id), mac_of(2));
  EXPECT_EQ(w.state(id), State::kStale);
  w.advert(1, mac_of(3));
  EXPECT_EQ(*w.table.mac(id), mac_of(3));
  EXPECT_EQ(w.state(id), State::kReachable);
}

//= RFC4861 7.2.5-c type=test
TEST(Nd, SameOrNoAddressConfirmsWhatItAnswers) {
  World w;
  const NeighbourId id = w.stale(1);
  w.advert(1, mac_of(1), {.solicited = false});
  EXPECT_EQ(w.state(id), State::kStale);
  w.advert(1, mac_of(1), {.override_flag = false});
  EXPECT_EQ(w.state(id), State::kReachable);
  const NeighbourId other = w.stale(2);
  w.advert(2, {}, {.override_flag = false, .lladdr = false});
  EXPECT_EQ(w.state(other), State::kReachable);
  EXPECT_EQ(*w.table.mac(other), mac_of(2));
}

//= RFC4861 7.2.5-d type=test
TEST(Nd, RouterFlagIsKept) {
  World w;
  const NeighbourId id = w.table.lookup_or_create(global(1));
  EXPECT_EQ(w.use(id), Use::kWait);
  w.advert(1, mac_of(1), {.router = true});
  EXPECT_TRUE(w.table.is_router(id));
  w.advert(1, mac_of(9), {.override_flag = false, .router = false});  // ignored, and its flag too
  EXPECT_TRUE(w.table.is_router(id));
  w.advert(1, mac_of(1), {.router = false});
  EXPECT_FALSE(w.table.is_router(id));
}

//= RFC4861 7.2.3-b type=test
//= RFC4861 7.2.3-c type=test
TEST(Nd, SolicitationOfAStrangerMakesAnUnprovenEntry) {
  World w;
  EXPECT_TRUE(w.solicit(1, mac_of(1)).reply);
  const NeighbourId id = w.table.find(global(1));
  ASSERT_NE(id, kNoIndex);
  EXPECT_EQ(w.state(id), State::kStale);
  EXPECT_FALSE(w.solicit(2, mac_of(2), 3).reply);  // for another host
  EXPECT_EQ(w.table.find(global(2)), kNoIndex);
}

//= RFC4861 7.2.3-c type=test
TEST(Nd, SolicitationChangesAnAddressOnlyToAnUnprovenOne) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.solicit(1, mac_of(1));
  EXPECT_EQ(w.state(id), State::kReachable);
  w.solicit(1, mac_of(2));
  EXPECT_EQ(w.state(id), State::kStale);
  EXPECT_EQ(*w.table.mac(id), mac_of(2));
  const NeighbourId waits = w.table.lookup_or_create(global(5));
  EXPECT_EQ(w.use(waits), Use::kWait);
  EXPECT_EQ(w.solicit(5, mac_of(5)).resolved, waits);
  EXPECT_EQ(w.state(waits), State::kStale);
}

//= RFC4861 7.2.3-b type=test
TEST(Nd, SolicitationWithoutAnAddressTeachesNothing) {
  World w;
  wire::Frame f;
  f.nd.target = global(kUs);
  f.src_mac = mac_of(1);
  f.src = global(1);
  EXPECT_TRUE(w.feed(f).reply);
  f.src = IpAddr{};
  EXPECT_TRUE(w.feed(f).reply);
  f.src_mac = kOurMac;  // our own, come back
  EXPECT_FALSE(w.feed(f).reply);
  EXPECT_EQ(w.table.size(), 0U);
}

TEST(Nd, SolicitationFromAnotherLinkTeachesNothing) {
  World w;
  wire::Frame f;
  f.nd.target = global(kUs);
  f.nd.has_lladdr = true;
  f.nd.lladdr = f.src_mac = mac_of(1);
  f.src = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 9});
  EXPECT_TRUE(w.feed(f).reply);
  EXPECT_EQ(w.table.size(), 0U);
}

//= RFC4861 7.3.3-a type=test
//= RFC4861 7.3.3-b type=test
TEST(Nd, StaleNeighbourIsUsedThenAskedThenForgotten) {
  World w;
  const NeighbourId id = w.stale(1);
  EXPECT_EQ(w.table.next_deadline(), kNever);  // nothing is asked unless it is used
  EXPECT_EQ(w.use(id), Use::kReady);
  EXPECT_EQ(w.state(id), State::kDelay);
  EXPECT_EQ(w.table.next_deadline(), Instant{105s});
  EXPECT_EQ(w.at(104'999ms), "");
  EXPECT_EQ(w.at(105s), "u");
  EXPECT_EQ(w.state(id), State::kProbe);
  EXPECT_EQ(w.at(106s), "u");
  EXPECT_EQ(w.at(107s), "u");
  EXPECT_EQ(w.use(id), Use::kReady);
  EXPECT_EQ(w.at(108s), "");
  EXPECT_EQ(w.table.mac(id), nullptr);
  EXPECT_EQ(w.use(id), Use::kWait);  // resolved anew, by multicast
  EXPECT_EQ(w.at(108s), "m");
}

//= RFC4861 7.3.1 type=test
TEST(Nd, ForwardProgressSparesTheQuestion) {
  World w;
  const NeighbourId id = w.stale(1);
  EXPECT_EQ(w.use(id), Use::kReady);
  w.now = Instant{104s};
  w.table.confirm(id, w.now);
  EXPECT_EQ(w.state(id), State::kReachable);
  EXPECT_EQ(w.at(110s), "");
  w.now = Instant{133s};
  EXPECT_EQ(w.use(id), Use::kReady);
  EXPECT_EQ(w.state(id), State::kReachable);
  w.now = Instant{134s};
  EXPECT_EQ(w.use(id), Use::kReady);
  EXPECT_EQ(w.state(id), State::kDelay);
}

//= RFC4861 7.3.3-b type=test
TEST(Nd, AnsweredProbeIsReachableAgain) {
  World w;
  const NeighbourId id = w.stale(1);
  EXPECT_EQ(w.use(id), Use::kReady);
  EXPECT_EQ(w.at(105s), "u");
  w.advert(1, mac_of(1));
  EXPECT_EQ(w.state(id), State::kReachable);
  EXPECT_EQ(w.at(110s), "");
}

//= RFC4861 6.3.2 type=test
TEST(Nd, ReachableTimeIsDrawnBetweenHalfAndThreeHalves) {
  bool below = false, above = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World w(8, {.vary_reachable_time = true, .key = {seed, seed}});
    const NeighbourId id = w.resolved(1);
    Duration held = 0s;
    for (; held < 60s && w.state(id) == State::kReachable; held += 100ms) {
      w.now = Instant{100s} + held;
      EXPECT_EQ(w.use(id), Use::kReady);
    }
    EXPECT_GE(held, 15s);
    EXPECT_LE(held, 45'200ms);
    below = below || held < 28s;
    above = above || held > 32s;
  }
  EXPECT_TRUE(below && above);
}

TEST(Nd, PinnedGatewayIsNotMovedByStrangers) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.table.pin(id);
  for (const bool solicited : {true, false}) {
    w.table.confirm(id, w.now);
    w.advert(1, mac_of(66), {.solicited = solicited});
    EXPECT_EQ(*w.table.mac(id), mac_of(1));
    EXPECT_EQ(w.state(id), State::kProbe);  // but it is asked, at its own address
  }
  w.table.confirm(id, w.now);
  w.solicit(1, mac_of(66));
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  EXPECT_EQ(w.state(id), State::kProbe);
  w.advert(1, mac_of(66));
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  w.advert(1, mac_of(1));
  EXPECT_EQ(w.state(id), State::kReachable);
}

TEST(Nd, PinnedGatewayThatFellSilentIsFoundAnew) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.table.pin(id);
  w.now = Instant{110s};
  w.advert(1, mac_of(66));
  std::string said;
  for (Duration t = 110s; t <= 113s; t += 1s) said += w.at(t);
  EXPECT_EQ(said, "uuu");
  EXPECT_EQ(w.use(id), Use::kWait);
  EXPECT_EQ(w.at(113s), "m");
  EXPECT_EQ(w.advert(1, mac_of(66)).resolved, id);
  EXPECT_EQ(*w.table.mac(id), mac_of(66));
}

TEST(Nd, PermanentEntryIsNeitherAskedNorChanged) {
  World w(2);
  const NeighbourId id = w.table.lookup_or_create(global(1));
  w.table.set_permanent(id, mac_of(1));
  w.advert(1, mac_of(66));
  w.solicit(1, mac_of(66));
  w.table.confirm(id, w.now);
  for (Duration t = 100s; t < 1'000s; t += 1s) {
    EXPECT_EQ(w.at(t), "");
    EXPECT_EQ(w.use(id), Use::kReady);
  }
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  for (unsigned i = 10; i < 30; ++i) (void)w.table.lookup_or_create(global(i));
  EXPECT_EQ(w.table.find(global(1)), id);
}

TEST(Nd, ConflictIsReported) {
  World w;
  EXPECT_TRUE(w.advert(kUs, mac_of(1)).conflict);
  EXPECT_FALSE(w.advert(kUs, kOurMac).conflict);  // our own, come back
  EXPECT_EQ(w.table.size(), 0U);
}

//= RFC6583 7.1-a type=test
TEST(Nd, ScanOfAPrefixTakesHalfTheTableAtMost) {
  World w(16);
  for (unsigned i = 0; i < 8; ++i) w.resolved(i);
  unsigned waiting = 0;
  for (unsigned i = 1'000; i < 6'000; ++i) {
    const NeighbourId id = w.table.lookup_or_create(global(i));
    if (id != kNoIndex && w.use(id) == Use::kWait) ++waiting;
  }
  EXPECT_EQ(waiting, 8U);
  for (unsigned i = 0; i < 8; ++i) {
    const NeighbourId id = w.table.find(global(i));
    ASSERT_NE(id, kNoIndex);
    EXPECT_EQ(w.use(id), Use::kReady);
  }
}

//= RFC6583 7.1-b type=test
TEST(Nd, StrangersDoNotPushOutWhatIsInUse) {
  World w(8);
  for (unsigned i = 0; i < 8; ++i) w.resolved(i);
  for (unsigned i = 1'000; i < 6'000; ++i) w.solicit(i, mac_of(i));
  for (unsigned i = 0; i < 8; ++i) EXPECT_NE(w.table.find(global(i)), kNoIndex);
}

// All that are known await their proof: one that nobody waits for makes room.
TEST(Nd, EntriesInDelayMakeRoom) {
  World w(4);
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(w.use(w.stale(i)), Use::kReady);
  EXPECT_NE(w.table.lookup_or_create(global(10)), kNoIndex);
  EXPECT_EQ(w.table.find(global(0)), kNoIndex);
  EXPECT_EQ(w.table.size(), 4U);
}

//= RFC4861 7.2.2-d type=test
TEST(Nd, WhatWaitedIsDeliveredInOrder) {
  NeighbourTable<int> table(8, {});
  Routes routes;
  routes.add_address(global(kUs), 64);
  const Instant now{100s};
  const NeighbourId id = table.lookup_or_create(global(1));
  ASSERT_EQ(table.use(id, now), Use::kWait);
  for (int i = 1; i <= 3; ++i) EXPECT_FALSE(table.hold(id, i).has_value());
  EXPECT_EQ(table.hold(id, 4), 1);  // the oldest goes
  wire::Frame f;
  f.nd.advertisement = f.nd.solicited = f.nd.has_lladdr = true;
  f.nd.target = global(1);
  f.nd.lladdr = f.src_mac = mac_of(1);
  std::string got;
  table.on_nd(f, routes, kOurMac, now, [&](int i) { got += std::to_string(i); });
  EXPECT_EQ(got, "234");
  EXPECT_EQ(table.pending(), 0U);
}

// Anything in any order: the table's own invariants hold, and it never exceeds its capacity.
TEST(Nd, RandomLife) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    World w(16, {.reachable_time = 5s, .vary_reachable_time = true, .key = {seed, seed}});
    Rng rng(seed);
    for (unsigned step = 0; step < 2'000; ++step) {
      const unsigned i = rng.below(40);
      const MacAddr mac = mac_of(i + 100 * rng.below(2));
      switch (rng.below(7)) {
        case 0:
          w.advert(i, mac, {rng.below(2) == 0, rng.below(2) == 0, false, rng.below(4) != 0});
          break;
        case 1:
          w.solicit(i, mac);
          break;
        case 2:
          if (const NeighbourId id = w.table.find(global(i)); id != kNoIndex) {
            w.table.confirm(id, w.now);
          }
          break;
        case 3:
          w.at(w.now.time_since_epoch() + std::chrono::milliseconds(rng.below(2'500)));
          break;
        case 4:
          if (step % 50 == 0 && w.table.find(global(0)) != kNoIndex) {
            w.table.pin(w.table.find(global(0)));
          }
          break;
        default: {
          const NeighbourId id = w.table.lookup_or_create(global(i));
          if (id == kNoIndex) break;
          EXPECT_EQ(w.use(id) == Use::kReady, w.table.mac(id) != nullptr);
        }
      }
      ASSERT_LE(w.table.size(), 16U);
    }
  }
}

}  // namespace
}  // namespace weir::ip
