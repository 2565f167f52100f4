// The figures of `weir bench`: from one process to another, and into words.
#include "bench_figures.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

namespace weir::app {
namespace {

// Figures that are all different, so that none can stand for another.
SideFigures figures(std::uint64_t connections, std::uint64_t cycles_each) {
  SideFigures f;
  f.connections = connections;
  f.requests = 3 * connections;
  f.text_octets = 2'048 * connections;
  f.elapsed_us = 500'000;
  f.peak_connections = 10;
  f.record_octets = 600;
  f.buffer_octets = 5'000;
  f.time_wait = connections;
  f.time_wait_octets = 45;
  for (std::size_t i = 0; i < telemetry::kStages; ++i) {
    f.meter.stages[i] = (i + 1) * cycles_each * connections;
    f.meter.busy += f.meter.stages[i];
  }
  f.meter.busy_iterations = 50;
  f.meter.idle = 77;
  f.meter.idle_iterations = 7;
  f.meter.span = 2 * f.meter.busy;
  for (std::size_t i = 0; i < f.counters.size(); ++i) f.counters[i] = 1'000 + i;
  return f;
}

BenchReport report() {
  BenchReport r;
  r.config.cores = {0, 1};
  r.cpu = "a \"processor\"";
  r.tsc_hz = 2'600'000'000;
  r.time_wait = 60s;
  for (const std::uint64_t cycles : {30U, 10U, 20U}) {
    r.rounds.push_back({figures(100 * cycles, cycles), figures(100 * cycles, cycles + 1)});
  }
  return r;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Figures, CrossAPipeAsTheyAre) {
  SideFigures f = figures(1'234, 56);
  f.errors = 9;
  f.meter.interrupted = 88;
  f.meter.interrupted_iterations = 2;
  f.counters[0] = ~std::uint64_t{0};
  const auto back = parse_figures(to_line(f));
  ASSERT_TRUE(back);
  EXPECT_EQ(to_line(*back), to_line(f));
  EXPECT_EQ(back->counters, f.counters);
  EXPECT_EQ(back->meter.stages, f.meter.stages);
  EXPECT_EQ(back->meter.interrupted, 88U);
  EXPECT_EQ(back->text_octets, f.text_octets);
}

TEST(Figures, ALineThatIsNotWholeIsRefused) {
  const std::string line = to_line(figures(12, 34));
  for (std::size_t n = 0; n < line.size(); ++n) {
    const std::string cut = line.substr(0, n);
    const auto got = parse_figures(cut);
    // The last number may be cut and still be one.
    if (n > line.rfind('=') + 1) continue;
    ASSERT_FALSE(got) << cut;
  }
  EXPECT_FALSE(parse_figures(line + " more=1"));
  EXPECT_FALSE(parse_figures(line + "x"));
  EXPECT_FALSE(parse_figures("x" + line));
  std::string wrong = line;
  wrong[wrong.find('=') + 1] = '-';
  EXPECT_FALSE(parse_figures(wrong));
}

TEST(Figures, UnitsAreTheModes) {
  const SideFigures f = figures(10, 1);
  EXPECT_EQ(f.units(BenchMode::kCps), 10.0);
  EXPECT_EQ(f.units(BenchMode::kRps), 30.0);
  EXPECT_EQ(f.units(BenchMode::kStream), 20.0);
}

TEST(Figures, InterruptedIterationsCountAsTheMeanOfTheOthers) {
  SideFigures f = figures(10, 1);
  EXPECT_EQ(f.busy(), static_cast<double>(f.meter.busy));
  f.meter.interrupted_iterations = 25;  // half as many again
  f.meter.interrupted = 1'000'000'000;
  EXPECT_DOUBLE_EQ(f.busy(), 1.5 * static_cast<double>(f.meter.busy));
  EXPECT_DOUBLE_EQ(f.stage(2), 1.5 * static_cast<double>(f.meter.stages[2]));
  f.meter.busy_iterations = 0;
  f.meter.busy = 0;
  EXPECT_EQ(f.busy(), 0.0);
}

TEST(Complaint, ErrorsAndSidesThatDisagree) {
  BenchReport r = report();
  EXPECT_EQ(complaint(r), std::nullopt);
  r.rounds[1].server->connections += 1;
  EXPECT_EQ(complaint(r), "round 2: 1000 connections at the client, 1001 at the server");
  r = report();
  r.rounds[2].client->requests = 1;
  EXPECT_EQ(complaint(r), "round 3: 1 requests answered at the client, 6000 at the server");
  r.rounds[0].server->errors = 4;
  EXPECT_EQ(complaint(r), "round 1: 4 errors at the server");
  r = report();
  for (BenchRound& round : r.rounds) round.server.reset();
  EXPECT_EQ(complaint(r), std::nullopt);
  r.buffers_left = 2;
  EXPECT_EQ(complaint(r), "2 buffers did not come back");
}

TEST(Report, TheMedianAndARoundAsItWas) {
  const std::string json = report_json(report());
  EXPECT_TRUE(has(json, "\"rate\":4000.000")) << json;
  EXPECT_TRUE(has(json, "\"rates\":[6000.000,2000.000,4000.000]"));
  // The third round is the median: stages of 20, 40, ... 140 cycles.
  EXPECT_TRUE(has(json, "\"client\":{\"connections\":2000,"));
  EXPECT_TRUE(has(json,
                  "\"cycles_per_unit\":{\"rx\":20.000,\"parse\":40.000,\"lookup\":60.000,"
                  "\"tcp\":80.000,\"timers\":100.000,\"application\":120.000,"
                  "\"tx\":140.000,\"total\":560.000}"));
  EXPECT_TRUE(has(json, "\"total\":588.000}"));  // the server's
  EXPECT_TRUE(has(json, "\"cpu\":\"a \\\"processor\\\"\""));
  EXPECT_TRUE(has(json, "\"octets_held_per_connection\":1100.000"));
  EXPECT_TRUE(has(json, "\"ok\":true"));
}

TEST(Report, WhatIsNotKnownIsNotPrinted) {
  BenchReport r = report();
  r.config.role = BenchRole::kServer;
  r.config.cores = {1};
  for (BenchRound& round : r.rounds) round.client.reset();
  const std::string text = report_text(r);
  EXPECT_FALSE(has(text, "client on")) << text;
  EXPECT_TRUE(has(text, "server on CPU 1"));
  EXPECT_FALSE(has(text, "connections/s"));  // a server does not know when it began
  EXPECT_FALSE(has(report_json(r), "\"client\""));
  EXPECT_FALSE(has(report_json(r), "\"rate\""));
}

TEST(Report, WhatIsStrippedSaysSoInEveryPart) {
  BenchReport r = report();
  EXPECT_TRUE(has(report_json(r), "\"profile\":\"conformant\""));
  r.config.stripped = true;
  const std::string text = report_text(r);
  EXPECT_TRUE(has(text, "2,000 to 6,000)  [STRIPPED]\n")) << text;
  for (const char* part : {"cycles per connection", "per connection", "in this round"}) {
    EXPECT_TRUE(has(text, "\n  " + std::string(part) + "  [STRIPPED]")) << part;
  }
  EXPECT_TRUE(has(text, "no figure of a conformant TCP"));
  EXPECT_FALSE(has(text, "TIME-WAIT full"));
  const std::string json = report_json(r);
  EXPECT_TRUE(has(json, "\"profile\":\"stripped\""));
  EXPECT_TRUE(has(json, "\"time_wait_seconds\":0,\"closed_by\":\"reset\""));
}

TEST(Report, ATableForAReader) {
  BenchReport r = report();
  r.note = "both sides share CPU 0";
  const std::string text = report_text(r);
  EXPECT_TRUE(has(text, "4,000 connections/s   (median; 2,000 to 6,000)")) << text;
  EXPECT_TRUE(has(text, "note: both sides share CPU 0"));
  EXPECT_TRUE(has(text, "TIME-WAIT full: 60 s, at the server"));
  EXPECT_TRUE(has(text, "dropped by the client: "));
  for (const std::string_view stage : telemetry::kStageNames) {
    EXPECT_TRUE(has(text, "    " + std::string(stage) + " ")) << stage;
  }
  EXPECT_FALSE(has(text, "STRIPPED"));
  r.config.mode = BenchMode::kStream;
  EXPECT_TRUE(has(report_text(r), " MB/s "));
  r.config.stages = false;
  EXPECT_FALSE(has(report_text(r), "    parse "));
}

}  // namespace
}  // namespace weir::app
