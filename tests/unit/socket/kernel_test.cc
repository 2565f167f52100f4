// What tests/differential found to be answered otherwise than by a kernel: one test for each.
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "harness.h"

namespace weir::posix::test {
namespace {

#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

constexpr IpAddr kAny4 = IpAddr::v4(0, 0, 0, 0);
constexpr sockaddr kNobody{};  // AF_UNSPEC

// A host that talks to itself: `l` listens on 80, `c` is connected to it, `s` is its other end.
struct Kernel : testing::Test {
  explicit Kernel(int family = AF_INET) {
    l = h.listener(80, 8, family);
    c = h.tcp(family);
    const IpAddr& own = family == AF_INET6 ? kHost6 : kHost;
    EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, own, 80, family == AF_INET6)));
    s = h.accept(l);
    EXPECT_GE(s, 0);
  }
  int udp(int family = AF_INET) { return weir_socket(h, family, SOCK_DGRAM, 0); }
  ssize_t send_to(int fd, const IpAddr& to, std::uint16_t port, bool six = false, int flags = 0) {
    const Name n(to, port, six);
    return weir_sendto(h, fd, "hello", 5, flags, n.get(), n.length);
  }
  int disconnect(int fd) { return weir_connect(h, fd, &kNobody, sizeof kNobody); }
  int state(int fd) {
    tcp_info info{};
    socklen_t n = sizeof info;
    EXPECT_EQ(0, weir_getsockopt(h, fd, IPPROTO_TCP, TCP_INFO, &info, &n));
    return info.tcpi_state;
  }
  int watch(int fd, std::uint32_t events) {
    const int ep = weir_epoll_create1(h, 0);
    add(ep, fd, events);
    return ep;
  }
  void add(int ep, int fd, std::uint32_t events) {
    epoll_event e{};
    e.events = events;
    e.data.fd = fd;
    EXPECT_EQ(0, weir_epoll_ctl(h, ep, EPOLL_CTL_ADD, fd, &e));
  }
  // The descriptors that are ready, in their order.
  std::vector<int> ready(int ep) {
    epoll_event e[8];
    const int n = weir_epoll_wait(h, ep, e, 8);
    std::vector<int> out;
    for (int i = 0; i < n; ++i) out.push_back(e[i].data.fd);
    return out;
  }

  Host h;
  int l = -1, c = -1, s = -1;
};
struct Kernel6 : Kernel {
  Kernel6() : Kernel(AF_INET6) {}
};

// -- Pointers, lengths and levels, in the order in which they are looked at -----------------------

TEST_F(Kernel, WhereTextLiesIsLookedAtWhenItGoes) {
  EXPECT_EQ(EAGAIN, ERRNO_OF(weir_recv(h, c, nullptr, 5, 0)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_send(h, c, nullptr, 5, 0)));
  EXPECT_EQ(EPIPE, ERRNO_OF(weir_send(h, h.tcp(), nullptr, 5, 0)));
  char some[3];
  const iovec v[] = {{some, 3}, {nullptr, 2}};
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_writev(h, c, v, 2)));
  EXPECT_EQ(3, h.write(s, "abc"));
  EXPECT_EQ(3, weir_readv(h, c, v, 2));  // no text for the second
}

TEST_F(Kernel, ADatagramForNowhereIsGone) {
  const int a = udp(), b = udp();
  EXPECT_EQ(0, h.bind(a, kHost, 53));
  EXPECT_EQ(EAGAIN, ERRNO_OF(weir_recv(h, a, nullptr, 5, 0)));
  EXPECT_EQ(5, send_to(b, kHost, 53));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_recv(h, a, nullptr, 5, MSG_PEEK)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_recv(h, a, nullptr, 5, 0)));
  EXPECT_EQ("!11", h.read(a));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_sendto(h, b, nullptr, 5, 0, Name(kHost, 53).get(), 16)));
}

TEST_F(Kernel, NothingIsWrittenWhereNothingIsGiven) {
  const iovec none{nullptr, 0};
  for (const int fd : {h.tcp(), udp(), c}) {
    EXPECT_EQ(0, weir_writev(h, fd, &none, 1));
    EXPECT_EQ(0, weir_writev(h, fd, &none, 0));
  }
}

