// IPv6 on the link: who is asked, who answers, and which addresses are used (RFC 4861, 4862, 4443).
#include <set>

#include "flow/toeplitz.h"
#include "harness.h"
#include "wire/octets.h"

namespace weir::stack::test {
namespace {

const IpAddr kFar6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9});
const Peer::Where kPeerOver6{.addr = kPeer6, .local = kHost6};
const MacAddr kStranger{{2, 0, 0, 0, 0, 0x66}};

Config with_dad(std::uint8_t transmits = 1) {
  Config c = config6();
  c.dad_transmits = transmits;
  return c;
}

// -- Resolution ------------------------------------------------------------------------------

//= RFC4861 7.2.2-a type=test
//= RFC4861 7.2.2-b type=test
TEST(Nd6, ConnectAsksTheGroupOfItsPeer) {
  World w(config6());
  const ConnId conn = w.connect({kPeer6, 80});
  ASSERT_EQ(w.nd.size(), 1U);
  const wire::Frame& f = w.nd[0].frame;
  EXPECT_FALSE(f.nd.advertisement);
  EXPECT_EQ(f.nd.target, kPeer6);
  EXPECT_EQ(f.src, kHost6);
  EXPECT_EQ(f.dst, wire::solicited_node(kPeer6));
  EXPECT_EQ(f.dst_mac, wire::multicast_mac(wire::solicited_node(kPeer6)));
  EXPECT_EQ(f.ttl, 255);
  ASSERT_TRUE(f.nd.has_lladdr);
  EXPECT_EQ(f.nd.lladdr, kHostMac);
  Peer p(w, {.addr = kPeer6, .port = 80, .local = kHost6});
  p.answer(conn);
  EXPECT_EQ(w.count(&telemetry::Counters::nd_solicits_out), 1U);
}

TEST(Nd6, BothFamiliesAtOnce) {
  World w(config6());
  w.listen(80);
  Peer four(w);
  Peer six(w, kPeerOver6);
  const ConnId a = four.open();
  const ConnId b = six.open();
  w.send(a, "four");
  w.send(b, "six");
  EXPECT_EQ(four.take_text(), "four");
  EXPECT_EQ(six.take_text(), "six");
  EXPECT_EQ(w.arp.size(), 1U);
  EXPECT_EQ(w.nd.size(), 1U);
}

TEST(Nd6, LinkLocalPeersMeet) {
  World w(config6());
  w.listen(80);
  Peer p(w, {.addr = link_local6(2), .local = kHostLocal6});
  const ConnId conn = p.open();
  p.send(ACK | PSH, "hello");
  EXPECT_EQ(w.read(conn), "hello");
  EXPECT_EQ(w.nd.front().frame.src, kHostLocal6);
}

TEST(Nd6, ConnectToALinkLocalPeerUsesTheLinkLocalSource) {
  World w(config6());
  const ConnId conn = w.connect({link_local6(2), 80});
  EXPECT_EQ(w.stack->flow_of(conn).local, kHostLocal6);
}

TEST(Nd6, OffLinkGoesToTheGateway) {
  World w(config6());
  const ConnId conn = w.connect({kFar6, 80});
  ASSERT_EQ(w.nd.size(), 1U);
  EXPECT_EQ(w.nd[0].frame.nd.target, kGateway6);
  EXPECT_EQ(w.nd[0].frame.src, kHostLocal6);
  EXPECT_EQ(w.stack->flow_of(conn).local, kHost6);
  ASSERT_EQ(w.tcp.size(), 1U);
  EXPECT_EQ(w.tcp[0].frame.dst_mac, mac_of(kGateway6));
}

