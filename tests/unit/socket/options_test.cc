// setsockopt and getsockopt: lengths, ranges, units and inheritance are Linux's.

#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

struct Range {
  int level, name, least, most, error;
};

class OptionRange : public testing::TestWithParam<Range> {};

TEST_P(OptionRange, LimitsAreKeptAndRead) {
  const Range& r = GetParam();
  Host h;
  const int fd = h.tcp(r.level == IPPROTO_IPV6 ? AF_INET6 : AF_INET);
  for (const int v : {r.least, r.most}) {
    EXPECT_EQ(0, h.set(fd, r.level, r.name, v)) << v;
    EXPECT_EQ(v, h.get(fd, r.level, r.name));
  }
  EXPECT_EQ(r.error, ERRNO_OF(h.set(fd, r.level, r.name, r.least - 1)));
  if (r.most != 0x7fff'ffff) {
    EXPECT_EQ(r.error, ERRNO_OF(h.set(fd, r.level, r.name, r.most + 1)));
  }
  EXPECT_EQ(r.most, h.get(fd, r.level, r.name));
  const char three[3] = {};
  if (r.level != IPPROTO_IP) {
    EXPECT_EQ(EINVAL, ERRNO_OF(weir_setsockopt(h, fd, r.level, r.name, three, 3)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, OptionRange,
                         testing::Values(Range{IPPROTO_TCP, TCP_KEEPIDLE, 1, 32'767, EINVAL},
                                         Range{IPPROTO_TCP, TCP_KEEPINTVL, 1, 32'767, EINVAL},
                                         Range{IPPROTO_TCP, TCP_KEEPCNT, 1, 127, EINVAL},
                                         Range{IPPROTO_TCP, TCP_SYNCNT, 1, 127, EINVAL},
                                         Range{IPPROTO_TCP, TCP_MAXSEG, 88, 32'767, EINVAL},
                                         Range{IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 0x7fff'ffff,
                                               EINVAL},
                                         Range{IPPROTO_TCP, TCP_INQ, 0, 1, EINVAL},
                                         Range{SOL_SOCKET, SO_PRIORITY, 0, 6, EPERM},
                                         Range{IPPROTO_IP, IP_TTL, 1, 255, EINVAL}));

TEST(Option, MinusOneIsTheDefaultOfHops) {
  Host h;
  const int fd = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255));
  EXPECT_EQ(255, h.get(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256)));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -2)));
  EXPECT_EQ(0, h.set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1));
  EXPECT_EQ(64, h.get(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS));
}

TEST(Option, AnyIntIsABoolean) {
  Host h;
  const int fd = h.tcp();
  const std::pair<int, int> all[] = {
      {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT},  {SOL_SOCKET, SO_KEEPALIVE},
      {SOL_SOCKET, SO_BROADCAST}, {SOL_SOCKET, SO_OOBINLINE},  {IPPROTO_TCP, TCP_NODELAY},
      {IPPROTO_TCP, TCP_CORK},    {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_IP, IP_RECVERR}};
  for (const auto& [level, name] : all) {
    EXPECT_EQ(0, h.set(fd, level, name, -7)) << name;
    EXPECT_EQ(1, h.get(fd, level, name)) << name;
    EXPECT_EQ(0, h.set(fd, level, name, 0)) << name;
    EXPECT_EQ(0, h.get(fd, level, name)) << name;
  }
}

