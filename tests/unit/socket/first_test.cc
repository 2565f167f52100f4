// A connection's life over raw IP packets, through weir.h.
#include "harness.h"

namespace weir::posix::test {
namespace {

TEST(EmbeddedStack, AServerAcceptsReadsWritesAndCloses) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  EXPECT_EQ(-1, h.accept(l));
  EXPECT_EQ(EAGAIN, errno);
  p.open();
  const int fd = h.accept(l);
  ASSERT_GE(fd, 0);
  EXPECT_EQ((Endpoint{kPeer, 4'000}), h.peer(fd));
  EXPECT_EQ((Endpoint{kHost, 80}), h.local(fd));
  EXPECT_EQ("!11", h.read(fd));
  p.send({.seq = 1, .ack = 1, .text = "hello"});
  EXPECT_EQ("hel", h.read(fd, 3));
  EXPECT_EQ("lo", h.read(fd));
  EXPECT_EQ(ACK, p.expect().flags());
  EXPECT_EQ(5, h.write(fd, "world"));
  const Sent s = p.expect();
  EXPECT_EQ("world", s.text);
  EXPECT_EQ(kStart, s.when);
  p.send({.seq = 6, .ack = 6, .flags = FIN | ACK});
  p.expect_none();
  h.pass(40 * kMs);
  EXPECT_EQ(ACK, p.expect().flags());
  EXPECT_EQ("", h.read(fd));
  EXPECT_EQ(0, weir_close(h, fd));
  EXPECT_EQ(FIN, p.expect().flags() & FIN);
  p.send({.seq = 7, .ack = 7});
  p.expect_none();
  EXPECT_EQ(-1, weir_close(h, fd));
  EXPECT_EQ(EBADF, errno);
}

TEST(EmbeddedStack, AClientConnects) {
  Host h;
  const int fd = h.tcp();
  Peer p(h, kPeer, 80, kHost, 0);
  EXPECT_EQ(-1, h.connect(fd, kPeer, 80));
  EXPECT_EQ(EINPROGRESS, errno);
  EXPECT_EQ(-1, h.connect(fd, kPeer, 80));
  EXPECT_EQ(EALREADY, errno);
  EXPECT_EQ("!11", h.read(fd));
  p.answer();
  EXPECT_EQ(0, h.connect(fd, kPeer, 80));
  EXPECT_EQ(-1, h.connect(fd, kPeer, 80));
  EXPECT_EQ(EISCONN, errno);
  EXPECT_EQ(3, h.write(fd, "get"));
  EXPECT_EQ("get", p.expect().text);
}

}  // namespace
}  // namespace weir::posix::test
