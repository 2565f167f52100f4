// Blind attacks and other unacceptable segments: lib/tcp/segment_arrives.cc, challenge_ack.cc
// (RFC 5961; RFC 9293 §3.10.7.4, first to fifth).
#include "script/script.h"

namespace weir::test {
namespace {

constexpr std::uint32_t kWnd = 65'000;  // what our SYN-ACK offered

// RFC 5961 §3.2, 2 and 1: exactly at RCV.NXT.
//= RFC9293 MUST-12 type=test
TEST(BlindReset, ExactRstResets) {
  Script s{Established{}};
  s.receives({.seq = 0, .flags = RST}).quiet().closed(CloseReason::kReset);
  s.notices(tcp::kNoticeClosed);
  EXPECT_EQ(s.counters().estab_resets.get(), 1U);
}

//= RFC9293 SHLD-2 type=test
TEST(BlindReset, RstMayCarryText) {
  Script s{Established{}};
  s.receives({.seq = 0, .len = 20, .flags = RST | ACK}).quiet().closed(CloseReason::kReset);
}

TEST(BlindReset, UnreadTextGoesWithTheReset) {
  Script s{Established{}};
  s.receives({.len = 100}).app_send(500).sends({});
  s.receives({.seq = 5'000, .len = 100}).sends({.ack = 100});
  s.receives({.seq = 100, .flags = RST}).closed(CloseReason::kReset);
}

// §3.2, 3: in the window, but not at RCV.NXT.
TEST(BlindReset, RstInTheWindowIsChallenged) {
  Script s{Established{}};
  s.receives({.seq = 1, .flags = RST}).sends({.seq = 0, .ack = 0, .len = 0, .flags = ACK});
  s.at(1s).receives({.seq = kWnd - 1, .flags = RST}).sends({.seq = 0, .ack = 0, .flags = ACK});
  s.state(kEstablished);
}

// §3.2, 1: outside, silently.
TEST(BlindReset, RstOutsideTheWindowIsSilent) {
  Script s{Established{}};
  s.receives({.seq = kWnd, .flags = RST}).quiet();
  s.receives({.seq = kBefore0, .flags = RST}).quiet();
  s.receives({.seq = 0x8000'0000, .flags = RST}).quiet().state(kEstablished);
}

// §4.2: whatever its sequence number.
TEST(BlindSyn, IsChallengedEverywhere) {
  Script s{Established{}};
  std::chrono::seconds t = 0s;
  for (const std::uint32_t seq : {0U, 50U, kWnd - 1, kWnd + 100, kBefore0, 0x8000'0000U}) {
    s.at(t += 1s).receives({.seq = seq, .flags = SYN});
    s.sends({.seq = 0, .ack = 0, .len = 0, .flags = ACK}).quiet();
  }
  s.at(t += 1s).receives({.seq = 0, .flags = SYN | ACK}).sends({.flags = ACK}).state(kEstablished);
}

// The peer restarted: its SYN draws an ACK, that draws its RST, exact, and ours is gone.
TEST(BlindSyn, ARestartedPeerResetsUs) {
  Script s{Established{}};
  s.app_send(100).sends({});
  s.receives({.seq = 0x4000'0000, .flags = SYN}).sends({.seq = 100, .ack = 0, .flags = ACK});
  s.receives({.seq = 0, .flags = RST}).closed(CloseReason::kReset);
}

// §5.2.
//= RFC9293 MAY-12 type=test
TEST(BlindData, AckBeyondSndNxtIsChallenged) {
  Script s{Established{}};
  s.app_send(100).sends({});
  s.receives({.ack = 101, .len = 10}).sends({.seq = 100, .ack = 0, .flags = ACK}).notices(0);
  EXPECT_EQ(s.counters().drop_future_ack.get(), 1U);
  s.receives({.ack = 100, .len = 10}).at(40ms).sends({.ack = 10}).app_reads(10);
}

//= RFC9293 MAY-12 type=test
TEST(BlindData, AckFarBehindIsChallenged) {
  Script s{Established{.wnd = 1'000}};
  s.receives({.ack = 0U - 1'001, .len = 10, .wnd = 1'000}).sends({.ack = 0}).notices(0);
  EXPECT_EQ(s.counters().drop_old_ack.get(), 1U);
  s.receives({.ack = 0U - 1'000, .len = 10, .wnd = 1'000}).at(40ms).sends({.ack = 10});
  s.app_reads(10);
}

// §7: at most one in 500 ms, and by this connection's own clock.
TEST(ChallengeAck, IsThrottled) {
  Script s{Established{}};
  s.receives({.seq = 50, .flags = SYN}).sends({.ack = 0});
  for (int i = 0; i < 20; ++i) s.receives({.seq = 50, .flags = SYN}).quiet();
  s.at(499ms).receives({.seq = 9, .flags = RST}).quiet();
  s.at(500ms).receives({.seq = 9, .flags = RST}).sends({.ack = 0}).quiet();
  EXPECT_EQ(s.counters().challenge_acks.get(), 2U);
  EXPECT_EQ(s.counters().drop_challenge_rate.get(), 21U);
}

// Two endpoints that disagree about an empty segment must not answer each other for ever.
TEST(ChallengeAck, PacesAnswersToEmptySegments) {
  Script s{Established{}};
  s.receives({.seq = kBefore0}).sends({.ack = 0});
  for (int i = 0; i < 10; ++i) s.receives({.seq = kBefore0}).quiet();
}

// §3.10.7.4, first: text outside the window is answered, and nothing of it is taken.
TEST(SegmentArrives, TextOutsideTheWindowIsAnswered) {
  Script s{Established{}};
  s.receives({.seq = kWnd, .len = 10}).sends({.ack = 0}).notices(0);
  s.receives({.seq = 0U - 10, .len = 10}).sends({.ack = 0}).notices(0);
  s.receives({.seq = 0x8000'0000, .len = 10}).sends({.ack = 0}).notices(0);
  EXPECT_EQ(s.counters().drop_out_of_window.get(), 2U);
  EXPECT_EQ(s.counters().drop_duplicate.get(), 1U);
}

// §3.10.7.4, fifth: "if the ACK bit is off, drop the segment and return".
TEST(SegmentArrives, NoAckFlagIsDropped) {
  Script s{Established{}};
  s.receives({.len = 100, .flags = PSH}).receives({.len = 0, .flags = FIN}).receives({.flags = 0});
  s.quiet().notices(0).state(kEstablished);
  EXPECT_EQ(s.counters().drop_no_ack_flag.get(), 3U);
}

// RFC 3360: bits that we do not know are no reason for anything.
TEST(SegmentArrives, EcnAndUrgentBitsDoNoHarm) {
  Script s{Established{}};
  s.receives({.len = 10, .flags = ACK | tcp::ECE | tcp::CWR | tcp::URG | PSH});
  s.at(40ms).sends({.ack = 10, .flags = ACK}).app_reads(10);
}

TEST(SegmentArrives, AllFlagsAtOnceIsChallenged) {
  Script s{Established{}};
  s.receives({.seq = 5, .flags = SYN | FIN | RST | ACK | PSH | tcp::URG}).sends({.flags = ACK});
  s.state(kEstablished);
}

// An old ACK in range carries text that counts.
TEST(SegmentArrives, AnOldAckIsIgnoredItsTextIsNot) {
  Script s{Established{}};
  s.app_send(200).sends({}).receives({.ack = 200}).receives({.ack = 100, .len = 50});
  s.at(40ms).sends({.seq = 200, .ack = 50}).app_reads(50);
}

}  // namespace
}  // namespace weir::test
