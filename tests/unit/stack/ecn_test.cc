// ECN and DSCP between TCP and the IP header (RFC 3168, RFC 9293 §3.9.1.9), through frames.
#include "harness.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

constexpr unsigned kSetup = SYN | ECE | CWR;
constexpr std::uint8_t kEct0 = 2, kCe = 3;

Config with(std::uint8_t ecn, std::uint8_t syncookies = 1, std::uint8_t tos = 0) {
  Config c = small_config();
  c.tcp.ecn = ecn;
  c.tcp.syncookies = syncookies;
  c.tcp.tos = tos;
  return c;
}

// The handshake with `syn` as the first segment.
ConnId open(World& w, Peer& p, unsigned syn, unsigned syn_ack) {
  p.send(syn);
  EXPECT_EQ(p.expect(syn_ack).frame.tos & 3U, 0U);
  p.send(ACK);
  const auto r = w.next_event();
  EXPECT_TRUE(r && r->events == kAccepted);
  return r ? r->conn : ConnId{};
}

//= RFC3168 6.1.1-b type=test
//= RFC3168 6.1.1-c type=test
TEST(EcnStack, IsAcceptedByDefault) {
  World w;
  w.listen();
  Peer p(w);
  const ConnId conn = open(w, p, kSetup, SYN | ACK | ECE);
  EXPECT_EQ(w.count(&C::ecn_opens), 1U);
  w.send(conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, kEct0);
  p.tos = kCe;
  p.send(ACK, "marked");
  EXPECT_EQ(p.expect(ACK | ECE).frame.tos, 0);
  EXPECT_EQ(w.count(&C::in_ce_pkts), 1U);
  p.tos = kEct0;
  p.send(ACK | CWR, "more");
  EXPECT_EQ(p.expect(ACK).frame.tos, 0);
  EXPECT_EQ(w.count(&C::in_ect0_pkts), 1U);
  p.tos = 1;
  p.send(ACK, "more");
  EXPECT_EQ(w.count(&C::in_ect1_pkts), 1U);
  w.run_for(40ms);
  p.expect(ACK);
  EXPECT_EQ(w.read(conn), "markedmoremore");
}

TEST(EcnStack, IsRefusedWhereItIsOff) {
  World w(with(0));
  w.listen();
  Peer p(w);
  const ConnId conn = open(w, p, kSetup, SYN | ACK);
  w.send(conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, 0);
  EXPECT_EQ(w.count(&C::ecn_opens), 0U);
}

//= RFC3168 6.1.1-a type=test
TEST(EcnStack, AConnectAsksWhereItIsOn) {
  World w(with(1));
  Peer p(w);
  w.meet(kPeer);
  const ConnId conn = w.connect({kPeer, p.at.port});
  p.at.local_port = w.stack->flow_of(conn).local_port;
  EXPECT_EQ(p.expect(kSetup).frame.tos, 0);
  p.send(SYN | ACK | ECE);
  p.expect(ACK);
  w.expect_event(conn, kConnected);
  EXPECT_EQ(w.count(&C::ecn_opens), 1U);
  w.send(conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, kEct0);
}

//= RFC3168 6.1.1.1-a type=test
TEST(EcnStack, AConnectFallsBack) {
  World w(with(1));
  Peer p(w);
  w.meet(kPeer);
  const ConnId conn = w.connect({kPeer, p.at.port});
  p.at.local_port = w.stack->flow_of(conn).local_port;
  p.expect(kSetup);
  w.run_for(1s);
  p.expect(SYN);
  EXPECT_EQ(w.count(&C::ecn_fallbacks), 1U);
  p.send(SYN | ACK);
  p.expect(ACK);
  w.expect_event(conn, kConnected);
}

