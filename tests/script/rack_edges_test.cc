// RACK-TLP, PRR and the log of the flight at their edges: lib/tcp/rack_tlp.cc, prr.cc, sent_log.cc
// (RFC 8985, 6937). Segments of 1,000 octets, ten of them at first; the round trip takes 100 ms.
#include "script/script.h"

namespace weir::test {
namespace {

void reno(tcp::Config& c) {
  c.congestion_control = tcp::CongestionControl::kReno;
}
const Established kSacked{.sack = true, .tune = reno};

Peer sacks(std::uint32_t ack, std::vector<Block> blocks) {
  return {.ack = ack, .sack = std::move(blocks)};
}

// When the retransmission timer ends, as a script's time.
Duration rto_of(Script& s) {
  return s.tcb().rtx_deadline - Instant{1h};
}

// Until the counter is 1; what is sent on the way is of no interest.
Script& runs_to(Script& s, const telemetry::Counter& counter) {
  for (int i = 0; i < 10 && counter.get() == 0; ++i) {
    s.runs_until(tcp::next_deadline(s.tcb()) - Instant{1h});
  }
  return s;
}

// Logs as if none were left, from here on; or some again.
Script& logs(Script& s, bool there) {
  static tcp::SentLogs* all = nullptr;
  return s.app([there](tcp::Tcb&, Instant, tcp::Outbox& out) {
    if (!there) all = std::exchange(out.logs, nullptr);
    if (there) out.logs = all;
  });
}

// -- What counts as overtaken
// --------------------------------------------------------------------------

// To the second: a path that got longer is believed when its shorter round trips are as old as
// that.
//= RFC8985 6.2-a type=test
TEST(RackEdges, TheLeastRoundTripIsForgottenToTheSecond) {
  Script s(Established{.sack = true, .tune = [](tcp::Config& c) { c.min_rtt_wlen = 10s; }});
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.at(9'880ms).app_send(1'000).skip().at(10s).receives({.ack = 2'000});
  EXPECT_EQ(s.tcb().min_rtt_us, 120'000U);
}

// An echo of 0 tells nothing of when what it answers went.
//= RFC8985 6.2-c type=test
TEST(RackEdges, AnEchoOfNothingTellsNoSending) {
  Script s(Established{.ts = Ts{1, 0}, .sack = true});
  s.at(10ms).app_send(10'000).skip();
  s.at(110ms).receives({.ts = Ts{2, 10}, .sack = {{1'000, 4'000}}}).sends({.seq = 0});
  s.at(260ms).receives({.ack = 4'000, .ts = Ts{3, 0}}).skip();
  EXPECT_EQ(s.counters().spurious_recoveries.get(), 0U);
  s.receives({.ack = 10'000, .ts = Ts{4, 0}}).skip();
}

// The highest that was delivered is what something is overtaken by, not the latest.
//= RFC8985 6.2-d type=test
TEST(RackEdges, OvertakenByTheHighest) {
  Script s(kSacked);
  s.app_send(10'000).skip().at(100ms).receives({.ack = 1'000}).skip();
  s.receives(sacks(1'000, {{4'000, 5'000}}));
  EXPECT_FALSE(s.tcb().reordering_seen);
  s.receives(sacks(1'000, {{4'000, 5'000}, {2'000, 3'000}}));
  EXPECT_TRUE(s.tcb().reordering_seen);
  s.receives({.ack = 10'000}).skip();
}

// A round of D-SACKs ends with the ACK of what was out when it began.
//= RFC8985 6.2-f type=test
TEST(RackEdges, EachRoundOfDuplicatesWidensOnce) {
  Script s(kSacked);
  s.app_send(10'000).skip().at(100ms).receives(sacks(2'000, {{0, 1'000}})).skip();
  EXPECT_EQ(s.tcb().reo_mult, 2);
  s.receives({.ack = 10'000}).skip().app_send(1'000).skip();
  s.receives(sacks(10'000, {{0, 1'000}})).skip();
  EXPECT_EQ(s.tcb().reo_mult, 3);
  s.receives({.ack = 11'000}).skip();
}

// What the timer waited for is lost by another sign: it waits no more.
//= RFC8985 6.2-h type=test
TEST(RackEdges, TheReorderingTimerEndsWithItsReason) {
  Script s(kSacked);
  s.app_send(10'000).skip().at(100ms).receives(sacks(0, {{1'000, 2'000}})).next_timer(125ms);
  s.at(110ms).receives(sacks(0, {{1'000, 4'000}})).sends({.seq = 0}).next_timer(1s);
  s.receives({.ack = 10'000}).skip();
}

TEST(RackEdges, NothingInFlightNothingTimed) {
  Script s(kSacked);
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000}).next_timer(Duration::max());
  s.app_send(2'000).skip().next_timer(302ms).at(200ms).receives({.ack = 3'000});
  s.next_timer(Duration::max());
}

// -- When a log begins
// -----------------------------------------------------------------------------------

// Where none was left a recovery goes on as it began.
TEST(SentLogEdges, NoneBeginsInARecovery) {
  Script s(kSacked);
  logs(s, false).app_send(10'000).skip().at(100ms);
  for (int i = 0; i < 3; ++i) s.receives(sacks(0, {{1'000, 2'000}})).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  logs(s, true).app_send(10'000).skip();
  for (int i = 0; i < 6; ++i) s.receives(sacks(0, {{1'000, 2'000}})).skip();
  EXPECT_TRUE(after(s.tcb().snd_nxt, s.tcb().recover));  // new text went
  EXPECT_EQ(s.tcb().log, nullptr);
  s.receives({.ack = distance(s.tcb().snd_una, s.tcb().snd_nxt)}).skip();
  EXPECT_NE(s.tcb().log, nullptr);
  s.app_abort().skip();
}

// Half a log's segments may be out that it did not see; what duplicates were counted is over.
TEST(SentLogEdges, BeginsInAFlightUpToHalfOfIt) {
  for (const std::uint32_t segments : {128U, 129U}) {
    Script s(Established{.wscale = 2, .sack = true});
    s.tcb().cwnd = 300'000;
    logs(s, false).app_send(1'000 * segments).skip().at(100ms);
    s.receives({.ack = 0}).receives({.ack = 0}).skip();
    EXPECT_EQ(s.tcb().dup_acks, 2);
    logs(s, true).app_send(1'000).skip();
    EXPECT_EQ(s.tcb().log != nullptr, segments == 128);
    s.receives({.ack = 1'000 * segments + 1'000}).skip();
    EXPECT_EQ(s.info().ca_state, tcp::CaState::kOpen);
    EXPECT_EQ(s.tcb().dup_acks, 0);
  }
}

// -- When it is given up
// ------------------------------------------------------------------------------------

// As after a time-out: all of it, from the front, and nothing is asked of F-RTO.
TEST(SentLogEdges, GivenUpAllGoesAgain) {
  Script s(kSacked);
  s.app_send(30'000).skip().at(100ms).receives({.wnd = 500, .sack = {{1'000, 4'000}}});
  EXPECT_EQ(s.tcb().log, nullptr);
  EXPECT_EQ(s.tcb().recovery, tcp::Recovery::kRto);
  EXPECT_EQ(s.tcb().recover, s.tcb().snd_nxt);
  s.sends({.seq = 0, .len = 500}).quiet();
  s.at(200ms).receives({.ack = 500}).sends({.seq = 500, .len = 1'000}).skip();
  s.at(300ms).receives({.ack = 10'000}).skip().receives({.ack = 30'000}).skip();
}

TEST(SentLogEdges, GivenUpByATimeOutNothingIsAskedOfFrto) {
  Script s(kSacked);
  s.app_send(30'000).skip().at(500ms).receives({.wnd = 500}).skip();
  runs_to(s, s.counters().rto_timeouts);
  EXPECT_EQ(s.tcb().log, nullptr);
  EXPECT_EQ(s.tcb().frto, tcp::Frto::kOff);
  s.receives({.ack = 500}).sends({.seq = 500}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
  s.receives({.ack = 30'000}).skip();
}

// What was sent before a retransmission that is answered, and was not acknowledged with it, is
// lost: also where nothing is SACKed any more.
//= RFC8985 6.2-h type=test
TEST(RackEdges, AnAnsweredRetransmissionTellsOfThoseBeforeIt) {
  Script s(kSacked);
  s.app_send(10'000).skip().at(100ms).receives(sacks(0, {{1'000, 4'000}})).sends({.seq = 0});
  s.app_send(3'000).at(990ms).receives(sacks(0, {{1'000, 8'000}})).skip();
  s.at(1s).sends({.seq = 0}).quiet();
  EXPECT_EQ(s.tcb().log->lost(), 2'000U);
  const std::uint32_t beyond = distance(s.tcb().snd_una + 10'000, s.tcb().snd_nxt);
  EXPECT_GT(beyond, 0U);
  s.at(2'500ms).receives({.ack = 8'000}).skip();
  EXPECT_EQ(s.tcb().log->sacked(), 0U);
  EXPECT_EQ(s.tcb().log->lost() + s.counters().retrans_segs.get() * 1'000, 4'000U + beyond);
  s.receives({.ack = 10'000 + beyond}).skip().receives({.ack = 13'000}).skip();
}

// -- Tail loss probes
// ------------------------------------------------------------------------------------------

// A round trip of 100 ms is known; the next flight of one segment was probed at 400 ms.
Script& probed(Script& s) {
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().at(400ms).sends({.seq = 1'000}).quiet();
  EXPECT_EQ(s.counters().tlp_probes.get(), 1U);
  return s;
}

//= RFC8985 7.4.2 type=test
TEST(TlpEdges, AHiddenLossCutsTheWindowOnce) {
  Script s(kSacked);
  probed(s).at(500ms).receives({.ack = 2'000});
  s.app_send(1'000).skip().at(600ms).receives({.ack = 3'000}).skip();
  const std::uint32_t ssthresh = s.tcb().ssthresh;
  EXPECT_LT(ssthresh, 10'000U);
  s.app_send(1'000).skip().at(700ms).receives({.ack = 4'000}).skip().ssthresh(ssthresh);
}

// A duplicate ACK shows that both copies came, where the peer tells of no duplicates.
//= RFC8985 7.4.1 type=test
TEST(TlpEdges, ADuplicateAckShowsThatNothingWasLost) {
  for (const int what : {0, 1, 2}) {
    Script s(kSacked);
    probed(s).at(450ms).receives({.ack = 2'000}).at(500ms);
    // Text, or a SACK, is no duplicate ACK.
    if (what == 0) s.receives({.ack = 2'000});
    if (what == 1) s.receives({.ack = 2'000, .len = 10}).app_reads(10);
    if (what == 2) s.receives(sacks(2'000, {{5'000, 6'000}}));
    s.app_send(1'000).skip().at(600ms).receives({.seq = what == 1 ? 10U : 0U, .ack = 3'000}).skip();
    EXPECT_EQ(s.tcb().ssthresh == tcp::kNoSsthresh, what == 0) << what;
    s.runs_until(2s);
  }
}

// New text as a probe counts as sent, for whoever asks how long ago.
TEST(TlpEdges, NewTextAsAProbeIsTextSent) {
  Script s(kSacked);
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(20'000).skip().at(302ms).skip().at(350ms);
  EXPECT_EQ(s.info().last_data_sent, Duration(48ms));
  s.receives({.ack = 12'000}).skip().receives({.ack = 21'000}).skip();
}

// -- Time-outs
// ---------------------------------------------------------------------------------------------------

// §6.3: lost is what was sent longer ago than the round trip and the reordering window; to the
// microsecond.
//= RFC8985 6.3 type=test
TEST(RackEdges, ATimeOutSparesWhatMayStillCome) {
  for (const auto& [age, lost] : {std::pair{124ms, false}, std::pair{125ms, true}}) {
    Script s(kSacked);
    s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
    s.app_send(2'000).skip().at(200ms).receives({.ack = 2'000});  // 100 ms; min_RTT / 4 is 25 ms
    runs_to(s, s.counters().tlp_probes);
    const Duration rto = rto_of(s);
    s.runs_until(rto - age).app_send(1'000).skip().runs_until(rto);
    EXPECT_EQ(s.counters().rto_timeouts.get(), 1U);
    EXPECT_EQ(s.tcb().log->lost(), lost ? 1'000U : 0U);
    s.receives({.ack = 4'000}).skip();
  }
}

// The reordering timer of before says nothing of what went again since.
TEST(RackEdges, ATimeOutEndsTheReorderingTimer) {
  Script s(kSacked);
  s.app_send(10'000).skip().at(990ms).receives(sacks(0, {{1'000, 2'000}})).quiet();
  s.at(1s).sends({.seq = 0}).next_timer(3s).receives({.ack = 10'000});
}

// The loss that a time-out answered was not hidden: the probe before it cuts nothing more.
TEST(RackEdges, ATimeOutEndsTheTailProbe) {
  Script s(kSacked);
  runs_to(probed(s), s.counters().rto_timeouts);
  const std::uint32_t ssthresh = s.tcb().ssthresh;
  s.receives({.ack = 2'000}).app_send(1'000).skip().receives({.ack = 3'000}).ssthresh(ssthresh);
  s.app_send(2'000).skip();  // and there may be another
  EXPECT_TRUE(s.tcb().probe_is_tlp);
  EXPECT_NE(s.tcb().probe_deadline, kNever);
  s.receives({.ack = 5'000});
}

// RFC 8985 §7.4: what went again after a time-out is lost until it is answered, and no probe.
TEST(RackEdges, AfterATimeOutTheLastSegmentIsNoProbe) {
  Script s(Established{.sack = true, .counted = true});
  s.app_send(1'000).skip().at(1s).skip();
  EXPECT_EQ(s.info().lost, 0U);
  s.at(2s).skip();
  EXPECT_EQ(s.info().lost, 1U);
  s.receives({.ack = 1'000});
}

// -- PRR (RFC 6937 §3)
// -----------------------------------------------------------------------------------------

// What was let go and did not go, for its pace, may go later: what is owed counts.
//= RFC6937 3-c type=test
TEST(PrrEdges, WhatIsOwedIsWhatWasDeliveredLessWhatWasSent) {
  Script s(Established{.sack = true, .tune = [](tcp::Config& c) {
                         reno(c);
                         c.initial_cwnd = 14;
                       }});
  s.app_send(14'000).skip().cwnd(14'000).at(100ms);
  tcp::user_pace(s.tcb(), 1'000);
  s.receives(sacks(0, {{11'000, 14'000}})).sends({.seq = 0}).quiet().ssthresh(7'000);
  s.receives(sacks(1'000, {{11'000, 14'000}})).quiet().cwnd(4'000);
  s.app_abort().skip();
}

// -- What is lost goes again as the window lets it, to the octet
// ---------------------------------------------------

// Two segments and the FIN alone, or with the last: a time-out, and the window of the test's
// choice.
Script& lost_with_fin(Script& s, bool alone) {
  s.app_send(2'000).skip();
  if (alone) s.app_shutdown().skip();
  return runs_to(s, s.counters().rto_timeouts);
}

TEST(ResendEdges, ASegmentNeedsRoomForAllOfIt) {
  Script s(kSacked);
  lost_with_fin(s, true);
  EXPECT_EQ(s.tcb().log->lost(), 1'001U);
  const auto room = [&s](std::uint32_t octets) {
    s.app([octets](tcp::Tcb& t, Instant, tcp::Outbox&) { t.cwnd = t.log->pipe() + octets; });
  };
  room(999);
  s.quiet();
  room(1'000);
  s.sends({.seq = 1'000, .len = 1'000}).sends({.seq = 2'000, .flags = ACK | FIN});
  s.receives({.ack = 2'001});
}

TEST(ResendEdges, AFinNeedsNoRoomOfItsOwn) {
  Script s(kSacked);
  s.app_cork(true).app_send(1'500).sends({.seq = 0, .len = 1'000}).app_shutdown();
  s.sends({.seq = 1'000, .len = 500, .flags = ACK | PSH | FIN});
  runs_to(s, s.counters().rto_timeouts);
  EXPECT_EQ(s.tcb().log->lost(), 501U);
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { t.cwnd = t.log->pipe() + 499; }).quiet();
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { t.cwnd = t.log->pipe() + 500; });
  s.sends({.seq = 1'000, .len = 500, .flags = ACK | PSH | FIN}).receives({.ack = 1'501});
}

// The peer's window is full to its last octet, and a FIN needs none of it: no reason to begin anew.
TEST(ResendEdges, AWindowThatIsJustFullIsEnough) {
  for (const bool fin : {false, true}) {
    Script s(Established{.wnd = 2'000, .sack = true, .tune = reno});
    lost_with_fin(s, fin);
    s.receives({.ack = 1'000, .wnd = 1'000}).skip();
    EXPECT_NE(s.tcb().log, nullptr);
    s.receives({.ack = fin ? 2'001U : 2'000U, .wnd = 2'000}).skip();
  }
}

// Without a log: the FIN's number is none of the text's.
TEST(ResendEdges, WithoutALogTheFinIsNoText) {
  Script s(Established{});
  s.app_cork(true).app_send(2'500).skip().app_shutdown().skip().at(1s).sends({.seq = 0});
  s.at(1'100ms).receives({.ack = 1'000}).sends({.seq = 1'000, .len = 1'000});
  s.sends({.seq = 2'000, .len = 500, .flags = ACK | PSH | FIN}).receives({.ack = 2'501});
}

}  // namespace
}  // namespace weir::test
