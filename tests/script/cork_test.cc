// The cork: lib/tcp/cork.cc (Linux's TCP_CORK; RFC 9293 §3.7.4, §3.9.1.2).
#include "script/script.h"

namespace weir::test {
namespace {

//= RFC9293 MAY-16 type=test
TEST(Cork, SmallTextWaitsForMoreOfIt) {
  Script s{Established{}};
  s.app_cork(true).app_send(300).app_send(300).quiet();
  s.at(50ms).app_send(600).sends({.seq = 0, .len = 1'000, .flags = ACK}).quiet();
  s.app_cork(false).sends({.seq = 1'000, .len = 200, .flags = ACK | PSH}).receives({.ack = 1'200});
}

// Full segments go, whatever is behind them.
//= RFC9293 SHLD-28 type=test
TEST(Cork, FullSegmentsGo) {
  Script s{Established{}};
  s.app_cork(true)
      .app_send(2'500)
      .sends({.len = 1'000})
      .sends({.seq = 1'000, .len = 1'000})
      .quiet();
  s.app_send(500).sends({.seq = 2'000, .len = 1'000, .flags = ACK | PSH}).quiet();
  s.next_timer(1s).receives({.ack = 3'000});  // nothing is held: only the retransmission timer
}

//= RFC9293 MUST-60 type=test
TEST(Cork, ButNotForEver) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().next_timer(1s).at(100ms).app_send(100).quiet();
  s.at(1s).sends({.len = 200, .flags = ACK | PSH}).at(1'010ms).receives({.ack = 200});
  EXPECT_EQ(s.counters().cork_flushes.get(), 1U);
  s.app_send(100).quiet().runs_until(1'219ms).quiet();  // 10 ms of round trip, and 200 ms
  s.at(1'220ms).sends({.seq = 200, .len = 100}).receives({.ack = 300});
}

// Nothing in flight and text that waits: yet no window is to be probed.
TEST(Cork, HeldTextIsNoZeroWindow) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).runs_until(999ms).quiet();
  EXPECT_EQ(s.counters().persist_probes.get(), 0U);
  s.at(1s).sends({.len = 100}).receives({.ack = 100});
}

TEST(Cork, AnAckDoesNotUncork) {
  Script s{Established{}};
  s.app_send(100).skip().app_cork(true).app_send(100).quiet();
  s.at(100ms).quiet().receives({.ack = 100}).quiet();  // what is in flight, and its time begins
  s.runs_until(399ms).quiet().at(400ms).sends({.seq = 100, .len = 100});
  s.receives({.ack = 200});
}

TEST(Cork, TheFinTakesAllAlong) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().app_shutdown();
  s.sends({.len = 100, .flags = ACK | PSH | FIN}).receives({.ack = 101});
}

// NODELAY alone does not uncork, but it flushes once (tcp(7)).
//= RFC9293 MUST-17 type=test
TEST(Cork, NodelayFlushesOnce) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().app_nodelay(true).sends({.len = 100});
  s.app_send(100).quiet().app_cork(false).sends({.seq = 100, .len = 100});
  s.app_send(50).sends({.seq = 200, .len = 50}).receives({.ack = 250});  // and Nagle is off
}

TEST(Cork, NodelayWithNothingQueuedFlushesNothingLater) {
  Script s{Established{}};
  s.app_cork(true).app_nodelay(true).app_send(100).quiet().app_cork(false).skip();
  s.receives({.ack = 100});
}

// Uncorked, Nagle's rule holds again.
//= RFC9293 MUST-17 type=test
TEST(Cork, UncorkedTextIsUnderNagle) {
  Script s{Established{}};
  s.app_send(100).skip().app_cork(true).app_send(100).next_timer(1s).app_cork(false).quiet();
  s.next_timer(1s);
  s.receives({.ack = 100}).sends({.seq = 100, .len = 100}).receives({.ack = 200});
}

TEST(Cork, UrgentTextIsNotHeld) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().app_urgent(1).sends({.len = 101}).receives({.ack = 101});
}

// A closed window is probed, cork or not; when it opens the cork's time begins.
TEST(Cork, AClosedWindowIsProbed) {
  Script s{Established{}};
  s.receives({.wnd = 0}).app_cork(true).app_send(100).quiet();
  s.at(1s).sends({.seq = 0, .len = 1}).receives({.ack = 1, .wnd = 65'535}).quiet();
  s.at(2s).sends({.seq = 1, .len = 99}).receives({.ack = 100});
}

// The cork's time may end while the window is closed: its timer is not due for ever.
TEST(Cork, ItsTimeEndsInAClosedWindowToo) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().receives({.wnd = 0});
  s.at(1s).sends({.seq = 0, .len = 1});
  EXPECT_EQ(s.counters().cork_flushes.get(), 1U);
  s.next_timer(3s).receives({.ack = 1});
  s.sends({.seq = 1, .len = 99}).receives({.ack = 100});
}

TEST(Cork, AResetEndsItsTimer) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().receives({.flags = RST}).closed(CloseReason::kReset);
  s.next_timer(Duration::max());
}

// -- MSG_MORE: the cork of one SEND ---------------------------------------------------------------

Script& more(Script& s, bool on) {
  return s.app([on](tcp::Tcb& t, Instant, tcp::Outbox&) { tcp::user_more(t, on); });
}

TEST(More, HoldsBackUntilTheNextSend) {
  Script s{Established{}};
  more(s, true).app_send(100).quiet().next_timer(1s);
  more(s, false).sends({.len = 100, .flags = ACK | PSH}).quiet();
  s.app_send(100).quiet().receives({.ack = 100});  // Nagle's rule is all that holds now
  s.sends({.seq = 100, .len = 100, .flags = ACK | PSH}).receives({.ack = 200});
}

// An ACK lets it go, and no PSH was asked for.
TEST(More, OrUntilAnAck) {
  Script s{Established{}};
  more(s, true).app_send(100).quiet().receives({}).sends({.len = 100, .flags = ACK}).quiet();
  s.receives({.ack = 100});
}

// Text in order that tells nothing of ours is no such ACK; what tells anything, or is early, is.
TEST(More, TextThatTellsNothingLeavesItHeld) {
  const Peer text{.len = 100};
  Script s{Established{}};
  more(s, true).app_send(100).quiet().receives(text).quiet();
  more(s, false).sends({.ack = 100, .len = 100}).receives({.seq = 100, .ack = 100});
  s.app_copies(100, 0);
  Peer early = text, fin = text, window = text;
  early.seq = 500;
  fin.flags = ACK | FIN;
  window.wnd = 60'000;
  for (const Peer& p : {early, fin, window}) {
    Script t{Established{}};
    more(t, true).app_send(100).quiet().receives(p).sends({.len = 100}).skip();
    t.app_abort().skip();
  }
}

TEST(More, NotWhileTheCorkHoldsToo) {
  Script s{Established{}};
  more(s, true).app_cork(true).app_send(100).quiet().receives({}).quiet();
  s.at(1s).sends({.len = 100, .flags = ACK | PSH}).receives({.ack = 100});
}

TEST(More, ButNotForEver) {
  Script s{Established{}};
  more(s, true).app_send(100).at(999ms).quiet().at(1s).sends({.len = 100, .flags = ACK | PSH});
  s.receives({.ack = 100}).app_send(50).sends({.len = 50}).receives({.ack = 150});
}

// The cork's own hold begins with its text, not with the end of what followed.
TEST(More, ItsEndLeavesTheCorksTimeAlone) {
  Script s{Established{}};
  more(s, true).app_cork(true).app_send(100).quiet().at(500ms);
  more(s, false).quiet().next_timer(1s).at(1s).sends({.len = 100}).receives({.ack = 100});
}

TEST(More, AnAckEndsItsTimeInAClosedWindowToo) {
  Script s{Established{}};
  more(s, true).app_send(100).quiet().at(500ms).receives({.wnd = 0}).next_timer(1'500ms);
  s.at(1'500ms).sends({.seq = 0, .len = 1, .flags = ACK}).receives({.ack = 1});
  EXPECT_EQ(s.counters().cork_flushes.get(), 0U);
  s.sends({.seq = 1, .len = 99, .flags = ACK}).receives({.ack = 100});
}

// What waits for the pace is held again when more is to follow, though an ACK had let it go.
TEST(More, TheNextSendHoldsBackAgain) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000);
  s.app_send(1'000).skip().at(100ms).receives({.ack = 1'000});
  more(s, true).app_send(100).receives({.ack = 1'000}).quiet();
  more(s, true).app_send(50).at(1'200ms).quiet();
  s.runs_until(3s);
  EXPECT_EQ(s.tcb().snd_nxt, s.tcb().snd_una + 150);
  s.receives({.ack = 1'150});
}

// -- The cork's timer
// -------------------------------------------------------------------------------

TEST(Cork, ItsTimeStandsWhileTextIsInFlight) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().next_timer(1s).at(500ms);
  s.app_send(1'000).sends({.len = 1'000}).quiet().next_timer(1'500ms);  // the retransmission's
  s.at(600ms).receives({.ack = 1'000}).quiet().next_timer(900ms);       // RTT 100 ms: 300 ms
  s.at(900ms).sends({.seq = 1'000, .len = 100}).receives({.ack = 1'100});
}

TEST(Cork, NothingHeldNothingTimed) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().at(100ms).app_nodelay(true).sends({.len = 100});
  s.next_timer(1'100ms).receives({.ack = 100});
}

TEST(Cork, UncorkedInAClosedWindow) {
  Script s{Established{}};
  s.app_cork(true).app_send(100).quiet().at(500ms).receives({.wnd = 0}).next_timer(1s);
  s.app_cork(false).quiet().next_timer(1'500ms).at(1'500ms).sends({.len = 1});
  EXPECT_EQ(s.counters().cork_flushes.get(), 0U);
  s.receives({.ack = 1}).sends({.seq = 1, .len = 99}).receives({.ack = 100});
}

}  // namespace
}  // namespace weir::test
