// The last that a dying process says: a RST for each connection (RFC 9293 §3.10.5), so that its
// peers learn before the port is gone. Runs after a fault, perhaps in the midst of another call:
// reads what it needs of each record and writes nothing but packets.
#include "stack/impl.h"

namespace weir::stack {

void Stack::Impl::push_last_reset(const Conn& c) {
  const tcp::State state = c.tcb.state;
  if (c.doomed || state <= tcp::State::kSynSent || state == tcp::State::kTimeWait) return;
  const ip::NeighbourId id = neighbours.find(c.next_hop);
  const MacAddr* const mac = id == kNoIndex ? nullptr : neighbours.mac(id);
  if (mac == nullptr) return;
  tcp::TxPacket packet;
  packet.seg = tcp::make_reset(c.tcb, now);
  packet.flow = c.flow;
  packet.src_mac = config.mac;
  packet.dst_mac = *mac;
  packet.tos = c.tos;
  packet.ttl = c.ttl != 0 ? c.ttl : config.tcp.ttl;
  tx.push(packet);
}

bool Stack::poll_last_resets(std::uint32_t& from) {
  Impl& s = *impl_;
  s.tx.clear();
  for (; from < s.generations.size() && s.tx.room() > 0; ++from) {
    if (!s.alive(from)) continue;
    s.look_at(from, [&s](const Conn& c) { s.push_last_reset(c); });
  }
  return from < s.generations.size();
}

}  // namespace weir::stack
