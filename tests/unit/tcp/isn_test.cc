// RFC 6528 and RFC 9293 §3.4.1: what an attacker may learn from initial sequence numbers.
#include "tcp/isn.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>

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

// Every bit is set in half of them, within 4 sigma; and so is the XOR of neighbours' bits.
TEST(Isn, BitsAreUnbiased) {
  constexpr std::uint32_t kN = 100'000;
  std::array<std::uint32_t, 32> ones{}, changes{};
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < kN; ++i) {
    const std::uint32_t isn =
        initial_sequence(kKey, flow(0x0a00'0002 + i / 50'000, std::uint16_t(i % 50'000)), kNow)
            .raw();
    for (unsigned b = 0; b < 32; ++b) {
      ones[b] += isn >> b & 1U;
      changes[b] += (isn ^ last) >> b & 1U;
    }
    last = isn;
  }
  const double limit = 4.5 * std::sqrt(kN) / 2;  // 64 trials: 4 sigma would fail 1 run in 250
  for (unsigned b = 0; b < 32; ++b) {
    EXPECT_LT(std::abs(double(ones[b]) - kN / 2.0), limit) << "bit " << b;
    EXPECT_LT(std::abs(double(changes[b]) - kN / 2.0), limit) << "bit " << b;
  }
}

// NUMBER:JACK: a CRC or XOR design is linear, ISN(a)^ISN(b)^ISN(c)^ISN(a^b^c) == 0 always.
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

}  // namespace
}  // namespace weir::tcp
