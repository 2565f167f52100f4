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

TEST_F(Udp, OneThatWasGivenItsPortGivesItBackWithItsPeer) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  const int c = udp(a);
  EXPECT_EQ(0, a.connect(c, kPeer, 53));
  EXPECT_NE(0, a.local(c).port);
  EXPECT_EQ(0, weir_connect(a, c, &none, sizeof none));
  EXPECT_EQ(0, a.local(c).port);
  EXPECT_EQ(0, a.connect(c, kPeer, 53));
  const int bound = udp(a);
  EXPECT_EQ(0, a.bind(bound, kHost, 99));
  EXPECT_EQ(0, a.connect(bound, kPeer, 53));
  EXPECT_EQ(0, weir_connect(a, bound, &none, sizeof none));
  EXPECT_EQ((Endpoint{kHost, 99}), a.local(bound));
  const int here = udp(a);
  EXPECT_EQ(0, a.bind(here, kHost, 0));
  EXPECT_EQ(0, weir_connect(a, here, &none, sizeof none));
  EXPECT_EQ((Endpoint{kHost, 0}), a.local(here));
}

TEST_F(Udp, BroadcastsArePermittedWhereTheyAreAskedFor) {
  const int c = udp(a);
  for (const IpAddr& to : {IpAddr::v4(192, 0, 2, 255), IpAddr::v4(255, 255, 255, 255)}) {
    EXPECT_EQ(0, a.set(c, SOL_SOCKET, SO_BROADCAST, 0));
    EXPECT_EQ(-1, send_to(a, c, "all", to, 53));
    EXPECT_EQ(EACCES, errno);
    EXPECT_EQ(-1, a.connect(c, to, 53));
    EXPECT_EQ(EACCES, errno);
    EXPECT_EQ(0, a.set(c, SOL_SOCKET, SO_BROADCAST, 1));
    EXPECT_EQ(3, send_to(a, c, "all", to, 53));
    std::byte frame[200];
    std::size_t n = 0;
    ASSERT_EQ(1, weir_stack_output_ethernet(a, frame, sizeof frame, &n, nullptr));
    EXPECT_EQ(0xff, std::to_integer<int>(frame[14 + 19]));
    EXPECT_EQ(1, std::to_integer<int>(frame[14 + 15]));  // from 192.0.2.1
  }
  EXPECT_EQ(0, a.connect(c, IpAddr::v4(192, 0, 2, 255), 53));
  const int early = udp(a);
  EXPECT_EQ(0, a.set(early, SOL_SOCKET, SO_BROADCAST, 1));  // before it is bound
  EXPECT_EQ(3, send_to(a, early, "all", IpAddr::v4(192, 0, 2, 255), 53));
}

