// What a stack tells of its connections: lib/stack/snapshot.cc; and what a listener's have of their
// own: lib/stack/listeners.cc, syn_queue.cc.
#include <map>

#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

std::vector<ConnSnapshot> all(const Stack& s, std::size_t page = 3) {
  std::vector<ConnSnapshot> out, some(page);
  SnapshotCursor at;
  for (unsigned calls = 0; calls < 10'000 && !Stack::at_end(at); ++calls) {
    const std::size_t n = s.each_connection(at, some);
    out.insert(out.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
  }
  EXPECT_TRUE(Stack::at_end(at));
  return out;
}

// Nobody here is far away: the least RTO decides when the first goes again.
Config rto_of_a_second() {
  Config c = small_config();
  c.tcp.rto_min = 1s;
  return c;
}

struct Snapshots : testing::Test {
  ConnSnapshot only(tcp::State state) {
    const auto every = all(*w.stack);
    EXPECT_EQ(std::count_if(every.begin(), every.end(),
                            [&](const ConnSnapshot& c) { return c.state == state; }),
              1)
        << to_string(state);
    for (const ConnSnapshot& c : every) {
      if (c.state == state) return c;
    }
    return {};
  }
  World w{rto_of_a_second()};
  Peer p{w};
};

TEST_F(Snapshots, NothingOfAnEmptyStack) {
  w.listen();
  EXPECT_TRUE(all(*w.stack).empty());
}

TEST_F(Snapshots, OfAnEstablishedConnection) {
  const ListenerId l = w.listen();
  const ConnId c = p.open();
  w.stack->set_user(c, 77);
  p.send(ACK, "four");
  w.run_for(50ms);
  p.expect(ACK);
  w.send(c, pattern(800));
  w.run_for(100ms);
  const ConnSnapshot s = only(tcp::State::kEstablished);
  EXPECT_EQ(s.flow, p.flow());
  EXPECT_EQ(s.rcvq, 4U);
  EXPECT_EQ(s.sndq, 800U);
  EXPECT_EQ(s.notsent, 0U);
  EXPECT_EQ(s.timer, TimerKind::kRetransmit);
  EXPECT_EQ(s.timer_left, Duration(900ms));
  EXPECT_EQ(s.listener, l);
  EXPECT_EQ(s.index, c.index);
  EXPECT_EQ(s.generation, c.generation);
  EXPECT_EQ(s.user, 77U);
  EXPECT_FALSE(s.orphan);
  EXPECT_FALSE(s.waits_accept);
  w.run_for(1s);
  EXPECT_EQ(only(tcp::State::kEstablished).retransmits, 1);
  p.take_text();
  p.send(ACK);
  EXPECT_EQ(only(tcp::State::kEstablished).timer, TimerKind::kNone);
  w.read(c);
}

TEST_F(Snapshots, OfAConnect) {
  const ConnId c = w.connect({kPeer, 80});
  p.at.local_port = w.stack->flow_of(c).local_port;
  p.at.port = 80;
  p.expect(SYN);
  const ConnSnapshot s = only(tcp::State::kSynSent);
  EXPECT_FALSE(s.listener);
  EXPECT_EQ(s.timer, TimerKind::kRetransmit);
}

TEST_F(Snapshots, OfAHalfOpenConnection) {
  const ListenerId l = w.listen();
  p.syn();
  w.run_for(1'200ms);
  p.expect(SYN | ACK);
  const ConnSnapshot s = only(tcp::State::kSynReceived);
  EXPECT_EQ(s.flow, p.flow());
  EXPECT_EQ(s.listener, l);
  EXPECT_FALSE(s.index);
  EXPECT_EQ(s.retransmits, 1);
  EXPECT_EQ(s.timer_left, Duration(1'800ms));
  p.send(ACK);
  EXPECT_EQ(only(tcp::State::kEstablished).flow, p.flow());
  EXPECT_EQ(all(*w.stack).size(), 1U);  // it is not told of twice
  w.end_later(w.next_event()->conn);
}

TEST_F(Snapshots, OfTimeWait) {
  w.listen();
  p.close_after_stack(p.open());
  w.run_for(10s);
  const ConnSnapshot s = only(tcp::State::kTimeWait);
  EXPECT_EQ(s.flow, p.flow());
  EXPECT_EQ(s.timer, TimerKind::kTimeWait);
  EXPECT_EQ(s.timer_left, Duration(50s));
  EXPECT_TRUE(s.orphan);
  w.run_for(60s);
  EXPECT_TRUE(all(*w.stack).empty());  // what is left of the record is nobody's
}

TEST_F(Snapshots, OfOneThatWaitsForAcceptAndOfAnOrphan) {
  const ListenerId l = w.listen();
  w.stack->pause_accept(l, true);
  p.syn();
  p.send(ACK);
  EXPECT_TRUE(only(tcp::State::kEstablished).waits_accept);
  w.stack->pause_accept(l, false);
  w.iterate();
  const ConnId c = p.w.next_event()->conn;
  w.end_later(c);
  w.stack->close(c);
  w.iterate();
  p.expect(FIN | ACK);
  EXPECT_TRUE(only(tcp::State::kFinWait1).orphan);
  p.send(ACK);
  const ConnSnapshot s = only(tcp::State::kFinWait2);
  EXPECT_EQ(s.timer, TimerKind::kFinWait2);
  EXPECT_EQ(s.timer_left, Duration(60s));
}

TEST_F(Snapshots, TimersByTheirKind) {
  w.listen();
  const ConnId c = p.open();
  p.send(ACK, "a");
  EXPECT_EQ(only(tcp::State::kEstablished).timer, TimerKind::kDelayedAck);
  w.run_for(50ms);
  p.expect(ACK);
  EXPECT_TRUE(w.stack->set_keepalive(c, {.on = true, .time = 9s}));
  EXPECT_EQ(only(tcp::State::kEstablished).timer, TimerKind::kKeepalive);
  p.wnd = 0;
  p.send(ACK, "b");
  w.run_for(50ms);
  p.expect(ACK);
  w.send(c, "waits");
  EXPECT_EQ(only(tcp::State::kEstablished).timer, TimerKind::kPersist);
  EXPECT_EQ(only(tcp::State::kEstablished).notsent, 5U);
  w.read(c);
  w.tcp.clear();
}

// Pages of one, with every kind among them, tell of each once.
TEST_F(Snapshots, InPagesOfAnySize) {
  w.listen();
  std::vector<std::unique_ptr<Peer>> peers;
  for (std::uint16_t i = 0; i < 20; ++i) {
    peers.push_back(
        std::make_unique<Peer>(w, Peer::Where{.port = static_cast<std::uint16_t>(2'000 + i)}));
    Peer& q = *peers.back();
    if (i % 4 == 0) {
      q.syn();
    } else if (i % 4 == 1) {
      q.close_after_stack(q.open());
    } else {
      q.open();
    }
  }
  for (const std::size_t page : {1U, 2U, 7U, 64U}) {
    std::map<std::uint16_t, unsigned> seen;
    for (const ConnSnapshot& s : all(*w.stack, page)) ++seen[s.flow.remote_port];
    EXPECT_EQ(seen.size(), 20U);
    for (const auto& [port, times] : seen) EXPECT_EQ(times, 1U) << port;
  }
}

TEST_F(Snapshots, Listeners) {
  std::array<ListenerId, 2> ids{};
  EXPECT_EQ(w.stack->listeners(0, ids), 0U);
  const ListenerId a = w.listen(80), b = w.listen(81), c = w.listen(82);
  EXPECT_EQ(w.stack->listeners(0, ids), 2U);
  EXPECT_EQ(ids, (std::array{a, b}));
  EXPECT_EQ(w.stack->listeners(ids[1] + 1, ids), 1U);
  EXPECT_EQ(ids[0], c);
  w.stack->stop_listening(b);
  EXPECT_EQ(w.stack->listeners(0, ids), 2U);
  EXPECT_EQ(ids, (std::array{a, c}));
}

// -- Info through the stack
// ------------------------------------------------------------------------

struct Counted : testing::Test {
  static Config config() {
    Config c = small_config();
    c.socket_info = true;
    return c;
  }
  World w{config()};
  Peer p{w};
};

TEST_F(Counted, FromTheBeginning) {
  w.listen();
  const ConnId c = p.open();
  w.send(c, pattern(1'000));
  p.send(ACK, "an answer");
  w.run_for(50ms);
  const auto i = w.stack->info(c);
  ASSERT_TRUE(i);
  EXPECT_EQ(i->state, tcp::State::kEstablished);
  EXPECT_EQ(i->segs_in, 2U);
  EXPECT_EQ(i->data_segs_in, 1U);
  EXPECT_EQ(i->bytes_received, 9U);
  EXPECT_EQ(i->bytes_sent, 1'000U);
  EXPECT_EQ(i->data_segs_out, 2U);
  EXPECT_EQ(i->segs_out, 3U);
  w.read(c);
  p.take_text();
}

TEST_F(Counted, OfAConnectWithItsSyn) {
  const ConnId c = w.connect({kPeer, 80});
  p.at.port = 80;
  p.answer(c);
  const auto i = w.stack->info(c);
  ASSERT_TRUE(i);
  EXPECT_EQ(i->segs_out, 2U);
  EXPECT_EQ(i->segs_in, 1U);
  EXPECT_EQ(i->bytes_acked, 1U);
}

TEST_F(Counted, OfAStaleConnectionNothing) {
  w.listen();
  const ConnId c = p.open();
  w.stack->abort(c);
  w.iterate();
  p.expect(RST | ACK);
  EXPECT_FALSE(w.stack->info(c));
}

// -- What a listener hands on
// ------------------------------------------------------------------------

struct Handed : testing::Test {
  ListenerId listen(const ListenOptions& o) {
    const auto l = w.stack->listen({kHost, 80}, o);
    EXPECT_TRUE(l.ok());
    return l.ok() ? l.value() : 0;
  }
  World w;
  Peer p{w};
};

TEST_F(Handed, TheSynAckObeysAndTheConnectionInherits) {
  ListenOptions o;
  o.conn.tcp.rcvbuf = 5'000;
  o.conn.tcp.user_mss = 700;
  o.conn.tcp.sndbuf = 3'000;
  o.conn.tcp.congestion_control = tcp::OwnSettings::kReno;
  o.conn.tos = 0x48;
  o.conn.ttl = 3;
  listen(o);
  p.syn_options.mss = 1'400;
  p.syn_options.window_scale = 7;
  p.send(SYN);
  const Sent s = p.expect(SYN | ACK);
  EXPECT_EQ(s.tcp().options.mss, 700);
  EXPECT_EQ(s.tcp().wnd, 7 * 700);
  EXPECT_EQ(s.tcp().options.window_scale, 0);
  EXPECT_EQ(std::to_integer<unsigned>(s.octets.at(14 + 1)), 0x48U);
  EXPECT_EQ(std::to_integer<unsigned>(s.octets.at(14 + 8)), 3U);
  p.send(ACK);
  const ConnId c = w.next_event()->conn;
  w.end_later(c);
  EXPECT_EQ(w.stack->settings_of(c), o.conn.tcp);
  EXPECT_EQ(w.stack->send_room(c), 3'000U);
  w.send(c, pattern(700));
  const Sent t = p.expect(ACK);
  EXPECT_EQ(t.text.size(), 700U);
  EXPECT_LE(t.tcp().wnd, 5'000);
  EXPECT_EQ(std::to_integer<unsigned>(t.octets.at(14 + 1)), 0x48U);
  EXPECT_EQ(std::to_integer<unsigned>(t.octets.at(14 + 8)), 3U);
}

TEST_F(Handed, OfUsualSettingsNothing) {
  listen({});
  EXPECT_EQ(w.stack->settings_of(p.open()), tcp::OwnSettings{});
}

TEST_F(Handed, SettingsThatChangeWhileItListens) {
  const ListenerId l = listen({});
  ConnOptions o;
  o.tcp.rcvbuf = 5'000;
  o.tcp.no_delay = true;
  w.stack->configure(l, o);
  p.syn_options.window_scale = 7;
  p.send(SYN);
  EXPECT_EQ(p.expect(SYN | ACK).tcp().options.window_scale, 0);
  // The half-open one was told this scale, so it stays while there is one.
  o.tcp.rcvbuf = 4'000'000;
  w.stack->configure(l, o);
  p.send(ACK);
  const ConnId c = w.next_event()->conn;
  w.end_later(c);
  p.send(ACK, "text");
  w.run_for(50ms);
  EXPECT_EQ(p.expect(ACK).tcp().wnd, 44 * 1'460 - 4);  // as it is, not scaled by 6
  w.stack->configure(l, o);
  Peer q(w, {.port = 2});
  q.syn_options.window_scale = 7;
  q.send(SYN);
  EXPECT_EQ(q.expect(SYN | ACK).tcp().options.window_scale, 6);
  w.read(c);
}

TEST_F(Handed, CookiesObeyToo) {
  Config config = small_config();
  config.tcp.syncookies = 2;
  World v(config);
  ListenOptions o;
  o.conn.tcp.user_mss = 700;
  o.conn.ttl = 5;
  ASSERT_TRUE(v.stack->listen({kHost, 80}, o).ok());
  Peer q(v);
  q.send(SYN);
  const Sent s = q.expect(SYN | ACK);
  EXPECT_EQ(s.tcp().options.mss, 700);
  EXPECT_EQ(std::to_integer<unsigned>(s.octets.at(14 + 8)), 5U);
  q.send(ACK);
  const auto event = v.next_event();
  ASSERT_TRUE(event);
  v.end_later(event->conn);
  EXPECT_EQ(v.stack->settings_of(event->conn).user_mss, 700);
}

// -- TCP_DEFER_ACCEPT
// ------------------------------------------------------------------------------------

TEST_F(Handed, DeferredUntilTextComes) {
  listen({.defer_accept = 5s});
  p.syn();
  p.send(ACK);
  w.expect_no_event();
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  w.run_for(900ms);
  p.send(ACK, "GET /");
  const auto event = w.next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->events, unsigned{kAccepted | kReadable});
  w.end_later(event->conn);
  EXPECT_EQ(w.read(event->conn), "GET /");
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  p.take_text();
  w.tcp.clear();
}

// 5 s are three SYN-ACKs (1 + 2 + 4 s): of an answered one only the last is sent, and its answer
// opens.
TEST_F(Handed, DeferredUntilTheTimeIsOver) {
  listen({.defer_accept = 5s});
  p.syn();
  p.send(ACK);
  w.run_for(6'900ms);
  w.expect_quiet();
  w.expect_no_event();
  w.run_for(200ms);
  p.rcv_nxt = p.rcv_nxt - 1;
  p.expect(SYN | ACK);
  p.send(ACK);
  const auto event = w.next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->events, unsigned{kAccepted});
  w.end_later(event->conn);
}

// Of the retries only one sent a SYN-ACK, and none told of the path: the window is whole.
TEST_F(Handed, DeferredIsNoSignOfLoss) {
  listen({.defer_accept = 5s});
  p.stamped = true;
  p.syn();
  p.send(ACK);
  w.run_for(3'500ms);  // two retries are over
  p.send(ACK, "GET /");
  const auto event = w.next_event();
  ASSERT_TRUE(event);
  w.end_later(event->conn);
  const auto info = w.stack->info(event->conn);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->rtt, 0s);
  EXPECT_EQ(info->rto, 1s);
  EXPECT_GE(info->snd_cwnd, 10U);
  EXPECT_EQ(info->total_retrans, 0U);
  w.read(event->conn);
  w.tcp.clear();
}

TEST_F(Handed, DeferredAndUnansweredIsResentAsEver) {
  listen({.defer_accept = 5s});
  p.syn();
  w.run_for(1'100ms);
  p.expect(SYN | ACK);
  w.run_for(2s);
  p.expect(SYN | ACK);
}

TEST_F(Handed, AFinIsNotWaitedFor) {
  const ListenerId l = listen({});
  w.stack->set_defer_accept(l, 1s);
  p.syn();
  p.send(FIN | ACK);
  const auto event = w.next_event();
  ASSERT_TRUE(event);
  EXPECT_TRUE((event->events & kAccepted) != 0);
  w.end_later(event->conn);
  p.take_text();
}

TEST_F(Handed, DeferredNoMore) {
  const ListenerId l = listen({.defer_accept = 5s});
  w.stack->set_defer_accept(l, 0s);
  p.open();
}

}  // namespace
}  // namespace weir::stack::test
