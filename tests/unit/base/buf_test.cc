// Views and chains: the octet count follows every move.
#include "base/buf.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

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

}  // namespace
}  // namespace weir
