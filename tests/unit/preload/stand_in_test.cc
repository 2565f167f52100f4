// What a program sees of a stand-in, by the kernel's own calls.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "harness.h"
#include "preload/stand_in.h"

namespace weir::preload::test {
namespace {

struct Pair {
  explicit Pair(bool filled = false) {
    static std::uint64_t number = 0;
    Name name;
    name.stack = static_cast<std::uint64_t>(getpid());
    name.id = ++number;
    EXPECT_TRUE(StandIn::make(name, filled, ours, theirs));
  }
  ~Pair() {
    if (ours.fd >= 0) close(ours.fd);
    close(theirs);
  }
  StandIn ours;
  int theirs = -1;
  std::array<std::byte, 65'536> room{};

  std::string look() {
    const auto text = ours.look(room);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }
};

std::span<const std::byte> octets(const std::string& s) {
  return std::as_bytes(std::span(s));
}

TEST(StandIn, NothingIsThereAtFirst) {
  Pair p;
  EXPECT_EQ("", p.look());
  EXPECT_EQ(POLLOUT, ready(p.theirs, POLLIN | POLLOUT, 0));
}

TEST(StandIn, WhatIsLookedAtStaysUntilItIsTaken) {
  Pair p;
  ASSERT_EQ(6, write(p.theirs, "abcdef", 6));
  EXPECT_EQ("abcdef", p.look());
  EXPECT_EQ("abcdef", p.look());
  p.ours.take(2, p.room);
  EXPECT_EQ("cdef", p.look());
  p.ours.take(4, p.room);
  EXPECT_EQ("", p.look());
  ASSERT_EQ(1, write(p.theirs, "g", 1));
  EXPECT_EQ("g", p.look());
}

TEST(StandIn, OneThatConnectsIsNotWritableBeforeItHas) {
  Pair p(true);
  EXPECT_EQ(0, ready(p.theirs, POLLOUT | POLLIN, 0));
  p.ours.settle();
  EXPECT_EQ(POLLOUT, ready(p.theirs, POLLOUT | POLLIN, 0));
  EXPECT_EQ("", p.look());
  ASSERT_EQ(1, write(p.theirs, "x", 1));
  EXPECT_EQ("x", p.look());
}

TEST(StandIn, BuffersThatTheProgramAskedForAreNotItsOwn) {
  for (const int size : {8'192, 65'536, 1'000'000}) {
    Pair p(true);
    set_for_stand_in(p.theirs, SO_SNDBUF, &size, sizeof size);
    EXPECT_EQ(0, ready(p.theirs, POLLOUT, 0)) << "not connected";
    p.ours.settle();
    const std::string text(40'000, 'x');
    ASSERT_EQ(40'000, send(p.theirs, text.data(), text.size(), MSG_DONTWAIT));
    p.ours.take(p.look().size(), p.room);
    EXPECT_EQ(POLLOUT, ready(p.theirs, POLLOUT, 0)) << "all was taken";
  }
  Pair p;
  const timeval wanted{3, 0};
  timeval now{};
  socklen_t length = sizeof now;
  set_for_stand_in(p.theirs, SO_RCVTIMEO, &wanted, sizeof wanted);
  ASSERT_EQ(0, getsockopt(p.theirs, SOL_SOCKET, SO_RCVTIMEO, &now, &length));
  EXPECT_EQ(3, now.tv_sec);
}

TEST(StandIn, BrokenOffItTellsOfAResetAfterTheText) {
  Pair p;
  ASSERT_EQ(3, p.ours.give(octets("end")));
  p.ours.break_off();
  EXPECT_EQ(POLLERR | POLLHUP | POLLIN, ready(p.theirs, POLLIN, 0));
  EXPECT_EQ("end", read_all(p.theirs, 3));
  char c = 0;
  EXPECT_EQ(-1, read(p.theirs, &c, 1));
  EXPECT_EQ(ECONNRESET, errno);
}

TEST(StandIn, BrokenOffAfterTextOfTheProgramsWasTakenItTellsToo) {
  Pair p;
  ASSERT_EQ(3, write(p.theirs, "abc", 3));
  ASSERT_EQ("abc", p.look());
  p.ours.take(3, p.room);
  p.ours.break_off();
  char c = 0;
  EXPECT_EQ(-1, read(p.theirs, &c, 1));
  EXPECT_EQ(ECONNRESET, errno);
}

TEST(StandIn, ThatFailsToConnectIsBroken) {
  Pair p(true);
  p.ours.break_off();
  EXPECT_NE(0, ready(p.theirs, POLLOUT, 0) & POLLERR);
}

TEST(StandIn, ClosedDownItJustEnds) {
  Pair p;
  ASSERT_EQ(3, write(p.theirs, "abc", 3));
  p.ours.close_down();
  char c = 0;
  EXPECT_EQ(0, read(p.theirs, &c, 1));
}

TEST(StandIn, TheEndOfTextLeavesTheOtherWayOpen) {
  Pair p;
  p.ours.end_of_text();
  char c = 0;
  EXPECT_EQ(0, read(p.theirs, &c, 1));
  EXPECT_EQ(POLLIN | POLLOUT | POLLRDHUP, ready(p.theirs, POLLIN | POLLOUT | POLLRDHUP, 0));
  ASSERT_EQ(1, write(p.theirs, "x", 1));
  EXPECT_EQ("x", p.look());
}

TEST(StandIn, TellsWhetherAllWasRead) {
  Pair p;
  EXPECT_FALSE(p.ours.unread());
  ASSERT_EQ(2, p.ours.give(octets("ab")));
  EXPECT_TRUE(p.ours.unread());
  EXPECT_EQ("ab", read_all(p.theirs, 2));
  EXPECT_FALSE(p.ours.unread());
}

TEST(StandIn, AnEndThatTakesNoMoreSaysSo) {
  Pair p;
  const std::string block(65'536, 'x');
  long n = 0;
  for (int i = 0; i < 1'000 && n >= 0; ++i) n = p.ours.give(octets(block));
  EXPECT_EQ(-1, n);
  EXPECT_EQ(EAGAIN, errno);
  shutdown(p.theirs, SHUT_RD);
  EXPECT_EQ(-1, p.ours.give(octets("x")));
  EXPECT_EQ(EPIPE, errno);
}

}  // namespace
}  // namespace weir::preload::test
