// Much at once: more packets than one iteration holds, full bursts, many connections.
#include <map>

#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

Config large() {
  Config c = small_config();
  c.max_connections = 1'200;
  c.tcp.max_syn_backlog = 1'200;
  c.tcp.max_tw_buckets = 1'200;
  return c;
}

struct Burst : testing::Test {
  Burst() : w(large()) {
    listener = w.listen();
    w.meet(kPeer);
  }
  std::vector<Peer> many(std::uint16_t n) {
    std::vector<Peer> peers;
    for (std::uint16_t i = 0; i < n; ++i) {
      peers.emplace_back(w, Peer::Where{.port = static_cast<std::uint16_t>(1'000 + i)});
    }
    return peers;
  }
  // One frame of each, in as few receives as can be. Takes `answer` of each when it is not 0.
  void all_send(std::vector<Peer>& peers, unsigned flags, unsigned answer,
                std::string_view text = {}) {
    std::vector<Octets> frames;
    for (Peer& p : peers) frames.push_back(p.next(flags, text));
    w.iterate(frames);
    if (answer == 0) return;
    for (Peer& p : peers) p.expect(answer);
  }
  std::vector<ConnId> open(std::vector<Peer>& peers) {
    all_send(peers, SYN, SYN | ACK);
    all_send(peers, ACK, 0);
    std::vector<ConnId> conns;
    while (const auto r = w.next_event()) conns.push_back(r->conn);
    return conns;
  }
  World w;
  ListenerId listener = 0;
};

TEST_F(Burst, MorePacketsThanOneIterationHoldsAreSentInSeveral) {
  auto peers = many(200);
  const auto conns = open(peers);
  ASSERT_EQ(conns.size(), 200U);
  std::map<std::uint16_t, std::string> want;
  for (const ConnId c : conns) {
    const std::uint16_t port = w.stack->flow_of(c).remote_port;
    want[port] = pattern(5'360, port);
    EXPECT_EQ(w.stack->send_copy(c, octets_of(want[port])), 5'360U);
  }
  w.iterate();  // 10 segments each of the 536 octets a peer without an MSS option takes
  EXPECT_EQ(w.tcp.size(), 2'000U);
  EXPECT_EQ(w.count(&C::drop_tx_full), 0U);
  std::map<std::uint16_t, std::string> got;
  for (const Sent& s : w.tcp) got[s.tcp().dst_port] += s.text;
  EXPECT_EQ(got, want);
  w.tcp.clear();
}

TEST_F(Burst, OneIterationMakesNoMoreThan512Packets) {
  auto peers = many(200);
  for (const ConnId c : open(peers)) w.stack->send_copy(c, octets_of(pattern(5'360)));
  w.stack->poll_output(w.now);
  EXPECT_LE(w.stack->tx_packets().size(), 512U);
  EXPECT_TRUE(w.stack->has_pending_output());
  EXPECT_LE(w.stack->next_deadline(), w.now);
  w.iterate();  // takes those, and the rest
  EXPECT_EQ(w.tcp.size(), 2'000U);
  w.tcp.clear();
}

TEST_F(Burst, RetransmissionsOfAllAtOnceDoNotOverflowEither) {
  auto peers = many(1'000);
  for (const ConnId c : open(peers)) w.stack->send_copy(c, octets_of(pattern(100)));
  w.iterate();
  w.tcp.clear();
  w.run_for(200ms);  // every connection's timer, in one instant
  EXPECT_EQ(w.tcp.size(), 1'000U);
  EXPECT_EQ(w.count(&C::drop_tx_full), 0U);
  w.tcp.clear();
}

TEST_F(Burst, OneConnectionMaySendMoreThanOneCallMakes) {
  auto peers = many(1);
  const ConnId c = open(peers)[0];
  Peer& p = peers[0];
  w.stack->send_copy(c, octets_of(pattern(60'000)));
  w.iterate();
  while (w.stack->unacked(c) > 0) {  // an ACK for each segment opens cwnd
    ASSERT_TRUE(p.take());
    p.send(ACK);
  }
  const std::string text = pattern(80 * 536, 2);
  w.stack->send_copy(c, octets_of(text));
  w.iterate();
  EXPECT_EQ(w.tcp.size(), 80U);
  EXPECT_TRUE(p.take_text() == text);
}

TEST_F(Burst, SixtyFourFramesOfOneConnectionAreAcknowledgedOnce) {
  auto peers = many(1);
  const auto conns = open(peers);
  std::vector<Octets> frames;
  std::string want;
  for (unsigned i = 0; i < 64; ++i) {
    const std::string text = pattern(100, i);
    want += text;
    frames.push_back(peers[0].next(ACK, text));
  }
  w.iterate(frames);
  w.expect_event(conns[0], kReadable);
  w.expect_no_event();  // one call for all
  EXPECT_EQ(w.read(conns[0]), want);
  EXPECT_EQ(peers[0].expect(ACK).tcp().ack, peers[0].snd_nxt);
  w.expect_quiet();
}

TEST_F(Burst, ManyConnectionsWithTextAtOnce) {
  auto peers = many(1'000);
  const auto conns = open(peers);
  all_send(peers, ACK | PSH, 0, "hello");
  for (const ConnId c : conns) {
    w.expect_event(c, kReadable);
    EXPECT_EQ(w.read(c), "hello");
  }
  w.run_for(40ms);
  for (Peer& p : peers) EXPECT_EQ(p.expect(ACK).tcp().ack, p.snd_nxt);
}

TEST_F(Burst, AThousandAbortsInOneIterationSendAThousandRsts) {
  auto peers = many(1'000);
  for (const ConnId c : open(peers)) {
    w.stack->abort(c);
    EXPECT_FALSE(w.stack->alive(c));
  }
  w.iterate();
  for (Peer& p : peers) p.expect(RST | ACK);
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_tx_full), 0U);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST_F(Burst, AThousandClosedWithTextUnreadSendAThousandRsts) {
  auto peers = many(1'000);
  const auto conns = open(peers);
  all_send(peers, ACK | PSH, 0, "unread");
  w.events.clear();
  for (const ConnId c : conns) w.stack->close(c);
  w.iterate();
  for (Peer& p : peers) p.expect(RST | ACK);
  w.expect_quiet();
}

TEST_F(Burst, StopListeningResetsAThousandThatWait) {
  w.stack->pause_accept(listener, true);
  auto peers = many(1'000);
  EXPECT_TRUE(open(peers).empty());
  w.stack->stop_listening(listener);
  w.iterate();
  for (Peer& p : peers) p.expect(RST | ACK);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST_F(Burst, AThousandClosesInOneIterationFinish) {
  auto peers = many(1'000);
  for (const ConnId c : open(peers)) w.stack->close(c);
  w.iterate();
  for (Peer& p : peers) p.expect(FIN | ACK);
  all_send(peers, FIN | ACK, ACK);
  EXPECT_EQ(w.stack->gauges().time_wait, 1'000U);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

}  // namespace
}  // namespace weir::stack::test
