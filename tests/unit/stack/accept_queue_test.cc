// Connections that wait for their listener's owner, and the listeners themselves.
#include <map>

#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

std::vector<Peer> peers_of(World& w, std::uint16_t n) {
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < n; ++i) {
    peers.emplace_back(w, Peer::Where{.port = static_cast<std::uint16_t>(40'000 + i)});
  }
  return peers;
}

struct Case {
  std::uint32_t backlog, somaxconn, want;
};

class Backlog : public testing::TestWithParam<Case> {};

TEST_P(Backlog, IsTheLesserOfBacklogAndSomaxconnAndAtLeastOne) {
  Config c = small_config();
  c.tcp.somaxconn = GetParam().somaxconn;
  World w(c);
  const ListenerId l = w.listen(80, GetParam().backlog);
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 6);
  for (Peer& p : peers) p.syn();
  for (Peer& p : peers) p.send(ACK);
  EXPECT_EQ(w.stack->gauges().connections, GetParam().want);
  EXPECT_EQ(w.stack->gauges().half_open, 6 - GetParam().want);
  EXPECT_EQ(w.count(&C::drop_accept_queue_full), 6 - GetParam().want);
  w.expect_quiet();
}

INSTANTIATE_TEST_SUITE_P(AcceptQueue, Backlog,
                         testing::Values(Case{2, 4'096, 2}, Case{10, 3, 3}, Case{0, 4'096, 1},
                                         Case{5, 0, 1}));

TEST(AcceptQueue, ALastAckThatFoundNoRoomIsMadeGoodByTheNextSynAck) {
  World w;
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 2);
  for (Peer& p : peers) p.syn();
  for (Peer& p : peers) p.send(ACK);
  w.stack->pause_accept(l, false);
  w.run_to(1s);
  ASSERT_TRUE(w.next_event());
  w.expect_no_event();
  peers[1].expect(SYN | ACK);
  peers[1].send(ACK);
  ASSERT_TRUE(w.next_event());
}

// More listeners than a word has bits, each with one connection; some are paused meanwhile.
TEST(AcceptQueue, EveryListenerHandsOutItsOwn) {
  constexpr std::uint16_t kListeners = 150;
  Config c = small_config();
  c.max_connections = c.tcp.max_syn_backlog = 256;
  World w(c);
  std::vector<ListenerId> ids;
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < kListeners; ++i) {
    const auto port = static_cast<std::uint16_t>(1'000 + i);
    ids.push_back(w.listen(port));
    w.stack->pause_accept(ids[i], true);
    peers.emplace_back(w, Peer::Where{.port = 40'000, .local_port = port});
  }
  for (Peer& p : peers) {
    p.syn();
    p.send(ACK);
  }
  w.expect_no_event();
  const auto handed_out = [&] {
    std::map<ListenerId, unsigned> n;
    while (const auto e = w.next_event()) ++n[e->listener];
    return n;
  };
  for (unsigned i = 0; i < kListeners; i += 7) w.stack->pause_accept(ids[i], false);
  w.iterate();
  EXPECT_EQ(handed_out().size(), (kListeners + 6U) / 7);
  for (const ListenerId id : ids) w.stack->pause_accept(id, false);
  w.stack->pause_accept(ids[64], true);  // again, before any was asked
  w.iterate();
  const auto rest = handed_out();
  EXPECT_EQ(rest.size(), kListeners - (kListeners + 6U) / 7 - 1);
  EXPECT_FALSE(rest.contains(ids[64]));
  w.stack->pause_accept(ids[64], false);
  w.iterate();
  EXPECT_EQ(handed_out().count(ids[64]), 1U);
  EXPECT_EQ(w.stack->gauges().accept_waiting, 0U);
}

TEST(AcceptQueue, AFullQueueAnswersNoNewSyn) {
  World w;
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 2);
  peers[0].syn();
  peers[0].send(ACK);
  peers[1].send(SYN);
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_accept_queue_full), 1U);
}

TEST(AcceptQueue, AbortOnOverflowResetsInstead) {
  Config c = small_config();
  c.tcp.abort_on_overflow = true;
  World w(c);
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 2);
  for (Peer& p : peers) p.syn();
  for (Peer& p : peers) p.send(ACK);
  EXPECT_EQ(peers[1].expect(RST).tcp().seq, peers[1].rcv_nxt);
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  EXPECT_EQ(w.count(&C::drop_accept_queue_full), 1U);
}

