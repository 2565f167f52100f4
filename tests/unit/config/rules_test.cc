// The rules file: what it may say, and that every mistake in it is one line with place and cure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ostream>
#include <string>
#include <vector>

#include "config_rules.h"

namespace weir::test {
namespace {

using match::Action;
using match::Subject;

const std::vector<std::string> kPools = {"web", "api", "static"};

struct RuleText {
  std::string name = "name = \"one\"\n";
  std::string match = "match = \"path\"\n";
  std::string pattern = "pattern = '^/a'\n";
  std::string action = "action = \"pool api\"\n";
  std::string tail;
  [[nodiscard]] std::string text() const {
    return "[[rule]]\n" + name + match + pattern + action + tail;
  }
};

auto parse(const std::string& text) {
  return app::parse_rules(text, "r.toml", kPools);
}

TEST(RulesFile, TakesEveryKindOfRule) {
  const auto r = parse(R"(
[[rule]]
name = "a"
match = "host"
pattern = '^a\.example$'
action = "pool static"
[[rule]]
name = "b"
match = "path"
pattern = '^/x'
caseless = true
action = "deny 451"
[[rule]]
name = "c-1_2.3"
match = "method"
pattern = '^PUT$'
action = "tag"
[[rule]]
name = "d"
match = "header:X-Abc"
pattern = 'v'
action = "pool web"
[[rule]]
name = "e"
match = "body"
pattern = "evil"
action = "deny 599"
)");
  ASSERT_TRUE(r.ok()) << r.error();
  const auto& v = r.value();
  ASSERT_EQ(v.size(), 5U);
  EXPECT_EQ(v[0].subject, Subject::kHost);
  EXPECT_EQ(v[0].pattern, "^a\\.example$");
  EXPECT_EQ(v[0].action, Action::kPool);
  EXPECT_EQ(v[0].pool, 2U);
  EXPECT_EQ(v[0].line, 5U);
  EXPECT_FALSE(v[0].caseless);
  EXPECT_EQ(v[1].subject, Subject::kPath);
  EXPECT_TRUE(v[1].caseless);
  EXPECT_EQ(v[1].action, Action::kDeny);
  EXPECT_EQ(v[1].status, 451);
  EXPECT_EQ(v[2].name, "c-1_2.3");
  EXPECT_EQ(v[2].subject, Subject::kMethod);
  EXPECT_EQ(v[2].action, Action::kTag);
  EXPECT_EQ(v[3].subject, Subject::kHeader);
  EXPECT_EQ(v[3].header, "X-Abc");
  EXPECT_EQ(v[3].pool, 0U);
  EXPECT_EQ(v[4].subject, Subject::kBody);
  EXPECT_EQ(v[4].status, 599);
}

TEST(RulesFile, TheExampleRoutes) {
  const auto rules = app::load_rules("config/rules.toml", {"a", "b", "c"});
  ASSERT_TRUE(rules.ok()) << rules.error();
  auto compiled = app::compile_rules(rules.value(), "config/rules.toml", "");
  ASSERT_TRUE(compiled.ok()) << compiled.error();
  const match::RuleSet& set = compiled.value();
  const match::Scratch scratch(set.database());
  match::Scan scan(set, scratch);
  const auto verdict = [&](std::string host, std::string path, std::string agent = "curl/7.88.1",
                           std::string body = "") -> std::string {
    scan.restart();
    const auto part = [&](Subject s, const std::string& text, const char* header = "") {
      scan.begin(s, header);
      scan.feed(text.data(), text.size());
      scan.end();
    };
    part(Subject::kMethod, "GET");
    part(Subject::kHost, host);
    part(Subject::kPath, path);
    part(Subject::kHeader, agent, "User-Agent");
    if (!body.empty()) part(Subject::kBody, body);
    const auto v = scan.verdict();
    if (!v) return "none";
    const match::Rule& r = set.rules()[*v];
    if (r.action == Action::kDeny) return std::to_string(r.status);
    return std::string(1, static_cast<char>('a' + r.pool));
  };
  EXPECT_EQ(verdict("a.example", "/"), "a");
  EXPECT_EQ(verdict("B.Example", "/"), "b");
  EXPECT_EQ(verdict("c.example", "/"), "c");
  EXPECT_EQ(verdict("d.example", "/"), "none");
  EXPECT_EQ(verdict("c.example", "/a/01/x"), "a") << "a path rule stands before the hosts";
  EXPECT_EQ(verdict("d.example", "/b/14"), "b");
  EXPECT_EQ(verdict("a.example", "/c/20/"), "c");
  EXPECT_EQ(verdict("a.example", "/c/200/"), "a") << "there is no such path rule";
  EXPECT_EQ(verdict("a.example", "/admin"), "403");
  EXPECT_EQ(verdict("a.example", "/", "BadBot/1.0"), "403");
  EXPECT_EQ(verdict("a.example", "/", "curl", "x=<script>1"), "403");
}

TEST(RulesFile, AMissingFileIsOneLine) {
  const auto r = app::load_rules("no/such/rules.toml", kPools);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error(),
            "no/such/rules.toml: cannot be read: No such file or directory; check the path and its "
            "permissions");
}

TEST(RulesFile, WhatOnlyTheWholeSetShowsIsOneLineToo) {
  std::vector<match::Rule> rules(2);
  rules[0].pattern = "fine";
  rules[1].name = "bad";
  rules[1].pattern = "(";
  rules[1].line = 7;
  const auto set = app::compile_rules(rules, "r.toml", "");
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().rfind("r.toml:7: rule \"bad\".pattern: Hyperscan: Missing close", 0), 0U)
      << set.error();
}

