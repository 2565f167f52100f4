// R2 and the user timeout, of the stack and of one connection: lib/tcp/user_timeout.cc (RFC 9293
// §3.8.3; RFC 5482 §3, §4).
#include "script/script.h"

namespace weir::test {
namespace {

void set_timeout(Script& s, Duration d) {
  s.app([d](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_timeout(t, d, out));
  });
}

void set_retries(Script& s, std::uint8_t n) {
  s.app([n](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_retries(t, n, out));
  });
}

// -- R2 of one connection
// ---------------------------------------------------------------------------

//= RFC9293 MUST-20 type=test
//= RFC9293 MUST-21 type=test
TEST(Retries, OfOneConnection) {
  Script s{Established{}};
  set_retries(s, 2);
  s.app_send(100).sends({.len = 100});
  for (const auto t : {1s, 3s}) s.at(t).sends({.seq = 0, .len = 100});
  s.at(7s - 1us).quiet().state(kEstablished).at(7s).quiet().closed(CloseReason::kTimedOut);
}

//= RFC9293 MUST-21 type=test
TEST(Retries, ZeroIsTheStacksAgain) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries2 = 3; }}};
  set_retries(s, 1);
  set_retries(s, 0);
  s.app_send(100).sends({});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0, .len = 100});
  s.at(15s).closed(CloseReason::kTimedOut);
}

// An orphan has the shorter of the two.
TEST(Retries, OfAnOrphan) {
  Script few{Established{}};
  set_retries(few, 1);
  few.app_close()
      .sends({})
      .at(1s)
      .sends({.flags = ACK | FIN})
      .at(3s)
      .closed(CloseReason::kTimedOut);
  Script many{Established{.tune = [](tcp::Config& c) { c.orphan_retries = 1; }}};
  set_retries(many, 9);
  many.app_close().sends({}).at(1s).sends({.flags = ACK | FIN});
  many.at(3s).closed(CloseReason::kTimedOut);
}

// An answer begins the count again.
TEST(Retries, AnAckBeginsTheCountAgain) {
  Script s{Established{}};
  set_retries(s, 1);
  s.app_send(200).sends({.len = 200}).at(1s).sends({.seq = 0});
  s.receives({.ack = 100}).skip().runs_until(2s);
  s.state(kEstablished);
}

// -- The user timeout
// -------------------------------------------------------------------------------

TEST(UserTimeout, IsOffUnlessAskedFor) {
  EXPECT_EQ(tcp::Config{}.user_timeout, 0s);
}

// Shorter than R2: the connection ends at that very moment, not at the next retransmission.
//= RFC5482 3-a type=test
//= RFC5482 3-b type=test
TEST(UserTimeout, EndsAConnectionBeforeR2) {
  Script s{Established{}};
  set_timeout(s, 5s);
  s.at(1s).app_send(100).sends({.len = 100});
  for (const auto t : {2s, 4s}) s.at(t).sends({.seq = 0, .len = 100});
  s.at(6s - 1us).quiet().state(kEstablished).at(6s).quiet().closed(CloseReason::kTimedOut);
}

//= RFC5482 3-a type=test
TEST(UserTimeout, OfTheStack) {
  Script s{Established{.tune = [](tcp::Config& c) { c.user_timeout = 2s; }}};
  s.app_send(100).sends({}).at(1s).sends({.seq = 0}).at(2s).closed(CloseReason::kTimedOut);
}

TEST(UserTimeout, OfOneConnectionGoesBeforeTheStacks) {
  Script s{Established{.tune = [](tcp::Config& c) { c.user_timeout = 2s; }}};
  set_timeout(s, 10s);
  s.app_send(100).sends({});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0});
  s.at(10s).quiet().closed(CloseReason::kTimedOut);
}

// RFC 5482 §1: long ones let a connection live through a long outage.
//= RFC5482 3-b type=test
TEST(UserTimeout, LongerThanR2KeepsTheConnection) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries2 = 1; }}};
  set_timeout(s, 24h);
  s.app_send(100).runs_until(23h).state(kEstablished);
  s.receives({.ack = 100}).runs_until(48h);
  s.quiet().state(kEstablished);
}

