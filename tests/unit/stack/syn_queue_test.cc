// Half-open connections (RFC 9293 §3.10.7.2 and the SYN-RECEIVED rows of §3.10.7.4; RFC 4987).
#include "base/rng.h"
#include "harness.h"
#include "tcp/listen.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

//= RFC4987 3.4-a type=test
TEST(SynQueue, AnEntryIs64Octets) {
  EXPECT_EQ(sizeof(tcp::SynEntry), 64U);
}

TEST(SynQueue, SynAckHasTheOptionsThatTheSynOffered) {
  World w;
  w.listen();
  Peer p(w);
  p.syn_options.mss = 1'400;
  p.syn_options.window_scale = 7;
  p.stamped = true;
  p.send(SYN);
  const Sent s = p.expect(SYN | ACK);
  EXPECT_EQ(s.tcp().ack, p.snd_nxt);
  EXPECT_EQ(s.tcp().options.mss, 1'460);
  EXPECT_EQ(s.tcp().options.window_scale, 3);  // 256 KiB in 16 bits
  ASSERT_TRUE(s.tcp().options.has_timestamps);
  EXPECT_EQ(s.tcp().options.ts_ecr, p.ts_val);
  EXPECT_EQ(s.tcp().wnd, 45 * 1'448);  // never scaled in a SYN
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

//= RFC7323 2.1-b type=test
//= RFC7323 3.2-a type=test
TEST(SynQueue, SynAckToABareSynHasTheMssAlone) {
  World w;
  w.listen();
  Peer p(w);
  p.send(SYN);
  const Sent s = p.expect(SYN | ACK);
  EXPECT_EQ(s.tcp().options.mss, 1'460);
  EXPECT_EQ(s.tcp().options.window_scale, wire::kNoWindowScale);
  EXPECT_FALSE(s.tcp().options.has_timestamps);
}

// Linux's value of the setting.
//= RFC4987 3.3 type=test
TEST(SynQueue, SynAckIsResentAfter1_2_4_8_16SecondsAndThenGivenUp) {
  Config config = small_config();
  config.tcp.synack_retries = 5;
  World w(config);
  w.listen();
  Peer p(w);
  p.send(SYN);
  const Sent first = p.expect(SYN | ACK);
  for (const Duration at : {1s, 3s, 7s, 15s, 31s}) {
    w.run_to(at - 1ms);
    p.expect_quiet();
    w.run_to(at);
    const Sent again = p.expect(SYN | ACK);
    EXPECT_EQ(again.tcp().seq, first.tcp().seq);
  }
  w.run_to(63s - 1ms);
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  w.run_to(63s);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  EXPECT_EQ(w.count(&C::drop_synack_retries), 1U);
  EXPECT_EQ(w.count(&C::retrans_segs), 5U);
}

// ADR 8: by default no source draws more than three times what it sent, in segments or octets.
//= RFC4987 3.3 type=test
TEST(SynQueue, ASourceThatNeverAnswersDrawsThreeSynAcksAtMost) {
  World w;
  w.listen();
  Peer p(w);
  p.syn_options = {.mss = 1'460, .window_scale = 7, .sack_permitted = true};
  p.stamped = true;
  const Octets syn = p.next(SYN);
  w.feed(syn);
  std::size_t octets = 0;
  w.run_to(10min);
  EXPECT_EQ(w.tcp.size(), 3U);
  for (const Sent& s : w.tcp) octets += s.octets.size();
  EXPECT_LE(octets, 3 * syn.size());
  EXPECT_EQ(w.tcp[1].at, kStart + 1s);
  EXPECT_EQ(w.tcp[2].at, kStart + 3s);
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  w.tcp.clear();
}

// Who has answered is no forgery: the SYN-ACK is resent as often as Linux does, until there is
// room.
TEST(SynQueue, ASourceThatAnsweredAFullAcceptQueueIsToldForLonger) {
  World w;
  const ListenerId l = w.listen(80, 1);
  w.stack->pause_accept(l, true);
  Peer first(w, {.port = 1}), second(w, {.port = 2});
  first.syn();
  second.syn();
  first.send(ACK);
  second.send(ACK);
  EXPECT_EQ(w.count(&C::drop_accept_queue_full), 1U);
  w.run_to(40s);
  unsigned again = 0;
  while (second.take()) ++again;
  EXPECT_EQ(again, 5U);
  w.stack->pause_accept(l, false);
  w.iterate();
  second.send(ACK);
  EXPECT_TRUE(w.next_event());
  EXPECT_TRUE(w.next_event());
}

TEST(SynQueue, EveryRetryCountThatConfigTakesEnds) {
  Config c = small_config();
  c.tcp.synack_retries = 127;  // an entry can count to 15
  World w(c);
  w.listen();
  Peer p(w);
  p.syn();
  w.run_to(1h);
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  EXPECT_EQ(w.count(&C::drop_synack_retries), 1U);
  EXPECT_EQ(w.count(&C::retrans_segs), 15U);
  w.tcp.clear();
}

TEST(SynQueue, ASynThatComesAgainGetsTheSameSynAck) {
  World w;
  w.listen();
  Peer p(w);
  p.send(SYN);
  const Sent first = p.expect(SYN | ACK);
  w.run_for(300ms);
  w.feed(p.make(SYN, p.snd_nxt - 1, Seq{}));
  const Sent second = p.expect(SYN | ACK);
  EXPECT_EQ(second.tcp().seq, first.tcp().seq);
  EXPECT_EQ(second.tcp().ack, first.tcp().ack);
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
}

//= RFC4987 3.2 type=test
TEST(SynQueue, AFullQueueGivesUpItsOldestEntry) {
  Config c = small_config();
  c.tcp.max_syn_backlog = 4;
  c.tcp.syncookies = 0;
  World w(c);
  w.listen();
  std::vector<Peer> peers;
  for (std::uint16_t i = 0; i < 5; ++i) {
    peers.emplace_back(w, Peer::Where{.port = static_cast<std::uint16_t>(40'000 + i)});
    peers.back().syn();
    w.run_for(10ms);
  }
  EXPECT_EQ(w.stack->gauges().half_open, 4U);
  EXPECT_EQ(w.count(&C::drop_syn_evicted), 1U);
  peers[0].send(ACK);
  EXPECT_EQ(peers[0].expect(RST).tcp().seq, peers[0].rcv_nxt);
  w.expect_no_event();
  peers[1].send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(w.stack->flow_of(r->conn), peers[1].flow());
}

TEST(SynQueue, AnEntryThatWasResentGivesWayToOneThatWasNot) {
  Config c = small_config();
  c.tcp.max_syn_backlog = 2;
  c.tcp.syncookies = 0;
  World w(c);
  w.listen();
  Peer slow(w, {.port = 1});
  slow.syn();
  w.run_for(1'500ms);
  slow.expect(SYN | ACK);
  Peer young(w, {.port = 2}), last(w, {.port = 3});
  young.syn();
  last.syn();
  young.send(ACK);
  EXPECT_TRUE(w.next_event());
  slow.send(ACK);
  slow.expect(RST);
}

// CVE class "SYN flood": 100,000 SYNs from addresses that never answer.
//= RFC4987 3.4-b type=test
TEST(SynQueue, AFloodTakesNoMemoryAndAPromptClientConnectsAmidIt) {
  Config c = small_config();
  c.tcp.max_syn_backlog = 1'024;
  c.tcp.syncookies = 0;
  World w(c);
  w.listen();
  w.run_for(1ms);
  Rng rng(7);
  unsigned honest = 0;
  const auto flood = [&](unsigned bursts) {
    for (unsigned b = 0; b < bursts; ++b) {
      std::vector<Octets> frames;
      for (unsigned i = 0; i < 50; ++i) {
        const IpAddr from = IpAddr::v4(std::uint32_t{0x1400'0000} + rng.below(0x4000'0000));
        Peer liar(w, {.addr = from, .port = static_cast<std::uint16_t>(1 + rng.below(65'000))});
        liar.snd_nxt = Seq{static_cast<std::uint32_t>(rng.next())};
        Octets f = liar.make(SYN);
        frames.push_back(std::move(f));
      }
      w.now += 100us;
      w.iterate(frames);
      EXPECT_LE(w.stack->gauges().half_open, 1'024U);
    }
  };
  const auto drop_their_answers = [&](const Peer& p) {
    std::erase_if(w.tcp, [&](const Sent& s) { return s.frame.dst != p.at.addr; });
  };
  for (std::uint16_t round = 0; round < 20; ++round) {
    flood(90);
    w.tcp.clear();
    Peer client(w, {.port = static_cast<std::uint16_t>(50'000 + round)});
    client.send(SYN);
    flood(10);  // 500 strangers between its SYN and its ACK
    drop_their_answers(client);
    client.expect(SYN | ACK);
    client.send(ACK);
    if (const auto r = w.next_event()) {
      ++honest;
      w.stack->abort(r->conn);
    }
  }
  EXPECT_EQ(honest, 20U);
  EXPECT_GE(w.count(&C::drop_syn_evicted), 98'000U);
  EXPECT_EQ(w.stack->gauges().half_open, 1'023U);  // the last client has left
  EXPECT_LE(w.pool.peak(), 200U);                  // a burst, and the stack's stock
  w.tcp.clear();
}

TEST(SynQueue, TextCompletesTheHandshakeWhenTheLastAckWasLost) {
  World w;
  w.listen();
  Peer p(w);
  p.syn();
  p.send(ACK | PSH, "GET /");
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->events, kAccepted | kReadable);
  EXPECT_EQ(w.read(r->conn), "GET /");
}

TEST(SynQueue, TextAndFinCompleteTheHandshakeToo) {
  World w;
  w.listen();
  Peer p(w);
  p.syn();
  p.send(ACK | PSH | FIN, "bye");
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  EXPECT_EQ(r->events, kAccepted | kReadable | kPeerClosed);
  EXPECT_EQ(w.read(r->conn), "bye");
}

TEST(SynQueue, ARstExactlyAtTheNextNumberEndsAnEntry) {
  World w;
  w.listen();
  Peer p(w);
  p.syn();
  p.send(RST);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  EXPECT_EQ(w.count(&C::attempt_fails), 1U);
}

// RFC 5961 §3.2.
TEST(SynQueue, ARstElsewhereInTheWindowIsChallenged) {
  World w;
  w.listen();
  Peer p(w);
  p.syn();
  w.feed(p.make(RST, p.snd_nxt + 100, Seq{}));
  const Sent s = p.expect(ACK);
  EXPECT_EQ(s.tcp().seq, p.rcv_nxt);
  EXPECT_EQ(s.tcp().ack, p.snd_nxt);
  w.feed(p.make(RST, p.snd_nxt + 100'000, Seq{}));  // outside: nothing
  w.expect_quiet();
  p.send(ACK);
  EXPECT_TRUE(w.next_event());
}

//= RFC9293 MAY-12 type=test
TEST(SynQueue, AnAckOfWhatWasNotSentIsResetAndTheEntryStays) {
  World w;
  w.listen();
  Peer p(w);
  p.syn();
  w.feed(p.make(ACK, p.snd_nxt, p.rcv_nxt + 77));
  EXPECT_EQ(p.expect(RST).tcp().seq, p.rcv_nxt + 77);
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  p.send(ACK);
  EXPECT_TRUE(w.next_event());
}

TEST(SynQueue, StopListeningForgetsHalfOpenConnections) {
  World w;
  const ListenerId l = w.listen();
  Peer p(w);
  p.syn();
  w.stack->stop_listening(l);
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  w.run_for(10s);
  w.expect_quiet();
  p.send(ACK);
  EXPECT_EQ(p.expect(RST).tcp().seq, p.rcv_nxt);
}

TEST(SynQueue, StopListeningKeepsWhatAnotherListenerServes) {
  World w;
  w.listen();  // every address
  const auto exact = w.stack->listen({kHost, 80});
  ASSERT_TRUE(exact.ok());
  Peer p(w);
  p.syn();
  w.stack->stop_listening(exact.value());
  p.send(ACK);
  EXPECT_TRUE(w.next_event());
}

TEST(SynQueue, InitialNumbersOfTwoFlowsDifferAndFollowTheClock) {
  World w;
  w.listen();
  Peer a(w, {.port = 1}), b(w, {.port = 2});
  a.send(SYN);
  const Seq first = a.expect(SYN | ACK).tcp().seq;
  b.send(SYN);
  EXPECT_NE(b.expect(SYN | ACK).tcp().seq, first);
  a.send(RST);
  w.run_for(4ms);
  a.snd_nxt = Seq{9};
  a.send(SYN);
  EXPECT_EQ(a.expect(SYN | ACK).tcp().seq, first + 1'000);  // one every 4 microseconds
}

}  // namespace
}  // namespace weir::stack::test
