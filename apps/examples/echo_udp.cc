// An echo server by TCP and by UDP on one port number: native handlers, no copies into the program,
// one core, on any port that Weir drives.
//
//   echo_udp DEVICE ADDRESS LENGTH PORT      echo_udp tap:weir0 10.99.0.2 24 7
#include <sys/random.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "dpdk/idle.h"
#include "dpdk/port.h"
#include "socket/worker.h"

using namespace weir;  // NOLINT

struct Echo {
  void on_accept(Connection, ListenerId) {}
  void on_connected(Connection, std::uint64_t) {}
  void on_readable(Connection c, std::uint64_t) {
    while (c.readable() > 0 && c.send_room() > 0) c.send(c.receive(c.send_room()));
    if (c.readable() > 0) c.want_writable();
  }
  void on_writable(Connection c, std::uint64_t ended) { on_readable(c, ended); }
  void on_peer_closed(Connection c, std::uint64_t) { c.close(); }
  void on_timer(Connection, std::uint64_t) {}
  void on_closed(Connection, std::uint64_t, CloseReason) {}

  // Each datagram goes back whence it came, from the address it was sent to. One that came in
  // fragments and is larger than the MTU cannot: its length goes in its place.
  void on_udp(stack::Stack& s, const stack::UdpReady& r) {
    while (auto d = s.udp_receive(r.socket)) {
      std::array<std::span<const std::byte>, 64> pieces;
      std::size_t n = 0;
      for (const Buf* b = d->text.head(); b != nullptr && n < pieces.size(); b = b->next) {
        pieces[n++] = {b->data, b->len};
      }
      const stack::UdpSend back{.to = d->from, .source = d->to.addr, .tos = {}, .ttl = {}};
      const auto sent = s.udp_send_pieces(r.socket, std::span{pieces}.first(n), back);
      if (sent == stack::UdpError::kTooLong) {
        const std::string length = std::to_string(d->text.bytes());
        s.udp_send(r.socket, std::as_bytes(std::span{length}), back);
      }
      s.release(std::move(d->text));
    }
  }
};

int main(int argc, char** argv) {
  const auto address = argc == 5 ? parse_ip(argv[2]) : std::nullopt;
  if (!address) return std::fputs("usage: echo_udp DEVICE ADDRESS LENGTH PORT\n", stderr), 2;
  const Endpoint at{*address, static_cast<std::uint16_t>(std::atoi(argv[4]))};
  auto eal = dpdk::Eal::init({.memory_mb = 256});
  if (!eal) return std::fprintf(stderr, "EAL: %s\n", eal.error().c_str()), 1;
  dpdk::PortConfig wanted;
  wanted.device = argv[1];
  auto port = dpdk::Port::open(**eal, wanted);
  if (!port) return std::fprintf(stderr, "port: %s\n", port.error().c_str()), 1;

  stack::Config config;
  config.mac = (*port)->mac();
  config.addrs = {{*address, static_cast<std::uint8_t>(std::atoi(argv[3]))}};
  stack::Secrets secrets;
  if (getrandom(&secrets, sizeof secrets, 0) != sizeof secrets) return 1;
  (*eal)->launch(0, [&] {
    dpdk::Queue& queue = (*port)->queue(0);
    stack::Stack stack(config, secrets, queue.source(), dpdk::Queue::now());
    Echo echo;
    Worker worker(queue, stack, echo);
    if (!stack.listen(at) || !stack.udp_bind(at)) return;
    std::puts("ready");
    std::fflush(stdout);
    for (dpdk::IdleWaiter idle({});;) {
      idle.after(worker.run_once(), dpdk::Queue::now(), worker.next_deadline());
    }
  });
  (*eal)->join(0);
}
