// ARP (RFC 826, 5227) and neighbour discovery (RFC 4861, 4862) to and from the wire, and what of
// this host's addresses may be used.
#include <algorithm>

#include "stack/impl.h"

namespace weir::stack {

// -- This host's addresses -------------------------------------------------------------------

// fe80::/64 with the interface identifier that the MAC gives (RFC 4291 appendix A, RFC 2464 §5).
//= RFC4862 5.3
IpAddr Stack::Impl::link_local_address() const {
  const auto& m = config.mac.octets;
  return IpAddr::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2U), m[1], m[2],
                     0xff, 0xfe, m[3], m[4], m[5]});
}

// Each address that is given, and a link-local one where there is IPv6 at all. Those that are to be
// tested first wait for Dad.
//= RFC4862 5.4-a
void Stack::Impl::add_addresses() {
  const auto is_v6 = [](const IpPrefix& p) { return !p.addr.is_v4(); };
  const auto is_link_local = [](const IpPrefix& p) { return p.addr.is_link_local6(); };
  std::vector<IpPrefix> all = config.addrs;
  if (std::any_of(all.begin(), all.end(), is_v6) &&
      std::none_of(all.begin(), all.end(), is_link_local)) {
    made_link_local = link_local_address();
    all.push_back({*made_link_local, 64});
  }
  for (const IpPrefix& p : all) routes.add_address(p.addr, p.prefix_len, !dad.add(p.addr));
  dad.start(now);
}

void Stack::Impl::add_gateway(const std::optional<IpAddr>& gateway,
                              const std::optional<MacAddr>& mac) {
  if (!gateway) return;
  routes.set_gateway(*gateway);
  const ip::NeighbourId id = neighbours.lookup_or_create(*gateway);
  if (id == kNoIndex) return;
  neighbours.pin(id);
  if (mac) neighbours.set_permanent(id, *mac);
}

// Another host has an address of ours, or wants it. One that was being tested is given up; one in
// use is kept (RFC 5227 §2.4 (c)), as connections depend on it.
void Stack::Impl::on_address_conflict(const IpAddr& addr, const MacAddr& other) {
  counters.address_conflicts.add();
  const bool tentative = dad.fail(addr);
  const auto known = [&](const AddressConflict& c) { return c.addr == addr; };
  if (std::none_of(conflicts.begin(), conflicts.end(), known) && conflicts.size() < kMaxConflicts) {
    conflicts.push_back({addr, other, !tentative});
  }
  // RFC 4862 §5.4.5: with the MAC address twice on the link, nothing of IPv6 can work.
  //= RFC4862 5.4.5
  if (!tentative || addr != made_link_local) return;
  for (const IpPrefix& p : config.addrs) {
    if (p.addr.is_v4()) continue;
    (void)dad.fail(p.addr);
    routes.set_usable(p.addr, false);
  }
}

// Shards hear of a conflict each for itself and keep the same times; the first alone sends.
void Stack::Impl::advance_dad() {
  if (now < dad.next_deadline()) return;
  dad.advance(now, dad_work);
  for (const IpAddr& addr : dad_work.passed.items()) routes.set_usable(addr, true);
  for (const ip::DadMessage& m : dad_work.messages.items()) {
    if (config.shard == 0) send_dad(m);
  }
  dad_work.passed.clear();
  dad_work.messages.clear();
}

//= RFC4862 5.4.2-b
//= RFC5227 2.1.1-b
//= RFC5227 2.3
void Stack::Impl::send_dad(const ip::DadMessage& m) {
  if (m.addr.is_v4()) {
    send_arp(m.announcement ? ip::arp_announcement(m.addr, config.mac)
                            : ip::arp_probe(m.addr, config.mac),
             MacAddr::broadcast());
    return counters.arp_requests_out.add();
  }
  wire::NdPacket nd;
  nd.target = m.addr;
  const IpAddr group = wire::solicited_node(m.addr);
  send_nd(nd, IpAddr{}, group, wire::multicast_mac(group));
}

