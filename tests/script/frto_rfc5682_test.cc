// Spurious time-outs: lib/tcp/frto.cc (RFC 5682; with timestamps RFC 3522) and what undoing them
// gives back (RFC 9438 §4.9). Segments of 1,000 octets, ten of them at first.
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::Frto;
using tcp::Recovery;

// Ten of twenty segments are out, and the timer fires at 1 s.
Script& timed_out(Script& s, std::uint32_t octets = 20'000) {
  s.app_send(octets);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = i * 1'000, .len = 1'000});
  return s.quiet().at(1s).sends({.seq = 0, .len = 1'000}).quiet().cwnd(1'000).ssthresh(7'000);
}

// The same with SACK: the probe of the tail comes first, and takes new text.
Script& timed_out_after_probe(Script& s, Duration begin = 0s) {
  s.at(begin).app_send(20'000).skip();
  s.at(begin + 1s).sends({.seq = 10'000, .len = 1'000}).quiet();
  return s.at(begin + 2s).sends({.seq = 0, .len = 1'000}).quiet().cwnd(1'000).ssthresh(7'000);
}

// §2.1: the ACK of the first segment lets two new ones go; the next one is of text that was sent
// once, so it is the first flight that arrives, late.
//= RFC5682 2.1-a type=test
//= RFC5682 2.1-c type=test
//= RFC5682 2.1-e type=test
TEST(Frto, ALateFlightIsNotSentAgain) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives({.ack = 1'000});
  s.sends({.seq = 10'000, .len = 1'000}).sends({.seq = 11'000, .len = 1'000}).quiet();
  s.at(1'110ms).receives({.ack = 2'000}).cwnd(11'000).ssthresh(tcp::kNoSsthresh);
  s.sends({.seq = 12'000, .len = 1'000}).quiet();
  EXPECT_EQ(s.tcb().recovery, Recovery::kNone);
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  EXPECT_EQ(s.counters().retrans_segs.get(), 1U);
  s.at(1'200ms).receives({.ack = 13'000}).skip().at(1'300ms).receives({.ack = 20'000});
}

// What follows is recovered as any loss: the time-out that was none covers nothing.
TEST(Frto, ALossAfterALateFlightIsFound) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives({.ack = 1'000}).skip().receives({.ack = 2'000}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  s.receives({.ack = 2'000}).receives({.ack = 2'000}).skip();
  s.receives({.ack = 2'000}).sends({.seq = 2'000, .len = 1'000});
  s.skip().at(1'200ms).receives({.ack = 20'000}).skip();
}

// Of the two segments of new text one may be small: what is left of two is counted in octets.
TEST(Frto, TwoSegmentsOfNewTextAreCountedInOctets) {
  Script s{Established{.no_delay = true}};
  timed_out(s, 10'500).at(1'100ms).receives({.ack = 1'000}).sends({.seq = 10'000, .len = 500});
  s.quiet().app_send(5'000).sends({.seq = 10'500, .len = 1'000}).quiet();
  s.receives({.ack = 11'500}).skip().receives({.ack = 15'500});
}

// A time-out that ends a fast recovery is looked at as any.
TEST(Frto, AfterAFastRecoveryToo) {
  Script s{Established{}};
  s.app_send(20'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0}).skip();
  EXPECT_EQ(s.tcb().recovery, Recovery::kFast);
  s.runs_until(1s);
  EXPECT_EQ(s.tcb().frto, Frto::kResent);
  s.receives({.ack = 20'000}).skip();
}

// Step 3a: a duplicate, so the second segment is missing. No more than 3 segments, and slow start.
//= RFC5682 2.1-d type=test
TEST(Frto, ADuplicateAfterNewTextIsALoss) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives({.ack = 1'000}).skip();
  s.at(1'200ms).receives({.ack = 1'000}).cwnd(3'000).sends({.seq = 1'000, .len = 1'000}).quiet();
  EXPECT_EQ(s.tcb().recovery, Recovery::kRto);
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
  s.at(1'300ms).receives({.ack = 2'000}).cwnd(4'000);
  s.sends({.seq = 2'000, .len = 1'000}).sends({.seq = 3'000, .len = 1'000}).quiet();
  s.ssthresh(7'000).receives({.ack = 12'000}).skip();
}

// Step 2a: everything is acknowledged: whether late or by the resent segment cannot be told.
//= RFC5682 2.1-b type=test
TEST(Frto, AnAckOfAllTellsNothing) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives({.ack = 10'000}).cwnd(2'000).ssthresh(7'000);
  s.sends({.seq = 10'000}).sends({.seq = 11'000}).quiet();
  EXPECT_EQ(s.tcb().frto, Frto::kOff);
  s.at(1'200ms).receives({.ack = 11'000}).cwnd(3'000).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
}

//= RFC5682 2.1-b type=test
TEST(Frto, ADuplicateFirstTellsOfALoss) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives({.ack = 0}).quiet();
  s.at(1'110ms).receives({.ack = 1'000});
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .len = 1'000}).quiet();
}

// An ACK of part of what was resent: the next one would be of the rest of it.
//= RFC5682 2.1-b type=test
TEST(Frto, AnAckOfPartOfWhatWasResentTellsNothing) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives({.ack = 500});
  EXPECT_EQ(s.tcb().frto, Frto::kOff);
  s.skip().at(1'200ms).receives({.ack = 1'000}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
}

//= RFC5682 2.1-f type=test
TEST(Frto, WithoutNewTextTheLostIsSentAgain) {
  Script s{Established{}};
  timed_out(s, 10'000).at(1'100ms).receives({.ack = 1'000});
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .len = 1'000}).quiet();
  EXPECT_EQ(s.tcb().frto, Frto::kOff);
}

//= RFC5682 2.1-f type=test
TEST(Frto, WithoutRoomForNewTextTheLostIsSentAgain) {
  Script s{Established{.wnd = 10'000}};
  timed_out(s).at(1'100ms).receives({.ack = 1'000, .wnd = 9'000});
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .len = 1'000}).quiet();
}

// The timer fires once more in the same recovery: from then on as ever.
//= RFC5682 2.1-a type=test
TEST(Frto, IsNotForASecondTimeOut) {
  Script s{Established{}};
  timed_out(s).at(3s).sends({.seq = 0, .len = 1'000}).quiet();
  EXPECT_EQ(s.tcb().frto, Frto::kOff);
  s.at(3'100ms).receives({.ack = 1'000});
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .len = 1'000}).quiet();
}

TEST(Frto, TheSettingTurnsItOff) {
  Script s{Established{.tune = [](tcp::Config& c) { c.frto = false; }}};
  timed_out(s).at(1'100ms).receives({.ack = 1'000});
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .len = 1'000}).quiet();
}

// Two ACKs before anything could be sent: the second one tells as much.
TEST(Frto, ABurstOfLateAcksIsEnough) {
  Script s{Established{}};
  timed_out(s).at(1'100ms).receives_burst({{.ack = 1'000}, {.ack = 2'000}, {.ack = 3'000}}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  EXPECT_EQ(s.counters().retrans_segs.get(), 1U);
}

// A path that shrinks meanwhile: what was too big goes again, and nothing is undone.
TEST(Frto, ASmallerPathEndsIt) {
  Script s{Established{}};
  timed_out(s);
  s.icmp({.mtu = 640}).skip();
  s.at(1'100ms).receives({.ack = 1'000}).skip();
  s.at(1'200ms).receives({.ack = 1'600}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
}

// -- With SACK (§3.1) -----------------------------------------------------------------------------

//= RFC5682 3.1 type=test
//= RFC9438 4.9.2 type=test
TEST(FrtoSack, ALateFlightIsNotSentAgain) {
  Script s{Established{.sack = true}};
  timed_out_after_probe(s).at(2'100ms).receives({.ack = 1'000});
  s.sends({.seq = 11'000, .len = 1'000}).sends({.seq = 12'000, .len = 1'000}).quiet();
  s.at(2'110ms).receives({.ack = 2'000}).cwnd(11'000).ssthresh(tcp::kNoSsthresh);
  EXPECT_EQ(s.tcb().log->lost(), 0U);
  EXPECT_EQ(s.tcb().recovery, Recovery::kNone);
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  EXPECT_EQ(s.counters().retrans_segs.get(), 1U);
  s.skip().at(2'120ms).receives({.ack = 13'000}).skip();
}

// Step 3: a SACK of old text that was sent once is as good.
//= RFC5682 3.1 type=test
TEST(FrtoSack, ASackOfTheFirstFlightIsEnough) {
  Script s{Established{.sack = true}};
  timed_out_after_probe(s).at(2'100ms).receives({.ack = 1'000}).skip();
  s.at(2'110ms).receives({.ack = 1'000, .sack = {{3'000, 4'000}}});
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  EXPECT_EQ(s.tcb().recovery, Recovery::kNone);
  s.skip().at(2'111ms).receives({.ack = 13'000}).skip();
}

//= RFC5682 3.1 type=test
TEST(FrtoSack, ASackOfTheNewTextAloneIsALoss) {
  Script s{Established{.sack = true}};
  timed_out_after_probe(s).at(2'100ms).receives({.ack = 1'000}).skip();
  s.at(2'200ms).receives({.ack = 1'000, .sack = {{11'000, 12'000}}}).cwnd(3'000);
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .len = 1'000}).quiet();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
  EXPECT_EQ(s.tcb().recovery, Recovery::kRto);
  s.ssthresh(7'000).at(2'300ms).receives({.ack = 13'000}).skip();
}

// Step 2: what is told of before the first segment is acknowledged decides nothing.
//= RFC5682 3.1 type=test
TEST(FrtoSack, ASackBeforeTheFirstAckIsWaitedOut) {
  Script s{Established{.sack = true}};
  timed_out_after_probe(s).at(2'050ms).receives({.ack = 0, .sack = {{1'000, 2'000}}}).quiet();
  EXPECT_EQ(s.tcb().frto, Frto::kResent);
  s.at(2'100ms).receives({.ack = 2'000});
  s.sends({.seq = 11'000, .len = 1'000}).sends({.seq = 12'000, .len = 1'000}).quiet();
  s.at(2'110ms).receives({.ack = 3'000}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  s.at(2'120ms).receives({.ack = 13'000}).skip();
}

// What was sent twice before the timer fired, here as a probe, may answer the second sending.
//= RFC5682 3.1 type=test
TEST(FrtoSack, ASackOfWhatWasSentTwiceTellsNothing) {
  Script s{Established{.sack = true}};
  s.app_send(10'000).skip().at(1s).sends({.seq = 9'000, .len = 1'000}).quiet();
  s.at(2s).sends({.seq = 0, .len = 1'000}).quiet().app_send(5'000).quiet();
  s.at(2'100ms).receives({.ack = 1'000}).sends({.seq = 10'000}).sends({.seq = 11'000}).quiet();
  s.at(2'110ms).receives({.ack = 1'000, .sack = {{9'000, 10'000}}}).quiet();
  EXPECT_EQ(s.tcb().frto, Frto::kProbing);
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
  s.receives({.ack = 12'000}).skip();
}

// The late ACK of the first segment came more than a round trip after it was sent again, so RACK
// took it for the answer to that. What was sent before is not lost for it.
TEST(FrtoSack, WhatRackConcludedIsForgotten) {
  Script s{Established{.sack = true}};
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000}).app_send(20'000).skip();
  s.at(302ms).sends({.seq = 11'000}).quiet().at(602ms).sends({.seq = 1'000}).quiet();
  s.at(712ms).receives({.ack = 2'000}).skip().at(720ms).receives({.ack = 3'000}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  s.at(721ms).receives({.ack = 3'000, .sack = {{6'000, 7'000}}}).skip();
  EXPECT_EQ(s.counters().retrans_segs.get(), 1U);
  s.at(722ms).receives({.ack = 15'000}).skip();
}

TEST(FrtoSack, WhatTheWindowKnewIsBack) {
  Script s{Established{.sack = true}};
  s.tcb().cubic.w_max = 55'000;
  s.tcb().cubic.running = true;
  timed_out_after_probe(s);
  EXPECT_EQ(s.tcb().cubic.w_max, 0U);
  EXPECT_FALSE(s.tcb().cubic.running);
  s.at(2'100ms).receives({.ack = 1'000}).skip().receives({.ack = 2'000}).skip();
  EXPECT_EQ(s.tcb().cubic.w_max, 55'000U);
  EXPECT_TRUE(s.tcb().cubic.running);
  EXPECT_EQ(s.tcb().cubic.last_us, 3'602'100'000U);  // the curve stood still meanwhile
  s.at(2'120ms).receives({.ack = 13'000}).skip();
}

// -- With timestamps (RFC 3522) -----------------------------------------------------------------

TEST(Eifel, AnEchoOfTheFirstSendingUndoesATimeOutAtOnce) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true}};
  timed_out_after_probe(s, 10ms).at(2'110ms).receives({.ack = 1'000, .ts = Ts{2, 10}});
  EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
  s.ssthresh(tcp::kNoSsthresh).skip();
  EXPECT_EQ(s.counters().retrans_segs.get(), 1U);
  s.at(2'120ms).receives({.ack = 11'000, .ts = Ts{3, 10}}).skip();
}

TEST(Eifel, AnEchoOfTheSecondSendingDoesNot) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true}};
  timed_out_after_probe(s, 10ms).at(2'110ms).receives({.ack = 1'000, .ts = Ts{2, 2'010}});
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
  EXPECT_EQ(s.tcb().frto, Frto::kProbing);
  s.skip().at(2'120ms).receives({.ack = 11'000, .ts = Ts{3, 10}}).skip();
}

// Both sendings within one tick of the clock: the echo may be of either.
TEST(Eifel, ATickIsNoEvidence) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true}};
  s.at(10'900us).app_send(10'000).skip();
  s.at(110'300us).receives({.ts = Ts{2, 10}, .sack = {{1'000, 4'000}}}).skip();  // resent at 110
  s.at(210'200us).receives({.ack = 4'000, .ts = Ts{3, 110}});
  EXPECT_EQ(s.counters().spurious_recoveries.get(), 0U);
  s.skip().receives({.ack = 10'000, .ts = Ts{4, 10}}).skip();
}

TEST(Eifel, AFastRecoveryIsUndoneAsWell) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true}};
  s.at(10ms).app_send(10'000).skip();
  s.at(110ms).receives({.ts = Ts{2, 10}, .sack = {{1'000, 4'000}}}).ssthresh(7'000);
  s.sends({.seq = 0, .len = 1'000}).quiet();
  s.at(115ms).receives({.ack = 4'000, .ts = Ts{3, 10}}).ssthresh(tcp::kNoSsthresh);
  EXPECT_EQ(s.counters().spurious_recoveries.get(), 1U);
  EXPECT_EQ(s.tcb().recovery, Recovery::kNone);
  EXPECT_TRUE(s.tcb().reordering_seen);
  EXPECT_GE(s.tcb().cwnd, 10'000U);
  s.at(120ms).receives({.ack = 10'000, .ts = Ts{4, 10}}).quiet();
}

// Nothing of what was taken for lost is: it is not sent again.
TEST(Eifel, WhatWasTakenForLostIsNot) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true, .tune = [](tcp::Config& c) {
                         c.congestion_control = tcp::CongestionControl::kReno;
                       }}};
  s.at(10ms).app_send(10'000).skip();
  s.at(110ms).receives({.ts = Ts{2, 10}, .sack = {{3'000, 6'000}}}).sends({.seq = 0}).quiet();
  s.at(115ms).receives({.ack = 1'000, .ts = Ts{3, 10}, .sack = {{3'000, 6'000}}}).quiet();
  EXPECT_EQ(s.counters().spurious_recoveries.get(), 1U);
  s.at(120ms).receives({.ack = 10'000, .ts = Ts{4, 10}}).quiet();
}

// An ACK of nothing is not the first ACK of something.
TEST(Eifel, ASackBeforeTheFirstAckIsWaitedOut) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true}};
  s.at(10ms).app_send(10'000).skip();
  s.at(110ms).receives({.ts = Ts{2, 10}, .sack = {{1'000, 4'000}}}).skip();
  s.at(112ms).receives({.ts = Ts{2, 10}, .sack = {{1'000, 5'000}}}).skip();
  s.at(115ms).receives({.ack = 5'000, .ts = Ts{3, 10}}).skip();
  EXPECT_EQ(s.counters().spurious_recoveries.get(), 1U);
  s.at(120ms).receives({.ack = 10'000, .ts = Ts{4, 10}}).skip();
}

TEST(Eifel, ARealLossStays) {
  Script s{Established{.ts = Ts{1, 0}, .sack = true}};
  s.at(10ms).app_send(10'000).skip();
  s.at(110ms).receives({.ts = Ts{2, 10}, .sack = {{1'000, 4'000}}}).skip();
  s.at(210ms).receives({.ack = 4'000, .ts = Ts{3, 110}}).skip().ssthresh(7'000);
  EXPECT_EQ(s.tcb().recovery, Recovery::kFast);
  // Only the first ACK may tell: this one is of what was never in doubt.
  s.at(215ms).receives({.ack = 6'000, .ts = Ts{4, 10}}).skip().ssthresh(7'000);
  EXPECT_EQ(s.counters().spurious_recoveries.get(), 0U);
  s.at(220ms).receives({.ack = 10'000, .ts = Ts{5, 10}}).skip();
}

}  // namespace
}  // namespace weir::test
