// Closing: lib/tcp/user_calls.cc, and FINs in segment_arrives.cc and ack_advance.cc
// (RFC 9293 §3.6, §3.10.4-5).
#include "script/script.h"

namespace weir::test {
namespace {

// -- Figure 12: four segments ---------------------------------------------------------------------

//= RFC9293 MUST-13 type=test
TEST(Close, WeCloseFirst) {
  Script s{Established{}};
  s.app_close().sends({.seq = 0, .ack = 0, .len = 0, .flags = ACK | FIN}).state(kFinWait1);
  s.at(10ms).receives({.ack = 1}).quiet().state(kFinWait2);
  s.at(20ms).receives({.seq = 0, .ack = 1, .flags = ACK | FIN});
  s.sends({.seq = 1, .ack = 1, .len = 0, .flags = ACK}).state(kTimeWait);
  s.at(60'020ms - 1us).state(kTimeWait);
  s.at(60'020ms).quiet().closed(CloseReason::kNormal);
}

//= RFC9293 MUST-12 type=test
TEST(Close, ThePeerClosesFirst) {
  Script s{Established{}};
  s.receives({.flags = ACK | FIN}).sends({.seq = 0, .ack = 1, .flags = ACK}).state(kCloseWait);
  s.notices(tcp::kNoticePeerClosed);
  s.at(1h).app_close().sends({.seq = 0, .ack = 1, .flags = ACK | FIN}).state(kLastAck);
  s.receives({.seq = 1, .ack = 1}).quiet().closed(CloseReason::kNormal);
  s.notices(tcp::kNoticeClosed);
}

TEST(Close, ThreeSegments) {
  Script s{Established{}};
  s.app_close().sends({.flags = ACK | FIN});
  s.receives({.ack = 1, .flags = ACK | FIN}).sends({.seq = 1, .ack = 1, .flags = ACK});
  s.state(kTimeWait).at(60s).closed(CloseReason::kNormal);
}

// Figure 13.
TEST(Close, Simultaneously) {
  Script s{Established{}};
  s.app_close().sends({.seq = 0, .flags = ACK | FIN});
  s.receives({.ack = 0, .flags = ACK | FIN}).sends({.seq = 1, .ack = 1, .len = 0, .flags = ACK});
  s.state(kClosing).receives({.seq = 1, .ack = 1}).quiet().state(kTimeWait);
  s.at(60s).closed(CloseReason::kNormal);
}

// -- Half-close -----------------------------------------------------------------------------------

TEST(HalfClose, TextStillComes) {
  Script s{Established{}};
  s.app_send(100).sends({}).app_shutdown().sends({.seq = 100, .flags = ACK | FIN});
  s.receives({.ack = 101}).state(kFinWait2);
  s.at(1h).receives({.ack = 101, .len = 2'000}).sends({.seq = 101, .ack = 2'000});
  s.app_reads(2'000).receives({.seq = 2'000, .ack = 101, .flags = ACK | FIN});
  s.sends({.seq = 101, .ack = 2'001}).state(kTimeWait);
}

TEST(HalfClose, TextStillGoes) {
  Script s{Established{}};
  s.receives({.flags = ACK | FIN}).sends({.ack = 1}).state(kCloseWait);
  s.at(1h).app_send(1'500).sends({.seq = 0, .ack = 1, .len = 1'000}).sends({.seq = 1'000});
  s.receives({.seq = 1, .ack = 1'500}).app_shutdown().sends({.seq = 1'500, .flags = ACK | FIN});
  s.state(kLastAck).receives({.seq = 1, .ack = 1'501}).closed(CloseReason::kNormal);
}

TEST(HalfClose, NothingMayBeSentAfterShutdown) {
  Script s{Established{}};
  EXPECT_TRUE(tcp::may_send(s.tcb()));
  s.app_shutdown().sends({.flags = ACK | FIN});
  EXPECT_FALSE(tcp::may_send(s.tcb()));
  EXPECT_EQ(tcp::send_room(s.tcb()), 0U);
  s.app_shutdown().quiet().state(kFinWait1);
}

// -- FIN-WAIT-2
// -------------------------------------------------------------------------------------

// After close: fin_timeout. After shutdown: no limit.
TEST(FinWait2, EndsAfterClose) {
  Script s{Established{}};
  s.app_close().sends({}).at(1s - 1us).receives({.ack = 1}).state(kFinWait2);
  s.at(61s - 2us).state(kFinWait2);
  s.at(61s - 1us).quiet().closed(CloseReason::kTimedOut);
}

TEST(FinWait2, DoesNotEndAfterShutdown) {
  Script s{Established{}};
  s.app_shutdown().sends({}).receives({.ack = 1}).at(24h).state(kFinWait2);
  s.app_close().quiet().at(24h + 60s).closed(CloseReason::kTimedOut);
}

// A dead peer is found by keepalives; nothing else is ever sent here.
TEST(FinWait2, AfterShutdownKeepalivesEndADeadPeer) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive = true;
    c.keepalive_time = 60s;
    c.keepalive_intvl = 10s;
    c.keepalive_probes = 2;
  }}};
  s.app_shutdown().sends({.flags = ACK | FIN}).receives({.ack = 1}).state(kFinWait2);
  s.at(60s).sends({.seq = 0, .ack = 0, .len = 0, .flags = ACK});  // SND.NXT-1: the FIN's number
  s.receives({.ack = 1}).at(120s).sends({.seq = 0}).at(130s).sends({.seq = 0});
  s.at(140s).sends({.seq = 1, .flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

// The time after close is fin_timeout's, whatever a keepalive had planned.
TEST(FinWait2, AfterCloseItEndsDespiteKeepalives) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive = true;
    c.keepalive_time = 30s;
  }}};
  s.at(20s).app_close().sends({.flags = ACK | FIN}).receives({.ack = 1}).state(kFinWait2);
  s.at(80s - 1us).quiet().state(kFinWait2).at(80s).closed(CloseReason::kTimedOut);
}

// -- A peer that knows nothing of the connection (§3.5.1)
// -------------------------------------------

// Figure 10: it rebooted, our old segment draws its RST.
TEST(HalfOpen, ThePeersResetEndsIt) {
  Script s{Established{}};
  s.at(1h).app_send(100).sends({.seq = 0, .ack = 0, .len = 100});
  s.receives({.seq = 0, .ack = 0, .flags = RST}).quiet().closed(CloseReason::kReset);
}

// Figure 9: it rebooted and opens again with the same ports; our challenge draws its RST.
TEST(HalfOpen, ItsNewSynDrawsAChallengeAndThatItsReset) {
  Script s{Established{}};
  s.at(1h).receives({.seq = 0x4000'0000, .flags = SYN}).sends({.seq = 0, .ack = 0, .flags = ACK});
  s.state(kEstablished).receives({.seq = 0, .flags = RST}).quiet().closed(CloseReason::kReset);
}

TEST(HalfOpen, AKeepaliveFindsIt) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive = true;
    c.keepalive_time = 60s;
  }}};
  s.at(60s).sends({.seq = kBefore0, .ack = 0}).receives({.seq = 0, .flags = RST});
  s.quiet().closed(CloseReason::kReset);
}

// -- FIN and text
// -------------------------------------------------------------------------------------

TEST(Fin, RidesOnTheLastText) {
  Script s{Established{}};
  s.app_send(20'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = 1'000 * i});
  s.app_close().quiet().state(kFinWait1);
  for (std::uint32_t i = 10; i < 19; ++i) s.receives({.ack = 1'000 * (i - 9)}).skip();
  s.receives({.ack = 19'000}).skip().receives({.ack = 20'000}).state(kFinWait1);
  s.receives({.ack = 20'001}).state(kFinWait2);
}

TEST(Fin, WithTextIsDelivered) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | PSH | FIN}).quiet();
  s.at(40ms).sends({.seq = 0, .ack = 101, .len = 0});
  s.notices(tcp::kNoticeReadable | tcp::kNoticePeerClosed).state(kCloseWait).app_reads(100);
}

TEST(Fin, NewOnOldText) {
  Script s{Established{}};
  s.receives({.len = 100}).at(40ms).sends({.ack = 100});
  s.receives({.len = 100, .flags = ACK | FIN}).sends({.ack = 101}).state(kCloseWait);
  s.app_reads(100);
}

// §3.10.7.4, eighth: it waits its turn.
TEST(Fin, OutOfOrderWaitsItsTurn) {
  Script s{Established{}};
  s.receives({.seq = 100, .len = 100, .flags = ACK | FIN}).sends({.ack = 0}).state(kEstablished);
  s.receives({.seq = 0, .len = 100}).sends({.ack = 201}).state(kCloseWait).app_reads(200);
}

TEST(Fin, AloneOutOfOrderWaitsItsTurn) {
  Script s{Established{}};
  s.receives({.seq = 200, .flags = ACK | FIN});
  s.skip().state(kEstablished).receives({.seq = 0, .len = 200}).skip().state(kCloseWait);
  s.at(1s).quiet().app_reads(200);
}

// Its ACK waits for the application's own FIN, or text, where there was text before it.
TEST(Fin, ItsAckGoesWithOurs) {
  Script s{Established{}};
  s.receives({.len = 100}).at(40ms).sends({.ack = 100}).app_reads(100);
  s.receives({.seq = 100, .flags = ACK | FIN}).quiet().state(kCloseWait);
  s.app_close().sends({.seq = 0, .ack = 101, .flags = ACK | FIN}).quiet();
  Script t{Established{}};
  t.receives({.len = 100}).at(40ms).sends({.ack = 100}).app_reads(100).at(1s);
  t.receives({.seq = 100, .flags = ACK | FIN}).quiet().at(1039ms).quiet().at(1040ms);
  t.sends({.seq = 0, .ack = 101, .flags = ACK}).quiet();
}

// But not behind text of more than a segment, nor where our FIN has gone already.
TEST(Fin, ItsAckGoesAtOnceWhereNothingFollows) {
  Script s{Established{}};
  s.receives({.len = 1'000}).runs_until(1s);
  s.receives({.seq = 1'000, .len = 1'000, .flags = ACK | FIN}).sends({.ack = 2'001});
  s.app_reads(2'000);
  Script t{Established{}};
  t.receives({.len = 100}).runs_until(1s).app_reads(100);
  t.app_shutdown().sends({.flags = ACK | FIN}).receives({.seq = 100, .flags = ACK | FIN});
  t.sends({.seq = 1, .ack = 101, .flags = ACK}).state(kClosing);
}

TEST(Fin, TextBeyondItIsNobodys) {
  Script s{Established{}};
  s.receives({.seq = 1, .len = 100}).sends({.ack = 0}).receives({.flags = ACK | FIN});
  s.sends({.ack = 1}).state(kCloseWait);
  EXPECT_EQ(s.tcb().ofo_count, 0);
  s.receives({.seq = 1, .len = 100}).notices(tcp::kNoticePeerClosed).skip();
}

// The peer's FIN again, in each state after it: acknowledged again.
TEST(Fin, ADuplicateIsAcknowledged) {
  Script s{Established{}};
  s.receives({.flags = ACK | FIN}).sends({.ack = 1});
  s.receives({.flags = ACK | FIN}).sends({.seq = 0, .ack = 1, .flags = ACK}).state(kCloseWait);
  s.app_close().sends({.flags = ACK | FIN});
  s.receives({.flags = ACK | FIN}).sends({.seq = 1, .ack = 1}).state(kLastAck);
}

// -- Lost FINs ------------------------------------------------------------------------------------

TEST(Fin, OursIsResent) {
  Script s{Established{}};
  s.app_close().sends({.seq = 0, .flags = ACK | FIN});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .len = 0, .flags = ACK | FIN});
  s.receives({.ack = 1}).state(kFinWait2);
}

TEST(Fin, OursIsResentWithItsText) {
  Script s{Established{}};
  s.app_send(100).app_close().sends({.len = 100}).sends({.seq = 100, .flags = ACK | FIN});
  s.at(1s).sends({.seq = 0, .len = 100, .flags = ACK | PSH | FIN});
  s.receives({.ack = 101}).state(kFinWait2);
}

TEST(LastAck, FinIsResentAndGivenUp) {
  Script s{Established{.tune = [](tcp::Config& c) { c.orphan_retries = 3; }}};
  s.receives({.flags = ACK | FIN}).sends({.ack = 1});
  s.app_close().sends({.seq = 0, .ack = 1, .flags = ACK | FIN});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .ack = 1, .flags = ACK | FIN});
  s.at(15s).quiet().closed(CloseReason::kTimedOut);
}

constexpr auto kThreeForOrphans = [](tcp::Config& c) { c.orphan_retries = 3; };

// Nobody is left to ask: `orphan_retries` FINs, each after twice the wait, and a last wait.
TEST(FinWait1, FinIsResentAndGivenUp) {
  Script s{Established{.tune = kThreeForOrphans}};
  s.app_close().sends({.seq = 0, .flags = ACK | FIN});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .len = 0, .flags = ACK | FIN});
  s.at(15s - 1us).quiet().state(kFinWait1);
  s.at(15s).quiet().closed(CloseReason::kTimedOut);
}

