// Loss: lib/tcp/cc/reno.cc (RFC 5681, 6582, 3042) and the retransmission timer of
// timeouts.cc (RFC 6298; RFC 9293 §3.8.1-3).
#include "script/script.h"

namespace weir::test {
namespace {

// What Reno does with the window; CUBIC's numbers are in cubic_rfc9438_test.cc.
void reno(tcp::Config& c) {
  c.congestion_control = tcp::CongestionControl::kReno;
}

// -- The timer (RFC 6298) -----------------------------------------------------------------------

// §5.4-6: the earliest segment only, doubled, until the ACK.
//= RFC6298 5.4 type=test
//= RFC6298 5.5 type=test
//= RFC9293 MUST-19 type=test
//= RFC6298 5.1 type=test
//= RFC6298 5.6 type=test
//= RFC8961 4-1 type=test
//= RFC8961 4-3 type=test
TEST(Rto, ResendsTheHeadAndBacksOff) {
  Script s{Established{.tune = reno}};
  s.at(0ms).app_send(2'500).sends({.seq = 0}).sends({.seq = 1'000}).sends({.seq = 2'000});
  s.at(1s).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(3s).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(7s).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(7050ms).receives({.ack = 2'500});
  s.at(1h);
}

// §2.2, §2.3: 100 ms gives 300 ms; then 100 ms again: RTTVAR 37.5, whose share is 200 ms at least.
//= RFC8961 4-2 type=test
TEST(Rto, FollowsTheSamples) {
  Script s{Established{.tune = reno}};
  s.app_send(100).sends({}).at(100ms).receives({.ack = 100}).app_send(100).sends({.seq = 100});
  s.next_timer(400ms);
  s.at(200ms).receives({.ack = 200}).app_send(100).sends({.seq = 200}).next_timer(500ms);
  s.receives({.ack = 300});
}

TEST(Rto, HasAFloorAndACeiling) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rto_max = 60s; }}};
  s.app_send(100).sends({}).at(1ms).receives({.ack = 100}).app_send(100).sends({.seq = 100});
  s.next_timer(202ms);  // 1 ms, and 200 more
  Duration t = 202ms;
  for (Duration wait = 402ms; t < 200s; wait = std::min<Duration>(2 * wait, 60s)) {
    s.at(t).sends({.seq = 100});
    t += wait;
  }
}

// §5.3: every ACK of something new starts the timer afresh.
//= RFC6298 5.3 type=test
//= RFC6298 5.2 type=test
TEST(Rto, TheTimerRestartsWithEachAck) {
  Script s{Established{.tune = reno}};
  s.app_send(3'000).sends({}).sends({}).sends({});
  s.at(900ms).receives({.ack = 1'000});  // sample 0.9 s: RTO 2.7 s
  s.at(3'000ms).receives({.ack = 2'000}).next_timer(5'700ms);
  s.at(5'700ms).sends({.seq = 2'000});
}

// Karn: what was resent is not measured, and the doubled timeout stays for what follows.
//= RFC9293 MUST-18 type=test
//= RFC6298 3 type=test
TEST(Rto, KarnKeepsTheBackedOffTimeout) {
  Script s{Established{.tune = reno}};
  s.app_send(100).sends({}).at(1s).sends({.seq = 0}).at(1010ms).receives({.ack = 100});
  s.app_send(100).sends({.seq = 100}).next_timer(3'010ms);
  s.at(1110ms).receives({.ack = 200});  // this one was sent once: 100 ms
  s.app_send(100).sends({.seq = 200}).next_timer(1'410ms);
  s.receives({.ack = 300});
}

// RFC 9293 §3.8.3: R2.
//= RFC9293 MUST-20 type=test
TEST(Rto, Retries2EndsTheConnection) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries2 = 3; }}};
  s.app_send(100).sends({});
  for (const auto t : {1s, 3s, 7s}) s.at(t).sends({.seq = 0});
  s.notices(0).at(15s).quiet().closed(CloseReason::kTimedOut).notices(tcp::kNoticeClosed);
}

// Retries are counted from the last ACK of something new.
TEST(Rto, AnAckBeginsTheCountAgain) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries2 = 3; }}};
  s.app_send(2'000).skip().runs_until(7s).receives({.ack = 1'000}).skip();
  s.runs_until(40s).state(kEstablished).runs_until(200s).closed(CloseReason::kTimedOut);
}

