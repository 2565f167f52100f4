// epoll over a stack's descriptors: the rules of fs/eventpoll.c, one by one (lib/socket/epoll.cc).
#include <sys/epoll.h>

#include <array>
#include <map>

#include "harness.h"

namespace weir::posix::test {
namespace {

using Events = std::vector<std::pair<int, std::uint32_t>>;  // in the order told: data.fd, bits

struct Epolls : testing::Test {
  Host host;
  int listener = host.listener(80);
  int ep = weir_epoll_create1(host, 0);
  std::uint16_t next_port = 40'000;

  // EPOLL_CTL_*: 0 or the errno.
  int control(int epfd, int op, int fd, std::uint32_t events) {
    epoll_event ev{};
    ev.events = events;
    ev.data.fd = fd;
    return weir_epoll_ctl(host, epfd, op, fd, &ev) == 0 ? 0 : errno;
  }
  int add(int fd, std::uint32_t events) { return control(ep, EPOLL_CTL_ADD, fd, events); }
  int mod(int fd, std::uint32_t events) { return control(ep, EPOLL_CTL_MOD, fd, events); }
  int del(int fd) { return control(ep, EPOLL_CTL_DEL, fd, 0); }
  Events wait(int epfd, int most = 16) {
    std::array<epoll_event, 16> out{};
    const int n = weir_epoll_wait(host, epfd, out.data(), most);
    EXPECT_GE(n, 0) << errno;
    Events all;
    for (int i = 0; i < n; ++i) {
      const epoll_event& e = out[static_cast<std::size_t>(i)];
      all.emplace_back(e.data.fd, e.events);
    }
    return all;
  }
  Events wait() { return wait(ep); }

  // A connection that was accepted, and its peer.
  struct Open {
    int fd;
    Peer peer;
    std::uint32_t sent = 1;  // octets of the peer's sequence space
    void send(const std::string& text) {
      peer.send({.seq = sent, .ack = 1, .flags = ACK | PSH, .text = text});
      sent += static_cast<std::uint32_t>(text.size());
    }
  };
  Open open() {
    (void)host.drain();
    Open o{-1, Peer(host, kPeer, next_port++, kHost, 80)};
    o.peer.open();
    o.fd = host.accept(listener);
    EXPECT_GE(o.fd, 0);
    return o;
  }
};

TEST_F(Epolls, ListensForConnections) {
  EXPECT_EQ(0, add(listener, EPOLLIN));
  EXPECT_EQ(Events{}, wait());
  Peer p(host, kPeer, 40'000, kHost, 80);
  p.open();
  EXPECT_EQ((Events{{listener, EPOLLIN}}), wait());
  EXPECT_EQ((Events{{listener, EPOLLIN}}), wait());
  EXPECT_GE(host.accept(listener), 0);
  EXPECT_EQ(Events{}, wait());
}

TEST_F(Epolls, LevelIsToldAsLongAsItHolds) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, EPOLLIN));
  EXPECT_EQ(Events{}, wait());
  o.send("hello");
  for (int i = 0; i < 3; ++i) EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ("hel", host.read(o.fd, 3));
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ("lo", host.read(o.fd));
  EXPECT_EQ(Events{}, wait());
}

TEST_F(Epolls, EdgeIsToldOnceForEachThatCame) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, EPOLLIN | EPOLLET));
  o.send("a");
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ(Events{}, wait());
  o.send("b");  // unread text is there, and more came
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ("ab", host.read(o.fd));
  EXPECT_EQ(Events{}, wait());
}

// A wake-up for text is none for room (the key of a wake-up).
TEST_F(Epolls, AnEdgeForRoomIsNotToldOfText) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, EPOLLOUT | EPOLLET));
  EXPECT_EQ((Events{{o.fd, EPOLLOUT}}), wait());
  o.send("a");
  EXPECT_EQ(Events{}, wait());
}

