// UdpSockets against a list that is searched from its end: which socket has a datagram, which
// bindings clash, which ports are free, what waits and what is told.
#include "stack/udp_sockets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <utility>
#include <vector>

#include "base/rng.h"

namespace weir::stack::test {
namespace {

constexpr IpAddr kAny4 = IpAddr::v4(0, 0, 0, 0);
constexpr IpAddr kOne = IpAddr::v4(10, 0, 0, 1), kTwo = IpAddr::v4(10, 0, 0, 2);
constexpr IpAddr kOne6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
constexpr std::uint16_t kLow = 1'000, kHigh = 1'007;
constexpr std::array kLocals{IpAddr{}, kAny4, kOne, kTwo, kOne6};

struct Twin {
  struct Socket {
    UdpId id;
    Endpoint bound;
    FlowKey flow;
    UdpOptions options;
    bool v6_only = false, connected = false;
    std::uint64_t since = 0;  // when it got its place among the bound or the connected
    std::deque<std::uint32_t> waiting;
    unsigned events = 0;
    bool blocked = false;
  };
  std::vector<Socket> all;
  std::uint64_t clock = 0;

  Socket* of(UdpId id) {
    for (Socket& s : all) {
      if (s.id == id) return &s;
    }
    return nullptr;
  }
  static bool hears(const Socket& s, const IpAddr& at) {
    const IpAddr& mine = s.flow.local;
    if (mine == at) return true;
    if (mine == kAny4) return at.is_v4();
    return mine == IpAddr{} && !(at.is_v4() && s.v6_only);
  }
  // Is there an address that both hear?
  static bool clash(const Socket& a, const Socket& b) {
    for (const IpAddr& at : {kOne, kTwo, kOne6, IpAddr::v4(10, 9, 9, 9),
                             IpAddr::v6({0x20, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9})}) {
      if (hears(a, at) && hears(b, at)) return true;
    }
    return false;
  }
  bool conflicts(const Socket& wanted) const {
    for (const Socket& s : all) {
      if (s.flow.local_port != wanted.flow.local_port || !clash(s, wanted)) continue;
      if (s.options.reuse_addr && wanted.options.reuse_addr) continue;
      if (s.options.reuse_port && wanted.options.reuse_port) continue;
      return true;
    }
    return false;
  }
  static int fit(const Socket& s, const FlowKey& flow) {
    if (s.flow.local_port != flow.local_port) return -1;
    if (s.connected) return s.flow == flow ? 10 : -1;
    if (!hears(s, flow.local)) return -1;
    return s.flow.local == flow.local ? 3 : s.flow.local == kAny4 ? 2 : 1;
  }
  // Those that may have it: of the best the newest, or its group.
  std::vector<UdpId> may_have(const FlowKey& flow) const {
    int best = 0;
    const Socket* newest = nullptr;
    for (const Socket& s : all) {
      const int f = fit(s, flow);
      if (f < best || f <= 0) continue;
      if (f > best || s.since > newest->since) newest = &s;
      best = f;
    }
    if (newest == nullptr) return {};
    if (!newest->options.reuse_port || newest->connected) return {newest->id};
    std::vector<UdpId> group;
    for (const Socket& s : all) {
      if (fit(s, flow) == best && s.options.reuse_port) group.push_back(s.id);
    }
    return group;
  }
};

struct UdpSocketsTwin : testing::TestWithParam<std::uint64_t> {
  Rng rng{GetParam()};
  UdpSockets sockets{24, 64, {kLow, kHigh, 0, 1}, {1, 2}};
  Twin twin;

  IpAddr some_local() { return kLocals[rng.below(kLocals.size())]; }
  FlowKey some_flow(bool v4) {
    FlowKey f;
    f.local = v4 ? (rng.below(2) == 0 ? kOne : kTwo) : kOne6;
    f.remote = v4 ? IpAddr::v4(192, 0, 2, 1) : IpAddr::v6({0x20, 1, 1});
    f.local_port = port();
    f.remote_port = static_cast<std::uint16_t>(1 + rng.below(3));
    return f;
  }
  std::uint16_t port() { return static_cast<std::uint16_t>(kLow + rng.below(3)); }
  static std::uint64_t hash(const FlowKey& f) { return siphash13({5, 6}, f); }