// The default R2 is far above the 100 seconds asked for.
//= RFC9293 SHLD-11 type=test
TEST(Rto, TheDefaultR2IsOver100Seconds) {
  Script s{Established{.tune = reno}};
  s.app_send(100).sends({}).at(50ms).receives({.ack = 100});  // RTO is near its floor
  s.app_send(100).sends({}).next_timer(300ms).runs_until(100s).state(kEstablished);
  s.runs_until(10h).closed(CloseReason::kTimedOut);
}

// Orphans have their own limit.
TEST(Rto, OrphanRetriesEndAClosedConnection) {
  Script s{Established{.tune = [](tcp::Config& c) { c.orphan_retries = 2; }}};
  s.app_close().sends({.flags = ACK | FIN});
  s.at(1s).sends({.flags = ACK | FIN}).at(3s).sends({.flags = ACK | FIN});
  s.at(7s).quiet().closed(CloseReason::kTimedOut);
}

// RFC 5681 §3.1: loss window of one segment, ssthresh half of what was out, then slow start
// through what was lost; nothing is resent that has been acknowledged.
//= RFC9293 MUST-19 type=test
//= RFC5681 3.1-f type=test
//= RFC5681 3.1-e type=test
//= RFC8961 4-4 type=test
TEST(Rto, LossWindowAndSlowStart) {
  Script s{Established{.tune = reno}};
  s.app_send(10'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = 1'000 * i});
  s.at(1s).sends({.seq = 0, .len = 1'000}).quiet().cwnd(1'000).ssthresh(5'000);
  s.at(1100ms).receives({.ack = 1'000}).cwnd(2'000);
  s.sends({.seq = 1'000}).sends({.seq = 2'000}).quiet();
  s.at(1200ms).receives({.ack = 2'000}).cwnd(3'000);
  s.sends({.seq = 3'000}).sends({.seq = 4'000}).quiet();
  s.at(1300ms).receives({.ack = 9'000}).sends({.seq = 9'000}).quiet();
  s.receives({.ack = 10'000});
}

// ssthresh is held when the same segment is lost again, not when another is (RFC 5681 §3.1).
//= RFC5681 3.1-g type=test
TEST(Rto, ASecondTimeoutHoldsSsthresh) {
  Script s{Established{.tune = reno}};
  s.app_send(10'000).skip();
  s.at(1s).skip().ssthresh(5'000).at(3s).skip().ssthresh(5'000).cwnd(1'000);
  s.at(3100ms).receives({.ack = 6'000}).skip();  // the rest of that window is lost again
  s.runs_until(8s).ssthresh(2'000).cwnd(1'000);
}

// New text waits until the lost has been resent.
TEST(Rto, NewTextFollowsTheLost) {
  Script s{Established{.tune = [](tcp::Config& c) { c.frto = false; }}};
  s.app_send(3'000).skip().at(1s).sends({.seq = 0}).app_send(3'000).quiet();
  s.at(1100ms).receives({.ack = 1'000}).sends({.seq = 1'000}).sends({.seq = 2'000}).quiet();
  s.at(1200ms).receives({.ack = 3'000});
  s.sends({.seq = 3'000}).sends({.seq = 4'000}).sends({.seq = 5'000}).quiet();
}

// -- Fast retransmit and recovery (RFC 5681 §3.2, RFC 6582)
// ----------------------------------------

// Ten segments out, the first lost.
void lose_first_of_ten(Script& s) {
  s.app_send(10'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = 1'000 * i});
  s.at(50ms).receives({.ack = 0}).receives({.ack = 0}).quiet();
  s.receives({.ack = 0}).sends({.seq = 0, .len = 1'000}).quiet();
}

//= RFC5681 3.2-a type=test
//= RFC5681 3.2-c type=test
//= RFC5681 3.2-d type=test
//= RFC6582 3.2-c type=test
TEST(FastRetransmit, ThirdDuplicateResends) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.ssthresh(5'000).cwnd(8'000);
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  // Each further one inflates: a segment has left the network.
  s.app_send(5'000).quiet();
  for (int i = 0; i < 2; ++i) s.receives({.ack = 0}).quiet();
  s.cwnd(10'000).receives({.ack = 0}).cwnd(11'000).sends({.seq = 10'000}).quiet();
  // RFC 6582 §3.2 (3), full: min(ssthresh, max(FlightSize, SMSS) + SMSS).
  s.at(100ms).receives({.ack = 10'000}).cwnd(2'000).sends({.seq = 11'000}).quiet();
}

TEST(FastRetransmit, FullAcknowledgmentEndsRecovery) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.app_send(30'000);
  for (std::uint32_t i = 0; i < 6; ++i) s.receives({.ack = 0}).skip();
  s.at(100ms).receives({.ack = 10'000}).skip();
  EXPECT_EQ(s.tcb().recovery, tcp::Recovery::kNone);
  EXPECT_LE(s.tcb().cwnd, 5'000U);
}

// RFC 6582 §3.2 (3), partial: the next hole at once, without three duplicates.
//= RFC6582 3.2-d type=test
//= RFC6582 3.2-b type=test
TEST(NewReno, PartialAckResendsTheNextHole) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.at(100ms).receives({.ack = 4'000}).sends({.seq = 4'000, .len = 1'000}).quiet();
  s.cwnd(8'000 - 4'000 + 1'000);
  s.at(150ms).receives({.ack = 6'000}).sends({.seq = 6'000, .len = 1'000}).quiet();
  s.at(200ms).receives({.ack = 10'000}).quiet();
  EXPECT_EQ(s.tcb().recovery, tcp::Recovery::kNone);
}

// RFC 6582 §3.2 (3), §4: the impatient variant. Of many losses in a window the timer is the judge.
//= RFC6582 3.2-e type=test
TEST(NewReno, OnlyTheFirstPartialAckRestartsTheTimer) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.at(100ms).receives({.ack = 2'000}).skip().next_timer(1'100ms);
  s.at(150ms).receives({.ack = 4'000}).skip().next_timer(1'100ms);
  s.at(200ms).receives({.ack = 10'000}).app_send(1'000).skip().next_timer(1'200ms);
  // In the next recovery it is the same again.
  s.receives({.ack = 11'000}).app_send(10'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 11'000});
  EXPECT_EQ(s.counters().fast_retransmits.get(), 2U);
  const Instant first = s.skip().at(300ms).tcb().rtx_deadline;
  EXPECT_NE(s.receives({.ack = 12'000}).skip().tcb().rtx_deadline, first);
}

TEST(NewReno, AFullAckRestartsTheTimer) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.app_send(5'000);
  for (int i = 0; i < 6; ++i) s.receives({.ack = 0}).skip();
  s.at(100ms).receives({.ack = 2'000}).skip().at(150ms).receives({.ack = 4'000}).skip();
  s.next_timer(1'100ms).at(200ms).receives({.ack = 10'000}).skip().next_timer(1'200ms);
  s.receives({.ack = 15'000});
}

TEST(FastRetransmit, TheThresholdIsASetting) {
  Script s{Established{.tune = [](tcp::Config& c) { c.reordering = 5; }}};
  s.app_send(10'000).skip();
  for (int i = 0; i < 4; ++i) s.receives({.ack = 0}).quiet();
  s.receives({.ack = 0}).sends({.seq = 0, .len = 1'000}).quiet();
  s.receives({.ack = 10'000});
}

// RFC 6582 §3.2 (2): duplicates of what recovery itself provoked do not start another.
//= RFC6582 3.2-a type=test
TEST(NewReno, NoSecondFastRetransmitForTheSameWindow) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.at(100ms).receives({.ack = 10'000}).app_send(20'000).sends({}).sends({}).quiet();
  for (int i = 0; i < 5; ++i) s.receives({.ack = 10'000});
  s.sends({.seq = 12'000}).sends({.seq = 13'000}).quiet();  // limited transmit
  EXPECT_EQ(s.counters().fast_retransmits.get(), 1U);
  EXPECT_EQ(s.counters().dup_acks_in.get(), 8U);
}

// Nor do those of text that a time-out has covered, however long ago it was.
//= RFC6582 3.2-f type=test
TEST(NewReno, NoFastRetransmitWhereATimeoutEnded) {
  Script s{Established{.tune = reno}};
  s.app_send(5'000).skip().at(1s).skip().at(1'100ms).receives({.ack = 5'000});
  s.at(1min).app_send(5'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 5'000}).skip();
  EXPECT_EQ(s.counters().fast_retransmits.get(), 0U);
}

// The next hole begins where the partial ACK ends, even within what was sent again.
TEST(NewReno, APartialAckInsideASegment) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.at(100ms).receives({.ack = 500}).sends({.seq = 500, .len = 1'000}).quiet().cwnd(7'500);
  s.receives({.ack = 1'500}).sends({.seq = 1'500, .len = 1'000}).quiet().cwnd(7'500);
  for (std::uint32_t i = 4; i < 20; ++i) s.receives({.ack = i * 500}).skip();
  s.cwnd(1'000).receives({.ack = 10'000});
}

// So does the first one, where something was sent again just before.
TEST(FastRetransmit, BeginsAtTheFirstOctetThatIsMissing) {
  Script s{Established{.tune = reno}};
  s.receives({.wnd = 0}).app_send(5'000).at(1s).sends({.seq = 0, .len = 1});
  s.receives({}).sends({.seq = 0, .len = 1}).skip();
  for (int i = 0; i < 3; ++i) s.receives({});
  s.sends({.seq = 0, .len = 1'000}).skip().receives({.ack = 5'000});
}

TEST(NewReno, ALaterLossIsRecoveredAgain) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.at(100ms).receives({.ack = 10'000}).app_send(20'000).skip();
  s.at(150ms).receives({.ack = 11'000}).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 11'000});
  EXPECT_EQ(s.counters().fast_retransmits.get(), 2U);
  s.skip();
}

//= RFC6582 3.2-f type=test
TEST(FastRetransmit, ATimeoutEndsRecovery) {
  Script s{Established{.tune = reno}};
  lose_first_of_ten(s);
  s.at(1s).sends({.seq = 0, .len = 1'000}).cwnd(1'000);
  EXPECT_EQ(s.tcb().recovery, tcp::Recovery::kRto);
}

// RFC 3042, and RFC 5681 §3.2 (2): what it sent is not counted into ssthresh.
//= RFC3042 2-a type=test
//= RFC3042 2-b type=test
//= RFC3042 2-c type=test
//= RFC5681 3.2-b type=test
TEST(LimitedTransmit, TwoNewSegmentsOnTheFirstTwoDuplicates) {
  Script s{Established{.tune = reno}};
  s.app_send(20'000);
  for (std::uint32_t i = 0; i < 10; ++i) s.sends({.seq = 1'000 * i});
  s.receives({.ack = 0}).sends({.seq = 10'000}).quiet();
  s.receives({.ack = 0}).sends({.seq = 11'000}).quiet().cwnd(10'000);
  s.receives({.ack = 0}).sends({.seq = 0}).quiet().ssthresh(5'000).cwnd(8'000);
}

//= RFC3042 2-a type=test
TEST(LimitedTransmit, HonoursThePeersWindow) {
  Script s{Established{.wnd = 3'000}};
  s.app_send(20'000).sends({}).sends({}).sends({});
  for (int i = 0; i < 2; ++i) s.receives({.ack = 0, .wnd = 3'000}).quiet();
}

// RFC 5681 §2: what is no duplicate ACK.
//= RFC5681 3.2-e type=test
TEST(DuplicateAck, TextAndWindowUpdatesAreNotCounted) {
  Script s{Established{.tune = reno}};
  s.app_send(5'000).skip();
  s.receives({.ack = 0, .len = 10}).receives({.seq = 10, .ack = 0, .wnd = 60'000});
  s.receives({.seq = 10, .ack = 0, .wnd = 59'000}).receives({.seq = 10, .ack = 0, .wnd = 58'000});
  EXPECT_EQ(s.counters().dup_acks_in.get(), 0U);
  s.receives({.ack = 5'000, .wnd = 58'000}).skip();
  s.at(1s).skip();
  s.receives({.seq = 10, .ack = 5'000, .wnd = 58'000});
  EXPECT_EQ(s.counters().dup_acks_in.get(), 0U);
}

// A retransmission carries the newest ACK and window, and PSH where the text ends.
TEST(Retransmission, CarriesTheNewestAck) {
  Script s{Established{.tune = reno}};
  s.app_send(1'000).sends({.ack = 0}).receives({.len = 2'000}).sends({.ack = 2'000});
  s.at(1s).sends({.seq = 0, .ack = 2'000, .len = 1'000, .flags = ACK | PSH}).app_reads(2'000);
}

TEST(Retransmission, MayJoinSmallSegments) {
  Script s{Established{.no_delay = true}};
  for (std::uint32_t i = 0; i < 4; ++i) s.app_send(100).sends({.len = 100});
  s.at(1s).sends({.seq = 0, .len = 400, .flags = ACK | PSH});
}

// Two gigabytes and more: no mark left behind is met again when the numbers come round.
TEST(Wrap, NothingIsResentInThreeGibibytes) {
  tcp::Config c;
  c.timestamps = c.window_scaling = false;
  tcp::Tcb t{c};
  telemetry::Counters counters;
  tcp::Outbox out;
  out.counters = &counters;
  Instant now{1s};
  user_open(t, {.iss = Seq{0xffff'fe00}, .mtu = 65'535}, now);
  poll_transmit(t, now, out);
  tcp::RxSegment seg;
  seg.ack = t.snd_nxt;
  seg.flags = SYN | ACK;
  seg.wnd = 65'535;
  seg.options.mss = 65'495;
  on_segment(t, seg, now, out);
  seg.flags = ACK;
  seg.seq = Seq{1};
  Buf text;                               // its octets are never looked at
  constexpr std::uint32_t kLen = 65'495;  // the MSS
  for (std::uint32_t i = 0; i < (3U << 30U) / kLen; ++i) {
    text = Buf{};
    text.len = kLen;
    BufChain chain;
    chain.push_back(&text);
    user_send(t, std::move(chain));
    out.tx.clear();
    poll_transmit(t, now, out);
    ASSERT_EQ(out.tx.size(), 1U);
    ASSERT_EQ(out.tx.items()[0].len, kLen);
    now += 1ms;
    seg.ack = t.snd_nxt;
    on_segment(t, seg, now, out);
    while (out.release.pop_front() != nullptr) {
    }
  }
  EXPECT_EQ(counters.retrans_segs.get(), 0U);
  // And a small segment is not held, a loss still found by three duplicates.
  text = Buf{};
  text.len = 100;
  BufChain chain;
  chain.push_back(&text);
  user_send(t, std::move(chain));
  out.tx.clear();
  poll_transmit(t, now, out);
  EXPECT_EQ(out.tx.size(), 1U);
  for (int i = 0; i < 3; ++i) on_segment(t, seg, now, out);
  EXPECT_EQ(counters.fast_retransmits.get(), 1U);
  release_buffers(t, out);
}

// A window withdrawn during RTO recovery and opened again: what is out is resent, and a timer runs.
//= RFC9293 MUST-34 type=test
TEST(Rto, AWindowWithdrawnAndReopenedLeavesATimer) {
  Script s{Established{.tune = reno}};
  s.app_send(1'500).skip();
  s.at(1s).sends({.seq = 0, .len = 1'000}).quiet();
  s.at(1050ms).receives({.ack = 1'000}).sends({.seq = 1'000, .len = 500});
  s.app_send(1'500).app_shutdown().skip();
  s.receives({.ack = 1'000, .wnd = 0}).skip();
  s.receives({.ack = 1'000, .wnd = 65'535}).skip();
  EXPECT_NE(s.tcb().rtx_deadline, kNever);
  s.at(2'050ms).skip();
  s.receives({.ack = 3'001}).state(kFinWait2);
}

// Duplicate ACKs beyond what is out are forged: they open no window.
//= RFC5681 3.2-d type=test
TEST(FastRecovery, ForgedDuplicatesDoNotInflateCwnd) {
  Script s{Established{.tune = reno}};
  s.app_send(4'000).skip();
  for (int i = 0; i < 3; ++i) s.receives({.ack = 0});
  s.skip();
  for (int i = 0; i < 200; ++i) s.receives({.ack = 0});
  s.skip();
  EXPECT_LE(s.tcb().cwnd, s.tcb().ssthresh + 4'000 + 1'000);
  s.receives({.ack = 4'000});
}

}  // namespace
}  // namespace weir::test