TEST(AcceptQueue, PauseHoldsEventsAndDeliversThemInOne) {
  World w;
  const ListenerId l = w.listen();
  w.stack->pause_accept(l, true);
  Peer p(w);
  p.syn();
  p.send(ACK);
  p.send(ACK | PSH, "held");
  p.send(ACK | FIN);
  w.run_for(1s);
  w.expect_no_event();
  w.stack->pause_accept(l, false);
  EXPECT_LE(w.stack->next_deadline(), w.now);  // a sleeper must wake
  w.run_for(1ms);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->events, kAccepted | kReadable | kPeerClosed);
  EXPECT_EQ(w.read(r->conn), "held");
  w.expect_no_event();
}

TEST(AcceptQueue, AConnectionResetWhileWaitingIsNeverDelivered) {
  World w;
  const ListenerId l = w.listen();
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 3);
  for (Peer& p : peers) p.syn();
  for (Peer& p : peers) p.send(ACK);
  peers[1].send(ACK | PSH, "text that nobody will read");
  peers[1].send(RST);
  EXPECT_EQ(w.stack->gauges().established, 2U);
  w.stack->pause_accept(l, false);
  w.iterate();
  for (const unsigned i : {0U, 2U}) {
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    EXPECT_EQ(w.stack->flow_of(r->conn), peers[i].flow());
  }
  w.expect_no_event();
  EXPECT_EQ(w.stack->gauges().connections, 2U);
}

TEST(AcceptQueue, StopListeningResetsWhoeverWaits) {
  World w;
  const ListenerId l = w.listen();
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 3);
  for (Peer& p : peers) p.syn();
  for (Peer& p : peers) p.send(ACK);
  peers[2].send(RST);
  w.stack->stop_listening(l);
  w.iterate();
  peers[0].expect(RST | ACK);
  peers[1].expect(RST | ACK);
  w.expect_quiet();
  w.expect_no_event();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

//= RFC9293 MUST-42 type=test
TEST(AcceptQueue, StopListeningLeavesAcceptedConnectionsAlone) {
  World w;
  const ListenerId l = w.listen();
  Peer p(w);
  const ConnId c = p.open();
  w.stack->stop_listening(l);
  p.send(ACK | PSH, "still here");
  w.expect_event(c, kReadable);
}

TEST(Listeners, RefuseWhatIsTakenOrNotOurs) {
  World w;
  const ListenerId l = w.listen(80);
  EXPECT_EQ(w.stack->listen({IpAddr{}, 80}).error(), Error::kAddressInUse);
  EXPECT_EQ(w.stack->listen({kPeer, 81}).error(), Error::kAddressNotLocal);
  EXPECT_TRUE(w.stack->listen({kHost, 80}).ok());  // more specific: another listener
  w.stack->stop_listening(l);
  w.stack->stop_listening(l);  // twice is harmless
  w.stack->stop_listening(77);
  EXPECT_TRUE(w.stack->listen({IpAddr{}, 80}).ok());
}

//= RFC9293 MUST-41 type=test
TEST(Listeners, TheMoreSpecificOneAccepts) {
  World w;
  w.listen(80);
  const auto exact = w.stack->listen({kHost, 80});
  ASSERT_TRUE(exact.ok());
  Peer p(w);
  p.syn();
  p.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->listener, exact.value());
}

TEST(AcceptQueue, WithEveryConnectionRecordTakenTheLastAckWaits) {
  Config c = small_config();
  c.max_connections = 1;
  World w(c);
  w.listen();
  auto peers = peers_of(w, 2);
  const ConnId first = peers[0].open();
  peers[1].syn();
  peers[1].send(ACK);
  w.expect_no_event();
  EXPECT_EQ(w.count(&C::drop_conn_table_full), 1U);
  w.stack->abort(first);
  w.iterate();
  peers[1].send(ACK);
  EXPECT_TRUE(w.next_event());
}

// -- SO_REUSEADDR, SO_REUSEPORT ----------------------------------------------------------------

// TIME-WAIT and connections of the port do not keep a listener from coming back.
TEST(Listeners, APortInTimeWaitMayBeListenedOnAgain) {
  World w;
  const ListenerId l = w.listen();
  Peer a(w, {.port = 1}), b(w, {.port = 2}), c(w, {.port = 3});
  a.close_after_stack(a.open());
  const ConnId held = b.open();
  w.stack->stop_listening(l);
  w.listen();
  c.open();
  EXPECT_TRUE(w.stack->alive(held));
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(w.stack->gauges().connections, 2U);
}

struct ReusePort : testing::Test {
  Result<ListenerId, Error> listen(bool reuse) {
    return w.stack->listen({IpAddr{}, 80}, {.backlog = 100, .reuse_port = reuse});
  }
  // Opens `n` connections; how many went to each listener.
  std::map<ListenerId, unsigned> open(unsigned n) {
    std::map<ListenerId, unsigned> to;
    for (unsigned i = 0; i < n; ++i) {
      Peer p(w, {.port = ++port});
      p.syn();
      p.send(ACK);
      const auto r = w.next_event();
      EXPECT_TRUE(r);
      if (!r) continue;
      ++to[r->listener];
      w.stack->abort(r->conn);
      w.iterate();
      w.tcp.clear();
    }
    return to;
  }
  World w;
  std::uint16_t port = 1'000;
};

