// ICMP errors about connections, half-open ones and records; those that a stack sends; R1 and the
// next hop (RFC 9293 §3.8.3, §3.9.2.2, RFC 1122 §3.2.2, RFC 5927, RFC 6633, RFC 1191).
#include "harness.h"
#include "wire/octets.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;
using tcp::CloseReason;

const Endpoint kServer{kPeer, 80};

// An ICMP error from the gateway about `culprit`, as a frame the stack sent.
Octets icmp_about(const Sent& culprit, std::uint8_t type, std::uint8_t code,
                  std::uint32_t rest = 0) {
  const Octets quote(culprit.octets.begin() + 14, culprit.octets.begin() + 14 + 28);
  return icmp_frame(kGateway, kHost, type, code, rest, quote);
}

Sent with_seq_flipped(Sent s) {
  put8(s.octets, 38, std::to_integer<unsigned>(s.octets[38]) ^ 0x80U);
  return s;
}

struct Opening : testing::Test {
  World w;
  Peer server{w, {.addr = kPeer, .port = 80}};
};

//= RFC9293 MUST-54 type=test
//= RFC9293 SHLD-26 type=test
TEST_F(Opening, PortUnreachableRefuses) {
  const ConnId c = w.connect(kServer);
  w.feed(icmp_about(w.tcp.at(0), 3, 3));
  EXPECT_EQ(w.expect_event(c, kClosed).reason, CloseReason::kRefused);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 1U);
  EXPECT_EQ(w.count(&C::attempt_fails), 1U);
  w.tcp.clear();
}

TEST_F(Opening, HostUnreachableIsTheReasonOnlyWhenTheTimeIsUp) {
  const ConnId c = w.connect(kServer);
  w.feed(icmp_about(w.tcp.at(0), 3, 1));
  w.expect_event(c, kSoftError);
  EXPECT_EQ(w.stack->soft_error(c), CloseReason::kUnreachable);
  w.run_to(64s);
  EXPECT_EQ(w.expect_event(c, kClosed).reason, CloseReason::kUnreachable);
  w.tcp.clear();
}

//= RFC5927 4.1 type=test
TEST_F(Opening, AnErrorAboutWhatIsNotInFlightIsIgnored) {
  const ConnId c = w.connect(kServer);
  w.feed(icmp_about(with_seq_flipped(w.tcp.at(0)), 3, 3));
  w.expect_no_event();
  EXPECT_EQ(w.count(&C::icmp_errors_in), 0U);
  EXPECT_EQ(w.count(&C::drop_icmp_forged), 1U);
  server.answer(c);
}

TEST_F(Opening, AnErrorAboutNobodysFlowIsIgnored) {
  const ConnId c = w.connect(kServer);
  Sent other = w.tcp.at(0);
  put8(other.octets, 35, std::to_integer<unsigned>(other.octets[35]) ^ 1U);  // its source port
  w.feed(icmp_about(other, 3, 3));
  EXPECT_EQ(w.count(&C::drop_icmp_forged), 1U);
  w.expect_no_event();
  server.answer(c);
}

// Every code of every error: what an open makes of it.
struct Kind4 {
  std::uint8_t type, code;
  CloseReason reason;  // kNone: nothing
};
constexpr CloseReason kHost_ = CloseReason::kUnreachable;
constexpr CloseReason kNet_ = CloseReason::kNetUnreachable;
constexpr CloseReason kHard = CloseReason::kRefused;
constexpr Kind4 kKinds[] = {
    {3, 0, kNet_},   {3, 1, kHost_},  {3, 2, kHard},
    {3, 3, kHard},   {3, 5, kHost_},  {3, 6, kNet_},
    {3, 7, kHost_},  {3, 8, kHost_},  {3, 9, kNet_},
    {3, 10, kHost_}, {3, 11, kNet_},  {3, 12, kHost_},
    {3, 13, kHost_}, {3, 14, kHost_}, {3, 15, kHost_},
    {11, 0, kHost_}, {11, 1, kHost_}, {12, 0, CloseReason::kProtocol},
};

