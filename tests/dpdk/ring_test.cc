// Two ports joined by rings: what one transmits comes out of the other octet for octet.
#include <array>
#include <cstring>

#include "harness.h"
#include "socket/worker.h"

namespace weir::dpdk::test {
namespace {

static_assert(Driver<Queue>);

class RingPair : public ::testing::Test {
 protected:
  RingPair() : a_(open_or_fail(small("ring:wire/a"))), b_(open_or_fail(small("ring:wire/b"))) {}
  ~RingPair() override {
    if (a_ == nullptr || b_ == nullptr) return;
    EXPECT_EQ(in_use(*a_), 0U);  // every mbuf is back in its pool
    EXPECT_EQ(in_use(*b_), 0U);
  }

  Queue& a() { return a_->queue(0); }
  Queue& b() { return b_->queue(0); }

  // Sends `len` octets from `offset` of text in these pieces, and compares what arrives.
  void carries(const std::vector<std::uint32_t>& pieces, std::uint32_t offset, std::uint32_t len,
               bool v6 = false) {
    BufChain chain = text(a(), pieces);
    const std::array packets = {packet(chain, offset, len, v6)};
    a().transmit(packets, {}, counters_);
    a().release(std::move(chain));  // before it is received: the port holds on to the blocks
    const std::vector<Buf*> got = receive(b(), 1);
    ASSERT_EQ(got.size(), 1U);
    const Parsed p = parse(b(), got[0]);
    ASSERT_EQ(p.frame.kind, wire::Kind::kTcp) << static_cast<int>(p.frame.fault);
    EXPECT_EQ(p.frame.tcp.seq, Seq{0xffff'ff00U});
    EXPECT_EQ(p.frame.tcp.options.ts_val, 5U);
    EXPECT_EQ(p.frame.src, packets[0].flow.local);
    ASSERT_EQ(p.frame.payload_len, len);
    for (std::uint32_t i = 0; i < len; ++i) ASSERT_EQ(p.payload()[i], octet(offset + i)) << i;
  }

  std::unique_ptr<Port> a_, b_;
  telemetry::Counters counters_;
};

TEST_F(RingPair, ControlSegment) {
  carries({}, 0, 0);
}
TEST_F(RingPair, CopiedText) {
  carries({200}, 0, 200);
}
TEST_F(RingPair, CopiedTextAcrossBufs) {
  carries({3, 1, 100, 99}, 2, 150);
}
TEST_F(RingPair, FullSegment) {
  carries({1'448}, 0, 1'448);
}
TEST_F(RingPair, AttachedTextFromTheMiddle) {
  carries({700, 801, 1'001}, 699, 1'400);
}
TEST_F(RingPair, AttachedTextOfOddPieces) {
  carries({1, 3, 501, 7, 900}, 0, 1'412);
}
TEST_F(RingPair, Ipv6) {
  carries({700, 801}, 11, 1'300, true);
}
// What a buffer held before is nobody's business (CVE-2003-0001).
TEST_F(RingPair, ShortFramesArePaddedWithZeros) {
  BufChain chain = text(a(), {42});
  std::memset(chain.head()->data + 42, 0xee, 40);
  a().transmit({}, std::move(chain), counters_);
  const std::vector<Buf*> got = receive(b(), 1);
  ASSERT_EQ(got.size(), 1U);
  const std::vector<std::byte> octets = take_octets(b(), got[0]);
  ASSERT_EQ(octets.size(), wire::kMinFrame);
  for (std::uint32_t i = 0; i < 42; ++i) EXPECT_EQ(octets[i], octet(i));
  for (std::size_t i = 42; i < octets.size(); ++i) EXPECT_EQ(octets[i], std::byte{0});
}

TEST_F(RingPair, MorePiecesThanAPortTakes) {
  carries(std::vector<std::uint32_t>(100, 10), 5, 990);
}

TEST_F(RingPair, BorrowedTextIsCopied) {
  std::vector<std::byte> memory(1'000);
  for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = octet(i);
  BufChain chain = text(a(), {0});
  Buf* const borrowed = chain.pop_front();
  borrowed->data = memory.data();
  borrowed->len = 1'000;
  borrowed->flags |= Buf::kBorrowed;
  chain.push_back(borrowed);
  const std::array packets = {packet(chain, 0, 1'000)};
  a().transmit(packets, {}, counters_);
  a().release(std::move(chain));
  std::fill(memory.begin(), memory.end(), std::byte{0xee});  // the application has it back
  const std::vector<Buf*> got = receive(b(), 1);
  ASSERT_EQ(got.size(), 1U);
  const Parsed p = parse(b(), got[0]);
  ASSERT_EQ(p.frame.kind, wire::Kind::kTcp);
  ASSERT_EQ(p.frame.payload_len, 1'000U);
  for (std::size_t i = 0; i < 1'000; ++i) ASSERT_EQ(p.payload()[i], octet(i)) << i;
}

// A retransmission attaches the same block a second time while the first is still on its way.
TEST_F(RingPair, TheSameTextTwiceInFlight) {
  BufChain chain = text(a(), {1'448});
  const std::array packets = {packet(chain, 0, 1'448), packet(chain, 448, 1'000)};
  a().transmit(packets, {}, counters_);
  const std::vector<Buf*> got = receive(b(), 2);
  ASSERT_EQ(got.size(), 2U);
  const Parsed first = parse(b(), got[0]);
  const Parsed second = parse(b(), got[1]);
  EXPECT_EQ(first.frame.payload_len, 1'448U);
  ASSERT_EQ(second.frame.payload_len, 1'000U);
  EXPECT_EQ(second.payload()[0], octet(448));
  EXPECT_EQ(chain.head()->len, 1'448U);
  EXPECT_EQ(chain.head()->data[0], octet(0));
  a().release(std::move(chain));
}

// Received text goes out again on the other side without a copy, as the load balancer does.
TEST_F(RingPair, ForwardedTextIsAttachedAgain) {
  BufChain chain = text(a(), {600, 600});
  const std::array first = {packet(chain, 0, 1'200)};
  a().transmit(first, {}, counters_);
  a().release(std::move(chain));
  const std::vector<Buf*> got = receive(b(), 1);
  ASSERT_EQ(got.size(), 1U);
  BufChain received;
  for (Buf* x = got[0]; x != nullptr;) {
    Buf* const next = x->next;
    received.push_back(x);
    x = next;
  }
  received.trim_head(14 + 20 + 32);  // headers with timestamps
  ASSERT_EQ(received.bytes(), 1'200U);
  BufChain headless;
  while (Buf* x = received.pop_front()) {
    if (x->len > 0) {
      headless.push_back(x);
    } else {
      BufChain one;
      one.push_back(x);
      b().release(std::move(one));
    }
  }
  const std::array second = {packet(headless, 0, 1'200)};
  b().transmit(second, {}, counters_);
  b().release(std::move(headless));
  const std::vector<Buf*> back = receive(a(), 1);
  ASSERT_EQ(back.size(), 1U);
  const Parsed p = parse(a(), back[0]);
  ASSERT_EQ(p.frame.payload_len, 1'200U);
  for (std::size_t i = 0; i < 1'200; ++i) ASSERT_EQ(p.payload()[i], octet(i)) << i;
}

TEST_F(RingPair, WholeFramesPassAsTheyAre) {
  BufChain frames = text(a(), {70, 1'514});
  frames.head()->trim_front(4);
  a().transmit({}, std::move(frames), counters_);
  EXPECT_EQ(counters_.tx_frames.get(), 2U);
  EXPECT_EQ(counters_.tx_bytes.get(), 66U + 1'514U);
  const std::vector<Buf*> got = receive(b(), 2);
  ASSERT_EQ(got.size(), 2U);
  const std::vector<std::byte> first = take_octets(b(), got[0]);
  const std::vector<std::byte> second = take_octets(b(), got[1]);
  ASSERT_EQ(first.size(), 66U);
  EXPECT_EQ(first[0], octet(4));
  ASSERT_EQ(second.size(), 1'514U);
  EXPECT_EQ(second[1'513], octet(70 + 1'513));
}

TEST_F(RingPair, AnEmptyHeaderPoolIsCounted) {
  BufChain chain = text(a(), {300});
  std::vector<tcp::TxPacket> packets(400, packet(chain, 0, 100));
  for (int i = 0; i < 3; ++i) a().transmit(packets, {}, counters_);  // 511 headers
  a().release(std::move(chain));
  EXPECT_EQ(counters_.tx_frames.get(), 511U);
  EXPECT_EQ(counters_.drop_no_buffer.get(), 3U * 400 - 511);
  for (Buf* f : receive(b(), 511)) take_octets(b(), f);
}

TEST_F(RingPair, BuffersTravelAgainAndAgain) {
  for (int i = 0; i < 3; ++i) {
    BufChain frames = text(a(), std::vector<std::uint32_t>(500, 60));
    a().transmit({}, std::move(frames), counters_);
    for (Buf* f : receive(b(), 500)) take_octets(b(), f);
  }
  EXPECT_EQ(counters_.tx_frames.get(), 1'500U);
  EXPECT_EQ(counters_.drop_tx_full.get(), 0U);
}

TEST_F(RingPair, AnEmptyPoolGivesWhatItHas) {
  const BufSource source = a().source();
  std::vector<Buf*> all(600);
  const unsigned got = source.take(source.context, all.data(), 600);
  EXPECT_EQ(got, 511U);
  EXPECT_EQ(source.take(source.context, all.data() + got, 1), 0U);
  BufChain chain;
  for (unsigned i = 0; i < got; ++i) chain.push_back(all[i]);
  // Text may be exhausted: a control segment still goes out.
  const std::array packets = {packet({}, 0, 0)};
  a().transmit(packets, {}, counters_);
  EXPECT_EQ(counters_.tx_frames.get(), 1U);
  for (Buf* f : receive(b(), 1)) take_octets(b(), f);
  a().release(std::move(chain));
}

TEST_F(RingPair, FreshBufsHaveRoomForASegment) {
  BufChain chain = text(a(), {0});
  EXPECT_GE(chain.head()->room, 1'614U);
  EXPECT_EQ(chain.head()->flags, 0);
  a().release(std::move(chain));
}

TEST(RingPort, WhatAFullPortDoesNotTakeIsCountedAndFreed) {
  PortConfig config = small("ring:full");
  config.header_buffers = 2'047;
  const std::unique_ptr<Port> port = open_or_fail(config);
  ASSERT_NE(port, nullptr);
  telemetry::Counters counters;
  Queue& q = port->queue(0);
  const std::vector<tcp::TxPacket> packets(1'100, packet({}, 0, 0));
  q.transmit(packets, {}, counters);
  EXPECT_EQ(counters.tx_frames.get(), 1'023U);  // of 1024 slots
  EXPECT_EQ(counters.tx_bytes.get(), 1'023U * 66);
  EXPECT_EQ(counters.drop_tx_full.get(), 77U);
  EXPECT_EQ(port->pool_stats()[2].in_use, 1'023U);
  for (Buf* f : receive(q, 1'023)) take_octets(q, f);
  EXPECT_EQ(in_use(*port), 0U);
}

// Two workers: a frame received by one belongs to the other.
TEST(HandOver, ReachesTheOtherWorkerOrIsCounted) {
  PortConfig config = small("ring:loop");
  config.workers = 2;
  config.handover_slots = 4;  // three usable
  const std::unique_ptr<Port> port = open_or_fail(config);
  ASSERT_NE(port, nullptr);
  telemetry::Counters counters;
  Queue& q0 = port->queue(0);
  Queue& q1 = port->queue(1);
  BufChain chain = text(q0, {600, 600});
  const std::vector<tcp::TxPacket> packets(5, packet(chain, 0, 1'200));
  q0.transmit(packets, {}, counters);
  q0.release(std::move(chain));
  std::vector<tcp::HandOver> others;
  for (Buf* f : receive(q0, 5)) others.push_back({1, f});
  q0.hand_over(others, counters);
  EXPECT_EQ(counters.handed_over.get(), 3U);
  EXPECT_EQ(counters.drop_handover_full.get(), 2U);
  for (Buf* f : receive(q1, 3)) {
    const Parsed p = parse(q1, f);
    EXPECT_EQ(p.frame.kind, wire::Kind::kTcp);
    EXPECT_EQ(p.frame.payload_len, 1'200U);
  }
  EXPECT_EQ(in_use(*port), 0U);
  ASSERT_FALSE(port->rss().hardware);
  ASSERT_EQ(port->rss().reta.size(), 128U);
  EXPECT_EQ(port->rss().reta[0], 0U);
  EXPECT_EQ(port->rss().reta[1], 1U);
  EXPECT_GE(port->rss().key.size(), 40U);
}

TEST(HandOver, WhatWaitsIsFreedWithThePort) {
  PortConfig config = small("ring:loop");
  config.workers = 2;
  std::unique_ptr<Port> port = open_or_fail(config);
  ASSERT_NE(port, nullptr);
  telemetry::Counters counters;
  BufChain frames = text(port->queue(0), {60, 60});
  port->queue(0).transmit({}, std::move(frames), counters);
  std::vector<tcp::HandOver> others;
  for (Buf* f : receive(port->queue(0), 2)) others.push_back({1, f});
  port->queue(0).hand_over(others, counters);
  port.reset();  // ASan and the next test's pools would tell
  port = open_or_fail(config);
  ASSERT_NE(port, nullptr);
  EXPECT_EQ(in_use(*port), 0U);
}

}  // namespace
}  // namespace weir::dpdk::test
