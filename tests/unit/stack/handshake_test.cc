// Handshakes with a listener of which something is lost, doubled or old (RFC 9293 §3.5, figures 7
// to 11). One client, segment by segment; the table must end with one entry or none.
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

struct Handshake : testing::Test {
  Handshake() { w.listen(); }
  void expect_one_connection() {
    EXPECT_EQ(w.stack->gauges().connections, 1U);
    EXPECT_EQ(w.stack->gauges().half_open, 0U);
    EXPECT_EQ(w.count(&C::passive_opens), 1U);
  }
  World w;
  Peer p{w};
};

// The client's SYN again and the server's own timer meet: one entry, one connection.
TEST_F(Handshake, ALostSynAckMakesNoSecondEntry) {
  p.send(SYN);
  const Seq iss = p.expect(SYN | ACK).tcp().seq;  // lost
  w.run_to(1s);
  EXPECT_EQ(p.expect(SYN | ACK).tcp().seq, iss);
  w.feed(p.make(SYN, p.snd_nxt - 1, Seq{}));  // the client's timer ran out too
  EXPECT_EQ(p.expect(SYN | ACK).tcp().seq, iss);
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  p.send(ACK);
  ASSERT_TRUE(w.next_event());
  p.send(ACK);  // the answer to the other copy
  w.expect_no_event();
  expect_one_connection();
  w.run_to(10s);
  w.expect_quiet();
}

TEST_F(Handshake, ASynAckThatIsAnsweredTwiceEstablishesOnce) {
  p.syn();
  const Octets ack = p.make(ACK);
  w.iterate({ack, ack});
  ASSERT_TRUE(w.next_event());
  w.expect_no_event();
  expect_one_connection();
}

// An old copy of the SYN that arrives after all is done: challenged, nothing more.
//= RFC5961 4.2-a type=test
TEST_F(Handshake, AnOldSynAfterwardsIsChallenged) {
  const ConnId c = p.open();
  w.feed(p.make(SYN, p.snd_nxt - 1, Seq{}));
  EXPECT_EQ(p.expect(ACK).tcp().ack, p.snd_nxt);
  EXPECT_EQ(w.stack->state_of(c), tcp::State::kEstablished);
  expect_one_connection();
}

// The last ACK was lost: SYN-ACKs until text comes, which is delivered once.
TEST_F(Handshake, TextBetweenTwoSynAcksCompletesIt) {
  p.syn();
  w.run_to(1s);
  p.expect(SYN | ACK);
  p.send(ACK | PSH, "hello");
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(w.read(r->conn), "hello");
  w.run_to(20s);
  while (p.take()) {
  }
  expect_one_connection();
}

// The last ACK and the first text were lost: what comes out of order completes it and waits.
TEST_F(Handshake, TextOutOfOrderCompletesItAndWaits) {
  p.syn();
  w.feed(p.make(ACK | PSH, p.snd_nxt + 5, p.rcv_nxt, "world"));
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->events, kAccepted);
  w.feed(p.make(ACK | PSH, p.snd_nxt, p.rcv_nxt, "hello"));
  EXPECT_EQ(w.read(r->conn), "helloworld");
  w.tcp.clear();
}

// The server gave up: its entry is gone, and the client learns with its first text.
TEST_F(Handshake, TextAfterTheServerGaveUpDrawsRst) {
  p.syn();
  w.run_to(60s);
  while (p.take()) {
  }
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  p.send(ACK | PSH, "hello?");
  EXPECT_EQ(p.expect(RST).tcp().seq, p.rcv_nxt);
  w.expect_no_event();
}

// Figure 8: an old duplicate SYN first, then the new one. The client's RST clears the way at once.
//= RFC5961 4.2-a type=test
TEST_F(Handshake, AnOldDuplicateSynThenTheNewOne) {
  w.feed(p.make(SYN, Seq{77}, Seq{}));
  const Sent wrong = p.expect(SYN | ACK);
  EXPECT_EQ(wrong.tcp().ack, Seq{78});
  p.send(SYN);  // the new one finds the old entry
  const Sent challenge = p.expect(ACK);
  EXPECT_EQ(challenge.tcp().ack, Seq{78});
  w.feed(p.make(RST, Seq{78}, Seq{}));  // <SEQ=SEG.ACK>: what a client in SYN-SENT answers
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  w.run_for(1s);
  w.feed(p.make(SYN, p.snd_nxt - 1, Seq{}));
  p.expect(SYN | ACK);
  p.send(ACK);
  ASSERT_TRUE(w.next_event());
  expect_one_connection();
}

// The client is gone and comes back with another number, as after a reboot, from the same port.
//= RFC5961 4.2-a type=test
TEST_F(Handshake, AClientThatRebootedConnectsAnew) {
  const ConnId c = p.open();
  Peer again(w);
  again.snd_nxt = Seq{0x7000'0000};
  w.feed(again.make(SYN));
  const Sent challenge = again.expect(ACK);
  w.feed(again.make(RST, challenge.tcp().ack, Seq{}));
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kReset);
  again.open();
  EXPECT_EQ(w.stack->gauges().connections, 1U);
}

// Nobody called accept yet: the connection is there, and takes text.
TEST_F(Handshake, IsDoneBeforeAnyoneAccepts) {
  w.stack->pause_accept(0, true);
  p.syn();
  p.send(ACK);
  EXPECT_EQ(w.stack->gauges().established, 1U);
  EXPECT_EQ(w.stack->gauges().accept_waiting, 1U);
  p.send(ACK | PSH, "early");
  w.run_for(100ms);
  EXPECT_EQ(p.expect(ACK).tcp().ack, p.snd_nxt);
  w.stack->pause_accept(0, false);
  w.iterate();
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(w.read(r->conn), "early");
  EXPECT_EQ(w.stack->gauges().accept_waiting, 0U);
}

