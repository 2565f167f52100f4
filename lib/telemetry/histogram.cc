#include "telemetry/histogram.h"

#include <algorithm>
#include <cmath>

namespace weir::telemetry {

void HistogramSnapshot::add(const Histogram& h) {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const std::uint64_t n = h.buckets_[i].load(std::memory_order_relaxed);
    buckets_[i] += n;
    count_ += n;
  }
  max_ = std::max(max_, h.max_.load(std::memory_order_relaxed));
}

void HistogramSnapshot::add(const HistogramSnapshot& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

void HistogramSnapshot::subtract(const HistogramSnapshot& earlier) {
  std::size_t last = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    buckets_[i] -= earlier.buckets_[i];
    if (buckets_[i] != 0) last = i;
  }
  count_ -= earlier.count_;
  max_ = count_ == 0 ? 0 : std::min(max_, bucket_top(last));
}

std::uint64_t HistogramSnapshot::percentile(double share) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(share, 0.0, 1.0) * static_cast<double>(count_));
  const std::uint64_t rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(bucket_top(i), max_);
  }
  return max_;
}

}  // namespace weir::telemetry
