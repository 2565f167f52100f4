// [load]: what is taken, what is refused and in which words.
#include <gtest/gtest.h>

#include <string>

#include "fixture.h"

namespace weir::test {
namespace {

using app::Command;
using app::LoadClose;
using app::LoadMode;

std::string text(const std::string& load, const std::string& port = "") {
  return "[port]\ndevice = \"tap:weir0\"\naddresses = [\"10.99.0.2/24\"]\n" + port + "[load]\n" +
         load;
}
const std::string kTarget = "targets = [\"10.99.0.1:80\"]\n";

app::LoadConfig good(const std::string& load, const std::string& port = "") {
  auto c = parse(text(kTarget + load, port), Command::kLoad);
  EXPECT_TRUE(c.ok()) << (c.ok() ? "" : c.error());
  return c.ok() ? c->load : app::LoadConfig{};
}
std::string bad(const std::string& load, const std::string& port = "") {
  const auto c = parse(text(load, port), Command::kLoad);
  return c.ok() ? "taken" : c.error();
}
void expect_says(const std::string& line, const std::string& part) {
  EXPECT_NE(line.find(part), std::string::npos) << line;
}

TEST(LoadConfig, TheExampleIsRight) {
  const auto c =
      app::load_config("config/load.toml", {.command = Command::kLoad, .overrides = {}}, kMachine);
  ASSERT_TRUE(c.ok()) << c.error();
  EXPECT_EQ(c.value().load.mode, LoadMode::kOpen);
  EXPECT_EQ(c.value().load.rate_to, 1'000);
  EXPECT_EQ(c.value().load.requests, 1U);
}

TEST(LoadConfig, WhatIsPacedFollowsFromWhatIsAsked) {
  const auto closed = good("");
  EXPECT_EQ(closed.mode, LoadMode::kOpen);
  EXPECT_EQ(closed.concurrency, 64U);
  EXPECT_EQ(closed.rate_to, 0);
  const auto rate = good("rate = 50\nrequests = 3\n");
  EXPECT_EQ(rate.rate_from, 50);
  EXPECT_EQ(rate.concurrency, 65'536U);
  EXPECT_EQ(rate.requests, 3U);
  const auto ramp = good("rate_from = 5\nrate_to = 50\nramp = \"20s\"\n");
  EXPECT_EQ(ramp.rate_from, 5);
  EXPECT_EQ(ramp.rate_to, 50);
  EXPECT_EQ(ramp.ramp, 20s);
  const auto hold = good("hold = 1000\ninterval = 2\n");
  EXPECT_EQ(hold.mode, LoadMode::kHold);
  EXPECT_EQ(hold.concurrency, 1'000U);
  EXPECT_EQ(hold.requests, 0U);
  EXPECT_EQ(hold.interval, 2s);
  const auto kept = good("connections = 8\nrate = 10\nclose = \"rst\"\n");
  EXPECT_EQ(kept.mode, LoadMode::kRequests);
  EXPECT_EQ(kept.concurrency, 8U);
  EXPECT_EQ(kept.close, LoadClose::kRst);
}

TEST(LoadConfig, SourcesAreThePortsAddressesOnTheNetwork) {
  EXPECT_EQ(good("").sources.size(), 1U);
  const auto load = good("sources = \"10.99.0.2-10.99.0.9\"\n");
  ASSERT_EQ(load.sources.size(), 8U);
  EXPECT_EQ(load.sources.back(), IpAddr::v4(10, 99, 0, 9));
  expect_says(bad(kTarget + "sources = \"10.99.0.9-10.99.0.2\"\n"), "not FIRST-LAST");
  expect_says(bad(kTarget + "sources = \"10.99.0.250-10.99.1.9\"\n"), "10.99.0.255 is no host");
  expect_says(bad(kTarget + "sources = \"10.98.0.2-10.98.0.9\"\n"), "10.98.0.2 is no host");
  expect_says(bad(kTarget + "sources = \"10.99.0.2-10.99.0.200\"\n"), "more than 64");
  expect_says(bad("targets = [\"10.99.0.1:80\"]\nsources = \"10.99.0.3-10.99.0.9\"\n",
                  "gateway = \"10.99.0.5\"\n"),
              "10.99.0.5 is the gateway");
  // One of them is then no other host.
  expect_says(bad("targets = [\"10.99.0.5:80\"]\nsources = \"10.99.0.3-10.99.0.9\"\n"),
              "is an address of weir itself");
}

TEST(LoadConfig, NothingIsSentBeyondThePortsNetworks) {
  const std::string gateway = "gateway = \"10.99.0.254\"\n";
  expect_says(bad("targets = [\"192.0.2.1:80\"]\n", gateway), "on no network of port.addresses");
  expect_says(bad("targets = [\"10.99.1.1:80\"]\n", gateway), "through no gateway");
  expect_says(bad("targets = [\"10.99.0.1:80\", \"8.8.8.8:80\"]\n", gateway), "8.8.8.8:80");
  expect_says(bad("targets = [\"10.99.0.2:80\"]\n"), "is an address of weir itself");
  expect_says(bad("targets = [\"10.99.0.255:80\"]\n"), "broadcast");
  expect_says(bad("targets = [\"127.0.0.1:80\"]\n"), "loopback");
  expect_says(bad("targets = [\"10.99.0.1\"]\n"), "not an ADDRESS:PORT");
  expect_says(bad("targets = []\n"), "load.targets: missing");
  expect_says(bad("targets = [\"10.99.0.1:80\", \"10.99.0.1:80\"]\n"), "twice");
}

TEST(LoadConfig, Ipv6TargetsAndSources) {
  const std::string port = "[port]\ndevice = \"tap:weir0\"\naddresses = [";
  const std::string both = port + "\"2001:db8::2/64\", \"10.99.0.2/24\"]\n";
  const auto load = [&](const std::string& of_port, const std::string& of_load) {
    return parse(of_port + "[load]\n" + of_load, Command::kLoad);
  };
  auto six = load(both, "targets = [\"[2001:db8::1]:80\"]\nsources = \"10.99.0.3\"\n");
  ASSERT_TRUE(six.ok()) << six.error();
  ASSERT_EQ(six->load.sources.size(), 1U);
  EXPECT_EQ(to_string(six->load.sources[0]), "2001:db8::2");
  EXPECT_EQ(six->port.addresses.size(), 3U);
  auto link = load(both, "targets = [\"[fe80::1]:80\"]\n");
  ASSERT_TRUE(link.ok()) << link.error();
  EXPECT_TRUE(link->load.sources.empty());  // by route: the port's link-local address
  auto mixed = load(both, "targets = [\"[2001:db8::1]:80\", \"10.99.0.1:80\"]\n");
  ASSERT_TRUE(mixed.ok()) << mixed.error();
  EXPECT_TRUE(mixed->load.sources.empty());
  expect_says(load(both, "targets = [\"[2001:db8:1::1]:80\"]\n").error(), "on no network of");
  expect_says(bad("targets = [\"[fe80::1]:80\"]\n"), "on no network of port.addresses");
  expect_says(load(port + "\"2001:db8::2/64\"]\n", kTarget + "sources = \"10.99.0.3\"\n").error(),
              "are IPv4 addresses, and the port has none");
}

TEST(LoadConfig, WhatDoesNotGoTogetherIsRefused) {
  expect_says(bad(kTarget + "hold = 5\nconnections = 5\n"), "not together");
  expect_says(bad(kTarget + "rate = 5\nrate_to = 5\nramp = 1\n"), "not together");
  expect_says(bad(kTarget + "rate_from = 5\nramp = 1\n"), "load.rate_to: missing");
  expect_says(bad(kTarget + "rate_to = 5\n"), "load.ramp: missing");
  expect_says(bad(kTarget + "hold = 5\nconcurrency = 5\n"), "say it already");
  expect_says(bad(kTarget + "interval = 5\n"), "is of held connections");
}

TEST(LoadConfig, EveryValueHasARange) {
  expect_says(bad(kTarget + "rate = 0\n"), "load.rate = 0: out of range 1..100000000");
  expect_says(bad(kTarget + "hold = 65537\n"), "raise limits.max_connections");
  expect_says(bad(kTarget + "path = \"x\"\n"), "begins with '/'");
  expect_says(bad(kTarget + "path = \"/a b\"\n"), "printable ASCII");
  expect_says(bad(kTarget + "path = \"/\\r\\nX: y\"\n"), "line end");
  expect_says(bad(kTarget + "host = \"a\\tb\"\n"), "printable ASCII");
  expect_says(bad(kTarget + "expect_status = 99\n"), "out of range 200..599");
  expect_says(bad(kTarget + "close = \"both\"\n"), "write \"server\" or \"fin\" or \"rst\"");
  expect_says(bad(kTarget + "timeout = 0\n"), "out of range");
  expect_says(bad(kTarget + "ratio = 1\n"), "did you mean load.rate?");
}

TEST(LoadConfig, PathsAndSizesHaveWeights) {
  EXPECT_EQ(good("").paths.size(), 1U);
  EXPECT_EQ(good("path = \"/x\"\n").paths[0].path, "/x");
  const auto paths = good("path = [\"/a 3\", \"/b\"]\nseed = 7\n");
  ASSERT_EQ(paths.paths.size(), 2U);
  EXPECT_EQ(paths.paths[0].path, "/a");
  EXPECT_EQ(paths.paths[0].weight, 3U);
  EXPECT_EQ(paths.paths[1].weight, 1U);
  EXPECT_EQ(paths.seed, 7U);
  const auto sizes = good("sizes = \"1,100-200:3,10000:2\"\n").sizes;
  ASSERT_EQ(sizes.size(), 3U);
  EXPECT_EQ(sizes[0].low, 1U);
  EXPECT_EQ(sizes[0].high, 1U);
  EXPECT_EQ(sizes[0].weight, 1U);
  EXPECT_EQ(sizes[1].low, 100U);
  EXPECT_EQ(sizes[1].high, 200U);
  EXPECT_EQ(sizes[1].weight, 3U);
  EXPECT_EQ(sizes[2].weight, 2U);
  EXPECT_EQ(good("body_sizes = \"0-1000000000\"\n").body_sizes[0].high, 1'000'000'000U);
}

TEST(LoadConfig, BadPathsAndSizesAreRefused) {
  for (const char* wrong : {"/a 0", "/a 1000001", "/a x", "/a  3", "a 3", "/a 3 3"}) {
    expect_says(bad(kTarget + "path = [\"" + wrong + "\"]\n"), "begins with '/'");
  }
  expect_says(bad(kTarget + "path = []\n"), "1..64 paths");
  expect_says(bad(kTarget + "path = [5]\n"), "load.path: 5: begins with");
  for (const char* wrong : {"x", "1,", ",1", "1:0", "1:", "9-3", "1-", "-1", "1000000001", "1 ,2",
                            "1:1000001", "0x5", "+5"}) {
    expect_says(bad(kTarget + "sizes = \"" + wrong + "\"\n"), "each is SIZE or LOW-HIGH");
    expect_says(bad(kTarget + "body_sizes = \"" + wrong + "\"\n"), "each is SIZE or LOW-HIGH");
  }
  std::string many = "1";
  for (int i = 0; i < 64; ++i) many += ",1";
  expect_says(bad(kTarget + "sizes = \"" + many + "\"\n"), "more than 64 sizes");
  expect_says(bad(kTarget + "sizes = \"5\"\npath = \"/a\"\n"), "remove load.path");
  expect_says(bad(kTarget + "sizes = \"5\"\nexpect_size = 5\n"), "remove load.expect_size");
  expect_says(bad(kTarget + "sizes = \"5\"\nbody_sizes = \"5\"\n"), "remove one of the two");
  expect_says(bad(kTarget + "seed = -1\n"), "out of range 0..");
}

TEST(LoadConfig, TheSearchForARateHasItsOwnPace) {
  EXPECT_FALSE(good("rate = 5\n").find_rate);
  const auto plain = good("find_rate = true\n");
  ASSERT_TRUE(plain.find_rate);
  EXPECT_EQ(plain.rate_to, 1'000);
  EXPECT_EQ(plain.rate_from, 1'000);
  EXPECT_EQ(plain.concurrency, 65'536U);
  EXPECT_EQ(plain.find_rate->step, 2s);
  EXPECT_FALSE(plain.find_rate->max_latency);
  const auto all = good(
      "find_rate = true\nrate = 50\nstep_duration = 5\nsettle = \"500ms\"\nmax_latency = "
      "\"3ms\"\nconnections = 4\n");
  EXPECT_EQ(all.rate_to, 50);
  EXPECT_EQ(all.find_rate->step, 5s);
  EXPECT_EQ(all.find_rate->settle, 500ms);
  EXPECT_EQ(all.find_rate->max_latency, Duration(3ms));
  EXPECT_EQ(all.concurrency, 4U);
  for (const char* part : {"step_duration = 5\n", "settle = 5\n", "max_latency = 5\n"}) {
    expect_says(bad(kTarget + part), "is of load.find_rate");
  }
  const std::string find = kTarget + "find_rate = true\n";
  expect_says(bad(find + "hold = 5\n"), "load.hold = 5: not together with load.find_rate");
  expect_says(bad(find + "rate_to = 5\nramp = 5\n"), "looks for the rate itself");
  expect_says(bad(find + "connections_total = 5\n"), "not together with load.find_rate");
  expect_says(bad(find + "warmup = 5\n"), "measures nothing before load.settle");
  expect_says(bad(find + "concurrency = 5\nstep_duration = 0\n"), "out of range");
  expect_says(bad(kTarget + "find_rate = 3\n"), "load.find_rate = 3");
}

TEST(LoadConfig, StrippedIsABundleOfSettings) {
  const auto parsed = [](const std::string& load) {
    auto c = parse(text(kTarget + load), Command::kLoad);
    EXPECT_TRUE(c.ok()) << (c.ok() ? "" : c.error());
    return c.ok() ? std::move(c).value() : app::Config{};
  };
  const auto usual = parsed("profile = \"conformant\"\n");
  EXPECT_FALSE(usual.load.stripped);
  EXPECT_TRUE(usual.tcp.timestamps && usual.tcp.sack && usual.tcp.window_scaling);
  const auto c = parsed("profile = \"stripped\"\n");
  EXPECT_TRUE(c.load.stripped);
  EXPECT_EQ(c.load.close, LoadClose::kRst);
  EXPECT_FALSE(c.tcp.timestamps || c.tcp.sack || c.tcp.dsack || c.tcp.window_scaling);
  EXPECT_EQ(c.tcp.rmem, 65'535U);
  expect_says(bad(kTarget + "profile = \"stripped\"\nclose = \"fin\"\n"), "closes by RST");
  expect_says(bad(kTarget + "profile = \"bare\"\n"), "write \"conformant\" or \"stripped\"");
}

TEST(LoadConfig, FlagsAloneAreEnough) {
  const app::LoadOptions options{
      .command = Command::kLoad,
      .overrides = {"load.rate=7"},
      .flags =
          "port.device = \"tap:w\"\nport.addresses = [\"10.99.0.2/24\"]\n"
          "load.targets = [\"10.99.0.1:80\"]\nload.rate = 5\n"};
  auto c = app::load_config("", options, kMachine);
  ASSERT_TRUE(c.ok()) << c.error();
  EXPECT_EQ(c->port.device, "tap:w");
  EXPECT_EQ(c->load.rate_to, 7);
  // And they are laid over a file.
  c = app::load_config("config/load.toml", options, kMachine);
  ASSERT_TRUE(c.ok()) << c.error();
  EXPECT_EQ(c->load.targets.front(), (Endpoint{IpAddr::v4(10, 99, 0, 1), 80}));
  const auto no_target = app::load_config(
      "", {.command = Command::kLoad, .overrides = {}, .flags = "load.rate = 5\n"}, kMachine);
  ASSERT_FALSE(no_target.ok());
  EXPECT_TRUE(no_target.error().starts_with("command line: ")) << no_target.error();
}

TEST(LoadConfig, TablesOfOthersAreRefused) {
  expect_says(parse(text(kTarget) + "[serve]\n", Command::kLoad).error(),
              "belongs to `weir serve`");
  expect_says(parse(text(kTarget), Command::kServe).error(), "belongs to `weir load`");
}

}  // namespace
}  // namespace weir::test
