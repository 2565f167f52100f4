// RFC 9406, the rounds and what ends slow start.
#include "tcp/cc/hystartpp.h"

#include <gtest/gtest.h>

namespace weir::tcp {
namespace {

// One flow whose rounds have `acks` ACKs of one octet each; numbers wrap early.
struct Flow {
  HyStart h;
  Seq una{0xffff'ffa0}, nxt = una + 16;
  SlowStart last = SlowStart::kFull;

  void ack(std::uint32_t rtt_us) {
    una += 1;
    nxt += 1;
    last = hystart_on_ack(h, una, nxt, rtt_us);
  }
  void round(std::uint32_t rtt_us, unsigned acks = 16) {
    for (unsigned i = 0; i < acks; ++i) ack(rtt_us);
  }
};

//= RFC9406 4.2-a type=test
TEST(HyStart, ARoundEndsWhereItsLastOctetIsAcknowledged) {
  Flow f;
  f.ack(100'000);
  const Seq end = f.h.window_end;
  while (before(f.una + 1, end)) f.ack(90'000);
  EXPECT_EQ(f.h.window_end, end);
  EXPECT_EQ(f.h.current_us, 90'000U);
  f.ack(90'000);
  EXPECT_EQ(f.h.window_end, f.nxt);
  EXPECT_EQ(f.h.last_us, 90'000U);
  EXPECT_EQ(f.h.current_us, HyStart::kNone);
  EXPECT_EQ(f.h.samples, 0);
}

//= RFC9406 4.2-b type=test
TEST(HyStart, ARoundTripThatGrewByAnEighthMakesSlowStartConservative) {
  Flow f;
  f.round(100'000);
  f.round(112'000);
  EXPECT_EQ(f.last, SlowStart::kFull);  // not by 12.5 ms yet
  f.round(112'000, 1);
  f.round(125'000, 16);
  f.round(142'000, 7);
  EXPECT_EQ(f.last, SlowStart::kFull);  // eight samples are wanted
  f.round(142'000, 2);
  EXPECT_EQ(f.last, SlowStart::kConservative);
}

// The threshold is an eighth of the round trip, but 4 ms at least and 16 ms at most.
//= RFC9406 4.3-a type=test
TEST(HyStart, TheThresholdHasAFloorAndACeiling) {
  for (const auto& [rtt, grown, want] : {std::tuple{1'000U, 4'999U, SlowStart::kFull},
                                         {1'000U, 5'000U, SlowStart::kConservative},
                                         {64'000U, 71'999U, SlowStart::kFull},
                                         {64'000U, 72'000U, SlowStart::kConservative},
                                         {400'000U, 415'999U, SlowStart::kFull},
                                         {400'000U, 416'000U, SlowStart::kConservative}}) {
    Flow f;
    f.round(rtt, 17);
    f.round(rtt, 16);
    f.round(grown, 10);
    EXPECT_EQ(f.last, want) << rtt << " to " << grown;
  }
}

//= RFC9406 4.2-d type=test
TEST(HyStart, ADelayThatPassesGivesSlowStartBack) {
  Flow f;
  f.round(100'000, 33);
  f.round(120'000, 16);
  EXPECT_EQ(f.last, SlowStart::kConservative);
  f.round(119'000, 16);
  EXPECT_EQ(f.last, SlowStart::kFull);
}

//= RFC9406 4.2-e type=test
TEST(HyStart, FiveConservativeRoundsEndIt) {
  Flow f;
  f.round(100'000, 33);
  unsigned rounds = 0;
  Seq end = f.h.window_end;
  for (int i = 0; i < 200 && f.last != SlowStart::kOver; ++i) {
    f.ack(120'000);
    if (f.h.css && f.h.window_end != end) ++rounds;
    end = f.h.window_end;
  }
  EXPECT_EQ(f.last, SlowStart::kOver);
  EXPECT_EQ(rounds, 4U);  // and the fifth ended it
}

TEST(HyStart, WithoutSamplesNothingIsJudged) {
  Flow f;
  f.round(100'000, 33);
  f.round(0, 100);
  EXPECT_EQ(f.last, SlowStart::kFull);
}

}  // namespace
}  // namespace weir::tcp
