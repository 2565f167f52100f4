// CUBIC (RFC 9438) and HyStart++ (RFC 9406) on a connection; their arithmetic is in tests/unit/tcp.
// Segments of 1,000 octets, ten of them at first.
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::Recovery;

Peer sacks(std::uint32_t ack, std::vector<Block> blocks) {
  return {.ack = ack, .sack = std::move(blocks)};
}

// The peer acknowledges all that is out, segment by segment, at once.
Script& acks_all(Script& s, std::uint32_t from) {
  const std::uint32_t out = distance(s.tcb().snd_una, s.tcb().snd_nxt);
  for (std::uint32_t at = from + 1'000; at <= from + out; at += 1'000) {
    s.receives({.ack = at}).skip();
  }
  return s;
}

// -- Loss ----------------------------------------------------------------------------------------

//= RFC9438 4.6-a type=test
//= RFC9293 MAY-18 type=test
TEST(Cubic, KeepsSevenTenthsWithoutSack) {
  Script s{Established{}};
  s.app_send(10'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0});
  s.sends({.seq = 0, .len = 1'000}).quiet().ssthresh(7'000).cwnd(10'000);
  EXPECT_EQ(s.tcb().cubic.w_max, 10'000U);
  s.receives({.ack = 10'000});
}

//= RFC9438 4.6-a type=test
TEST(Cubic, KeepsSevenTenthsWithSack) {
  Script s{Established{.sack = true}};
  s.app_send(10'000).skip().at(100ms).receives(sacks(0, {{1'000, 4'000}}));
  s.sends({.seq = 0, .len = 1'000}).quiet().ssthresh(7'000);
  s.at(200ms).receives({.ack = 10'000}).cwnd(7'000);
  EXPECT_EQ(s.tcb().recovery, Recovery::kNone);
}

//= RFC9438 4.8-a type=test
TEST(Cubic, ATimeOutLeavesOneSegment) {
  Script s{Established{}};
  s.app_send(10'000).skip().at(1s).skip().cwnd(1'000).ssthresh(7'000);
  EXPECT_EQ(s.tcb().cubic.w_max, 0U);
  s.receives({.ack = 10'000});
}

// RFC 8985 §7.4.2.
//= RFC8985 7.4.2 type=test
TEST(Cubic, AHiddenLossKeepsSevenTenths) {
  Script s(Established{.sack = true});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().at(400ms).skip();
  s.at(500ms).receives({.ack = 2'000}).skip();
  s.app_send(1'000).skip().at(600ms).receives({.ack = 3'000}).skip().ssthresh(7'000).cwnd(7'000);
}

// -- Congestion avoidance
// --------------------------------------------------------------------------

// 100 ms round trips after a loss at 20 segments: K = cbrt(6 / 0.4) = 2.47 s. Flat towards it, then
// beyond; the Reno-friendly region lets 0.53 segments a round trip come in any case.
//= RFC9438 4.3-b type=test
TEST(Cubic, GrowsAgainAfterALoss) {
  Script s{Established{.wscale = 7, .sack = true}};
  s.app_send(400'000).skip();
  s.at(100ms);
  acks_all(s, 0).cwnd(20'000);
  s.at(200ms).receives(sacks(10'000, {{11'000, 14'000}})).skip().ssthresh(14'000);
  const std::uint32_t end = distance(s.tcb().iss + 1, s.tcb().snd_nxt);
  s.at(300ms).receives({.ack = end}).skip().cwnd(14'000);
  std::uint32_t at = end;
  for (int i = 0; i < 10; ++i) {
    s.at(400ms + i * 100ms);
    const std::uint32_t out = distance(s.tcb().snd_una, s.tcb().snd_nxt);
    acks_all(s, at);
    at += out;
  }
  EXPECT_NEAR(s.tcb().cubic.k_ms, 2'466, 2);
  EXPECT_GE(s.tcb().cwnd, 18'000U);  // the curve is at 19.5 after 0.9 s and a round trip
  EXPECT_LE(s.tcb().cwnd, 20'000U);
  s.receives({.ack = at}).skip();
}

// The target is where the curve will be a round trip from now: with one of 2 s at
// 10 + 0.4 * 2^3 = 13.2 segments.
//= RFC9438 4.2-d type=test
TEST(Cubic, AimsARoundTripAhead) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rto_initial = 10s; }}};
  s.tcb().ssthresh = 10'000;
  s.app_send(10'000).skip().at(2s);
  acks_all(s, 0).cwnd(12'000);  // 0.32 of what is acknowledged at first, less as it comes near
}

// After a restart the curve begins where slow start ends.
TEST(Cubic, ARestartAfterIdleEndsTheEpoch) {
  Script s{Established{}};
  s.tcb().ssthresh = 10'000;
  s.app_send(10'000).skip().at(100ms);
  acks_all(s, 0);
  EXPECT_TRUE(s.tcb().cubic.running);
  s.at(10s).app_send(1'000).skip();
  EXPECT_FALSE(s.tcb().cubic.running);
  s.receives({.ack = 11'000});
}

// Idle time is none of the curve's.
//= RFC9438 4.2-c type=test
//= RFC9438 5.8 type=test
TEST(Cubic, IdleTimeDoesNotCount) {
  Script s{Established{.tune = [](tcp::Config& c) { c.slow_start_after_idle = false; }}};
  s.tcb().ssthresh = 10'000;
  s.app_send(10'000).skip().at(100ms);
  acks_all(s, 0);
  EXPECT_TRUE(s.tcb().cubic.running);
  const std::uint32_t cwnd = s.tcb().cwnd;
  s.at(600s).app_send(cwnd).skip().at(600'100ms).receives({.ack = 11'000});
  EXPECT_LE(s.tcb().cubic.elapsed_us, 300'000U);
  EXPECT_LE(s.tcb().cwnd, cwnd + 1'000);
  s.skip().receives({.ack = 10'000 + cwnd});
}

// Nor is the time in which little was in flight.
//= RFC9438 4.2-c type=test
TEST(Cubic, TimeWithLittleToSendDoesNotCount) {
  Script s{Established{}};
  s.tcb().ssthresh = 10'000;
  s.app_send(10'000).skip().at(100ms);
  acks_all(s, 0).app_send(3'000).skip();
  std::uint32_t at = 10'000;
  Duration now = 100ms;
  for (int i = 0; i < 20; ++i) {
    s.at(now += 100ms).receives({.ack = at += 1'000}).skip().app_send(1'000).skip();
  }
  s.app_send(20'000).skip().at(now += 100ms).receives({.ack = at += 4'000}).skip();
  EXPECT_GT(s.tcb().cubic.elapsed_us, 0U);
  EXPECT_LE(s.tcb().cubic.elapsed_us, 200'000U);
  s.receives({.ack = distance(s.tcb().iss + 1, s.tcb().snd_nxt)}).skip();
}

//= RFC9438 5.8 type=test
TEST(Cubic, DoesNotGrowUnused) {
  Script s{Established{}};
  s.tcb().ssthresh = 10'000;
  std::uint32_t at = 0;
  for (int i = 0; i < 100; ++i) {
    s.at(i * 100ms).app_send(3'000).skip().at(i * 100ms + 50ms).receives({.ack = at += 3'000});
  }
  s.cwnd(10'000);
  EXPECT_EQ(s.tcb().cubic.elapsed_us, 0U);
}

// -- Slow start
// ------------------------------------------------------------------------------------

// RFC 9406 §4.2: L is 8 for a sender that is not paced, where it is asked for.
//= RFC9406 4.2-c type=test
TEST(HyStart, AnAckOfManyAddsEightSegments) {
  Script s{Established{.sack = true, .tune = [](tcp::Config& c) { c.slow_start_limit = 8; }}};
  s.app_send(10'000).skip().at(100ms).receives({.ack = 10'000}).cwnd(18'000);
}

// When paced, any number.
//= RFC9406 4.2-c type=test
TEST(HyStart, PacedAnAckOfManyAddsThemAll) {
  Script s{Established{.sack = true, .tune = [](tcp::Config& c) {
                         c.slow_start_limit = 8;
                         c.pacing = true;
                       }}};
  s.app_send(10'000).skip().at(100ms).receives({.ack = 10'000}).cwnd(20'000);
}

// As Linux has it, and the default: ADR 15.
TEST(SlowStart, AnAckOfManyAddsThemAll) {
  Script s{Established{.sack = true}};
  s.app_send(10'000).skip().at(100ms).receives({.ack = 10'000}).cwnd(20'000);
  Script t{Established{}};
  t.app_send(10'000).skip().at(100ms).receives({.ack = 10'000}).cwnd(20'000);
}

// RFC 3465 §2.3.
//= RFC3465 2.2 type=test
TEST(SlowStart, AnAckOfManyAddsTwoSegmentsWithoutRounds) {
  Script s{Established{.tune = [](tcp::Config& c) { c.slow_start_limit = 2; }}};
  s.app_send(10'000).skip().receives({.ack = 10'000}).cwnd(12'000);
}

//= RFC3465 2.3 type=test
TEST(SlowStart, AfterATimeOutAnAckAddsOneSegment) {
  Script s{Established{}};
  s.app_send(20'000).skip().at(1s).skip().at(1'100ms).receives({.ack = 9'000}).cwnd(2'000).skip();
  s.receives({.ack = 12'000}).skip();
}

// Rounds of 100 ms, then of 140: from the eighth sample on a quarter of the growth, and after five
// rounds of that congestion avoidance.
//= RFC9406 4.2-f type=test
//= RFC9406 4.3-b type=test
TEST(HyStart, ALongerRoundTripEndsSlowStart) {
  Script s{Established{.wscale = 7, .sack = true}};
  s.app_send(900'000).skip().at(100ms);
  acks_all(s, 0).cwnd(20'000);
  Duration now = 100ms;
  std::uint32_t at = 10'000;
  for (int round = 0; round < 6; ++round) {
    const std::uint32_t out = distance(s.tcb().snd_una, s.tcb().snd_nxt);
    s.at(now += 140ms);
    acks_all(s, at);
    at += out;
    if (round == 0) s.cwnd(20'000 + 7 * 1'000 + 13 * 250);
    if (round == 3) s.ssthresh(tcp::kNoSsthresh);
  }
  EXPECT_EQ(s.tcb().ssthresh, 70'250U);  // cwnd as it was when the fifth conservative round ended
  EXPECT_LE(s.tcb().ssthresh, s.tcb().cwnd);
  EXPECT_EQ(s.counters().retrans_segs.get(), 0U);
  s.receives({.ack = at}).skip();
}

TEST(HyStart, CanBeOff) {
  Script s{
      Established{.wscale = 7, .sack = true, .tune = [](tcp::Config& c) { c.hystart = false; }}};
  s.app_send(100'000).skip().at(100ms);
  acks_all(s, 0).cwnd(20'000).at(240ms);
  acks_all(s, 10'000).cwnd(40'000);
}

// §4.3: only the first slow start of a connection.
//= RFC9406 4.3-b type=test
TEST(HyStart, IsForTheFirstSlowStart) {
  Script s{Established{.wscale = 7, .sack = true}};
  s.tcb().ssthresh = 200'000;
  s.app_send(100'000).skip().at(100ms);
  acks_all(s, 0).cwnd(20'000).at(240ms);
  acks_all(s, 10'000).cwnd(40'000);
  EXPECT_FALSE(s.tcb().log->hystart.running);
}

}  // namespace
}  // namespace weir::test
