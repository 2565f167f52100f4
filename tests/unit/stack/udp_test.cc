// UDP on a stack: whose a datagram is, what goes out, what ICMP says of it, and what a socket
// holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "harness.h"
#include "wire/octets.h"
#include "wire/udp.h"

namespace weir::stack::test {
namespace {

using C = telemetry::Counters;

constexpr IpAddr kAny4 = IpAddr::v4(0, 0, 0, 0);
constexpr IpAddr kSecond = IpAddr::v4(10, 0, 0, 9);  // another address of the stack
constexpr Endpoint kClient{kPeer, 5'353}, kServer{kHost, 53};
constexpr Endpoint kClient6{kPeer6, 5'353}, kServer6{kHost6, 53};

Config udp_config() {
  Config c = config6();
  c.addrs.push_back({kSecond, 24});
  return c;
}

struct UdpWorld : World {
  explicit UdpWorld(const Config& c = udp_config()) : World(c) {}

  UdpId bind(const Endpoint& local, const UdpOptions& options = {}) {
    const auto id = stack->udp_bind(local, options);
    EXPECT_TRUE(id.ok());
    return id.ok() ? id.value() : UdpId{};
  }
  std::optional<Error> bind_fails(const Endpoint& local, const UdpOptions& options = {}) {
    const auto id = stack->udp_bind(local, options);
    return id.ok() ? std::nullopt : std::optional(id.error());
  }
  UdpId connected(const Endpoint& local, const Endpoint& remote, const UdpOptions& options = {}) {
    const UdpId id = bind(local, options);
    EXPECT_FALSE(stack->udp_connect(id, remote));
    return id;
  }
  UdpError send_to(UdpId id, std::string_view text, const std::optional<Endpoint>& to = {}) {
    UdpSend how;
    how.to = to;
    const UdpError e = stack->udp_send(id, octets_of(text), how);
    iterate();
    return e;
  }
  // The next datagram of the socket; "nothing" when there is none.
  std::string receive(UdpId id, Datagram* whole = nullptr) {
    auto d = stack->udp_receive(id);
    if (!d) return "nothing";
    std::string text;
    for (const Buf* b = d->text.head(); b != nullptr; b = b->next)
      text += text_of({b->data, b->len});
    stack->release(std::move(d->text));
    if (whole != nullptr) {
      whole->from = d->from;
      whole->to = d->to;
      whole->tos = d->tos;
      whole->ttl = d->ttl;
      whole->at = d->at;
    }
    iterate();
    return text;
  }
  Sent take_udp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    if (udp.empty()) {
      ADD_FAILURE_AT(file, line) << "nothing was sent";
      return {};
    }
    Sent s = std::move(udp.front());
    udp.pop_front();
    return s;
  }
  Sent take_icmp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    if (icmp.empty()) {
      ADD_FAILURE_AT(file, line) << "no ICMP";
      return {};
    }
    Sent s = std::move(icmp.front());
    icmp.pop_front();
    return s;
  }
  // All that was told of sockets since the last call, together.
  unsigned events_of(UdpId id) {
    unsigned all = 0;
    std::erase_if(udp_events, [&](const UdpReady& r) {
      if (r.socket == id) all |= r.events;
      return r.socket == id;
    });
    return all;
  }
  // An ICMP error about a datagram that was sent.
  void tell(const Sent& about, std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0) {
    const bool v4 = about.frame.src.is_v4();
    const Octets quote(about.octets.begin() + 14, about.octets.begin() + 14 + (v4 ? 28 : 48));
    feed(v4 ? icmp_frame(kGateway, about.frame.src, type, code, rest, quote)
            : icmp6_frame(kPeer6, about.frame.src, type, code, rest, quote));
  }
};

// -- Bind ------------------------------------------------------------------------------------

TEST(UdpBind, OnlyToWhatIsOurs) {
  UdpWorld w;
  EXPECT_EQ(w.bind_fails({kPeer, 53}), Error::kAddressNotLocal);
  EXPECT_EQ(w.bind_fails({kPeer6, 53}), Error::kAddressNotLocal);
  w.bind(kServer);
  w.bind(kServer6);
  EXPECT_EQ(w.stack->udp_sockets(), 2U);
}

struct Conflict {
  IpAddr one, two;
  bool v6_only;  // of both
  bool clashes;
};

TEST(UdpBind, OneAddressAndPortIsOneSockets) {
  const Conflict kTable[] = {
      {kHost, kHost, false, true},      {kHost, kSecond, false, false},
      {kHost, kAny4, false, true},      {kAny4, kHost, false, true},
      {kAny4, kAny4, false, true},      {kHost, IpAddr{}, false, true},
      {IpAddr{}, kHost, false, true},   {IpAddr{}, kHost, true, false},
      {kAny4, IpAddr{}, true, false},   {kAny4, IpAddr{}, false, true},
      {kHost6, IpAddr{}, true, true},   {IpAddr{}, kHost6, false, true},
      {kHost6, kAny4, false, false},    {kHost6, kHost, false, false},
      {IpAddr{}, IpAddr{}, true, true}, {kHost6, kHost6, false, true},
  };
  for (const Conflict& c : kTable) {
    UdpWorld w;
    UdpOptions options;
    options.v6_only = c.v6_only;
    w.bind({c.one, 53}, options);
    EXPECT_EQ(w.bind_fails({c.two, 53}, options).has_value(), c.clashes)
        << to_string(c.one) << " " << to_string(c.two) << " " << c.v6_only;
    w.bind({c.two, 54}, options);
  }
}

TEST(UdpBind, ReuseIsBothSocketsOption) {
  UdpOptions plain, addr, port;
  addr.reuse_addr = true;
  port.reuse_port = true;
  const std::pair<UdpOptions, UdpOptions> kClash[] = {
      {plain, addr}, {addr, plain}, {plain, port}, {port, plain}, {addr, port}};
  for (const auto& [one, two] : kClash) {
    UdpWorld w;
    w.bind(kServer, one);
    EXPECT_EQ(w.bind_fails(kServer, two), Error::kAddressInUse);
    EXPECT_EQ(w.bind_fails({IpAddr{}, 53}, two), Error::kAddressInUse);
  }
  for (const UdpOptions& both : {addr, port}) {
    UdpWorld w;
    w.bind(kServer, both);
    w.bind(kServer, both);
  }
}

TEST(UdpBind, ACloseGivesThePortBack) {
  UdpWorld w;
  const UdpId first = w.bind(kServer);
  w.stack->udp_close(first);
  EXPECT_FALSE(w.stack->udp_alive(first));
  const UdpId second = w.bind(kServer);
  EXPECT_EQ(w.send_to(first, "?", kClient), UdpError::kBadSocket);
  EXPECT_TRUE(w.stack->udp_alive(second));
}

//= RFC6056 3.3-udp type=test
TEST(UdpBind, EphemeralPortsAreFreeInRangeAndAllOverIt) {
  Config c = udp_config();
  c.tcp.port_low = 40'000;
  c.tcp.port_high = 40'063;
  UdpWorld w(c);
  std::vector<int> ports;
  for (unsigned i = 0; i < 64; ++i) {
    const UdpId id = w.bind({kHost, 0});
    ports.push_back(w.stack->udp_stats(id)->local.port);
  }
  EXPECT_EQ(w.bind_fails({kHost, 0}), Error::kNoPort);
  EXPECT_EQ(w.bind_fails({IpAddr{}, 0}), Error::kNoPort);
  w.bind({kSecond, 0});  // another address's ports are free
  unsigned rising = 0;   // a guess at the next by the last would be right that often
  for (std::size_t i = 1; i < 20; ++i)
    rising += ports[i] > ports[i - 1] && ports[i] < ports[i - 1] + 8;
  EXPECT_LT(rising, 10U);
  std::ranges::sort(ports);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(ports[static_cast<std::size_t>(i)], 40'000 + i);
}

TEST(UdpBind, NoMoreSocketsThanAreConfigured) {
  Config c = udp_config();
  c.max_udp_sockets = 3;
  UdpWorld w(c);
  for (std::uint16_t i = 1; i <= 3; ++i) w.bind({kHost, i});
  EXPECT_EQ(w.bind_fails({kHost, 4}), Error::kFull);
}

// -- In --------------------------------------------------------------------------------------

//= RFC768 user type=test
//= RFC1122 4.1.3.5-a type=test
//= RFC1122 4.1.4-b type=test
TEST(UdpIn, ADatagramComesWithItsAddressesAndItsTos) {
  UdpWorld w;
  const UdpId any = w.bind({IpAddr{}, 53});
  Octets f = udp_frame(kClient, kServer, "a question");
  put8(f, 15, 0xb9);
  mend_ipv4(f);
  w.run_for(7ms);
  w.feed(f);
  EXPECT_EQ(w.events_of(any), kUdpReadable);
  const auto peeked = w.stack->udp_peek(any);
  ASSERT_TRUE(peeked);
  EXPECT_EQ(peeked->len, 10U);
  EXPECT_EQ(peeked->from, kClient);
  EXPECT_EQ(text_of({peeked->text->data, peeked->text->len}), "a question");
  Datagram d;
  EXPECT_EQ(w.receive(any, &d), "a question");
  EXPECT_EQ(d.from, kClient);
  EXPECT_EQ(d.to, kServer);
  EXPECT_EQ(d.tos, 0xb9);
  EXPECT_EQ(d.ttl, 64);
  EXPECT_EQ(d.at, kStart + 7ms);
  EXPECT_EQ(w.receive(any), "nothing");
  EXPECT_EQ(w.count(&C::udp_in_datagrams), 1U);
  w.expect_quiet();
}

TEST(UdpIn, Ipv6AndIpv4ReachOneSocketOnBoth) {
  UdpWorld w;
  const UdpId both = w.bind({IpAddr{}, 53});
  w.feed(udp_frame(kClient6, kServer6, "six"));
  w.feed(udp_frame(kClient, kServer, "four"));
  EXPECT_EQ(w.receive(both), "six");
  EXPECT_EQ(w.receive(both), "four");
  w.expect_quiet();
}

TEST(UdpIn, OneThatIsV6OnlyLeavesIpv4Alone) {
  UdpWorld w;
  UdpOptions only;
  only.v6_only = true;
  const UdpId six = w.bind({IpAddr{}, 53}, only);
  w.feed(udp_frame(kClient, kServer, "four"));
  EXPECT_EQ(w.take_icmp().frame.icmp.code, 3);
  w.feed(udp_frame(kClient6, kServer6, "six"));
  EXPECT_EQ(w.receive(six), "six");
  EXPECT_EQ(w.send_to(six, "?", kClient), UdpError::kNetUnreachable);
}

TEST(UdpIn, AnEmptyDatagramIsOne) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  w.feed(udp_frame(kClient, kServer, ""));
  EXPECT_EQ(w.events_of(id), kUdpReadable);
  ASSERT_TRUE(w.stack->udp_peek(id));
  EXPECT_EQ(w.stack->udp_peek(id)->text, nullptr);
  EXPECT_EQ(w.receive(id), "");
  EXPECT_EQ(w.receive(id), "nothing");
}

// The most specific binding, whichever was made first.
TEST(UdpIn, TheMostSpecificSocketHasIt) {
  for (const bool backwards : {false, true}) {
    UdpWorld w;
    UdpOptions reuse;
    reuse.reuse_addr = true;
    std::vector<Endpoint> at = {{IpAddr{}, 53}, {kAny4, 53}, kServer};
    if (backwards) std::ranges::reverse(at);
    std::map<IpAddr, UdpId> ids;
    for (const Endpoint& e : at) ids[e.addr] = w.bind(e, reuse);
    const UdpId exact = w.connected(kServer, kClient, reuse);
    w.feed(udp_frame(kClient, kServer, "the 4-tuple"));
    w.feed(udp_frame({kPeer, 5'354}, kServer, "the address"));
    Octets second = udp_frame(kClient, {kSecond, 53}, "the family");
    std::copy_n(std::as_bytes(std::span{kHostMac.octets}).begin(), 6, second.begin());
    w.feed(second);
    w.feed(udp_frame(kClient6, kServer6, "anybody"));
    EXPECT_EQ(w.receive(exact), "the 4-tuple");
    EXPECT_EQ(w.receive(ids[kHost]), "the address");
    EXPECT_EQ(w.receive(ids[kAny4]), "the family");
    EXPECT_EQ(w.receive(ids[IpAddr{}]), "anybody");
    EXPECT_EQ(w.count(&C::udp_in_datagrams), 4U);
  }
}

TEST(UdpIn, AConnectedSocketHearsItsRemoteAlone) {
  UdpWorld w;
  const UdpId id = w.connected(kServer, kClient);
  w.feed(udp_frame({kPeer, 5'354}, kServer, "another port"));
  w.feed(udp_frame({IpAddr::v4(10, 0, 0, 3), 5'353}, kServer, "another host"));
  EXPECT_EQ(w.take_icmp().frame.icmp.code, 3);
  EXPECT_EQ(w.take_icmp().frame.icmp.code, 3);
  EXPECT_EQ(w.receive(id), "nothing");
  w.feed(udp_frame(kClient, kServer, "it"));
  EXPECT_EQ(w.receive(id), "it");
  w.stack->udp_disconnect(id);
  w.feed(udp_frame({kPeer, 5'354}, kServer, "anybody again"));
  EXPECT_EQ(w.receive(id), "anybody again");
}

TEST(UdpIn, WithReuseAddrTheLastOneBoundHasIt) {
  UdpWorld w;
  UdpOptions reuse;
  reuse.reuse_addr = true;
  const UdpId first = w.bind(kServer, reuse);
  const UdpId last = w.bind(kServer, reuse);
  w.feed(udp_frame(kClient, kServer, "one"));
  EXPECT_EQ(w.receive(last), "one");
  w.stack->udp_close(last);
  w.feed(udp_frame(kClient, kServer, "two"));
  EXPECT_EQ(w.receive(first), "two");
}

TEST(UdpIn, WithReusePortEachFlowHasOneSocketOfTheGroup) {
  UdpWorld w;
  UdpOptions reuse;
  reuse.reuse_port = true;
  std::vector<UdpId> group;
  for (unsigned i = 0; i < 4; ++i) group.push_back(w.bind(kServer, reuse));
  w.bind({kHost, 1'077}, reuse);  // in the same list, of another port
  std::map<std::uint32_t, unsigned> got;
  for (std::uint16_t port = 1'000; port < 1'200; ++port) {
    w.feed(udp_frame({kPeer, port}, kServer, "once"));
    w.feed(udp_frame({kPeer, port}, kServer, "twice"));
    unsigned with_any = 0;
    for (const UdpId id : group) {
      const std::uint32_t n = w.stack->udp_stats(id)->datagrams;
      EXPECT_TRUE(n == 0 || n == 2);
      with_any += n / 2;
      if (n == 2) ++got[id.index];
      while (w.receive(id) != "nothing") continue;
    }
    EXPECT_EQ(with_any, 1U);
  }
  EXPECT_EQ(got.size(), 4U);
  for (const auto& [index, n] : got) EXPECT_GT(n, 25U);
}

TEST(UdpIn, AMemberThatIsV6OnlyHasNoPartInIpv4) {
  UdpWorld w;
  UdpOptions both, only;
  both.reuse_port = only.reuse_port = true;
  only.v6_only = true;
  const UdpId six = w.bind({IpAddr{}, 53}, only);
  const UdpId any = w.bind({IpAddr{}, 53}, both);
  for (std::uint16_t port = 1'000; port < 1'020; ++port)
    w.feed(udp_frame({kPeer, port}, kServer, ""));
  EXPECT_EQ(w.stack->udp_stats(any)->datagrams, 20U);
  EXPECT_EQ(w.stack->udp_stats(six)->datagrams, 0U);
}

TEST(UdpIn, TcpAndUdpShareOneNumber) {
  UdpWorld w;
  w.listen(53);
  const UdpId id = w.bind({IpAddr{}, 53});
  w.feed(udp_frame(kClient, kServer, "by UDP"));
  Peer p(w, {.local_port = 53});
  const ConnId c = p.open();
  p.send(ACK | PSH, "by TCP");
  EXPECT_EQ(w.read(c), "by TCP");
  EXPECT_EQ(w.receive(id), "by UDP");
  w.tcp.clear();
  w.stack->udp_close(id);
  w.feed(udp_frame(kClient, kServer, "?"));
  EXPECT_EQ(w.take_icmp().frame.icmp.code, 3);
}

TEST(UdpIn, WhatIsBrokenIsCountedByName) {
  UdpWorld w;
  const UdpId id = w.bind({IpAddr{}, 53});
  Octets bad = udp_frame(kClient, kServer, "question");
  put8(bad, 45, 0x77);
  w.feed(bad);
  EXPECT_EQ(w.count(&C::drop_udp_checksum), 1U);
  Octets none6 = udp_frame(kClient6, kServer6, "question");
  wire::store16(&none6[60], 0);
  w.feed(none6);
  EXPECT_EQ(w.count(&C::drop_udp_checksum), 2U);
  Octets length = udp_frame(kClient, kServer, "question");
  wire::store16(&length[38], 300);
  w.feed(length);
  EXPECT_EQ(w.count(&C::drop_udp_length), 1U);
  Buf* marked = w.pool.take_copy(udp_frame(kClient, kServer, "question"));
  marked->flags = Buf::kChecksumBad;
  w.iterate_bufs({&marked, 1});
  EXPECT_EQ(w.count(&C::drop_udp_checksum), 3U);
  EXPECT_EQ(w.count(&C::drop_tcp_checksum), 0U);
  EXPECT_EQ(w.count(&C::udp_in_errors), 4U);
  Octets none4 = udp_frame(kPeer, kHost, "without a checksum");
  w.feed(none4);
  EXPECT_EQ(w.receive(id), "without a checksum");
  w.expect_quiet();
}

TEST(UdpIn, ADatagramScatteredOverBuffersIsSummedAndPutInOrder) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  const std::string text = pattern(900);
  for (const bool broken : {false, true}) {
    Octets f = udp_frame(kClient, kServer, text);
    if (broken) put8(f, 700, 0);
    Buf* const head = w.pool.take_copy(std::span{f}.first(100));
    head->next = w.pool.take_copy(std::span{f}.subspan(100, 300));
    head->next->next = w.pool.take_copy(std::span{f}.subspan(400));
    Buf* const frame = head;
    w.iterate_bufs({&frame, 1});
    EXPECT_EQ(w.receive(id), broken ? "nothing" : text);
  }
  EXPECT_EQ(w.count(&C::drop_udp_checksum), 1U);
}

TEST(UdpIn, FragmentsArriveWhole) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  const std::string text = pattern(4'000);
  const Octets whole = udp_frame(kClient, kServer, text);
  const Octets l4(whole.begin() + 34, whole.end());
  for (std::size_t at : {std::size_t{2'960}, std::size_t{0}, std::size_t{1'480}}) {
    const std::size_t n = std::min<std::size_t>(1'480, l4.size() - at);
    const Octets part(l4.begin() + static_cast<std::ptrdiff_t>(at),
                      l4.begin() + static_cast<std::ptrdiff_t>(at + n));
    Octets f = ipv4_frame(kPeer, kHost, 17, part);
    wire::store16(&f[18], 77);
    wire::store16(&f[20], static_cast<std::uint16_t>(at / 8 | (at + n < l4.size() ? 0x2000U : 0U)));
    mend_ipv4(f);
    w.feed(f);
  }
  EXPECT_EQ(w.receive(id), text);
  EXPECT_EQ(w.count(&C::reasm_oks), 1U);
}

// RFC 1122 §4.1.3.6: what came from no host's address is dropped before UDP; so is what went to
// all.
//= RFC1122 4.1.3.6-a type=test
TEST(UdpIn, NothingFromNoHostAndNothingToAll) {
  UdpWorld w;
  const UdpId id = w.bind({IpAddr{}, 53});
  for (const IpAddr from : {IpAddr::v4(0, 0, 0, 0), IpAddr::v4(127, 0, 0, 1),
                            IpAddr::v4(224, 0, 0, 1), IpAddr::v4(10, 0, 0, 255), kHost}) {
    w.feed(udp_frame(from, kHost, "?"));
  }
  EXPECT_EQ(w.count(&C::drop_bad_source), 5U);
  for (const IpAddr to : {IpAddr::v4(10, 0, 0, 255), IpAddr::v4(224, 0, 0, 1)}) {
    Octets f = udp_frame(kPeer, to, "all");
    std::fill_n(f.begin(), 6, std::byte{0xff});
    w.feed(f);
  }
  EXPECT_EQ(w.count(&C::drop_not_for_us), 2U);
  EXPECT_EQ(w.receive(id), "nothing");
  w.expect_quiet();
}

// -- Limits ----------------------------------------------------------------------------------

TEST(UdpLimits, AFullReceiveQueueDropsWhatComesAndCountsIt) {
  UdpWorld w;
  UdpOptions small;
  small.rcvbuf = 5'000;
  const UdpId id = w.bind(kServer, small);
  for (unsigned i = 0; i < 10; ++i) w.feed(udp_frame(kClient, kServer, pattern(1'000, i)));
  const auto stats = w.stack->udp_stats(id);
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->datagrams, 4U);
  EXPECT_EQ(stats->octets, 4'000U);
  EXPECT_LE(stats->charged, 5'000U);
  EXPECT_EQ(stats->drops, 6U);
  EXPECT_EQ(w.count(&C::drop_udp_rcvbuf), 6U);
  EXPECT_EQ(w.count(&C::udp_in_errors), 6U);
  EXPECT_EQ(w.count(&C::udp_in_datagrams), 4U);
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(w.receive(id), pattern(1'000, i));
  w.feed(udp_frame(kClient, kServer, "room again"));
  EXPECT_EQ(w.receive(id), "room again");
  w.expect_quiet();  // no port unreachable for what found no room
}

TEST(UdpLimits, OneDatagramFindsRoomHoweverSmallTheQueue) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  w.stack->set_udp_rcvbuf(id, 1);
  w.feed(udp_frame(kClient, kServer, pattern(1'400)));
  w.feed(udp_frame(kClient, kServer, "not this"));
  EXPECT_EQ(w.receive(id), pattern(1'400));
  EXPECT_EQ(w.receive(id), "nothing");
}

TEST(UdpLimits, AllSocketsTogetherHaveALimitToo) {
  Config c = udp_config();
  c.tcp.udp_mem = 20'000;
  UdpWorld w(c);
  std::vector<UdpId> ids;
  for (std::uint16_t i = 0; i < 30; ++i)
    ids.push_back(w.bind({kHost, static_cast<std::uint16_t>(100 + i)}));
  for (std::uint16_t i = 0; i < 30; ++i) {
    w.feed(udp_frame(kClient, {kHost, static_cast<std::uint16_t>(100 + i)}, pattern(1'400)));
  }
  EXPECT_EQ(w.count(&C::udp_in_datagrams), 13U);
  EXPECT_EQ(w.count(&C::drop_udp_mem), 17U);
  w.stack->udp_close(ids[0]);
  w.feed(udp_frame(kClient, {kHost, 129}, pattern(1'400)));
  EXPECT_EQ(w.count(&C::udp_in_datagrams), 14U);
}

TEST(UdpLimits, TheLimitAndThePortsChangeWhileItRuns) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  w.feed(udp_frame(kClient, kServer, pattern(1'400)));
  tcp::Config other = w.stack->tcp_config();
  other.udp_mem = 2'000;
  other.port_low = 50'000;
  other.port_high = 50'001;
  other.ttl = 17;
  w.stack->configure(other);
  w.feed(udp_frame(kClient, kServer, pattern(1'400)));
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 1U);
  EXPECT_EQ(w.count(&C::drop_udp_mem), 1U);
  for (unsigned i = 0; i < 2; ++i) {
    EXPECT_GE(w.stack->udp_stats(w.bind({kHost, 0}))->local.port, 50'000);
  }
  EXPECT_EQ(w.bind_fails({kHost, 0}), Error::kNoPort);
  EXPECT_EQ(w.send_to(id, "?", kClient), UdpError::kNone);
  EXPECT_EQ(w.take_udp().frame.ttl, 17);
}

TEST(UdpLimits, TheEndTakesWhatWaitsForANextHopToo) {
  UdpWorld w;
  w.silent.insert(kPeer);
  const UdpId id = w.bind(kServer);
  w.feed(udp_frame(kClient, kServer, "not received"));
  EXPECT_EQ(w.send_to(id, "not sent", kClient), UdpError::kNone);
  EXPECT_GT(w.pool.in_use(), 0U);
  w.stack->release_all();
  w.iterate();
  EXPECT_EQ(w.pool.in_use(), 0U);
}

TEST(UdpLimits, AllSocketsInPages) {
  UdpWorld w;
  std::vector<UdpId> ids;
  for (std::uint16_t i = 0; i < 7; ++i) {
    ids.push_back(w.bind({kHost, static_cast<std::uint16_t>(100 + i)}));
    w.stack->set_udp_user(ids.back(), i);
  }
  w.stack->udp_close(ids[2]);
  std::vector<std::uint64_t> users;
  std::array<UdpStats, 2> page;
  std::uint32_t from = 0;
  for (std::size_t n = 0; (n = w.stack->each_udp_socket(from, page)) > 0;) {
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_EQ(page[i].socket, ids[page[i].user]);
      users.push_back(page[i].user);
    }
  }
  EXPECT_EQ(users, (std::vector<std::uint64_t>{0, 1, 3, 4, 5, 6}));
  EXPECT_EQ(w.stack->each_udp_socket(from, page), 0U);
}

TEST(UdpLimits, DatagramsThatWaitHaveANumber) {
  Config c = udp_config();
  c.max_udp_datagrams = 5;
  UdpWorld w(c);
  const UdpId id = w.bind(kServer);
  for (unsigned i = 0; i < 8; ++i) w.feed(udp_frame(kClient, kServer, "?"));
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 5U);
  EXPECT_EQ(w.count(&C::drop_udp_mem), 3U);
}

// A port whose buffers run out is deaf: the last are read, and not kept.
TEST(UdpLimits, WhileBuffersAreScarceOnlyWhatIsReadAtOnceIsKept) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  const auto feed = [&](std::uint8_t flags) {
    Buf* const b = w.pool.take_copy(udp_frame(kClient, kServer, "?"));
    b->flags = flags;
    w.iterate_bufs({&b, 1});
  };
  feed(Buf::kLast | Buf::kScarce);
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 0U);
  feed(Buf::kScarce);
  feed(Buf::kScarce);
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 1U);
  feed(0);
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 2U);
  EXPECT_EQ(w.count(&C::drop_udp_mem), 2U);
}

// What its program does not receive keeps no port deaf.
TEST(UdpLimits, WithTheLastBuffersGoneOldDatagramsGiveWay) {
  UdpWorld w;
  const UdpId id = w.bind(kServer), other = w.bind({kHost, 54});
  w.feed(udp_frame(kClient, kServer, "old"));
  w.feed(udp_frame(kClient, {kHost, 54}, "old too"));
  w.run_for(1'900ms);
  w.feed(udp_frame(kClient, kServer, "of late"));
  const auto pressed = [&](std::uint8_t flags) {
    Buf* const b = w.pool.take_copy(udp_frame(kClient, {kHost, 99}, "?"));
    b->flags = flags;
    w.iterate_bufs({&b, 1});
    w.iterate();
    w.icmp.clear();
  };
  pressed(Buf::kScarce | Buf::kLast);
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 2U);
  w.run_for(200ms);
  pressed(Buf::kScarce);
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, 2U);
  w.run_for(200ms);
  pressed(Buf::kScarce | Buf::kLast);
  EXPECT_EQ(w.stack->udp_stats(other)->datagrams, 0U);
  EXPECT_EQ(w.receive(id), "of late");
  EXPECT_EQ(w.count(&C::drop_udp_mem), 2U);
}

TEST(UdpLimits, ACloseGivesBackWhatWaits) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  for (unsigned i = 0; i < 5; ++i) w.feed(udp_frame(kClient, kServer, pattern(700)));
  w.stack->udp_close(id);
  w.iterate();
  EXPECT_EQ(w.pool.in_use(), 0U);
  EXPECT_EQ(w.events_of(id), kUdpReadable);  // told before it was closed
}

TEST(UdpLimits, AClosedSocketTellsNothing) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  Buf* const b = w.pool.take_copy(udp_frame(kClient, kServer, "?"));
  EXPECT_GT(w.stack->next_deadline(), w.now);
  w.stack->receive({&b, 1}, w.now);
  EXPECT_LE(w.stack->next_deadline(), w.now);  // there is something to tell
  w.stack->udp_close(id);
  EXPECT_GT(w.stack->next_deadline(), w.now);
  UdpReady r;
  EXPECT_FALSE(w.stack->next_udp_ready(r));
  EXPECT_FALSE(w.stack->udp_receive(id));
}

// -- Out -------------------------------------------------------------------------------------

//= RFC768 fields type=test
//= RFC1122 4.1.3.5-b type=test
//= RFC1122 4.1.4-a type=test
TEST(UdpOut, ADatagramGoesOut) {
  UdpWorld w;
  w.meet(kPeer);
  const UdpId id = w.bind({IpAddr{}, 53});
  UdpSend how;
  how.to = kClient;
  how.tos = 0xb8;
  how.ttl = 3;
  EXPECT_EQ(w.stack->udp_send(id, octets_of("an answer"), how), UdpError::kNone);
  w.iterate();
  const Sent s = w.take_udp();
  EXPECT_EQ(s.text, "an answer");
  EXPECT_EQ(s.frame.src, kHost);
  EXPECT_EQ(s.frame.dst, kPeer);
  EXPECT_EQ(s.frame.dst_mac, mac_of(kPeer));
  EXPECT_EQ(s.frame.src_mac, kHostMac);
  EXPECT_EQ(s.frame.udp.src_port, 53);
  EXPECT_EQ(s.frame.udp.dst_port, 5'353);
  EXPECT_EQ(s.frame.tos, 0xb8);
  EXPECT_EQ(s.frame.ttl, 3);
  EXPECT_EQ(w.count(&C::udp_out_datagrams), 1U);
  how = {};
  how.to = kClient;
  how.source = kSecond;
  const Octets one = octets_of("in "), two = octets_of("pieces");
  const std::array<std::span<const std::byte>, 2> pieces{one, two};
  EXPECT_EQ(w.stack->udp_send_pieces(id, pieces, how), UdpError::kNone);
  w.stack->set_udp_tos(id, 0x20);
  w.stack->set_udp_ttl(id, 9);
  EXPECT_EQ(w.send_to(id, "as the socket has it", kClient), UdpError::kNone);
  const Sent second = w.take_udp();
  EXPECT_EQ(second.frame.src, kSecond);
  EXPECT_EQ(second.text, "in pieces");
  EXPECT_EQ(second.frame.tos, 0);
  EXPECT_EQ(second.frame.ttl, 64);
  const Sent third = w.take_udp();
  EXPECT_EQ(third.frame.tos, 0x20);
  EXPECT_EQ(third.frame.ttl, 9);
  how.ttl = 0;  // RFC 1122 §3.2.1.7: nothing goes with that
  EXPECT_EQ(w.stack->udp_send(id, octets_of("?"), how), UdpError::kNone);
  w.iterate();
  EXPECT_EQ(w.take_udp().frame.ttl, 9);
}

TEST(UdpOut, Ipv6) {
  UdpWorld w;
  const UdpId id = w.bind({IpAddr{}, 53});
  EXPECT_EQ(w.send_to(id, "six", kClient6), UdpError::kNone);
  const Sent s = w.take_udp();
  EXPECT_EQ(s.text, "six");
  EXPECT_EQ(s.frame.src, kHost6);
  EXPECT_EQ(s.frame.dst, kPeer6);
  EXPECT_EQ(s.frame.dst_mac, mac_of(kPeer6));
}

TEST(UdpOut, AConnectedSocketNeedsNoDestinationAndHasASource) {
  UdpWorld w;
  const UdpId id = w.connected({IpAddr{}, 0}, kClient);
  EXPECT_EQ(w.stack->udp_stats(id)->local.addr, kHost);
  EXPECT_EQ(w.stack->udp_stats(id)->remote, kClient);
  EXPECT_EQ(w.send_to(id, "hello"), UdpError::kNone);
  const Sent s = w.take_udp();
  EXPECT_EQ(s.frame.dst, kPeer);
  EXPECT_EQ(s.frame.udp.dst_port, 5'353);
  EXPECT_EQ(w.send_to(id, "elsewhere", Endpoint{kPeer, 9}), UdpError::kNone);
  EXPECT_EQ(w.take_udp().frame.udp.dst_port, 9);
  EXPECT_FALSE(w.stack->udp_connect(id, kClient6));  // bound to ::, so to either family
  EXPECT_EQ(w.stack->udp_stats(id)->local.addr, kHost6);
  w.stack->udp_disconnect(id);
  EXPECT_EQ(w.stack->udp_stats(id)->local.addr, IpAddr{});
  EXPECT_EQ(w.send_to(id, "to whom?"), UdpError::kNoDestination);
}

//= RFC1122 4.1.3.6-b type=test
TEST(UdpOut, WhereNothingCanGo) {
  UdpWorld w;
  const UdpId any = w.bind({IpAddr{}, 53});
  EXPECT_EQ(w.send_to(any, "?"), UdpError::kNoDestination);
  EXPECT_EQ(w.send_to(any, "?", Endpoint{kPeer, 0}), UdpError::kInvalid);
  EXPECT_EQ(w.send_to(any, "?", Endpoint{kAny4, 9}), UdpError::kInvalid);
  EXPECT_EQ(w.send_to(any, "?", Endpoint{IpAddr::v4(10, 0, 0, 255), 9}), UdpError::kNotPermitted);
  EXPECT_EQ(w.send_to(any, "?", Endpoint{IpAddr::v4(255, 255, 255, 255), 9}),
            UdpError::kNotPermitted);
  EXPECT_EQ(w.send_to(any, "?", Endpoint{IpAddr::v4(224, 0, 0, 251), 9}),
            UdpError::kNetUnreachable);
  const UdpId four = w.bind({kHost, 54});
  EXPECT_EQ(w.send_to(four, "?", kClient6), UdpError::kNetUnreachable);
  UdpSend how;
  how.to = kClient;
  for (const IpAddr not_ours : {kPeer, kHost6}) {
    how.source = not_ours;
    EXPECT_EQ(w.stack->udp_send(any, octets_of("?"), how), UdpError::kAddressNotLocal);
  }
  EXPECT_EQ(w.stack->udp_connect(four, kClient6), Error::kNoRoute);
  EXPECT_EQ(w.stack->udp_connect(four, {kPeer, 0}), Error::kInvalidRemote);
  Config lone = small_config();
  lone.gateway = std::nullopt;
  UdpWorld v(lone);
  EXPECT_EQ(v.send_to(v.bind({kHost, 53}), "?", Endpoint{IpAddr::v4(192, 0, 2, 1), 9}),
            UdpError::kNetUnreachable);
  EXPECT_TRUE(w.udp.empty() && v.udp.empty());
  EXPECT_EQ(w.count(&C::udp_out_datagrams), 0U);
  w.arp.clear();
}

// Weir sends no fragments: what the link does not carry in one frame is the caller's error.
//= RFC1122 4.1.4-c type=test
TEST(UdpOut, BeyondTheMtuItIsTooLong) {
  UdpWorld w;
  w.meet(kPeer);
  const UdpId id = w.bind({IpAddr{}, 53});
  EXPECT_EQ(w.send_to(id, pattern(1'472), kClient), UdpError::kNone);
  EXPECT_EQ(w.take_udp().octets.size(), 1'514U);
  EXPECT_EQ(w.send_to(id, pattern(1'473), kClient), UdpError::kTooLong);
  EXPECT_EQ(w.send_to(id, pattern(1'452), kClient6), UdpError::kNone);
  EXPECT_EQ(w.take_udp().octets.size(), 1'514U);
  EXPECT_EQ(w.send_to(id, pattern(1'453), kClient6), UdpError::kTooLong);
  w.expect_quiet();
}

TEST(UdpOut, DatagramsWaitForTheNextHopInOrder) {
  UdpWorld w;
  w.silent.insert(kPeer);
  const UdpId id = w.bind(kServer);
  for (const char* text : {"one", "two", "three"})
    EXPECT_EQ(w.send_to(id, text, kClient), UdpError::kNone);
  EXPECT_TRUE(w.udp.empty());
  EXPECT_EQ(w.arp.size(), 1U);
  w.feed(arp_frame(2, kPeer, mac_of(kPeer), kHost, kHostMac));
  for (const char* text : {"one", "two", "three"}) {
    const Sent s = w.take_udp();
    EXPECT_EQ(s.text, text);
    EXPECT_EQ(s.frame.dst_mac, mac_of(kPeer));
  }
}

TEST(UdpOut, ToMoreHostsThanAnswerOnlySomeWait) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  for (unsigned host = 100; host < 110; ++host) {
    const IpAddr to = IpAddr::v4(10, 0, 0, static_cast<std::uint8_t>(host));
    w.silent.insert(to);
    for (unsigned i = 0; i < 70; ++i) (void)w.send_to(id, "?", Endpoint{to, 9});
  }
  EXPECT_EQ(w.pool.in_use(), 256U);  // and no more
  EXPECT_EQ(w.count(&C::drop_neigh_queue), 700U - 256);
  w.run_for(10s);
  EXPECT_EQ(w.pool.in_use(), 0U);
  EXPECT_EQ(w.count(&C::drop_neigh_failed), 256U);
  EXPECT_TRUE(w.udp.empty());
}

// Those that found their next hop make room for others.
TEST(UdpOut, WhatWaitedAndWentIsNotCountedAsWaiting) {
  UdpWorld w;
  const UdpId id = w.bind(kServer);
  for (unsigned host = 100; host < 150; ++host) {
    const IpAddr to = IpAddr::v4(10, 0, 0, static_cast<std::uint8_t>(host));
    for (unsigned i = 0; i < 10; ++i) {
      UdpSend how;
      how.to = Endpoint{to, 9};
      ASSERT_EQ(w.stack->udp_send(id, octets_of("?"), how), UdpError::kNone);
    }
    w.iterate();
    ASSERT_EQ(w.udp.size(), 10U) << host;
    w.udp.clear();
    w.run_for(6s);
  }
  EXPECT_EQ(w.count(&C::drop_neigh_queue), 0U);
}

TEST(UdpOut, ANextHopThatDoesNotAnswerIsTold) {
  UdpWorld w;
  w.silent.insert(kPeer);
  const UdpId id = w.connected({kHost, 0}, kClient);
  const UdpId linux = w.connected({kHost, 0}, kClient);
  w.stack->set_udp_errors(linux, UdpErrors::kHard);
  EXPECT_EQ(w.send_to(id, "?"), UdpError::kNone);
  EXPECT_EQ(w.send_to(linux, "?"), UdpError::kNone);
  w.run_for(5s);
  EXPECT_EQ(w.events_of(id), kUdpError);
  EXPECT_EQ(w.stack->udp_error(id), UdpError::kHostUnreachable);
  EXPECT_EQ(w.stack->udp_take_error(id), UdpError::kHostUnreachable);
  EXPECT_EQ(w.stack->udp_take_error(id), UdpError::kNone);
  EXPECT_EQ(w.events_of(linux), 0U);
  EXPECT_EQ(w.count(&C::drop_neigh_failed), 2U);
}

TEST(UdpOut, OneTurnTakesSoManyThenTheSocketWaits) {
  UdpWorld w;
  w.meet(kPeer);
  const UdpId id = w.connected({kHost, 0}, kClient);
  (void)w.send_to(id, "the next hop is asked about this");
  w.udp.clear();
  unsigned sent = 0;
  while (w.stack->udp_send(id, octets_of("?")) == UdpError::kNone && sent < 10'000) ++sent;
  EXPECT_EQ(sent, 512U);
  EXPECT_EQ(w.stack->udp_send(id, octets_of("?")), UdpError::kWouldBlock);
  UdpReady r;
  EXPECT_FALSE(w.stack->next_udp_ready(r));  // not in this turn, or its handler would spin
  w.iterate();
  EXPECT_EQ(w.udp.size(), 512U);
  EXPECT_LE(w.stack->next_deadline(), w.now);
  w.iterate();
  EXPECT_EQ(w.events_of(id), kUdpWritable);
  EXPECT_EQ(w.send_to(id, "?"), UdpError::kNone);
  EXPECT_EQ(w.udp.size(), 513U);
  w.udp.clear();
}

TEST(UdpOut, WithoutABufferItIsNotSent) {
  UdpWorld w;
  w.meet(kPeer);
  const UdpId id = w.bind(kServer);
  w.stack->release_spare();
  w.iterate();
  w.pool.set_limit(0);
  EXPECT_EQ(w.send_to(id, "?", kClient), UdpError::kNoBuffers);
  w.pool.set_limit(sim::BlockPool::kNoLimit);
  EXPECT_EQ(w.send_to(id, "?", kClient), UdpError::kNone);
  EXPECT_EQ(w.take_udp().text, "?");
  EXPECT_EQ(w.count(&C::udp_out_datagrams), 1U);
}

// -- ICMP ------------------------------------------------------------------------------------

struct IcmpCase {
  std::uint8_t type, code;
  UdpError error;
  bool hard;
};

//= RFC1122 4.1.3.3 type=test
TEST(UdpErrorsIn, AConnectedSocketIsToldAndLinuxsRuleCanBeHad) {
  const IcmpCase kTable[] = {
      {3, 0, UdpError::kNetUnreachable, false},  {3, 1, UdpError::kHostUnreachable, false},
      {3, 2, UdpError::kNoProtocol, true},       {3, 3, UdpError::kRefused, true},
      {3, 4, UdpError::kTooLong, true},          {3, 5, UdpError::kNotSupported, false},
      {3, 6, UdpError::kNetUnreachable, true},   {3, 7, UdpError::kHostDown, true},
      {3, 8, UdpError::kIsolated, true},         {3, 12, UdpError::kHostUnreachable, false},
      {3, 9, UdpError::kNetUnreachable, true},   {3, 10, UdpError::kHostUnreachable, true},
      {3, 13, UdpError::kHostUnreachable, true}, {11, 0, UdpError::kHostUnreachable, false},
      {12, 0, UdpError::kProtocol, true},
  };
  for (const IcmpCase& c : kTable) {
    UdpWorld w;
    const UdpId all = w.connected({kHost, 1'000}, kClient);
    const UdpId linux = w.connected({kHost, 1'001}, kClient);
    const UdpId loose = w.bind({kHost, 1'002});
    const UdpId asked = w.bind({kHost, 1'003});
    w.stack->set_udp_errors(linux, UdpErrors::kHard);
    w.stack->set_udp_errors(asked, UdpErrors::kAll);
    for (const UdpId id : {all, linux, loose, asked}) {
      ASSERT_EQ(w.send_to(id, pattern(900), kClient), UdpError::kNone);
      w.tell(w.take_udp(), c.type, c.code, 800);
    }
    SCOPED_TRACE(testing::Message() << +c.type << "/" << +c.code);
    for (const UdpId id : {all, asked}) {
      EXPECT_EQ(w.events_of(id), kUdpError);
      EXPECT_EQ(w.stack->udp_take_error(id), c.error);
    }
    EXPECT_EQ(w.events_of(linux), c.hard ? unsigned{kUdpError} : 0U);
    EXPECT_EQ(w.stack->udp_take_error(linux), c.hard ? c.error : UdpError::kNone);
    EXPECT_EQ(w.events_of(loose), 0U);
    EXPECT_EQ(w.count(&C::icmp_errors_in), c.hard ? 3U : 2U);
  }
}

TEST(UdpErrorsIn, Ipv6) {
  const IcmpCase kTable[] = {
      {1, 0, UdpError::kNetUnreachable, false},  {1, 1, UdpError::kNotPermitted, true},
      {1, 7, UdpError::kProtocol, true},         {1, 255, UdpError::kProtocol, true},
      {1, 2, UdpError::kHostUnreachable, false}, {1, 6, UdpError::kNotPermitted, true},
      {1, 3, UdpError::kHostUnreachable, false}, {1, 4, UdpError::kRefused, true},
      {2, 0, UdpError::kTooLong, true},          {3, 0, UdpError::kHostUnreachable, false},
      {4, 1, UdpError::kProtocol, true},
  };
  for (const IcmpCase& c : kTable) {
    UdpWorld w;
    const UdpId id = w.connected({IpAddr{}, 0}, kClient6);
    const UdpId linux = w.connected({IpAddr{}, 0}, kClient6);
    w.stack->set_udp_errors(linux, UdpErrors::kHard);
    for (const UdpId at : {id, linux}) {
      ASSERT_EQ(w.send_to(at, pattern(1'400)), UdpError::kNone);
      w.tell(w.take_udp(), c.type, c.code, c.type == 2 ? 1'300 : 0);
    }
    SCOPED_TRACE(testing::Message() << +c.type << "/" << +c.code);
    EXPECT_EQ(w.stack->udp_take_error(id), c.error);
    EXPECT_EQ(w.stack->udp_take_error(linux), c.hard ? c.error : UdpError::kNone);
  }
}

TEST(UdpErrorsIn, WhatTheSocketNeverSentIsNothing) {
  UdpWorld w;
  const UdpId id = w.connected({kHost, 1'000}, kClient);
  ASSERT_EQ(w.send_to(id, "?"), UdpError::kNone);
  const Sent sent = w.take_udp();
  Sent other = sent;
  wire::store16(&other.octets[36], 5'354);  // to another port
  w.tell(other, 3, 3);
  w.tell(sent, 4, 0);   // Source Quench
  w.tell(sent, 3, 99);  // no such code
  EXPECT_EQ(w.events_of(id), 0U);
  EXPECT_EQ(w.count(&C::drop_icmp_ignored), 3U);
  EXPECT_EQ(w.count(&C::icmp_errors_in), 0U);
}

TEST(UdpErrorsIn, ThePathsMtuHoldsForItsTime) {
  UdpWorld w;
  const UdpId id = w.connected({kHost, 0}, kClient);
  ASSERT_EQ(w.send_to(id, pattern(1'472)), UdpError::kNone);
  const Sent sent = w.take_udp();
  w.tell(sent, 3, 4, 1'500);  // it would have passed
  w.tell(sent, 3, 4, 9'000);
  Sent longer = sent;  // than the link takes: it was not sent here
  wire::store16(&longer.octets[16], 20'000);
  w.tell(longer, 3, 4, 9'000);
  ASSERT_EQ(w.send_to(id, pattern(972)), UdpError::kNone);
  w.tell(w.take_udp(), 3, 4, 1'000);  // of 1,000 octets
  EXPECT_EQ(w.events_of(id), 0U);
  EXPECT_EQ(w.count(&C::drop_icmp_forged), 4U);
  w.tell(sent, 3, 4, 1'000);
  EXPECT_EQ(w.stack->udp_take_error(id), UdpError::kTooLong);
  EXPECT_EQ(w.stack->udp_stats(id)->mtu, 1'000);
  EXPECT_EQ(w.send_to(id, pattern(973)), UdpError::kTooLong);
  EXPECT_EQ(w.send_to(id, pattern(972)), UdpError::kNone);
  EXPECT_EQ(w.send_to(id, pattern(1'472), Endpoint{kPeer, 9}), UdpError::kNone);  // another path
  w.tell(sent, 3, 4, 68);  // no less than min_pmtu
  EXPECT_EQ(w.send_to(id, pattern(525)), UdpError::kTooLong);
  EXPECT_EQ(w.send_to(id, pattern(524)), UdpError::kNone);
  w.stack->udp_disconnect(id);
  EXPECT_FALSE(w.stack->udp_connect(id, kClient));  // perhaps by another path
  EXPECT_EQ(w.stack->udp_stats(id)->mtu, 1'500);
  w.tell(sent, 3, 4, 1'000);
  w.run_for(601s);
  EXPECT_EQ(w.stack->udp_stats(id)->mtu, 1'500);
  EXPECT_EQ(w.send_to(id, pattern(1'472)), UdpError::kNone);
  w.udp.clear();
}

// An unconnected socket writes to many: what one path takes says nothing of the next.
TEST(UdpErrorsIn, ThePathsMtuIsNotKeptForWhoIsNotConnected) {
  UdpWorld w;
  UdpOptions all;
  all.errors = UdpErrors::kAll;
  const UdpId id = w.bind(kServer, all);
  ASSERT_EQ(w.send_to(id, pattern(1'472), kClient), UdpError::kNone);
  w.tell(w.take_udp(), 3, 4, 1'000);
  EXPECT_EQ(w.stack->udp_take_error(id), UdpError::kTooLong);
  EXPECT_EQ(w.stack->udp_stats(id)->mtu, 1'500);
  EXPECT_EQ(w.send_to(id, pattern(1'472), kClient), UdpError::kNone);
  w.udp.clear();
}

// -- This host to itself ---------------------------------------------------------------------

TEST(UdpLoopback, ADatagramToOurselvesStaysInside) {
  UdpWorld w;
  const UdpId server = w.bind({IpAddr{}, 53});
  for (const bool v6 : {false, true}) {
    const UdpId client = w.connected({IpAddr{}, 0}, v6 ? kServer6 : kServer);
    EXPECT_EQ(w.send_to(client, "to myself"), UdpError::kNone);
    w.iterate();
    Datagram d;
    EXPECT_EQ(w.receive(server, &d), "to myself");
    EXPECT_EQ(d.from.addr, v6 ? kHost6 : kHost);
    EXPECT_EQ(w.send_to(server, "and back", d.from), UdpError::kNone);
    w.iterate();
    EXPECT_EQ(w.receive(client), "and back");
  }
  w.expect_quiet();
  EXPECT_TRUE(w.arp.empty());
}

TEST(UdpLoopback, NoMtuThereUpToUdpsOwnLimit) {
  UdpWorld w;
  const UdpId id = w.bind({IpAddr{}, 53}, {.rcvbuf = 1U << 20U});
  EXPECT_EQ(w.send_to(id, pattern(65'507), kServer), UdpError::kNone);
  EXPECT_EQ(w.send_to(id, pattern(65'508), kServer), UdpError::kTooLong);
  EXPECT_EQ(w.send_to(id, pattern(65'487), kServer6), UdpError::kNone);
  EXPECT_EQ(w.send_to(id, pattern(65'488), kServer6), UdpError::kTooLong);
  w.iterate();
  EXPECT_EQ(w.receive(id), pattern(65'507));
  EXPECT_EQ(w.receive(id), pattern(65'487));
}

TEST(UdpLoopback, WhereNobodyListensItIsRefused) {
  for (const IpAddr& to : {kHost, kHost6, kSecond}) {
    UdpWorld w;
    const UdpId id = w.connected({IpAddr{}, 0}, {to, 54});
    EXPECT_EQ(w.send_to(id, "anybody?"), UdpError::kNone);
    w.run_for(1ms);
    EXPECT_EQ(w.events_of(id), kUdpError);
    EXPECT_EQ(w.stack->udp_take_error(id), UdpError::kRefused);
    w.expect_quiet();  // the error too stays inside
  }
}

TEST(UdpLoopback, WhenTooMuchIsOnItsWayTheSocketWaits) {
  UdpWorld w;
  const UdpId id = w.bind({IpAddr{}, 53}, {.rcvbuf = 4U << 20U});
  unsigned sent = 0;
  UdpSend how;
  how.to = kServer;
  while (w.stack->udp_send(id, octets_of("?"), how) == UdpError::kNone && sent < 10'000) ++sent;
  EXPECT_EQ(sent, 512U - 128);
  w.iterate();
  w.iterate();
  EXPECT_EQ(w.events_of(id), unsigned{kUdpWritable} | kUdpReadable);
  EXPECT_EQ(w.stack->udp_stats(id)->datagrams, sent);
  EXPECT_EQ(w.count(&C::drop_loop_full), 0U);
}

}  // namespace
}  // namespace weir::stack::test
