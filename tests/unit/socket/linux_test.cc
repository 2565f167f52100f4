// Where a review against Linux's source found calls of weir.h to answer otherwise.
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

class Linux : public testing::Test {
 protected:
  Linux() : p(h, kPeer, 4'000, kHost, 80) {
    l = h.listener(80);
    p.open();
    fd = h.accept(l);
    ep = weir_epoll_create1(h, 0);
  }
  void watch(std::uint32_t events) {
    epoll_event e{};
    e.events = events;
    EXPECT_EQ(0, weir_epoll_ctl(h, ep, EPOLL_CTL_ADD, fd, &e));
  }
  int woken() {
    epoll_event e{};
    return weir_epoll_wait(h, ep, &e, 1);
  }
  int queued(unsigned long request) {
    int n = -1;
    EXPECT_EQ(0, weir_ioctl(h, fd, request, &n));
    return n;
  }
  int send_more(std::size_t n) {
    return static_cast<int>(weir_send(h, fd, std::string(n, 'x').data(), n, MSG_MORE));
  }
  void close_hard() {
    const struct linger hard { 1, 0 };
    EXPECT_EQ(0, weir_setsockopt(h, fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
    EXPECT_EQ(0, weir_close(h, fd));
  }

  Host h;
  Peer p;
  int l = -1, fd = -1, ep = -1;
};

// sk_acceptq_is_full asks for more than the backlog.
TEST_F(Linux, OneMoreThanTheBacklogWaits) {
  const int one = h.listener(81, 1);
  for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{2}})
    Peer(h, kPeer, port, kHost, 81).open();
  Peer third(h, kPeer, 3, kHost, 81);
  third.send({.seq = 0, .flags = SYN});
  third.expect_none();
  tcp_info info{};
  socklen_t n = sizeof info;
  EXPECT_EQ(0, weir_getsockopt(h, one, IPPROTO_TCP, TCP_INFO, &info, &n));
  EXPECT_EQ(1U, info.tcpi_sacked);
  EXPECT_EQ(2U, info.tcpi_unacked);
  EXPECT_EQ(0, weir_listen(h, one, 0));
  EXPECT_GE(h.accept(one), 0);
  EXPECT_GE(h.accept(one), 0);
  Peer(h, kPeer, 4, kHost, 81).open();
  EXPECT_GE(h.accept(one), 0);
}

// -- Who is told -------------------------------------------------------------------------------

TEST_F(Linux, RoomThatALowerSendBufferTookIsWaitedFor) {
  watch(EPOLLOUT);
  EXPECT_EQ(9'000, h.write(fd, std::string(9'000, 'x')));
  EXPECT_EQ(1, woken());
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_SNDBUF, 5'000));
  EXPECT_EQ(0, woken());
  p.send({.seq = 1, .ack = 9'001});
  EXPECT_EQ(1, woken());
}

TEST_F(Linux, RoomThatALowWaterMarkTookIsWaitedFor) {
  watch(EPOLLOUT);
  EXPECT_EQ(20'000, h.write(fd, std::string(20'000, 'x')));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 2'000));
  EXPECT_EQ(0, woken());
  p.send({.seq = 1, .ack = 14'601});
  EXPECT_EQ(1, woken());
}

TEST_F(Linux, RoomThatAnOptionMakesIsToldOfAtOnce) {
  watch(EPOLLOUT | EPOLLET);
  EXPECT_EQ(1, woken());
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_SNDBUF, 5'000));
  EXPECT_EQ(5'000, h.write(fd, std::string(9'000, 'x')));
  EXPECT_EQ(0, woken());
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_SNDBUF, 50'000));
  EXPECT_EQ(1, woken());
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1));
  EXPECT_EQ(15'000, h.write(fd, std::string(1, 'x')) + 14'999);
  while (h.write(fd, std::string(20'000, 'x')) > 0) {
  }
  EXPECT_EQ(0, woken());
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0));
  EXPECT_EQ(1, woken());
}

TEST_F(Linux, ALowerMarkOfReadingIsToldOf) {
  watch(EPOLLIN);
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_RCVLOWAT, 10));
  p.send({.seq = 1, .ack = 1, .text = "abc"});
  EXPECT_EQ(0, woken());
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_RCVLOWAT, 3));
  EXPECT_EQ(1, woken());
}