// The application still waits for text: R2 it is.
TEST(FinWait1, AfterShutdownTheLongerLimitHolds) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.orphan_retries = 1;
    c.retries2 = 3;
  }}};
  s.app_shutdown().sends({.flags = ACK | FIN});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .flags = ACK | FIN});
  s.at(15s).quiet().closed(CloseReason::kTimedOut);
}

// Closed while retransmitting under R2: from then on an orphan's limit counts.
TEST(FinWait1, CloseWhileResendingShortensTheWait) {
  Script s{Established{.tune = kThreeForOrphans}};
  s.app_send(100).sends({.len = 100});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .len = 100});
  s.at(8s).app_close().sends({.seq = 100, .flags = ACK | FIN});
  s.at(15s).quiet().closed(CloseReason::kTimedOut);
}

TEST(FinWait1, ItsAckLostThePeersFinStillCloses) {
  Script s{Established{}};
  s.app_close().sends({.flags = ACK | FIN}).at(1s).sends({.seq = 0, .flags = ACK | FIN});
  s.receives({.ack = 1}).quiet().state(kFinWait2);  // the ACK of either
  s.receives({.ack = 1, .flags = ACK | FIN}).sends({.seq = 1, .ack = 1}).state(kTimeWait);
}

TEST(Closing, FinIsResentAndGivenUp) {
  Script s{Established{.tune = kThreeForOrphans}};
  s.app_close().sends({.seq = 0, .flags = ACK | FIN});
  s.receives({.flags = ACK | FIN}).sends({.seq = 1, .ack = 1}).state(kClosing);
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .ack = 1, .flags = ACK | FIN});
  s.at(15s).quiet().closed(CloseReason::kTimedOut);
}