TEST_F(Kernel, AnEpollIsNeitherReadNorWritten) {
  const int ep = weir_epoll_create1(h, 0);
  char x = 0;
  const iovec one{&x, 1};
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_read(h, ep, &x, 1)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_read(h, ep, &x, 0)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_write(h, ep, &x, 1)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_readv(h, ep, &one, 0)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_writev(h, ep, &one, 1)));
  EXPECT_EQ(ENOTSOCK, ERRNO_OF(weir_recv(h, ep, &x, 1, 0)));
  EXPECT_EQ(ENOTTY, ERRNO_OF(weir_ioctl(h, ep, SIOCINQ, nullptr)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_connect(h, ep, nullptr, 16)));
}

TEST_F(Kernel, LevelsAreLookedAtFirst) {
  const int u = udp(), u6 = udp(AF_INET6);
  int v = 0;
  socklen_t bad = static_cast<socklen_t>(-1);
  EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(weir_getsockopt(h, u, IPPROTO_TCP, TCP_NODELAY, &v, &bad)));
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(weir_getsockopt(h, u6, IPPROTO_TCP, TCP_NODELAY, &v, &bad)));
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(weir_setsockopt(h, u, IPPROTO_TCP, TCP_NODELAY, nullptr, 4)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_getsockopt(h, c, IPPROTO_TCP, TCP_NODELAY, &v, &bad)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_setsockopt(h, c, IPPROTO_TCP, TCP_NODELAY, nullptr, 3)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_setsockopt(h, c, IPPROTO_TCP, TCP_NODELAY, nullptr, 4)));
}

TEST_F(Kernel, ANullValueIsAFaultOnlyWhereItWouldBeWritten) {
  socklen_t four = 4, none = 0, info = 200;
  EXPECT_EQ(ENOPROTOOPT, ERRNO_OF(weir_getsockopt(h, c, IPPROTO_TCP, 999, nullptr, &four)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockopt(h, c, SOL_SOCKET, SO_TYPE, nullptr, &four)));
  EXPECT_EQ(0, weir_getsockopt(h, c, SOL_SOCKET, SO_TYPE, nullptr, &none));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockopt(h, c, IPPROTO_TCP, TCP_INFO, nullptr, &info)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockopt(h, udp(), SOL_SOCKET, SO_TYPE, nullptr, &four)));
}

TEST_F(Kernel, ANullNameIsAFaultOnlyWhereItWouldBeWritten) {
  socklen_t none = 0, bad = static_cast<socklen_t>(-1), some = 16;
  EXPECT_EQ(0, weir_getsockname(h, c, nullptr, &none));
  EXPECT_EQ(16U, none);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_getsockname(h, c, nullptr, &bad)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockname(h, c, nullptr, &some)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_bind(h, c, nullptr, 129)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_sendto(h, c, "x", 1, 0, Name(kHost, 1).get(), 1'000)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_sendto(h, udp(), "x", 1, 0, Name(kHost, 1).get(), 1'000)));
}

TEST_F(Kernel, OptionsWithoutAValue) {
  EXPECT_EQ(0, h.set(c, IPPROTO_IP, IP_TOS, 0x20));
  EXPECT_EQ(0, weir_setsockopt(h, c, IPPROTO_IP, IP_TOS, "", 0));  // is 0
  EXPECT_EQ(0, h.get(c, IPPROTO_IP, IP_TOS));
  const int six = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.set(six, IPPROTO_IPV6, IPV6_TCLASS, 0x20));
  EXPECT_EQ(0, weir_setsockopt(h, six, IPPROTO_IPV6, IPV6_TCLASS, nullptr, 4));
  EXPECT_EQ(0, h.get(six, IPPROTO_IPV6, IPV6_TCLASS));
  int v = -7;
  socklen_t great = static_cast<socklen_t>(-1);
  EXPECT_EQ(0, weir_getsockopt(h, six, IPPROTO_IPV6, IPV6_TCLASS, &v, &great));
  EXPECT_EQ(4U, great);
}

TEST_F(Kernel, SocketsThatCannotBe) {
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_socket(h, AF_INET, SOCK_STREAM, -1)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_socket(h, AF_INET, SOCK_STREAM, 300)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_socket(h, AF_UNSPEC, 11, 0)));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(weir_socket(h, AF_MAX, 11, 0)));
}

