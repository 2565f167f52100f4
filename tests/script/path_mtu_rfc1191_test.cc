// "Packet too big": what it does to a connection, and what it does not (RFC 1191, RFC 8201, with
// the checks of RFC 5927).
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::IcmpVerdict;

constexpr std::uint32_t kWnd = 65'535;

// 4 segments of 1460 octets are out.
Script& four_out(Script& s) {
  s.app_send(5'840, 1'460);
  for (std::uint32_t i = 0; i < 4; ++i) s.sends({.seq = 1'460 * i, .len = 1'460});
  return s;
}

//= RFC1191 3-b type=test
//= RFC8201 4-d type=test
//= RFC1191 6.4-a type=test
//= RFC1191 6.4-b type=test
TEST(PathMtu, TextIsResentAtOnceInSmallerPieces) {
  Script s{Established{}};
  s.app_send(2'000).sends({.seq = 0, .len = 1'000}).sends({.seq = 1'000});
  s.at(10ms).icmp({.mtu = 740});
  s.sends({.seq = 0, .len = 700}).sends({.seq = 700, .len = 700}).sends({.seq = 1'400, .len = 600});
  s.receives({.ack = 2'000});
}

TEST(PathMtu, WhatFollowsIsSmallToo) {
  Script s{Established{.mss = 1'460}};
  four_out(s).at(10ms).icmp({.mtu = 1'000}).skip();
  s.at(20ms).receives({.ack = 5'840});
  s.app_send(1'920).sends({.seq = 5'840, .len = 960}).sends({.seq = 6'800, .len = 960});
  s.receives({.ack = 7'760});
}

//= RFC1191 6.4-d type=test
TEST(PathMtu, OptionsAreSubtracted) {
  Script s{Established{.mss = 1'448, .ts = Ts{.val = 1}}};
  s.app_send(1'448).sends({.seq = 0, .len = 1'448});
  s.at(10ms).icmp({.mtu = 1'000}).sends({.seq = 0, .len = 948, .has_ts = true});
  s.sends({.seq = 948, .len = 500});
  s.at(20ms).receives({.ack = 1'448, .ts = Ts{.val = 2}});
}

// The window is what it was: cwnd, ssthresh and RTO.
//= RFC1191 6.4-b type=test
//= RFC8201 5.4-a type=test
TEST(PathMtu, IsNoSignOfCongestion) {
  Script s{Established{.mss = 1'460}};
  four_out(s).at(10ms).icmp({.mtu = 1'000});
  while (s.pending() > 0) s.sends({});
  s.cwnd(14'600).ssthresh(0xffff'ffff);
  s.next_timer(1'010ms);  // of what is sent again, one whole RTO
  for (int i = 0; i < 5; ++i) s.at(20ms + i * 1ms).receives({.ack = 0});
  s.cwnd(14'600).ssthresh(0xffff'ffff).quiet();
  s.at(30ms).receives({.ack = 5'840}).quiet();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
  EXPECT_EQ(s.counters().pmtu_lowered.get(), 1U);
}

//= RFC1191 6.4-b type=test
TEST(PathMtu, WithSacksOnlyWhatWasTooBigGoesAgain) {
  Script s{Established{.mss = 1'460, .sack = true}};
  s.app_send(3'420, 1'460).sends({.seq = 0, .len = 1'460}).sends({.seq = 1'460, .len = 1'460});
  s.sends({.seq = 2'920, .len = 500});
  s.at(10ms).icmp({.mtu = 1'000});
  s.sends({.seq = 0, .len = 960}).sends({.seq = 960, .len = 500});
  s.sends({.seq = 1'460, .len = 960}).sends({.seq = 2'420, .len = 500}).quiet();
  s.cwnd(14'600).ssthresh(0xffff'ffff);
  s.at(20ms).receives({.ack = 0, .sack = {{2'920, 3'420}}}).quiet();
  s.at(30ms).receives({.ack = 3'420}).ssthresh(0xffff'ffff);
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
}

// What the peer has already told of is not sent again.
TEST(PathMtu, WhatWasSackedIsNotSentAgain) {
  Script s{Established{.mss = 1'460, .sack = true}};
  four_out(s).at(10ms).receives({.ack = 0, .sack = {{4'380, 5'840}}}).skip();
  s.at(11ms).icmp({.mtu = 1'000}).sends({.seq = 0, .len = 960}).sends({.seq = 960, .len = 500});
  s.sends({.seq = 1'460, .len = 960}).sends({.seq = 2'420, .len = 500});
  s.sends({.seq = 2'920, .len = 960}).sends({.seq = 3'880, .len = 500}).quiet();
  s.at(20ms).receives({.ack = 5'840});
}

// The loss of a piece that was sent again is a loss as any.
TEST(PathMtu, ALossAfterwardsIsCongestion) {
  Script s{Established{.mss = 1'460, .sack = true}};
  four_out(s).at(10ms).receives({.ack = 1'460}).quiet().icmp({.seq = 1'460, .mtu = 1'000});
  for (int i = 0; i < 6; ++i) s.sends({});
  s.quiet().at(30ms).receives({.ack = 1'460, .sack = {{2'420, 5'840}}});
  s.sends({.seq = 1'460, .len = 960}).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  EXPECT_LT(s.tcb().ssthresh, 14'600U);
  s.at(50ms).receives({.ack = 5'840});
}

// A FIN that went with the last segment goes with the last piece.
TEST(PathMtu, TheFinStaysBehindTheText) {
  Script s{Established{.mss = 1'460, .sack = true}};
  s.app_send(1'460, 1'460).sends({.seq = 0, .len = 1'460});
  s.app_shutdown().sends({.seq = 1'460, .len = 0, .flags = ACK | FIN});
  s.at(10ms).icmp({.mtu = 1'000}).sends({.seq = 0, .len = 960}).sends({.seq = 960, .len = 500});
  s.at(20ms).receives({.ack = 1'461}).state(kFinWait2);
}

TEST(PathMtu, AFinInTheLastSegmentIsCutOffRight) {
  Script s{Established{.wnd = 0, .sack = true}};
  s.app_send(1'000).quiet().app_shutdown().quiet();
  s.receives({.ack = 0, .wnd = kWnd});
  s.sends({.seq = 0, .len = 1'000, .flags = ACK | PSH | FIN});
  s.at(10ms).icmp({.mtu = 640}).sends({.seq = 0, .len = 600, .flags = ACK});
  s.sends({.seq = 600, .len = 400, .flags = ACK | PSH | FIN}).quiet();
  s.at(20ms).receives({.ack = 1'001}).state(kFinWait2);
}

//= RFC1191 3-c type=test
//= RFC5927 7.2-a type=test
TEST(PathMtu, AnIpv4PathIsNeverBelowMinPmtu) {
  Script s{Established{}};
  s.app_send(1'000).skip().at(10ms).icmp({.mtu = 68}).sends({.seq = 0, .len = 512}).skip();
  s.at(20ms).receives({.ack = 1'000});
  Script t{Established{.tune = [](tcp::Config& c) { c.min_pmtu = 700; }}};
  t.app_send(1'000).skip().at(10ms).icmp({.mtu = 68}).sends({.seq = 0, .len = 660}).skip();
  t.at(20ms).receives({.ack = 1'000});
}

//= RFC8201 4-b type=test
TEST(PathMtu, AnIpv6PathIsNeverBelow1280) {
  Script s{Established{.mss = 1'440, .ipv6 = true}};
  s.app_send(1'440).skip().at(10ms).icmp({.mtu = 1'279}, IcmpVerdict::kIgnored).quiet();
  s.icmp({.mtu = 0}, IcmpVerdict::kIgnored).quiet();
  s.icmp({.mtu = 1'280}).sends({.seq = 0, .len = 1'220}).sends({.seq = 1'220, .len = 220});
  s.at(20ms).receives({.ack = 1'440});
}

//= RFC8201 4-a type=test
//= RFC1191 3-d type=test
TEST(PathMtu, NeverRaises) {
  Script s{Established{}};
  s.app_send(1'000).skip().icmp({.mtu = 9'000}, IcmpVerdict::kIgnored);
  s.icmp({.mtu = 1'040}, IcmpVerdict::kIgnored).quiet();
  s.receives({.ack = 1'000}).app_send(1'000).sends({.len = 1'000}).receives({.ack = 2'000});
}

//= RFC1191 5 type=test
TEST(PathMtu, ARouterThatNamesNoMtuMeansTheNextPlateau) {
  Script s{Established{.mss = 1'460}};
  s.app_send(1'460).skip().at(10ms);
  s.icmp({.mtu = 0, .packet = 1'500}).sends({.seq = 0, .len = 1'452}).skip();
  s.icmp({.mtu = 0, .packet = 1'492}).sends({.seq = 0, .len = 966}).skip();
  s.icmp({.mtu = 0, .packet = 1'006}).sends({.seq = 0, .len = 512}).skip();
  s.icmp({.mtu = 0, .packet = 552}, IcmpVerdict::kIgnored).quiet();
  s.at(20ms).receives({.ack = 1'460});
}

// RFC 1191 §5: routers of 4.2BSD add the header's length to the total that they quote.
TEST(PathMtu, AQuotedLengthBeyondWhatWasSentIsNotBelieved) {
  Script s{Established{.mss = 1'460}};
  s.app_send(1'460).skip().at(10ms);
  s.icmp({.mtu = 0, .packet = 1'520}).sends({.seq = 0, .len = 1'452}).skip();
  s.icmp({.mtu = 0, .packet = 0}).sends({.seq = 0, .len = 966}).skip();
  s.at(20ms).receives({.ack = 1'460});
}

//= RFC5927 4.1 type=test
//= RFC8201 4-e type=test
//= RFC8899 4.6.1 type=test
TEST(PathMtu, OnlyWhatIsInFlightIsBelieved) {
  Script s{Established{.mss = 1'460}};
  s.icmp({.seq = 0, .mtu = 1'000}, IcmpVerdict::kForged);  // nothing was sent
  four_out(s).at(10ms).receives({.ack = 1'460}).skip();
  s.icmp({.seq = 1'459, .mtu = 1'000}, IcmpVerdict::kForged);  // acknowledged
  s.icmp({.seq = 5'840, .mtu = 1'000}, IcmpVerdict::kForged);  // never sent
  s.icmp({.seq = kBefore0, .mtu = 1'000}, IcmpVerdict::kForged);
  s.quiet().icmp({.seq = 5'839, .mtu = 1'000}).sends({.seq = 1'460, .len = 960}).skip();
  s.at(20ms).receives({.ack = 5'840});
}

TEST(PathMtu, NoSynIsTooBig) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).icmp({.mtu = 600}, IcmpVerdict::kIgnored).quiet();
  s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460}).sends({.flags = ACK});
  s.app_send(1'460, 1'460).sends({.len = 1'460}).receives({.seq = 1, .ack = 1'461});
}

//= RFC1191 3-e type=test
//= RFC1191 6.3 type=test
//= RFC8201 4-c type=test
TEST(PathMtu, ALargerSegmentIsTriedAfterTenMinutes) {
  Script s{Established{.mss = 1'460}};
  four_out(s).at(10ms).icmp({.mtu = 1'000}).skip().at(20ms).receives({.ack = 5'840});
  s.at(599s).app_send(960).sends({.len = 960}).receives({.ack = 6'800});
  s.app_send(1'460).sends({.len = 960}).sends({.len = 500}).receives({.ack = 8'260});
  s.at(601s).app_send(1'460).sends({.len = 1'460});
  s.at(601s + 10ms).icmp({.seq = 8'260, .mtu = 1'000}).sends({.len = 960}).sends({.len = 500});
  s.receives({.ack = 9'720});  // still too big: not again before another ten minutes
  s.at(1'190s).app_send(1'460).sends({.len = 960}).sends({.len = 500}).receives({.ack = 11'180});
  s.at(1'203s).app_send(1'460).sends({.len = 1'460}).receives({.ack = 12'640});
  s.app_send(1'460).sends({.len = 1'460}).receives({.ack = 14'100});
}

// No window is below one segment of the new size.
TEST(PathMtu, AWindowOfOneSmallSegmentBecomesOneLargeOne) {
  Script s{Established{.mss = 1'460}};
  four_out(s).at(10ms).icmp({.mtu = 1'000}).skip().at(20ms).receives({.ack = 5'840});
  s.tcb().cwnd = 960;
  s.at(601s).app_send(3'000).sends({.len = 1'460}).quiet().cwnd(1'460);
  s.receives({.ack = 7'300}).skip().receives({.ack = 8'840}).skip();
}

TEST(PathMtu, TheTimeUntilThenIsASetting) {
  Script s{Established{.mss = 1'460, .tune = [](tcp::Config& c) { c.mtu_expires = 300s; }}};
  four_out(s).at(10ms).icmp({.mtu = 1'000}).skip().at(20ms).receives({.ack = 5'840});
  s.at(299s).app_send(1'460).sends({.len = 960}).sends({.len = 500}).receives({.ack = 7'300});
  s.at(301s).app_send(1'460).sends({.len = 1'460}).receives({.ack = 8'760});
}

// While a loss is being recovered nothing grows.
TEST(PathMtu, NothingLargerIsTriedInARecovery) {
  Script s{Established{.mss = 1'460, .no_delay = true}};
  four_out(s).at(10ms).icmp({.mtu = 1'000}).skip().at(20ms).receives({.ack = 5'840});
  s.at(599s).app_send(1'920, 960).skip();
  s.runs_until(602s).receives({.ack = 6'800}).skip();  // a time-out; half of it is acknowledged
  s.app_send(1'460);
  while (s.pending() > 0) s.sends({});
  EXPECT_EQ(s.tcb().mss, 960);
  s.receives({.ack = 8'720}).skip().receives({.ack = 9'220});
  s.at(603s).app_send(1'460).sends({.len = 1'460}).receives({.ack = 10'680});
}

// A window that is closed is probed as before: nothing is pushed into it.
TEST(PathMtu, AClosedWindowStaysClosed) {
  Script s{Established{.wnd = 0}};
  s.app_send(3'000).quiet();
  s.at(1s).sends({.seq = 0, .len = 1});
  s.at(1'100ms).icmp({.mtu = 600}).quiet();
  s.receives({.ack = 0, .wnd = kWnd}).sends({.seq = 0, .len = 1});
  s.sends({.seq = 1, .len = 560}).skip();
  s.at(1'200ms).receives({.ack = 3'000, .wnd = kWnd});
}

TEST(PathMtu, OneMessageAfterTheOtherLowersFurther) {
  Script s{Established{.mss = 1'460, .sack = true}};
  s.app_send(1'460).skip().at(10ms).icmp({.mtu = 1'400}).sends({.len = 1'360}).skip();
  s.at(11ms).icmp({.mtu = 1'200}).sends({.seq = 0, .len = 1'160});
  s.sends({.seq = 1'160, .len = 200}).quiet();  // the last 100 octets fit as they are
  s.at(20ms).receives({.ack = 1'460});
}

// More pieces than a log holds: it is given up, and all goes again.
TEST(PathMtu, MorePiecesThanALogHolds) {
  Script s{Established{
      .mss = 1'460, .wscale = 7, .sack = true, .tune = [](tcp::Config& c) { c.wmem = 1'000'000; }}};
  s.receives({.ack = 0, .wnd = 5'000});
  s.tcb().cwnd = 1'000'000;
  s.app_send(200 * 1'460, 1'460);
  for (int i = 0; i < 200; ++i) s.sends({.len = 1'460});
  s.at(10ms).icmp({.mtu = 600});
  EXPECT_EQ(s.tcb().log, nullptr);
  s.sends({.seq = 0, .len = 560}).sends({.seq = 560, .len = 560}).skip();
  s.at(20ms).receives({.ack = 200 * 1'460, .wnd = 5'000});
}

// What the peer had keeps its size, until the peer goes back on its word.
TEST(PathMtu, APeerThatRenegesGetsSmallPieces) {
  Script s{Established{.mss = 1'460, .sack = true}};
  four_out(s).at(10ms).receives({.ack = 0, .sack = {{0, 1'460}}}).skip();
  s.icmp({.seq = 1'460, .mtu = 600}).skip();
  s.at(20ms).receives({.ack = 0, .sack = {{0, 1'460}}}).skip();
  s.runs_until(5s);
  EXPECT_EQ(s.counters().sack_reneged.get(), 1U);
  s.receives({.ack = 5'840}).skip();
}

// The message and the tail probe in one iteration: the probe must not take the records as they
// were.
TEST(PathMtu, ATailProbeOfWhatIsTooLongIsNotSent) {
  Script s{Established{
      .mss = 1'460, .wscale = 7, .sack = true, .tune = [](tcp::Config& c) { c.wmem = 1'000'000; }}};
  s.receives({.ack = 0, .wnd = 5'000});
  s.tcb().cwnd = 1'000'000;
  s.app_send(120 * 1'460, 1'460);
  for (int i = 0; i < 120; ++i) s.sends({.len = 1'460});
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    const Instant due = tcp::next_deadline(t);
    ASSERT_TRUE(t.probe_is_tlp);
    (void)tcp::on_icmp_error(t, {.what = tcp::PathError::kTooBig, .seq = t.snd_una, .mtu = 552},
                             due, out);
    tcp::on_timeout(t, due, out);
    for (const tcp::TxSegment& x : out.tx.items()) EXPECT_LE(x.len, 512U);
  });
  s.skip().runs_until(60s);
  s.receives({.ack = 120 * 1'460, .wnd = 5'000}).skip();
}

// -- The window meanwhile (RFC 1191 §6.4: it is no sign of congestion) ---------------------------

TEST(PathMtu, AnInflatedWindowIsLetDown) {
  Script s{Established{}};
  s.app_send(10'000).skip();
  for (int i = 0; i < 6; ++i) s.receives({.ack = 0}).skip();
  EXPECT_GT(s.tcb().cwnd, 7'000U);
  s.icmp({.mtu = 740}).skip().cwnd(7'000).receives({.ack = 10'000}).skip();
}

TEST(PathMtu, AWindowBeyondItsThresholdStays) {
  Script s{Established{}};
  s.tcb().ssthresh = 5'000;
  s.app_send(10'000).skip().icmp({.mtu = 740}).skip().cwnd(10'000).ssthresh(5'000);
  s.receives({.ack = 10'000}).skip();
}

// What goes again keeps to the window, and duplicate ACKs of it are expected.
TEST(PathMtu, GoesAgainWithinTheWindow) {
  Script s{Established{.mss = 1'460}};
  four_out(s).at(10ms);
  s.tcb().cwnd = 1'920;
  s.icmp({.mtu = 1'000}).sends({.seq = 0, .len = 960}).sends({.seq = 960, .len = 960}).quiet();
  s.receives({.ack = 960}).skip();
  for (int i = 0; i < 4; ++i) s.receives({.ack = 960}).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
  s.receives({.ack = 5'840});
}

// Ten minutes to the second.
TEST(PathMtu, ALargerSegmentIsTriedWhenTheTimeIsOver) {
  Script s{Established{.mss = 1'460}};
  four_out(s).at(10ms).icmp({.mtu = 1'000}).skip().at(20ms).receives({.ack = 5'840});
  s.at(600s).app_send(1'460).sends({.len = 1'460}).receives({.ack = 7'300});
}

}  // namespace
}  // namespace weir::test
