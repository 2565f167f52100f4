// SOCK_DGRAM through weir.h: what Linux's net/ipv4/udp.c answers (lib/socket/udp_socket.cc).
#include <sys/ioctl.h>

#include <array>

#include "harness.h"

namespace weir::posix::test {
namespace {

struct Udp : testing::Test {
  Host a, b{{.addresses = {"192.0.2.2/24", "2001:db8::2/64"}, .seed = 2}};
  Wire wire{a, b};

  static int udp(Host& h, int family = AF_INET) { return weir_socket(h, family, SOCK_DGRAM, 0); }
  int server(std::uint16_t port) {
    const int fd = udp(b);
    EXPECT_EQ(0, b.bind(fd, kPeer, port));
    return fd;
  }
  static ssize_t send_to(Host& h, int fd, const std::string& text, const IpAddr& to,
                         std::uint16_t port, bool six = false) {
    const Name n(to, port, six);
    return weir_sendto(h, fd, text.data(), text.size(), 0, n.get(), n.length);
  }
  // What came and from whom, or "!N" for errno N.
  static std::pair<std::string, Endpoint> receive(Host& h, int fd, std::size_t most = 2'000,
                                                  int flags = 0) {
    std::string text(most, '\0');
    Name n;
    const ssize_t got = weir_recvfrom(h, fd, text.data(), most, flags, n.get(), &n.length);
    if (got < 0) return {"!" + std::to_string(errno), {}};
    text.resize(std::min(most, static_cast<std::size_t>(got)));
    return {text, n.endpoint()};
  }
  void carry() {
    (void)wire.run([] { return false; }, 100 * kMs);
  }
};

TEST_F(Udp, AQuestionAndItsAnswer) {
  const int s = server(53);
  const int c = udp(a);
  EXPECT_EQ(8, send_to(a, c, "question", kPeer, 53));
  EXPECT_EQ("!11", receive(b, s).first);
  carry();
  const auto [text, from] = receive(b, s);
  EXPECT_EQ("question", text);
  EXPECT_EQ((Endpoint{kHost, a.local(c).port}), from);
  EXPECT_EQ(6, send_to(b, s, "answer", from.addr, from.port));
  carry();
  EXPECT_EQ((std::pair<std::string, Endpoint>{"answer", {kPeer, 53}}), receive(a, c));
  EXPECT_EQ("!11", receive(a, c).first);
}

TEST_F(Udp, OverIpv6AndAnEmptyOne) {
  const int s = udp(b, AF_INET6);
  EXPECT_EQ(0, b.bind(s, IpAddr{}, 53, true));
  const int c = udp(a, AF_INET6);
  EXPECT_EQ(0, send_to(a, c, "", kPeer6, 53, true));
  EXPECT_EQ(2, send_to(a, c, "v4", kPeer, 53, true));  // to an IPv4-mapped address
  carry();
  EXPECT_EQ((std::pair<std::string, Endpoint>{"", {kHost6, a.local(c).port}}), receive(b, s));
  const auto [text, from] = receive(b, s);
  EXPECT_EQ("v4", text);
  EXPECT_EQ(kHost, from.addr);
}

// One service, one port number, both transports.
TEST_F(Udp, SharesAPortNumberWithTcp) {
  const int s = server(53);
  const int l = b.tcp();
  EXPECT_EQ(0, b.bind(l, kPeer, 53));
  EXPECT_EQ(0, weir_listen(b, l, 1));
  EXPECT_EQ(-1, b.bind(udp(b), kPeer, 53));
  EXPECT_EQ(EADDRINUSE, errno);
  EXPECT_EQ(-1, weir_listen(b, s, 1));
  EXPECT_EQ(EOPNOTSUPP, errno);
  EXPECT_EQ(-1, b.accept(s));
  EXPECT_EQ(EOPNOTSUPP, errno);
}

TEST_F(Udp, OneThatIsConnectedHearsItsPeerAlone) {
  const int s = server(53);
  const int other = server(54);
  const int c = udp(a);
  EXPECT_EQ(-1, weir_send(a, c, "x", 1, 0));
  EXPECT_EQ(EDESTADDRREQ, errno);
  EXPECT_EQ(0, a.connect(c, kPeer, 53));
  EXPECT_EQ((Endpoint{kPeer, 53}), a.peer(c));
  EXPECT_EQ(kHost, a.local(c).addr);
  EXPECT_EQ(1, weir_send(a, c, "x", 1, 0));
  EXPECT_EQ(2, send_to(b, other, "no", kHost, a.local(c).port));
  EXPECT_EQ(3, send_to(b, s, "yes", kHost, a.local(c).port));
  carry();
  EXPECT_EQ("yes", receive(a, c).first);
  EXPECT_EQ("!11", receive(a, c).first);
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  EXPECT_EQ(0, weir_connect(a, c, &none, sizeof none));
  EXPECT_EQ(-1, weir_send(a, c, "x", 1, 0));
  EXPECT_EQ(EDESTADDRREQ, errno);
}

// Nobody listens: port unreachable comes back, and is told once, to a connected socket.
TEST_F(Udp, ARefusalIsToldOnce) {
  const int c = udp(a);
  EXPECT_EQ(0, a.connect(c, kPeer, 9));
  EXPECT_EQ(1, weir_send(a, c, "x", 1, 0));
  carry();
  EXPECT_EQ(std::uint32_t{EPOLLERR | EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND}, weir_ready(a, c));
  EXPECT_EQ("!" + std::to_string(ECONNREFUSED), receive(a, c).first);
  EXPECT_EQ("!11", receive(a, c).first);
  EXPECT_EQ(1, weir_send(a, c, "x", 1, 0));
  carry();
  EXPECT_EQ(-1, weir_send(a, c, "y", 1, 0));
  EXPECT_EQ(ECONNREFUSED, errno);
  EXPECT_EQ(1, weir_send(a, c, "y", 1, 0));
  carry();
  EXPECT_EQ(ECONNREFUSED, a.error_of(c));
  EXPECT_EQ(0, a.error_of(c));
  const int loose = udp(a);
  EXPECT_EQ(1, send_to(a, loose, "x", kPeer, 9));
  carry();
  EXPECT_EQ("!11", receive(a, loose).first) << "one that is not connected is not told";
}

TEST_F(Udp, ADatagramIsReadWholeOrCutAndTheRestIsGone) {
  const int s = server(53);
  const int c = udp(a);
  for (const char* text : {"abcdef", "second"}) (void)send_to(a, c, text, kPeer, 53);
  carry();
  EXPECT_EQ("abc", receive(b, s, 3, MSG_PEEK).first);
  EXPECT_EQ("abcdef", receive(b, s, 10, MSG_PEEK).first);
  int octets = 0;
  EXPECT_EQ(0, weir_ioctl(b, s, FIONREAD, &octets));
  EXPECT_EQ(6, octets);
  char text[2];
  EXPECT_EQ(6, weir_recv(b, s, text, 2, MSG_TRUNC | MSG_PEEK));
  iovec pieces[] = {{text, 1}, {text + 1, 1}};
  msghdr m{};
  m.msg_iov = pieces;
  m.msg_iovlen = 2;
  EXPECT_EQ(2, weir_recvmsg(b, s, &m, 0));
  EXPECT_EQ(MSG_TRUNC, m.msg_flags);
  EXPECT_EQ("ab", std::string(text, 2));
  EXPECT_EQ("second", receive(b, s).first);
}

TEST_F(Udp, WhatIsTooLongIsRefused) {
  const int c = udp(a);
  EXPECT_EQ(-1, send_to(a, c, std::string(65'536, 'x'), kPeer, 53));
  EXPECT_EQ(EMSGSIZE, errno);
  EXPECT_EQ(-1, send_to(a, c, std::string(1'473, 'x'), kPeer, 53));
  EXPECT_EQ(EMSGSIZE, errno);
  EXPECT_EQ(1'472, send_to(a, c, std::string(1'472, 'x'), kPeer, 53));
}

TEST_F(Udp, TheReceiveBufferHasALimit) {
  const int s = server(53);
  EXPECT_EQ(0, b.set(s, SOL_SOCKET, SO_RCVBUF, 4'096));
  EXPECT_EQ(8'192, b.get(s, SOL_SOCKET, SO_RCVBUF));
  const int c = udp(a);
  for (int i = 0; i < 50; ++i) (void)send_to(a, c, std::string(1'000, 'x'), kPeer, 53);
  carry();
  int n = 0;
  while (receive(b, s).first[0] == 'x') ++n;
  EXPECT_GE(n, 1);
  EXPECT_LE(n, 8);
}

TEST_F(Udp, Readiness) {
  constexpr std::uint32_t kOut = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
  constexpr std::uint32_t kIn = EPOLLIN | EPOLLRDNORM;
  const int s = server(53);
  EXPECT_EQ(kOut, weir_ready(b, s));
  EXPECT_EQ(kOut, weir_ready(b, udp(b)));
  const int ep = weir_epoll_create1(b, 0);
  epoll_event ev{};
  ev.events = EPOLLIN | EPOLLET;
  EXPECT_EQ(0, weir_epoll_ctl(b, ep, EPOLL_CTL_ADD, s, &ev));
  const int c = udp(a);
  for (int i = 0; i < 2; ++i) {
    (void)send_to(a, c, "x", kPeer, 53);
    carry();
    EXPECT_EQ(kOut | kIn, weir_ready(b, s));
    epoll_event out{};
    EXPECT_EQ(1, weir_epoll_wait(b, ep, &out, 1));
    EXPECT_EQ(0, weir_epoll_wait(b, ep, &out, 1));
  }
  EXPECT_EQ("x", receive(b, s).first);
  EXPECT_EQ("x", receive(b, s).first);
  EXPECT_EQ(kOut, weir_ready(b, s));
}

TEST_F(Udp, Shutdown) {
  const int c = udp(a);
  EXPECT_EQ(-1, weir_shutdown(a, c, 3));
  EXPECT_EQ(EINVAL, errno);
  EXPECT_EQ(-1, weir_shutdown(a, udp(a), SHUT_RD));
  EXPECT_EQ(ENOTCONN, errno);
  EXPECT_EQ(0, a.connect(c, kPeer, 53));
  EXPECT_EQ(0, weir_shutdown(a, c, SHUT_WR));
  EXPECT_EQ(-1, weir_send(a, c, "x", 1, MSG_NOSIGNAL));
  EXPECT_EQ(EPIPE, errno);
  EXPECT_EQ("!11", receive(a, c).first);
  EXPECT_EQ(0, weir_shutdown(a, c, SHUT_RD));
  EXPECT_EQ("", receive(a, c).first);
  EXPECT_NE(0U, weir_ready(a, c) & EPOLLHUP);
}

TEST_F(Udp, Options) {
  const int c = udp(a);
  EXPECT_EQ(SOCK_DGRAM, a.get(c, SOL_SOCKET, SO_TYPE));
  EXPECT_EQ(AF_INET, a.get(c, SOL_SOCKET, SO_DOMAIN));
  EXPECT_EQ(IPPROTO_UDP, a.get(c, SOL_SOCKET, SO_PROTOCOL));
  EXPECT_EQ(0, a.get(c, SOL_SOCKET, SO_ACCEPTCONN));
  EXPECT_EQ(212'992, a.get(c, SOL_SOCKET, SO_RCVBUF));
  EXPECT_EQ(64, a.get(c, IPPROTO_IP, IP_TTL));
  EXPECT_EQ(0, a.set(c, IPPROTO_IP, IP_TTL, 9));
  EXPECT_EQ(0, a.set(c, IPPROTO_IP, IP_TOS, 0x28));
  EXPECT_EQ(-1, a.set(c, IPPROTO_IP, IP_TTL, 256));
  EXPECT_EQ(-1, a.set(c, IPPROTO_IPV6, IPV6_V6ONLY, 1)) << "of an IPv4 socket";
  (void)send_to(a, c, "x", kPeer, 53);
  const auto sent = a.drain();
  ASSERT_EQ(1U, sent.size());
  EXPECT_EQ(0x28, std::to_integer<int>(sent[0].octets[1]));
  EXPECT_EQ(9, std::to_integer<int>(sent[0].octets[8]));
}

TEST_F(Udp, BindsOnceAndToItsOwnAddresses) {
  const int c = udp(a);
  EXPECT_EQ(-1, a.bind(c, kPeer, 53));
  EXPECT_EQ(EADDRNOTAVAIL, errno);
  EXPECT_EQ((Endpoint{IpAddr::v4(std::uint32_t{0}), 0}), a.local(c));
  EXPECT_EQ(0, a.bind(c, kHost, 0));
  EXPECT_NE(0, a.local(c).port);
  EXPECT_EQ(-1, a.bind(c, kHost, 0));
  EXPECT_EQ(EINVAL, errno);
  const int first = udp(a);
  const int second = udp(a);
  for (const int fd : {first, second}) EXPECT_EQ(0, a.set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
  EXPECT_EQ(0, a.bind(first, kHost, 99));
  EXPECT_EQ(0, a.bind(second, kHost, 99));
  EXPECT_EQ(0, weir_close(a, second));
  EXPECT_EQ(-1, weir_socket(a, AF_INET, SOCK_DGRAM, IPPROTO_TCP));
  EXPECT_EQ(EPROTONOSUPPORT, errno);
  EXPECT_EQ(-1, weir_socket(a, AF_INET, SOCK_RAW, 0));
  EXPECT_EQ(ESOCKTNOSUPPORT, errno);
}

}  // namespace
}  // namespace weir::posix::test
