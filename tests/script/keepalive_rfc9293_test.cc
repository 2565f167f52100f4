// Keepalives: lib/tcp/keepalive.cc (RFC 9293 §3.8.4).
#include "script/script.h"

namespace weir::test {
namespace {

const Established kOn{.tune = [](tcp::Config& c) {
  c.keepalive = true;
  c.keepalive_time = 60s;
  c.keepalive_intvl = 10s;
  c.keepalive_probes = 3;
}};

//= RFC9293 MUST-25 type=test
//= RFC9293 MUST-28 type=test
TEST(Keepalive, IsOffUnlessAskedForAndTwoHoursThen) {
  Script s{Established{}};
  s.at(24h * 30).quiet().state(kEstablished);
  EXPECT_FALSE(tcp::Config{}.keepalive);
  EXPECT_GE(tcp::Config{}.keepalive_time, 2h);
}

//= RFC9293 MUST-24 type=test
//= RFC9293 MUST-27 type=test
//= RFC9293 SHLD-12 type=test
//= RFC9293 MAY-5 type=test
TEST(Keepalive, ProbesBelowSndNxtWithoutText) {
  Script s{kOn};
  s.at(60s).sends({.seq = kBefore0, .ack = 0, .len = 0, .flags = ACK});
  s.receives({.ack = 0}).at(120s - 1us).quiet();
  s.at(120s).sends({.seq = kBefore0}).receives({.ack = 0}).at(121s).state(kEstablished);
}

// One timer for the whole wait, from the handshake on.
TEST(Keepalive, ItsTimerIsTheTimeOfSilence) {
  Script s{kOn};
  s.next_timer(60s);
}

//= RFC7323 3.2-b type=test
TEST(Keepalive, AProbeIsStampedWhereThatWasAgreed) {
  Script s{Established{.ts = Ts{1'000, 0}, .tune = kOn.tune}};
  s.at(60s).sends({.seq = kBefore0, .has_ts = true, .ts = Ts{60'000, 1'000}});
  s.receives({.ts = Ts{61'000, 60'000}});
  Script t{kOn};
  t.at(60s).sends({.seq = kBefore0, .has_ts = false}).receives({});
}

// The window that a probe tells is scaled, and the one that was offered.
TEST(Keepalive, AProbeTellsTheWindow) {
  Script s{Established{.wscale = 7, .tune = kOn.tune}};
  const std::uint32_t offered = distance(s.tcb().rcv_nxt, s.tcb().rcv_adv);
  s.at(60s).sends({.seq = kBefore0, .wnd = offered >> s.tcb().rcv_wscale}).receives({});
}

// A probe lost is not a peer lost.
//= RFC9293 MUST-29 type=test
TEST(Keepalive, SeveralMustGoUnanswered) {
  Script s{kOn};
  for (const auto t : {60s, 70s, 80s}) s.at(t).sends({.seq = kBefore0, .flags = ACK}).quiet();
  s.state(kEstablished).at(90s).sends({.seq = 0, .flags = RST | ACK}).quiet();
  s.closed(CloseReason::kTimedOut);
}

// Found by the simulation: a half-closed connection has nothing else that finds a dead peer.
//= RFC9293 MUST-29 type=test
TEST(Keepalive, FindsADeadPeerOfAHalfClosedConnectionToo) {
  Script s{kOn};
  s.at(10s).app_shutdown().sends({.flags = FIN | ACK});
  s.at(10'500ms).receives({.ack = 1}).state(kFinWait2);
  for (const auto t : {70'500ms, 80'500ms, 90'500ms}) s.at(t).sends({.seq = 0, .flags = ACK});
  s.at(100'500ms).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

TEST(Keepalive, AnAnswerBeginsTheCountAgain) {
  Script s{kOn};
  s.at(60s).sends({.seq = kBefore0}).at(70s).sends({.seq = kBefore0});
  s.at(75s).receives({.ack = 0});
  for (const auto t : {135s, 145s, 155s}) s.at(t).sends({.seq = kBefore0});
  s.at(165s).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

// A probe was lost, then text went out: no further probe while that text is outstanding.
//= RFC9293 MUST-26 type=test
TEST(Keepalive, WaitsForOutstandingTextAfterAProbeToo) {
  Script s{kOn};
  s.at(60s).sends({.seq = kBefore0});
  s.at(69'900ms).app_send(100).sends({.seq = 0, .len = 100});
  s.at(70'100ms).quiet().receives({.ack = 100});
}

// Only when idle, and with nothing outstanding.
//= RFC9293 MUST-26 type=test
TEST(Keepalive, TrafficPutsItOff) {
  Script s{kOn};
  for (std::uint32_t i = 0; i < 10; ++i) {
    s.at(30s * (i + 1)).receives({.seq = 2'000 * i, .len = 2'000}).sends({.ack = 2'000 * (i + 1)});
    s.app_reads(2'000);
  }
  s.at(360s - 1us).quiet().at(360s).sends({.seq = kBefore0});
}

//= RFC9293 MUST-26 type=test
TEST(Keepalive, IsSilentWhileTextIsOut) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive = true;
    c.keepalive_time = 10s;
    c.keepalive_intvl = 10s;
  }}};
  s.app_send(100).sends({});
  for (const auto t : {1s, 3s, 7s, 15s, 31s, 63s}) s.at(t).sends({.seq = 0, .len = 100}).quiet();
  s.at(100s).receives({.ack = 100}).at(110s).sends({.seq = 99, .len = 0});
}

// What an attacker off the path can send does not count as a sign of life.
TEST(Keepalive, UnacceptableSegmentsDoNotPutItOff) {
  Script s{kOn};
  s.at(50s).receives({.seq = 0x7000'0000}).skip().at(60s).sends({.seq = kBefore0});
}

// The peer's probe, ours to answer.
TEST(Keepalive, ThePeersProbeIsAnswered) {
  Script s{Established{}};
  for (const auto t : {10s, 20s, 30s}) {
    s.at(t).receives({.seq = kBefore0}).sends({.seq = 0, .ack = 0, .len = 0, .flags = ACK});
  }
  s.at(40s).receives({.seq = kBefore0, .len = 1}).sends({.ack = 0});  // with a garbage octet
  EXPECT_EQ(s.counters().probes_in.get(), 4U);
  EXPECT_EQ(s.counters().drop_out_of_window.get(), 0U);
}

}  // namespace
}  // namespace weir::test
