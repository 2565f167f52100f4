// RFC 9438, the arithmetic, beside the RFC's formulae in floating point.
#include "tcp/cc/cubic.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace weir::tcp {
namespace {

constexpr std::uint32_t kMss = 1'000;
constexpr double kC = 0.4, kBeta = 0.7;

// One flow in congestion avoidance: segments and seconds.
struct Twin {
  double w_max = 0, prior = 0, k = 0, w_est = 0, t = 0;
  bool running = false;

  [[nodiscard]] double window(double at) const { return kC * std::pow(at - k, 3) + w_max; }
  double grow(double cwnd, double acked, double rtt, double passed, double prior_cwnd) {
    if (!running) {
      running = true;
      prior = prior_cwnd > 0 ? prior_cwnd : cwnd;
      if (w_max < cwnd) w_max = cwnd;
      k = std::cbrt((w_max - cwnd) / kC);
      w_est = cwnd;
      t = 0;
    } else {
      t += passed;
    }
    const double alpha = w_est >= prior ? 1 : 3 * (1 - kBeta) / (1 + kBeta);
    w_est += alpha * acked / cwnd;
    const double target = std::clamp(window(t + rtt), cwnd, 1.5 * cwnd);
    double grown = cwnd + (target - cwnd) / cwnd * acked;
    if (window(t) < w_est) grown = std::max(grown, w_est);
    return grown;
  }
};

//= RFC9438 4.2-b type=test
TEST(Cubic, CubeRoots) {
  EXPECT_EQ(cube_root(0), 0U);
  EXPECT_EQ(cube_root(7), 1U);
  EXPECT_EQ(cube_root(8), 2U);
  EXPECT_EQ(cube_root(~std::uint64_t{0}), 2'642'245U);
  Rng rng{9438};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t r = rng.below(2'642'245);
    ASSERT_EQ(cube_root(r * r * r), r);
    if (r > 0) {
      ASSERT_EQ(cube_root(r * r * r - 1), r - 1);
    }
  }
}

