// read and write in all their shapes, over one connection that a listener took.
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

class Stream : public testing::Test {
 protected:
  Stream() : p(h, kPeer, 4'000, kHost, 80) {
    const int l = h.listener(80);
    p.open();
    fd = h.accept(l);
  }
  int queued(unsigned long request) {
    int n = -1;
    EXPECT_EQ(0, weir_ioctl(h, fd, request, &n));
    return n;
  }
  void text(const std::string& t) {
    p.send({.seq = seq, .ack = 1, .text = t});
    seq += static_cast<std::uint32_t>(t.size());
    (void)h.drain();
  }

  Host h;
  Peer p;
  int fd = -1;
  std::uint32_t seq = 1;
};

TEST_F(Stream, PeekLeavesAndTruncDiscards) {
  text("one two three");
  EXPECT_EQ("one t", h.read(fd, 5, MSG_PEEK));
  EXPECT_EQ("one two three", h.read(fd, 100, MSG_PEEK));
  char untouched[5] = "....";
  EXPECT_EQ(4, weir_recv(h, fd, untouched, 4, MSG_TRUNC));
  EXPECT_STREQ("....", untouched);
  EXPECT_EQ(4, weir_recv(h, fd, nullptr, 4, MSG_TRUNC));
  EXPECT_EQ("three", h.read(fd));
}

TEST_F(Stream, PeekFillsEachPiece) {
  text("abcdefghij");
  char a[3], b[4];
  iovec v[] = {{a, 3}, {b, 4}};
  msghdr m{};
  m.msg_iov = v;
  m.msg_iovlen = 2;
  EXPECT_EQ(7, weir_recvmsg(h, fd, &m, MSG_PEEK));
  EXPECT_EQ("abc", std::string(a, 3));
  EXPECT_EQ("defg", std::string(b, 4));
  EXPECT_EQ(10, queued(SIOCINQ));
}

TEST_F(Stream, ReadsAreExactAcrossSegments) {
  text("abc");
  text("defgh");
  text("i");
  EXPECT_EQ(9, queued(SIOCINQ));
  EXPECT_EQ("ab", h.read(fd, 2));
  EXPECT_EQ("cdef", h.read(fd, 4));
  EXPECT_EQ(3, queued(SIOCINQ));
  EXPECT_EQ("ghi", h.read(fd));
}

TEST_F(Stream, ReadvFillsEachPiece) {
  text("abcdefghij");
  char a[3], b[4], c[10];
  const iovec v[] = {{a, 3}, {nullptr, 0}, {b, 4}, {c, 10}};
  EXPECT_EQ(10, weir_readv(h, fd, v, 4));
  EXPECT_EQ("abc", std::string(a, 3));
  EXPECT_EQ("defg", std::string(b, 4));
  EXPECT_EQ("hij", std::string(c, 3));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_readv(h, fd, v, -1)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_readv(h, fd, v, IOV_MAX + 1)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_readv(h, fd, nullptr, 1)));
  EXPECT_EQ(EAGAIN, ERRNO_OF(weir_read(h, fd, nullptr, 1)));  // looked at when text goes there
  text("x");
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_read(h, fd, nullptr, 1)));
  EXPECT_EQ("x", h.read(fd));
}

TEST_F(Stream, WaitallWaitsUnlessNothingCanCome) {
  text("abc");
  EXPECT_EQ("!11", h.read(fd, 5, MSG_WAITALL));
  EXPECT_EQ("abc", h.read(fd, 5, MSG_WAITALL | MSG_DONTWAIT | MSG_PEEK));
  text("de");
  EXPECT_EQ("abcde", h.read(fd, 5, MSG_WAITALL));
  text("f");
  p.send({.seq = seq, .ack = 1, .flags = FIN | ACK});
  EXPECT_EQ("f", h.read(fd, 5, MSG_WAITALL));
  EXPECT_EQ("", h.read(fd, 5, MSG_WAITALL));
}

TEST_F(Stream, MoreHoldsASmallSegmentForTheNextWrite) {
  EXPECT_EQ(2, weir_send(h, fd, "ab", 2, MSG_MORE));
  p.expect_none();
  EXPECT_EQ(2, weir_send(h, fd, "cd", 2, 0));
  EXPECT_EQ("abcd", p.expect().text);
  EXPECT_EQ(4, queued(SIOCOUTQ));
  p.send({.seq = 1, .ack = 5});
  EXPECT_EQ(0, queued(SIOCOUTQ));
}

TEST_F(Stream, MoreIsNotHeldForEver) {
  EXPECT_EQ(2, weir_send(h, fd, "ab", 2, MSG_MORE));
  h.pass(199 * kMs);
  p.expect_none();
  h.pass(2 * kMs);  // the handshake took no time: the RTO is rto_min
  EXPECT_EQ("ab", p.expect().text);
}

