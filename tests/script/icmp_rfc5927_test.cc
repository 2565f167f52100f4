// ICMP errors about a connection: which end it, which are only remembered, and what a time-out is
// put down to (RFC 9293 §3.9.2.2, RFC 1122 §4.2.3.9, RFC 5927, RFC 5461); R1 (RFC 9293 §3.8.3).
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::IcmpVerdict;
using tcp::PathError;

struct Soft {
  PathError what;
  CloseReason reason;
};
constexpr Soft kSoft[] = {
    {PathError::kNetUnreachable, CloseReason::kNetUnreachable},
    {PathError::kHostUnreachable, CloseReason::kUnreachable},
    {PathError::kProblem, CloseReason::kProtocol},
};

//= RFC9293 MUST-56 type=test
//= RFC1122 4.2.3.9-a type=test
TEST(IcmpError, ASoftOneDoesNotEndAnOpen) {
  for (const Soft& e : kSoft) {
    Script s{SynSent{}};
    s.sends({.flags = SYN}).at(10ms).icmp({.what = e.what}).quiet().state(kSynSent);
    s.notices(tcp::kNoticeSoftError);
    s.at(1s).sends({.flags = SYN});
    s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460}).sends({.flags = ACK});
    s.state(kEstablished).notices(tcp::kNoticeConnected);
    EXPECT_EQ(s.tcb().soft_error, CloseReason::kNone);
  }
}

// ... but says why it failed, when its time is up.
//= RFC9293 SHLD-25 type=test
//= RFC9293 MUST-47 type=test
TEST(IcmpError, ASoftOneIsTheReasonOfATimeOut) {
  for (const Soft& e : kSoft) {
    Script s{SynSent{}};
    s.sends({.flags = SYN}).at(10ms).icmp({.what = e.what});
    s.runs_until(64s).closed(e.reason);
  }
}

TEST(IcmpError, TheLastOneCounts) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).at(10ms).icmp({.what = PathError::kHostUnreachable});
  s.icmp({.what = PathError::kNetUnreachable}).runs_until(64s);
  s.closed(CloseReason::kNetUnreachable);
}

TEST(IcmpError, WithoutOneItIsATimeOut) {
  Script s{SynSent{}};
  s.runs_until(64s).closed(CloseReason::kTimedOut);
}

//= RFC5927 5.2 type=test
//= RFC1122 4.2.3.9-b type=test
TEST(IcmpError, AHardOneEndsAnOpen) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).at(10ms).icmp({.what = PathError::kPortUnreachable}).quiet();
  s.closed(CloseReason::kRefused).notices(tcp::kNoticeClosed);
  EXPECT_EQ(s.counters().attempt_fails.get(), 1U);
}

TEST(IcmpError, AHardOneEndsASimultaneousOpen) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).receives({.seq = 0, .flags = SYN, .mss = 1'460});
  s.sends({.flags = SYN | ACK}).state(kSynReceived);
  s.icmp({.what = PathError::kPortUnreachable}).closed(CloseReason::kRefused);
}

//= RFC5927 4.1 type=test
TEST(IcmpError, AnOpenBelievesOnlyWhatQuotesItsSyn) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.icmp({.what = PathError::kPortUnreachable, .seq = 1}, IcmpVerdict::kForged);
  s.icmp({.what = PathError::kPortUnreachable, .seq = kBefore0}, IcmpVerdict::kForged);
  s.icmp({.what = PathError::kHostUnreachable, .seq = 1}, IcmpVerdict::kForged);
  s.state(kSynSent).notices(0);
  s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460}).sends({.flags = ACK});
}

//= RFC5927 5.2 type=test
TEST(IcmpError, NoneEndsAnEstablishedConnection) {
  for (const PathError what : {PathError::kPortUnreachable, PathError::kNetUnreachable,
                               PathError::kHostUnreachable, PathError::kProblem}) {
    Script s{Established{}};
    s.app_send(1'000).sends({.len = 1'000}).at(10ms).icmp({.what = what}).quiet();
    s.state(kEstablished).notices(tcp::kNoticeSoftError).cwnd(10'000).next_timer(1s);
    s.at(20ms).receives({.ack = 1'000});
    EXPECT_EQ(s.tcb().soft_error, CloseReason::kNone);  // it got through after all
    s.app_send(1'000).sends({.seq = 1'000}).receives({.ack = 2'000});
  }
}

TEST(IcmpError, NothingInFlightNothingBelieved) {
  Script s{Established{}};
  s.icmp({.what = PathError::kHostUnreachable, .seq = 0}, IcmpVerdict::kForged).notices(0);
  s.app_send(1'000).skip().receives({.ack = 1'000});
  s.icmp({.what = PathError::kHostUnreachable, .seq = 0}, IcmpVerdict::kForged).notices(0);
}

TEST(IcmpError, IsToldOnce) {
  Script s{Established{}};
  s.app_send(1'000).skip().icmp({.what = PathError::kHostUnreachable});
  s.notices(tcp::kNoticeSoftError).icmp({.what = PathError::kHostUnreachable}).notices(0);
  s.icmp({.what = PathError::kNetUnreachable}).notices(tcp::kNoticeSoftError);
  s.receives({.ack = 1'000});
}

TEST(IcmpError, SaysWhyAnEstablishedConnectionTimedOut) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries2 = 5; }}};
  s.app_send(1'000).skip().icmp({.what = PathError::kNetUnreachable});
  s.runs_until(200s).closed(CloseReason::kNetUnreachable);
}

TEST(IcmpError, WhatIsClosedHearsNothing) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).app_close().closed(CloseReason::kAborted);
  s.icmp({.what = PathError::kPortUnreachable}, IcmpVerdict::kForged);
}

