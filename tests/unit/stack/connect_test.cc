// Active opens: ports and refusals (RFC 9293 §3.9.1, RFC 6056). What ICMP says: icmp_test.cc.
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

const Endpoint kServer{kPeer, 80};

Config few_ports(std::uint16_t n) {
  Config c = small_config();
  c.max_connections = 512;
  c.tcp.port_low = 40'000;
  c.tcp.port_high = static_cast<std::uint16_t>(40'000 + n - 1);
  return c;
}

struct Connect : testing::Test {
  World w;
  Peer server{w, {.addr = kPeer, .port = 80}};
};

//= RFC9293 MUST-44 type=test
//= RFC9293 MUST-45 type=test
//= RFC1191 3.1 type=test
TEST_F(Connect, TheSynOffersOurOptionsAndTheHandshakeEnds) {
  const ConnId c = w.connect(kServer);
  server.at.local_port = w.stack->flow_of(c).local_port;
  const Sent s = server.expect(SYN);
  EXPECT_EQ(s.tcp().options.mss, 1'460);
  EXPECT_EQ(s.tcp().options.window_scale, 3);
  EXPECT_TRUE(s.tcp().options.has_timestamps);
  w.expect_no_event();
  server.send(SYN | ACK);
  server.expect(ACK);
  w.expect_event(c, kConnected);
  EXPECT_EQ(w.stack->gauges().established, 1U);
}

//= RFC9293 MUST-43 type=test
TEST(ConnectFrom, AnotherOfOurAddressesIsTheOneThatWasAskedFor) {
  Config config = small_config();
  const IpAddr second = IpAddr::v4(10, 0, 0, 9);
  config.addrs.push_back({second, 24});
  World w(config);
  const ConnId c = *w.stack->connect(kServer, second, w.now);
  w.end_later(c);
  w.iterate();
  EXPECT_EQ(w.stack->flow_of(c).local, second);
  ASSERT_FALSE(w.tcp.empty());
  EXPECT_EQ(w.tcp.front().frame.src, second);
  EXPECT_EQ(w.stack->connect(kServer, kPeer, w.now).error(), Error::kAddressNotLocal);
  EXPECT_EQ(w.stack->connect(kServer, kHost6, w.now).error(), Error::kAddressNotLocal);
  w.tcp.clear();
}

//= RFC9293 MUST-49 type=test
TEST(ConnectFrom, TheTimeToLiveIsTheSettings) {
  constexpr std::size_t kTtl = 14 + 8;
  for (const unsigned ttl : {64U, 7U}) {
    Config config = small_config();
    config.tcp.ttl = static_cast<std::uint8_t>(ttl);
    World w(config);
    w.connect(kServer);
    ASSERT_FALSE(w.tcp.empty());
    EXPECT_EQ(std::to_integer<unsigned>(w.tcp.front().octets.at(kTtl)), ttl);
    w.tcp.clear();
  }
}

// Whoever holds one connection learns nothing of another's clock, nor of how long the host is up.
//= RFC7323 5.4 type=test
TEST_F(Connect, EveryFlowsTimestampsBeginElsewhereAndTickInMilliseconds) {
  std::set<std::uint32_t> offsets;
  unsigned high = 0;
  for (std::uint16_t port = 1; port <= 64; ++port) {
    w.connect({kPeer, port});
    ASSERT_TRUE(w.tcp.back().tcp().options.has_timestamps);
    const std::uint32_t offset = w.tcp.back().tcp().options.ts_val;
    offsets.insert(offset >> 16U);
    high += offset >> 31U;
  }
  EXPECT_GT(offsets.size(), 60U);  // of 65,536 places
  EXPECT_TRUE(high > 12 && high < 52) << high;
  const std::uint32_t before = w.tcp.back().tcp().options.ts_val;
  const std::uint16_t port = w.tcp.back().tcp().dst_port;
  w.tcp.clear();
  w.run_for(1s);
  const auto again =
      std::ranges::find_if(w.tcp, [port](const auto& sent) { return sent.tcp().dst_port == port; });
  ASSERT_NE(again, w.tcp.end());
  EXPECT_EQ(again->tcp().options.ts_val - before, 1'000U);
  w.tcp.clear();
}

TEST(ConnectPorts, LieInTheRangeAndNeverCollideUntilNoneIsLeft) {
  World w(few_ports(100));
  std::set<std::uint16_t> ports;
  for (unsigned i = 0; i < 100; ++i) {
    const std::uint16_t port = w.stack->flow_of(w.connect(kServer)).local_port;
    EXPECT_TRUE(port >= 40'000 && port <= 40'099) << port;
    EXPECT_TRUE(ports.insert(port).second) << port;
  }
  EXPECT_EQ(w.stack->connect(kServer, {}, w.now).error(), Error::kNoPort);
  EXPECT_TRUE(w.stack->alive(w.connect({kPeer, 81})));  // other tuples are free
  w.tcp.clear();
}

TEST(ConnectPorts, OneInTimeWaitIsNotTakenAgainBeforeItEnds) {
  World w(few_ports(1));
  Peer server(w, {.addr = kPeer, .port = 80});
  const ConnId c = w.connect(kServer);
  server.answer(c);
  server.close_after_stack(c);
  EXPECT_EQ(w.stack->connect(kServer, {}, w.now).error(), Error::kNoPort);
  w.run_for(60s);
  EXPECT_EQ(w.stack->flow_of(w.connect(kServer)).local_port, 40'000);
  w.tcp.clear();
}

// The source is the route's unless the caller names one of ours.
//= RFC9293 MUST-43 type=test
//= RFC9293 MUST-44 type=test
TEST(ConnectRoute, TheSourceIsTheRoutesOrTheCallers) {
  Config c = small_config();
  const IpAddr second = IpAddr::v4(10, 1, 0, 1);
  c.addrs.push_back({second, 24});
  World w(c);
  const auto source = [&](const IpAddr& remote, std::optional<IpAddr> local) {
    const auto id = w.stack->connect({remote, 80}, local, w.now);
    EXPECT_TRUE(id.ok());
    w.end_later(id.value());
    return w.stack->flow_of(id.value()).local;
  };
  EXPECT_EQ(source(kPeer, {}), kHost);
  EXPECT_EQ(source(IpAddr::v4(10, 1, 0, 2), {}), second);
  EXPECT_EQ(source(kPeer, second), second);
  w.iterate();
  w.tcp.clear();
}

//= RFC9293 MUST-49 type=test
TEST(ConnectRoute, TheTimeToLiveIsASetting) {
  Config c = small_config();
  c.tcp.ttl = 17;
  World w(c);
  w.connect(kServer);
  ASSERT_EQ(w.tcp.size(), 1U);
  EXPECT_EQ(w.tcp[0].frame.ttl, 17);
  w.tcp.clear();
}

// The 4-tuple is what must be unique: one local port serves many destinations.
//= RFC6056 3.1 type=test
TEST(ConnectPorts, OneLocalPortGoesToManyDestinations) {
  World w(few_ports(1));
  for (std::uint16_t port = 1; port <= 20; ++port) {
    EXPECT_EQ(w.stack->flow_of(w.connect({kPeer, port})).local_port, 40'000);
  }
  EXPECT_EQ(w.stack->flow_of(w.connect({IpAddr::v4(10, 0, 0, 3), 1})).local_port, 40'000);
  EXPECT_EQ(w.stack->connect({kPeer, 20}, {}, w.now).error(), Error::kNoPort);
  EXPECT_EQ(w.stack->connect({kPeer, 21}, kGateway, w.now).error(), Error::kAddressNotLocal);
  w.tcp.clear();
}

//= RFC6056 3.1 type=test
TEST(ConnectPorts, ALocalPortThatIsAskedForIsTakenOrRefused) {
  World w;
  const auto c = w.stack->connect(kServer, {}, w.now, 1'234);
  ASSERT_TRUE(c.ok());
  w.end_later(c.value());
  EXPECT_EQ(w.stack->flow_of(c.value()).local_port, 1'234);
  EXPECT_EQ(w.stack->connect(kServer, {}, w.now, 1'234).error(), Error::kAddressInUse);
  const auto other = w.stack->connect({kPeer, 81}, {}, w.now, 1'234);
  ASSERT_TRUE(other.ok());
  w.end_later(other.value());
  w.tcp.clear();
}

// A port that a listener has is free for 4-tuples all the same, and each segment finds its own.
TEST(ConnectPorts, AListenersPortMayBeConnectedFrom) {
  World w;
  w.listen(80);
  Peer server(w, {.addr = kPeer, .port = 80, .local_port = 80});
  const auto c = w.stack->connect(kServer, {}, w.now, 80);
  ASSERT_TRUE(c.ok());
  w.end_later(c.value());
  w.iterate();
  server.answer(c.value());
  Peer client(w, {.port = 81});
  client.open();
  EXPECT_EQ(w.stack->gauges().established, 2U);
}

// CVE-2022-32296: 100,000 connects to hosts of a network, each from a port that no other tells of.
//= RFC6056 3.3.4-a type=test
TEST(ConnectPorts, AHundredThousandAreSpreadEvenly) {
  Config c = small_config();
  c.max_connections = 1;
  c.max_neighbours = 4;
  World w(c);
  w.check = false;
  constexpr unsigned kCells = 64, kPicks = 100'000, kRange = 60'999 - 32'768 + 1;
  std::array<double, kCells> cells{};
  for (std::uint32_t i = 0; i < kPicks; ++i) {
    const auto id = w.stack->connect({IpAddr::v4(0x1400'0000 + i), 80}, {}, w.now);
    ASSERT_TRUE(id.ok());
    cells[(w.stack->flow_of(id.value()).local_port - 32'768U) * kCells / kRange] += 1;
    w.stack->abort(id.value());
    w.iterate();
    w.tcp.clear();
  }
  double chi_square = 0;
  for (const double n : cells) {
    chi_square += (n - kPicks / kCells) * (n - kPicks / kCells) / (kPicks / kCells);
  }
  EXPECT_LT(chi_square, 92.0);  // 63 degrees of freedom, p = 0.01
}

//= RFC9293 MUST-46 type=test
TEST_F(Connect, RefusesRemotesThatNoConnectionCanHave) {
  for (const IpAddr& a :
       {IpAddr{}, IpAddr::v4(0, 0, 0, 0), IpAddr::v4(224, 0, 0, 1), IpAddr::v4(255, 255, 255, 255),
        IpAddr::v4(10, 0, 0, 255), IpAddr::v4(127, 0, 0, 1), IpAddr::v4(240, 0, 0, 1)}) {
    EXPECT_EQ(w.stack->connect({a, 80}, {}, w.now).error(), Error::kInvalidRemote) << to_string(a);
  }
  EXPECT_EQ(w.stack->connect({kPeer, 0}, {}, w.now).error(), Error::kInvalidRemote);
  EXPECT_EQ(w.stack->connect(kServer, kGateway, w.now).error(), Error::kAddressNotLocal);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST(ConnectRoute, WithoutAGatewayOnlyTheLinkIsReached) {
  Config c = small_config();
  c.gateway.reset();
  World w(c);
  EXPECT_EQ(w.stack->connect({IpAddr::v4(8, 8, 8, 8), 80}, {}, w.now).error(), Error::kNoRoute);
  EXPECT_TRUE(w.stack->alive(w.connect(kServer)));
  w.tcp.clear();
}

TEST(ConnectRoute, BeyondTheLinkFramesGoToTheGateway) {
  World w;
  const Endpoint far{IpAddr::v4(8, 8, 8, 8), 80};
  w.connect(far);
  ASSERT_EQ(w.tcp.size(), 1U);
  EXPECT_EQ(w.tcp[0].frame.dst_mac, mac_of(kGateway));
  EXPECT_EQ(w.tcp[0].frame.dst, far.addr);
  w.tcp.clear();
}

TEST(ConnectFull, SaysSoWhenEveryRecordIsTaken) {
  Config c = small_config();
  c.max_connections = 1;
  World w(c);
  w.connect(kServer);
  EXPECT_EQ(w.stack->connect(kServer, {}, w.now).error(), Error::kFull);
  w.tcp.clear();
}

TEST_F(Connect, ARstInAnswerRefuses) {
  const ConnId c = w.connect(kServer);
  server.at.local_port = w.stack->flow_of(c).local_port;
  server.expect(SYN);
  w.feed(server.make(RST | ACK, Seq{}, server.rcv_nxt - 1));  // of something else: not believed
  w.expect_no_event();
  server.send(RST | ACK);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kRefused);
  EXPECT_FALSE(w.stack->alive(c));
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST_F(Connect, SilenceTimesOutAfterFiveMoreSyns) {
  const ConnId c = w.connect(kServer);
  w.run_to(63s - 1ms);
  EXPECT_EQ(w.tcp.size(), 6U);
  w.expect_event(c, kSoftError);  // R1
  EXPECT_EQ(w.stack->soft_error(c), tcp::CloseReason::kTimedOut);
  w.run_to(63s);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kTimedOut);
  w.tcp.clear();
}

TEST_F(Connect, ASilentNeighbourIsUnreachableWithinFourSeconds) {
  w.silent.insert(kPeer);
  const ConnId c = w.connect(kServer);
  w.run_to(4s);
  const Ready r = w.expect_event(c, kClosed);
  EXPECT_EQ(r.reason, tcp::CloseReason::kUnreachable);
  ASSERT_EQ(w.arp.size(), 3U);  // at most one a second, RFC 1122 §2.3.2.1
  for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(w.arp[i].at, kStart + i * 1s);
  w.expect_quiet();
}

TEST_F(Connect, ASynWaitsForTheNeighboursAnswer) {
  w.silent.insert(kPeer);
  const ConnId c = w.connect(kServer);
  w.expect_quiet();
  w.run_for(500ms);
  w.feed(arp_frame(2, kPeer, mac_of(kPeer), kHost, kHostMac));
  server.answer(c);
}

}  // namespace
}  // namespace weir::stack::test
