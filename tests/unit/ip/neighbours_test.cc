#include "ip/neighbours.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace weir::ip {
namespace {

using State = Neighbours::State;
using Use = Neighbours::Use;

const IpAddr kUs = IpAddr::v4(10, 0, 0, 1);
const MacAddr kOurMac{{2, 0, 0, 0, 0, 1}};

IpAddr host(unsigned i) {
  return IpAddr::v4(0x0a00'0000U + 0x100U + i);
}
MacAddr mac_of(unsigned i) {
  return {{2, 0, 1, 0, static_cast<std::uint8_t>(i >> 8U), static_cast<std::uint8_t>(i)}};
}

struct World {
  explicit World(std::uint32_t capacity = 8, NeighbourConfig config = {})
      : table(capacity, config) {
    routes.add_address(kUs, 16);
  }
  ~World() { table.check_invariants(); }

  ArpOutcome arp(const wire::ArpPacket& p) {
    const ArpOutcome o = table.on_arp(p, routes, kOurMac, now);
    table.check_invariants();
    return o;
  }
  ArpOutcome reply(unsigned from, const MacAddr& mac) {
    return arp({2, mac, kOurMac, host(from), kUs});
  }
  ArpOutcome request(unsigned from, const MacAddr& mac, const IpAddr& target = kUs) {
    return arp({1, mac, {}, host(from), target});
  }
  ArpOutcome gratuitous(unsigned from, const MacAddr& mac) {
    return request(from, mac, host(from));
  }
  // What advance says at `now`: "b" and "u" for a broadcast and a unicast request, "F" for failed.
  std::string at(Duration t) {
    now = Instant{t};
    NeighbourWork work;
    table.advance(now, work);
    table.check_invariants();
    std::string said;
    for (const Solicit& s : work.solicits.items()) {
      EXPECT_EQ(s.target, table.address(s.id));
      said += s.dst_mac == MacAddr::broadcast() ? 'b' : 'u';
    }
    for (std::size_t i = 0; i < work.failed.size(); ++i) said += 'F';
    return said;
  }
  NeighbourId resolved(unsigned i) {
    const NeighbourId id = table.lookup_or_create(host(i));
    EXPECT_EQ(table.use(id, now), Use::kWait);
    EXPECT_EQ(at(now.time_since_epoch()), "b");
    EXPECT_EQ(reply(i, mac_of(i)).resolved, id);
    return id;
  }

  Routes routes;
  Neighbours table;
  Instant now{100s};
};

TEST(Neighbours, AsksOnceASecondThenFails) {
  World w;
  const NeighbourId id = w.table.lookup_or_create(host(1));
  EXPECT_EQ(w.table.next_deadline(), kNever);
  EXPECT_EQ(w.table.use(id, w.now), Use::kWait);
  EXPECT_EQ(w.table.next_deadline(), Instant{100s});
  EXPECT_EQ(w.at(100s), "b");
  EXPECT_EQ(w.table.use(id, w.now), Use::kWait);
  EXPECT_EQ(w.at(100'900ms), "");
  EXPECT_EQ(w.table.next_deadline(), Instant{101s});
  EXPECT_EQ(w.at(101s), "b");
  EXPECT_EQ(w.at(102s), "b");
  EXPECT_EQ(w.at(103s), "F");
  EXPECT_EQ(w.table.state(id), State::kFailed);
  EXPECT_EQ(w.table.mac(id), nullptr);
  EXPECT_EQ(w.table.use(id, w.now), Use::kFailed);
  w.now = Instant{104s};
  EXPECT_EQ(w.table.use(id, w.now), Use::kWait);  // a new try
  EXPECT_EQ(w.at(104s), "b");
}

//= RFC1122 2.3.2.1-b type=test
TEST(Neighbours, NoMoreThanOneRequestASecondHoweverItIsAsked) {
  World w(8, {.reachable_time = 0s, .failed_time = 0s});
  const NeighbourId id = w.table.lookup_or_create(host(1));
  Rng rng(7);
  std::vector<Duration> sent;
  for (Duration t = 100s; t < 160s; t += 10ms) {
    w.now = Instant{t};
    (void)w.table.use(id, w.now);
    if (!w.at(t).empty() && w.table.state(id) != State::kFailed) sent.push_back(t);
    if (rng.chance(100'000)) w.reply(1, mac_of(1));
  }
  ASSERT_GT(sent.size(), 10U);
  for (std::size_t i = 1; i < sent.size(); ++i) EXPECT_GE(sent[i] - sent[i - 1], 1s);
}

TEST(Neighbours, AnAnswerResolves) {
  World w;
  const NeighbourId id = w.resolved(1);
  EXPECT_EQ(w.table.state(id), State::kReachable);
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.table.next_deadline(), kNever);
  EXPECT_EQ(w.table.find(host(1)), id);
  EXPECT_EQ(w.table.lookup_or_create(host(1)), id);
}

//= RFC1122 2.3.2.1-a type=test
TEST(Neighbours, StaleAddressStaysInUseWhileAskedUnicastThenBroadcast) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.now = Instant{129s};
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.at(129s), "");
  w.now = Instant{130s};
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.table.state(id), State::kProbe);
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  std::string said;
  for (Duration t = 130s; t < 136s; t += 1s) {
    said += w.at(t);
    EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  }
  EXPECT_EQ(said, "uuubbb");
  EXPECT_EQ(w.at(136s), "F");
  EXPECT_EQ(w.table.mac(id), nullptr);
}

TEST(Neighbours, AnsweredProbeIsReachableAgain) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.now = Instant{140s};
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.at(140s), "u");
  EXPECT_EQ(w.reply(1, mac_of(1)).resolved, kNoIndex);  // nothing waited
  EXPECT_EQ(w.table.state(id), State::kReachable);
  EXPECT_EQ(w.at(150s), "");
}

