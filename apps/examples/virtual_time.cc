// Two stacks, one connection, no port and no clock: an echo over a link that loses 20 % of frames.
#include <cstdio>

#include "sim/block_pool.h"
#include "sim/driver.h"
#include "socket/worker.h"

using namespace weir;  // NOLINT
struct Echo {          // one handler for both ends: the listener's end echoes, the other prints
  void on_accept(Connection, ListenerId) {}
  void on_connected(Connection c, std::uint64_t) {
    c.send(std::as_bytes(std::span("hello, weir", 11)));
    c.shutdown_send();
  }
  void on_readable(Connection c, std::uint64_t) {
    BufChain text = c.receive(c.readable());
    if (c.flow().local_port == 7) return c.send(std::move(text));  // the buffers it came in
    std::printf("echoed: %.*s\n", static_cast<int>(text.bytes()),
                reinterpret_cast<const char*>(text.head()->data));
    c.release(std::move(text));
  }
  void on_writable(Connection, std::uint64_t) {}
  void on_peer_closed(Connection c, std::uint64_t) { c.close(); }
  void on_timer(Connection, std::uint64_t) {}
  void on_closed(Connection, std::uint64_t, CloseReason) {}
};

stack::Config host(std::uint8_t n) {
  stack::Config c;
  c.mac = {{2, 0, 0, 0, 0, n}};
  c.addrs = {{IpAddr::v4(10, 0, 0, n), 24}};
  return c;
}

int main() {
  sim::EventLoop clock;
  sim::BlockPool pool_a, pool_b;
  const sim::Faults lossy{.loss = 200'000, .delay = 5ms};
  sim::SimDriver *to_a = nullptr, *to_b = nullptr;
  sim::Link link(
      clock, [&](sim::Octets&& f) { to_a->deliver(std::move(f)); },
      [&](sim::Octets&& f) { to_b->deliver(std::move(f)); }, lossy, lossy, 1);
  sim::SimDriver a(clock, pool_a, [&](sim::Octets&& f) { link.a_to_b().send(std::move(f)); });
  sim::SimDriver b(clock, pool_b, [&](sim::Octets&& f) { link.b_to_a().send(std::move(f)); });
  to_a = &a, to_b = &b;
  stack::Stack client(host(1), {}, pool_a.source(), clock.now());
  stack::Stack server(host(2), {}, pool_b.source(), clock.now());
  Echo app;
  Worker client_loop(a, client, app), server_loop(b, server, app);
  const Endpoint at{IpAddr::v4(10, 0, 0, 2), 7};
  if (!server.listen(at) || !client.connect(at, {}, clock.now())) return 1;
  while (client.gauges().connections + server.gauges().connections > 0) {
    while (client_loop.run_once() + server_loop.run_once() > 0) {
    }
    clock.run_until(clock.now() + 1ms);
  }
  std::printf("done after %ld ms of virtual time\n", (clock.now() - Instant{1s}) / 1ms);
}