// Our ACK of its FIN was lost: it comes again, and again it is acknowledged.
TEST(Closing, ThePeersFinAgainIsAcknowledged) {
  Script s{Established{}};
  s.app_close().sends({}).receives({.flags = ACK | FIN}).sends({.ack = 1}).state(kClosing);
  s.at(500ms).receives({.flags = ACK | FIN}).sends({.seq = 1, .ack = 1, .flags = ACK});
  s.state(kClosing).receives({.seq = 1, .ack = 1}).state(kTimeWait);
  s.at(60'500ms).closed(CloseReason::kNormal);
}

TEST(LastAck, TheAckComesAfterAll) {
  Script s{Established{}};
  s.receives({.flags = ACK | FIN}).sends({.ack = 1}).app_close().sends({.flags = ACK | FIN});
  s.at(1s).sends({.seq = 0, .ack = 1, .flags = ACK | FIN});
  s.at(2s).receives({.seq = 1, .ack = 1}).quiet().closed(CloseReason::kNormal).at(1h);
}

// The peer's first ACK of our FIN was lost, its FIN comes.
TEST(Fin, ThePeersFinAcknowledgesOurs) {
  Script s{Established{}};
  s.app_close().sends({.seq = 0});
  s.at(500ms).receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1}).state(kTimeWait);
  s.at(30s).quiet();
}