TEST_F(ReusePort, AllMustAgreeToShare) {
  ASSERT_TRUE(listen(true).ok());
  EXPECT_EQ(listen(false).error(), Error::kAddressInUse);
  ASSERT_TRUE(listen(true).ok());
  w.stack->stop_listening(0);
  w.stack->stop_listening(1);
  ASSERT_TRUE(listen(false).ok());
  EXPECT_EQ(listen(true).error(), Error::kAddressInUse);
}

TEST_F(ReusePort, FlowsAreSharedEvenlyAndEachGoesToOne) {
  for (unsigned i = 0; i < 4; ++i) ASSERT_TRUE(listen(true).ok());
  const auto to = open(400);
  ASSERT_EQ(to.size(), 4U);
  for (const auto& [id, n] : to) EXPECT_NEAR(n, 100, 40) << id;
  port = 1'000;
  std::map<ListenerId, unsigned> again = open(400);
  EXPECT_EQ(again, to);  // by their tuples alone
}

TEST_F(ReusePort, WhoLeavesIsReplacedWhoeverWasFirst) {
  for (unsigned i = 0; i < 3; ++i) ASSERT_TRUE(listen(true).ok());
  w.stack->stop_listening(0);  // the first of the group
  auto to = open(60);
  EXPECT_EQ(to.count(0), 0U);
  EXPECT_EQ(to.size(), 2U);
  w.stack->stop_listening(2);
  to = open(20);
  EXPECT_EQ(to[1], 20U);
  ASSERT_TRUE(listen(true).ok());
  EXPECT_EQ(open(60).size(), 2U);
  w.stack->stop_listening(1);
  w.stack->stop_listening(0);
  Peer p(w, {.port = 9});
  p.send(SYN);
  p.expect(RST | ACK);
}

// A half-open connection of one that leaves is inherited by another.
TEST_F(ReusePort, HalfOpenOnesAreInherited) {
  ASSERT_TRUE(listen(true).ok());
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 8; ++i) {
    peers.emplace_back(w, Peer::Where{.port = static_cast<std::uint16_t>(100 + i)});
  }
  for (Peer& p : peers) p.syn();
  ASSERT_TRUE(listen(true).ok());
  EXPECT_EQ(w.stack->listener_stats(0)->half_open, 8U);
  w.stack->stop_listening(0);
  EXPECT_FALSE(w.stack->listener_stats(0));
  EXPECT_EQ(w.stack->listener_stats(1)->half_open, 8U);
  for (Peer& p : peers) p.send(ACK);
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    EXPECT_EQ(r->listener, 1U);
  }
  EXPECT_EQ(w.stack->listener_stats(1)->half_open, 0U);
}

// -- What a listener tells of its queues
// ------------------------------------------------------------

TEST(ListenerStats, TellOfBothQueues) {
  Config config = small_config();
  config.tcp.max_syn_backlog = 4;
  World w(config);
  const ListenerId l = w.listen(80, 2);
  w.listen(81);
  w.stack->pause_accept(l, true);
  auto peers = peers_of(w, 6);
  for (unsigned i = 0; i < 4; ++i) peers[i].syn();
  ListenerStats s = *w.stack->listener_stats(l);
  EXPECT_EQ(s.local.port, 80);
  EXPECT_EQ(s.backlog, 2U);
  EXPECT_EQ(s.half_open, 4U);
  EXPECT_EQ(s.waiting, 0U);
  peers[4].syn();  // a cookie
  EXPECT_EQ(w.stack->listener_stats(l)->syn_overflows, 1U);
  for (unsigned i = 0; i < 3; ++i) peers[i].send(ACK);
  peers[5].send(SYN);
  s = *w.stack->listener_stats(l);
  EXPECT_EQ(s.waiting, 2U);
  EXPECT_EQ(s.half_open, 2U);
  EXPECT_EQ(s.accept_overflows, 2U);  // a last ACK and a SYN
  EXPECT_EQ(s.accepted, 0U);
  EXPECT_EQ(w.stack->gauges().accept_waiting, 2U);
  w.stack->pause_accept(l, false);
  w.iterate();
  s = *w.stack->listener_stats(l);
  EXPECT_EQ(s.waiting, 0U);
  EXPECT_EQ(s.accepted, 2U);
  EXPECT_EQ(w.stack->listener_stats(1)->accepted, 0U);
  EXPECT_FALSE(w.stack->listener_stats(7));
  w.tcp.clear();
}

}  // namespace
}  // namespace weir::stack::test
