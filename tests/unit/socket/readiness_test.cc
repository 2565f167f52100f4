// What poll says in which state of a socket (Linux's tcp_poll), poll and select.
#include <poll.h>
#include <sys/select.h>

#include <initializer_list>

#include "harness.h"

namespace weir::posix::test {
namespace {

constexpr std::uint32_t kIn = EPOLLIN | EPOLLRDNORM, kOut = EPOLLOUT | EPOLLWRNORM;

fd_set set_of(std::initializer_list<int> fds) {
  fd_set s{};
  for (const int fd : fds) FD_SET(fd, &s);
  return s;
}

struct Readiness : testing::Test {
  Host host;
  [[nodiscard]] std::uint32_t of(int fd) const { return weir_ready(host, fd); }

  struct Open {
    int fd;
    Peer peer;
  };
  Open open() {
    const int l = host.listener(80);
    Open o{-1, Peer(host, kPeer, 40'000, kHost, 80)};
    o.peer.open();
    o.fd = host.accept(l);
    EXPECT_EQ(0, weir_close(host, l));
    return o;
  }
};

TEST_F(Readiness, OfNothing) {
  EXPECT_EQ(std::uint32_t{POLLNVAL}, of(-1));
  EXPECT_EQ(std::uint32_t{POLLNVAL}, of(63));
}

TEST_F(Readiness, OfASocketThatWasNeverConnected) {
  EXPECT_EQ(kOut | EPOLLHUP, of(host.tcp()));
}

TEST_F(Readiness, OfAListener) {
  const int l = host.listener(80);
  EXPECT_EQ(0U, of(l));
  Peer p(host, kPeer, 40'000, kHost, 80);
  p.send({.flags = SYN, .options = {.mss = 1'460}});
  EXPECT_EQ(0U, of(l));
  (void)host.drain();
  Peer q(host, kPeer, 40'001, kHost, 80);
  q.open();
  EXPECT_EQ(kIn, of(l));
}

TEST_F(Readiness, OfAConnectUnderWayAndDone) {
  const int fd = host.tcp();
  EXPECT_EQ(-1, host.connect(fd, kPeer, 80));
  EXPECT_EQ(EINPROGRESS, errno);
  EXPECT_EQ(0U, of(fd));
  Peer p(host, kPeer, 80, kHost, host.local(fd).port);
  p.answer();
  EXPECT_EQ(kOut, of(fd));
}

TEST_F(Readiness, OfAConnectThatFailed) {
  const int fd = host.tcp();
  (void)host.connect(fd, kPeer, 80);
  Peer p(host, kPeer, 80, kHost, host.local(fd).port);
  p.learn(p.expect());
  p.send({.seq = 0, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(kIn | kOut | EPOLLERR | EPOLLHUP | EPOLLRDHUP, of(fd));
  EXPECT_EQ(ECONNREFUSED, host.error_of(fd));
  EXPECT_EQ(kIn | kOut | EPOLLHUP | EPOLLRDHUP, of(fd));
}

TEST_F(Readiness, OfAConnectionWithText) {
  Open o = open();
  EXPECT_EQ(kOut, of(o.fd));
  o.peer.send({.seq = 1, .ack = 1, .flags = ACK | PSH, .text = "abc"});
  EXPECT_EQ(kIn | kOut, of(o.fd));
  EXPECT_EQ("abc", host.read(o.fd));
  EXPECT_EQ(kOut, of(o.fd));
}

TEST_F(Readiness, AfterThePeersEndAndThenOurs) {
  Open o = open();
  o.peer.send({.seq = 1, .ack = 1, .flags = FIN | ACK});
  EXPECT_EQ(kIn | kOut | EPOLLRDHUP, of(o.fd));
  EXPECT_EQ("", host.read(o.fd));
  EXPECT_EQ(kIn | kOut | EPOLLRDHUP, of(o.fd));
  EXPECT_EQ(0, weir_shutdown(host, o.fd, SHUT_WR));
  EXPECT_EQ(kIn | kOut | EPOLLRDHUP | EPOLLHUP, of(o.fd));
}

TEST_F(Readiness, AfterOurEndAndThenThePeers) {
  Open o = open();
  EXPECT_EQ(0, weir_shutdown(host, o.fd, SHUT_WR));
  EXPECT_EQ(kOut, of(o.fd));
  o.peer.send({.seq = 1, .ack = 2, .flags = ACK});
  EXPECT_EQ(kOut, of(o.fd));
  o.peer.send({.seq = 1, .ack = 2, .flags = FIN | ACK});
  EXPECT_EQ(kIn | kOut | EPOLLRDHUP | EPOLLHUP, of(o.fd));
}

TEST_F(Readiness, AfterAReset) {
  Open o = open();
  o.peer.send({.seq = 1, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(kIn | kOut | EPOLLERR | EPOLLHUP | EPOLLRDHUP, of(o.fd));
  EXPECT_EQ(ECONNRESET, host.error_of(o.fd));
  EXPECT_EQ(kIn | kOut | EPOLLHUP | EPOLLRDHUP, of(o.fd));
}

TEST_F(Readiness, AfterOurReadingEnded) {
  Open o = open();
  EXPECT_EQ(0, weir_shutdown(host, o.fd, SHUT_RD));
  EXPECT_EQ(kIn | kOut | EPOLLRDHUP, of(o.fd));
}

// Room is told from a third of the send buffer on.
TEST_F(Readiness, RoomIsAThirdOfTheSendBuffer) {
  Open o = open();
  const std::string block(4'096, 'x');
  std::size_t wrote = 0;
  for (ssize_t n = 0; (n = host.write(o.fd, block)) > 0;) wrote += static_cast<std::size_t>(n);
  EXPECT_EQ(EAGAIN, errno);
  EXPECT_EQ(0U, of(o.fd));
  bool told = false;
  weir_stack_on_ready(
      host,
      [](void* context, int, std::uint32_t events) {
        *static_cast<bool*>(context) |= (events & EPOLLOUT) != 0;
      },
      &told);
  std::uint32_t acked = 0;
  for (unsigned i = 0; i < 2'000 && of(o.fd) == 0; ++i) {
    for (const Sent& s : host.drain()) acked += static_cast<std::uint32_t>(s.text.size());
    EXPECT_FALSE(told);
    o.peer.send({.seq = 1, .ack = 1 + acked});
    host.pass(1 * kMs);
  }
  EXPECT_EQ(kOut, of(o.fd));
  EXPECT_TRUE(told);
  EXPECT_GE(acked, wrote / 3 - 4'096);
  EXPECT_LE(acked, wrote / 2);
  weir_stack_on_ready(host, nullptr, nullptr);
}

// A buffer that is two thirds full, not quite full: what it waits for is an ACK, however late.
TEST_F(Readiness, RoomIsToldOfWhenAnAckComesLate) {
  Open o = open();
  EXPECT_EQ(200'000, host.write(o.fd, std::string(200'000, 'x')));
  EXPECT_EQ(0U, of(o.fd));
  host.pass(50 * kMs);
  std::uint32_t told = 0;
  weir_stack_on_ready(
      host,
      [](void* context, int, std::uint32_t events) {
        *static_cast<std::uint32_t*>(context) |= events;
      },
      &told);
  std::uint32_t acked = 0;
  for (unsigned i = 0; i < 2'000 && of(o.fd) == 0; ++i) {
    for (const Sent& s : host.drain()) acked += static_cast<std::uint32_t>(s.text.size());
    o.peer.send({.seq = 1, .ack = 1 + acked});
  }
  EXPECT_EQ(kOut, of(o.fd));
  EXPECT_EQ(kOut, told);
  weir_stack_on_ready(host, nullptr, nullptr);
}

TEST_F(Readiness, UrgentText) {
  Open o = open();
  o.peer.send({.seq = 1, .ack = 1, .flags = ACK | PSH | URG, .text = "ab", .urgent = 2});
  EXPECT_EQ(kIn | kOut | EPOLLPRI, of(o.fd));
  EXPECT_EQ("ab", host.read(o.fd));
  EXPECT_EQ(kOut, of(o.fd));
}

TEST_F(Readiness, PollTellsOfEachWhatItAskedFor) {
  Open o = open();
  const int fresh = host.tcp();
  o.peer.send({.seq = 1, .ack = 1, .flags = ACK | PSH, .text = "abc"});
  pollfd p[] = {{o.fd, POLLIN, -1},         {o.fd, POLLPRI, -1}, {fresh, 0, -1},
                {-7, POLLIN | POLLOUT, -1}, {60, POLLIN, -1},    {o.fd, POLLOUT | POLLRDNORM, -1}};
  EXPECT_EQ(4, weir_poll(host, p, 6));
  EXPECT_EQ(POLLIN, p[0].revents);
  EXPECT_EQ(0, p[1].revents);
  EXPECT_EQ(POLLHUP, p[2].revents);
  EXPECT_EQ(0, p[3].revents);
  EXPECT_EQ(POLLNVAL, p[4].revents);
  EXPECT_EQ(POLLOUT | POLLRDNORM, p[5].revents);
  EXPECT_EQ(0, weir_poll(host, nullptr, 0));
  EXPECT_EQ(-1, weir_poll(host, nullptr, 1));
  EXPECT_EQ(EFAULT, errno);
}

TEST_F(Readiness, SelectLeavesWhatIsReady) {
  Open o = open();
  const int idle = host.listener(81);
  o.peer.send({.seq = 1, .ack = 1, .flags = ACK | PSH, .text = "abc"});
  fd_set read = set_of({o.fd, idle});
  fd_set write = set_of({o.fd});
  fd_set except = write;
  EXPECT_EQ(2, weir_select(host, 64, &read, &write, &except));
  EXPECT_TRUE(FD_ISSET(o.fd, &read) && FD_ISSET(o.fd, &write));
  EXPECT_FALSE(FD_ISSET(idle, &read) || FD_ISSET(o.fd, &except));
  EXPECT_EQ(0, weir_select(host, o.fd, nullptr, &write, nullptr));  // below o.fd there is nothing
  FD_SET(60, &read);
  EXPECT_EQ(-1, weir_select(host, 64, &read, nullptr, nullptr));
  EXPECT_EQ(EBADF, errno);
  EXPECT_TRUE(FD_ISSET(60, &read)) << "an error changes nothing";
  EXPECT_EQ(-1, weir_select(host, -1, nullptr, nullptr, nullptr));
  EXPECT_EQ(EINVAL, errno);
}

// POLLHUP counts as something to read, not as room (fs/select.c).
TEST_F(Readiness, SelectTakesAHangUpForText) {
  const int fresh = host.tcp();
  fd_set read = set_of({fresh});
  fd_set write = read;
  EXPECT_EQ(2, weir_select(host, fresh + 1, &read, &write, nullptr));
}

}  // namespace
}  // namespace weir::posix::test