// ... but who asked for both is told of both when one comes.
TEST_F(Epolls, AnEdgeTellsAllThatHolds) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, EPOLLIN | EPOLLOUT | EPOLLET));
  EXPECT_EQ((Events{{o.fd, EPOLLOUT}}), wait());
  o.send("a");
  EXPECT_EQ((Events{{o.fd, EPOLLIN | EPOLLOUT}}), wait());
}

TEST_F(Epolls, OneShotIsToldOnceUntilItIsArmedAgain) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, EPOLLIN | EPOLLONESHOT));
  o.send("a");
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  o.send("b");
  EXPECT_EQ(Events{}, wait());
  EXPECT_EQ(EEXIST, add(o.fd, EPOLLIN));
  EXPECT_EQ(0, mod(o.fd, EPOLLIN | EPOLLONESHOT));
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ(Events{}, wait());
}

TEST_F(Epolls, AOneShotThatWasToldHearsNoHangUpEither) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, EPOLLIN | EPOLLONESHOT));
  o.send("a");
  EXPECT_EQ(1U, wait().size());
  o.peer.send({.seq = o.sent, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ(Events{}, wait());
}

TEST_F(Epolls, HangUpAndErrorAreToldUnasked) {
  Open o = open();
  EXPECT_EQ(0, add(o.fd, 0));
  o.send("a");
  EXPECT_EQ(Events{}, wait());
  o.peer.send({.seq = o.sent, .ack = 1, .flags = RST | ACK});
  EXPECT_EQ((Events{{o.fd, EPOLLERR | EPOLLHUP}}), wait());
  EXPECT_EQ(ECONNRESET, host.error_of(o.fd));
  EXPECT_EQ((Events{{o.fd, EPOLLHUP}}), wait());
}

TEST_F(Epolls, TheEndOfThePeersTextIsToldToWhoAsks) {
  Open o = open();
  Open other = open();
  EXPECT_EQ(0, add(o.fd, EPOLLRDHUP));
  EXPECT_EQ(0, add(other.fd, EPOLLIN));
  for (Open* x : {&o, &other}) x->peer.send({.seq = 1, .ack = 1, .flags = FIN | ACK});
  EXPECT_EQ((Events{{o.fd, EPOLLRDHUP}, {other.fd, EPOLLIN}}), wait());
}

TEST_F(Epolls, WhatIsReadyAlreadyIsToldWhenItIsAddedOrChanged) {
  Open o = open();
  o.send("a");
  EXPECT_EQ(0, add(o.fd, EPOLLIN | EPOLLET));
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ(Events{}, wait());
  EXPECT_EQ(0, mod(o.fd, EPOLLIN | EPOLLET));
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ(0, mod(o.fd, EPOLLPRI));
  EXPECT_EQ(Events{}, wait());
}

TEST_F(Epolls, ThoseThatAreReadyTakeTurns) {
  std::vector<Open> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(open());
    EXPECT_EQ(0, add(all.back().fd, EPOLLIN));
    all.back().send("x");
  }
  for (int round = 0; round < 3; ++round) {
    std::map<int, int> told;
    for (int i = 0; i < 5; ++i) {
      const Events one = wait(ep, 1);
      ASSERT_EQ(1U, one.size());
      ++told[one[0].first];
    }
    EXPECT_EQ(5U, told.size()) << "one had two turns";
  }
  EXPECT_EQ(5U, wait().size());
}

