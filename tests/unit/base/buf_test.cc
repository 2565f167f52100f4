// Views and chains: the octet count follows every move.
#include "base/buf.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <utility>

#include "base/rng.h"

namespace weir {
namespace {

struct Block {
  std::array<std::byte, 100> octets{};
  Buf buf;
  explicit Block(std::uint32_t len) {
    buf.data = octets.data();
    buf.len = len;
    buf.room = 100 - len;
    buf.seq = Seq{0xffff'fffeU};
  }
};

TEST(Buf, TrimsMoveDataRoomAndSequence) {
  Block b(10);
  b.buf.trim_front(4);
  EXPECT_EQ(b.buf.data, b.octets.data() + 4);
  EXPECT_EQ(b.buf.len, 6U);
  EXPECT_EQ(b.buf.room, 90U);
  EXPECT_EQ(b.buf.seq, Seq{2});
  b.buf.trim_back(6);
  EXPECT_EQ(b.buf.len, 0U);
  EXPECT_EQ(b.buf.room, 96U);
  EXPECT_DEATH(b.buf.trim_front(1), "bug");
}

TEST(BufChain, IsFirstInFirstOut) {
  Block a(1), b(2), c(3);
  BufChain chain;
  EXPECT_EQ(chain.pop_front(), nullptr);
  chain.push_back(&a.buf);
  chain.push_back(&b.buf);
  chain.push_back(&c.buf);
  EXPECT_EQ(chain.bytes(), 6U);
  EXPECT_EQ(chain.pop_front(), &a.buf);
  EXPECT_EQ(a.buf.next, nullptr);
  EXPECT_EQ(chain.bytes(), 5U);
  EXPECT_EQ(chain.pop_front(), &b.buf);
  EXPECT_EQ(chain.pop_front(), &c.buf);
  EXPECT_TRUE(chain.empty());
  EXPECT_EQ(chain.tail(), nullptr);
  EXPECT_EQ(chain.bytes(), 0U);
}

TEST(BufChain, AppendTakesAllAndLeavesNothing) {
  Block a(1), b(2), c(3);
  BufChain x, y, z;
  x.append(std::move(y));  // nothing to nothing
  EXPECT_TRUE(x.empty());
  y.push_back(&a.buf);
  x.append(std::move(y));
  z.push_back(&b.buf);
  z.push_back(&c.buf);
  x.append(std::move(z));
  EXPECT_TRUE(z.empty());  // NOLINT: what a moved-from chain is, is the point
  EXPECT_EQ(x.bytes(), 6U);
  EXPECT_EQ(x.tail(), &c.buf);
  BufChain w(std::move(x));
  EXPECT_TRUE(x.empty());  // NOLINT
  EXPECT_EQ(w.head(), &a.buf);
  EXPECT_EQ(a.buf.next, &b.buf);
}

TEST(BufChain, GrowsAtTheTailAndTrimsAtTheHead) {
  Block a(10);
  BufChain chain;
  chain.push_back(&a.buf);
  chain.grow_tail(90);
  EXPECT_EQ(chain.bytes(), 100U);
  EXPECT_EQ(a.buf.room, 0U);
  EXPECT_DEATH(chain.grow_tail(1), "bug");
  chain.trim_head(30);
  EXPECT_EQ(chain.bytes(), 70U);
  EXPECT_EQ(a.buf.len, 70U);
}

TEST(BufChainDeathTest, MovingOntoAFullChainIsABug) {
  Block a(1), b(1);
  BufChain x, y;
  x.push_back(&a.buf);
  y.push_back(&b.buf);
  EXPECT_DEATH(x = std::move(y), "bug");
}

// The naive twin: a list of lengths, and the sequence number of each first octet.
TEST(BufChain, AgreesWithTheNaiveTwin) {
  struct Naive {
    std::uint32_t len, room;
  };
  std::deque<Block> blocks;  // never moved
  std::array<BufChain, 2> chains;
  std::array<std::deque<Naive>, 2> twins;
  Rng rng(1);
  for (unsigned step = 0; step < 20'000; ++step) {
    const unsigned c = rng.below(2);
    BufChain& chain = chains[c];
    std::deque<Naive>& twin = twins[c];
    switch (rng.below(6)) {
      case 0:
      case 1: {
        const std::uint32_t len = rng.below(101);
        chain.push_back(&blocks.emplace_back(len).buf);
        twin.push_back({len, 100 - len});
        break;
      }
      case 2: {
        const Buf* b = chain.pop_front();
        ASSERT_EQ(b == nullptr, twin.empty());
        if (twin.empty()) break;
        ASSERT_EQ(b->len, twin.front().len);
        ASSERT_EQ(b->next, nullptr);
        twin.pop_front();
        break;
      }
      case 3:
        if (twin.empty()) break;
        if (const std::uint32_t n = rng.below(twin.front().len + 1); true) {
          chain.trim_head(n);
          twin.front().len -= n;
        }
        break;
      case 4:
        if (twin.empty()) break;
        if (const std::uint32_t n = rng.below(twin.back().room + 1); true) {
          chain.grow_tail(n);
          twin.back().len += n;
          twin.back().room -= n;
        }
        break;
      default:
        if (rng.below(10) != 0) break;
        chain.append(std::move(chains[1 - c]));
        twin.insert(twin.end(), twins[1 - c].begin(), twins[1 - c].end());
        twins[1 - c].clear();
    }
    std::uint32_t bytes = 0;
    const Buf* b = chain.head();
    for (const Naive& n : twin) {
      ASSERT_NE(b, nullptr);
      ASSERT_EQ(b->len, n.len);
      bytes += n.len;
      b = b->next;
    }
    ASSERT_EQ(b, nullptr);
    ASSERT_EQ(chain.bytes(), bytes);
    ASSERT_EQ(chain.empty(), twin.empty());
  }
}

}  // namespace
}  // namespace weir
