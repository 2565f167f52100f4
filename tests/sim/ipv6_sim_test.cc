// Whole stacks that speak IPv6 to each other: they find each other, test their addresses, and carry
// text over links that lose frames.
#include <string>
#include <vector>

#include "base/rng.h"
#include "sim_world.h"

namespace weir::test {
namespace {

constexpr std::uint16_t kPort = 80;

IpAddr global(unsigned host) {
  return IpAddr::v6(
      {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(host)});
}
IpAddr link_local(unsigned number) {  // of 02:00:00:00:00:(number + 1)
  return IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0,
                     static_cast<std::uint8_t>(number + 1)});
}

HostSpec with(const IpAddr& addr, std::uint32_t loss = 0) {
  HostSpec s;
  s.stack.addrs = {{addr, 64}};
  s.up.loss = s.down.loss = loss;
  s.up.delay = 1ms;
  return s;
}

// Sends `text` when it may; keeps what it is sent.
class Talker : public App {
 public:
  void on_accept(Connection c, ListenerId) override { on_writable(c, 0); }
  void on_connected(Connection c, std::uint64_t) override { on_writable(c, 0); }
  void on_readable(Connection c, std::uint64_t) override {
    BufChain loan = c.receive(1U << 20U);
    for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
      received.insert(received.end(), b->data, b->data + b->len);
    }
    c.release(std::move(loan));
  }
  void on_writable(Connection c, std::uint64_t) override {
    sent += c.send(std::span{text}.subspan(sent));
    sent < text.size() ? c.want_writable() : c.shutdown_send();
  }
  void on_peer_closed(Connection c, std::uint64_t) override { c.close(); }
  void on_closed(Connection, std::uint64_t, CloseReason why) override { reasons.push_back(why); }

  std::vector<std::byte> text, received;
  std::size_t sent = 0;
  std::vector<CloseReason> reasons;
};

std::vector<std::byte> octets(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<std::byte> v(n);
  for (std::byte& b : v) b = static_cast<std::byte>(rng.next() >> 56U);
  return v;
}

// `from` host 0 to host 1 at `to`; whether all the text came.
void carries(const IpAddr& to, std::uint32_t loss, std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed) + " to " + to_string(to));
  Talker client, server;
  client.text = octets(200'000, seed);
  World world(seed);
  Host& a = world.add_host(client, with(global(1), loss));
  Host& b = world.add_host(server, with(global(2), loss));
  const auto settled = [&] {
    return a.stack().addresses_settled() && b.stack().addresses_settled();
  };
  ASSERT_TRUE(world.run_until(settled, 10s));
  ASSERT_TRUE(b.stack().listen({IpAddr{}, kPort}).ok());
  a.poke();
  ASSERT_TRUE(a.stack().connect({to, kPort}, std::nullopt, world.now()).ok());
  EXPECT_TRUE(world.run_until([&] { return server.received.size() == client.text.size(); }, 600s));
  EXPECT_EQ(server.received, client.text);
  EXPECT_TRUE(a.stack().address_conflicts().empty());
  EXPECT_GT(a.counters().nd_solicits_out.get(), 2U);  // two addresses, and its peer's
  world.run_for(300s);
  world.expect_at_rest();
}

TEST(Ipv6, CarriesTextBetweenGlobalAndLinkLocalAddresses) {
  carries(global(2), 0, 1);
  carries(link_local(1), 0, 2);
}

TEST(Ipv6, CarriesTextOverLinksThatLoseATenth) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) carries(global(2), 50'000, seed);
}

// Both want the address; who asks first takes the other's wish away, and if both ask at once
// neither has it.
//= RFC4862 5.4.3-b type=test
TEST(Ipv6, OneAddressIsNeverUsedByTwoHosts) {
  unsigned had = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Talker one, other;
    World world(seed);
    Host& a = world.add_host(one, with(global(7)));
    Host& b = world.add_host(other, with(global(7)));
    world.run_for(5s);
    const std::size_t conflicts =
        a.stack().address_conflicts().size() + b.stack().address_conflicts().size();
    EXPECT_GE(conflicts, 1U) << "seed " << seed;
    EXPECT_LE(conflicts, 2U) << "seed " << seed;
    if (conflicts == 1) ++had;
  }
  EXPECT_GT(had, 15U);
}

// The address was free, until its owner came back with another MAC address.
TEST(Ipv6, LateComerLeavesTheAddressToItsUser) {
  Talker one, other;
  World world(3);
  Host& a = world.add_host(one, with(global(7)));
  world.run_for(5s);
  ASSERT_TRUE(a.stack().addresses_settled());
  Host& b = world.add_host(other, with(global(7)));
  world.run_for(5s);
  EXPECT_TRUE(a.stack().address_conflicts().empty());
  ASSERT_EQ(b.stack().address_conflicts().size(), 1U);
  EXPECT_EQ(b.stack().address_conflicts()[0].addr, global(7));
  EXPECT_EQ(b.stack().address_conflicts()[0].other, (MacAddr{{2, 0, 0, 0, 0, 1}}));
  EXPECT_FALSE(b.stack().address_conflicts()[0].in_use);
}

TEST(Ipv6, NobodyAtTheAddressIsUnreachable) {
  Talker one;
  World world(4);
  Host& a = world.add_host(one, with(global(1)));
  world.run_for(5s);
  a.poke();
  ASSERT_TRUE(a.stack().connect({global(99), kPort}, std::nullopt, world.now()).ok());
  EXPECT_TRUE(world.run_until([&] { return !one.reasons.empty(); }, 10s));
  ASSERT_EQ(one.reasons.size(), 1U);
  EXPECT_EQ(one.reasons[0], CloseReason::kUnreachable);
}

}  // namespace
}  // namespace weir::test
