// A path that swallows large packets without a word (RFC 4821): found out, mended, searched.
// Segments of 1,460 octets where the path takes them; the round trip takes 100 ms.
#include "script/script.h"

namespace weir::test {
namespace {

void detect(tcp::Config& c) {
  c.mtu_probing = 1;
}
void always(tcp::Config& c) {
  c.mtu_probing = 2;
}

// A segment of 1,460 octets is sent, and again, and swallowed each time.
Script& swallowed(Script& s) {
  s.app_send(1'460, 1'460).sends({.seq = 0, .len = 1'460});
  s.at(1s).sends({.len = 1'460}).at(3s).sends({.len = 1'460}).at(7s).sends({.len = 1'460});
  return s;
}

// -- Black holes -------------------------------------------------------------------------------

//= RFC4821 7.7 type=test
//= RFC8899 4.3 type=test
TEST(BlackHole, FromR1OnSegmentsAreOfBaseMss) {
  Script s{Established{.mss = 1'460, .tune = detect}};
  swallowed(s).at(15s).sends({.seq = 0, .len = 1'024});
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 1U);
  s.at(15'100ms).receives({.ack = 1'024}).sends({.seq = 1'024, .len = 436});
  s.at(15'200ms).receives({.ack = 1'460});
  s.app_send(1'460).sends({.seq = 1'460, .len = 1'024}).skip().receives({.ack = 2'920});
}

// A listener knows the round trip from the handshake, and so finds it sooner.
TEST(BlackHole, IsFoundSoonerWhereTheHandshakeWasTimed) {
  Script s{Established{.mss = 1'460, .ts = Ts{1'000, 0U - 100}, .tune = detect}};
  s.app_send(1'460, 1'460).skip().runs_until(4'499ms);
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 0U);
  s.at(4'500ms).sends({.seq = 0, .len = 1'024});  // 0.3, 0.9, 2.1 and 4.5 s
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 1U);
  s.receives({.ack = 1'460, .ts = Ts{5'500, 4'500}}).skip();
}

TEST(BlackHole, WithSacksToo) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = detect}};
  s.app_send(2'920, 1'460).skip().runs_until(15'999ms);  // a tail probe at 1 s
  EXPECT_EQ(s.tcb().mss, 1'460);
  s.at(16s).sends({.seq = 0, .len = 1'024});
  s.at(16'100ms).receives({.ack = 1'024});
  s.sends({.seq = 1'024, .len = 436}).sends({.seq = 1'460, .len = 1'024});
  s.sends({.seq = 2'484, .len = 436});
  s.at(16'300ms).receives({.ack = 2'920});
}

TEST(BlackHole, IsNotLookedForUnlessAsked) {
  Script s{Established{.mss = 1'460}};
  swallowed(s).at(15s).sends({.seq = 0, .len = 1'460}).at(31s).sends({.len = 1'460});
  s.receives({.ack = 1'460});
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 0U);
}

// Each further time-out halves it.
TEST(BlackHole, ANarrowerOneIsFoundByHalves) {
  Script s{Established{.mss = 1'460, .tune = detect}};
  swallowed(s).at(15s).sends({.len = 1'024}).at(31s).sends({.len = 512});
  s.at(63s).sends({.len = 256}).at(127s).sends({.len = 128}).at(247s).sends({.len = 88});
  s.at(367s).sends({.len = 88}).receives({.ack = 88}).skip();
  s.at(368s).receives({.ack = 1'460});
}

TEST(BlackHole, NeverBelow1280OnIpv6) {
  Script s{Established{.mss = 1'440, .ipv6 = true, .tune = detect}};
  s.app_send(1'440, 1'440).skip().runs_until(14s).at(15s).sends({.len = 1'220});
  s.at(31s).sends({.len = 1'220}).receives({.ack = 1'440});
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 1U);
}

// A dead peer is no black hole: what is stuck fits every path.
TEST(BlackHole, ASmallSegmentThatIsLostSaysNothing) {
  Script s{Established{.mss = 1'460, .tune = detect}};
  s.app_send(800).skip().runs_until(60s);
  EXPECT_EQ(s.tcb().mss, 1'460);
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 0U);
  s.receives({.ack = 800});
}

TEST(BlackHole, ASegmentOfBaseMssSaysNothing) {
  Script s{Established{.mss = 1'460, .tune = detect}};
  s.app_send(1'024).skip().runs_until(60s);
  EXPECT_EQ(s.counters().mtu_black_holes.get(), 0U);
  s.receives({.ack = 1'024});
}

TEST(BlackHole, BaseMssIsASetting) {
  Script s{Established{.mss = 1'460, .tune = [](tcp::Config& c) {
                         c.mtu_probing = 1;
                         c.base_mss = 1'200;
                       }}};
  swallowed(s).at(15s).sends({.seq = 0, .len = 1'200}).skip().receives({.ack = 1'460});
}

TEST(BlackHole, ASmallPeerIsNotMadeLarger) {
  Script s{Established{.mss = 800, .tune = detect}};
  s.app_send(800).skip().runs_until(40s);
  EXPECT_EQ(s.tcb().mss, 800);
  s.receives({.ack = 800});
}

// -- The search --------------------------------------------------------------------------------

// Text enough for a probe and what must follow it; the window is beyond eleven segments.
Script& searching(Script& s) {
  s.tcb().cwnd = 40'000;
  return s;
}

//= RFC4821 7.2 type=test
TEST(MtuProbe, AlwaysBeginsAtBaseMss) {
  Script s{Established{.mss = 1'460, .tune = always}};
  s.app_send(2'048, 1'024).sends({.len = 1'024}).sends({.len = 1'024}).receives({.ack = 2'048});
  EXPECT_EQ(s.tcb().mtu_high, 1'460);
}

//= RFC4821 7.3 type=test
//= RFC4821 7.6.1 type=test
//= RFC8899 5.3.2 type=test
TEST(MtuProbe, OneSegmentHalfWayAndThenAllOfThatSize) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242});
  for (std::uint32_t i = 0; i < 8; ++i) s.sends({.seq = 1'242 + 1'024 * i, .len = 1'024});
  s.sends({.seq = 9'434, .len = 566}).quiet();
  s.at(100ms).receives({.ack = 10'000});
  EXPECT_EQ(s.counters().mtup_success.get(), 1U);
  s.app_send(10'000, 1'000).sends({.seq = 10'000, .len = 1'351}).sends({.len = 1'242}).skip();
  s.at(200ms).receives({.ack = 20'000});
  s.app_send(2'702).sends({.len = 1'351}).sends({.len = 1'351}).receives({.ack = 22'702});
}

TEST(MtuProbe, EndsWithinEightOctetsOfWhatThePathTakes) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s);
  std::uint32_t sent = 0;
  for (int round = 0; round < 10; ++round) {
    s.app_send(10'000, 1'000).skip();
    sent += 10'000;
    s.at((round + 1) * 100ms).receives({.ack = sent});
    s.tcb().cwnd = 40'000;
  }
  EXPECT_GT(s.tcb().mss, 1'460 - 8);
  EXPECT_LE(s.tcb().mss, 1'460);
  EXPECT_EQ(s.counters().mtup_success.get(), 6U);
  EXPECT_EQ(s.counters().mtup_fail.get(), 0U);
}

// A probe that is lost goes again in small segments, and the window is what it was.
//= RFC4821 7.6.2-b type=test
//= RFC4821 7.6.2-a type=test
TEST(MtuProbe, ALossIsNoSignOfCongestion) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(100ms).receives({.ack = 0, .sack = {{1'242, 10'000}}});
  s.sends({.seq = 0, .len = 1'024}).sends({.seq = 1'024, .len = 218}).quiet();
  s.ssthresh(0xffff'ffff);
  EXPECT_GE(s.tcb().cwnd, 40'000U);
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
  EXPECT_EQ(s.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(s.tcb().mss, 1'024);
  EXPECT_EQ(s.tcb().mtu_high, 1'241);
  s.at(200ms).receives({.ack = 10'000});
  s.app_send(10'000, 1'000).sends({.len = 1'133}).skip().at(300ms).receives({.ack = 20'000});
  EXPECT_EQ(s.tcb().mss, 1'133);
}

TEST(MtuProbe, WithoutSacksDuplicateAcksTellOfIt) {
  Script s{Established{.mss = 1'460, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(100ms).receives({.ack = 0}).receives({.ack = 0}).quiet();
  s.receives({.ack = 0}).sends({.seq = 0, .len = 1'024}).sends({.seq = 1'024, .len = 218});
  for (int i = 0; i < 6; ++i) s.receives({.ack = 0}).quiet();
  s.cwnd(40'000).ssthresh(0xffff'ffff);
  EXPECT_EQ(s.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
  s.at(200ms).receives({.ack = 10'000});
}

// When more is lost it may be congestion, and is answered as such; of the size nothing is learnt.
//= RFC4821 7.6.4 type=test
TEST(MtuProbe, ALossAmongOthersIsOne) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(100ms).receives({.ack = 0, .sack = {{2'266, 10'000}}}).sends({.seq = 0, .len = 1'024});
  s.skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  EXPECT_EQ(s.counters().mtup_fail.get(), 0U);
  EXPECT_EQ(s.tcb().mtu_high, 1'460);
  EXPECT_LT(s.tcb().ssthresh, 40'000U);
  s.at(200ms).receives({.ack = 10'000});
}

//= RFC4821 7.6.3 type=test
TEST(MtuProbe, ATimeOutIsCongestionAndAFailure) {
  Script s{Established{.mss = 1'460, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(1s).sends({.seq = 0, .len = 1'024});
  EXPECT_EQ(s.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(s.tcb().mtu_high, 1'241);
  EXPECT_LT(s.tcb().ssthresh, 40'000U);
  s.skip().at(1'100ms).receives({.ack = 10'000});
}

// The tail probe of RFC 8985 sends no segment that is larger than the path is known to take.
TEST(MtuProbe, ATailProbeIsNoLarger) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(1s).sends({.seq = 9'434, .len = 566}).quiet();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.runs_until(5s);
  s.receives({.ack = 10'000}).skip();
}

//= RFC4821 7.4 type=test
TEST(MtuProbe, NeedsTextBehindIt) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(1'242 + 3 * 1'024 - 1).sends({.seq = 0, .len = 1'024}).skip();
  s.at(100ms).receives({.ack = 4'313});
  s.app_send(1'242 + 3 * 1'024).sends({.len = 1'242}).skip().at(200ms).receives({.ack = 8'627});
}

TEST(MtuProbe, NeedsAWindowBehindIt) {
  Script s{Established{.mss = 1'460, .wnd = 4'000, .sack = true, .tune = always}};
  searching(s).app_send(20'000).sends({.len = 1'024}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.at(100ms).receives({.ack = 3'072, .wnd = 20'000}).sends({.seq = 3'072, .len = 1'242}).skip();
  s.at(200ms).receives({.ack = 20'000});
}

TEST(MtuProbe, NeedsACongestionWindowOfElevenSegments) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  s.app_send(30'000).sends({.seq = 0, .len = 1'024}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.at(100ms).receives({.ack = 2'048}).sends({.seq = 10'240, .len = 1'242}).skip();
  for (Duration t = 200ms; s.tcb().snd_una != s.tcb().iss + 30'001; t += 100ms) {
    s.at(t).receives({.ack = distance(s.tcb().iss + 1, s.tcb().snd_nxt)}).skip();
  }
}

//= RFC4821 7.5 type=test
TEST(MtuProbe, OneAtATime) {
  Script s{Established{.mss = 1'460, .sack = true, .no_delay = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.len = 1'242}).skip();
  s.app_send(10'000, 1'000).sends({.len = 1'024}).skip();
  s.at(100ms).receives({.ack = 20'000});
}

// A router says what it takes instead: the search goes on below, and no segment is made smaller.
//= RFC4821 7.1 type=test
//= RFC8899 4.6.2 type=test
TEST(MtuProbe, IcmpAboutTheProbeBoundsTheSearch) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(10ms).icmp({.seq = 0, .mtu = 1'140}).sends({.seq = 0, .len = 1'024});
  s.sends({.seq = 1'024, .len = 218}).quiet();
  EXPECT_EQ(s.tcb().mss, 1'024);
  EXPECT_EQ(s.tcb().mtu_high, 1'100);
  EXPECT_EQ(s.counters().pmtu_lowered.get(), 0U);
  s.at(100ms).receives({.ack = 10'000});
  s.app_send(10'000, 1'000).sends({.len = 1'062}).skip().at(200ms).receives({.ack = 20'000});
}

TEST(MtuProbe, IcmpBelowWhatIsBelievedEndsTheSearch) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(10ms).icmp({.seq = 1'242, .mtu = 940}).sends({.seq = 0, .len = 900}).skip();
  EXPECT_EQ(s.tcb().mss, 900);
  s.at(100ms).receives({.ack = 10'000});
  s.tcb().cwnd = 40'000;
  s.app_send(10'000, 1'000).sends({.len = 900}).skip().at(200ms).receives({.ack = 20'000});
}

// RFC 4821 §7.3: the path may have become wider.
TEST(MtuProbe, TheSearchBeginsAgainAfterTenMinutes) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).skip();
  s.at(10ms).icmp({.seq = 0, .mtu = 1'064 + 7}).skip().at(100ms).receives({.ack = 10'000});
  s.tcb().cwnd = 40'000;
  s.app_send(10'000, 1'000).sends({.len = 1'024}).skip().at(200ms).receives({.ack = 20'000});
  s.at(601s);
  s.app_send(200).skip().receives({.ack = 20'200});  // restart after idle
  s.tcb().cwnd = 40'000;
  s.app_send(10'000, 1'000).sends({.len = 1'242}).skip();
  s.at(601s + 100ms).receives({.ack = 30'200});
}

// After a black hole the search finds what the path takes.
TEST(MtuProbe, AfterABlackHoleTheSearchGoesUp) {
  Script s{Established{.mss = 1'460, .tune = detect}};
  swallowed(s).at(15s).sends({.len = 1'024}).receives({.ack = 1'460}).skip();
  searching(s).app_send(10'000, 1'000).sends({.seq = 1'460, .len = 1'242}).skip();
  s.at(15'100ms).receives({.ack = 11'460});
  EXPECT_EQ(s.tcb().mss, 1'242);
}

TEST(MtuProbe, OffSendsNone) {
  Script s{Established{.mss = 1'460, .sack = true}};
  s.app_send(1'460, 1'460).skip().at(10ms).icmp({.mtu = 1'064}).skip().receives({.ack = 1'460});
  searching(s).app_send(20'000).sends({.len = 1'024}).sends({.len = 1'024}).skip();
  s.at(100ms).receives({.ack = 21'460});
}

// A log that is full has no place for a probe and for what must follow it.
TEST(MtuProbe, NeedsRoomInTheLog) {
  Script s{Established{.mss = 1'460, .sack = true, .no_delay = true, .tune = always}};
  s.tcb().cwnd = 60'000;
  for (int i = 0; i < 256; ++i) s.app_send(10).skip();
  s.app_send(8'000).quiet();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.receives({.ack = 2'560}).skip().receives({.ack = 10'560}).skip();
}

// Part of it arrived, in whatever pieces: the rest goes in usual segments.
TEST(MtuProbe, OnceSomeOfItArrivedTheRestIsTextAsAny) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(100ms).receives({.ack = 1}).skip();
  s.at(110ms).receives({.ack = 1, .sack = {{1'242, 4'314}}}).sends({.seq = 1, .len = 1'024}).skip();
  s.at(200ms).receives({.ack = 10'000}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 0U);
}

// A log that is given up takes its probe with it: what goes again goes in usual segments.
TEST(MtuProbe, IsForgottenWithTheLog) {
  Script s{Established{.mss = 1'460, .sack = true, .tune = always}};
  s.tcb().cwnd = 40'000;
  s.app_send(4'096, 1'024).skip().app_send(9'000).skip();
  ASSERT_NE(s.tcb().mtu_probe, 0);
  s.at(100ms).receives({.ack = 0, .wnd = 500, .sack = {{1'024, 4'096}}}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.at(110ms).receives({.ack = 0, .wnd = 65'000}).skip();
  s.at(210ms).receives({.ack = 4'096, .wnd = 65'000}).skip();
  s.at(310ms).receives({.ack = 6'144, .wnd = 65'000}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 0U);
  s.at(400ms).receives({.ack = 13'096}).skip();
}

// -- What stands in a probe's way (RFC 4821 §7.4, RFC 8899 §5.3.2) -------------------------------

const Established kPlain{.mss = 1'460, .tune = always};
const Established kSacked{.mss = 1'460, .sack = true, .tune = always};

//= RFC4821 7.4 type=test
TEST(MtuProbe, NoneInARecovery) {
  Script s{Established{.mss = 1'460, .tune = [](tcp::Config& c) {
                         c.mtu_probing = 2;
                         c.frto = false;
                       }}};
  s.app_send(2'048, 1'024).skip().at(1s).sends({.seq = 0, .len = 1'024});
  s.at(1'100ms).receives({.ack = 1'024}).sends({.seq = 1'024, .len = 1'024}).quiet();
  searching(s).app_send(10'000, 1'000).sends({.seq = 2'048, .len = 1'024}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.receives({.ack = 12'048}).skip();
}

// No segment has the end of one record and the beginning of the next (Linux's MSG_EOR).
TEST(MtuProbe, NoneOfRecords) {
  Script s{kPlain};
  s.app_send(1'024).sends({.len = 1'024});
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox&) { user_end_record(t); });
  searching(s).app_send(10'000, 1'000).sends({.seq = 1'024, .len = 1'024}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.receives({.ack = 11'024}).skip();
}

TEST(MtuProbe, NoneAfterADuplicateAck) {
  Script s{kPlain};
  s.app_send(3'072, 1'024).skip().receives({.ack = 0}).quiet();
  searching(s).app_send(10'000, 1'000).sends({.seq = 3'072, .len = 1'024}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.receives({.ack = 13'072}).skip();
}

TEST(MtuProbe, NoneWhileAHoleIsKnown) {
  Script s{kSacked};
  s.app_send(3'072, 1'024).skip().at(10ms).receives({.ack = 0, .sack = {{1'024, 2'048}}}).quiet();
  searching(s).app_send(10'000, 1'000).sends({.seq = 3'072, .len = 1'024}).skip();
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.receives({.ack = 13'072}).skip();
}

TEST(MtuProbe, NeedsRoomInTheLogForWhatFollows) {
  for (const int records : {252, 253}) {
    Script s{Established{.mss = 1'460, .sack = true, .no_delay = true, .tune = always}};
    s.tcb().cwnd = 60'000;
    for (int i = 0; i < records; ++i) s.app_send(10).skip();
    s.app_send(8'000).skip();
    EXPECT_EQ(s.tcb().mtu_probe, records == 252 ? 1'242 : 0);
    s.receives({.ack = distance(s.tcb().snd_una, s.tcb().snd_nxt)}).skip();
    s.receives({.ack = static_cast<std::uint32_t>(records) * 10 + 8'000}).skip();
  }
}

TEST(MtuProbe, ElevenSegmentsAreEnough) {
  Script s{kSacked};
  s.tcb().cwnd = 11 * 1'024;
  s.app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip().receives({.ack = 10'000});
}

TEST(MtuProbe, FillsTheWindowToItsLastOctet) {
  Script s{Established{.mss = 1'460, .sack = true, .no_delay = true, .tune = always}};
  s.tcb().cwnd = 11 * 1'024;
  for (int i = 0; i < 9; ++i) s.app_send(1'024, 1'024).sends({.len = 1'024});
  s.app_send(806).sends({.len = 806}).app_send(5'000).sends({.seq = 10'022, .len = 1'242}).quiet();
  s.receives({.ack = 11'264}).skip().receives({.ack = 15'022}).skip();
}

// -- What becomes of it -------------------------------------------------------------------------

// The ACK of the probe alone is enough; and without SACKs the search goes on as with them.
//= RFC4821 7.6.1 type=test
TEST(MtuProbe, WithoutSacksTheSearchGoesOnToo) {
  Script s{kPlain};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(100ms).receives({.ack = 1'241}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 0U);
  s.receives({.ack = 1'242}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 1U);
  EXPECT_EQ(s.tcb().mss, 1'242);
  s.receives({.ack = 10'000});
  searching(s).app_send(10'000, 1'000).sends({.seq = 10'000, .len = 1'351}).skip();
  s.at(200ms).receives({.ack = 20'000}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 2U);
}

// What lies behind it may be told of first.
TEST(MtuProbe, ASackOfWhatFollowsIsNoLossYet) {
  Script s{kSacked};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(10ms).receives({.ack = 0, .sack = {{1'242, 2'266}}}).quiet();
  s.at(11ms).receives({.ack = 10'000}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 1U);
  EXPECT_EQ(s.tcb().mss, 1'242);
}

// No window is below one segment of the new size, no threshold below two.
TEST(MtuProbe, AThresholdIsTwoOfTheLargerSegments) {
  Script s{kSacked};
  searching(s).app_send(10'000, 1'000).skip();
  s.tcb().ssthresh = 2'048;
  s.at(100ms).receives({.ack = 10'000}).ssthresh(2'484);
}

// A loss before the probe says nothing of it, and is congestion as any.
//= RFC4821 7.6.4 type=test
TEST(MtuProbe, WithoutSacksALossBeforeItIsCongestion) {
  Script s{kPlain};
  s.app_send(1'024, 1'024).sends({.seq = 0});
  searching(s).app_send(10'000, 1'000).sends({.seq = 1'024, .len = 1'242}).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0});
  s.sends({.seq = 0, .len = 1'024}).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  EXPECT_EQ(s.counters().mtup_fail.get(), 0U);
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  s.receives({.ack = 11'024}).skip();
  EXPECT_EQ(s.counters().mtup_success.get(), 0U);
}

//= RFC4821 7.6.3 type=test
TEST(MtuProbe, ATimeOutBeforeItSaysNothing) {
  Script s{kPlain};
  s.app_send(1'024, 1'024).sends({.seq = 0});
  searching(s).app_send(10'000, 1'000).sends({.seq = 1'024, .len = 1'242}).skip().at(1s).skip();
  EXPECT_EQ(s.counters().mtup_fail.get(), 0U);
  EXPECT_EQ(s.tcb().mtu_probe, 0);
  EXPECT_EQ(s.tcb().mtu_high, 1'460);
  s.receives({.ack = 11'024}).skip();
}

// -- ICMP about it, where nobody keeps a log ----------------------------------------------------

//= RFC4821 7.1 type=test
TEST(MtuProbe, WithoutALogIcmpResendsItInSmallSegments) {
  Script s{kPlain};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(10ms).icmp({.seq = 0, .mtu = 1'140}).sends({.seq = 0, .len = 1'024});
  s.sends({.seq = 1'024, .len = 218}).quiet();
  for (int i = 0; i < 8; ++i) s.receives({.ack = 0}).quiet();  // of what followed it
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
  EXPECT_EQ(s.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(s.tcb().mtu_high, 1'100);
  s.cwnd(40'000).at(100ms).receives({.ack = 10'000});
}

TEST(MtuProbe, WithoutALogDuplicateAcksAskForWhatIsNotFirst) {
  Script s{kPlain};
  s.app_send(1'024, 1'024).sends({.seq = 0});
  searching(s).app_send(10'000, 1'000).sends({.seq = 1'024, .len = 1'242}).skip();
  s.at(10ms).icmp({.seq = 1'024, .mtu = 1'140}).quiet().receives({.ack = 1'024}).quiet();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 1'024});
  s.sends({.seq = 1'024, .len = 1'024}).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  s.receives({.ack = 11'024}).skip();
}

// Ten minutes count from what the router said.
//= RFC8201 4-c type=test
TEST(MtuProbe, ARefusalHoldsForTenMinutes) {
  Script s{kSacked};
  const auto after_idle = [&s](Duration t) -> Script& {
    s.at(t).app_send(100).skip().receives({.ack = distance(s.tcb().iss + 1, s.tcb().snd_nxt)});
    return searching(s).app_send(10'000, 1'000);
  };
  after_idle(300s).sends({.len = 1'242}).skip().icmp({.seq = 100, .mtu = 1'064 + 7}).skip();
  s.receives({.ack = 10'100});
  after_idle(650s).sends({.len = 1'024}).skip().receives({.ack = 20'200});
  after_idle(901s).sends({.len = 1'242}).skip();
  s.receives({.ack = 20'300, .sack = {{21'542, 30'300}}}).skip().receives({.ack = 30'300});
  after_idle(950s).sends({.len = 1'133}).skip().receives({.ack = 40'400}).skip();
}

// A message about another segment says nothing of the probe; one that names more than the probe is
// nonsense.
TEST(MtuProbe, IcmpAboutSomethingElseIsIgnored) {
  Script s{kSacked};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip().at(10ms);
  s.icmp({.seq = 1'242, .mtu = 1'140}, tcp::IcmpVerdict::kIgnored).quiet();
  s.icmp({.seq = 0, .mtu = 1'400}, tcp::IcmpVerdict::kIgnored).quiet();
  EXPECT_EQ(s.counters().mtup_fail.get(), 0U);
  s.icmp({.seq = 0, .mtu = 1'064}).sends({.seq = 0, .len = 1'024}).skip();  // what is believed
  EXPECT_EQ(s.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(s.counters().pmtu_lowered.get(), 0U);
  s.at(100ms).receives({.ack = 10'000});
}

// IPv6 and timestamps: what every path takes, less the option.
//= RFC4821 7.2 type=test
TEST(MtuProbe, BeginsAtWhatIpv6Promises) {
  Script s{Established{.mss = 1'400, .ts = Ts{1, 0}, .ipv6 = true, .tune = always}};
  EXPECT_EQ(s.tcb().mss, 1'280 - 60 - 12);
}

// Ten minutes count from when the size was lowered: by the search that begins, or by a black hole.
//= RFC4821 7.2 type=test
TEST(MtuProbe, RemembersWhenItLoweredTheSize) {
  Script search{Established{.mss = 1'460, .tune = always}};
  EXPECT_EQ(search.tcb().mss_lowered_s, 3'600U);
  Script hole{Established{.mss = 1'460, .tune = detect}};
  swallowed(hole).at(15s).sends({.len = 1'024});
  EXPECT_EQ(hole.tcb().mss_lowered_s, 3'615U);
  hole.receives({.ack = 1'460}).skip();
}

// Its loss may show in time alone: no sign of congestion either.
//= RFC4821 7.6.2-b type=test
TEST(MtuProbe, ALossThatTheReorderingTimerFinds) {
  Script s{kSacked};
  searching(s).app_send(10'000, 1'000).sends({.seq = 0, .len = 1'242}).skip();
  s.at(100ms).receives({.ack = 0, .sack = {{1'242, 2'266}}}).quiet();
  const std::uint32_t cwnd = s.tcb().cwnd;
  s.at(125ms).sends({.seq = 0, .len = 1'024}).sends({.seq = 1'024, .len = 218}).cwnd(cwnd);
  EXPECT_EQ(s.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
  s.at(200ms).receives({.ack = 10'000}).skip();
}

}  // namespace
}  // namespace weir::test
