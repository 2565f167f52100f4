// Named situations between whole stacks in virtual time.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "sim_world.h"

namespace weir::test {
namespace {

using tcp::State;

constexpr std::uint16_t kPort = 80;

std::vector<std::byte> octets(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> v(n);
  for (std::byte& b : v) b = static_cast<std::byte>(rng.next() >> 56U);
  return v;
}

sim::Faults delayed(Duration delay) {
  sim::Faults f;
  f.delay = delay;
  return f;
}

sim::Faults silent() {
  sim::Faults f;
  f.loss = 1'000'000;
  return f;
}

// Remembers what happened; does what the test's switches say.
class Recorder : public App {
 public:
  void on_accept(Connection c, ListenerId) override {
    ++accepted;
    conns.push_back(c);
    log += 'A';
  }
  void on_connected(Connection c, std::uint64_t) override {
    ++connected;
    conns.push_back(c);
    log += 'C';
  }
  void on_readable(Connection c, std::uint64_t) override {
    if (reading) read(c);
  }
  void on_writable(Connection c, std::uint64_t) override { write(c); }
  void on_peer_closed(Connection c, std::uint64_t) override {
    log += 'P';
    if (close_after_peer) c.close();
  }
  void on_timer(Connection, std::uint64_t) override { log += 'T'; }
  void on_closed(Connection, std::uint64_t, CloseReason why) override {
    log += 'X';
    reasons.push_back(why);
  }

  void read(Connection c) {
    while (c.readable() > 0) {
      BufChain loan = c.receive(65'536);
      for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
        received.insert(received.end(), b->data, b->data + b->len);
      }
      c.release(std::move(loan));
    }
  }
  void write(Connection c) {
    sent += c.send(std::span{to_send}.subspan(sent));
    if (sent < to_send.size()) c.want_writable();
  }
  [[nodiscard]] bool closed_with(CloseReason why) const {
    return reasons.size() == 1 && reasons[0] == why;
  }
  [[nodiscard]] std::string why() const {
    std::string text;
    for (const CloseReason r : reasons) text += std::string(tcp::to_string(r)) + " ";
    return text;
  }

  bool reading = true, close_after_peer = false;
  unsigned accepted = 0, connected = 0;
  std::string log;  // in order: Accept, Connected, Peer closed, Timer, X closed
  std::vector<CloseReason> reasons;
  std::vector<Connection> conns;
  std::vector<std::byte> to_send, received;
  std::size_t sent = 0;
};

// Two hosts, a client and a server that listens.
struct Pair {
  explicit Pair(const HostSpec& client_spec = {}, const HostSpec& server_spec = {},
                stack::ListenOptions listen = {})
      : world(1), a(world.add_host(client, client_spec)), b(world.add_host(server, server_spec)) {
    listener = b.stack().listen({b.addr(), kPort}, listen).value();
  }
  Connection connect() { return {a.stack(), world.connect(a, b, kPort).value()}; }
  // Opens one connection; its two ends.
  std::pair<Connection, Connection> established() {
    connect();
    EXPECT_TRUE(
        world.run_until([&] { return client.connected == 1 && server.accepted == 1; }, 30s));
    return {client.conns.at(0), server.conns.at(0)};
  }
  void poke() {
    a.poke();
    b.poke();
  }

