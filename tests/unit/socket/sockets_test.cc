// The snapshot of all sockets: what an `ss` shows (weir_stack_sockets).
#include <map>

#include "harness.h"

namespace weir::posix::test {
namespace {

struct Sockets : testing::Test {
  Host host;

  std::vector<weir_socket_info> all(std::size_t page = 3) {
    std::vector<weir_socket_info> out(page), found;
    std::uint64_t cursor = 0;
    for (int i = 0; i < 200; ++i) {
      const std::size_t n = weir_stack_sockets(host, &cursor, out.data(), page);
      if (n == 0) return found;
      found.insert(found.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n));
    }
    ADD_FAILURE() << "it never ends";
    return found;
  }
  // By descriptor; -1 (once at most in these tests) for what has none.
  std::map<int, weir_socket_info> by_fd(std::size_t page = 3) {
    std::map<int, weir_socket_info> m;
    for (const weir_socket_info& i : all(page)) {
      EXPECT_TRUE(m.emplace(i.fd, i).second) << i.fd << " twice";
    }
    return m;
  }
  static Endpoint endpoint(const sockaddr_storage& s) {
    Name n;
    n.storage = s;
    return n.endpoint();
  }
};

TEST_F(Sockets, OfNone) {
  EXPECT_TRUE(all().empty());
  std::uint64_t cursor = 0;
  weir_socket_info one;
  EXPECT_EQ(0U, weir_stack_sockets(host, &cursor, &one, 0));
  cursor = ~std::uint64_t{0};
  EXPECT_EQ(0U, weir_stack_sockets(host, &cursor, &one, 1));
}

TEST_F(Sockets, EachKindWithItsQueues) {
  const int l = host.listener(80, 5);
  const int fresh = host.tcp(AF_INET6);
  const int udp = weir_socket(host, AF_INET, SOCK_DGRAM, 0);
  EXPECT_EQ(0, host.bind(udp, kHost, 53));
  EXPECT_GE(weir_epoll_create1(host, 0), 0);  // no socket
  EXPECT_EQ(0, weir_set_user(host, l, 77));
  Peer p(host, kPeer, 4'000, kHost, 80);
  p.open();
  Peer q(host, kPeer, 4'001, kHost, 80);
  q.open();
  const int fd = host.accept(l);
  p.send({.seq = 1, .ack = 1, .flags = ACK | PSH, .text = "abc"});
  EXPECT_EQ(5, host.write(fd, "hello"));

  const auto m = by_fd();
  ASSERT_EQ(5U, m.size());  // the one that waits for accept has no descriptor
  EXPECT_EQ(TCP_LISTEN, m.at(l).state);
  EXPECT_EQ(1U, m.at(l).receive_queue);
  EXPECT_EQ(5U, m.at(l).send_queue);
  EXPECT_EQ(77U, m.at(l).user);
  EXPECT_EQ(TCP_CLOSE, m.at(fresh).state);
  EXPECT_EQ(AF_INET6, m.at(fresh).family);
  EXPECT_EQ(SOCK_DGRAM, m.at(udp).type);
  EXPECT_EQ((Endpoint{kHost, 53}), endpoint(m.at(udp).local));
  EXPECT_EQ(TCP_ESTABLISHED, m.at(fd).state);
  EXPECT_EQ(SOCK_STREAM, m.at(fd).type);
  EXPECT_EQ((Endpoint{kHost, 80}), endpoint(m.at(fd).local));
  EXPECT_EQ((Endpoint{kPeer, 4'000}), endpoint(m.at(fd).peer));
  EXPECT_EQ(3U, m.at(fd).receive_queue);
  EXPECT_EQ(5U, m.at(fd).send_queue);
  EXPECT_EQ(0U, m.at(fd).not_sent);
  EXPECT_EQ(WEIR_TIMER_ON, m.at(fd).timer);
  EXPECT_GT(m.at(fd).timer_us, 0U);
  EXPECT_EQ((Endpoint{kPeer, 4'001}), endpoint(m.at(-1).peer));
  for (const std::size_t page : {1U, 2U, 50U}) EXPECT_EQ(5U, by_fd(page).size());
}

TEST_F(Sockets, WhatItsProgramHasClosedIsStillShown) {
  const int l = host.listener(80);
  Peer p(host, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = host.accept(l);
  EXPECT_EQ(0, weir_close(host, fd));
  EXPECT_EQ(0, weir_close(host, l));
  auto m = by_fd();
  ASSERT_EQ(1U, m.size());
  EXPECT_EQ(TCP_FIN_WAIT1, m.at(-1).state);
  p.send({.seq = 1, .ack = 2, .flags = FIN | ACK});
  m = by_fd();
  ASSERT_EQ(1U, m.size());
  EXPECT_EQ(TCP_TIME_WAIT, m.at(-1).state);
  EXPECT_EQ(WEIR_TIMER_TIMEWAIT, m.at(-1).timer);
  EXPECT_EQ(60 * kS, m.at(-1).timer_us);
  host.pass(61 * kS);
  EXPECT_TRUE(all().empty());
}

TEST_F(Sockets, AHalfOpenOneAndOneUnderWay) {
  (void)host.listener(80);
  Peer p(host, kPeer, 4'000, kHost, 80);
  p.send({.flags = SYN, .options = {.mss = 1'460}});
  const int fd = host.tcp();
  (void)host.connect(fd, kPeer, 9);
  host.pass(1 * kS);
  const auto m = by_fd();
  EXPECT_EQ(TCP_SYN_SENT, m.at(fd).state);
  EXPECT_EQ(1U, m.at(fd).retransmits);
  EXPECT_EQ(WEIR_TIMER_ON, m.at(fd).timer);
  EXPECT_EQ(TCP_SYN_RECV, m.at(-1).state);
  EXPECT_EQ((Endpoint{kPeer, 4'000}), endpoint(m.at(-1).peer));
}

}  // namespace
}  // namespace weir::posix::test
