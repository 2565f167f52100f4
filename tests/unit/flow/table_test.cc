// The connection table against std::unordered_map, at and beyond the load it is made for.
#include "flow/table.h"

#include <gtest/gtest.h>

#include <unordered_map>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace weir::flow {
namespace {

constexpr auto is(std::uint32_t want) {
  return [want](std::uint32_t handle) { return handle == want; };
}
constexpr auto kAny = [](std::uint32_t) { return true; };

TEST(Table, FindsWhatWasInserted) {
  Table table(100);
  EXPECT_EQ(table.find(42, kAny), kNoIndex);
  EXPECT_TRUE(table.insert(42, 0));
  EXPECT_TRUE(table.insert(42, 7));  // another key, the same hash
  EXPECT_EQ(table.find(42, is(0)), 0U);
  EXPECT_EQ(table.find(42, is(7)), 7U);
  EXPECT_EQ(table.find(42, is(8)), kNoIndex);
  EXPECT_NE(table.candidate(42), kNoIndex);
  EXPECT_EQ(table.size(), 2U);
  EXPECT_TRUE(table.erase(42, 0U));
  EXPECT_FALSE(table.erase(42, 0U));
  EXPECT_EQ(table.candidate(42), 7U);
  EXPECT_TRUE(table.replace(42, 7, 9));
  EXPECT_FALSE(table.replace(42, 7, 9));
  EXPECT_EQ(table.find(42, is(9)), 9U);
  EXPECT_TRUE(table.erase(42, kAny));
  EXPECT_EQ(table.size(), 0U);
}

TEST(Table, AHashOfZeroIsAHash) {
  Table table(10);
  EXPECT_EQ(table.candidate(0), kNoIndex);
  EXPECT_TRUE(table.insert(0, 5));
  EXPECT_EQ(table.candidate(0), 5U);
  EXPECT_TRUE(table.erase(0, 5U));
  EXPECT_EQ(table.candidate(0), kNoIndex);
}

TEST(Table, FullSaysNo) {
  Table table(3);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(table.insert(i, i));
  EXPECT_FALSE(table.insert(3, 3));
  EXPECT_TRUE(table.erase(1, 1U));
  EXPECT_TRUE(table.insert(3, 3));
  Table none(0);
  EXPECT_FALSE(none.insert(1, 1));
  EXPECT_EQ(none.candidate(1), kNoIndex);
}

// One home for all: an adversary who knew the key. Work stays bounded, and nothing is lost.
TEST(Table, TheProbeBoundHolds) {
  Table table(10'000);
  constexpr std::uint32_t kReach = Table::kMaxProbe * Table::kSlots;
  const auto hash = [](std::uint64_t i) { return i << 48U | 1U; };
  for (std::uint32_t i = 1; i <= kReach; ++i) ASSERT_TRUE(table.insert(hash(i), i));
  EXPECT_FALSE(table.insert(hash(kReach + 1), kReach + 1));
  EXPECT_EQ(table.size(), kReach);
  for (std::uint32_t i = 1; i <= kReach; ++i) ASSERT_EQ(table.find(hash(i), is(i)), i);
  ASSERT_TRUE(table.erase(hash(5), 5U));
  EXPECT_TRUE(table.insert(hash(kReach + 1), kReach + 1));
}

// A miss reads one line again once those who passed have gone: no tombstones. Seen through eq: the
// neighbour has the same tag, and is asked about only by a search that goes beyond its home.
TEST(Table, NoTombstones) {
  Table table(10'000);  // 1567 buckets
  const std::uint64_t tag = std::uint64_t{9} << 48U;
  const std::uint64_t hash = tag | 1U;                 // home: bucket 0
  ASSERT_TRUE(table.insert(tag | 3'000'000U, 1'000));  // home: bucket 1
  for (std::uint32_t i = 0; i < 50; ++i) ASSERT_TRUE(table.insert(hash, i));
  unsigned asked = 0;
  const auto count = [&](std::uint32_t) { return ++asked, false; };
  EXPECT_EQ(table.find(hash, count), kNoIndex);
  EXPECT_EQ(asked, 51U);
  for (std::uint32_t i = Table::kSlots; i < 50; ++i) ASSERT_TRUE(table.erase(hash, i));
  asked = 0;
  EXPECT_EQ(table.find(hash, count), kNoIndex);
  EXPECT_EQ(asked, Table::kSlots);
}

TEST(Table, MemoryBudget) {
  for (const std::uint32_t n : {1'000U, 65'537U, 1'000'000U, 10'000'000U, 60'000'000U}) {
    EXPECT_LE(Table::bytes_for(n), std::size_t{16} * (n / 10 * 8 + 8)) << n;  // at 80 %
    EXPECT_LE(Table::bytes_for(n), std::size_t{n} * 10 + n / 20 + 640) << n;  // full
  }
}

// A search for a hash of another class than those who passed ends at home.
TEST(Table, WhoPassedIsCountedByClass) {
  Table table(10'000);
  const auto hash = [](std::uint64_t i) { return i << 48U | 1U; };
  for (std::uint32_t i = 1; i <= Table::kSlots; ++i) ASSERT_TRUE(table.insert(hash(4 * i), i));
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(table.lines_read(hash(1'000 + i), is(1)), 1U);
  ASSERT_TRUE(table.insert(hash(1'002), 99));
  EXPECT_EQ(table.lines_read(hash(1'002), is(99)), 2U);
  EXPECT_EQ(table.lines_read(hash(2'002), is(99)), 2U);
  for (const std::uint64_t i : {0U, 1U, 3U})
    EXPECT_EQ(table.lines_read(hash(2'000 + i), is(99)), 1U);
}

// More than a count of 8 bits holds want to pass one bucket: an adversary who knew the key. The
// last are refused, and all counts are right again when the others have gone.
TEST(Table, ACountOfThoseWhoPassedDoesNotRunOver) {
  Table table(100'000);
  constexpr std::uint64_t kHome = 1, kTag = std::uint64_t{9} << 48U;
  const auto hash = [](std::uint64_t step) { return kTag | step << 32U | kHome; };
  std::uint32_t in = 0;
  while (in < 1'000 && table.insert(hash(in * 20), in)) ++in;
  EXPECT_EQ(in, Table::kSlots + 255U);
  EXPECT_EQ(table.size(), in);
  for (std::uint32_t i = 0; i < in; ++i) ASSERT_EQ(table.find(hash(i * 20), is(i)), i);
  for (std::uint32_t i = 0; i < in; ++i) ASSERT_TRUE(table.erase(hash(i * 20), i));
  EXPECT_EQ(table.lines_read(kHome | kTag, is(0)), 1U);
  EXPECT_TRUE(table.insert(hash(in * 20), in));
}

// What the table is made for: at capacity, after long churn, searches read few lines.
TEST(Table, LinesReadAfterLongChurn) {
  constexpr std::uint32_t kMany = 100'000;
  Table table(kMany);
  Rng rng(11);
  std::vector<std::uint64_t> hashes(kMany);
  for (std::uint32_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(table.insert(hashes[i] = rng.next(), i));
  }
  for (std::uint32_t n = 0; n < 10 * kMany; ++n) {
    const std::uint32_t at = rng.below(kMany);
    ASSERT_TRUE(table.erase(hashes[at], at));
    ASSERT_TRUE(table.insert(hashes[at] = rng.next(), at));
  }
  std::uint64_t hit = 0, miss = 0;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    hit += table.lines_read(hashes[i], is(i));
    miss += table.lines_read(rng.next(), [](std::uint32_t) { return false; });
  }
  EXPECT_LT(static_cast<double>(hit) / kMany, 1.10);
  EXPECT_LT(static_cast<double>(miss) / kMany, 1.15);
}

#if defined(__SSE2__)
TEST(Table, BothTagComparesAgree) {
  Rng rng(1);
  alignas(64) std::uint16_t lanes[12];
  for (unsigned i = 0; i < 100'000; ++i) {
    for (auto& lane : lanes) lane = static_cast<std::uint16_t>(rng.below(4));
    const auto tag = static_cast<std::uint16_t>(rng.below(4));
    ASSERT_EQ(detail::match_tags_sse2(lanes, tag), detail::match_tags_scalar(lanes, tag));
  }
}
#endif

TEST(Table, FillsToCapacityWithAGoodHash) {
  constexpr std::uint32_t kMany = 300'000;
  Table table(kMany);
  Rng rng(7);
  std::vector<std::uint64_t> hashes;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    hashes.push_back(rng.next());
    ASSERT_TRUE(table.insert(hashes.back(), i));
  }
  for (std::uint32_t i = 0; i < kMany; ++i) ASSERT_EQ(table.find(hashes[i], is(i)), i);
}

struct Shape {
  std::uint64_t seed;
  std::uint32_t capacity;
  std::uint32_t percent;  // of capacity to hover at
  std::uint64_t mask;     // of hash bits in use: few bits crowd some buckets beyond their slots
};

class TableFuzz : public testing::TestWithParam<Shape> {
 protected:
  void insert() {
    const std::uint64_t hash = rng_.next() & GetParam().mask;
    const std::uint32_t handle = next_handle_++;
    if (!table_.insert(hash, handle)) {
      ++refused_;
      ASSERT_TRUE(table_.size() == table_.capacity() || GetParam().mask != ~std::uint64_t{0});
      return;
    }
    place_[handle] = live_.size();
    live_.emplace_back(hash, handle);
  }
  void erase() {
    if (live_.empty()) return;
    const std::size_t at = rng_.below(static_cast<std::uint32_t>(live_.size()));
    const auto [hash, handle] = live_[at];
    ASSERT_TRUE(rng_.chance(500'000) ? table_.erase(hash, handle) : table_.erase(hash, is(handle)));
    ASSERT_EQ(table_.find(hash, is(handle)), kNoIndex);
    place_.erase(handle);
    live_[at] = live_.back();
    live_.pop_back();
    if (at < live_.size()) place_[live_[at].second] = at;
  }
  void replace() {
    if (live_.empty()) return;
    const std::size_t at = rng_.below(static_cast<std::uint32_t>(live_.size()));
    auto& [hash, handle] = live_[at];
    ASSERT_TRUE(table_.replace(hash, handle, next_handle_));
    place_.erase(handle);
    handle = next_handle_++;
    place_[handle] = at;
  }
  void look_up() {
    if (live_.empty()) return;
    const auto [hash, handle] = live_[rng_.below(static_cast<std::uint32_t>(live_.size()))];
    ASSERT_EQ(table_.find(hash, is(handle)), handle);
    ASSERT_NE(table_.candidate(hash), kNoIndex);
    const std::uint64_t other = rng_.next() & GetParam().mask;
    const std::uint32_t hit = table_.candidate(other);
    if (hit != kNoIndex) {  // unconfirmed, yet alive and of this tag
      ASSERT_TRUE(place_.contains(hit));
      const auto tag = [](std::uint64_t h) { return std::max<std::uint64_t>(h >> 48U, 1); };
      ASSERT_EQ(tag(live_[place_[hit]].first), tag(other));
    }
  }

  Rng rng_{GetParam().seed};
  Table table_{GetParam().capacity};
  std::vector<std::pair<std::uint64_t, std::uint32_t>> live_;
  std::unordered_map<std::uint32_t, std::size_t> place_;  // the twin: handle to its place in live_
  std::uint32_t next_handle_ = 0;
  std::uint32_t refused_ = 0;
};

TEST_P(TableFuzz, AgreesWithTheNaiveTwin) {
  const std::uint32_t level = GetParam().capacity / 100 * GetParam().percent;
  for (std::uint32_t op = 0; op < 200'000; ++op) {
    const std::uint32_t what = rng_.below(10);
    // Fills to the level, then churns around it; sometimes drains a good part.
    const bool grow = live_.size() < level && op % 50'000 < 45'000;
    if (what < 6) {
      (what < (grow ? 5U : 2U)) ? insert() : erase();
    } else if (what < 7) {
      replace();
    } else {
      look_up();
    }
    ASSERT_EQ(table_.size(), live_.size());
    if (HasFatalFailure()) FAIL() << "seed " << GetParam().seed << " op " << op;
  }
  for (const auto& [hash, handle] : live_) ASSERT_EQ(table_.find(hash, is(handle)), handle);
  while (!live_.empty()) erase();
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    ASSERT_EQ(table_.candidate(rng_.next() & GetParam().mask), kNoIndex);
  }
  if (GetParam().mask != ~std::uint64_t{0}) {
    EXPECT_GT(refused_, 0U) << "meant to reach the bound";
  }
}

constexpr std::uint64_t kAllBits = ~std::uint64_t{0};
INSTANTIATE_TEST_SUITE_P(
    Shapes, TableFuzz,
    testing::Values(Shape{1, 1'000, 80, kAllBits}, Shape{2, 1'000, 90, kAllBits},
                    Shape{3, 5'000, 100, kAllBits}, Shape{4, 20'000, 100, kAllBits},
                    Shape{5, 100, 100, kAllBits}, Shape{6, 7, 100, kAllBits},
                    Shape{7, 1'000, 100, 0xffff'0000'1fff'ffffU},   // 1/8 of the buckets
                    Shape{8, 1'000, 100, 0x000f'0000'3fff'ffffU}),  // few tags, 1/4 of the buckets
    [](const auto& shape) { return "Seed" + std::to_string(shape.param.seed); });

}  // namespace
}  // namespace weir::flow