TEST_F(Stream, ARecordEndsASegment) {
  EXPECT_EQ(1, h.write(fd, "a"));
  EXPECT_EQ("a", p.expect().text);
  EXPECT_EQ(2, weir_send(h, fd, "bb", 2, MSG_EOR));
  p.expect_none();  // Nagle holds it, as long as nothing follows
  EXPECT_EQ(1, weir_send(h, fd, "c", 1, 0));
  EXPECT_EQ("bb", p.expect().text);
  p.expect_none();
  p.send({.seq = 1, .ack = 4});
  EXPECT_EQ("c", p.expect().text);
}

TEST_F(Stream, NagleHoldsAndNodelayLetsGo) {
  EXPECT_EQ(1, h.write(fd, "a"));
  EXPECT_EQ("a", p.expect().text);
  EXPECT_EQ(1, h.write(fd, "b"));
  p.expect_none();
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
  EXPECT_EQ("b", p.expect().text);
}

TEST_F(Stream, UrgentTextIsMarkedAndReadInLine) {
  EXPECT_EQ(3, weir_send(h, fd, "abc", 3, MSG_OOB));
  const Sent s = p.expect();
  EXPECT_EQ(URG, s.flags() & URG);
  EXPECT_EQ(3, s.frame.tcp.urgent);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_recv(h, fd, nullptr, 0, MSG_OOB)));
  p.send({.seq = 1, .ack = 4, .flags = ACK | URG, .text = "xyz", .urgent = 3});
  EXPECT_NE(0U, weir_ready(h, fd) & EPOLLPRI);
  EXPECT_EQ("xyz", h.read(fd));
}

TEST_F(Stream, WritevAndSendmsgGatherIntoOneSegment) {
  char a[] = "abc", b[] = "de";
  const iovec v[] = {{a, 3}, {b, 2}};
  EXPECT_EQ(5, weir_writev(h, fd, v, 2));
  EXPECT_EQ("abcde", p.expect().text);
  p.send({.seq = 1, .ack = 6});
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(v);
  m.msg_iovlen = 2;
  EXPECT_EQ(5, weir_sendmsg(h, fd, &m, 0));
  EXPECT_EQ("abcde", p.expect().text);
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_sendmsg(h, fd, nullptr, 0)));
  m.msg_iovlen = IOV_MAX + 1;
  EXPECT_EQ(EMSGSIZE, ERRNO_OF(weir_sendmsg(h, fd, &m, 0)));
}

TEST_F(Stream, RecvmsgTellsWhatIsLeft) {
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_INQ, 1));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.set(fd, IPPROTO_TCP, TCP_INQ, 2)));
  text("abcdef");
  char buf[4];
  iovec v{buf, 4};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  EXPECT_EQ(4, weir_recvmsg(h, fd, &m, 0));
  const cmsghdr* c = CMSG_FIRSTHDR(&m);
  ASSERT_NE(nullptr, c);
  EXPECT_EQ(IPPROTO_TCP, c->cmsg_level);
  EXPECT_EQ(TCP_CM_INQ, c->cmsg_type);
  int left = 0;
  std::memcpy(&left, CMSG_DATA(c), sizeof left);
  EXPECT_EQ(2, left);
  m.msg_controllen = 3;
  EXPECT_EQ(2, weir_recvmsg(h, fd, &m, 0));
  EXPECT_EQ(MSG_CTRUNC, m.msg_flags & MSG_CTRUNC);
}

TEST_F(Stream, AfterTheEndThereIsOneOctetOfInq) {
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_INQ, 1));
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK, .text = "z"});
  char buf[4];
  iovec v{buf, 4};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  EXPECT_EQ(1, weir_recvmsg(h, fd, &m, 0));
  int left = 0;
  std::memcpy(&left, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof left);
  EXPECT_EQ(1, left);
}

TEST_F(Stream, SendfileMovesTheFileAndItsPlace) {
  std::FILE* f = std::tmpfile();
  ASSERT_NE(nullptr, f);
  const int in = fileno(f);
  ASSERT_EQ(10, ::write(in, "0123456789", 10));
  off_t at = 2;
  EXPECT_EQ(5, weir_sendfile(h, fd, in, &at, 5));
  EXPECT_EQ(7, at);
  EXPECT_EQ("23456", p.expect().text);
  p.send({.seq = 1, .ack = 6});
  lseek(in, 8, SEEK_SET);
  EXPECT_EQ(2, weir_sendfile(h, fd, in, nullptr, 100));  // to its end
  EXPECT_EQ("89", p.expect().text);
  EXPECT_EQ(10, lseek(in, 0, SEEK_CUR));
  EXPECT_EQ(EBADF, ERRNO_OF(weir_sendfile(h, fd, -1, nullptr, 1)));
  std::fclose(f);
}

