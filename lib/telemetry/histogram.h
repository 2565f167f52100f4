// Percentiles in fixed memory: log-linear buckets, the layout of HdrHistogram.
//
// A value below 256 has a bucket of its own; above, each doubling is cut into 128 buckets, so that
// a percentile is at most 1/128 too high and never too low. Values from kHighest on share the last
// bucket; the largest is kept as it is. One thread records, any may take a snapshot meanwhile:
// relaxed counters, no lock. Recording allocates nothing. Knows no unit: the caller's.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::telemetry {

inline constexpr unsigned kSubBits = 7;       // 128 buckets a doubling
inline constexpr unsigned kHighestBits = 36;  // in microseconds: 19 hours
inline constexpr std::uint64_t kHighest = (std::uint64_t{1} << kHighestBits) - 1;
inline constexpr std::size_t kBuckets = std::size_t{kHighestBits - kSubBits + 1} << kSubBits;

[[nodiscard]] constexpr std::size_t bucket_of(std::uint64_t value) {
  if (value > kHighest) value = kHighest;
  const auto width = static_cast<unsigned>(std::bit_width(value | 1U));
  if (width <= kSubBits + 1) return static_cast<std::size_t>(value);
  const unsigned shift = width - kSubBits - 1;
  return (std::size_t{shift} << kSubBits) + static_cast<std::size_t>(value >> shift);
}

// The largest value that falls into the bucket.
[[nodiscard]] constexpr std::uint64_t bucket_top(std::size_t bucket) {
  if (bucket < (std::size_t{2} << kSubBits)) return bucket;
  const auto shift = static_cast<unsigned>((bucket >> kSubBits) - 1);
  const std::uint64_t mantissa = bucket - (std::size_t{shift} << kSubBits);
  return ((mantissa + 1) << shift) - 1;
}

class Histogram;

// What was recorded up to some moment, or between two; of one core or of several.
class HistogramSnapshot {
 public:
  void add(const Histogram& h);
  void add(const HistogramSnapshot& other);
  // Pre: `earlier` is of the same histograms. The maximum is then that of the highest bucket left.
  void subtract(const HistogramSnapshot& earlier);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  // The value that `share` (0..1) of what was recorded does not exceed: the top of its bucket, or
  // the maximum if that is lower. 0 when nothing was recorded.
  [[nodiscard]] std::uint64_t percentile(double share) const;

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

class Histogram {
 public:
  void record(std::uint64_t value) {
    if (value > max_.load(std::memory_order_relaxed)) {
      max_.store(value, std::memory_order_relaxed);
    }
    std::atomic<std::uint64_t>& b = buckets_[bucket_of(value)];
    b.store(b.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 private:
  friend class HistogramSnapshot;
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> max_{0};
};

}  // namespace weir::telemetry
