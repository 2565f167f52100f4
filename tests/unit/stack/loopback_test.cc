// A stack that talks to itself (RFC 1122 §3.2.1.5): its own listener, and its very own socket.
#include <array>

#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

struct Loopback : testing::Test {
  // The events of all that happens, by connection.
  std::optional<Ready> event(unsigned want) {
    w.iterate();
    for (std::size_t i = 0; i < w.events.size(); ++i) {
      if ((w.events[i].events & want) == 0) continue;
      const Ready r = w.events[i];
      w.events.erase(w.events.begin() + static_cast<std::ptrdiff_t>(i));
      return r;
    }
    return std::nullopt;
  }
  World w;
};

TEST_F(Loopback, AStackConnectsToItsOwnListener) {
  w.listen();
  const ConnId client = w.connect({kHost, 80});
  ASSERT_TRUE(event(kConnected));
  const auto server = event(kAccepted);
  ASSERT_TRUE(server);
  EXPECT_EQ(w.stack->flow_of(client).local, kHost);
  const std::string text = pattern(100'000);
  std::string got;
  for (std::size_t sent = 0; got.size() < text.size();) {
    sent += w.send(client, std::string_view(text).substr(sent));
    const std::string some = w.read(server->conn);
    ASSERT_FALSE(some.empty());
    got += some;
    w.iterate();
  }
  EXPECT_EQ(got, text);
  w.expect_quiet();  // nothing of it was on the wire
  EXPECT_TRUE(w.arp.empty());
  EXPECT_GT(w.count(&C::looped_back), 60U);
  w.stack->close(client);
  ASSERT_TRUE(event(kPeerClosed));
  w.stack->close(server->conn);
  w.iterate();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
}

TEST_F(Loopback, WhereNobodyListensItIsRefused) {
  const ConnId c = w.connect({kHost, 81});
  const auto r = event(kClosed);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->conn, c);
  EXPECT_EQ(r->reason, tcp::CloseReason::kRefused);
}

// Both ends are one: RFC 9293 §3.5, simultaneous open with oneself.
//= RFC9293 MUST-10 type=test
TEST_F(Loopback, ASocketConnectsToItself) {
  const auto c = w.stack->connect({kHost, 7'777}, kHost, w.now, 7'777);
  ASSERT_TRUE(c.ok());
  w.end_later(c.value());
  ASSERT_TRUE(event(kConnected));
  EXPECT_EQ(w.stack->state_of(c.value()), tcp::State::kEstablished);
  EXPECT_EQ(w.send(c.value(), "to whom it may concern"), 22U);
  w.run_for(50ms);
  EXPECT_EQ(w.read(c.value()), "to whom it may concern");
  w.stack->shutdown_send(c.value());
  w.run_for(50ms);
  EXPECT_EQ(w.stack->state_of(c.value()), tcp::State::kTimeWait);
  w.expect_quiet();
}

// LAND: the same from outside is a forgery.
//= RFC9293 MUST-63 type=test
TEST_F(Loopback, OurOwnAddressFromOutsideStaysForbidden) {
  w.listen();
  Peer land(w, {.addr = kHost, .port = 80});
  w.feed(land.make(SYN));
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_bad_source), 1U);
  EXPECT_EQ(w.count(&C::looped_back), 0U);
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
}

// What a port's frame says of scarcity holds for text that a stack sends to itself: nobody reads
// it, so it is not kept, and its sender keeps the one copy there is.
TEST_F(Loopback, TextIsNotKeptWhileBuffersAreTheLast) {
  w.listen();
  const ConnId client = w.connect({kHost, 80});
  ASSERT_TRUE(event(kConnected));
  const auto server = event(kAccepted);
  ASSERT_TRUE(server);
  Peer sign(w, {.port = 9});
  sign.open();
  Buf* b = w.pool.take_copy(sign.make(ACK));
  b->flags = Buf::kScarce | Buf::kLast;
  std::array<Buf*, 1> one = {b};
  w.iterate_bufs(one);
  w.stack->set_nodelay(client, true);
  w.send(client, "a");
  w.iterate();
  w.iterate();
  EXPECT_EQ(w.stack->readable(server->conn), 0U);
  EXPECT_EQ(w.stack->unacked(client), 1U);
  for (int i = 0; i < 20; ++i) {  // no port's frame says so any more: what is looped does not count
    w.send(client, "b");
    w.run_for(50ms);
  }
  EXPECT_GT(w.stack->readable(server->conn), 10U);
}

TEST_F(Loopback, WithoutABufferItIsAsIfLost) {
  w.listen();
  w.pool.set_limit(0);
  const ConnId client = w.connect({kHost, 80});
  EXPECT_FALSE(event(kConnected));
  w.pool.set_limit(sim::BlockPool::kNoLimit);
  w.run_for(1s);
  EXPECT_TRUE(event(kConnected));
  EXPECT_TRUE(w.stack->alive(client));
}

}  // namespace
}  // namespace weir::stack::test
