#include "ip/neighbour_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "base/rng.h"

namespace weir::ip {
namespace {

using Use = Neighbours::Use;
using Items = std::vector<int>;

const IpAddr kUs = IpAddr::v4(10, 0, 0, 1);
const MacAddr kOurMac{{2, 0, 0, 0, 0, 1}};
IpAddr host(unsigned i) {
  return IpAddr::v4(0x0a00'0100U + i);
}

struct World {
  explicit World(NeighbourConfig config) : table(64, config) { routes.add_address(kUs, 16); }

  NeighbourId wait_for(unsigned i) {
    const NeighbourId id = table.lookup_or_create(host(i));
    EXPECT_EQ(table.use(id, now), Use::kWait);
    return id;
  }
  Items answer(unsigned i) {
    Items got;
    table.on_arp({2, {{2, 0, 0, 0, 1, 1}}, kOurMac, host(i), kUs}, routes, kOurMac, now,
                 [&](int item) { got.push_back(item); });
    return got;
  }
  Items advance(Duration t) {
    now = Instant{t};
    Items dropped;
    NeighbourWork work;
    table.advance(now, work, [&](int item) { dropped.push_back(item); });
    return dropped;
  }

  Routes routes;
  NeighbourTable<int> table;
  Instant now{10s};
};

TEST(NeighbourTable, DeliversInOrderOnceResolved) {
  World w({});
  const NeighbourId a = w.wait_for(1), b = w.wait_for(2);
  EXPECT_FALSE(w.table.hold(a, 1));
  EXPECT_FALSE(w.table.hold(b, 20));
  EXPECT_FALSE(w.table.hold(a, 2));
  EXPECT_EQ(w.table.pending(), 3U);
  EXPECT_EQ(w.answer(1), (Items{1, 2}));
  EXPECT_EQ(w.answer(1), Items{});
  EXPECT_EQ(w.table.pending(b), 1U);
  EXPECT_EQ(w.answer(2), Items{20});
}

//= RFC1122 2.3.2.2 type=test
TEST(NeighbourTable, TheLatestPacketsAreKept) {
  World w({.queue_len = 2});
  const NeighbourId a = w.wait_for(1);
  EXPECT_FALSE(w.table.hold(a, 1));
  EXPECT_FALSE(w.table.hold(a, 2));
  EXPECT_EQ(w.table.hold(a, 3), 1);
  EXPECT_EQ(w.table.hold(a, 4), 2);
  EXPECT_EQ(w.answer(1), (Items{3, 4}));
}

TEST(NeighbourTable, PoolIsShared) {
  World w({.queue_len = 3, .pool = 2});
  const NeighbourId a = w.wait_for(1), b = w.wait_for(2);
  EXPECT_FALSE(w.table.hold(a, 1));
  EXPECT_FALSE(w.table.hold(a, 2));
  EXPECT_EQ(w.table.hold(b, 9), 9);  // none of its own to give up
  EXPECT_EQ(w.table.hold(a, 3), 1);
  EXPECT_EQ(w.answer(1), (Items{2, 3}));
  EXPECT_FALSE(w.table.hold(b, 9));
}

TEST(NeighbourTable, QueueOfNoneKeepsNothing) {
  World w({.queue_len = 0});
  EXPECT_EQ(w.table.hold(w.wait_for(1), 5), 5);
}

TEST(NeighbourTable, FailureDropsWhatWaits) {
  World w({});
  const NeighbourId a = w.wait_for(1);
  EXPECT_FALSE(w.table.hold(a, 1));
  EXPECT_EQ(w.advance(10s), Items{});
  EXPECT_EQ(w.advance(11s), Items{});
  EXPECT_EQ(w.advance(12s), Items{});
  EXPECT_EQ(w.advance(13s), Items{1});
  EXPECT_EQ(w.table.pending(), 0U);
}

// Every item comes back exactly once, whatever happens.
TEST(NeighbourTable, NothingIsLostOrDoubled) {
  World w({.queue_len = 3, .pool = 20});
  Rng rng(3);
  std::multiset<int> back;
  const auto take_back = [&](const Items& items) { back.insert(items.begin(), items.end()); };
  int next = 0;
  for (unsigned step = 0; step < 20'000; ++step) {
    const unsigned i = rng.below(100);
    if (rng.chance(100'000)) take_back(w.answer(i));
    if (rng.chance(50'000)) take_back(w.advance(w.now.time_since_epoch() + 300ms));
    const NeighbourId id = w.table.lookup_or_create(host(i));
    if (id == kNoIndex || w.table.use(id, w.now) != Use::kWait) continue;
    if (const auto displaced = w.table.hold(id, next++)) back.insert(*displaced);
  }
  w.table.drop_all([&](int item) { back.insert(item); });
  EXPECT_EQ(w.table.pending(), 0U);
  ASSERT_EQ(back.size(), static_cast<std::size_t>(next));
  int want = 0;
  for (const int item : back) EXPECT_EQ(item, want++);
}

// The naive twin: a list for each neighbour, and their sum against the pool. Items come back in its
// order, from the list that it names, at the moment that it names.
TEST(NeighbourTable, AgreesWithTheNaiveTwin) {
  constexpr unsigned kHosts = 24, kQueue = 3, kPool = 30;
  unsigned displaced = 0, refused = 0, failed = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {  // who has answered waits no more
    World w({.queue_len = kQueue, .pool = kPool});
    Rng rng(seed);
    int next = 0;
    std::array<std::deque<int>, kHosts> twin;
    const auto waiting = [&] {
      std::size_t n = 0;
      for (const auto& q : twin) n += q.size();
      return n;
    };
    for (unsigned step = 0; step < 400; ++step) {
      const unsigned i = rng.below(kHosts);
      if (rng.below(30) == 0) {
        const Items got = w.answer(i);
        ASSERT_EQ(got, Items(twin[i].begin(), twin[i].end()));
        twin[i].clear();
      } else if (rng.below(10) == 0) {
        const Items dropped = w.advance(w.now.time_since_epoch() + 700ms);
        for (std::size_t at = 0; at < dropped.size();) {  // whole lists, each in its order
          const auto of = std::ranges::find_if(
              twin, [&](const auto& q) { return !q.empty() && q.front() == dropped[at]; });
          ASSERT_NE(of, twin.end());
          for (const int item : *of) ASSERT_EQ(dropped.at(at++), item);
          of->clear();
          ++failed;
        }
      } else {
        const NeighbourId id = w.table.lookup_or_create(host(i));
        if (id == kNoIndex || w.table.use(id, w.now) != Use::kWait) continue;
        const auto back = w.table.hold(id, next);
        auto& q = twin[i];
        std::optional<int> want;
        const bool full = waiting() == kPool;
        if (!q.empty() && (q.size() == kQueue || full)) {
          want = q.front();
          q.pop_front();
          ++displaced;
        } else if (full) {
          want = next;
          ++refused;
        }
        if (want != next) q.push_back(next);
        ASSERT_EQ(back, want);
        ++next;
      }
      ASSERT_EQ(w.table.pending(), waiting());
    }
  }
  for (const unsigned n : {displaced, refused, failed}) EXPECT_GT(n, 20U);
}

}  // namespace
}  // namespace weir::ip
