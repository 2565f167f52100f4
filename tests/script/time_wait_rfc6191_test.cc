// TIME-WAIT records: lib/tcp/time_wait.h (RFC 9293 §3.6.1 and §3.10.7.4; RFC 6191; RFC 1337).
#include "tcp/time_wait.h"

#include "script/script.h"

namespace weir::test {
namespace {

using tcp::TwAnswer;

constexpr Seq kRcvNxt{5};  // the peer's FIN was just below, across the wrap

tcp::TwRecord record(bool stamped) {
  tcp::TwRecord r;
  r.snd_nxt = Seq{77};
  r.rcv_nxt = kRcvNxt;
  r.has_timestamps = stamped ? 1 : 0;
  r.ts_recent = 1'000;
  return r;
}

TwAnswer judge(const tcp::TwRecord& r, std::uint8_t flags, Seq seq,
               std::optional<std::uint32_t> ts = {}, std::uint32_t len = 0,
               const tcp::Config& c = {}) {
  tcp::RxSegment s;
  s.seq = seq;
  s.flags = flags;
  s.len = len;
  s.options.has_timestamps = ts.has_value();
  s.options.ts_val = ts.value_or(0);
  return tw_arrives(r, s, c);
}

//= RFC9293 MAY-2 type=test
//= RFC6191 2-e type=test
TEST(TwRecord, SynWithAHigherNumberReopens) {
  const tcp::TwRecord r = record(false);
  EXPECT_EQ(judge(r, SYN, kRcvNxt + 1), TwAnswer::kNewSyn);
  EXPECT_EQ(judge(r, SYN, kRcvNxt + 0x7fff'0000), TwAnswer::kNewSyn);
  EXPECT_EQ(judge(r, SYN, kRcvNxt - 1), TwAnswer::kAck);
  EXPECT_EQ(judge(r, SYN, kRcvNxt + 0x8000'0001), TwAnswer::kAck);
}

// RFC 6191 §2, each of its branches.
//= RFC9293 SHLD-4 type=test
//= RFC6191 2-a type=test
TEST(TwRecord, ANewerTimestampReopensWhateverTheNumber) {
  const tcp::TwRecord r = record(true);
  for (const std::uint32_t seq : {0U, 0U - 500, 1U, 0x8000'0000U}) {
    EXPECT_EQ(judge(r, SYN, kRcvNxt + seq, 1'001), TwAnswer::kNewSyn) << seq;
    EXPECT_EQ(judge(r, SYN, kRcvNxt + seq, 1'000U + 0x7fff'ffff), TwAnswer::kNewSyn) << seq;
    EXPECT_EQ(judge(r, SYN, kRcvNxt + seq, 999), TwAnswer::kAck) << seq;
    EXPECT_EQ(judge(r, SYN, kRcvNxt + seq, 1'000U + 0x8000'0001), TwAnswer::kAck) << seq;
  }
}

//= RFC6191 2-b type=test
TEST(TwRecord, TheSameTimestampReopensByNumber) {
  const tcp::TwRecord r = record(true);
  EXPECT_EQ(judge(r, SYN, kRcvNxt + 1, 1'000), TwAnswer::kNewSyn);
  EXPECT_EQ(judge(r, SYN, kRcvNxt, 1'000), TwAnswer::kAck);
  EXPECT_EQ(judge(r, SYN, kRcvNxt - 1, 1'000), TwAnswer::kAck);
}

//= RFC6191 2-c type=test
TEST(TwRecord, ASynWithoutTimestampsReopensByNumber) {
  const tcp::TwRecord r = record(true);
  EXPECT_EQ(judge(r, SYN, kRcvNxt + 1), TwAnswer::kNewSyn);
  EXPECT_EQ(judge(r, SYN, kRcvNxt), TwAnswer::kAck);
  EXPECT_EQ(judge(r, SYN, kRcvNxt - 1), TwAnswer::kAck);
}

//= RFC6191 2-d type=test
TEST(TwRecord, TimestampsWhereThereWereNoneReopen) {
  EXPECT_EQ(judge(record(false), SYN, kRcvNxt - 1, 5), TwAnswer::kNewSyn);
  tcp::Config off;
  off.timestamps = false;
  EXPECT_EQ(judge(record(false), SYN, kRcvNxt - 1, 5, 0, off), TwAnswer::kAck);
  EXPECT_EQ(judge(record(false), SYN, kRcvNxt + 1, 5, 0, off), TwAnswer::kNewSyn);
}

// A SYN with more than its own flag is no new incarnation.
TEST(TwRecord, SynWithAckOrRstOpensNothing) {
  EXPECT_EQ(judge(record(true), SYN | ACK, kRcvNxt + 1, 1'001), TwAnswer::kAck);
  EXPECT_EQ(judge(record(true), SYN | RST, kRcvNxt + 1, 1'001), TwAnswer::kDrop);
}

// What it takes over from a control block ends as 2MSL ends it.
//= RFC6191 2-a type=test
TEST(TwRecord, EndingAControlBlockIsTheNormalEnd) {
  Script s{Established{}};
  s.app_shutdown().sends({}).receives({.ack = 1, .len = 3, .flags = ACK | FIN}).sends({});
  s.state(kTimeWait).notices(tcp::kNoticeReadable | tcp::kNoticePeerClosed);
  tcp::Outbox out;
  tcp::end_time_wait(s.tcb(), out);
  s.closed(CloseReason::kNormal).notices(tcp::kNoticeClosed).app_reads(3);
}

//= RFC1337 3-a type=test
TEST(TwRecord, RstIsIgnoredUnlessRfc1337IsOff) {
  const tcp::TwRecord r = record(false);
  EXPECT_EQ(judge(r, RST, kRcvNxt), TwAnswer::kDrop);
  EXPECT_EQ(judge(r, RST | ACK, kRcvNxt), TwAnswer::kDrop);
  tcp::Config off;
  off.rfc1337 = false;
  EXPECT_EQ(judge(r, RST, kRcvNxt, {}, 0, off), TwAnswer::kEnd);
  EXPECT_EQ(judge(r, RST, kRcvNxt + 1, {}, 0, off), TwAnswer::kDrop);
  EXPECT_EQ(judge(r, RST, kRcvNxt - 1, {}, 0, off), TwAnswer::kDrop);
}

TEST(TwRecord, TheFinAgainRestarts) {
  const tcp::TwRecord r = record(false);
  EXPECT_EQ(judge(r, FIN | ACK, kRcvNxt - 1), TwAnswer::kAckRestart);
  EXPECT_EQ(judge(r, FIN | ACK, kRcvNxt - 101, {}, 100), TwAnswer::kAckRestart);
  EXPECT_EQ(judge(r, FIN | ACK, kRcvNxt), TwAnswer::kAck);
  EXPECT_EQ(judge(r, FIN | ACK, kRcvNxt - 50), TwAnswer::kAck);
}

// RFC 1337: old text is acknowledged; an ACK is not, or two of us would talk for ever.
TEST(TwRecord, TextIsAnsweredAcksAreNot) {
  const tcp::TwRecord r = record(false);
  EXPECT_EQ(judge(r, ACK, kRcvNxt, {}, 10), TwAnswer::kAck);
  EXPECT_EQ(judge(r, ACK, kRcvNxt), TwAnswer::kDrop);
  EXPECT_EQ(judge(r, 0, kRcvNxt), TwAnswer::kDrop);
  EXPECT_EQ(judge(r, SYN | ACK, kRcvNxt + 1), TwAnswer::kAck);
}

TEST(TwRecord, TheAckSaysWhatIsKnown) {
  const tcp::TxSegment a = make_tw_ack(record(true), 555);
  EXPECT_EQ(a.flags, ACK);
  EXPECT_EQ(a.seq, Seq{77});
  EXPECT_EQ(a.ack, kRcvNxt);
  EXPECT_EQ(a.len, 0U);
  EXPECT_TRUE(a.options.has_timestamps);
  EXPECT_EQ(a.options.ts_val, 555U);
  EXPECT_EQ(a.options.ts_ecr, 1'000U);
  EXPECT_FALSE(make_tw_ack(record(false), 555).options.has_timestamps);
}

// 29 bits of the clock are kept, and it goes on running when they wrap.
TEST(TwRecord, TheDeadlineIsRightWhereverTheClockStands) {
  for (const std::uint32_t now :
       {0U, 1U, (1U << 29U) - 30'000, (1U << 29U) - 1, 0xffff'ffffU - 7}) {
    tcp::TwRecord r;
    r.set_deadline(now + 60'000);
    EXPECT_EQ(r.left_ms(now), 60'000);
    EXPECT_EQ(r.left_ms(now + 59'999), 1);
    EXPECT_EQ(r.left_ms(now + 60'000), 0);
    EXPECT_EQ(r.left_ms(now + 60'001), -1);
    EXPECT_LT(r.left_ms(now + 60'000 + 3 * 86'400'000), 0);
    EXPECT_EQ(r.dead + r.restarted + r.has_timestamps, 0);
  }
}

TEST(TwRecord, IsMadeFromTheControlBlock) {
  Script s{Established{.ts = Ts{42, 0}}};
  s.app_close().sends({}).receives({.ack = 1, .flags = ACK | FIN, .ts = Ts{50, 0}}).sends({});
  s.state(kTimeWait);
  const FlowKey flow{IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
  tcp::TwRecord r;
  r.restarted = r.dead = 1;  // of the one before
  make_tw_state(r, s.tcb(), flow);
  r.set_addresses(flow);
  EXPECT_EQ(r.flow(), flow);
  EXPECT_EQ(r.snd_nxt, s.tcb().snd_nxt);
  EXPECT_EQ(r.rcv_nxt, s.tcb().rcv_nxt);
  EXPECT_EQ(r.ts_recent, 50U);
  EXPECT_EQ(r.has_timestamps, 1U);
  EXPECT_EQ(r.dead, 0U);
  EXPECT_EQ(r.restarted, 0U);
}

}  // namespace
}  // namespace weir::test
