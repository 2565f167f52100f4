// bind, listen, accept, connect, shutdown, names: what Linux returns, to the number.
#include <fcntl.h>

#include "harness.h"

namespace weir::posix::test {
namespace {

// Runs `call` and gives the errno that it leaves, 0 for success.
#define ERRNO_OF(call) ((call) < 0 ? errno : 0)

TEST(SocketCall, RefusesWhatLinuxRefuses) {
  Host h;
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(weir_socket(h, AF_UNIX, SOCK_STREAM, 0)));
  EXPECT_EQ(ESOCKTNOSUPPORT, ERRNO_OF(weir_socket(h, AF_INET, SOCK_SEQPACKET, 0)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_socket(h, AF_INET, 77, 0)));
  EXPECT_EQ(EPROTONOSUPPORT, ERRNO_OF(weir_socket(h, AF_INET, SOCK_STREAM, IPPROTO_UDP)));
  EXPECT_EQ(3, weir_socket(h, AF_INET, SOCK_STREAM, IPPROTO_TCP));
}

TEST(SocketCall, DescriptorsAreTheLowestFreeAndEnd) {
  Host h({.max_sockets = 3});
  EXPECT_EQ(3, h.tcp());
  EXPECT_EQ(4, h.tcp());
  EXPECT_EQ(5, h.tcp());
  EXPECT_EQ(EMFILE, ERRNO_OF(h.tcp()));
  EXPECT_EQ(0, weir_close(h, 4));
  EXPECT_EQ(4, h.tcp());
  EXPECT_EQ(EBADF, ERRNO_OF(weir_close(h, 2)));
  EXPECT_EQ(EBADF, ERRNO_OF(weir_close(h, -1)));
  EXPECT_EQ(EBADF, ERRNO_OF(weir_listen(h, 6, 1)));
}

TEST(SocketCall, FlagsAreKept) {
  Host h;
  const int fd = weir_socket(h, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  EXPECT_EQ(O_RDWR | O_NONBLOCK, weir_fcntl(h, fd, F_GETFL, 0));
  EXPECT_EQ(FD_CLOEXEC, weir_fcntl(h, fd, F_GETFD, 0));
  EXPECT_EQ(0, weir_fcntl(h, fd, F_SETFL, 0));
  EXPECT_EQ(O_RDWR, weir_fcntl(h, fd, F_GETFL, 0));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_fcntl(h, fd, F_DUPFD, 0)));
}

TEST(BindCall, ErrorsInLinuxsOrder) {
  Host h;
  const int fd = h.tcp();
  const Name good(kHost, 80), other(kPeer, 80), six(kHost6, 80);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_bind(h, fd, good.get(), 8)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_bind(h, fd, nullptr, sizeof(sockaddr_in))));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(weir_bind(h, fd, six.get(), six.length)));
  EXPECT_EQ(EADDRNOTAVAIL, ERRNO_OF(weir_bind(h, fd, other.get(), other.length)));
  EXPECT_EQ(0, weir_bind(h, fd, good.get(), good.length));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_bind(h, fd, good.get(), good.length)));
  EXPECT_EQ(EADDRNOTAVAIL, ERRNO_OF(weir_bind(h, fd, other.get(), other.length)));
  EXPECT_EQ((Endpoint{kHost, 80}), h.local(fd));
}

