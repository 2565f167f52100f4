// Fragments at a stack: what becomes of a whole, what is told to senders, what a flood can do.
#include "flow/toeplitz.h"
#include "harness.h"
#include "wire/checksum.h"
#include "wire/octets.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

// The parts of an IPv4 frame, `step` octets of what IP carries in each.
std::vector<Octets> split(const Octets& frame, std::size_t step, std::uint16_t id = 1) {
  const std::size_t header = std::size_t{wire::load8(&frame[14]) & 15U} * 4;
  const std::size_t len = wire::load16(&frame[16]) - header;
  std::vector<Octets> parts;
  for (std::size_t at = 0; at < len; at += step) {
    const std::size_t n = std::min(step, len - at);
    const auto from = frame.begin() + static_cast<std::ptrdiff_t>(14 + header + at);
    Octets p(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(14 + header));
    p.insert(p.end(), from, from + static_cast<std::ptrdiff_t>(n));
    wire::store16(&p[16], static_cast<std::uint16_t>(header + n));
    wire::store16(&p[18], id);
    wire::store16(&p[20], static_cast<std::uint16_t>(at / 8 | (at + n < len ? 0x2000U : 0U)));
    mend_ipv4(p);
    if (p.size() < wire::kMinFrame) p.resize(wire::kMinFrame);
    parts.push_back(std::move(p));
  }
  return parts;
}

Octets ipv6_frame(std::uint8_t next, const Octets& behind) {
  return test::ipv6_frame(kPeer6, kHost6, next, behind);
}

Octets echo6(std::size_t n) {
  Octets l4(8);
  put8(l4, 0, 128);
  const Octets body = octets_of(pattern(n));
  l4.insert(l4.end(), body.begin(), body.end());
  wire::Checksum sum;
  sum.add_pseudo_header(kPeer6, kHost6, 58, static_cast<std::uint32_t>(l4.size()));
  sum.add(l4);
  wire::store16(&l4[2], sum.finish());
  return l4;
}

// A part of `all`, behind a Fragment header.
Octets part6(const Octets& all, std::size_t at, std::size_t n, std::uint32_t id,
             std::uint8_t next = 58) {
  Octets behind(8 + n);
  put8(behind, 0, next);
  wire::store16(&behind[2], static_cast<std::uint16_t>(at | (at + n < all.size() ? 1U : 0U)));
  wire::store32(&behind[4], id);
  std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(at), n, behind.begin() + 8);
  return ipv6_frame(44, behind);
}

struct Fragmented : testing::Test {
  explicit Fragmented(const Config& c = config6()) : w(c) {}
  Sent take_icmp() {
    if (w.icmp.empty()) {
      ADD_FAILURE() << "no ICMP was sent";
      return {};
    }
    Sent s = std::move(w.icmp.front());
    w.icmp.pop_front();
    return s;
  }
  World w;
};