  Recorder client, server;
  World world;
  Host& a;
  Host& b;
  ListenerId listener = 0;
};

HostSpec spec_with(Duration delay) {
  HostSpec s;
  s.up = delayed(delay);
  s.down = delayed(0us);
  return s;
}

//= RFC9293 MUST-10 type=test
TEST(Scenario, SimultaneousOpen) {
  Recorder left, right;
  World world(2);
  HostSpec spec = spec_with(10ms);
  spec.stack.tcp.port_low = spec.stack.tcp.port_high = 5'000;
  Host& a = world.add_host(left, spec);
  Host& b = world.add_host(right, spec);
  // Addresses are learned first, so that the two SYNs do cross: this attempt is refused.
  (void)a.stack().connect({b.addr(), 9}, std::nullopt, world.now());
  a.poke();
  world.run_for(5s);
  ASSERT_TRUE(left.closed_with(CloseReason::kRefused)) << left.why();

  ASSERT_TRUE(world.connect(a, b, 5'000).ok());
  ASSERT_TRUE(world.connect(b, a, 5'000).ok());
  EXPECT_TRUE(world.run_until([&] { return left.connected == 1 && right.connected == 1; }, 30s));
  ASSERT_EQ(left.connected + right.connected, 2U);
  EXPECT_EQ(left.accepted + right.accepted, 0U);
  EXPECT_EQ(left.conns[0].state(), State::kEstablished);
  EXPECT_EQ(right.conns[0].state(), State::kEstablished);
  EXPECT_EQ(left.conns[0].flow(), right.conns[0].flow().reversed());

  left.to_send = octets(50'000, 3);
  right.to_send = octets(70'000, 4);
  left.write(left.conns[0]);
  right.write(right.conns[0]);
  left.conns[0].shutdown_send();
  right.close_after_peer = left.close_after_peer = true;
  a.poke();
  b.poke();
  world.run_for(5s);
  right.conns[0].shutdown_send();
  b.poke();
  world.run_for(100s);
  EXPECT_EQ(right.received, left.to_send);
  EXPECT_EQ(left.received, right.to_send);
  world.expect_at_rest();
}

TEST(Scenario, SimultaneousClose) {
  Pair p(spec_with(10ms), spec_with(10ms));
  const auto [c, s] = p.established();
  p.client.to_send = octets(3'000, 1);
  p.server.to_send = octets(5'000, 2);
  p.client.write(c);
  p.server.write(s);
  Connection{c}.shutdown_send();
  Connection{s}.shutdown_send();
  p.poke();
  EXPECT_TRUE(p.world.run_until([c = c] { return c.state() == State::kClosing; }, 5s));
  EXPECT_EQ(s.state(), State::kClosing);
  p.world.run_for(1s);
  EXPECT_EQ(c.state(), State::kTimeWait);
  EXPECT_EQ(s.state(), State::kTimeWait);
  p.world.run_for(61s);
  EXPECT_TRUE(p.client.closed_with(CloseReason::kNormal)) << p.client.why();
  EXPECT_TRUE(p.server.closed_with(CloseReason::kNormal)) << p.server.why();
  EXPECT_EQ(p.client.log, "CPX");
  EXPECT_EQ(p.server.log, "APX");
  EXPECT_EQ(p.server.received, p.client.to_send);
  EXPECT_EQ(p.client.received, p.server.to_send);
  p.world.expect_at_rest();
}

TEST(Scenario, HalfCloseLeavesTheOtherDirectionOpen) {
  Pair p(spec_with(1ms), spec_with(1ms));
  auto [c, s] = p.established();
  c.shutdown_send();
  p.poke();
  p.world.run_for(3'600s);  // FIN-WAIT-2 without close lasts as long as the application likes
  EXPECT_EQ(c.state(), State::kFinWait2);
  EXPECT_EQ(s.state(), State::kCloseWait);
  p.server.to_send = octets(200'000, 5);
  p.server.write(s);
  p.poke();
  p.world.run_for(10s);
  EXPECT_EQ(p.client.received, p.server.to_send);
  s.close();
  p.poke();
  p.world.run_for(70s);
  EXPECT_TRUE(p.client.closed_with(CloseReason::kNormal)) << p.client.why();
  p.world.expect_at_rest();
}

// MUST-36: probing goes on for as long as the peer acknowledges the probes.
//= RFC9293 MUST-36 type=test
//= RFC9293 MUST-37 type=test
TEST(Scenario, ZeroWindowForTenMinutesThenResumed) {
  HostSpec small = spec_with(5ms);
  small.stack.tcp.rmem = 8'000;
  Pair p(spec_with(5ms), small);
  const auto [c, s] = p.established();
  p.server.reading = false;
  p.client.to_send = octets(300'000, 6);
  p.client.write(c);
  p.poke();
  p.world.run_for(600s);
  EXPECT_EQ(c.state(), State::kEstablished);
  EXPECT_LE(s.readable(), 8'000U + 1'460U);
  EXPECT_GT(s.readable(), 4'000U);
  const std::uint64_t probes = p.a.counters().persist_probes.get();
  EXPECT_GE(probes, 5U);
  EXPECT_LE(probes, 60U);  // they back off
  p.server.reading = true;
  p.server.read(s);
  p.poke();
  EXPECT_TRUE(
      p.world.run_until([&] { return p.server.received.size() == p.client.to_send.size(); }, 60s));
  EXPECT_EQ(p.server.received, p.client.to_send);
}

// The window opens by a segment that is lost: the next probe finds it open.
TEST(Scenario, LostWindowUpdateIsFoundByAProbe) {
  HostSpec small = spec_with(5ms);
  small.stack.tcp.rmem = 8'000;
  Pair p(spec_with(5ms), small);
  const auto [c, s] = p.established();
  p.server.reading = false;
  p.client.to_send = octets(50'000, 7);
  p.client.write(c);
  p.poke();
  p.world.run_for(20s);
  p.world.network().up(1).set_faults(silent());
  p.server.reading = true;
  p.server.read(s);
  p.poke();
  p.world.run_for(1s);
  p.world.network().up(1).set_faults(delayed(5ms));
  EXPECT_TRUE(
      p.world.run_until([&] { return p.server.received.size() == p.client.to_send.size(); }, 120s));
}

// -- Narrow paths (RFC 1191, RFC 4821)
// -------------------------------------------------------------

HostSpec narrow(std::uint16_t mtu, bool told, std::uint8_t probing) {
  HostSpec s = spec_with(10ms);
  s.up.mtu = mtu;
  s.up.too_big = told;
  s.stack.tcp.mtu_probing = probing;
  return s;
}

// The client's path takes less than its port; 300,000 octets are sent. How long it took.
Duration upload(Pair& p, Duration limit) {
  const auto [c, s] = p.established();
  const Instant start = p.world.now();
  p.client.to_send = octets(300'000, 11);
  p.client.write(c);
  p.poke();
  p.world.run_until([&] { return p.server.received.size() == p.client.to_send.size(); }, limit);
  return p.world.now() - start;
}

//= RFC1191 3-b type=test
TEST(Scenario, ANarrowPathThatSaysSoCostsNoTimeOut) {
  Pair p(narrow(1'300, true, 0), spec_with(10ms));
  EXPECT_LT(upload(p, 60s), 2s);
  EXPECT_EQ(p.server.received, p.client.to_send);
  EXPECT_EQ(p.a.counters().pmtu_lowered.get(), 1U);
  EXPECT_EQ(p.a.counters().rto_timeouts.get(), 0U);
  EXPECT_EQ(p.a.counters().fast_retransmits.get(), 0U);
}

//= RFC4821 7.7 type=test
//= RFC8899 4.3 type=test
TEST(Scenario, ABlackHoleCarriesTheStreamAllTheSame) {
  Pair p(narrow(1'300, false, 1), spec_with(10ms));
  EXPECT_LT(upload(p, 60s), 10s);
  EXPECT_EQ(p.server.received, p.client.to_send);
  EXPECT_EQ(p.a.counters().mtu_black_holes.get(), 1U);
  EXPECT_GE(p.a.counters().mtup_success.get(), 1U);
  EXPECT_EQ(p.a.counters().icmp_errors_in.get(), 0U);
}

TEST(Scenario, WithoutProbingABlackHoleKeepsIt) {
  Pair p(narrow(1'300, false, 0), spec_with(10ms));
  upload(p, 60s);
  EXPECT_EQ(p.server.received.size(), 0U);
}

// Where every search begins at a small size there is nothing to fall into.
TEST(Scenario, ASearchFromTheStartNeverFallsIntoIt) {
  Pair p(narrow(1'300, false, 2), spec_with(10ms));
  EXPECT_LT(upload(p, 60s), 3s);
  EXPECT_EQ(p.server.received, p.client.to_send);
  EXPECT_EQ(p.a.counters().mtu_black_holes.get(), 0U);
  EXPECT_GE(p.a.counters().mtup_success.get(), 1U);
  EXPECT_GE(p.a.counters().mtup_fail.get(), 1U);
  EXPECT_EQ(p.a.counters().rto_timeouts.get(), 0U);
}

// No path is that narrow, but none is so narrow that nothing gets through.
TEST(Scenario, ABlackHoleOf300OctetsIsFoundByHalves) {
  Pair p(narrow(300, false, 1), spec_with(10ms));
  EXPECT_LT(upload(p, 600s), 300s);
  EXPECT_EQ(p.server.received, p.client.to_send);
  EXPECT_GE(p.a.counters().mtu_black_holes.get(), 3U);
}

// An application that has no on_soft_error is not told that nothing gets through; it may ask. Once
// the neighbour answers again, the text goes at once: not with the retransmission after the next.
//= RFC9293 SHLD-20 type=test
TEST(Scenario, SoftErrorsAreForThoseWhoAsk) {
  Pair p(spec_with(1ms), spec_with(1ms));
  auto [c, s] = p.established();
  const std::string before = p.client.log;
  p.world.network().up(0).set_faults(silent());
  p.client.to_send = octets(1'000, 8);
  p.client.write(c);
  p.poke();
  p.world.run_for(30s);
  EXPECT_EQ(p.client.log, before);
  EXPECT_EQ(c.soft_error(), CloseReason::kUnreachable);  // R1 had the neighbour asked
  p.world.network().up(0).set_faults(delayed(1ms));
  ASSERT_TRUE(p.world.run_until([&] { return !p.server.received.empty(); }, 25s));
  p.world.run_for(100ms);
  EXPECT_EQ(c.soft_error(), CloseReason::kNone);
}

TEST(Scenario, AbortResetsThePeer) {
  Pair p(spec_with(1ms), spec_with(1ms));
  auto [c, s] = p.established();
  p.client.to_send = octets(100'000, 8);
  p.client.write(c);
  p.poke();
  p.world.run_for(2ms);
  c.abort();
  EXPECT_FALSE(c.alive());
  p.poke();
  p.world.run_for(1s);
  EXPECT_TRUE(p.server.closed_with(CloseReason::kReset)) << p.server.why();
  EXPECT_TRUE(p.client.reasons.empty());  // no events after abort
  p.world.expect_at_rest();
  EXPECT_EQ(p.world.time_wait(), 0U);
}

// SHLD-3 and RFC 2525 §2.17: text that nobody read is not silently lost.
TEST(Scenario, CloseWithUnreadTextResets) {
  Pair p(spec_with(1ms), spec_with(1ms));
  auto [c, s] = p.established();
  p.server.reading = false;
  p.client.to_send = octets(1'000, 9);
  p.client.write(c);
  p.poke();
  p.world.run_for(1s);
  EXPECT_EQ(s.readable(), 1'000U);
  s.close();
  p.poke();
  p.world.run_for(1s);
  EXPECT_TRUE(p.client.closed_with(CloseReason::kReset)) << p.client.why();
  p.world.expect_at_rest();
}

TEST(Scenario, ClosedPortRefuses) {
  Pair p(spec_with(1ms), spec_with(1ms));
  ASSERT_TRUE(p.world.connect(p.a, p.b, 81).ok());
  p.world.run_for(100ms);
  EXPECT_TRUE(p.client.closed_with(CloseReason::kRefused)) << p.client.why();
  EXPECT_EQ(p.b.counters().drop_no_listener.get(), 1U);
  p.world.expect_at_rest();
}

TEST(Scenario, NobodyAtTheAddressIsUnreachable) {
  Pair p;
  p.a.poke();
  ASSERT_TRUE(
      p.a.stack().connect({IpAddr::v4(10, 0, 0, 99), kPort}, std::nullopt, p.world.now()).ok());
  EXPECT_TRUE(p.world.run_until([&] { return !p.client.reasons.empty(); }, 300s));
  EXPECT_TRUE(p.client.closed_with(CloseReason::kUnreachable)) << p.client.why();
  p.world.run_for(5s);
  p.world.expect_at_rest();
}

TEST(Scenario, SilentHostTimesOut) {
  Pair p(spec_with(1ms), spec_with(1ms));
  ASSERT_TRUE(p.world.connect(p.a, p.b, 81).ok());  // its address is learned
  p.world.run_for(1s);
  p.client.reasons.clear();
  p.world.network().up(1).set_faults(silent());
  const Instant start = p.world.now();
  p.connect();
  EXPECT_TRUE(p.world.run_until([&] { return !p.client.reasons.empty(); }, 600s));
  // It answered ARP once; when R1 had it asked again it did not.
  EXPECT_TRUE(p.client.closed_with(CloseReason::kUnreachable)) << p.client.why();
  // 1 + 2 + 4 + 8 + 16 + 32 s: Linux's 63 s for syn_retries = 5.
  EXPECT_NEAR(std::chrono::duration<double>(p.world.now() - start).count(), 63, 4);
  p.world.run_for(300s);  // the peer's half-open connection goes by its own timer
  p.world.expect_at_rest();
}

TEST(Scenario, PeerThatVanishesTimesOutAndGivesItsMemoryBack) {
  HostSpec impatient = spec_with(1ms);
  impatient.stack.tcp.retries2 = 5;
  Pair p(impatient, spec_with(1ms));
  const auto [c, s] = p.established();
  p.client.to_send = octets(100'000, 10);
  p.world.network().up(1).set_faults(silent());
  p.client.write(c);
  p.poke();
  EXPECT_TRUE(p.world.run_until([&] { return !p.client.reasons.empty(); }, 600s));
  const CloseReason why = p.client.reasons.at(0);
  EXPECT_TRUE(why == CloseReason::kTimedOut || why == CloseReason::kUnreachable) << p.client.why();
  p.world.run_for(1s);
  EXPECT_EQ(p.a.stack().gauges().connections, 0U);
  EXPECT_EQ(p.a.pool().in_use(), 0U);
}

TEST(Scenario, KeepaliveFindsADeadPeer) {
  HostSpec alive = spec_with(1ms);
  alive.stack.tcp.keepalive = true;
  Pair p(alive, spec_with(1ms));
  p.established();
  p.world.run_for(3 * 7'200s);
  EXPECT_TRUE(p.client.reasons.empty());
  EXPECT_GE(p.a.counters().keepalive_probes.get(), 2U);
  p.world.network().up(1).set_faults(silent());
  EXPECT_TRUE(p.world.run_until([&] { return !p.client.reasons.empty(); }, 9'000s));
  const CloseReason why = p.client.reasons.at(0);
  EXPECT_TRUE(why == CloseReason::kTimedOut || why == CloseReason::kUnreachable) << p.client.why();
}

TEST(Scenario, OrphanInFinWait2EndsByFinTimeout) {
  Pair p(spec_with(1ms), spec_with(1ms));
  auto [c, s] = p.established();
  c.close();
  p.poke();
  p.world.run_for(1s);
  EXPECT_EQ(p.a.stack().gauges().connections, 1U);
  EXPECT_EQ(s.state(), State::kCloseWait);
  p.world.run_for(62s);
  EXPECT_EQ(p.a.stack().gauges().connections, 0U);
  s.close();
  p.poke();
  p.world.run_for(125s);
  p.world.expect_at_rest();
}

TEST(Scenario, BacklogOverflowLosesNobodyWhoIsPatient) {
  Pair p(spec_with(1ms), spec_with(1ms), {.backlog = 4});
  p.b.stack().pause_accept(p.listener, true);
  std::vector<Connection> all;
  for (unsigned i = 0; i < 20; ++i) all.push_back(p.connect());
  p.world.run_for(3s);
  EXPECT_EQ(p.server.accepted, 0U);
  const std::uint64_t refused =
      p.b.counters().drop_accept_queue_full.get() + p.b.counters().drop_syn_queue_full.get();
  EXPECT_GT(refused, 0U);
  p.b.stack().pause_accept(p.listener, false);
  p.b.poke();
  EXPECT_TRUE(p.world.run_until([&] { return p.server.accepted == 20; }, 60s)) << p.server.accepted;
  EXPECT_EQ(p.client.connected, 20U);
  for (const Connection& c : all) EXPECT_EQ(c.state(), State::kEstablished);
  EXPECT_TRUE(p.client.reasons.empty());
}

TEST(Scenario, AbortOnOverflowRefuses) {
  HostSpec strict = spec_with(1ms);
  strict.stack.tcp.abort_on_overflow = true;
  Pair p(spec_with(1ms), strict, {.backlog = 4});
  p.b.stack().pause_accept(p.listener, true);
  for (unsigned i = 0; i < 12; ++i) p.connect();
  p.world.run_for(30s);
  EXPECT_GE(p.client.reasons.size(), 1U);
  EXPECT_LE(p.client.reasons.size(), 8U);
  for (const CloseReason r : p.client.reasons) {
    EXPECT_TRUE(r == CloseReason::kReset || r == CloseReason::kRefused) << tcp::to_string(r);
  }
}

TEST(Scenario, StopListeningResetsWhatWaits) {
  Pair p(spec_with(1ms), spec_with(1ms));
  p.b.stack().pause_accept(p.listener, true);
  for (unsigned i = 0; i < 5; ++i) p.connect();
  p.world.run_for(3s);  // not every SYN may wait for ARP's answer: some are sent again
  EXPECT_EQ(p.client.connected, 5U);
  p.b.stack().stop_listening(p.listener);
  p.b.poke();
  p.world.run_for(1s);
  EXPECT_EQ(p.client.reasons.size(), 5U);
  p.world.expect_at_rest();
  ASSERT_TRUE(p.world.connect(p.a, p.b, kPort).ok());
  p.world.run_for(1s);
  EXPECT_EQ(p.client.reasons.back(), CloseReason::kRefused);
}

// More flows than records: the rest is refused by name, and nothing breaks.
TEST(Scenario, FullConnectionTable) {
  HostSpec tiny = spec_with(1ms);
  tiny.stack.max_connections = 8;
  Pair p(spec_with(1ms), tiny);
  for (unsigned i = 0; i < 20; ++i) p.connect();
  p.world.run_for(5s);
  EXPECT_EQ(p.server.accepted, 8U);
  EXPECT_GT(p.b.counters().drop_conn_table_full.get(), 0U);
  for (const Connection& s : p.server.conns) Connection{s}.abort();
  p.b.poke();
  p.world.run_for(60s);
  EXPECT_GT(p.server.accepted, 8U);
}

// A host out of buffers neither crashes nor hangs: it goes on when there are some.
TEST(Scenario, EmptyPoolIsOutlived) {
  Pair p(spec_with(1ms), spec_with(1ms));
  const auto [c, s] = p.established();
  p.client.to_send = octets(150'000, 11);
  p.client.write(c);
  p.poke();
  p.world.run_for(2ms);
  p.b.pool().set_limit(0);
  p.world.run_for(3s);
  EXPECT_GT(p.b.driver().rx_no_block(), 0U);
  p.b.pool().set_limit(sim::BlockPool::kNoLimit);
  EXPECT_TRUE(
      p.world.run_until([&] { return p.server.received.size() == p.client.to_send.size(); }, 60s));
  EXPECT_EQ(p.server.received, p.client.to_send);
}

// As above, at the sender: send takes nothing for want of buffers, and kWritable says when to go
// on, though with an empty send queue no ACK is on its way to raise it.
TEST(Scenario, EmptyPoolAtTheSenderEndsInWritable) {
  Pair p(spec_with(1ms), spec_with(1ms));
  const auto [c, s] = p.established();
  p.a.stack().release_spare();
  p.poke();
  p.world.run_for(1s);
  p.a.pool().set_limit(0);
  p.client.to_send = octets(10'000, 13);
  p.client.write(c);
  EXPECT_EQ(p.client.sent, 0U);
  p.poke();
  p.world.run_for(1s);
  p.a.pool().set_limit(sim::BlockPool::kNoLimit);
  EXPECT_TRUE(p.world.run_until([&] { return p.server.received == p.client.to_send; }, 60s));
}

// Answers every request of `kRequest` octets with `kAnswer`, on any number of connections; closes
// after its peer.
class EchoServer : public App {
 public:
  void on_readable(Connection c, std::uint64_t) override {
    if (c.readable() > 0) c.send(c.receive(1'000'000));  // the very buffers
  }
  void on_peer_closed(Connection c, std::uint64_t user) override {
    on_readable(c, user);
    c.close();
  }
};

// Sends its text, wants it back, closes.
class EchoClient : public App {
 public:
  struct One {
    std::vector<std::byte> text;
    std::size_t back = 0;
    bool done = false, wrong = false;
  };
  void on_connected(Connection c, std::uint64_t user) override {
    EXPECT_EQ(c.send(all[user].text), all[user].text.size());
    c.shutdown_send();
  }
  void on_readable(Connection c, std::uint64_t user) override {
    One& one = all[user];
    while (c.readable() > 0) {
      BufChain loan = c.receive(100'000);
      for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
        const bool same =
            one.back + b->len <= one.text.size() &&
            std::equal(b->data, b->data + b->len, one.text.begin() + static_cast<long>(one.back));
        one.wrong = one.wrong || !same;
        one.back += b->len;
      }
      c.release(std::move(loan));
    }
  }
  void on_peer_closed(Connection c, std::uint64_t user) override {
    on_readable(c, user);
    all[user].done = all[user].back == all[user].text.size();
    c.close();
  }
  void on_closed(Connection, std::uint64_t user, CloseReason why) override {
    ADD_FAILURE() << "connection " << user << ": " << tcp::to_string(why);
  }
  [[nodiscard]] std::size_t done() const {
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [](const One& o) { return o.done; }));
  }
  std::vector<One> all;
};

TEST(Scenario, FiveHundredConnectionsWithLoss) {
  constexpr unsigned kClients = 5, kEach = 100;
  HostSpec spec = spec_with(5ms);
  spec.up.loss = 30'000;
  spec.up.reorder = 10'000;
  spec.stack.max_connections = 1'024;
  spec.stack.tcp.max_syn_backlog = 1'024;
  spec.stack.tcp.max_tw_buckets = 1'024;
  spec.stack.tcp.syn_retries = spec.stack.tcp.synack_retries = 10;
  EchoServer echo;
  std::vector<EchoClient> clients(kClients);
  World world(12);
  Host& server = world.add_host(echo, spec);
  ASSERT_TRUE(server.stack().listen({server.addr(), kPort}).ok());
  for (unsigned i = 0; i < kClients; ++i) {
    Host& host = world.add_host(clients[i], spec);
    for (unsigned k = 0; k < kEach; ++k) {
      clients[i].all.push_back({octets(1 + (k * 37) % 20'000, i * 1'000 + k)});
      const auto id = world.connect(host, server, kPort);
      ASSERT_TRUE(id.ok());
      host.stack().set_user(id.value(), k);
    }
  }
  const auto done = [&] {
    std::size_t n = 0;
    for (const EchoClient& c : clients) n += c.done();
    return n;
  };
  EXPECT_TRUE(world.run_until([&] { return done() == kClients * kEach; }, 600s)) << done();
  for (const EchoClient& c : clients) {
    for (const EchoClient::One& one : c.all) EXPECT_FALSE(one.wrong);
  }
  EXPECT_TRUE(world.run_until([&] { return world.at_rest() && world.time_wait() == 0; }, 900s));
  world.run_for(1s);
  world.expect_at_rest();
}

}  // namespace
}  // namespace weir::test
