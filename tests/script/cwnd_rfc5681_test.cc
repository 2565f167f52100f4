// The congestion window without loss: lib/tcp/cc/congestion.cc (RFC 5681 §3.1, §4.1, RFC 6928).
#include "script/script.h"

namespace weir::test {
namespace {

// What Reno does with the window; CUBIC's numbers are in cubic_rfc9438_test.cc.
void reno(tcp::Config& c) {
  c.congestion_control = tcp::CongestionControl::kReno;
}

//= RFC5681 3.1-h type=test
TEST(Cwnd, BeginsWithTenSegments) {
  Script s{Established{.tune = reno}};
  s.cwnd(10'000).app_send(20'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = 1'000 * i});
  s.quiet();
}

// min(10 MSS, max(2 MSS, 14600)).
//= RFC6928 2-a type=test
TEST(Cwnd, InitialWindowOfRfc6928) {
  Script a{Established{.mss = 1'460}};
  a.cwnd(14'600);
  Script b{Established{.mss = 8'000}};
  b.cwnd(16'000);
  Script c{Established{.mss = 2'000}};
  c.cwnd(14'600);
}

//= RFC9293 MUST-19 type=test
TEST(Cwnd, SlowStartDoublesInARoundTrip) {
  Script s{Established{.tune = [](tcp::Config& c) { c.initial_cwnd = 2; }}};
  s.app_send(50'000).sends({.seq = 0}).sends({.seq = 1'000}).quiet();
  s.receives({.ack = 1'000}).cwnd(3'000).skip().receives({.ack = 2'000}).cwnd(4'000);
  for (std::uint32_t i = 3; i <= 6; ++i) s.skip().receives({.ack = 1'000 * i});
  s.cwnd(8'000).skip();
}

// RFC 3465, and "min(N, SMSS)": ACKs split small gain nothing, one ACK of many gains one segment.
//= RFC5681 3.1-c type=test
TEST(Cwnd, AckSplittingGainsNothing) {
  Script s{Established{.tune = [](tcp::Config& c) {
    reno(c);
    c.slow_start_limit = 1;
  }}};
  s.app_send(10'000).skip();
  for (std::uint32_t i = 1; i <= 100; ++i) s.receives({.ack = 10 * i});
  s.cwnd(11'000);
  s.receives({.ack = 10'000}).cwnd(12'000);
}

//= RFC9293 MUST-19 type=test
//= RFC5681 3.1-d type=test
//= RFC3465 2.1 type=test
TEST(Cwnd, CongestionAvoidanceGrowsByOneSegmentAWindow) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 10'000;
  s.app_send(60'000).skip();
  for (std::uint32_t i = 1; i < 10; ++i) s.receives({.ack = 1'000 * i}).skip().cwnd(10'000);
  s.receives({.ack = 10'000}).skip().cwnd(11'000);
  for (std::uint32_t i = 11; i < 21; ++i) s.receives({.ack = 1'000 * i}).skip().cwnd(11'000);
  s.receives({.ack = 21'000}).skip().cwnd(12'000);
}

// What is acknowledged beyond one window counts towards the next.
TEST(Cwnd, CongestionAvoidanceKeepsTheRest) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 10'000;
  s.app_send(60'000).skip();
  s.receives({.ack = 4'000}).skip().receives({.ack = 8'000}).skip().cwnd(10'000);
  s.receives({.ack = 12'000}).skip().cwnd(11'000).receives({.ack = 21'000}).skip().cwnd(12'000);
}

// What it acknowledges beyond ssthresh is congestion avoidance's.
TEST(Cwnd, SlowStartEndsAtSsthresh) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 12'000;
  s.app_send(60'000).skip().receives({.ack = 10'000}).cwnd(12'000).skip();
  EXPECT_EQ(s.tcb().cwnd_acked, 8'000U);
  s.receives({.ack = 14'000}).cwnd(13'000).skip();
}

// In slow start it grows to twice what was out in the round trip, whenever its ACKs come.
TEST(Cwnd, SlowStartGrowsToTwiceWhatIsOut) {
  Script s{Established{}};
  s.app_send(5'000).skip().receives({.ack = 1'000}).cwnd(10'000).receives({.ack = 5'000});
  s.cwnd(10'000).app_send(6'000).skip().receives({.ack = 6'000}).cwnd(11'000);
  s.receives({.ack = 7'000}).cwnd(12'000).receives({.ack = 11'000}).cwnd(12'000);
}

// The most of a round trip counts, and that of the one before does not.
TEST(Cwnd, ItsUseIsJudgedByTheRoundTrip) {
  Script s{Established{}};
  s.app_send(5'000).skip().app_send(2'000).skip().receives({.ack = 1'000}).cwnd(11'000);
  s.app_send(1'000).skip().receives({.ack = 8'000}).cwnd(18'000);
  s.app_send(8'000).skip().receives({.ack = 16'000}).cwnd(18'000);
}

// A round trip in which cwnd was filled once was in use, whatever was out later in it.
TEST(Cwnd, OnceFilledIsFilledForTheRoundTrip) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 10'000;
  s.app_send(10'000).skip().receives({.ack = 5'000}).app_send(1'000).skip();
  s.receives({.ack = 10'000}).cwnd(11'000).receives({.ack = 11'000});
}

// Though more is out later, of a window that has grown meanwhile.
TEST(Cwnd, OnceFilledIsFilledThoughItGrows) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 14'000;
  s.app_send(10'000).skip().receives({.ack = 5'000}).cwnd(14'000).app_send(6'000).skip();
  s.receives({.ack = 10'000});
  EXPECT_EQ(s.tcb().cwnd_acked, 6'000U);
  s.receives({.ack = 16'000});
}

// Nor does what a SACK told of grow it when it is acknowledged.
TEST(Cwnd, WhatSacksToldOfDoesNotGrowIt) {
  Script s{Established{.sack = true}};
  s.app_send(15'000).skip().at(100ms).receives({.ack = 0, .sack = {{1'000, 3'000}}}).skip();
  s.at(110ms).receives({.ack = 3'000}).skip().cwnd(11'000);
  s.receives({.ack = 14'000}).skip().receives({.ack = 15'000});
}

// What a duplicate ACK told of has arrived and let its own segment go: it does not count twice.
TEST(Cwnd, WhatDuplicatesToldOfDoesNotGrowIt) {
  Script s{Established{}};
  s.app_send(15'000).skip().receives({.ack = 0}).skip().receives({.ack = 0}).skip();
  s.receives({.ack = 3'000}).skip().cwnd(11'000).receives({.ack = 5'000}).skip().cwnd(13'000);
  s.receives({.ack = 15'000});
}

// Not below one segment, as an ACK of something new is one that arrived.
TEST(Cwnd, AnAckAfterManyDuplicatesCountsOnce) {
  Script s{Established{.tune = [](tcp::Config& c) { c.reordering = 30; }}};
  s.app_send(10'000).skip();
  for (int i = 0; i < 9; ++i) s.receives({.ack = 0}).skip();
  s.receives({.ack = 9'500}).cwnd(11'000).receives({.ack = 10'000});
}

// Many ACKs may come before anything is sent: each counts, since what it acknowledges filled cwnd.
TEST(Cwnd, ABurstOfAcksCountsInFull) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 10'000;
  s.app_send(60'000).skip();
  std::vector<Peer> burst;
  for (std::uint32_t i = 1; i <= 10; ++i) burst.push_back({.ack = 1'000 * i});
  s.receives_burst(burst).skip().cwnd(11'000);
}

// RFC 6928 §2: a SYN that was sent twice.
//= RFC6928 2-b type=test
//= RFC5681 3.1-b type=test
TEST(Cwnd, ALostSynLeavesOneSegment) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).at(1s).sends({.flags = SYN});
  s.at(1'100ms).receives({.ack = 1, .flags = SYN | ACK, .mss = 1'460}).sends({.flags = ACK});
  s.cwnd(1'460).app_send(5'000).sends({.seq = 1, .len = 1'460}).quiet();
  s.receives({.seq = 1, .ack = 5'001}).skip();
}

// What was counted towards the next increase is void once the window is cut.
TEST(Cwnd, ALossBeginsTheCountAnew) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 10'000;
  s.app_send(60'000).skip().receives({.ack = 9'000}).skip().cwnd(10'000);
  for (int i = 0; i < 12; ++i) s.receives({.ack = 9'000}).skip();
  s.receives({.ack = 21'000}).skip().cwnd(5'000).ssthresh(5'000);
  s.receives({.ack = 22'000}).skip().cwnd(5'000);
}

// A window that the application does not use is not grown (RFC 7661).
TEST(Cwnd, DoesNotGrowUnused) {
  Script s{Established{.tune = reno}};
  std::uint32_t at = 0;
  for (int i = 0; i < 50; ++i) {
    s.app_send(1'000).sends({.seq = at}).receives({.ack = at += 1'000});
  }
  s.cwnd(10'000);
}

// Nor one that has room for another segment.
TEST(Cwnd, DoesNotGrowWithRoomForOneMore) {
  Script s{Established{.tune = reno}};
  s.tcb().ssthresh = 10'000;
  for (std::uint32_t i = 1; i <= 20; ++i) {
    s.at(10ms * i).app_send(9'000).skip().receives({.ack = 9'000 * i});
  }
  s.cwnd(10'000);
}

// RFC 5681 §4.1: idle for more than an RTO.
//= RFC5681 4.1 type=test
TEST(Cwnd, RestartsAfterIdle) {
  Script s{Established{.tune = reno}};
  s.app_send(20'000).skip();
  s.at(100ms);
  for (std::uint32_t i = 1; i <= 20; ++i) s.receives({.ack = 1'000 * i}).skip();
  EXPECT_GT(s.tcb().cwnd, 15'000U);
  s.at(10s).app_send(30'000).cwnd(10'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = 20'000 + 1'000 * i});
  s.quiet();
}

TEST(Cwnd, DoesNotRestartWithinAnRto) {
  Script s{Established{.tune = reno}};
  s.app_send(20'000).skip().at(100ms);
  for (std::uint32_t i = 1; i <= 20; ++i) s.receives({.ack = 1'000 * i}).skip();
  const std::uint32_t cwnd = s.tcb().cwnd;
  s.at(250ms).app_send(1'000).skip().cwnd(cwnd);
}

//= RFC5681 4.1 type=test
TEST(Cwnd, RestartsAsSoonAsAnRtoHasPassed) {
  Script s{Established{}};
  s.app_send(20'000).skip().at(100ms);
  for (std::uint32_t i = 1; i <= 20; ++i) s.receives({.ack = 1'000 * i}).skip();
  EXPECT_GT(s.tcb().cwnd, 15'000U);
  s.at(101ms + s.tcb().rto.rto()).app_send(1'000).skip().cwnd(10'000);
}

// An interval "exceeding" the RTO.
TEST(Cwnd, DoesNotRestartAtExactlyAnRto) {
  Script s{Established{}};
  s.app_send(20'000).skip().at(100ms);
  for (std::uint32_t i = 1; i <= 20; ++i) s.receives({.ack = 1'000 * i}).skip();
  const std::uint32_t cwnd = s.tcb().cwnd;
  s.at(100ms + s.tcb().rto.rto()).app_send(1'000).skip().cwnd(cwnd);
}

// The restart window of a connection whose SYN was lost is that of any other.
TEST(Cwnd, ALostSynIsForgottenAfterIdle) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).at(1s).sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK, .mss = 1'000}).skip().app_send(20'000).skip();
  for (std::uint32_t i = 1; i <= 20; ++i) s.receives({.seq = 1, .ack = 1 + 1'000 * i}).skip();
  EXPECT_GT(s.tcb().cwnd, 10'000U);
  s.at(1min).app_send(1'000).skip().cwnd(10'000);
}

// The restart window is min(IW, cwnd).
//= RFC5681 4.1 type=test
TEST(Cwnd, IdlenessDoesNotWidenIt) {
  Script s{Established{.tune = reno}};
  s.app_send(1'000).skip().at(1s).skip().at(1100ms).receives({.ack = 1'000}).cwnd(2'000);
  s.at(1h).app_send(5'000).cwnd(2'000).sends({}).sends({}).quiet();
}

TEST(Cwnd, RestartAfterIdleCanBeOff) {
  Script s{Established{.tune = [](tcp::Config& c) { c.slow_start_after_idle = false; }}};
  s.app_send(20'000).skip().at(100ms);
  for (std::uint32_t i = 1; i <= 20; ++i) s.receives({.ack = 1'000 * i}).skip();
  const std::uint32_t cwnd = s.tcb().cwnd;
  s.at(10s).app_send(1'000).skip().cwnd(cwnd);
}

}  // namespace
}  // namespace weir::test
