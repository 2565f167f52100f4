// Stacks of several processes on one link.
#include "preload/siblings.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace weir::preload::test {
namespace {

std::string fresh_key() {
  static int number = 0;
  return "test-" + std::to_string(getpid()) + "-" + std::to_string(++number);
}

std::vector<std::byte> frame_of(std::size_t size, std::uint8_t mark) {
  return std::vector<std::byte>(size, std::byte{mark});
}

TEST(Siblings, EachHasASlotOfItsOwnAndGivesItBack) {
  const std::string key = fresh_key();
  Siblings a;
  auto b = std::make_unique<Siblings>();
  Siblings c, d;
  ASSERT_TRUE(a.join(key) && b->join(key));
  EXPECT_EQ(0U, a.slot());
  EXPECT_EQ(1U, b->slot());
  b.reset();
  ASSERT_TRUE(c.join(key));
  EXPECT_EQ(1U, c.slot());
  ASSERT_TRUE(d.join(fresh_key()));
  EXPECT_EQ(0U, d.slot());
}

TEST(Siblings, NoMoreThanThereAreSlots) {
  const std::string key = fresh_key();
  std::array<Siblings, Siblings::kSlots> all;
  for (Siblings& s : all) ASSERT_TRUE(s.join(key));
  Siblings more;
  EXPECT_FALSE(more.join(key));
}

TEST(Siblings, AStrayGoesFromOneToTheNextUntilNobodyIsLeft) {
  const std::string key = fresh_key();
  std::array<Siblings, 3> s;
  for (Siblings& each : s) ASSERT_TRUE(each.join(key));
  const auto frame = frame_of(60, 7);
  ASSERT_TRUE(s[1].pass_on(frame, 0, 1));
  const auto first = s[0].take();
  ASSERT_EQ(frame, std::vector(first.frame.begin(), first.frame.end()));
  EXPECT_EQ(0b010U, first.visited);
  EXPECT_TRUE(s[2].take().frame.empty());
  ASSERT_TRUE(s[0].pass_on(frame, first.visited, 1));
  const auto second = s[2].take();
  ASSERT_EQ(60U, second.frame.size());
  EXPECT_EQ(0b011U, second.visited);
  EXPECT_FALSE(s[2].pass_on(frame, second.visited, 1));
}

TEST(Siblings, OneWhoseQueueIsFullLosesAFrameAndNobodyAnswersForIt) {
  const std::string key = fresh_key();
  Siblings a, b;
  ASSERT_TRUE(a.join(key) && b.join(key));
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(a.pass_on(frame_of(60, 1), 0, 1)) << i;
  EXPECT_EQ(60U, b.take().frame.size());
}

TEST(Siblings, AFrameOfAnySizeIsPassedOn) {
  const std::string key = fresh_key();
  Siblings a, b;
  ASSERT_TRUE(a.join(key) && b.join(key));
  ASSERT_TRUE(a.pass_on(frame_of(9'014, 1), 0, 1));
  EXPECT_EQ(9'014U, b.take().frame.size());
}

TEST(Siblings, WhatAnotherUserSendsIsNoFrame) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may become another user";
  const std::string key = fresh_key();
  Siblings mine;
  ASSERT_TRUE(mine.join(key));
  for (const uid_t user : {uid_t{65'534}, uid_t{0}}) {
    const pid_t child = fork();
    if (child == 0) {
      Siblings stranger;
      const bool sent =
          setuid(user) == 0 && stranger.join(key) && stranger.pass_on(frame_of(60, 1), 0, 1);
      _exit(sent ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(child, waitpid(child, &status, 0));
    ASSERT_EQ(0, status);
    EXPECT_EQ(user == 0 ? 60U : 0U, mine.take().frame.size());
  }
}

TEST(Siblings, OneThatIsAloneHasNobodyToAsk) {
  Siblings s;
  ASSERT_TRUE(s.join(fresh_key()));
  EXPECT_FALSE(s.pass_on(frame_of(60, 1), 0, 1));
}

TEST(Siblings, OneThatComesLaterIsFoundSoon) {
  const std::string key = fresh_key();
  Siblings a, b;
  ASSERT_TRUE(a.join(key));
  EXPECT_FALSE(a.pass_on(frame_of(60, 1), 0, 1'000));
  ASSERT_TRUE(b.join(key));
  EXPECT_FALSE(a.pass_on(frame_of(60, 1), 0, 2'000)) << "looks around now and then";
  EXPECT_TRUE(a.pass_on(frame_of(60, 1), 0, 1'000'000));
}

TEST(Siblings, WhatConcernsAllIsToldToAllAndGoesNoFurther) {
  const std::string key = fresh_key();
  std::array<Siblings, 3> s;
  for (Siblings& each : s) ASSERT_TRUE(each.join(key));
  const auto frame = frame_of(60, 9);
  s[0].tell_all(frame, 1);
  EXPECT_TRUE(s[0].take().frame.empty());
  for (const std::size_t i : {1U, 2U}) {
    const auto got = s[i].take();
    ASSERT_EQ(60U, got.frame.size());
    EXPECT_FALSE(s[i].pass_on(got.frame, got.visited, 1));
  }
}

TEST(Siblings, AnswersToArpAndNeighbourSolicitationsConcernAll) {
  auto arp = frame_of(42, 0);
  arp[12] = std::byte{8};
  arp[13] = std::byte{6};
  arp[21] = std::byte{1};
  EXPECT_FALSE(Siblings::concerns_all(arp)) << "a request: one answers";
  arp[21] = std::byte{2};
  EXPECT_TRUE(Siblings::concerns_all(arp));
  EXPECT_FALSE(Siblings::concerns_all(std::span(arp).first(41)));
  auto na = frame_of(78, 0);
  na[12] = std::byte{0x86};
  na[13] = std::byte{0xdd};
  na[20] = std::byte{58};
  na[54] = std::byte{135};
  EXPECT_FALSE(Siblings::concerns_all(na));
  na[54] = std::byte{136};
  EXPECT_TRUE(Siblings::concerns_all(na));
}

TEST(Siblings, SharesOfThePortsDoNotOverlap) {
  for (const PortRange all :
       {PortRange{32'768, 60'999}, PortRange{1'024, 65'535}, PortRange{40'000, 40'031}}) {
    unsigned next = all.low;
    for (unsigned slot = 0; slot < Siblings::kSlots; ++slot) {
      const PortRange mine = share_of(all, slot);
      EXPECT_EQ(next, mine.low);
      EXPECT_GE(mine.high, mine.low);
      EXPECT_LE(mine.high, all.high);
      next = mine.high + 1U;
    }
  }
  EXPECT_EQ((share_of({32'768, 60'999}, 0).high), 32'768 + 14'115);
}

}  // namespace
}  // namespace weir::preload::test