TEST(BindCall, PortZeroIsAnEphemeralPort) {
  Host h;
  const int a = h.tcp(), b = h.tcp();
  EXPECT_EQ(0, h.bind(a, kHost, 0));
  EXPECT_EQ(0, h.bind(b, kHost, 0));
  EXPECT_GE(h.local(a).port, 32'768);
  EXPECT_LE(h.local(a).port, 60'999);
  EXPECT_NE(h.local(a).port, h.local(b).port);
}

// SO_REUSEADDR shares what is asked for, not what is chosen.
TEST(BindCall, APortThatIsChosenIsNobodysYet) {
  Host h({.settings = {{"ip_local_port_range", "40000 40001"}}});
  for (const int error : {0, 0, EADDRINUSE}) {
    const int fd = h.tcp();
    EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    EXPECT_EQ(error, ERRNO_OF(h.bind(fd, kHost, 0)));
  }
}

TEST(BindCall, UnspecFamilyOfOldWithAnyAddress) {
  Host h;
  const int fd = h.tcp();
  Name n(IpAddr::v4(std::uint32_t{0}), 81);
  n.storage.ss_family = AF_UNSPEC;
  EXPECT_EQ(0, weir_bind(h, fd, n.get(), n.length));
  EXPECT_EQ(81, h.local(fd).port);
}

struct Conflict {
  const char* what;
  IpAddr a, b;
  bool six_a, six_b, v6_only;
  bool reuse_addr, reuse_port, listening;
  int error;
};

class BindConflict : public testing::TestWithParam<Conflict> {};

TEST_P(BindConflict, AsLinux) {
  const Conflict& c = GetParam();
  Host h;
  const auto make = [&](bool six) {
    const int fd = h.tcp(six ? AF_INET6 : AF_INET);
    if (c.reuse_addr) {
      EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    }
    if (c.reuse_port) {
      EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_REUSEPORT, 1));
    }
    if (six && c.v6_only) {
      EXPECT_EQ(0, h.set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    }
    return fd;
  };
  const int a = make(c.six_a), b = make(c.six_b);
  EXPECT_EQ(0, h.bind(a, c.a, 80, c.six_a));
  if (c.listening) {
    EXPECT_EQ(0, weir_listen(h, a, 1));
  }
  EXPECT_EQ(c.error, ERRNO_OF(h.bind(b, c.b, 80, c.six_b))) << c.what;
}

constexpr IpAddr kAny4 = IpAddr::v4(std::uint32_t{0});
constexpr IpAddr kAny6{};
constexpr IpAddr kSecond = IpAddr::v4(192, 0, 2, 9);

INSTANTIATE_TEST_SUITE_P(
    All, BindConflict,
    testing::Values(
        Conflict{"same", kHost, kHost, false, false, false, false, false, false, EADDRINUSE},
        Conflict{"any", kHost, kAny4, false, false, false, false, false, false, EADDRINUSE},
        Conflict{"any first", kAny4, kHost, false, false, false, false, false, false, EADDRINUSE},
        Conflict{"reuse", kHost, kHost, false, false, false, true, false, false, 0},
        Conflict{"reuse, one listens", kHost, kHost, false, false, false, true, false, true,
                 EADDRINUSE},
        Conflict{"reuse, any listens", kAny4, kHost, false, false, false, true, false, true,
                 EADDRINUSE},
        Conflict{"reuseport", kHost, kHost, false, false, false, false, true, true, 0},
        Conflict{"dual", kAny6, kHost, true, false, false, false, false, false, EADDRINUSE},
        Conflict{"v6only", kAny6, kHost, true, false, true, false, false, false, 0},
        Conflict{"v6only, all", kAny6, kAny4, true, false, true, false, false, false, 0},
        Conflict{"six and six", kAny6, kHost6, true, true, true, false, false, false, EADDRINUSE},
        Conflict{"families", kHost6, kHost, true, false, false, false, false, false, 0},
        Conflict{"mapped", kHost, kHost, true, false, false, false, false, false, EADDRINUSE}));

TEST(BindCall, AnotherAddressIsAnotherPlace) {
  Host h({.addresses = {"192.0.2.1/24", "192.0.2.9/24"}});
  const int a = h.tcp(), b = h.tcp();
  EXPECT_EQ(0, h.bind(a, kHost, 80));
  EXPECT_EQ(0, h.bind(b, kSecond, 80));
}

TEST(BindCall, WhatWasClosedHoldsItsPlaceForAWhile) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  const int fd = h.accept(l);
  EXPECT_EQ(0, weir_close(h, l));
  EXPECT_EQ(0, weir_close(h, fd));
  (void)p.expect();
  const int again = h.tcp(), any = h.tcp(), reuse = h.tcp();
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(h.bind(again, kHost, 80)));  // FIN-WAIT-1
  p.send({.seq = 1, .ack = 2, .flags = FIN | ACK});
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(h.bind(again, kHost, 80)));  // TIME-WAIT
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(h.bind(any, kAny4, 80)));
  EXPECT_EQ(0, h.bind(any, kAny4, 81));
  EXPECT_EQ(0, h.set(reuse, SOL_SOCKET, SO_REUSEADDR, 1));
  EXPECT_EQ(0, h.bind(reuse, kHost, 80));
  EXPECT_EQ(0, weir_close(h, reuse));
  h.pass(61 * kS);
  EXPECT_EQ(0, h.bind(again, kHost, 80));
}

