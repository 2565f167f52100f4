// SEGMENT ARRIVES at its edges: lib/tcp/segment_arrives.cc (RFC 9293 §3.10.7.4), and text while
// buffers are scarce.
#include "script/script.h"

namespace weir::test {
namespace {

// -- The first four steps
// --------------------------------------------------------------------------

// A RST ends the processing of its segment, whatever else it carries.
TEST(Reset, NothingOfItsSegmentIsLookedAt) {
  Script s{Established{}};
  s.app_send(1'000).skip().receives({.ack = 1'000, .len = 100, .flags = RST | ACK});
  s.closed(CloseReason::kReset).next_timer(Duration::max()).quiet();
  EXPECT_EQ(s.counters().drop_future_ack.get(), 0U);
  EXPECT_EQ(s.counters().estab_resets.get(), 1U);
}

//= RFC1337 3-a type=test
TEST(Reset, InTimeWaitNothingOfItsSegmentEither) {
  Script s{Established{}};
  s.app_close().skip().receives({.ack = 1, .flags = ACK | FIN}).skip().state(kTimeWait).at(1s);
  s.receives({.seq = 1, .ack = 1'000, .flags = RST | ACK}).quiet().state(kTimeWait);
  EXPECT_EQ(s.counters().drop_future_ack.get(), 0U);
}

TEST(Reset, CountsWhereAConnectionWasOpen) {
  Script s{Established{}};
  s.app_shutdown().skip().receives({.flags = RST}).closed(CloseReason::kReset);
  EXPECT_EQ(s.counters().estab_resets.get(), 0U);
  Script t{Established{}};
  t.receives({.flags = ACK | FIN}).skip().receives({.seq = 1, .flags = RST});
  t.closed(CloseReason::kReset);
  EXPECT_EQ(t.counters().estab_resets.get(), 1U);
}

// Who opened actively is refused while it opens, and reset afterwards.
TEST(Reset, OfAnActiveOpenThatSucceeded) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).receives({.ack = 1, .flags = SYN | ACK, .mss = 1'460}).skip();
  s.receives({.seq = 1, .ack = 1, .flags = RST}).closed(CloseReason::kReset);
}

TEST(BlindReset, IsCounted) {
  Script s{Established{}};
  s.receives({.seq = 100, .flags = RST}).skip();
  EXPECT_EQ(s.counters().drop_bad_rst.get(), 1U);
}

TEST(BlindSyn, IsCounted) {
  Script s{Established{}};
  s.receives({.seq = 100, .flags = SYN}).skip();
  EXPECT_EQ(s.counters().drop_syn_in_window.get(), 1U);
}

// An ACK at the window's very edge is read.
TEST(SegmentArrives, AnEmptySegmentAtTheEdgeCounts) {
  Script s{Established{}};
  const std::uint32_t edge = distance(s.tcb().rcv_nxt, s.tcb().rcv_adv);
  s.app_send(1'000).skip().receives({.seq = edge, .ack = 1'000}).quiet();
  EXPECT_EQ(s.tcb().snd_una, s.tcb().snd_nxt);
}

TEST(SegmentArrives, WhatLiesOutsideIsNoProbe) {
  Script s{Established{}};
  s.receives({.seq = 0x7000'0000}).skip();
  EXPECT_EQ(s.counters().probes_in.get(), 0U);
  EXPECT_EQ(s.counters().drop_out_of_window.get(), 1U);
}

// The last acceptable segment's octet of the IP header is there to be asked for.
//= RFC9293 MAY-9 type=test
TEST(SegmentArrives, TheTosIsThatOfTheLastSegment) {
  Script s{Established{}};
  s.receives({.len = 100, .tos = 0x28}).app_reads(100);
  EXPECT_EQ(s.tcb().tos_in, 0x28);
  s.runs_until(1s);
}

// An early segment is newer than those before it: what they say of the window is old.
TEST(Window, AnEarlySegmentsIsTheNewer) {
  Script s{Established{}};
  s.receives({.seq = 500, .len = 100, .wnd = 20'000}).skip();
  s.receives({.seq = 0, .len = 100, .wnd = 5'000}).skip();
  EXPECT_EQ(s.tcb().snd_wnd, 20'000U);
  s.app_reads(100).runs_until(1s);
}

// -- Simultaneous open
// -----------------------------------------------------------------------------

Script& crossed(Script& s) {
  s.sends({.flags = SYN}).receives({.flags = SYN, .mss = 1'000}).sends({.flags = SYN | ACK});
  return s.quiet();
}

TEST(SimultaneousOpen, OnlyTheKnownSynIsTakenOff) {
  Script s{SynSent{}};
  crossed(s).receives({.seq = 500, .flags = SYN, .mss = 1'000}).sends({.flags = ACK});
  s.quiet().state(kSynReceived).at(1s).skip();
  s.receives({.seq = 0, .ack = 1}).skip().state(kSynReceived);  // below RCV.NXT, and no SYN
  s.receives({.seq = 1, .ack = 1}).state(kEstablished);
}

TEST(SimultaneousOpen, TheKnownSynDrawsNoChallenge) {
  Script s{SynSent{}};
  crossed(s).receives({.flags = SYN, .mss = 1'000}).sends({.flags = SYN | ACK}).quiet();
  EXPECT_EQ(s.counters().challenge_acks.get(), 0U);
  EXPECT_EQ(s.counters().drop_syn_in_window.get(), 0U);
}

// -- The round trip, as a receiver sees it
// ---------------------------------------------------------

TEST(ReceiveBuffer, TheRoundTripIsThatOfAnEcho) {
  Script s{Established{.ts = Ts{1'000, 0}}};
  std::uint32_t at = 0;
  const auto text = [&](Duration now, std::uint32_t len, std::uint32_t ecr) {
    s.at(now).receives({.seq = at, .len = len, .ts = Ts{1'000, ecr}}).skip().app_reads(len).skip();
    at += len;
    s.receives({.seq = at, .len = 1, .ts = Ts{1'000, 0}}).skip().app_reads(1).skip();
    ++at;
    s.runs_until(now + 300ms);
    return s.tcb().rcv_rtt_us;
  };
  EXPECT_EQ(text(1s, 1'000, 940), 60'000U);
  EXPECT_EQ(text(2s, 1'000, 1'860), 70'000U);  // an eighth of the new one
  EXPECT_EQ(text(3s, 1'000, 0), 70'000U);      // nothing echoed
  EXPECT_EQ(text(4s, 999, 3'000), 70'000U);    // a small one may have waited
  EXPECT_EQ(text(5s, 1'000, 6'000), 70'000U);  // of tomorrow
  EXPECT_EQ(text(70s, 1'000, 9'999), 70'000U);
  EXPECT_EQ(text(80s, 1'000, 80'000), (7 * 70'000U + 1'000) / 8);  // below a tick
  EXPECT_GT(text(150s, 1'000, 90'000), 7'000'000U);                // a minute is believed
}

// -- Text while buffers are scarce
// ------------------------------------------------------------------

struct Scarce {
  Scarce() {
    out.counters = &counters;
    tcp::RxSegment syn;
    syn.seq = Seq{0};
    syn.flags = SYN;
    syn.options.mss = 1'000;
    tcp::SynEntry e;
    tcp::open_syn_entry(e, syn, {IpAddr::v4(1), IpAddr::v4(2), 80, 12'345}, Seq{1'000}, config);
    tcp::open_passive(t, e, {.iss = Seq{1'000}, .mtu = 1'040}, now);
    arrives(0, 0, 0);
  }
  Scarce(const Scarce&) = delete;
  Scarce& operator=(const Scarce&) = delete;
  ~Scarce() {
    tcp::release_buffers(t, out);
    bufs.give_back(std::move(out.release));
    EXPECT_EQ(bufs.live(), 0);
  }
  // Text from `at` on, in a buffer with these flags; true when it was not given back for want.
  bool arrives(std::uint32_t at, std::uint32_t len, std::uint8_t flags) {
    const auto before = counters.drop_no_buffer.get();
    tcp::RxSegment seg;
    seg.seq = Seq{1} + at;
    seg.ack = Seq{1'001};
    seg.flags = ACK;
    seg.wnd = 65'535;
    seg.len = len;
    if (len > 0) {
      seg.buf = bufs.make(Side::kTheirs, seg.seq, len);
      seg.buf->flags = flags;
    }
    tcp::on_segment(t, seg, now, out);
    tcp::poll_transmit(t, now, out);
    out.tx.clear();
    return counters.drop_no_buffer.get() == before;
  }
  tcp::Config config;
  tcp::Tcb t{config};
  telemetry::Counters counters;
  tcp::Outbox out;
  Bufs bufs;
  Instant now{1h};
};

TEST(ScarceBuffers, TextInOrderIsTakenByWhoHoldsLittle) {
  Scarce s;
  EXPECT_TRUE(s.arrives(0, 1'000, Buf::kScarce));
  EXPECT_TRUE(s.arrives(1'000, 1'000, Buf::kScarce));
  EXPECT_TRUE(s.arrives(2'000, 100, Buf::kScarce));  // two segments are little
  EXPECT_FALSE(s.arrives(2'100, 100, Buf::kScarce));
  EXPECT_TRUE(s.arrives(2'100, 100, 0));
  EXPECT_EQ(s.t.rcvq.bytes(), 2'200U);
}

TEST(ScarceBuffers, EarlyTextIsGivenBack) {
  Scarce s;
  EXPECT_FALSE(s.arrives(500, 100, Buf::kScarce));
  EXPECT_TRUE(s.arrives(500, 100, 0));
  EXPECT_EQ(s.t.ofo_count, 1U);
}

// A driver's buffer without an octet in it is nobody's text, and is given back.
TEST(ScarceBuffers, AnEmptyBufferIsGivenBack) {
  Scarce s;
  tcp::RxSegment seg;
  seg.seq = Seq{1};
  seg.ack = Seq{1'001};
  seg.flags = ACK;
  seg.wnd = 65'535;
  seg.len = 100;
  seg.buf = s.bufs.make(Side::kTheirs, seg.seq, 0);
  seg.buf->next = s.bufs.make(Side::kTheirs, seg.seq, 100);
  tcp::on_segment(s.t, seg, s.now, s.out);
  EXPECT_EQ(s.t.rcvq.bufs(), 1U);
  EXPECT_EQ(s.t.rcvq.bytes(), 100U);
}

TEST(ScarceBuffers, TheLastOnesAreForNobodysText) {
  Scarce s;
  EXPECT_FALSE(s.arrives(0, 100, Buf::kScarce | Buf::kLast));
  EXPECT_EQ(s.t.rcvq.bytes(), 0U);
  EXPECT_EQ(s.t.state, kEstablished);
}

}  // namespace
}  // namespace weir::test
