// Sequence numbers around the wrap (RFC 9293 §3.4).
#include "base/seq.h"

#include <gtest/gtest.h>

#include <concepts>

namespace weir {
namespace {

template <class T>
concept HasLess = requires(T a, T b) {
  a < b;
};
static_assert(!HasLess<Seq>, "a comparison that forgets the wrap must not compile");
static_assert(!std::convertible_to<std::uint32_t, Seq>);

constexpr Seq kBeforeWrap{0xffff'fff0U};

TEST(Seq, AddsAndSubtractsAcrossTheWrap) {
  EXPECT_EQ(kBeforeWrap + 0x20, Seq{0x10});
  EXPECT_EQ(Seq{0x10} - 0x20, kBeforeWrap);
  EXPECT_EQ(distance(kBeforeWrap, Seq{0x10}), 0x20U);
  Seq s = kBeforeWrap;
  s += 16;
  EXPECT_EQ(s.raw(), 0U);
}

TEST(Seq, ComparesAcrossTheWrap) {
  const Seq later{5};
  EXPECT_TRUE(before(kBeforeWrap, later));
  EXPECT_FALSE(before(later, kBeforeWrap));
  EXPECT_TRUE(after(later, kBeforeWrap));
  EXPECT_EQ(later_of(kBeforeWrap, later), later);
  EXPECT_EQ(earlier_of(kBeforeWrap, later), kBeforeWrap);
}

TEST(Seq, EqualIsNeitherBeforeNorAfter) {
  EXPECT_FALSE(before(kBeforeWrap, kBeforeWrap));
  EXPECT_FALSE(after(kBeforeWrap, kBeforeWrap));
  EXPECT_TRUE(at_or_before(kBeforeWrap, kBeforeWrap));
  EXPECT_TRUE(at_or_after(kBeforeWrap, kBeforeWrap));
}

TEST(Seq, OrdersUpToHalfTheSpace) {
  EXPECT_TRUE(before(Seq{0}, Seq{0x7fff'ffffU}));
  EXPECT_FALSE(before(Seq{0}, Seq{0x8000'0001U}));
}

TEST(Seq, WindowIsHalfOpenAndMayWrap) {
  EXPECT_TRUE(in_window(kBeforeWrap, kBeforeWrap, 32));
  EXPECT_TRUE(in_window(Seq{15}, kBeforeWrap, 32));
  EXPECT_FALSE(in_window(Seq{16}, kBeforeWrap, 32));
  EXPECT_FALSE(in_window(kBeforeWrap - 1, kBeforeWrap, 32));
  EXPECT_FALSE(in_window(kBeforeWrap, kBeforeWrap, 0));
}

}  // namespace
}  // namespace weir
