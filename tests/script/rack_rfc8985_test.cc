// Loss found by time and by tail loss probes (RFC 8985), and what it does to the congestion window
// (RFC 6937). Segments of 1,000 octets, ten of them at first; the round trip takes 100 ms.
#include "script/script.h"

namespace weir::test {
namespace {

// What Reno does with the window; CUBIC's numbers are in cubic_rfc9438_test.cc.
void reno(tcp::Config& c) {
  c.congestion_control = tcp::CongestionControl::kReno;
}

constexpr std::uint32_t kWnd = 65'535;

Peer sacks(std::uint32_t ack, std::vector<Block> blocks) {
  return {.ack = ack, .wnd = kWnd, .sack = std::move(blocks)};
}

// Ten segments went out at 0.
Script& ten_out(Script& s) {
  s.app_send(10'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = i * 1'000, .len = 1'000});
  return s.quiet();
}

//= RFC8985 6.2-b type=test
TEST(Rack, ThreeSegmentsSackedAboveAHoleTellOfItsLossAtOnce) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 4'000}}));
  s.sends({.seq = 0, .len = 1'000});
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  s.at(200ms).receives({.ack = 4'000}).skip();
}

// §6.2 step 4: a quarter of the round trip, in which it may still come.
//= RFC8985 6.2-e type=test
//= RFC8985 6.2-h type=test
TEST(Rack, OneSackedSegmentWaitsForTheReorderingWindow) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 2'000}}));
  s.quiet().next_timer(125ms);
  s.at(125ms).sends({.seq = 0, .len = 1'000});
}

TEST(Rack, ASegmentThatComesLateIsNotSentAgain) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 2'000}})).quiet();
  s.at(110ms).receives({.ack = 2'000}).quiet();
  s.at(130ms).receives({.ack = 10'000}).quiet();
}

// Once reordering was seen, three segments above a hole are no proof any more.
//= RFC8985 6.2-d type=test
TEST(Rack, ReorderingMakesItPatient) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 2'000}})).quiet();
  s.at(110ms).receives({.ack = 2'000}).skip();
  EXPECT_TRUE(s.tcb().reordering_seen);
  s.at(120ms).receives(sacks(2'000, {{3'000, 7'000}})).quiet();
  s.at(144ms).quiet();
  s.at(145ms).sends({.seq = 2'000, .len = 1'000}).skip();
}

//= RFC8985 8 type=test
//= RFC8985 6.1 type=test
//= RFC8985 5.1 type=test
TEST(Rack, ALostRetransmissionIsFoundByWhatWasSentAfterIt) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 4'000}}));
  s.sends({.seq = 0, .len = 1'000}).quiet();
  s.app_send(5'000).quiet();
  // Its window moves on: new text follows the resent segment.
  s.at(101ms).receives(sacks(0, {{1'000, 9'000}}));
  s.sends({.seq = 10'000, .len = 1'000});
  s.skip();
  // What was sent at 101 ms came, what was resent at 100 ms did not.
  s.at(201ms).receives(sacks(0, {{1'000, 11'000}}));
  s.sends({.seq = 0, .len = 1'000}).skip();
  EXPECT_EQ(s.counters().rto_timeouts.get(), 0U);
}

// Sent again at 100 ms, answered at 101: that was the first sending, late. What went out beside it
// is not lost for that.
//= RFC8985 6.2-c type=test
TEST(Rack, AnAnswerTooSoonForARetransmissionSaysNothingOfItsTime) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 4'000}}));
  s.sends({.seq = 0, .len = 1'000});
  s.at(101ms).receives({.ack = 4'000}).quiet();
  EXPECT_EQ(s.tcb().log->lost(), 0U);
  s.at(102ms).receives({.ack = 10'000}).quiet();
}

//= RFC8985 6.2-c type=test
TEST(Rack, ATimestampTellsWhichSendingWasAnswered) {
  Script s(Established{.ts = Ts{1, 0}, .sack = true});
  s.at(10ms).app_send(10'000).skip();
  s.at(110ms).receives({.ts = Ts{2, 10}, .sack = {{1'000, 4'000}}});
  s.sends({.seq = 0, .len = 1'000});
  s.at(260ms).receives({.ack = 4'000, .ts = Ts{3, 10}}).quiet();
  s.at(270ms).receives({.ack = 10'000, .ts = Ts{4, 10}}).quiet();
}

// §6.3: the first goes, whatever is in the network; what was sent a moment ago is not lost yet.
//= RFC2018 5.1-b type=test
//= RFC8985 6.3 type=test
TEST(Rack, ATimeOutResendsTheFirstAndSparesTheRecent) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 4'000}}));
  s.sends({.seq = 0, .len = 1'000});
  s.app_send(3'000).at(990ms).receives(sacks(0, {{1'000, 8'000}})).skip();
  s.at(1s).sends({.seq = 0, .len = 1'000}).quiet();
  EXPECT_EQ(s.counters().rto_timeouts.get(), 1U);
  EXPECT_EQ(s.tcb().log->lost(), 2'000U);  // the end of the first flight; not the new text
  EXPECT_FALSE(s.tcb().log->first_due);
  s.at(1'050ms).receives({.ack = 8'000}).skip();
}

//= RFC8985 7.2-d type=test
TEST(Rack, AFinThatWasLostGoesAgain) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(300).sends({.seq = 0, .len = 300});
  s.app_send(200).quiet();  // Nagle keeps it for the FIN
  s.app_shutdown().sends({.seq = 300, .len = 200, .flags = ACK | PSH | FIN});
  s.at(1s).sends({.seq = 300, .len = 200, .flags = ACK | PSH | FIN});  // the tail's probe
  s.at(2s).sends({.seq = 0, .len = 300}).sends({.seq = 300, .flags = ACK | PSH | FIN});
  s.receives({.ack = 501}).quiet().state(kFinWait2);
}

//= RFC2018 5-a type=test
TEST(Sack, WhatThePeerHasIsNotSentAgainAfterATimeOut) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 2'000}})).quiet();
  s.runs_until(124ms);
  s.at(125ms).sends({.seq = 0, .len = 1'000});
  s.runs_until(1'300ms).skip();
  EXPECT_GT(s.counters().rto_timeouts.get(), 0U);
  s.receives({.ack = 2'000}).cwnd(2'000);  // slow start
  s.sends({.seq = 2'000, .len = 1'000}).sends({.seq = 3'000, .len = 1'000}).quiet();
}

// RFC 2018 §8: a peer may drop what it told of.
//= RFC2018 5-b type=test
TEST(Sack, APeerThatGoesBackOnItsWordIsSentAllAgain) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{0, 1'000}, {5'000, 6'000}})).skip();
  s.runs_until(1'300ms);
  EXPECT_EQ(s.counters().sack_reneged.get(), 1U);
  EXPECT_EQ(s.tcb().log->sacked(), 0U);
  s.receives({.ack = 1'000}).skip();
}

TEST(Sack, BlocksThatCannotBeAreIgnored) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms);
  s.receives(sacks(0, {{2'000, 1'000}, {9'000, 11'000}, {1'000, 1'000}})).quiet();
  s.receives(sacks(0, {{0x8000'0000U, 0x9000'0000U}})).quiet();
  EXPECT_EQ(s.tcb().log->sacked(), 0U);
  s.receives({.ack = 10'000});
}

TEST(Sack, ABlockCountsForWholeSegmentsOnly) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'500, 3'500}}));
  s.quiet();
  EXPECT_EQ(s.tcb().log->sacked(), 1'000U);
  s.receives({.ack = 10'000});
}

TEST(Sack, TheSettingGoesBackToNewReno) {
  Script s(Established{.sack = true, .tune = [](tcp::Config& c) { c.recovery = false; }});
  ten_out(s).at(100ms);
  s.receives(sacks(0, {{1'000, 2'000}})).skip();
  s.receives(sacks(0, {{1'000, 3'000}})).skip();
  EXPECT_EQ(s.tcb().log, nullptr);
  s.receives(sacks(0, {{1'000, 4'000}})).sends({.seq = 0, .len = 1'000}).skip();
}

// The flight halves; what is SACKed or lost is not in the network. 10,000 out, of which 3,000 told
// of and 1,000 lost: 6,000, above ssthresh, so one segment for two that arrive.
//= RFC6937 3-a type=test
//= RFC6937 3-b type=test
//= RFC6937 3-d type=test
//= RFC6937 3-e type=test
TEST(Prr, TheWindowShrinksInProportion) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).app_send(20'000).quiet();
  s.at(100ms).receives(sacks(0, {{1'000, 4'000}}));
  s.ssthresh(5'000).sends({.seq = 0, .len = 1'000}).quiet();
  s.receives(sacks(0, {{1'000, 5'000}})).sends({.seq = 10'000, .len = 1'000}).quiet();
  s.receives(sacks(0, {{1'000, 6'000}})).quiet();
  // 5,000 in the network now: what arrives makes room for as much.
  s.receives(sacks(0, {{1'000, 7'000}})).quiet();
  s.receives(sacks(0, {{1'000, 8'000}})).sends({.seq = 11'000, .len = 1'000}).quiet();
  s.at(200ms).receives({.ack = 10'000}).cwnd(5'000).skip();
}

// A FIN alone is a tail as any: probed for, then resent.
//= RFC8985 7.3 type=test
TEST(Tlp, AFinAloneIsProbedFor) {
  Script s(Established{.sack = true});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.at(1s).app_shutdown().sends({.seq = 1'000, .flags = ACK | FIN}).quiet();
  s.at(1s + 300ms).sends({.seq = 1'000, .len = 0, .flags = ACK | FIN}).quiet();
  EXPECT_EQ(s.counters().tlp_probes.get(), 1U);
  s.at(1s + 600ms).sends({.seq = 1'000, .flags = ACK | FIN}).quiet();
  s.receives({.ack = 1'001}).state(kFinWait2);
  EXPECT_EQ(s.tcb().log, nullptr);
}

// Most of the flight is lost: what is in the network is below ssthresh, and may grow back to it by
// as much as arrives, and one segment more where the loss is being mended and no other shows.
//= RFC6937 3-c type=test
TEST(Prr, AfterAHeavyLossItGrowsBackSlowly) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{7'000, 10'000}}));
  s.ssthresh(5'000).cwnd(3'000);
  for (std::uint32_t i = 0; i < 3; ++i) s.sends({.seq = i * 1'000, .len = 1'000});
  s.quiet().at(200ms).receives(sacks(1'000, {{7'000, 10'000}})).cwnd(4'000);
  for (std::uint32_t i = 3; i < 5; ++i) s.sends({.seq = i * 1'000, .len = 1'000});
  s.quiet().receives({.ack = 10'000}).cwnd(5'000);
}

// What arrives late of the first flight mends nothing: no segment more than it.
//= RFC6937 3-c type=test
TEST(Prr, GrowsByWhatArrivesWhereNothingIsMended) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{6'000, 9'000}}));
  for (std::uint32_t i = 0; i < 3; ++i) s.sends({.seq = i * 1'000, .len = 1'000});
  s.quiet().receives(sacks(0, {{6'000, 10'000}})).sends({.seq = 3'000, .len = 1'000}).quiet();
  s.at(200ms).receives({.ack = 10'000}).skip();
}

// Nor where an ACK that mends something tells of other losses.
//= RFC6937 3-c type=test
TEST(Prr, GrowsByWhatArrivesWhereMoreIsLost) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{3'000, 6'000}}));
  s.sends({.seq = 0, .len = 1'000}).quiet();
  s.at(200ms).receives(sacks(1'000, {{9'000, 10'000}, {3'000, 6'000}}));
  for (const std::uint32_t seq : {1'000U, 2'000U, 6'000U, 7'000U}) {
    s.sends({.seq = seq, .len = 1'000});
  }
  s.quiet().at(300ms).receives({.ack = 10'000}).skip();
}

TEST(Prr, TwoHolesAreResentAsTheWindowLets) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{3'000, 6'000}, {1'000, 2'000}}));
  s.sends({.seq = 0, .len = 1'000}).quiet();
  s.receives(sacks(0, {{3'000, 8'000}, {1'000, 2'000}}));
  s.sends({.seq = 2'000, .len = 1'000}).quiet();
  s.receives({.ack = 8'000}).skip();
}

//= RFC8985 7.2-c type=test
//= RFC8985 7.3 type=test
TEST(Tlp, TheLastSegmentIsSentAgainWhenItsTailGoesUnanswered) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(3'000).skip();
  s.next_timer(302ms);  // 2 SRTT and a little
  s.at(302ms).sends({.seq = 3'000, .len = 1'000}).quiet();
  EXPECT_EQ(s.counters().tlp_probes.get(), 1U);
  // The probe's SACK shows the loss of the two before it.
  s.at(402ms).receives(sacks(1'000, {{3'000, 4'000}}));
  s.skip();
  s.runs_until(450ms);
  EXPECT_EQ(s.counters().rto_timeouts.get(), 0U);
  EXPECT_GE(s.counters().retrans_segs.get(), 2U);
  s.receives({.ack = 4'000}).skip();
}

//= RFC8985 7.3 type=test
TEST(Tlp, NewTextIsTheProbeWhereThereIsSome) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(20'000).skip();
  const std::uint32_t sent = distance(s.tcb().snd_una, s.tcb().snd_nxt);
  s.at(302ms).sends({.seq = 1'000 + sent, .len = 1'000}).quiet();
  s.receives({.ack = 1'000 + sent + 1'000}).skip();
}

//= RFC8985 7.2-b type=test
TEST(Tlp, OneProbeForAFlight) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(3'000).skip().at(302ms).sends({.seq = 3'000, .len = 1'000});
  s.next_timer(602ms);  // the retransmission timer, started anew by the probe: RTO is 300 ms
  s.app_send(1'000).skip().next_timer(602ms);
  s.receives({.ack = 4'000});
}

// A flight of one waits for the longest delayed ACK as well, so the timer comes first (§7.2).
//= RFC8985 7.2-c type=test
TEST(Tlp, AFlightOfOneIsProbedWhereTheTimerWouldFire) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().next_timer(400ms);
  s.at(400ms).sends({.seq = 1'000, .len = 1'000});
  EXPECT_EQ(s.counters().tlp_probes.get(), 1U);
  EXPECT_EQ(s.counters().rto_timeouts.get(), 0U);
  s.receives({.ack = 2'000});
}

// §7.2: an ACK that says nothing new does not put the probe off, or a peer could for ever.
//= RFC8985 7.2-a type=test
TEST(Tlp, AnAckOfNothingNewDoesNotPutTheProbeOff) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(3'000).skip().next_timer(302ms);
  s.at(200ms).receives({.ack = 1'000}).next_timer(302ms);
  s.at(250ms).receives({.ack = 1'000, .wnd = 60'000}).next_timer(302ms);
  s.at(300ms).receives({.len = 10, .flags = ACK | PSH, .wnd = 60'000}).next_timer(302ms).skip();
  s.at(302ms).sends({.seq = 3'000, .len = 1'000}).app_reads(10).skip();
  s.receives({.seq = 10, .ack = 4'000}).skip();
}

// §7.2: one of something new does.
TEST(Tlp, AnAckOfSomethingNewDoes) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(3'000).skip().next_timer(302ms);
  s.at(200ms).receives({.ack = 2'000}).next_timer(402ms);
  s.receives({.ack = 4'000});
}

// A SACK above a hole ends it: the reordering timer judges (§7.2).
//= RFC8985 7.2-b type=test
TEST(Tlp, ASackEndsTheWaitForAProbe) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(3'000).skip().at(200ms).receives(sacks(1'000, {{2'000, 3'000}}));
  s.next_timer(225ms).at(225ms).sends({.seq = 1'000, .len = 1'000});
  EXPECT_EQ(s.counters().tlp_probes.get(), 0U);
  s.at(325ms).receives({.ack = 4'000}).skip();
}

// §7.4.2: nothing but the probe mended it, so the window answers as to any loss.
//= RFC8985 7.4.2 type=test
TEST(Tlp, AHiddenLossHalvesTheWindow) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().at(400ms).skip();
  s.at(500ms).receives({.ack = 2'000}).skip();
  const std::uint32_t before = s.tcb().cwnd;
  s.app_send(1'000).skip().at(600ms).receives({.ack = 3'000}).skip();
  EXPECT_EQ(s.tcb().ssthresh, before / 2);
}

//= RFC8985 7.4.1 type=test
TEST(Tlp, BothCopiesAnsweredIsNoLoss) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().at(400ms).skip();
  s.at(450ms).receives({.ack = 2'000});
  s.at(500ms).receives(sacks(2'000, {{1'000, 2'000}}));
  const std::uint32_t before = s.tcb().cwnd;
  s.app_send(1'000).skip().at(600ms).receives({.ack = 3'000}).skip();
  EXPECT_GE(s.tcb().cwnd, before);
  EXPECT_EQ(s.counters().dsacks_in.get(), 0U);  // no log was open: nobody counted
}

// RFC 8985 §6.2 step 4: a D-SACK doubles the patience, once a round trip.
//= RFC2883 5 type=test
//= RFC8985 6.2-f type=test
TEST(Rack, ADuplicateThatThePeerTellsOfWidensTheWindow) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 2'000}})).quiet();
  s.at(125ms).sends({.seq = 0, .len = 1'000});
  s.at(130ms).receives({.ack = 2'000}).skip();
  s.receives(sacks(2'000, {{0, 1'000}})).skip();
  EXPECT_EQ(s.tcb().reo_mult, 2);
  s.receives(sacks(2'000, {{0, 1'000}})).skip();
  EXPECT_EQ(s.tcb().reo_mult, 2);
  EXPECT_EQ(s.counters().dsacks_in.get(), 2U);
  s.receives({.ack = 10'000}).skip();
}

// §6.2 step 4: sixteen recoveries without another D-SACK, and the patience is the first again.
//= RFC8985 6.2-g type=test
TEST(Rack, TheWiderWindowPersistsForSixteenRecoveries) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(1'000).skip().receives({.ack = 1'000});
  std::uint32_t at = 1'000;
  s.app_send(1'000).skip().receives(sacks(at, {{0, 1'000}})).receives({.ack = at + 1'000});
  at += 1'000;
  for (int i = 0; i < 16; ++i, at += 2'000) {
    EXPECT_EQ(s.tcb().reo_mult, 2) << "recovery " << i;
    s.app_send(2'000).skip().receives(sacks(at, {{at + 1'000, at + 2'000}}));
    s.sends({.seq = at, .len = 1'000}).receives({.ack = at + 2'000}).skip();
  }
  EXPECT_EQ(s.tcb().reo_mult, 1);
}

// -- The least round trip (§5.2, §6.2) ---------------------------------------------------------

// A path that got longer: the short round trips of before are forgotten, and no sooner.
//= RFC8985 6.2-a type=test
TEST(Rack, TheLeastRoundTripIsOfAWindowOfTime) {
  Script s(Established{.sack = true, .tune = [](tcp::Config& c) { c.min_rtt_wlen = 10s; }});
  std::uint32_t at = 0;
  const auto round_trip = [&](Duration begin, Duration rtt) {
    s.at(begin).app_send(1'000).skip().at(begin + rtt).receives({.ack = at += 1'000}).skip();
    return Duration(s.tcb().min_rtt_us);
  };
  EXPECT_EQ(round_trip(0s, 100ms), 100ms);
  EXPECT_EQ(round_trip(2s, 50ms), 50ms);
  EXPECT_EQ(round_trip(4s, 80ms), 50ms);
  EXPECT_EQ(round_trip(6s, 90ms), 50ms);
  EXPECT_EQ(round_trip(8s, 95ms), 50ms);
  EXPECT_EQ(round_trip(11s, 99ms), 90ms);    // of the last five seconds and since
  EXPECT_EQ(round_trip(40s, 120ms), 120ms);  // nothing of the last ten
}

//= RFC8985 6.2-b type=test
TEST(Rack, TheThresholdIsASetting) {
  Script s(Established{.sack = true, .tune = [](tcp::Config& c) { c.reordering = 5; }});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 5'000}})).quiet();
  s.at(101ms).receives(sacks(0, {{1'000, 6'000}})).sends({.seq = 0, .len = 1'000}).skip();
  s.at(200ms).receives({.ack = 10'000}).skip();
}

TEST(SentLog, AWindowThatShrankGivesTheLogUp) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms);
  s.receives({.ack = 0, .wnd = 500, .sack = {{1'000, 4'000}}});
  EXPECT_EQ(s.tcb().log, nullptr);
  s.skip().receives({.ack = 10'000, .wnd = kWnd}).skip();
}

// A probe's octet is out when the window opens: the flight that follows has its log all the same.
TEST(SentLog, FollowsAZeroWindow) {
  Script s(Established{.wnd = 0, .sack = true});
  s.app_send(3'000).quiet();
  s.at(1s).sends({.seq = 0, .len = 1});
  s.at(1'100ms).receives({.ack = 0, .wnd = kWnd});
  s.sends({.seq = 0, .len = 1}).sends({.seq = 1, .len = 1'000}).skip();
  EXPECT_NE(s.tcb().log, nullptr);
  s.at(1'101ms).receives({.ack = 1}).skip();
  EXPECT_EQ(s.tcb().min_rtt_us, tcp::kNoRtt);  // which sending it answered is not known
  s.at(1'200ms).receives({.ack = 3'000});
}

// The loss that a tail probe brought to light is recovered: it was not hidden, and cuts once.
//= RFC8985 7.4.2 type=test
TEST(Tlp, ALossThatIsRecoveredCutsTheWindowOnce) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(10'000).skip().at(100ms).receives({.ack = 5'000}).skip();
  s.runs_until(303ms);
  EXPECT_EQ(s.counters().tlp_probes.get(), 1U);
  s.at(410ms).receives(sacks(5'000, {{9'000, 10'000}})).skip().runs_until(450ms);
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  const std::uint32_t ssthresh = s.tcb().ssthresh;
  s.at(520ms).receives({.ack = 10'000}).skip().app_send(1'000).skip();
  s.at(640ms).receives({.ack = 11'000}).skip();
  s.ssthresh(ssthresh);
}

// RFC 2883 §5: below the ACK, or inside the second block, edges included.
//= RFC2883 5 type=test
TEST(Dsack, WhatTheFirstBlockMustLookLike) {
  const auto told = [](std::uint32_t ack, const std::vector<Block>& blocks) {
    Script s(Established{.sack = true, .tune = reno});
    ten_out(s).at(100ms).receives(sacks(ack, blocks)).skip();
    const auto n = s.counters().dsacks_in.get();
    s.runs_until(200ms).receives({.ack = 10'000}).skip();
    return n == 1;
  };
  EXPECT_TRUE(told(2'000, {{1'000, 2'000}}));
  EXPECT_FALSE(told(2'000, {{2'000, 3'000}}));
  EXPECT_FALSE(told(2'000, {{4'000, 5'000}}));
  EXPECT_TRUE(told(1'000, {{4'000, 5'000}, {4'000, 5'000}}));
  EXPECT_TRUE(told(1'000, {{4'000, 5'000}, {3'000, 6'000}}));
  EXPECT_FALSE(told(1'000, {{4'000, 5'000}, {5'000, 6'000}}));
  EXPECT_FALSE(told(1'000, {{4'000, 6'000}, {4'000, 5'000}}));
  EXPECT_FALSE(told(1'000, {{3'000, 5'000}, {4'000, 5'000}}));
}

// Karn: what was sent twice is not timed, log or none.
//= RFC9293 MUST-18 type=test
TEST(Rack, ARetransmissionIsNotTimed) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 4'000}})).sends({.seq = 0}).skip();
  s.at(200ms).receives({.ack = 10'000}).skip();
  EXPECT_FALSE(s.tcb().rto.sampled());
}

// What ends exactly where the window ends fits, with the FIN behind it too.
TEST(SentLog, OutlivesAWindowThatIsJustWideEnough) {
  for (const bool fin : {false, true}) {
    Script s(Established{.wnd = 10'000, .sack = true, .tune = reno});
    s.app_send(10'000);
    if (fin) s.app_shutdown();
    s.skip().at(100ms).receives({.ack = 0, .wnd = 10'000, .sack = {{1'000, 4'000}}}).skip();
    s.runs_until(5s);
    EXPECT_NE(s.tcb().log, nullptr);
    s.receives({.ack = fin ? 10'001U : 10'000U}).skip();
  }
}

// -- What the window is cut from and to (RFC 6937) ------------------------------------------------

//= RFC6937 3-a type=test
TEST(Prr, TheCutIsOfWhatIsOut) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(6'000).skip().at(100ms).receives(sacks(0, {{1'000, 4'000}})).skip().ssthresh(3'000);
  s.at(200ms).receives({.ack = 6'000}).skip();
}

// A tail probe is out beyond the window: the cut is of the window then.
TEST(Prr, TheCutIsOfTheWindowWhereMoreIsOut) {
  Script s(Established{.sack = true, .tune = reno});
  s.app_send(20'000).skip().at(1s).sends({.seq = 10'000, .len = 1'000});
  s.at(1'100ms).receives(sacks(0, {{1'000, 4'000}})).skip().ssthresh(5'000);
  s.at(1'200ms).receives({.ack = 11'000}).skip().receives({.ack = 20'000}).skip();
}

//= RFC6937 3-b type=test
//= RFC6937 3-c type=test
TEST(Prr, ToTheOctet) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives(sacks(0, {{1'000, 4'000}})).skip().cwnd(7'500);
  s.at(200ms).receives({.ack = 10'000}).skip();
  Script t(Established{.sack = true, .tune = reno});
  ten_out(t).at(100ms).receives(sacks(0, {{7'000, 10'000}})).skip().cwnd(3'000);
  t.at(200ms).receives(sacks(1'000, {{7'000, 10'000}})).skip().cwnd(4'000);
  t.at(210ms).receives({.ack = 10'000}).skip();
}

// The mark of the last recovery stays close, lest it seem ahead half round later.
TEST(Prr, TheMarkOfTheLastRecoveryStaysClose) {
  Script s(Established{.sack = true, .tune = reno});
  ten_out(s).at(100ms).receives({.ack = 4'000}).receives({.ack = 8'000});
  EXPECT_EQ(s.tcb().recover, s.tcb().snd_una - 1);
  s.receives({.ack = 10'000});
}

}  // namespace
}  // namespace weir::test
