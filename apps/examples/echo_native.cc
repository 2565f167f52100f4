// An echo server of native handlers: no sockets, no copies, one core, on any port that Weir drives.
//
//   echo_native DEVICE ADDRESS LENGTH PORT      echo_native tap:weir0 10.99.0.2 24 7
//
// docs/embedding.md goes through it line by line.
#include <sys/random.h>

#include <cstdio>
#include <cstdlib>

#include "dpdk/idle.h"
#include "dpdk/port.h"
#include "socket/worker.h"

using namespace weir;  // NOLINT

struct Echo {
  void on_accept(Connection, ListenerId) {}
  void on_connected(Connection, std::uint64_t) {}
  void on_readable(Connection c, std::uint64_t ended) {
    while (c.readable() > 0 && c.send_room() > 0) c.send(c.receive(c.send_room()));  // no copy
    if (c.readable() > 0) {
      c.want_writable();  // unread, it closes the peer's window until there is room
    } else if (ended != 0) {
      c.close();
    }
  }
  void on_writable(Connection c, std::uint64_t ended) { on_readable(c, ended); }
  void on_peer_closed(Connection c, std::uint64_t) {
    c.set_user(1);
    on_readable(c, 1);
  }
  void on_timer(Connection, std::uint64_t) {}
  void on_closed(Connection, std::uint64_t, CloseReason) {}
};

template <class T>
T complain(const char* what, const std::string& why, T code) {
  std::fprintf(stderr, "%s: %s\n", what, why.c_str());
  return code;
}

int main(int argc, char** argv) {
  if (argc != 5) return complain("usage", "echo_native DEVICE ADDRESS LENGTH PORT", 2);
  const auto address = parse_ip(argv[2]);
  if (!address) return complain(argv[2], "not an address", 2);
  const auto length = static_cast<std::uint8_t>(std::atoi(argv[3]));
  const Endpoint at{*address, static_cast<std::uint16_t>(std::atoi(argv[4]))};

  auto eal = dpdk::Eal::init({.memory_mb = 256});
  if (!eal) return complain("EAL", eal.error(), 1);
  dpdk::PortConfig wanted;
  wanted.device = argv[1];
  auto port = dpdk::Port::open(**eal, wanted);
  if (!port) return complain("port", port.error(), 1);

  stack::Config config;
  config.mac = (*port)->mac();
  config.addrs = {{*address, length}};
  stack::Secrets secrets;
  if (getrandom(&secrets, sizeof secrets, 0) != sizeof secrets) return 1;
  (*eal)->launch(0, [&] {
    dpdk::Queue& queue = (*port)->queue(0);
    stack::Stack stack(config, secrets, queue.source(), dpdk::Queue::now());
    Echo echo;
    Worker worker(queue, stack, echo);
    if (!stack.listen(at)) return;
    std::puts("ready");
    std::fflush(stdout);
    for (dpdk::IdleWaiter idle({});;) {
      idle.after(worker.run_once(), dpdk::Queue::now(), worker.next_deadline());
    }
  });
  (*eal)->join(0);
}