//= RFC4861 7.2.2-c type=test
TEST(Nd6, SilentPeerFailsTheConnect) {
  World w(config6());
  w.silent.insert(kPeer6);
  const ConnId conn = w.connect({kPeer6, 80});
  w.run_for(2'999ms);
  w.expect_no_event();
  w.run_for(1ms);
  EXPECT_EQ(w.expect_event(conn, kClosed).reason, tcp::CloseReason::kUnreachable);
  EXPECT_EQ(w.nd.size(), 3U);
}

TEST(Nd6, PinnedGatewayMacIsNeverAskedFor) {
  Config c = config6();
  c.gateway_mac = MacAddr{{2, 9, 9, 9, 9, 4}};
  c.gateway6_mac = MacAddr{{2, 9, 9, 9, 9, 6}};
  World w(c);
  w.feed(advertisement(kGateway6, kStranger, kHost6));
  w.feed(arp_frame(2, kGateway, kStranger, kHost, kHostMac));
  w.connect({kFar6, 80});
  w.connect({IpAddr::v4(192, 0, 2, 1), 80});
  ASSERT_EQ(w.tcp.size(), 2U);
  EXPECT_EQ(w.tcp[0].frame.dst_mac, c.gateway6_mac);
  EXPECT_EQ(w.tcp[1].frame.dst_mac, c.gateway_mac);
  EXPECT_TRUE(w.nd.empty());
  EXPECT_TRUE(w.arp.empty());
}

//= RFC4861 7.3.1 type=test
TEST(Nd6, TcpThatMovesForwardSparesTheProbe) {
  World w(config6());
  w.listen(80);
  Peer p(w, kPeerOver6);
  const ConnId conn = p.open();
  w.nd.clear();
  for (unsigned i = 0; i < 120; ++i) {  // two minutes: twice what an answer is good for
    w.run_for(1s);
    w.send(conn, "x");
    p.take_text();
    p.send(ACK);
  }
  EXPECT_TRUE(w.nd.empty());
}

//= RFC4861 7.3.3-b type=test
TEST(Nd6, PeerThatFallsSilentIsProbed) {
  World w(config6());
  w.listen(80);
  Peer p(w, kPeerOver6);
  const ConnId conn = p.open();
  w.nd.clear();
  w.silent.insert(kPeer6);
  w.run_for(50s);
  w.send(conn, "x");
  w.run_for(8s);
  ASSERT_EQ(w.nd.size(), 3U);
  for (const Sent& s : w.nd) {
    EXPECT_EQ(s.frame.dst, kPeer6);
    EXPECT_EQ(s.frame.dst_mac, mac_of(kPeer6));
  }
}

// -- Answers ---------------------------------------------------------------------------------

//= RFC4861 7.2.3-a type=test
//= RFC4861 7.2.4-a type=test
TEST(Nd6, SolicitationIsAnsweredToTheAsker) {
  World w(config6());
  for (const IpAddr& target : {kHost6, kHostLocal6}) {
    w.feed(solicitation(kPeer6, target));
    ASSERT_EQ(w.nd.size(), 1U);
    const wire::Frame& f = w.nd[0].frame;
    EXPECT_TRUE(f.nd.advertisement && f.nd.solicited && f.nd.override_flag && !f.nd.router);
    EXPECT_EQ(f.nd.target, target);
    EXPECT_EQ(f.src, target);
    EXPECT_EQ(f.dst, kPeer6);
    EXPECT_EQ(f.dst_mac, mac_of(kPeer6));
    EXPECT_EQ(f.ttl, 255);
    ASSERT_TRUE(f.nd.has_lladdr);
    EXPECT_EQ(f.nd.lladdr, kHostMac);
    w.nd.clear();
  }
  w.feed(solicitation(kPeer6, global6(3)));
  EXPECT_TRUE(w.nd.empty());
}

//= RFC4861 7.2.3-a type=test
TEST(Nd6, UnicastSolicitationIsAnswered) {
  World w(config6());
  wire::NdPacket nd;
  nd.target = kHost6;
  nd.lladdr = mac_of(kPeer6);  // of the frame; there is no option
  w.feed(nd_frame(nd, kPeer6, kHost6, kHostMac));
  ASSERT_EQ(w.nd.size(), 1U);
  EXPECT_EQ(w.nd[0].frame.dst, kPeer6);
  EXPECT_EQ(w.nd[0].frame.dst_mac, mac_of(kPeer6));
}

//= RFC4861 7.2.4-b type=test
TEST(Nd6, AddressTestOfAnotherIsAnsweredToAll) {
  World w(config6());
  w.feed(solicitation(IpAddr{}, kHost6));
  ASSERT_EQ(w.nd.size(), 1U);
  const wire::Frame& f = w.nd[0].frame;
  EXPECT_TRUE(f.nd.advertisement && !f.nd.solicited && f.nd.override_flag);
  EXPECT_EQ(f.dst, wire::kAllNodes);
  EXPECT_EQ(f.dst_mac, wire::multicast_mac(wire::kAllNodes));
}

TEST(Nd6, GroupsOfOthersAreNotForUs) {
  World w(config6());
  wire::NdPacket nd;
  nd.target = kHost6;
  nd.lladdr = kStranger;
  nd.has_lladdr = true;
  const IpAddr others = wire::solicited_node(kPeer6);
  w.feed(nd_frame(nd, kPeer6, others, wire::multicast_mac(others)));
  w.feed(nd_frame(nd, kPeer6, kHost6, kStranger));
  EXPECT_EQ(w.count(&telemetry::Counters::drop_not_for_us), 2U);
  EXPECT_TRUE(w.nd.empty());
}

//= RFC4861 7.1-a type=test
TEST(Nd6, MalformedIsCountedAndTeachesNothing) {
  World w(config6());
  Octets f = solicitation(kPeer6, kHost6);
  put8(f, 21, 254);
  w.feed(f);
  EXPECT_EQ(w.count(&telemetry::Counters::drop_nd_malformed), 1U);
  EXPECT_TRUE(w.nd.empty());
  EXPECT_EQ(w.stack->gauges().neighbours, 2U);  // the two gateways
}

//= RFC4861 8.1 type=test
TEST(Nd6, RedirectsAndRouterAdvertisementsChangeNothing) {
  World w(config6());
  const ConnId conn = w.connect({kFar6, 80});
  w.tcp.clear();
  Octets body(32);
  const auto target = std::as_bytes(std::span{kPeer6.octets()});
  std::copy(target.begin(), target.end(), body.begin());
  const auto dst = std::as_bytes(std::span{kFar6.octets()});
  std::copy(dst.begin(), dst.end(), body.begin() + 16);
  Octets redirect = icmp6_frame(kGateway6, kHost6, 137, 0, 0, body);
  put8(redirect, 21, 255);
  w.feed(redirect);
  EXPECT_EQ(w.count(&telemetry::Counters::drop_icmp_ignored), 1U);
  Octets advert = icmp6_frame(link_local6(7), wire::kAllNodes, 134, 0, 0x4000'0708U, Octets(8));
  put8(advert, 21, 255);
  w.feed(advert);
  EXPECT_EQ(w.count(&telemetry::Counters::drop_not_for_us), 1U);
  w.run_for(1s);  // the SYN again
  ASSERT_FALSE(w.tcp.empty());
  EXPECT_EQ(w.tcp[0].frame.dst_mac, mac_of(kGateway6));
  EXPECT_TRUE(w.stack->alive(conn));
}

// A scan of the prefix must not cost those who are there their place.
//= RFC6583 7.1-a type=test
TEST(Nd6, ScanOfThePrefixLeavesOthersAlone) {
  World w(config6());
  w.listen(80);
  Peer p(w, kPeerOver6);
  const ConnId conn = p.open();
  for (unsigned i = 100; i < 400; ++i) w.silent.insert(global6(i));
  for (unsigned i = 100; i < 400; ++i) {  // spoofed SYNs: each SYN-ACK wants a neighbour
    w.feed(Peer(w, {.addr = global6(i), .local = kHost6}).make(SYN));
  }
  EXPECT_LE(w.stack->gauges().neighbours, 32U);
  EXPECT_GT(w.count(&telemetry::Counters::drop_neigh_table_full), 0U);
  w.send(conn, "still here");
  EXPECT_EQ(p.take_text(), "still here");
}

// -- Listeners of both families --------------------------------------------------------------

TEST(DualStack, ListenerOnAllAddressesTakesBothFamilies) {
  World w(config6());
  w.listen(80);
  Peer(w).open();
  Peer(w, kPeerOver6).open();
}

TEST(DualStack, SettingAndOptionKeepIpv4Out) {
  Config c = config6();
  c.tcp.bindv6only = true;
  World w(c);
  const auto six = w.stack->listen({IpAddr{}, 80});
  ASSERT_TRUE(six.ok());
  Peer(w, kPeerOver6).open();
  Peer four(w);
  four.send(SYN);
  four.expect(RST | ACK);
  const auto any = w.stack->listen({IpAddr{}, 81}, {.v6_only = false});
  ASSERT_TRUE(any.ok());
  Peer(w, {.local_port = 81}).open();
  w.stack->stop_listening(six.value());
  w.stack->stop_listening(any.value());
}

TEST(DualStack, ListenerOnOneAddressTakesThatAlone) {
  World w(config6());
  const auto id = w.stack->listen({kHost6, 80});
  ASSERT_TRUE(id.ok());
  Peer(w, kPeerOver6).open();
  Peer local(w, {.addr = link_local6(2), .local = kHostLocal6});
  local.send(SYN);
  local.expect(RST | ACK);
  Peer four(w);
  four.send(SYN);
  four.expect(RST | ACK);
  w.stack->stop_listening(id.value());
}

// -- Duplicate address detection -------------------------------------------------------------

//= RFC4862 5.4-a type=test
//= RFC4862 5.4.2-b type=test
//= RFC4862 5.3 type=test
TEST(Dad6, EachAddressIsAskedForOnceAndThenUsed) {
  World w(with_dad());
  EXPECT_FALSE(w.stack->addresses_settled());
  w.run_for(2s);
  EXPECT_TRUE(w.stack->addresses_settled());
  ASSERT_EQ(w.nd.size(), 2U);
  std::set<IpAddr> asked;
  for (const Sent& s : w.nd) {
    EXPECT_TRUE(s.frame.src.is_unspecified());
    EXPECT_EQ(s.frame.dst, wire::solicited_node(s.frame.nd.target));
    EXPECT_EQ(s.frame.dst_mac, wire::multicast_mac(s.frame.dst));
    EXPECT_EQ(s.frame.ttl, 255);
    EXPECT_FALSE(s.frame.nd.has_lladdr);
    asked.insert(s.frame.nd.target);
  }
  EXPECT_EQ(asked, (std::set<IpAddr>{kHost6, kHostLocal6}));
  EXPECT_TRUE(w.stack->address_conflicts().empty());
  w.listen(80);
  Peer(w, kPeerOver6).open();
}

//= RFC4862 5.4-b type=test
TEST(Dad6, TentativeAddressTakesNoPacketAndGivesNone) {
  World w(with_dad());
  w.listen(80);
  Peer p(w, kPeerOver6);
  w.feed(p.make(SYN));
  w.feed(icmp6_frame(kPeer6, kHost6, 128, 0, 1, Octets(8)));
  EXPECT_EQ(w.count(&telemetry::Counters::drop_not_for_us), 2U);
  w.expect_quiet();
  const auto conn = w.stack->connect({kPeer6, 80}, std::nullopt, w.now);
  ASSERT_FALSE(conn.ok());
  EXPECT_EQ(conn.error(), Error::kNoRoute);
  const auto from = w.stack->connect({kPeer6, 80}, kHost6, w.now);
  EXPECT_FALSE(from.ok());
  Peer four(w);
  four.syn();  // IPv4 has nothing to wait for
  w.run_for(2s);
  p.open();
}

//= RFC4862 5.4.3-a type=test
TEST(Dad6, QuestionOfAnAddressedHostWaitsForItsAnswer) {
  World w(with_dad());
  w.feed(solicitation(kPeer6, kHost6));
  for (const Sent& s : w.nd) EXPECT_FALSE(s.frame.nd.advertisement);
  w.run_for(2s);
  EXPECT_TRUE(w.stack->address_conflicts().empty());
  w.nd.clear();
  w.feed(solicitation(kPeer6, kHost6));
  EXPECT_EQ(w.nd.size(), 1U);
}

void expect_out_of_use(World& w) {
  ASSERT_EQ(w.stack->address_conflicts().size(), 1U);
  const AddressConflict& c = w.stack->address_conflicts()[0];
  EXPECT_EQ(c.addr, kHost6);
  EXPECT_EQ(c.other, kStranger);
  EXPECT_FALSE(c.in_use);
  w.run_for(5s);
  EXPECT_TRUE(w.stack->addresses_settled());
  w.nd.clear();
  w.feed(solicitation(kPeer6, kHost6));
  EXPECT_TRUE(w.nd.empty());
  w.listen(80);
  w.feed(Peer(w, kPeerOver6).make(SYN));
  w.expect_quiet();
  Peer(w, {.addr = link_local6(2), .local = kHostLocal6}).open();  // the other address works
}

//= RFC4862 5.4.4-a type=test
//= RFC4862 5.4.5 type=test
TEST(Dad6, AdvertisementOfTheAddressTakesItAway) {
  World w(with_dad());
  w.feed(advertisement(kHost6, kStranger, wire::kAllNodes, false));
  expect_out_of_use(w);
}

//= RFC4862 5.4.3-b type=test
TEST(Dad6, TwoWhoWantTheAddressBothGoWithout) {
  World w(with_dad());
  wire::NdPacket nd;
  nd.target = kHost6;
  nd.lladdr = kStranger;  // of the frame alone
  const IpAddr group = wire::solicited_node(kHost6);
  w.feed(nd_frame(nd, IpAddr{}, group, wire::multicast_mac(group)));
  expect_out_of_use(w);
}

TEST(Dad6, OurOwnQuestionComeBackIsNoConflict) {
  World w(with_dad());
  w.run_for(1s);
  ASSERT_FALSE(w.nd.empty());
  for (const Sent& s : std::deque<Sent>(w.nd)) w.feed(s.octets);
  w.run_for(2s);
  EXPECT_TRUE(w.stack->address_conflicts().empty());
  EXPECT_TRUE(w.stack->addresses_settled());
}

//= RFC4862 5.4.5 type=test
TEST(Dad6, DuplicateOfTheMacsOwnAddressEndsIpv6) {
  World w(with_dad());
  w.listen(80);
  w.feed(advertisement(kHostLocal6, kStranger, wire::kAllNodes, false));
  w.run_for(5s);
  EXPECT_TRUE(w.stack->addresses_settled());
  w.feed(Peer(w, kPeerOver6).make(SYN));
  w.feed(Peer(w, {.addr = link_local6(2), .local = kHostLocal6}).make(SYN));
  w.expect_quiet();
  Peer(w).open();  // IPv4 goes on
}

//= RFC4862 5.4.4-b type=test
TEST(Dad6, ConflictOfAnAddressInUseIsReportedAndItIsKept) {
  World w(with_dad());
  w.run_for(3s);
  w.listen(80);
  Peer p(w, kPeerOver6);
  p.syn();
  for (int i = 0; i < 3; ++i) {
    w.feed(advertisement(kHost6, kStranger, wire::kAllNodes, false));
  }
  ASSERT_EQ(w.stack->address_conflicts().size(), 1U);
  EXPECT_TRUE(w.stack->address_conflicts()[0].in_use);
  EXPECT_EQ(w.count(&telemetry::Counters::address_conflicts), 3U);
  p.send(ACK);
  EXPECT_EQ(w.next_event()->events, kAccepted);
}

TEST(Dad6, OtherShardsHearOfItAndStaySilent) {
  Config c = with_dad();
  static const flow::RssMap rss{flow::RssHash(std::vector<std::byte>(40)), {0, 1}};
  c.shards = 2;
  c.rss = &rss;
  c.shard = 1;
  World w(c);
  w.run_for(3s);
  EXPECT_TRUE(w.stack->addresses_settled());
  EXPECT_TRUE(w.nd.empty());
  const Octets frame = solicitation(kPeer6, kHost6);
  w.feed(frame);
  ASSERT_EQ(w.handed.size(), 1U);
  EXPECT_EQ(w.handed[0].shard, 0);
  const Buf* copy = w.handed[0].frame;
  EXPECT_EQ(text_of({copy->data, copy->len}), text_of(frame));
  EXPECT_NE(copy->flags & Buf::kHandedOver, 0);
}

// -- ARP (RFC 5227) --------------------------------------------------------------------------

Config with_probes() {
  Config c = small_config();
  c.arp_probes = 3;
  return c;
}

//= RFC5227 2.1.1-b type=test
//= RFC5227 2.3 type=test
TEST(ArpProbe, ThreeProbesThenTwoAnnouncements) {
  World w(with_probes());
  w.run_for(12s);
  ASSERT_EQ(w.arp.size(), 5U);
  for (unsigned i = 0; i < 5; ++i) {
    const wire::Frame& f = w.arp[i].frame;
    EXPECT_EQ(f.dst_mac, MacAddr::broadcast());
    EXPECT_EQ(f.arp.op, 1);
    EXPECT_EQ(f.arp.target_ip, kHost);
    EXPECT_EQ(f.arp.sender_ip, i < 3 ? IpAddr::v4(0, 0, 0, 0) : kHost);
    EXPECT_TRUE(f.arp.target_mac.is_zero());
  }
}

TEST(ArpProbe, AddressIsNotUsedWhileItIsProbed) {
  World w(with_probes());
  w.listen(80);
  w.feed(Peer(w).make(SYN));
  w.feed(arp_frame(1, kPeer, mac_of(kPeer), kHost, MacAddr::broadcast()));
  EXPECT_TRUE(w.arp.empty());
  w.expect_quiet();
  w.run_for(10s);
  Peer(w).open();
}

//= RFC5227 2.1.1-c type=test
TEST(ArpProbe, ClaimOfAnotherTakesTheAddressAway) {
  for (const int kind : {0, 1, 2}) {
    World w(with_probes());
    w.run_for(500ms);
    const IpAddr none = IpAddr::v4(0, 0, 0, 0);
    w.feed(kind == 0   ? arp_frame(2, kHost, kStranger, kPeer, kHostMac)
           : kind == 1 ? arp_frame(1, kHost, kStranger, kPeer, MacAddr::broadcast())
                       : arp_frame(1, none, kStranger, kHost, MacAddr::broadcast()));
    ASSERT_EQ(w.stack->address_conflicts().size(), 1U) << kind;
    EXPECT_FALSE(w.stack->address_conflicts()[0].in_use);
    EXPECT_TRUE(w.stack->addresses_settled());
    w.arp.clear();
    w.run_for(20s);
    EXPECT_TRUE(w.arp.empty());
    w.listen(80);
    w.feed(Peer(w).make(SYN));
    w.expect_quiet();
  }
}

//= RFC5227 2.4-c type=test
TEST(ArpProbe, AddressInUseIsDefendedOnceInTenSeconds) {
  World w;
  const Octets claim = arp_frame(1, kHost, kStranger, kHost, MacAddr::broadcast());
  for (int i = 0; i < 5; ++i) w.feed(claim);
  ASSERT_EQ(w.arp.size(), 1U);
  EXPECT_EQ(w.arp[0].frame.arp.sender_ip, kHost);
  EXPECT_EQ(w.arp[0].frame.arp.target_ip, kHost);
  EXPECT_EQ(w.arp[0].frame.dst_mac, MacAddr::broadcast());
  ASSERT_EQ(w.stack->address_conflicts().size(), 1U);
  EXPECT_TRUE(w.stack->address_conflicts()[0].in_use);
  EXPECT_EQ(w.stack->address_conflicts()[0].other, kStranger);
  w.run_for(10s);
  w.feed(claim);
  EXPECT_EQ(w.arp.size(), 2U);
}

// -- ICMPv6 (RFC 4443) -----------------------------------------------------------------------

//= RFC4443 2.2 type=test
//= RFC4443 4.2-a type=test
TEST(Icmp6, EchoIsAnsweredFromTheAddressAsked) {
  World w(config6());
  for (const IpAddr& at : {kHost6, kHostLocal6}) {
    w.feed(icmp6_frame(kPeer6, at, 128, 0, 0x1234'0001U, octets_of("odd")));
    ASSERT_EQ(w.icmp.size(), 1U);
    const wire::Frame& f = w.icmp[0].frame;
    EXPECT_EQ(f.kind, wire::Kind::kIcmp6);
    EXPECT_EQ(f.icmp.type, 129);
    EXPECT_EQ(f.icmp.rest, 0x1234'0001U);
    EXPECT_EQ(f.src, at);
    EXPECT_EQ(f.dst, kPeer6);
    w.icmp.clear();
  }
}

//= RFC4443 4.2-b type=test
TEST(Icmp6, EchoToAGroupIsAnsweredFromAnAddressOfOurs) {
  World w(config6());
  for (const auto& [asker, answer] :
       {std::pair{link_local6(2), kHostLocal6}, std::pair{kPeer6, kHost6}}) {
    for (const IpAddr& group : {wire::kAllNodes, wire::solicited_node(kHost6)}) {
      w.feed(icmp6_frame(asker, group, 128, 0, 7, octets_of("who is there?")));
      ASSERT_EQ(w.icmp.size(), 1U);
      EXPECT_EQ(w.icmp[0].frame.src, answer);  // parsed: its checksum is right
      EXPECT_EQ(w.icmp[0].frame.dst, asker);
      EXPECT_EQ(w.icmp[0].frame.icmp.type, 129);
      w.icmp.clear();
    }
  }
}

TEST(Icmp6, EchoToAGroupOfOthersIsNotAnswered) {
  World w(config6());
  const IpAddr routers = IpAddr::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
  for (const IpAddr& group : {routers, wire::solicited_node(kPeer6)}) {
    w.feed(icmp6_frame(kPeer6, group, 128, 0, 7, octets_of("who is there?")));
  }
  w.expect_quiet();
  EXPECT_EQ(w.count(&telemetry::Counters::drop_not_for_us), 2U);
}

//= RFC4443 3.4-a type=test
TEST(Icmp6, UnknownNextHeaderIsToldWithItsPlace) {
  World w(config6());
  w.feed(ipv6_frame(kPeer6, kHost6, 132, Octets(16)));
  ASSERT_EQ(w.icmp.size(), 1U);
  EXPECT_EQ(w.icmp[0].frame.icmp.type, 4);
  EXPECT_EQ(w.icmp[0].frame.icmp.code, 1);
  EXPECT_EQ(w.icmp[0].frame.icmp.rest, 6U);
  EXPECT_EQ(w.icmp[0].frame.src, kHost6);
  w.icmp.clear();
  Octets options(8);  // destination options, padding alone, then protocol 132
  put8(options, 0, 132);
  put8(options, 2, 1);
  put8(options, 3, 4);
  options.resize(24);
  w.feed(ipv6_frame(kPeer6, kHost6, 60, options));
  ASSERT_EQ(w.icmp.size(), 1U);
  EXPECT_EQ(w.icmp[0].frame.icmp.rest, 40U);
  w.icmp.clear();
  w.feed(ipv6_frame(kPeer6, kHost6, 59, Octets(16)));  // "no next header" is no error
  w.expect_quiet();
  EXPECT_EQ(w.count(&telemetry::Counters::icmp_param_problems_out), 2U);
}

//= RFC4443 2.4-c type=test
//= RFC4443 3.1 type=test
TEST(Icmp6, ErrorQuotesAsMuchAsFitsTheLeastMtu) {
  World w(config6());
  w.feed(udp_frame({kPeer6, 5'353}, {kHost6, 53}, pattern(1'392)));
  ASSERT_EQ(w.icmp.size(), 1U);
  EXPECT_EQ(w.icmp[0].octets.size(), 14U + 1'280U);
  EXPECT_EQ(w.icmp[0].frame.icmp.type, 1);
  EXPECT_EQ(w.icmp[0].frame.icmp.code, 4);
  w.icmp.clear();
  w.feed(udp_frame({kPeer6, 5'353}, {kHost6, 53}, pattern(92)));
  ASSERT_EQ(w.icmp.size(), 1U);
  EXPECT_EQ(w.icmp[0].octets.size(), 14U + 40U + 8U + 40U + 100U);
}

//= RFC4443 2.4-b type=test
//= RFC4443 2.4-e type=test
TEST(Icmp6, NoErrorAboutGroupsErrorsAndNobody) {
  World w(config6());
  const auto udp = [](const IpAddr& from, const IpAddr& to) {
    return udp_frame({from, 5'353}, {to, 53}, "to whom?");
  };
  for (const IpAddr& group : {wire::kAllNodes, wire::solicited_node(kHost6)}) {
    w.feed(udp(kPeer6, group));
    w.feed(ipv6_frame(kPeer6, group, 132, Octets(20)));
  }
  Octets flooded = udp(kPeer6, kHost6);  // a unicast packet in a group's frame
  put8(flooded, 0, 0x33), put8(flooded, 1, 0x33);
  w.feed(flooded);
  w.feed(udp(IpAddr{}, kHost6));
  w.feed(udp(wire::kAllNodes, kHost6));
  const Octets quoted = udp(kHost6, kPeer6);
  const Octets inner(quoted.begin() + 14, quoted.end());
  w.feed(icmp6_frame(kPeer6, kHost6, 1, 4, 0, inner));
  w.feed(icmp6_frame(kPeer6, kHost6, 100, 0, 0, inner));  // an error that nobody knows
  w.feed(icmp6_frame(kPeer6, kHost6, 200, 0, 0, inner));  // a message that nobody knows
  w.expect_quiet();
}

//= RFC4443 2.4-f type=test
TEST(Icmp6, ErrorsAreLimitedByATokenBucket) {
  World w(config6());
  for (unsigned i = 0; i < 300; ++i) w.feed(udp_frame({kPeer6, 5'353}, {kHost6, 53}, "?"));
  const std::size_t first = w.icmp.size();  // about 100: what one costs is drawn
  EXPECT_GT(first, 65U);
  EXPECT_LT(first, 140U);
  EXPECT_EQ(w.count(&telemetry::Counters::drop_icmp_rate), 300U - first);
  w.run_for(100ms);
  for (unsigned i = 0; i < 300; ++i) w.feed(udp_frame({kPeer6, 5'353}, {kHost6, 53}, "?"));
  EXPECT_GT(w.icmp.size() - first, 65U);
  EXPECT_LT(w.icmp.size() - first, 140U);
  w.icmp.clear();
}

// Who asks for all the answers there are does not learn from their number whether another drew one
// as well, and so not whether a port of ours is closed to that one (CVE-2020-25705).
TEST(Icmp6, TheNumberOfAnswersTellsNothing) {
  World w(config6());
  std::set<std::size_t> seen;
  for (unsigned round = 0; round < 20; ++round) {
    w.icmp.clear();
    for (unsigned i = 0; i < 300; ++i) w.feed(udp_frame({kPeer6, 5'353}, {kHost6, 53}, "?"));
    seen.insert(w.icmp.size());
    w.run_for(1s);
  }
  w.icmp.clear();
  EXPECT_GE(seen.size(), 8U);
}

//= RFC1122 3.2.2.1-a type=test
TEST(Icmp4, UnknownProtocolIsUnreachable) {
  World w;
  w.feed(ipv4_frame(kPeer, kHost, 132, Octets(16)));
  ASSERT_EQ(w.icmp.size(), 1U);
  EXPECT_EQ(w.icmp[0].frame.icmp.type, 3);
  EXPECT_EQ(w.icmp[0].frame.icmp.code, 2);
  EXPECT_EQ(w.count(&telemetry::Counters::drop_other_protocol), 1U);
  w.icmp.clear();
}

}  // namespace
}  // namespace weir::stack::test
