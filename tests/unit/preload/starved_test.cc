// A program without descriptors left: nothing is lost, and nothing spins.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "harness.h"

namespace weir::preload::test {
namespace {

TEST_F(HostTest, WithoutDescriptorsAConnectionWaitsToBeAccepted) {
  const int gate = listen(open(kProgram, 80));
  int peer = -1;
  {
    const FewDescriptors none(0);
    peer = peer_connects(80);
    EXPECT_TRUE(peer_ready(peer, EPOLLOUT));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(0U, wire_.with([&](weir_stack* s) {
      return weir_ready(s, peer) & (EPOLLERR | EPOLLHUP);
    })) << "as on Linux it stays in the queue";
  }
  const int fd = accept(gate);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(2, write(fd, "ok", 2));
  EXPECT_EQ("ok", peer_reads(peer, 2));
  close(fd);
  close(gate);
}

TEST_F(HostTest, AGateThatCannotBeMadeLeavesNothingInTheKernel) {
  const std::uint64_t id = open("0.0.0.0", 0);
  Request r;
  r.op = Op::kListen;
  r.id = id;
  r.argument = 8;
  Request where;
  where.op = Op::kLocal;
  where.id = id;
  Reply reply;
  ASSERT_EQ(0, ask(token_, where, reply));
  sockaddr_in at{};
  std::memcpy(&at, &reply.address, sizeof at);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  {
    const FewDescriptors three(3);  // both ends of the request, the kernel's listener
    int gate = -1;
    EXPECT_EQ(EMFILE, ask(token_, r, reply, &gate));
  }
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(-1, ::connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at));
  EXPECT_EQ(ECONNREFUSED, errno);
  close(fd);
}

TEST_F(HostTest, TheEndIsWaitedForWithoutADescriptorLeft) {
  const Both b = connected(80);
  const std::string text(1'000'000, 'x');
  while (send(b.fd, text.data(), text.size(), MSG_DONTWAIT) > 0) {  // which the peer does not read
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const auto before = std::chrono::steady_clock::now();
  {
    const FewDescriptors two(2);
    preload::finish(token_, 1'500);
  }
  EXPECT_GT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(1'000));
  thread_.join();
  close(b.fd);
}

TEST_F(HostTest, AGateThatIsClosedWhileAConnectionGoesThrough) {
  int gate = listen(open(kProgram, 80));
  const int peer = peer_connects(80);
  wire_.at_each_look([&](weir_stack* s) {  // the ACK that ends the handshake is on its way
    if (gate >= 0 && (weir_ready(s, peer) & EPOLLOUT) != 0) close(std::exchange(gate, -1));
  });
  EXPECT_TRUE(peer_ready(peer, EPOLLHUP));
  wire_.at_each_look(nullptr);  // before what it looks at goes
  const Both b = connected(81);
  ASSERT_EQ(5, write(b.fd, "hello", 5));
  EXPECT_EQ("hello", peer_reads(b.peer, 5));
  close(b.fd);
}

// Of more frames than one turn takes the wire tells once.
class BurstWire final : public Wire {
 public:
  explicit BurstWire(std::size_t frames) : left(frames) {}
  ~BurstWire() override { close(fd_); }
  BurstWire(const BurstWire&) = delete;
  BurstWire& operator=(const BurstWire&) = delete;
  std::span<const std::span<const std::byte>> receive() override {
    const std::size_t n = std::min(left, kBurst);
    left -= n;
    return std::span(frames_).first(n);
  }
  void send(std::span<const std::byte> /*frame*/) override {}
  void flush() override {}
  [[nodiscard]] int event_fd() const override { return fd_; }
  std::size_t left;

 private:
  int fd_ = eventfd(1, EFD_CLOEXEC);
  std::array<std::byte, 60> frame_{};
  std::array<std::span<const std::byte>, kBurst> frames_ = [this] {
    std::array<std::span<const std::byte>, kBurst> all;
    all.fill(frame_);
    return all;
  }();
};

TEST(HostAlone, WhatATurnDidNotTakeTheNextDoesAtOnce) {
  weir_stack* const stack = make_stack(kProgram, 2);
  BurstWire wire(150);
  {
    Host host(stack, wire, nullptr, 0x5eed'0000'0000U + static_cast<unsigned>(getpid()));
    ASSERT_TRUE(host.open());
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 3; ++i) (void)host.turn(700'000);
    EXPECT_EQ(0U, wire.left);
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(600));
    weir_stack_on_ready(stack, nullptr, nullptr);
  }
  weir_stack_destroy(stack);
}

TEST(HostAlone, WithoutDescriptorsWhoeverKnocksWaitsAndNothingSpins) {
  weir_stack* const stack = make_stack(kProgram, 2);
  BurstWire wire(0);
  const std::uint64_t token = 0x5eed'0000'0000U + static_cast<unsigned>(getpid());
  {
    Host host(stack, wire, nullptr, token);
    ASSERT_TRUE(host.open());
    while (weir_stack_next_deadline(stack) <= Host::clock_us()) (void)host.turn(0);
    (void)host.turn(0);
    sockaddr_storage door;
    const socklen_t length = write_door(token, door);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    const Request request;
    {
      const FewDescriptors none(0);
      ASSERT_EQ(0, connect(fd, reinterpret_cast<const sockaddr*>(&door), length));
      ASSERT_EQ(static_cast<ssize_t>(sizeof request), send(fd, &request, sizeof request, 0));
      (void)host.turn(0);
      const auto before = std::chrono::steady_clock::now();
      (void)host.turn(60'000);
      EXPECT_GT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(50));
    }
    for (int i = 0; i < 8 && ready(fd, POLLIN, 0) == 0; ++i) (void)host.turn(100'000);
    EXPECT_EQ(POLLIN, ready(fd, POLLIN, 0)) << "answered";
    close(fd);
    weir_stack_on_ready(stack, nullptr, nullptr);
  }
  weir_stack_destroy(stack);
}

TEST(TakeArrival, WithoutADescriptorItStaysInTheGate) {
  std::array<int, 2> ends{};
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()));
  Arrival arrival;
  ASSERT_TRUE(send_with(ends[0], &arrival, sizeof arrival, STDERR_FILENO));
  {
    const FewDescriptors none(0);
    EXPECT_EQ(-1, take_arrival(ends[1], 0, arrival));
    EXPECT_EQ(EMFILE, errno);
  }
  const int fd = take_arrival(ends[1], 0, arrival);
  EXPECT_GE(fd, 0);
  close(fd);
  close(ends[0]);
  EXPECT_EQ(-1, take_arrival(ends[1], 0, arrival));
  EXPECT_EQ(EINVAL, errno) << "no longer listening";
  close(ends[1]);
}

}  // namespace
}  // namespace weir::preload::test
