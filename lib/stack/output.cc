// Segments to packets: the next hop, its MAC address, and what waits until that is known.
#include "stack/impl.h"
#include "tcp/isn.h"
#include "tcp/reset.h"

namespace weir::stack {

Buf* Stack::Impl::take_buf() {
  if (fresh.empty()) {
    std::array<Buf*, 32> some;
    const unsigned n = source.take(source.context, some.data(), some.size());
    for (unsigned i = 0; i < n; ++i) fresh.push(some[i]);
  }
  if (fresh.empty()) {
    counters.drop_no_buffer.add();
    note_pressure(Buf::kScarce | Buf::kLast);
    return nullptr;
  }
  return fresh.pop();
}

std::uint32_t Stack::Impl::ts_clock(const FlowKey& f) const {
  return now_ms() + tcp::timestamp_offset(secrets.isn, f);
}

// The neighbour a connection's packets go to. Its id is a hint: entries are evicted.
std::uint32_t Stack::Impl::neighbour_of(Conn& c) {
  if (c.neighbour == kNoIndex || neighbours.address(c.neighbour) != c.next_hop) {
    c.neighbour = neighbours.lookup_or_create(c.next_hop);
  }
  return c.neighbour;
}

void Stack::Impl::flush(std::uint32_t index) {
  released.append(std::move(outbox.release));
  if (outbox.tx.empty()) return;
  Conn& c = conns[index];
  if (c.tcb.own != nullptr) {
    for (const tcp::TxSegment& s : outbox.tx.items()) tcp::count_sent(*c.tcb.own, s);
  }
  const std::uint32_t neighbour = loops(c.flow) ? kNoIndex : neighbour_of(c);
  const IpFields ip{c.tos, c.ttl != 0 ? c.ttl : config.tcp.ttl};
  if (neighbour == kNoIndex || neighbours.use(neighbour, now) != ip::Neighbours::Use::kReady) {
    for (const tcp::TxSegment& s : outbox.tx.items()) send_packet(s, c.flow, neighbour, ip);
    outbox.tx.clear();
    return;
  }
  // They lie where they go from.
  WEIR_ASSERT(outbox.tx.places() == tx.behind());
  const std::size_t n = std::min(outbox.tx.size(), tx.room());
  const MacAddr dst = *neighbours.mac(neighbour);
  for (std::size_t i = 0; i < n; ++i) complete(tx.add(), c.flow, ip, dst);
  if (n < outbox.tx.size()) {
    counters.drop_tx_full.add(outbox.tx.size() - n);  // TCP sends them again
  }
  outbox.tx.clear();
  aim();
}

// All of it but the segment.
void Stack::Impl::complete(tcp::TxPacket& packet, const FlowKey& flow, IpFields ip,
                           const MacAddr& dst) const {
  packet.flow = flow;
  packet.src_mac = config.mac;
  packet.dst_mac = dst;
  packet.tos = static_cast<std::uint8_t>(ip.tos | packet.seg.ecn);  //= RFC9293 SHLD-22
  packet.ttl = ip.ttl;                                              //= RFC9293 MUST-49
  packet.ip_id = 0;                                                 //= RFC6864 4.1-b
}

void Stack::Impl::send_packet(const tcp::TxSegment& seg, const FlowKey& flow,
                              std::uint32_t neighbour, IpFields ip) {
  if (loops(flow)) return loop_back(seg, flow, ip.tos);
  if (neighbour == kNoIndex) return counters.drop_neigh_table_full.add();
  if (tx.room() == 0) return counters.drop_tx_full.add();  // TCP sends it again
  switch (neighbours.use(neighbour, now)) {
    case ip::Neighbours::Use::kReady: {
      tcp::TxPacket& packet = tx.add();
      packet.seg = seg;
      complete(packet, flow, ip, *neighbours.mac(neighbour));
      return aim();
    }
    case ip::Neighbours::Use::kWait: {
      // Text itself is not held, for its buffers may be gone before the answer comes; but who is to
      // send it again then. It counts as dropped.
      tcp::TxPacket packet;
      packet.seg = seg;
      complete(packet, flow, ip, MacAddr{});
      packet.seg.payload = nullptr;
      if (const auto displaced = neighbours.hold(neighbour, {packet})) {
        forget_held(*displaced, counters.drop_neigh_queue);
      } else if (seg.len > 0) {
        counters.drop_neigh_queue.add();
      }
      if (seg.len > 0 && neighbours.has_failed(neighbour)) close_unreachable(flow);
      return;
    }
    case ip::Neighbours::Use::kFailed:
      counters.drop_neigh_failed.add();
      close_unreachable(flow);
      return;
  }
}

// A packet that waited for its next hop.
void Stack::Impl::deliver_held(const HeldPacket& held) {
  if (held.datagram != nullptr) {
    --udp_held;
    return send_datagram(held.datagram, held.neighbour);
  }
  const tcp::TxPacket& packet = held.packet;
  if (packet.seg.len == 0) {
    const ip::NeighbourId id = neighbours.find(packet_next_hop(packet));
    return send_packet(packet.seg, packet.flow, id, {packet.tos, packet.ttl});
  }
  const std::uint32_t handle =
      table.find(hash_of(packet.flow), [&](std::uint32_t h) { return same_flow(h, packet.flow); });
  if (handle == kNoIndex || kind_of(handle) != Kind::kConn) return;
  if (conns.resting(index_of(handle))) return;  // nothing to be sent again
  tcp::on_next_hop_known(conns[index_of(handle)].tcb, now);
  settle(index_of(handle));
}

// A segment that belongs to no control block: SYN-ACK, RST, the ACKs of TIME-WAIT.
void Stack::Impl::send_stray(const tcp::TxSegment& seg, const FlowKey& flow, IpFields ip) {
  if (loops(flow)) return loop_back(seg, flow, ip.tos);
  const auto route = routes.lookup(flow.remote);
  if (!route) return counters.drop_no_route.add();
  send_packet(seg, flow, neighbours.lookup_or_create(route->next_hop), ip);
}

// A place among the packets for a segment of no connection, the rest of it filled in; null when it
// does not just go.
tcp::TxPacket* Stack::Impl::place_for(const FlowKey& flow, IpFields ip) {
  if (loops(flow) || tx.room() == 0) return nullptr;
  const IpAddr* const next_hop = routes.next_hop(flow.remote);
  if (next_hop == nullptr) return nullptr;
  const std::uint32_t neighbour = neighbours.lookup_or_create(*next_hop);
  if (neighbour == kNoIndex || neighbours.use(neighbour, now) != ip::Neighbours::Use::kReady) {
    return nullptr;
  }
  tcp::TxPacket& packet = tx.add();
  packet.seg.ecn = 0;
  complete(packet, flow, ip, *neighbours.mac(neighbour));
  aim();
  return &packet;
}

// One RST, without text, for one segment, and no count of them: whatever is shared by all who ask
// tells one of them what another's guess of a 4-tuple met (CVE-2016-5696). ADR 9.
void Stack::Impl::send_reset(const Arrival& a) {
  const wire::TcpHeader& h = a.frame.tcp;
  if ((h.flags & tcp::RST) != 0) return;
  counters.out_rsts.add();
  send_stray(tcp::reset_for(header_of(a)), a.flow);
}

IpAddr Stack::Impl::packet_next_hop(const tcp::TxPacket& packet) const {
  const auto route = routes.lookup(packet.flow.remote);
  return route ? route->next_hop : packet.flow.remote;
}

// One call per connection that something happened to, however much happened to it.
void Stack::Impl::poll_output() {
  output_pending = false;
  for (std::uint32_t left = conns.size(); left > 0 && !output.empty(); --left) {
    if (tx.room() < kOneCall) {
      output_pending = true;
      break;
    }
    const std::uint32_t index = output.pop(conns);
    Conn& c = conns[index];
    c.in_output = false;
    if (c.doomed) {
      free_if_unlisted(index);
      continue;
    }
    if (c.leaving != Leaving::kNot) {
      leave(index, c.leaving);
      continue;
    }
    tcp::poll_transmit(c.tcb, now, outbox);
    const bool more = outbox.tx.room() <= 1;
    flush(index);
    if (more) mark_output(index);
    if (c.tcb.state == tcp::State::kTimeWait && c.user_gone && !c.tcb.has(tcp::kAckNow)) {
      count_established(c);
      enter_time_wait(index);
      continue;
    }
    settle(index);
  }
  output_pending = output_pending || !output.empty() || !looped.empty();
  advance_neighbours();
}

}  // namespace weir::stack