TEST_F(Udp, MoreMakesOneDatagramOfSeveralWrites) {
  const int s = server(53);
  const int c = udp(a);
  EXPECT_EQ(0, a.connect(c, kPeer, 53));
  EXPECT_EQ(3, weir_send(a, c, "one", 3, MSG_MORE));
  EXPECT_EQ(1, weir_send(a, c, " ", 1, MSG_MORE));
  carry();
  EXPECT_EQ("!11", receive(b, s).first);
  EXPECT_EQ(3, weir_send(a, c, "two", 3, 0));
  carry();
  EXPECT_EQ("one two", receive(b, s).first);
  EXPECT_EQ("!11", receive(b, s).first);
  EXPECT_EQ(0, a.set(c, IPPROTO_UDP, 1, 1));  // UDP_CORK
  EXPECT_EQ(1, weir_send(a, c, "a", 1, 0));
  EXPECT_EQ(1, weir_send(a, c, "b", 1, 0));
  EXPECT_EQ(0, a.set(c, IPPROTO_UDP, 1, 0));
  carry();
  EXPECT_EQ("ab", receive(b, s).first);
  // What gets too long is forgotten, whole.
  const std::string most(60'000, 'x');
  EXPECT_EQ(60'000, weir_send(a, c, most.data(), most.size(), MSG_MORE));
  EXPECT_EQ(-1, weir_send(a, c, most.data(), most.size(), MSG_MORE));
  EXPECT_EQ(EMSGSIZE, errno);
  EXPECT_EQ(3, weir_send(a, c, "new", 3, 0));
  carry();
  EXPECT_EQ("new", receive(b, s).first);
  // One datagram has one destination.
  const int other = server(54);
  EXPECT_EQ(1, weir_send(a, c, "x", 1, MSG_MORE));
  EXPECT_EQ(1, send_to(a, c, "y", kPeer, 54));
  EXPECT_EQ(1, weir_send(a, c, "x", 1, MSG_MORE));
  EXPECT_EQ(1, weir_sendto(a, c, "y", 1, 0, Name(kPeer, 54).get(), 3));  // nobody looks at it
  carry();
  EXPECT_EQ("xy", receive(b, s).first);
  EXPECT_EQ("xy", receive(b, s).first);
  EXPECT_EQ("!11", receive(b, other).first);
}

TEST_F(Udp, WhatIsKeptAndTold) {
  const int c = udp(a);
  const std::pair<int, int> booleans[] = {{SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_TIMESTAMP},
                                          {IPPROTO_IP, IP_RECVTOS},   {IPPROTO_IP, IP_RECVTTL},
                                          {IPPROTO_IP, IP_PKTINFO},   {SOL_SOCKET, SO_BROADCAST}};
  for (const auto& [level, name] : booleans) {
    EXPECT_EQ(0, a.get(c, level, name)) << name;
    EXPECT_EQ(0, a.set(c, level, name, 7)) << name;
    EXPECT_EQ(1, a.get(c, level, name)) << name;
  }
  EXPECT_EQ(0, a.set(c, SOL_SOCKET, SO_PRIORITY, 6));
  EXPECT_EQ(6, a.get(c, SOL_SOCKET, SO_PRIORITY));
  EXPECT_EQ(-1, a.set(c, SOL_SOCKET, SO_PRIORITY, 7));
  EXPECT_EQ(EPERM, errno);
  EXPECT_EQ(0, a.set(c, SOL_SOCKET, SO_MARK, -5));
  EXPECT_EQ(-5, a.get(c, SOL_SOCKET, SO_MARK));
  const struct linger on { 1, 7 };
  EXPECT_EQ(0, weir_setsockopt(a, c, SOL_SOCKET, SO_LINGER, &on, sizeof on));
  struct linger l {};
  socklen_t n = sizeof l;
  EXPECT_EQ(0, weir_getsockopt(a, c, SOL_SOCKET, SO_LINGER, &l, &n));
  EXPECT_EQ(7, l.l_linger);
  const unsigned char octet = 9;
  EXPECT_EQ(0, weir_setsockopt(a, c, IPPROTO_IP, IP_TTL, &octet, 1));
  EXPECT_EQ(9, a.get(c, IPPROTO_IP, IP_TTL));
  EXPECT_EQ(0, a.set(c, IPPROTO_IP, IP_TTL, -1));
  EXPECT_EQ(64, a.get(c, IPPROTO_IP, IP_TTL));
  EXPECT_EQ(-1, a.set(c, IPPROTO_IP, IP_TTL, 0));
  EXPECT_EQ(-1, weir_setsockopt(a, c, SOL_SOCKET, SO_MARK, &octet, 1));
  EXPECT_EQ(-ENOPROTOOPT, a.get(c, IPPROTO_IP, 9'999));
  EXPECT_EQ(-EOPNOTSUPP, a.get(c, IPPROTO_TCP, TCP_NODELAY));
  EXPECT_EQ(-EOPNOTSUPP, a.get(c, IPPROTO_IPV6, IPV6_V6ONLY));
}

// What recvmsg tells along with a datagram, and what it does not.
TEST_F(Udp, WhatCameAlong) {
  const int s = server(53);
  for (const int name : {IP_RECVTOS, IP_RECVTTL, IP_PKTINFO}) {
    EXPECT_EQ(0, b.set(s, IPPROTO_IP, name, 1));
  }
  EXPECT_EQ(0, b.set(s, SOL_SOCKET, SO_TIMESTAMP, 1));
  const int c = udp(a);
  EXPECT_EQ(0, a.set(c, IPPROTO_IP, IP_TOS, 0x28));
  EXPECT_EQ(0, a.set(c, IPPROTO_IP, IP_TTL, 9));
  for (int i = 0; i < 2; ++i) (void)send_to(a, c, "x", kPeer, 53);
  carry();
  char text[4];
  iovec v{text, sizeof text};
  alignas(cmsghdr) char control[200];
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  EXPECT_EQ(1, weir_recvmsg(b, s, &m, 0));
  EXPECT_EQ(0, m.msg_flags);
  std::string seen;
  for (cmsghdr* h = CMSG_FIRSTHDR(&m); h != nullptr; h = CMSG_NXTHDR(&m, h)) {
    const unsigned char* data = CMSG_DATA(h);
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMP) {
      timeval t{};
      std::memcpy(&t, data, sizeof t);
      seen += t.tv_sec == 1'000 && t.tv_usec == 5'000 ? "at " : "wrong ";
    } else if (h->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, data, sizeof info);
      seen += ntohl(info.ipi_addr.s_addr) == kPeer.v4_value() ? "to " : "wrong ";
    } else if (h->cmsg_type == IP_TTL) {
      seen += *data == 9 && h->cmsg_len == CMSG_LEN(4) ? "ttl " : "wrong ";
    } else if (h->cmsg_type == IP_TOS) {
      seen += *data == 0x28 && h->cmsg_len == CMSG_LEN(1) ? "tos " : "wrong ";
    }
  }
  EXPECT_EQ("at to ttl tos ", seen);
  m.msg_controllen = 0;
  EXPECT_EQ(1, weir_recvmsg(b, s, &m, 0));
  EXPECT_EQ(MSG_CTRUNC, m.msg_flags);
}

}  // namespace
}  // namespace weir::posix::test
