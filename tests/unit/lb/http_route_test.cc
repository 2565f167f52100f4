// What rules get to see of a request, wherever its text is cut.
#include "lb/http_route.h"

#include <gtest/gtest.h>

#include "framed.h"

namespace weir::lb::http::test {
namespace {

using match::Action;
using match::Rule;
using match::Subject;

std::shared_ptr<const match::RuleSet> compile(std::vector<Rule> rules) {
  auto set = match::RuleSet::compile(std::move(rules), "");
  EXPECT_TRUE(set.ok());
  return std::make_shared<const match::RuleSet>(std::move(set.value()));
}

Rule rule(Subject subject, std::string pattern, std::uint32_t pool, std::string header = {}) {
  Rule r;
  r.name = "r" + std::to_string(pool);
  r.subject = subject;
  r.header = std::move(header);
  r.pattern = std::move(pattern);
  r.pool = pool;
  return r;
}

// The pool of the rule that decides, or -1.
int routed(ScanBank& bank, const std::string& text, std::size_t cut) {
  Routing routing;
  routing.begin(&bank);
  Feeder f;
  f.request(&routing);
  f.feed(std::string_view(text).substr(0, cut));
  f.feed(std::string_view(text).substr(cut));
  EXPECT_EQ(f.framer().state(), Framer::State::kDone) << text;
  EXPECT_TRUE(routing.on_head(f.framer().head(), f.framer().facts()));
  const Verdict v = routing.verdict();
  routing.end();
  return v.kind == Verdict::kPool ? static_cast<int>(v.pool) : -1;
}

// With Scans in the bank, and without: the spare one then looks at the whole head.
void expect_routed(std::vector<Rule> rules, const std::string& text, int want) {
  const auto set = compile(std::move(rules));
  for (const std::uint32_t scans : {1U, 0U}) {
    ScanBank bank(set, scans);
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      ASSERT_EQ(routed(bank, text, cut), want) << text << " cut at " << cut << ", " << scans;
    }
  }
}

std::string get(const std::string& target, const std::string& fields = "Host: a.example\r\n") {
  return "GET " + target + " HTTP/1.1\r\n" + fields + "\r\n";
}

TEST(HttpRoute, ThePathIsTheTargetInOriginForm) {
  const std::vector<Rule> r{rule(Subject::kPath, "^/over/here\\?q=1$", 3)};
  expect_routed(r, get("/over/here?q=1"), 3);
  expect_routed(r, get("http://a.example/over/here?q=1"), 3);
  expect_routed(r, get("/x/over/here?q=1"), -1);
  const std::vector<Rule> root{rule(Subject::kPath, "^/$", 4)};
  expect_routed(root, get("/"), 4);
  expect_routed(root, get("http://a.example"), 4);
  expect_routed(root, get("http://a.example/"), 4);
}

TEST(HttpRoute, TheHostIsWithoutItsPort) {
  const std::vector<Rule> r{rule(Subject::kHost, "^a\\.example$", 1)};
  expect_routed(r, get("/"), 1);
  expect_routed(r, get("/", "X: y\r\nhOsT:a.example:8080 \r\n"), 1);
  expect_routed(r, get("/", "Host: A.Example\r\n"), 1);
  expect_routed(r, get("/", "Host: b.a.example\r\n"), -1);
  expect_routed({rule(Subject::kHost, "^\\[::1\\]$", 2)}, get("/", "Host: [::1]:80\r\n"), 2);
  expect_routed(r, "GET http://a.example/ HTTP/1.0\r\n\r\n", 1);
}

TEST(HttpRoute, ValuesAreWithoutTheWhiteSpaceAroundThem) {
  const std::vector<Rule> r{rule(Subject::kHeader, "^a\t b$", 1, "x-it")};
  expect_routed(r, get("/", "Host: h\r\nX-It:\t a\t b \t\r\n"), 1);
  expect_routed(r, get("/", "Host: h\r\nX-It:a\t b\r\n"), 1);
  expect_routed(r, get("/", "Host: h\r\nX-It: a\t b c\r\n"), -1);
  expect_routed(r, get("/", "Host: h\r\nX-Ita: a\t b\r\n"), -1);
  expect_routed(r, get("/", "Host: h\r\nX-It: no\r\nX-It: a\t b\r\n"), 1);
  expect_routed({rule(Subject::kHeader, "^h:1$", 2, "host")}, get("/", "Host: h:1 \r\n"), 2);
}

TEST(HttpRoute, TheMethodIsAPart) {
  expect_routed({rule(Subject::kMethod, "^DELETE$", 1)}, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 1);
  expect_routed({rule(Subject::kMethod, "^DELETE$", 1)}, get("/"), -1);
}

TEST(HttpRoute, TheFirstRuleInTheFileDecides) {
  const std::vector<Rule> r{rule(Subject::kHeader, "v", 1, "x"), rule(Subject::kPath, "^/p", 2)};
  expect_routed(r, get("/p", "Host: a\r\nX: v\r\n"), 1);
  expect_routed(r, get("/p", "Host: a\r\n"), 2);
}

TEST(HttpRoute, RulesOnTheBodyWaitForIt) {
  Rule body = rule(Subject::kBody, "evil", 0);
  body.action = Action::kDeny;
  const auto set = compile({body, rule(Subject::kPath, "^/", 1)});
  ScanBank bank(set, 1);
  Routing routing;
  routing.begin(&bank);
  Feeder f;
  f.request(&routing);
  f.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
  ASSERT_TRUE(routing.on_head(f.framer().head(), f.framer().facts()));
  EXPECT_TRUE(routing.verdict().body_may_decide);
  EXPECT_EQ(routing.verdict().kind, Verdict::kPool);
  routing.on_body("xe", 2);
  routing.on_body("vil", 3);
  EXPECT_EQ(routing.verdict().kind, Verdict::kDeny);
  EXPECT_FALSE(routing.verdict().body_may_decide);
  // While that one is out, a request with a body cannot be judged; one without can.
  Routing second;
  second.begin(&bank);
  Feeder g;
  g.request(&second);
  g.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
  EXPECT_FALSE(second.on_head(g.framer().head(), g.framer().facts()));
  Feeder h;
  h.request(&second);
  h.feed(get("/"));
  EXPECT_TRUE(second.on_head(h.framer().head(), h.framer().facts()));
  EXPECT_EQ(second.verdict().pool, 1U);
  routing.end();
  second.begin(&bank);
  EXPECT_TRUE(second.scanning());
  second.end();
}

}  // namespace
}  // namespace weir::lb::http::test