TEST(IcmpError, TimeWaitHearsNothing) {
  Script s{Established{}};
  s.app_close().sends({.flags = ACK | FIN}).receives({.ack = 1, .flags = ACK | FIN});
  s.sends({.flags = ACK}).state(kTimeWait);
  s.icmp({.what = PathError::kPortUnreachable, .seq = 0}, IcmpVerdict::kForged).state(kTimeWait);
}

TEST(IcmpError, AHalfOpenConnectionBelievesWhatQuotesItsSynAck) {
  const Seq iss{0xffff'fff0};
  const auto judge = [&](PathError what, Seq seq) {
    return tcp::half_open_icmp(iss, {.what = what, .seq = seq});
  };
  using enum tcp::HalfOpenVerdict;
  EXPECT_EQ(judge(PathError::kPortUnreachable, iss), kAbandon);
  EXPECT_EQ(judge(PathError::kPortUnreachable, iss + 1), kForged);
  EXPECT_EQ(judge(PathError::kHostUnreachable, iss), kKeep);
  EXPECT_EQ(judge(PathError::kNetUnreachable, iss - 1), kForged);
  EXPECT_EQ(judge(PathError::kTooBig, iss), kKeep);
}

// -- R1 ----------------------------------------------------------------------------------------

//= RFC9293 MUST-20 type=test
//= RFC9293 SHLD-9 type=test
//= RFC9293 SHLD-10 type=test
TEST(R1, AfterThreeRetransmissionsThePathIsDoubted) {
  Script s{Established{}};
  s.tcb().path_news = 0;
  s.app_send(1'000).sends({.len = 1'000});
  s.at(1s).sends({.seq = 0}).at(3s).sends({.seq = 0}).at(7s).sends({.seq = 0});
  s.notices(0);
  EXPECT_EQ(s.tcb().path_news, 0);
  s.at(15s).sends({.seq = 0}).notices(tcp::kNoticeSoftError);
  EXPECT_EQ(s.tcb().path_news, tcp::kPathDoubted);
  EXPECT_EQ(s.tcb().soft_error, CloseReason::kTimedOut);
  EXPECT_EQ(s.counters().r1_reached.get(), 1U);
  s.at(31s).sends({.seq = 0}).notices(0);  // once
  s.receives({.ack = 1'000});
  EXPECT_EQ(s.tcb().path_news, tcp::kPathProven);
  EXPECT_EQ(s.tcb().soft_error, CloseReason::kNone);
  EXPECT_EQ(s.counters().r1_reached.get(), 1U);
}

TEST(R1, IsASetting) {
  Script s{Established{.tune = [](tcp::Config& c) { c.retries1 = 1; }}};
  s.app_send(1'000).skip().at(1s).sends({.seq = 0}).notices(0);
  s.at(3s).sends({.seq = 0}).notices(tcp::kNoticeSoftError).receives({.ack = 1'000});
}

TEST(R1, KeepsWhatIcmpSaid) {
  Script s{Established{}};
  s.app_send(1'000).skip().icmp({.what = PathError::kNetUnreachable}).runs_until(16s);
  EXPECT_EQ(s.tcb().soft_error, CloseReason::kNetUnreachable);
  s.receives({.ack = 1'000});
}

// MUST-22: SYNs are handled in the same way.
TEST(R1, CountsForSyns) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).at(1s).sends({}).at(3s).sends({}).at(7s).sends({}).notices(0);
  s.at(15s).sends({}).notices(tcp::kNoticeSoftError);
  EXPECT_EQ(s.tcb().path_news, tcp::kPathDoubted);
  s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460}).sends({.flags = ACK});
  EXPECT_EQ(s.tcb().soft_error, CloseReason::kNone);
}

TEST(CloseReason, HasAnErrnoName) {
  const auto name = [](CloseReason r) { return std::string(tcp::errno_name(r)); };
  EXPECT_EQ(name(CloseReason::kNormal), "0");
  EXPECT_EQ(name(CloseReason::kReset), "ECONNRESET");
  EXPECT_EQ(name(CloseReason::kRefused), "ECONNREFUSED");
  EXPECT_EQ(name(CloseReason::kTimedOut), "ETIMEDOUT");
  EXPECT_EQ(name(CloseReason::kUnreachable), "EHOSTUNREACH");
  EXPECT_EQ(name(CloseReason::kNetUnreachable), "ENETUNREACH");
  EXPECT_EQ(name(CloseReason::kProtocol), "EPROTO");
  EXPECT_EQ(name(CloseReason::kAborted), "ECONNABORTED");
}

}  // namespace
}  // namespace weir::test
