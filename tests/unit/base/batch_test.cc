// Batch and Result: bounded, and loud when misused.
#include "base/batch.h"

#include <gtest/gtest.h>

#include <string>

#include "base/result.h"

namespace weir {
namespace {

TEST(Batch, FillsAndDrains) {
  Batch<int, 3> batch;
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.room(), 3U);
  batch.push(1);
  batch.push(2) = 7;
  EXPECT_EQ(batch.size(), 2U);
  EXPECT_EQ(batch.items()[1], 7);
  batch.clear();
  EXPECT_TRUE(batch.items().empty());
  EXPECT_EQ(batch.room(), 3U);
}

TEST(BatchDeathTest, OverflowIsABug) {
  Batch<int, 1> batch;
  batch.push(1);
  EXPECT_DEATH(batch.push(2), "bug");
}

TEST(Result, HoldsOneOfTwo) {
  enum class Why { kFull };
  const Result<std::string, Why> good(std::string("yes"));
  const Result<std::string, Why> bad(Why::kFull);
  EXPECT_TRUE(good.ok());
  EXPECT_EQ(good.value(), "yes");
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error(), Why::kFull);
  EXPECT_DEATH((void)bad.value(), "bug");
}

}  // namespace
}  // namespace weir
