// The calls of the user (RFC 9293 §3.10.1-6) and the events they are answered by, through frames.
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

// Nobody here is far away: the least RTO decides when the first goes again.
Config rto_of_a_second() {
  Config c = small_config();
  c.tcp.rto_min = 1s;
  return c;
}

struct UserCalls : testing::Test {
  explicit UserCalls(const Config& config = rto_of_a_second()) : w(config) { w.listen(); }

  // The peer takes and acknowledges until `n` octets came.
  std::string receive_all(std::size_t n) {
    std::string got;
    for (unsigned i = 0; i < 1'000 && got.size() < n; ++i) {
      got += p.take_text();
      p.send(ACK);
    }
    return got;
  }

  World w;
  Peer p{w};
};

struct SmallBuffers : UserCalls {
  static Config config() {
    Config c = small_config();
    c.tcp.rmem = 14 * 1'460;
    c.tcp.wmem = 20'000;
    return c;
  }
  SmallBuffers() : UserCalls(config()) {}
};

TEST_F(UserCalls, AConnIdThatOutlivedItsConnectionDoesNothing) {
  const ConnId stale = p.open();
  w.stack->abort(stale);
  w.iterate();
  p.expect(RST | ACK);
  Peer q(w, {.port = 2});
  const ConnId fresh = q.open();
  ASSERT_EQ(fresh.index, stale.index);  // the same record
  Stack& s = *w.stack;
  const Octets text = octets_of("text");
  s.set_user(fresh, 7);
  EXPECT_FALSE(s.alive(stale));
  EXPECT_EQ(s.send_copy(stale, text), 0U);
  EXPECT_EQ(s.send_borrowed(stale, text), 0U);
  EXPECT_EQ(s.send_room(stale), 0U);
  EXPECT_EQ(s.unacked(stale), 0U);
  EXPECT_EQ(s.readable(stale), 0U);
  EXPECT_TRUE(s.receive_buffers(stale, 100).empty());
  BufChain chain;
  chain.push_back(w.pool.take_copy(text));
  s.send_buffers(stale, std::move(chain));  // and gives them back
  s.set_user(stale, 8);
  s.set_timer(stale, w.now);
  s.set_nodelay(stale, true);
  s.set_pacing_rate(stale, 1);
  s.set_keepalive(stale, {});
  s.set_user_timeout(stale, 1s);
  s.set_retries(stale, 1);
  s.set_linger(stale, 0s);
  s.want_writable(stale);
  s.shutdown_send(stale);
  s.close(stale);
  s.abort(stale);
  EXPECT_EQ(s.user_of(stale), 0U);
  EXPECT_EQ(s.flow_of(stale), FlowKey{});
  EXPECT_EQ(s.state_of(stale), tcp::State::kClosed);
  w.run_for(1s);
  w.expect_quiet();
  w.expect_no_event();
  EXPECT_TRUE(s.alive(fresh));
  EXPECT_EQ(s.user_of(fresh), 7U);
  EXPECT_FALSE(s.alive(ConnId{}));
  EXPECT_FALSE(s.alive({fresh.index, fresh.generation + 1}));  // even: not alive
}

// -- Settings of one connection ------------------------------------------------------------------

//= RFC9293 MUST-24 type=test
TEST_F(UserCalls, KeepaliveOfOneConnection) {
  const ConnId c = p.open();
  Peer other(w, {.port = 2});
  other.open();
  w.stack->set_keepalive(c, {.on = true, .time = 10s, .intvl = 2s, .probes = 1});
  w.run_for(11s);
  p.expect(ACK);
  w.run_for(2s);
  p.expect(RST | ACK);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kTimedOut);
  other.expect_quiet();
}

