// Reassembly against a naive twin: a std::map from sequence number to octet.
#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "script/bufs.h"
#include "tcp/internal.h"

namespace weir::tcp {
namespace {

using test::Bufs;
using test::pattern;
using test::Side;

// Takes every octet at its place; what touches RCV.NXT is in order.
struct Naive {
  std::map<std::uint32_t, std::byte> early;  // by distance from `start`
  std::uint32_t in_order = 0;

  void receive(std::uint32_t at, std::uint32_t len, Seq start) {
    for (std::uint32_t i = at; i < at + len; ++i) {
      if (i >= in_order) early[i] = pattern(Side::kTheirs, start + i);
    }
    while (!early.empty() && early.begin()->first == in_order) {
      early.erase(early.begin());
      ++in_order;
    }
  }
};

class Twins {
 public:
  explicit Twins(std::uint64_t seed) : rng_(seed), start_(static_cast<std::uint32_t>(rng_.next())) {
    out_.counters = &counters_;
    t_.rcv_nxt = start_;
  }
  ~Twins() {
    release_buffers(t_, out_);
    bufs_.give_back(std::move(out_.release));
    EXPECT_EQ(bufs_.live(), 0);
  }
  Twins(const Twins&) = delete;
  Twins& operator=(const Twins&) = delete;

  // One segment of random place and cut into random buffers, given to both.
  void step(std::uint32_t spread, std::uint32_t longest) {
    const std::uint32_t back = std::min(naive_.in_order, rng_.below(longest));
    const std::uint32_t at = naive_.in_order - back + rng_.below(spread);
    const std::uint32_t len = 1 + rng_.below(longest);
    naive_.receive(at, len, start_);
    // The window's left edge is segment_arrives' to hold.
    const std::uint32_t old = at < in_order_ ? in_order_ - at : 0;
    BufChain text;
    for (std::uint32_t i = old; i < len;) {
      const std::uint32_t n = std::min(len - i, 1 + rng_.below(longest));
      Buf* b = bufs_.make(Side::kTheirs, start_ + at + i, n, rng_.below(3) == 0 ? 300 : 0);
      b->seq = start_ + at + i;
      text.push_back(b);
      i += n;
    }
    receive_text(t_, std::move(text), out_);
    bufs_.give_back(std::move(out_.release));
    in_order_ = distance(start_, t_.rcv_nxt);
  }

  void compare() {
    ASSERT_EQ(in_order_, naive_.in_order);
    std::uint32_t waiting = 0, pieces = 0;
    const Buf* last = nullptr;
    for (const Buf* b = t_.ofo_head; b != nullptr; last = b, b = b->next, ++pieces) {
      ASSERT_GT(b->len, 0U);
      ASSERT_TRUE(last == nullptr || at_or_before(last->seq + last->len, b->seq));
      for (std::uint32_t i = 0; i < b->len; ++i, ++waiting) {
        const auto octet = naive_.early.find(distance(start_, b->seq + i));
        ASSERT_NE(octet, naive_.early.end());
        ASSERT_EQ(octet->second, b->data[i]);
      }
    }
    ASSERT_EQ(t_.ofo_tail, last);
    ASSERT_EQ(t_.ofo_count, pieces);
    ASSERT_EQ(waiting, naive_.early.size());
  }

  void read_all() {
    while (Buf* b = t_.rcvq.pop_front()) {
      for (std::uint32_t i = 0; i < b->len; ++i, ++read_) {
        ASSERT_EQ(b->data[i], pattern(Side::kTheirs, start_ + read_));
      }
      out_.release.push_back(b);
    }
    ASSERT_EQ(read_, in_order_);
    bufs_.give_back(std::move(out_.release));
  }

  [[nodiscard]] std::uint32_t in_order() const { return in_order_; }

 private:
  Rng rng_;
  Seq start_;
  Config config_;
  Tcb t_{config_};
  telemetry::Counters counters_;
  Outbox out_;
  Bufs bufs_;
  Naive naive_;
  std::uint32_t in_order_ = 0, read_ = 0;
};

TEST(ReassemblyFuzz, AgreesWithTheNaiveTwin) {
  std::uint64_t octets = 0;
  for (std::uint32_t seed = 1; seed <= 150; ++seed) {
    Twins twins{seed};
    for (unsigned i = 0; i < 150; ++i) {
      twins.step(1 + seed % 400, 1 + seed % 37);  // fewer pieces than the limit
      twins.compare();
      if (i % 10 == 0) twins.read_all();
      if (testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << ", step " << i;
    }
    twins.read_all();
    octets += twins.in_order();
  }
  EXPECT_GT(octets, 20'000U);  // it did get somewhere
}

}  // namespace
}  // namespace weir::tcp