TEST_F(Epolls, AnErrorOfEachKind) {
  Open o = open();
  const int gone = host.tcp();
  weir_close(host, gone);
  EXPECT_EQ(EBADF, add(gone, EPOLLIN));
  EXPECT_EQ(EBADF, control(gone, EPOLL_CTL_ADD, o.fd, EPOLLIN));
  EXPECT_EQ(EBADF, add(-1, EPOLLIN));
  EXPECT_EQ(EINVAL, control(o.fd, EPOLL_CTL_ADD, listener, EPOLLIN));  // no epoll
  EXPECT_EQ(EINVAL, control(ep, EPOLL_CTL_ADD, ep, EPOLLIN));          // itself
  EXPECT_EQ(ENOENT, mod(o.fd, EPOLLIN));
  EXPECT_EQ(ENOENT, del(o.fd));
  EXPECT_EQ(0, add(o.fd, EPOLLIN));
  EXPECT_EQ(EEXIST, add(o.fd, EPOLLIN));
  EXPECT_EQ(EINVAL, control(ep, 4, o.fd, EPOLLIN));
  EXPECT_EQ(-1, weir_epoll_ctl(host, ep, EPOLL_CTL_MOD, o.fd, nullptr));
  EXPECT_EQ(EFAULT, errno);
  EXPECT_EQ(0, weir_epoll_ctl(host, ep, EPOLL_CTL_DEL, o.fd, nullptr));
  EXPECT_EQ(-1, weir_epoll_create1(host, 1));
  EXPECT_EQ(EINVAL, errno);
}

