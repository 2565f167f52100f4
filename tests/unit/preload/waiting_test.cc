// Sockets that are nobody's yet.
#include "preload/waiting.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

namespace weir::preload::test {
namespace {

TEST(WaitingRoom, TellsOfThoseThatWereClosed) {
  WaitingRoom& room = waiting_room();
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  room.add(fd, AF_INET);
  ASSERT_NE(nullptr, room.find(fd));
  room.find(fd)->id = 7;
  EXPECT_TRUE(room.sweep().empty());
  close(fd);
  EXPECT_EQ((std::vector<std::uint64_t>{7}), room.sweep());
  EXPECT_FALSE(room.any());
}

TEST(WaitingRoom, IsCrowdedNowAndThen) {
  WaitingRoom& room = waiting_room();
  unsigned sweeps = 0;
  for (int i = 0; i < 2'000; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (room.crowded()) {
      (void)room.sweep();
      EXPECT_FALSE(room.any());
      ++sweeps;
    }
    room.add(fd, AF_INET);
    close(fd);
  }
  EXPECT_GT(sweeps, 0U);
  EXPECT_LT(sweeps, 10U);
  (void)room.sweep();
  EXPECT_FALSE(room.any());
}

TEST(WaitingRoom, AChildThatClosesItsParentsSocketsLeavesThemToTheParent) {
  WaitingRoom& room = waiting_room();
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  room.add(fd, AF_INET);
  room.find(fd)->id = 7;
  room.after_fork();
  close(fd);
  EXPECT_TRUE(room.sweep().empty());
  EXPECT_FALSE(room.any());
}

}  // namespace
}  // namespace weir::preload::test
