// How large a receive buffer is and what its text really holds: lib/tcp/receive_buffer.cc and
// reassembly.cc; ACKs that do not wait: delayed_ack.cc.
#include "script/script.h"

namespace weir::test {
namespace {

// -- Quick ACKs
// -------------------------------------------------------------------------------------

constexpr auto kQuick = [](tcp::Config& c) { c.quickacks = 16; };

TEST(QuickAck, TheFirstSixteenGoAtOnce) {
  Script s{Established{.tune = kQuick}};
  std::uint32_t seq = 0;
  for (; seq < 1'600; seq += 100) s.receives({.seq = seq, .len = 100}).sends({.ack = seq + 100});
  s.receives({.seq = seq, .len = 100}).quiet().at(40ms).sends({.ack = seq + 100});
  s.app_reads(1'700);
}

TEST(QuickAck, AreAsManyAsSetOrNone) {
  Script three{Established{.tune = [](tcp::Config& c) { c.quickacks = 3; }}};
  for (std::uint32_t i = 0; i < 3; ++i) three.receives({.seq = i, .len = 1}).sends({.ack = i + 1});
  three.receives({.seq = 3, .len = 1}).quiet().at(40ms).sends({.ack = 4});
  Script none{Established{.tune = [](tcp::Config& c) { c.quickacks = 0; }}};
  none.receives({.len = 1}).quiet().at(40ms).sends({.ack = 1});
}

// Half of the window's segments, as Linux has it, and two at least.
TEST(QuickAck, ASmallWindowHasFewer) {
  Script s{Established{.tune = [](tcp::Config& c) {
    c.rmem = 6'000;
    c.quickacks = 16;
  }}};
  for (std::uint32_t i = 0; i < 3; ++i) s.receives({.seq = i, .len = 1}).sends({.ack = i + 1});
  s.receives({.seq = 3, .len = 1}).quiet().skip();
  s.at(40ms).sends({.ack = 4});
}

// Text that goes the other way will take the next ACK along.
TEST(QuickAck, EndWithTheFirstAnswer) {
  Script s{Established{.tune = kQuick}};
  s.receives({.len = 100}).sends({.ack = 100}).app_send(50).sends({.seq = 0, .len = 50});
  s.receives({.seq = 100, .ack = 50, .len = 100}).quiet().at(40ms).sends({.ack = 200});
}

// A server that speaks first has had no text to answer.
TEST(QuickAck, AGreetingDoesNotEndThem) {
  Script s{Established{.tune = kQuick}};
  s.app_send(50).sends({.len = 50}).receives({.ack = 50, .len = 100}).sends({.ack = 100});
}

// An ACK of nothing new is not one of them.
TEST(QuickAck, DuplicatesAreNotCounted) {
  Script s{Established{.tune = [](tcp::Config& c) { c.quickacks = 1; }}};
  s.receives({.seq = kBefore0}).sends({.ack = 0});  // a probe's
  s.receives({.len = 100}).sends({.ack = 100});
}

void quickack(Script& s, bool on) {
  s.app([on](tcp::Tcb& t, Instant, tcp::Outbox&) { tcp::user_quickack(t, on); });
}

// Linux's TCP_QUICKACK: the one that waits goes at once, and what is left of them does again.
TEST(QuickAck, OnAndOffByItsUser) {
  Script s{Established{.tune = kQuick}};
  quickack(s, false);
  s.receives({.len = 100}).quiet();
  quickack(s, true);
  s.sends({.ack = 100}).receives({.seq = 100, .len = 100}).sends({.ack = 200}).app_reads(200);
  quickack(s, true);
  s.quiet();  // nothing waits
}

// A pause as long as the RTO: the peer begins slowly again, and is helped as at first.
TEST(QuickAck, AsManyAgainAfterAPause) {
  Script s{Established{.tune = [](tcp::Config& c) { c.quickacks = 4; }}};
  s.receives({.seq = 0, .len = 1}).sends({.ack = 1}).at(1'001ms);
  for (std::uint32_t i = 1; i < 5; ++i) s.receives({.seq = i, .len = 1}).sends({.ack = i + 1});
  s.receives({.seq = 5, .len = 1}).quiet().at(1'041ms).sends({.ack = 6}).app_copies(6, 0);
}

TEST(QuickAck, APauseUpToTheRtoIsNone) {
  Script s{Established{.tune = [](tcp::Config& c) { c.quickacks = 1; }}};
  s.receives({.seq = 0, .len = 1}).sends({.ack = 1}).at(1s);
  s.receives({.seq = 1, .len = 1}).quiet().runs_until(2'041ms);
  s.receives({.seq = 2}).quiet();  // without text it is none either
  s.receives({.seq = 2, .len = 1}).quiet().at(2'081ms).sends({.ack = 3}).app_copies(3, 0);
}

// -- How long an ACK waits
// --------------------------------------------------------------------------

//= RFC813 5-b type=test
TEST(DelayedAck, WaitsForARoundTripWithinItsLimits) {
  constexpr auto kRange = [](tcp::Config& c) {
    c.delack_min = 20ms;
    c.delack_max = 200ms;
  };
  Script s{Established{.tune = kRange}};
  s.receives({.len = 100}).at(20ms - 1us).quiet().at(20ms).sends({.ack = 100});  // no sample yet
  s.app_send(100).sends({.len = 100}).at(120ms).receives({.seq = 100, .ack = 100});
  s.receives({.seq = 100, .ack = 100, .len = 100}).at(220ms - 1us).quiet();
  s.at(220ms).sends({.ack = 200});
  Script far{Established{.tune = kRange}};
  far.app_send(100).sends({.len = 100}).at(900ms).receives({.ack = 100, .len = 100}).quiet();
  far.at(1'100ms - 1us).quiet().at(1'100ms).sends({.ack = 100});
}

// -- The buffer grows
// -------------------------------------------------------------------------------

// 20 ms round trips, each with all that the window takes, read at once.
std::uint32_t fill_windows(Script& s, unsigned rounds, std::uint32_t wnd, bool reads = true) {
  std::uint32_t seq = 0;
  for (unsigned r = 0; r < rounds; ++r) {
    s.runs_until(20ms * (r + 1));
    const std::uint32_t ts = 20 * (r + 1);
    for (std::uint32_t sent = 0; sent + 1'000 <= wnd; sent += 1'000, seq += 1'000) {
      s.receives({.seq = seq, .len = 1'000, .ts = Ts{ts, ts - 20}}).skip();
      if (reads) s.app_reads(1'000);
    }
    s.skip();
    wnd = distance(s.tcb().rcv_nxt, s.tcb().rcv_adv);
  }
  return s.tcb().rcv_buf;
}

constexpr auto kTo4Mega = [](tcp::Config& c) {
  c.rmem = 4'000'000;
  c.quickacks = 0;
};

TEST(ReceiveBuffer, BeginsAtTheDefaultAndStaysThereWhenIdle) {
  Script s{Established{.ts = Ts{1, 0}, .wscale = 7, .tune = kTo4Mega}};
  EXPECT_EQ(s.tcb().rcv_buf, 131'072U);
  std::uint32_t seq = 0;
  for (unsigned i = 0; i < 100; ++i, seq += 1'000) {
    s.runs_until(100ms * (i + 1));
    s.receives({.seq = seq, .len = 1'000, .ts = Ts{100 * i + 100, 100 * i}}).skip();
    s.app_reads(1'000);
  }
  s.skip();
  EXPECT_EQ(s.tcb().rcv_buf, 131'072U);
}

TEST(ReceiveBuffer, GrowsUpToRmemWhileTheWindowIsTheLimit) {
  Script s{Established{.ts = Ts{1, 0}, .wscale = 7, .tune = kTo4Mega}};
  const std::uint32_t early = fill_windows(s, 3, 65'000);
  EXPECT_GT(early, 131'072U);
  Script t{Established{.ts = Ts{1, 0}, .wscale = 7, .tune = kTo4Mega}};
  EXPECT_EQ(fill_windows(t, 12, 65'000), 4'000'000U);
}

// The same where the round trip can only be told by the window.
TEST(ReceiveBuffer, GrowsWithoutTimestamps) {
  Script s{Established{.wscale = 7, .tune = kTo4Mega}};
  std::uint32_t seq = 0, wnd = 65'000;
  for (unsigned r = 0; r < 12; ++r) {
    s.runs_until(20ms * (r + 1));
    for (std::uint32_t sent = 0; sent + 1'000 <= wnd; sent += 1'000, seq += 1'000) {
      s.receives({.seq = seq, .len = 1'000}).skip().app_reads(1'000);
    }
    s.skip();
    wnd = distance(s.tcb().rcv_nxt, s.tcb().rcv_adv);
  }
  EXPECT_GT(s.tcb().rcv_buf, 1'000'000U);
}

// What nobody reads is no reason for more.
TEST(ReceiveBuffer, DoesNotGrowWithoutAReader) {
  Script s{Established{.ts = Ts{1, 0}, .wscale = 7, .tune = kTo4Mega}};
  EXPECT_EQ(fill_windows(s, 5, 60'000, false), 131'072U);
}

TEST(ReceiveBuffer, OffItIsRmemAtOnce) {
  Script s{Established{.wscale = 7, .tune = [](tcp::Config& c) {
                         c.rmem = 1'000'000;
                         c.moderate_rcvbuf = false;
                       }}};
  EXPECT_EQ(s.tcb().rcv_buf, 1'000'000U);
}

TEST(ReceiveBuffer, ASmallRmemIsTheWholeOfIt) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 8'000; }}};
  EXPECT_EQ(s.tcb().rcv_buf, 8'000U);
}

// The edge that was offered stays offered, however the buffer changes.
//= RFC9293 SHLD-14 type=test
TEST(ReceiveBuffer, TheEdgeNeverMovesLeftWhileItGrows) {
  Script s{Established{.ts = Ts{1, 0}, .wscale = 7, .tune = kTo4Mega}};
  Seq edge = s.tcb().rcv_adv;
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    if (i % 60 == 0) s.runs_until(20ms * (i / 60 + 1));
    const std::uint32_t ts = 20 * (i / 60 + 1);
    s.receives({.seq = 1'000 * i, .len = 1'000, .ts = Ts{ts, ts - 20}}).skip();
    if (i % 3 != 0) s.app_reads(1'000);
    EXPECT_FALSE(before(s.tcb().rcv_adv, edge));
    edge = s.tcb().rcv_adv;
  }
  s.skip();
}

// -- What text really holds
// -------------------------------------------------------------------------

// Segments too large to be copied always, too small to have a buffer each once there are many.
TEST(ReceiveMemory, ManySmallSegmentsShareBuffers) {
  Script s{Established{.rx_room = 1'700}};
  for (std::uint32_t i = 0; i < 200; ++i) s.receives({.seq = 300 * i, .len = 300}).skip();
  s.runs_until(1s);
  EXPECT_LT(s.tcb().rcvq.bufs(), 60U);  // 15 before it is much, then six in each
  EXPECT_GT(s.counters().rcv_collapsed.get(), 140U);
  s.app_reads(60'000);
}

// A reader who keeps up pays for no copy.
TEST(ReceiveMemory, FewSegmentsAreNotCopied) {
  Script s{Established{.rx_room = 1'700}};
  for (std::uint32_t i = 0; i < 200; ++i) {
    s.receives({.seq = 300 * i, .len = 300}).skip().app_reads(300);
  }
  s.runs_until(1s);
  EXPECT_EQ(s.counters().rcv_collapsed.get(), 0U);
}

// Out of order too: what touches is put together.
TEST(ReceiveMemory, EarlyNeighboursShareABuffer) {
  Script s{Established{.rx_room = 1'700}};
  for (std::uint32_t i = 0; i < 20; ++i) {
    s.receives({.seq = 1'000 + 50 * i, .len = 50}).sends({.ack = 0});
  }
  EXPECT_EQ(s.tcb().ofo_count, 1);
  EXPECT_EQ(s.counters().ofo_queued.get(), 20U);
  s.receives({.len = 1'000}).sends({.ack = 2'000}).app_reads(2'000);
}

// One-octet pieces with holes, a buffer each: no more of them than the memory of two windows.
TEST(ReceiveMemory, HolesAreLimitedByWhatTheyHold) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 20'000; }}};
  for (std::uint32_t i = 0; i < 200; ++i) {
    s.receives({.seq = 10 + 20 * i, .len = 1}).sends({.ack = 0});
  }
  EXPECT_LT(s.tcb().ofo_count, 40);
  EXPECT_GT(s.tcb().ofo_count, 20);
  EXPECT_EQ(s.counters().drop_ofo_limit.get(), 200U - s.tcb().ofo_count);
  s.receives({.len = 4'000}).sends({.ack = 4'000}).app_reads(4'000);
}

// RFC 2018 §8: what was told may be taken back; it is told no more, and the peer sends it again.
TEST(ReceiveMemory, WhatIsTakenBackIsNotToldAnyMore) {
  Script s{Established{.sack = true}};
  s.receives({.seq = 1'000, .len = 1'000}).sends({.ack = 0, .sack = {{{1'000, 2'000}}}});
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& o) { tcp::shrink_receive_queue(t, true, o); });
  EXPECT_EQ(s.counters().ofo_pruned.get(), 2U);
  s.receives({.seq = 3'000, .len = 100}).sends({.ack = 0, .sack = {{{3'000, 3'100}}}});
  s.receives({.len = 1'000}).sends({.ack = 1'000, .sack = {{{3'000, 3'100}}}});
  s.receives({.seq = 1'000, .len = 2'000}).sends({.ack = 3'100}).app_reads(3'100);
}

// With an early FIN: its place is remembered, its text comes again.
TEST(ReceiveMemory, AnEarlyFinOutlivesItsText) {
  Script s{Established{}};
  s.receives({.seq = 100, .len = 100, .flags = ACK | FIN}).sends({.ack = 0});
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& o) { tcp::shrink_receive_queue(t, true, o); });
  s.receives({.len = 100}).skip().state(kEstablished);
  s.receives({.seq = 100, .len = 100, .flags = ACK | FIN}).state(kCloseWait);
  s.at(40ms).sends({.ack = 201}).app_reads(200);
}

// Not an octet of what is in order is lost, whatever the buffers look like.
TEST(ReceiveMemory, ShrinkingKeepsEveryOctet) {
  for (const std::uint32_t room : {0U, 10U, 700U, 5'000U}) {
    Script s{Established{.rx_room = room}};
    for (std::uint32_t i = 0; i < 30; ++i) s.receives({.seq = 300 * i, .len = 300}).skip();
    const std::uint32_t before = s.tcb().rcvq.bufs();
    s.app([](tcp::Tcb& t, Instant, tcp::Outbox& o) { tcp::shrink_receive_queue(t, false, o); });
    EXPECT_EQ(s.tcb().rcvq.bytes(), 9'000U);
    EXPECT_LE(s.tcb().rcvq.bufs(), before);
    EXPECT_TRUE(room != 5'000 || s.tcb().rcvq.bufs() == 2);
    s.runs_until(1s).app_reads(9'000);
    s.skip();
  }
}

// The application is told when its connection is given up for want of buffers.
TEST(EndStalled, SendsARstAndTellsTheApplication) {
  Script s{Established{}};
  s.receives({.len = 100}).skip().notices(tcp::kNoticeReadable);
  s.app([](tcp::Tcb& t, Instant now, tcp::Outbox& o) { tcp::end_stalled(t, now, o); });
  s.sends({.seq = 0, .ack = 100, .flags = RST | ACK}).closed(CloseReason::kAborted);
  s.notices(tcp::kNoticeClosed);
}

// -- Send buffer
// ------------------------------------------------------------------------------------

TEST(SendBuffer, RoomIsWmemLessWhatIsQueuedOrUnacknowledged) {
  Script s{Established{.wnd = 1'000, .tune = [](tcp::Config& c) { c.wmem = 9'000; }}};
  EXPECT_EQ(tcp::send_room(s.tcb()), 9'000U);
  s.app_send(3'000).sends({.len = 1'000});
  EXPECT_EQ(tcp::send_room(s.tcb()), 6'000U);
  s.receives({.ack = 1'000, .wnd = 0}).quiet();
  EXPECT_EQ(tcp::send_room(s.tcb()), 7'000U);
}

// Woken when a third of it is free, not for each octet.
TEST(SendBuffer, TellsOfRoomOnceThereIsEnough) {
  Script s{Established{.tune = [](tcp::Config& c) { c.wmem = 9'000; }}};
  s.app_send(9'000).skip();
  s.tcb().set(tcp::kWantWritable);
  s.receives({.ack = 2'000}).skip().notices(0);
  s.receives({.ack = 3'000}).skip().notices(tcp::kNoticeWritable);
  s.receives({.ack = 9'000}).skip().notices(0);
}

}  // namespace
}  // namespace weir::test