TEST_F(Kernel, WhatIoctlIsAskedForComesBeforeWhereItGoes) {
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_ioctl(h, l, SIOCOUTQ, nullptr)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_ioctl(h, c, SIOCOUTQ, nullptr)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_ioctl(h, udp(), SIOCATMARK, nullptr)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_ioctl(h, c, FIONBIO, nullptr)));
}

// -- Names and ports ---------------------------------------------------------------------------

TEST_F(Kernel, AChosenPortIsGivenBackWithItsConnection) {
  EXPECT_EQ(0, disconnect(s));  // with a RST
  EXPECT_EQ(ECONNRESET, h.error_of(c));
  const std::uint16_t was = h.local(c).port;
  EXPECT_NE(0, was);  // told on
  EXPECT_EQ(0, h.bind(h.tcp(), kHost, was));
  EXPECT_EQ(0, h.bind(c, kHost, 5'000));
  EXPECT_EQ(5'000, h.local(c).port);
}

TEST_F(Kernel, APortThatBindAskedForIsKept) {
  const int b = h.tcp();
  EXPECT_EQ(0, h.bind(b, kHost, 5'000));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(b, kHost, 80)));
  EXPECT_EQ(0, disconnect(b));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.bind(b, kHost, 5'001)));
  EXPECT_EQ(5'000, h.local(b).port);
  const int only = h.tcp();  // chosen, but never used
  EXPECT_EQ(0, h.bind(only, kHost, 0));
  EXPECT_EQ(0, disconnect(only));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.bind(only, kHost, 5'001)));
}

TEST_F(Kernel6, AnAddressOfIpv6IsNoIpv4) {
  EXPECT_EQ(0, h.get(l, IPPROTO_IPV6, IPV6_V6ONLY));
  const int b = h.tcp(AF_INET6), u = udp(AF_INET6);
  EXPECT_EQ(0, h.bind(b, kHost6, 81, true));
  EXPECT_EQ(1, h.get(b, IPPROTO_IPV6, IPV6_V6ONLY));
  EXPECT_EQ(0, h.bind(u, kHost6, 81, true));
  EXPECT_EQ(1, h.get(u, IPPROTO_IPV6, IPV6_V6ONLY));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.bind(c, kPeer6, 82, true)));  // bound, before where to
}

TEST_F(Kernel, ABindThatFailsTakesTheAddressAway) {
  const int b = h.tcp();
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(h.bind(b, kHost, 80)));
  EXPECT_EQ((Endpoint{kAny4, 0}), h.local(b));
  EXPECT_EQ(0, disconnect(s));
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(h.bind(c, kHost, 80)));
  EXPECT_EQ(kAny4, h.local(c).addr);
}

TEST_F(Kernel6, OneFamilyDoesNotReachTheOther) {
  const int b = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.bind(b, kHost, 81, true));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(h.connect(b, kHost6, 80, true)));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(b, IpAddr{}, 80, true)));  // of its own, here
  EXPECT_EQ(kHost, h.peer(b).addr);
  const int any = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.bind(any, kAny4, 0, true));
  EXPECT_EQ(0, disconnect(any));  // stays what bind made it
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(h.connect(any, kHost6, 80, true)));
  const int u = udp(AF_INET6);
  EXPECT_EQ(0, h.bind(u, kHost, 81, true));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(send_to(u, kHost6, 80, true)));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(h.connect(u, kHost6, 80, true)));
}

TEST_F(Kernel, DatagramsToTheWildcardAreForThisHost) {
  const int a = udp(), b = udp(), six = udp(AF_INET6);
  EXPECT_EQ(0, h.bind(a, kAny4, 53));
  EXPECT_EQ(5, send_to(b, kAny4, 53));
  EXPECT_EQ("hello", h.read(a));
  EXPECT_EQ(0, h.connect(b, kAny4, 53));
  EXPECT_EQ(kHost, h.peer(b).addr);
  EXPECT_EQ(0, h.connect(six, IpAddr{}, 53, true));
  EXPECT_EQ(kHost6, h.peer(six).addr);
}

