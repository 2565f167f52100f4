#include "match/match.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string_view>

namespace weir::match {
namespace {

// A chain over text that the test owns, in pieces of `step` octets.
struct Text {
  Text(std::string_view s, std::size_t step) : text(s) {
    for (std::size_t at = 0; at < text.size(); at += step, ++used) {
      Buf& b = bufs[used];
      b.data = reinterpret_cast<std::byte*>(text.data() + at);
      b.len = static_cast<std::uint32_t>(std::min(step, text.size() - at));
      chain.push_back(&b);
    }
  }
  std::string text;
  std::array<Buf, 64> bufs;
  std::size_t used = 0;
  BufChain chain;
};

const std::vector<Pattern> kPatterns = {{"GET /admin", 1, false}, {"x-attack: .*now", 2, true}};

TEST(Match, FindsPatternsAcrossBufferBoundariesWhereverTheyFall) {
  auto db = Database::compile(kPatterns);
  ASSERT_TRUE(db.ok());
  const Scratch scratch(*db);
  for (std::size_t step = 1; step <= 40; ++step) {
    Text t("GET /admin HTTP/1.1\r\nX-Attack: do it NOW\r\n", step);
    Stream s(*db, scratch);
    std::vector<Match> found;
    s.scan(t.chain, found);
    ASSERT_EQ(found.size(), 2U) << "pieces of " << step;
    EXPECT_EQ(found[0].id, 1U);
    EXPECT_EQ(found[0].end, 10U);
    EXPECT_EQ(found[1].id, 2U);
    EXPECT_EQ(t.chain.bytes(), t.text.size());
  }
}

TEST(Match, AStreamRemembersBetweenScansAndStreamsAreApart) {
  auto db = Database::compile(kPatterns);
  ASSERT_TRUE(db.ok());
  const Scratch scratch(*db);
  Stream a(*db, scratch), b(*db, scratch);
  std::vector<Match> in_a, in_b;
  Text first("GET /ad", 100), second("min", 100);
  a.scan(first.chain, in_a);
  b.scan(second.chain, in_b);
  a.scan(second.chain, in_a);
  EXPECT_EQ(in_a.size(), 1U);
  EXPECT_TRUE(in_b.empty());
}

TEST(Match, ABadPatternIsNamedWithHyperscansReason) {
  const std::vector<Pattern> bad = {{"fine", 1, false}, {"(unclosed", 2, false}};
  const auto db = Database::compile(bad);
  ASSERT_FALSE(db.ok());
  EXPECT_EQ(db.error().pattern, 1U);
  EXPECT_NE(db.error().reason.find("parenthes"), std::string::npos) << db.error().reason;
}

}  // namespace
}  // namespace weir::match
