// Connections that their program does not close: lib/stack/close_wait.cc.
#include <array>

#include "harness.h"

namespace weir::stack::test {
namespace {

// The peer closes, and the program looks at what it is told; and does nothing.
void leak(Peer& p) {
  p.send(FIN | ACK);
  while (p.w.next_event()) continue;
}

struct CloseWaitList : testing::Test {
  World w;
  ListenerId web = w.listen(80), mail = w.listen(25);

  std::vector<CloseWait> list() {
    std::array<CloseWait, 8> all;
    const std::size_t n = w.stack->oldest_close_waits(all);
    return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n)};
  }
};

TEST_F(CloseWaitList, IsEmptyWhileNobodyLeaks) {
  Peer p(w);
  const ConnId c = p.open();
  EXPECT_EQ(w.stack->gauges().close_wait, 0U);
  leak(p);
  w.stack->close(c);
  w.iterate();
  EXPECT_TRUE(list().empty());
  EXPECT_EQ(w.stack->gauges().close_wait, 0U);
  EXPECT_EQ(w.stack->gauges().oldest_close_wait, 0s);
}

//= RFC9293 MUST-12 type=test
TEST_F(CloseWaitList, TellsTheListenerAndTheAge) {
  Peer a(w, {.port = 1}), b(w, {.port = 2, .local_port = 25}), c(w, {.port = 3, .local_port = 25});
  a.open();
  b.open();
  c.open();
  leak(b);
  w.run_for(3s);
  leak(a);
  w.run_for(2s);
  leak(c);
  w.run_for(1s);
  const Gauges g = w.stack->gauges();
  EXPECT_EQ(g.close_wait, 3U);
  EXPECT_EQ(g.oldest_close_wait, 6s);
  EXPECT_EQ(w.stack->listener_stats(web)->close_wait, 1U);
  EXPECT_EQ(w.stack->listener_stats(mail)->close_wait, 2U);
  const auto all = list();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].flow.remote_port, 2);
  EXPECT_EQ(all[0].listener, mail);
  EXPECT_EQ(all[0].age, 6s);
  EXPECT_EQ(all[1].flow.remote_port, 1);
  EXPECT_EQ(all[1].listener, web);
  EXPECT_EQ(all[1].age, 3s);
  EXPECT_EQ(all[2].flow.remote_port, 3);
  EXPECT_EQ(all[2].age, 1s);
}

// Closed, shut down, reset by the peer, aborted: each leaves the list, wherever it stands there.
TEST_F(CloseWaitList, WhoeverLeavesIsOutOfIt) {
  std::vector<Peer> peers;
  std::vector<ConnId> conns;
  for (std::uint16_t i = 0; i < 5; ++i) {
    peers.push_back(Peer(w, {.port = static_cast<std::uint16_t>(i + 1)}));
    conns.push_back(peers.back().open());
    leak(peers.back());
    w.run_for(1s);
  }
  w.stack->close(conns[2]);
  w.iterate();
  EXPECT_EQ(list().size(), 4U);
  w.stack->shutdown_send(conns[0]);
  w.iterate();
  EXPECT_EQ(list().front().flow.remote_port, 2);
  w.stack->abort(conns[4]);
  w.iterate();
  EXPECT_EQ(list().back().flow.remote_port, 4);
  peers[1].send(RST);
  ASSERT_EQ(list().size(), 1U);
  EXPECT_EQ(list()[0].flow.remote_port, 4);
  EXPECT_EQ(w.stack->gauges().close_wait, 1U);
  EXPECT_EQ(w.stack->listener_stats(web)->close_wait, 1U);
}

// What is reset between two calls of poll_output is still in the list when it is passed over.
TEST_F(CloseWaitList, ResetWhileItWaitedAndPassedOverInTheSameIteration) {
  w.stack->pause_accept(web, true);
  Peer p(w), q(w, {.port = 2});
  for (Peer* each : {&p, &q}) {
    each->syn();
    w.iterate({each->next(ACK), each->next(FIN | ACK)});
    each->expect(ACK);
  }
  ASSERT_EQ(list().size(), 2U);
  const Octets rst = p.make(RST);
  Buf* b = w.pool.take(static_cast<std::uint32_t>(rst.size()));
  std::copy(rst.begin(), rst.end(), b->data);
  b->len = static_cast<std::uint32_t>(rst.size());
  std::array<Buf*, 1> one = {b};
  w.stack->receive(one, w.now);
  w.stack->pause_accept(web, false);
  w.iterate();
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(w.stack->flow_of(r->conn), q.flow());
  w.expect_no_event();
  EXPECT_EQ(list().size(), 1U);
  EXPECT_EQ(w.stack->listener_stats(web)->close_wait, 1U);
}

// One that its program opened itself belongs to no listener.
TEST_F(CloseWaitList, OfAConnect) {
  Peer p(w);
  w.meet(kPeer);
  const ConnId c = w.connect({kPeer, p.at.port});
  p.answer(c);
  leak(p);
  ASSERT_EQ(list().size(), 1U);
  EXPECT_FALSE(list()[0].listener);
  EXPECT_EQ(w.stack->listener_stats(web)->close_wait, 0U);
}

TEST_F(CloseWaitList, ShowsTheFirstThatFit) {
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 3; ++i) {
    peers.push_back(Peer(w, {.port = static_cast<std::uint16_t>(i + 1)}));
    peers.back().open();
    leak(peers.back());
  }
  std::array<CloseWait, 2> two;
  EXPECT_EQ(w.stack->oldest_close_waits(two), 2U);
  EXPECT_EQ(two[1].flow.remote_port, 2);
}

// -- The last resets ------------------------------------------------------------------------------

//= RFC9293 MUST-12 type=test
TEST(LastResets, OneForEachConnectionAsTheStackLeftIt) {
  World w;
  w.listen();
  Peer idle(w, {.port = 1}), closed(w, {.port = 2}), half(w, {.port = 3}), gone(w, {.port = 4});
  idle.open();
  closed.open();
  leak(closed);
  half.syn();
  gone.close_after_stack(gone.open());
  const Seq wanted = idle.rcv_nxt;
  std::uint32_t from = 0;
  EXPECT_FALSE(w.stack->poll_last_resets(from));
  std::set<std::uint16_t> to;
  for (const tcp::TxPacket& p : w.stack->tx_packets()) {
    EXPECT_EQ(p.seg.flags, RST | ACK);
    EXPECT_EQ(p.dst_mac, mac_of(kPeer));
    EXPECT_TRUE(p.flow.remote_port != 1 || p.seg.seq == wanted);
    to.insert(p.flow.remote_port);
  }
  EXPECT_EQ(to, (std::set<std::uint16_t>{1, 2}));
  w.stack->clear_tx();
}

TEST(LastResets, AreMoreThanFitAtOnce) {
  Config c = small_config();
  c.max_connections = 1'024;
  World w(c);
  w.check = false;
  w.listen();
  for (std::uint16_t i = 0; i < 600; ++i) {
    Peer p(w, {.port = static_cast<std::uint16_t>(1'000 + i)});
    p.open();
  }
  std::uint32_t from = 0;
  std::set<std::uint16_t> to;
  bool more = true;
  for (unsigned rounds = 0; more && rounds < 10; ++rounds) {
    more = w.stack->poll_last_resets(from);
    for (const tcp::TxPacket& p : w.stack->tx_packets()) to.insert(p.flow.remote_port);
  }
  EXPECT_EQ(to.size(), 600U);
  w.stack->clear_tx();
}

}  // namespace
}  // namespace weir::stack::test