TEST_F(Kernel, DatagramsOfIpv6TakeNamesOfIpv4) {
  const int a = udp(), b = udp(AF_INET6);
  EXPECT_EQ(0, h.bind(a, kHost, 53));
  EXPECT_EQ(5, send_to(b, kHost, 53));
  EXPECT_EQ("hello", h.read(a));
  EXPECT_EQ(0, h.connect(b, kHost, 53));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(send_to(a, kHost6, 53, true)));
  const int only = udp(AF_INET6);
  EXPECT_EQ(0, h.set(only, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  EXPECT_EQ(ENETUNREACH, ERRNO_OF(send_to(only, kHost, 53)));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(h.connect(only, kHost, 53)));
}

TEST_F(Kernel, ADatagramSocketIsBoundBeforeItIsRefused) {
  const int a = udp(), b = udp(), d = udp();
  EXPECT_EQ(EDESTADDRREQ, ERRNO_OF(h.write(a, "x")));
  EXPECT_NE(0, h.local(a).port);
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(h.connect(b, kHost6, 53, true)));
  EXPECT_NE(0, h.local(b).port);
  EXPECT_EQ(0, h.bind(d, kHost, 53));
  EXPECT_EQ(EADDRNOTAVAIL, ERRNO_OF(h.bind(d, kPeer, 53)));  // bound, after where to
}

TEST_F(Kernel, UrgentDatagramsAreIpv4sFault) {
  const int a = udp(), six = udp(AF_INET6);
  EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(send_to(a, kHost, 53, false, MSG_OOB)));
  EXPECT_EQ(EOPNOTSUPP, ERRNO_OF(send_to(six, kHost, 0, true, MSG_OOB)));
  EXPECT_EQ(5, send_to(six, kHost6, 53, true, MSG_OOB));
  EXPECT_EQ(EAGAIN, ERRNO_OF(weir_recv(h, a, nullptr, 0, MSG_OOB)));
}

TEST_F(Kernel, NothingMoreComesIsForThoseWhoWait) {
  const int a = udp();
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, a, SHUT_RD)));
  EXPECT_EQ("", h.read(a));
  EXPECT_EQ("!11", h.read(a, 9, MSG_DONTWAIT));
}

TEST_F(Kernel, AnErrorOutlivesTheDisconnect) {
  const int a = udp();
  EXPECT_EQ(0, h.connect(a, kHost, 53));
  EXPECT_EQ(1, h.write(a, "x"));
  EXPECT_EQ(0, disconnect(a));
  EXPECT_EQ(ECONNREFUSED, h.error_of(a));
}

// -- States and readiness ----------------------------------------------------------------------

TEST_F(Kernel, TimeWaitIsClosedWithTextUnreadToo) {
  EXPECT_EQ(3, h.write(s, "abc"));
  EXPECT_EQ(0, weir_shutdown(h, c, SHUT_WR));
  EXPECT_EQ(0, weir_shutdown(h, s, SHUT_WR));
  EXPECT_EQ(7, state(c));
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, c, SHUT_WR)));
  EXPECT_EQ("abc", h.read(c));
  EXPECT_EQ(0, h.bind(c, kHost, 5'000));
}

TEST(KernelClosing, TimeWaitWithoutAnEventIsClosed) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  EXPECT_EQ(0, weir_shutdown(h, fd, SHUT_WR));
  (void)p.expect();
  p.send({.seq = 1, .ack = 1, .flags = FIN | ACK});  // crosses ours
  (void)p.expect();
  p.send({.seq = 2, .ack = 2});  // CLOSING to TIME-WAIT
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, fd, SHUT_RD)));
}

TEST_F(Kernel, WhatWasShutStaysShutWhenItListens) {
  const int b = h.tcp();
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, b, SHUT_RD)));
  EXPECT_EQ(0, h.bind(b, kHost, 81));
  EXPECT_EQ(0, weir_listen(h, b, 1));
  const int a = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(a, kHost, 81)));
  const int child = h.accept(b);
  EXPECT_NE(0U, weir_ready(h, child) & EPOLLRDHUP);
  EXPECT_EQ(0U, weir_ready(h, a) & EPOLLRDHUP);
  EXPECT_EQ(2, h.write(a, "hi"));  // and no reset for it
  EXPECT_EQ("hi", h.read(child));
}

