// Timestamps and PAWS: lib/tcp/timestamps.cc (RFC 7323 §3-5).
#include "script/script.h"

namespace weir::test {
namespace {

const Established kStamped{.ts = Ts{1'000, 0}};

// §3.2: on every segment but RST, our clock in milliseconds, the peer's echoed.
//= RFC7323 3.2-b type=test
TEST(Timestamps, AreOnEverySegment) {
  Script s{kStamped};
  s.at(10ms).app_send(100).sends({.ts = Ts{10, 1'000}});
  s.at(20ms).receives({.ack = 100, .len = 2'000, .ts = Ts{1'020, 10}});
  s.sends({.ack = 2'000, .flags = ACK, .ts = Ts{20, 1'020}}).app_reads(2'000);
  s.at(30ms).receives({.seq = 2'000, .ack = 100, .len = 2'000, .ts = Ts{1'031, 20}});
  s.sends({.ack = 4'000, .flags = ACK, .ts = Ts{30, 1'031}}).app_reads(2'000);
  s.app_shutdown().sends({.flags = ACK | FIN, .ts = Ts{30, 1'031}});
}

// The ACK that ends the handshake echoes the SYN-ACK's clock: the first round trip is known when
// the first text goes. Not that of a SYN-ACK that went twice (RFC 6298 §5.7), nor of no echo.
//= RFC7323 4.1 type=test
TEST(Timestamps, TheHandshakeIsAListenersFirstSample) {
  Script s{Established{.ts = Ts{1'000, 0U - 400}}};
  EXPECT_TRUE(s.tcb().rto.sampled());
  EXPECT_EQ(s.tcb().rto.srtt(), 400ms);
  s.app_send(100).skip().next_timer(1'200ms).at(1'200ms).sends({.seq = 0, .len = 100});
  s.receives({.ack = 100, .ts = Ts{2'200, 1'200}});
  Script none{kStamped};
  EXPECT_FALSE(none.tcb().rto.sampled());
}

// An echo older than the longest time-out measures nothing.
TEST(Timestamps, ARoundTripIsNoLongerThanTheLongestTimeout) {
  Script s{Established{.ts = Ts{1'000, 0U - 120'000}}};
  EXPECT_EQ(s.tcb().rto.srtt(), 120s);
  Script t{Established{.ts = Ts{1'000, 0U - 120'001}}};
  EXPECT_FALSE(t.tcb().rto.sampled());
}

// One measurement at a time: while a segment is timed an echo is no sample of its own. Neither is
// an option that was never agreed on.
TEST(Timestamps, AnEchoIsNoSampleWhileASegmentIsTimed) {
  Script s{kStamped};
  s.at(10ms).app_send(1'000).skip().at(50ms).receives({.ack = 500, .ts = Ts{1'050, 10}});
  EXPECT_FALSE(s.tcb().rto.sampled());
  s.at(70ms).receives({.ack = 1'000, .ts = Ts{1'060, 10}});
  EXPECT_EQ(s.tcb().rto.srtt(), 60ms);
  Script t{Established{}};
  t.app_send(1'000).skip().at(1s).skip();
  t.at(1'050ms).receives({.ack = 1'000, .ts = Ts{1'050, 1'000}});
  EXPECT_FALSE(t.tcb().rto.sampled());
}

// A blind segment whose ACK is out of range must not move TS.Recent, or PAWS would shut the peer
// out.
TEST(Timestamps, ABlindSegmentDoesNotPoisonTsRecent) {
  Script s{kStamped};
  s.at(10ms).app_send(100).skip();
  s.receives({.ack = 0x4000'0000, .len = 100, .ts = Ts{0x7000'0000, 10}}).skip();
  s.at(20ms).receives({.ack = 100, .len = 100, .ts = Ts{1'020, 10}});
  EXPECT_EQ(s.counters().drop_paws.get(), 0U);
  s.at(60ms).skip().app_reads(100);
}

// §3.2: SHOULD be silently dropped.
//= RFC7323 3.2-c type=test
TEST(Timestamps, ASegmentWithoutThemIsDropped) {
  Script s{kStamped};
  s.receives({.len = 100}).at(1s).quiet().notices(0);
  EXPECT_EQ(s.counters().drop_no_timestamp.get(), 1U);
}

// §5.3 R1: an ACK, and the segment is dropped.
//= RFC7323 5.3-a type=test
TEST(Paws, OldTimestampIsAnsweredAndDropped) {
  Script s{kStamped};
  s.receives({.len = 100, .ts = Ts{999, 0}}).sends({.ack = 0, .ts = Ts{0, 1'000}}).notices(0);
  EXPECT_EQ(s.counters().drop_paws.get(), 1U);
  s.receives({.len = 100, .ts = Ts{1'000, 0}}).at(40ms).sends({.ack = 100}).app_reads(100);
}

// The clock wraps too.
//= RFC7323 5.3-b type=test
TEST(Paws, ComparesModulo) {
  Script s{Established{.ts = Ts{0xffff'fff0, 0}}};
  s.receives({.len = 100, .ts = Ts{5, 0}}).at(40ms).sends({.ack = 100, .ts = Ts{40, 5}});
  s.receives({.seq = 100, .len = 100, .ts = Ts{0xffff'fff1, 0}}).sends({.ack = 100});
  s.app_reads(100);
}

// §5.2: RST is exempt.
//= RFC7323 5.2 type=test
TEST(Paws, RstIsExempt) {
  Script s{kStamped};
  s.receives({.flags = RST, .ts = Ts{1, 0}}).closed(CloseReason::kReset);
  Script t{kStamped};
  t.receives({.flags = RST}).closed(CloseReason::kReset);
}

// §4.3 (2): only SEG.SEQ <= Last.ACK.sent moves TS.Recent, so a delayed ACK echoes the earliest.
//= RFC7323 4.3-b type=test
TEST(Timestamps, TheDelayedAckEchoesTheEarliest) {
  Script s{kStamped};
  s.at(10ms).receives_burst({{.seq = 0, .len = 1'000, .ts = Ts{1'010, 0}},
                             {.seq = 1'000, .len = 1'000, .ts = Ts{1'015, 0}}});
  s.sends({.ack = 2'000, .ts = Ts{10, 1'010}}).app_reads(2'000);
}

//= RFC7323 4.3-a type=test
TEST(Timestamps, ASegmentBeyondAHoleIsNotEchoed) {
  Script s{kStamped};
  s.receives({.seq = 1'000, .len = 1'000, .ts = Ts{1'050, 0}})
      .sends({.ack = 0, .ts = Ts{0, 1'000}});
  s.receives({.seq = 0, .len = 1'000, .ts = Ts{1'060, 0}})
      .sends({.ack = 2'000, .ts = Ts{0, 1'060}});
  s.app_reads(2'000);
}

// §5.5: after 24 days of silence TS.Recent says nothing any more.
//= RFC7323 5.5 type=test
TEST(Paws, After24DaysAnyTimestampIsTaken) {
  Script s{kStamped};
  s.at(24h * 24 + 2s).receives({.len = 2'000, .ts = Ts{10, 0}}).sends({.ack = 2'000});
  EXPECT_EQ(s.tcb().ts_recent, 10U);
  s.app_reads(2'000);
}

TEST(Paws, Before24DaysItIsNot) {
  Script s{kStamped};
  s.at(24h * 24 - 2s).receives({.len = 2'000, .ts = Ts{10, 0}}).sends({.ack = 0});
}

// The host is up for a month when the connection opens: the SYN's timestamp has an age of its own.
TEST(Paws, HoldsFromTheOpeningOn) {
  tcp::Config c;
  tcp::Tcb t{c};
  telemetry::Counters counters;
  tcp::Outbox out;
  out.counters = &counters;
  const Instant now{24h * 40};
  user_open(t, {.iss = Seq{100}}, now);
  poll_transmit(t, now, out);
  tcp::RxSegment seg;
  seg.ack = Seq{101};
  seg.flags = SYN | ACK;
  seg.options.has_timestamps = true;
  seg.options.ts_val = 5'000;
  on_segment(t, seg, now, out);
  EXPECT_EQ(t.state, kEstablished);
  seg.seq = Seq{1};
  seg.flags = ACK | FIN;
  seg.options.ts_val = 4'999;
  on_segment(t, seg, now, out);
  EXPECT_EQ(t.state, kEstablished);
  EXPECT_EQ(counters.drop_paws.get(), 1U);
}

// §4.1: retransmitted text is still measured, by the echo (RTTM), and the RTO recovers.
//= RFC7323 4.1 type=test
TEST(Timestamps, MeasureARetransmission) {
  Script s{kStamped};
  s.app_send(1'000).sends({.ts = Ts{0, 1'000}});
  s.at(1s).sends({.seq = 0, .ts = Ts{1'000, 1'000}});
  s.at(1100ms).receives({.ack = 1'000, .ts = Ts{2'100, 1'000}});  // 100 ms: RTO 300 ms
  s.app_send(1'000).sends({.seq = 1'000});
  s.at(1400ms).sends({.seq = 1'000});
}

// What is old and empty is answered at the pace of challenge ACKs, lest two ends answer each other.
//= RFC7323 5.3-a type=test
TEST(Paws, AnOldEmptySegmentIsAnsweredOnce) {
  Script s{Established{.ts = Ts{1'000, 0}}};
  s.at(10ms).receives({.ts = Ts{999, 0}}).sends({.ack = 0}).receives({.ts = Ts{999, 0}}).quiet();
  EXPECT_EQ(s.counters().drop_paws.get(), 2U);
}

// §5.5: 24 days to the second, from when the same value came last.
//= RFC7323 5.5 type=test
TEST(Paws, TsRecentIsVoidAfter24DaysToTheSecond) {
  constexpr Duration kDay = 24h;
  for (const Duration late : {Duration(0s), Duration(1s)}) {
    Script s{Established{.ts = Ts{1'000, 0}}};
    s.at(20 * kDay).receives({.ts = Ts{1'000, 0}}).quiet();  // no newer, and yet a sign
    s.at(44 * kDay + late).receives({.len = 100, .ts = Ts{900, 0}}).skip();
    EXPECT_EQ(s.tcb().rcvq.bytes(), late > Duration(0s) ? 100U : 0U);
    EXPECT_EQ(s.tcb().ts_recent, late > Duration(0s) ? 900U : 1'000U);
    s.runs_until(45 * kDay).app_abort().skip();
  }
}

// Linux takes a segment without, and so does who asks for it: it moves neither TS.Recent nor the
// RTO.
TEST(Timestamps, MayBeMissingWhereThatIsSet) {
  Script s{Established{.ts = Ts{1'000, 0},
                       .tune = [](tcp::Config& c) { c.timestamps_required = false; }}};
  s.receives({.len = 100}).app_reads(100).at(40ms).sends({.ack = 100, .ts = Ts{40, 1'000}});
  EXPECT_EQ(s.counters().drop_no_timestamp.get(), 0U);
  s.receives({.seq = 100, .len = 100, .ts = Ts{999, 0}}).sends({.ack = 100});
  EXPECT_EQ(s.counters().drop_paws.get(), 1U);
}

// §3.2: a RST carries them, too.
//= RFC7323 3.2-e type=test
TEST(Timestamps, StandInAReset) {
  Script s{kStamped};
  s.at(300ms).receives({.len = 100, .ts = Ts{1'300, 0}}).skip();
  s.runs_until(500ms).app_abort().sends({.flags = RST | ACK, .has_ts = true, .ts = Ts{500, 1'300}});
  Script t{Established{}};
  t.app_abort().sends({.flags = RST | ACK, .has_ts = false});
}

}  // namespace
}  // namespace weir::test
