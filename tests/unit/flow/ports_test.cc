// Ephemeral ports: spread evenly, hard to follow from another destination, never out of the range.
#include "flow/ports.h"

#include <gtest/gtest.h>

#include <array>
#include <iterator>
#include <set>
#include <vector>

#include "base/rng.h"

namespace weir::flow {
namespace {

constexpr SipKey kKey{0x0123456789abcdefU, 0xfedcba9876543210U};
constexpr IpAddr kLocal = IpAddr::v4(10, 0, 0, 1);
constexpr auto kAll = [](std::uint16_t) { return true; };

Endpoint remote(std::uint32_t n) {
  return {IpAddr::v4(0xc000'0000U + n), 80};
}

// How far `to` is ahead of `from` in a range of `size` ports.
std::uint32_t ahead(std::uint16_t from, std::uint16_t to, std::uint32_t size) {
  return (std::uint32_t{to} + size - from) % size;
}

//= RFC6056 3.3-a type=test
TEST(Ports, StaysInTheRangeAndTriesEachOnce) {
  PortPicker picker(100, 109, kKey);
  std::set<std::uint16_t> taken;
  for (unsigned i = 0; i < 10; ++i) {
    const auto port =
        picker.pick(kLocal, remote(1), [&](std::uint16_t p) { return !taken.contains(p); });
    ASSERT_TRUE(port.has_value());
    EXPECT_TRUE(*port >= 100 && *port <= 109);
    EXPECT_TRUE(taken.insert(*port).second);
  }
  std::multiset<std::uint16_t> asked;
  EXPECT_FALSE(picker.pick(kLocal, remote(1), [&](std::uint16_t p) {
    asked.insert(p);
    return false;
  }));
  EXPECT_EQ(asked.size(), 10U);
  EXPECT_EQ(std::set(asked.begin(), asked.end()).size(), 10U);
}

TEST(Ports, TheWholeRangeOfPorts) {
  PortPicker picker(1, 65'535, kKey);
  std::vector<bool> seen(65'536);
  unsigned count = 0;
  while (picker.pick(kLocal, remote(1), [&](std::uint16_t p) {
    if (seen[p]) return false;
    seen[p] = true;
    return true;
  })) {
    if (++count > 65'535) break;
  }
  EXPECT_EQ(count, 65'535U);
  EXPECT_FALSE(seen[0]);
  EXPECT_EQ(PortPicker(7, 7, kKey).pick(kLocal, remote(1), kAll), 7);
}

// Chi-square over 64 cells of the first port for each destination: 63 degrees of freedom have a
// mean of 63, and exceed 110 once in 5000 keys. The key is fixed, so the test cannot flicker.
//= RFC6056 3.3.4-a type=test
TEST(Ports, FirstPortsAreUniform) {
  PortPicker picker(32'768, 60'999, kKey);
  constexpr unsigned kCells = 64, kPicks = 64'000, kRange = 60'999 - 32'768 + 1;
  std::array<double, kCells> cells{};
  for (std::uint32_t i = 0; i < kPicks; ++i) {
    const std::uint32_t at = *picker.pick(kLocal, remote(i), kAll) - 32'768U;
    cells[at * kCells / kRange] += 1;
  }
  double chi_square = 0;
  for (const double n : cells) {
    chi_square += (n - kPicks / kCells) * (n - kPicks / kCells) / (kPicks / kCells);
  }
  EXPECT_LT(chi_square, 110);
  EXPECT_GT(chi_square, 25);  // too even is no chance either
}

// RFC 6056 §3.3.4: no counter that one destination can watch for the traffic to another.
//= RFC6056 3.3.4-b type=test
//= RFC6056 3.3.5 type=test
TEST(Ports, OtherDestinationsLeaveNoTrace) {
  constexpr std::uint32_t kRange = 60'999 - 32'768 + 1;
  PortPicker picker(32'768, 60'999, kKey);
  std::uint16_t last = *picker.pick(kLocal, remote(0), kAll);
  unsigned steps_of_one = 0;
  for (unsigned round = 0; round < 200; ++round) {
    // Fewer destinations than would share a counter with this one by chance under this key.
    for (std::uint32_t i = 1; i < 50; ++i) static_cast<void>(picker.pick(kLocal, remote(i), kAll));
    const std::uint16_t port = *picker.pick(kLocal, remote(0), kAll);
    const std::uint32_t step = ahead(last, port, kRange);
    ASSERT_GE(step, 1U);
    ASSERT_LE(step, PortPicker::kMaxIncrement);
    steps_of_one += step == 1 ? 1 : 0;
    last = port;
  }
  EXPECT_LT(steps_of_one, 60U);  // §3.3.5: not simply the next one; 1 in 8 expected
}

//= RFC6056 3.3.4-c type=test
TEST(Ports, AnotherKeyAnotherOrder) {
  PortPicker a(1'024, 65'535, kKey), b(1'024, 65'535, SipKey{kKey[0], kKey[1] + 1});
  unsigned same = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    same += a.pick(kLocal, remote(i), kAll) == b.pick(kLocal, remote(i), kAll) ? 1 : 0;
  }
  EXPECT_LE(same, 1U);
}

// What is foretold is what pick asks about first, whatever was asked about in between: destinations
// outnumber those whose hash is kept.
TEST(Ports, TheFirstIsForetold) {
  PortPicker picker(32'768, 60'999, kKey);
  Rng rng(7);
  for (unsigned step = 0; step < 5'000; ++step) {
    const Endpoint to{remote(rng.below(40)).addr, static_cast<std::uint16_t>(80 + rng.below(3))};
    const std::uint16_t foretold = picker.first(kLocal, to);
    static_cast<void>(picker.first(kLocal, remote(rng.below(40))));
    std::vector<std::uint16_t> asked;
    static_cast<void>(picker.pick(kLocal, to, [&](std::uint16_t p) {
      asked.push_back(p);
      return asked.size() == 2;
    }));
    ASSERT_EQ(asked.front(), foretold);
  }
}

// A hash that is kept is of this destination and this address of ours, not of one that shares its
// place.
TEST(Ports, KeptHashesAreNotMistaken) {
  PortPicker kept(1'024, 65'535, kKey);
  const auto agrees = [&](const IpAddr& local, const Endpoint& to) {
    PortPicker fresh(1'024, 65'535, kKey);
    return kept.first(local, to) == fresh.first(local, to);
  };
  for (std::uint32_t i = 0; i < 100; ++i) {
    const Endpoint to{remote(16 * i).addr, static_cast<std::uint16_t>(80 + 16 * (i % 3))};
    ASSERT_TRUE(agrees(IpAddr::v4(0x0a00'0001U + i % 2), to)) << i;
    ASSERT_TRUE(agrees(kLocal, to)) << i;
    ASSERT_TRUE(agrees(kLocal, {to.addr, static_cast<std::uint16_t>(to.port + 16)})) << i;
  }
}

// RFC 6056 §3.3.5: each increment is drawn by itself, and all are as likely.
//= RFC6056 3.3.5 type=test
TEST(Ports, IncrementsFollowNoPattern) {
  constexpr std::uint32_t kRange = 60'999 - 32'768 + 1;
  constexpr unsigned kPicks = 4'000;
  PortPicker picker(32'768, 60'999, kKey);
  std::array<unsigned, PortPicker::kMaxIncrement + 1> seen{};
  unsigned as_before = 0;
  std::uint16_t last = *picker.pick(kLocal, remote(0), kAll);
  std::uint32_t step_before = 0;
  for (unsigned i = 0; i < kPicks; ++i) {
    const std::uint16_t port = *picker.pick(kLocal, remote(0), kAll);
    const std::uint32_t step = ahead(last, port, kRange);
    ASSERT_TRUE(step >= 1 && step <= PortPicker::kMaxIncrement);
    ++seen[step];
    as_before += step == step_before ? 1 : 0;
    step_before = step;
    last = port;
  }
  EXPECT_NEAR(as_before, kPicks / 8.0, 100);
  for (std::uint32_t step = 1; step <= PortPicker::kMaxIncrement; ++step) {
    EXPECT_NEAR(seen[step], kPicks / 8.0, 100) << step;
  }
}

// The naive twin: a set of what is free for each destination. Whichever the picker takes, it is one
// of them, it asks about none twice, and it gives up only when there is none.
TEST(Ports, AgreesWithTheNaiveTwin) {
  constexpr unsigned kSize = 40, kRemotes = 6;
  PortPicker picker(2'000, 2'000 + kSize - 1, kKey);
  std::array<std::set<std::uint16_t>, kRemotes> used;
  Rng rng(6056);
  unsigned full = 0;
  for (unsigned step = 0; step < 30'000; ++step) {
    const unsigned r = rng.below(kRemotes);
    if (rng.below(100) < 45 && !used[r].empty()) {
      used[r].erase(
          std::next(used[r].begin(), rng.below(static_cast<std::uint32_t>(used[r].size()))));
      continue;
    }
    std::set<std::uint16_t> asked;
    const auto port = picker.pick(kLocal, remote(r), [&](std::uint16_t p) {
      EXPECT_TRUE(asked.insert(p).second) << "asked twice about " << p;
      return !used[r].contains(p);
    });
    ASSERT_EQ(port.has_value(), used[r].size() < kSize);
    if (!port) {
      ++full;
      continue;
    }
    ASSERT_TRUE(*port >= 2'000 && *port < 2'000 + kSize);
    ASSERT_TRUE(used[r].insert(*port).second);
    ASSERT_TRUE(asked.contains(*port));
  }
  EXPECT_GT(full, 100U);
}

}  // namespace
}  // namespace weir::flow