TEST_F(Kernel, AListenerShutForWritingHasChildrenThatAre) {
  const int b = h.tcp();
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, b, SHUT_WR)));
  EXPECT_EQ(0, h.bind(b, kHost, 81));
  EXPECT_EQ(0, weir_listen(h, b, 1));
  const int a = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(a, kHost, 81)));
  EXPECT_GE(h.accept(b), 0);
  EXPECT_NE(0U, weir_ready(h, a) & EPOLLRDHUP);
}

TEST_F(Kernel, WhatIsNotReadyLosesItsPlaceWhenAnEpollIsPolled) {
  const int ep = watch(c, EPOLLIN);
  add(ep, s, EPOLLIN);
  EXPECT_EQ(1, h.write(s, "x"));
  EXPECT_EQ("x", h.read(c));
  EXPECT_EQ(0U, weir_ready(h, ep));
  EXPECT_EQ(1, h.write(c, "x"));
  EXPECT_EQ(1, h.write(s, "x"));
  EXPECT_EQ((std::vector<int>{s, c}), ready(ep));
}

TEST_F(Kernel, ASentDatagramIsRoomAgain) {
  const int a = udp(), b = udp();
  EXPECT_EQ(0, h.bind(b, kHost, 53));
  const int ep = watch(b, EPOLLIN);
  add(ep, a, EPOLLOUT | EPOLLET);
  EXPECT_EQ(std::vector<int>{a}, ready(ep));
  EXPECT_EQ(std::vector<int>{}, ready(ep));
  EXPECT_EQ(5, send_to(a, kHost, 53));
  EXPECT_EQ((std::vector<int>{a, b}), ready(ep));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_sendto(h, a, nullptr, 5, 0, Name(kHost, 53).get(), 16)));
  EXPECT_EQ((std::vector<int>{b, a}), ready(ep));
}