TEST(Neighbours, ConfirmationSparesTheQuestion) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.table.confirm(id, Instant{125s});
  w.now = Instant{150s};
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.table.state(id), State::kReachable);
  w.now = Instant{160s};
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.table.state(id), State::kProbe);
  w.table.confirm(id, w.now);
  EXPECT_EQ(w.table.state(id), State::kReachable);
  EXPECT_EQ(w.at(160s), "");
  const NeighbourId other = w.table.lookup_or_create(host(2));
  EXPECT_EQ(w.table.use(other, w.now), Use::kWait);
  w.table.confirm(other, w.now);  // no address to confirm
  EXPECT_EQ(w.table.state(other), State::kIncomplete);
}

//= RFC826 reception-b type=test
//= RFC826 reception-c type=test
TEST(Neighbours, RequestForUsIsAnsweredAndMakesAnUnprovenEntry) {
  World w;
  const ArpOutcome o = w.request(1, mac_of(1));
  EXPECT_TRUE(o.reply);
  EXPECT_FALSE(o.conflict);
  const NeighbourId id = w.table.find(host(1));
  ASSERT_NE(id, kNoIndex);
  EXPECT_EQ(w.table.state(id), State::kStale);
  EXPECT_EQ(w.table.use(id, w.now), Use::kReady);
  EXPECT_EQ(w.at(100s), "u");
}

TEST(Neighbours, RequestFromTheOneWeAskResolvesIt) {
  World w;
  const NeighbourId id = w.table.lookup_or_create(host(1));
  EXPECT_EQ(w.table.use(id, w.now), Use::kWait);
  EXPECT_EQ(w.at(100s), "b");
  const ArpOutcome o = w.request(1, mac_of(1));
  EXPECT_EQ(o.resolved, id);
  EXPECT_TRUE(o.reply);
  EXPECT_EQ(w.table.state(id), State::kStale);
}

TEST(Neighbours, PacketsThatTeachNothing) {
  World w;
  EXPECT_FALSE(w.request(1, mac_of(1), host(2)).reply);  // for another host
  w.reply(2, mac_of(2));                                 // nobody asked
  w.gratuitous(3, mac_of(3));                            // no entry
  w.request(4, MacAddr::broadcast());
  w.request(5, MacAddr{});
  w.request(6, kOurMac);                                        // our own frame, come back
  w.arp({3, mac_of(7), {}, host(7), kUs});                      // RARP
  w.arp({1, mac_of(8), {}, IpAddr::v4(192, 168, 0, 1), kUs});   // not on our network
  w.arp({1, mac_of(8), {}, IpAddr::v4(10, 0, 255, 255), kUs});  // broadcast as sender
  EXPECT_EQ(w.table.size(), 0U);
}

