// The stack thread as programs see it: gates, stand-ins, requests, the end.
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "harness.h"

namespace weir::preload::test {
namespace {

std::string pattern(std::size_t size) {
  std::string s(size, '\0');
  std::uint32_t x = 1;
  for (char& c : s) c = static_cast<char>((x = x * 1'664'525U + 1'013'904'223U) >> 24U);
  return s;
}

ssize_t write_some(int fd, const std::string& text, std::size_t from) {
  if (ready(fd, POLLOUT) == 0) return -1;
  return send(fd, text.data() + from, text.size() - from, MSG_DONTWAIT | MSG_NOSIGNAL);
}

TEST_F(HostTest, AConnectionCarriesTextBothWays) {
  const Both b = connected(80);
  ASSERT_EQ(5, write(b.fd, "hello", 5));
  EXPECT_EQ("hello", peer_reads(b.peer, 5));
  wire_.with([&](weir_stack* s) { return weir_write(s, b.peer, "world", 5); });
  EXPECT_EQ("world", read_all(b.fd, 5));
  close(b.fd);
}

TEST_F(HostTest, MoreThanAllBuffersHoldArrivesWhole) {
  const Both b = connected(80);
  const std::string text = pattern(3'000'000);
  std::string got;
  std::thread writer([&] {
    std::size_t at = 0;
    while (at < text.size()) {
      const ssize_t n = write_some(b.fd, text, at);
      if (n > 0) at += static_cast<std::size_t>(n);
      if (n < 0 && errno != EAGAIN) break;
    }
    shutdown(b.fd, SHUT_WR);
  });
  got = peer_reads(b.peer, text.size() + 1);
  writer.join();
  EXPECT_TRUE(got == text) << got.size();
  std::size_t sent = 0;
  std::thread sender([&] {
    (void)wire_.until([&](weir_stack* s) {
      const ssize_t n = weir_write(s, b.peer, text.data() + sent, text.size() - sent);
      if (n > 0) sent += static_cast<std::size_t>(n);
      return sent == text.size();
    });
  });
  EXPECT_TRUE(read_all(b.fd, text.size()) == text);
  sender.join();
  close(b.fd);
}

TEST_F(HostTest, AnAcceptedConnectionComesThroughTheGateWithItsAddresses) {
  const std::uint64_t id = open(kProgram, 80);
  const int gate = listen(id);
  Name name;
  ASSERT_TRUE(name_of(gate, name));
  EXPECT_EQ(Kind::kGate, name.kind);
  EXPECT_EQ(htons(80), name.local.port);
  const int peer = peer_connects(80);
  ShortAddress from;
  const int fd = accept(gate, &from);
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(name_of(fd, name));
  EXPECT_EQ(Kind::kStream, name.kind);
  EXPECT_EQ(htons(80), name.local.port);
  EXPECT_EQ(from.port, name.peer.port);
  const sockaddr_storage was = address(kPeerIp, ntohs(from.port));
  sockaddr_storage whole;
  ASSERT_EQ(sizeof(sockaddr_in), lengthen(from, whole));
  EXPECT_EQ(0, std::memcmp(&was, &whole, sizeof(sockaddr_in)));
  ASSERT_EQ(2, write(fd, "ok", 2));
  EXPECT_EQ("ok", peer_reads(peer, 2));
  close(fd);
  close(gate);
}

TEST_F(HostTest, AGateHoldsMoreConnectionsThanItsSocketDoes) {
  const int gate = listen(open(kProgram, 80), 100);
  for (int i = 0; i < 60; ++i) (void)peer_connects(80);
  int n = 0;
  for (int fd = accept(gate); fd >= 0; fd = n < 60 ? accept(gate) : -1) {
    ++n;
    close(fd);
  }
  EXPECT_EQ(60, n);
  close(gate);
}

TEST_F(HostTest, AGateThatIsClosedRefusesAndItsPortIsFree) {
  const int gate = listen(open(kProgram, 80));
  close(gate);
  int error = -1;
  const int again = listen(open(kProgram, 80, &error));
  EXPECT_EQ(0, error) << "the request comes after the close, and is answered after it";
  close(again);
  (void)open(kProgram, 81, &error);
  const int peer = peer_connects(80);
  EXPECT_TRUE(peer_ready(peer, EPOLLERR | EPOLLHUP));
}

TEST_F(HostTest, APortThatIsBoundIsTakenUntilItIsAbandoned) {
  int error = -1;
  const std::uint64_t id = open(kProgram, 80, &error);
  EXPECT_EQ(0, error);
  (void)open(kProgram, 80, &error);
  EXPECT_EQ(EADDRINUSE, error);
  Request r;
  r.op = Op::kAbandon;
  r.id = id;
  Reply reply;
  EXPECT_EQ(0, ask(token_, r, reply));
  EXPECT_EQ(EBADF, ask(token_, r, reply));
  (void)open(kProgram, 80, &error);
  EXPECT_EQ(0, error);
  (void)open("10.0.0.9", 80, &error);
  EXPECT_EQ(EADDRNOTAVAIL, error);
}

TEST_F(HostTest, ARefusedConnectIsToldOnce) {
  const std::uint64_t id = open(nullptr, 0);
  const int fd = connect(id, 9);
  ASSERT_GE(fd, 0);
  EXPECT_NE(0, ready(fd, POLLOUT) & POLLERR);
  EXPECT_EQ(ECONNREFUSED, option(id, SOL_SOCKET, SO_ERROR));
  EXPECT_EQ(0, option(id, SOL_SOCKET, SO_ERROR));
  close(fd);
}

TEST_F(HostTest, WhileItConnectsAStandInIsNotWritable) {
  // 10.0.0.3 is nobody's: ARP has no answer for seconds.
  Request r;
  r.op = Op::kConnect;
  r.id = open(nullptr, 0);
  r.address = address("10.0.0.3", 80);
  r.address_length = sizeof(sockaddr_in);
  Reply reply;
  int fd = -1;
  ASSERT_EQ(0, ask(token_, r, reply, &fd));
  EXPECT_EQ(0, ready(fd, POLLOUT | POLLIN, 50));
  EXPECT_EQ(EALREADY, ask(token_, r, reply));
  close(fd);
}

TEST_F(HostTest, ThePeersResetIsAReset) {
  const Both b = connected(80);
  wire_.with([&](weir_stack* s) {
    const linger at_once{1, 0};
    (void)weir_setsockopt(s, b.peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return weir_close(s, b.peer);
  });
  EXPECT_NE(0, ready(b.fd, POLLIN) & POLLERR);
  char c = 0;
  EXPECT_EQ(-1, read(b.fd, &c, 1));
  EXPECT_EQ(ECONNRESET, errno);
  EXPECT_EQ(ECONNRESET, option(b.id, SOL_SOCKET, SO_ERROR));
  close(b.fd);
}

TEST_F(HostTest, EachWayEndsByItself) {
  const Both b = connected(80);
  wire_.with([&](weir_stack* s) { return weir_shutdown(s, b.peer, SHUT_WR); });
  char c = 0;
  EXPECT_NE(0, ready(b.fd, POLLIN | POLLRDHUP) & POLLRDHUP);
  EXPECT_EQ(0, read(b.fd, &c, 1));
  ASSERT_EQ(4, write(b.fd, "more", 4));
  EXPECT_EQ("more", peer_reads(b.peer, 4));
  EXPECT_EQ(0, wire_.with([&](weir_stack* s) { return weir_ready(s, b.peer) & EPOLLRDHUP; }));
  shutdown(b.fd, SHUT_WR);
  EXPECT_TRUE(peer_ready(b.peer, EPOLLRDHUP));
  close(b.fd);
}

TEST_F(HostTest, ClosedWithAllReadItSendsAFin) {
  const Both b = connected(80);
  ASSERT_EQ(4, write(b.fd, "last", 4));
  close(b.fd);
  EXPECT_EQ("last", peer_reads(b.peer, 5));
  EXPECT_EQ(0, wire_.with([&](weir_stack* s) { return weir_ready(s, b.peer) & EPOLLERR; }));
}

TEST_F(HostTest, ClosedWithTextUnreadItSendsAReset) {
  const Both b = connected(80);
  wire_.with([&](weir_stack* s) { return weir_write(s, b.peer, "unread", 6); });
  EXPECT_NE(0, ready(b.fd, POLLIN) & POLLIN);
  close(b.fd);
  EXPECT_TRUE(peer_ready(b.peer, EPOLLERR | EPOLLHUP));
}

TEST_F(HostTest, LingerOfNoTimeIsAReset) {
  const Both b = connected(80);
  const linger at_once{1, 0};
  ASSERT_EQ(0, set_option(b.id, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  close(b.fd);
  EXPECT_TRUE(peer_ready(b.peer, EPOLLERR | EPOLLHUP));
}

TEST_F(HostTest, ADescriptorThatAnotherHoldsKeepsTheConnection) {
  const Both b = connected(80);
  const int copy = dup(b.fd);
  close(b.fd);
  ASSERT_EQ(2, write(copy, "on", 2));
  EXPECT_EQ("on", peer_reads(b.peer, 2));
  EXPECT_EQ(0, wire_.with([&](weir_stack* s) { return weir_ready(s, b.peer) & EPOLLRDHUP; }));
  close(copy);
  EXPECT_TRUE(peer_ready(b.peer, EPOLLRDHUP));
}

TEST_F(HostTest, OptionsAreTheConnections) {
  const Both b = connected(80);
  EXPECT_EQ(0, option(b.id, IPPROTO_TCP, TCP_NODELAY));
  const int on = 1;
  EXPECT_EQ(0, set_option(b.id, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
  EXPECT_EQ(1, option(b.id, IPPROTO_TCP, TCP_NODELAY));
  EXPECT_EQ(SOCK_STREAM, option(b.id, SOL_SOCKET, SO_TYPE));
  EXPECT_EQ(AF_INET, option(b.id, SOL_SOCKET, SO_DOMAIN));
  int error = 0;
  (void)option(b.id, IPPROTO_TCP, 9'999, &error);
  EXPECT_EQ(ENOPROTOOPT, error);
  (void)option(12'345, IPPROTO_TCP, TCP_NODELAY, &error);
  EXPECT_EQ(ENOTCONN, error);
  close(b.fd);
}

TEST_F(HostTest, ShutForReadingItSwallowsWhatComes) {
  const Both b = connected(80);
  shutdown(b.fd, SHUT_RD);
  const std::string text = pattern(500'000);
  std::size_t sent = 0;
  EXPECT_TRUE(wire_.until([&](weir_stack* s) {
    const ssize_t n = weir_write(s, b.peer, text.data() + sent, text.size() - sent);
    if (n > 0) sent += static_cast<std::size_t>(n);
    return sent == text.size();
  }));
  ASSERT_EQ(1, write(b.fd, "x", 1));
  EXPECT_EQ("x", peer_reads(b.peer, 1));
  close(b.fd);
}

TEST_F(HostTest, AtTheEndOfTheProgramWhatItWroteIsSent) {
  const Both b = connected(80);
  const std::string text = pattern(200'000);
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t n = write_some(b.fd, text, at);
    if (n > 0) at += static_cast<std::size_t>(n);
  }
  std::thread end([this] { finish(); });
  EXPECT_TRUE(peer_reads(b.peer, text.size() + 1) == text);
  end.join();
  close(b.fd);
}

TEST_F(HostTest, AtTheEndOfTheProgramAFinThatIsLostGoesAgain) {
  const Both b = connected(80);
  wire_.lose_fin();
  finish();
  EXPECT_NE(0U, wire_.with([&](weir_stack* s) { return weir_ready(s, b.peer) & EPOLLRDHUP; }));
  close(b.fd);
}

// One whose sibling is the test itself.
class SharedHostTest : public HostTest {
 protected:
  SharedHostTest() : HostTest(true) { EXPECT_TRUE(sibling_.join(key_)); }
  Siblings sibling_;
};

TEST_F(SharedHostTest, WhatItDoesNotKnowItsSiblingIsAskedFirst) {
  const int peer = peer_connects(9);
  Siblings::Passed passed;
  for (int i = 0; i < kPatience && passed.frame.empty(); ++i) {
    if (ready(sibling_.fd(), POLLIN, 10) != 0) passed = sibling_.take();
  }
  ASSERT_GE(passed.frame.size(), 54U);
  EXPECT_EQ(1U, passed.visited);
  EXPECT_EQ(0, wire_.with([&](weir_stack* s) { return weir_ready(s, peer) & EPOLLERR; }));
  // As if it had come to the sibling first: whoever is asked last answers.
  ASSERT_TRUE(sibling_.pass_on(passed.frame, 0, 1));
  EXPECT_TRUE(peer_ready(peer, EPOLLERR | EPOLLHUP));
  const Siblings::Passed after = sibling_.take();  // the peer's MAC address, if anything
  EXPECT_TRUE(after.frame.empty() || Siblings::concerns_all(after.frame));
}

TEST_F(HostTest, AfterTheEndNobodyAnswersTheDoor) {
  finish();
  host_.reset();
  Request r;
  r.op = Op::kOpen;
  r.family = AF_INET;
  Reply reply;
  EXPECT_EQ(ENETDOWN, ask(token_, r, reply));
  host_ = std::make_unique<Host>(stack_, wire_, nullptr, token_ ^ 1U);
}

TEST_F(HostTest, NonsenseAtTheDoorIsTurnedAway) {
  sockaddr_storage door;
  const socklen_t length = write_door(token_, door);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  ASSERT_EQ(0, ::connect(fd, reinterpret_cast<const sockaddr*>(&door), length));
  ASSERT_EQ(5, send(fd, "hello", 5, 0));
  char c = 0;
  EXPECT_NE(0, ready(fd, POLLIN));
  EXPECT_EQ(0, recv(fd, &c, 1, 0));
  close(fd);
  int error = -1;
  (void)open(nullptr, 0, &error);
  EXPECT_EQ(0, error);
}

}  // namespace
}  // namespace weir::preload::test
