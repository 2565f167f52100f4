// The log of what is in flight beside a naive one: one entry an octet.
#include "tcp/sent_log.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

namespace weir::tcp {
namespace {

constexpr Seq kUna{0xffff'f000};  // the wrap comes soon

struct Octet {
  unsigned record;
  bool sacked = false, lost = false;
};

// What SentLog is for, the slow way.
class Naive {
 public:
  void push(std::uint32_t len) {
    for (std::uint32_t i = 0; i < len; ++i) octets_.push_back({next_});
    ++next_;
  }
  void each(unsigned record, const auto& change) {
    for (Octet& o : octets_) {
      if (o.record == first() + record) change(o);
    }
  }
  void drop(std::uint32_t n) { octets_.erase(octets_.begin(), octets_.begin() + n); }
  [[nodiscard]] unsigned first() const { return octets_.empty() ? next_ : octets_[0].record; }
  [[nodiscard]] unsigned size() const { return next_ - first(); }
  [[nodiscard]] std::uint32_t count(bool Octet::*flag) const {
    std::uint32_t n = 0;
    for (const Octet& o : octets_) n += o.*flag ? 1U : 0U;
    return n;
  }
  [[nodiscard]] std::uint32_t octets() const { return static_cast<std::uint32_t>(octets_.size()); }
  [[nodiscard]] std::uint32_t length(unsigned record) const {
    std::uint32_t n = 0;
    for (const Octet& o : octets_) n += o.record == first() + record ? 1U : 0U;
    return n;
  }
  // The first record that begins at or after the octet at `offset`.
  [[nodiscard]] unsigned first_from(std::uint32_t offset) const {
    std::uint32_t at = 0;
    for (unsigned r = 0; r < size(); at += length(r), ++r) {
      if (at >= offset) return r;
    }
    return size();
  }

 private:
  std::deque<Octet> octets_;
  unsigned next_ = 0;
};

void compare(const SentLog& log, const Naive& naive) {
  ASSERT_EQ(log.size(), naive.size());
  ASSERT_EQ(distance(log.una(), log.end()), naive.octets());
  ASSERT_EQ(log.sacked(), naive.count(&Octet::sacked));
  ASSERT_EQ(log.lost(), naive.count(&Octet::lost));
  ASSERT_EQ(log.pipe(), naive.octets() - log.sacked() - log.lost());
  for (unsigned i = 0; i < log.size(); ++i) ASSERT_EQ(log.length_of(i), naive.length(i));
}

TEST(SentLog, IsAsTheNaiveOne) {
  std::minstd_rand engine(8985);
  const auto random = [&] { return static_cast<std::uint32_t>(engine() >> 4U); };
  auto log = std::make_unique<SentLog>(kUna);
  Naive naive;
  for (unsigned step = 0; step < 20'000; ++step) {
    const unsigned i = log->size() == 0 ? 0 : random() % log->size();
    switch (random() % 6) {
      case 0:
      case 1:
        if (log->room() > 0 && naive.octets() < 400) {
          const std::uint32_t len = 1 + random() % 9;
          log->push(log->end() + len, step);
          naive.push(len);
        }
        break;
      case 2:
        if (log->size() == 0) break;
        log->mark_sacked(i);
        naive.each(i, [](Octet& o) { o.sacked = true, o.lost = false; });
        break;
      case 3:
        if (log->size() == 0) break;
        log->mark_lost(i);
        naive.each(i, [](Octet& o) { o.lost = !o.sacked; });
        break;
      case 4:
        if (log->size() == 0 || (*log)[i].is(kSentSacked)) break;
        log->mark_sent_again(i, step);
        naive.each(i, [](Octet& o) { o.lost = false; });
        ASSERT_EQ((*log)[i].sent_us, step);
        ASSERT_TRUE((*log)[i].is(kSentAgain));
        break;
      default: {
        const std::uint32_t n = random() % 20;
        const std::uint32_t offset = random() % (naive.octets() + 1);
        ASSERT_EQ(log->first_from(log->una() + offset), naive.first_from(offset));
        if (n > naive.octets()) break;
        log->drop_before(log->una() + n);
        naive.drop(n);
      }
    }
    compare(*log, naive);
    if (HasFatalFailure()) return;
  }
}

TEST(SentLog, HoldsWhatItSays) {
  auto log = std::make_unique<SentLog>(kUna);
  for (unsigned i = 0; i < SentLog::kCapacity; ++i) log->push(log->end() + 10, i);
  EXPECT_EQ(log->room(), 0U);
  log->drop_before(kUna + 25);
  EXPECT_EQ(log->room(), 2U);
  EXPECT_EQ(log->length_of(0), 5U);
  log->push(log->end() + 1, 0);
  log->push(log->end() + 1, 0);
  EXPECT_EQ(log->room(), 0U);
  EXPECT_EQ(log->length_of(SentLog::kCapacity - 1), 1U);
}

TEST(SentLog, ForgetsWhatWasTold) {
  auto log = std::make_unique<SentLog>(kUna);
  for (unsigned i = 0; i < 4; ++i) log->push(log->end() + 10, i);
  log->mark_sacked(1);
  log->mark_sacked(3);
  log->mark_lost(0);
  log->forget_sacked();
  EXPECT_EQ(log->sacked(), 0U);
  EXPECT_EQ(log->lost(), 10U);
  EXPECT_EQ(log->pipe(), 30U);
}

// -- Cutting to a smaller segment
// -----------------------------------------------------------------------

TEST(SentLog, TheFinIsNoTextOfItsRecord) {
  for (const bool fin : {false, true}) {
    auto log = std::make_unique<SentLog>(kUna);
    log->push(kUna + 1'001, 0);
    log->push(kUna + 2'002, 0);  // 1,000 octets and the FIN, or 1,001
    ASSERT_TRUE(log->fit(1'000, fin, false));
    EXPECT_EQ(log->size(), fin ? 3U : 4U);
    EXPECT_EQ(log->length_of(0), 1'000U);
    EXPECT_EQ(log->length_of(1), 1U);
    EXPECT_EQ(log->length_of(2), fin ? 1'001U : 1'000U);
  }
}

TEST(SentLog, IsFilledByPiecesToTheLastRecord) {
  for (const unsigned records : {SentLog::kCapacity / 2, SentLog::kCapacity / 2 + 1}) {
    auto log = std::make_unique<SentLog>(kUna);
    for (unsigned i = 1; i <= records; ++i) log->push(kUna + 2'000 * i, 0);
    EXPECT_EQ(log->fit(1'000, false, true), records == SentLog::kCapacity / 2);
    EXPECT_EQ(log->size(), records == SentLog::kCapacity / 2 ? SentLog::kCapacity : records);
    EXPECT_EQ(log->lost(), records == SentLog::kCapacity / 2 ? 2'000 * records : 0U);
  }
}

}  // namespace
}  // namespace weir::tcp
