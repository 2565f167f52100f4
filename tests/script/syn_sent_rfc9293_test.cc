// Opening actively: lib/tcp/syn_sent.cc (RFC 9293 §3.10.7.3), and the SYN timer of timeouts.cc.
#include "script/script.h"

namespace weir::test {
namespace {

constexpr Peer kSynAck{.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460};

// RFC 6298 §5.5, §5.7 and RFC 9293 §3.8.3: 1, 2, 4, 8, 16 s, a last wait of 32 s, then the end.
//= RFC9293 MUST-22 type=test
TEST(SynSent, SynIsResentAndThenGivenUp) {
  Script s{SynSent{}};
  s.sends({.seq = 0, .len = 0, .flags = SYN, .wnd = 64'240, .mss = 1'460});
  for (const auto t : {1s, 3s, 7s, 15s, 31s}) {
    s.at(t).sends({.seq = 0, .len = 0, .flags = SYN, .mss = 1'460}).quiet();
  }
  s.at(63s - 1us).state(kSynSent).notices(tcp::kNoticeSoftError);  // R1, at 15 s
  s.at(63s).quiet().closed(CloseReason::kTimedOut).notices(tcp::kNoticeClosed);
}

TEST(SynSent, SynRetriesOfNoneFailsAfterOneWait) {
  Script s{SynSent{.tune = [](tcp::Config& c) { c.syn_retries = 0; }}};
  s.sends({.flags = SYN});
  s.at(1s).quiet().closed(CloseReason::kTimedOut);
}

TEST(SynSent, SynAckIsAcknowledgedAtOnce) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.at(30ms).receives(kSynAck).sends({.seq = 1, .ack = 1, .len = 0, .flags = ACK});
  s.state(kEstablished).notices(tcp::kNoticeConnected);
  s.at(1h);
}

// §3.10.7.3, second: a RST is believed only with an ACK of our SYN.
//= RFC9293 MUST-12 type=test
//= RFC5961 3.2-d type=test
TEST(SynSent, RstWithOurAckRefuses) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .flags = RST | ACK});
  s.quiet().closed(CloseReason::kRefused).notices(tcp::kNoticeClosed);
}

//= RFC5961 3.2-d type=test
TEST(SynSent, RstWithoutAckIsIgnored) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = RST}).quiet().state(kSynSent);
  EXPECT_EQ(s.counters().drop_closed_rst.get(), 1U);
}

//= RFC5961 3.2-d type=test
TEST(SynSent, RstWithWrongAckIsIgnored) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 0, .flags = RST | ACK}).receives({.ack = 2, .flags = RST | ACK});
  s.quiet().state(kSynSent);
}

// §3.10.7.3, first: <SEQ=SEG.ACK><CTL=RST>, and the SYN on it is not looked at.
TEST(SynSent, WrongAckDrawsRstAndTheRightOneConnects) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 0, .flags = SYN | ACK}).sends({.seq = 0, .len = 0, .flags = RST});
  s.receives({.ack = 2, .flags = SYN | ACK}).sends({.seq = 2, .len = 0, .flags = RST});
  s.receives({.ack = 2}).sends({.seq = 2, .flags = RST}).state(kSynSent);
  s.receives(kSynAck).sends({.seq = 1, .ack = 1, .flags = ACK}).state(kEstablished);
}

TEST(SynSent, AckWithoutSynIsDropped) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.seq = 1, .ack = 1}).quiet().state(kSynSent);
  s.receives({.seq = 1, .len = 100, .flags = PSH}).quiet().state(kSynSent);
}

