// RandomLife with seeds instead of a fuzzer: thousands of connections that live through whatever
// order of segments, calls and timers comes. WEIR_LIFE_SEED=S replays one, which a failure prints.
#include "script/random_life.h"

#include <gtest/gtest.h>

#include <bitset>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/rng.h"

namespace weir::test {
namespace {

constexpr std::uint64_t kLives = 2'000;
constexpr unsigned kEvents = 400;

std::uint64_t seed_now;

void on_abort(int) {
  std::fprintf(stderr, "replay: WEIR_LIFE_SEED=%llu\n", static_cast<unsigned long long>(seed_now));
}  // then abort() goes on

TEST(RandomLife, NothingThatComesBreaksWhatMustHold) {
  std::signal(SIGABRT, on_abort);
  const char* only = std::getenv("WEIR_LIFE_SEED");
  const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  const std::uint64_t last = only != nullptr ? first : kLives;
  std::bitset<tcp::kStates> seen;
  std::uint64_t read = 0, again = 0, fast = 0, probes = 0, early = 0;
  for (seed_now = first; seed_now <= last; ++seed_now) {
    Rng rng(seed_now);
    RandomLife<Rng> life(rng);
    for (unsigned i = 0; i < kEvents && life.tcb().state != tcp::State::kClosed; ++i) {
      life.step();
      seen[static_cast<unsigned>(life.tcb().state)] = true;
    }
    life.end();
    read += life.octets_read();
    again += life.counters().retrans_segs.get();
    fast += life.counters().fast_retransmits.get();
    probes += life.counters().persist_probes.get();
    early += life.counters().ofo_queued.get();
  }
  std::signal(SIGABRT, SIG_DFL);
  if (only != nullptr) return;
  // A run that never got there would prove nothing.
  for (unsigned s = 0; s < tcp::kStates; ++s) {
    if (static_cast<tcp::State>(s) == tcp::State::kListen) continue;
    EXPECT_TRUE(seen[s]) << to_string(static_cast<tcp::State>(s));
  }
  EXPECT_GT(read, 100'000U);
  for (const std::uint64_t n : {again, fast, probes, early}) EXPECT_GT(n, 20U);
}

}  // namespace
}  // namespace weir::test
