// RFC 5961 in every synchronized state: what a blind RST, SYN or ACK does there. The mechanism is
// lib/tcp/segment_arrives.cc and challenge_ack.cc; ESTABLISHED's finer cases are in
// segment_arrives_rfc5961_test.cc.
#include "script/script.h"

namespace weir::test {
namespace {

constexpr std::uint32_t kOutside = 70'000;  // beyond any window here

struct Blind : testing::TestWithParam<State> {
  // Brings the connection to the state; `r` is RCV.NXT then, `n` SND.NXT.
  Blind() {
    switch (GetParam()) {
      case kFinWait1:
        s.app_shutdown().sends({.flags = ACK | FIN});
        n = 1;
        break;
      case kFinWait2:
        s.app_shutdown().sends({.flags = ACK | FIN}).receives({.ack = 1});
        n = 1;
        break;
      case kCloseWait:
        s.receives({.flags = ACK | FIN}).sends({.ack = 1});
        r = 1;
        break;
      case kClosing:
        s.app_shutdown().sends({.flags = ACK | FIN});
        s.receives({.ack = 0, .flags = ACK | FIN}).sends({.ack = 1});
        r = n = 1;
        break;
      case kLastAck:
        s.receives({.flags = ACK | FIN}).sends({.ack = 1});
        s.app_shutdown().sends({.flags = ACK | FIN});
        r = n = 1;
        break;
      case kTimeWait:
        s.app_shutdown().sends({.flags = ACK | FIN}).receives({.ack = 1});
        s.receives({.ack = 1, .flags = ACK | FIN}).sends({.ack = 1});
        r = n = 1;
        break;
      default:
        break;
    }
    s.state(GetParam());
    s.tcb().notices = 0;
  }
  void challenged() {
    s.sends({.seq = n, .ack = r, .len = 0, .flags = ACK}).quiet().state(GetParam()).notices(0);
  }
  void silent() { s.quiet().state(GetParam()).notices(0); }

  Script s{Established{}};
  std::uint32_t r = 0, n = 0;
};

// RFC 1337 besides: TIME-WAIT is not assassinated.
//= RFC5961 3.2-b type=test
//= RFC1337 3-a type=test
TEST_P(Blind, AnExactRstResetsAllButTimeWait) {
  s.receives({.seq = r, .flags = RST}).quiet();
  GetParam() == kTimeWait ? s.state(kTimeWait) : s.closed(CloseReason::kReset);
}

//= RFC5961 3.2-c type=test
TEST_P(Blind, ARstInTheWindowIsChallenged) {
  s.receives({.seq = r + 1, .flags = RST});
  challenged();
}

//= RFC5961 3.2-c type=test
TEST_P(Blind, ARstWithAnAckInTheWindowIsChallenged) {
  s.receives({.seq = r + 1'000, .ack = n, .flags = RST | ACK});
  challenged();
}

//= RFC5961 3.2-a type=test
TEST_P(Blind, ARstOutsideTheWindowIsSilent) {
  s.receives({.seq = r + kOutside, .flags = RST});
  s.receives({.seq = r - 1, .flags = RST});
  s.receives({.seq = r + 0x8000'0000, .ack = n, .flags = RST | ACK});
  silent();
}

//= RFC5961 4.2-a type=test
TEST_P(Blind, ASynIsChallengedWhereverItLies) {
  Duration t = 0s;
  for (const std::uint32_t seq : {r, r + 1, r + kOutside, r - 1, r + 0x8000'0000}) {
    s.runs_until(t).receives({.seq = seq, .flags = SYN});
    challenged();
    t += 510ms;
    if (GetParam() != kEstablished) break;  // timers of the close run elsewhere
  }
}

//= RFC5961 4.2-b type=test
TEST_P(Blind, ASynWithTextFinAndAckChangesNothing) {
  s.receives({.seq = r, .ack = n, .len = 10, .flags = SYN | ACK | FIN});
  challenged();
}

//= RFC5961 5.2-a type=test
TEST_P(Blind, AnAckOfWhatWasNotSentIsChallenged) {
  s.receives({.seq = r, .ack = n + 1, .len = 10});
  challenged();
}

//= RFC5961 5.2-a type=test
TEST_P(Blind, AnAckBelowTheLargestWindowIsChallenged) {
  s.receives({.seq = r, .ack = n - 65'600, .len = 10});
  challenged();
}

//= RFC5961 7-a type=test
TEST_P(Blind, TheSecondChallengeWaitsForItsTime) {
  s.receives({.seq = r + 1, .flags = RST});
  challenged();
  s.receives({.seq = r + 2, .flags = RST}).receives({.seq = r, .flags = SYN});
  silent();
  s.at(499ms).receives({.seq = r + 1, .flags = RST});
  silent();
  s.at(500ms).receives({.seq = r + 1, .flags = RST});
  challenged();
}

INSTANTIATE_TEST_SUITE_P(States, Blind,
                         testing::Values(kEstablished, kFinWait1, kFinWait2, kCloseWait, kClosing,
                                         kLastAck, kTimeWait),
                         [](const auto& p) {
                           std::string name(to_string(p.param));
                           std::erase_if(name, [](char c) { return c == '-'; });
                           return name;
                         });

// The largest window that the peer ever offered, scaled, not the present one.
//= RFC5961 5.2-b type=test
TEST(BlindAck, TheLargestWindowSeenIsWhatCounts) {
  Script s{Established{.wnd = 500, .wscale = 4}};  // 8,000 octets
  s.receives({.wnd = 10}).quiet();                 // now 160
  s.receives({.ack = 0U - 8'001, .len = 10, .wnd = 10}).sends({.ack = 0}).notices(0);
  s.receives({.ack = 0U - 8'000, .len = 10, .wnd = 10}).at(40ms).sends({.ack = 10}).app_reads(10);
}

// A window of 0 that the application leaves closed does not change what an exact RST is.
//= RFC5961 3.2-b type=test
TEST(BlindReset, AnExactRstInAClosedWindowResets) {
  Script s{Established{.tune = [](tcp::Config& c) { c.rmem = 4'000; }}};
  s.receives({.len = 1'000}).receives({.seq = 1'000, .len = 1'000}).skip();
  s.receives({.seq = 2'000, .len = 1'000}).receives({.seq = 3'000, .len = 1'000}).skip();
  s.receives({.seq = 4'001, .flags = RST}).quiet().state(kEstablished);
  s.receives({.seq = 4'000, .flags = RST}).closed(CloseReason::kReset);
}

// 0 in the setting: as many as are drawn, for who measures.
//= RFC5961 7-b type=test
TEST(ChallengeAck, WithoutAnIntervalThereIsNoLimit) {
  Script s{Established{.tune = [](tcp::Config& c) { c.challenge_ack_interval = 0ms; }}};
  for (int i = 0; i < 10; ++i) s.receives({.seq = 50, .flags = SYN}).sends({.ack = 0});
}

}  // namespace
}  // namespace weir::test