// The half-open entry keeps it, and a SYN without takes it back.
//= RFC3168 6.1.1-c type=test
//= RFC3168 6.1.1-e type=test
TEST(EcnStack, TheSynAckIsResentAsItWas) {
  World w;
  w.listen();
  Peer p(w), q(w, {.port = 40'001});
  p.send(kSetup);
  q.send(kSetup);
  p.expect(SYN | ACK | ECE);
  q.expect(SYN | ACK | ECE);
  w.feed(q.make(SYN, q.snd_nxt - 1, Seq{}));
  q.expect(SYN | ACK);
  w.run_for(1s);
  p.expect(SYN | ACK | ECE);
  q.expect(SYN | ACK);
  for (Peer* peer : {&p, &q}) {
    peer->send(ACK);
    const auto r = w.next_event();
    ASSERT_TRUE(r && r->events == kAccepted);
    w.send(r->conn, "text");
    EXPECT_EQ(peer->expect(ACK).frame.tos, peer == &p ? kEct0 : 0);
  }
}

TEST(EcnStack, ACookieKeepsItInTheTimestamp) {
  for (const unsigned syn : {+kSetup, +unsigned{SYN}}) {
    World w(with(2, 2));
    w.listen();
    Peer p(w);
    p.stamped = true;
    p.syn_options.sack_permitted = true;
    p.syn_options.window_scale = 3;
    const bool asked = syn == kSetup;
    const ConnId conn = open(w, p, syn, asked ? SYN | ACK | ECE : SYN | ACK);
    EXPECT_EQ(w.count(&C::syncookies_recv), 1U);
    w.send(conn, "text");
    EXPECT_EQ(p.expect(ACK).frame.tos, asked ? kEct0 : 0);
  }
}

TEST(EcnStack, ACookieWithoutTimestampsDoesNot) {
  World w(with(2, 2));
  w.listen();
  Peer p(w);
  const ConnId conn = open(w, p, kSetup, SYN | ACK);
  w.send(conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, 0);
}

// Whatever these bits are, they draw no RST of their own (RFC 3360 §2).
//= RFC3360 2.1 type=test
//= RFC3360 2.2 type=test
TEST(EcnStack, ReservedBitsAreIgnored) {
  World w;
  w.listen();
  Peer p(w);
  const auto reserved = [&](unsigned flags, std::string_view text = {}) {
    Octets f = p.next(flags, text);
    f.at(14 + 20 + 12) |= std::byte{0x0f};
    // The checksum's 16-bit word that holds the four bits grows by 0x0f00.
    unsigned sum = std::to_integer<unsigned>(f.at(50)) << 8U | std::to_integer<unsigned>(f.at(51));
    sum = ~sum & 0xffffU;
    sum += 0x0f00;
    sum = ~((sum & 0xffffU) + (sum >> 16U)) & 0xffffU;
    put8(f, 50, sum >> 8U);
    put8(f, 51, sum & 0xffU);
    w.feed(f);
  };
  reserved(SYN);
  EXPECT_EQ(std::to_integer<unsigned>(p.expect(SYN | ACK).octets.at(46)) & 0x0fU, 0U);
  reserved(ACK, "hello");
  const auto r = w.next_event();
  ASSERT_TRUE(r && r->events == (kAccepted | kReadable));
  EXPECT_EQ(w.read(r->conn), "hello");
  w.run_for(40ms);
  EXPECT_EQ(std::to_integer<unsigned>(p.expect(ACK).octets.at(46)) & 0x0fU, 0U);
}

// -- DSCP ------------------------------------------------------------------------------------

//= RFC9293 MUST-48 type=test
//= RFC9293 SHLD-22 type=test
//= RFC9293 SHLD-21 type=test
TEST(Tos, OfAConnection) {
  World w;
  w.listen();
  Peer p(w), q(w, {.port = 40'001});
  const ConnId conn = p.open(), other = q.open();
  w.stack->set_tos(conn, 0xb8);
  w.send(conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, 0xb8);
  w.send(other, "text");
  EXPECT_EQ(q.expect(ACK).frame.tos, 0);
  w.run_for(250ms);
  EXPECT_EQ(p.expect(ACK).frame.tos, 0xb8);  // resent
  q.take_text();
  w.stack->abort(conn);
  w.iterate();
  EXPECT_EQ(p.expect(RST | ACK).frame.tos, 0xb8);
}

// The lower two bits belong to ECN, whoever asks.
//= RFC9293 MUST-48 type=test
TEST(Tos, AndEcnKeepApart) {
  World w;
  w.listen();
  Peer p(w), q(w, {.port = 40'001});
  const ConnId conn = open(w, p, kSetup, SYN | ACK | ECE), plain = q.open();
  w.stack->set_tos(conn, 0xb9);
  w.stack->set_tos(plain, 0xff);
  w.send(conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, 0xb8 | kEct0);
  w.send(plain, "text");
  EXPECT_EQ(q.expect(ACK).frame.tos, 0xfc);
}

//= RFC9293 MUST-48 type=test
TEST(Tos, OfTheWholeStack) {
  World w(with(2, 1, 0x20));
  w.listen();
  Peer p(w);
  p.send(SYN);
  EXPECT_EQ(p.expect(SYN | ACK).frame.tos, 0x20);
  p.send(ACK);
  const auto r = w.next_event();
  ASSERT_TRUE(r);
  w.send(r->conn, "text");
  EXPECT_EQ(p.expect(ACK).frame.tos, 0x20);
  Peer closed(w, {.local_port = 9});
  closed.send(SYN);
  EXPECT_EQ(closed.expect(RST | ACK).frame.tos, 0x20);
  const ConnId conn = w.connect({kPeer, 8'080});
  Peer q(w, {.port = 8'080, .local_port = w.stack->flow_of(conn).local_port});
  EXPECT_EQ(q.expect(SYN).frame.tos, 0x20);
}

// A packet that waited for ARP goes as it was made.
TEST(Tos, OutlivesTheWaitForANeighbour) {
  World w(with(1, 1, 0x48));
  const ConnId conn = w.connect({kPeer, 8'080});
  Peer q(w, {.port = 8'080, .local_port = w.stack->flow_of(conn).local_port});
  const Sent syn = q.expect(kSetup);
  EXPECT_EQ(syn.frame.tos, 0x48);
  EXPECT_FALSE(w.arp.empty());
}

//= RFC9293 MAY-9 type=test
TEST(Tos, WhatCameLastIsTold) {
  World w;
  w.listen();
  Peer p(w);
  const ConnId conn = p.open();
  EXPECT_EQ(w.stack->tos_in(conn), 0);
  p.tos = 0xba;
  p.send(ACK);
  EXPECT_EQ(w.stack->tos_in(conn), 0xba);
  p.tos = 0x10;
  w.feed(p.make(ACK, p.snd_nxt + 0x1000'0000, p.rcv_nxt));  // anyone could have sent this
  EXPECT_EQ(w.stack->tos_in(conn), 0xba);
  p.take();
  const ConnId stale = conn;
  w.stack->abort(conn);
  w.iterate();
  p.take();
  EXPECT_EQ(w.stack->tos_in(stale), 0);
}

}  // namespace
}  // namespace weir::stack::test
