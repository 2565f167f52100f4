// The timing wheel: never early, never more than a tick late, against a naive twin.
#include "timer/wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/rng.h"

namespace weir::timer {
namespace {

constexpr Instant kStart{Duration{123'456'789}};

// All that is due at `now`, by as many calls as it takes.
std::vector<std::uint32_t> advance_all(Wheel& wheel, Instant now, std::size_t span = 32) {
  std::vector<std::uint32_t> all;
  std::vector<std::uint32_t> out(span);
  do {
    const unsigned n = wheel.advance(now, out);
    all.insert(all.end(), out.begin(), out.begin() + n);
  } while (wheel.next_deadline() <= now);
  return all;
}

TEST(Wheel, RoundsUpAndIsNeverEarly) {
  Wheel wheel(8, kStart);
  wheel.arm(3, kStart + 1'001us);
  EXPECT_TRUE(wheel.armed(3));
  EXPECT_EQ(wheel.armed_count(), 1U);
  EXPECT_EQ(wheel.next_deadline(), kStart + 2ms);
  EXPECT_TRUE(advance_all(wheel, kStart + 1'999us).empty());
  EXPECT_EQ(advance_all(wheel, kStart + 2ms), std::vector<std::uint32_t>{3});
  EXPECT_FALSE(wheel.armed(3));
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

TEST(Wheel, ThePastIsDueAtOnce) {
  Wheel wheel(8, kStart);
  EXPECT_TRUE(advance_all(wheel, kStart + 10s).empty());
  wheel.arm(1, kStart);
  wheel.arm(2, kStart - 1s);
  wheel.arm(4, kStart + 10s);
  EXPECT_LE(wheel.next_deadline(), kStart + 10s);
  auto got = advance_all(wheel, kStart + 10s);  // the same instant as before
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<std::uint32_t>{1, 2, 4}));
}

TEST(Wheel, ExtendingIsLazyAndShorteningIsNot) {
  Wheel wheel(8, kStart);
  wheel.arm(1, kStart + 200ms);
  wheel.arm(1, kStart + 900ms);  // stays: the caller hears of it at 200 ms
  EXPECT_EQ(advance_all(wheel, kStart + 200ms), std::vector<std::uint32_t>{1});
  wheel.arm(1, kStart + 900ms);
  wheel.arm(1, kStart + 400ms);
  EXPECT_EQ(wheel.armed_count(), 1U);
  EXPECT_EQ(advance_all(wheel, kStart + 400ms), std::vector<std::uint32_t>{1});
  EXPECT_TRUE(advance_all(wheel, kStart + 2s).empty());
}

TEST(Wheel, NeverAsksForNothingAndCancelForgets) {
  Wheel wheel(8, kStart);
  wheel.arm(1, kNever);
  EXPECT_FALSE(wheel.armed(1));
  wheel.arm(1, kStart + 5ms);
  wheel.arm(1, kNever);
  EXPECT_TRUE(wheel.armed(1));
  wheel.cancel(1);
  wheel.cancel(1);
  EXPECT_EQ(wheel.armed_count(), 0U);
  EXPECT_EQ(wheel.next_deadline(), kNever);
  EXPECT_TRUE(advance_all(wheel, kStart + 1s).empty());
}

TEST(Wheel, BeyondTheHorizonIsOnTimeToo) {
  Wheel wheel(8, kStart, 1us);  // the horizon is 2^32 us, 71 minutes
  const std::array<Duration, 5> after{71min, 72min, 5h, 400 * 24h, 20 * 365 * 24h};
  for (std::uint32_t i = 0; i < after.size(); ++i) wheel.arm(i, kStart + after[i]);
  for (std::uint32_t i = 0; i < after.size(); ++i) {
    EXPECT_TRUE(advance_all(wheel, kStart + after[i] - 1us).empty());
    EXPECT_EQ(advance_all(wheel, kStart + after[i]), std::vector<std::uint32_t>{i});
  }
}

TEST(Wheel, AFullSpanGoesOnInTheNextCall) {
  Wheel wheel(1'000, kStart);
  for (std::uint32_t i = 0; i < 1'000; ++i) wheel.arm(i, kStart + 7ms);
  std::array<std::uint32_t, 64> out{};
  std::set<std::uint32_t> seen;
  for (unsigned left = 1'000; left > 0;) {
    const unsigned n = wheel.advance(kStart + 1s, out);
    EXPECT_EQ(n, std::min(left, 64U));
    seen.insert(out.begin(), out.begin() + n);
    left -= n;
    EXPECT_EQ(wheel.armed_count(), left);
  }
  EXPECT_EQ(seen.size(), 1'000U);
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

TEST(Wheel, CascadesAreBoundedPerCall) {
  constexpr std::uint32_t kMany = 100'000;
  Wheel wheel(kMany, kStart);
  for (std::uint32_t i = 0; i < kMany; ++i) wheel.arm(i, kStart + 300ms);  // one slot of level 1
  std::array<std::uint32_t, 32> out{};
  unsigned calls = 0;
  while (wheel.advance(kStart + 300ms, out) == 0) {
    ++calls;
    ASSERT_LE(wheel.next_deadline(), kStart + 300ms);  // a sleeper must not sleep on this
  }
  EXPECT_EQ(calls, kMany / Wheel::kCascadePerCall);
  EXPECT_EQ(advance_all(wheel, kStart + 300ms).size(), kMany - 32);
}

TEST(Wheel, ArmedWhileHalfCascaded) {
  constexpr std::uint32_t kMany = 1'000;
  Wheel wheel(kMany, kStart);
  for (std::uint32_t i = 0; i < kMany - 2; ++i) wheel.arm(i, kStart + 70s);
  std::array<std::uint32_t, 32> out{};
  EXPECT_EQ(wheel.advance(kStart + 70s, out), 0U);  // budget spent on the way down
  wheel.arm(kMany - 1, kStart + 66s);
  wheel.arm(kMany - 2, kStart + 80s);
  wheel.cancel(0);
  EXPECT_EQ(advance_all(wheel, kStart + 70s).size(), kMany - 2);
  EXPECT_EQ(advance_all(wheel, kStart + 80s), std::vector<std::uint32_t>{kMany - 2});
}

TEST(Wheel, UntouchedNodesCostNothing) {
  Wheel wheel(0xf000'0000U, kStart);  // 60 GB of addresses
  wheel.arm(0xefff'ffffU, kStart + 1ms);
  EXPECT_EQ(advance_all(wheel, kStart + 1ms), std::vector<std::uint32_t>{0xefff'ffffU});
}

// What the wheel should be: every id with its tick, in order.
class NaiveWheel {
 public:
  NaiveWheel(Instant start, Duration tick) : start_(start), tick_(tick) {}

  void arm(std::uint32_t id, Instant deadline) {
    std::int64_t tick = deadline <= start_ ? 0 : (deadline - start_ + tick_ - 1us) / tick_;
    const auto it = by_id_.find(id);
    if (it != by_id_.end()) {
      if (it->second->first <= tick) return;
      by_tick_.erase(it->second);
    }
    by_id_[id] = by_tick_.emplace(tick, id);
  }
  void cancel(std::uint32_t id) {
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return;
    by_tick_.erase(it->second);
    by_id_.erase(it);
  }
  [[nodiscard]] bool armed(std::uint32_t id) const { return by_id_.contains(id); }
  [[nodiscard]] bool due(std::uint32_t id, Instant now) const {
    const auto it = by_id_.find(id);
    return it != by_id_.end() && at(it->second->first) <= now;
  }
  [[nodiscard]] Instant earliest() const {
    return by_tick_.empty() ? kNever : at(by_tick_.begin()->first);
  }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  [[nodiscard]] Instant at(std::int64_t tick) const { return start_ + tick * tick_; }
  Instant start_;
  Duration tick_;
  std::multimap<std::int64_t, std::uint32_t> by_tick_;
  std::unordered_map<std::uint32_t, std::multimap<std::int64_t, std::uint32_t>::iterator> by_id_;
};

class WheelFuzz : public testing::TestWithParam<std::uint64_t> {
 protected:
  // Spread over all levels: a random number of random bits.
  Duration some_time(unsigned most_bits) {
    const unsigned bits = rng_.below(most_bits + 1);
    return Duration{static_cast<std::int64_t>(rng_.next() & ((std::uint64_t{1} << bits) - 1))};
  }
  void arm_or_cancel() {
    const std::uint32_t id = rng_.below(kIds);
    if (rng_.chance(200'000)) {
      wheel_.cancel(id);
      twin_.cancel(id);
      return;
    }
    const Instant deadline = now_ - 5ms + some_time(rng_.chance(20'000) ? 44 : 30);
    wheel_.arm(id, deadline);
    twin_.arm(id, deadline);
  }
  void advance_once() {
    std::array<std::uint32_t, 40> out;
    const std::span span(out.data(), 1 + rng_.below(40));
    const unsigned n = wheel_.advance(now_, span);
    for (unsigned i = 0; i < n; ++i) {
      ASSERT_TRUE(twin_.due(out[i], now_)) << "early, or not armed: " << out[i];
      twin_.cancel(out[i]);
    }
    // All that was due is out, or the wheel says that it is not done.
    if (wheel_.next_deadline() > now_) {
      ASSERT_GT(twin_.earliest(), now_);
    }
  }
  void check() {
    ASSERT_EQ(wheel_.armed_count(), twin_.size());
    ASSERT_LE(wheel_.next_deadline(), std::max(twin_.earliest(), now_));
    ASSERT_EQ(wheel_.next_deadline() == kNever, twin_.size() == 0);
    const std::uint32_t id = rng_.below(kIds);
    ASSERT_EQ(wheel_.armed(id), twin_.armed(id));
  }

  static constexpr std::uint32_t kIds = 3'000;
  Rng rng_{GetParam()};
  Duration tick_ = GetParam() % 2 == 0 ? Duration{1ms} : Duration{37us};
  Instant now_ = kStart;
  Wheel wheel_{kIds, kStart, tick_};
  NaiveWheel twin_{kStart, tick_};
};

TEST_P(WheelFuzz, AgreesWithTheNaiveTwin) {
  for (unsigned op = 0; op < 100'000; ++op) {
    const std::uint32_t what = rng_.below(100);
    if (what < 70) {
      arm_or_cancel();
    } else if (what < 90) {
      now_ += some_time(what < 88 ? 14 : 32);
      advance_once();
    } else {
      advance_once();  // goes on, or has nothing to do
    }
    check();
    if (HasFatalFailure()) FAIL() << "seed " << GetParam() << " op " << op;
  }
  while (twin_.size() > 0) {  // sleeping on next_deadline alone empties it
    now_ = std::max(now_, wheel_.next_deadline());
    advance_once();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << GetParam();
  }
  EXPECT_EQ(wheel_.armed_count(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, WheelFuzz, testing::Range(std::uint64_t{1}, std::uint64_t{9}));

}  // namespace
}  // namespace weir::timer
