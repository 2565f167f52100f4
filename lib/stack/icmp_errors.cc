// ICMP errors about what this host sent (RFC 1122 §3.2.2, §4.2.3.9; RFC 4443 §2.4 (d)), and what
// the next hop's entry learns from TCP (RFC 9293 §3.8.3, RFC 4861 §7.3.1).
#include <optional>
#include <utility>

#include "stack/impl.h"

namespace weir::stack {
namespace {

using tcp::PathError;

// Destination unreachable, by its code.
//= RFC1122 3.2.2.1-b
std::optional<PathError> unreachable_v4(std::uint8_t code) {
  switch (code) {
    case 0:   // network
    case 6:   // network unknown
    case 9:   // network prohibited
    case 11:  // network, for this type of service
      return PathError::kNetUnreachable;
    case 2:  // protocol
    case 3:  // port
      return PathError::kPortUnreachable;
    case 4:
      return PathError::kTooBig;
    default:
      return code <= 15 ? std::optional(PathError::kHostUnreachable) : std::nullopt;
  }
}

//= RFC1122 3.2.2.4
//= RFC1122 3.2.2.5
std::optional<PathError> error_v4(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case 3:
      return unreachable_v4(code);
    case 11:
      return PathError::kHostUnreachable;
    case 12:
      return PathError::kProblem;
    default:  // Source Quench (RFC 6633), Redirect
      return std::nullopt;
  }
}

std::optional<PathError> error_v6(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case 1:
      if (code == 0) return PathError::kNetUnreachable;
      return code == 4 ? PathError::kPortUnreachable : PathError::kHostUnreachable;
    case 2:
      return PathError::kTooBig;
    case 3:
      return PathError::kHostUnreachable;
    case 4:
      return PathError::kProblem;
    default:
      return std::nullopt;
  }
}

// Source Quench and whatever else says nothing of a segment: nothing (MUST-55).
//= RFC9293 MUST-55
//= RFC6633 3-b
//= RFC6633 6
//= RFC5927 6.2
//= RFC1122 3.2.2-c
std::optional<tcp::IcmpError> read_error(const wire::Frame& f) {
  const bool v4 = f.kind == wire::Kind::kIcmp4;
  const wire::IcmpPacket& p = f.icmp;
  const auto what = v4 ? error_v4(p.type, p.code) : error_v6(p.type, p.code);
  if (!what || !p.has_inner || p.inner_protocol != 6) return std::nullopt;
  tcp::IcmpError e{.what = *what, .seq = p.inner_seq};
  //= RFC1191 4
  if (e.what == PathError::kTooBig) e.mtu = v4 ? p.rest & 0xffffU : p.rest;
  e.packet = p.inner_len;
  return e;
}

}  // namespace

void Stack::Impl::on_icmp_error(Arrival& a) {
  constexpr std::uint8_t kUdpProtocol = 17;
  const wire::IcmpPacket& p = a.frame.icmp;
  if (p.has_inner && p.inner_protocol == kUdpProtocol) return on_udp_error(a);
  const auto error = read_error(a.frame);
  if (!error) return drop(a.buf, counters.drop_icmp_ignored);
  const FlowKey& flow = a.frame.icmp.inner;
  const std::uint32_t handle =
      table.find(hash_of(flow), [&](std::uint32_t h) { return same_flow(h, flow); });
  if (handle == kNoIndex) {
    if (hand_to_sibling(a)) return;
    return drop(a.buf, counters.drop_icmp_forged);
  }
  switch (judge_error(handle, *error)) {
    case tcp::IcmpVerdict::kTaken:
      counters.icmp_errors_in.add();
      return consume(a.buf);
    case tcp::IcmpVerdict::kForged:
      return drop(a.buf, counters.drop_icmp_forged);
    case tcp::IcmpVerdict::kIgnored:
      return drop(a.buf, counters.drop_icmp_ignored);
  }
}

//= RFC1122 4.2.3.9-c
//= RFC9293 MUST-54
tcp::IcmpVerdict Stack::Impl::judge_error(std::uint32_t handle, const tcp::IcmpError& e) {
  const std::uint32_t index = index_of(handle);
  switch (kind_of(handle)) {
    case Kind::kConn: {
      if (conns.resting(index)) return tcp::IcmpVerdict::kForged;  // nothing is in flight
      const tcp::IcmpVerdict v = tcp::on_icmp_error(conns[index].tcb, e, now, outbox);
      flush(index);
      mark_output(index);
      settle(index);
      return v;
    }
    case Kind::kSyn:
      return judge_half_open(index, e);
    case Kind::kTimeWait:
    case Kind::kTimeWait6:
      break;  // nothing of it is under way
  }
  return tcp::IcmpVerdict::kIgnored;
}

tcp::IcmpVerdict Stack::Impl::judge_half_open(std::uint32_t index, const tcp::IcmpError& e) {
  switch (tcp::half_open_icmp(syns[index].iss, e)) {
    case tcp::HalfOpenVerdict::kForged:
      return tcp::IcmpVerdict::kForged;
    case tcp::HalfOpenVerdict::kKeep:
      break;
    case tcp::HalfOpenVerdict::kAbandon:
      counters.attempt_fails.add();
      syn_free(index, true);
      break;
  }
  return tcp::IcmpVerdict::kTaken;
}

// The entry of the next hop is asked again when TCP gets nothing through, and is good for as long
// as TCP does.
//= RFC9293 MUST-20
//= RFC1122 3.3.1.4
//= RFC4861 7.3.1
void Stack::Impl::tell_neighbour(Conn& c) {
  const std::uint8_t news = std::exchange(c.tcb.path_news, std::uint8_t{0});
  if (c.neighbour == kNoIndex || neighbours.address(c.neighbour) != c.next_hop) return;
  if ((news & tcp::kPathProven) != 0) return neighbours.confirm(c.neighbour, now);
  neighbours.doubt(c.neighbour, now);
}

}  // namespace weir::stack