TEST(UserTimeout, ProgressBeginsItAgain) {
  Script s{Established{}};
  set_timeout(s, 3s);
  s.app_send(200).sends({.len = 200}).at(1s).sends({.seq = 0});
  s.at(2'500ms).receives({.ack = 100}).skip().runs_until(5'400ms);
  s.state(kEstablished).runs_until(5'600ms).closed(CloseReason::kTimedOut);
}

// An idle connection has nothing to time, and what is sent later begins anew.
//= RFC5482 3-b type=test
TEST(UserTimeout, IdleTimeDoesNotCount) {
  Script s{Established{}};
  set_timeout(s, 3s);
  s.at(1h).quiet().app_send(100).sends({}).at(1h + 1s).sends({.seq = 0, .len = 100});
  s.receives({.ack = 100}).at(2h).quiet().state(kEstablished);
}

// Below the RTO: not before something was sent twice, as in Linux.
TEST(UserTimeout, ShorterThanTheRtoWaitsForOneRetransmission) {
  Script s{Established{}};
  set_timeout(s, 100ms);
  s.app_send(100).sends({}).at(1s - 1us).quiet().state(kEstablished);
  s.at(1s).sends({.seq = 0, .len = 100}).state(kEstablished);
  s.at(1'010ms).quiet().closed(CloseReason::kTimedOut);
}

// The peer answers every probe: as long as it does, the connection stays (MUST-37).
//= RFC6429 4-a type=test
//= RFC9293 MUST-37 type=test
TEST(UserTimeout, AnAnsweringPeersClosedWindowMayLast) {
  Script s{Established{.wnd = 0}};
  set_timeout(s, 3s);
  s.app_send(100);
  for (Duration t = 1s; t < 1h; t += s.tcb().rtx_deadline == kNever ? 1h : 2s) {
    s.runs_until(t).receives({.wnd = 0});
  }
  s.state(kEstablished);
}

TEST(UserTimeout, UnansweredProbesEndIt) {
  Script s{Established{.wnd = 0}};
  set_timeout(s, 5s);
  s.app_send(100).at(1s).sends({.len = 1}).at(3s).sends({.len = 1});
  s.at(6s - 1us).quiet().state(kEstablished).at(6s).closed(CloseReason::kTimedOut);
}

TEST(UserTimeout, EndsAnOpen) {
  Script s{SynSent{}};
  set_timeout(s, 2s);
  s.sends({.flags = SYN}).at(1s).sends({.seq = 0, .flags = SYN});
  s.at(2s).quiet().closed(CloseReason::kTimedOut);
}

TEST(UserTimeout, EndsAnOrphanToo) {
  Script s{Established{}};
  set_timeout(s, 2s);
  s.app_close().sends({}).at(1s).sends({.flags = ACK | FIN}).at(2s).closed(CloseReason::kTimedOut);
}

// A long one is no reason to keep what nobody waits for.
TEST(UserTimeout, DoesNotKeepAnOrphan) {
  Script s{Established{.tune = [](tcp::Config& c) { c.orphan_retries = 1; }}};
  set_timeout(s, 24h);
  s.app_close().sends({}).at(1s).sends({.flags = ACK | FIN}).at(3s).closed(CloseReason::kTimedOut);
}

// -- Keepalives beside it (RFC 5482 §4.2)
// -----------------------------------------------------------

constexpr tcp::Keepalive kEveryTen{.on = true, .time = 60s, .intvl = 10s, .probes = 3};

void set_keepalive(Script& s, const tcp::Keepalive& k) {
  s.app([k](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_keepalive(t, k, now, out));
  });
}

//= RFC5482 4.2 type=test
TEST(UserTimeout, KeepalivesDoNotEndItEarlier) {
  Script s{Established{}};
  set_keepalive(s, kEveryTen);
  set_timeout(s, 115s);
  for (const auto t : {60s, 70s, 80s, 90s, 100s, 110s}) s.at(t).sends({.seq = kBefore0});
  s.at(120s).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

TEST(UserTimeout, KeepalivesEndItThen) {
  Script s{Established{}};
  set_keepalive(s, kEveryTen);
  set_timeout(s, 65s);
  s.at(60s).sends({.seq = kBefore0});
  s.at(70s).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

TEST(UserTimeout, KeepalivesEndItAtItsVeryEnd) {
  Script s{Established{}};
  set_keepalive(s, kEveryTen);
  set_timeout(s, 70s);
  s.at(60s).sends({.seq = kBefore0});
  s.at(70s).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

// -- Keepalives of one connection (MUST-24)
// ---------------------------------------------------------

//= RFC9293 MUST-24 type=test
TEST(KeepaliveOfOne, IsOnWithItsOwnTimes) {
  Script s{Established{}};
  s.at(30s);
  set_keepalive(s, kEveryTen);
  for (const auto t : {90s, 100s, 110s}) s.at(t).sends({.seq = kBefore0, .flags = ACK}).quiet();
  s.at(120s).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

//= RFC9293 MUST-24 type=test
TEST(KeepaliveOfOne, IsOffWhereTheStackHasThem) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive = true;
    c.keepalive_time = 10s;
  }}};
  set_keepalive(s, {.on = false});
  s.at(24h).quiet().state(kEstablished);
}

TEST(KeepaliveOfOne, TimesLeftOutAreTheStacks) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.keepalive_time = 20s;
    c.keepalive_intvl = 5s;
    c.keepalive_probes = 1;
  }}};
  set_keepalive(s, {});
  s.at(20s).sends({.seq = kBefore0}).at(25s).sends({.flags = RST | ACK});
  s.closed(CloseReason::kTimedOut);
}

