// Urgent text: lib/tcp/urgent.cc (RFC 9293 §3.8.5, RFC 6093).
#include "script/script.h"

namespace weir::test {
namespace {

constexpr std::uint8_t kTold = tcp::kNoticeUrgent | tcp::kNoticeReadable;

// -- Receiving -------------------------------------------------------------------------------

//= RFC9293 MUST-30 type=test
//= RFC9293 MUST-33 type=test
//= RFC9293 MUST-62 type=test
//= RFC6093 4 type=test
TEST(UrgentIn, ThePointerEndsTheUrgentText) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | URG, .urgent = 40}).notices(kTold).urgent(40, false);
  s.at(40ms).sends({.ack = 100, .flags = ACK}).app_reads(100).urgent(0, false);
}

// Reading past it ends it, and a later pointer is told of again.
//= RFC9293 MUST-32 type=test
TEST(UrgentIn, ItIsOverWhenItWasRead) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | URG, .chunk = 50, .urgent = 40}).notices(kTold);
  s.app_reads(50).urgent(0, false);
  s.receives({.seq = 100, .len = 10, .flags = ACK | URG, .urgent = 10}).notices(kTold);
  s.urgent(60, false).skip().app_reads(60).urgent(0, false).at(40ms).skip();
}

// "Whenever the urgent pointer advances", and no more often.
//= RFC9293 MUST-32 type=test
TEST(UrgentIn, ItIsToldOfOnceAndWhenItAdvances) {
  Script s{Established{}};
  s.receives({.len = 10, .flags = ACK | URG, .urgent = 1'000}).notices(kTold);
  s.receives({.seq = 10, .len = 10, .flags = ACK | URG, .urgent = 990});  // the same place
  s.notices(tcp::kNoticeReadable);
  s.receives({.seq = 20, .len = 10, .flags = ACK | URG, .urgent = 500});  // and backwards
  s.notices(tcp::kNoticeReadable).urgent(30, true);
  s.receives({.seq = 30, .len = 10, .flags = ACK | URG, .urgent = 971}).notices(kTold);
  s.urgent(40, true).at(40ms).skip().app_reads(40).urgent(0, true);
  EXPECT_EQ(s.counters().urgent_in.get(), 2U);
}

// The pointer goes ahead of its text, as far as 16 bits reach and further.
//= RFC9293 MUST-31 type=test
TEST(UrgentIn, ASequenceOfAnyLength) {
  Script s{Established{}};
  std::uint32_t at = 0;
  for (int i = 0; i < 100; ++i, at += 1'000) {
    s.receives({.seq = at, .len = 1'000, .flags = ACK | URG, .urgent = 0xffff}).skip();
    s.urgent(1'000, true).app_reads(1'000).skip();
  }
  s.receives({.seq = at, .len = 1'000, .flags = ACK | URG, .urgent = 1'000}).urgent(1'000, true);
  s.at(40ms).skip().app_reads(1'000).urgent(0, true);
  for (at += 1'000; at < 99'000 + 65'535; at += 1'000) {
    s.receives({.seq = at, .len = 1'000}).skip().app_reads(1'000).skip();
  }
  s.urgent(0, false).at(80ms).skip();
}

// Alone, before its text; in a segment without any.
//= RFC9293 MUST-32 type=test
TEST(UrgentIn, APointerWithoutTextIsTold) {
  Script s{Established{}};
  s.receives({.flags = ACK | URG, .urgent = 10}).notices(tcp::kNoticeUrgent).urgent(0, true);
  s.receives({.len = 10}).notices(tcp::kNoticeReadable).urgent(10, false);
  s.at(40ms).skip().app_reads(10);
}

//= RFC9293 MUST-66 type=test
TEST(UrgentIn, AClosedWindowDoesNotHideIt) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 4'000; }}};
  for (std::uint32_t at = 0; at < 4'000; at += 1'000) s.receives({.seq = at, .len = 1'000});
  s.skip().at(40ms).skip().notices(tcp::kNoticeReadable);
  s.receives({.seq = 4'000, .flags = ACK | URG, .urgent = 5});
  s.notices(tcp::kNoticeUrgent).urgent(4'000, true);
  s.receives({.seq = 4'000, .len = 1, .flags = ACK | URG, .urgent = 6}).skip();
  s.notices(tcp::kNoticeUrgent).app_reads(4'000).skip();
}

// A middlebox has cleared the flag and left the pointer, or the other way round.
//= RFC6093 6 type=test
TEST(UrgentIn, TextWithoutItsPointerIsText) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK, .urgent = 40}).notices(tcp::kNoticeReadable);
  s.urgent(0, false).receives({.seq = 100, .len = 100, .flags = ACK | URG, .urgent = 0});
  s.notices(kTold).urgent(100, false).at(40ms).skip().app_reads(200);
}

// A reset takes no number: what is left to be read is as urgent as it was.
TEST(UrgentIn, TheMarkStaysInItsPlaceWhenTheConnectionIsReset) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = ACK | URG, .chunk = 20, .urgent = 40}).notices(kTold);
  s.receives({.seq = 100, .flags = RST}).skip().state(kClosed).urgent(40, false);
  s.app_reads(20).urgent(20, false).app_reads(20).urgent(0, false).app_reads(60);
  s.notices(tcp::kNoticeClosed);
}

// -- Abuse -----------------------------------------------------------------------------------

// Offsets that were fatal elsewhere (CVE-2019-12255, CVE-2020-31400).
TEST(UrgentIn, OddPointersDoNoHarm) {
  Script s{Established{}};
  s.receives({.len = 10, .flags = ACK | URG, .urgent = 0}).notices(tcp::kNoticeReadable);
  s.receives({.seq = 10, .len = 10, .flags = ACK | URG, .urgent = 1}).notices(kTold);
  s.urgent(11, false);
  s.receives({.seq = 11, .flags = ACK | URG, .urgent = 0}).skip().notices(0);
  s.receives({.seq = 20, .len = 10, .flags = ACK | URG, .urgent = 0xffff}).urgent(30, true);
  s.receives({.seq = 30, .len = 10, .flags = ACK, .urgent = 0xffff});  // no URG: not a pointer
  s.at(40ms).skip().app_reads(40).urgent(0, true);
}

// Never more octets than were received.
TEST(UrgentIn, NeverMoreThanIsThere) {
  Script s{Established{}};
  s.receives({.len = 10, .flags = ACK | URG | FIN, .urgent = 0xffff}).skip();
  s.state(kCloseWait).urgent(10, false).app_reads(10).urgent(0, false);
  s.notices(kTold | tcp::kNoticePeerClosed);
  s.receives({.seq = 11, .flags = ACK | URG, .urgent = 100}).notices(0);  // nothing follows a FIN
  Script t{Established{}};
  t.receives({.len = 10, .flags = ACK | URG | FIN, .urgent = 5}).skip().urgent(5, false);
  t.app_reads(10);
}

// Out of order, twice, with overlaps: the pointer counts from where the segment began.
TEST(UrgentIn, OverlapsAndHoles) {
  Script s{Established{}};
  s.receives({.seq = 100, .len = 100, .flags = ACK | URG, .urgent = 50});
  s.sends({.ack = 0}).notices(tcp::kNoticeUrgent).urgent(0, true);
  s.receives({.seq = 0, .len = 150, .flags = ACK | URG, .urgent = 150}).skip();
  s.notices(tcp::kNoticeReadable).urgent(150, false);
  s.receives({.seq = 50, .len = 200, .flags = ACK | URG, .urgent = 150}).skip();
  s.notices(kTold).urgent(200, false);
  s.app_reads(150).urgent(50, false).app_reads(100).urgent(0, false);
  s.receives({.seq = 0, .len = 250, .flags = ACK | URG, .urgent = 200}).skip().notices(0);
}

// Outside the window, or with an ACK out of range: anyone could have sent it.
TEST(UrgentIn, ABlindPointerIsIgnored) {
  Script s{Established{}};
  s.receives({.seq = 0x1000'0000, .flags = ACK | URG, .urgent = 10}).skip();
  s.receives({.ack = 0x1000'0000, .flags = ACK | URG, .urgent = 10}).skip();
  s.receives({.flags = URG, .urgent = 10}).skip().notices(0).urgent(0, false);
}

TEST(UrgentIn, OnASynItIsNothing) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK | URG, .mss = 1'000, .urgent = 1}).sends({.flags = ACK});
  s.notices(tcp::kNoticeConnected).urgent(0, false).state(kEstablished);
}

// An old pointer must not seem ahead once the sequence space has gone half round.
TEST(UrgentIn, AnOldPointerStaysBehind) {
  Script s{Established{}};
  s.receives({.len = 10, .flags = ACK | URG, .urgent = 10}).at(40ms).skip().app_reads(10);
  s.tcb().rcv_nxt += 0x8000'0000U;  // two gigabytes later
  s.tcb().rcv_adv += 0x8000'0000U;
  s.urgent(0, false);
}

// -- Sending ---------------------------------------------------------------------------------

//= RFC9293 MUST-30 type=test
//= RFC9293 MUST-62 type=test
//= RFC6093 4 type=test
TEST(UrgentOut, ThePointerIsTheOctetBehindTheText) {
  Script s{Established{}};
  s.app_send(100).sends({.len = 100, .flags = ACK | PSH, .urgent = 0});
  s.app_urgent(1).sends({.seq = 100, .len = 1, .flags = ACK | PSH | URG, .urgent = 1});
  s.receives({.ack = 101}).app_send(10).sends({.flags = ACK | PSH, .urgent = 0});
  s.receives({.ack = 111});
}

// Once it is acknowledged Nagle's rule holds again.
TEST(UrgentOut, ItIsOverWhenItIsAcknowledged) {
  Script s{Established{}};
  s.app_urgent(10).sends({.flags = ACK | PSH | URG}).app_send(10).sends({.seq = 10});
  s.receives({.ack = 10}).app_send(10).quiet().receives({.ack = 20}).sends({.seq = 20});
  s.receives({.ack = 30});
}

// On every segment before its end, and Nagle does not hold it.
//= RFC9293 MUST-31 type=test
TEST(UrgentOut, EverySegmentBeforeItsEndPointsThere) {
  Script s{Established{}};
  s.app_send(100).skip().app_urgent(2'500);
  s.sends({.seq = 100, .len = 1'000, .flags = ACK | URG, .urgent = 2'500});
  s.sends({.seq = 1'100, .len = 1'000, .flags = ACK | URG, .urgent = 1'500});
  s.sends({.seq = 2'100, .len = 500, .flags = ACK | PSH | URG, .urgent = 500});
  s.receives({.ack = 0, .len = 2'000}).sends({.seq = 2'600, .flags = ACK, .urgent = 0});
  s.app_reads(2'000).receives({.seq = 2'000, .ack = 2'600});
}

TEST(UrgentOut, ARetransmissionPointsThereToo) {
  Script s{Established{}};
  s.app_urgent(500).sends({.flags = ACK | PSH | URG, .urgent = 500});
  s.at(1s).sends({.seq = 0, .flags = ACK | PSH | URG, .urgent = 500}).receives({.ack = 500});
  s.receives({.ack = 500, .len = 2'000}).sends({.flags = ACK}).app_reads(2'000);
}

// Further than 16 bits reach.
//= RFC9293 MUST-31 type=test
TEST(UrgentOut, AFarPointerIsAsFarAsItCanBe) {
  Script s{Established{.wscale = 7}};
  s.app_urgent(75'535).sends({.seq = 0, .flags = ACK | URG, .urgent = 0xffff});
  for (std::uint32_t i = 1; i < 10; ++i) s.sends({.seq = 1'000 * i, .urgent = 0xffff});
  s.receives({.ack = 1'000});
  s.sends({.seq = 10'000, .flags = ACK | URG, .urgent = 65'535});
  s.sends({.seq = 11'000, .flags = ACK | URG, .urgent = 64'535}).skip();
}

// The text does not fit the window; the pointer does.
TEST(UrgentOut, AClosedWindowDoesNotHoldThePointer) {
  Script s{Established{}};
  s.receives({.wnd = 0}).app_urgent(10);
  s.sends({.seq = 0, .len = 0, .flags = ACK | URG, .urgent = 10}).quiet();
  s.at(1s).sends({.seq = 0, .len = 1, .flags = ACK | URG, .urgent = 10});  // the probe
  s.receives({.ack = 1, .wnd = 1'000}).sends({.seq = 1, .len = 9, .flags = ACK | PSH | URG});
  s.receives({.ack = 10});
}

TEST(UrgentOut, BeforeTheConnectionIsOpen) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).app_urgent(10);
  s.receives({.ack = 1, .flags = SYN | ACK, .mss = 1'000});
  s.sends({.seq = 1, .len = 10, .flags = ACK | PSH | URG, .urgent = 10})
      .receives({.seq = 1, .ack = 11});
}

// An ACK of its own takes the pointer along only where the peer's window has no room for the text.
TEST(UrgentOut, CwndIsNoReasonForAnAckOfItsOwn) {
  Script s{Established{}};
  s.app_send(10'000).skip().app_urgent(10).quiet();
  s.receives({.ack = 10'000}).sends({.seq = 10'000, .len = 10, .urgent = 10});
  s.receives({.ack = 10'010});
}

}  // namespace
}  // namespace weir::test
