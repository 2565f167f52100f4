// weir bench time-wait: its connections really go through TIME-WAIT and out of it.
#include "bench_time_wait.h"

#include <gtest/gtest.h>

#include "stack/stack.h"

namespace weir::app {
namespace {

TEST(BenchTimeWait, AsManyStandAsTheRateAndTheWaitSay) {
  const TimeWaitConfig c{.rate = 20'011, .wait = 2, .seconds = 2};
  const TimeWaitFigures f = measure_time_wait(c, nullptr);
  EXPECT_EQ(f.failed, 0U);
  EXPECT_EQ(f.connections, 4 * c.rate);
  EXPECT_NEAR(static_cast<double>(f.records), c.rate * c.wait, 0.01 * c.rate);
  EXPECT_GT(f.off.total, 0);
  EXPECT_GT(f.turnover.total, 0);
  EXPECT_GT(f.turnover.stages[static_cast<std::size_t>(telemetry::Stage::kTcp)], 0);
}

TEST(BenchTimeWait, MemoryIsAskedForBeforehand) {
  TimeWaitConfig c{.rate = 1'000, .wait = 2};
  EXPECT_FALSE(complaint(c));
  c.wait = 3;
  ASSERT_TRUE(complaint(c));
  EXPECT_NE(complaint(c)->find("--wait 3"), std::string::npos);
  c = {.rate = kMostRate, .wait = kMostWait};
  EXPECT_GE(time_wait_memory(c), std::uint64_t{kMostRate} * kMostWait * 38);
}

}  // namespace
}  // namespace weir::app
