// Percentiles beside those of a sorted vector.
#include "telemetry/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "base/rng.h"

namespace weir::telemetry {
namespace {

TEST(Histogram, EveryValueFallsIntoABucketThatHoldsIt) {
  const auto check = [](std::uint64_t v) {
    const std::size_t b = bucket_of(v);
    ASSERT_LT(b, kBuckets);
    EXPECT_GE(bucket_top(b), v);
    if (b > 0) {
      EXPECT_LT(bucket_top(b - 1), v);
    }
    EXPECT_LE(bucket_top(b) - v, v / 128) << v;  // no more than 1/128 above
  };
  for (std::uint64_t v = 0; v < 100'000; ++v) check(v);
  for (unsigned bit = 16; bit < kHighestBits; ++bit) {
    const std::uint64_t v = std::uint64_t{1} << bit;
    for (const std::uint64_t x : {v - 1, v, v + 1, v + v / 3}) check(x);
  }
  check(kHighest);
  EXPECT_EQ(bucket_of(kHighest), kBuckets - 1);
  EXPECT_EQ(bucket_top(kBuckets - 1), kHighest);
  EXPECT_EQ(bucket_of(kHighest + 1), kBuckets - 1);
  EXPECT_EQ(bucket_of(~std::uint64_t{0}), kBuckets - 1);
}

TEST(Histogram, NothingRecordedIsNought) {
  const HistogramSnapshot s;
  EXPECT_EQ(s.count(), 0U);
  EXPECT_EQ(s.max(), 0U);
  EXPECT_EQ(s.percentile(0.5), 0U);
}

// The naive twin: all values, sorted; the one that `share` of them does not exceed.
std::uint64_t naive(std::vector<std::uint64_t> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(1, rank) - 1];
}

void expect_like(const HistogramSnapshot& s, const std::vector<std::uint64_t>& values,
                 bool exact_max) {
  ASSERT_EQ(s.count(), values.size());
  const std::uint64_t most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  if (exact_max) {
    EXPECT_EQ(s.max(), most);
  }
  EXPECT_GE(s.max(), most);
  EXPECT_LE(s.max() - most, most / 128);
  for (const double share : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const std::uint64_t want = naive(values, share), got = s.percentile(share);
    EXPECT_GE(got, want) << share;
    EXPECT_LE(got - want, want / 128) << share;
  }
}

TEST(Histogram, AgreesWithASortedVector) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    // Two cores, and a reading in between.
    std::vector<std::unique_ptr<Histogram>> cores;
    for (int i = 0; i < 2; ++i) cores.push_back(std::make_unique<Histogram>());
    std::vector<std::uint64_t> early, late;
    const auto record = [&](std::vector<std::uint64_t>& into) {
      const unsigned n = rng.below(3'000);
      for (unsigned i = 0; i < n; ++i) {
        const std::uint64_t v = rng.next() >> (29 + rng.below(35));
        cores[rng.below(2)]->record(v);
        into.push_back(std::min(v, kHighest));
      }
    };
    const auto read = [&] {
      HistogramSnapshot s;
      for (const auto& c : cores) s.add(*c);
      return s;
    };
    record(early);
    const HistogramSnapshot before = read();
    expect_like(before, early, true);
    record(late);
    HistogramSnapshot after = read();
    HistogramSnapshot both;
    both.add(before);
    after.subtract(before);
    expect_like(after, late, false);
    both.add(after);
    std::vector<std::uint64_t> all = early;
    all.insert(all.end(), late.begin(), late.end());
    expect_like(both, all, false);
  }
}

}  // namespace
}  // namespace weir::telemetry