// RFC 9293 figure 7: both SYNs cross.
//= RFC9293 MUST-10 type=test
TEST(SimultaneousOpen, SynAckThenAckEstablishes) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.at(10ms).receives({.flags = SYN, .mss = 1'000});
  s.sends({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460}).state(kSynReceived);
  s.at(20ms).receives({.seq = 1, .ack = 1}).quiet().state(kEstablished);
  s.notices(tcp::kNoticeConnected);
}

//= RFC7323 3.2-b type=test
TEST(SimultaneousOpen, ItsSynAckEchoesThePeersClock) {
  Script s{SynSent{.timestamps = true}};
  s.sends({.flags = SYN, .ts = Ts{0, 0}}).at(10ms);
  s.receives({.flags = SYN, .ts = Ts{77, 0}, .mss = 1'000});
  s.sends({.flags = SYN | ACK, .has_ts = true, .ts = Ts{10, 77}});
  s.at(20ms).receives({.seq = 1, .ack = 1, .ts = Ts{87, 10}}).state(kEstablished);
}

// Figure 7, line 5: the peer's SYN-ACK answers ours.
//= RFC9293 MUST-10 type=test
TEST(SimultaneousOpen, SynAckOfThePeerEstablishes) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN, .mss = 1'000}).sends({.flags = SYN | ACK});
  s.receives(kSynAck).state(kEstablished);
  s.app_send(2'000).sends({.seq = 1, .ack = 1, .len = 1'000});
  s.sends({.seq = 1'001, .len = 1'000, .flags = ACK | PSH});
}

// SYN and SYN-ACK of the peer in one burst: no SYN of ours follows into ESTABLISHED.
TEST(SimultaneousOpen, BothOfThePeersSynsInOneBurst) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives_burst({{.flags = SYN, .mss = 1'000}, kSynAck}).state(kEstablished);
  s.sends({.seq = 1, .ack = 1, .len = 0, .flags = ACK}).quiet();
}

// RFC 7323 §2.2: the window of a SYN is never scaled, whichever state it meets.
TEST(SimultaneousOpen, WindowOfTheSynAckIsNotScaled) {
  Script s{SynSent{.window_scaling = true}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN, .wnd = 100, .wscale = 7}).sends({.flags = SYN | ACK, .wscale = 3});
  s.receives({.ack = 1, .flags = SYN | ACK, .wnd = 100, .wscale = 7}).state(kEstablished);
  EXPECT_EQ(s.tcb().snd_wnd, 100U);
  s.receives({.seq = 1, .ack = 1, .wnd = 100});
  EXPECT_EQ(s.tcb().snd_wnd, 12'800U);
}

TEST(SimultaneousOpen, PeerSynAgainResendsTheSynAck) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN}).sends({.seq = 0, .flags = SYN | ACK});
  s.receives({.flags = SYN}).sends({.seq = 0, .ack = 1, .flags = SYN | ACK});
}

TEST(SimultaneousOpen, SynAckIsResentAndGivenUp) {
  Script s{SynSent{.tune = [](tcp::Config& c) { c.syn_retries = 2; }}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN}).sends({.flags = SYN | ACK});
  s.at(1s).sends({.seq = 0, .ack = 1, .flags = SYN | ACK});
  s.at(3s).sends({.seq = 0, .ack = 1, .flags = SYN | ACK});
  s.at(7s).closed(CloseReason::kTimedOut);
}

// §3.10.7.4, second: SYN-RECEIVED that began as an active open is refused.
//= RFC9293 MUST-11 type=test
TEST(SimultaneousOpen, RstRefuses) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN}).sends({.flags = SYN | ACK});
  s.receives({.seq = 1, .ack = 1, .flags = RST | ACK}).closed(CloseReason::kRefused);
}

// §3.10.7.4, fifth: an unacceptable ACK in SYN-RECEIVED draws RST and changes nothing.
TEST(SimultaneousOpen, WrongAckDrawsRst) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN}).sends({.flags = SYN | ACK});
  s.receives({.seq = 1, .ack = 0}).sends({.seq = 0, .flags = RST}).state(kSynReceived);
  s.receives({.seq = 1, .ack = 2}).sends({.seq = 2, .flags = RST}).state(kSynReceived);
  s.receives({.seq = 1, .ack = 1}).state(kEstablished);
}

TEST(SimultaneousOpen, DataWithTheLastAckIsDelivered) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN}).sends({.flags = SYN | ACK});
  s.receives({.seq = 1, .ack = 1, .len = 100}).state(kEstablished).app_reads(100);
  s.at(40ms).sends({.ack = 101});
}