//= RFC1122 3.2.2.1-b type=test
//= RFC1122 3.2.2.4 type=test
//= RFC1122 3.2.2.5 type=test
//= RFC1122 4.2.3.9-a type=test
//= RFC1122 4.2.3.9-b type=test
TEST(IcmpKinds, EachCodeMeansWhatItMeansToAnOpen) {
  for (const Kind4& k : kKinds) {
    SCOPED_TRACE(testing::Message() << +k.type << '/' << +k.code);
    World w;
    const ConnId c = w.connect(kServer);
    w.feed(icmp_about(w.tcp.at(0), k.type, k.code));
    w.tcp.clear();
    if (k.reason == kHard) {
      EXPECT_EQ(w.expect_event(c, kClosed).reason, CloseReason::kRefused);
    } else {
      w.expect_event(c, kSoftError);
      EXPECT_EQ(w.stack->soft_error(c), k.reason);
      EXPECT_EQ(w.stack->state_of(c), tcp::State::kSynSent);
    }
  }
}

//= RFC5927 5.2 type=test
//= RFC9293 MUST-56 type=test
TEST(IcmpKinds, NoneOfThemEndsAnEstablishedConnection) {
  for (const Kind4& k : kKinds) {
    SCOPED_TRACE(testing::Message() << +k.type << '/' << +k.code);
    World w;
    w.listen();
    Peer p(w);
    const ConnId c = p.open();
    w.send(c, "text");
    const Sent s = p.expect(ACK);
    w.feed(icmp_about(s, k.type, k.code));
    w.expect_event(c, kSoftError);
    EXPECT_EQ(w.stack->soft_error(c), k.reason);
    EXPECT_EQ(w.stack->state_of(c), tcp::State::kEstablished);
    p.send(ACK);
    EXPECT_EQ(w.stack->soft_error(c), CloseReason::kNone);
    w.expect_no_event();
    w.expect_quiet();
  }
}

// Source Quench, redirects, and codes that nobody has given a meaning.
//= RFC9293 MUST-55 type=test
//= RFC6633 3-b type=test
//= RFC5927 6.2 type=test
TEST(IcmpKinds, SourceQuenchAndRedirectsAreDiscardedInSilence) {
  for (const auto& [type, code] : {std::pair{4, 0}, {5, 0}, {5, 1}, {3, 16}, {3, 255}}) {
    SCOPED_TRACE(testing::Message() << type << '/' << code);
    World w;
    w.listen();
    Peer p(w);
    const ConnId c = p.open();
    w.send(c, "text");
    const Sent s = p.expect(ACK);
    w.feed(icmp_about(s, static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code)));
    EXPECT_EQ(w.count(&C::drop_icmp_ignored), 1U);
    EXPECT_EQ(w.count(&C::icmp_errors_in), 0U);
    EXPECT_EQ(w.stack->soft_error(c), CloseReason::kNone);
    w.expect_no_event();
    w.expect_quiet();
    p.send(ACK);
  }
}

// -- Half-open connections and TIME-WAIT --------------------------------------------------------

struct HalfOpen : testing::Test {
  HalfOpen() {
    w.listen();
    p.snd_nxt += 1;
    w.feed(p.make(SYN, p.snd_nxt - 1, Seq{}));
    syn_ack = p.expect(SYN | ACK);
  }
  World w;
  Peer p{w};
  Sent syn_ack;
};

//= RFC9293 MUST-54 type=test
//= RFC1122 4.2.3.9-c type=test
TEST_F(HalfOpen, AHardErrorEndsIt) {
  w.feed(icmp_about(syn_ack, 3, 3));
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 1U);
  EXPECT_EQ(w.count(&C::attempt_fails), 1U);
  w.run_for(100s);
  w.expect_quiet();
}

