#include "sim/network.h"

#include <cstring>

#include "wire/frame.h"

namespace weir::sim {
namespace {

constexpr unsigned kUnknown = 0xffff'ffffU;

MacAddr mac_at(const Octets& frame, std::size_t offset) {
  MacAddr mac;
  std::memcpy(mac.octets.data(), frame.data() + offset, mac.octets.size());
  return mac;
}

}  // namespace

unsigned Network::attach(Sink to_host, const Faults& up, const Faults& down) {
  const unsigned port = ports();
  const std::uint64_t seed = seed_ + 2 * std::uint64_t{port};
  Sink to_switch = [this, port](Octets&& frame) { forward(port, std::move(frame)); };
  ports_.push_back(std::unique_ptr<Port>(new Port{{loop_, std::move(to_switch), up, seed},
                                                  {loop_, std::move(to_host), down, seed + 1}}));
  Port& made = *ports_.back();
  made.up.set_back([&made](Octets&& frame) { made.down.send(std::move(frame)); });
  return port;
}

void Network::forward(unsigned from, Octets&& frame) {
  if (frame.size() < wire::kEthHeader) return;
  const MacAddr dst = mac_at(frame, 0), src = mac_at(frame, 6);
  if (!src.is_multicast() && port_of(src) == kUnknown) learned_.emplace_back(src, from);
  const unsigned to = dst.is_multicast() ? kUnknown : port_of(dst);
  if (to == from) return;
  if (to != kUnknown) {
    ports_[to]->down.send(std::move(frame));
    return;
  }
  for (unsigned port = 0; port < ports(); ++port) {
    if (port != from) ports_[port]->down.send(Octets{frame});
  }
}

unsigned Network::port_of(const MacAddr& mac) const {
  for (const auto& [known, port] : learned_) {
    if (known == mac) return port;
  }
  return kUnknown;
}

}  // namespace weir::sim
