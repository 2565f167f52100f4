#include "sim_world.h"

#include <algorithm>
#include <cstdlib>

#include "base/rng.h"

namespace weir::test {
namespace {

// A host that runs this often without time moving on will never stop.
constexpr unsigned kMaxIterations = 20'000;

IpAddr addr_of(unsigned number) {
  return IpAddr::v4(0x0a00'0001U + number);
}

IpAddr addr6_of(unsigned number) {
  return *parse_ip("2001:db8::" + std::to_string(number + 1));
}

stack::Config config_of(const HostSpec& spec, unsigned number) {
  stack::Config c = spec.stack;
  // WEIR_REST: connections are at rest whenever nothing is under way, and nothing may show it.
  if (std::getenv("WEIR_REST") != nullptr) c.rest_after = Duration::zero();
  c.mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(number + 1)}};
  if (!c.addrs.empty()) return c;  // the test's own, and tested as it says
  c.addrs = {{addr_of(number), 24}, {addr6_of(number), 64}};
  c.dad_transmits = 0;
  return c;
}

}  // namespace

stack::Secrets secrets_of(std::uint64_t seed, unsigned number) {
  Rng rng(seed * 64 + number);
  stack::Secrets s;
  for (SipKey* key : {&s.isn, &s.table, &s.ports, &s.cookies}) {
    *key = {rng.next(), rng.next()};
  }
  s.seed = rng.next();
  return s;
}

std::uint64_t env_number(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string pcap_path(unsigned host) {
  const char* path = std::getenv("WEIR_SIM_PCAP");
  if (path == nullptr) return {};
  return host == 0 ? path : std::string(path) + "." + std::to_string(host);
}

Host::Host(sim::EventLoop& loop, sim::Sink wire, App& app, const HostSpec& spec, unsigned number,
           std::uint64_t seed)
    : addr_(addr_of(number)),
      addr6_(addr6_of(number)),
      pool_(2048, spec.pool_limit),
      driver_(loop, pool_, std::move(wire), spec.stack.mtu),
      stack_(config_of(spec, number), secrets_of(seed, number), pool_.source(), loop.now()),
      worker_(driver_, stack_, app) {
  driver_.set_scatter(spec.scatter);
  const std::string path = pcap_path(number);
  if (path.empty()) return;
  pcap_file_.open(path, std::ios::binary);
  pcap_ = std::make_unique<sim::PcapWriter>(pcap_file_);
  driver_.set_capture(pcap_.get());
}

void Host::run(unsigned check_every) {
  poked_ = false;
  for (unsigned i = 0; i < kMaxIterations; ++i) {
    const unsigned did = worker_.run_once();
    if (++iterations_ % check_every == 0) stack_.check_invariants();
    if (did == 0 && !has_work(driver_.now())) return;
  }
  FAIL() << to_string(addr_) << " does not come to rest at "
         << driver_.now().time_since_epoch().count() << " us";
}

World::World(std::uint64_t seed, Instant start)
    : seed_(seed),
      check_every_(
          static_cast<unsigned>(std::max<std::uint64_t>(1, env_number("WEIR_SIM_CHECK_EVERY", 1)))),
      loop_(start),
      network_(loop_, seed ^ 0x6e65'7477'6f72'6bU) {}

Host& World::add_host(App& app, const HostSpec& spec) {
  const auto number = static_cast<unsigned>(hosts_.size());
  hosts_.push_back(nullptr);
  const unsigned port = network_.attach(
      [this, number](sim::Octets&& f) { hosts_[number]->driver().deliver(std::move(f)); }, spec.up,
      spec.down);
  hosts_[number] = std::make_unique<Host>(
      loop_, [this, port](sim::Octets&& f) { network_.send(port, std::move(f)); }, app, spec,
      number, seed_);
  return *hosts_[number];
}

Instant World::next_event() {
  Instant next = loop_.next_event();
  for (const auto& h : hosts_) {
    next = std::min(next, h->poked_ ? now() : h->worker_.next_deadline());
  }
  return next;
}

void World::run_hosts() {
  for (const auto& h : hosts_) {
    if (h->has_work(now())) h->run(check_every_);
  }
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  const Instant end = now() + limit;
  while (!done()) {
    if (testing::Test::HasFatalFailure()) return false;
    const Instant next = next_event();
    if (next > end) {
      loop_.run_until(end);
      return done();
    }
    loop_.run_until(std::max(next, now()));
    run_hosts();
  }
  return true;
}

Result<stack::ConnId, stack::Error> World::connect(Host& from, Host& to, std::uint16_t port,
                                                   bool ipv6) {
  from.poke();
  return from.stack().connect({ipv6 ? to.addr6() : to.addr(), port}, std::nullopt, now());
}

bool World::at_rest() {
  return std::all_of(hosts_.begin(), hosts_.end(), [](const auto& h) {
    const stack::Gauges g = h->stack().gauges();
    return g.connections == 0 && g.half_open == 0;
  });
}

std::uint32_t World::time_wait() {
  std::uint32_t n = 0;
  for (const auto& h : hosts_) n += h->stack().gauges().time_wait;
  return n;
}

void World::expect_at_rest() {
  for (const auto& h : hosts_) {
    SCOPED_TRACE(to_string(h->addr()));
    const stack::Gauges g = h->stack().gauges();
    EXPECT_EQ(g.connections, 0U);
    EXPECT_EQ(g.established, 0U);
    EXPECT_EQ(g.half_open, 0U);
    EXPECT_EQ(h->pool().in_use(), 0U) << "blocks leaked";
    h->stack().release_spare();
    h->driver().release(h->stack().take_released());
    EXPECT_EQ(h->pool().outstanding(), 0U);
  }
}

}  // namespace weir::test
