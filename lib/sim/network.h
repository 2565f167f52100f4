// A switch with a cable to each host: learns MAC addresses, floods what it does not know.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "sim/event_loop.h"
#include "sim/link.h"

namespace weir::sim {

class Network {
 public:
  Network(EventLoop& loop, std::uint64_t seed) : loop_(loop), seed_(seed) {}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // A cable to a host whose frames arrive at `to_host`. Returns the port's number. `up` is towards
  // the switch, which itself takes no time.
  unsigned attach(Sink to_host, const Faults& up, const Faults& down);
  void send(unsigned port, Octets&& frame) { ports_[port]->up.send(std::move(frame)); }  // a host's

  [[nodiscard]] Channel& up(unsigned port) { return ports_[port]->up; }
  [[nodiscard]] Channel& down(unsigned port) { return ports_[port]->down; }
  [[nodiscard]] unsigned ports() const { return static_cast<unsigned>(ports_.size()); }

 private:
  struct Port {
    Channel up, down;
  };
  void forward(unsigned from, Octets&& frame);
  [[nodiscard]] unsigned port_of(const MacAddr& mac) const;

  EventLoop& loop_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<std::pair<MacAddr, unsigned>> learned_;
};

}  // namespace weir::sim
