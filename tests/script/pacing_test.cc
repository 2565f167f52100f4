// Pacing: lib/tcp/pacing.cc. Segments of 1,000 octets; the round trip is 100 ms.
#include "script/script.h"

namespace weir::test {
namespace {

void paced(tcp::Config& c) {
  c.pacing = true;
}

// One segment's round trip is known.
Script& sampled(Script& s) {
  return s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000}).quiet();
}

TEST(Pacing, IsOffUnlessAskedFor) {
  Script s{Established{}};
  sampled(s).app_send(10'000);
  for (std::uint32_t i = 1; i <= 10; ++i) s.sends({.seq = i * 1'000});
  s.quiet();
}

// cwnd of 10 segments, twice that a round trip in slow start: one each 5 ms. A timer may be a tick
// of 1 ms late, so the first wait is that much shorter.
TEST(Pacing, SpreadsTheWindowInSlowStart) {
  Script s{Established{.tune = paced}};
  sampled(s).app_send(10'000).sends({.seq = 1'000, .len = 1'000}).quiet().next_timer(104ms);
  s.at(104ms).sends({.seq = 2'000, .len = 1'000}).quiet().next_timer(109ms);
  for (std::uint32_t i = 3; i <= 10; ++i) {
    s.at(99ms + (i - 1) * 5ms).sends({.seq = i * 1'000, .len = 1'000}).quiet();
  }
  s.receives({.ack = 11'000});
}

// 120 % of cwnd a round trip: 8.3 ms.
TEST(Pacing, IsCloserToTheWindowInCongestionAvoidance) {
  Script s{Established{.tune = paced}};
  s.tcb().ssthresh = 10'000;
  sampled(s).app_send(3'000).sends({.seq = 1'000}).quiet().next_timer(107'333us);
  s.at(107'333us).sends({.seq = 2'000}).quiet();
  s.runs_until(130ms).receives({.ack = 4'000});
}

TEST(Pacing, ARateOfOneConnectionBindsItAlone) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 100'000);
  s.app_send(3'000).sends({.seq = 0}).quiet().next_timer(9ms);
  s.at(9ms).sends({.seq = 1'000}).quiet().at(19ms).sends({.seq = 2'000}).quiet();
  tcp::user_pace(s.tcb(), 0);
  s.app_send(3'000).sends({.seq = 3'000}).sends({.seq = 4'000}).sends({.seq = 5'000}).quiet();
  s.receives({.ack = 6'000});
}

// What waits for the pace does not wait for a window: no probe of a zero window is sent.
TEST(Pacing, AWaitIsNoZeroWindow) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000);
  s.app_send(2'000).sends({.seq = 0}).quiet().at(10ms).receives({.ack = 1'000}).quiet();
  EXPECT_FALSE(s.tcb().has(tcp::kPersisting));
  s.next_timer(999ms).at(999ms).sends({.seq = 1'000, .len = 1'000}).quiet();
  EXPECT_EQ(s.counters().persist_probes.get(), 0U);
  s.receives({.ack = 2'000});
}

// What the peer waits for goes at once; what lies behind it keeps the pace.
TEST(Pacing, ATimeOutIsNotHeld) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 10'000);
  s.app_send(4'000).runs_until(990ms);
  s.at(1s).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(1'001ms).receives({.ack = 1'000}).sends({.seq = 1'000, .len = 1'000}).quiet();
  s.next_timer(1'199ms).at(1'199ms).sends({.seq = 2'000, .len = 1'000}).quiet();
  s.receives({.ack = 4'000});
}

TEST(Pacing, AFinKeepsThePaceAndEndsIt) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 100'000);
  s.app_send(2'000).app_close().sends({.seq = 0}).quiet();
  s.at(9ms).sends({.seq = 1'000, .flags = ACK | PSH | FIN}).quiet();
  s.receives({.ack = 2'001}).state(kFinWait2);
}

TEST(Pacing, AClosedConnectionWaitsForNothing) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000);
  s.app_send(3'000).sends({.seq = 0}).app_abort().sends({.flags = RST | ACK});
  s.next_timer(Duration::max());
}

TEST(Pacing, AcksAreNotHeld) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000);
  s.app_send(3'000).sends({.seq = 0}).quiet();
  s.receives({.seq = 0, .ack = 0, .len = 1'000}).receives({.seq = 1'000, .ack = 0, .len = 1'000});
  s.sends({.ack = 2'000, .len = 0}).quiet().app_reads(2'000).skip();
}

// What SACKs show to be lost keeps the pace too.
TEST(Pacing, LostSegmentsAreNotABurst) {
  Script s{Established{.sack = true}};
  s.app_send(10'000).skip().at(100ms);
  tcp::user_pace(s.tcb(), 100'000);
  s.receives({.ack = 0, .sack = {{3'000, 10'000}}}).sends({.seq = 0, .len = 1'000}).quiet();
  s.next_timer(109ms).at(109ms).sends({.seq = 1'000, .len = 1'000}).quiet();
  s.at(119ms).sends({.seq = 2'000, .len = 1'000}).quiet().receives({.ack = 10'000});
}

TEST(Pacing, NotEvenTheFirstOfThemIsSentAtOnce) {
  Script s{Established{.sack = true}};
  s.app_send(9'000).skip().at(100ms);
  tcp::user_pace(s.tcb(), 100'000);
  s.app_send(1'000).sends({.seq = 9'000}).receives({.ack = 0, .sack = {{1'000, 9'000}}}).quiet();
  s.next_timer(109ms).at(109ms).sends({.seq = 0, .len = 1'000}).quiet();
  s.receives({.ack = 10'000});
}

// A rate of one connection is all that binds it: the round trip does not, unless that is asked for.
TEST(Pacing, AHighRateDoesNotSpreadTheWindow) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 100'000'000);
  sampled(s).app_send(10'000);
  for (std::uint32_t i = 1; i <= 10; ++i) s.sends({.seq = i * 1'000});
  s.receives({.ack = 11'000});
}

// A port that segments gets what a tick lets go, two segments at least.
TEST(Pacing, APortIsGivenATicksWorth) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000'000);
  s.app([](tcp::Tcb&, Instant, tcp::Outbox& out) { out.tso_max = 20'000; });
  s.app_send(6'000).sends({.len = 2'000}).skip().runs_until(10ms).receives({.ack = 6'000});
  tcp::user_pace(s.tcb(), 4'000'000);
  s.app_send(6'000).sends({.len = 4'000}).skip().runs_until(20ms).receives({.ack = 12'000});
}

// A new rate holds from now on: what waited waited for the old one.
TEST(Pacing, ANewRateHoldsAtOnce) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000);
  s.app_send(2'000).sends({.seq = 0}).quiet().at(10ms);
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { tcp::user_pace(t, 1'000'000); });
  s.sends({.seq = 1'000}).receives({.ack = 2'000});
}

}  // namespace
}  // namespace weir::test