// -- TIME-WAIT in the control block (§3.10.7.4)
// -----------------------------------------------------

// A resent FIN is acknowledged and 2MSL begin again.
TEST(TimeWait, AResentFinRestarts) {
  Script s{Established{}};
  s.app_close().sends({}).receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1});
  s.at(50s).receives({.ack = 1, .flags = ACK | FIN}).sends({.seq = 1, .ack = 1, .flags = ACK});
  s.at(110s - 1us).state(kTimeWait).at(110s).closed(CloseReason::kNormal);
}

TEST(TimeWait, OtherSegmentsDoNotRestart) {
  Script s{Established{}};
  s.app_close().sends({}).receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1});
  s.at(50s).receives({.seq = 0x7000'0000, .ack = 1, .flags = ACK | FIN}).skip();
  s.receives({.seq = 1, .ack = 1}).quiet();
  s.at(60s).closed(CloseReason::kNormal);
}

// RFC 1337.
TEST(TimeWait, RstIsIgnored) {
  Script s{Established{}};
  s.app_close().sends({}).receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1});
  s.receives({.seq = 1, .flags = RST}).quiet().state(kTimeWait);
}

TEST(TimeWait, RstEndsItWhenRfc1337IsOff) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rfc1337 = false; }}};
  s.app_close().sends({}).receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1});
  s.receives({.seq = 1, .flags = RST}).quiet().state(kClosed);
}

// -- Text that nobody will read (§3.6.1)
// --------------------------------------------------------------

//= RFC9293 SHLD-3 type=test
TEST(Close, WithUnreadTextResets) {
  Script s{Established{}};
  s.receives({.len = 100}).app_close().sends({.seq = 0, .ack = 100, .flags = RST | ACK}).quiet();
  s.closed(CloseReason::kAborted);
}