//= RFC791 3.2-b type=test
//= RFC1122 3.3.2-a type=test
TEST_F(Fragmented, AConnectionWhoseEverySegmentComesInParts) {
  for (const std::size_t step : {8U, 16U, 24U, 400U}) {
    w.listen(static_cast<std::uint16_t>(1'000 + step));
    Peer p(w, {.port = static_cast<std::uint16_t>(40'000 + step),
               .local_port = static_cast<std::uint16_t>(1'000 + step)});
    for (const Octets& f : split(p.next(SYN), step)) w.feed(f);
    p.expect(SYN | ACK);
    for (const Octets& f : split(p.next(ACK), step)) w.feed(f);
    const auto r = w.next_event();
    ASSERT_TRUE(r);
    const std::string text = pattern(step == 400 ? 1'300 : 300);
    auto parts = split(p.next(ACK | PSH, text), step);
    std::reverse(parts.begin(), parts.end());
    for (const Octets& f : parts) w.feed(f);
    EXPECT_EQ(w.read(r->conn), text);
    w.tcp.clear();
    w.events.clear();
  }
  EXPECT_EQ(w.count(&C::reasm_oks), 8U);  // of 24 octets and more, SYN and ACK are not cut
}

// Parts in one burst with whole segments between them.
TEST_F(Fragmented, InOneBurst) {
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  std::vector<Octets> burst;
  for (const Octets& f : split(p.next(ACK, pattern(100, 1)), 40)) burst.push_back(f);
  burst.push_back(p.next(ACK, pattern(100, 2)));
  for (const Octets& f : split(p.next(ACK, pattern(100, 3)), 64, 2)) burst.push_back(f);
  w.iterate(burst);
  EXPECT_EQ(w.read(c), pattern(100, 1) + pattern(100, 2) + pattern(100, 3));
  p.take();
}

TEST_F(Fragmented, TheWholeIsJudgedAsAnyPacket) {
  w.listen();
  Peer p(w);
  Octets bad = p.make(SYN);
  put8(bad, 50, 0x77);  // TCP's checksum
  for (const Octets& f : split(bad, 8)) w.feed(f);
  EXPECT_EQ(w.count(&C::drop_tcp_checksum), 1U);
  w.expect_quiet();
  Octets short_header = p.make(SYN);
  put8(short_header, 46, 0xf0);  // a data offset beyond the segment
  for (const Octets& f : split(short_header, 8)) w.feed(f);
  EXPECT_EQ(w.count(&C::drop_tcp_header), 1U);
}

TEST_F(Fragmented, EchoInParts) {
  const Octets ping = icmp_frame(kPeer, kHost, 8, 0, 0x00010002, octets_of(pattern(1'000)));
  for (const Octets& f : split(ping, 304)) w.feed(f);
  const Sent s = take_icmp();
  EXPECT_EQ(s.frame.icmp.type, 0);
  EXPECT_EQ(s.frame.l4_len, 1'008U);
}

// It would have to be cut into parts itself, which Weir never does.
TEST_F(Fragmented, AnEchoThatFitsNoPacketIsNotAnswered) {
  const Octets ping = icmp_frame(kPeer, kHost, 8, 0, 1, octets_of(pattern(1'600)));
  for (const Octets& f : split(ping, 1'480)) w.feed(f);
  EXPECT_EQ(w.count(&C::reasm_oks), 1U);
  EXPECT_EQ(w.count(&C::drop_icmp_ignored), 1U);
  w.expect_quiet();
}

// RFC 1122 §3.2.2.1: to the whole, not to its parts.
TEST_F(Fragmented, UdpInPartsIsToldOnceThatThePortIsClosed) {
  for (const Octets& f : split(udp_frame(kPeer, kHost, pattern(500)), 104)) w.feed(f);
  const Sent s = take_icmp();
  EXPECT_EQ(s.frame.icmp.type, 3);
  w.expect_quiet();
}

//= RFC791 3.2-d type=test
//= RFC1122 3.3.2-c type=test
TEST_F(Fragmented, TimeExceededQuotesTheFirstPart) {
  const auto parts = split(udp_frame(kPeer, kHost, pattern(100)), 64);
  w.feed(parts[0]);
  w.run_for(59s + 900ms);
  w.expect_quiet();
  w.run_for(100ms);
  const Sent s = take_icmp();
  EXPECT_EQ(s.frame.icmp.type, 11);
  EXPECT_EQ(s.frame.icmp.code, 1);
  EXPECT_EQ(s.frame.dst, kPeer);
  ASSERT_GE(s.octets.size(), 14U + 20 + 8 + 84);
  EXPECT_TRUE(std::equal(parts[0].begin() + 14, parts[0].begin() + 14 + 84, s.octets.begin() + 42));
  EXPECT_EQ(w.count(&C::drop_frag_timeout), 1U);
  EXPECT_EQ(w.count(&C::icmp_time_exceeded_out), 1U);
}

//= RFC1122 3.3.2-c type=test
TEST_F(Fragmented, NothingIsToldWithoutTheFirstPartOrAboutAnError) {
  w.feed(split(udp_frame(kPeer, kHost, pattern(100)), 64)[1]);
  const Octets error = icmp_frame(kPeer, kHost, 3, 1, 0, Octets(100, std::byte{0x45}));
  w.feed(split(error, 64, 2)[0]);
  w.run_for(61s);
  EXPECT_EQ(w.count(&C::drop_frag_timeout), 2U);
  w.expect_quiet();
}

//= RFC8200 4.5-e type=test
TEST_F(Fragmented, Ipv6TimeExceeded) {
  const Octets all = echo6(100);
  w.feed(part6(all, 0, 64, 5));
  w.run_for(60s);
  const Sent s = take_icmp();
  EXPECT_EQ(s.frame.kind, wire::Kind::kIcmp6);
  EXPECT_EQ(s.frame.icmp.type, 3);
  EXPECT_EQ(s.frame.icmp.code, 1);
  EXPECT_EQ(s.octets.size(), 14U + 40 + 8 + 40 + 8 + 64);
}

//= RFC8200 4.5-b type=test
TEST_F(Fragmented, Ipv6EchoInParts) {
  const Octets all = echo6(100);
  w.feed(part6(all, 64, 44, 5));
  w.feed(part6(all, 0, 64, 5));
  const Sent s = take_icmp();
  EXPECT_EQ(s.frame.icmp.type, 129);
  EXPECT_EQ(s.frame.l4_len, 108U);
  EXPECT_EQ(s.octets.size(), 54U + 108);
}

// RFC 6946 §4: in isolation, though parts with the same identification wait.
//= RFC6946 4-a type=test
//= RFC6946 4-b type=test
TEST_F(Fragmented, AnAtomicFragmentMeetsNoOther) {
  const Octets all = echo6(100);
  w.feed(part6(all, 0, 64, 5));
  w.feed(part6(all, 0, all.size(), 5));
  EXPECT_EQ(take_icmp().frame.icmp.type, 129);
  EXPECT_EQ(w.count(&C::reasm_reqds), 1U);
  w.feed(part6(all, 64, 44, 5));  // the others are none the worse
  EXPECT_EQ(take_icmp().frame.icmp.type, 129);
}

TEST_F(Fragmented, APartWithinAWhole) {
  Octets inner(8);
  put8(inner, 0, 58);
  wire::store16(&inner[2], 1);
  const Octets text = echo6(56);
  inner.insert(inner.end(), text.begin(), text.end());
  w.feed(part6(inner, 0, 32, 5, 44));
  w.feed(part6(inner, 32, inner.size() - 32, 5, 44));
  EXPECT_EQ(w.count(&C::drop_ip_extension), 1U);
  w.expect_quiet();
}

//= RFC8200 4.5-f type=test
//= RFC8200 4.5-i type=test
//= RFC7112 5-b type=test
//= RFC8200 4.4-a type=test
TEST_F(Fragmented, ParameterProblems) {
  struct Case {
    Octets frame;
    unsigned code, pointer;
  };
  const Octets all = echo6(100);
  Octets odd = part6(all, 0, 64, 5);
  odd.erase(odd.end() - 4, odd.end());
  wire::store16(&odd[18], static_cast<std::uint16_t>(odd.size() - 54));
  const auto chain = [](std::uint8_t first, std::initializer_list<unsigned> octets) {
    Octets behind;
    for (const unsigned o : octets) behind.push_back(static_cast<std::byte>(o));
    const Octets echo = echo6(8);
    behind.insert(behind.end(), echo.begin(), echo.end());
    return ipv6_frame(first, behind);
  };
  const Case cases[] = {
      {odd, 0, 4},
      {part6(all, 0, 64, 5, 6), 3, 0},  // replaced below: TCP's header cut short
      {chain(43, {58, 0, 0, 1, 0, 0, 0, 0}), 0, 42},
      {chain(60, {58, 0, 0x80, 4, 0, 0, 0, 0}), 2, 42},
      {chain(60, {58, 0, 0xc0, 4, 0, 0, 0, 0}), 2, 42},
      {chain(60, {0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0}), 1, 40},
  };
  for (const Case& c : cases) {
    Octets frame = c.frame;
    if (c.code == 3) frame = part6(Octets(64), 0, 16, 6, 6);
    w.feed(frame);
    const Sent s = take_icmp();
    EXPECT_EQ(s.frame.icmp.type, 4);
    EXPECT_EQ(s.frame.icmp.code, c.code);
    EXPECT_EQ(s.frame.icmp.rest, c.pointer);
    EXPECT_EQ(s.frame.dst, kPeer6);
    EXPECT_EQ(s.frame.src, kHost6);
    EXPECT_TRUE(std::equal(frame.begin() + 14, frame.end(), s.octets.begin() + 62));
  }
  w.feed(chain(60, {58, 0, 0x40, 4, 0, 0, 0, 0}));  // to be dropped in silence
  w.expect_quiet();
}

TEST_F(Fragmented, ParameterProblemsAreLimited) {
  Octets behind(8);
  put8(behind, 0, 58), put8(behind, 2, 0x80), put8(behind, 3, 4);
  const Octets frame = ipv6_frame(60, behind);
  for (unsigned i = 0; i < 1'000; ++i) w.feed(frame);
  EXPECT_LE(w.icmp.size(), 140U);
  EXPECT_EQ(w.count(&C::drop_icmp_rate), 1'000U - w.icmp.size());
  w.icmp.clear();
}

//= RFC8200 4.2-e type=test
TEST_F(Fragmented, NoProblemIsToldToSourcesThatAreNone) {
  Octets behind(8);
  put8(behind, 0, 58), put8(behind, 2, 0x80), put8(behind, 3, 4);
  for (const unsigned first : {0xffU, 0U}) {  // a group; ::...2 would be unicast, so all of it
    Octets frame = ipv6_frame(60, behind);
    std::fill_n(frame.begin() + 22, 16, std::byte{0});
    put8(frame, 22, first);
    w.feed(frame);
  }
  // To a group: what begins with 10 is told of, 11 is not.
  for (const unsigned type : {0x80U, 0xc0U}) {
    put8(behind, 2, type);
    w.feed(test::ipv6_frame(kPeer6, wire::kAllNodes, 60, behind));
    if (type == 0x80) {
      EXPECT_EQ(take_icmp().frame.src, kHost6);
    }
  }
  Octets elsewhere = ipv6_frame(60, behind);
  put8(elsewhere, 53, 9);
  w.feed(elsewhere);
  w.expect_quiet();
}

TEST_F(Fragmented, BadAddressesAndOthersMacsAreNotKept) {
  const Octets syn = Peer(w).make(SYN);
  Octets land = syn;
  wire::store32(&land[26], kHost.v4_value());
  Octets other = syn;
  put8(other, 5, 0x99);
  for (const Octets& frame : {land, other}) w.feed(split(frame, 8)[0]);
  EXPECT_EQ(w.count(&C::drop_bad_source), 1U);
  EXPECT_EQ(w.count(&C::drop_not_for_us), 1U);
  EXPECT_EQ(w.count(&C::reasm_reqds), 0U);
}

TEST_F(Fragmented, Overlaps) {
  w.listen();
  Peer p(w);
  auto parts = split(p.make(SYN), 8);
  w.feed(parts[0]);
  Octets again = parts[0];
  put8(again, 36, 0x12);  // another port
  w.feed(again);
  for (std::size_t i = 1; i < parts.size(); ++i) w.feed(parts[i]);
  EXPECT_EQ(w.count(&C::drop_frag_overlap), 2U);
  w.expect_quiet();
  w.run_for(61s);
  w.icmp.clear();
}

// RFC 6980: neighbour discovery in parts could be cut so that no one on the way can judge it.
TEST_F(Fragmented, NeighbourDiscoveryInPartsIsNotTaken) {
  Octets ns = solicitation(kPeer6, kHost6);
  std::copy_n(std::as_bytes(std::span{kHostMac.octets}).begin(), 6, ns.begin());
  std::copy_n(std::as_bytes(std::span{kHost6.octets()}).begin(), 16, ns.begin() + 38);
  Octets l4(ns.begin() + 54, ns.end());
  wire::store16(&l4[2], 0);
  wire::Checksum sum;
  sum.add_pseudo_header(kPeer6, kHost6, 58, static_cast<std::uint32_t>(l4.size()));
  sum.add(l4);
  wire::store16(&l4[2], sum.finish());
  Octets first = part6(l4, 0, 16, 3);
  Octets second = part6(l4, 16, l4.size() - 16, 3);
  Octets whole = ipv6_frame(58, l4);
  for (Octets* f : {&first, &second, &whole}) put8(*f, 21, 255);
  w.feed(first);
  w.feed(second);
  EXPECT_EQ(w.count(&C::reasm_oks), 1U);
  EXPECT_TRUE(w.nd.empty());
  w.feed(whole);
  EXPECT_EQ(w.nd.size(), 1U);
  w.nd.clear();
}

// IP in IP, whole or in parts, is no way round the checks (CVE-2020-11896).
TEST_F(Fragmented, IpInIp) {
  w.listen();
  const Octets syn = Peer(w).make(SYN);
  const Octets inner(syn.begin() + 14, syn.begin() + 14 + 40);
  const Octets outer = ipv4_frame(kPeer, kHost, 4, inner);
  w.feed(outer);
  for (const Octets& f : split(outer, 24)) w.feed(f);
  EXPECT_EQ(w.count(&C::drop_other_protocol), 2U);
  EXPECT_TRUE(w.tcp.empty());
  w.icmp.clear();  // protocol unreachable
}

// What is behind IP's length is no text, in the last part either.
//= RFC791 3.1-b type=test
TEST_F(Fragmented, NothingBeyondTheIpLengthReachesTcp) {
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  for (Octets& f : split(p.next(ACK, "four score and seven"), 24)) {
    f.resize(f.size() + 30, std::byte{'X'});
    w.feed(f);
  }
  EXPECT_EQ(w.read(c), "four score and seven");
  p.take();
}

struct NoFragments : Fragmented {
  static Config without() {
    Config c = config6();
    c.tcp.ipfrag_high_thresh = 0;
    return c;
  }
  NoFragments() : Fragmented(without()) {}
};

TEST_F(NoFragments, AreTakenWhenTheThresholdIsZero) {
  w.listen();
  for (const Octets& f : split(Peer(w).make(SYN), 8)) w.feed(f);
  EXPECT_EQ(w.count(&C::drop_ip_fragment), 3U);
  w.expect_quiet();
}

// No counter that others could read: 0 for all that are whole, whoever they go to (RFC 6864 §4.1).
//= RFC6864 4.1-a type=test
//= RFC6864 4.1-b type=test
//= RFC791 3.1-c type=test
TEST_F(Fragmented, WhatIsSentIsAtomicAndItsIdentificationConstant) {
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  w.send(c, pattern(5'000));
  Peer q(w, {.addr = IpAddr::v4(10, 0, 0, 9), .port = 1, .local_port = 9});
  q.send(SYN);
  w.feed(udp_frame(kPeer, kHost, "anybody?"));
  w.feed(icmp_frame(kPeer, kHost, 8, 0, 1, octets_of("ping")));
  unsigned seen = 0;
  for (auto* sent : {&w.tcp, &w.icmp}) {
    for (const Sent& s : *sent) {
      EXPECT_EQ(wire::load16(&s.octets[18]), 0);
      EXPECT_EQ(wire::load16(&s.octets[20]), 0x4000);
      ++seen;
    }
    sent->clear();
  }
  EXPECT_GE(seen, 7U);
}

// FragmentSmack: a connection goes on as if nothing were, and memory has its bound.
TEST_F(Fragmented, AFloodOfFirstPartsLeavesTcpAlone) {
  w.listen();
  Peer p(w);
  const ConnId c = p.open();
  Octets part = split(udp_frame(kPeer, kHost, pattern(100)), 64)[0];
  w.check = false;
  std::string sent;
  for (unsigned i = 0; i < 100'000; i += 50) {
    std::vector<Octets> burst;
    for (unsigned j = 0; j < 50; ++j) {
      wire::store32(&part[26], 0x0b00'0000U + i + j);
      wire::store16(&part[18], static_cast<std::uint16_t>(i + j));
      mend_ipv4(part);
      burst.push_back(part);
    }
    burst.push_back(p.next(ACK | PSH, "on it goes"));
    sent += "on it goes";
    w.iterate(burst);
    ASSERT_LE(w.pool.in_use(), (4U << 20U) / 2'304 + 64);
    while (p.take()) {
    }
    if (i % 1'000 == 0) {
      ASSERT_EQ(w.read(c), sent);
      sent.clear();
    }
  }
  EXPECT_GT(w.count(&C::drop_frag_memory), 95'000U);
  EXPECT_LE(w.count(&C::icmp_time_exceeded_out), 0U);
}

TEST_F(Fragmented, BuffersThatRunShortAreGivenBack) {
  Buf* frames[2];
  const auto parts = split(udp_frame(kPeer, kHost, pattern(100)), 64);
  frames[0] = w.pool.take_copy(parts[0]);
  w.iterate_bufs({frames, 1});
  EXPECT_EQ(w.pool.in_use(), 1U);
  frames[1] = w.pool.take_copy(split(udp_frame(kPeer, kHost, pattern(90)), 64, 9)[0]);
  frames[1]->flags = Buf::kScarce;
  w.iterate_bufs({frames + 1, 1});
  EXPECT_EQ(w.pool.in_use(), 0U);
  EXPECT_EQ(w.count(&C::drop_frag_memory), 2U);
}

TEST_F(Fragmented, PartsAreGivenBackWhenTheProgramEnds) {
  w.feed(split(udp_frame(kPeer, kHost, pattern(100)), 64)[0]);
  w.feed(part6(echo6(100), 0, 64, 5));
  EXPECT_EQ(w.pool.in_use(), 2U);
  w.stack->release_spare();
  w.iterate();
  EXPECT_EQ(w.pool.in_use(), 0U);
  EXPECT_EQ(w.stack->next_deadline(), kNever);
}

TEST_F(Fragmented, WithoutABufferForTheWholeItIsGivenUp) {
  const auto parts = split(udp_frame(kPeer, kHost, pattern(100)), 64);
  w.feed(parts[0]);  // nothing has made the stack take fresh ones yet
  Buf* last = w.pool.take_copy(parts[1]);
  w.pool.set_limit(w.pool.outstanding());
  w.iterate_bufs({&last, 1});
  w.pool.set_limit(sim::BlockPool::kNoLimit);
  EXPECT_GE(w.count(&C::drop_no_buffer), 1U);
  EXPECT_EQ(w.pool.in_use(), 0U);
}

// -- Shards ----------------------------------------------------------------------------------

flow::RssMap two_queues() {
  std::array<std::byte, flow::RssHash::kMinKey> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(17 * i + 3);
  return {flow::RssHash(key), {0, 1}};
}

// Whatever shard a part comes to, one puts it together, and the flow's owner gets the whole.
TEST(FragmentShards, OnePutsTogetherAndTheOwnerGetsIt) {
  const flow::RssMap rss = two_queues();
  sim::BlockPool pool;
  const auto config = [&](std::uint16_t shard) {
    Config c = small_config();
    c.max_connections = 256;
    c.shard = shard;
    c.shards = 2;
    c.rss = &rss;
    return c;
  };
  {
    World zero(config(0), &pool);
    World one(config(1), &pool);
    World* const worlds[] = {&zero, &one};
    zero.listen();
    one.listen();
    unsigned owners = 0;
    for (std::uint16_t port = 40'000; port < 40'020; ++port) {
      const Peer p(zero, {.port = port});
      const unsigned owner = rss.queue(p.flow());
      owners |= 1U << owner;
      unsigned i = port;
      for (const Octets& f : split(p.make(SYN), 8, port)) worlds[i++ % 2]->feed(f);
      for (unsigned round = 0; round < 4; ++round) {
        for (World* w : worlds) {
          for (const tcp::HandOver& h : std::exchange(w->handed, {})) {
            worlds[h.shard]->iterate_bufs({&h.frame, 1});
          }
        }
      }
      EXPECT_EQ(worlds[owner]->stack->gauges().half_open, 1U) << port;
      EXPECT_EQ(worlds[1 - owner]->stack->gauges().half_open, 0U);
      Octets rst = p.make(RST, p.snd_nxt + 1, Seq{});
      worlds[owner]->feed(rst);
      worlds[owner]->tcp.clear();
    }
    EXPECT_EQ(owners, 3U);
    EXPECT_EQ(zero.count(&C::reasm_oks) + one.count(&C::reasm_oks), 20U);
    EXPECT_TRUE(zero.count(&C::reasm_oks) == 0 || one.count(&C::reasm_oks) == 0);
    for (World* w : worlds) w->tcp.clear();
  }
  EXPECT_EQ(pool.outstanding(), 0U);
}

}  // namespace
}  // namespace weir::stack::test