TEST(ListenCall, LooksAgainAtWhoElseIsThere) {
  Host h;
  const int a = h.tcp(), b = h.tcp();
  for (const int fd : {a, b}) {
    EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    EXPECT_EQ(0, h.bind(fd, kHost, 80));
  }
  EXPECT_EQ(0, weir_listen(h, a, 1));
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(weir_listen(h, b, 1)));
  EXPECT_EQ(0, weir_close(h, a));
  EXPECT_EQ(0, weir_listen(h, b, 1));
}

TEST(ListenCall, AWildcardThatListensExcludesTheOthers) {
  Host h;
  const int any = h.tcp(), one = h.tcp();
  for (const int fd : {any, one}) EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
  EXPECT_EQ(0, h.bind(any, kAny4, 80));
  EXPECT_EQ(0, h.bind(one, kHost, 80));
  EXPECT_EQ(0, weir_listen(h, any, 1));
  EXPECT_EQ(EADDRINUSE, ERRNO_OF(weir_listen(h, one, 1)));
}

TEST(ListenCall, UnboundGetsAPortAndConnectedIsInvalid) {
  Host h;
  const int l = h.tcp();
  EXPECT_EQ(0, weir_listen(h, l, 1));
  EXPECT_GE(h.local(l).port, 32'768);
  EXPECT_EQ(1, h.get(l, SOL_SOCKET, SO_ACCEPTCONN));
  EXPECT_EQ(0, weir_listen(h, l, 5));
  const int c = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, kPeer, 80)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_listen(h, c, 1)));
  EXPECT_EQ(EISCONN, ERRNO_OF(h.connect(l, kPeer, 80)));
}

TEST(ListenCall, ShutdownOfAListenerEndsItAndItMayListenAgain) {
  Host h;
  const int l = h.listener(80);
  EXPECT_EQ(0, weir_shutdown(h, l, SHUT_WR));
  EXPECT_EQ(1, h.get(l, SOL_SOCKET, SO_ACCEPTCONN));
  EXPECT_EQ(0, weir_shutdown(h, l, SHUT_RD));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.accept(l)));
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.send({.seq = 0, .flags = SYN});
  EXPECT_EQ(RST | ACK, p.expect().flags());
  EXPECT_EQ((Endpoint{kHost, 80}), h.local(l));
  EXPECT_EQ(0, weir_listen(h, l, 1));
  p.open();
}

TEST(AcceptCall, ErrorsAndNames) {
  Host h({.max_sockets = 2});
  const int l = h.listener(80);
  const int c = h.tcp();
  EXPECT_EQ(EMFILE, ERRNO_OF(h.accept(l)));
  EXPECT_EQ(0, weir_close(h, c));
  EXPECT_EQ(EAGAIN, ERRNO_OF(h.accept(l)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_accept4(h, l, nullptr, nullptr, 1)));
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  Name n;
  n.length = 4;
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_accept(h, l, n.get(), nullptr)));
  const int fd = weir_accept4(h, l, n.get(), &n.length, SOCK_NONBLOCK);
  EXPECT_EQ(c, fd);
  EXPECT_EQ(sizeof(sockaddr_in), n.length);  // the true length; four octets were written
  EXPECT_EQ(4'000, ntohs(reinterpret_cast<const sockaddr_in*>(&n.storage)->sin_port));
  EXPECT_EQ(0U, reinterpret_cast<const sockaddr_in*>(&n.storage)->sin_addr.s_addr);
  EXPECT_EQ(O_RDWR | O_NONBLOCK, weir_fcntl(h, fd, F_GETFL, 0));
  EXPECT_EQ(0, weir_close(h, l));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.accept(fd)));
}