// -- ARP -------------------------------------------------------------------------------------

void Stack::Impl::on_arp(Arrival& a) {
  const bool first_hand = (a.buf->flags & Buf::kHandedOver) == 0;
  if (first_hand && config.shards > 1) copy_to_other_shards(a.buf);
  if (on_arp_while_tentative(a)) return consume(a.buf);
  const ip::ArpOutcome outcome = neighbours.on_arp(
      a.frame.arp, routes, config.mac, now, [this](const HeldPacket& held) { deliver_held(held); });
  if (outcome.reply && first_hand) {
    send_arp(ip::arp_reply(a.frame.arp, config.mac), a.frame.arp.sender_mac);
    counters.arp_replies_out.add();
  }
  if (outcome.conflict) on_address_conflict(a.frame.arp.sender_ip, a.frame.arp.sender_mac);
  //= RFC5227 2.4-c
  if (outcome.defend && first_hand) {
    send_arp(ip::arp_announcement(a.frame.arp.sender_ip, config.mac), MacAddr::broadcast());
  }
  consume(a.buf);
}

// RFC 5227 §2.1.1: who claims an address that we are asking for, or asks for it as we do, has it.
//= RFC5227 2.1.1-c
bool Stack::Impl::on_arp_while_tentative(const Arrival& a) {
  const wire::ArpPacket& arp = a.frame.arp;
  if (dad.settled() || arp.sender_mac == config.mac) return false;
  const bool probe = arp.op == 1 && arp.sender_ip.is_unspecified();
  const IpAddr& claimed = probe ? arp.target_ip : arp.sender_ip;
  if (!dad.is_tentative(claimed)) return false;
  on_address_conflict(claimed, arp.sender_mac);
  return true;
}

void Stack::Impl::send_arp(const wire::ArpPacket& arp, const MacAddr& dst) {
  Buf* b = take_buf();
  if (b == nullptr) return;
  const std::size_t len = wire::write_arp_frame({b->data, b->room}, config.mac, dst, arp);
  b->len = static_cast<std::uint32_t>(len);
  b->room -= b->len;
  tx_frames.push_back(b);
}

// -- Neighbour discovery ---------------------------------------------------------------------

// A group that we are in, or an address of ours though it be tentative (RFC 4862 §5.4).
//= RFC4862 5.4-b
bool Stack::Impl::admit_nd(Arrival& a) {
  const wire::Frame& f = a.frame;
  const bool group = f.dst_mac.is_multicast() && routes.is_our_group(f.dst);
  if (!group && (f.dst_mac != config.mac || !routes.is_ours(f.dst))) {
    return drop(a.buf, counters.drop_not_for_us), false;
  }
  const bool source = f.src.is_unicast() || (f.src.is_unspecified() && !f.nd.advertisement);
  if (!source || f.src_mac == config.mac) return drop(a.buf, counters.drop_bad_source), false;
  return true;
}

void Stack::Impl::on_nd(Arrival& a) {
  const bool first_hand = (a.buf->flags & Buf::kHandedOver) == 0;
  if (first_hand && config.shards > 1) copy_to_other_shards(a.buf);
  if (dad.is_tentative(a.frame.nd.target)) {
    on_nd_while_tentative(a.frame);
    return consume(a.buf);
  }
  const ip::NdOutcome outcome = neighbours.on_nd(
      a.frame, routes, config.mac, now, [this](const HeldPacket& held) { deliver_held(held); });
  if (outcome.reply && first_hand) send_advertisement(a.frame);
  //= RFC4862 5.4.4-b
  if (outcome.conflict) on_address_conflict(a.frame.nd.target, a.frame.src_mac);
  consume(a.buf);
}