//= RFC9293 MUST-21 type=test
TEST_F(UserCalls, RetriesAndUserTimeoutOfOneConnection) {
  const ConnId few = p.open();
  Peer q(w, {.port = 2}), r(w, {.port = 3});
  const ConnId timed = q.open(), usual = r.open();
  w.stack->set_retries(few, 2);
  w.stack->set_user_timeout(timed, 4s);
  for (const ConnId c : {few, timed, usual}) w.send(c, "text");
  w.run_for(4'500ms);
  EXPECT_EQ(w.expect_event(timed, kClosed).reason, tcp::CloseReason::kTimedOut);
  w.expect_no_event();
  w.run_for(3s);
  EXPECT_EQ(w.expect_event(few, kClosed).reason, tcp::CloseReason::kTimedOut);
  w.run_for(60s);
  w.expect_event(usual, kSoftError);  // R1
  w.expect_no_event();
  for (Peer* peer : {&p, &q, &r}) peer->take_text();
}

TEST_F(UserCalls, LingerOfOneConnection) {
  const ConnId at_once = p.open();
  Peer q(w, {.port = 2});
  const ConnId later = q.open();
  w.stack->set_linger(at_once, 0s);
  w.stack->set_linger(later, 2s);
  w.stack->close(at_once);
  w.stack->close(later);
  w.iterate();
  p.expect(RST | ACK);
  q.expect(FIN | ACK);
  w.run_for(1'500ms);
  q.expect(FIN | ACK);  // again
  w.run_for(1s);
  q.expect(RST | ACK);
  EXPECT_EQ(w.count(&C::linger_resets), 1U);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

// -- Sending -------------------------------------------------------------------------------------

TEST_F(UserCalls, SendCopyArrivesToTheOctet) {
  const ConnId c = p.open();
  const std::string text = pattern(100'000);
  EXPECT_EQ(w.send(c, text), 100'000U);
  EXPECT_EQ(w.stack->unacked(c), 100'000U);
  EXPECT_TRUE(receive_all(100'000) == text);
  EXPECT_EQ(w.stack->unacked(c), 0U);
}

TEST_F(UserCalls, CopiedBorrowedAndGivenBuffersArriveInTheirOrder) {
  const ConnId c = p.open();
  Stack& s = *w.stack;
  const std::string a = pattern(5'000, 1), b = pattern(7'000, 2), d = pattern(3'000, 3);
  const Octets borrowed = octets_of(b);
  EXPECT_EQ(s.send_copy(c, octets_of(a)), a.size());
  EXPECT_EQ(s.send_borrowed(c, borrowed), b.size());
  EXPECT_EQ(s.send_copy(c, octets_of("copied behind")), 13U);
  BufChain chain;
  for (std::size_t at = 0; at < d.size(); at += 700) {
    chain.push_back(w.pool.take_copy(octets_of(d.substr(at, 700))));
  }
  s.send_buffers(c, std::move(chain));
  EXPECT_EQ(s.send_copy(c, octets_of("last")), 4U);
  w.iterate();
  const std::string want = a + b + "copied behind" + d + "last";
  EXPECT_TRUE(receive_all(want.size()) == want);
  EXPECT_EQ(text_of(borrowed), b);  // never written to
}

TEST_F(UserCalls, WhatIsLostIsSentAgainToTheOctet) {
  const ConnId c = p.open();
  const Seq first = p.rcv_nxt;
  const std::string text = pattern(3'000);
  w.send(c, text);
  p.take_text();  // all lost
  std::string got;
  for (unsigned i = 0; i < 100 && got.size() < text.size(); ++i) {
    w.run_for(1s);
    const auto next = [&] { return first + static_cast<std::uint32_t>(got.size()); };
    while (const auto s = p.take()) {
      if (s->tcp().seq == next()) got += s->text;
    }
    p.rcv_nxt = next();
    p.send(ACK);
  }
  EXPECT_EQ(got, text);
  EXPECT_EQ(w.stack->unacked(c), 0U);
}

TEST_F(SmallBuffers, SendTakesNoMoreThanThereIsRoomAndTellsWhenThereIsAgain) {
  p.wnd = 60'000;
  const ConnId c = p.open();
  EXPECT_EQ(w.stack->send_room(c), 20'000U);
  EXPECT_EQ(w.send(c, pattern(30'000)), 20'000U);
  EXPECT_EQ(w.stack->send_room(c), 0U);
  EXPECT_EQ(w.send(c, "more"), 0U);
  w.stack->want_writable(c);
  w.expect_no_event();
  unsigned acks = 0;
  while (w.events.empty() && ++acks < 100) {
    p.take_text();
    p.send(ACK);
  }
  w.expect_event(c, kWritable);
  EXPECT_GE(w.stack->send_room(c), 20'000U / 3);
  p.take_text();
  p.send(ACK);
  w.expect_no_event();  // told once, as asked once
}

TEST_F(SmallBuffers, SendBorrowedTakesNoMoreThanThereIsRoom) {
  const ConnId c = p.open();
  const Octets text = octets_of(pattern(30'000));
  EXPECT_EQ(w.stack->send_borrowed(c, text), 20'000U);
  EXPECT_EQ(w.stack->send_borrowed(c, text), 0U);
  w.iterate();
  w.stack->abort(c);  // before `text` goes
  w.iterate();
  w.tcp.clear();
}

TEST_F(UserCalls, WithoutABufferSendTakesNothing) {
  const ConnId c = p.open();
  w.stack->release_spare();
  w.iterate();
  w.pool.set_limit(0);
  EXPECT_EQ(w.stack->send_copy(c, octets_of("text")), 0U);
  EXPECT_EQ(w.stack->send_borrowed(c, octets_of("text")), 0U);
  EXPECT_GE(w.count(&C::drop_no_buffer), 2U);
  w.pool.set_limit(sim::BlockPool::kNoLimit);
  w.stack->want_writable(c);
  w.run_for(10ms);
  w.expect_event(c, kWritable);  // time to try again
  EXPECT_EQ(w.stack->send_copy(c, octets_of("text")), 4U);
}

TEST_F(UserCalls, ReceivedTextIsALoanUntilItIsReleased) {
  const ConnId c = p.open();
  w.stack->release_spare();
  w.iterate();
  EXPECT_EQ(w.pool.outstanding(), 0U);
  p.send(ACK, pattern(1'000, 1));
  p.send(ACK, pattern(1'000, 2));
  EXPECT_EQ(w.stack->readable(c), 2'000U);
  BufChain first = w.stack->receive_buffers(c, 1'000);
  EXPECT_EQ(first.bytes(), 1'000U);
  BufChain second = w.stack->receive_buffers(c, 1);  // whole buffers, one at least
  EXPECT_EQ(second.bytes(), 1'000U);
  EXPECT_TRUE(w.stack->receive_buffers(c, 1'000).empty());
  w.stack->abort(c);
  w.iterate();
  EXPECT_EQ(w.pool.outstanding(), 2U);  // a loan outlives its connection
  EXPECT_EQ(text_of({first.head()->data, first.head()->len}), pattern(1'000, 1));
  w.stack->release(std::move(first));
  w.stack->release(std::move(second));
  w.iterate();
  EXPECT_EQ(w.pool.outstanding(), 0U);
  w.tcp.clear();
}

TEST_F(UserCalls, ALoanMayBeSentOnByAnotherConnection) {
  const ConnId a = p.open();
  Peer q(w, {.port = 2});
  const ConnId b = q.open();
  const std::string text = pattern(2 * 536);
  p.send(ACK, text);
  w.stack->send_buffers(b, w.stack->receive_buffers(a, 10'000));
  w.stack->abort(a);
  w.iterate();
  EXPECT_EQ(q.take_text(), text);
  w.tcp.clear();
}

//= RFC9293 MUST-39 type=test
TEST_F(SmallBuffers, TheWindowClosesOnUnreadTextAndOpensWhenItIsRead) {
  const ConnId c = p.open();
  for (unsigned i = 0; i < 14; ++i) p.send(ACK, pattern(1'460, i));
  w.run_for(100ms);
  std::optional<Sent> last;
  while (auto s = p.take()) last = std::move(s);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->tcp().ack, p.snd_nxt);
  EXPECT_EQ(last->tcp().wnd, 0);
  p.send(ACK, "beyond");
  EXPECT_EQ(p.expect(ACK).tcp().wnd, 0);
  p.snd_nxt = p.snd_nxt - 6;
  EXPECT_EQ(w.stack->readable(c), 20'440U);
  EXPECT_EQ(w.read(c).size(), 20'440U);
  const Sent s = p.expect(ACK);  // at once
  EXPECT_EQ(s.tcp().wnd, 20'440);
  EXPECT_EQ(s.tcp().ack, p.snd_nxt);
}

TEST_F(UserCalls, CloseSendsFinAfterWhatIsQueued) {
  const ConnId c = p.open();
  w.stack->send_copy(c, octets_of("bye"));
  w.stack->close(c);
  w.iterate();
  EXPECT_EQ(p.expect(FIN | ACK).text, "bye");
  EXPECT_FALSE(w.stack->alive(c));
  p.send(FIN | ACK);
  p.expect(ACK);
  w.expect_no_event();
}

//= RFC9293 SHLD-3 type=test
TEST_F(UserCalls, CloseWithTextUnreadIsARst) {
  const ConnId c = p.open();
  p.send(ACK, "unread");
  w.stack->close(c);
  w.iterate();
  const Sent s = p.expect(RST | ACK);
  EXPECT_EQ(s.tcp().seq, p.rcv_nxt);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

//= RFC9293 SHLD-3 type=test
TEST_F(UserCalls, TextAfterCloseIsARst) {
  const ConnId c = p.open();
  w.stack->close(c);
  w.iterate();
  p.expect(FIN | ACK);
  p.send(ACK, "too late");
  p.expect(RST);
  EXPECT_EQ(w.count(&C::drop_data_after_close), 1U);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST_F(UserCalls, TheOtherSideClosesFirst) {
  const ConnId c = p.open();
  p.send(FIN | ACK);
  p.expect(ACK);
  w.expect_event(c, kPeerClosed);
  EXPECT_EQ(w.stack->send_copy(c, octets_of("still")), 5U);
  w.stack->close(c);
  w.iterate();
  EXPECT_EQ(p.expect(FIN | ACK).text, "still");
  p.send(ACK);
  EXPECT_EQ(w.stack->gauges().connections, 0U);  // LAST-ACK to CLOSED, no TIME-WAIT
  EXPECT_EQ(w.stack->gauges().time_wait, 0U);
}

TEST_F(UserCalls, HalfCloseStillReceives) {
  const ConnId c = p.open();
  w.stack->shutdown_send(c);
  w.stack->shutdown_send(c);  // twice is once
  w.iterate();
  p.expect(FIN | ACK);
  EXPECT_EQ(w.stack->send_copy(c, octets_of("no")), 0U);
  p.send(ACK, "but yes");
  w.expect_event(c, kReadable);
  EXPECT_EQ(w.read(c), "but yes");
}

TEST_F(UserCalls, APeersRstClosesWithItsReasonAndDropsWhatIsQueued) {
  const ConnId c = p.open();
  w.send(c, pattern(1'000));
  p.take_text();
  p.send(RST);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, tcp::CloseReason::kReset);
  EXPECT_FALSE(w.stack->alive(c));
  EXPECT_EQ(w.count(&C::estab_resets), 1U);
  w.expect_quiet();
}

TEST_F(UserCalls, AbortInTheSameBurstAsText) {
  const ConnId c = p.open();
  w.on_ready = [&](const Ready& r) {
    EXPECT_EQ(r.events, kReadable | kPeerClosed);
    w.stack->send_copy(r.conn, octets_of("never sent"));
    w.stack->abort(r.conn);
    EXPECT_FALSE(w.stack->alive(c));
  };
  w.iterate({p.next(ACK, "text"), p.next(ACK, "and more"), p.next(FIN | ACK)});
  const Sent s = p.expect(RST | ACK);
  EXPECT_EQ(s.tcp().ack, p.snd_nxt);
  w.expect_quiet();
  EXPECT_EQ(w.stack->gauges().connections, 0U);
}

TEST_F(UserCalls, ATimerFiresOnce) {
  const ConnId c = p.open();
  w.stack->set_timer(c, w.now + 250ms);
  w.run_to(249ms);
  w.expect_no_event();
  w.run_to(250ms);
  w.expect_event(c, kTimer);
  w.run_to(10s);
  w.expect_no_event();
}

TEST_F(UserCalls, ATimerMayBeMovedAndTakenBack) {
  const ConnId c = p.open();
  w.stack->set_timer(c, w.now + 100ms);
  w.stack->set_timer(c, w.now + 300ms);
  w.run_to(299ms);
  w.expect_no_event();
  w.stack->set_timer(c, kNever);
  w.run_to(1s);
  w.expect_no_event();
  w.stack->set_timer(c, w.now);  // already due
  w.run_for(1ms);
  w.expect_event(c, kTimer);
  w.stack->set_timer(c, w.now + 1ms);
  w.stack->close(c);  // a user that has left is not called
  w.run_for(1s);
  w.expect_no_event();
  w.tcp.clear();
}

TEST_F(UserCalls, WhatTheUserStoresIsHandedBack) {
  const ConnId c = p.open();
  EXPECT_EQ(w.stack->user_of(c), 0U);
  w.stack->set_user(c, 0xfeed'beef'0000'0001U);
  EXPECT_EQ(w.stack->user_of(c), 0xfeed'beef'0000'0001U);
  EXPECT_EQ(w.stack->flow_of(c), p.flow());
}

TEST_F(UserCalls, NodelaySendsCrumbsAtOnce) {
  const ConnId c = p.open();
  w.send(c, "a");
  EXPECT_EQ(p.take_text(), "a");
  w.send(c, "b");
  EXPECT_EQ(p.take_text(), "");  // Nagle
  w.stack->set_nodelay(c, true);
  w.iterate();
  EXPECT_EQ(p.take_text(), "b");
}

TEST_F(UserCalls, APacingRateHoldsTextBack) {
  const ConnId c = p.open();
  w.stack->set_nodelay(c, true);
  w.stack->set_pacing_rate(c, 1'000);
  w.send(c, std::string(100, 'a'));
  w.send(c, std::string(100, 'b'));
  EXPECT_EQ(p.take_text().size(), 100U);
  w.run_for(90ms);
  EXPECT_EQ(p.take_text().size(), 0U);
  w.run_for(20ms);  // a tenth of a second for each, and a tick
  EXPECT_EQ(p.take_text().size(), 100U);
  w.send(c, std::string(100, 'c'));
  EXPECT_EQ(p.take_text().size(), 0U);
  w.stack->set_pacing_rate(c, 0);
  w.iterate();
  EXPECT_EQ(p.take_text().size(), 100U);
}

// -- From within the events of another -------------------------------------------------------

TEST_F(UserCalls, OneConnectionsEventMayEndAnotherThatIsReadyToo) {
  std::vector<Peer> peers;
  std::vector<ConnId> conns;
  for (std::uint16_t i = 0; i < 3; ++i) {
    peers.emplace_back(w, Peer::Where{.port = static_cast<std::uint16_t>(10 + i)});
    conns.push_back(peers.back().open());
  }
  unsigned calls = 0;
  w.on_ready = [&](const Ready& r) {
    ++calls;
    EXPECT_EQ(r.conn, conns[0]);
    w.stack->abort(conns[1]);
    w.stack->close(conns[2]);  // its text is unread: RST
  };
  w.iterate({peers[0].next(ACK, "x"), peers[1].next(ACK, "y"), peers[2].next(ACK, "z")});
  EXPECT_EQ(calls, 1U);
  peers[1].expect(RST | ACK);
  peers[2].expect(RST | ACK);
  EXPECT_EQ(w.stack->gauges().connections, 1U);
}

TEST_F(UserCalls, AConnectionClosedByAnothersEventIsNotTold) {
  Peer q(w, {.port = 2});
  const ConnId a = p.open(), b = q.open();
  w.on_ready = [&](const Ready& r) {
    EXPECT_EQ(r.conn, a);
    w.stack->close(b);  // lives on in LAST-ACK, in the list of the ready
  };
  w.iterate({p.next(ACK, "x"), q.next(FIN | ACK)});
  q.expect(FIN | ACK);
  q.send(ACK);
  EXPECT_EQ(w.stack->gauges().connections, 1U);
}

TEST_F(UserCalls, OneConnectionsEventMaySendOnAnother) {
  const ConnId a = p.open();
  Peer q(w, {.port = 2});
  const ConnId b = q.open();
  w.on_ready = [&](const Ready& r) {
    if (r.conn == a) w.stack->send_buffers(b, w.stack->receive_buffers(a, 1'000));
  };
  p.send(ACK, "through");
  EXPECT_EQ(q.take_text(), "through");  // in the same iteration
}

TEST_F(UserCalls, AnEventMayConnectAndListenAndStop) {
  const ConnId a = p.open();
  ConnId out;
  w.on_ready = [&](const Ready& r) {
    if (r.conn != a) return;
    out = *w.stack->connect({kPeer, 8080}, {}, w.now);
    const auto l = w.stack->listen({IpAddr{}, 81});
    ASSERT_TRUE(l.ok());
    w.stack->stop_listening(l.value());
    w.stack->abort(a);
  };
  p.send(ACK, "x");
  p.expect(RST | ACK);
  Peer server(w, {.addr = kPeer, .port = 8080});
  w.on_ready = nullptr;
  server.answer(out);
  w.stack->abort(out);
}

// -- Between iterations ----------------------------------------------------------------------

TEST_F(UserCalls, ACallOutsideAnIterationIsDueAtOnce) {
  const ConnId c = p.open();
  EXPECT_GT(w.stack->next_deadline(), w.now);
  w.stack->send_copy(c, octets_of("wake"));
  EXPECT_LE(w.stack->next_deadline(), w.now);  // a sleeper must not oversleep
  w.run_for(1ms);
  EXPECT_EQ(p.take_text(), "wake");
  EXPECT_GT(w.stack->next_deadline(), w.now);
}

}  // namespace
}  // namespace weir::stack::test