//= RFC9293 SHLD-3 type=test
//= RFC9293 MAY-1 type=test
TEST(Close, TextAfterItResets) {
  Script s{Established{}};
  s.app_close().sends({.flags = ACK | FIN}).receives({.ack = 1}).state(kFinWait2);
  s.receives({.ack = 1, .len = 10}).sends({.seq = 1, .flags = RST}).quiet();
  s.closed(CloseReason::kAborted);
  EXPECT_EQ(s.counters().drop_data_after_close.get(), 1U);
}

// Our FIN was lost: the RST is the one that the peer expects, not one behind the FIN.
//= RFC9293 SHLD-3 type=test
TEST(Close, TextAfterItResetsThoughTheFinWasLost) {
  Script s{Established{.ts = Ts{1'000, 0}}};
  s.app_close().sends({.seq = 0, .flags = ACK | FIN});
  s.receives({.ack = 0, .len = 10, .ts = Ts{1'001, 0}});
  s.sends({.seq = 0, .flags = RST, .has_ts = true}).quiet().closed(CloseReason::kAborted);
}

TEST(Close, OldTextAfterItDoesNotReset) {
  Script s{Established{}};
  s.receives({.len = 2'000}).sends({}).app_reads(2'000).app_close().sends({.flags = ACK | FIN});
  s.receives({.len = 1'000}).sends({.ack = 2'000}).state(kFinWait1);
}

// What came before the end may be read after it.
TEST(Close, TextReadAfterTheEnd) {
  Script s{Established{}};
  s.app_shutdown().sends({}).receives({.ack = 1, .len = 500, .flags = ACK | FIN}).sends({});
  s.at(60s).closed(CloseReason::kNormal).app_reads(500).quiet();
}

TEST(Abort, SendsRstAndIsDone) {
  Script s{Established{}};
  s.app_send(5'000).skip().receives({.len = 10}).app_abort();
  s.sends({.seq = 5'000, .ack = 10, .len = 0, .flags = RST | ACK}).quiet();
  s.closed(CloseReason::kAborted).at(1h);
}

TEST(Abort, InTimeWaitIsSilent) {
  Script s{Established{}};
  s.app_shutdown().sends({}).receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1});
  s.app_abort().quiet().state(kClosed);
}

TEST(Abort, TwiceIsOnce) {
  Script s{Established{}};
  s.app_abort().sends({.flags = RST | ACK}).app_abort().app_close().quiet();
}

TEST(Close, TwiceIsOnce) {
  Script s{Established{}};
  s.app_close().sends({.flags = ACK | FIN}).app_close().app_shutdown().quiet().state(kFinWait1);
}

TEST(Reset, InEveryStateAfterEstablished) {
  Script fw1{Established{}};
  fw1.app_close().sends({}).receives({.flags = RST}).quiet().closed(CloseReason::kReset);
  Script fw2{Established{}};
  fw2.app_close().sends({}).receives({.ack = 1}).receives({.flags = RST});
  fw2.quiet().closed(CloseReason::kReset);
  Script cw{Established{}};
  cw.receives({.flags = ACK | FIN}).sends({}).receives({.seq = 1, .flags = RST});
  cw.quiet().closed(CloseReason::kReset);
  Script closing{Established{}};
  closing.app_close().sends({}).receives({.flags = ACK | FIN}).sends({});
  closing.receives({.seq = 1, .flags = RST}).quiet().state(kClosed);
  Script last{Established{}};
  last.receives({.flags = ACK | FIN}).sends({}).app_close().sends({});
  last.receives({.seq = 1, .flags = RST}).quiet().state(kClosed);
}

TEST(Closed, TakesNothing) {
  Script s{Established{}};
  s.app_abort().skip().receives({.len = 100}).receives({.flags = ACK | FIN}).quiet();
}

TEST(CloseWait, TextAfterTheFinIsIgnored) {
  Script s{Established{}};
  s.receives({.flags = ACK | FIN}).sends({.ack = 1}).receives({.seq = 1, .len = 50}).at(1s).skip();
  EXPECT_TRUE(s.tcb().rcvq.empty());
  EXPECT_EQ(s.tcb().rcv_nxt, Seq{0xffff'ff00} + 2);
}

// After the FIN nothing comes: a read has no window to tell of.
TEST(CloseWait, ReadsAreNotTold) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 3'000; }}};
  s.receives({.len = 3'000, .flags = ACK | FIN}).sends({.ack = 3'001, .wnd = 0}).app_reads(3'000);
  s.quiet();
}

}  // namespace
}  // namespace weir::test
