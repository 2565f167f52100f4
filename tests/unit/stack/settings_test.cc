// What one connection has its own way: lib/stack/settings.cc, lib/tcp/own.cc; and receiving by
// copy.
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

struct Settings : testing::Test {
  // A connect whose SYN has not gone: no iteration since.
  ConnId connecting() {
    w.meet(kPeer);
    auto c = w.stack->connect({kPeer, 80}, std::nullopt, w.now);
    EXPECT_TRUE(c.ok());
    w.end_later(*c);
    p.at.local_port = w.stack->flow_of(*c).local_port;
    p.at.port = 80;
    return *c;
  }
  Sent syn_of() {
    w.iterate();
    return p.expect(SYN);
  }

  World w;
  Peer p{w};
};

// -- The SYN
// ---------------------------------------------------------------------------------------

//= RFC9293 SHLD-5 type=test
TEST_F(Settings, SynOfUsualSettings) {
  connecting();
  const Sent s = syn_of();
  EXPECT_EQ(s.tcp().wnd, 44 * 1'460);  // Linux's 64240
  EXPECT_EQ(s.tcp().options.mss, 1'460);
  EXPECT_EQ(s.tcp().options.window_scale, 3);
}

TEST_F(Settings, ReceiveBufferDecidesWindowAndScaleOfTheSyn) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_receive_buffer(c, 4'000'000));
  const Sent s = syn_of();
  EXPECT_EQ(s.tcp().options.window_scale, 6);
  EXPECT_EQ(s.tcp().wnd, 44 * 1'460);

  Peer q(w, {.port = 81});
  auto small = w.stack->connect({kPeer, 81}, std::nullopt, w.now);
  w.end_later(*small);
  q.at.local_port = w.stack->flow_of(*small).local_port;
  EXPECT_TRUE(w.stack->set_receive_buffer(*small, 5'000));
  w.iterate();
  const Sent t = q.expect(SYN);
  EXPECT_EQ(t.tcp().wnd, 3 * 1'460);
  EXPECT_EQ(t.tcp().options.window_scale, 0);
}

//= RFC9293 MUST-14 type=test
TEST_F(Settings, MssIsOfferedAndKeptTo) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_mss(c, 700));
  p.syn_options.mss = 1'400;
  const Sent s = syn_of();
  EXPECT_EQ(s.tcp().options.mss, 700);
  EXPECT_EQ(s.tcp().wnd, 65'536 / 700 * 700);
  p.send(SYN | ACK);
  p.expect(ACK);
  w.send(c, pattern(1'400));
  EXPECT_EQ(p.expect(ACK).text.size(), 700U);
  EXPECT_EQ(p.expect(ACK).text.size(), 700U);
}

TEST_F(Settings, MssOfNothingIsThePaths) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_mss(c, 700));
  EXPECT_TRUE(w.stack->set_mss(c, 0));
  EXPECT_EQ(syn_of().tcp().options.mss, 1'460);
}

TEST_F(Settings, MssIsNeverBelowTheLeast) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_mss(c, 1));
  EXPECT_EQ(syn_of().tcp().options.mss, 88);
}

TEST_F(Settings, WindowClampHoldsInTheSynAndAfterIt) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_window_clamp(c, 6'000));
  const Sent s = syn_of();
  EXPECT_EQ(s.tcp().wnd, 4 * 1'460);
  EXPECT_EQ(s.tcp().options.window_scale, 0);
  p.send(SYN | ACK);
  EXPECT_LE(p.expect(ACK).tcp().wnd, 6'000);
  for (unsigned i = 0; i < 5; ++i) p.send(ACK, pattern(1'000, i));  // unread: the buffer is larger
  w.run_for(100ms);
  std::optional<Sent> last;
  while (auto a = p.take()) last = std::move(a);
  ASSERT_TRUE(last);
  EXPECT_GE(last->tcp().wnd, 4'900);
  EXPECT_LE(last->tcp().wnd, 6'000);
  EXPECT_EQ(w.read(c).size(), 5'000U);
}

TEST_F(Settings, SynRetriesOfOneConnection) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_syn_retries(c, 1));
  syn_of();
  w.run_for(1'100ms);
  p.expect(SYN);
  w.run_for(2s);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kTimedOut);
}

// However small an MSS a listener is given: the window is counted in segments that carry something.
//= RFC9293 MUST-14 type=test
TEST_F(Settings, WhatAListenerIsGivenIsKeptWithinLimits) {
  for (const std::uint16_t mss : std::initializer_list<std::uint16_t>{1, 12, 52}) {
    ListenOptions o;
    o.conn.tcp.user_mss = mss;
    o.conn.tcp.window_scale = 40;
    auto l = w.stack->listen({IpAddr{}, mss}, o);
    ASSERT_TRUE(l.ok());
    Peer q(w, {.port = mss, .local_port = mss});
    q.stamped = true;
    q.syn_options.window_scale = 2;
    q.send(SYN);
    const Sent s = q.expect(SYN | ACK);
    EXPECT_EQ(s.tcp().options.mss, 88);
    EXPECT_EQ(s.tcp().options.window_scale, 14);
    EXPECT_EQ(s.tcp().wnd % 76, 0);
    w.stack->configure(*l, o.conn);
    q.ts_ecr = s.tcp().options.ts_val;
    q.send(ACK);
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    EXPECT_EQ(w.stack->settings_of(r->conn).user_mss, 88);
    EXPECT_EQ(w.stack->settings_of(r->conn).window_scale, 14);
    w.end_later(r->conn);
    w.stack->stop_listening(*l);
  }
}

// -- Buffers
// ---------------------------------------------------------------------------------------

TEST_F(Settings, ReceiveBufferOfItsOwnDoesNotGrow) {
  const ConnId c = connecting();
  EXPECT_TRUE(w.stack->set_receive_buffer(c, 20'000));
  p.syn_options.window_scale = 0;
  syn_of();
  p.send(SYN | ACK);
  p.expect(ACK);
  for (unsigned round = 0; round < 20; ++round) {
    for (unsigned i = 0; i < 13; ++i) p.send(ACK, pattern(1'400, i));
    w.run_for(50ms);
    w.read(c);
    while (auto s = p.take()) EXPECT_LE(s->tcp().wnd, 20'000);
  }
  EXPECT_TRUE(w.stack->set_receive_buffer(c, 0));  // and again it may
}

TEST_F(Settings, SendBufferLimitsWhatIsTaken) {
  w.listen();
  const ConnId c = p.open();
  EXPECT_TRUE(w.stack->set_send_buffer(c, 3'000));
  EXPECT_EQ(w.stack->send_room(c), 3'000U);
  EXPECT_EQ(w.send(c, pattern(5'000)), 3'000U);
  EXPECT_EQ(w.stack->send_room(c), 0U);
  w.stack->want_writable(c);
  std::string got = p.take_text();
  p.send(ACK);
  while (got.size() < 3'000) {
    got += p.take_text();
    p.send(ACK);
  }
  w.expect_event(c, kWritable);
  EXPECT_TRUE(w.stack->set_send_buffer(c, 0));
  EXPECT_EQ(w.stack->send_room(c), tcp::Config{}.wmem);
}

// A write ends where so much waits to be sent that more would only wait longer.
TEST_F(Settings, NotsentLowatCountsWhatHasNotGone) {
  w.listen();
  p.wnd = 2'000;
  const ConnId c = p.open();
  w.stack->set_nodelay(c, true);
  EXPECT_TRUE(w.stack->set_notsent_lowat(c, 1'000));
  EXPECT_EQ(w.stack->send_room(c), 1'000U);
  EXPECT_EQ(w.send(c, pattern(1'000)), 1'000U);  // gone at once
  EXPECT_EQ(w.stack->send_room(c), 1'000U);
  EXPECT_EQ(w.send(c, pattern(1'000)), 1'000U);
  EXPECT_EQ(w.send(c, pattern(5'000)), 1'000U);  // the peer's window is full
  EXPECT_EQ(w.stack->send_room(c), 0U);
  EXPECT_EQ(w.send(c, pattern(5'000)), 0U);
  w.stack->want_writable(c);
  w.iterate();
  w.expect_no_event();
  EXPECT_GT(p.take_text().size(), 1'900U);
  p.send(ACK);  // and with it the window: what waited goes
  w.iterate();
  w.expect_event(c, kWritable);
  EXPECT_EQ(w.stack->send_room(c), 1'000U);
  while (!p.take_text().empty()) p.send(ACK);
}

// All ones is what Linux has for no mark at all: half of it must not come out as nothing.
TEST_F(Settings, NotsentLowatOfAllOnesIsNone) {
  w.listen();
  const ConnId c = p.open();
  EXPECT_TRUE(w.stack->set_send_buffer(c, 3'000));
  EXPECT_TRUE(w.stack->set_notsent_lowat(c, 0xffff'ffff));
  EXPECT_EQ(w.send(c, pattern(5'000)), 3'000U);
  w.stack->want_writable(c);
  while (!p.take_text().empty()) p.send(ACK);
  w.expect_event(c, kWritable);
}

// Who waits for room is told of what is made by hand.
TEST_F(Settings, MoreSendBufferAndAHigherMarkWakeTheWriter) {
  w.listen();
  p.wnd = 0;
  const ConnId c = p.open();
  EXPECT_TRUE(w.stack->set_send_buffer(c, 3'000));
  EXPECT_EQ(w.send(c, pattern(3'000)), 3'000U);
  w.stack->want_writable(c);
  EXPECT_TRUE(w.stack->set_send_buffer(c, 3'100));
  w.iterate();
  w.expect_no_event();
  EXPECT_TRUE(w.stack->set_send_buffer(c, 10'000));
  w.iterate();
  w.expect_event(c, kWritable);
  EXPECT_TRUE(w.stack->set_notsent_lowat(c, 2'000));
  w.stack->want_writable(c);
  w.iterate();
  w.expect_no_event();
  EXPECT_TRUE(w.stack->set_notsent_lowat(c, 8'000));
  w.iterate();
  w.expect_event(c, kWritable);
  w.stack->abort(c);
  w.iterate();
  w.tcp.clear();
}

// -- Behaviour
// -------------------------------------------------------------------------------------

TEST_F(Settings, QuickackSendsWhatWaits) {
  w.listen();
  const ConnId c = p.open();
  p.send(ACK, "text");
  p.expect_quiet();
  w.stack->set_quickack(c, true);
  w.iterate();
  p.expect(ACK);
  p.send(ACK, "more");  // of quick ACKs none are left
  p.expect_quiet();
  w.run_for(41ms);
  p.expect(ACK);
  w.stack->set_quickack(c, false);
  p.send(ACK, "late");
  p.expect_quiet();
  w.run_for(41ms);
  p.expect(ACK);
  w.read(c);
}

TEST_F(Settings, FinTimeoutOfOneConnection) {
  w.listen();
  const ConnId brief = p.open();
  Peer q(w, {.port = 2}), r(w, {.port = 3});
  const ConnId usual = q.open(), none = r.open();
  EXPECT_TRUE(w.stack->set_fin_timeout(brief, 3s));
  EXPECT_TRUE(w.stack->set_fin_timeout(none, -1s));
  for (const ConnId c : {brief, usual, none}) w.stack->close(c);
  w.iterate();
  for (Peer* peer : {&p, &q, &r}) {
    peer->expect(FIN | ACK);
    peer->send(ACK);
  }
  r.expect(RST | ACK);                           // as Linux has it
  EXPECT_EQ(w.stack->gauges().connections, 2U);  // FIN-WAIT-2 of one ended at once
  w.run_for(2'900ms);
  EXPECT_EQ(w.stack->gauges().connections, 2U);
  w.run_for(200ms);
  EXPECT_EQ(w.stack->gauges().connections, 1U);
  w.run_for(60s);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST_F(Settings, FinTimeoutSetInFinWait2) {
  w.listen();
  const ConnId c = p.open();
  EXPECT_TRUE(w.stack->set_fin_timeout(c, -1s));
  w.stack->shutdown_send(c);
  w.iterate();
  p.expect(FIN | ACK);
  p.send(ACK);
  EXPECT_EQ(w.stack->state_of(c), tcp::State::kFinWait2);  // only a close ends it
  w.stack->close(c);
  w.iterate();
  p.expect(RST | ACK);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

//= RFC9293 MUST-49 type=test
TEST_F(Settings, TtlOfOneConnection) {
  w.listen();
  const ConnId c = p.open();
  w.stack->set_ttl(c, 7);
  w.send(c, "near");
  EXPECT_EQ(std::to_integer<unsigned>(p.expect(ACK).octets.at(14 + 8)), 7U);
  w.stack->set_ttl(c, 0);
  w.send(c, "far");
  p.send(ACK);
  EXPECT_EQ(std::to_integer<unsigned>(p.expect(ACK).octets.at(14 + 8)), 64U);
}

TEST_F(Settings, CongestionControlOfOneConnection) {
  w.listen();
  const ConnId c = p.open();
  w.stack->set_congestion_control(c, tcp::CongestionControl::kReno);
  w.stack->set_congestion_control(c, tcp::CongestionControl::kReno);
  w.stack->set_congestion_control(c, tcp::CongestionControl::kCubic);
  const std::string text = pattern(50'000);
  w.send(c, text);
  std::string got;
  for (unsigned i = 0; i < 200 && got.size() < text.size(); ++i) {
    got += p.take_text();
    p.send(ACK);
  }
  EXPECT_EQ(got, text);
}

TEST_F(Settings, AllAtOnce) {
  const ConnId c = connecting();
  ConnOptions o;
  o.tcp.user_mss = 1'000;
  o.tcp.rcvbuf = 10'000;
  o.tcp.no_delay = true;
  o.tcp.keepalive = tcp::OwnSettings::kOn;
  o.tcp.keepalive_time_s = 5;
  o.tos = 0x28;
  o.ttl = 9;
  EXPECT_TRUE(w.stack->configure(c, o));
  EXPECT_EQ(w.stack->settings_of(c), o.tcp);
  const Sent s = syn_of();
  EXPECT_EQ(s.tcp().options.mss, 1'000);
  EXPECT_EQ(s.tcp().wnd, 10'000);
  EXPECT_EQ(std::to_integer<unsigned>(s.octets.at(14 + 1)), 0x28U);
  EXPECT_EQ(std::to_integer<unsigned>(s.octets.at(14 + 8)), 9U);
  p.send(SYN | ACK);
  p.expect(ACK);
  w.run_for(5'100ms);
  p.expect(ACK);  // a keepalive
}

TEST_F(Settings, OfAStaleConnection) {
  w.listen();
  const ConnId c = p.open();
  w.stack->abort(c);
  w.iterate();
  p.expect(RST | ACK);
  Stack& s = *w.stack;
  EXPECT_FALSE(s.configure(c, {}));
  EXPECT_FALSE(s.set_receive_buffer(c, 1));
  EXPECT_FALSE(s.set_send_buffer(c, 1));
  EXPECT_FALSE(s.set_window_clamp(c, 1));
  EXPECT_FALSE(s.set_notsent_lowat(c, 1));
  EXPECT_FALSE(s.set_mss(c, 1));
  EXPECT_FALSE(s.set_syn_retries(c, 1));
  EXPECT_FALSE(s.set_fin_timeout(c, 1s));
  EXPECT_FALSE(s.set_linger(c, 1s));
  s.set_congestion_control(c, tcp::CongestionControl::kReno);
  s.set_quickack(c, true);
  s.set_ttl(c, 1);
  EXPECT_EQ(s.settings_of(c), tcp::OwnSettings{});
  std::array<std::byte, 4> into{};
  EXPECT_EQ(s.receive_copy(c, into), 0U);
  EXPECT_EQ(s.peek(c, 0, into), 0U);
}

// A record is found again by whoever comes next, as it was at the beginning.
TEST_F(Settings, RecordsAreGivenBack) {
  w.listen();
  for (unsigned i = 0; i < 200; ++i) {  // there are 64
    Peer q(w, {.port = static_cast<std::uint16_t>(1'000 + i)});
    const ConnId c = q.open();
    EXPECT_EQ(w.stack->settings_of(c), tcp::OwnSettings{});
    EXPECT_TRUE(w.stack->set_retries(c, 7)) << i;
    EXPECT_EQ(w.stack->settings_of(c).retries, 7);
    w.stack->abort(c);
    w.iterate();
    q.expect(RST | ACK);
  }
}

// -- Receiving by copy
// -----------------------------------------------------------------------------

TEST_F(Settings, ReceiveCopyAndPeek) {
  w.listen();
  const ConnId c = p.open();
  p.send(ACK, "Hello, ");
  p.send(ACK, "world");
  std::array<std::byte, 5> five{};
  EXPECT_EQ(w.stack->peek(c, 5, five), 5U);
  EXPECT_EQ(text_of(five), ", wor");
  EXPECT_EQ(w.stack->receive_copy(c, five), 5U);
  EXPECT_EQ(text_of(five), "Hello");
  EXPECT_EQ(w.stack->readable(c), 7U);
  EXPECT_EQ(w.stack->receive_copy(c, five), 5U);
  EXPECT_EQ(text_of(five), ", wor");
  EXPECT_EQ(w.stack->peek(c, 2, five), 0U);
  EXPECT_EQ(w.stack->peek(c, 0, five), 2U);
  EXPECT_EQ(w.stack->receive_copy(c, five), 2U);
  EXPECT_EQ(w.stack->receive_copy(c, five), 0U);
  w.run_for(100ms);
  p.take_text();
}

}  // namespace
}  // namespace weir::stack::test