TEST_F(Epolls, WaitWantsRoomForOneAtLeast) {
  epoll_event ev{};
  const auto failed = [&](int epfd, epoll_event* out, int most) {
    errno = 0;
    EXPECT_EQ(-1, weir_epoll_wait(host, epfd, out, most));
    return errno;
  };
  EXPECT_EQ(EINVAL, failed(ep, &ev, 0));
  EXPECT_EQ(EINVAL, failed(ep, &ev, -1));
  EXPECT_EQ(EINVAL, failed(ep, &ev, 0x7fff'ffff));
  EXPECT_EQ(EFAULT, failed(ep, nullptr, 1));
  EXPECT_EQ(EBADF, failed(1'000, &ev, 1));
  EXPECT_EQ(EINVAL, failed(listener, &ev, 1));
}

TEST_F(Epolls, ExclusiveIsForAddAlone) {
  const int inner = weir_epoll_create1(host, EPOLL_CLOEXEC);
  EXPECT_EQ(EINVAL, add(listener, EPOLLEXCLUSIVE | EPOLLIN | EPOLLONESHOT));
  EXPECT_EQ(EINVAL, add(listener, EPOLLEXCLUSIVE | EPOLLIN | EPOLLRDHUP));
  EXPECT_EQ(EINVAL, add(inner, EPOLLEXCLUSIVE | EPOLLIN));
  EXPECT_EQ(0, add(listener, EPOLLEXCLUSIVE | EPOLLIN | EPOLLET));
  EXPECT_EQ(EINVAL, mod(listener, EPOLLIN));
  EXPECT_EQ(0, del(listener));
  EXPECT_EQ(0, add(listener, EPOLLIN));
  EXPECT_EQ(EINVAL, mod(listener, EPOLLEXCLUSIVE | EPOLLIN));
}

// Each has it in its list, one of them is told, and the next time the other.
TEST_F(Epolls, OfThoseThatShareOneIsWokenUp) {
  const int other = weir_epoll_create1(host, 0);
  EXPECT_EQ(0, add(listener, EPOLLEXCLUSIVE | EPOLLIN));
  EXPECT_EQ(0, control(other, EPOLL_CTL_ADD, listener, EPOLLEXCLUSIVE | EPOLLIN));
  std::vector<int> told;
  weir_stack_on_ready(
      host,
      [](void* context, int fd, std::uint32_t) {
        static_cast<std::vector<int>*>(context)->push_back(fd);
      },
      &told);
  for (const int want : {ep, other, ep}) {
    told.clear();
    Peer p(host, kPeer, next_port++, kHost, 80);
    p.open();
    EXPECT_EQ((std::vector<int>{listener, want}), told);
    EXPECT_EQ(1U, wait(ep).size());
    EXPECT_EQ(1U, wait(other).size());
    EXPECT_GE(host.accept(listener), 0);
  }
  weir_stack_on_ready(host, nullptr, nullptr);
}

TEST_F(Epolls, AnEpollCanBeWatched) {
  const int outer = weir_epoll_create1(host, 0);
  Open o = open();
  EXPECT_EQ(0, control(outer, EPOLL_CTL_ADD, ep, EPOLLIN));
  EXPECT_EQ(0, add(o.fd, EPOLLIN));
  EXPECT_EQ(Events{}, wait(outer));
  EXPECT_EQ(0U, weir_ready(host, ep));
  o.send("a");
  EXPECT_EQ((Events{{ep, EPOLLIN}}), wait(outer));
  EXPECT_EQ(std::uint32_t{EPOLLIN | EPOLLRDNORM}, weir_ready(host, ep));
  EXPECT_EQ((Events{{o.fd, EPOLLIN}}), wait());
  EXPECT_EQ("a", host.read(o.fd));
  EXPECT_EQ(Events{}, wait(outer));
  EXPECT_EQ(0U, weir_ready(host, ep));
}

TEST_F(Epolls, NoneWatchesItselfHoweverLongTheWay) {
  const int b = weir_epoll_create1(host, 0);
  const int c = weir_epoll_create1(host, 0);
  EXPECT_EQ(0, control(ep, EPOLL_CTL_ADD, b, EPOLLIN));
  EXPECT_EQ(0, control(b, EPOLL_CTL_ADD, c, EPOLLIN));
  EXPECT_EQ(ELOOP, control(c, EPOLL_CTL_ADD, ep, EPOLLIN));
  EXPECT_EQ(ELOOP, control(b, EPOLL_CTL_ADD, ep, EPOLLIN));
  EXPECT_EQ(0, weir_close(host, b));
  EXPECT_EQ(0, control(c, EPOLL_CTL_ADD, ep, EPOLLIN));
}

// As the kernel: five in a row, from whichever end they are joined.
TEST_F(Epolls, OfThoseThatWatchEachOtherFiveMayBeInARow) {
  std::vector<int> row;
  for (int i = 0; i < 6; ++i) row.push_back(weir_epoll_create1(host, 0));
  const auto join = [&](std::size_t i) {
    return control(row[i], EPOLL_CTL_ADD, row[i + 1], EPOLLIN);
  };
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(0, join(i));
  EXPECT_EQ(ELOOP, join(4));
  Open o = open();
  EXPECT_EQ(0, control(row[4], EPOLL_CTL_ADD, o.fd, EPOLLIN));
  o.send("a");
  EXPECT_EQ((Events{{row[1], EPOLLIN}}), wait(row[0]));
  EXPECT_EQ(0, control(row[0], EPOLL_CTL_DEL, row[1], 0));
  EXPECT_EQ(0, join(4));
  EXPECT_EQ(ELOOP, join(0));
}

TEST_F(Epolls, WhatIsClosedIsWatchedNoMore) {
  Open o = open();
  const int outer = weir_epoll_create1(host, 0);
  EXPECT_EQ(0, control(outer, EPOLL_CTL_ADD, ep, EPOLLIN));
  EXPECT_EQ(0, add(o.fd, EPOLLIN));
  o.send("a");
  EXPECT_EQ(0, weir_close(host, o.fd));
  EXPECT_EQ(Events{}, wait());
  EXPECT_EQ(Events{}, wait(outer));
  const int again = host.tcp();  // the same number, another socket
  EXPECT_EQ(o.fd, again);
  EXPECT_EQ(ENOENT, mod(again, EPOLLIN));
  EXPECT_EQ(0, add(again, EPOLLIN));
  EXPECT_EQ((Events{{again, EPOLLHUP}}), wait());
  EXPECT_EQ(0, weir_close(host, ep));
  EXPECT_EQ(Events{}, wait(outer));
}

TEST_F(Epolls, NumbersRunOut) {
  int n = 0;
  while (weir_epoll_create1(host, 0) >= 0) ASSERT_LT(++n, 100);
  EXPECT_EQ(EMFILE, errno);
}

}  // namespace
}  // namespace weir::posix::test
