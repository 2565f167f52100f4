// The EAL's workers, what is refused of its config, and how a worker idles.
#include "dpdk/eal.h"

#include <sched.h>

#include <atomic>

#include "dpdk/idle.h"
#include "harness.h"

namespace weir::dpdk::test {
namespace {

TEST(EalWorkers, RunPinnedEachOnItsOwnThread) {
  ASSERT_EQ(eal().workers(), 2U);
  std::array<std::atomic<int>, 2> cpus{};
  std::array<std::atomic<pthread_t>, 2> threads{};
  for (unsigned w = 0; w < 2; ++w) {
    eal().launch(w, [&, w] {
      cpu_set_t set;
      sched_getaffinity(0, sizeof(set), &set);
      cpus[w] = CPU_COUNT(&set);
      threads[w] = pthread_self();
    });
  }
  for (unsigned w = 0; w < 2; ++w) eal().join(w);
  EXPECT_EQ(cpus[0], 1);
  EXPECT_EQ(cpus[1], 1);
  EXPECT_NE(threads[0], threads[1]);
  EXPECT_NE(threads[0], pthread_self());
}

TEST(EalWorkers, TakeJobAfterJob) {
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    eal().launch(0, [&] { ++runs; });
    eal().join(0);
  }
  EXPECT_EQ(runs, 3);
}

TEST(EalConfigRefused, ASecondTime) {
  const auto again = Eal::init({});
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().find("once per process"), std::string::npos);
}

TEST(Clock, NeverGoesBackAndMoves) {
  const Instant start = Queue::now();
  Instant last = start;
  for (int i = 0; i < 100'000; ++i) {
    const Instant now = Queue::now();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(last, start);
}

TEST(IdleWaiter, PollNeverSleeps) {
  IdleWaiter w({.mode = Idle::kPoll, .max_sleep = 10s});
  const Instant start = Queue::now();
  for (int i = 0; i < 1'000; ++i) w.after(0, start, kNever);
  EXPECT_LT(Queue::now() - start, 5s);
}

TEST(IdleWaiter, SleepsNoLongerThanItsDeadline) {
  IdleWaiter w({.mode = Idle::kSleep, .max_sleep = 10s});
  const Instant start = Queue::now();
  for (int i = 0; i < 200; ++i) {
    const Instant now = Queue::now();
    w.after(0, now, now + 100us);
  }
  const Duration took = Queue::now() - start;
  EXPECT_GE(took, 10ms);  // it does sleep
  EXPECT_LT(took, 8s);    // ten seconds of max_sleep never came
}

TEST(IdleWaiter, WorkStartsItAnew) {
  IdleWaiter w({.mode = Idle::kSleep, .max_sleep = 50ms});
  for (int i = 0; i < 60; ++i) w.after(0, Queue::now(), Queue::now() + 10us);
  w.after(1, Queue::now(), kNever);
  const Instant start = Queue::now();
  w.after(0, start, kNever);
  EXPECT_LT(Queue::now() - start, 40ms);
}

TEST(ParseIdle, ThreeWords) {
  EXPECT_EQ(parse_idle("poll"), Idle::kPoll);
  EXPECT_EQ(parse_idle("yield"), Idle::kYield);
  EXPECT_EQ(parse_idle("sleep"), Idle::kSleep);
  EXPECT_FALSE(parse_idle("nap").has_value());
}

}  // namespace
}  // namespace weir::dpdk::test
