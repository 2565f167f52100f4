// The connection table: a keyed 64-bit hash to a 32-bit handle, one cache line a bucket.
//
// Holds no keys: the caller confirms a match on the control block it must read anyway, and passes
// the hash, which must be keyed (SipHash) because peers choose what goes in. Never grows, never
// moves an entry, leaves no tombstones: a bucket counts the entries that passed it while it was
// full, by 4 classes of hashes, and a search goes on only where the count of its class is not zero.
// The table owns its memory; handles belong to the caller.
//
// Bounds: capacity entries, at 6.4 of the 10 slots of a line (10 octets an entry when full, 12.5
// when 80 % full); no search reads more than kMaxProbe lines. Full, or no free slot within
// kMaxProbe lines: insert says false. With a good hash the second has a chance below 10^-12 an
// insert: after long churn at capacity one line in 13 is full, those of a search are independent,
// and 16 of them must be.
//
// After such churn a hit reads 1.08 lines and a miss 1.12: the README has what else was tried. The
// price of 16-bit tags is one false match in 10,000 lookups.
#pragma once

#include <sys/mman.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>

#include "base/assert.h"
#include "base/slab.h"

namespace weir::flow {

namespace detail {

// Twelve lanes: 10 tags and two lanes of something else. Bit i is set where tag i equals `tag`.
inline unsigned match_tags_scalar(const std::uint16_t* lanes, std::uint16_t tag) {
  unsigned hits = 0;
  for (unsigned i = 0; i < 10; ++i) hits |= static_cast<unsigned>(lanes[i] == tag) << i;
  return hits;
}

#if defined(__SSE2__)
inline unsigned match_tags_sse2(const std::uint16_t* lanes, std::uint16_t tag) {
  const __m128i want = _mm_set1_epi16(static_cast<short>(tag));
  const __m128i lo = _mm_load_si128(reinterpret_cast<const __m128i*>(lanes));
  const __m128i hi = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(lanes + 8));
  const __m128i equal = _mm_packs_epi16(_mm_cmpeq_epi16(lo, want), _mm_cmpeq_epi16(hi, want));
  return static_cast<unsigned>(_mm_movemask_epi8(equal)) & 0x3ffU;
}
#endif

inline unsigned match_tags(const std::uint16_t* lanes, std::uint16_t tag) {
#if defined(__SSE2__)
  return match_tags_sse2(lanes, tag);
#else
  return match_tags_scalar(lanes, tag);
#endif
}

}  // namespace detail

class Table {
 public:
  static constexpr unsigned kSlots = 10;          // of a bucket
  static constexpr std::uint32_t kMaxProbe = 16;  // buckets