//= RFC5227 2.5 type=test
TEST(Neighbours, ProbeForOurAddressIsAnsweredAndTeachesNothing) {
  World w;
  EXPECT_TRUE(w.arp({1, mac_of(1), {}, IpAddr::v4(0, 0, 0, 0), kUs}).reply);
  EXPECT_EQ(w.table.size(), 0U);
}

TEST(Neighbours, UnaskedReplyDoesNotChangeAnAddress) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.reply(1, mac_of(99));
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  EXPECT_EQ(w.table.state(id), State::kReachable);
}

TEST(Neighbours, GratuitousArpChangesAnEntryWhichIsThenProven) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.gratuitous(1, mac_of(50));
  EXPECT_EQ(*w.table.mac(id), mac_of(50));
  EXPECT_EQ(w.table.state(id), State::kStale);
  w.arp({2, mac_of(51), kOurMac, host(1), host(1)});  // as a reply (RFC 5227 §4.2)
  EXPECT_EQ(*w.table.mac(id), mac_of(51));
}

TEST(Neighbours, GatewayIsNotMovedByStrangers) {
  World w;
  const NeighbourId id = w.resolved(1);
  w.table.pin(id);
  w.now = Instant{110s};
  w.gratuitous(1, mac_of(66));
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  EXPECT_EQ(w.table.state(id), State::kProbe);  // but it is asked
  EXPECT_EQ(w.at(110s), "u");
  w.reply(1, mac_of(66));  // it was not the one asked
  w.request(1, mac_of(66));
  EXPECT_EQ(*w.table.mac(id), mac_of(1));
  EXPECT_EQ(w.at(111s), "u");
  EXPECT_EQ(w.at(112s), "u");
  EXPECT_EQ(w.at(113s), "b");  // the old one is silent: whoever answers now is it
  w.reply(1, mac_of(66));
  EXPECT_EQ(*w.table.mac(id), mac_of(66));
  EXPECT_EQ(w.table.state(id), State::kReachable);
}

TEST(Neighbours, ConflictIsReportedAndDefendedOnceInTenSeconds) {
  World w;
  const wire::ArpPacket claim{1, mac_of(1), {}, kUs, kUs};
  ArpOutcome o = w.arp(claim);
  EXPECT_TRUE(o.conflict && o.defend && !o.reply);
  w.now = Instant{109s};
  o = w.arp(claim);
  EXPECT_TRUE(o.conflict && !o.defend);
  w.now = Instant{110s};
  EXPECT_TRUE(w.arp(claim).defend);
  EXPECT_FALSE(w.arp({1, kOurMac, {}, kUs, kUs}).conflict);  // our own announcement
  EXPECT_EQ(w.table.size(), 0U);
}

TEST(Neighbours, FullTableEvictsFailedThenLongestUnused) {
  World w(4);
  for (unsigned i = 0; i < 4; ++i) {
    w.now = Instant{100s + 2s * i};
    w.resolved(i);
  }
  w.now = Instant{120s};
  EXPECT_EQ(w.table.use(w.table.find(host(0)), w.now), Use::kReady);
  EXPECT_NE(w.table.lookup_or_create(host(10)), kNoIndex);  // in the place of 1
  EXPECT_EQ(w.table.find(host(1)), kNoIndex);
  EXPECT_NE(w.table.find(host(0)), kNoIndex);
  EXPECT_EQ(w.table.use(w.table.find(host(10)), w.now), Use::kWait);
  for (Duration t = 120s; t <= 123s; t += 1s) w.at(t);
  EXPECT_EQ(w.table.state(w.table.find(host(10))), State::kFailed);
  EXPECT_NE(w.table.lookup_or_create(host(11)), kNoIndex);  // in the place of 10
  EXPECT_EQ(w.table.find(host(10)), kNoIndex);
  EXPECT_EQ(w.table.size(), 4U);
}

