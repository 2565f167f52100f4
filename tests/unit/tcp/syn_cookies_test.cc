// RFC 4987 §3.6: what a cookie brings back, and what none of ours is.
#include "tcp/syn_cookies.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace weir::tcp {
namespace {

constexpr SipKey kKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
constexpr Instant kBegin{200 * kCookieStep};  // of a step
constexpr FlowKey kFlow = {IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
constexpr std::uint8_t kOurScale = 5;

struct Offer {
  std::uint16_t mss = 1'460;
  std::uint8_t scale = 7;
  bool stamped = true, sack = true, ecn = true;
};

SynEntry entry_of(const Offer& o) {
  SynEntry e;
  e.flow = kFlow;
  e.irs = Seq{0xffff'fff0};
  e.mss = o.mss;
  e.scale_and_retries = o.scale;
  e.offer(o.stamped, o.sack);
  if (o.ecn) e.offer_ecn();
  return e;
}

// The third segment of a handshake.
RxSegment answer_to(const SynEntry& e, std::uint32_t stamp, bool stamped = true) {
  RxSegment seg;
  seg.seq = e.irs + 1;
  seg.ack = e.iss + 1;
  seg.flags = ACK;
  seg.options.has_timestamps = stamped;
  seg.options.ts_val = stamped ? 4'711 : 0;
  seg.options.ts_ecr = stamped ? stamp : 0;
  return seg;
}

SynEntry used_before() {  // an entry is filled whole, whatever it held
  SynEntry e = entry_of({});
  e.deadline_ms = 7;
  e.add_retry();
  e.add_resent();
  return e;
}

bool opens(const RxSegment& seg, Instant now = kBegin, std::uint8_t scale = kOurScale,
           const FlowKey& flow = kFlow, const SipKey& key = kKey) {
  SynEntry e = used_before();
  return open_cookie(key, e, flow, seg, scale, Config{}, now);
}

//= RFC4987 3.6-e type=test
TEST(SynCookie, BringsBackWhatItsStampHasRoomFor) {
  for (unsigned i = 0; i < 64; ++i) {
    const Offer o{
        .scale = static_cast<std::uint8_t>(i & 15U), .sack = (i & 16U) != 0, .ecn = (i & 32U) != 0};
    SynEntry made = entry_of(o);
    const std::uint32_t stamp = make_cookie(kKey, made, kOurScale, 0x1234'5600U + i * 37, kBegin);
    SynEntry e = used_before();
    ASSERT_TRUE(open_cookie(kKey, e, kFlow, answer_to(made, stamp), kOurScale, {}, kBegin));
    EXPECT_EQ(e.flow, kFlow);
    EXPECT_EQ(e.iss, made.iss);
    EXPECT_EQ(e.irs, made.irs);
    EXPECT_EQ(e.mss, 1'460);
    EXPECT_EQ(e.scale(), o.scale);
    EXPECT_EQ(e.bits, entry_of(o).bits);
    EXPECT_EQ(e.retries(), 0);
    EXPECT_EQ(e.ts_recent, 4'711U);
    EXPECT_EQ(e.deadline_ms, 0U);
  }
}

// A timestamp that goes back by 64 ms at most is one that the peer takes; one ahead of the clock
// would be wrong in every sample of a round trip.
TEST(SynCookie, ItsTimestampIsNeverAheadOfTheClock) {
  for (std::uint32_t clock = 1'000; clock < 1'100; ++clock) {
    SynEntry e = entry_of({.scale = 9, .sack = true, .ecn = false});
    const std::uint32_t stamp = make_cookie(kKey, e, kOurScale, clock, kBegin);
    EXPECT_EQ(stamp & 63U, 9U | 16U);
    EXPECT_LE(stamp, clock);
    EXPECT_LT(clock - stamp, 64U);
  }
}

TEST(SynCookie, WithoutTimestampsItDoesWithoutOptions) {
  SynEntry made = entry_of({.stamped = false});
  EXPECT_EQ(make_cookie(kKey, made, kOurScale, 1'000, kBegin), 1'000U);
  EXPECT_EQ(made.scale(), SynEntry::kNoScale);
  EXPECT_EQ(made.bits, 0);
  for (const bool wanted : {true, false}) {  // stamps that nobody agreed on are not looked at
    Config c;
    c.timestamps = wanted;
    SynEntry e = used_before();
    ASSERT_TRUE(open_cookie(kKey, e, kFlow, answer_to(made, 0x35, !wanted), kOurScale, c, kBegin));
    EXPECT_EQ(e.scale(), SynEntry::kNoScale);
    EXPECT_EQ(e.bits, 0);
    EXPECT_EQ(e.mss, 1'460);
  }
  EXPECT_FALSE(opens(answer_to(made, 0x35, true)));
}

TEST(SynCookie, EcnOnlyWhereItIsOn) {
  for (const std::uint8_t ecn : std::to_array<std::uint8_t>({0, 1, 2})) {
    Config c;
    c.ecn = ecn;
    for (const bool asked : {false, true}) {
      SynEntry made = entry_of({.ecn = asked});
      const std::uint32_t stamp = make_cookie(kKey, made, kOurScale, 5'000, kBegin);
      SynEntry e;
      ASSERT_TRUE(open_cookie(kKey, e, kFlow, answer_to(made, stamp), kOurScale, c, kBegin));
      EXPECT_EQ(e.ecn_offered(), asked && ecn != 0) << int{ecn};
    }
  }
}

// The largest of eight that is not above the peer's; what none was told of counts as 536.
TEST(SynCookie, RoundsTheMssDown) {
  const std::array<std::pair<std::uint16_t, std::uint16_t>, 13> cases{{{0, 536},
                                                                       {1, 88},
                                                                       {87, 88},
                                                                       {88, 88},
                                                                       {535, 88},
                                                                       {536, 536},
                                                                       {1'219, 536},
                                                                       {1'220, 1'220},
                                                                       {1'459, 1'440},
                                                                       {1'460, 1'460},
                                                                       {8'959, 1'460},
                                                                       {8'960, 8'960},
                                                                       {0xffff, 8'960}}};
  for (const auto& [told, kept] : cases) {
    SynEntry made = entry_of({.mss = told});
    const std::uint32_t stamp = make_cookie(kKey, made, kOurScale, 5'000, kBegin);
    EXPECT_EQ(made.mss, kept) << told;
    SynEntry e;
    ASSERT_TRUE(open_cookie(kKey, e, kFlow, answer_to(made, stamp), kOurScale, {}, kBegin));
    EXPECT_EQ(e.mss, kept) << told;
  }
}

//= RFC4987 3.6-c type=test
TEST(SynCookie, LivesForTheStepItWasMadeInAndTheNext) {
  const Instant made_at = kBegin + kCookieStep - 1ms;
  SynEntry made = entry_of({});
  const std::uint32_t stamp = make_cookie(kKey, made, kOurScale, 5'000, made_at);
  const RxSegment answer = answer_to(made, stamp);
  EXPECT_TRUE(opens(answer, made_at));
  EXPECT_TRUE(opens(answer, made_at + 1ms));
  EXPECT_TRUE(opens(answer, made_at + kCookieStep));
  EXPECT_FALSE(opens(answer, made_at + kCookieStep + 1ms));
  EXPECT_FALSE(opens(answer, made_at - kCookieStep));  // from ahead
  for (int steps = 2; steps < 70; ++steps) {           // its 5 bits of age come round
    EXPECT_FALSE(opens(answer, made_at + steps * kCookieStep)) << steps;
  }
}

// Any bit of it, of the peer's number, of the flow, of the stamp that carries options: none of
// ours.
TEST(SynCookie, NothingElsePasses) {
  SynEntry made = entry_of({});
  const std::uint32_t stamp = make_cookie(kKey, made, kOurScale, 5'000, kBegin);
  const RxSegment good = answer_to(made, stamp);
  ASSERT_TRUE(opens(good));
  for (unsigned bit = 0; bit < 32; ++bit) {
    RxSegment seg = good;
    seg.ack += 1U << bit;
    EXPECT_FALSE(opens(seg)) << bit;
    seg = good;
    seg.seq += 1U << bit;
    EXPECT_FALSE(opens(seg)) << bit;
    seg = good;
    seg.options.ts_ecr ^= 1U << bit;
    EXPECT_EQ(opens(seg), bit >= 6) << bit;  // above them is the clock
  }
  FlowKey other = kFlow;
  other.remote_port ^= 1;
  EXPECT_FALSE(opens(good, kBegin, kOurScale, other));
  EXPECT_FALSE(opens(good, kBegin, kOurScale, kFlow, {kKey[0] ^ 1, kKey[1]}));
}

TEST(SynCookie, OnlyAnAckBringsItBack) {
  SynEntry made = entry_of({});
  const std::uint32_t stamp = make_cookie(kKey, made, kOurScale, 5'000, kBegin);
  RxSegment answer = answer_to(made, stamp);
  for (const int flags : {ACK | 0, ACK | PSH, ACK | FIN, ACK | URG}) {
    answer.flags = static_cast<std::uint8_t>(flags);
    EXPECT_TRUE(opens(answer)) << flags;
  }
  for (const int flags : {0, SYN | 0, SYN | ACK, RST | 0, RST | ACK, FIN | 0}) {
    answer.flags = static_cast<std::uint8_t>(flags);
    EXPECT_FALSE(opens(answer)) << flags;
  }
}

// A window scale that was told once holds for good: of a listener that tells another it is not.
TEST(SynCookie, HoldsForTheWindowScaleThatWasTold) {
  SynEntry scaled = entry_of({}), plain = entry_of({.scale = SynEntry::kNoScale});
  const std::uint32_t of_scaled = make_cookie(kKey, scaled, kOurScale, 5'000, kBegin);
  const std::uint32_t of_plain = make_cookie(kKey, plain, kOurScale, 5'000, kBegin);
  for (std::uint8_t scale = 0; scale <= 14; ++scale) {
    EXPECT_EQ(opens(answer_to(scaled, of_scaled), kBegin, scale), scale == kOurScale);
    EXPECT_TRUE(opens(answer_to(plain, of_plain), kBegin, scale));
  }
}

}  // namespace
}  // namespace weir::tcp
