// What `weir load` draws, the rates that it is told while it runs, the search for the highest one,
// and the rows of its CSV: in virtual time, with the real server.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "load_csv.h"
#include "load_lab.h"
#include "load_report.h"
#include "load_request.h"
#include "rate_finder.h"

namespace weir::test {
namespace {

using app::FindRate;
using app::LoadMode;
using app::LoadRequest;
using app::LoadRequests;
using app::LoadSize;
using app::RateFinder;
using app::RateSearch;
using app::Sample;

// -- What is drawn ------------------------------------------------------------------------------

TEST(LoadRequests, TheSameSeedDrawsTheSame) {
  LoadConfig c;
  c.sizes = {{1, 1'000'000, 1}};
  LoadRequests a(c, 0), b(c, 0), other_core(c, 1);
  c.seed = 2;
  LoadRequests other_seed(c, 0);
  unsigned by_core = 0, by_seed = 0;
  for (int i = 0; i < 100; ++i) {
    const std::uint32_t size = a.draw().size;
    EXPECT_EQ(b.draw().size, size);
    by_core += other_core.draw().size == size ? 1 : 0;
    by_seed += other_seed.draw().size == size ? 1 : 0;
  }
  EXPECT_LT(by_core, 3U);
  EXPECT_LT(by_seed, 3U);
}

TEST(LoadRequests, WeightsAreKept) {
  LoadConfig c;
  c.sizes = {{1, 1, 1}, {100, 100, 3}, {10, 19, 6}};
  LoadRequests r(c, 0);
  std::map<std::uint32_t, int> seen;
  for (int i = 0; i < 10'000; ++i) ++seen[r.draw().size];
  EXPECT_NEAR(seen[1], 1'000, 150);
  EXPECT_NEAR(seen[100], 3'000, 250);
  for (std::uint32_t n = 10; n < 20; ++n) EXPECT_NEAR(seen[n], 600, 120) << n;
  EXPECT_EQ(seen.size(), 12U);
  c.sizes.clear();
  c.paths = {{"/a", 3}, {"/b", 1}};
  LoadRequests p(c, 0);
  int a = 0;
  for (int i = 0; i < 10'000; ++i) a += p.draw().path == 0 ? 1 : 0;
  EXPECT_NEAR(a, 7'500, 250);
}

TEST(LoadRequests, TheHeadSaysWhatWasDrawn) {
  LoadConfig c;
  c.host = "h";
  c.paths = {{"/a", 1}, {"/b", 1}};
  LoadRequests paths(c, 0);
  EXPECT_EQ(paths.head({1, 0, 0}, false), "GET /b HTTP/1.1\r\nHost: h\r\nUser-Agent: weir\r\n\r\n");
  EXPECT_EQ(paths.head({0, 0, 0}, true),
            "GET /a HTTP/1.1\r\nHost: h\r\nUser-Agent: weir\r\nConnection: close\r\n\r\n");
  c.sizes = {{0, 5, 1}};
  EXPECT_TRUE(LoadRequests(c, 0).head({0, 4'294'967, 0}, false).starts_with("GET /bytes/4294967 "));
  c.sizes.clear();
  c.body_sizes = {{0, 5, 1}};
  EXPECT_EQ(LoadRequests(c, 0).head({0, 0, 12}, false),
            "POST /a HTTP/1.1\r\nHost: h\r\nUser-Agent: weir\r\nContent-Length: 12\r\n\r\n");
}

TEST(Load, SizesAreAskedForAndEachAnswerHasItsOwn) {
  Lab lab;
  lab.serve();
  lab.config.expect_size.reset();
  lab.config.sizes = {{0, 0, 1}, {1, 3'000, 3}, {40'000, 40'000, 1}};
  lab.config.connections_total = 200;
  lab.run(20s);
  EXPECT_EQ(lab.counters().completed.get(), 200U);
  EXPECT_EQ(lab.errors(), 0U);
  LoadRequests same(lab.config, 0);
  std::uint64_t octets = 0;
  for (int i = 0; i < 200; ++i) octets += same.draw().size;
  EXPECT_EQ(lab.server.serve->counters().body_bytes_out.get(), octets);
  lab.drain();
}

TEST(Load, AnAnswerOfAnotherSizeThanWasAskedForIsWrong) {
  Lab lab;
  lab.say("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Server::End::kFin);
  lab.config.sizes = {{3, 4, 1}};
  lab.config.connections_total = 100;
  lab.run(20s);
  EXPECT_EQ(lab.counters().answers.get(), 100U);
  EXPECT_NEAR(static_cast<double>(lab.counters().wrong_size.get()), 50, 20);
  lab.drain();
}

TEST(Load, BodiesAreSentWhole) {
  Lab lab;
  lab.serve();
  lab.config.paths = {{"/up"}};
  lab.config.expect_size.reset();
  lab.config.expect_pattern = false;
  lab.config.body_sizes = {{1'500'000, 1'500'000, 1}, {0, 10, 1}};  // longer than the pattern
  lab.config.connections_total = 12;
  lab.config.concurrency = 3;
  lab.run(60s);
  EXPECT_EQ(lab.counters().completed.get(), 12U);
  EXPECT_EQ(lab.errors(), 0U);
  LoadRequests same(lab.config, 0);
  std::uint64_t octets = 0;
  for (int i = 0; i < 12; ++i) octets += same.draw().body;
  EXPECT_GT(octets, 1'500'000U);
  EXPECT_EQ(lab.server.serve->counters().body_bytes_in.get(), octets);
  EXPECT_EQ(lab.counters().asking.get(), 0U);
  lab.drain();
}

TEST(Load, ABodyIsThePatternOverAndOver) {
  Lab lab;
  lab.say("", Server::End::kNone);
  lab.config.body_sizes = {{1'100'000, 1'100'000, 1}};  // longer than the pattern
  lab.config.connections_total = 1;
  lab.run(10s);
  const std::size_t head = lab.server.got.find("\r\n\r\n") + 4;
  ASSERT_EQ(lab.server.got.size() - head, 1'100'000U);
  EXPECT_TRUE(app::matches_pattern(std::as_bytes(std::span(lab.server.got).subspan(head)), 0));
  lab.generator.load->stop_accepting();
  lab.generator.load->abort_all();
}

// -- A rate that is set -------------------------------------------------------------------------

TEST(Load, ARateIsSetWhileItRunsAndWhatWasDueIsForgotten) {
  Lab lab;
  lab.serve();
  lab.config.rate_from = lab.config.rate_to = 100;
  lab.run(1s);
  const std::uint64_t first = lab.counters().opened.get();
  EXPECT_NEAR(static_cast<double>(first), 101, 3);
  lab.generator.load->set_rate(0, lab.world.now());
  lab.world.host(0).poke();
  lab.world.run_for(5s);
  EXPECT_EQ(lab.counters().opened.get(), first);
  EXPECT_EQ(lab.counters().open.get(), 0U);
  lab.generator.load->set_rate(500, lab.world.now());
  lab.world.host(0).poke();
  lab.world.run_for(2s);
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get() - first), 1'000, 4);
  lab.drain();
  EXPECT_EQ(lab.errors(), 0U);
}

// -- The search ---------------------------------------------------------------------------------

// How many steps it takes to find what is served below `limit`.
unsigned search(RateSearch& s, double limit) {
  unsigned steps = 0;
  for (; !s.done() && steps < 200; ++steps) s.judge(s.rate() <= limit);
  return steps;
}

TEST(RateSearch, DoublesThenBisects) {
  for (const double limit : {1.0, 17.0, 999.0, 1'000.0, 1'001.0, 64'123.0, 5e6}) {
    RateSearch s(1'000);
    EXPECT_LE(search(s, limit), 60U) << limit;
    EXPECT_TRUE(s.done());
    EXPECT_LE(s.passed(), limit);
    EXPECT_GT(s.failed(), limit);
    EXPECT_LE(s.failed() - s.passed(), std::max(1.0, s.passed() * 0.05)) << limit;
  }
}

TEST(RateSearch, EndsWhereNothingAndWhereEverythingPasses) {
  RateSearch none(1'000), all(1'000);
  EXPECT_LE(search(none, 0), 60U);
  EXPECT_TRUE(none.done());
  EXPECT_EQ(none.passed(), 0);
  EXPECT_EQ(none.failed(), 1);
  EXPECT_LE(search(all, 1e12), 60U);
  EXPECT_EQ(all.passed(), 100'000'000);
  EXPECT_EQ(all.failed(), 0);
}

TEST(RateSearch, OneFailureIsTriedOnceMore) {
  RateSearch s(1'000);
  s.judge(false);
  EXPECT_TRUE(s.again());
  EXPECT_EQ(s.rate(), 1'000);
  s.judge(true);
  EXPECT_EQ(s.rate(), 2'000);
  s.judge(false);
  s.judge(false);
  EXPECT_EQ(s.rate(), 1'500);
  EXPECT_EQ(s.failed(), 2'000);
}

struct Finding : Lab {
  using Lab::Lab;
  Sample sample() const {
    Sample s;
    s.uptime = world.now() - began;
    s.cores = 1;
    s.add_app(app::load_fields(*generator.load));
    s.add("connect", generator.load->latency().connect);
    s.add("first_byte", generator.load->latency().first_byte);
    s.add("request", generator.load->latency().request);
    return s;
  }
  // Until the search is over, or `limit`.
  void find(double first, Duration limit) {
    config.rate_from = config.rate_to = first;
    config.find_rate.emplace(options);
    began = world.now();
    start();
    finder.emplace(config);
    while (!finder->finished() && sample().uptime < limit) {
      world.run_for(std::max<Duration>(finder->due() - sample().uptime, 1us));
      const RateFinder::Turn t = finder->poll(sample(), false);
      if (t.rate) generator.load->set_rate(*t.rate, world.now());
      world.host(0).poke();
      if (!t.line.empty()) lines.push_back(t.line);
    }
  }
  bool said(const std::string& part) const {
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& l) { return l.find(part) != std::string::npos; });
  }
  FindRate options;
  Instant began;
  std::optional<RateFinder> finder;
  std::vector<std::string> lines;
};

sim::Faults far() {
  sim::Faults f;
  f.delay = 100ms;  // a round trip is 200 ms
  return f;
}

TEST(FindRate, WhatTheConnectionsCarryIsFound) {
  Finding lab(far());  // 40 connections carry 200 requests a second
  lab.serve();
  lab.config.mode = LoadMode::kRequests;
  lab.config.concurrency = 40;
  lab.config.requests = 0;
  lab.find(10, 300s);
  ASSERT_TRUE(lab.finder->found()) << lab.lines.size();
  const std::string result = lab.finder->result(true);
  const auto at = result.find("\"rate\":");
  ASSERT_NE(at, std::string::npos);
  EXPECT_NEAR(std::stod(result.substr(at + 7)), 195, 10) << result;
  EXPECT_TRUE(lab.said("of what was due was not begun")) << lab.lines.back();
  EXPECT_NE(result.find("\"unit\":\"requests\""), std::string::npos);
  lab.drain();
  EXPECT_EQ(lab.errors(), 0U);
}

TEST(FindRate, AServerThatFallsBehindFailsThoughAllIsBegunAndNothingIsWrong) {
  Finding lab;
  lab.say("", Server::End::kNone);  // takes every request and answers none
  lab.config.timeout = 20s;
  lab.find(100, 40s);
  EXPECT_FALSE(lab.finder->found());
  EXPECT_TRUE(lab.said("unanswered: 200 more than before")) << lab.lines.front();
  lab.generator.load->stop_accepting();
  lab.generator.load->abort_all();
}

TEST(FindRate, ErrorsAndLatencyFailAStepByName) {
  Finding slow(far());
  slow.serve();
  slow.options.max_latency = 150ms;
  slow.find(8, 200s);
  EXPECT_TRUE(slow.finder->finished());
  EXPECT_FALSE(slow.finder->found());
  EXPECT_TRUE(slow.said("above load.max_latency"));
  EXPECT_NE(slow.finder->result(false).find("none passed"), std::string::npos);

  Finding refused;  // nobody listens
  refused.find(4, 200s);
  EXPECT_TRUE(refused.finder->finished());
  EXPECT_FALSE(refused.finder->found());
  EXPECT_TRUE(refused.said("failed, connect_refused ")) << refused.lines.front();
}

TEST(FindRate, TheNextStepBeginsWhenWhatAFailedOneLeftIsOver) {
  Finding lab;
  lab.say("", Server::End::kNone);
  lab.config.timeout = 20s;
  lab.find(100, 15s);
  // The first step took 3 s; until 20 s what it asked for is under way, and nothing is begun.
  EXPECT_EQ(lab.lines.size(), 1U);
  EXPECT_NEAR(static_cast<double>(lab.counters().opened.get()), 301, 4);
  lab.generator.load->stop_accepting();
  lab.generator.load->abort_all();
}

// -- CSV ----------------------------------------------------------------------------------------

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out(1);
  for (const char c : line) {
    if (c == ',') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

TEST(LoadCsv, ARowHasTheColumnsOfTheHeader) {
  Finding lab;
  lab.serve();
  lab.config.rate_from = lab.config.rate_to = 100;
  lab.config.expect_size = 17;  // each answer is wrong
  lab.began = lab.world.now();
  lab.run(1s);
  const auto header = cells(app::load_csv_header());
  const auto row = cells(app::load_csv_row(lab.config, 100.0, {}, lab.sample()));
  ASSERT_EQ(row.size(), header.size());
  std::map<std::string, std::string> at;
  for (std::size_t i = 0; i < row.size(); ++i) at[header[i]] = row[i];
  EXPECT_EQ(at["profile"], "conformant");
  EXPECT_EQ(at["loop"], "open");
  EXPECT_EQ(at["target_per_s"], "100.0");
  EXPECT_NEAR(std::stod(at["connects_per_s"]), 100, 3);
  EXPECT_NEAR(std::stod(at["wrong_size"]), 100, 3);
  EXPECT_EQ(at["errors"], at["wrong_size"]);
  EXPECT_GT(std::stod(at["request_p99_us"]), 0);
  // An interval in which nothing came has no percentiles, and a closed loop no target.
  lab.config.rate_from = lab.config.rate_to = 0;
  Sample later = lab.sample();
  later.uptime += 1s;
  const auto idle = cells(app::load_csv_row(lab.config, std::nullopt, lab.sample(), later));
  ASSERT_EQ(idle.size(), header.size());
  for (std::size_t i = 0; i < idle.size(); ++i) {
    const bool empty = header[i] == "target_per_s" || header[i].ends_with("_us");
    EXPECT_EQ(idle[i].empty(), empty) << header[i];
  }
  EXPECT_EQ(idle[2], "closed");
  lab.drain();
}

TEST(LoadReport, StrippedFiguresSaySo) {
  LoadConfig c;
  Sample a, b;
  b.uptime = 1s;
  EXPECT_EQ(app::load_line(c, a, b).find("STRIPPED"), std::string::npos);
  EXPECT_NE(app::load_summary(c, a, b, b).find("closed loop"), std::string::npos);
  c.stripped = true;
  c.rate_from = c.rate_to = 5;
  c.find_rate.emplace();
  EXPECT_NE(app::load_line(c, a, b).find("[STRIPPED]"), std::string::npos);
  EXPECT_NE(app::load_summary(c, a, b, b).find("[STRIPPED]"), std::string::npos);
  EXPECT_NE(app::load_summary(c, a, b, b).find("latency from the due time"), std::string::npos);
  EXPECT_NE(RateFinder(c).result(false).find("[STRIPPED]"), std::string::npos);
  const std::string json = "\"profile\":\"stripped\"";
  EXPECT_NE(app::load_stats_json(c, a, b).find(json), std::string::npos);
  EXPECT_NE(app::load_summary_json(c, a, b, b).find(json), std::string::npos);
  EXPECT_NE(RateFinder(c).result(true).find(json), std::string::npos);
  EXPECT_EQ(cells(app::load_csv_row(c, 5.0, a, b))[1], "stripped");
}

}  // namespace
}  // namespace weir::test