// No listen call: two stacks' ports open towards each other at once.
//= RFC9293 MUST-10 type=test
TEST_F(Handshake, WithoutAListenerTwoOpensMeet) {
  const auto c = w.stack->connect({kPeer, 9'000}, {}, w.now, 9'001);
  ASSERT_TRUE(c.ok());
  w.end_later(c.value());
  w.iterate();
  Peer other(w, {.addr = kPeer, .port = 9'000, .local_port = 9'001});
  other.expect(SYN);
  w.feed(other.next(SYN));
  const Sent s = other.expect(SYN | ACK);
  EXPECT_EQ(s.tcp().ack, other.snd_nxt);
  other.send(ACK);
  w.expect_event(c.value(), kConnected);
  EXPECT_EQ(w.stack->state_of(c.value()), tcp::State::kEstablished);
}

// IP's identification never counts: 0 with DF set, an atomic datagram (RFC 6864 §4.1).
TEST_F(Handshake, TheIpIdentificationIsAlwaysZero) {
  const ConnId c = p.open();
  w.send(c, pattern(5'000));
  ASSERT_FALSE(w.tcp.empty());
  for (const Sent& s : w.tcp) {
    EXPECT_EQ(s.octets[18], std::byte{0});
    EXPECT_EQ(s.octets[19], std::byte{0});
    EXPECT_EQ(s.octets[20] & std::byte{0xe0}, std::byte{0x40});  // DF alone
  }
  w.stack->abort(c);
  w.iterate();
  w.tcp.clear();
}

//= RFC7323 5.4 type=test
// RFC 7323 §5.4: two connections' clocks say different things at one instant.
TEST_F(Handshake, TimestampsOfTwoConnectionsDiffer) {
  Peer a(w, {.port = 1}), b(w, {.port = 2});
  a.stamped = b.stamped = true;
  a.send(SYN);
  b.send(SYN);
  const std::uint32_t x = a.expect(SYN | ACK).tcp().options.ts_val;
  const std::uint32_t y = b.expect(SYN | ACK).tcp().options.ts_val;
  EXPECT_GT(std::min(x - y, y - x), 1'000'000U);
  const auto uptime = static_cast<std::uint32_t>(std::chrono::milliseconds(1'000s).count());
  EXPECT_GT(std::min(x - uptime, uptime - x), 1'000'000U);
}

// A SYN from elsewhere in the sequence space is challenged, and what was half open completes still,
// before and after the SYN-ACK goes again.
TEST(HalfOpenSyn, AnotherSynFarAwayLeavesItAsItWas) {
  for (const Duration wait : {Duration{100ms}, Duration{1'500ms}}) {
    World w;
    w.listen();
    Peer p(w);
    p.syn();
    w.feed(p.make(SYN, p.snd_nxt + 100'000, Seq{0}));
    p.expect(ACK);
    w.run_for(wait);
    if (wait > 1s) p.expect(SYN | ACK);
    p.send(ACK);
    ASSERT_TRUE(w.next_event());
    w.feed(p.next(ACK, "hello"));
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    EXPECT_EQ(w.read(r->conn), "hello");
    EXPECT_EQ(w.count(&C::passive_opens), 1U);
  }
}

// -- The round trip of a listener's SYN-ACK ------------------------------------------------------

// Without timestamps too: the entry knows when it went, to the 64th of a millisecond.
//= RFC6298 3 type=test
TEST(SynAckTiming, TheLastAckIsTheFirstSample) {
  for (const bool stamped : {false, true}) {
    World w;
    w.listen();
    Peer p(w);
    p.stamped = stamped;
    w.run_for(1'437us);
    p.send(SYN);
    p.ts_ecr = p.expect(SYN | ACK).tcp().options.ts_val;
    w.run_for(10ms);
    p.send(ACK);
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    w.end_later(r->conn);
    const auto info = w.stack->info(r->conn);
    EXPECT_GE(info->rtt, 10ms);
    EXPECT_LE(info->rtt, 10'016us);
    EXPECT_LT(info->rto, 300ms);
  }
}

// Karn's rule: which of two was answered nobody knows; nor what an ACK that comes once more says.
//= RFC6298 3 type=test
TEST(SynAckTiming, NotOfOneThatWentTwice) {
  for (const bool by_timer : {false, true}) {
    World w;
    w.listen();
    Peer p(w);
    const Octets syn = p.make(SYN);
    p.syn();
    if (by_timer) {
      w.run_for(1'100ms);
    } else {
      w.feed(syn);
    }
    p.rcv_nxt = p.rcv_nxt - 1;
    p.expect(SYN | ACK);
    w.run_for(10ms);
    p.send(ACK);
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    w.end_later(r->conn);
    const auto info = w.stack->info(r->conn);
    EXPECT_EQ(info->rtt, 0s);
    EXPECT_EQ(info->rto, by_timer ? 3s : 1s);  // RFC 6298 §5.7
  }
}

TEST(SynAckTiming, NotWhereTheAcceptQueueWasFull) {
  World w;
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  Peer first(w, {.port = 1}), p(w, {.port = 2});
  first.syn();
  p.syn();
  first.send(ACK);
  p.send(ACK);
  w.stack->pause_accept(l, false);
  w.iterate();
  const auto other = w.next_event();
  ASSERT_TRUE(other);
  w.run_for(10ms);
  w.feed(p.make(ACK));
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  w.end_later(other->conn);
  w.end_later(r->conn);
  EXPECT_EQ(w.stack->info(r->conn)->rtt, 0s);
}

}  // namespace
}  // namespace weir::stack::test
