// A load balancer as a host's application, whichever of its handlers it is.
#pragma once

#include <optional>

#include "sim_world.h"

namespace weir::test {

template <class Lb>
class BalancerOf : public App {
 public:
  std::optional<Lb> lb;
  void on_accept(Connection c, ListenerId l) override { lb->on_accept(c, l); }
  void on_connected(Connection c, std::uint64_t u) override { lb->on_connected(c, u); }
  void on_readable(Connection c, std::uint64_t u) override { lb->on_readable(c, u); }
  void on_writable(Connection c, std::uint64_t u) override { lb->on_writable(c, u); }
  void on_peer_closed(Connection c, std::uint64_t u) override { lb->on_peer_closed(c, u); }
  void on_timer(Connection c, std::uint64_t u) override { lb->on_timer(c, u); }
  void on_closed(Connection c, std::uint64_t u, CloseReason r) override { lb->on_closed(c, u, r); }
};

}  // namespace weir::test