// §3.10.7.3, fourth: text or FIN on the SYN-ACK is processed when the state is ESTABLISHED.
TEST(SynSent, TextOnTheSynAckIsDelivered) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  Peer p = kSynAck;
  p.len = 300;
  s.receives(p).sends({.seq = 1, .ack = 301, .len = 0, .flags = ACK});
  s.notices(tcp::kNoticeConnected | tcp::kNoticeReadable).app_reads(300);
}

//= RFC7323 2.2-b type=test
TEST(SynSent, WindowOfASynAckWithTextIsNotScaled) {
  Script s{SynSent{.window_scaling = true}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .len = 10, .flags = SYN | ACK, .wnd = 1'000, .wscale = 14});
  s.sends({.ack = 11}).app_reads(10);
  EXPECT_EQ(s.tcb().snd_wnd, 1'000U);
}

TEST(SynSent, FinOnTheSynAckClosesTheOtherDirection) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .len = 5, .flags = SYN | ACK | FIN}).sends({.seq = 1, .ack = 7});
  s.state(kCloseWait).app_reads(5);
}

// Queued before the connection exists: leaves with the handshake's ACK.
TEST(SynSent, QueuedTextCarriesTheLastAck) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).app_send(100).quiet();
  s.receives(kSynAck).sends({.seq = 1, .ack = 1, .len = 100, .flags = ACK | PSH}).quiet();
}

// -- Options --------------------------------------------------------------------------------

// §3.7.1: MTU less the fixed headers, options not subtracted.
//= RFC9293 MUST-14 type=test
//= RFC9293 MUST-67 type=test
//= RFC9293 SHLD-5 type=test
//= RFC7323 2.1-a type=test
//= RFC7323 3.2-d type=test
TEST(SynOptions, OursAreOffered) {
  Script s{SynSent{.timestamps = true, .window_scaling = true}};
  s.sends({.flags = SYN, .wnd = 64'240, .mss = 1'460, .wscale = 3, .ts = Ts{0, 0}});
}

