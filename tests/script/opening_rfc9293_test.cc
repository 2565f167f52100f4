// How long an open goes on, and the handshakes that old segments cross: lib/tcp/timeouts.cc,
// syn_sent.cc and listen.cc (RFC 9293 §3.5, §3.8.3).
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::SynAnswer;

constexpr Peer kSynAck{.seq = 0, .ack = 1, .flags = SYN | ACK, .mss = 1'460};

struct Patience {
  std::uint8_t retries;
  Duration last_syn, end;
};

class SynRetries : public testing::TestWithParam<Patience> {};

template <std::uint8_t N>
void retries(tcp::Config& c) {
  c.syn_retries = N;
}

// 1, 2, 4, ... s; from six on no end before R2's three minutes; no wait above rto_max.
//= RFC9293 MUST-23 type=test
TEST_P(SynRetries, TheEndComesWhenItShould) {
  void (*tune)(tcp::Config&) = nullptr;
  switch (GetParam().retries) {
    case 1:
      tune = retries<1>;
      break;
    case 5:
      tune = retries<5>;
      break;
    case 6:
      tune = retries<6>;
      break;
    case 7:
      tune = retries<7>;
      break;
    default:
      tune = retries<9>;
  }
  Script s{SynSent{.tune = tune}};
  s.sends({.seq = 0, .flags = SYN});
  Duration at = 1s, wait = 1s;
  for (unsigned i = 0; i < GetParam().retries; ++i) {
    s.at(at).sends({.seq = 0, .len = 0, .flags = SYN}).quiet();
    if (i + 1U < GetParam().retries) at += wait = std::min<Duration>(wait * 2, 120s);
  }
  EXPECT_EQ(at, GetParam().last_syn);
  s.at(GetParam().end - 1us).quiet().state(kSynSent);
  s.at(GetParam().end).quiet().closed(CloseReason::kTimedOut);
  EXPECT_NE(s.tcb().notices & tcp::kNoticeClosed, 0);
}

INSTANTIATE_TEST_SUITE_P(Opening, SynRetries,
                         testing::Values(Patience{1, 1s, 3s}, Patience{5, 31s, 63s},
                                         Patience{6, 63s, 180s}, Patience{7, 127s, 247s},
                                         Patience{9, 367s, 487s}));

// Between the last SYN and R2 the peer may still answer.
//= RFC9293 MUST-23 type=test
TEST(SynRetriesOfSix, ALateAnswerConnects) {
  Script s{SynSent{.tune = retries<6>}};
  s.sends({.flags = SYN}).runs_until(150s).state(kSynSent);
  s.receives(kSynAck).sends({.seq = 1, .ack = 1, .flags = ACK}).state(kEstablished);
  s.at(200s).quiet().state(kEstablished);
}

// An active opener's SYN-ACK is its own connection's, and counts by syn_retries.
//= RFC9293 MUST-22 type=test
TEST(SimultaneousOpen, GoesOnAsLongAsTheSyn) {
  Script s{SynSent{.tune = [](tcp::Config& c) { c.synack_retries = 0; }}};
  s.sends({.flags = SYN});
  s.receives({.flags = SYN, .mss = 1'000}).sends({.flags = SYN | ACK});
  for (const auto t : {1s, 3s, 7s, 15s, 31s}) s.at(t).sends({.seq = 0, .flags = SYN | ACK});
  s.at(63s).quiet().closed(CloseReason::kTimedOut);
}

// Each SYN says the time anew, and all else as before.
TEST(SynSent, EverySynCarriesTheSameOptions) {
  Script s{SynSent{.timestamps = true, .window_scaling = true, .sack = true}};
  s.sends(
      {.seq = 0, .flags = SYN, .mss = 1'460, .wscale = 3, .ts = Ts{0, 0}, .sack_permitted = true});
  s.at(1s).sends({.seq = 0,
                  .flags = SYN,
                  .mss = 1'460,
                  .wscale = 3,
                  .ts = Ts{1'000, 0},
                  .sack_permitted = true});
  s.at(3s).sends({.seq = 0,
                  .flags = SYN,
                  .mss = 1'460,
                  .wscale = 3,
                  .ts = Ts{3'000, 0},
                  .sack_permitted = true});
}

// The first SYN's answer comes after the second SYN: acknowledged once, and again when it doubles.
TEST(SynSent, TheSecondSynAckIsADuplicate) {
  Script s{SynSent{}};
  s.sends({.flags = SYN}).at(1s).sends({.flags = SYN});
  s.at(1'100ms).receives(kSynAck).sends({.seq = 1, .ack = 1, .flags = ACK}).state(kEstablished);
  s.notices(tcp::kNoticeConnected);
  s.at(1'200ms).receives(kSynAck).sends({.seq = 1, .ack = 1, .flags = ACK}).quiet();
  s.state(kEstablished).notices(0);
}

// RFC 9293 figure 8, from the client's side: the answer to an old duplicate SYN.
TEST(OldDuplicateSyn, ItsSynAckDrawsRstAndTheNewOneConnects) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.seq = 500, .ack = 0U - 90'000, .flags = SYN | ACK});
  s.sends({.seq = 0U - 90'000, .len = 0, .flags = RST}).quiet().state(kSynSent);
  s.receives({.seq = 0, .ack = 1, .flags = SYN | ACK}).sends({.seq = 1, .ack = 1, .flags = ACK});
  s.state(kEstablished);
}

// A half-open connection of the old incarnation on the other side: its ACK draws RST, our SYN goes
// on.
//= RFC9293 MUST-22 type=test
TEST(OldDuplicateSyn, TheAckOfAHalfOpenPeerDrawsRstAndTheSynComesAgain) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.seq = 77, .ack = 5'000}).sends({.seq = 5'000, .len = 0, .flags = RST}).quiet();
  s.at(1s).sends({.seq = 0, .flags = SYN});
  s.receives(kSynAck).sends({.seq = 1, .ack = 1, .flags = ACK}).state(kEstablished);
}

TEST(SynSent, ASynAckWithRstAndSynIsRefused) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.ack = 1, .flags = SYN | ACK | RST}).quiet().closed(CloseReason::kRefused);
}

TEST(SynSent, FinAloneOrNothingAtAllIsDropped) {
  Script s{SynSent{}};
  s.sends({.flags = SYN});
  s.receives({.flags = FIN}).receives({.flags = 0}).receives({.flags = PSH | tcp::URG});
  s.quiet().state(kSynSent);
}

// -- Half-open, without a control block -------------------------------------------------------

const FlowKey kFlow{IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
constexpr Seq kIss{0xffff'fe00};
constexpr Seq kIrs{0xffff'ff00};

struct HalfOpenEntry : testing::Test {
  explicit HalfOpenEntry(bool stamped = false) {
    tcp::RxSegment syn;
    syn.seq = kIrs;
    syn.flags = SYN;
    syn.options.has_timestamps = stamped;
    syn.options.ts_val = 1'000;
    tcp::open_syn_entry(e, syn, kFlow, kIss, c);
  }
  SynAnswer judge(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack = 1,
                  std::uint32_t len = 0, std::optional<std::uint32_t> ts = {}) {
    tcp::RxSegment s;
    s.seq = kIrs + seq;
    s.ack = kIss + ack;
    s.flags = flags;
    s.len = len;
    s.options.has_timestamps = ts.has_value();
    s.options.ts_val = ts.value_or(0);
    return tcp::syn_entry_arrives(e, s, c, 1'500);
  }
  tcp::Config c;
  tcp::SynEntry e;
};

// RFC 9293 figure 8, from the server's side: the new SYN is answered for the old one; the client's
// RST, exactly at RCV.NXT, clears the way.
//= RFC5961 4.2-a type=test
TEST_F(HalfOpenEntry, AnotherSynIsChallengedAndTheRstClears) {
  EXPECT_EQ(judge(SYN, 0), SynAnswer::kResendSynAck);
  EXPECT_EQ(judge(SYN, 1), SynAnswer::kChallenge);
  EXPECT_EQ(judge(SYN, 90'000), SynAnswer::kChallenge);
  EXPECT_EQ(judge(SYN, 0x8000'0000), SynAnswer::kChallenge);
  EXPECT_EQ(judge(RST, 1), SynAnswer::kAbandon);
}

//= RFC5961 3.2-a type=test
//= RFC5961 3.2-c type=test
TEST_F(HalfOpenEntry, RstsAreJudgedByTheirNumber) {
  EXPECT_EQ(judge(RST, 0), SynAnswer::kDrop);
  EXPECT_EQ(judge(RST, 2), SynAnswer::kChallenge);
  EXPECT_EQ(judge(RST | ACK, 64'240), SynAnswer::kChallenge);
  EXPECT_EQ(judge(RST, 64'241), SynAnswer::kDrop);
  EXPECT_EQ(judge(RST, 0x8000'0000), SynAnswer::kDrop);
}

// The third segment in all its variants.
TEST_F(HalfOpenEntry, WhatCompletesTheHandshake) {
  EXPECT_EQ(judge(ACK, 1), SynAnswer::kEstablish);
  EXPECT_EQ(judge(ACK | PSH, 1, 1, 500), SynAnswer::kEstablish);
  EXPECT_EQ(judge(ACK | FIN, 1, 1, 500), SynAnswer::kEstablish);
  EXPECT_EQ(judge(ACK, 501, 1, 500), SynAnswer::kEstablish);  // the first text was lost too
  EXPECT_EQ(judge(ACK, 1, 2), SynAnswer::kReset);
  EXPECT_EQ(judge(ACK, 1, 0), SynAnswer::kReset);
  EXPECT_EQ(judge(0, 1), SynAnswer::kDrop);
  EXPECT_EQ(judge(FIN, 1), SynAnswer::kDrop);
  EXPECT_EQ(judge(ACK, 0), SynAnswer::kChallenge);
  EXPECT_EQ(judge(ACK, 65'536), SynAnswer::kChallenge);
  EXPECT_EQ(judge(SYN | ACK, 1), SynAnswer::kChallenge);
}

struct StampedHalfOpenEntry : HalfOpenEntry {
  StampedHalfOpenEntry() : HalfOpenEntry(true) {}
};

TEST_F(StampedHalfOpenEntry, PawsHoldsBeforeTheHandshakeIsDone) {
  EXPECT_EQ(judge(ACK, 1, 1, 0, 1'000), SynAnswer::kEstablish);
  EXPECT_EQ(judge(ACK, 1, 1, 0, 999), SynAnswer::kChallenge);
  EXPECT_EQ(judge(ACK, 1), SynAnswer::kDrop);          // RFC 7323 §3.2
  EXPECT_EQ(judge(RST, 1), SynAnswer::kAbandon);       // §5.2: exempt
  EXPECT_EQ(judge(SYN, 0), SynAnswer::kResendSynAck);  // known by its number
}

//= RFC4987 3.3 type=test
TEST_F(HalfOpenEntry, HowOftenTheSynAckIsResent) {
  EXPECT_EQ(synack_limit(e, c), 2);
  e.bits |= tcp::SynEntry::kAnswered;
  EXPECT_EQ(synack_limit(e, c), 5);
  c.synack_retries = 9;
  EXPECT_EQ(synack_limit(e, c), 9);
  c.synack_retries = 200;
  EXPECT_EQ(synack_limit(e, c), 15);
  e.bits = 0;
  c.synack_retries = 0;
  EXPECT_EQ(synack_limit(e, c), 0);
}

}  // namespace
}  // namespace weir::test