  // Throws std::bad_alloc.
  explicit Table(std::uint32_t capacity)
      : capacity_(capacity),
        buckets_count_(buckets_for(capacity)),
        probe_limit_(std::min(kMaxProbe, buckets_count_)),
        strides_(std::min(kStride, buckets_count_ - 1)) {
    map();
  }
  ~Table() { munmap(mapping_, mapping_bytes_); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // Octets of buckets for `capacity` entries.
  [[nodiscard]] static constexpr std::size_t bytes_for(std::uint32_t capacity) {
    return std::size_t{buckets_for(capacity)} * sizeof(Bucket);
  }

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&buckets_[home(hash)]); }

  // The handle for which eq(handle) holds among those with this hash; kNoIndex if there is none.
  template <std::predicate<std::uint32_t> Eq>
  [[nodiscard]] std::uint32_t find(std::uint64_t hash, Eq&& eq) const {
    const Place at = locate(hash, eq);
    return at.bucket == nullptr ? kNoIndex : at.bucket->handles[at.slot];
  }

  // The first handle whose tag matches, unconfirmed, for the caller to prefetch; kNoIndex means
  // that find would say so too.
  [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const {
    return find(hash, [](std::uint32_t) { return true; });
  }

  // The buckets that find reads.
  template <std::predicate<std::uint32_t> Eq>
  [[nodiscard]] unsigned lines_read(std::uint64_t hash, Eq&& eq) const {
    unsigned lines = 0;
    (void)locate(hash, eq, &lines);
    return lines;
  }

  // False when the table is full or no bucket in reach has room (nothing is changed then).
  // Pre: the key is not in the table.
  [[nodiscard]] bool insert(std::uint64_t hash, std::uint32_t handle) {
    if (size_ == capacity_) return false;
    const std::uint32_t start = home(hash);
    std::uint32_t b = start;
    for (std::uint32_t passed = 0; passed < probe_limit_; ++passed, b = next(b, hash)) {
      Bucket& bucket = buckets_[b];
      const unsigned free = detail::match_tags(bucket.lanes, kEmpty);
      if (free == 0) {
        if (bucket.passed(hash) == kMostPassed) return false;
        continue;
      }
      const auto slot = static_cast<unsigned>(std::countr_zero(free));
      bucket.lanes[slot] = tag_of(hash);
      bucket.handles[slot] = handle;
      for (std::uint32_t full = start; full != b; full = next(full, hash)) {
        ++buckets_[full].passed(hash);
      }
      ++size_;
      return true;
    }
    return false;
  }

  // False when nothing matched.
  template <std::predicate<std::uint32_t> Eq>
  bool erase(std::uint64_t hash, Eq&& eq) {
    const Place at = locate(hash, eq);
    if (at.bucket == nullptr) return false;
    at.bucket->lanes[at.slot] = kEmpty;
    for (std::uint32_t b = home(hash); &buckets_[b] != at.bucket; b = next(b, hash)) {
      --buckets_[b].passed(hash);
    }
    --size_;
    return true;
  }
  bool erase(std::uint64_t hash, std::uint32_t handle) {
    return erase(hash, [handle](std::uint32_t h) { return h == handle; });
  }

  // Puts another handle in the place of one, for the same key. False when `old_handle` is not
  // there.
  bool replace(std::uint64_t hash, std::uint32_t old_handle, std::uint32_t new_handle) {
    const Place at = locate(hash, [old_handle](std::uint32_t h) { return h == old_handle; });
    if (at.bucket == nullptr) return false;
    at.bucket->handles[at.slot] = new_handle;
    return true;
  }

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

 private:
  static constexpr std::uint16_t kEmpty = 0;  // a tag; so zeroed memory is an empty table
  static constexpr std::size_t kHugePage = std::size_t{2} << 20U;

  // Entries for ten buckets at capacity.
  static constexpr std::uint32_t kFill = 64;
  // The buckets of a search lie so near to each other: on 2 MiB, a huge page.
  static constexpr std::uint32_t kStride = 1U << 15U;
  static constexpr std::uint8_t kMostPassed = 0xff;

  struct alignas(64) Bucket {
    std::uint16_t lanes[12];  // 10 tags, 4 counts of 8 bits: two vector loads see all
    std::uint32_t handles[kSlots];

    // How many of this hash's class are in buckets beyond this one, and passed it on their way.
    [[nodiscard]] std::uint8_t& passed(std::uint64_t hash) {
      return reinterpret_cast<std::uint8_t*>(&lanes[kSlots])[hash >> 48U & 3U];
    }
  };
  static_assert(sizeof(Bucket) == 64);
  static_assert(sizeof(Bucket) * 100 <= std::size_t{16} * kFill * 8, "16 octets an entry at 80 %");

  struct Place {
    Bucket* bucket = nullptr;
    unsigned slot = 0;
  };

  // A prime number of them, so that whatever the step, a search comes to all before it comes to one
  // again.
  static constexpr std::uint32_t buckets_for(std::uint32_t capacity) {
    const auto n = static_cast<std::uint32_t>((std::uint64_t{capacity} * 10 + kFill - 1) / kFill);
    std::uint32_t prime = std::max(n, 1U);
    while (!is_prime(prime)) ++prime;  // within some hundreds
    return prime;
  }
  static constexpr bool is_prime(std::uint32_t n) {
    for (std::uint32_t d = 2; d <= n / d; ++d) {
      if (n % d == 0) return false;
    }
    return true;
  }
  // Bucket from the low 32 bits of the hash, step from 15 in the middle, tag from the high 16: they
  // are independent. A multiply instead of a mask, so that memory need not double at a power of two
  // (Lemire, "fastrange").
  [[nodiscard]] std::uint32_t home(std::uint64_t hash) const {
    return static_cast<std::uint32_t>((hash & 0xffff'ffffU) * buckets_count_ >> 32U);
  }
  static std::uint16_t tag_of(std::uint64_t hash) {
    const auto tag = static_cast<std::uint16_t>(hash >> 48U);
    return tag == kEmpty ? std::uint16_t{1} : tag;
  }
  // Steps of its own for each hash: buckets that are full do not gather, as side by side they do.
  [[nodiscard]] std::uint32_t next(std::uint32_t b, std::uint64_t hash) const {
    const auto draw = static_cast<std::uint32_t>(hash >> 32U) & (kStride - 1);
    b += 1 + draw * strides_ / kStride;  // at most 2^30
    return b >= buckets_count_ ? b - buckets_count_ : b;
  }

  template <class Eq>
  [[nodiscard]] Place locate(std::uint64_t hash, Eq&& eq, unsigned* lines = nullptr) const {
    const std::uint16_t tag = tag_of(hash);
    std::uint32_t b = home(hash);
    for (std::uint32_t probe = 0; probe < probe_limit_; ++probe, b = next(b, hash)) {
      Bucket& bucket = buckets_[b];
      if (lines != nullptr) ++*lines;
      for (unsigned hits = detail::match_tags(bucket.lanes, tag); hits != 0; hits &= hits - 1) {
        const auto slot = static_cast<unsigned>(std::countr_zero(hits));
        if (eq(bucket.handles[slot])) return {&bucket, slot};
      }
      if (bucket.passed(hash) == 0) break;
    }
    return {};
  }

  // Aligned to a huge page, so that a lookup in a large table costs one TLB miss at most.
  void map() {
    const std::size_t bytes = bytes_for(capacity_);
    mapping_bytes_ = bytes + (bytes >= kHugePage ? kHugePage : 0);
    mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping_ == MAP_FAILED) throw std::bad_alloc();
    auto at = reinterpret_cast<std::uintptr_t>(mapping_);
    if (bytes >= kHugePage) {
      at = (at + kHugePage - 1) & ~(kHugePage - 1);
      // A kernel without transparent huge pages says no, and the table works all the same.
      static_cast<void>(madvise(reinterpret_cast<void*>(at), bytes, MADV_HUGEPAGE));
    }
    buckets_ = reinterpret_cast<Bucket*>(at);
  }

  Bucket* buckets_ = nullptr;
  std::uint32_t capacity_;
  std::uint32_t buckets_count_;
  std::uint32_t probe_limit_;
  std::uint32_t strides_;  // that there are
  std::uint32_t size_ = 0;
  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
};

}  // namespace weir::flow