TEST_F(Kernel, TheLowWaterMarksTellAnew) {
  const int ep = watch(c, EPOLLOUT | EPOLLET);
  EXPECT_EQ(std::vector<int>{c}, ready(ep));
  EXPECT_EQ(0, h.set(c, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 9'000));
  EXPECT_EQ(std::vector<int>{c}, ready(ep));
  EXPECT_EQ(0, weir_shutdown(h, c, SHUT_RD));
  const int in = watch(c, EPOLLIN | EPOLLET);
  EXPECT_EQ(std::vector<int>{c}, ready(in));
  EXPECT_EQ(0, h.set(c, SOL_SOCKET, SO_RCVLOWAT, 5));  // there is no text
  EXPECT_EQ(std::vector<int>{}, ready(in));
  EXPECT_EQ(0, h.set(c, SOL_SOCKET, SO_RCVBUF, 10'000));
  EXPECT_EQ(0, h.set(c, SOL_SOCKET, SO_RCVLOWAT, -1));
  EXPECT_EQ(10'000, h.get(c, SOL_SOCKET, SO_RCVLOWAT));
}

TEST_F(Kernel, WhoLearnsThatItFailedIsWoken) {
  const int a = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(a, kHost, 99)));
  const int ep = watch(a, EPOLLIN | EPOLLET);
  EXPECT_EQ(std::vector<int>{a}, ready(ep));
  EXPECT_EQ(ECONNREFUSED, ERRNO_OF(h.connect(a, kHost, 99)));
  EXPECT_EQ(std::vector<int>{a}, ready(ep));
}

// -- Options that are kept ---------------------------------------------------------------------

TEST_F(Kernel, OptionsOfDatagramsOnAStreamAndTheOther) {
  for (const int name : {IP_RECVTTL, IP_PKTINFO, IP_RECVTOS}) {
    EXPECT_EQ(0, h.set(c, IPPROTO_IP, name, 5));
    EXPECT_EQ(1, h.get(c, IPPROTO_IP, name));
  }
  const int six = h.tcp(AF_INET6), u = udp();
  for (const int name : {IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO, IPV6_RECVTCLASS}) {
    EXPECT_EQ(0, h.set(six, IPPROTO_IPV6, name, 5));
    EXPECT_EQ(1, h.get(six, IPPROTO_IPV6, name));
  }
  EXPECT_EQ(0, h.get(six, IPPROTO_IP, IP_RECVTOS));
  for (const int name : {SO_DONTROUTE, SO_OOBINLINE}) {
    EXPECT_EQ(0, h.set(u, SOL_SOCKET, name, 5));
    EXPECT_EQ(1, h.get(u, SOL_SOCKET, name));
  }
  EXPECT_EQ(1, h.get(u, SOL_SOCKET, SO_SNDLOWAT));
  EXPECT_EQ(0, h.set(u, SOL_SOCKET, SO_MAX_PACING_RATE, 5'000));
  EXPECT_EQ(5'000, h.get(u, SOL_SOCKET, SO_MAX_PACING_RATE));
  EXPECT_EQ(0, h.set(u, IPPROTO_IP, IP_TOS, 0x120));
  EXPECT_EQ(0x20, h.get(u, IPPROTO_IP, IP_TOS));
  EXPECT_EQ(0, h.set(u, SOL_SOCKET, SO_INCOMING_CPU, 3));
  EXPECT_EQ(3, h.get(u, SOL_SOCKET, SO_INCOMING_CPU));
  std::uint32_t words[9];
  socklen_t n = sizeof words;
  EXPECT_EQ(0, weir_getsockopt(h, u, SOL_SOCKET, SO_MEMINFO, words, &n));
  EXPECT_EQ(36U, n);
  EXPECT_EQ(212'992U, words[1]);
}

// -- What waits, and who is told --------------------------------------------------------------

TEST_F(Kernel, WhoCameLastIsToldFirst) {
  const int first = watch(c, EPOLLIN), second = watch(c, EPOLLIN);
  const int both = watch(first, EPOLLIN);
  add(both, second, EPOLLIN);
  EXPECT_EQ(1, h.write(s, "x"));
  EXPECT_EQ((std::vector<int>{second, first}), ready(both));
}

TEST_F(Kernel, TextBelowTheMarkWakesNobody) {
  EXPECT_EQ(0, h.set(c, SOL_SOCKET, SO_RCVLOWAT, 10));
  const int ep = watch(c, EPOLLIN | EPOLLOUT | EPOLLET);
  EXPECT_EQ(std::vector<int>{c}, ready(ep));
  EXPECT_EQ(9, h.write(s, "123456789"));
  EXPECT_EQ(std::vector<int>{}, ready(ep));
  EXPECT_EQ(1, h.write(s, "0"));
  EXPECT_EQ(std::vector<int>{c}, ready(ep));
}

TEST_F(Kernel, ASendBufferThatIsSetIsRoom) {
  const int u = udp();
  const int ep = watch(c, EPOLLOUT | EPOLLET);
  add(ep, u, EPOLLOUT | EPOLLET);
  EXPECT_EQ((std::vector<int>{c, u}), ready(ep));
  EXPECT_EQ(0, h.set(u, SOL_SOCKET, SO_SNDBUF, 90'000));
  EXPECT_EQ(0, h.set(c, SOL_SOCKET, SO_SNDBUF, 90'000));
  EXPECT_EQ((std::vector<int>{u, c}), ready(ep));
}

TEST_F(Kernel, AShutdownBeforeTheConnectionSendsNoFinAndOneAfterDoes) {
  const int a = h.tcp();
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, a, SHUT_WR)));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(a, kHost, 80)));
  const int b = h.accept(l);
  EXPECT_EQ(0U, weir_ready(h, b) & EPOLLRDHUP);
  EXPECT_EQ(0, weir_shutdown(h, a, SHUT_WR));
  EXPECT_NE(0U, weir_ready(h, b) & EPOLLRDHUP);
}

TEST_F(Kernel, WhatWasShutBeforeTheConnectionIsNoEndOfIt) {
  const int a = h.tcp();
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, a, SHUT_RDWR)));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(a, kHost, 80)));
  const int b = h.accept(l);
  EXPECT_EQ(2, h.write(b, "hi"));  // no reset for it
  EXPECT_EQ("hi", h.read(a));
  EXPECT_EQ(0, weir_shutdown(h, b, SHUT_WR));
  EXPECT_EQ(0, disconnect(b));      // a RST
  EXPECT_EQ(EPIPE, h.error_of(a));  // where the peer's FIN came, and ours did not go
}

TEST_F(Kernel, ChildrenAreBoundAsTheirListener) {
  EXPECT_EQ(0, disconnect(s));
  EXPECT_EQ(kHost, h.local(s).addr);
  EXPECT_EQ(0, disconnect(c));
  EXPECT_EQ(kAny4, h.local(c).addr);
}

TEST_F(Kernel, WhatIsHeldBackIsAddedToAfterTheEnd) {
  const int u = udp(), v = udp();
  EXPECT_EQ(0, h.bind(v, kHost, 53));
  EXPECT_EQ(0, h.connect(u, kHost, 53));
  EXPECT_EQ(0, h.set(u, IPPROTO_UDP, UDP_CORK, 1));
  EXPECT_EQ(1, h.write(u, "a"));
  EXPECT_EQ(0, weir_shutdown(h, u, SHUT_WR));
  EXPECT_EQ(1, h.write(u, "b"));
  EXPECT_EQ(0, h.set(u, IPPROTO_UDP, UDP_CORK, 0));
  EXPECT_EQ("ab", h.read(v));
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(u, "c")));
}