  void bind() {
    Twin::Socket s;
    s.options.reuse_addr = rng.below(3) == 0;
    s.options.reuse_port = rng.below(3) == 0;
    s.options.rcvbuf = 1'000;
    s.v6_only = rng.below(3) == 0;
    s.bound = {some_local(), port()};
    s.flow.local = s.bound.addr;
    s.flow.local_port = s.bound.port;
    ASSERT_EQ(sockets.conflicts(s.bound, s.options, s.v6_only), twin.conflicts(s));
    if (twin.conflicts(s) || sockets.full()) return;
    const std::uint32_t index = sockets.add(s.bound, s.options, s.v6_only);
    s.id = sockets.id_of(index);
    s.since = ++twin.clock;
    twin.all.push_back(s);
  }
  void ephemeral() {
    const IpAddr at = some_local();
    const auto got = sockets.choose_port(at, false);
    Twin::Socket s;
    s.flow.local = at;
    bool any = false;
    for (std::uint16_t p = kLow; p <= kHigh; ++p) {
      s.flow.local_port = p;
      const bool free = !twin.conflicts(s);
      any |= free;
      ASSERT_TRUE(free || got != p);
    }
    ASSERT_EQ(got.has_value(), any);
  }
  void connect(Twin::Socket& s) {
    FlowKey f = some_flow(s.bound.addr.is_v4() || (s.bound.addr == IpAddr{} && rng.below(2) == 0));
    if (!s.bound.addr.is_unspecified()) f.local = s.bound.addr;
    f.local_port = s.bound.port;
    for (const Twin::Socket& other : twin.all) {
      if (&other != &s && other.flow == f) return;  // which of two has it is nobody's promise
    }
    sockets.connect(s.id.index, f, hash(f));
    s.flow = f;
    s.connected = true;
    s.since = ++twin.clock;
  }
  void disconnect(Twin::Socket& s) {
    sockets.disconnect(s.id.index);
    if (!s.connected) return;
    s.flow = {s.bound.addr, {}, s.bound.port, 0};
    s.connected = false;
    s.since = ++twin.clock;
  }
  void deliver() {
    const FlowKey f = some_flow(rng.below(2) == 0);
    const std::uint32_t index = sockets.find(f, hash(f));
    const auto may = twin.may_have(f);
    ASSERT_EQ(index == kNoIndex, may.empty());
    if (index == kNoIndex) return;
    const UdpId id = sockets.id_of(index);
    ASSERT_NE(std::ranges::find(may, id), may.end());
    ASSERT_EQ(sockets.find(f, hash(f)), index);
    if (!sockets.has_node()) return;
    WaitingDatagram d;
    d.len = rng.below(100);
    d.charge = d.len + 10;
    sockets.push(index, d);
    sockets.note(index, kUdpReadable);
    Twin::Socket& s = *twin.of(id);
    s.waiting.push_back(d.len);
    s.events |= kUdpReadable;
  }
  void receive(Twin::Socket& s) {
    UdpSocket& real = *sockets.get(s.id);
    ASSERT_EQ(sockets.front(real) == nullptr, s.waiting.empty());
    if (s.waiting.empty()) return;
    ASSERT_EQ(sockets.pop(real).len, s.waiting.front());
    s.waiting.pop_front();
  }
  void close(Twin::Socket& s) {
    BufChain none;
    const UdpId id = s.id;
    sockets.remove(id.index, none);
    ASSERT_EQ(sockets.get(id), nullptr);
    std::erase_if(twin.all, [id](const Twin::Socket& t) { return t.id == id; });
  }
  void tell() {
    UdpReady r;
    while (sockets.next_ready(r)) {
      Twin::Socket* const s = twin.of(r.socket);
      ASSERT_NE(s, nullptr);
      ASSERT_EQ(unsigned{r.events}, std::exchange(s->events, 0U));
    }
    for (const Twin::Socket& s : twin.all) ASSERT_EQ(s.events, 0U);
  }
  void unblock() {
    sockets.unblock_all();
    for (Twin::Socket& s : twin.all) {
      if (std::exchange(s.blocked, false)) s.events |= kUdpWritable;
    }
    ASSERT_FALSE(sockets.any_blocked());
  }
  void step() {
    if (twin.all.empty() || rng.below(5) == 0) return rng.below(4) == 0 ? ephemeral() : bind();
    Twin::Socket& s = twin.all[rng.below(static_cast<std::uint32_t>(twin.all.size()))];
    switch (rng.below(12)) {
      case 0:
        return connect(s);
      case 1:
        return disconnect(s);
      case 2:
        return close(s);
      case 3:
      case 4:
        return receive(s);
      case 5:
        sockets.block(s.id.index);
        s.blocked = true;
        return;
      case 6:
        return rng.below(3) == 0 ? unblock() : tell();
      default:
        return deliver();
    }
  }
};

TEST_P(UdpSocketsTwin, DoAsTheListDoes) {
  for (unsigned i = 0; i < 20'000 && !HasFatalFailure(); ++i) {
    step();
    if (i % 16 == 0) sockets.check_invariants();
    ASSERT_EQ(sockets.size(), twin.all.size());
  }
  while (!twin.all.empty() && !HasFatalFailure()) close(twin.all.front());
  sockets.check_invariants();
  EXPECT_EQ(sockets.charged(), 0U);
  EXPECT_FALSE(sockets.any_ready() || sockets.any_blocked());
}
INSTANTIATE_TEST_SUITE_P(Seeds, UdpSocketsTwin, testing::Range<std::uint64_t>(1, 11));

TEST(UdpSocketsPorts, AShardTakesItsOwnOfTheRange) {
  for (std::uint16_t shard = 0; shard < 3; ++shard) {
    UdpSockets sockets{64, 8, {2'000, 2'030, shard, 3}, {1, 2}};
    unsigned n = 0;
    while (const auto port = sockets.choose_port(kOne, false)) {
      ASSERT_EQ(*port % 3, shard);
      sockets.add({kOne, *port}, {}, false);
      ++n;
    }
    EXPECT_EQ(n, shard == 0 ? 10U : shard == 1 ? 10U : 11U);
  }
}

// With another key other ports: nobody outside can tell them.
TEST(UdpSocketsPorts, TheKeyDecides) {
  std::vector<std::uint16_t> first;
  for (const std::uint64_t key : {7U, 8U}) {
    UdpSockets sockets{64, 8, {10'000, 60'000, 0, 1}, {key, 2}};
    for (unsigned i = 0; i < 32; ++i) {
      const std::uint16_t port = sockets.choose_port(kOne, false).value_or(0);
      if (key == 7) {
        first.push_back(port);
      } else {
        EXPECT_NE(port, first[i]);
      }
    }
  }
}

// The range changes while sockets live: whose a port is does not, and each shard keeps drawing from
// its own.
TEST(UdpRange, WhosePortItIsStaysAsItWas) {
  UdpSockets s(8, 8, {.low = 1'000, .high = 1'099, .shard = 1, .shards = 2}, {1, 2});
  s.set_range(1'090, 1'200);
  EXPECT_TRUE(s.is_ephemeral(1'000));
  EXPECT_FALSE(s.is_ephemeral(1'100));
  for (unsigned i = 0; i < 50; ++i) {
    const auto port = s.choose_port(kOne, false);
    ASSERT_TRUE(port);
    EXPECT_GE(*port, 1'090);
    EXPECT_LE(*port, 1'099);
    EXPECT_EQ(*port % 2, 1);
  }
  s.set_range(2'000, 2'100);  // nothing of it was ephemeral
  const auto port = s.choose_port(kOne, false);
  ASSERT_TRUE(port);
  EXPECT_TRUE(s.is_ephemeral(*port));
}

TEST(UdpRange, OneShardHasAllOfIt) {
  UdpSockets s(8, 8, {.low = 1'000, .high = 1'099}, {1, 2});
  s.set_range(2'000, 2'000);
  EXPECT_EQ(s.choose_port(kOne, false), 2'000);
}

}  // namespace
}  // namespace weir::stack::test
