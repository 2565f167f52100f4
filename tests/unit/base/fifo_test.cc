// The queue by index against a naive twin: a deque of indices and what was written there.
#include "base/fifo.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "base/rng.h"

namespace weir {
namespace {

struct Record {
  std::uint32_t tag;
  std::uint32_t more[6];
};
using Queue = Fifo<Record>;

void push(Queue& q, std::uint32_t tag) {
  const std::uint32_t index = q.push();
  ASSERT_NE(index, kNoIndex);
  ::new (q.slot(index)) Record{tag, {}};
}

TEST(Fifo, FirstInFirstOutAndInSequence) {
  Queue q(10);
  EXPECT_EQ(q.first(), kNoIndex);
  for (std::uint32_t i = 0; i < 3; ++i) push(q, 40 + i);
  EXPECT_EQ(q[q.first()].tag, 40U);
  EXPECT_EQ(q.following(q.first()), q.first() + 1);
  q.pop();
  EXPECT_EQ(q[q.first()].tag, 41U);
  q.pop();
  EXPECT_EQ(q.following(q.first()), kNoIndex);
  q.pop();
  EXPECT_EQ(q.first(), kNoIndex);
  EXPECT_EQ(q.size(), 0U);
}

TEST(Fifo, FullSaysNoAndRecovers) {
  Queue q(2), none(0);
  push(q, 1);
  push(q, 2);
  EXPECT_EQ(q.push(), kNoIndex);
  q.pop();
  push(q, 3);
  EXPECT_EQ(q.push(), kNoIndex);
  EXPECT_EQ(none.push(), kNoIndex);
}

// Few at a time take little memory, however many pass.
TEST(Fifo, MemoryIsThatOfTheMostThereEverWere) {
  Queue q(100 * Queue::kChunk);
  for (std::uint32_t i = 0; i < 50 * Queue::kChunk; ++i) {
    push(q, i);
    if (q.size() > 100) q.pop();
  }
  EXPECT_LE(q.used(), 2 * Queue::kChunk);
  while (q.size() > 0) q.pop();
  push(q, 1);
  EXPECT_LE(q.used(), 2 * Queue::kChunk);
}

// At capacity, its ends in the midst of chunks: one chunk more than the records fill.
TEST(Fifo, TurnsAtCapacity) {
  constexpr std::uint32_t kMany = 3 * Queue::kChunk;
  Queue q(kMany);
  for (std::uint32_t i = 0; i < kMany; ++i) push(q, i);
  std::set<std::uint32_t> indices;
  for (std::uint32_t i = 0; i < 10 * kMany; ++i) {
    ASSERT_EQ(q[q.first()].tag, i);
    q.pop();
    push(q, kMany + i);
  }
  for (std::uint32_t at = q.first(); at != kNoIndex; at = q.following(at)) indices.insert(at);
  EXPECT_EQ(indices.size(), kMany);
  EXPECT_LT(*indices.rbegin(), kMany + Queue::kChunk);
  EXPECT_EQ(q.used(), kMany + Queue::kChunk);
}

TEST(Fifo, AgreesWithTheNaiveTwin) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Rng rng(seed);
    const std::uint32_t capacity = 1 + rng.below(5 * Queue::kChunk);
    Queue q(capacity);
    std::deque<std::pair<std::uint32_t, std::uint32_t>> twin;  // index, tag
    std::uint32_t tag = 0;
    for (std::uint32_t op = 0; op < 400; ++op) {
      const std::uint32_t many = rng.below(capacity) + 1;
      const bool in = rng.chance(500'000);
      for (std::uint32_t i = 0; i < many; ++i) {
        if (in) {
          const std::uint32_t index = q.push();
          ASSERT_EQ(index == kNoIndex, twin.size() == capacity);
          if (index == kNoIndex) break;
          ::new (q.slot(index)) Record{++tag, {}};
          twin.emplace_back(index, tag);
        } else {
          if (twin.empty()) break;
          ASSERT_EQ(q.first(), twin.front().first);
          q.pop();
          twin.pop_front();
        }
      }
      ASSERT_EQ(q.size(), twin.size());
      std::uint32_t at = q.first();
      for (const auto& [index, value] : twin) {
        ASSERT_EQ(at, index) << "seed " << seed << " op " << op;
        ASSERT_EQ(q[at].tag, value);
        at = q.following(at);
      }
      ASSERT_EQ(at, kNoIndex);
    }
  }
}

}  // namespace
}  // namespace weir
