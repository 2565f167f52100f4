// weir bench memory: what it says is there really is, and is counted whole.
#include <gtest/gtest.h>

#include "bench_memory.h"
#include "stack/stack.h"

namespace weir::app {
namespace {

TEST(BenchMemory, MakesAsManyAsItWasAskedFor) {
  for (const Resting kind : kResting) {
    for (const std::uint32_t count : {1U, 31U, 1'000U, 20'011U}) {
      EXPECT_EQ(count, make_resting(kind, count).count) << info_of(kind).name;
    }
  }
}

// No less than the records and the table entries themselves, and no wild figure either.
TEST(BenchMemory, CountsAllThatOneTakes) {
  constexpr std::uint32_t kCount = 400'000;
  const stack::Footprint f = stack::Stack::footprint();
  const auto each = [](Resting kind) {
    return static_cast<double>(make_resting(kind, kCount).octets) / kCount;
  };
  const double time_wait = each(Resting::kTimeWait);
  EXPECT_GE(time_wait, 28);
  EXPECT_LE(time_wait, 2.0 * f.time_wait);
  // Nearly all of them at rest, though they came within four seconds.
  const double idle = each(Resting::kIdle);
  EXPECT_GE(idle, 256);
  EXPECT_LE(idle, 1.3 * f.resting);
  const double half_open = each(Resting::kHalfOpen);
  EXPECT_GE(half_open, 64);
  EXPECT_LE(half_open, 2.0 * f.half_open);
}

}  // namespace
}  // namespace weir::app
