// The table of knobs: each can be set, read back and refused; what is live is copied, no more.
#include "tcp/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace weir::tcp {
namespace {

using namespace std::chrono_literals;

// Names that stay: DESIGN's list.
constexpr std::string_view kFixedNames[] = {
    "syn_retries",
    "synack_retries",
    "orphan_retries",
    "retries2",
    "fin_timeout",
    "somaxconn",
    "max_syn_backlog",
    "syncookies",
    "abort_on_overflow",
    "keepalive_time",
    "keepalive_intvl",
    "keepalive_probes",
    "ip_local_port_range",
    "tw_reuse",
    "max_tw_buckets",
    "msl",
    "timestamps",
    "sack",
    "dsack",
    "window_scaling",
    "rmem",
    "wmem",
    "ecn",
    "congestion_control",
    "initial_cwnd",
    "rto_min",
    "rto_max",
    "rto_initial",
    "reordering",
    "recovery",
    "slow_start_after_idle",
    "delack_min",
    "delack_max",
    "rfc1337",
    "challenge_ack_limit",
    "mtu_probing",
};

const Setting& named(std::string_view name) {
  const Setting* s = find_setting(name);
  if (s == nullptr) ADD_FAILURE() << name;
  return s == nullptr ? settings()[0] : *s;
}

std::string set(Config& c, std::string_view name, std::string_view text) {
  return set_by_text(c, named(name), text).value_or("");
}

TEST(Settings, HasEveryKnobOfTheDesignOnce) {
  std::set<std::string_view> all;
  for (const Setting& s : settings()) EXPECT_TRUE(all.insert(s.name).second) << s.name;
  for (const std::string_view name : kFixedNames) EXPECT_TRUE(all.contains(name)) << name;
  EXPECT_EQ(find_setting("mtuu"), nullptr);
  EXPECT_EQ(find_setting(""), nullptr);
}

TEST(Settings, TheDefaultsFitAndAreWithinTheLimits) {
  const Config c;
  EXPECT_FALSE(misfit(c).has_value());
  for (const Setting& s : settings()) {
    EXPECT_GE(s.get(c), s.least) << s.name;
    EXPECT_LE(s.get(c), s.most) << s.name;
  }
}

// The least and the most of each, written and read back; nothing else changes with it, but what is
// meant to.
TEST(Settings, EachIsSetAndReadBackAtBothEnds) {
  for (const Setting& s : settings()) {
    for (const std::int64_t v : {s.least, s.most}) {
      Config c;
      s.set(c, v);
      EXPECT_EQ(s.get(c), v) << s.name;
      Config again;
      EXPECT_EQ(set_by_text(again, s, value_text(c, s)), std::nullopt) << s.name;
      EXPECT_EQ(s.get(again), v) << s.name << " = " << value_text(c, s);
    }
  }
}

TEST(Settings, NoneMovesAnotherButTheTwoThatAreToldOf) {
  for (const Setting& s : settings()) {
    Config c;
    s.set(c, s.get(c) == s.least ? s.most : s.least);
    for (const Setting& other : settings()) {
      if (other.name == s.name || other.get(c) == other.get(Config{})) continue;
      const bool known = (s.name == "delack_max" && other.name == "delack_min") ||
                         other.name.starts_with("challenge_ack_");
      EXPECT_TRUE(known) << s.name << " moves " << other.name;
    }
  }
}

TEST(Settings, WhatLiesBeyondIsRefusedAndChangesNothing) {
  for (const Setting& s : settings()) {
    if (s.kind == SettingKind::kBoolean || s.kind == SettingKind::kWord) continue;
    if (s.kind == SettingKind::kPorts) continue;
    const char* unit = s.kind == SettingKind::kTime ? "us" : "";
    for (const std::int64_t v : {s.least - 1, s.most + 1}) {
      Config c;
      const auto why = set_by_text(c, s, std::to_string(v) + unit);
      ASSERT_TRUE(why.has_value()) << s.name << " = " << v;
      EXPECT_EQ(why->find('\n'), std::string::npos);
      EXPECT_EQ(s.get(c), s.get(Config{})) << s.name;
    }
  }
}

TEST(Settings, WhatIsNoneOfTheKindIsRefusedWithACure) {
  for (const Setting& s : settings()) {
    for (const char* text : {"", "x", "1 2 3", "-", "6x", "1e3", "0x10", "true false"}) {
      Config c;
      const auto why = set_by_text(c, s, text);
      ASSERT_TRUE(why.has_value()) << s.name << " = \"" << text << "\"";
      EXPECT_GT(why->size(), 10U);
    }
  }
}

TEST(Settings, TextsOfEachKind) {
  Config c;
  EXPECT_EQ(set(c, "syn_retries", "6"), "");
  EXPECT_EQ(c.syn_retries, 6);
  EXPECT_EQ(set(c, "fin_timeout", "5"), "");
  EXPECT_EQ(c.fin_timeout, 5s);
  EXPECT_EQ(set(c, "fin_timeout", "60s"), "");
  EXPECT_EQ(c.fin_timeout, 60s);
  EXPECT_EQ(set(c, "rto_min", "300"), "");  // milliseconds: the unit of the table
  EXPECT_EQ(c.rto_min, 300ms);
  EXPECT_EQ(set(c, "sack", "0") + set(c, "dsack", "false"), "");
  EXPECT_FALSE(c.sack || c.dsack);
  EXPECT_EQ(set(c, "sack", "1") + set(c, "dsack", "true"), "");
  EXPECT_TRUE(c.sack && c.dsack);
  EXPECT_EQ(set(c, "congestion_control", "reno"), "");
  EXPECT_EQ(c.congestion_control, CongestionControl::kReno);
  for (const char* ports : {"2000 3000", "2000\t3000", "2000, 3000", "2000-3000"}) {
    Config p;
    EXPECT_EQ(set(p, "ip_local_port_range", ports), "");
    EXPECT_EQ(p.port_low, 2'000);
    EXPECT_EQ(p.port_high, 3'000);
  }
}

TEST(Settings, TheMessagesAreThoseOfTheTable) {
  Config c;
  EXPECT_EQ(set(c, "syn_retries", "0"), "out of range 1..127; choose a value in it");
  EXPECT_EQ(set(c, "ecn", "3"),
            "out of range 0..2; 0 off, 1 asked for and accepted, 2 accepted only");
  EXPECT_EQ(set(c, "fin_timeout", "0"), "out of range 1s..3600s; a bare number counts units of 1s");
  EXPECT_EQ(set(c, "fin_timeout", "9223372036854775807"),
            "out of range 1s..3600s; a bare number counts units of 1s");
  EXPECT_EQ(set(c, "congestion_control", "bbr"), "not known; write reno or cubic");
  EXPECT_EQ(set(c, "sack", "maybe"), "not a boolean; write true or false");
  for (const char* ports : {"3000 2000", "2000", "2000 2000", "80 2000", "2000 65536", "2000 ",
                            "-3000", "x 3000", "2000 x", "99999999999999999999 3000"}) {
    EXPECT_NE(set(c, "ip_local_port_range", ports), "") << ports;
  }
}

// "delack_max = 20" alone is right, though delack_min is 40 ms by default.
TEST(Settings, ALowerDelackMaxTakesDelackMinAlong) {
  Config c;
  EXPECT_EQ(set(c, "delack_max", "20ms"), "");
  EXPECT_EQ(c.delack_min, 20ms);
  EXPECT_FALSE(misfit(c).has_value());
  EXPECT_EQ(set(c, "delack_max", "30ms"), "");
  EXPECT_EQ(c.delack_min, 20ms);
}

TEST(Settings, TwoThatDoNotFitAreTold) {
  const auto blamed = [](auto change) {
    Config c;
    change(c);
    const auto m = misfit(c);
    return m ? std::string(m->name) : std::string();
  };
  EXPECT_EQ(blamed([](Config& c) { c.tos = 1; }), "tos");
  EXPECT_EQ(blamed([](Config& c) { c.delack_min = c.delack_max + 1ms; }), "delack_min");
  EXPECT_EQ(blamed([](Config& c) { c.rto_min = 120s, c.rto_max = 60s; }), "rto_min");
  EXPECT_EQ(blamed([](Config& c) { c.rto_min = c.rto_max = c.rto_initial; }), "");  // just fits
  EXPECT_EQ(blamed([](Config& c) { c.rto_initial = c.rto_min - 1ms; }), "rto_initial");
  EXPECT_EQ(blamed([](Config& c) { c.rto_initial = c.rto_max + 1ms; }), "rto_initial");
  EXPECT_EQ(blamed([](Config& c) { c.ipfrag_high_thresh = 524'287; }), "ipfrag_high_thresh");
  EXPECT_EQ(blamed([](Config& c) { c.ipfrag_high_thresh = 0; }), "");
}

// Sizes of tables are fixed, and what orders queues of deadlines; the rest is live.
TEST(Settings, MostAreLive) {
  EXPECT_TRUE(named("keepalive_time").live);
  EXPECT_TRUE(named("wmem").live);
  EXPECT_FALSE(named("max_syn_backlog").live);
  EXPECT_FALSE(named("max_tw_buckets").live);
  const auto live =
      std::count_if(settings().begin(), settings().end(), [](const Setting& s) { return s.live; });
  EXPECT_GT(2 * live, static_cast<std::ptrdiff_t>(settings().size()));
}

TEST(Settings, OnlyWhatIsLiveIsTaken) {
  for (const Setting& s : settings()) {
    Config wanted;
    Config running;
    const std::int64_t v = s.get(wanted) == s.most ? s.least : s.most;
    s.set(wanted, v);
    take_live(running, wanted);
    EXPECT_EQ(s.get(running), s.live ? v : s.get(Config{})) << s.name;
  }
  for (const char* table : {"max_syn_backlog", "max_tw_buckets", "msl", "rmem", "rto_initial"}) {
    EXPECT_FALSE(named(table).live) << table;
  }
}

}  // namespace
}  // namespace weir::tcp