// Who advertises the address has it, and who asks for it from no address wants it as we do. A
// question by a host that has an address is none of our affair yet.
//= RFC4862 5.4.3-a
//= RFC4862 5.4.3-b
//= RFC4862 5.4.4-a
void Stack::Impl::on_nd_while_tentative(const wire::Frame& f) {
  if (f.nd.advertisement || f.src.is_unspecified()) on_address_conflict(f.nd.target, f.src_mac);
}

// To who asked; to all, when it asks from no address (RFC 4861 §7.2.4). Where the asker's
// link-layer address is not known, its frame's source stands for it.
//= RFC4861 7.2.4-a
//= RFC4861 7.2.4-b
void Stack::Impl::send_advertisement(const wire::Frame& asked) {
  const bool to_all = asked.src.is_unspecified();
  wire::NdPacket nd;
  nd.advertisement = nd.override_flag = nd.has_lladdr = true;
  nd.solicited = !to_all;
  nd.lladdr = config.mac;
  nd.target = asked.nd.target;
  counters.nd_adverts_out.add();
  if (to_all) {
    return send_nd(nd, nd.target, wire::kAllNodes, wire::multicast_mac(wire::kAllNodes));
  }
  const ip::NeighbourId id = neighbours.find(asked.src);
  const MacAddr* mac = id == kNoIndex ? nullptr : neighbours.mac(id);
  send_nd(nd, nd.target, asked.src, mac == nullptr ? asked.src_mac : *mac);
}

void Stack::Impl::send_nd(const wire::NdPacket& nd, const IpAddr& src, const IpAddr& dst,
                          const MacAddr& dst_mac) {
  Buf* b = take_buf();
  if (b == nullptr) return;
  if (!nd.advertisement) counters.nd_solicits_out.add();
  const wire::NdAddresses at{config.mac, dst_mac, src, dst};
  b->len = static_cast<std::uint32_t>(wire::write_nd_frame({b->data, b->room}, at, nd));
  b->room -= b->len;
  tx_frames.push_back(b);
}

// To the neighbour itself while its old address is being confirmed, else to its group.
//= RFC4861 7.2.2-b
void Stack::Impl::send_solicitation(const ip::Solicit& s, const IpAddr& source) {
  wire::NdPacket nd;
  nd.target = s.target;
  nd.has_lladdr = true;
  nd.lladdr = config.mac;
  const bool group = s.dst_mac.is_multicast();
  send_nd(nd, source, group ? wire::solicited_node(s.target) : s.target, s.dst_mac);
}

// -- Both ------------------------------------------------------------------------------------

void Stack::Impl::advance_neighbours() {
  if (now < neighbours.next_deadline()) return;
  neighbours.advance(now, neighbour_work, [this](const HeldPacket& held) {
    if (held.datagram != nullptr) {
      --udp_held;
      return fail_datagram(held.datagram);
    }
    counters.drop_neigh_failed.add();
    close_unreachable(held.packet.flow);
  });
  for (const ip::Solicit& s : neighbour_work.solicits.items()) {
    const auto route = routes.lookup(s.target);
    if (!route) continue;
    if (!s.target.is_v4()) {
      send_solicitation(s, route->source);
      continue;
    }
    send_arp(ip::arp_request(s.target, route->source, config.mac), s.dst_mac);
    counters.arp_requests_out.add();
  }
  neighbour_work.solicits.clear();
  neighbour_work.failed.clear();
}

// A port gives an ARP or ND packet to one queue; every shard has a neighbour table to fill.
void Stack::Impl::copy_to_other_shards(const Buf* b) {
  for (std::uint16_t s = 0; s < config.shards; ++s) {
    if (s == config.shard) continue;
    if (handed.room() == 0) return counters.drop_handover_full.add();
    Buf* copy = take_buf();
    if (copy == nullptr) return;
    const std::uint32_t len = std::min(b->len, copy->room);
    std::copy_n(b->data, len, copy->data);
    copy->len = len;
    copy->room -= len;
    copy->flags = Buf::kHandedOver;
    handed.push({s, copy});
  }
}

}  // namespace weir::stack
