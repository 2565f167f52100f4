// Hosts on a simulated network, each a Worker with its stack, driver and application, in virtual
// time. The one place where lib/sim and lib/stack meet.
//
// Time moves to the next event or deadline; then every host that has something to do runs until it
// has nothing more, and its invariants are checked after each iteration (WEIR_SIM_CHECK_EVERY=N:
// each Nth only). Owns everything; the applications are the test's.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/block_pool.h"
#include "sim/driver.h"
#include "sim/event_loop.h"
#include "sim/network.h"
#include "sim/pcap_writer.h"
#include "socket/worker.h"

namespace weir::test {

// A Handler whose calls may be left out.
class App {
 public:
  virtual ~App() = default;
  virtual void on_accept(Connection, ListenerId) {}
  virtual void on_connected(Connection, std::uint64_t) {}
  virtual void on_readable(Connection, std::uint64_t) {}
  virtual void on_writable(Connection, std::uint64_t) {}
  virtual void on_peer_closed(Connection, std::uint64_t) {}
  virtual void on_timer(Connection, std::uint64_t) {}
  virtual void on_closed(Connection, std::uint64_t, CloseReason) {}
  virtual void on_udp(stack::Stack&, const stack::UdpReady&) {}
  virtual unsigned on_turn(Instant) { return 0; }
  [[nodiscard]] virtual Instant next_turn() const { return kNever; }
};

struct HostSpec {
  HostSpec() {
    stack.max_connections = 64;
    stack.max_neighbours = 16;
    stack.tcp.max_syn_backlog = 64;
    stack.tcp.max_tw_buckets = 256;
  }
  stack::Config stack;  // the world sets mac, and addrs unless there are any
  sim::Faults up, down;
  std::uint32_t pool_limit = sim::BlockPool::kNoLimit;
  std::uint32_t scatter = 0;  // see SimDriver::set_scatter
};

// The secrets of host `number` in a world of `seed`.
stack::Secrets secrets_of(std::uint64_t seed, unsigned number);

std::uint64_t env_number(const char* name, std::uint64_t otherwise);
// The file that WEIR_SIM_PCAP names, for host 0; that with ".N" behind it for host N. Or none.
std::string pcap_path(unsigned host);

class Host {
 public:
  Host(sim::EventLoop& loop, sim::Sink wire, App& app, const HostSpec& spec, unsigned number,
       std::uint64_t seed);

  [[nodiscard]] IpAddr addr() const { return addr_; }
  [[nodiscard]] IpAddr addr6() const { return addr6_; }
  [[nodiscard]] stack::Stack& stack() { return stack_; }
  [[nodiscard]] sim::SimDriver& driver() { return driver_; }
  [[nodiscard]] sim::BlockPool& pool() { return pool_; }
  [[nodiscard]] const telemetry::Counters& counters() const { return stack_.counters(); }
  // The test has called the stack from outside: it must run before time moves.
  void poke() { poked_ = true; }

 private:
  friend class World;
  [[nodiscard]] bool has_work(Instant now) const {
    return poked_ || driver_.has_frames() || worker_.next_deadline() <= now;
  }
  void run(unsigned check_every);

  IpAddr addr_, addr6_;
  sim::BlockPool pool_;
  sim::SimDriver driver_;
  stack::Stack stack_;
  Worker<sim::SimDriver, App> worker_;
  std::ofstream pcap_file_;
  std::unique_ptr<sim::PcapWriter> pcap_;
  bool poked_ = false;
  std::uint64_t iterations_ = 0;
};

class World {
 public:
  explicit World(std::uint64_t seed, Instant start = Instant{1s});

  // Host N has 10.0.0.(N+1)/24, 2001:db8::(N+1)/64 and 02:00:00:00:00:(N+1); port N of the network.
  Host& add_host(App& app, const HostSpec& spec = {});
  // Until `done` says so (true), or nothing can happen any more, or `limit` has passed (false).
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration time) {
    (void)run_until([] { return false; }, time);
  }

  [[nodiscard]] Host& host(unsigned i) { return *hosts_[i]; }
  [[nodiscard]] sim::Network& network() { return network_; }
  [[nodiscard]] sim::EventLoop& loop() { return loop_; }
  [[nodiscard]] Instant now() const { return loop_.now(); }
  // A connection from one host to a port of another; runs nothing yet.
  Result<stack::ConnId, stack::Error> connect(Host& from, Host& to, std::uint16_t port,
                                              bool ipv6 = false);

  // No connection, half-open or not, and no block in use, on any host. TIME-WAIT does not count.
  [[nodiscard]] bool at_rest();
  [[nodiscard]] std::uint32_t time_wait();  // records on all hosts
  // Says at length what at_rest misses, as test failures.
  void expect_at_rest();

 private:
  [[nodiscard]] Instant next_event();
  void run_hosts();

  std::uint64_t seed_;
  unsigned check_every_;
  sim::EventLoop loop_;
  sim::Network network_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace weir::test