TEST(Option, WhatIsUnknownOrOnlyTold) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(h.set(fd, SOL_SOCKET, 9'999, 1)));
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(h.set(fd, 9'999, 1, 1)));
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(h.set(fd, IPPROTO_TCP, 9'999, 1)));
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(h.set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)));
  EXPECT_EQ(-EOPNOTSUPP, h.get(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  EXPECT_EQ(-ENOPROTOOPT, h.get(fd, SOL_SOCKET, 9'999));
  for (const int name : {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN}) {
    EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(h.set(fd, SOL_SOCKET, name, 1)));
  }
  EXPECT_EQ(SOCK_STREAM, h.get(fd, SOL_SOCKET, SO_TYPE));
  EXPECT_EQ(AF_INET, h.get(fd, SOL_SOCKET, SO_DOMAIN));
  EXPECT_EQ(IPPROTO_TCP, h.get(fd, SOL_SOCKET, SO_PROTOCOL));
  EXPECT_EQ(0, h.get(fd, SOL_SOCKET, SO_ACCEPTCONN));
  EXPECT_EQ(0, h.get(fd, SOL_SOCKET, SO_INCOMING_CPU));
}

TEST(Option, PointersAndLengths) {
  Host h;
  const int fd = h.tcp();
  int v = 0;
  socklen_t n = sizeof v;
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_setsockopt(h, fd, SOL_SOCKET, SO_REUSEADDR, nullptr, 4)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockopt(h, fd, SOL_SOCKET, SO_TYPE, nullptr, &n)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockopt(h, fd, SOL_SOCKET, SO_TYPE, &v, nullptr)));
  n = static_cast<socklen_t>(-1);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_getsockopt(h, fd, SOL_SOCKET, SO_TYPE, &v, &n)));
  n = 1;
  v = 0x5555;
  EXPECT_EQ(0, weir_getsockopt(h, fd, SOL_SOCKET, SO_TYPE, &v, &n));  // cut
  EXPECT_EQ(1U, n);
  EXPECT_EQ(0x5500 | SOCK_STREAM, v);
  char wide[16];
  n = sizeof wide;
  EXPECT_EQ(0, weir_getsockopt(h, fd, SOL_SOCKET, SO_TYPE, wide, &n));
  EXPECT_EQ(sizeof(int), n);
}

TEST(Option, BuffersAreDoubledWithinLimits) {
  Host h;
  const int fd = h.tcp();
  const std::pair<int, int> least[] = {{SO_SNDBUF, 4'608}, {SO_RCVBUF, 2'304}};
  for (const auto& [name, minimum] : least) {
    EXPECT_EQ(0, h.set(fd, SOL_SOCKET, name, 10'000));
    EXPECT_EQ(20'000, h.get(fd, SOL_SOCKET, name));
    EXPECT_EQ(0, h.set(fd, SOL_SOCKET, name, 1));
    EXPECT_EQ(minimum, h.get(fd, SOL_SOCKET, name));
    EXPECT_EQ(0, h.set(fd, SOL_SOCKET, name, -1));  // as if it were the most
    EXPECT_EQ(8 << 20, h.get(fd, SOL_SOCKET, name));
  }
}

TEST(Option, LingerAndTimes) {
  Host h;
  const int fd = h.tcp();
  const struct linger on { 1, 7 };
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_setsockopt(h, fd, SOL_SOCKET, SO_LINGER, &on, 4)));
  EXPECT_EQ(0, weir_setsockopt(h, fd, SOL_SOCKET, SO_LINGER, &on, sizeof on));
  struct linger l {};
  socklen_t n = sizeof l;
  EXPECT_EQ(0, weir_getsockopt(h, fd, SOL_SOCKET, SO_LINGER, &l, &n));
  EXPECT_EQ(1, l.l_onoff);
  EXPECT_EQ(7, l.l_linger);
  timeval t{3, 1'000'000};
  EXPECT_EQ(EDOM, ERRNO_OF(weir_setsockopt(h, fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t)));
  t.tv_usec = 500'000;
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_setsockopt(h, fd, SOL_SOCKET, SO_RCVTIMEO, &t, 8)));
  EXPECT_EQ(0, weir_setsockopt(h, fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  timeval got{};
  n = sizeof got;
  EXPECT_EQ(0, weir_getsockopt(h, fd, SOL_SOCKET, SO_RCVTIMEO, &got, &n));
  EXPECT_EQ(3, got.tv_sec);
  EXPECT_EQ(500'000, got.tv_usec);
}

TEST(Option, Meminfo) {
  Host h;
  const int fd = h.tcp();
  std::uint32_t words[12] = {};
  socklen_t n = sizeof words;
  EXPECT_EQ(0, weir_getsockopt(h, fd, SOL_SOCKET, SO_MEMINFO, words, &n));
  EXPECT_EQ(36U, n);
  EXPECT_EQ(static_cast<std::uint32_t>(h.get(fd, SOL_SOCKET, SO_RCVBUF)), words[1]);
}

TEST(Option, CongestionByName) {
  Host h;
  const int fd = h.tcp();
  char name[16] = "";
  socklen_t n = sizeof name;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_CONGESTION, name, &n));
  EXPECT_STREQ("cubic", name);
  EXPECT_EQ(16U, n);
  EXPECT_EQ(0, weir_setsockopt(h, fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_CONGESTION, name, &n));
  EXPECT_STREQ("reno", name);
  EXPECT_EQ(ENOENT, ERRNO_OF(weir_setsockopt(h, fd, IPPROTO_TCP, TCP_CONGESTION, "bogus", 5)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_setsockopt(h, fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 0)));
  n = sizeof name;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_CC_INFO, name, &n));
  EXPECT_EQ(0U, n);
}