TEST_F(HalfOpen, ASoftErrorDoesNot) {
  w.feed(icmp_about(syn_ack, 3, 1));
  w.feed(icmp_about(syn_ack, 11, 0));
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 2U);
  p.send(ACK);
  EXPECT_EQ(w.stack->gauges().established, 1U);
}

TEST_F(HalfOpen, BelievesOnlyWhatQuotesItsSynAck) {
  w.feed(icmp_about(with_seq_flipped(syn_ack), 3, 3));
  EXPECT_EQ(w.stack->gauges().half_open, 1U);
  EXPECT_EQ(w.count(&C::drop_icmp_forged), 1U);
}

TEST(IcmpTimeWait, IsLeftAlone) {
  World w;
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  w.send(c, "text");
  const Sent s = p.expect(ACK);
  p.send(ACK);
  p.close_after_stack(c);
  ASSERT_EQ(w.stack->gauges().time_wait, 1U);
  w.feed(icmp_about(s, 3, 3));
  w.feed(icmp_about(s, 3, 4, 600));
  EXPECT_EQ(w.stack->gauges().time_wait, 1U);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 0U);
  EXPECT_EQ(w.count(&C::drop_icmp_ignored), 2U);
  w.expect_quiet();
}

// -- Path MTU -----------------------------------------------------------------------------------

