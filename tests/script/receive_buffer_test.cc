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

// -- By how much it grows, and when
// ------------------------------------------------------------------

constexpr auto kTo200Kilo = [](tcp::Config& c) {
  c.rmem = 200'000;
  c.rmem_default = 20'000;
};

// What was read in a round trip of 10 ms: `octets`, of segments that came at 1 ms. What ends the
// round comes at 11 ms, with the echo that tells its length.
std::uint32_t after_a_round_of(Script& s, std::uint32_t octets) {
  std::uint32_t at = 0;
  s.at(1ms);
  for (std::uint32_t left = octets; left > 0;) {
    const std::uint32_t n = std::min(left, 1'000U);
    s.receives({.seq = at, .len = n, .ts = Ts{1, 0}, .chunk = n}).skip().app_reads(n).skip();
    at += n;
    left -= n;
  }
  s.at(11ms).receives({.seq = at, .len = 1'000, .ts = Ts{2, 1}, .chunk = 1'000}).skip();
  const std::uint32_t now = s.tcb().rcv_buf;
  EXPECT_EQ(s.info().rcv_space, std::max(octets, 10'120U));  // the best round so far
  s.app_reads(1'000).runs_until(1s);
  return now;
}

// Twice what was read and 16 segments; and twice the part by which it was more than before.
TEST(ReceiveBuffer, GrowsByWhatWasReadAndByHowMuchMoreThatIs) {
  Script s{Established{.ts = Ts{1, 0}, .tune = kTo200Kilo}};
  EXPECT_EQ(after_a_round_of(s, 12'000), 40'192U + 2 * (40'192U * 1'880 / 10'120));
  Script same{Established{.ts = Ts{1, 0}, .tune = kTo200Kilo}};  // ten segments are no reason
  EXPECT_EQ(after_a_round_of(same, 10'120), 20'000U);
}

TEST(ReceiveBuffer, ItsUsersOwnSizeStays) {
  Script s{Established{.ts = Ts{1, 0}, .tune = kTo200Kilo}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_receive_buffer(t, 25'000, out));
  });
  s.at(1ms);
  for (std::uint32_t at = 0; at < 12'000; at += 1'000) {
    s.receives({.seq = at, .len = 1'000, .ts = Ts{1, 0}, .chunk = 1'000}).skip().app_reads(1'000);
  }
  s.skip().at(11ms).receives({.seq = 12'000, .len = 1'000, .ts = Ts{2, 1}}).skip().app_reads(1'000);
  EXPECT_EQ(s.tcb().rcv_buf, 25'000U);
  s.skip();
}

// The first round begins with the connection: no sooner than a round trip after is it over.
TEST(ReceiveBuffer, TheFirstRoundBeginsWithTheConnection) {
  Script s{Established{.ts = Ts{1, 0}, .tune = kTo200Kilo}};
  auto text = [&s, at = 0U](unsigned segments, std::uint32_t ecr) mutable {
    for (; segments > 0; --segments, at += 1'000) {
      s.receives({.seq = at, .len = 1'000, .ts = Ts{1, ecr}, .chunk = 1'000}).skip();
      s.app_reads(1'000).skip();
    }
  };
  s.at(11ms);
  text(6, 1);  // 10 ms of round trip; the first of them ends a round in which nothing was read
  EXPECT_EQ(s.tcb().rcv_rtt_us, 10'000U);
  const Seq mark = s.tcb().read_mark;
  s.at(16ms);
  text(6, 6);
  EXPECT_EQ(s.tcb().read_mark, mark);  // this one is not over
  s.at(21ms);
  text(1, 11);
  EXPECT_NE(s.tcb().read_mark, mark);
  EXPECT_GT(s.tcb().rcv_buf, 20'000U);
  Script early{Established{.ts = Ts{1, 0}, .tune = kTo200Kilo}};
  early.at(5ms).receives({.len = 1'000, .ts = Ts{1, 0U - 5U}, .chunk = 1'000}).skip();
  EXPECT_EQ(early.tcb().rcv_rtt_us, 10'000U);
  EXPECT_EQ(early.tcb().read_mark_us, 3'600'000'000U);
  early.app_reads(1'000).runs_until(1s);
}

// Without timestamps a round trip is a window's text, to its last octet; the shortest one counts.
TEST(ReceiveBuffer, ARoundTripIsThatOfAWindow) {
  Script s{Established{.tune = kTo200Kilo}};
  std::uint32_t at = 0;
  const auto text_up_to = [&s, &at](std::uint32_t to) {
    while (at < to) {
      const std::uint32_t n = std::min(to - at, 1'000U);
      s.receives({.seq = at, .len = n, .chunk = n}).skip().app_reads(n).skip();
      at += n;
    }
    return Duration(s.tcb().rcv_rtt_us);
  };
  s.at(20ms);
  text_up_to(1'000);  // the window's edge lies at 20,000
  std::uint32_t edge = distance(s.tcb().rcv_nxt - 1'000, s.tcb().rcv_rtt_edge);
  EXPECT_EQ(edge, 20'000U);
  s.runs_until(120ms);
  EXPECT_EQ(text_up_to(edge - 1), Duration(0ms));
  EXPECT_EQ(text_up_to(edge), Duration(100ms) + 0us);
  const auto next_edge = [&s] { return distance(s.tcb().irs + 1, s.tcb().rcv_rtt_edge); };
  edge = next_edge();
  EXPECT_GT(edge, at);
  s.runs_until(121ms);
  EXPECT_EQ(text_up_to(at + 1), Duration(100ms));
  s.runs_until(180ms);
  EXPECT_EQ(text_up_to(edge), Duration(60ms));
  s.runs_until(280ms);
  EXPECT_EQ(text_up_to(next_edge()), Duration(60ms));
  s.runs_until(1s);
}

// -- Buffers, to the last one
// --------------------------------------------------------------------------

TEST(ReceiveMemory, CopiesUpToTheLimits) {
  Script s{Established{.rx_room = 1'700}};
  s.receives({.seq = 0, .len = 256}).receives({.seq = 256, .len = 256}).skip();
  EXPECT_EQ(s.tcb().rcvq.bufs(), 1U);
  s.receives({.seq = 512, .len = 257}).skip();
  EXPECT_EQ(s.tcb().rcvq.bufs(), 2U);
  EXPECT_EQ(s.counters().rcv_collapsed.get(), 1U);
  s.runs_until(1s).app_reads(769);
  // A quarter of 36,864 octets are four buffers: of a fifth it is much.
  Script four{Established{.rx_room = 1'700, .tune = [](tcp::Config& c) { c.rmem = 36'864; }}};
  for (std::uint32_t i = 0; i < 6; ++i) four.receives({.seq = 300 * i, .len = 300}).skip();
  EXPECT_EQ(four.tcb().rcvq.bufs(), 5U);
  four.runs_until(1s).app_reads(1'800);
}

TEST(ReceiveMemory, HolesUpToTheLastBuffer) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 4'608; }}};
  for (std::uint32_t i = 0; i < 40; ++i) s.receives({.seq = 10 + 20 * i, .len = 1}).skip();
  EXPECT_EQ(s.tcb().ofo_count, 20);  // twice 4,608, and sixteen buffers: twenty
  s.receives({.len = 1'000}).skip().app_reads(600).app_copies(400, 0);
}

TEST(ReceiveMemory, EarlyCopiesAreCounted) {
  Script s{Established{.rx_room = 1'700}};
  for (std::uint32_t i = 0; i < 5; ++i) s.receives({.seq = 1'000 + 50 * i, .len = 50}).skip();
  EXPECT_EQ(s.counters().rcv_collapsed.get(), 4U);
  s.receives({.len = 1'000}).skip().runs_until(1s).app_reads(1'250);
}

TEST(ReceiveMemory, ShrinkingFillsABufferToItsEnd) {
  Script s{Established{.rx_room = 300}};
  for (std::uint32_t i = 0; i < 30; ++i) s.receives({.seq = 300 * i, .len = 300}).skip();
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& o) { tcp::shrink_receive_queue(t, false, o); });
  EXPECT_EQ(s.tcb().rcvq.bufs(), 15U);
  s.runs_until(1s).app_reads(9'000);
}

// -- Pieces that end together
// ------------------------------------------------------------------------------

Peer piece(std::uint32_t from, std::uint32_t to) {
  return {.seq = from, .len = to - from, .chunk = 10'000};
}

// All of it waits already: told as a duplicate, and given back.
TEST(Reassembly, AnEarlyPieceInsideAnother) {
  Script s{Established{.sack = true}};
  s.receives(piece(1'000, 2'000)).skip();
  s.receives(piece(1'200, 1'300)).sends({.sack = {{{1'200, 1'300}, {1'000, 2'000}}}});
  s.receives(piece(1'500, 2'000)).sends({.sack = {{{1'500, 2'000}, {1'000, 2'000}}}});
  s.receives(piece(1'800, 2'100)).sends({.sack = {{{1'800, 2'000}, {1'000, 2'100}}}});
  EXPECT_EQ(s.tcb().ofo_count, 2);
  EXPECT_EQ(s.counters().ofo_queued.get(), 2U);
  EXPECT_EQ(s.counters().rcv_collapsed.get(), 0U);
  s.receives(piece(0, 1'000)).skip().app_reads(2'100);
}

TEST(Reassembly, APieceThatEndsWithTheOneItSwallows) {
  Script s{Established{}};
  s.receives(piece(1'500, 2'000)).skip().receives(piece(1'000, 2'000)).skip();
  EXPECT_EQ(s.tcb().ofo_count, 1);
  s.receives(piece(0, 1'000)).skip().app_reads(2'000);
}

TEST(Reassembly, TextInOrderThatEndsWithAPieceThatWaits) {
  Script s{Established{}};
  s.receives(piece(1'000, 1'500)).skip().receives(piece(0, 1'500)).skip();
  EXPECT_EQ(s.tcb().rcvq.bufs(), 1U);
  EXPECT_EQ(s.counters().rcv_collapsed.get(), 0U);
  s.runs_until(1s).app_reads(1'500);
}

// The segment's middle buffer waits already: its text is there once.
TEST(Reassembly, ASegmentWhoseMiddleWaits) {
  Script s{Established{}};
  s.receives(piece(500, 1'000)).skip();
  s.receives({.seq = 0, .len = 1'500, .chunk = 500}).skip();
  EXPECT_EQ(s.tcb().rcvq.bufs(), 3U);
  EXPECT_EQ(s.counters().rcv_collapsed.get(), 0U);
  s.runs_until(1s).app_reads(1'500);
}

}  // namespace
}  // namespace weir::test
