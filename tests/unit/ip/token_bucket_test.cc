#include "ip/token_bucket.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace weir::ip {
namespace {

unsigned allowed(TokenBucket& bucket, Instant now, unsigned tries) {
  unsigned n = 0;
  for (unsigned i = 0; i < tries; ++i) n += bucket.allow(now) ? 1 : 0;
  return n;
}

TEST(TokenBucket, GivesItsBurstThenItsRate) {
  TokenBucket bucket(10, 5);
  EXPECT_EQ(allowed(bucket, Instant{1h}, 100), 5U);
  EXPECT_EQ(allowed(bucket, Instant{1h + 99ms}, 100), 0U);
  EXPECT_EQ(allowed(bucket, Instant{1h + 100ms}, 100), 1U);
  EXPECT_EQ(allowed(bucket, Instant{1h + 350ms}, 100), 2U);
  EXPECT_EQ(allowed(bucket, Instant{1h + 400ms}, 100), 1U);  // the half token was kept
}

TEST(TokenBucket, NeverHoldsMoreThanItsBurst) {
  TokenBucket bucket(1'000, 3);
  EXPECT_EQ(allowed(bucket, Instant{0s}, 100), 3U);
  EXPECT_EQ(allowed(bucket, Instant{24h * 10'000}, 100), 3U);  // 27 years
}

TEST(TokenBucket, OverALongTimeKeepsItsRate) {
  TokenBucket bucket(3, 1);  // 1/3 s is no whole number of microseconds
  unsigned n = 0;
  for (Duration t = 0s; t < 100s; t += 1ms) n += bucket.allow(Instant{t}) ? 1 : 0;
  EXPECT_GE(n, 299U);
  EXPECT_LE(n, 301U);
}

TEST(TokenBucket, AnEarlierInstantAddsNothing) {
  TokenBucket bucket(10, 1);
  EXPECT_TRUE(bucket.allow(Instant{10s}));
  EXPECT_FALSE(bucket.allow(Instant{5s}));
  EXPECT_FALSE(bucket.allow(Instant{10s + 50ms}));
  EXPECT_TRUE(bucket.allow(Instant{10s + 100ms}));
}

TEST(TokenBucket, RateZeroGivesTheBurstOnly) {
  TokenBucket bucket(0, 2);
  EXPECT_EQ(allowed(bucket, Instant{1s}, 9), 2U);
  EXPECT_EQ(allowed(bucket, Instant{10'000s}, 9), 0U);
}

// The naive twin: in exact fractions, one microsecond after the other.
TEST(TokenBucket, AgreesWithTheNaiveTwin) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    const std::uint32_t rate = 1 + rng.below(5'000), burst = 1 + rng.below(20);
    TokenBucket bucket(rate, burst);
    std::uint64_t millionths = std::uint64_t{burst} * 1'000'000;  // of a token
    Instant now{};
    for (unsigned step = 0; step < 1'000; ++step) {
      for (unsigned us = rng.below(rng.below(4) == 0 ? 5'000 : 50); us > 0; --us, now += 1us) {
        millionths = std::min<std::uint64_t>(millionths + rate, std::uint64_t{burst} * 1'000'000);
      }
      const bool want = millionths >= 1'000'000;
      if (want) millionths -= 1'000'000;
      ASSERT_EQ(bucket.allow(now), want) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace weir::ip
