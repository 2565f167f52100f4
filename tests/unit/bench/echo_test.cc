// The figures of `weir bench latency`, `cold` and `cps --cores-each`: checked, medians, in words.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <string>

#include "bench_cores.h"
#include "bench_echo.h"
#include "bench_figures.h"

namespace weir::app {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

SideFigures side(std::uint64_t requests, std::uint64_t cycles_each) {
  SideFigures f;
  f.requests = requests;
  f.connections = 10;
  f.meter.stages[0] = f.meter.busy = requests * cycles_each;
  f.meter.busy_iterations = 1;
  return f;
}

// Of three rounds the ratios are 2, 4 and 3: no two medians of p50 would give 3.
BenchReport latency() {
  BenchReport r;
  r.config.mode = BenchMode::kLatency;
  r.config.cores = {0, 1};
  r.latency = {{.bare = {10, 100, 110, 120}, .tcp = {10, 200, 330, 600}, .frame_octets = 130},
               {.bare = {10, 100, 110, 120}, .tcp = {10, 400, 220, 120}, .frame_octets = 130},
               {.bare = {10, 200, 110, 120}, .tcp = {10, 600, 110, 240}, .frame_octets = 130}};
  return r;
}

ColdPhase phase(std::uint64_t requests, std::uint64_t server, std::uint64_t client,
                std::uint32_t among) {
  return {.client = side(requests, client),
          .server = side(requests, server),
          .elapsed_us = 500'000,
          .among = among};
}

BenchReport cold() {
  BenchReport r;
  r.config.mode = BenchMode::kCold;
  r.config.cores = {0, 1};
  r.config.connections = 5'000'000;
  r.cold = {{.hot = phase(1'000, 500, 400, 100),
             .opening = phase(0, 0, 0, 0),
             .cold = phase(500, 1'000, 1'200, 5'000'000),
             .again = phase(1'000, 550, 400, 100)}};
  return r;
}

TEST(Echo, AnythingButWhatWasSentIsSeen) {
  std::array<std::byte, 12> message{};
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::byte>(i + 1);
  auto sent = message;
  const std::uint32_t index = 0x0a0b0c0d;
  std::memcpy(sent.data(), &index, sizeof index);
  EXPECT_TRUE(is_echo(index, message, 0, sent));
  EXPECT_FALSE(is_echo(index + 1, message, 0, sent));  // another connection's
  for (std::size_t cut = 0; cut <= sent.size(); ++cut) {
    EXPECT_TRUE(is_echo(index, message, 0, std::span(sent).first(cut)));
    EXPECT_TRUE(is_echo(index, message, cut, std::span(sent).subspan(cut)));
  }
  for (std::size_t i = 0; i < sent.size(); ++i) {
    auto wrong = sent;
    wrong[i] ^= std::byte{0x40};
    EXPECT_FALSE(is_echo(index, message, 0, wrong)) << i;
  }
  EXPECT_FALSE(is_echo(index, message, 1, sent));  // more than there is
}

TEST(Figures, WhatPassedBetweenTwoLooks) {
  SideFigures before = side(100, 7), now = side(300, 7);
  before.errors = 1;
  now.errors = 3;
  before.counters[2] = 5;
  now.counters[2] = 9;
  now.record_octets = 77;
  const SideFigures d = since(now, before);
  EXPECT_EQ(d.requests, 200U);
  EXPECT_EQ(d.meter.busy, 1'400U);
  EXPECT_EQ(d.meter.stages[0], 1'400U);
  EXPECT_EQ(d.errors, 2U);
  EXPECT_EQ(d.counters[2], 4U);
  EXPECT_EQ(d.connections, 0U);
  EXPECT_EQ(d.record_octets, 77U);
}

TEST(Latency, RatiosAreOfARoundAndThenTheMedian) {
  const std::string json = report_json(latency());
  EXPECT_TRUE(has(json, "\"bare_ns\":{\"p50\":100.000,\"p99\":110.000,\"p999\":120.000}")) << json;
  EXPECT_TRUE(has(json, "\"tcp_ns\":{\"p50\":400.000,\"p99\":220.000,\"p999\":240.000}"));
  EXPECT_TRUE(has(json, "\"ratio\":{\"p50\":3.000,\"p99\":2.000,\"p999\":2.000}"));
  const std::string text = report_text(latency());
  EXPECT_TRUE(has(text, "frames of 130")) << text;
  EXPECT_TRUE(has(text, "400 ns     3.00"));
}

TEST(Cold, CyclesAMessageBesideTheHotCase) {
  const std::string json = report_json(cold());
  EXPECT_TRUE(has(json,
                  "\"cold\":{\"connections\":5000000,\"rate\":1000.000,"
                  "\"server_cycles\":1000.000,\"client_cycles\":1200.000,"
                  "\"server_ratio\":2.000,\"client_ratio\":3.000}"))
      << json;
  EXPECT_TRUE(has(json, "\"again\":{\"connections\":100,"));
  EXPECT_TRUE(has(json, "\"server_ratio\":1.100"));
  EXPECT_TRUE(has(json, "\"opening_rate\":20.000"));
  EXPECT_TRUE(has(report_text(cold()), "opened: 5,000,000 connections at 20 a second"));
}

TEST(Cores, ScaleInCyclesAndInRate) {
  const std::vector<CoresRound> rounds = {
      {.alone = {{100, 1'000}, {300, 2'000}}, .together = {{90, 1'500}, {270, 2'500}}}};
  EXPECT_DOUBLE_EQ(scale_in_cycles(rounds), 1.5);
  EXPECT_DOUBLE_EQ(scale_in_rate(rounds), 1.8);
  BenchReport r;
  r.config.cores = {0, 1};
  r.config.pairs = 2;
  EXPECT_TRUE(has(cores_report_json(r, rounds), "\"alone_cycles\":[1000.000,2000.000]"));
  EXPECT_TRUE(has(cores_report_text(r, rounds), "2 cores are 1.50 times one in cycles"));
}

}  // namespace
}  // namespace weir::app