// After a loss at 100 segments: 70 left, K = cbrt(30 / 0.4) = 4.217 s, and there 100 again.
//= RFC9438 4.2-a type=test
//= RFC9438 4.6-a type=test
TEST(Cubic, TheCurveOfTheRfc) {
  Cubic c;
  cubic_reduce(c, 100 * kMss);
  EXPECT_EQ(cubic_beta(100 * kMss), 70 * kMss);
  std::uint32_t counted = 0;
  EXPECT_GE(cubic_grow(c, 70 * kMss, counted,
                       {.acked = kMss, .mss = kMss, .rtt_us = 100'000, .prior = 100 * kMss}),
            70 * kMss);
  EXPECT_EQ(c.k_ms, 4'217U);
  EXPECT_NEAR(cubic_window(c, kMss, 0), 70'000, 20);
  EXPECT_NEAR(cubic_window(c, kMss, 4'217'000), 100'000, 1);
  EXPECT_NEAR(cubic_window(c, kMss, 2'000'000), 100'000 - 400 * std::pow(2.217, 3), 5);
  EXPECT_NEAR(cubic_window(c, kMss, 8'434'000), 130'000, 20);
}

//= RFC9438 4.7 type=test
TEST(Cubic, FastConvergenceGivesRoom) {
  Cubic c;
  cubic_reduce(c, 100 * kMss);
  EXPECT_EQ(c.w_max, 100 * kMss);
  cubic_reduce(c, 80 * kMss);  // it had not come back to W_max
  EXPECT_EQ(c.w_max, 68 * kMss);
  cubic_reduce(c, 90 * kMss);
  EXPECT_EQ(c.w_max, 90 * kMss);
}

//= RFC9438 4.8-b type=test
//= RFC9438 4.10 type=test
TEST(Cubic, WithoutAWMaxTheCurveBeginsFlat) {
  Cubic c;
  cubic_reduce(c, 100 * kMss);
  cubic_forget(c);
  std::uint32_t counted = 0;
  (void)cubic_grow(c, 50 * kMss, counted, {.acked = kMss, .mss = kMss, .prior = 100 * kMss});
  EXPECT_EQ(c.k_ms, 0U);
  EXPECT_EQ(c.w_max, 50 * kMss);
}

// Nothing of the last epoch is left in the next: neither what was counted nor that it ran.
TEST(Cubic, AnEpochBeginsAnew) {
  const CubicAck a{
      .acked = kMss / 2, .mss = kMss, .rtt_us = 100'000, .now_us = 5, .prior = 80 * kMss};
  for (const bool forget : {false, true}) {
    Cubic used{.w_max = 90 * kMss, .est_acked = 777, .k_ms = 3, .elapsed_us = 9, .running = true};
    Cubic fresh;
    fresh.w_max = 90 * kMss;
    if (forget) {
      cubic_forget(used);
      cubic_forget(fresh);
    } else {
      cubic_reduce(used, 95 * kMss);
      cubic_reduce(fresh, 95 * kMss);
    }
    std::uint32_t counted = 12'345, none = 0;
    EXPECT_EQ(cubic_grow(used, 60 * kMss, counted, a), cubic_grow(fresh, 60 * kMss, none, a));
    EXPECT_EQ(counted, none);
    EXPECT_EQ(used.est_acked, fresh.est_acked);
    EXPECT_EQ(used.k_ms, fresh.k_ms);
  }
}

// §4.3: from where cwnd was, Reno's estimate grows by one segment a window.
//= RFC9438 4.3-a type=test
TEST(Cubic, TheEstimateIsRenosOnceItIsWhereCwndWas) {
  Cubic c{.w_max = 20 * kMss, .w_est = 20 * kMss, .running = true};
  std::uint32_t counted = 0;
  (void)cubic_grow(c, 15 * kMss, counted, {.acked = 15 * kMss, .mss = kMss, .prior = 20 * kMss});
  EXPECT_EQ(c.w_est, 21 * kMss);
}

//= RFC9438 4.2-c type=test
TEST(Cubic, TimeInWhichTheWindowWasNotInUseDoesNotCount) {
  Cubic c;
  cubic_reduce(c, 100 * kMss);
  std::uint32_t counted = 0;
  std::uint32_t now = 0xffff'0000U;  // the clock wraps
  CubicAck a{.acked = kMss, .mss = kMss, .rtt_us = 100'000, .now_us = now, .prior = 100 * kMss};
  (void)cubic_grow(c, 70 * kMss, counted, a);
  a.now_us = now += 100'000;
  (void)cubic_grow(c, 70 * kMss, counted, a);
  EXPECT_EQ(c.elapsed_us, 100'000U);
  cubic_pause(c, now += 3'000'000'000U);
  a.now_us = now += 50'000;
  (void)cubic_grow(c, 70 * kMss, counted, a);
  EXPECT_EQ(c.elapsed_us, 150'000U);
}

// At a short round trip Reno would be faster than the curve, and CUBIC is never slower than it.
//= RFC9438 4.3-a type=test
//= RFC9438 4.3-b type=test
TEST(Cubic, IsNeverSlowerThanReno) {
  Cubic c;
  cubic_reduce(c, 20 * kMss);
  std::uint32_t cwnd = 14 * kMss, counted = 0, now = 0;
  // A round trip of 1 ms: 100 of them pass before the curve has moved.
  for (int i = 0; i < 100; ++i) {
    now += 1'000;
    for (std::uint32_t left = cwnd / kMss; left > 0; --left) {
      cwnd = cubic_grow(
          c, cwnd, counted,
          {.acked = kMss, .mss = kMss, .rtt_us = 1'000, .now_us = now, .prior = 20 * kMss});
    }
  }
  // 0.53 segments a round trip to 20, which takes 12 of them, then one for each of the other 88.
  EXPECT_NEAR(cwnd, 108 * kMss, 2 * kMss);
}

// No more than half of cwnd in a round trip, however old the epoch.
//= RFC9438 4.2-d type=test
TEST(Cubic, TheTargetIsBounded) {
  Cubic c;
  std::uint32_t counted = 0;
  (void)cubic_grow(c, 100 * kMss, counted, {.acked = kMss, .mss = kMss});
  c.elapsed_us = 900'000'000;
  c.w_est = 0;
  std::uint32_t cwnd = 100 * kMss;
  for (int i = 0; i < 100; ++i) {
    cwnd = cubic_grow(c, cwnd, counted, {.acked = kMss, .mss = kMss, .rtt_us = 1'000'000});
  }
  EXPECT_GE(cwnd, 148 * kMss);
  EXPECT_LE(cwnd, 165 * kMss);  // compounded
  EXPECT_EQ(cubic_grow(c, kMaxCwnd, counted, {.acked = kMss, .mss = kMss}), kMaxCwnd);
}

// An ACK that is split adds up to the same.
//= RFC9438 4.4 type=test
TEST(Cubic, SplitAcksGainNothing) {
  Cubic whole, split;
  cubic_reduce(whole, 100 * kMss);
  cubic_reduce(split, 100 * kMss);
  std::uint32_t a = 70 * kMss, b = a, counted_a = 0, counted_b = 0;
  for (std::uint32_t i = 0; i < 500; ++i) {
    CubicAck ack{
        .acked = kMss, .mss = kMss, .rtt_us = 50'000, .now_us = i * 1'000, .prior = 100 * kMss};
    a = cubic_grow(whole, a, counted_a, ack);
    ack.acked = kMss / 20;
    for (int j = 0; j < 20; ++j) b = cubic_grow(split, b, counted_b, ack);
  }
  EXPECT_LE(b, a + kMss);
  EXPECT_GE(b + 2 * kMss, a);
}

// Whole flows: losses at random windows, round trips from 1 to 300 ms.
//= RFC9438 4.2-a type=test
//= RFC9438 4.4 type=test
TEST(Cubic, FollowsTheFormulae) {
  Rng rng{94'38};
  for (int run = 0; run < 40; ++run) {
    const std::uint32_t mss = 500 + static_cast<std::uint32_t>(rng.below(1'000));
    const auto rtt = static_cast<std::uint32_t>(1'000 + rng.below(300'000));
    Cubic c;
    Twin twin;
    std::uint32_t cwnd = mss * static_cast<std::uint32_t>(10 + rng.below(500));
    double w = double(cwnd) / mss, prior = 0;
    std::uint32_t counted = 0, now = static_cast<std::uint32_t>(rng.below(0xffff'ffff));
    for (int losses = 0; losses < 4; ++losses) {
      const int round_trips = 5 + static_cast<int>(rng.below(60));
      for (int i = 0; i < round_trips; ++i) {
        const std::uint32_t acks = std::min<std::uint32_t>(cwnd / mss, 400);
        for (std::uint32_t n = 0; n < acks; ++n) {
          const std::uint32_t passed = rtt / acks;
          now += passed;
          w = twin.grow(w, double(cwnd / acks) / mss, rtt / 1e6, passed / 1e6, prior);
          cwnd = cubic_grow(c, cwnd, counted,
                            {.acked = cwnd / acks,
                             .mss = mss,
                             .rtt_us = rtt,
                             .now_us = now,
                             .prior = static_cast<std::uint32_t>(prior * mss)});
        }
        ASSERT_NEAR(double(cwnd) / mss, w, 2 + w / 20) << "run " << run << " round trip " << i;
      }
      w = double(cwnd) / mss;  // what the two have drifted apart does not add up
      prior = w;
      twin.w_max = w < twin.w_max ? w * (1 + kBeta) / 2 : w;
      twin.running = false;
      cubic_reduce(c, cwnd);
      cwnd = cubic_beta(cwnd);
      w *= kBeta;
    }
  }
}

}  // namespace
}  // namespace weir::tcp
