// What a stack does with frames that no connection claims: dropped by name, answered by RST, ICMP
// or ARP, and at which rate.
#include <functional>

#include "harness.h"
#include "wire/octets.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;
using CounterOf = telemetry::Counter C::*;

// A SYN that a listener would answer, for the table below to break.
Octets good_syn() {
  World unused;
  return Peer(unused).make(SYN);
}
Octets syn_from(const IpAddr& src) {
  World unused;
  Peer p(unused, {.addr = src});
  return p.make(SYN);
}

struct Bad {
  const char* name;
  CounterOf counter;
  std::function<Octets()> frame;
};

void PrintTo(const Bad& b, std::ostream* out) {
  *out << b.name;
}

Octets patched(const std::function<void(Octets&)>& change, bool mend = true) {
  Octets f = good_syn();
  change(f);
  if (mend) mend_ipv4(f);
  return f;
}

const Bad kBad[] = {
    {"TcpChecksum", &C::drop_tcp_checksum,
     [] { return patched([](Octets& f) { put8(f, 50, 0x11); }); }},
    {"IpChecksum", &C::drop_ip_checksum,
     [] { return patched([](Octets& f) { put8(f, 24, 0x11); }, false); }},
    {"Land", &C::drop_bad_source, [] { return syn_from(kHost); }},
    {"SourceLimitedBroadcast", &C::drop_bad_source,
     [] { return syn_from(IpAddr::v4(255, 255, 255, 255)); }},
    {"SourceNetworkBroadcast", &C::drop_bad_source,
     [] { return syn_from(IpAddr::v4(10, 0, 0, 255)); }},
    {"SourceMulticast", &C::drop_bad_source, [] { return syn_from(IpAddr::v4(224, 0, 0, 5)); }},
    {"SourceZero", &C::drop_bad_source, [] { return syn_from(IpAddr::v4(0, 0, 0, 0)); }},
    {"SourceThisNetwork", &C::drop_bad_source, [] { return syn_from(IpAddr::v4(0, 1, 2, 3)); }},
    {"SourceLoopback", &C::drop_bad_source, [] { return syn_from(IpAddr::v4(127, 0, 0, 1)); }},
    {"SourceReserved", &C::drop_bad_source, [] { return syn_from(IpAddr::v4(240, 0, 0, 1)); }},
    {"DestinationNotOurs", &C::drop_not_for_us,
     [] {
       World unused;
       Octets f = Peer(unused, {.local = IpAddr::v4(10, 0, 0, 7)}).make(SYN);
       std::copy_n(std::as_bytes(std::span{kHostMac.octets}).begin(), 6, f.begin());
       return f;
     }},
    {"DestinationBroadcast", &C::drop_not_for_us,
     [] {
       World unused;
       Octets f = Peer(unused, {.local = IpAddr::v4(10, 0, 0, 255)}).make(SYN);
       std::fill_n(f.begin(), 6, std::byte{0xff});
       return f;
     }},
    {"MacNotOurs", &C::drop_not_for_us,
     [] { return patched([](Octets& f) { put8(f, 5, 0x99); }); }},
    {"MacBroadcast", &C::drop_not_for_us,
     [] { return patched([](Octets& f) { std::fill_n(f.begin(), 6, std::byte{0xff}); }); }},
    {"FragmentOfOddLength", &C::drop_frag_length,
     [] { return patched([](Octets& f) { put8(f, 20, 0x20); }); }},
    {"FragmentBeyond65535", &C::drop_frag_length,
     [] { return patched([](Octets& f) { put8(f, 20, 0x1f), put8(f, 21, 0xff); }); }},
    {"IpVersion", &C::drop_ip_version,
     [] { return patched([](Octets& f) { put8(f, 14, 0x65); }); }},
    {"HeaderLength", &C::drop_ip_header_length,
     [] { return patched([](Octets& f) { put8(f, 14, 0x44); }, false); }},
    {"TotalLengthBeyondTheFrame", &C::drop_ip_total_length,
     [] { return patched([](Octets& f) { put8(f, 16, 4); }); }},
    {"TotalLengthBelowTheHeader", &C::drop_ip_total_length,
     [] { return patched([](Octets& f) { put8(f, 17, 19); }); }},
    {"DataOffset", &C::drop_tcp_header,
     [] { return patched([](Octets& f) { put8(f, 46, 0x40); }); }},
    {"DataOffsetBeyondTheSegment", &C::drop_tcp_header,
     [] { return patched([](Octets& f) { put8(f, 46, 0xf0); }); }},
    {"SourceRoute", &C::drop_ip_source_route,
     [] {
       Octets l4(4);
       put8(l4, 0, 131), put8(l4, 1, 3), put8(l4, 2, 4);
       const Octets syn = good_syn();
       l4.insert(l4.end(), syn.begin() + 34, syn.end());
       Octets f = ipv4_frame(kPeer, kHost, 6, l4);
       put8(f, 14, 0x46);
       mend_ipv4(f);
       return f;
     }},
    {"EtherType", &C::drop_other_protocol,
     [] { return patched([](Octets& f) { put8(f, 12, 0x88), put8(f, 13, 0xcc); }); }},
    {"Runt", &C::drop_short_frame, [] { return Octets(13); }},
    {"ArpMalformed", &C::drop_arp_malformed,
     [] {
       Octets f = arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast());
       put8(f, 14, 9);
       return f;
     }},
    {"ArpToAnotherHostsMac", &C::drop_not_for_us,
     [] { return arp_frame(1, kPeer, mac_of(kPeer), kHost, mac_of(IpAddr::v4(10, 0, 0, 7))); }},
    {"IcmpChecksum", &C::drop_icmp_checksum,
     [] {
       Octets f = icmp_frame(kPeer, kHost, 8, 0, 1, octets_of("ping"));
       put8(f, 36, 0x12), put8(f, 37, 0x34);
       return f;
     }},
    {"SourceQuench", &C::drop_icmp_ignored,  // RFC 6633
     [] { return icmp_frame(kPeer, kHost, 4, 0, 0, Octets(28, std::byte{0x45})); }},
    {"EchoReplyUnasked", &C::drop_icmp_ignored,
     [] { return icmp_frame(kPeer, kHost, 0, 0, 1, octets_of("pong")); }},
    {"UdpToABroadcastAddress", &C::drop_not_for_us,
     [] {
       Octets f = udp_frame(kPeer, IpAddr::v4(10, 0, 0, 255), "hello, all");
       std::fill_n(f.begin(), 6, std::byte{0xff});
       return f;
     }},
    {"UdpWithoutItsHeader", &C::drop_udp_length,
     [] { return ipv4_frame(kPeer, kHost, 17, Octets(7)); }},
    {"EchoToABroadcastAddress", &C::drop_not_for_us,  // smurf
     [] {
       Octets f = icmp_frame(kPeer, IpAddr::v4(10, 0, 0, 255), 8, 0, 1, octets_of("ping"));
       std::fill_n(f.begin(), 6, std::byte{0xff});
       return f;
     }},
    {"RstToAClosedPort", &C::drop_closed_rst,
     [] {
       World unused;
       return Peer(unused, {.local_port = 81}).make(RST);
     }},
    {"NullScanOfAListener", &C::drop_listen_bad,
     [] {
       World u;
       return Peer(u).make(0);
     }},
    {"FinScanOfAListener", &C::drop_listen_bad,
     [] {
       World u;
       return Peer(u).make(FIN);
     }},
    {"XmasScanOfAListener", &C::drop_listen_bad,
     [] {
       World u;
       return Peer(u).make(FIN | PSH | URG, pattern(1'400));
     }},
    {"SynFinToAListener", &C::drop_listen_bad,
     [] {
       World u;
       return Peer(u).make(SYN | FIN);
     }},
    {"RstToAListener", &C::drop_listen_bad,
     [] {
       World u;
       return Peer(u).make(RST);
     }},
};

class Dropped : public testing::TestWithParam<Bad> {};

//= RFC9293 MUST-57 type=test
//= RFC9293 MUST-63 type=test
TEST_P(Dropped, CountedByItsNameAndNotAnswered) {
  World w;
  w.listen();
  w.feed(GetParam().frame());
  EXPECT_EQ(w.count(GetParam().counter), 1U);
  std::uint64_t all = 0;
  for (const telemetry::CounterInfo& i : telemetry::kCounterInfo) {
    if (telemetry::is_drop(i)) all += w.count(i.field);
  }
  EXPECT_EQ(all, 1U);  // under no other name
  w.expect_quiet();
  EXPECT_TRUE(w.arp.empty());
  w.expect_no_event();
  EXPECT_EQ(w.stack->gauges().half_open, 0U);
  EXPECT_EQ(w.stack->gauges().neighbours, 1U);  // the gateway alone
}

INSTANTIATE_TEST_SUITE_P(Demux, Dropped, testing::ValuesIn(kBad),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(Demux, TheFrameTheTableBreaksIsGood) {
  World w;
  w.listen();
  w.feed(good_syn());
  EXPECT_EQ(w.tcp.size(), 1U);
  w.tcp.clear();
}

TEST(Demux, AChecksumThatThePortFoundBadIsBelieved) {
  World w;
  w.listen();
  Buf* b = w.pool.take_copy(good_syn());
  b->flags = Buf::kChecksumBad;
  w.iterate_bufs({&b, 1});
  EXPECT_EQ(w.count(&C::drop_tcp_checksum), 1U);
  w.expect_quiet();
}

TEST(Demux, AChecksumThatThePortVerifiedIsNotSummedAgain) {
  World w;
  w.listen();
  Octets f = good_syn();
  put8(f, 50, 0x11);
  Buf* b = w.pool.take_copy(f);
  b->flags = Buf::kL4ChecksumOk | Buf::kIpChecksumOk;
  w.iterate_bufs({&b, 1});
  EXPECT_EQ(w.tcp.size(), 1U);
  w.tcp.clear();
}

// -- RST (RFC 9293 §3.5.2, §3.10.7.1) --------------------------------------------------------

struct ClosedPort : testing::Test {
  World w;
  Peer p{w, {.local_port = 81}};
};

TEST_F(ClosedPort, ASynIsAnsweredByRstWithAckAndSequenceZero) {
  w.feed(p.make(SYN, Seq{7'000}, Seq{}));
  const Sent s = p.expect(RST | ACK);
  EXPECT_EQ(s.tcp().seq, Seq{0});
  EXPECT_EQ(s.tcp().ack, Seq{7'001});
  EXPECT_EQ(s.text, "");
  w.expect_quiet();
  EXPECT_EQ(w.count(&C::out_rsts), 1U);
  EXPECT_EQ(w.count(&C::drop_no_listener), 1U);
}

TEST_F(ClosedPort, TextAndFinCountInTheAcknowledgment) {
  w.feed(p.make(SYN | FIN, Seq{0xffff'fffe}, Seq{}, "12345"));
  EXPECT_EQ(p.expect(RST | ACK).tcp().ack, Seq{0xffff'fffe} + 7);
  w.feed(p.make(PSH, Seq{100}, Seq{}, "12345"));
  EXPECT_EQ(p.expect(RST | ACK).tcp().ack, Seq{105});
}

TEST_F(ClosedPort, AnAckIsAnsweredByRstAtTheNumberItAcknowledged) {
  w.feed(p.make(ACK | FIN, Seq{1}, Seq{0xabcd'ef01}, "text"));
  const Sent s = p.expect(RST);
  EXPECT_EQ(s.tcp().seq, Seq{0xabcd'ef01});
  EXPECT_EQ(s.tcp().flags, RST);
  EXPECT_LE(s.octets.size(), 60U);
}

TEST(Listener, AnAckIsAnsweredByRst) {
  World w;
  w.listen();
  Peer p(w);
  w.feed(p.make(ACK | PSH, Seq{1}, Seq{999}, "GET / HTTP/1.1"));
  EXPECT_EQ(p.expect(RST).tcp().seq, Seq{999});
  w.expect_quiet();
}

// No count of RSTs is kept: it would tell one who asks of another's segments. Each answer is no
// longer than what drew it, and carries nothing.
TEST_F(ClosedPort, EachStrayDrawsOneShortRstHoweverManyThereAre) {
  w.feed(p.make(SYN));  // and the neighbour is known
  p.expect(RST | ACK);
  std::vector<Octets> frames(64, p.make(SYN));
  for (unsigned i = 0; i < 256; ++i) {
    w.iterate(frames);
    ASSERT_EQ(w.tcp.size(), 64U);
    for (const Sent& s : w.tcp) ASSERT_LE(s.octets.size(), frames[0].size());
    w.tcp.clear();
  }
}

// -- ICMP ------------------------------------------------------------------------------------

//= RFC1122 4.1.3.1 type=test
TEST(Icmp, UdpIsAnsweredByPortUnreachableThatQuotesIt) {
  World w;
  const Octets udp = udp_frame(kPeer, kHost, "question");
  w.feed(udp);
  ASSERT_EQ(w.icmp.size(), 1U);
  const Sent s = w.icmp[0];
  EXPECT_EQ(s.frame.dst_mac, mac_of(kPeer));
  EXPECT_EQ(s.frame.dst, kPeer);
  EXPECT_EQ(s.frame.icmp.type, 3);
  EXPECT_EQ(s.frame.icmp.code, 3);
  EXPECT_EQ(s.frame.icmp.inner.remote_port, 53);
  EXPECT_TRUE(std::equal(udp.begin() + 14, udp.begin() + 14 + 36, s.octets.begin() + 42));
  EXPECT_EQ(w.count(&C::icmp_unreachables_out), 1U);
  w.icmp.clear();
}

//= RFC1122 3.2.2.6-a type=test
//= RFC1122 3.2.2.6-b type=test
TEST(Icmp, AnEchoRequestIsAnsweredWithItsOwnOctets) {
  World w;
  const std::string text = pattern(1'001);
  w.feed(icmp_frame(kPeer, kHost, 8, 0, 0x1234'0001, octets_of(text)));
  ASSERT_EQ(w.icmp.size(), 1U);
  const Sent s = w.icmp[0];
  EXPECT_EQ(s.frame.src, kHost);
  EXPECT_EQ(s.frame.dst, kPeer);
  EXPECT_EQ(s.frame.dst_mac, mac_of(kPeer));
  EXPECT_EQ(s.frame.icmp.type, 0);
  EXPECT_EQ(s.frame.icmp.rest, 0x1234'0001U);
  EXPECT_EQ(text_of(std::span{s.octets}.subspan(42)), text);
  w.icmp.clear();
}

TEST(Icmp, AnswersAreLimitedToABurstAndARate) {
  World w;
  const std::vector<Octets> frames(64, udp_frame(kPeer, kHost, "?"));
  for (unsigned i = 0; i < 4; ++i) w.iterate(frames);
  EXPECT_GT(w.icmp.size(), 65U);  // about 100: what one costs is drawn
  EXPECT_LT(w.icmp.size(), 140U);
  EXPECT_EQ(w.count(&C::drop_icmp_rate), 256U - w.icmp.size());
  w.icmp.clear();
  w.run_for(10ms);
  w.iterate(frames);
  EXPECT_GE(w.icmp.size(), 1U);
  EXPECT_LE(w.icmp.size(), 40U);
  w.icmp.clear();
}

TEST(Icmp, WithoutABufferNothingIsAnsweredAndNothingLost) {
  World w;
  w.pool.set_limit(1);
  w.feed(udp_frame(kPeer, kHost, "?"));
  EXPECT_EQ(w.count(&C::drop_no_buffer), 1U);
  w.expect_quiet();
  w.pool.set_limit(sim::BlockPool::kNoLimit);
}

// -- ARP (RFC 826, RFC 5227) -----------------------------------------------------------------

TEST(Arp, ARequestForUsIsAnsweredToItsSender) {
  World w;
  w.feed(arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast()));
  ASSERT_EQ(w.arp.size(), 1U);
  const wire::ArpPacket& a = w.arp[0].frame.arp;
  EXPECT_EQ(a.op, 2);
  EXPECT_EQ(a.sender_mac, kHostMac);
  EXPECT_EQ(a.sender_ip, kHost);
  EXPECT_EQ(a.target_mac, mac_of(kPeer));
  EXPECT_EQ(w.arp[0].frame.dst_mac, mac_of(kPeer));
  EXPECT_EQ(w.arp[0].octets.size(), wire::kMinFrame);
}

TEST(Arp, ARequestForAnotherIsNot) {
  World w;
  w.feed(arp_frame(1, kPeer, mac_of(kPeer), IpAddr::v4(10, 0, 0, 7), MacAddr::broadcast()));
  EXPECT_TRUE(w.arp.empty());
  EXPECT_EQ(w.stack->gauges().neighbours, 1U);
}

TEST(Arp, AGratuitousOneOfAStrangerTeachesNothing) {
  World w;
  w.feed(arp_frame(1, kPeer, mac_of(kPeer), kPeer, MacAddr::broadcast()));
  w.feed(arp_frame(2, kPeer, mac_of(kPeer), kHost, kHostMac));  // nor a reply unasked
  EXPECT_TRUE(w.arp.empty());
  EXPECT_EQ(w.stack->gauges().neighbours, 1U);
}

TEST(Arp, AClaimToOurAddressIsDefendedOnceInTenSeconds) {
  World w;
  const Octets claim = arp_frame(1, kHost, mac_of(kPeer), kHost, MacAddr::broadcast());
  for (unsigned i = 0; i < 3; ++i) w.feed(claim);
  ASSERT_EQ(w.arp.size(), 1U);
  const wire::ArpPacket& a = w.arp[0].frame.arp;
  EXPECT_EQ(a.sender_ip, kHost);
  EXPECT_EQ(a.target_ip, kHost);
  EXPECT_EQ(a.sender_mac, kHostMac);
  EXPECT_EQ(w.arp[0].frame.dst_mac, MacAddr::broadcast());
  w.run_for(10s);
  w.feed(claim);
  EXPECT_EQ(w.arp.size(), 2U);
}

// 100,000 senders: the table stays as large as it is, and the gateway's entry where it is.
TEST(Arp, AFloodOfSendersLeavesTheGatewayAlone) {
  World w;
  w.listen();
  Peer far(w, {.addr = IpAddr::v4(192, 0, 2, 1)});
  const ConnId c = far.open();
  for (std::uint32_t i = 0; i < 100'000 / 64; ++i) {
    std::vector<Octets> frames;
    for (std::uint32_t j = 0; j < 64; ++j) {
      const IpAddr from = IpAddr::v4(10, 0, 0, static_cast<std::uint8_t>(2 + (i * 64 + j) % 252));
      MacAddr mac = mac_of(from);
      mac.octets[1] = static_cast<std::uint8_t>(i);
      frames.push_back(
          arp_frame(1 + (j & 1U), from, mac, j % 3 == 0 ? from : kHost, MacAddr::broadcast()));
    }
    w.now += 100us;
    w.iterate(frames);
    ASSERT_LE(w.stack->gauges().neighbours, 32U);
    w.arp.clear();
  }
  w.feed(arp_frame(2, kGateway, mac_of(kPeer), kGateway, MacAddr::broadcast()));  // spoofed
  w.send(c, "x");
  EXPECT_EQ(far.expect(ACK).frame.dst_mac, mac_of(kGateway));
}

// -- Frames in pieces, and padded ones -------------------------------------------------------

TEST(Scattered, AFrameInPiecesIsOneSegment) {
  World w;
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  const std::string text = pattern(1'400);
  for (const bool broken : {true, false}) {
    Octets f = broken ? p.make(ACK, text) : p.next(ACK, text);
    if (broken) f.back() ^= std::byte{1};
    std::array<Buf*, 4> piece{};
    const std::array<std::size_t, 5> cut{0, 60, 61, 1'000, f.size()};
    for (std::size_t i = 0; i < 4; ++i) {
      piece[i] = w.pool.take_copy(std::span{f}.subspan(cut[i], cut[i + 1] - cut[i]));
      if (i > 0) piece[i - 1]->next = piece[i];
    }
    w.iterate_bufs({piece.data(), 1});
    if (broken) {
      EXPECT_EQ(w.count(&C::drop_tcp_checksum), 1U);
      w.expect_no_event();
    }
  }
  w.expect_event(c, kReadable);
  EXPECT_EQ(w.read(c), text);
}

TEST(Padding, IsNoText) {
  World w;
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  const Octets f = p.next(ACK, "x");
  ASSERT_EQ(f.size(), wire::kMinFrame);
  w.feed(f);
  w.expect_event(c, kReadable);
  EXPECT_EQ(w.read(c), "x");
}

}  // namespace
}  // namespace weir::stack::test
