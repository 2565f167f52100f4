// RFC 6298, the arithmetic.
#include "tcp/rto.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace weir::tcp {
namespace {

//= RFC6298 2.1 type=test
TEST(Rto, StartsWithItsInitialValue) {
  const RtoConfig c;
  EXPECT_EQ(RtoEstimator{c}.rto(), 1s);
  EXPECT_FALSE(RtoEstimator{c}.sampled());
}

//= RFC6298 2.2 type=test
TEST(Rto, FirstSample) {
  const RtoConfig c;
  RtoEstimator e{c};
  e.on_sample(400ms);
  EXPECT_EQ(e.srtt(), 400ms);
  EXPECT_EQ(e.rto(), 1200ms);  // R + 4 * R/2
}

// Worked by hand: SRTT 400, RTTVAR 200, sample 560: RTTVAR = 3/4*200 + 1/4*160 = 190, SRTT = 420.
//= RFC6298 2.3 type=test
TEST(Rto, LaterSamples) {
  const RtoConfig c;
  RtoEstimator e{c};
  e.on_sample(400ms);
  e.on_sample(560ms);
  EXPECT_EQ(e.srtt(), 420ms);
  EXPECT_EQ(e.rto(), 420ms + 4 * 190ms);
  e.on_sample(260ms);  // |420 - 260| = 160: RTTVAR = 142.5 + 40 = 182.5; SRTT = 400
  EXPECT_EQ(e.srtt(), 400ms);
  EXPECT_EQ(e.rto(), 400ms + 730ms);
}

// RTTVAR is updated with the old SRTT (§2.3: "before updating SRTT").
//= RFC6298 2.3 type=test
TEST(Rto, VarianceUsesTheOldMean) {
  const RtoConfig c;
  RtoEstimator e{c};
  e.on_sample(800ms);   // RTTVAR 400
  e.on_sample(1600ms);  // 300 + 200 = 500, not 300 + 175
  EXPECT_EQ(e.rto(), 900ms + 2000ms);
}

//= RFC6298 2.4 type=test
//= RFC6298 2.5 type=test
TEST(Rto, FloorAndCeiling) {
  const RtoConfig c;
  RtoEstimator e{c};
  e.on_sample(0us);
  EXPECT_EQ(e.rto(), 200ms);
  for (int i = 0; i < 200; ++i) e.on_sample(70ms);  // a steady path: the floor stands above SRTT
  EXPECT_NEAR(e.rto().count(), 270e3, 10);
  RtoEstimator slow{c};
  slow.on_sample(100s);
  EXPECT_EQ(slow.rto(), 120s);
}

// §2.3: G bounds 4*RTTVAR from below.
TEST(Rto, GranularityBoundsTheVariance) {
  RtoConfig c;
  c.rto_min = 1us;
  c.clock_granularity = 5ms;
  RtoEstimator e{c};
  for (int i = 0; i < 200; ++i) e.on_sample(10ms);
  EXPECT_EQ(e.rto(), 15ms);
}

//= RFC6298 5.5 type=test
TEST(Rto, BackOffDoublesToTheCeiling) {
  const RtoConfig c;
  RtoEstimator e{c};
  for (const auto want : {2s, 4s, 8s, 16s, 32s, 64s, 120s, 120s}) {
    e.back_off();
    EXPECT_EQ(e.rto(), want);
  }
}

TEST(Rto, RestoreUndoesBackOff) {
  const RtoConfig c;
  RtoEstimator e{c};
  e.back_off();
  e.restore();
  EXPECT_EQ(e.rto(), 1s);
  e.on_sample(400ms);
  e.back_off();
  e.back_off();
  e.restore();
  EXPECT_EQ(e.rto(), 1200ms);
}

//= RFC6298 5.7 type=test
TEST(Rto, ThreeSecondsAfterALostSyn) {
  const RtoConfig c;
  RtoEstimator e{c};
  e.back_off();
  e.back_off();
  e.on_syn_timeout();
  EXPECT_EQ(e.rto(), 3s);
}

// The naive twin: the RFC's formulae in floating point, with the floor of ADR 3.
TEST(Rto, FollowsTheFormulae) {
  const RtoConfig c;
  Rng rng{6298};
  for (int run = 0; run < 100; ++run) {
    RtoEstimator e{c};
    double srtt = 0, rttvar = 0;
    for (int i = 0; i < 100; ++i) {
      const auto us = static_cast<std::int32_t>(rng.below(2'000'000));
      e.on_sample(Micros(us));
      const double r = us;
      rttvar = i == 0 ? r / 2 : 0.75 * rttvar + 0.25 * std::abs(srtt - r);
      srtt = i == 0 ? r : 0.875 * srtt + 0.125 * r;
      const double rto = std::min(srtt + std::max(200e3, 4 * rttvar), 120e6);
      ASSERT_NEAR(e.srtt().count(), srtt, 10);
      ASSERT_NEAR(e.rto().count(), rto, 60);
    }
  }
}

}  // namespace
}  // namespace weir::tcp
