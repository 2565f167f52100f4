// SYN cookies (RFC 4987 §3.6): connections without a half-open one.
#include "tcp/syn_cookies.h"

#include "base/rng.h"
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

Config always() {
  Config c = small_config();
  c.tcp.syncookies = 2;
  return c;
}

//= RFC4987 3.6-a type=test
TEST(SynCookies, AConnectionComesOfACookieAlone) {
  World w(always());
  w.listen();
  Peer p(w);
  p.syn();
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  p.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->events, kAccepted);
  EXPECT_EQ(w.stack->flow_of(r->conn), p.flow());
  EXPECT_EQ(w.count(&C::syncookies_sent), 1U);
  EXPECT_EQ(w.count(&C::syncookies_recv), 1U);
  EXPECT_EQ(w.count(&C::passive_opens), 1U);
  w.end_later(r->conn);
}

TEST(SynCookies, TextOnTheThirdSegmentIsDelivered) {
  World w(always());
  w.listen();
  Peer p(w);
  p.syn();
  p.send(ACK, "hello");
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(w.read(r->conn), "hello");
  w.end_later(r->conn);
}

// With timestamps everything that was negotiated comes back.
//= RFC4987 3.6-e type=test
TEST(SynCookies, KeepMssWindowScaleAndSack) {
  World w(always());
  w.listen();
  Peer p(w);
  p.syn_options.mss = 600;
  p.syn_options.window_scale = 7;
  p.syn_options.sack_permitted = true;
  p.stamped = true;
  p.send(SYN);
  const Sent syn_ack = p.expect(SYN | ACK);
  EXPECT_EQ(syn_ack.tcp().options.mss, 1'460);
  EXPECT_EQ(syn_ack.tcp().options.window_scale, 3);
  EXPECT_TRUE(syn_ack.tcp().options.sack_permitted);
  p.ts_ecr = syn_ack.tcp().options.ts_val;
  p.wnd = 10;  // 1,280 octets, scaled
  p.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  w.send(r->conn, std::string(2'000, 'x'));
  std::size_t got = 0;
  while (auto s = p.take()) {
    EXPECT_LE(s->text.size(), 536U - 12);  // the largest that a cookie knows below 600
    got += s->text.size();
  }
  EXPECT_GE(got, 1'000U);  // a window of 10 would have stopped it long before
  w.feed(p.make(ACK, p.snd_nxt + 100, p.rcv_nxt, "early"));
  unsigned blocks = 0;
  while (auto reply = p.take()) blocks += reply->tcp().options.sack_count;
  EXPECT_GE(blocks, 1U);
  w.stack->abort(r->conn);
  w.iterate();
  w.tcp.clear();
}

// The low bits of the echoed clock were options: it tells of no round trip.
TEST(SynCookies, AreNotTimed) {
  World w(always());
  w.listen();
  Peer p(w);
  p.stamped = true;
  p.send(SYN);
  const Sent syn_ack = p.expect(SYN | ACK);
  p.ts_ecr = syn_ack.tcp().options.ts_val;
  w.run_for(1ms);
  p.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  w.end_later(r->conn);
  EXPECT_EQ(w.stack->info(r->conn)->rtt, 0s);
  EXPECT_EQ(w.stack->info(r->conn)->rto, 1s);
}

// Of another listener at that port, before this one: only where both told the same scale.
TEST(SynCookies, OfAListenerWithAnotherWindowScaleAreRefused) {
  for (const std::uint32_t rcvbuf : {0U, 4'000'000U}) {
    World w(always());
    auto before = w.stack->listen({IpAddr{}, 80}, {});
    Peer p(w), q(w, {.port = 2});
    for (Peer* each : {&p, &q}) {
      each->stamped = true;
      each->syn_options.window_scale = 7;
    }
    p.send(SYN);
    const Sent old = p.expect(SYN | ACK);
    EXPECT_EQ(old.tcp().options.window_scale, 3);
    w.stack->stop_listening(*before);
    ListenOptions o;
    o.conn.tcp.rcvbuf = rcvbuf;
    ASSERT_TRUE(w.stack->listen({IpAddr{}, 80}, o).ok());
    q.send(SYN);
    EXPECT_EQ(q.expect(SYN | ACK).tcp().options.window_scale, rcvbuf == 0 ? 3 : 6);
    p.ts_ecr = old.tcp().options.ts_val;
    p.send(ACK);
    const auto r = w.next_event();
    EXPECT_EQ(r.has_value(), rcvbuf == 0);
    EXPECT_EQ(w.count(&C::drop_syncookie_bad), rcvbuf == 0 ? 0U : 1U);
    if (r) w.end_later(r->conn);
    w.tcp.clear();
  }
}

TEST(SynCookies, WithoutTimestampsThereIsTheMssAlone) {
  World w(always());
  w.listen();
  Peer p(w);
  p.syn_options.mss = 1'400;
  p.syn_options.window_scale = 7;
  p.syn_options.sack_permitted = true;
  p.send(SYN);
  const Sent s = p.expect(SYN | ACK);
  EXPECT_EQ(s.tcp().options.window_scale, wire::kNoWindowScale);
  EXPECT_FALSE(s.tcp().options.sack_permitted);
  EXPECT_EQ(s.tcp().options.mss, 1'460);
  p.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  w.end_later(r->conn);
}

//= RFC4987 3.6-b type=test
TEST(SynCookies, NothingElseOpensAConnection) {
  World w(always());
  w.listen();
  Peer p(w);
  p.syn();
  Rng rng(1);
  for (int i = 0; i < 1'000; ++i) {  // a wrong number, a wrong sequence number, a wrong port
    Peer forger(w, {.port = static_cast<std::uint16_t>(p.at.port + (i % 3 == 2 ? 1 : 0))});
    forger.snd_nxt = p.snd_nxt + (i % 3 == 1 ? 1U : 0U);
    forger.rcv_nxt = i % 3 == 0 ? Seq{static_cast<std::uint32_t>(rng.next())} : p.rcv_nxt;
    forger.send(ACK);
  }
  w.expect_no_event();
  EXPECT_EQ(w.count(&C::syncookies_recv), 0U);
  EXPECT_EQ(w.count(&C::drop_syncookie_bad), 1'000U);
  EXPECT_GT(w.count(&C::out_rsts), 0U);
  w.tcp.clear();
}

TEST(SynCookies, AStampThatWasNotOursIsNoAnswer) {
  World w(always());
  w.listen();
  Peer p(w);
  p.stamped = true;
  p.send(SYN);
  p.ts_ecr = p.expect(SYN | ACK).tcp().options.ts_val ^ 1U;  // another window scale
  p.send(ACK);
  w.expect_no_event();
  p.expect(RST);
}

//= RFC4987 3.6-c type=test
TEST(SynCookies, LastAMinuteAtLeastAndTwoAtMost) {
  for (const auto& [after, good] : {std::pair{63s, true}, std::pair{128s, false}}) {
    World w(always());
    w.listen();
    Peer p(w), other(w, {.port = 7});
    p.syn();
    w.run_for(after);
    other.syn();  // so that cookies are looked for at all
    p.send(ACK);
    const auto r = w.next_event();
    EXPECT_EQ(r.has_value(), good) << after.count();
    if (r) w.end_later(r->conn);
    w.tcp.clear();
  }
}

TEST(SynCookies, AreNotLookedForWhereNoneWasSent) {
  Config c = small_config();
  c.tcp.syncookies = 1;
  World w(c);
  w.listen();
  Peer p(w);
  p.rcv_nxt = Seq{77};
  p.send(ACK);
  EXPECT_EQ(w.count(&C::drop_syncookie_bad), 0U);
  p.expect(RST);
}

TEST(SynCookies, AFullAcceptQueueDropsTheAnswerAndTheClientComesAgain) {
  World w(always());
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  Peer first(w, {.port = 1}), second(w, {.port = 2});
  first.syn();
  second.syn();
  first.send(ACK);
  second.send(ACK);
  EXPECT_EQ(w.count(&C::drop_accept_queue_full), 1U);
  w.stack->pause_accept(l, false);
  w.iterate();
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  second.send(ACK);
  const auto again = w.next_event();
  ASSERT_TRUE(again);
  EXPECT_EQ(w.stack->flow_of(again->conn), second.flow());
  w.end_later(r->conn);
  w.end_later(again->conn);
}

//= RFC4987 3.6-f type=test
TEST(SynCookies, ByDefaultTheyBeginWhereTheQueueEnds) {
  Config c = small_config();
  c.tcp.max_syn_backlog = 4;
  World w(c);
  w.listen();
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 6; ++i) {
    peers.emplace_back(w, Peer::Where{.port = static_cast<std::uint16_t>(40'000 + i)});
    peers.back().syn();
  }
  EXPECT_EQ(w.stack->gauges().half_open, 4U);
  EXPECT_EQ(w.count(&C::syncookies_sent), 2U);
  EXPECT_EQ(w.count(&C::drop_syn_evicted), 0U);
  for (Peer& p : peers) {
    p.send(ACK);
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    w.end_later(r->conn);
  }
}

// 100,000 SYNs between a client's SYN and its ACK: nobody is forgotten, nothing is kept.
TEST(SynCookies, AFloodKeepsNobodyOut) {
  Config c = small_config();
  c.tcp.max_syn_backlog = 16;
  World w(c);
  w.listen();
  w.run_for(1ms);
  Rng rng(7);
  const auto flood = [&](unsigned bursts) {
    for (unsigned b = 0; b < bursts; ++b) {
      std::vector<Octets> frames;
      for (unsigned i = 0; i < 50; ++i) {
        const IpAddr from = IpAddr::v4(std::uint32_t{0x1400'0000} + rng.below(0x4000'0000));
        Peer liar(w, {.addr = from, .port = static_cast<std::uint16_t>(1 + rng.below(65'000))});
        liar.snd_nxt = Seq{static_cast<std::uint32_t>(rng.next())};
        frames.push_back(liar.make(SYN));
      }
      w.now += 100us;
      w.iterate(frames);
    }
    w.tcp.clear();
  };
  flood(10);
  Peer client(w);
  client.syn();
  flood(2'000);
  EXPECT_EQ(w.stack->gauges().half_open, 16U);
  client.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(w.stack->flow_of(r->conn), client.flow());
  EXPECT_GE(w.count(&C::syncookies_sent), 100'000U);
  w.end_later(r->conn);
}

// The numbers are as hard to guess as any: every bit of them takes both values about as often.
TEST(SynCookies, NumbersLookRandom) {
  const SipKey key = {1, 2};
  std::array<unsigned, 32> ones{};
  constexpr unsigned kRounds = 4'096;
  for (unsigned i = 0; i < kRounds; ++i) {
    tcp::SynEntry e;
    e.flow = {kHost, kPeer, 80, static_cast<std::uint16_t>(i)};
    e.irs = Seq{5'000};
    e.mss = 1'460;
    tcp::make_cookie(key, e, 3, 0, Instant{1h});
    for (unsigned b = 0; b < 32; ++b) ones[b] += e.iss.raw() >> b & 1U;
  }
  for (const unsigned n : ones) EXPECT_NEAR(n, kRounds / 2, kRounds / 16);
}

TEST(SynCookies, TheStampIsNeverAheadOfTheClock) {
  const SipKey key = {1, 2};
  for (std::uint32_t now = 1'000; now < 1'200; ++now) {
    tcp::SynEntry e;
    e.flow = {kHost, kPeer, 80, 1};
    e.bits = tcp::SynEntry::kTimestampsOffered | tcp::SynEntry::kSackOffered;
    e.scale_and_retries = 14;
    const std::uint32_t stamp = tcp::make_cookie(key, e, 3, now, Instant{1h});
    EXPECT_LE(stamp, now);
    EXPECT_GT(stamp + 64, now);
  }
}

// -- Attacks on the cookie itself ----------------------------------------------------------------

struct CookieAttack : testing::Test {
  CookieAttack() {
    tcp::RxSegment syn;
    syn.seq = Seq{5'000};
    syn.flags = SYN;
    syn.options.mss = 1'460;
    tcp::open_syn_entry(e, syn, flow, Seq{}, config);
    tcp::make_cookie(key, e, 3, 0, at);
    answer.seq = Seq{5'001};
    answer.ack = e.iss + 1;
    answer.flags = ACK;
  }
  bool opens(const FlowKey& f, const tcp::RxSegment& s, const SipKey& k, Instant now) {
    tcp::SynEntry found;
    return tcp::open_cookie(k, found, f, s, 3, config, now);
  }
  bool opens(const tcp::RxSegment& s) { return opens(flow, s, key, at); }

  const SipKey key = {0x1234, 0x5678};
  const Instant at{1h};
  FlowKey flow{kHost, kPeer, 80, 40'000};
  tcp::Config config;
  tcp::SynEntry e;
  tcp::RxSegment answer;
};

// 2 of 32 ages, and 24 bits: a guess in 2^28 opens.
//= RFC4987 3.6-b type=test
TEST_F(CookieAttack, AMillionRandomAcksOpenNothing) {
  ASSERT_TRUE(opens(answer));
  Rng rng(4'987);
  unsigned opened = 0;
  for (unsigned i = 0; i < 1'000'000; ++i) {
    tcp::RxSegment guess = answer;
    guess.seq = Seq{static_cast<std::uint32_t>(rng.next())};
    guess.ack = Seq{static_cast<std::uint32_t>(rng.next())};
    flow.remote_port = static_cast<std::uint16_t>(rng.next());
    opened += opens(guess) ? 1U : 0U;
  }
  EXPECT_EQ(opened, 0U);
}

//= RFC4987 3.6-b type=test
TEST_F(CookieAttack, EveryBitOfTheAnswerCounts) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    tcp::RxSegment flipped = answer;
    flipped.ack = Seq{answer.ack.raw() ^ 1U << bit};
    EXPECT_FALSE(opens(flipped)) << "ack, bit " << bit;
    flipped = answer;
    flipped.seq = Seq{answer.seq.raw() ^ 1U << bit};
    EXPECT_FALSE(opens(flipped)) << "seq, bit " << bit;
  }
}

//= RFC4987 3.6-b type=test
TEST_F(CookieAttack, AnotherTupleOrKeyDoesNotOpen) {
  for (unsigned i = 0; i < 4; ++i) {
    FlowKey f = flow;
    if (i == 0) f.remote = IpAddr::v4(10, 0, 0, 3);
    if (i == 1) f.local = IpAddr::v4(10, 0, 0, 4);
    if (i == 2) ++f.remote_port;
    if (i == 3) ++f.local_port;
    EXPECT_FALSE(opens(f, answer, key, at)) << i;
  }
  EXPECT_FALSE(opens(flow, answer, {key[0] ^ 1, key[1]}, at));
  EXPECT_FALSE(opens(flow, answer, {key[0], key[1] ^ 1}, at));
}

//= RFC4987 3.6-c type=test
TEST_F(CookieAttack, AReplayAfterItsTimeDoesNotOpen) {
  for (Duration late = 0s; late <= 64s; late += 1s) {
    EXPECT_TRUE(opens(flow, answer, key, at + late)) << late.count();
  }
  for (Duration late = 128s; late <= 5'000s; late += 16s) {
    EXPECT_FALSE(opens(flow, answer, key, at + late)) << late.count();
  }
  EXPECT_FALSE(opens(flow, answer, key, at - 64s));
}

// A flag that a last ACK has not opens nothing, however right the numbers are.
TEST_F(CookieAttack, OnlyAnAckOpens) {
  for (const unsigned flags : {unsigned{SYN | ACK}, unsigned{RST | ACK}, unsigned{RST},
                               unsigned{SYN}, unsigned{FIN}, 0U}) {
    tcp::RxSegment s = answer;
    s.flags = static_cast<std::uint8_t>(flags);
    EXPECT_FALSE(opens(s)) << flags;
  }
}

// A new key by hand: cookies of the old one are still good for their time, then no more.
//= RFC4987 3.6-d type=test
TEST(SynCookies, SurviveANewKeyAndThenExpire) {
  World w(always());
  w.listen();
  Peer a(w, {.port = 1}), b(w, {.port = 2}), c(w, {.port = 3});
  a.syn();
  b.syn();
  w.stack->rotate_cookie_key({99, 98});
  c.syn();
  a.send(ACK);
  c.send(ACK);
  for (unsigned i = 0; i < 2; ++i) {
    const auto r = w.next_event();
    ASSERT_TRUE(r) << i;
    w.end_later(r->conn);
  }
  w.stack->rotate_cookie_key({97, 96});  // the first key is forgotten
  b.send(ACK);
  w.expect_no_event();
  b.expect(RST);
}

}  // namespace
}  // namespace weir::stack::test
