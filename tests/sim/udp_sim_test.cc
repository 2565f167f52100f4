// Whole stacks that speak UDP over links that lose, double, reorder and break frames: a resolver
// gets every answer by asking again, each the one to its own question.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "sim_world.h"

namespace weir::test {
namespace {

constexpr std::uint16_t kPort = 53;
constexpr unsigned kQuestions = 120, kAtOnce = 12;
constexpr Duration kPatience = 300ms;

std::span<const std::byte> octets(const std::string& text) {
  return std::as_bytes(std::span{text});
}

std::string text_of(const BufChain& chain) {
  std::string text;
  for (const Buf* b = chain.head(); b != nullptr; b = b->next) {
    for (std::uint32_t i = 0; i < b->len; ++i) text += static_cast<char>(b->data[i]);
  }
  return text;
}

// A question of its number's length; its answer is twice as long.
std::string question(unsigned n) {
  return std::to_string(n) + std::string(n * 5, '?');
}
std::string answer(const std::string& asked) {
  return asked + asked;
}

class Server : public App {
 public:
  void on_udp(stack::Stack& s, const stack::UdpReady& r) override {
    while (auto d = s.udp_receive(r.socket)) {
      const stack::UdpSend back{.to = d->from, .source = d->to.addr, .tos = {}, .ttl = {}};
      (void)s.udp_send(r.socket, octets(answer(text_of(d->text))), back);
      s.release(std::move(d->text));
    }
  }
};

class Resolver : public App {
 public:
  explicit Resolver(bool one_socket) : one_socket_(one_socket) {}

  void on_udp(stack::Stack& s, const stack::UdpReady& r) override {
    while (auto d = s.udp_receive(r.socket)) {
      heard(s, r.socket, text_of(d->text));
      s.release(std::move(d->text));
    }
    if ((r.events & stack::kUdpError) != 0) ++errors[s.udp_take_error(r.socket)];
  }
  unsigned on_turn(Instant now) override {
    unsigned done = 0;
    while (asked < kQuestions && open_.size() < kAtOnce) {
      open_.push_back({asked++, Instant::min(), socket()});
      ++done;
    }
    for (Open& o : open_) {
      if (o.again > now) continue;
      o.again = now + kPatience;
      ++done;
      ++sends;
      (void)stack->udp_send(o.socket, octets(question(o.number)),
                            {.to = to, .source = {}, .tos = {}, .ttl = {}});
    }
    return done;
  }
  [[nodiscard]] Instant next_turn() const override {
    Instant next = asked < kQuestions && open_.size() < kAtOnce ? Instant::min() : kNever;
    for (const Open& o : open_) next = std::min(next, o.again);
    return next;
  }

  stack::Stack* stack = nullptr;
  Endpoint to;
  unsigned asked = 0, answered = 0, sends = 0, strange = 0;
  std::map<stack::UdpError, unsigned> errors;

 private:
  struct Open {
    unsigned number;
    Instant again;
    stack::UdpId socket;
  };
  stack::UdpId socket() {
    if (one_socket_ && first_ != stack::UdpId{}) return first_;
    first_ = stack->udp_bind({IpAddr{}, 0}).value();
    EXPECT_FALSE(!one_socket_ && stack->udp_connect(first_, to));
    return first_;
  }
  void heard(stack::Stack& s, stack::UdpId id, const std::string& text) {
    const auto it = std::ranges::find_if(
        open_, [&](const Open& o) { return o.socket == id && text == answer(question(o.number)); });
    if (it == open_.end()) {
      ++strange;  // a second answer, or one that was broken on its way
      return;
    }
    ++answered;
    open_.erase(it);
    if (!one_socket_) s.udp_close(id);
  }

  bool one_socket_;
  stack::UdpId first_;
  std::vector<Open> open_;
};

void resolves(std::uint64_t seed) {
  Rng rng(seed);
  const bool v6 = rng.below(2) == 0, one_socket = rng.below(2) == 0;
  SCOPED_TRACE("seed " + std::to_string(seed) + (v6 ? " IPv6" : " IPv4") +
               (one_socket ? ", one socket" : ", a socket each"));
  HostSpec spec;
  for (sim::Faults* f : {&spec.up, &spec.down}) {
    f->loss = rng.below(200'000);
    f->duplicate = rng.below(100'000);
    f->reorder = rng.below(200'000);
    f->corrupt = v6 ? rng.below(50'000) : 0;  // over IPv4 a broken checksum may come to say "none"
    f->delay = rng.below(20'000) * 1us;
  }
  Server server;
  Resolver resolver(one_socket);
  World world(seed);
  Host& a = world.add_host(resolver, spec);
  Host& b = world.add_host(server, spec);
  resolver.stack = &a.stack();
  resolver.to = {v6 ? b.addr6() : b.addr(), kPort};
  ASSERT_TRUE(b.stack().udp_bind({IpAddr{}, kPort}).ok());
  ASSERT_TRUE(world.run_until([&] { return resolver.answered == kQuestions; }, 600s));
  world.run_for(5s);  // what is still on its way
  EXPECT_EQ(a.stack().udp_sockets(), one_socket ? 1U : 0U);
  EXPECT_EQ(b.counters().udp_out_datagrams.get(), b.counters().udp_in_datagrams.get());
  EXPECT_LE(resolver.sends, b.counters().udp_in_datagrams.get() + 60 * kQuestions);
  world.expect_at_rest();
}

TEST(UdpSim, EveryQuestionIsAnswered) {
  const std::uint64_t seeds = std::min<std::uint64_t>(env_number("WEIR_SIM_SEEDS", 300), 2'000);
  for (std::uint64_t seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed)
    resolves(seed);
}

// A path that takes less than the link: its router says so, and the socket sends no longer ones.
TEST(UdpSim, ThePathsMtuIsLearnt) {
  for (const bool v6 : {false, true}) {
    HostSpec narrow;
    narrow.up.mtu = 1'300;
    Server server;
    Resolver resolver(false);
    resolver.asked = kQuestions;  // it asks nothing by itself
    World world(7);
    Host& a = world.add_host(resolver, narrow);
    Host& b = world.add_host(server);
    ASSERT_TRUE(b.stack().udp_bind({IpAddr{}, kPort}).ok());
    world.run_for(3s);  // the addresses are tested first
    const auto id = a.stack().udp_bind({IpAddr{}, 0}).value();
    ASSERT_FALSE(a.stack().udp_connect(id, {v6 ? b.addr6() : b.addr(), kPort}));
    const std::string most(1'300 - 8 - (v6 ? 40 : 20), 'x');
    EXPECT_EQ(a.stack().udp_send(id, octets(most + "y")), stack::UdpError::kNone);
    a.poke();
    world.run_for(1s);
    EXPECT_EQ(resolver.errors[stack::UdpError::kTooLong], 1U);
    EXPECT_EQ(b.counters().udp_in_datagrams.get(), 0U);
    EXPECT_EQ(a.stack().udp_send(id, octets(most + "y")), stack::UdpError::kTooLong);
    EXPECT_EQ(a.stack().udp_send(id, octets(most)), stack::UdpError::kNone);
    a.poke();
    world.run_for(1s);
    EXPECT_EQ(b.counters().udp_in_datagrams.get(), 1U);
  }
}

}  // namespace
}  // namespace weir::test