//= RFC9293 SHLD-6 type=test
TEST(SynOptions, Ipv6HeadersAreSubtracted) {
  Script s{SynSent{.ipv6 = true}};
  s.sends({.flags = SYN, .mss = 1'440});
}

TEST(SynOptions, NothingIsOfferedThatIsOff) {
  Script s{SynSent{}};
  s.sends({.flags = SYN, .wscale = wire::kNoWindowScale, .has_ts = false});
}

// RFC 7323 §3.2: negotiated, it is on every segment, and the receiver's text is shorter by it.
//= RFC9293 MUST-16 type=test
//= RFC9293 MUST-65 type=test
TEST(SynOptions, TimestampsNegotiated) {
  Script s{SynSent{.timestamps = true}};
  s.sends({.flags = SYN, .ts = Ts{0, 0}});
  Peer p = kSynAck;
  p.ts = Ts{777, 0};
  s.at(25ms).receives(p).sends({.seq = 1, .mss = 0, .ts = Ts{25, 777}});
  s.app_send(2'896).sends({.len = 1'448, .mss = 0, .ts = Ts{25, 777}}).sends({.len = 1'448});
}

TEST(SynOptions, TimestampsRefusedByThePeer) {
  Script s{SynSent{.timestamps = true}};
  s.sends({.flags = SYN, .has_ts = true});
  s.receives(kSynAck).sends({.seq = 1, .has_ts = false});
  s.app_send(1'460).sends({.len = 1'460, .has_ts = false});
}

// RFC 7323 §2.2: both SYNs must carry it.
//= RFC7323 2.2-a type=test
TEST(SynOptions, ScalingRefusedByThePeer) {
  Script s{SynSent{.window_scaling = true}};
  s.sends({.flags = SYN, .wscale = 3});
  s.receives(kSynAck).sends({.flags = ACK, .wnd = 64'240});
  s.receives({.seq = 1, .ack = 1, .wnd = 1'000});
  EXPECT_EQ(s.tcb().snd_wnd, 1'000U);
}

TEST(SynOptions, ScalingNegotiated) {
  Script s{SynSent{.window_scaling = true}};
  s.sends({.flags = SYN, .wnd = 64'240});
  s.receives({.ack = 1, .flags = SYN | ACK, .wnd = 5'000, .mss = 1'460, .wscale = 2});
  s.sends({.flags = ACK, .wnd = 131'072 >> 3});
  EXPECT_EQ(s.tcb().snd_wnd, 5'000U);
  s.receives({.seq = 1, .ack = 1, .wnd = 5'000});
  EXPECT_EQ(s.tcb().snd_wnd, 20'000U);
}

// RFC 7323 §2.3: a shift above 14 counts as 14.
//= RFC7323 2.3-a type=test
TEST(SynOptions, ShiftIsCapped) {
  Script s{SynSent{.window_scaling = true}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK, .wscale = 200}).sends({.flags = ACK});
  EXPECT_EQ(s.tcb().snd_wscale, 14);
}

//= RFC9293 MUST-15 type=test
TEST(SynOptions, MssDefaults) {
  Script v4{SynSent{}};
  v4.sends({.flags = SYN});
  v4.receives({.ack = 1, .flags = SYN | ACK}).sends({.flags = ACK});
  v4.app_send(2'000).sends({.len = 536}).sends({.len = 536}).sends({.len = 536});
  v4.receives({.seq = 1, .ack = 1'609}).sends({.len = 392});

  Script v6{SynSent{.ipv6 = true}};
  v6.sends({.flags = SYN});
  v6.receives({.ack = 1, .flags = SYN | ACK}).sends({.flags = ACK});
  v6.app_send(2'440).sends({.len = 1'220}).sends({.len = 1'220});
}

// The peer's offer beyond what our link takes is not used.
//= RFC9293 MUST-16 type=test
TEST(SynOptions, MssIsTheSmallerOfBoth) {
  Script s{SynSent{.mtu = 1'000}};
  s.sends({.flags = SYN, .mss = 960});
  s.receives({.ack = 1, .flags = SYN | ACK, .mss = 9'000}).sends({.flags = ACK});
  s.app_send(1'920).sends({.len = 960}).sends({.len = 960});
}

// CVE-2019-11479: an absurd MSS does not make us send crumbs.
TEST(SynOptions, TinyMssIsRaised) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK, .mss = 1}).sends({.flags = ACK});
  s.app_send(176).sends({.len = 88}).sends({.len = 88});
}

// -- After a lost SYN ------------------------------------------------------------------------

// RFC 6298 §5.7: RTO 3 s; RFC 6928 §2: one segment.
TEST(SynSent, ALostSynMakesTheStartCareful) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.at(1s).sends({.flags = SYN});
  s.at(1100ms).receives(kSynAck).sends({.seq = 1, .flags = ACK}).cwnd(1'460);
  s.app_send(3'000).sends({.seq = 1, .len = 1'460});
  s.at(4100ms).sends({.seq = 1, .len = 1'460});
}

// The handshake is a round-trip measurement (RFC 6298 §2.2): 100 ms, so RTO = 300 ms.
TEST(SynSent, TheHandshakeIsTimed) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.at(100ms).receives(kSynAck).sends({.flags = ACK}).cwnd(14'600);
  s.app_send(100).sends({.len = 100});
  s.at(400ms).sends({.seq = 1, .len = 100});
}

// -- The user changes his mind (RFC 9293 §3.10.4-5) -------------------------------------------

TEST(SynSent, CloseAndAbortAreSilent) {
  Script a{SynSent{}};
  a.sends({.flags = SYN}).app_send(100).app_close().quiet().closed(CloseReason::kAborted);
  Script b{SynSent{}};
  b.sends({.flags = SYN}).app_abort().quiet().closed(CloseReason::kAborted);
}

TEST(SynSent, ShutdownSendsItsFinOnceConnected) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).app_send(50).app_shutdown().quiet();
  s.receives(kSynAck).sends({.seq = 1, .len = 50, .flags = ACK | PSH | FIN}).state(kFinWait1);
}

TEST(SynSent, FailedOpenIsReported) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  tcp::Outbox out;
  tcp::fail_open(s.tcb(), CloseReason::kUnreachable, out);
  s.closed(CloseReason::kUnreachable).notices(tcp::kNoticeClosed);
}

}  // namespace
}  // namespace weir::test
