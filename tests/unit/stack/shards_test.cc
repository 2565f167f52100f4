// Two stacks behind one port: each frame reaches the stack that owns its flow.
#include <array>

#include "flow/toeplitz.h"
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

flow::RssMap two_queues() {
  std::array<std::byte, flow::RssHash::kMinKey> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(17 * i + 3);
  return {flow::RssHash(key), {0, 1}};
}

struct Shards : testing::Test {
  Config config(std::uint16_t shard) const {
    Config c = small_config();
    c.max_connections = 256;
    c.shard = shard;
    c.shards = 2;
    c.rss = &rss;
    return c;
  }
  ~Shards() override {
    one.reset();
    zero.reset();
    EXPECT_EQ(pool.outstanding(), 0U);
  }
  // Passes on what `from` has for the other, as the ring between two cores does.
  static unsigned pass(World& from, World& to, std::uint16_t shard) {
    unsigned n = 0;
    for (const tcp::HandOver& h : std::exchange(from.handed, {})) {
      EXPECT_EQ(h.shard, shard);
      to.iterate_bufs({&h.frame, 1});
      ++n;
    }
    return n;
  }
  // A peer whose flow belongs to `shard`.
  Peer peer_of(World& w, unsigned shard) const {
    Peer p(w);
    while (rss.queue(p.flow()) != shard) ++p.at.port;
    return p;
  }
  // Both know the peer's address, so that no ARP is in the way.
  void settle() {
    zero->meet(kPeer);
    pass(*zero, *one, 1);
    for (World* w : {zero.get(), one.get()}) w->silent.insert(kPeer);  // no more of it
  }

  flow::RssMap rss = two_queues();
  sim::BlockPool pool;
  std::unique_ptr<World> zero = std::make_unique<World>(config(0), &pool);
  std::unique_ptr<World> one = std::make_unique<World>(config(1), &pool);
};

TEST_F(Shards, FramesOfTheOthersFlowComeOutOfHandOver) {
  zero->listen();
  one->listen();
  settle();
  Peer p = peer_of(*zero, 1);
  zero->feed(p.next(SYN));
  zero->expect_quiet();
  EXPECT_EQ(zero->stack->gauges().half_open, 0U);
  EXPECT_EQ(zero->count(&C::handed_over), 1U);
  EXPECT_EQ(pass(*zero, *one, 1), 1U);
  Peer there(*one, p.at);
  there.snd_nxt = p.snd_nxt;
  there.expect(SYN | ACK);
  zero->feed(there.next(ACK | PSH, "over the fence"));
  pass(*zero, *one, 1);
  const auto r = one->next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(one->read(r->conn), "over the fence");
  EXPECT_TRUE(one->handed.empty());
}

TEST_F(Shards, FramesOfItsOwnFlowStay) {
  zero->listen();
  settle();
  peer_of(*zero, 0).open();
  EXPECT_TRUE(zero->handed.empty());
}

TEST_F(Shards, ConnectPicksPortsWhoseAnswersComeToItsOwnShard) {
  settle();
  for (World* w : {zero.get(), one.get()}) {
    const unsigned shard = w == one.get() ? 1 : 0;
    for (unsigned i = 0; i < 50; ++i) {
      const ConnId c = w->connect({kPeer, 80});
      EXPECT_EQ(rss.queue(w->stack->flow_of(c)), shard);
      Peer server(*w, {.addr = kPeer, .port = 80});
      server.answer(c);
    }
    EXPECT_TRUE(w->handed.empty());
  }
}

TEST_F(Shards, AnIcmpErrorGoesToTheOwnerOfTheFlowItIsAbout) {
  settle();
  const ConnId c = one->connect({kPeer, 80});
  ASSERT_EQ(one->tcp.size(), 1U);
  const Octets& syn = one->tcp[0].octets;
  zero->feed(icmp_frame(kGateway, kHost, 3, 3, 0, {syn.begin() + 14, syn.begin() + 42}));
  EXPECT_EQ(pass(*zero, *one, 1), 1U);
  EXPECT_EQ(one->expect_event(c, kClosed).reason, tcp::CloseReason::kRefused);
  one->tcp.clear();
}

TEST_F(Shards, ArpIsCopiedToTheOtherShardExactlyOnceAndAnsweredOnce) {
  zero->feed(arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast()));
  EXPECT_EQ(zero->arp.size(), 1U);
  ASSERT_EQ(zero->handed.size(), 1U);
  EXPECT_EQ(pass(*zero, *one, 1), 1U);
  EXPECT_TRUE(one->arp.empty());
  EXPECT_TRUE(one->handed.empty());  // or the copy would travel for ever
  EXPECT_EQ(zero->stack->gauges().neighbours, 2U);
  EXPECT_EQ(one->stack->gauges().neighbours, 2U);
}

TEST_F(Shards, AnArpFrameLargerThanABufferIsCopiedToo) {
  Octets f = arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast());
  f.resize(9'000);
  zero->feed(f);
  EXPECT_EQ(pass(*zero, *one, 1), 1U);
  EXPECT_EQ(one->stack->gauges().neighbours, 2U);
}

TEST_F(Shards, WithoutABufferForTheCopyNothingLeaks) {
  pool.set_limit(1);
  zero->feed(arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast()));
  EXPECT_TRUE(zero->handed.empty());
  EXPECT_GE(zero->count(&C::drop_no_buffer), 1U);
  pool.set_limit(sim::BlockPool::kNoLimit);
}

