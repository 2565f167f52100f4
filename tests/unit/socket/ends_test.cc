// How connections end and what each call says then: FIN, RST, ICMP, time-outs, linger.
#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

class Ends : public testing::Test {
 protected:
  Ends() : p(h, kPeer, 4'000, kHost, 80) {
    const int l = h.listener(80);
    p.open();
    fd = h.accept(l);
  }
  std::string read() { return h.read(fd); }
  static std::string error(int e) { return "!" + std::to_string(e); }

  Host h;
  Peer p;
  int fd = -1;
};

TEST_F(Ends, AResetIsToldOnceThenReadsEndAndWritesBreak) {
  p.send({.seq = 1, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(static_cast<unsigned>(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDHUP),
            weir_ready(h, fd) & ~static_cast<unsigned>(EPOLLRDNORM | EPOLLWRNORM));
  EXPECT_EQ(error(ECONNRESET), read());
  EXPECT_EQ("", read());
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(fd, "x")));
  EXPECT_EQ(0, h.error_of(fd));
}

TEST_F(Ends, AResetIsToldOnceByAWrite) {
  p.send({.seq = 1, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(ECONNRESET, ERRNO_OF(h.write(fd, "x")));
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(fd, "x")));
  EXPECT_EQ("", read());
}

TEST_F(Ends, TextThatCameBeforeAResetIsStillRead) {
  p.send({.seq = 1, .ack = 1, .text = "precious"});
  p.send({.seq = 9, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ("precious", read());
  EXPECT_EQ(error(ECONNRESET), read());
}

TEST_F(Ends, AResetBehindTheFinIsABrokenPipe) {
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK});
  p.send({.seq = 2, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ("", read());  // the end comes before the error
  EXPECT_EQ(EPIPE, h.error_of(fd));
  EXPECT_EQ("", read());
}

TEST_F(Ends, AfterTheFinReadsEndAndWritesGoOn) {
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK, .text = "end"});
  (void)h.drain();
  EXPECT_EQ("end", read());
  EXPECT_EQ("", read());
  EXPECT_EQ("", read());
  EXPECT_EQ(4, h.write(fd, "more"));
  EXPECT_EQ("more", p.expect().text);
}

TEST_F(Ends, ShutdownOfSendingEndsWritesAndReadsGoOn) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  EXPECT_EQ(FIN | ACK, p.expect().flags());
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(fd, "x")));
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  p.send({.seq = 1, .ack = 2, .text = "late"});
  EXPECT_EQ("late", read());
  EXPECT_EQ(error(EAGAIN), read());
}

// Linux: what comes later is taken and may be read; only there is nothing to wait for.
TEST_F(Ends, ShutdownOfReceivingEndsReadsThatWouldWait) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_RD));
  p.expect_none();
  EXPECT_EQ("", read());
  p.send({.seq = 1, .ack = 1, .text = "late"});
  EXPECT_EQ("late", read());
  EXPECT_EQ("", read());
  EXPECT_EQ(2, h.write(fd, "ok"));
}

TEST_F(Ends, TextForNobodyIsAnsweredWithAReset) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_RDWR));
  EXPECT_EQ(FIN | ACK, p.expect().flags());
  p.send({.seq = 1, .ack = 2, .text = "late"});
  EXPECT_EQ(RST, p.expect().flags() & RST);
  EXPECT_EQ(ECONNRESET, h.error_of(fd));
}

TEST_F(Ends, CloseWithTextUnreadResets) {
  p.send({.seq = 1, .ack = 1, .text = "unread"});
  (void)h.drain();
  EXPECT_EQ(0, weir_close(h, fd));
  EXPECT_EQ(RST, p.expect().flags() & RST);
}

TEST_F(Ends, CloseWithLingerZeroResets) {
  const struct linger l { 1, 0 };
  EXPECT_EQ(0, weir_setsockopt(h, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
  EXPECT_EQ(0, weir_close(h, fd));
  EXPECT_EQ(RST, p.expect().flags() & RST);
}

TEST_F(Ends, CloseWithLingerForAWhileSendsAFin) {
  const struct linger l { 1, 5 };
  EXPECT_EQ(0, weir_setsockopt(h, fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
  EXPECT_EQ(0, weir_close(h, fd));
  EXPECT_EQ(FIN | ACK, p.expect().flags());
  h.pass(5 * kS);
  for (const Sent& s : h.drain()) EXPECT_EQ(0, s.flags() & RST);  // Linux only waits so long
}

TEST_F(Ends, BothFinsAndTheSocketIsClosed) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  (void)p.expect();
  p.send({.seq = 1, .ack = 2, .flags = FIN | ACK});
  EXPECT_EQ(ACK, p.expect().flags());
  EXPECT_NE(0U, weir_ready(h, fd) & EPOLLHUP);
  EXPECT_EQ("", read());
  EXPECT_EQ(0, h.error_of(fd));
  Name n;
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_getpeername(h, fd, n.get(), &n.length)));
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, fd, SHUT_WR)));
  p.send({.seq = 1, .ack = 2, .flags = FIN | ACK});  // TIME-WAIT answers it still
  EXPECT_EQ(ACK, p.expect().flags());
}

