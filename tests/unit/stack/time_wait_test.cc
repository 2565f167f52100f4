// TIME-WAIT in 28 octets (RFC 9293 §3.6.1, the TIME-WAIT rows of §3.10.7.4; RFC 1337, RFC 6191).
#include "tcp/time_wait.h"
#include <map>

#include "base/rng.h"
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

// In TIME-WAIT since the world began.
struct TimeWait : testing::Test {
  explicit TimeWait(const Config& c = small_config()) : w(c) { w.listen(); }
  void enter(Peer& p) { p.close_after_stack(p.open()); }
  Octets fin_again(const Peer& p) { return p.make(FIN | ACK, p.snd_nxt - 1, p.rcv_nxt); }

  World w;
  Peer p{w};
};

TEST_F(TimeWait, ARecordOf28OctetsTakesTheControlBlocksPlace) {
  EXPECT_EQ(sizeof(tcp::TwRecord), 28U);
  enter(p);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_EQ(w.stack->gauges().established, 0U);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(w.count(&C::time_wait_entered), 1U);
}

//= RFC9293 MUST-13 type=test
TEST_F(TimeWait, LastsTwiceTheMslToTheMillisecond) {
  enter(p);
  w.run_to(60s - 1ms);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  w.run_to(60s);
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
  w.expect_quiet();
  w.feed(fin_again(p));
  p.expect(RST);
}

TEST_F(TimeWait, TheFinAgainIsAcknowledgedAndTheWaitStartsAnew) {
  enter(p);
  w.run_to(30s);
  w.feed(fin_again(p));
  const Sent s = p.expect(ACK);
  EXPECT_EQ(s.tcp().seq, p.rcv_nxt);
  EXPECT_EQ(s.tcp().ack, p.snd_nxt);
  w.run_to(90s - 1ms);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  w.run_to(90s);
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
}

// RFC 1337: no assassination.
//= RFC1337 3-a type=test
TEST_F(TimeWait, ARstIsIgnored) {
  enter(p);
  w.feed(p.make(RST));
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(w.count(&C::drop_time_wait), 1U);
}

TEST(TimeWaitRfc1337Off, ARstExactlyInPlaceEndsIt) {
  Config c = small_config();
  c.tcp.rfc1337 = false;
  World w(c);
  w.listen();
  Peer p(w);
  p.close_after_stack(p.open());
  w.feed(p.make(RST, p.snd_nxt + 1, Seq{}));
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  w.feed(p.make(RST));
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
  w.run_to(100s);
}

//= RFC1337 2-a type=test
TEST_F(TimeWait, AnOldSegmentIsAcknowledgedAndNotDelivered) {
  enter(p);
  w.feed(p.make(ACK | PSH, p.snd_nxt - 8, p.rcv_nxt, "old text"));
  const Sent s = p.expect(ACK);
  EXPECT_EQ(s.tcp().ack, p.snd_nxt);
  w.expect_no_event();
  EXPECT_EQ(w.count(&C::drop_time_wait), 1U);
  w.feed(p.make(ACK));  // an empty one is not answered, or two of us would talk for ever
  w.expect_quiet();
}

// RFC 6191 §2, without timestamps.
TEST_F(TimeWait, ASynWithAGreaterSequenceNumberOpensAnew) {
  enter(p);
  w.feed(p.make(SYN, p.snd_nxt, Seq{}));  // not greater
  p.expect(ACK);
  w.expect_quiet();
  const Seq old = p.rcv_nxt;
  p.snd_nxt += 1;
  p.send(SYN);
  EXPECT_TRUE(after(p.expect(SYN | ACK).tcp().seq, old));
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
  EXPECT_EQ(w.count(&C::time_wait_reused), 1U);
  p.send(ACK);
  EXPECT_TRUE(w.next_event());
  w.run_to(61s);  // the old record's place in the queue comes and goes
  EXPECT_EQ(w.stack->gauges().connections, 1U);
}