// Asked for after a long silence the time begins then, as on Linux.
TEST(KeepaliveOfOne, CountsFromWhenItIsAskedFor) {
  Script s{Established{}};
  s.at(100s);
  set_keepalive(s, kEveryTen);
  s.next_timer(160s).at(160s).sends({.seq = kBefore0}).at(170s).sends({.seq = kBefore0});
}

// Another time counts from the last segment: after a long silence at once.
TEST(KeepaliveOfOne, AnotherTimeIsTheTimeOfSilence) {
  Script s{Established{}};
  set_keepalive(s, kEveryTen);
  s.at(20s);
  set_keepalive(s, {.on = true, .time = 30s, .intvl = 10s, .probes = 3});
  s.next_timer(30s).at(29s);
  set_keepalive(s, {.on = true, .time = 1s, .intvl = 10s, .probes = 3});
  s.at(29s).sends({.seq = kBefore0}).receives({});
}

TEST(KeepaliveOfOne, AskingAgainChangesNothing) {
  Script s{Established{}};
  set_keepalive(s, kEveryTen);
  s.at(60s).sends({.seq = kBefore0}).at(70s).sends({.seq = kBefore0});
  set_keepalive(s, kEveryTen);
  s.at(70s)
      .quiet()
      .at(80s)
      .sends({.seq = kBefore0, .flags = ACK})
      .at(90s)
      .sends({.flags = RST | ACK})
      .closed(CloseReason::kTimedOut);
}

TEST(KeepaliveOfOne, BeforeTheHandshakeIsKept) {
  Script s{SynSent{}};
  set_keepalive(s, kEveryTen);
  s.sends({.flags = SYN}).receives({.ack = 1, .flags = SYN | ACK, .mss = 1'460});
  s.sends({.flags = ACK}).at(60s).sends({.seq = 0, .ack = 1, .len = 0, .flags = ACK});
}

TEST(KeepaliveOfOne, TimesAreHeldToWhatTheFieldTakes) {
  Script s{Established{}};
  set_keepalive(s, {.on = true, .time = 1us, .intvl = 24h * 365, .probes = 1});
  s.at(1s).sends({.seq = kBefore0}).at(1s + 32'767s - 1us).quiet().state(kEstablished);
  s.at(1s + 32'767s).sends({.flags = RST | ACK}).closed(CloseReason::kTimedOut);
}

// Of an open it counts from the first SYN.
TEST(UserTimeout, OfAnOpenCountsFromItsSyn) {
  Script s{SynSent{.tune = [](tcp::Config& c) { c.user_timeout = 5s; }}};
  s.sends({.flags = SYN}).at(1s).sends({.flags = SYN}).state(kSynSent);
  s.at(3s).sends({.flags = SYN}).at(5s).closed(CloseReason::kTimedOut);
}

}  // namespace
}  // namespace weir::test
