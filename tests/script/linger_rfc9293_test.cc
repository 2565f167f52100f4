// What CLOSE leaves behind: lib/tcp/user_calls.cc (RFC 9293 §3.6.1, §3.10.4; POSIX SO_LINGER).
#include "script/script.h"

namespace weir::test {
namespace {

using OptDuration = std::optional<Duration>;

void linger(Script& s, OptDuration d) {
  s.app([d](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_linger(t, d, out));
  });
}

TEST(Linger, OffAllIsSentHoweverLongItTakes) {
  Script s{Established{.wnd = 0}};
  s.app_send(1'000).quiet().app_close().quiet().state(kFinWait1);
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.wnd = 65'535});
  s.sends({.seq = 0, .len = 1}).sends({.seq = 1, .len = 999, .flags = ACK | PSH | FIN});
  s.receives({.ack = 1'001});
  s.state(kFinWait2);
}

TEST(Linger, ZeroMakesCloseAnAbort) {
  Script s{Established{}};
  linger(s, 0s);
  s.app_send(5'000).skip().app_close().sends({.seq = 5'000, .len = 0, .flags = RST | ACK}).quiet();
  s.closed(CloseReason::kAborted).at(1h);
}

TEST(Linger, ZeroResetsAnIdleConnectionToo) {
  Script s{Established{}};
  linger(s, 0s);
  s.app_close().sends({.seq = 0, .flags = RST | ACK}).closed(CloseReason::kAborted);
}

TEST(Linger, ZeroAfterThePeersFinResets) {
  Script s{Established{}};
  s.receives({.flags = ACK | FIN}).sends({.ack = 1});
  linger(s, 0s);
  s.app_close().sends({.seq = 0, .ack = 1, .flags = RST | ACK}).closed(CloseReason::kAborted);
}

// The sending side alone: the connection goes on.
TEST(Linger, ZeroDoesNotTouchShutdown) {
  Script s{Established{}};
  linger(s, 0s);
  s.app_shutdown().sends({.flags = ACK | FIN}).receives({.ack = 1}).state(kFinWait2);
}

TEST(Linger, ATimeGivesUpWhatIsUnacknowledged) {
  Script s{Established{}};
  linger(s, 5s);
  s.at(1s).app_send(100).app_close().sends({.len = 100}).sends({.seq = 100, .flags = ACK | FIN});
  s.at(2s).sends({.seq = 0, .len = 100}).at(4s).sends({.seq = 0, .len = 100});
  s.at(6s - 1us).quiet().state(kFinWait1);
  s.at(6s).sends({.seq = 101, .flags = RST | ACK}).quiet().closed(CloseReason::kAborted);
  EXPECT_EQ(s.counters().linger_resets.get(), 1U);
}

//= RFC6429 4-b type=test
TEST(Linger, ATimeEndsAClosedWindow) {
  Script s{Established{.wnd = 0}};
  linger(s, 2s);
  s.app_send(100).app_close().at(1s).sends({.len = 1}).receives({.wnd = 0});
  s.at(2s).sends({.seq = 0, .flags = RST | ACK}).closed(CloseReason::kAborted);
}

TEST(Linger, ATimeEndsLastAck) {
  Script s{Established{}};
  linger(s, 2s);
  s.receives({.flags = ACK | FIN}).sends({.ack = 1}).app_close().sends({.flags = ACK | FIN});
  s.at(1s).sends({.flags = ACK | FIN}).at(2s).sends({.seq = 1, .flags = RST | ACK});
  s.closed(CloseReason::kAborted);
}

// All was acknowledged in time: fin_timeout and 2MSL are what they are without it.
TEST(Linger, ATimeIsOverWithTheLastAck) {
  Script s{Established{}};
  linger(s, 5s);
  s.app_close().sends({.flags = ACK | FIN}).at(1s).sends({.flags = ACK | FIN});
  s.receives({.ack = 1}).state(kFinWait2).at(30s).quiet().state(kFinWait2);
  s.receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1}).state(kTimeWait);
  s.at(90s - 1us).state(kTimeWait).at(90s).closed(CloseReason::kNormal);
  EXPECT_EQ(s.counters().linger_resets.get(), 0U);
}

// A keepalive that was due is no linger time.
TEST(Linger, OffAKeepalivesDeadlineDoesNotEndIt) {
  Script s{Established{.wnd = 0, .tune = [](tcp::Config& c) {
                         c.keepalive = true;
                         c.keepalive_time = 10s;
                       }}};
  s.app_send(100).app_close();
  s.runs_until(11s).state(kFinWait1);
}

TEST(Linger, FractionsCountAsTheWholeSecond) {
  Script s{Established{}};
  linger(s, 100ms);
  s.app_close().sends({.flags = ACK | FIN}).at(1s - 1us).state(kFinWait1);
  s.at(1s).skip().closed(CloseReason::kAborted);
}

TEST(Linger, TakenBackIsOff) {
  Script s{Established{}};
  linger(s, 0s);
  linger(s, std::nullopt);
  s.app_close().sends({.flags = ACK | FIN}).state(kFinWait1);
}

}  // namespace
}  // namespace weir::test
