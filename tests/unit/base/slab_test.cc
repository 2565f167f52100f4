// The slab against a naive twin: a set of the indices in use.
#include "base/slab.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace weir {
namespace {

struct Record {
  std::uint64_t tag;
  std::uint32_t more[3];
};

TEST(Slab, RefusesWhenFullAndRecovers) {
  Slab<Record> slab(2);
  const std::uint32_t a = slab.take();
  const std::uint32_t b = slab.take();
  EXPECT_NE(a, b);
  EXPECT_TRUE(slab.full());
  EXPECT_EQ(slab.take(), kNoIndex);
  slab.give(a);
  EXPECT_EQ(slab.size(), 1U);
  EXPECT_EQ(slab.take(), a);
  EXPECT_EQ(slab.take(), kNoIndex);
}

TEST(Slab, ReusesLastInFirstOut) {
  Slab<Record> slab(8);
  for (int i = 0; i < 8; ++i) (void)slab.take();
  slab.give(3);
  slab.give(5);
  EXPECT_EQ(slab.take(), 5U);
  EXPECT_EQ(slab.take(), 3U);
}

TEST(Slab, OfNothingIsFull) {
  Slab<Record> slab(0);
  EXPECT_TRUE(slab.full());
  EXPECT_EQ(slab.take(), kNoIndex);
}

TEST(Slab, TenMillionRecordsCostNothingUntouched) {
  Slab<Record> slab(10'000'000);
  EXPECT_EQ(slab.take(), 0U);
  EXPECT_EQ(slab.capacity(), 10'000'000U);
}

TEST(SlabDeathTest, GivingWhatWasNeverTakenIsABug) {
  Slab<Record> slab(4);
  (void)slab.take();
  EXPECT_DEATH(slab.give(3), "bug");
}

TEST(Slab, NeverHandsOutARecordInUse) {
  constexpr std::uint32_t kCapacity = 100;
  Slab<Record> slab(kCapacity);
  std::map<std::uint32_t, std::uint64_t> twin;
  Rng rng(1);
  for (std::uint64_t step = 0; step < 20'000; ++step) {
    if (rng.below(2) == 0) {
      const std::uint32_t i = slab.take();
      ASSERT_EQ(i == kNoIndex, twin.size() == kCapacity);
      if (i == kNoIndex) continue;
      ASSERT_LT(i, kCapacity);
      ASSERT_TRUE(twin.emplace(i, step).second);
      ::new (slab.slot(i)) Record{step, {}};
    } else if (!twin.empty()) {
      auto it = twin.lower_bound(rng.below(kCapacity));
      if (it == twin.end()) it = twin.begin();
      ASSERT_EQ(slab[it->first].tag, it->second) << "another record was written over";
      slab.give(it->first);
      twin.erase(it);
    }
    ASSERT_EQ(slab.size(), twin.size());
  }
}

}  // namespace
}  // namespace weir
