// What gives way when buffers run short: lib/stack/pressure.cc (RFC 6429; RFC 2018 §8).
#include <array>

#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;
constexpr std::uint8_t kScarce = Buf::kScarce, kLast = Buf::kScarce | Buf::kLast;

struct Pressure : testing::Test {
  Pressure() { w.listen(); }

  // A frame as a port marks it when its pool runs low; in a block with room behind it.
  void feed(const Octets& frame, std::uint8_t flags = 0) {
    Buf* b = w.pool.take(2'048);
    std::copy(frame.begin(), frame.end(), b->data);
    b->len = static_cast<std::uint32_t>(frame.size());
    b->room -= b->len;
    b->flags = flags;
    std::array<Buf*, 1> one = {b};
    w.iterate_bufs(one);
  }
  // Buffers are as `flags` say, and have been for longer than a sweep takes.
  void run_low(std::uint8_t flags) {
    for (int i = 0; i < 3; ++i) feed(sign.make(ACK), flags);
  }

  World w;
  Peer sign{w, {.port = 9}};
};

// Text that its application never reads.
TEST_F(Pressure, TheOneThatIsNeverReadIsReset) {
  sign.open();
  Peer stuck(w, {.port = 1}), fine(w, {.port = 2});
  const ConnId s = stuck.open(), f = fine.open();
  feed(stuck.next(ACK, "never read"));
  w.run_for(29s);
  feed(fine.next(ACK, "read now"));
  EXPECT_EQ(w.read(f), "read now");
  while (w.next_event()) continue;
  run_low(kScarce);
  EXPECT_EQ(w.count(&C::pressure_resets), 0U);  // not yet
  w.run_for(2s);
  stuck.take_text();
  fine.take_text();
  run_low(kScarce);
  EXPECT_EQ(w.count(&C::pressure_resets), 1U);
  stuck.expect(RST | ACK);
  EXPECT_EQ(w.expect_event(s, kClosed).reason, tcp::CloseReason::kAborted);
  EXPECT_TRUE(w.stack->alive(f));
  fine.expect_quiet();
}

// Where there are only the last buffers, two seconds are enough.
TEST_F(Pressure, WithTheLastBuffersSooner) {
  sign.open();
  Peer stuck(w, {.port = 1});
  stuck.open();
  feed(stuck.next(ACK, "never read"));
  w.run_for(1s);
  run_low(kLast);
  EXPECT_EQ(w.count(&C::pressure_resets), 0U);
  w.run_for(1s);
  run_low(kScarce);
  EXPECT_EQ(w.count(&C::pressure_resets), 0U);
  w.run_for(200ms);
  run_low(kLast);
  EXPECT_EQ(w.count(&C::pressure_resets), 1U);
}

//= RFC6429 4-c type=test
TEST_F(Pressure, TheOldestFirstAndOnlyAsLongAsNeeded) {
  sign.open();
  Peer a(w, {.port = 1}), b(w, {.port = 2}), c(w, {.port = 3});
  const ConnId first = b.open(), second = c.open(), third = a.open();
  feed(b.next(ACK, "1"));
  w.run_for(1s);
  feed(c.next(ACK, "2"));
  w.run_for(1s);
  feed(a.next(ACK, "3"));
  w.run_for(40s);
  feed(sign.make(ACK), kScarce);
  EXPECT_FALSE(w.stack->alive(first) && w.stack->state_of(first) != tcp::State::kClosed);
  EXPECT_EQ(w.stack->state_of(second), tcp::State::kEstablished);
  feed(sign.make(ACK), kScarce);
  EXPECT_EQ(w.stack->state_of(second), tcp::State::kClosed);
  EXPECT_EQ(w.stack->state_of(third), tcp::State::kEstablished);
  w.run_for(200ms);
  for (int i = 0; i < 5; ++i) feed(sign.make(ACK));  // enough again
  EXPECT_EQ(w.stack->state_of(third), tcp::State::kEstablished);
  EXPECT_EQ(w.count(&C::pressure_resets), 2U);
}

// RFC 6429 §4: a window that stays closed is allowed (MUST-37), but not at the others' expense.
//= RFC6429 4-c type=test
TEST_F(Pressure, APeerThatNeverReadsIsReset) {
  sign.open();
  Peer stuck(w, {.port = 1}), slow(w, {.port = 2});
  const ConnId s = stuck.open(), l = slow.open();
  stuck.wnd = slow.wnd = 0;
  stuck.send(ACK);
  slow.send(ACK);
  w.send(s, "held");
  w.send(l, "held");
  for (int i = 0; i < 60; ++i) {
    w.run_for(1s);
    for (Peer* p : {&stuck, &slow}) {
      const Seq at = p->rcv_nxt;
      if (!p->take()) continue;
      p->rcv_nxt = at;
      p->send(ACK);  // every probe is answered, none taken
    }
    if (i != 50) continue;
    slow.wnd = 1;
    slow.rcv_nxt += 1;
    slow.send(ACK);  // takes an octet: it moves
    slow.wnd = 0;
  }
  EXPECT_EQ(w.stack->state_of(s), tcp::State::kEstablished);  // nobody lacks buffers
  stuck.take_text();
  run_low(kScarce);
  stuck.expect(RST | ACK);
  EXPECT_EQ(w.stack->state_of(l), tcp::State::kEstablished);
  EXPECT_EQ(w.count(&C::pressure_resets), 1U);
}

// Text lent by the program takes a buffer for its header's sake, and an ACK of nothing new, however
// often it comes, is no progress.
TEST_F(Pressure, WhatIsBorrowedHoldsABufferTooAndABareAckIsNoProgress) {
  sign.open();
  for (const bool pings : {false, true}) {
    const std::uint64_t before = w.count(&C::pressure_resets);
    Peer stuck(w, {.port = static_cast<std::uint16_t>(pings ? 2 : 1)});
    const ConnId s = stuck.open();
    stuck.wnd = 0;
    stuck.send(ACK);
    const Octets text = octets_of("lent");
    const Seq nothing_new = stuck.rcv_nxt;
    w.stack->send_borrowed(s, text);
    for (int i = 0; i < 60; ++i) {
      w.run_for(1s);
      if (pings) w.feed(stuck.make(ACK, stuck.snd_nxt, nothing_new));
    }
    run_low(kLast);
    EXPECT_EQ(w.count(&C::pressure_resets), before + 1) << pings;
    while (w.next_event()) continue;
    while (stuck.take()) continue;
  }
}

// Small segments held a buffer each; copied together they hold few, and not an octet is lost.
TEST_F(Pressure, WhatWaitsIsPutTogether) {
  sign.open();
  Peer p(w, {.port = 1});
  const ConnId c = p.open();
  std::string all;
  for (unsigned i = 0; i < 8; ++i) {
    const std::string text = pattern(500, i + 1);
    feed(p.next(ACK, text));
    all += text;
  }
  const std::uint32_t before = w.pool.in_use();
  run_low(kScarce);
  EXPECT_LE(w.pool.in_use() + 5, before);
  EXPECT_GE(w.count(&C::rcv_collapsed), 5U);
  EXPECT_EQ(w.read(c), all);
}

// Out of order: kept while buffers are scarce, given back with the last of them.
TEST_F(Pressure, WhatCameEarlyGoesBackLast) {
  sign.open();
  Peer p(w, {.port = 1});
  const ConnId c = p.open();
  const Seq begin = p.snd_nxt;
  feed(p.make(ACK, begin + 5, p.rcv_nxt, "67890"));
  feed(p.make(ACK, begin + 20, p.rcv_nxt, "later"));
  run_low(kScarce);
  EXPECT_EQ(w.count(&C::ofo_pruned), 0U);
  run_low(kLast);
  EXPECT_EQ(w.count(&C::ofo_pruned), 2U);
  feed(p.next(ACK, "12345"));
  EXPECT_EQ(w.read(c), "12345");
  feed(p.next(ACK, "67890"));  // sent again
  EXPECT_EQ(w.read(c), "67890");
}

// Peers that fill an accept queue and reset: nobody may have seen them, and their text holds
// buffers all the same.
TEST_F(Pressure, WhatAResetLeftUnreadGoesBackToo) {
  sign.open();
  const ListenerId l = w.listen(81);
  w.stack->pause_accept(l, true);
  const std::uint32_t before = w.pool.in_use();
  for (std::uint16_t i = 0; i < 5; ++i) {
    Peer p(w, {.port = static_cast<std::uint16_t>(100 + i), .local_port = 81});
    p.syn();
    feed(p.next(ACK));
    for (unsigned k = 0; k < 8; ++k) feed(p.next(ACK, pattern(1'400, k)));
    while (p.take()) continue;
    feed(p.next(RST));
  }
  EXPECT_EQ(w.pool.in_use(), before + 40);
  w.run_for(1s);
  run_low(kLast);
  EXPECT_EQ(w.count(&C::drop_no_buffer), 0U);  // not yet
  w.run_for(1'500ms);
  run_low(kLast);
  EXPECT_EQ(w.pool.in_use(), before);
  EXPECT_EQ(w.count(&C::drop_no_buffer), 5U);
  EXPECT_EQ(w.count(&C::pressure_resets), 0U);
  run_low(kLast);
  EXPECT_EQ(w.count(&C::drop_no_buffer), 5U);
}

// Text that waits to be read after a reset, and after an end in order: there the end of what is
// left must not pass for the end of what was sent.
TEST_F(Pressure, TextOfTheEndedWaitsAsLongAsThatOfTheLiving) {
  sign.open();
  Peer broken(w, {.port = 1}), ended(w, {.port = 2});
  const ConnId b = broken.open(), e = ended.open();
  w.close_at_end = false;
  std::vector<Ready> closed;
  w.on_ready = [&closed](const Ready& r) {
    if ((r.events & kClosed) != 0) closed.push_back(r);
  };
  feed(broken.next(ACK, "cut off"));
  feed(broken.next(RST));
  feed(ended.next(FIN | ACK, "whole"));
  w.stack->shutdown_send(e);
  w.iterate();
  while (ended.take()) continue;
  ended.send(ACK);
  ASSERT_EQ(closed.size(), 2U);
  EXPECT_EQ(closed[0].reason, tcp::CloseReason::kReset);
  EXPECT_EQ(closed[1].reason, tcp::CloseReason::kNormal);
  w.run_for(29s);
  run_low(kScarce);
  EXPECT_EQ(w.stack->readable(b), 7U);
  EXPECT_EQ(w.stack->readable(e), 5U);
  w.run_for(1'100ms);
  run_low(kScarce);
  EXPECT_EQ(w.stack->readable(b), 0U);
  EXPECT_EQ(w.stack->readable(e), 0U);
  ASSERT_EQ(closed.size(), 3U);
  EXPECT_EQ(closed[2].conn, e);
  EXPECT_EQ(closed[2].reason, tcp::CloseReason::kAborted);
  w.stack->close(b);
  w.stack->close(e);
}

}  // namespace
}  // namespace weir::stack::test
