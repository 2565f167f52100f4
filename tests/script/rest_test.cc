// A connection at rest (lib/tcp/frozen.h): what it keeps, what it may leave out, and that nothing
// that follows shows it.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "script/random_life.h"
#include "script/script.h"

namespace weir::test {
namespace {

using tcp::Tcb;

constexpr Established kRich = {.wnd = 30'000, .ts = Ts{.val = 77}, .wscale = 5, .sack = true};

// -- One life twice --------------------------------------------------------------------------
struct CalmWay : UsualWay {
  static constexpr bool kCalm = true;
};

// The same choices: with every rest that there may be, and without.
template <class Way>
std::uint64_t compare_lives(std::uint64_t lives) {
  constexpr unsigned kEvents = 300;
  std::uint64_t rests = 0;
  for (std::uint64_t seed = 1; seed <= lives; ++seed) {
    const auto live = [seed](bool may_rest, std::uint64_t& taken) {
      Rng rng(seed * 7 + 0x9e37'79b9);
      RandomLife<Rng, Way> life(rng, may_rest);
      for (unsigned i = 0; i < kEvents && life.tcb().state != State::kClosed; ++i) life.step();
      life.end();
      taken += life.rests();
      return life.trace();
    };
    std::uint64_t none = 0;
    const std::uint64_t awake = live(false, none);
    EXPECT_EQ(awake, live(true, rests)) << "seed " << seed;
    EXPECT_EQ(none, 0U);
    if (testing::Test::HasFailure()) break;
  }
  return rests;
}

// A run that hardly rests would prove nothing.
TEST(Rest, NoLifeIsOtherForIt) {
  EXPECT_GT(compare_lives<UsualWay>(2'000 / kOneLifeIn), 4'000U / kOneLifeIn);
}

TEST(Rest, NorAnyCalmOne) {
  EXPECT_GT(compare_lives<CalmWay>(1'000 / kOneLifeIn), 3'000U / kOneLifeIn);
}

// -- Octet by octet --------------------------------------------------------------------------
struct Range {
  std::size_t begin, end;
};

#define WEIR_FIELD(name)                                         \
  Range {                                                        \
    offsetof(Tcb, name), offsetof(Tcb, name) + sizeof(Tcb::name) \
  }

// What lib/tcp/frozen.cc says of what is not kept, and the padding of what is assigned whole.
std::vector<Range> may_differ() {
  return {WEIR_FIELD(snd_wl2),
          WEIR_FIELD(snd_small),
          WEIR_FIELD(rtx_nxt),
          WEIR_FIELD(rtx_end),
          WEIR_FIELD(cwnd_mark),
          WEIR_FIELD(reo_round_end),
          WEIR_FIELD(rtt_seq),
          WEIR_FIELD(tlp_end),
          WEIR_FIELD(recover),
          WEIR_FIELD(ecn_high),
          WEIR_FIELD(irs),
          WEIR_FIELD(iss),
          WEIR_FIELD(peer_fin),
          WEIR_FIELD(rcv_up),
          WEIR_FIELD(snd_up),
          WEIR_FIELD(early),
          WEIR_FIELD(dsack_left),
          WEIR_FIELD(dsack_right),
          WEIR_FIELD(rtt_start),
          WEIR_FIELD(una_ms),
          WEIR_FIELD(undo),
          WEIR_FIELD(may_undo),
          WEIR_FIELD(pace_next),
          WEIR_FIELD(mtu_probe_end),
          WEIR_FIELD(probe_is_tlp),
          {offsetof(Tcb, cubic) + offsetof(tcp::Cubic, running) + 1,
           offsetof(Tcb, cubic) + sizeof(tcp::Cubic)},
          {offsetof(Tcb, rto) + 21, offsetof(Tcb, rto) + sizeof(tcp::RtoEstimator)}};
}

#undef WEIR_FIELD

using Image = std::array<std::byte, sizeof(Tcb)>;

// A control block that begins as zeros, so that its padding says nothing.
struct Zeroed {
  explicit Zeroed(const tcp::Config& c) : tcb(*::new (octets.data()) Tcb(c)) {}
  ~Zeroed() { tcb.~Tcb(); }
  Zeroed(const Zeroed&) = delete;
  Zeroed& operator=(const Zeroed&) = delete;

  alignas(64) Image octets{};
  Tcb& tcb;
};

std::vector<std::size_t> differences(const Image& a, const Image& b) {
  std::vector<std::size_t> at;
  const auto excused = may_differ();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    const bool may =
        std::ranges::any_of(excused, [i](const Range& r) { return i >= r.begin && i < r.end; });
    if (!may) at.push_back(i);
  }
  return at;
}

// Every octet of a control block that is not excused by name is set to something else than where it
// begins, as far as it may rest so, and comes back.
void fill(Tcb& t) {
  t.state = State::kEstablished;
  t.rcv_nxt = t.last_ack_sent = Seq{0x1111'2222};
  t.irs = Seq{5};
  t.snd_una = t.snd_nxt = t.snd_wl2 = t.recover = t.snd_small = Seq{0x3333'4444};
  t.rtx_nxt = t.rtx_end = t.cwnd_mark = t.snd_una;
  t.rcv_adv = Seq{0x1111'9999};
  t.snd_wl1 = Seq{0x1111'2211};
  t.snd_wnd = 0x0102'0304;
  t.max_snd_wnd = 0x0203'0405;
  t.flags = tcp::kNoDelay | tcp::kTimestamps | tcp::kPassive | tcp::kSynResent | tcp::kScaling |
            tcp::kIpv6 | tcp::kSack;
  t.mss = 0x0506;
  t.snd_wscale = 13;
  t.rcv_wscale = 14;
  t.max_rcv_wnd = 0xffffU << 14U;
  t.ecn = tcp::kEcnAsked | tcp::kEcnPlainSyn | tcp::kEcnEcho | tcp::kEcnSend | tcp::kEcnDemand |
          tcp::kEcnCwrDue | tcp::kEcnTold;
  t.ecn_high = t.snd_una;
  t.modes = tcp::kCork | tcp::kCorkFlush | tcp::kReno | tcp::kModerate | tcp::kMore;
  t.tos_in = 0xb8;
  t.pushed = Seq{0x3333'0000};
  t.cwnd = 0x0001'0203;
  t.ssthresh = 0x0002'0304;
  t.cwnd_acked = 0x0003'0405;
  t.cwnd_used = 0x0004'0506;
  t.cwnd_filled = true;
  t.rto.on_sample(Micros(123'457));
  t.rto.back_off();
  t.ts_recent = 0x0a0b'0c0d;
  t.ts_recent_age_s = 0x0b0c'0d0e;
  t.ts_offset = 0x0c0d'0e0f;
  t.challenge_ms = 0x0d0e'0f10;
  t.rcv_mss = 0x0708;
  t.peer_seg = 0x0809;
  t.rcv_buf = 0x0e0f'1011;
  t.read_mark = Seq{0x0f10'1112};
  t.read_mark_us = 0x1011'1213;
  t.read_before = 0x1112'1314;
  t.rcv_rtt_us = 0x1213'1415;
  t.quick_acks = 0x8e;
  t.keepalive_unanswered = 3;
  t.cubic = {.w_max = 0x2122'2324,
             .w_est = 0x2223'2425,
             .est_acked = 0x2324'2526,
             .k_ms = 0x2425'2627,
             .elapsed_us = 0x2526'2728,
             .last_us = 0x2627'2829,
             .running = true};
  t.undo.cwnd = 0x2728'292a;
  t.max_pacing_rate = 0x2829'2a2b;
  t.min_rtt_us = 0x292a'2b2c;
  t.min_rtt_late_us = 0x2a2b'2c2d;
  t.min_rtt_since_s = 0x2b2c'2d2e;
  t.reo_mult = 7;
  t.reo_persist = 15;
  t.reordering_seen = t.tlp_out = t.tlp_again = t.late_open = true;
  t.tlp_end = t.snd_una;
  t.soft_error = CloseReason::kNetUnreachable;
  t.full_mss = 0x090a;
  t.mtu_low = 0x0a0b;
  t.mtu_high = 0x0b0c;
  t.mss_lowered_s = 0x2c2d'2e2f;
}

class RestImage : public testing::Test {
 protected:
  // Frozen and put together again, and what differs of it.
  std::vector<std::size_t> come_back(Zeroed& before, Instant later) {
    EXPECT_TRUE(tcp::may_freeze(before.tcb, now));
    const tcp::Frozen f = tcp::freeze(before.tcb);
    tcp::thaw(after.tcb, f, later);
    return differences(before.octets, after.octets);
  }

  Instant now{std::chrono::hours(300'000)};  // 1970 was so long ago
  tcp::Config config;
  Zeroed before{config}, after{config};
};

TEST_F(RestImage, KeepsEveryOctetThatSaysSomething) {
  fill(before.tcb);
  before.tcb.last_sent = now - 3s;
  before.tcb.last_received = now - 2s;
  before.tcb.life_deadline = now + std::chrono::hours(2);
  EXPECT_EQ(come_back(before, now + std::chrono::hours(24 * 300)), std::vector<std::size_t>{});
  const Tcb& t = after.tcb;
  EXPECT_EQ(t.undo.cwnd, before.tcb.undo.cwnd);
  EXPECT_EQ(t.recover, before.tcb.recover);
  EXPECT_EQ(t.ecn_high, before.tcb.ecn_high);
  EXPECT_EQ(t.tlp_end, before.tcb.tlp_end);
  EXPECT_TRUE(t.cwnd_filled);
  EXPECT_TRUE(t.late_open);
}

TEST_F(RestImage, OneThatHasHardlyBegunComesBackToo) {
  Tcb& t = before.tcb;
  t.state = State::kEstablished;
  t.cwnd = 14'600;
  t.irs = Seq{9};
  t.rcv_nxt = t.last_ack_sent = Seq{10};
  t.recover = t.snd_una - 1;
  t.last_received = now;
  t.rcv_rtt_edge = Seq{0x0102'0304};  // without timestamps
  t.rcv_rtt_edge_us = 0x0203'0405;
  t.set(tcp::kSack);
  EXPECT_EQ(come_back(before, now), std::vector<std::size_t>{});
  EXPECT_EQ(after.tcb.irs, t.irs);
  EXPECT_EQ(after.tcb.recover, t.recover);
  EXPECT_EQ(after.tcb.last_sent, Instant{});
  EXPECT_EQ(after.tcb.life_deadline, kNever);
  EXPECT_FALSE(after.tcb.rto.sampled());
}

TEST(RestMoment, AnInstantComesBackWithinFourYearsOnEitherSide) {
  for (const Duration since : {Duration(0s), Duration(1h), Duration(std::chrono::hours(500'000))}) {
    const Instant t = Instant{} + since;
    const tcp::Moment m(t);
    for (const Duration off : {Duration(1us), Duration(7s), tcp::Moment::kReach}) {
      EXPECT_EQ(m.near(t + off), t);
      EXPECT_EQ(m.near(t - off), t);
    }
  }
}

// -- What may not rest -----------------------------------------------------------------------
class Restless : public testing::Test {
 protected:
  Restless() {
    fill(tcb());
    tcb().last_received = now;
  }
  Tcb& tcb() { return zeroed.tcb; }

  Instant now{std::chrono::hours(100'000)};
  tcp::Config config;
  Zeroed zeroed{config};
};

TEST_F(Restless, NoFlagThatPromisesSomething) {
  ASSERT_TRUE(tcp::may_freeze(tcb(), now));
  for (const unsigned flag :
       {tcp::kAckNow, tcp::kSynDue, tcp::kFinQueued, tcp::kUserClosed, tcp::kWantWritable,
        tcp::kTiming, tcp::kPersisting, tcp::kPeerFinKnown, tcp::kDsackDue}) {
    tcb().set(static_cast<std::uint16_t>(flag));
    EXPECT_FALSE(tcp::may_freeze(tcb(), now)) << flag;
    tcb().clear(static_cast<std::uint16_t>(flag));
  }
  for (const std::uint8_t mode : {tcp::kUrgentIn, tcp::kUrgentOut, tcp::kLowat}) {
    tcb().enter_mode(mode);
    EXPECT_FALSE(tcp::may_freeze(tcb(), now)) << +mode;
    tcb().leave_mode(mode);
  }
  tcb().ecn_set(tcp::kEcnWait);
  EXPECT_FALSE(tcp::may_freeze(tcb(), now));
}

TEST_F(Restless, NoTimerButThatOfItsLife) {
  for (Instant Tcb::*timer :
       {&Tcb::rtx_deadline, &Tcb::probe_deadline, &Tcb::delack_deadline, &Tcb::cork_deadline}) {
    tcb().*timer = now + 10s;
    EXPECT_FALSE(tcp::may_freeze(tcb(), now));
    tcb().*timer = kNever;
  }
  tcb().pace_next = now;
  EXPECT_FALSE(tcp::may_freeze(tcb(), now));
  tcb().pace_next = now - 1ms;
  EXPECT_TRUE(tcp::may_freeze(tcb(), now));
  tcb().life_deadline = now + std::chrono::hours(24 * 365 * 3);  // beyond what is kept of it
  EXPECT_FALSE(tcp::may_freeze(tcb(), now));
}

TEST_F(Restless, NoMarkAheadOfWhatIsAcknowledged) {
  const auto restless = [this] { return !tcp::may_freeze(tcb(), now); };
  for (Seq Tcb::*mark : {&Tcb::recover, &Tcb::ecn_high, &Tcb::snd_small, &Tcb::snd_nxt}) {
    tcb().*mark += 1;
    EXPECT_TRUE(restless());
    tcb().*mark = tcb().snd_una;
  }
  tcb().tlp_end = tcb().snd_una - 1;  // a probe whose end has long been passed still waits
  EXPECT_TRUE(restless());
  tcb().tlp_end = tcb().snd_una;
  tcb().last_ack_sent = tcb().rcv_nxt - 1;
  EXPECT_TRUE(restless());
  tcb().last_ack_sent = tcb().rcv_nxt;
  EXPECT_FALSE(restless());
}

TEST_F(Restless, NothingUnderWay) {
  const auto restless = [this] { return !tcp::may_freeze(tcb(), now); };
  for (std::uint8_t Tcb::*count :
       {&Tcb::dup_acks, &Tcb::dup_acks_due, &Tcb::retries, &Tcb::notices, &Tcb::path_news}) {
    tcb().*count = 1;
    EXPECT_TRUE(restless());
    tcb().*count = 0;
  }
  tcb().unacked_in = 1;
  EXPECT_TRUE(restless());
  tcb().unacked_in = 0;
  tcb().recovery = tcp::Recovery::kFast;
  EXPECT_TRUE(restless());
  tcb().recovery = tcp::Recovery::kNone;
  tcb().mtu_probe = 1'400;
  EXPECT_TRUE(restless());
  tcb().mtu_probe = 0;
  tcb().frto = tcp::Frto::kProbing;
  EXPECT_TRUE(restless());
  tcb().frto = tcp::Frto::kOff;
  tcb().pace_waits = true;
  EXPECT_TRUE(restless());
  tcb().pace_waits = false;
  tcb().records = true;
  EXPECT_TRUE(restless());
  tcb().records = false;
  for (Instant Tcb::*when : {&Tcb::last_sent, &Tcb::last_received}) {  // longer than is kept
    const Instant was = std::exchange(tcb().*when, now - std::chrono::hours(24 * 365 * 3));
    EXPECT_TRUE(restless());
    tcb().*when = was;
  }
  EXPECT_FALSE(restless());
  for (const State s : {kSynReceived, kFinWait1, kFinWait2, kCloseWait, kLastAck, kTimeWait}) {
    tcb().state = s;
    EXPECT_TRUE(restless()) << to_string(s);
  }
}

// -- In a script -----------------------------------------------------------------------------
TEST(Rest, TextAndAReadLeaveAConnectionThatMayRest) {
  Script s(kRich);
  EXPECT_TRUE(rest(s.tcb(), Instant{1h}));
  s.at(10ms).receives({.seq = 0, .ack = 0, .len = 300, .flags = PSH | ACK, .ts = Ts{.val = 80}});
  s.notices(tcp::kNoticeReadable);
  EXPECT_FALSE(rest(s.tcb(), Instant{1h} + 10ms));  // not read, not acknowledged
  s.app_reads(300).skip().app_send(500);
  s.sends({.seq = 0, .ack = 300, .len = 500});
  EXPECT_FALSE(rest(s.tcb(), Instant{1h} + 10ms));  // in flight
  s.at(30ms).receives({.seq = 300, .ack = 500, .ts = Ts{.val = 90, .ecr = 10}});
  EXPECT_TRUE(rest(s.tcb(), Instant{1h} + 30ms));
  s.at(5s).app_send(100).sends({.seq = 500, .ack = 300, .len = 100, .ts = Ts{5'000, 90}});
  s.at(5s + 20ms).receives({.seq = 300, .ack = 600, .ts = Ts{.val = 95, .ecr = 5'000}});
}

}  // namespace
}  // namespace weir::test
