// The keys of listeners with mode = "http".
#include <gtest/gtest.h>

#include "fixture.h"

namespace weir::test {
namespace {

const std::string kHttp = "mode = \"http\"\n";

std::string error_of(const Parts& p) {
  const auto c = parse(p);
  return c.ok() ? "taken" : c.error();
}

TEST(HttpConfig, TakesEveryKey) {
  Parts p;
  p.listener += kHttp + "max_head = 2048\nmax_body = 0\ninspect_body = 4096\n";
  p.lb =
      "request_timeout = 3\nresponse_timeout = \"250ms\"\nidle_backends = 7\n"
      "idle_backend_timeout = 9\nrules_cache = \"off\"\n";
  const auto c = parse(p);
  ASSERT_TRUE(c.ok()) << c.error();
  const lb::ListenerConfig& l = c.value().lb.listeners[0];
  EXPECT_EQ(l.mode, lb::Mode::kHttp);
  EXPECT_EQ(l.max_head, 2048U);
  EXPECT_EQ(l.max_body, 0U);
  EXPECT_EQ(l.inspect_body, 4096U);
  EXPECT_EQ(l.pool, 0U);
  EXPECT_EQ(l.rules, nullptr);
  EXPECT_EQ(c.value().lb.request_timeout, 3s);
  EXPECT_EQ(c.value().lb.response_timeout, 250ms);
  EXPECT_EQ(c.value().lb.idle_backends, 7U);
  EXPECT_EQ(c.value().lb.idle_backend_timeout, 9s);
}

TEST(HttpConfig, TheExampleNamesItsRules) {
  const auto c = app::load_config(
      "config/http.toml", {.command = app::Command::kLb, .overrides = {"lb.rules_cache=off"}},
      kMachine);
  ASSERT_TRUE(c.ok()) << c.error();
  ASSERT_NE(c.value().lb.listeners[0].rules, nullptr);
  EXPECT_EQ(c.value().lb.pools.size(), 3U);
}

TEST(HttpConfig, SaysWhatIsWrong) {
  const auto with = [](const std::string& listener, const std::string& lb = "") {
    Parts p;
    p.listener += listener;
    p.lb = lb;
    return error_of(p);
  };
  const auto holds = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  for (const char* key : {"rules = \"x\"", "max_head = 2048", "max_body = 1", "inspect_body = 1"}) {
    holds(with(std::string(key) + "\n"), "means something with mode = \"http\" only");
  }
  holds(with(kHttp + "max_head = 1023\n"), "max_head = 1023: out of range 1024..65536");
  holds(with(kHttp + "max_body = -1\n"), "max_body = -1: out of range");
  holds(with(kHttp + "inspect_body = 1048577\n"), "out of range");
  holds(with(kHttp + "rules = \"no-such-file.toml\"\n"), "no-such-file.toml");
  holds(with(kHttp, "request_timeout = 0\n"), "lb.request_timeout = 0: out of range 100ms..3600s");
  holds(with(kHttp, "rules_cache = \"here\"\n"), "neither \"off\" nor");
  Parts p;
  p.listener = "name = \"web\"\naddress = \"10.99.0.10:80\"\n" + kHttp;
  holds(error_of(p), "listener[0].pool: missing");
}

}  // namespace
}  // namespace weir::test
