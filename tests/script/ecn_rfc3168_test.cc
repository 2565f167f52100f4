// Explicit Congestion Notification: lib/tcp/ecn.cc (RFC 3168).
#include "script/script.h"

namespace weir::test {
namespace {

void reno(tcp::Config& c) {
  c.congestion_control = tcp::CongestionControl::kReno;
}
void one_segment(tcp::Config& c) {
  reno(c);
  c.initial_cwnd = 1;
}

const Established kEcn{.ecn = true, .tune = reno};
const Established kEcnSack{.sack = true, .ecn = true, .tune = reno};

SynSent asking() {
  return {.tune = [](tcp::Config& c) { c.ecn = 1; }};
}

constexpr std::uint8_t kSetup = SYN | ECE | CWR;

// -- Negotiation (§6.1.1) --------------------------------------------------------------------

//= RFC3168 6.1.1-a type=test
TEST(EcnOpen, ASynAsksOnlyWhereTheSettingSaysSo) {
  Script s{asking()};
  s.sends({.flags = kSetup, .ecn = kNotEct});
  Script off{SynSent{.tune = [](tcp::Config& c) { c.ecn = 0; }}};
  off.sends({.flags = SYN, .ecn = kNotEct});
  Script accepts{SynSent{.tune = [](tcp::Config& c) { c.ecn = 2; }}};
  accepts.sends({.flags = SYN, .ecn = kNotEct});
}

//= RFC9293 SHLD-8 type=test
//= RFC3168 6.1.1-d type=test
//= RFC3168 6.1.2-b type=test
TEST(EcnOpen, ASynAckWithEceAgrees) {
  Script s{asking()};
  s.sends({.flags = kSetup});
  s.receives({.ack = 1, .flags = SYN | ACK | ECE, .mss = 1'000}).state(kEstablished);
  s.sends({.flags = ACK, .ecn = kNotEct});
  s.app_send(1'000).sends({.seq = 1, .len = 1'000, .flags = ACK | PSH, .ecn = kEct0});
}

//= RFC3168 6.1.1-d type=test
TEST(EcnOpen, ASynAckWithoutDoesNot) {
  Script s{asking()};
  s.sends({.flags = kSetup});
  s.receives({.ack = 1, .flags = SYN | ACK, .mss = 1'000}).sends({.flags = ACK});
  s.app_send(1'000).sends({.len = 1'000, .ecn = kNotEct});
  s.receives({.seq = 1, .ack = 1'001, .len = 100, .tos = kCe}).at(40ms).sends({.flags = ACK});
  s.app_reads(100);
}

// A peer, or something before it, that copies the bits it does not know.
//= RFC3168 6.1.1-d type=test
TEST(EcnOpen, AReflectedSynAckDoesNot) {
  for (const bool both : {true, false}) {
    Script s{asking()};
    s.sends({.flags = kSetup});
    const std::uint8_t flags = both ? SYN | ACK | ECE | CWR : SYN | ACK | CWR;
    s.receives({.ack = 1, .flags = flags, .mss = 1'000});
    s.state(kEstablished).sends({.flags = ACK});
    s.app_send(1'000).sends({.len = 1'000, .ecn = kNotEct});
  }
}

// Nobody asked for it.
//= RFC3168 6.1.1-d type=test
TEST(EcnOpen, AnEceThatWasNotAskedForIsIgnored) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK | ECE, .mss = 1'000}).sends({.flags = ACK});
  s.app_send(1'000).sends({.len = 1'000, .ecn = kNotEct});
}

//= RFC3168 6.1.1.1-a type=test
TEST(EcnOpen, AnUnansweredSynIsResentWithout) {
  Script s{asking()};
  s.sends({.seq = 0, .flags = kSetup});
  s.at(1s).sends({.seq = 0, .flags = SYN}).at(3s).sends({.seq = 0, .flags = SYN});
  EXPECT_EQ(s.counters().ecn_fallbacks.get(), 1U);
  s.at(4s).receives({.ack = 1, .flags = SYN | ACK, .mss = 1'000}).sends({.flags = ACK});
  s.app_send(1'000).sends({.len = 1'000, .ecn = kNotEct});
}

TEST(EcnOpen, OrWithWhereTheSettingSaysSo) {
  Script s{SynSent{.tune = [](tcp::Config& c) {
    c.ecn = 1;
    c.ecn_fallback = false;
  }}};
  s.sends({.flags = kSetup}).at(1s).sends({.flags = kSetup}).at(3s).sends({.flags = kSetup});
  s.receives({.ack = 1, .flags = SYN | ACK | ECE, .mss = 1'000}).sends({.flags = ACK});
  s.app_send(1'000).sends({.len = 1'000, .ecn = kEct0});
}

// The answer to the first SYN came late: the peer may mark, so its marks are told; but one SYN went
// without, so ours are not marked.
//= RFC3168 6.1.1-f type=test
TEST(EcnOpen, AfterAPlainSynMarksAreToldAndNotMade) {
  Script s{asking()};
  s.sends({.flags = kSetup}).at(1s).sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK | ECE, .mss = 1'000}).sends({.flags = ACK});
  s.app_send(1'000).sends({.len = 1'000, .flags = ACK | PSH, .ecn = kNotEct});
  s.receives({.seq = 1, .ack = 1'001, .len = 100, .tos = kCe}).sends({.flags = ACK | ECE});
  s.app_reads(100);
}

//= RFC3168 6.1.1-c type=test
TEST(EcnOpen, SimultaneousOpensAgree) {
  Script s{asking()};
  s.sends({.flags = kSetup});
  s.receives({.flags = kSetup, .mss = 1'000}).state(kSynReceived);
  s.sends({.flags = SYN | ACK | ECE, .ecn = kNotEct});
  s.receives({.ack = 1, .flags = SYN | ACK | ECE}).state(kEstablished).skip();
  s.app_send(1'000).sends({.len = 1'000, .ecn = kEct0});
}

//= RFC3168 6.1.1-e type=test
TEST(EcnOpen, SimultaneousOpensWithAPeerThatDoesNot) {
  Script s{asking()};
  s.sends({.flags = kSetup});
  s.receives({.flags = SYN, .mss = 1'000}).sends({.flags = SYN | ACK});
  s.receives({.seq = 1, .ack = 1, .flags = ACK}).state(kEstablished);
  s.app_send(1'000).sends({.len = 1'000, .ecn = kNotEct});
}

// Its SYN asked, its SYN-ACK declines.
//= RFC3168 6.1.1-e type=test
TEST(EcnOpen, AMindChangedInASimultaneousOpenDeclines) {
  Script s{asking()};
  s.sends({.flags = kSetup}).receives({.flags = kSetup, .mss = 1'000});
  s.sends({.flags = SYN | ACK | ECE});
  s.receives({.ack = 1, .flags = SYN | ACK}).state(kEstablished).skip();
  s.app_send(1'000).sends({.len = 1'000, .ecn = kNotEct});
}

// -- A listener's side -----------------------------------------------------------------------

tcp::TxSegment syn_ack_of(const tcp::RxSegment& syn, std::uint8_t setting, tcp::SynEntry& e) {
  tcp::Config config;
  config.ecn = setting;
  const FlowKey flow{IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
  tcp::open_syn_entry(e, syn, flow, Seq{7}, config);
  return tcp::make_syn_ack(e, config, 1'500, 0);
}

tcp::RxSegment syn_with(std::uint8_t bits, std::uint8_t tos = 0) {
  tcp::RxSegment syn;
  syn.flags = static_cast<std::uint8_t>(SYN | bits);
  syn.tos = tos;
  return syn;
}

//= RFC3168 6.1.1-b type=test
//= RFC3168 6.1.1-c type=test
//= RFC3360 2.1 type=test
TEST(EcnListen, OnlyASynWithBothBitsAsks) {
  tcp::SynEntry e;
  for (const std::uint8_t setting : {std::uint8_t{1}, std::uint8_t{2}}) {
    EXPECT_EQ(syn_ack_of(syn_with(ECE | CWR), setting, e).flags, SYN | ACK | ECE);
    EXPECT_EQ(syn_ack_of(syn_with(ECE | CWR), setting, e).ecn, kNotEct);
    EXPECT_EQ(syn_ack_of(syn_with(ECE), setting, e).flags, SYN | ACK);
    EXPECT_EQ(syn_ack_of(syn_with(CWR), setting, e).flags, SYN | ACK);
    EXPECT_EQ(syn_ack_of(syn_with(0), setting, e).flags, SYN | ACK);
    EXPECT_EQ(tcp::listen_arrives(syn_with(ECE | CWR)), tcp::ListenAnswer::kSyn);
  }
  EXPECT_EQ(syn_ack_of(syn_with(ECE | CWR), 0, e).flags, SYN | ACK);
}

// What no host may send was written by the path.
TEST(EcnListen, AMarkedSynIsNotBelieved) {
  tcp::SynEntry e;
  for (const std::uint8_t codepoint : {kEct0, kEct1, kCe}) {
    EXPECT_EQ(syn_ack_of(syn_with(ECE | CWR, codepoint), 2, e).flags, SYN | ACK);
  }
  EXPECT_EQ(syn_ack_of(syn_with(ECE | CWR, 0xb8), 2, e).flags, SYN | ACK | ECE);  // DSCP alone
}

// The peer fell back, as its first SYN or our answer was lost.
//= RFC3168 6.1.1-e type=test
TEST(EcnListen, APlainSynLaterTakesItBack) {
  tcp::SynEntry e;
  syn_ack_of(syn_with(ECE | CWR), 2, e);
  tcp::syn_came_again(e, syn_with(ECE | CWR));
  EXPECT_TRUE(e.ecn_offered());
  tcp::syn_came_again(e, syn_with(0));
  EXPECT_FALSE(e.ecn_offered());
  tcp::syn_came_again(e, syn_with(ECE | CWR));
  EXPECT_FALSE(e.ecn_offered());
}

// -- Telling of marks (§6.1.3) ---------------------------------------------------------------

//= RFC3168 6.1.3-a type=test
TEST(EcnReceiver, CeIsToldAtOnceAndOnEveryAck) {
  Script s{kEcn};
  s.receives({.len = 100, .tos = kCe}).sends({.ack = 100, .flags = ACK | ECE});
  s.receives({.seq = 100, .len = 1'000, .tos = kEct0});
  s.receives({.seq = 1'100, .len = 1'000, .tos = kEct0}).sends({.flags = ACK | ECE});
  s.app_send(10).sends({.len = 10, .flags = ACK | PSH | ECE, .ecn = kEct0});
  s.receives({.seq = 2'100, .ack = 10});
  s.receives({.seq = 3'000, .ack = 10, .len = 100}).sends({.ack = 2'100, .flags = ACK | ECE});
  s.receives({.seq = 2'100, .ack = 10, .len = 900}).sends({.ack = 3'100, .flags = ACK | ECE});
  s.app_shutdown().sends({.flags = ACK | FIN | ECE, .ecn = kNotEct});
  s.receives({.seq = 3'100, .ack = 11}).app_reads(3'100);
}

//= RFC3168 6.1.3-a type=test
TEST(EcnReceiver, CwrEndsIt) {
  Script s{kEcn};
  s.receives({.len = 100, .tos = kCe}).sends({.flags = ACK | ECE});
  s.receives({.seq = 100, .len = 100, .flags = ACK | CWR, .tos = kEct0});
  s.sends({.ack = 200, .flags = ACK});
  s.receives({.seq = 200, .len = 100, .tos = kEct0}).at(40ms).sends({.flags = ACK});
  s.app_reads(300);
}

//= RFC3168 6.1.3-b type=test
TEST(EcnReceiver, CeAfterCwrBeginsAgain) {
  Script s{kEcn};
  s.receives({.len = 100, .tos = kCe}).sends({.flags = ACK | ECE});
  s.receives({.seq = 100, .len = 100, .flags = ACK | CWR, .tos = kCe});  // on one segment
  s.sends({.ack = 200, .flags = ACK | ECE});
  s.receives({.seq = 200, .len = 100, .flags = ACK | CWR}).sends({.flags = ACK});
  s.receives({.seq = 300, .len = 100, .tos = kCe}).sends({.flags = ACK | ECE});
  s.app_reads(400);
}

// One ACK for two segments tells of the mark on either.
//= RFC3168 6.1.3-a type=test
TEST(EcnReceiver, OneMarkOfABurstIsTold) {
  Script s{kEcn};
  s.receives_burst({{.len = 1'000, .tos = kCe}, {.seq = 1'000, .len = 1'000, .tos = kEct0}});
  s.sends({.ack = 2'000, .flags = ACK | ECE}).app_reads(2'000);
}

// CWR does not count on an empty segment: only text carries it.
TEST(EcnReceiver, CwrWithoutTextEndsNothing) {
  Script s{kEcn};
  s.receives({.len = 100, .tos = kCe}).sends({.flags = ACK | ECE});
  s.receives({.seq = 100, .flags = ACK | CWR});
  s.receives({.seq = 100, .len = 100}).at(40ms).sends({.flags = ACK | ECE}).app_reads(200);
}

//= RFC3168 6.1.4 type=test
TEST(EcnReceiver, CeOnAPureAckIsIgnored) {
  Script s{kEcn};
  s.receives({.tos = kCe}).receives({.len = 100}).at(40ms).sends({.flags = ACK}).app_reads(100);
}

// Anyone could have sent it.
//= RFC3168 6.1.5-b type=test
TEST(EcnReceiver, CeOutsideTheWindowIsIgnored) {
  Script s{kEcn};
  s.receives({.len = 100, .tos = kEct0}).at(40ms).sends({.flags = ACK});
  s.receives({.seq = 0, .len = 100, .tos = kCe}).sends({.ack = 100, .flags = ACK});
  s.receives({.seq = 0x1000'0000, .len = 100, .tos = kCe}).sends({.flags = ACK});
  s.receives({.seq = 100, .len = 100}).at(80ms).sends({.flags = ACK}).app_reads(200);
}

// The probe's octet does not fit.
//= RFC3168 6.1.6 type=test
TEST(EcnReceiver, CeOnAProbeOfAClosedWindowIsIgnored) {
  Script s{Established{.ecn = true, .tune = [](tcp::Config& c) { c.rmem = 4'000; }}};
  for (std::uint32_t at = 0; at < 4'000; at += 1'000) s.receives({.seq = at, .len = 1'000});
  s.skip().at(40ms).skip();
  s.receives({.seq = 4'000, .len = 1, .tos = kCe}).sends({.flags = ACK, .wnd = 0});
  s.app_reads(4'000).skip();
}

TEST(EcnReceiver, NothingIsToldWhereNothingWasAgreed) {
  Script s{Established{}};
  s.receives({.len = 2'000, .tos = kCe}).sends({.ack = 2'000, .flags = ACK}).app_reads(2'000);
  Script t{Established{.ecn = true, .tune = [](tcp::Config& c) { c.ecn = 0; }}};
  t.receives({.len = 2'000, .tos = kCe}).sends({.ack = 2'000, .flags = ACK}).app_reads(2'000);
}

TEST(EcnReceiver, AKeepaliveProbeTellsToo) {
  Script s{Established{.ecn = true, .tune = [](tcp::Config& c) { c.keepalive = true; }}};
  s.receives({.len = 100, .tos = kCe}).sends({.flags = ACK | ECE}).app_reads(100);
  s.at(7200s).sends({.seq = kBefore0, .flags = ACK | ECE, .ecn = kNotEct});
  s.receives({.seq = 100});
}

// -- What is marked (§6.1.2, §6.1.5, §6.1.6) ---------------------------------------------------

//= RFC3168 6.1.4 type=test
//= RFC8311 4.1 type=test
TEST(EcnSender, NewTextIsMarkedAndNothingElse) {
  Script s{kEcn};
  s.app_send(1'500).sends({.len = 1'000, .ecn = kEct0}).sends({.len = 500, .ecn = kEct0});
  s.receives({.ack = 1'500, .len = 2'000}).sends({.flags = ACK, .ecn = kNotEct}).app_reads(2'000);
  s.app_shutdown().sends({.flags = ACK | FIN, .ecn = kNotEct});
  s.receives({.seq = 2'000, .ack = 1'501});
}

//= RFC3168 6.1.5-a type=test
TEST(EcnSender, ARetransmissionIsNotMarked) {
  Script s{kEcn};
  s.app_send(1'000).sends({.ecn = kEct0}).at(1s).sends({.seq = 0, .len = 1'000, .ecn = kNotEct});
  s.receives({.ack = 1'000});
  Script t{kEcnSack};  // nor is a tail loss probe that sends again
  t.app_send(1'000).sends({.ecn = kEct0}).at(1s).sends({.seq = 0, .ecn = kNotEct});
  t.receives({.ack = 1'000});
}

// Nor one that three duplicate ACKs ask for; what follows it and is new is.
//= RFC3168 6.1.5-a type=test
TEST(EcnSender, AFastRetransmissionIsNotMarked) {
  Script s{kEcn};
  s.app_send(4'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0});
  s.sends({.seq = 0, .flags = ACK, .ecn = kNotEct}).app_send(1'000);
  s.sends({.seq = 4'000, .flags = ACK | PSH | CWR, .ecn = kEct0}).receives({.ack = 5'000});
}

//= RFC3168 6.1.6 type=test
TEST(EcnSender, AWindowProbeIsNeitherMarkedNorCwr) {
  Script s{kEcn};
  s.app_send(2'000).skip().receives({.ack = 1'000, .flags = ACK | ECE});  // CWR is due
  s.receives({.ack = 2'000, .wnd = 0}).app_send(500).quiet();
  s.at(200ms).sends({.seq = 2'000, .len = 1, .flags = ACK, .ecn = kNotEct});
  s.receives({.ack = 2'000, .wnd = 65'535});
  s.sends({.seq = 2'000, .len = 1, .flags = ACK, .ecn = kNotEct});  // its octet again
  s.sends({.seq = 2'001, .len = 499, .flags = ACK | PSH | CWR, .ecn = kEct0});
  const std::uint32_t cwnd = s.tcb().cwnd;
  s.receives({.ack = 2'001, .flags = ACK | ECE}).cwnd(cwnd);  // the CWR is still on its way
  s.receives({.ack = 2'500});
}

// -- The answer to an ECE (§6.1.2) -------------------------------------------------------------

//= RFC3168 6.1.2-a type=test
//= RFC3168 6.1.2-b type=test
TEST(EcnSender, AnEceHalvesTheWindowAndTheNextNewTextSaysSo) {
  Script s{kEcn};
  s.app_send(20'000).skip().cwnd(10'000);
  s.receives({.ack = 2'000, .flags = ACK | ECE}).cwnd(5'000).ssthresh(5'000).quiet();
  s.receives({.ack = 6'000, .flags = ACK | ECE});
  s.sends({.seq = 10'000, .flags = ACK | CWR, .ecn = kEct0});
  s.receives({.ack = 10'000}).sends({.seq = 11'000, .flags = ACK, .ecn = kEct0}).skip();
  EXPECT_EQ(s.counters().ecn_cuts.get(), 1U);
}

// By CUBIC's factor.
//= RFC3168 6.1.2-a type=test
TEST(EcnSender, CubicKeepsSevenTenths) {
  Script s{Established{.ecn = true}};
  s.app_send(20'000).skip().receives({.ack = 2'000, .flags = ACK | ECE}).cwnd(7'000).skip();
  s.ssthresh(7'000).receives({.ack = 17'000}).skip().receives({.ack = 20'000}).skip();
}

//= RFC3168 6.1.2-c type=test
TEST(EcnSender, OnceAWindow) {
  Script s{kEcn};
  s.app_send(20'000).skip();
  for (std::uint32_t ack = 1'000; ack <= 10'000; ack += 1'000) {
    s.receives({.ack = ack, .flags = ACK | ECE});  // CWR went with 10'000
  }
  s.cwnd(5'000).skip();
  s.receives({.ack = 11'000}).cwnd(5'000).skip();
  s.receives({.ack = 12'000, .flags = ACK | ECE}).cwnd(2'500).ssthresh(2'500).skip();
  EXPECT_EQ(s.counters().ecn_cuts.get(), 2U);
}

// A duplicate ACK may be the one that tells.
TEST(EcnSender, AnEceOnADuplicateAckCounts) {
  Script s{kEcn};
  s.app_send(8'000).skip().receives({.flags = ACK | ECE}).cwnd(4'000);
}

// SHOULD NOT increase the window in answer to an ACK with ECE; in slow start that would be seen.
//= RFC3168 6.1.2-e type=test
TEST(EcnSender, AnAckWithEceNeverGrowsTheWindow) {
  for (const bool sack : {false, true}) {
    Script s{Established{.sack = sack, .ecn = true, .tune = reno}};
    s.app_send(20'000).skip().receives({.ack = 1'000}).cwnd(11'000).skip();
    s.receives({.ack = 2'000, .flags = ACK | ECE}).cwnd(5'500).skip();
    for (std::uint32_t ack = 3'000; ack <= 11'000; ack += 1'000) {
      s.receives({.ack = ack, .flags = ACK | ECE}).cwnd(5'500).skip();
    }
  }
}

// What is not in flight, or older than what is known, tells nothing.
TEST(EcnSender, AnEceWithNothingInFlightIsIgnored) {
  Script s{kEcn};
  s.receives({.flags = ACK | ECE}).cwnd(10'000);
  s.app_send(3'000).skip().receives({.ack = 3'000}).cwnd(10'000);
  s.receives({.ack = 3'000, .flags = ACK | ECE}).cwnd(10'000);
  s.app_send(3'000).skip().receives({.ack = 2'000, .flags = ACK | ECE}).cwnd(10'000);
  EXPECT_EQ(s.counters().ecn_cuts.get(), 0U);
  s.receives({.ack = 6'000});
}

TEST(EcnSender, AnEceThatWasNotAgreedIsIgnored) {
  Script s{Established{.tune = reno}};
  s.app_send(7'000).skip().receives({.ack = 2'000, .flags = ACK | ECE});
  s.receives({.ack = 7'000, .flags = ACK | ECE}).cwnd(17'000).ssthresh(0xffff'ffff);
  EXPECT_EQ(s.counters().ecn_cuts.get(), 0U);
}

// The peer's SYN-ACK stood for ECN, the third segment is not an echo of anything.
TEST(EcnSender, AFinDoesNotCarryCwr) {
  Script s{kEcn};
  s.app_send(5'000).skip().receives({.ack = 5'000, .flags = ACK | ECE}).cwnd(2'500);
  s.app_shutdown().sends({.flags = ACK | FIN, .ecn = kNotEct});
  s.receives({.ack = 5'001, .flags = ACK | ECE}).cwnd(2'500);
}

// The floor of RFC 9438 §4.6 for ECE: one segment. ssthresh keeps to two (RFC 5681).
TEST(EcnSender, TheFloorIsOneSegment) {
  Script s{kEcn};
  s.app_send(2'000).skip().receives({.ack = 1'000, .flags = ACK | ECE});
  s.cwnd(1'000).ssthresh(2'000).receives({.ack = 2'000});
}

// There is no smaller window: the timer slows what is left down.
//= RFC3168 6.1.2-d type=test
TEST(EcnSender, AWindowOfOneSegmentWaitsForTheTimer) {
  Script s{Established{.ecn = true, .tune = one_segment}};
  s.app_send(5'000).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(100ms).receives({.ack = 1'000, .flags = ACK | ECE}).quiet().cwnd(1'000);
  s.app_send(100).quiet().next_timer(400ms);  // a sample of 100 ms: RTO 300 ms
  s.at(400ms).sends({.seq = 1'000, .len = 1'000, .flags = ACK | CWR, .ecn = kEct0}).quiet();
  EXPECT_EQ(s.counters().rto_timeouts.get(), 0U);
  s.at(500ms).receives({.ack = 2'000}).cwnd(2'000).skip();
  s.receives({.ack = 5'100}).skip();
}

// Told on an ACK of nothing new: the timer that runs begins again, and goes on when all has
// arrived.
//= RFC3168 6.1.2-d type=test
TEST(EcnSender, ItsTimerIsBegunAgain) {
  Script s{Established{.ecn = true, .tune = one_segment}};
  s.app_send(1'000).sends({.seq = 0}).next_timer(1s);
  s.at(500ms).receives({.ack = 0, .flags = ACK | ECE}).quiet().next_timer(1500ms);
  s.at(600ms).receives({.ack = 1'000}).app_send(1'000).quiet();  // a sample: RTO 1.8 s
  s.next_timer(2400ms).at(2400ms).sends({.seq = 1'000, .flags = ACK | PSH | CWR});
  s.receives({.ack = 2'000});
}

// Nothing waits once the connection is gone: the last ACK may carry ECE as any.
TEST(EcnSender, AnEceOnTheLastAckArmsNothing) {
  Script s{Established{.ecn = true, .tune = one_segment}};
  s.receives({.flags = ACK | FIN}).skip().app_close().sends({.flags = ACK | FIN});
  s.at(100ms).receives({.seq = 1, .ack = 1, .flags = ACK | ECE}).closed(CloseReason::kNormal);
  s.next_timer(Duration::max());
}

// A window is cut once for its losses and its marks together.
//= RFC3168 6.1.2-c type=test
TEST(EcnSender, ALossInAWindowAlreadyCutDoesNotCutAgain) {
  for (const bool sack : {false, true}) {
    Script s{Established{.sack = sack, .ecn = true, .tune = reno}};
    s.app_send(10'000).skip().receives({.ack = 1'000, .flags = ACK | ECE}).ssthresh(5'000);
    for (std::uint32_t i = 2; i <= 5; ++i) {
      if (sack) {
        s.receives({.ack = 1'000, .flags = ACK | ECE, .sack = {{2'000, 1'000 + 1'000 * i}}});
      } else {
        s.receives({.ack = 1'000, .flags = ACK | ECE});
      }
      s.skip();
    }
    EXPECT_EQ(s.counters().fast_retransmits.get(), 1U) << sack;
    s.ssthresh(5'000).receives({.ack = 10'000}).skip();
  }
}

// In the recovery of such a loss marks wait too, lest one episode cuts twice; and CWR went already.
//= RFC3168 6.1.2-c type=test
TEST(EcnSender, TheRecoveryOfACoveredLossDoesNotCutEither) {
  Script s{kEcn};
  s.app_send(30'000).skip().receives({.ack = 1'000, .flags = ACK | ECE}).ssthresh(5'000);
  s.receives({.ack = 6'000, .flags = ACK | ECE}).sends({.seq = 10'000, .flags = ACK | CWR});
  s.receives({.ack = 7'000}).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 7'000});
  s.skip().ssthresh(5'000).receives({.ack = 12'000, .flags = ACK | ECE}).ssthresh(5'000);
  s.skip().receives({.ack = 20'000}).skip();
  EXPECT_EQ(s.counters().ecn_cuts.get(), 1U);
}

// The mark of the last cut follows what is acknowledged, lest it seem ahead half round later.
TEST(EcnSender, TheMarkOfTheLastCutStaysClose) {
  Script s{kEcn};
  s.app_send(5'000).skip().receives({.ack = 4'000});
  EXPECT_EQ(s.tcb().ecn_high, s.tcb().snd_una - 1);
  s.receives({.ack = 5'000});
}

// Where ECN was not agreed nothing covers a loss, however long ago the connection began.
TEST(EcnSender, WithoutEcnEveryLossCuts) {
  Script s{Established{.tune = reno}};
  s.tcb().ecn_high = s.tcb().snd_una + 0x7000'0000U;  // as it looks after two gigabytes
  s.app_send(10'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0});
  s.skip().ssthresh(5'000).receives({.ack = 10'000});
}

// But the text with CWR was lost: that is another window.
//= RFC3168 6.1.2-f type=test
TEST(EcnSender, ALostCwrCutsAgain) {
  Script s{kEcn};
  s.app_send(30'000).skip().receives({.ack = 2'000, .flags = ACK | ECE}).ssthresh(5'000).skip();
  s.receives({.ack = 10'000}).skip();  // 10'000 went with CWR and is lost
  const std::uint32_t before = s.tcb().ssthresh;
  for (int i = 0; i < 4; ++i) s.receives({.ack = 10'000, .flags = ACK | ECE}).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  EXPECT_LT(s.tcb().ssthresh, before);
  s.receives({.ack = 15'000}).skip();
}

// ECE during a recovery tells nothing new.
//= RFC3168 6.1.2-c type=test
TEST(EcnSender, AnEceDuringRecoveryIsIgnored) {
  Script s{kEcn};
  s.app_send(10'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0});
  s.skip().ssthresh(5'000).receives({.ack = 2'000, .flags = ACK | ECE}).ssthresh(5'000).skip();
  s.receives({.ack = 10'000, .flags = ACK | ECE}).ssthresh(5'000).skip();
  EXPECT_EQ(s.counters().ecn_cuts.get(), 0U);
}

//= RFC3168 6.1.2-b type=test
TEST(EcnSender, ATimeoutIsFollowedByCwrToo) {
  Script s{kEcn};
  s.app_send(1'000).skip().at(1s).sends({.seq = 0, .flags = ACK | PSH, .ecn = kNotEct});
  s.receives({.ack = 1'000, .flags = ACK | ECE}).app_send(1'000);
  s.sends({.seq = 1'000, .flags = ACK | PSH | CWR, .ecn = kEct0}).receives({.ack = 2'000});
  EXPECT_EQ(s.counters().ecn_cuts.get(), 0U);
}

// A time-out that was none takes back its own CWR, and not the one that an ECE asked for before.
//= RFC3168 6.1.2-b type=test
TEST(EcnSender, AnUndoneTimeoutLeavesTheCwrOfAnEce) {
  for (const bool told : {true, false}) {
    Script s{Established{.ts = Ts{1'000, 0}, .sack = true, .ecn = true, .tune = reno}};
    s.at(10ms).app_send(10'000).skip().at(100ms);
    const auto ece = static_cast<std::uint8_t>(told ? ACK | ECE : ACK);
    const auto cwr = static_cast<std::uint8_t>(told ? ACK | PSH | CWR : ACK | PSH);
    s.receives({.ack = 1'000, .flags = ece, .ts = Ts{1'100, 10}});
    s.runs_until(800ms);
    EXPECT_EQ(s.counters().rto_timeouts.get(), 1U);
    s.receives({.ack = 2'000, .ts = Ts{1'800, 10}}).skip();
    EXPECT_EQ(s.counters().spurious_rtos.get(), 1U);
    s.receives({.ack = 10'000, .ts = Ts{1'800, 10}}).app_send(1'000);
    s.sends({.seq = 10'000, .flags = cwr});
    s.receives({.ack = 11'000, .ts = Ts{1'800, 800}});
  }
}

// So is a loss that only a tail loss probe mended (RFC 8985 §7.4.2).
//= RFC3168 6.1.2-b type=test
TEST(EcnSender, AHiddenLossIsFollowedByCwrToo) {
  Script s{kEcnSack};
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  s.app_send(1'000).skip().at(400ms).skip().at(500ms).receives({.ack = 2'000}).skip();
  s.app_send(1'000).skip().at(600ms).receives({.ack = 3'000}).skip();  // only now it is known
  s.app_send(1'000).sends({.seq = 3'000, .flags = ACK | PSH | CWR}).receives({.ack = 4'000});
}

// Bits that are nobody's business on these segments change nothing (RFC 3360).
//= RFC3360 2.1 type=test
TEST(EcnBits, NeverDrawAResetAndNeverHideOne) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | ECE | CWR, .tos = kCe}).at(40ms).sends({.flags = ACK});
  s.receives({.seq = 100, .flags = SYN | ECE | CWR}).sends({.flags = ACK});  // a challenge
  s.app_reads(100).receives({.seq = 100, .flags = RST | ECE | CWR}).closed(CloseReason::kReset);
  Script t{kEcn};
  t.app_abort().sends({.flags = RST | ACK, .ecn = kNotEct});
}

// A loss that the reordering timer finds is told to the peer as any, and cuts the window once.
//= RFC3168 6.1.2-b type=test
TEST(EcnLoss, FoundByTheReorderingTimerIsToldToo) {
  Script s{Established{.sack = true, .ecn = true, .tune = reno}};
  s.app_send(10'000).skip();
  s.at(100ms).receives({.ack = 0, .sack = {{1'000, 2'000}}}).skip();
  s.at(125ms).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  EXPECT_TRUE(s.tcb().ecn_has(tcp::kEcnCwrDue));
  s.at(225ms).receives({.ack = 10'000, .flags = ACK | ECE}).skip();
  EXPECT_EQ(s.counters().ecn_cuts.get(), 0U);
  s.app_send(1'000).sends({.flags = ACK | PSH | CWR}).at(325ms).receives({.ack = 11'000});
}

}  // namespace
}  // namespace weir::test
