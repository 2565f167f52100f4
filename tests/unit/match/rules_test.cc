#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rules_fixture.h"

namespace weir::match {
namespace {

TEST(Rules, TheFirstInFileOrderWinsWhateverComesFirst) {
  Rig rig({pool(S::kPath, "/a", 0), pool(S::kPath, "/a/b", 1), pool(S::kHost, "^x$", 2)});
  EXPECT_EQ(rig.verdict({{S::kPath, "/a/b"}, {S::kHost, "x"}}), 0);
  EXPECT_EQ(rig.verdict({{S::kHost, "x"}, {S::kPath, "/a/b"}}), 0);
  EXPECT_EQ(rig.verdict({{S::kHost, "x"}, {S::kPath, "/c"}}), 2);
  EXPECT_EQ(rig.verdict({{S::kHost, "y"}, {S::kPath, "/c"}}), -1);
}

TEST(Rules, LookOnlyAtTheirOwnPart) {
  Rig rig({pool(S::kMethod, "secret", 0), pool(S::kHost, "secret", 0), pool(S::kPath, "secret", 0),
           pool(S::kBody, "secret", 0), pool(S::kHeader, "secret", 0, "X-One"),
           pool(S::kHeader, "secret", 0, "x-two")});
  const std::vector<Part> parts = {{S::kMethod, "secret"},
                                   {S::kHost, "secret"},
                                   {S::kPath, "secret"},
                                   {S::kBody, "secret"},
                                   {S::kHeader, "secret", "x-ONE"},
                                   {S::kHeader, "secret", "X-Two"}};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    EXPECT_EQ(rig.verdict({parts[i]}), static_cast<int>(i));
  }
  EXPECT_EQ(rig.verdict({{S::kHeader, "secret", "x-three"}}), -1);
  EXPECT_EQ(rig.verdict({{S::kHeader, "secret", "x-tw"}}), -1);
  EXPECT_EQ(rig.verdict({{S::kHeader, "secret", ""}}), -1);
}

TEST(Rules, APartDoesNotReachIntoTheNext) {
  Rig rig({pool(S::kPath, "ab", 0), pool(S::kHeader, "cd", 0, "h")});
  EXPECT_EQ(rig.verdict({{S::kPath, "a"}, {S::kPath, "b"}}), -1);
  EXPECT_EQ(rig.verdict({{S::kHeader, "c", "h"}, {S::kHeader, "d", "h"}}), -1);
  EXPECT_EQ(rig.verdict({{S::kHeader, "xx", "h"}, {S::kHeader, "cd", "H"}}), 1);
}

TEST(Rules, AnchorsAreTheEndsOfThePart) {
  Rig rig({pool(S::kPath, "^/only$", 0), pool(S::kPath, "\\.php$", 1), pool(S::kPath, "^/pre", 2)});
  for (std::size_t step = 1; step < 12; ++step) {
    EXPECT_EQ(rig.verdict({{S::kPath, "/only"}}, step), 0);
    EXPECT_EQ(rig.verdict({{S::kPath, "/only/"}}, step), -1);
    EXPECT_EQ(rig.verdict({{S::kPath, "x/only"}}, step), -1);
    EXPECT_EQ(rig.verdict({{S::kPath, "/a.php"}}, step), 1);
    EXPECT_EQ(rig.verdict({{S::kPath, "/a.php?x"}}, step), -1);
    EXPECT_EQ(rig.verdict({{S::kPath, "/prefix"}}, step), 2);
    EXPECT_EQ(rig.verdict({{S::kHost, "/prefix"}, {S::kPath, "/x/prefix"}}, step), -1);
  }
}

TEST(Rules, AnEndIsNotReportedBeforeThePartEnds) {
  Rig rig({pool(S::kPath, "a$", 0)});
  rig.scan.begin(S::kPath);
  rig.scan.feed("a", 1);
  EXPECT_FALSE(rig.scan.verdict().has_value());
  rig.scan.end();
  EXPECT_EQ(rig.scan.verdict(), 0U);
}

TEST(Rules, CaseMattersForMethodsButNeverForHosts) {
  Rig rig({pool(S::kMethod, "^POST$", 0), pool(S::kHost, "^Shop\\.Example$", 1),
           pool(S::kPath, "/Case", 2), caseless(pool(S::kPath, "/less", 3))});
  EXPECT_EQ(rig.verdict({{S::kMethod, "POST"}}), 0);
  EXPECT_EQ(rig.verdict({{S::kMethod, "post"}}), -1);
  EXPECT_EQ(rig.verdict({{S::kHost, "shop.example"}}), 1);
  EXPECT_EQ(rig.verdict({{S::kHost, "SHOP.EXAMPLE"}}), 1);
  EXPECT_EQ(rig.verdict({{S::kPath, "/case"}}), -1);
  EXPECT_EQ(rig.verdict({{S::kPath, "/LESS"}}), 3);
}

TEST(Rules, APatternThatMatchesEmptyTextMatchesEveryPartThatIsThere) {
  Rig rig({pool(S::kHeader, "^$", 0, "x-empty"), pool(S::kPath, ".*", 1), pool(S::kBody, "z?", 2)});
  EXPECT_EQ(rig.verdict({{S::kPath, "/anything"}}), 1);
  EXPECT_EQ(rig.verdict({{S::kPath, ""}}), 1);
  EXPECT_EQ(rig.verdict({{S::kBody, "abc"}}), 2);
  EXPECT_EQ(rig.verdict({{S::kHeader, "", "x-empty"}}), 0);
  EXPECT_EQ(rig.verdict({{S::kHeader, "full", "x-empty"}}), -1);
  EXPECT_EQ(rig.verdict({}), -1);
}

TEST(Rules, ADenyIsAVerdictAndATagIsNot) {
  Rig rig({tag(S::kPath, "/a"), tag(S::kHeader, "bot", "user-agent"), deny(S::kPath, "/admin"),
           tag(S::kPath, "admin"), pool(S::kPath, "^/", 0), tag(S::kPath, "/late")});
  EXPECT_EQ(rig.verdict({{S::kPath, "/admin"}}), 2);
  EXPECT_EQ(rig.tags(), (Ids{0}));
  EXPECT_EQ(rig.verdict({{S::kPath, "/x-admin/late"}, {S::kHeader, "a bot", "User-Agent"}}), 4);
  EXPECT_EQ(rig.tags(), (Ids{1, 3}));
  EXPECT_EQ(rig.verdict({{S::kPath, "/x"}}), 4);
  EXPECT_EQ(rig.tags(), Ids{});
  EXPECT_EQ(rig.verdict({{S::kPath, "late"}}), -1);
  EXPECT_EQ(rig.tags(), Ids{}) << "/late begins with a slash";
}

TEST(Rules, WithoutAVerdictEveryTagCountsOnce) {
  Rig rig({tag(S::kHeader, "x", "h"), tag(S::kPath, "p"), tag(S::kBody, "b")});
  EXPECT_EQ(rig.verdict({{S::kBody, "b"}, {S::kHeader, "x", "h"}, {S::kHeader, "xx", "h"}}), -1);
  EXPECT_EQ(rig.tags(), (Ids{0, 2}));
  EXPECT_EQ(rig.verdict({}), -1);
  EXPECT_EQ(rig.tags(), Ids{});
}

TEST(Rules, AHeaderMayComeAnyNumberOfTimes) {
  Rig rig({deny(S::kHeader, "^evil$", "x-forwarded-for")});
  std::vector<Part> request(20, {S::kHeader, "good", "X-Forwarded-For"});
  EXPECT_EQ(rig.verdict(request), -1);
  request[13].text = "evil";
  EXPECT_EQ(rig.verdict(request), 0);
}

TEST(Rules, TheBodyMayDecideWhileARuleOnItStandsBeforeTheVerdict) {
  Rig rig({pool(S::kPath, "^/fast", 0), tag(S::kBody, "tag"), deny(S::kBody, "virus"),
           pool(S::kPath, "^/slow", 1), deny(S::kBody, "late")});
  EXPECT_EQ(rig.verdict({}), -1);
  EXPECT_TRUE(rig.scan.body_may_decide());
  EXPECT_EQ(rig.verdict({{S::kPath, "/fast"}}), 0);
  EXPECT_FALSE(rig.scan.body_may_decide());
  EXPECT_EQ(rig.verdict({{S::kPath, "/slow"}}), 3);
  EXPECT_TRUE(rig.scan.body_may_decide());
  EXPECT_EQ(rig.verdict({{S::kPath, "/slow"}, {S::kBody, "a virus, late"}}), 2);
  EXPECT_FALSE(rig.scan.body_may_decide());
  Rig tags_only({tag(S::kBody, "x"), pool(S::kPath, "^/", 0)});
  EXPECT_FALSE(tags_only.scan.body_may_decide());
}

TEST(Rules, BeginSaysWhetherThePartCanStillMatter) {
  Rig rig({pool(S::kPath, "^/a", 0), pool(S::kHeader, "x", 0, "x-h"), tag(S::kBody, "y")});
  EXPECT_FALSE(rig.scan.begin(S::kHost)) << "no rule looks at it";
  rig.scan.feed("abc", 3);
  rig.scan.end();
  EXPECT_FALSE(rig.scan.begin(S::kHeader, "other"));
  rig.scan.end();
  EXPECT_TRUE(rig.scan.begin(S::kBody));
  rig.scan.end();
  EXPECT_EQ(rig.verdict({{S::kPath, "/a"}}), 0);
  EXPECT_FALSE(rig.scan.begin(S::kBody)) << "the verdict stands before";
  rig.scan.feed("y", 1);
  rig.scan.end();
  EXPECT_EQ(rig.tags(), Ids{});
}

TEST(Rules, SayWhatTheyLookAt) {
  const Rig rig({pool(S::kPath, "a", 0), pool(S::kHeader, "x", 0, "X-Abc")});
  EXPECT_TRUE(rig.set.looks_at(S::kPath));
  EXPECT_TRUE(rig.set.looks_at(S::kHeader));
  EXPECT_FALSE(rig.set.looks_at(S::kBody));
  EXPECT_FALSE(rig.set.looks_at(S::kHost));
  EXPECT_FALSE(rig.set.looks_at(S::kMethod));
  EXPECT_TRUE(rig.set.looks_at_header("x-aBC"));
  EXPECT_FALSE(rig.set.looks_at_header("x-abd"));
  EXPECT_FALSE(rig.set.looks_at_header("x-abcd"));
}

TEST(Rules, ARestartInTheMiddleOfAPartForgetsIt) {
  Rig rig({pool(S::kPath, "ab", 0)});
  rig.scan.begin(S::kPath);
  rig.scan.feed("a", 1);
  rig.scan.restart();
  EXPECT_EQ(rig.verdict({{S::kPath, "b"}}), -1);
}

TEST(Rules, ABadPatternIsNamed) {
  const auto set = RuleSet::compile({pool(S::kPath, "ok", 0), pool(S::kPath, "(", 0)}, "");
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().pattern, 1U);
  EXPECT_NE(set.error().reason.find("parenthes"), std::string::npos) << set.error().reason;
  EXPECT_EQ(check({.expression = "("}), set.error().reason);
  EXPECT_EQ(check({.expression = "a{2,3}$"}), std::nullopt);
  EXPECT_EQ(check({.expression = ".*"}), std::nullopt);
  for (const char* bad : {"(a)\\1", "a(?=b)", "[z-a]", "*", "a{3,2}", "(?<n>", "\\"}) {
    EXPECT_TRUE(check({.expression = bad}).has_value()) << bad;
  }
}

}  // namespace
}  // namespace weir::match
