// OPEN, SEND, RECEIVE, CLOSE, ABORT in the states where they differ: lib/tcp/user_calls.cc (RFC
// 9293 §3.10.1-6), and what is left of a connection that is closed.
#include "script/script.h"

namespace weir::test {
namespace {

void abort_of(Script& s, bool resets) {
  const std::uint64_t before = s.counters().out_rsts.get();
  s.app_abort().skip().state(kClosed);
  EXPECT_EQ(s.counters().out_rsts.get() - before, resets ? 1U : 0U);
  EXPECT_TRUE(s.tcb().has(tcp::kUserClosed));
}

TEST(Send, MayBeginBeforeTheConnectionIsOpen) {
  Script s{SynSent{}};
  EXPECT_TRUE(tcp::may_send(s.tcb()));
  EXPECT_EQ(tcp::send_room(s.tcb()), 262'144U);
  s.skip().receives({.flags = SYN, .mss = 1'460}).skip().state(kSynReceived);
  EXPECT_TRUE(tcp::may_send(s.tcb()));
  s.receives({.seq = 1, .ack = 1}).skip().state(kEstablished);
  EXPECT_TRUE(tcp::may_send(s.tcb()));
  s.receives({.seq = 1, .ack = 1, .flags = ACK | FIN}).skip().state(kCloseWait);
  EXPECT_TRUE(tcp::may_send(s.tcb()));
  s.app_shutdown().skip();
  EXPECT_FALSE(tcp::may_send(s.tcb()));
  EXPECT_EQ(tcp::send_room(s.tcb()), 0U);
  s.receives({.seq = 2, .ack = 2}).closed(CloseReason::kNormal);
  EXPECT_FALSE(tcp::may_send(s.tcb()));
}

// §3.10.5: where both ends have sent their FINs there is nothing to reset.
TEST(Abort, ResetsWhereSomethingIsLeftToReset) {
  Script open{Established{}};
  abort_of(open, true);
  Script fin_wait_1{Established{}};
  abort_of(fin_wait_1.app_shutdown().skip().state(kFinWait1), true);
  Script fin_wait_2{Established{}};
  abort_of(fin_wait_2.app_shutdown().skip().receives({.ack = 1}).state(kFinWait2), true);
  Script close_wait{Established{}};
  abort_of(close_wait.receives({.flags = ACK | FIN}).skip().state(kCloseWait), true);
  Script closing{Established{}};
  abort_of(closing.app_shutdown().skip().receives({.flags = ACK | FIN}).skip().state(kClosing),
           false);
  Script last_ack{Established{}};
  abort_of(last_ack.receives({.flags = ACK | FIN}).app_shutdown().skip().state(kLastAck), false);
  Script time_wait{Established{}};
  time_wait.app_shutdown().skip().receives({.ack = 1, .flags = ACK | FIN}).skip();
  abort_of(time_wait.state(kTimeWait), false);
  Script syn_sent{SynSent{}};
  abort_of(syn_sent.skip(), false);
}

// A FIN that has not gone yet: the peer still waits for text.
TEST(Abort, ResetsWhileTheFinIsStillToCome) {
  Script s{Established{.wnd = 0}};
  s.app_send(100).receives({.flags = ACK | FIN, .wnd = 0}).skip().app_shutdown().quiet();
  abort_of(s.state(kLastAck), true);
}

// SHLD-3 in any state: text that nobody has read.
//= RFC9293 SHLD-3 type=test
TEST(Abort, TellsOfUnreadTextInAnyState) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | FIN}).app_shutdown().skip().state(kLastAck);
  abort_of(s, true);
  EXPECT_TRUE(s.tcb().rcvq.empty());
}

// What came before a RST may be read, until the connection is let go.
TEST(Close, LetsGoOfWhatWasLeftToRead) {
  for (const bool abort : {false, true}) {
    Script s{Established{}};
    s.receives({.len = 100}).receives({.seq = 100, .flags = RST}).closed(CloseReason::kReset);
    EXPECT_EQ(s.tcb().rcvq.bytes(), 100U);
    abort ? s.app_abort() : s.app_close();
    EXPECT_TRUE(s.tcb().rcvq.empty());
  }
}

TEST(Closed, NothingIsCountedAsInFlight) {
  Script s{Established{.counted = true}};
  s.app_send(5'000).skip().receives({.flags = RST}).closed(CloseReason::kReset);
  EXPECT_EQ(s.info().unacked, 0U);
  EXPECT_EQ(s.info().notsent_bytes, 0U);
}

TEST(Closed, NothingWaitsForItsPace) {
  Script s{Established{}};
  tcp::user_pace(s.tcb(), 1'000);
  s.app_send(5'000).skip().receives({.flags = RST}).next_timer(Duration::max());
}

// Reading nothing tells of no room.
TEST(Receive, OfNothingSaysNothing) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 4'000; }}};
  s.receives({.len = 4'000}).sends({.ack = 4'000, .wnd = 0}).app_reads(600);
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_receive_buffer(t, 60'000, out));
    EXPECT_EQ(tcp::user_receive_copy(t, {}, out), 0U);
  });
  s.quiet().app_reads(3'000).sends({.ack = 4'000}).app_copies(400, 0).skip();
}

// In TIME-WAIT, and after the end, there is nobody to reset.
TEST(EndStalled, IsSilentWhereNobodyListens) {
  Script s{Established{}};
  s.app_shutdown().skip().receives({.ack = 1, .flags = ACK | FIN}).skip().state(kTimeWait);
  s.app([](tcp::Tcb& t, Instant now, tcp::Outbox& out) { tcp::end_stalled(t, now, out); });
  s.quiet().closed(CloseReason::kAborted);
  s.app([](tcp::Tcb& t, Instant now, tcp::Outbox& out) { tcp::end_stalled(t, now, out); });
  s.quiet().closed(CloseReason::kAborted);
}

// -- Opening, seen from its end
// -----------------------------------------------------------------------

TEST(Establish, TheSynsRoundTripIsOver) {
  Script s{SynSent{.counted = true}};
  s.skip().at(100ms).receives({.ack = 1, .flags = SYN | ACK, .mss = 1'460}).skip();
  EXPECT_EQ(s.tcb().rto.srtt(), 100ms);
  EXPECT_NE(s.tcb().path_news & tcp::kPathProven, 0);
  s.at(150ms);
  EXPECT_EQ(s.info().last_ack_recv, Duration(50ms));
  s.at(1s).app_send(100).skip().at(1'020ms).receives({.seq = 1, .ack = 101});
  EXPECT_EQ(s.tcb().rto.srtt(), 90ms);
}

TEST(Establish, NothingWasResentThatIsNotAnswered) {
  Script s{SynSent{}};
  s.skip().at(1s).skip();
  EXPECT_EQ(s.info().retransmits, 1);
  s.receives({.ack = 1, .flags = SYN | ACK, .mss = 1'460}).skip();
  EXPECT_EQ(s.info().retransmits, 0);
}

TEST(SynSent, ARefusalIsCounted) {
  Script s{SynSent{}};
  s.skip().receives({.ack = 1, .flags = RST | ACK}).closed(CloseReason::kRefused);
  EXPECT_EQ(s.counters().attempt_fails.get(), 1U);
}

// The SYN-ACK of a simultaneous open has retries of its own.
//= RFC9293 MUST-10 type=test
TEST(SynSent, ACrossedSynBeginsTheCountAgain) {
  Script s{SynSent{.tune = [](tcp::Config& c) { c.syn_retries = 1; }}};
  s.sends({.flags = SYN}).at(1s).sends({.flags = SYN});
  s.at(1'500ms).receives({.flags = SYN, .mss = 1'460}).sends({.flags = SYN | ACK});
  s.at(3'500ms).sends({.flags = SYN | ACK}).state(kSynReceived);
  s.runs_until(30s).closed(CloseReason::kTimedOut);
}

// Text may be missing, and the FIN is there.
TEST(SynSent, AFinOnTheSynAckCounts) {
  Script s{SynSent{}};
  s.skip().receives({.ack = 1, .flags = SYN | ACK | FIN, .mss = 1'460}).skip().state(kCloseWait);
}

// -- Timers, as a stack calls them
// --------------------------------------------------------------------

TEST(Timeout, SendsWhatIsDueByItself) {
  Script s{Established{}};
  s.receives({.len = 100}).quiet();
  s.app([](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    tcp::on_timeout(t, now + 40ms, out);
    EXPECT_EQ(out.tx.size(), 1U);
  });
  s.sends({.ack = 100}).app_copies(100, 0);
}

// A retransmission that no neighbour was there to take goes at once when one is, and does not
// count.
TEST(NextHop, WhatItWaitedForGoesAtOnce) {
  const auto known = [](tcp::Tcb& t, Instant now, tcp::Outbox&) { tcp::on_next_hop_known(t, now); };
  Script s{Established{}};
  s.app(known).next_timer(Duration::max());  // nothing waits
  s.app_send(100).skip().at(1s).sends({.len = 100}).at(1'200ms);
  EXPECT_EQ(s.tcb().retries, 1);
  s.app(known).next_timer(1'200ms);
  EXPECT_EQ(s.tcb().retries, 0);
  s.app(known).next_timer(1'200ms);
  EXPECT_EQ(s.tcb().retries, 0);
  s.at(1'200ms).sends({.len = 100}).receives({.ack = 100});
  Script opening{SynSent{}};
  opening.skip().app(known).next_timer(1s).app_abort();  // a SYN has a clock of its own
}

}  // namespace
}  // namespace weir::test
