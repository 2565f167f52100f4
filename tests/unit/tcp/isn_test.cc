// RFC 6528 and RFC 9293 §3.4.1: what an attacker may learn from initial sequence numbers.
#include "tcp/isn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>
#include <vector>

#include "base/rng.h"

namespace weir::tcp {
namespace {

constexpr SipKey kKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
constexpr Instant kNow{12h};

FlowKey flow(std::uint32_t remote, std::uint16_t remote_port, std::uint16_t local_port = 80) {
  return {IpAddr::v4(0x0a00'0001), IpAddr::v4(remote), local_port, remote_port};
}

// One tick in 4 microseconds, for the same four-tuple nothing else.
//= RFC9293 MUST-8 type=test
//= RFC6528 3-c type=test
TEST(Isn, TheClockTicksEvery4Microseconds) {
  const FlowKey f = flow(0x0a00'0002, 1'000);
  const Seq first = initial_sequence(kKey, f, kNow);
  EXPECT_EQ(initial_sequence(kKey, f, kNow + 3us), first);
  EXPECT_EQ(initial_sequence(kKey, f, kNow + 4us), first + 1);
  EXPECT_EQ(initial_sequence(kKey, f, kNow + 1s), first + 250'000);
  EXPECT_EQ(initial_sequence(kKey, f, kNow + 4h),
            first + static_cast<std::uint32_t>(3'600'000'000));
}

// Each part of the tuple, and the key, moves it.
//= RFC9293 MUST-9 type=test
//= RFC6528 3-a type=test
//= RFC9293 SHLD-1 type=test
TEST(Isn, DependsOnTheTupleAndTheKey) {
  const FlowKey f = flow(0x0a00'0002, 1'000);
  const Seq base = initial_sequence(kKey, f, kNow);
  FlowKey g = f;
  g.local = IpAddr::v4(0x0a00'0003);
  EXPECT_NE(initial_sequence(kKey, g, kNow), base);
  EXPECT_NE(initial_sequence(kKey, flow(0x0a00'0003, 1'000), kNow), base);
  EXPECT_NE(initial_sequence(kKey, flow(0x0a00'0002, 1'001), kNow), base);
  EXPECT_NE(initial_sequence(kKey, flow(0x0a00'0002, 1'000, 81), kNow), base);
  EXPECT_NE(initial_sequence({kKey[0], kKey[1] ^ 1}, f, kNow), base);
}

// 1e5 tuples at a frozen clock: collisions as a random function has them (n^2 / 2^33 = 1.2).
TEST(Isn, DistinctTuplesHardlyCollide) {
  std::unordered_set<std::uint32_t> seen;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    seen.insert(
        initial_sequence(kKey, flow(0x0a00'0000 + i / 1'000, std::uint16_t(i % 1'000)), kNow)
            .raw());
  }
  EXPECT_GE(seen.size(), 100'000U - 10);
}

// A million numbers, as a million connections from one host to many ports and hosts would show them
// at one instant.
const std::vector<std::uint32_t>& million() {
  static const std::vector<std::uint32_t> all = [] {
    std::vector<std::uint32_t> v(1'000'000);
    for (std::uint32_t i = 0; i < v.size(); ++i) {
      const FlowKey f = flow(0x0a00'0002 + i / 50'000, static_cast<std::uint16_t>(i % 50'000));
      v[i] = initial_sequence(kKey, f, kNow).raw();
    }
    return v;
  }();
  return all;
}

// Every bit is set in half of them, within 4 sigma.
//= RFC6528 3-b type=test
TEST(Isn, BitsOfAMillionAreUnbiased) {
  const auto n = static_cast<double>(million().size());
  for (unsigned b = 0; b < 32; ++b) {
    double ones = 0;
    for (const std::uint32_t isn : million()) ones += isn >> b & 1U;
    EXPECT_LT(std::abs(ones - n / 2), 4 * std::sqrt(n) / 2) << "bit " << b;
  }
}

// No number tells of one of the sixteen after it: autocorrelation within 4 sigma.
//= RFC6528 3-b type=test
TEST(Isn, LagsOneToSixteenOfAMillionAreUncorrelated) {
  const auto& v = million();
  const auto centred = [&](std::size_t i) { return v[i] / 4294967296.0 - 0.5; };
  for (std::size_t lag = 1; lag <= 16; ++lag) {
    double sum = 0;
    for (std::size_t i = lag; i < v.size(); ++i) sum += centred(i) * centred(i - lag);
    const double n = static_cast<double>(v.size() - lag);
    const double correlation = sum / n * 12;  // the variance of a uniform number is 1/12
    EXPECT_LT(std::abs(correlation), 4 / std::sqrt(n)) << "lag " << lag;
  }
}

// Nor do their differences fall together: at most as many equal neighbours as chance has.
TEST(Isn, DifferencesOfAMillionHardlyRepeat) {
  std::vector<std::uint32_t> d;
  for (std::size_t i = 1; i < million().size(); ++i) d.push_back(million()[i] - million()[i - 1]);
  std::sort(d.begin(), d.end());
  unsigned equal = 0;
  for (std::size_t i = 1; i < d.size(); ++i) equal += d[i] == d[i - 1] ? 1U : 0U;
  EXPECT_NEAR(equal, 116, 60);  // n^2 / 2^33
}

// A new connection of the same 4-tuple always begins beyond where the last one did, as the clock
// goes.
//= RFC6528 3-a type=test
//= RFC6528 3-c type=test
TEST(Isn, OneTuplesNumbersFollowTheClock) {
  const FlowKey f = flow(0x0a00'0002, 1'000);
  Rng rng{1};
  Instant at = kNow;
  Seq last = initial_sequence(kKey, f, at);
  for (unsigned i = 0; i < 10'000; ++i) {
    const Duration step(4 + rng.below(10'000'000));
    const Seq next = initial_sequence(kKey, f, at + step);
    const auto ticks = static_cast<double>(step.count()) / 4;
    ASSERT_NEAR(distance(last, next), ticks, 1);
    at += step;
    last = next;
  }
}

// NUMBER:JACK: a CRC or XOR design is linear, ISN(a)^ISN(b)^ISN(c)^ISN(a^b^c) == 0 always.
//= RFC6528 3-b type=test
TEST(Isn, IsNotLinear) {
  Rng rng{6528};
  unsigned held = 0, low_bits = 0;
  constexpr unsigned kTrials = 1U << 16;
  for (unsigned i = 0; i < kTrials; ++i) {
    const auto a = static_cast<std::uint32_t>(rng.next());
    const auto b = static_cast<std::uint32_t>(rng.next());
    const auto c = static_cast<std::uint32_t>(rng.next());
    std::uint32_t x = 0;
    for (const std::uint32_t v : {a, b, c, a ^ b ^ c}) {
      x ^= initial_sequence(kKey, flow(v, 1'000), Instant{}).raw();  // frozen at 0: no carry
    }
    held += x == 0 ? 1U : 0U;
    low_bits += (x & 0xff) == 0 ? 1U : 0U;
  }
  EXPECT_EQ(held, 0U);
  EXPECT_LT(low_bits, kTrials / 256 * 2);
}

// Flipping one bit of the tuple changes half the bits of the number.
TEST(Isn, Avalanches) {
  double flipped = 0;
  constexpr unsigned kN = 1'000;
  for (unsigned i = 0; i < kN; ++i) {
    const FlowKey f = flow(0x0a00'0000 + i, 1'000);
    const FlowKey g = flow((0x0a00'0000 + i) ^ 1U << i % 32, 1'000);
    flipped += std::popcount(initial_sequence(kKey, f, Instant{}).raw() ^
                             initial_sequence(kKey, g, Instant{}).raw());
  }
  EXPECT_NEAR(flipped / kN, 16.0, 0.5);
}

// RFC 7323 §5.4: nor do timestamps tell the host's clock.
TEST(TimestampOffset, DiffersByTuple) {
  const std::uint32_t a = timestamp_offset(kKey, flow(0x0a00'0002, 1'000));
  EXPECT_NE(a, timestamp_offset(kKey, flow(0x0a00'0002, 1'001)));
  EXPECT_EQ(a, timestamp_offset(kKey, flow(0x0a00'0002, 1'000)));
}

// One hash gives both: no bit of one says anything of any of the other, nor of its difference to
// the next connection's.
//= RFC6528 3-b type=test
TEST(FirstNumbers, TheIsnTellsNothingOfTheTimestamps) {
  constexpr unsigned kN = 10'000;
  std::array<double, 32> same{}, same_step{};  // by how far one is turned
  Numbers before = first_numbers(kKey, flow(0x0a00'0002, 0), Instant{});
  for (unsigned i = 1; i <= kN; ++i) {
    const FlowKey f = flow(0x0a00'0002 + i / 1'000, static_cast<std::uint16_t>(i % 1'000));
    const Numbers n = first_numbers(kKey, f, Instant{});
    EXPECT_EQ(n.iss, initial_sequence(kKey, f, Instant{}));
    EXPECT_EQ(n.ts_offset, timestamp_offset(kKey, f));
    const std::uint32_t iss_step = n.iss.raw() - before.iss.raw();
    const std::uint32_t offset_step = n.ts_offset - before.ts_offset;
    for (int turn = 0; turn < 32; ++turn) {
      const auto at = static_cast<std::size_t>(turn);
      same[at] += std::popcount(~(n.iss.raw() ^ std::rotl(n.ts_offset, turn)));
      same_step[at] += std::popcount(~(iss_step ^ std::rotl(offset_step, turn)));
    }
    before = n;
  }
  for (const double n : same) EXPECT_NEAR(n / kN, 16.0, 0.2);
  for (const double n : same_step) EXPECT_NEAR(n / kN, 16.0, 0.2);
}

// An offset stays what it is while the clock goes on (RFC 7323 §5.4, RFC 6191): only the ISN moves.
TEST(FirstNumbers, TheClockMovesTheIsnAlone) {
  const FlowKey f = flow(0x0a00'0002, 1'000);
  const Numbers a = first_numbers(kKey, f, kNow), b = first_numbers(kKey, f, kNow + 1h);
  EXPECT_EQ(a.ts_offset, b.ts_offset);
  EXPECT_EQ(b.iss, a.iss + 900'000'000);
}

}  // namespace
}  // namespace weir::tcp