TEST_F(Linux, WhoDisconnectsIsToldOfIt) {
  watch(EPOLLIN);
  EXPECT_EQ(0, woken());
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  EXPECT_EQ(0, weir_connect(h, fd, &none, sizeof none));
  EXPECT_EQ(1, woken());
}

// -- Keepalives --------------------------------------------------------------------------------

TEST_F(Linux, KeepalivesCountFromWhenTheyAreTurnedOn) {
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10));
  h.pass(60 * kS);
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  h.pass(10 * kS - 1);
  p.expect_none();
  h.pass(1);
  EXPECT_EQ(ACK, p.expect().flags());
}

TEST_F(Linux, AnotherIdleTimeCountsFromTheLastSegment) {
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10));
  h.pass(4 * kS);
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  h.pass(1 * kS);
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 7));
  h.pass(2 * kS - 1);
  p.expect_none();
  h.pass(1);
  EXPECT_EQ(ACK, p.expect().flags());
}

TEST_F(Linux, WhatOnlyCountsProbesSendsNone) {
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10));
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  h.pass(10 * kS);
  EXPECT_EQ(ACK, p.expect().flags());
  h.pass(1 * kS);
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_KEEPCNT, 2));
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
  p.expect_none();
  h.pass(74 * kS - 1);  // the interval that began with the first probe
  p.expect_none();
  h.pass(1);
  EXPECT_EQ(ACK, p.expect().flags());
  h.pass(3 * kS);
  EXPECT_EQ(ETIMEDOUT, h.error_of(fd));
}

// -- Ends --------------------------------------------------------------------------------------

TEST_F(Linux, TextWithAFinForNobodyIsReset) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_RDWR));
  EXPECT_EQ(FIN | ACK, p.expect().flags());
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK, .text = "late"});
  EXPECT_EQ(RST | ACK, p.expect().flags());
  EXPECT_EQ(ECONNRESET, h.error_of(fd));
}

TEST_F(Linux, SoItIsOnceOurFinIsAcknowledged) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_RDWR));
  (void)p.expect();
  p.send({.seq = 1, .ack = 2});
  p.send({.seq = 1, .ack = 2, .flags = FIN | ACK, .text = "late"});
  EXPECT_EQ(RST | ACK, p.expect().flags());
  EXPECT_EQ(ECONNRESET, h.error_of(fd));
}

TEST_F(Linux, AHardCloseWhereAllIsSaidResetsNothing) {
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK});
  (void)p.expect();
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  EXPECT_EQ(FIN | ACK, p.expect().flags());  // LAST-ACK
  close_hard();
  p.expect_none();
  Peer q(h, kPeer, 4'001, kHost, 80);
  q.open();
  fd = h.accept(l);
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  (void)q.expect();
  q.send({.seq = 1, .ack = 1, .flags = FIN | ACK});  // CLOSING
  (void)q.expect();
  close_hard();
  q.expect_none();
}

TEST_F(Linux, ButTextThatIsUnreadOrUnsentIsReset) {
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK, .text = "unread"});
  (void)p.expect();
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  (void)p.expect();
  close_hard();
  EXPECT_EQ(RST | ACK, p.expect().flags());
  Peer q(h, kPeer, 4'001, kHost, 80);
  q.open();
  fd = h.accept(l);
  EXPECT_EQ(50'000, h.write(fd, std::string(50'000, 'x')));
  q.send({.seq = 1, .ack = 1, .flags = FIN | ACK});
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  (void)h.drain();
  close_hard();
  EXPECT_EQ(RST | ACK, q.expect().flags());
}

TEST_F(Linux, NorWhatIsUnreadInTimeWait) {
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  (void)p.expect();
  p.send({.seq = 1, .ack = 2, .flags = FIN | ACK, .text = "unread"});
  EXPECT_EQ(ACK, p.expect().flags());
  close_hard();
  p.expect_none();
}

TEST_F(Linux, ASoftErrorThatHasHealedIsNotTold) {
  EXPECT_EQ(1, h.write(fd, "x"));
  (void)p.expect();
  p.icmp(3, 1);
  p.send({.seq = 1, .ack = 2});
  EXPECT_EQ(0, h.error_of(fd));
  EXPECT_EQ(1, h.write(fd, "y"));
  (void)p.expect();
  p.icmp(3, 1);
  EXPECT_EQ(EHOSTUNREACH, h.error_of(fd));
  EXPECT_EQ(0, h.error_of(fd));
}

