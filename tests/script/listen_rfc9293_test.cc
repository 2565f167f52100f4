// Opening passively: lib/tcp/listen.h (RFC 9293 §3.10.7.2, and SYN-RECEIVED of §3.10.7.4).
#include "tcp/listen.h"

#include "script/script.h"
#include "tcp/reset.h"

namespace weir::test {
namespace {

using tcp::ListenAnswer;
using tcp::SynAnswer;

const FlowKey kFlow{IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
constexpr Seq kIss{0xffff'fe00};
constexpr Seq kIrs{0xffff'ff00};

tcp::RxSegment segment(std::uint8_t flags, Seq seq = kIrs, Seq ack = Seq{}) {
  tcp::RxSegment s;
  s.seq = seq;
  s.ack = ack;
  s.flags = flags;
  return s;
}

tcp::SynEntry entry_of(const tcp::RxSegment& syn, const tcp::Config& c) {
  tcp::SynEntry e;
  tcp::open_syn_entry(e, syn, kFlow, kIss, c);
  return e;
}

TEST(Listen, JudgesBySection3_10_7_2) {
  EXPECT_EQ(listen_arrives(segment(RST)), ListenAnswer::kDrop);
  EXPECT_EQ(listen_arrives(segment(RST | ACK)), ListenAnswer::kDrop);
  EXPECT_EQ(listen_arrives(segment(RST | SYN)), ListenAnswer::kDrop);
  EXPECT_EQ(listen_arrives(segment(ACK)), ListenAnswer::kReset);
  EXPECT_EQ(listen_arrives(segment(SYN | ACK)), ListenAnswer::kReset);
  EXPECT_EQ(listen_arrives(segment(FIN | ACK)), ListenAnswer::kReset);
  EXPECT_EQ(listen_arrives(segment(SYN)), ListenAnswer::kSyn);
  EXPECT_EQ(listen_arrives(segment(SYN | tcp::ECE | tcp::CWR)), ListenAnswer::kSyn);
  EXPECT_EQ(listen_arrives(segment(SYN | tcp::URG | PSH)), ListenAnswer::kSyn);
  EXPECT_EQ(listen_arrives(segment(SYN | FIN)), ListenAnswer::kDrop);
  EXPECT_EQ(listen_arrives(segment(FIN)), ListenAnswer::kDrop);
  EXPECT_EQ(listen_arrives(segment(0)), ListenAnswer::kDrop);
  EXPECT_EQ(listen_arrives(segment(PSH | tcp::URG)), ListenAnswer::kDrop);
}

// §3.10.7.1: what CLOSED answers.
TEST(Closed, ResetTakesItsNumbersFromTheSegment) {
  tcp::TxSegment rst = tcp::reset_for(segment(ACK, Seq{5}, Seq{77}));
  EXPECT_EQ(rst.flags, RST);
  EXPECT_EQ(rst.seq, Seq{77});
  rst = tcp::reset_for(segment(SYN, Seq{0xffff'ffff}));
  EXPECT_EQ(rst.flags, RST | ACK);
  EXPECT_EQ(rst.seq, Seq{0});
  EXPECT_EQ(rst.ack, Seq{0});  // SYN counts, across the wrap
  tcp::RxSegment text = segment(FIN, Seq{10});
  text.len = 7;
  EXPECT_EQ(tcp::reset_for(text).ack, Seq{18});
}

//= RFC9293 MUST-14 type=test
TEST(SynReceived, SynAckOffersWhatWasOffered) {
  tcp::Config c;
  tcp::RxSegment syn = segment(SYN);
  syn.options.mss = 1'400;
  syn.options.window_scale = 20;
  syn.options.has_timestamps = true;
  syn.options.ts_val = 99;
  syn.options.sack_permitted = true;
  const tcp::SynEntry e = entry_of(syn, c);
  const tcp::TxSegment s = make_syn_ack(e, c, 1'500, 4'242);
  EXPECT_TRUE(s.options.sack_permitted);
  EXPECT_EQ(s.seq, kIss);
  EXPECT_EQ(s.ack, kIrs + 1);
  EXPECT_EQ(s.flags, SYN | ACK);
  EXPECT_EQ(s.wnd, 45 * 1'448);  // never scaled in a SYN; whole segments
  EXPECT_EQ(s.options.mss, 1'460);
  EXPECT_EQ(s.options.window_scale, 3);
  EXPECT_TRUE(s.options.has_timestamps);
  EXPECT_EQ(s.options.ts_val, 4'242U);
  EXPECT_EQ(s.options.ts_ecr, 99U);
  EXPECT_EQ(e.scale(), 14);  // RFC 7323 §2.3
}

TEST(SynReceived, SynAckOffersNothingThatWasNotOffered) {
  const tcp::Config c;
  const tcp::TxSegment s = make_syn_ack(entry_of(segment(SYN), c), c, 1'500, 1);
  EXPECT_EQ(s.wnd, 44 * 1'460);
  EXPECT_EQ(s.options.window_scale, wire::kNoWindowScale);
  EXPECT_FALSE(s.options.has_timestamps);
  EXPECT_FALSE(s.options.sack_permitted);
  EXPECT_EQ(s.options.mss, 1'460);
}

TEST(SynReceived, SettingsThatAreOffAreNotAnswered) {
  tcp::Config c;
  c.timestamps = c.window_scaling = c.sack = false;
  tcp::RxSegment syn = segment(SYN);
  syn.options.window_scale = 7;
  syn.options.has_timestamps = true;
  syn.options.sack_permitted = true;
  const tcp::TxSegment s = make_syn_ack(entry_of(syn, c), c, 1'500, 1);
  EXPECT_EQ(s.options.window_scale, wire::kNoWindowScale);
  EXPECT_FALSE(s.options.has_timestamps);
  EXPECT_FALSE(s.options.sack_permitted);
}

TEST(SynReceived, TheSameSynIsAnsweredAgain) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  EXPECT_EQ(syn_entry_arrives(e, segment(SYN), c, 1'500), SynAnswer::kResendSynAck);
}

// RFC 5961 §4.2; RFC 9293 §3.10.7.4, first: another SYN gets an ACK, the entry stays.
TEST(SynReceived, AnotherSynIsChallenged) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  EXPECT_EQ(syn_entry_arrives(e, segment(SYN, kIrs + 9), c, 1'500), SynAnswer::kChallenge);
  EXPECT_EQ(syn_entry_arrives(e, segment(SYN, kIrs - 9), c, 1'500), SynAnswer::kChallenge);
  EXPECT_EQ(syn_entry_arrives(e, segment(SYN, kIrs + 0x4000'0000), c, 1'500),
            SynAnswer::kChallenge);
}

TEST(SynReceived, TheRightAckEstablishes) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  EXPECT_EQ(syn_entry_arrives(e, segment(ACK, kIrs + 1, kIss + 1), c, 1'500),
            SynAnswer::kEstablish);
  EXPECT_EQ(syn_entry_arrives(e, segment(ACK | FIN, kIrs + 1, kIss + 1), c, 1'500),
            SynAnswer::kEstablish);
  // Its ACK was lost, and the text behind it comes first.
  EXPECT_EQ(syn_entry_arrives(e, segment(ACK, kIrs + 1'001, kIss + 1), c, 1'500),
            SynAnswer::kEstablish);
}

TEST(SynReceived, TheWrongAckDrawsRst) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  EXPECT_EQ(syn_entry_arrives(e, segment(ACK, kIrs + 1, kIss), c, 1'500), SynAnswer::kReset);
  EXPECT_EQ(syn_entry_arrives(e, segment(ACK, kIrs + 1, kIss + 2), c, 1'500), SynAnswer::kReset);
}

TEST(SynReceived, NoAckFlagIsDropped) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  EXPECT_EQ(syn_entry_arrives(e, segment(PSH, kIrs + 1, kIss + 1), c, 1'500), SynAnswer::kDrop);
}

// RFC 5961 §3.2 holds for half-open connections too.
TEST(SynReceived, RstMustBeExact) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  EXPECT_EQ(syn_entry_arrives(e, segment(RST, kIrs + 1), c, 1'500), SynAnswer::kAbandon);
  EXPECT_EQ(syn_entry_arrives(e, segment(RST | ACK, kIrs + 1, kIss + 1), c, 1'500),
            SynAnswer::kAbandon);
  EXPECT_EQ(syn_entry_arrives(e, segment(RST, kIrs + 2), c, 1'500), SynAnswer::kChallenge);
  EXPECT_EQ(syn_entry_arrives(e, segment(RST, kIrs), c, 1'500), SynAnswer::kDrop);
  EXPECT_EQ(syn_entry_arrives(e, segment(RST, kIrs + 1 + 64'240), c, 1'500), SynAnswer::kDrop);
}

TEST(SynReceived, OutsideTheWindowIsChallenged) {
  const tcp::Config c;
  const tcp::SynEntry e = entry_of(segment(SYN), c);
  const tcp::RxSegment late = segment(ACK, kIrs + 1 + 64'240, kIss + 1);
  EXPECT_EQ(syn_entry_arrives(e, late, c, 1'500), SynAnswer::kChallenge);
  EXPECT_EQ(syn_entry_arrives(e, segment(ACK, kIrs - 5, kIss + 1), c, 1'500),
            SynAnswer::kChallenge);
}

// RFC 7323 §3.2 and §5.3.
TEST(SynReceived, TimestampsAreChecked) {
  const tcp::Config c;
  tcp::RxSegment syn = segment(SYN);
  syn.options.has_timestamps = true;
  syn.options.ts_val = 0x8000'0000;
  const tcp::SynEntry e = entry_of(syn, c);
  tcp::RxSegment ack = segment(ACK, kIrs + 1, kIss + 1);
  EXPECT_EQ(syn_entry_arrives(e, ack, c, 1'500), SynAnswer::kDrop);
  ack.options.has_timestamps = true;
  ack.options.ts_val = 0x7fff'ffff;
  EXPECT_EQ(syn_entry_arrives(e, ack, c, 1'500), SynAnswer::kChallenge);
  ack.options.ts_val = 0x8000'0000;
  EXPECT_EQ(syn_entry_arrives(e, ack, c, 1'500), SynAnswer::kEstablish);
  EXPECT_EQ(syn_entry_arrives(e, segment(RST, kIrs + 1), c, 1'500), SynAnswer::kAbandon);  // exempt
}

TEST(SynReceived, RetriesAndScaleShareAnOctet) {
  tcp::SynEntry e;
  e.scale_and_retries = 7;
  for (int i = 0; i < 15; ++i) e.add_retry();
  EXPECT_EQ(e.scale(), 7);
  EXPECT_EQ(e.retries(), 15);
}

// -- The control block that follows ------------------------------------------------------------

//= RFC9293 MUST-16 type=test
TEST(OpenPassive, TakesOptionsFromTheSyn) {
  Script s{Established{.mss = 1'000, .wnd = 500, .ts = Ts{42, 0}, .wscale = 4}};
  EXPECT_EQ(s.tcb().snd_wnd, 8'000U);  // the last ACK's window is scaled
  s.at(5ms).app_send(2'000).sends({.seq = 0, .len = 1'000, .ts = Ts{5, 42}}).sends({.len = 1'000});
}

TEST(OpenPassive, TextOnTheLastAckIsDelivered) {
  const tcp::Config c;
  tcp::Tcb t{c};
  telemetry::Counters counters;
  tcp::Outbox out;
  out.counters = &counters;
  Bufs bufs;
  open_passive(t, entry_of(segment(SYN), c), {.iss = kIss}, Instant{1s});
  EXPECT_EQ(t.state, kSynReceived);
  tcp::RxSegment ack = segment(ACK | FIN, kIrs + 1, kIss + 1);
  ack.len = 10;
  ack.buf = bufs.make(Side::kTheirs, kIrs + 1, 10);
  on_segment(t, ack, Instant{1s}, out);
  poll_transmit(t, Instant{1s}, out);
  EXPECT_EQ(t.state, kCloseWait);
  EXPECT_EQ(t.rcvq.bytes(), 10U);
  EXPECT_EQ(t.notices, tcp::kNoticeConnected | tcp::kNoticeReadable | tcp::kNoticePeerClosed);
  ASSERT_EQ(out.tx.size(), 1U);
  EXPECT_EQ(out.tx.items()[0].ack, kIrs + 12);
  release_buffers(t, out);
  bufs.give_back(std::move(out.release));
  EXPECT_EQ(bufs.live(), 0);
}

// RFC 6298 §5.7 and RFC 6928 §2, for the side whose SYN-ACK was resent.
TEST(OpenPassive, AResentSynAckMakesTheStartCareful) {
  const tcp::Config c;
  tcp::Tcb t{c};
  telemetry::Counters counters;
  tcp::Outbox out;
  out.counters = &counters;
  tcp::SynEntry e = entry_of(segment(SYN), c);
  e.add_retry();
  e.add_resent();
  open_passive(t, e, {.iss = kIss}, Instant{1s});
  on_segment(t, segment(ACK, kIrs + 1, kIss + 1), Instant{1s}, out);
  EXPECT_EQ(t.state, kEstablished);
  EXPECT_EQ(t.cwnd, 536U);
  EXPECT_EQ(t.rto.rto(), 3s);
}

// A retry that sent nothing, as the last ACK had come, says nothing of the path; and what ends the
// handshake in the end says nothing of a round trip.
TEST(OpenPassive, ARetryThatSentNothingDoesNot) {
  const tcp::Config c;
  telemetry::Counters counters;
  tcp::Outbox out;
  out.counters = &counters;
  tcp::Tcb t{c};
  tcp::RxSegment syn = segment(SYN);
  syn.options.has_timestamps = true;
  tcp::SynEntry e = entry_of(syn, c);
  e.add_retry();
  e.bits |= tcp::SynEntry::kAnswered;
  open_passive(t, e, {.iss = kIss, .ts_offset = 0}, Instant{1s});
  tcp::RxSegment ack = segment(ACK, kIrs + 1, kIss + 1);
  ack.options.has_timestamps = true;
  ack.options.ts_ecr = 750;
  on_segment(t, ack, Instant{1s}, out);
  EXPECT_EQ(t.state, kEstablished);
  EXPECT_GT(t.cwnd, 4'000U);
  EXPECT_EQ(t.rto.rto(), 1s);
  EXPECT_FALSE(t.rto.sampled());
}

// The SYN-ACK's own time, where it went once and was answered at once (RFC 6298 §2).
//= RFC6298 5.7 type=test
TEST(OpenPassive, TheHandshakeIsTimed) {
  const tcp::Config c;
  telemetry::Counters counters;
  tcp::Outbox out;
  tcp::Owns owns(1);
  out.counters = &counters;
  out.owns = &owns;
  for (const int what : {0, 1, 2, 3}) {
    tcp::Tcb t{c};
    ASSERT_NE(tcp::lend_own(t, out), nullptr);
    tcp::SynEntry e = entry_of(segment(SYN), c);
    if (what == 1) e.add_resent();                      // by a SYN that came again
    if (what == 2) e.bits |= tcp::SynEntry::kAnswered;  // by an ACK that was not enough
    const Instant sent = what == 3 ? kNever : Instant{1s};
    open_passive(t, e, {.iss = kIss, .syn_ack_sent = sent}, Instant{1'080ms});
    on_segment(t, segment(ACK, kIrs + 1, kIss + 1), Instant{1'080ms}, out);
    EXPECT_EQ(t.rto.sampled(), what == 0) << what;
    EXPECT_TRUE(what != 0 || t.rto.srtt() == 80ms);
    EXPECT_FALSE(t.has(tcp::kSynResent)) << what;
    EXPECT_EQ(t.own->stats.total_retrans, what == 1 ? 1U : 0U);
    tcp::give_own(t, out);
  }
}

TEST(OpenPassive, ResendingIsCountedUpToSeven) {
  tcp::SynEntry e;
  e.offer(true, true);
  e.offer_ecn();
  const std::uint8_t offered = e.bits;
  for (unsigned i = 0; i < 20; ++i) {
    EXPECT_EQ(e.resent(), std::min(i, 7U));
    e.add_resent();
  }
  EXPECT_EQ(e.bits & ~tcp::SynEntry::kResentMask, offered);
}

// However well it could be timed: the echoed clock is that of one of several.
//= RFC6298 5.7 type=test
TEST(OpenPassive, AResentSynAckIsNotTimed) {
  const tcp::Config c;
  telemetry::Counters counters;
  tcp::Outbox out;
  out.counters = &counters;
  for (const bool again : {false, true}) {
    tcp::Tcb t{c};
    tcp::RxSegment syn = segment(SYN);
    syn.options.has_timestamps = true;
    tcp::SynEntry e = entry_of(syn, c);
    if (again) {
      e.add_retry();
      e.add_resent();
    }
    open_passive(t, e, {.iss = kIss, .ts_offset = 0}, Instant{1s});
    tcp::RxSegment ack = segment(ACK, kIrs + 1, kIss + 1);
    ack.options.has_timestamps = true;
    ack.options.ts_ecr = 750;
    on_segment(t, ack, Instant{1s}, out);
    EXPECT_EQ(t.rto.rto(), again ? 3s : 750ms);
  }
}

}  // namespace
}  // namespace weir::test