struct PathMtu : Opening {
  PathMtu() {
    server.syn_options.mss = 1'460;
    c = w.connect(kServer);
    server.answer(c);
    text = pattern(6'000);
    w.send(c, text);
    while (auto s = server.take()) {
      first.push_back(*s);
      EXPECT_LE(s->text.size(), 1'460U);
    }
    server.rcv_nxt = first.at(0).tcp().seq;  // nothing arrived
  }
  // What is resent, which must be the text from its start in segments of `longest`.
  void expect_resent(std::size_t longest) {
    std::string got;
    Seq at = first.at(0).tcp().seq;
    while (auto s = server.take()) {
      EXPECT_EQ(s->tcp().seq, at + static_cast<std::uint32_t>(got.size()));
      if (got.empty()) {
        EXPECT_EQ(s->text.size(), longest);
      }
      EXPECT_LE(s->text.size(), longest);
      got += s->text;
    }
    EXPECT_GE(got.size(), longest);
    EXPECT_EQ(got, text.substr(0, got.size()));
  }
  ConnId c;
  std::string text;
  std::vector<Sent> first;
};

//= RFC1191 4 type=test
TEST_F(PathMtu, TooBigLowersTheSegmentSizeAndResends) {
  w.feed(icmp_about(first.at(0), 3, 4, 1'000));
  expect_resent(960);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 1U);
  EXPECT_EQ(w.count(&C::pmtu_lowered), 1U);
}

TEST_F(PathMtu, NoMessageLowersItBelow552) {
  w.feed(icmp_about(first.at(0), 3, 4, 68));
  expect_resent(512);
}

// The quoted length says which: 1,500 octets, so 1,492.
TEST_F(PathMtu, ARouterThatNamesNoMtuMeansTheNextPlateau) {
  w.feed(icmp_about(first.at(0), 3, 4, 0));
  expect_resent(1'452);
}

// RFC 1191 §4: the 16 bits before the MTU are unused, whatever they hold.
TEST_F(PathMtu, OnlyTheLowHalfOfTheWordIsTheMtu) {
  w.feed(icmp_about(first.at(0), 3, 4, 0xffff'0000U | 1'000U));
  expect_resent(960);
}

TEST_F(PathMtu, TooBigAboutWhatIsNotInFlightIsIgnored) {
  w.feed(icmp_about(with_seq_flipped(first.at(0)), 3, 4, 600));
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_icmp_forged), 1U);
}

TEST_F(PathMtu, ALargerMtuIsIgnored) {
  w.feed(icmp_about(first.at(0), 3, 4, 9'000));
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_icmp_ignored), 1U);
}

// Nothing is kept for the destination: a forged message cannot slow down those who come later.
//= RFC1191 6.2 type=test
TEST_F(PathMtu, NoOtherConnectionIsTouched) {
  w.feed(icmp_about(first.at(0), 3, 4, 600));
  while (server.take()) {
  }
  Peer second{w, {.addr = kPeer, .port = 81}};
  second.syn_options.mss = 1'460;
  const ConnId d = w.connect({kPeer, 81});
  second.answer(d);
  w.send(d, pattern(2'000));
  const auto s = second.take();
  ASSERT_TRUE(s);
  EXPECT_EQ(s->text.size(), 1'460U);
  w.tcp.clear();
}

// Whatever leaves says "don't fragment", and no fragment ever does.
//= RFC1191 3-a type=test
TEST_F(PathMtu, EveryPacketSaysDontFragment) {
  w.feed(icmp_about(first.at(0), 3, 4, 1'000));
  std::deque<Sent> all = w.tcp;
  all.insert(all.end(), first.begin(), first.end());
  ASSERT_GT(all.size(), 5U);
  for (const Sent& s : all) EXPECT_EQ(wire::load16(&s.octets[20]), 0x4000U);
  w.tcp.clear();
}

// -- ICMPv6 (RFC 4443, RFC 8201) ----------------------------------------------------------------

struct OverIpv6 : testing::Test {
  OverIpv6() {
    w.listen();
    p.syn_options.mss = 1'440;
    c = p.open();
    w.send(c, pattern(1'440));
    first = *p.take();
    EXPECT_EQ(first.text.size(), 1'440U);
  }
  Octets about_first(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0) {
    const Octets quote(first.octets.begin() + 14, first.octets.begin() + 14 + 60);
    return icmp6_frame(kGateway6, kHost6, type, code, rest, quote);
  }
  World w{config6()};
  Peer p{w, {.addr = kPeer6, .local = kHost6}};
  ConnId c;
  Sent first;
};

//= RFC8201 4-b type=test
//= RFC8201 4-d type=test
TEST_F(OverIpv6, TooBigLowersIt1280AtTheLeast) {
  w.feed(about_first(2, 0, 1'279));
  w.feed(about_first(2, 0, 0));
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_icmp_ignored), 2U);
  w.feed(about_first(2, 0, 1'280));
  EXPECT_EQ(p.take()->text.size(), 1'220U);
  EXPECT_EQ(p.take()->text.size(), 220U);
  EXPECT_EQ(w.count(&C::pmtu_lowered), 1U);
}

TEST_F(OverIpv6, EachErrorMeansWhatItMeans) {
  const std::tuple<std::uint8_t, std::uint8_t, CloseReason> kinds[] = {
      {1, 0, CloseReason::kNetUnreachable}, {1, 1, CloseReason::kUnreachable},
      {1, 3, CloseReason::kUnreachable},    {1, 4, CloseReason::kRefused},
      {3, 0, CloseReason::kUnreachable},    {4, 1, CloseReason::kProtocol},
  };
  for (const auto& [type, code, reason] : kinds) {
    SCOPED_TRACE(testing::Message() << +type << '/' << +code);
    w.feed(about_first(type, code));
    EXPECT_EQ(w.stack->soft_error(c), reason);
    EXPECT_EQ(w.stack->state_of(c), tcp::State::kEstablished);
  }
  w.events.clear();
}

TEST(IcmpOpening6, PortUnreachableRefuses) {
  World w(config6());
  const ConnId c = w.connect({kPeer6, 80});
  const Sent syn = w.tcp.at(0);
  const Octets quote(syn.octets.begin() + 14, syn.octets.begin() + 14 + 60);
  w.feed(icmp6_frame(kGateway6, kHost6, 1, 4, 0, quote));
  EXPECT_EQ(w.expect_event(c, kClosed).reason, CloseReason::kRefused);
  w.tcp.clear();
}

// -- Errors that a stack sends ------------------------------------------------------------------

//= RFC1122 3.2.2.1-a type=test
//= RFC1122 3.2.2-b type=test
TEST(IcmpOut, AProtocolNobodySpeaksIsUnreachable) {
  World w;
  const Octets sctp = ipv4_frame(kPeer, kHost, 132, Octets(20));
  w.feed(sctp);
  ASSERT_EQ(w.icmp.size(), 1U);
  const Sent& s = w.icmp[0];
  EXPECT_EQ(s.frame.icmp.type, 3);
  EXPECT_EQ(s.frame.icmp.code, 2);
  EXPECT_EQ(s.frame.dst, kPeer);
  EXPECT_TRUE(std::equal(sctp.begin() + 14, sctp.begin() + 14 + 40, s.octets.begin() + 42));
  w.icmp.clear();
}

//= RFC1122 3.2.2-a type=test
//= RFC1122 3.2.2-c type=test
TEST(IcmpOut, NeverAboutAnIcmpError) {
  World w;
  const Octets udp = udp_frame(kHost, kPeer, "what the stack never sent");
  const Octets quote(udp.begin() + 14, udp.begin() + 14 + 28);
  for (const int type : {3, 4, 5, 11, 12, 40, 255}) {
    w.feed(icmp_frame(kGateway, kHost, static_cast<std::uint8_t>(type), 0, 0, quote));
  }
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_icmp_ignored), 7U);
}

TEST(IcmpOut, NeverAboutWhatWasSentToAGroup) {
  World w;
  for (const IpAddr to :
       {IpAddr::v4(10, 0, 0, 255), IpAddr::v4(255, 255, 255, 255), IpAddr::v4(224, 0, 0, 1)}) {
    for (const bool udp : {true, false}) {
      const auto frame_to = [udp](const IpAddr& dst) {
        return udp ? udp_frame(kPeer, dst, "hello, all") : ipv4_frame(kPeer, dst, 132, Octets(20));
      };
      Octets f = frame_to(to);
      std::copy_n(std::as_bytes(std::span{kHostMac.octets}).begin(), 6, f.begin());
      w.feed(f);
      Octets g = frame_to(kHost);
      std::fill_n(g.begin(), 6, std::byte{0xff});  // a broadcast of the link
      w.feed(g);
    }
  }
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_not_for_us), 12U);
}

TEST(IcmpOut, NeverToAnAddressThatIsNoSingleHosts) {
  World w;
  for (const IpAddr from : {IpAddr::v4(0, 0, 0, 0), IpAddr::v4(127, 0, 0, 1),
                            IpAddr::v4(224, 0, 0, 1), IpAddr::v4(10, 0, 0, 255)}) {
    w.feed(udp_frame(from, kHost, "?"));
    w.feed(ipv4_frame(from, kHost, 132, Octets(20)));
  }
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::drop_bad_source), 8U);
}

TEST(IcmpOut, NeverAboutALaterFragment) {
  World w;
  Octets f = ipv4_frame(kPeer, kHost, 132, Octets(24));
  wire::store16(&f[20], 100);  // its offset
  mend_ipv4(f);
  w.feed(f);
  w.run_for(200s);
  w.expect_quiet();
}

//= RFC6633 3-a type=test
//= RFC6633 6 type=test
TEST(IcmpOut, NothingIsAnsweredByASourceQuench) {
  World w;
  const std::vector<Octets> flood(64, udp_frame(kPeer, kHost, "?"));
  for (int i = 0; i < 10; ++i) w.iterate(flood);
  EXPECT_GT(w.count(&C::drop_icmp_rate), 0U);
  ASSERT_GT(w.icmp.size(), 0U);
  for (const Sent& s : w.icmp) EXPECT_EQ(s.frame.icmp.type, 3);
  w.icmp.clear();
  const Octets quote(flood[0].begin() + 14, flood[0].begin() + 42);
  w.feed(icmp_frame(kGateway, kHost, 4, 0, 0, quote));  // about UDP
  w.expect_quiet();
}

// -- R1 and the next hop ------------------------------------------------------------------------

// Nobody here is far away: the least RTO decides when the first goes again.
Config rto_of_a_second() {
  Config c = small_config();
  c.tcp.rto_min = 1s;
  return c;
}

struct NextHop : testing::Test {
  NextHop() {
    w.listen();
    c = p.open();
    w.arp.clear();
  }
  unsigned asked() const {
    unsigned n = 0;
    for (const Sent& s : w.arp) n += s.frame.arp.op == 1 && s.frame.arp.target_ip == kPeer ? 1 : 0;
    return n;
  }
  World w{rto_of_a_second()};
  Peer p{w};
  ConnId c;
};

//= RFC9293 MUST-20 type=test
//= RFC1122 3.3.1.4 type=test
TEST_F(NextHop, IsAskedAgainWhenR1IsReached) {
  w.run_for(100ms);
  w.send(c, "text");
  w.arp.clear();
  w.run_for(14'999ms);  // resent after 1, 3 and 7 s; at 15 s R1 is reached
  EXPECT_EQ(asked(), 0U);
  w.run_for(2ms);
  EXPECT_EQ(asked(), 1U);
  EXPECT_EQ(w.arp.back().frame.dst_mac, mac_of(kPeer));  // at the address that is known
  EXPECT_EQ(w.count(&C::r1_reached), 1U);
  w.expect_event(c, kSoftError);
  EXPECT_EQ(w.stack->soft_error(c), CloseReason::kTimedOut);
  w.tcp.clear();
}

// RFC 4861 §7.3.1: what TCP gets acknowledged shows that the neighbour is there.
TEST_F(NextHop, IsNotAskedWhileTextGetsThrough) {
  for (int i = 0; i < 30; ++i) {
    w.run_for(5s);
    w.send(c, "text");
    p.expect(ACK);
    p.send(ACK);
  }
  EXPECT_EQ(asked(), 0U);
  EXPECT_EQ(w.count(&C::r1_reached), 0U);
}

TEST_F(NextHop, ThatIsGoneIsTheReasonOfATimeOut) {
  w.silent.insert(kPeer);
  w.send(c, "text");
  w.run_for(32s);  // asked from 15 s on; three times there, three times everybody
  EXPECT_EQ(w.stack->soft_error(c), CloseReason::kUnreachable);
  w.tcp.clear();
  w.run_for(2'000s);
  bool closed = false;
  while (const auto e = w.next_event()) {
    if ((e->events & kClosed) == 0) continue;
    closed = true;
    EXPECT_EQ(e->reason, CloseReason::kUnreachable);
  }
  EXPECT_TRUE(closed);
  w.tcp.clear();
}

}  // namespace
// What the RST of an abort meets ends the connection once.
TEST(NextHopGone, AnAbortAtAnyTimeEndsTheConnectionOnce) {
  for (Duration at = 18s; at < 26s; at += 250ms) {
    SCOPED_TRACE(at.count());
    World w(rto_of_a_second());
    w.listen();
    Peer p(w);
    const ConnId c = p.open();
    w.silent.insert(kPeer);
    w.send(c, "text");
    w.run_for(at);
    w.stack->abort(c);
    w.iterate();
    EXPECT_EQ(w.stack->gauges().connections, 0U);
    EXPECT_FALSE(w.stack->alive(c));
    w.tcp.clear();
    w.events.clear();
  }
}

// Nobody asks for a connection any more that was closed, and its next hop is gone.
TEST(NextHopGone, AnOrphanEndsWithItsRetries) {
  World w(rto_of_a_second());
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  w.silent.insert(kPeer);
  w.send(c, "text");
  w.stack->close(c);
  w.run_for(2'000s);
  EXPECT_EQ(w.stack->gauges().connections, 0U);
  w.tcp.clear();
}

}  // namespace weir::stack::test
