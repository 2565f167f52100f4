// Receiving text: lib/tcp/reassembly.cc, window.cc and delayed_ack.cc (RFC 9293 §3.10.7.4, seventh;
// §3.8.6).
#include <algorithm>
#include <array>
#include <numeric>

#include "script/script.h"

namespace weir::test {
namespace {

// -- Delayed ACK (§3.8.6.3, RFC 5681 §4.2) -----------------------------------------------------

//= RFC5681 4.2-a type=test
//= RFC813 5-b type=test
//= RFC9293 MUST-40 type=test
//= RFC9293 SHLD-18 type=test
TEST(DelayedAck, OneSegmentWaits40Milliseconds) {
  Script s{Established{}};
  s.at(5ms).receives({.len = 1'000}).quiet();
  s.at(45ms - 1us).quiet();
  s.at(45ms).sends({.seq = 0, .ack = 1'000, .len = 0, .flags = ACK}).app_reads(1'000);
  EXPECT_EQ(s.counters().delayed_acks.get(), 1U);
  s.at(1h);
}

//= RFC813 5-a type=test
//= RFC9293 SHLD-19 type=test
TEST(DelayedAck, EverySecondFullSegmentIsAcknowledged) {
  Script s{Established{}};
  for (std::uint32_t i = 0; i < 6; i += 2) {
    s.receives({.seq = 1'000 * i, .len = 1'000}).quiet();
    s.receives({.seq = 1'000 * (i + 1), .len = 1'000}).sends({.ack = 1'000 * (i + 2)}).quiet();
  }
  s.at(1s).quiet();
}

// A filled hole, or what a port has merged, is no measure of the peer's segments.
//= RFC9293 SHLD-19 type=test
TEST(DelayedAck, EverySecondSegmentAlsoAfterAFilledHole) {
  for (const bool merged : {false, true}) {
    Script s{Established{.ts = Ts{1, 0}}};
    if (merged) {
      s.receives({.len = 3'000, .ts = Ts{1, 0}}).sends({.ack = 3'000});
    } else {
      s.receives({.seq = 1'000, .len = 2'000, .ts = Ts{1, 0}}).sends({.ack = 0});
      s.receives({.seq = 0, .len = 1'000, .ts = Ts{1, 0}}).sends({.ack = 3'000});
    }
    s.receives({.seq = 3'000, .len = 1'000, .ts = Ts{1, 0}}).quiet();
    s.receives({.seq = 4'000, .len = 1'000, .ts = Ts{1, 0}}).sends({.ack = 5'000});
  }
}

// §3.10.7.4: all that is queued is processed before an ACK goes.
//= RFC9293 MUST-58 type=test
//= RFC9293 MUST-59 type=test
TEST(DelayedAck, OneAckForABurst) {
  Script s{Established{}};
  s.receives_burst({{.seq = 0, .len = 1'000},
                    {.seq = 1'000, .len = 1'000},
                    {.seq = 2'000, .len = 1'000},
                    {.seq = 3'000, .len = 1'000}});
  s.sends({.ack = 4'000, .flags = ACK}).quiet();
}

TEST(DelayedAck, TextTakesTheAckAlong) {
  Script s{Established{}};
  s.receives({.len = 1'000}).quiet();
  s.at(10ms).app_send(100).sends({.seq = 0, .ack = 1'000, .len = 100}).quiet();
  s.receives({.seq = 1'000, .ack = 100});
  s.at(1s).quiet();
}

TEST(DelayedAck, SmallSegmentsCountByOctets) {
  Script s{Established{}};
  for (std::uint32_t i = 0; i < 10; ++i) s.receives({.seq = 100 * i, .len = 100}).quiet();
  s.receives({.seq = 1'000, .len = 100}).sends({.ack = 1'100});
}

// -- Reassembly ---------------------------------------------------------------------------------

// RFC 5681 §4.2: a segment out of order is acknowledged at once, and so is the one that fills.
//= RFC9293 SHLD-31 type=test
//= RFC9293 MAY-13 type=test
TEST(Reassembly, AHoleIsToldAndItsFillingToo) {
  Script s{Established{}};
  s.receives({.seq = 1'000, .len = 1'000}).sends({.seq = 0, .ack = 0, .len = 0}).notices(0);
  s.receives({.seq = 3'000, .len = 1'000}).sends({.ack = 0});
  s.receives({.seq = 0, .len = 1'000}).sends({.ack = 2'000}).notices(tcp::kNoticeReadable);
  s.receives({.seq = 2'000, .len = 1'000}).sends({.ack = 4'000});
  s.app_reads(4'000);
}

// Five segments in each of their 120 orders.
TEST(Reassembly, EveryOrderOfFive) {
  std::array<std::uint32_t, 5> order{};
  std::iota(order.begin(), order.end(), 0U);
  do {
    Script s{Established{}};
    for (const std::uint32_t i : order) {
      s.receives({.seq = 100 * i, .len = 100, .chunk = 33}).skip();
    }
    s.at(40ms).skip().app_reads(500);
    s.receives({.seq = 500, .len = 2'000}).sends({.ack = 2'500}).app_reads(2'000);
  } while (std::next_permutation(order.begin(), order.end()));
}

// Five pieces that overlap each other on both sides, one inside another, in every order.
TEST(Reassembly, EveryOrderOfFiveThatOverlap) {
  struct Piece {
    std::uint32_t seq, len;
  };
  constexpr std::array<Piece, 5> kPieces = {{{0, 60}, {50, 100}, {70, 20}, {140, 100}, {30, 180}}};
  std::array<unsigned, 5> order{};
  std::iota(order.begin(), order.end(), 0U);
  do {
    Script s{Established{}};
    for (const unsigned i : order) {
      s.receives({.seq = kPieces[i].seq, .len = kPieces[i].len, .chunk = 17}).skip();
    }
    s.at(40ms).skip().app_reads(240);
    EXPECT_EQ(s.tcb().ofo_count, 0);
    s.receives({.seq = 240, .len = 2'000}).sends({.ack = 2'240}).app_reads(2'000);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Reassembly, WhatWaitsTwiceIsKeptOnce) {
  Script s{Established{}};
  for (int i = 0; i < 3; ++i) s.receives({.seq = 500, .len = 100}).sends({.ack = 0});
  EXPECT_EQ(s.tcb().ofo_count, 1);
  s.receives({.len = 500}).sends({.ack = 600}).app_reads(600);
}

// SegmentSmack (CVE-2018-5390): the pieces are counted, and in order still works at the limit.
TEST(Reassembly, PiecesAreLimited) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.rmem = 400'000;
    c.moderate_rcvbuf = false;
  }}};
  for (std::uint32_t i = 0; i < 300; ++i) {
    s.receives({.seq = 10 + 20 * i, .len = 10}).sends({.ack = 0});
  }
  EXPECT_EQ(s.tcb().ofo_count, 256);
  EXPECT_EQ(s.counters().drop_ofo_limit.get(), 44U);
  s.receives({.seq = 0, .len = 10}).sends({.ack = 20});
  s.receives({.seq = 20, .len = 6'000}).sends({.ack = 6'020});
  EXPECT_EQ(s.tcb().ofo_count, 0);
  s.app_reads(6'020);
}

TEST(Reassembly, SmallTextSharesBuffers) {
  Script s{Established{.rx_room = 1'000}};
  for (std::uint32_t i = 0; i < 100; ++i) s.receives({.seq = i, .len = 1});
  EXPECT_EQ(s.tcb().rcvq.head(), s.tcb().rcvq.tail());
  s.at(40ms).sends({.ack = 100}).app_reads(100);
}

// -- Duplicates -----------------------------------------------------------------------------------

// §3.10.7.4, first: an old segment means that our ACK was lost.
TEST(Receive, AnOldSegmentIsAcknowledgedAgain) {
  Script s{Established{}};
  s.receives({.len = 1'000}).at(40ms).sends({.ack = 1'000});
  s.receives({.len = 1'000}).sends({.seq = 0, .ack = 1'000, .len = 0, .flags = ACK});
  s.receives({.len = 1'000}).sends({.ack = 1'000}).app_reads(1'000);
}

TEST(Receive, OnlyTheNewPartOfAnOverlapIsTaken) {
  Script s{Established{}};
  s.receives({.len = 1'000}).at(40ms).sends({.ack = 1'000});
  s.receives({.seq = 500, .len = 1'000}).sends({.ack = 1'500}).app_reads(1'500);
}

TEST(Receive, EmptySegmentsAreNotAnswered) {
  Script s{Established{}};
  s.receives({}).receives({}).receives({}).at(1s).quiet();
}

// -- The window (§3.8.6) --------------------------------------------------------------------------

constexpr auto kRmem3000 = [](tcp::Config& c) { c.rmem = 3'000; };

// §3.10.7.4: "segments are trimmed to fit the window".
//= RFC813 6 type=test
TEST(ReceiveWindow, TextBeyondTheEdgeIsCut) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 4'000}).sends({.ack = 3'000, .wnd = 0}).app_reads(3'000);
  s.sends({.ack = 3'000, .wnd = 3'000});
}

TEST(ReceiveWindow, AFinBeyondTheEdgeIsCut) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 3'500, .flags = ACK | FIN}).sends({.ack = 3'000, .wnd = 0});
  s.state(kEstablished).app_reads(3'000).sends({.wnd = 3'000});
  s.receives({.seq = 3'000, .len = 500, .flags = ACK | FIN}).at(40ms).sends({.ack = 3'501});
  s.state(kCloseWait).app_reads(500);
}

// §3.8.6.1: a probe of a closed window is answered by an ACK with the window.
//= RFC9293 MAY-8 type=test
TEST(ReceiveWindow, ProbesOfAClosedWindowAreAnswered) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 3'000}).sends({.ack = 3'000, .wnd = 0});
  for (const auto t : {1s, 3s, 7s, 600s}) {
    s.at(t).receives({.seq = 3'000, .len = 1}).sends({.ack = 3'000, .len = 0, .wnd = 0});
  }
  s.at(700s).receives({.seq = 2'999}).sends({.ack = 3'000, .wnd = 0});  // Linux probes like this
  s.app_reads(3'000).sends({.ack = 3'000, .wnd = 3'000});
}

// A closed window still takes ACKs, RST and FIN.
//= RFC9293 MUST-66 type=test
TEST(ReceiveWindow, AClosedWindowTakesAcksAndRst) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 3'000}).sends({.wnd = 0});
  s.app_send(1'000).sends({.len = 1'000}).receives({.seq = 3'000, .ack = 1'000}).quiet();
  EXPECT_TRUE(s.tcb().sndq.empty());
  s.app_send(1'000).sends({.len = 1'000});
  s.receives({.seq = 3'000, .ack = 2'000, .len = 1'000}).sends({.ack = 3'000, .wnd = 0});
  EXPECT_TRUE(s.tcb().sndq.empty());
  s.receives({.seq = 3'000, .flags = RST}).closed(CloseReason::kReset);
}

// §3.8.6.2.2: the window opens in steps of a segment, or half the buffer.
//= RFC813 4-a type=test
//= RFC9293 MUST-39 type=test
TEST(ReceiverSws, SmallReadsAreNotTold) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 3'000, .chunk = 300}).sends({.wnd = 0});
  s.app_reads(300).app_reads(300).app_reads(300).app_reads(300).quiet();
  s.app_reads(300).sends({.ack = 3'000, .len = 0, .wnd = 1'500}).quiet();
  s.app_reads(1'500).quiet();  // half the buffer is offered: no hurry
  s.receives({.seq = 3'000, .len = 1'500}).at(40ms).sends({.ack = 4'500, .wnd = 1'500});
}

//= RFC9293 MUST-39 type=test
TEST(ReceiverSws, AnAckDoesNotOfferCrumbs) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 3'000, .chunk = 300}).sends({.wnd = 0});
  s.app_reads(600).quiet();
  s.receives({.seq = 3'000, .len = 1}).sends({.wnd = 0});
  s.app_reads(600).quiet();  // 1200 are free, more than a segment: the next ACK may tell
  s.receives({.seq = 3'000, .len = 1}).sends({.wnd = 1'200});
}

//= RFC9293 SHLD-14 type=test
TEST(ReceiveWindow, TheRightEdgeNeverMovesLeft) {
  Script s{Established{.tune = kRmem3000}};
  s.receives({.len = 500}).at(40ms).sends({.ack = 500, .wnd = 2'500});
  s.receives({.seq = 500, .len = 500}).at(80ms).sends({.ack = 1'000, .wnd = 2'000});
  s.app_reads(500).quiet();
  s.receives({.seq = 1'000, .len = 700}).at(120ms).sends({.ack = 1'700, .wnd = 1'300});
}

// The peer sends three octets at a time, nobody reads: rounding to the scale's unit of 8 must not
// lead the window on for ever.
//= RFC7323 2.4 type=test
TEST(ReceiveWindow, RoundingDoesNotOutgrowTheBuffer) {
  constexpr std::uint32_t kRmem = 262'144;
  Script s{Established{.wscale = 0, .tune = [](tcp::Config& c) { c.moderate_rcvbuf = false; }}};
  std::uint32_t seq = 0;
  for (; seq < 261'000; seq += 3'000) s.receives({.seq = seq, .len = 3'000}).skip();
  for (Duration t = 1s; seq < kRmem + 1'000 && after(s.tcb().rcv_adv, s.tcb().rcv_nxt); seq += 3) {
    s.receives({.seq = seq, .len = 3}).runs_until(t += 1s);
  }
  EXPECT_GT(s.tcb().rcvq.bytes(), kRmem - 1'000);
  EXPECT_LT(s.tcb().rcvq.bytes(), kRmem + 8);
  s.receives({.seq = s.tcb().rcvq.bytes(), .len = 3}).sends({.wnd = 0});
}

// Without window scaling the field ends at 65535, and a read of what it cannot tell is not told.
TEST(ReceiveWindow, UnscaledReadsAreNotToldOneByOne) {
  Script s{Established{}};
  for (std::uint32_t i = 0; i < 10; ++i) {
    s.receives({.seq = 100 * i, .len = 100}).app_reads(100).quiet();
  }
  s.at(40ms).sends({.ack = 1'000, .wnd = 65'535});
}

// RFC 7323 §2.3: the field is shifted.
//= RFC7323 2.3-b type=test
TEST(ReceiveWindow, IsScaled) {
  Script s{Established{.wscale = 7}};
  s.receives({.len = 2'000}).sends({.ack = 2'000, .wnd = (131'072 - 2'000) / 8}).app_reads(2'000);
}

}  // namespace
}  // namespace weir::test
