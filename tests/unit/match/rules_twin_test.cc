// However a text is cut into pieces the outcome is the same, and it is what a naive reader of the
// same rules says: substrings and std::regex, one rule and one part at a time.
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "base/rng.h"
#include "rules_fixture.h"

namespace weir::match {
namespace {

struct Outcome {
  int verdict = -1;
  Ids tags;
  bool operator==(const Outcome&) const = default;
};
// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for
void PrintTo(const Outcome& o, std::ostream* out) {
  *out << "verdict " << o.verdict << ", tags";
  for (const std::uint32_t t : o.tags) *out << ' ' << t;
}

Outcome outcome(const Rig& rig) {
  return {rig.verdict(), rig.tags()};
}

// --- every cut of a text -------------------------------------------------------------------------

const std::vector<Rule> kRules = {tag(S::kPath, "img|css"),
                                  tag(S::kHeader, "^.{10,}$", "user-agent"),
                                  deny(S::kPath, "\\.\\./"),
                                  pool(S::kHost, "^(www\\.)?shop\\.example$", 0),
                                  pool(S::kPath, "^/api/v[0-9]+/users/[0-9]+$", 1),
                                  deny(S::kHeader, "(curl|wget)/[0-9.]+$", "User-Agent"),
                                  pool(S::kBody, "<order id=\"[0-9]{4}\">.*</order>", 2),
                                  caseless(pool(S::kPath, "/IMG/", 3))};

const std::vector<std::vector<Part>> kRequests = {
    {{S::kHost, "www.shop.example"}, {S::kPath, "/css/x"}},
    {{S::kHost, "wwwshop.example"}, {S::kPath, "/api/v12/users/4711"}},
    {{S::kPath, "/api/v12/users/4711/"}, {S::kHeader, "wget/1.21.3", "User-Agent"}},
    {{S::kPath, "/a/../../etc"}, {S::kHeader, "wget/1.21.3 or so", "user-agent"}},
    {{S::kPath, "/x/Img/y"}, {S::kHeader, "short", "user-agent"}},
    {{S::kPath, "/x"}, {S::kBody, "..<order id=\"12<order id=\"1234\">a b c</order>.."}},
    {{S::kPath, "/x"}, {S::kBody, "..<order id=\"123\">a b c</order>.."}}};

TEST(RulesTwin, EveryCutOfEveryPartInTwoGivesTheSame) {
  Rig rig(kRules);
  unsigned decided = 0;
  for (const auto& request : kRequests) {
    rig.verdict(request);
    const Outcome whole = outcome(rig);
    decided += whole.verdict >= 0 ? 1 : 0;
    for (std::size_t which = 0; which < request.size(); ++which) {
      const std::string& text = request[which].text;
      for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        rig.scan.restart();
        for (std::size_t i = 0; i < request.size(); ++i) {
          if (i != which) {
            feed(rig.scan, request[i]);
            continue;
          }
          rig.scan.begin(request[i].subject, request[i].header);
          rig.scan.feed(text.data(), cut);
          rig.scan.feed(text.data() + cut, text.size() - cut);
          rig.scan.end();
        }
        ASSERT_EQ(outcome(rig), whole) << text << " cut at " << cut;
      }
    }
  }
  EXPECT_EQ(decided, 6U);
}

TEST(RulesTwin, PiecesOfEverySizeGiveTheSame) {
  Rig rig(kRules);
  for (const auto& request : kRequests) {
    rig.verdict(request);
    const Outcome whole = outcome(rig);
    for (std::size_t step = 1; step < 50; ++step) {
      rig.verdict(request, step);
      ASSERT_EQ(outcome(rig), whole) << request[0].text << " in pieces of " << step;
    }
  }
}

// --- against a naive reader ----------------------------------------------------------------------

bool naive_looks_at(const Rule& r, const Part& p) {
  if (r.subject != p.subject) return false;
  const auto lower = [](std::string s) {
    for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return s;
  };
  return r.subject != S::kHeader || lower(r.header) == lower(p.header);
}

template <class Matches>
Outcome naive(const std::vector<Rule>& rules, const std::vector<Part>& request,
              const Matches& matches) {
  Outcome o;
  for (std::uint32_t i = 0; i < rules.size(); ++i) {
    const bool hit = std::any_of(request.begin(), request.end(), [&](const Part& p) {
      return naive_looks_at(rules[i], p) && matches(i, p.text);
    });
    if (!hit) continue;
    if (rules[i].action != Action::kTag) {
      o.verdict = static_cast<int>(i);
      break;
    }
    o.tags.push_back(i);
  }
  return o;
}

std::string random_text(Rng& rng, std::uint32_t max, const std::string& letters = "ab") {
  std::string s(rng.below(max + 1), ' ');
  for (char& c : s) c = letters[rng.below(static_cast<std::uint32_t>(letters.size()))];
  return s;
}

constexpr S kSubjects[] = {S::kMethod, S::kHost, S::kPath, S::kHeader, S::kBody};
const char* const kHeaders[] = {"h", "g", "hh", "H", "Accept", "accept", "x"};

Rule random_rule(Rng& rng, std::string pattern) {
  Rule r = pool(kSubjects[rng.below(5)], std::move(pattern), 0, kHeaders[rng.below(6)]);
  constexpr Action kActions[] = {Action::kPool, Action::kDeny, Action::kTag, Action::kTag};
  r.action = kActions[rng.below(4)];
  return r;
}

std::vector<Part> random_request(Rng& rng) {
  std::vector<Part> request(rng.below(8));
  for (Part& p : request) {
    p = {kSubjects[rng.below(5)], random_text(rng, 24, "aab"), kHeaders[rng.below(7)]};
  }
  return request;
}

// Feeds the request in random pieces, empty ones among them.
Outcome scanned(Rng& rng, Rig& rig, const std::vector<Part>& request) {
  rig.scan.restart();
  for (const Part& p : request) {
    rig.scan.begin(p.subject, p.header);
    for (std::size_t at = 0; at < p.text.size();) {
      const std::size_t n = std::min<std::size_t>(rng.below(7), p.text.size() - at);
      rig.scan.feed(p.text.data() + at, n);
      at += n;
    }
    rig.scan.end();
  }
  return outcome(rig);
}

std::string show(const std::vector<Rule>& rules, const std::vector<Part>& request) {
  std::string out;
  for (const Rule& r : rules) {
    out += std::to_string(static_cast<int>(r.subject)) + " " + r.header + " " + r.pattern + "\n";
  }
  for (const Part& p : request) {
    out += std::to_string(static_cast<int>(p.subject)) + " " + p.header + " = " + p.text + "\n";
  }
  return out;
}

TEST(RulesTwin, LiteralsAgreeWithSubstrings) {
  Rng rng(1);
  unsigned decided = 0, tagged = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<Rule> rules;
    std::vector<std::string> literals;
    std::vector<unsigned> anchors;  // 1: at the start, 2: at the end
    for (std::uint32_t n = 1 + rng.below(100); n > 0; --n) {
      literals.push_back(random_text(rng, 5) + "ab"[rng.below(2)]);
      anchors.push_back(rng.below(4));
      rules.push_back(random_rule(rng, ((anchors.back() & 1U) != 0 ? "^" : "") + literals.back() +
                                           ((anchors.back() & 2U) != 0 ? "$" : "")));
    }
    Rig rig(rules);
    const auto matches = [&](std::size_t i, const std::string& text) {
      const std::string& l = literals[i];
      if (anchors[i] == 0) return text.find(l) != std::string::npos;
      if (anchors[i] == 1) return text.starts_with(l);
      return anchors[i] == 2 ? text.ends_with(l) : text == l;
    };
    for (int i = 0; i < 100; ++i) {
      const auto request = random_request(rng);
      const Outcome expected = naive(rules, request, matches);
      ASSERT_EQ(scanned(rng, rig, request), expected) << show(rules, request);
      decided += expected.verdict >= 0 ? 1 : 0;
      tagged += expected.tags.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(decided, 1'000U);
  EXPECT_GT(tagged, 1'000U);
}

TEST(RulesTwin, ExpressionsAgreeWithStdRegex) {
  const std::vector<std::string> expressions = {
      "a[ab]*b", "(ab|ba)+$", "^(a|bb){2,4}", "a.b.a",    "b{3,}",     "^[^a]",
      "(aa)*b$", "a?b?a?$",   "^$",           "^a*$",     "(a|b)a{2}", "ab(a|bb)?ba",
      "^.{7}$",  ".*",        "^(ab)*$",      "aab|bba$", "^b.*b$"};
  Rng rng(2);
  unsigned decided = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<Rule> rules;
    std::vector<std::regex> oracle;
    for (std::uint32_t n = 1 + rng.below(20); n > 0; --n) {
      const auto which = rng.below(static_cast<std::uint32_t>(expressions.size()));
      rules.push_back(random_rule(rng, expressions[which]));
      oracle.emplace_back(expressions[which]);
    }
    Rig rig(rules);
    const auto matches = [&](std::size_t i, const std::string& text) {
      return std::regex_search(text, oracle[i]);
    };
    for (int i = 0; i < 50; ++i) {
      const auto request = random_request(rng);
      const Outcome expected = naive(rules, request, matches);
      ASSERT_EQ(scanned(rng, rig, request), expected) << show(rules, request);
      decided += expected.verdict >= 0 ? 1 : 0;
    }
  }
  EXPECT_GT(decided, 200U);
}

// --- many ----------------------------------------------------------------------------------------

TEST(RulesTwin, FiveThousandRulesEachFindTheirOwn) {
  constexpr std::uint32_t kMany = 5'000;
  std::vector<Rule> rules;
  const auto path = [](std::uint32_t i) { return "/t" + std::to_string(i * 7) + "/"; };
  for (std::uint32_t i = 0; i < kMany; ++i) {
    rules.push_back(i % 50 == 0 ? tag(S::kHeader, "v" + std::to_string(i) + ";", "x")
                                : pool(S::kPath, "^" + path(i) + "[a-z]+", i));
  }
  Rig rig(std::move(rules));
  for (std::uint32_t i = 1; i < kMany; i += 13) {
    const int expected = i % 50 == 0 ? -1 : static_cast<int>(i);
    ASSERT_EQ(rig.verdict({{S::kPath, path(i) + "abc"}}, 3), expected);
    ASSERT_EQ(rig.verdict({{S::kPath, path(i)}}), -1);
  }
  EXPECT_EQ(rig.verdict({{S::kPath, path(2'601) + "a"}, {S::kHeader, "v2600;v50;v2650;", "X"}}),
            2'601);
  EXPECT_EQ(rig.tags(), (Ids{50, 2'600}));
}

}  // namespace
}  // namespace weir::match