// The queue counts against the backlog until the program accepts; Linux lets one more in.
TEST(AcceptCall, ABacklogThatIsFullDropsTheLastAck) {
  Host h;
  const int l = h.listener(80, 1);
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 3; ++i) {
    peers.emplace_back(h, kPeer, static_cast<std::uint16_t>(4'000 + i), kHost, 80);
  }
  peers[2].send({.seq = 0, .flags = SYN});  // its handshake begins while there is room
  EXPECT_EQ(SYN | ACK, peers[2].expect().flags());
  peers[0].open();
  peers[1].open();
  peers[2].send({.seq = 1, .ack = 1});
  EXPECT_GE(h.accept(l), 0);
  EXPECT_GE(h.accept(l), 0);
  EXPECT_EQ(EAGAIN, ERRNO_OF(h.accept(l)));
  peers[2].send({.seq = 1, .ack = 1});
  EXPECT_GE(h.accept(l), 0);
}

TEST(AcceptCall, WhatEndedWhileItWaitedIsHandedOut) {
  Host h;
  const int l = h.listener(80);
  Peer p(h, kPeer, 4'000, kHost, 80);
  p.open();
  p.send({.seq = 1, .ack = 1, .text = "last"});
  p.send({.seq = 5, .ack = 1, .flags = RST | ACK});
  const int fd = h.accept(l);
  ASSERT_GE(fd, 0);
  EXPECT_EQ("last", h.read(fd));
  EXPECT_EQ("!" + std::to_string(ECONNRESET), h.read(fd));
  EXPECT_EQ("", h.read(fd));
}

TEST(ConnectCall, RefusedIsToldOnceByConnectItself) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  Peer p(h, kPeer, 80, kHost, h.local(fd).port);
  (void)p.expect();
  p.send({.ack = 1, .flags = RST | ACK});
  EXPECT_EQ(ECONNREFUSED, ERRNO_OF(h.connect(fd, kPeer, 80)));
  EXPECT_EQ(0, h.error_of(fd));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));  // another one
}

TEST(ConnectCall, RefusedIsToldOnceBySoErrorAndThenAborted) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  Peer p(h, kPeer, 80, kHost, h.local(fd).port);
  (void)p.expect();
  p.send({.ack = 1, .flags = RST | ACK});
  EXPECT_EQ(ECONNREFUSED, h.error_of(fd));
  EXPECT_EQ(0, h.error_of(fd));
  EXPECT_EQ("", h.read(fd));
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(fd, "x")));
  EXPECT_EQ(ECONNABORTED, ERRNO_OF(h.connect(fd, kPeer, 80)));
}

TEST(ConnectCall, WhatItWillNotTry) {
  Host h({.addresses = {"192.0.2.1/24"}});
  const int fd = h.tcp();
  const Name good(kPeer, 80), six(kPeer6, 80);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_connect(h, fd, good.get(), 8)));
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_connect(h, h.tcp(AF_INET6), six.get(), 23)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_connect(h, fd, nullptr, 16)));
  EXPECT_EQ(EAFNOSUPPORT, ERRNO_OF(weir_connect(h, fd, six.get(), six.length)));
  EXPECT_EQ(ENETUNREACH, ERRNO_OF(h.connect(fd, IpAddr::v4(224, 0, 0, 1), 80)));
  EXPECT_EQ(ENETUNREACH, ERRNO_OF(h.connect(fd, IpAddr::v4(192, 0, 2, 255), 80)));
  const int fd6 = h.tcp(AF_INET6);
  EXPECT_EQ(ENETUNREACH, ERRNO_OF(h.connect(fd6, kPeer6, 80)));  // no address of that family
}

TEST(ConnectCall, ABoundSocketUsesItsPlace) {
  Host h;
  const int a = h.tcp(), b = h.tcp();
  for (const int fd : {a, b}) {
    EXPECT_EQ(0, h.set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
    EXPECT_EQ(0, h.bind(fd, kHost, 5'000));
  }
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(a, kPeer, 80)));
  EXPECT_EQ(EADDRNOTAVAIL, ERRNO_OF(h.connect(b, kPeer, 80)));  // the very 4-tuple
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(b, kPeer, 81)));
  EXPECT_EQ((Endpoint{kHost, 5'000}), h.local(a));
}

TEST(ConnectCall, UnspecDisconnects) {
  Host h;
  const int fd = h.tcp();
  Peer p(h, kPeer, 80, kHost, 0);
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 80)));
  p.answer();
  EXPECT_EQ((Endpoint{kPeer, 80}), h.peer(fd));
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  EXPECT_EQ(0, weir_connect(h, fd, &none, sizeof none));
  EXPECT_EQ(RST, p.expect().flags() & RST);
  Name n;
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_getpeername(h, fd, n.get(), &n.length)));
  const Endpoint was = h.local(fd);  // told on, but free
  EXPECT_EQ(0, h.bind(h.tcp(), kHost, was.port));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kPeer, 81)));
  EXPECT_NE(was.port, h.local(fd).port);
  EXPECT_EQ(SYN, p.expect().flags());
}