TEST(Option, DefaultsAreTheStacks) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(7'200, h.get(fd, IPPROTO_TCP, TCP_KEEPIDLE));
  EXPECT_EQ(75, h.get(fd, IPPROTO_TCP, TCP_KEEPINTVL));
  EXPECT_EQ(9, h.get(fd, IPPROTO_TCP, TCP_KEEPCNT));
  EXPECT_EQ(5, h.get(fd, IPPROTO_TCP, TCP_SYNCNT));
  EXPECT_EQ(60, h.get(fd, IPPROTO_TCP, TCP_LINGER2));
  EXPECT_EQ(64, h.get(fd, IPPROTO_IP, IP_TTL));
  EXPECT_EQ(536, h.get(fd, IPPROTO_TCP, TCP_MAXSEG));
  EXPECT_EQ(1, h.get(fd, IPPROTO_TCP, TCP_QUICKACK));
  EXPECT_EQ(-ENOTCONN, h.get(fd, IPPROTO_IP, IP_MTU));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_LINGER2, -5));
  EXPECT_EQ(-1, h.get(fd, IPPROTO_TCP, TCP_LINGER2));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_LINGER2, 500));
  EXPECT_EQ(120, h.get(fd, IPPROTO_TCP, TCP_LINGER2));
}

TEST(Option, AnOctetWillDoForIp) {
  Host h;
  const int fd = h.tcp();
  const unsigned char tos = 0x2b;  // with ECN bits, which are TCP's
  EXPECT_EQ(0, weir_setsockopt(h, fd, IPPROTO_IP, IP_TOS, &tos, 1));
  unsigned char got = 0;
  socklen_t n = 1;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_IP, IP_TOS, &got, &n));
  EXPECT_EQ(0x28, got);
  EXPECT_EQ(0x28, h.get(fd, IPPROTO_IP, IP_TOS));
  unsigned char two[2];
  n = 2;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_IP, IP_TOS, two, &n));
  EXPECT_EQ(1U, n);
}

TEST(Option, TosTtlAndMaxsegReachTheSyn) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(0, h.set(fd, IPPROTO_IP, IP_TOS, 0x28));
  EXPECT_EQ(0, h.set(fd, IPPROTO_IP, IP_TTL, 7));
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_MAXSEG, 1'000));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  const auto s = h.output();
  ASSERT_TRUE(s);
  EXPECT_EQ(0x28, s->frame.tos & 0xfc);
  EXPECT_EQ(7, s->frame.ttl);
  EXPECT_EQ(1'000, s->frame.tcp.options.mss);
  EXPECT_EQ(1'500, h.get(fd, IPPROTO_IP, IP_MTU));
  const int fd6 = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.set(fd6, IPPROTO_IPV6, IPV6_TCLASS, 0x50));
  EXPECT_EQ(0, h.set(fd6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd6, kPeer6, 80)));
  const auto s6 = h.output();
  ASSERT_TRUE(s6);
  EXPECT_EQ(0x50, s6->frame.tos & 0xfc);
  EXPECT_EQ(9, s6->frame.ttl);
}

