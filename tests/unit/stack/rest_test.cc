// Who goes to rest, and what wakes it: lib/stack/rest.cc. That nothing else shows it, all the other
// tests here show, which run once more with WEIR_REST.
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

Config resting_after(Duration d) {
  Config c = small_config();
  c.rest_after = d;
  return c;
}

struct Rest : testing::Test {
  explicit Rest(Duration after = 1s) : w(resting_after(after)) { w.listen(); }
  [[nodiscard]] std::uint32_t resting() const { return w.stack->gauges().resting; }
  // Lets time pass, with iterations in it as a loop has them.
  void pass(Duration time) {
    for (Duration left = time; left > 0s; left -= 10ms) {
      w.now += 10ms;
      w.iterate();
    }
  }

  World w;
  Peer p{w};
};

struct RestAtOnce : Rest {
  RestAtOnce() : Rest(0s) {}
};

TEST_F(Rest, AfterItsTimeAndNotBefore) {
  const ConnId c = p.open();
  pass(900ms);
  EXPECT_EQ(resting(), 0U);
  pass(1'200ms);  // one round of the hand more, at most
  EXPECT_EQ(resting(), 1U);
  EXPECT_EQ(w.stack->gauges().connections, 1U);
  EXPECT_EQ(w.stack->gauges().established, 1U);
  p.send(ACK | PSH, "a");
  w.expect_event(c, kReadable);
  EXPECT_EQ(resting(), 0U);
  EXPECT_EQ(w.read(c), "a");
  pass(500ms);
  p.expect(ACK);
  EXPECT_EQ(resting(), 0U);
  pass(2s);
  EXPECT_EQ(resting(), 1U);
}

TEST_F(Rest, NeverWhereItIsNotAskedFor) {
  World awake(resting_after(Duration::max()));
  awake.listen();
  Peer other(awake);
  other.open();
  for (unsigned i = 0; i < 100; ++i) {
    awake.now += 1s;
    awake.iterate();
  }
  EXPECT_EQ(awake.stack->gauges().resting, 0U);
}

// What can be asked of a connection at rest without waking it, and is as it was.
TEST_F(RestAtOnce, IsToldOfWithoutBeingWoken) {
  const ConnId c = p.open();
  w.stack->set_user(c, 0x0123'4567'89ab'cdef);
  w.iterate();
  ASSERT_EQ(resting(), 1U);
  EXPECT_TRUE(w.stack->alive(c));
  EXPECT_EQ(w.stack->user_of(c), 0x0123'4567'89ab'cdefU);
  EXPECT_EQ(w.stack->flow_of(c), p.flow());
  EXPECT_EQ(w.stack->state_of(c), tcp::State::kEstablished);
  const auto info = w.stack->info(c);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->snd_wnd, 65'535U);
  SnapshotCursor at;
  std::array<ConnSnapshot, 2> told;
  ASSERT_EQ(w.stack->each_connection(at, told), 1U);
  EXPECT_EQ(told[0].flow, p.flow());
  EXPECT_EQ(told[0].index, c.index);
  EXPECT_EQ(told[0].user, 0x0123'4567'89ab'cdefU);
  EXPECT_EQ(told[0].listener, 0U);
  EXPECT_EQ(resting(), 1U);
  EXPECT_FALSE(w.stack->alive({c.index, c.generation + 2}));
  EXPECT_FALSE(w.stack->alive({c.index, c.generation - 1}));
}

TEST_F(RestAtOnce, AUserCallWakesIt) {
  const ConnId c = p.open();
  w.iterate();
  ASSERT_EQ(resting(), 1U);
  w.stack->set_tos(c, 0x28);
  w.stack->set_ttl(c, 9);
  EXPECT_EQ(resting(), 0U);
  w.iterate();
  ASSERT_EQ(resting(), 1U);  // and what was said stays
  w.send(c, "text");
  const Sent s = p.expect(ACK);
  EXPECT_EQ(s.text, "text");
  EXPECT_EQ(s.frame.tos, 0x28);
  EXPECT_EQ(s.frame.ttl, 9);
  EXPECT_EQ(resting(), 0U);  // in flight
  p.send(ACK);
  w.iterate();
  EXPECT_EQ(resting(), 1U);
  w.stack->close(c);
  w.iterate();
  p.expect(FIN | ACK);
}

TEST_F(RestAtOnce, TheUsersTimerWakesItAndIsTold) {
  const ConnId c = p.open();
  w.stack->set_timer(c, w.now + 5s);
  w.iterate();
  ASSERT_EQ(resting(), 1U);
  w.run_for(4'999ms);
  w.expect_no_event();
  w.run_for(2ms);
  w.expect_event(c, kTimer);
  w.run_for(10s);
  w.expect_no_event();
  w.stack->set_timer(c, w.now + 2s);
  w.iterate();
  w.stack->set_timer(c, kNever);  // taken back: the node stands there still
  w.iterate();
  w.run_for(10s);
  w.expect_no_event();
  EXPECT_EQ(resting(), 1U);
}

TEST(RestKeepalive, GoesOnThroughARest) {
  Config config = resting_after(0s);
  config.tcp.keepalive = true;
  config.tcp.keepalive_time = 10s;
  config.tcp.keepalive_intvl = 1s;
  config.tcp.keepalive_probes = 2;
  World w(config);
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  w.run_for(5s);
  EXPECT_EQ(w.stack->gauges().resting, 1U);
  p.send(ACK | PSH, "x");  // a sign of life: its time begins again
  w.expect_event(c, kReadable);
  w.read(c);
  w.run_for(9s);
  p.expect(ACK);
  p.expect_quiet();
  w.run_for(1'100ms);
  const Sent probe = p.expect(ACK);
  EXPECT_EQ(probe.tcp().seq, p.rcv_nxt - 1);
  EXPECT_EQ(w.stack->gauges().resting, 1U);  // between two probes, too
  w.run_for(1s);
  p.expect(ACK);
  w.run_for(1s);
  p.expect(RST | ACK);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kTimedOut);
}

// An ICMP error can only be about something in flight: it is forged, and wakes nobody.
TEST_F(RestAtOnce, AnIcmpErrorAboutOneAtRestIsForged) {
  p.open();
  w.iterate();
  ASSERT_EQ(resting(), 1U);
  const Octets about = p.make(ACK);
  wire::Frame f = parse(about);
  Octets inner = ipv4_frame(kHost, kPeer, 6, Octets(20));
  inner.erase(inner.begin(), inner.begin() + 14);
  inner[20] = std::byte{0};
  inner[21] = std::byte{80};
  inner[22] = static_cast<std::byte>(p.at.port >> 8U);
  inner[23] = static_cast<std::byte>(p.at.port & 0xffU);
  w.feed(icmp_frame(kGateway, kHost, 3, 1, 0, inner));
  EXPECT_EQ(w.count(&C::drop_icmp_forged), 1U);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 0U);
  EXPECT_EQ(resting(), 1U);
  EXPECT_EQ(f.kind, wire::Kind::kTcp);
}

// What is unread, unacknowledged or kept back is not at rest.
TEST_F(RestAtOnce, NotWithTextUnreadOrUnanswered) {
  const ConnId c = p.open();
  p.send(ACK | PSH, "unread");
  w.expect_event(c, kReadable);
  w.run_for(10s);
  p.expect(ACK);
  EXPECT_EQ(resting(), 0U);
  EXPECT_EQ(w.read(c), "unread");
  w.iterate();
  EXPECT_EQ(resting(), 1U);
  w.stack->want_writable(c);
  w.iterate();
  EXPECT_EQ(resting(), 0U);
  w.run_for(1s);
  w.expect_event(c, kWritable);
  w.iterate();
  EXPECT_EQ(resting(), 1U);
}

TEST_F(RestAtOnce, NotBeforeItIsAccepted) {
  w.stack->pause_accept(0, true);
  p.syn();
  p.send(ACK);
  w.run_for(10s);
  EXPECT_EQ(resting(), 0U);
  w.stack->pause_accept(0, false);
  w.iterate();
  EXPECT_EQ(w.events.size(), 1U);
  w.iterate();
  EXPECT_EQ(resting(), 1U);
  w.end_later(w.events.front().conn);
  w.events.clear();
}

// Records are lent again: many seats, few that were ever busy.
TEST_F(RestAtOnce, ManyRestAndEachComesBackAsItWas) {
  std::vector<std::pair<Peer, ConnId>> all;
  for (std::uint16_t i = 0; i < 60; ++i) {
    all.emplace_back(Peer(w, {.port = static_cast<std::uint16_t>(41'000 + i)}), ConnId{});
    all.back().second = all.back().first.open();
    w.stack->set_user(all.back().second, 1'000U + i);
    w.iterate();
    ASSERT_EQ(resting(), i + 1U);
  }
  for (unsigned round = 0; round < 2; ++round) {
    for (std::size_t i = all.size(); i-- > 0;) {
      auto& [peer, conn] = all[i * 7 % all.size()];
      const std::string text = pattern(100 + i, static_cast<unsigned>(i));
      peer.send(ACK | PSH, text);
      w.expect_event(conn, kReadable);
      EXPECT_EQ(w.read(conn), text);
      EXPECT_EQ(w.stack->user_of(conn), 1'000U + i * 7 % all.size());
      w.send(conn, text);
      EXPECT_EQ(peer.take_text(), text);
      peer.send(ACK);
      w.iterate();
      EXPECT_EQ(resting(), 60U);
    }
  }
}

TEST_F(RestAtOnce, AResetEndsItAndItsSeatIsFree) {
  const ConnId c = p.open();
  w.iterate();
  ASSERT_EQ(resting(), 1U);
  p.send(RST);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kReset);
  w.iterate();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_EQ(resting(), 0U);
}

TEST_F(RestAtOnce, AbortOfAllAndTheLastResetsReachThem) {
  Peer q(w, {.port = 40'001});
  p.open();
  q.open();
  w.iterate();
  ASSERT_EQ(resting(), 2U);
  std::uint32_t from = 0;
  EXPECT_FALSE(w.stack->poll_last_resets(from));
  EXPECT_EQ(w.stack->tx_packets().size(), 2U);
  EXPECT_EQ(w.stack->tx_packets()[0].seg.seq, p.rcv_nxt);
  EXPECT_NE(w.stack->tx_packets()[0].seg.flags & RST, 0);
  EXPECT_EQ(resting(), 2U);  // nothing was changed
  w.stack->clear_tx();
  from = 0;
  EXPECT_FALSE(w.stack->abort_all(from));
  w.iterate();
  p.expect(RST | ACK);
  q.expect(RST | ACK);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

}  // namespace
}  // namespace weir::stack::test