TEST(RulesFile, TheCacheIsWhereTheEnvironmentSays) {
  setenv("XDG_CACHE_HOME", "/x/cache", 1);
  EXPECT_EQ(app::default_rules_cache(), "/x/cache/weir");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(app::default_rules_cache(), "/var/cache/weir");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(app::default_rules_cache(), "/var/cache/weir");
}

struct Bad {
  const char* name;
  void (*change)(RuleText&);
  const char* says;
};
// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for
void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.name;
}

class BadRules : public testing::TestWithParam<Bad> {};

TEST_P(BadRules, AreOneLineWithPlaceAndCure) {
  RuleText rule;
  GetParam().change(rule);
  const auto r = parse(rule.text());
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.error().find(GetParam().says), std::string::npos) << r.error();
  EXPECT_EQ(r.error().rfind("r.toml:", 0), 0U) << r.error();
  EXPECT_EQ(r.error().find('\n'), std::string::npos) << r.error();
  EXPECT_LT(r.error().size(), 700U);
}

#define BAD(name, statement, says)               \
  Bad {                                          \
#name, [](RuleText & r) { statement; }, says \
  }

const Bad kBad[] = {
    BAD(Syntax, r.tail = "x = = 1\n", "r.toml:6: "),
    BAD(NoTable, (r.name = "", r.match = "", r.pattern = "", r.action = ""),
        "rule[0].name: missing; write name = \"admin\""),
    BAD(NoName, r.name = "", "r.toml:1: rule[0].name: missing"),
    BAD(NoMatch, r.match = "", "r.toml:1: rule \"one\".match: missing; write match = \"path\""),
    BAD(NoPattern, r.pattern = "", "rule \"one\".pattern: missing; write pattern = '^/api/'"),
    BAD(NoAction, r.action = "", "rule \"one\".action: missing; write action = \"pool NAME\""),
    BAD(UnknownKey, r.tail = "patern = \"\"\n",
        "r.toml:6: rule \"one\".patern: unknown key; did you mean rule \"one\".pattern?"),
    BAD(UnknownTable, r.tail = "[rules]\n", "rules: unknown key; did you mean rule?"),
    BAD(NameOfSpaces, r.name = "name = \"a b\"\n", "rule[0].name = \"a b\": not a name; write"),
    BAD(NameEmpty, r.name = "name = \"\"\n", "rule[0].name = \"\": empty"),
    BAD(NameNumber, r.name = "name = 1\n", "rule[0].name = 1: is an integer, not a string"),
    BAD(NameTooLong, r.name = "name = \"" + std::string(65, 'a') + "\"\n", "not a name"),
    BAD(NameTwice, r.tail = r.text(), "r.toml:7: rule \"one\".name = \"one\": two rules bear it"),
    BAD(MatchUnknown, r.match = "match = \"url\"\n", "match = \"url\": not a part of a request"),
    BAD(MatchHeaderBare, r.match = "match = \"header\"\n", "not a part of a request"),
    BAD(MatchHeaderEmpty, r.match = "match = \"header:\"\n", "not a header's name"),
    BAD(MatchHeaderBad, r.match = "match = \"header:a b\"\n", "not a header's name"),
    BAD(MatchHeaderColon, r.match = "match = \"header:a:\"\n", "not a header's name"),
    BAD(PatternEmpty, r.pattern = "pattern = ''\n", "empty; give it a value"),
    BAD(PatternBad, r.pattern = "pattern = '(unclosed'\n",
        "r.toml:4: rule \"one\".pattern = \"(unclosed\": Hyperscan: Missing close parenthes"),
    BAD(PatternBackReference, r.pattern = "pattern = '(a)\\1'\n", "Hyperscan: "),
    BAD(PatternLookAhead, r.pattern = "pattern = 'a(?=b)'\n", "Hyperscan: "),
    BAD(PatternNewline, r.pattern = "pattern = \"a\\nb\"\n", "line end"),
    BAD(PatternTooLong, r.pattern = "pattern = '" + std::string(4'097, 'a') + "'\n",
        "4097 octets, more than 4096; split it"),
    BAD(CaselessWord, r.tail = "caseless = \"yes\"\n",
        "caseless = \"yes\": is a string, not a bool"),
    BAD(ActionUnknown, r.action = "action = \"allow\"\n",
        "action = \"allow\": not an action; write"),
    BAD(ActionPoolBare, r.action = "action = \"pool\"\n", "not an action"),
    BAD(PoolUnknown, r.action = "action = \"pool nowhere\"\n",
        "r.toml:5: rule \"one\".action = \"pool nowhere\": no such pool; the pools are web, api, "
        "static"),
    BAD(PoolMisspelt, r.action = "action = \"pool apu\"\n",
        "no such pool; did you mean \"pool api\"? the pools are web"),
    BAD(DenyBare, r.action = "action = \"deny\"\n", "not an action"),
    BAD(Deny399, r.action = "action = \"deny 399\"\n", "not a status in 400..599"),
    BAD(Deny600, r.action = "action = \"deny 600\"\n", "not a status in 400..599"),
    BAD(DenyWord, r.action = "action = \"deny all\"\n", "not a status in 400..599"),
    BAD(DenyLong, r.action = "action = \"deny 0403\"\n", "not a status in 400..599"),
};

INSTANTIATE_TEST_SUITE_P(RulesFile, BadRules, testing::ValuesIn(kBad),
                         [](const auto& i) { return std::string(i.param.name); });

TEST(RulesFile, EmptyOrWithoutRulesIsRefused) {
  EXPECT_EQ(parse("").error(), "r.toml: empty; start from an example in config/");
  EXPECT_EQ(parse("# none\n").error(),
            "r.toml: [[rule]]: missing; write one with name, match, pattern and action");
  EXPECT_EQ(parse("rule = []\n").error(),
            "r.toml: [[rule]]: missing; write one with name, match, pattern and action");
  EXPECT_EQ(parse("rule = 1\n").error(),
            "r.toml:1: rule = 1: is an integer, not a list; write [a table [[rule]]]");
  EXPECT_EQ(parse("rule = [1]\n").error(), "r.toml:1: rule[0]: not a table; write [[rule]]");
  EXPECT_NE(parse(std::string(app::kMaxRulesBytes + 1, '#')).error().find("larger than 16 MiB"),
            std::string::npos);
}

}  // namespace
}  // namespace weir::test