TEST(ConnectCall, ToTheWildcardIsToThisHost) {
  Host h;
  const int l = h.listener(80);
  const int fd = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(fd, kAny4, 80)));
  EXPECT_EQ(0, h.connect(fd, kAny4, 80));
  EXPECT_EQ((Endpoint{kHost, 80}), h.peer(fd));
  EXPECT_GE(h.accept(l), 0);
}

TEST(NameCall, UnconnectedAndCutShort) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ((Endpoint{kAny4, 0}), h.local(fd));
  Name n;
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_getpeername(h, fd, n.get(), &n.length)));
  EXPECT_EQ(EFAULT, ERRNO_OF(weir_getsockname(h, fd, nullptr, &n.length)));
  n.length = static_cast<socklen_t>(-1);
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_getsockname(h, fd, n.get(), &n.length)));
  const int fd6 = h.tcp(AF_INET6);
  Name n6;
  EXPECT_EQ(0, weir_getsockname(h, fd6, n6.get(), &n6.length));
  EXPECT_EQ(sizeof(sockaddr_in6), n6.length);
}

TEST(DualStack, AListenerOnAllAddressesTakesBothFamilies) {
  Host h;
  const int l = h.listener(80, 8, AF_INET6);
  Peer four(h, kPeer, 4'000, kHost, 80), six(h, kPeer6, 4'000, kHost6, 80);
  four.open();
  six.open();
  const int a = h.accept(l), b = h.accept(l);
  Name n;
  EXPECT_EQ(0, weir_getpeername(h, a, n.get(), &n.length));
  EXPECT_EQ(AF_INET6, n.storage.ss_family);  // mapped
  EXPECT_EQ((Endpoint{kPeer, 4'000}), n.endpoint());
  EXPECT_EQ((Endpoint{kPeer6, 4'000}), h.peer(b));
  EXPECT_EQ((Endpoint{kHost6, 80}), h.local(b));
}

TEST(DualStack, V6OnlyTakesNoIpv4AndConnectsToNone) {
  Host h;
  const int l = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.set(l, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.bind(l, kHost, 80, true)));
  EXPECT_EQ(0, h.bind(l, kAny6, 80));
  EXPECT_EQ(EINVAL, ERRNO_OF(h.set(l, IPPROTO_IPV6, IPV6_V6ONLY, 0)));
  EXPECT_EQ(0, weir_listen(h, l, 4));
  Peer four(h, kPeer, 4'000, kHost, 80);
  four.send({.seq = 0, .flags = SYN});
  EXPECT_EQ(RST | ACK, four.expect().flags());
  const int c = h.tcp(AF_INET6);
  EXPECT_EQ(0, h.set(c, IPPROTO_IPV6, IPV6_V6ONLY, 1));
  EXPECT_EQ(ENETUNREACH, ERRNO_OF(h.connect(c, kPeer, 80, true)));
  EXPECT_EQ(0, h.set(c, IPPROTO_IPV6, IPV6_V6ONLY, 0));
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, kPeer, 80, true)));
}

TEST(ShutdownCall, ErrorsByState) {
  Host h;
  const int fd = h.tcp();
  EXPECT_EQ(EINVAL, ERRNO_OF(weir_shutdown(h, fd, 3)));
  EXPECT_EQ(ENOTCONN, ERRNO_OF(weir_shutdown(h, fd, SHUT_WR)));
  const int c = h.tcp();
  EXPECT_EQ(EINPROGRESS, ERRNO_OF(h.connect(c, kPeer, 80)));
  EXPECT_EQ(0, weir_shutdown(h, c, SHUT_WR));  // the attempt is over
  EXPECT_EQ(ECONNRESET, h.error_of(c));
  EXPECT_EQ(EPIPE, ERRNO_OF(h.write(c, "x")));
}

}  // namespace
}  // namespace weir::posix::test
