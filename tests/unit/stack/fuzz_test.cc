// RandomFrames with a seed, long enough to get everywhere. The seed of a failure is in its message;
// WEIR_STACK_FUZZ_SEED replays it.
#include <algorithm>
#include <cstdlib>

#include "base/rng.h"
#include "random_frames.h"

namespace weir::stack::test {
namespace {

constexpr unsigned kFrames = 200'000;

std::uint64_t seed_of_run() {
  const char* s = std::getenv("WEIR_STACK_FUZZ_SEED");
  return s == nullptr ? 1 : std::strtoull(s, nullptr, 10);
}

TEST(StackFuzz, NothingAPeerOrAUserDoesBreaksAnInvariant) {
  const std::uint64_t seed = seed_of_run();
  SCOPED_TRACE("WEIR_STACK_FUZZ_SEED=" + std::to_string(seed));
  Rng rng(seed);
  RandomFrames<Rng> f(rng);
  while (f.frames < kFrames && !testing::Test::HasFailure()) f.step();
  f.end();
  // A run that never got there would prove nothing.
  for (unsigned s = 0; s < tcp::kStates; ++s) {
    if (static_cast<tcp::State>(s) == tcp::State::kListen) continue;
    EXPECT_TRUE(f.seen[s]) << to_string(static_cast<tcp::State>(s));
  }
  using C = telemetry::Counters;
  for (const auto which :
       {&C::time_wait_entered, &C::passive_opens, &C::active_opens, &C::fast_retransmits,
        &C::rto_timeouts, &C::persist_probes, &C::ofo_queued, &C::keepalive_probes,
        &C::icmp_errors_in, &C::drop_syn_evicted, &C::drop_accept_queue_full, &C::drop_paws,
        &C::drop_conn_table_full, &C::drop_time_wait, &C::drop_neigh_failed}) {
    const auto* info =
        std::ranges::find(telemetry::kCounterInfo, which, &telemetry::CounterInfo::field);
    EXPECT_GT(f.w.count(which), 0U) << info->name;
  }
}

}  // namespace
}  // namespace weir::stack::test