TEST_F(Shards, AFullHandOverIsCounted) {
  settle();
  Peer p = peer_of(*zero, 1);
  zero->check = false;
  std::vector<Buf*> bufs;
  for (unsigned i = 0; i < 64; ++i) bufs.push_back(pool.take_copy(p.make(SYN)));
  for (unsigned i = 0; i < 4; ++i) {
    zero->stack->receive(bufs, zero->now);
    bufs.clear();
    for (unsigned j = 0; j < 64; ++j) bufs.push_back(pool.take_copy(p.make(SYN)));
  }
  zero->iterate_bufs(bufs);  // the fifth 64 without one clear_hand_over
  EXPECT_EQ(zero->count(&C::drop_handover_full), 64U);
  EXPECT_EQ(zero->handed.size(), 256U);
}

// -- UDP -------------------------------------------------------------------------------------

constexpr std::uint16_t kEphemeral = 40'001;  // of ip_local_port_range, and odd: shard 1's

TEST_F(Shards, ADatagramToAServiceGoesWhereTcpsFlowWould) {
  settle();
  const UdpId there = one->stack->udp_bind({kHost, 53}).value();
  const UdpId here = zero->stack->udp_bind({kHost, 53}).value();
  unsigned passed = 0;
  for (std::uint16_t port = 5'000; port < 5'040; ++port) {
    zero->feed(udp_frame({kPeer, port}, {kHost, 53}, "?"));
    const bool other = rss.queue({kHost, kPeer, 53, port}) % 2 == 1;
    EXPECT_EQ(pass(*zero, *one, 1), other ? 1U : 0U);
    passed += other;
  }
  EXPECT_GT(passed, 5U);
  EXPECT_EQ(one->stack->udp_stats(there)->datagrams, passed);
  EXPECT_EQ(zero->stack->udp_stats(here)->datagrams, 40 - passed);
  zero->expect_quiet();
  one->expect_quiet();
}

TEST_F(Shards, WhoeverAnswersAnEphemeralPortFindsItsShard) {
  settle();
  for (World* w : {zero.get(), one.get()}) {
    const unsigned shard = w == one.get() ? 1 : 0;
    for (unsigned i = 0; i < 20; ++i) {
      const UdpId id = w->stack->udp_bind({IpAddr{}, 0}).value();
      const std::uint16_t port = w->stack->udp_stats(id)->local.port;
      EXPECT_EQ(port % 2, shard);
      zero->feed(udp_frame({kPeer, static_cast<std::uint16_t>(53 + i)}, {kHost, port}, "answer"));
      EXPECT_EQ(pass(*zero, *one, 1), shard);
      EXPECT_EQ(w->stack->udp_stats(id)->datagrams, 1U);
      EXPECT_FALSE(w->stack->udp_connect(id, {kPeer, static_cast<std::uint16_t>(53 + i)}));
    }
  }
}

TEST_F(Shards, AConnectWhoseAnswersWouldGoElsewhereIsRefused) {
  settle();
  std::uint16_t port = 100;
  while (rss.queue({kHost, kPeer, port, 53}) % 2 != 1) ++port;
  const UdpId wrong = zero->stack->udp_bind({kHost, port}).value();
  EXPECT_EQ(zero->stack->udp_connect(wrong, {kPeer, 53}), Error::kNoPort);
  const UdpId right = one->stack->udp_bind({kHost, port}).value();
  EXPECT_FALSE(one->stack->udp_connect(right, {kPeer, 53}));
  const UdpId odd = zero->stack->udp_bind({kHost, kEphemeral}).value();
  EXPECT_EQ(zero->stack->udp_connect(odd, {kPeer, 53}), Error::kNoPort);
}

TEST_F(Shards, AnIcmpErrorAboutADatagramGoesToItsSocketsShard) {
  settle();
  const UdpId id = one->stack->udp_bind({kHost, kEphemeral}).value();
  for (std::uint16_t port = 53; port < 73; ++port) {  // wherever TCP's flow would go
    ASSERT_FALSE(one->stack->udp_connect(id, {kPeer, port}));
    const Octets sent = udp_frame({kHost, kEphemeral}, {kPeer, port}, "?");
    zero->feed(icmp_frame(kGateway, kHost, 3, 3, 0, {sent.begin() + 14, sent.begin() + 42}));
    EXPECT_EQ(pass(*zero, *one, 1), 1U);
    EXPECT_EQ(one->stack->udp_take_error(id), UdpError::kRefused);
  }
}

// From a socket of this host to one on another shard, and the error of a closed port back.
TEST_F(Shards, ADatagramToOurselvesFindsTheOtherShard) {
  settle();
  const UdpId from = zero->stack->udp_bind({IpAddr{}, 0}).value();
  const UdpId to = one->stack->udp_bind({kHost, kEphemeral}).value();
  UdpSend how;
  how.to = Endpoint{kHost, kEphemeral};
  EXPECT_EQ(zero->stack->udp_send(from, octets_of("over the fence"), how), UdpError::kNone);
  zero->iterate();
  EXPECT_EQ(pass(*zero, *one, 1), 1U);
  auto d = one->stack->udp_receive(to);
  ASSERT_TRUE(d);
  EXPECT_EQ(d->from.port % 2, 0);
  one->stack->release(std::move(d->text));
  one->stack->udp_close(to);
  ASSERT_FALSE(zero->stack->udp_connect(from, *how.to));
  EXPECT_EQ(zero->stack->udp_send(from, octets_of("anybody?")), UdpError::kNone);
  zero->iterate();
  EXPECT_EQ(pass(*zero, *one, 1), 1U);
  one->iterate();
  EXPECT_EQ(pass(*one, *zero, 0), 1U);
  EXPECT_EQ(zero->stack->udp_take_error(from), UdpError::kRefused);
  zero->expect_quiet();
  one->expect_quiet();
}

}  // namespace
}  // namespace weir::stack::test