TEST_F(Stream, AFullSendBufferTakesPartAndThenNothing) {
  const std::string much(1 << 20, 'm');
  const ssize_t first = h.write(fd, much);
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 1 << 20);
  EXPECT_EQ(EAGAIN, ERRNO_OF(h.write(fd, much)));
  EXPECT_EQ(0U, weir_ready(h, fd) & EPOLLOUT);
  std::uint32_t acked = 1;
  for (int i = 0; i < 1'000 && (weir_ready(h, fd) & EPOLLOUT) == 0; ++i) {
    for (const Sent& s : h.drain()) acked += static_cast<std::uint32_t>(s.text.size());
    p.send({.seq = 1, .ack = acked});
  }
  EXPECT_NE(0U, weir_ready(h, fd) & EPOLLOUT);
  EXPECT_GT(h.write(fd, much), 0);
}

// A write that leaves some room, but less than a third: who waits for more is told when it comes.
TEST_F(Stream, RoomIsToldOfHoweverLateItComes) {
  std::uint32_t told = 0;
  weir_stack_on_ready(
      h,
      [](void* context, int, std::uint32_t events) {
        *static_cast<std::uint32_t*>(context) |= events;
      },
      &told);
  EXPECT_EQ(200'000, h.write(fd, std::string(200'000, 'x')));
  EXPECT_EQ(0U, weir_ready(h, fd) & EPOLLOUT);
  h.pass(100 * kMs);
  EXPECT_EQ(0U, told & EPOLLOUT);
  std::uint32_t acked = 1;
  for (int i = 0; i < 1'000 && (weir_ready(h, fd) & EPOLLOUT) == 0; ++i) {
    for (const Sent& s : h.drain()) {
      const std::uint32_t end =
          distance(p.iss(), s.frame.tcp.seq) + static_cast<std::uint32_t>(s.text.size());
      acked = std::max(acked, end);
    }
    p.send({.seq = 1, .ack = acked});
  }
  EXPECT_NE(0U, told & EPOLLOUT);
}

TEST_F(Stream, ZeroOctetsAreNothing) {
  EXPECT_EQ(0, h.write(fd, ""));
  EXPECT_EQ("!11", h.read(fd, 0));
  text("a");
  EXPECT_EQ("", h.read(fd, 0));
  EXPECT_EQ("a", h.read(fd));
}

TEST_F(Stream, IoctlsAndWhatIsNone) {
  int n = 1;
  EXPECT_EQ(0, weir_ioctl(h, fd, FIONBIO, &n));
  EXPECT_NE(0, weir_fcntl(h, fd, F_GETFL, 0) & O_NONBLOCK);
  EXPECT_EQ(ENOTTY, ERRNO_OF(weir_ioctl(h, fd, TIOCGWINSZ, &n)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_ioctl(h, fd, SIOCINQ, nullptr)));
  const int l = h.listener(81);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_ioctl(h, l, SIOCINQ, &n)));
}

TEST_F(Stream, RecvfromNamesNobody) {
  text("a");
  Name n;
  char c = 0;
  EXPECT_EQ(1, weir_recvfrom(h, fd, &c, 1, 0, n.get(), &n.length));
  EXPECT_EQ(0U, n.length);
}

TEST(StreamStates, WithoutAConnection) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ("!" + std::to_string(ENOTCONN), h.read(fd));
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(fd, "x")));
  const int l = h.listener(80);
  EXPECT_EQ("!" + std::to_string(ENOTCONN), h.read(l));
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(l, "x")));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_EQ(EAGAIN, ERRNO_OF(h.write(fd, "x")));
  EXPECT_EQ(EAGAIN, ERRNO_OF(weir_sendfile(h, fd, 0, nullptr, 1)));
}

volatile std::sig_atomic_t pipes = 0;

TEST(StreamStates, SigpipeIsRaisedWhenAskedFor) {
  const char* address = "192.0.2.1/24";
  weir_config c;
  weir_config_init(&c);
  c.addresses = &address;
  c.address_count = 1;
  c.raise_sigpipe = 1;
  weir_stack* s = weir_stack_create(&c, nullptr, 0);
  ASSERT_NE(nullptr, s);
  struct sigaction act {
  }, old{};
  act.sa_handler = [](int) { pipes = pipes + 1; };
  sigaction(SIGPIPE, &act, &old);
  const int fd = weir_socket(s, AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(EPIPE, ERRNO_OF(weir_send(s, fd, "x", 1, MSG_NOSIGNAL)));
  EXPECT_EQ(0, pipes);
  EXPECT_EQ(EPIPE, ERRNO_OF(weir_send(s, fd, "x", 1, 0)));
  EXPECT_EQ(1, pipes);
  sigaction(SIGPIPE, &old, nullptr);
  weir_stack_destroy(s);
}

}  // namespace
}  // namespace weir::posix::test