TEST_F(Ends, RetransmissionsInVainTimeOut) {
  EXPECT_EQ(1, h.write(fd, "x"));
  h.pass(3'000 * kS);
  EXPECT_EQ(error(ETIMEDOUT), read());
  EXPECT_EQ("", read());
}

TEST_F(Ends, KeepalivesInVainTimeOut) {
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 2));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3));
  h.pass(10 * kS - 1);
  p.expect_none();
  h.pass(1);
  EXPECT_EQ(ACK, p.expect().flags());
  h.pass(6 * kS - 1);
  EXPECT_EQ(2U, h.drain().size());
  EXPECT_EQ(error(EAGAIN), read());
  h.pass(1);
  EXPECT_EQ(error(ETIMEDOUT), read());
}

TEST_F(Ends, ResetAllTellsPeersAndSockets) {
  const int c = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, kPeer, 90)));
  (void)h.drain();
  weir_stack_reset_all(h);
  const auto out = h.drain();
  ASSERT_EQ(1U, out.size());  // one that never was is forgotten
  EXPECT_EQ(RST, out[0].flags() & RST);
  EXPECT_EQ(error(ECONNRESET), read());
  EXPECT_EQ(ECONNRESET, h.error_of(c));
}

// The record of a connection that is over goes back with its last octet.
TEST(Record, GoesBackOnceAllIsRead) {
  Host h({.max_connections = 1});
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  p.send({.seq = 1, .ack = 1, .text = "last"});
  p.send({.seq = 5, .ack = 1, .flags = RST | ACK});
  (void)h.drain();
  const int c = h.tcp();
  EXPECT_EQ(ENOBUFS, ERRNO_OF(h.connect(c, kPeer, 90)));
  EXPECT_EQ("last", h.read(fd));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, kPeer, 90)));
}

// -- Attempts that fail ------------------------------------------------------------------------

class Attempt : public testing::Test {
 protected:
  void open(int family = AF_INET, const IpAddr& to = kPeer, const IpAddr& from = kHost) {
    fd = h.tcp(family);
    EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, to, 80)));
    p.emplace(h, to, 80, from, h.local(fd).port);
    (void)p->expect();
  }
  Host h;
  std::optional<Peer> p;
  int fd = -1;
};

TEST_F(Attempt, PortUnreachableIsRefused) {
  open();
  p->icmp(3, 3);
  EXPECT_EQ(ECONNREFUSED, ERRNO_OF(h.connect(fd, kPeer, 80)));
}

TEST_F(Attempt, PortUnreachableOfIpv6IsRefused) {
  open(AF_INET6, kPeer6, kHost6);
  p->icmp(1, 4);
  EXPECT_EQ(ECONNREFUSED, h.error_of(fd));
}

TEST_F(Attempt, SilenceTimesOut) {
  open();
  h.pass(62 * kS);
  EXPECT_EQ(EALREADY, ERRNO_OF(h.connect(fd, kPeer, 80)));
  h.pass(2 * kS);
  EXPECT_EQ(ETIMEDOUT, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_EQ(5U, h.drain().size());
}

// Linux ends the attempt at once; RFC 9293 MUST-56 has it remembered until the attempt times out.
TEST_F(Attempt, HostUnreachableIsWhatTheTimeOutIsPutDownTo) {
  open();
  p->icmp(3, 1);
  EXPECT_EQ(EHOSTUNREACH, h.error_of(fd));  // the soft error, once
  EXPECT_EQ(0, h.error_of(fd));
  EXPECT_EQ(EALREADY, ERRNO_OF(h.connect(fd, kPeer, 80)));
  h.pass(64 * kS);
  EXPECT_EQ(EHOSTUNREACH, ERRNO_OF(h.connect(fd, kPeer, 80)));
}

TEST_F(Attempt, NetUnreachableIsWhatTheTimeOutIsPutDownTo) {
  open();
  p->icmp(3, 0);
  h.pass(64 * kS);
  EXPECT_EQ(ENETUNREACH, h.error_of(fd));
}

TEST_F(Attempt, CloseInTheMiddleSaysNothing) {
  open();
  EXPECT_EQ(0, weir_close(h, fd));
  h.pass(64 * kS);
  p->expect_none();
}

TEST_F(Attempt, SynRetriesOfItsOwn) {
  fd = h.tcp();
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_SYNCNT, 1));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  h.pass(3 * kS - 1);
  EXPECT_EQ(EALREADY, ERRNO_OF(h.connect(fd, kPeer, 80)));
  h.pass(1);
  EXPECT_EQ(ETIMEDOUT, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_EQ(2U, h.drain().size());
}

}  // namespace
}  // namespace weir::posix::test