TEST(Neighbours, PinnedAndAskedEntriesAreNotEvicted) {
  World w(3);
  w.table.pin(w.resolved(0));
  const NeighbourId probed = w.resolved(1);
  w.now = Instant{140s};
  EXPECT_EQ(w.table.use(probed, w.now), Use::kReady);
  EXPECT_EQ(w.table.state(probed), State::kProbe);
  const NeighbourId waits = w.table.lookup_or_create(host(2));
  EXPECT_EQ(w.table.use(waits, w.now), Use::kWait);
  EXPECT_EQ(w.table.lookup_or_create(host(3)), kNoIndex);
  EXPECT_NE(w.table.find(host(0)), kNoIndex);
}

TEST(Neighbours, SilentDestinationsTakeHalfTheTableAtMost) {
  World w(8);
  for (unsigned i = 0; i < 4; ++i) w.resolved(i);
  unsigned waiting = 0;
  for (unsigned i = 100; i < 200; ++i) {
    const NeighbourId id = w.table.lookup_or_create(host(i));
    if (id != kNoIndex && w.table.use(id, w.now) == Use::kWait) ++waiting;
  }
  EXPECT_EQ(waiting, 4U);
  for (unsigned i = 0; i < 4; ++i) EXPECT_NE(w.table.find(host(i)), kNoIndex);
}

TEST(Neighbours, StrangersDoNotPushOutWhatIsInUse) {
  World w(4);
  for (unsigned i = 0; i < 4; ++i) w.resolved(i);
  for (unsigned i = 100; i < 200; ++i) EXPECT_TRUE(w.request(i, mac_of(i)).reply);
  for (unsigned i = 0; i < 4; ++i) EXPECT_NE(w.table.find(host(i)), kNoIndex);
  w.now = Instant{131s};
  w.request(100, mac_of(100));
  EXPECT_NE(w.table.find(host(100)), kNoIndex);
}

TEST(Neighbours, AdvanceIsBoundedAndSaysThatThereIsMore) {
  World w(200);
  for (unsigned i = 0; i < 80; ++i) {
    EXPECT_EQ(w.table.use(w.table.lookup_or_create(host(i)), w.now), Use::kWait);
  }
  EXPECT_EQ(w.at(100s).size(), 32U);
  EXPECT_EQ(w.table.next_deadline(), Instant{100s});
  EXPECT_EQ(w.at(100s).size(), 32U);
  EXPECT_EQ(w.at(100s).size(), 16U);
  EXPECT_EQ(w.table.next_deadline(), Instant{101s});
}

TEST(Neighbours, CapacityZeroRefusesQuietly) {
  World w(0);
  EXPECT_EQ(w.table.lookup_or_create(host(1)), kNoIndex);
  EXPECT_TRUE(w.request(1, mac_of(1)).reply);
}

// Anything in any order: the table's own invariants hold, and it never exceeds its capacity.
TEST(Neighbours, RandomLife) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    World w(16, {.reachable_time = 5s, .key = {seed, seed}});
    Rng rng(seed);
    for (unsigned step = 0; step < 2'000; ++step) {
      const unsigned i = rng.below(40);
      const MacAddr mac = mac_of(i + 100 * rng.below(2));
      switch (rng.below(7)) {
        case 0:
          w.reply(i, mac);
          break;
        case 1:
          w.request(i, mac);
          break;
        case 2:
          w.gratuitous(i, mac);
          break;
        case 3:
          w.at(w.now.time_since_epoch() + std::chrono::milliseconds(rng.below(1'500)));
          break;
        case 4:
          if (step % 50 == 0 && w.table.find(host(0)) != kNoIndex)
            w.table.pin(w.table.find(host(0)));
          break;
        default: {
          const NeighbourId id = w.table.lookup_or_create(host(i));
          if (id == kNoIndex) break;
          EXPECT_EQ(w.table.address(id), host(i));
          EXPECT_EQ(w.table.use(id, w.now) == Use::kReady, w.table.mac(id) != nullptr);
        }
      }
    }
  }
}

}  // namespace
}  // namespace weir::ip