TEST_F(Kernel, ListenAsksWhoHoldsThePort) {
  EXPECT_EQ(0, weir_close(h, s));
  EXPECT_EQ(0, weir_close(h, c));  // TIME-WAIT at port 80
  EXPECT_EQ(0, disconnect(l));
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(weir_listen(h, l, 1)));
  EXPECT_EQ(0, h.set(l, SOL_SOCKET, SO_REUSEADDR, 1));
  EXPECT_EQ(0, weir_listen(h, l, 1));
}

TEST_F(Kernel, V6OnlyTakesNoNameOfIpv4) {
  const int u = udp(AF_INET6);
  EXPECT_EQ(0, h.set(u, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.bind(u, kHost, 53, true)));
}

// An IPv6 socket is told of IPv4's header in IPv4's words.
TEST_F(Kernel, ADatagramOfIpv4ComesWithItsOwnMessages) {
  const int six = udp(AF_INET6);
  EXPECT_EQ(0, h.bind(six, IpAddr{}, 53, true));
  EXPECT_EQ(0, h.set(six, IPPROTO_IP, IP_RECVTTL, 1));
  EXPECT_EQ(0, h.set(six, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
  EXPECT_EQ(5, send_to(udp(), kHost, 53));
  EXPECT_EQ(5, send_to(udp(AF_INET6), kHost6, 53, true));
  for (const auto& [level, type] : {std::pair{IPPROTO_IP, IP_TTL}, {IPPROTO_IPV6, IPV6_HOPLIMIT}}) {
    alignas(cmsghdr) char room[128];
    msghdr m{};
    m.msg_control = room;
    m.msg_controllen = sizeof room;
    EXPECT_EQ(0, weir_recvmsg(h, six, &m, 0));
    const cmsghdr* one = CMSG_FIRSTHDR(&m);
    ASSERT_NE(nullptr, one);
    EXPECT_EQ(level, one->cmsg_level);
    EXPECT_EQ(type, one->cmsg_type);
    EXPECT_EQ(CMSG_SPACE(sizeof(int)), m.msg_controllen);
  }
}

// MSG_MORE: text that comes without news of ours is no reason to send what is held.
TEST(KernelHolding, TextThatTellsNothingLeavesWhatIsHeld) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  EXPECT_EQ(5, weir_send(h, fd, "hello", 5, MSG_MORE));
  p.expect_none();
  p.send({.seq = 1, .ack = 1, .text = "abc"});
  for (const Sent& out : h.drain()) EXPECT_EQ("", out.text);
  p.send({.seq = 4, .ack = 1});
  EXPECT_EQ("hello", p.expect().text);
}

// Milliseconds of the connection's own clock, as on its segments.
TEST(KernelClock, TimestampIsThatOfTheSegments) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  wire::TcpOptions options;
  options.has_timestamps = true;
  options.ts_val = 1;
  p.send({.seq = 0, .flags = SYN, .options = options});
  (void)p.expect();
  p.send({.seq = 1, .ack = 1, .options = options});
  const int fd = h.accept(l);
  EXPECT_EQ(EPERM, ERRNO_OF(h.set(fd, IPPROTO_TCP, TCP_TIMESTAMP, 1)));
  h.pass(7 * kMs);
  const auto told = static_cast<std::uint32_t>(h.get(fd, IPPROTO_TCP, TCP_TIMESTAMP));
  EXPECT_EQ(1, h.write(fd, "x"));
  EXPECT_EQ(told, p.expect().frame.tcp.options.ts_val);
}

}  // namespace
}  // namespace weir::posix::test
