// Knobs that change while connections live: Stack::configure.
#include "harness.h"

namespace weir::stack::test {
namespace {

const Endpoint kServer{kPeer, 80};

struct Configure : testing::Test {
  World w;
  tcp::Config wanted = w.stack->tcp_config();
  void configure() { w.stack->configure(wanted); }
};

// A connect under way gives up by what holds when its timer fires.
TEST_F(Configure, SynRetriesHoldForAConnectUnderWay) {
  const ConnId c = w.connect(kServer);
  w.run_to(2s);  // SYNs at 0 and 1 s
  wanted.syn_retries = 2;
  configure();
  w.run_to(7s - 1us);
  w.expect_no_event();
  w.run_to(7s);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kTimedOut);
  EXPECT_EQ(w.tcp.size(), 3U);
  w.tcp.clear();
}

TEST_F(Configure, ThePortRangeHoldsForTheNextConnect) {
  wanted.port_low = 2'000;
  wanted.port_high = 2'003;
  configure();
  std::set<std::uint16_t> ports;
  for (unsigned i = 0; i < 4; ++i) ports.insert(w.stack->flow_of(w.connect(kServer)).local_port);
  EXPECT_EQ(ports, (std::set<std::uint16_t>{2'000, 2'001, 2'002, 2'003}));
  EXPECT_EQ(w.stack->connect(kServer, std::nullopt, w.now).error(), Error::kNoPort);
  wanted.port_high = 2'004;
  configure();
  EXPECT_EQ(w.stack->flow_of(w.connect(kServer)).local_port, 2'004);
  w.tcp.clear();
}

// A connection's timer is armed as it opens: keepalives are of those that open from here on.
TEST_F(Configure, KeepalivesAreOfConnectionsThatOpenAfterwards) {
  w.listen();
  wanted.keepalive = true;
  wanted.keepalive_time = 10s;
  configure();
  Peer p(w);
  p.open();
  w.run_for(10s - 1us);
  p.expect_quiet();
  w.run_for(1us);
  EXPECT_TRUE(p.take().has_value()) << "no keepalive probe";
  wanted.keepalive_probes = 1;  // of a connection that is, too
  configure();
  w.run_for(75s);
  p.expect(RST | ACK);
}

// What is negotiated by a SYN holds for that connection, whatever becomes of the knob before the
// last ACK: the peer goes by what the SYN-ACK said.
TEST_F(Configure, AHalfOpenConnectionKeepsWhatItsSynAckSaid) {
  w.listen();
  Peer p(w);
  p.stamped = true;
  p.syn_options.has_timestamps = true;
  p.syn_options.ts_val = 1;
  p.syn_options.sack_permitted = true;
  p.syn_options.window_scale = 2;
  p.syn();
  wanted.timestamps = wanted.sack = wanted.window_scaling = false;
  configure();
  p.send(ACK | PSH, "hello");
  const auto ready = w.next_event();
  ASSERT_TRUE(ready.has_value());
  w.end_later(ready->conn);
  w.send(ready->conn, "answer");
  const auto s = p.take();
  ASSERT_TRUE(s.has_value());
  EXPECT_TRUE(s->tcp().options.has_timestamps);
  EXPECT_LT(s->tcp().wnd, 0x8000) << "a window that is not scaled";
  (void)p.take_text();
  w.feed(p.make(ACK | PSH, p.snd_nxt + 10, p.rcv_nxt, "beyond a gap"));
  const auto ack = p.take();
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(ack->tcp().options.sack_count, 1);
  w.tcp.clear();
}

TEST_F(Configure, TheNextSynAckSaysWhatHoldsThen) {
  w.listen();
  wanted.timestamps = wanted.sack = wanted.window_scaling = false;
  configure();
  Peer p(w);
  p.syn_options.has_timestamps = true;
  p.syn_options.sack_permitted = true;
  p.syn_options.window_scale = 2;
  p.send(SYN);
  const Sent s = p.expect(SYN | ACK);
  EXPECT_FALSE(s.tcp().options.has_timestamps);
  EXPECT_FALSE(s.tcp().options.sack_permitted);
  EXPECT_EQ(s.tcp().options.window_scale, wire::kNoWindowScale);
}

TEST_F(Configure, WmemHoldsForAConnectionThatIs) {
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  EXPECT_EQ(w.stack->send_room(c), wanted.wmem);
  wanted.wmem = 4'096;
  configure();
  EXPECT_EQ(w.stack->send_room(c), 4'096U);
}

// Who waits for room is told at once, with no ACK on its way.
TEST_F(Configure, ALargerWmemWakesAWriter) {
  w.listen();
  wanted.wmem = 9'000;
  configure();
  Peer p(w), own(w, {.port = 2}), idle(w, {.port = 3});
  const ConnId c = p.open(), of_its_own = own.open();
  idle.open();
  ASSERT_TRUE(w.stack->set_send_buffer(of_its_own, 9'000));
  for (const ConnId id : {c, of_its_own}) {
    w.send(id, std::string(9'000, 'x'));
    EXPECT_EQ(w.stack->send_room(id), 0U);
    w.stack->want_writable(id);
  }
  while (w.next_event()) continue;
  wanted.wmem = 8'000;
  configure();
  w.run_for(1ms);
  w.expect_no_event();
  wanted.wmem = 13'498;  // a third of it is 4,499, and 4,498 are free
  configure();
  w.run_for(1ms);
  w.expect_no_event();
  wanted.wmem = 13'499;
  configure();
  EXPECT_LE(w.stack->next_deadline(), w.now) << "nothing else may come to call the stack";
  w.run_for(1ms);
  EXPECT_GT(w.stack->next_deadline(), w.now);
  w.expect_event(c, kWritable);
  w.expect_no_event();
  w.tcp.clear();
}

TEST_F(Configure, TheSizesOfTablesStay) {
  const tcp::Config before = w.stack->tcp_config();
  wanted.max_syn_backlog = before.max_syn_backlog * 2;
  wanted.max_tw_buckets = before.max_tw_buckets * 2;
  wanted.msl = before.msl + 1s;
  configure();
  EXPECT_EQ(w.stack->tcp_config().max_syn_backlog, before.max_syn_backlog);
  EXPECT_EQ(w.stack->tcp_config().max_tw_buckets, before.max_tw_buckets);
  EXPECT_EQ(w.stack->tcp_config().msl, before.msl);
}

}  // namespace
}  // namespace weir::stack::test
