// What is sent, at its edges: lib/tcp/output.cc, persist in segment_arrives.cc, window.cc (RFC 9293
// §3.7, §3.8).
#include "script/script.h"

namespace weir::test {
namespace {

// -- Room in the outbox
// --------------------------------------------------------------------------------

// The last place is for an ACK, and where there is none nothing goes.
//= RFC9293 MUST-59 type=test
TEST(Outbox, TheLastPlaceIsForAnAck) {
  for (const bool acks : {false, true}) {
    for (const unsigned room : {0U, 1U}) {
      Script s{Established{.mss = 1'460, .sack = true, .tune = [](tcp::Config& c) {
                             c.mtu_probing = 2;  // its probe is text as well
                           }}};
      s.tcb().cwnd = 40'000;
      if (acks) s.receives({.len = 100}).quiet();
      s.app([&](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
        Bufs bufs;
        telemetry::Counters apart;  // of what nobody transmits
        telemetry::Counters* const counters = std::exchange(out.counters, &apart);
        BufChain text;
        text.push_back(bufs.make(Side::kOurs, t.snd_nxt, 18'000));
        tcp::user_send(t, std::move(text));
        if (acks) t.set(tcp::kAckNow);
        while (out.tx.room() > room) out.tx.push({});
        tcp::poll_transmit(t, now, out);
        EXPECT_EQ(out.tx.room(), acks ? 0U : room);
        EXPECT_EQ(apart.out_segs.get(), acks ? room : 0U);
        EXPECT_EQ(t.snd_nxt, t.snd_una);
        out.tx.clear();
        out.counters = counters;
        bufs.give_back(std::move(t.sndq));
      });
      s.skip().app_copies(acks ? 100 : 0, 0).skip();
    }
  }
}

// -- Silly windows and the persist timer
// ------------------------------------------------------------------

// The largest window was 2,000: 300 is too little for what is no end of the text.
Script& silly(Script& s, std::uint32_t wnd = 300) {
  return s.receives({.wnd = wnd}).app_send(1'500).quiet();
}

TEST(Persist, TheSameSmallWindowPutsNoProbeOff) {
  Script s{Established{.wnd = 2'000}};
  silly(s).next_timer(1s).at(500ms).receives({.wnd = 300}).quiet().next_timer(1s);
  s.at(1s).sends({.seq = 0, .len = 300}).receives({.ack = 300, .wnd = 2'000}).skip();
  s.receives({.ack = 1'500});
}

TEST(Persist, AWindowThatOpensALittleBeginsItAnew) {
  Script s{Established{.wnd = 2'000}};
  silly(s, 0).next_timer(1s).at(500ms).receives({.wnd = 300}).quiet().next_timer(1'500ms);
  s.at(1'500ms).sends({.seq = 0, .len = 300}).receives({.ack = 300, .wnd = 2'000}).skip();
  s.receives({.ack = 1'500});
}

// A cork holds the end of the text; what the window holds has the persist timer.
TEST(Persist, ACorkIsNoReasonForASmallWindow) {
  Script s{Established{.wnd = 2'000}};
  s.app_cork(true);
  silly(s).at(1s).sends({.seq = 0, .len = 300}).receives({.ack = 300, .wnd = 2'000}).skip();
  EXPECT_EQ(s.counters().cork_flushes.get(), 0U);
  s.app_cork(false).skip().receives({.ack = 1'500});
}

// The window opens, and of the probes nothing is left to be counted.
//= RFC9293 MUST-37 type=test
TEST(Persist, AnOpenWindowForgetsTheProbes) {
  Script s{Established{.wnd = 0}};
  s.app_send(3'000).quiet().at(1s).sends({.len = 1}).at(3s).sends({.len = 1});
  EXPECT_EQ(s.info().backoff, 2);
  s.receives({.wnd = 1'001}).skip();
  EXPECT_EQ(s.info().backoff, 0);
  s.receives({.ack = 1'001}).skip().receives({.ack = 3'000});
}

// The window closed after a time-out: when it opens all goes again, and F-RTO has nothing to ask.
TEST(Persist, AWindowThatOpensAfterATimeOutEndsFrto) {
  Script s{Established{}};
  s.app_send(30'000).skip().at(1s).sends({.seq = 0, .len = 1'000}).quiet();
  s.receives({.wnd = 0}).quiet().receives({.wnd = 60'000}).skip();
  s.receives({.ack = 1'000}).sends({.seq = 1'000}).skip();
  EXPECT_EQ(s.counters().spurious_rtos.get(), 0U);
  s.app_abort().skip();
}

// Nobody asked to be told of room.
TEST(LowWaterMark, IsToldToWhoAsked) {
  Script s{Established{}};
  s.app([](tcp::Tcb& t, Instant, tcp::Outbox& out) {
    EXPECT_TRUE(tcp::user_set_notsent_lowat(t, 600, out));
  });
  s.app_send(1'000).skip().notices(0).receives({.ack = 1'000}).notices(0);
}

// -- The window that is told
// ------------------------------------------------------------------------------

// An advance of one segment is worth telling.
//= RFC9293 MUST-39 type=test
TEST(Window, OneSegmentMoreIsTold) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 4'000; }}};
  s.receives({.len = 1'000}).app_reads(1'000).at(40ms).sends({.ack = 1'000, .wnd = 4'000});
  s.receives({.seq = 1'000, .len = 999}).app_reads(600).app_copies(399, 0);
  s.at(80ms).sends({.ack = 1'999, .wnd = 3'001});
}

// Rounded up to what the field can say, as long as that is less than a unit more than there is.
//= RFC7323 2.4 type=test
TEST(Window, IsRoundedUpToAUnit) {
  Script s{Established{.wscale = 0, .tune = [](tcp::Config& c) { c.moderate_rcvbuf = false; }}};
  s.receives({.len = 7}).at(40ms).sends({.ack = 7, .wnd = 32'768});  // 262,137 of 262,144 octets
  s.app_copies(7, 0);
}

// -- Segments below the window, as they are counted
// --------------------------------------------------------

TEST(SegmentArrives, DuplicatesReachAsFarBackAsABuffer) {
  Script s{Established{}};
  const auto& c = s.counters();
  s.receives({.seq = 0U - 262'144, .len = 100}).sends({.ack = 0});  // rmem
  EXPECT_EQ(c.drop_duplicate.get(), 1U);
  s.receives({.seq = 0U - 262'145, .len = 100}).sends({.ack = 0});
  EXPECT_EQ(c.drop_duplicate.get(), 1U);
  EXPECT_EQ(c.drop_out_of_window.get(), 1U);
}

// SYN and FIN take a number each: it reaches into the window.
TEST(SegmentArrives, ASynWithAFinIsLongEnough) {
  Script s{Established{}};
  s.receives({.seq = kBefore0, .flags = SYN | FIN}).sends({.ack = 0}).quiet();
  EXPECT_EQ(s.counters().drop_syn_in_window.get(), 1U);
}

// -- Keepalives that are asked for again
// ---------------------------------------------------------------------

TEST(Keepalive, TurnedOnAgainTheyBeginAnew) {
  Script s{Established{}};
  const auto keepalive = [&s](bool on) {
    s.app([on](tcp::Tcb& t, Instant now, tcp::Outbox& out) {
      EXPECT_TRUE(tcp::user_set_keepalive(t, {.on = on, .time = 10s}, now, out));
    });
  };
  keepalive(true);
  s.next_timer(10s).at(5s);
  keepalive(false);
  s.at(8s);
  keepalive(true);
  s.next_timer(18s).at(18s).sends({.seq = kBefore0}).receives({});
}

}  // namespace
}  // namespace weir::test