TEST_F(Linux, AReadOfNothingIsNothingAtOnce) {
  const iovec none[] = {{nullptr, 0}, {nullptr, 0}};
  EXPECT_EQ(0, weir_read(h, fd, nullptr, 0));
  EXPECT_EQ(0, weir_read(h, l, nullptr, 0));
  p.send({.seq = 1, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(0, weir_read(h, fd, nullptr, 0));
  EXPECT_EQ(0, weir_readv(h, fd, none, 2));
  EXPECT_EQ(0, weir_readv(h, fd, nullptr, 0));
  EXPECT_EQ(ECONNRESET, h.error_of(fd));
  EXPECT_EQ(EBADF, ERRNO_OF(weir_read(h, 60, nullptr, 0)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_read(h, ep, nullptr, 0)));
}

TEST_F(Linux, AFinCountsAmongWhatIsQueued) {
  EXPECT_EQ(2, h.write(fd, "ab"));
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  EXPECT_EQ(3, queued(SIOCOUTQ));
  EXPECT_EQ(0, queued(SIOCOUTQNSD));
  p.send({.seq = 1, .ack = 3});
  EXPECT_EQ(1, queued(SIOCOUTQ));
  p.send({.seq = 1, .ack = 4});
  EXPECT_EQ(0, queued(SIOCOUTQ));
}

// -- Ports -------------------------------------------------------------------------------------

TEST(LinuxPorts, ConnectTakesNoneThatIsListenedOn) {
  Host h({.settings = {{"ip_local_port_range", "40000 40001"}}});
  (void)h.listener(40'000);
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_EQ(40'001, h.local(fd).port);
  EXPECT_EQ(0, weir_close(h, fd));
  (void)h.listener(40'001);
  EXPECT_EQ(EADDRNOTAVAIL, ERRNO_OF(h.connect(h.tcp(), kPeer, 80)));
}

TEST(LinuxPorts, BindMayLeaveThePortToConnect) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(0, h.set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
  EXPECT_EQ(0, h.bind(fd, kHost, 0));
  EXPECT_EQ((Endpoint{kHost, 0}), h.local(fd));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_NE(0, h.local(fd).port);
  const int l = h.tcp();
  EXPECT_EQ(0, h.set(l, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
  EXPECT_EQ(0, h.bind(l, kHost, 0));
  EXPECT_EQ(0, weir_listen(h, l, 1));
  EXPECT_NE(0, h.local(l).port);
}

// -- Options -----------------------------------------------------------------------------------

TEST_F(Linux, AnotherLevelIsAnotherError) {
  EXPECT_EQ(-EOPNOTSUPP, h.get(fd, 9'999, 1));
  EXPECT_EQ(-EOPNOTSUPP, h.get(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  EXPECT_EQ(-ENOPROTOOPT, h.get(fd, IPPROTO_IP, 9'999));
  EXPECT_EQ(-ENOPROTOOPT, h.get(h.tcp(AF_INET6), 9'999, 1));
}

TEST_F(Linux, ADeferredAcceptIsToldInWholeSynAcks) {
  for (const auto& [asked, told] :
       {std::pair{0, 0}, {1, 1}, {2, 3}, {3, 3}, {4, 7}, {7, 7}, {8, 15}}) {
    EXPECT_EQ(0, h.set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, asked));
    EXPECT_EQ(told, h.get(l, IPPROTO_TCP, TCP_DEFER_ACCEPT));
  }
}

TEST_F(Linux, OneOctetWillDoForEveryOptionOfIp) {
  const unsigned char two = 2;
  for (const int name : {IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTOS}) {
    EXPECT_EQ(0, weir_setsockopt(h, fd, IPPROTO_IP, name, &two, 1)) << name;
    EXPECT_EQ(name == IP_MTU_DISCOVER ? 2 : 1, h.get(fd, IPPROTO_IP, name));
  }
}

TEST_F(Linux, APacingRateIsKeptAndHeldTo) {
  EXPECT_EQ(-1, h.get(fd, SOL_SOCKET, SO_MAX_PACING_RATE));  // ~0: none
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_MAX_PACING_RATE, 10'000));
  unsigned long rate = 0;
  socklen_t n = sizeof rate;
  EXPECT_EQ(0, weir_getsockopt(h, fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, &n));
  EXPECT_EQ(10'000U, rate);
  EXPECT_EQ(8U, n);
  EXPECT_EQ(10'000, h.write(fd, std::string(10'000, 'x')));
  const std::size_t at_once = h.drain().size();
  EXPECT_LT(at_once, 6U);
  h.pass(300 * kMs);
  EXPECT_FALSE(h.drain().empty());
  rate = ~0UL;
  EXPECT_EQ(0, weir_setsockopt(h, fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate));
  EXPECT_EQ(-1, h.get(fd, SOL_SOCKET, SO_MAX_PACING_RATE));
}

TEST_F(Linux, ACookieIsOneSocketsAlone) {
  const auto cookie = [this](int socket) {
    std::uint64_t c = 0;
    socklen_t n = sizeof c;
    EXPECT_EQ(0, weir_getsockopt(h, socket, SOL_SOCKET, SO_COOKIE, &c, &n));
    return c;
  };
  EXPECT_NE(0U, cookie(fd));
  EXPECT_EQ(cookie(fd), cookie(fd));
  EXPECT_NE(cookie(fd), cookie(l));
  EXPECT_NE(cookie(fd), cookie(weir_socket(h, AF_INET, SOCK_DGRAM, 0)));
  EXPECT_EQ(-EINVAL, h.get(fd, SOL_SOCKET, SO_COOKIE));
}

TEST_F(Linux, TheMarkIsAtTheLastUrgentOctet) {
  EXPECT_EQ(0, queued(SIOCATMARK));
  p.send({.seq = 1, .ack = 1, .flags = ACK | URG, .text = "xyz", .urgent = 3});
  EXPECT_EQ(0, queued(SIOCATMARK));
  EXPECT_EQ("xy", h.read(fd, 2));
  EXPECT_EQ(1, queued(SIOCATMARK));
  EXPECT_EQ("z", h.read(fd, 2));
  EXPECT_EQ(0, queued(SIOCATMARK));
}

// TCP_QUICKACK leaves the mode of an exchange; it buys no more ACKs than the connection had.
TEST_F(Linux, QuickAcksAreNotBoughtButGapsBringThem) {
  std::uint32_t seq = 1;
  const auto acks = [&](int segments) {
    for (int i = 0; i < segments; ++i) p.send({.seq = seq++, .ack = 1, .text = "x"});
    return h.drain().size();
  };
  EXPECT_EQ(16U, acks(16));
  EXPECT_EQ(0U, acks(1));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_QUICKACK, 1));
  EXPECT_EQ(1U, h.drain().size());  // the one that waited
  EXPECT_EQ(0U, acks(1));
  h.pass(40 * kMs);
  EXPECT_EQ(1U, h.drain().size());
  h.pass(5 * kS);
  EXPECT_EQ(16U, acks(16));
  EXPECT_EQ(0U, acks(1));
}

TEST_F(Linux, QuickAcksThatWereLeftComeBack) {
  p.send({.seq = 1, .ack = 1, .text = "x"});
  EXPECT_EQ(1U, h.drain().size());
  EXPECT_EQ(1, h.write(fd, "y"));  // an exchange
  (void)h.drain();
  p.send({.seq = 2, .ack = 2, .text = "x"});
  EXPECT_EQ(0U, h.drain().size());
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_QUICKACK, 1));
  EXPECT_EQ(1U, h.drain().size());
  p.send({.seq = 3, .ack = 2, .text = "x"});
  EXPECT_EQ(1U, h.drain().size());
}

// -- Names: IP_FREEBIND, IP_LOCAL_PORT_RANGE, tw_reuse_delay ------------------------------------

constexpr int kLocalPortRange = 51;

TEST_F(Linux, ANameThatIsNotOursMayBeBoundWhereThatIsAskedFor) {
  const int one = h.tcp();
  EXPECT_EQ(-1, h.bind(one, kPeer, 90));
  EXPECT_EQ(EADDRNOTAVAIL, errno);
  EXPECT_EQ(0, h.set(one, IPPROTO_IP, IP_FREEBIND, 1));
  EXPECT_EQ(0, h.bind(one, kPeer, 90));
}

TEST_F(Linux, ThePortIsOfTheSocketsOwnRange) {
  const int range = 40'001 << 16 | 40'000;
  for (int i = 0; i < 3; ++i) {
    const int one = h.tcp();
    EXPECT_EQ(0, h.set(one, IPPROTO_IP, kLocalPortRange, range));
    EXPECT_EQ(-1, h.connect(one, kPeer, 80));
    EXPECT_EQ(i < 2 ? EINPROGRESS : EADDRNOTAVAIL, errno);
    EXPECT_EQ(i < 2 ? 40'000 : 0, h.local(one).port & ~1);
  }
  const int bound = h.tcp();
  EXPECT_EQ(0, h.set(bound, IPPROTO_IP, kLocalPortRange, 40'002 << 16 | 40'002));
  EXPECT_EQ(0, h.bind(bound, kHost, 0));
  EXPECT_EQ(40'002, h.local(bound).port);
  EXPECT_EQ(-1, h.set(bound, IPPROTO_IP, kLocalPortRange, 40'000 << 16 | 40'001));
  EXPECT_EQ(EINVAL, errno);
}

// -- MSG_MORE and the cork, as the kernel's own scripts have them ------------------------------

class Corked : public Linux {
 protected:
  Corked() : q(h, kPeer, 5'000, kHost, 80) {
    EXPECT_EQ(0, h.set(l, IPPROTO_TCP, TCP_NODELAY, 1));
    q.send({.seq = 0, .flags = SYN, .options = {.mss = 1'000}});
    (void)q.expect();
    h.pass(10 * kMs);
    q.send({.seq = 1, .ack = 1});
    fd = h.accept(l);
    // A round trip of 10 ms.
    EXPECT_EQ(1, h.write(fd, "x"));
    (void)q.expect();
    h.pass(10 * kMs);
    acked(2);
  }
  void acked(std::uint32_t ack) { q.send({.seq = 1, .ack = ack}); }
  void expect(std::uint32_t seq, std::size_t len, bool push) {
    const Sent s = q.expect();
    EXPECT_EQ(seq, distance(q.iss(), s.frame.tcp.seq));
    EXPECT_EQ(len, s.text.size());
    EXPECT_EQ(push ? PSH : 0, s.flags() & PSH) << seq;
  }
  Peer q;
};

TEST_F(Corked, TheTimeIsATimeOutsAndPushes) {
  EXPECT_EQ(40, send_more(40));
  h.pass(205 * kMs);
  q.expect_none();
  h.pass(10 * kMs);
  expect(2, 40, true);
}

TEST_F(Corked, TheNextWriteReleasesWhatMoreHeld) {
  EXPECT_EQ(100, send_more(100));
  h.pass(15 * kMs);
  EXPECT_EQ(495, send_more(495));
  q.expect_none();
  EXPECT_EQ(5, h.write(fd, "final"));
  expect(2, 600, true);
}

TEST_F(Corked, TheNextAckReleasesWhatMoreHeldWithoutAPush) {
  EXPECT_EQ(3'100, send_more(3'100));
  expect(2, 1'000, false);
  expect(1'002, 1'000, true);  // two of a millisecond (push.cc)
  expect(2'002, 1'000, false);
  q.expect_none();
  EXPECT_EQ(50, send_more(50));
  q.expect_none();
  h.pass(10 * kMs);
  acked(2'002);
  expect(3'002, 150, false);
  EXPECT_EQ(1, send_more(1));
  EXPECT_EQ(2, send_more(2));
  q.expect_none();
  acked(3'152);
  expect(3'152, 3, false);
  acked(3'155);
  EXPECT_EQ(3, h.write(fd, "end"));
  expect(3'155, 3, true);
}

TEST_F(Corked, NodelayReleasesWhatMoreHeldWithoutAPush) {
  EXPECT_EQ(40, send_more(40));
  EXPECT_EQ(40, send_more(40));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
  expect(2, 80, false);
}

TEST_F(Corked, ACorkHoldsWhateverIsAcknowledgedAndPushesAtItsEnd) {
  EXPECT_EQ(1, h.write(fd, "x"));
  expect(2, 1, true);
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 1));
  EXPECT_EQ(40, h.write(fd, std::string(40, 'x')));
  EXPECT_EQ(40, send_more(40));
  h.pass(10 * kMs);
  acked(3);
  h.pass(200 * kMs);  // and then its time begins
  q.expect_none();
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 0));
  expect(3, 80, false);
  acked(83);
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 1));
  EXPECT_EQ(40, h.write(fd, std::string(40, 'x')));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 0));
  expect(83, 40, true);
}

// A write that finds room for a part only has nothing to wait for.
TEST_F(Corked, WhatIsTakenInPartGoes) {
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_SNDBUF, 4'500));
  EXPECT_EQ(4'500, send_more(9'000));
  std::size_t octets = 0;
  for (const Sent& s : h.drain()) octets += s.text.size();
  EXPECT_EQ(4'500U, octets);
}

}  // namespace
}  // namespace weir::posix::test
