// The last that a dying process says: a RST for each connection (RFC 9293 §3.10.5), so that its
// peers learn before the port is gone. Runs after a fault, perhaps in the midst of another call:
// reads what it needs of each record and writes nothing but packets.
#include "stack/impl.h"

namespace weir::stack {

bool Stack::poll_last_resets(std::uint32_t& from) {
  Impl& s = *impl_;
  s.tx.clear();
  for (; from < s.generations.size() && s.tx.room() > 0; ++from) {
    if (!s.alive(from) || s.conns[from].doomed) continue;
    const Conn& c = s.conns[from];
    const tcp::State state = c.tcb.state;
    if (state <= tcp::State::kSynSent || state == tcp::State::kTimeWait) continue;
    const ip::NeighbourId id = s.neighbours.find(c.next_hop);
    const MacAddr* const mac = id == kNoIndex ? nullptr : s.neighbours.mac(id);
    if (mac == nullptr) continue;
    tcp::TxPacket packet;
    packet.seg = tcp::make_reset(c.tcb, s.now);
    packet.flow = c.flow;
    packet.src_mac = s.config.mac;
    packet.dst_mac = *mac;
    packet.tos = c.tos;
    packet.ttl = c.ttl != 0 ? c.ttl : s.config.tcp.ttl;
    s.tx.push(packet);
  }
  return from < s.generations.size();
}

}  // namespace weir::stack