// RFC 6191 §2, with timestamps: the sequence number plays no part when they differ.
TEST_F(TimeWait, ASynWithANewerTimestampOpensAnew) {
  p.stamped = true;
  enter(p);
  p.ts_val -= 1;
  w.feed(p.make(SYN, p.snd_nxt + 1'000, Seq{}));
  p.expect(ACK);
  w.expect_quiet();
  p.ts_val += 2;
  p.snd_nxt = p.snd_nxt - 5'000;
  p.send(SYN);
  p.expect(SYN | ACK);
  EXPECT_EQ(w.count(&C::time_wait_reused), 1U);
}

//= RFC9293 MAY-2 type=test
TEST_F(TimeWait, TheNewInitialNumberLiesBeyondWhatTheOldOneUsed) {
  const ConnId c = p.open();
  // In no time at all more than the clock of 4 microseconds would cover.
  EXPECT_EQ(w.send(c, pattern(100'000)), 100'000U);
  while (w.stack->unacked(c) > 0) {
    p.take_text();
    p.send(ACK);
  }
  p.close_after_stack(c);
  const Seq old = p.rcv_nxt;
  p.snd_nxt += 1;
  p.send(SYN);
  EXPECT_TRUE(after(p.expect(SYN | ACK).tcp().seq, old));
}

TEST_F(TimeWait, ASynThatFindsNoRoomLeavesTheRecordInPlace) {
  enter(p);
  w.stack->stop_listening(0);
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  Peer other(w, {.port = 9});
  other.syn();
  other.send(ACK);
  p.snd_nxt += 1;
  p.send(SYN);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(w.count(&C::drop_accept_queue_full), 1U);
}

TEST_F(TimeWait, ASynToAListenerThatIsGoneIsDropped) {
  enter(p);
  w.stack->stop_listening(0);
  p.snd_nxt += 1;
  p.send(SYN);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
}

TEST_F(TimeWait, AConnectionItsUserHasNotLeftKeepsItsControlBlock) {
  const ConnId c = p.open();
  w.stack->shutdown_send(c);
  w.iterate();
  p.expect(FIN | ACK);
  p.send(ACK | FIN | PSH, "last words");
  p.expect(ACK);
  w.expect_event(c, kReadable | kPeerClosed);
  EXPECT_EQ(w.stack->state_of(c), tcp::State::kTimeWait);
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
  EXPECT_EQ(w.read(c), "last words");
  w.stack->close(c);
  w.iterate();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(w.count(&C::time_wait_entered), 1U);
}

// The same where the user still holds the connection: it ends as at 2MSL, and the SYN opens
// another.
//= RFC6191 2-a type=test
//= RFC6191 2-e type=test
TEST_F(TimeWait, ASynReopensWhatItsUserStillHolds) {
  const ConnId c = p.open();
  w.stack->shutdown_send(c);
  w.iterate();
  p.expect(FIN | ACK);
  p.send(ACK | FIN | PSH, "last words");
  p.expect(ACK);
  w.expect_event(c, kReadable | kPeerClosed);
  w.feed(p.make(SYN, p.snd_nxt - 1, Seq{}));  // not newer: challenged
  p.expect(ACK);
  w.expect_no_event();
  const Seq old = p.rcv_nxt;
  p.snd_nxt += 1'000;
  p.send(SYN);
  EXPECT_TRUE(after(p.expect(SYN | ACK).tcp().seq, old));
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kNormal);
  EXPECT_EQ(w.count(&C::time_wait_reused), 1U);
  p.send(ACK);
  ASSERT_TRUE(w.next_event());
  EXPECT_EQ(w.stack->gauges().connections, 1U);
}

TEST_F(TimeWait, WithoutAListenerAHeldOneStays) {
  const ConnId c = p.open();
  w.stack->shutdown_send(c);
  w.iterate();
  p.expect(FIN | ACK);
  p.send(ACK | FIN);
  p.expect(ACK);
  w.expect_event(c, kPeerClosed);
  w.stack->stop_listening(0);
  w.feed(p.make(SYN, p.snd_nxt + 1'000, Seq{}));
  p.expect(ACK);
  EXPECT_EQ(w.stack->state_of(c), tcp::State::kTimeWait);
}

// A segment of the old connection that comes when the new one is there: out of its window.
//= RFC6191 2-e type=test
//= RFC1337 2-a type=test
TEST_F(TimeWait, OldTextNeverReachesTheNewConnection) {
  const ConnId first = p.open();
  p.send(ACK | PSH, "abc");
  EXPECT_EQ(w.expect_event(first, kReadable).conn, first);
  EXPECT_EQ(w.read(first), "abc");
  w.run_for(100ms);
  w.tcp.clear();
  const Octets old = p.make(ACK | PSH, p.snd_nxt - 3, p.rcv_nxt, "abc");
  const Octets old_rst = p.make(RST, p.snd_nxt - 3, Seq{});
  p.close_after_stack(first);
  p.snd_nxt += 100'000;
  const ConnId second = p.open();
  w.iterate({old, old_rst});
  EXPECT_EQ(w.stack->readable(second), 0U);
  EXPECT_EQ(w.stack->state_of(second), tcp::State::kEstablished);
  EXPECT_EQ(p.expect(ACK).tcp().ack, p.snd_nxt);
  w.expect_quiet();
}

// RFC 6191 §3: our own timestamps go on where the old connection's ended.
//= RFC6191 3 type=test
TEST_F(TimeWait, OurTimestampsGoOnInTheNewConnection) {
  p.stamped = true;
  enter(p);
  const std::uint32_t last = p.ts_ecr;
  w.run_for(5ms);
  p.ts_val += 1;
  p.send(SYN);
  const std::uint32_t next = p.expect(SYN | ACK).tcp().options.ts_val;
  EXPECT_EQ(next - last, 5U);
}

TEST(TimeWaitFull, OneTooManyIsCountedAndForgotten) {
  Config c = small_config();
  c.tcp.max_tw_buckets = 2;
  World w(c);
  w.listen();
  for (std::uint16_t port = 1; port <= 3; ++port) {
    Peer p(w, {.port = port});
    p.close_after_stack(p.open());
  }
  EXPECT_EQ(w.stack->gauges().time_wait, 2U);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_EQ(w.count(&C::drop_tw_full), 1U);
}

// -- IPv6, seen from a stack that talks to itself -----------------------------------------------

// A connection of the stack to itself from local port 5,000, closed by the listener's side first.
struct ToItself {
  explicit ToItself(const Config& c = config6(), const IpAddr& host = kHost6) : w(c), at(host) {
    EXPECT_TRUE(w.stack->listen({at, 80}).ok());
  }
  // The two ends, the client first.
  std::pair<ConnId, ConnId> open() {
    const auto client = w.stack->connect({at, 80}, {}, w.now, 5'000);
    EXPECT_TRUE(client.ok()) << (client.ok() ? "" : to_string(client.error()));
    if (!client.ok()) return {};
    w.end_later(client.value());
    for (unsigned i = 0; i < 8; ++i) w.iterate();
    ConnId server;
    while (const auto r = w.next_event()) {
      if ((r->events & kAccepted) != 0) server = r->conn;
    }
    EXPECT_EQ(w.stack->state_of(client.value()), tcp::State::kEstablished);
    return {client.value(), server};
  }
  void close(ConnId first, ConnId second) {
    for (const ConnId c : {first, second}) {
      w.stack->close(c);
      for (unsigned i = 0; i < 4; ++i) w.iterate();
    }
    w.events.clear();
  }
  World w;
  IpAddr at;
};
struct TimeWait6 : testing::Test, ToItself {};

TEST_F(TimeWait6, ARecordOf52OctetsTakesTheControlBlocksPlace) {
  EXPECT_EQ(sizeof(tcp::TwRecord6), 52U);
  const auto [client, server] = open();
  close(server, client);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  w.run_to(60s - 1ms);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  w.run_to(60s + 1ms);
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
}

//= RFC6191 2-a type=test
TEST_F(TimeWait6, ANewerTimestampReopensIt) {
  const auto [client, server] = open();
  close(server, client);
  w.run_for(2ms);
  open();
  EXPECT_EQ(w.count(&C::time_wait_reused), 1U);
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
}

TEST(TimeWaitFull, BothFamiliesShareTheLimit) {
  Config c = config6();
  c.tcp.max_tw_buckets = 1;
  ToItself v(c);
  const auto [client, server] = v.open();
  v.close(server, client);
  v.w.listen(81);
  Peer p4(v.w, {.local_port = 81});
  p4.close_after_stack(p4.open());
  EXPECT_EQ(v.w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(v.w.count(&C::drop_tw_full), 1U);
}

// -- tw_reuse: TIME-WAIT is on the side that connects ---------------------------------------------

struct Reuse {
  std::uint8_t setting;
  bool timestamps;
  Duration wait;
  bool taken;
  Duration delay = 1s;  // tw_reuse_delay
};

class TwReuse : public testing::TestWithParam<Reuse> {};

// Linux's tcp_tw_reuse: only with timestamps, only after a second; 2 is for this host alone.
TEST_P(TwReuse, OfAnotherHost) {
  Config c = small_config();
  c.tcp.port_low = c.tcp.port_high = 40'000;
  c.tcp.tw_reuse = GetParam().setting;
  c.tcp.tw_reuse_delay = GetParam().delay;
  World w(c);
  Peer server(w, {.addr = kPeer, .port = 80});
  server.stamped = GetParam().timestamps;
  const ConnId first = w.connect({kPeer, 80});
  server.answer(first);
  server.close_after_stack(first);
  const Seq old = server.rcv_nxt;
  w.run_for(GetParam().wait);
  const auto second = w.stack->connect({kPeer, 80}, {}, w.now);
  ASSERT_EQ(second.ok(), GetParam().taken);
  EXPECT_EQ(w.count(&C::time_wait_recycled), GetParam().taken ? 1U : 0U);
  if (!second.ok()) {
    EXPECT_EQ(second.error(), Error::kNoPort);
    return;
  }
  w.end_later(second.value());
  w.iterate();
  EXPECT_TRUE(after(server.expect(SYN).tcp().seq, old));
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
  w.run_for(70s);
  w.tcp.clear();
}

INSTANTIATE_TEST_SUITE_P(TimeWait, TwReuse,
                         testing::Values(Reuse{0, true, 10s, false}, Reuse{1, true, 1s, true},
                                         Reuse{1, true, 20ms, true, 20ms},
                                         Reuse{1, true, 19ms, false, 20ms},
                                         Reuse{1, true, 999ms, false}, Reuse{1, false, 10s, false},
                                         Reuse{2, true, 10s, false}));

TEST_F(TimeWait6, ByDefaultAConnectToThisHostTakesItOver) {
  const auto [client, server] = open();
  close(client, server);
  EXPECT_EQ(w.stack->connect({at, 80}, {}, w.now, 5'000).error(), Error::kAddressInUse);
  w.run_for(1s);
  open();
  EXPECT_EQ(w.count(&C::time_wait_recycled), 1U);
}

// A peer that keeps restarting its own records must not hold up the others'.
TEST_F(TimeWait, RestartedRecordsDoNotHoldUpThoseBehindThem) {
  Peer a(w, {.port = 1}), b(w, {.port = 2}), c(w, {.port = 3});
  for (Peer* x : {&a, &b, &c}) {
    enter(*x);
    w.run_for(1ms);
  }
  for (Duration t = 10s; t <= 170s; t += 10s) {
    w.run_to(t);
    w.feed(fin_again(a));
    w.run_for(1ms);
    w.feed(fin_again(b));
    if (t == 70s) {
      EXPECT_EQ(w.stack->gauges().time_wait, 2U);
    }
  }
  EXPECT_EQ(w.stack->gauges().time_wait, 2U);
  w.run_to(170s + 60s);
  EXPECT_GE(w.stack->gauges().time_wait, 1U);  // never too short
  w.run_to(170s + 121s);                       // at most one 2MSL too long
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
  w.tcp.clear();
}

// 64 connections from one address to TIME-WAIT, all in one instant.
void enter_64(World& w, const IpAddr& from) {
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 64; ++i) {
    peers.emplace_back(w, Peer::Where{.addr = from, .port = static_cast<std::uint16_t>(1 + i)});
  }
  const auto all_send = [&](unsigned flags) {
    std::vector<Octets> frames;
    for (Peer& p : peers) frames.push_back(p.next(flags));
    w.iterate(frames);
  };
  all_send(SYN);
  for (Peer& p : peers) p.expect(SYN | ACK);
  all_send(ACK);
  while (const auto r = w.next_event()) w.stack->close(r->conn);
  w.iterate();
  for (Peer& p : peers) p.expect(FIN | ACK);
  all_send(FIN | ACK);
  w.tcp.clear();
}

TEST(TimeWaitQueue, AHundredThousandExpireInOrderAndSoManyACall) {
  constexpr std::uint32_t kGroups = 1'563;
  Config config = small_config();
  config.tcp.max_tw_buckets = kGroups * 64;
  World w(config);
  w.listen();
  w.run_to(1ms);  // the gateway answers
  for (std::uint32_t g = 0; g < kGroups; ++g) {
    w.now += 1ms;
    enter_64(w, IpAddr::v4(0x1400'0000 + g));
  }
  EXPECT_EQ(w.stack->gauges().time_wait, kGroups * 64);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_LE(w.pool.peak(), 300U);
  w.run_to(60s + 500ms);  // groups entered at 2 ms, 3 ms, ... 500 ms
  EXPECT_EQ(w.stack->gauges().time_wait, (kGroups - 499) * 64);
  w.now = kStart + 70s;  // all due at once: each call does its share
  for (std::uint32_t left = kGroups - 499; left > 0; --left) {
    EXPECT_LE(w.stack->next_deadline(), w.now);
    w.iterate();
    ASSERT_EQ(w.stack->gauges().time_wait, (left - 1) * 64);
  }
}

// The naive twin: a map from a connection to the instant at which its wait is over. A restarted
// record may stay up to 2MSL longer, any other goes at that very millisecond.
TEST(TimeWaitQueue, AgreesWithTheNaiveTwin) {
  Config c = small_config();
  c.tcp.msl = 5s;
  c.tcp.max_tw_buckets = 100;
  World w(c);
  w.listen();
  struct Naive {
    Peer peer;
    Duration over;
    bool restarted = false;
  };
  constexpr Duration kWait = 10s;
  std::map<std::uint16_t, Naive> twin;
  Rng rng(9293);
  unsigned ended = 0, restarts = 0;
  const auto now = [&] { return w.now - kStart; };
  const auto fin_again = [](const Peer& p) { return p.make(FIN | ACK, p.snd_nxt - 1, p.rcv_nxt); };
  for (unsigned step = 0; step < 1'500; ++step) {
    const auto port = static_cast<std::uint16_t>(1'000 + rng.below(60));
    const auto it = twin.find(port);
    if (it == twin.end()) {
      Peer p(w, {.port = port});
      p.close_after_stack(p.open());
      twin.emplace(port, Naive{p, now() + kWait});
    } else if (now() < it->second.over) {
      Naive& n = it->second;
      const bool again = rng.below(3) == 0;
      w.feed(again ? fin_again(n.peer) : n.peer.make(RST));
      if (again) {
        const Sent s = n.peer.expect(ACK);
        EXPECT_EQ(s.tcp().ack, n.peer.snd_nxt);
        n.over = now() + kWait;
        n.restarted = true;
        ++restarts;
      }
    }
    w.expect_quiet();
    w.run_for(Duration{rng.below(rng.below(20) == 0 ? 8'000'000 : 300'000)});
    std::uint32_t least = 0, most = 0;
    for (auto i = twin.begin(); i != twin.end();) {
      const Naive& n = i->second;
      const bool waits = now() < n.over, may_wait = n.restarted && now() < n.over + kWait;
      least += waits ? 1 : 0;
      most += waits || may_wait ? 1 : 0;
      if (waits || may_wait) {
        ++i;
        continue;
      }
      w.feed(fin_again(n.peer));  // nobody knows it any more
      Peer{n.peer}.expect(RST);
      i = twin.erase(i);
      ++ended;
    }
    ASSERT_GE(w.stack->gauges().time_wait, least) << "step " << step;
    ASSERT_LE(w.stack->gauges().time_wait, most) << "step " << step;
  }
  EXPECT_GT(ended, 100U);
  EXPECT_GT(restarts, 100U);
}

}  // namespace
}  // namespace weir::stack::test
