// Urgent text (RFC 9293 §3.8.5) and the cork, as a program sees them, through frames.
#include "harness.h"
#include "socket/socket.h"

namespace weir::stack::test {
namespace {

struct Sockets : testing::Test {
  Sockets() {
    w.listen();
    conn = p.open();
  }
  World w;
  Peer p{w};
  ConnId conn;
};

//= RFC9293 MUST-32 type=test
//= RFC9293 MUST-33 type=test
//= RFC6093 3.1 type=test
TEST_F(Sockets, UrgentTextIsToldAndStaysInLine) {
  p.urgent = 3;
  p.send(ACK | URG, "abcdef");
  w.expect_event(conn, kUrgent | kReadable);
  EXPECT_EQ(w.stack->urgent(conn).octets, 3U);
  EXPECT_FALSE(w.stack->urgent(conn).more);
  p.urgent = 100;  // 94 of them are still to come
  p.send(ACK | URG, "ghijkl");
  w.expect_event(conn, kUrgent | kReadable);
  EXPECT_EQ(w.stack->urgent(conn).octets, 12U);
  EXPECT_TRUE(w.stack->urgent(conn).more);
  EXPECT_EQ(w.read(conn), "abcdefghijkl");
  EXPECT_EQ(w.stack->urgent(conn).octets, 0U);
  EXPECT_TRUE(w.stack->urgent(conn).more);
  w.tcp.clear();
}

//= RFC9293 MUST-30 type=test
//= RFC9293 MUST-62 type=test
TEST_F(Sockets, UrgentTextIsSent) {
  EXPECT_EQ(w.stack->send_urgent(conn, octets_of("!")), 1U);
  w.iterate();
  const Sent s = p.expect(ACK | URG);
  EXPECT_EQ(s.tcp().urgent, 1);
  EXPECT_EQ(s.text, "!");
  EXPECT_EQ(w.stack->send_urgent(ConnId{}, octets_of("!")), 0U);
  EXPECT_EQ(w.stack->urgent(ConnId{}).octets, 0U);
}

struct Recorder {
  std::string calls;
  void on_accept(Connection, ListenerId) { calls += "a"; }
  void on_connected(Connection, std::uint64_t) { calls += "c"; }
  void on_urgent(Connection c, std::uint64_t) {
    calls += "u";
    EXPECT_EQ(c.urgent().octets, 2U);
  }
  void on_readable(Connection, std::uint64_t) { calls += "r"; }
  void on_writable(Connection, std::uint64_t) { calls += "w"; }
  void on_peer_closed(Connection, std::uint64_t) { calls += "p"; }
  void on_timer(Connection, std::uint64_t) { calls += "t"; }
  void on_closed(Connection, std::uint64_t, CloseReason) { calls += "x"; }
};

//= RFC9293 MUST-32 type=test
TEST_F(Sockets, AHandlerIsCalledBeforeItReads) {
  static_assert(Handler<Recorder> && HasUrgent<Recorder>);
  Recorder r;
  p.urgent = 2;
  const Octets f = p.next(ACK | URG, "ab");
  Buf* b = w.pool.take_copy(f);
  w.stack->receive({&b, 1}, w.now);
  dispatch(*w.stack, r);
  EXPECT_EQ(r.calls, "ur");
  w.iterate();
  w.read(conn);
  w.tcp.clear();
}

TEST_F(Sockets, ACorkHoldsSmallTextAndLetsItGo) {
  w.stack->set_cork(conn, true);
  w.send(conn, "head");
  p.expect_quiet();
  w.send(conn, "body");
  p.expect_quiet();
  w.stack->set_cork(conn, false);
  w.iterate();
  EXPECT_EQ(p.expect(ACK).text, "headbody");
  w.stack->set_cork(conn, true);
  p.send(ACK);
  w.send(conn, "late");
  w.run_for(199ms);
  p.expect_quiet();
  w.run_for(1ms);
  EXPECT_EQ(p.expect(ACK).text, "late");
  w.stack->set_cork(ConnId{}, true);
}

TEST_F(Sockets, NodelayIsAFlushUnderACork) {
  w.stack->set_cork(conn, true);
  w.send(conn, "head");
  p.expect_quiet();
  w.stack->set_nodelay(conn, true);
  w.iterate();
  EXPECT_EQ(p.expect(ACK).text, "head");
  w.send(conn, "tail");
  p.expect_quiet();
}

}  // namespace
}  // namespace weir::stack::test