TEST(Option, TheReceiveBufferBoundsTheWindow) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_RCVBUF, 5'000));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  const auto s = h.output();
  ASSERT_TRUE(s);
  EXPECT_LE(s->frame.tcp.wnd, 5'000);
  EXPECT_GT(s->frame.tcp.wnd, 2'000);
}

TEST(Option, AcceptedSocketsInherit) {
  Host h;
  const int l = h.listener(80);
  EXPECT_EQ(0, h.set(l, SOL_SOCKET, SO_KEEPALIVE, 1));
  EXPECT_EQ(0, h.set(l, IPPROTO_TCP, TCP_NODELAY, 1));
  EXPECT_EQ(0, h.set(l, IPPROTO_TCP, TCP_KEEPIDLE, 5));
  EXPECT_EQ(0, h.set(l, SOL_SOCKET, SO_SNDBUF, 30'000));
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = weir_accept4(h, l, nullptr, nullptr, 0);
  EXPECT_EQ(1, h.get(fd, SOL_SOCKET, SO_KEEPALIVE));
  EXPECT_EQ(1, h.get(fd, IPPROTO_TCP, TCP_NODELAY));
  EXPECT_EQ(60'000, h.get(fd, SOL_SOCKET, SO_SNDBUF));
  EXPECT_EQ(1, h.write(fd, "a"));
  EXPECT_EQ(1, h.write(fd, "b"));  // not held by Nagle
  EXPECT_EQ("a", p.expect().text);
  EXPECT_EQ("b", p.expect().text);
  p.send({.seq = 1, .ack = 3});
  h.pass(5 * kS);
  EXPECT_EQ(ACK, p.expect().flags());  // a keepalive
  EXPECT_EQ(30'000, h.write(fd, std::string(200'000, 'x')));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.set(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0)));
}

TEST(Option, CorkHoldsUntilItIsTakenOff) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 1));
  EXPECT_EQ(1, h.write(fd, "a"));
  EXPECT_EQ(1, h.write(fd, "b"));
  p.expect_none();
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 0));
  EXPECT_EQ("ab", p.expect().text);
}

TEST(Option, CorkSetBeforeConnectHolds) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_CORK, 1));
  Peer p(h, kPeer, 80, kHost, 0);
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  p.answer();
  EXPECT_EQ(1, h.write(fd, "a"));
  p.expect_none();
}

TEST(Option, InfoTellsTheStateAndIsCut) {
  Host h;
  const int fd = h.tcp();
  tcp_info info{};
  socklen_t n = sizeof info;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_INFO, &info, &n));
  EXPECT_EQ(7, info.tcpi_state);  // TCP_CLOSE
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_INFO, &info, &n));
  EXPECT_EQ(2, info.tcpi_state);  // TCP_SYN_SENT
  n = 1;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_INFO, &info, &n));
  EXPECT_EQ(1U, n);
  const int l = h.listener(81);
  n = sizeof info;
  EXPECT_EQ(0, weir_getsockopt(h, l, IPPROTO_TCP, TCP_INFO, &info, &n));
  EXPECT_EQ(10, info.tcpi_state);   // TCP_LISTEN
  EXPECT_EQ(8U, info.tcpi_sacked);  // its backlog
  EXPECT_EQ(0U, info.tcpi_unacked);
  Peer p(h, kPeer, 4'000, kHost, 81);
  (void)h.drain();
  p.open();
  EXPECT_EQ(0, weir_getsockopt(h, l, IPPROTO_TCP, TCP_INFO, &info, &n));
  EXPECT_EQ(1U, info.tcpi_unacked);  // waits for accept
}

TEST(Option, AListenersBuffersAndMaxsegReachTheSynAck) {
  Host h;
  const int l = h.listener(80);
  EXPECT_EQ(0, h.set(l, IPPROTO_TCP, TCP_MAXSEG, 900));
  EXPECT_EQ(0, h.set(l, SOL_SOCKET, SO_RCVBUF, 4'000));
  EXPECT_EQ(0, h.set(l, IPPROTO_IP, IP_TTL, 9));
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.send({.seq = 0, .flags = SYN, .options = {.mss = 1'460}});
  const Sent s = p.expect();
  EXPECT_EQ(900, s.frame.tcp.options.mss);
  EXPECT_LE(s.frame.tcp.wnd, 4'000);
  EXPECT_EQ(9, s.frame.ttl);
  p.send({.seq = 1, .ack = 1});
  const int fd = h.accept(l);
  EXPECT_EQ(900, h.get(fd, IPPROTO_TCP, TCP_MAXSEG));
  EXPECT_EQ(2'000, h.write(fd, std::string(2'000, 'x')));
  EXPECT_EQ(900U, p.expect().text.size());
}

TEST(Option, TheMtuFollowsThePath) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open({.mss = 1'000});
  const int fd = h.accept(l);
  EXPECT_EQ(1'500, h.get(fd, IPPROTO_IP, IP_MTU));  // the peer's MSS is not the path's
  EXPECT_EQ(1'000, h.write(fd, std::string(1'000, 'x')));
  (void)p.expect();
  p.icmp(3, 4, 900);
  EXPECT_EQ(900, h.get(fd, IPPROTO_IP, IP_MTU));
  EXPECT_EQ(860, h.get(fd, IPPROTO_TCP, TCP_MAXSEG));
}

TEST(Option, DeferAcceptWaitsForText) {
  Host h;
  const int l = h.listener(80);
  EXPECT_EQ(0, h.set(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5));
  EXPECT_EQ(7, h.get(l, IPPROTO_TCP, TCP_DEFER_ACCEPT));  // three SYN-ACKs: 1 s, 2 s, 4 s
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.send({.seq = 0, .flags = SYN});
  (void)p.expect();
  p.send({.seq = 1, .ack = 1});
  EXPECT_EQ(0U, weir_ready(h, l));
  EXPECT_EQ(EAGAIN, ERRNO_OF(h.accept(l)));
  p.send({.seq = 1, .ack = 1, .text = "get"});
  EXPECT_NE(0U, weir_ready(h, l) & EPOLLIN);
  EXPECT_EQ("get", h.read(h.accept(l)));
}

TEST(Option, RcvlowatIsWhatMakesReadable) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_RCVLOWAT, 4));
  EXPECT_EQ(4, h.get(fd, SOL_SOCKET, SO_RCVLOWAT));
  p.send({.seq = 1, .ack = 1, .text = "abc"});
  EXPECT_EQ(0U, weir_ready(h, fd) & EPOLLIN);
  p.send({.seq = 4, .ack = 1, .text = "d"});
  EXPECT_NE(0U, weir_ready(h, fd) & EPOLLIN);
  EXPECT_EQ("ab", h.read(fd, 2));  // a read that does not wait takes what there is
  EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_RCVLOWAT, 0));
  EXPECT_EQ(1, h.get(fd, SOL_SOCKET, SO_RCVLOWAT));
}

TEST(Option, NotsentLowatBoundsWhatWaits) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  EXPECT_EQ(0, h.set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1'000));
  EXPECT_EQ(1'000, h.write(fd, std::string(50'000, 'x')));  // the rest when these are sent
  EXPECT_NE(0U, weir_ready(h, fd) & EPOLLOUT);
  while (h.write(fd, std::string(50'000, 'x')) > 0) {
  }
  EXPECT_EQ(EAGAIN, errno);
  EXPECT_EQ(0U, weir_ready(h, fd) & EPOLLOUT);
}

TEST(Option, InfoCountsAndMeasures) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.send({.seq = 0, .flags = SYN, .options = {.mss = 1'400, .window_scale = 7}});
  (void)p.expect();
  h.pass(30 * kMs);
  p.send({.seq = 1, .ack = 1});
  const int fd = h.accept(l);
  EXPECT_EQ(100, h.write(fd, std::string(100, 'x')));
  h.pass(10 * kMs);
  p.send({.seq = 1, .ack = 101, .text = "answer", .wnd = 500});
  h.pass(5 * kMs);
  struct {
    tcp_info i;
    char more[200];
  } got{};
  socklen_t n = sizeof got;
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_INFO, &got, &n));
  EXPECT_EQ(280U, n);
  EXPECT_EQ(1, got.i.tcpi_state);
  EXPECT_EQ(7, got.i.tcpi_snd_wscale);
  EXPECT_EQ(TCPI_OPT_WSCALE, got.i.tcpi_options);
  EXPECT_EQ(1'400U, got.i.tcpi_snd_mss);
  EXPECT_EQ(1'500U, got.i.tcpi_pmtu);
  EXPECT_EQ(10U, got.i.tcpi_snd_cwnd + 0);
  EXPECT_EQ(5U, got.i.tcpi_last_data_recv);
  EXPECT_EQ(15U, got.i.tcpi_last_data_sent);
  EXPECT_EQ(0U, got.i.tcpi_unacked);
  EXPECT_GE(got.i.tcpi_rtt, 10'000U);
  EXPECT_LE(got.i.tcpi_rtt, 30'000U);
  // What it was remains to be told once the connection is over.
  p.send({.seq = 7, .ack = 101, .flags = RST | ACK});
  EXPECT_EQ("answer", h.read(fd));
  EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_INFO, &got, &n));
  EXPECT_EQ(7, got.i.tcpi_state);
  EXPECT_EQ(1'400U, got.i.tcpi_snd_mss);
}

}  // namespace
}  // namespace weir::posix::test
