// ICMP errors about datagrams (RFC 1122 §4.1.3.3, RFC 4443 §3), with Linux's errno for each.
#include <algorithm>
#include <optional>

#include "stack/impl.h"

namespace weir::stack {
namespace {

struct Told {
  UdpError error = UdpError::kNone;
  bool hard = false;  // Linux tells a connected socket unasked
  bool too_big = false;
};

// Destination unreachable by its code: icmp_err_convert of Linux.
std::optional<Told> unreachable_v4(std::uint8_t code) {
  switch (code) {
    case 0:   // network
    case 11:  // network, for this type of service
      return Told{UdpError::kNetUnreachable};
    case 6:  // network unknown
    case 9:  // network prohibited
      return Told{UdpError::kNetUnreachable, true};
    case 2:
      return Told{UdpError::kNoProtocol, true};
    case 3:
      return Told{UdpError::kRefused, true};
    case 4:
      return Told{UdpError::kTooLong, true, true};
    case 5:  // source route failed
      return Told{UdpError::kNotSupported};
    case 7:  // host unknown
      return Told{UdpError::kHostDown, true};
    case 8:  // source host isolated
      return Told{UdpError::kIsolated, true};
    case 10:  // host prohibited
    case 13:  // communication prohibited
    case 14:  // precedence violation
    case 15:  // precedence cutoff
      return Told{UdpError::kHostUnreachable, true};
    default:
      return code <= 15 ? std::optional(Told{UdpError::kHostUnreachable}) : std::nullopt;
  }
}

std::optional<Told> error_v4(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case 3:
      return unreachable_v4(code);
    case 11:
      return Told{UdpError::kHostUnreachable};
    case 12:
      return Told{UdpError::kProtocol, true};
    default:  // Source Quench (RFC 6633), Redirect
      return std::nullopt;
  }
}

std::optional<Told> unreachable_v6(std::uint8_t code) {
  switch (code) {
    case 0:
      return Told{UdpError::kNetUnreachable};
    case 1:  // prohibited
    case 5:  // source address failed policy
    case 6:  // route rejected
      return Told{UdpError::kNotPermitted, true};
    case 4:
      return Told{UdpError::kRefused, true};
    case 2:  // beyond the scope of the source address
    case 3:  // address
      return Told{UdpError::kHostUnreachable};
    default:
      return Told{UdpError::kProtocol, true};
  }
}

std::optional<Told> error_v6(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case 1:
      return unreachable_v6(code);
    case 2:
      return Told{UdpError::kTooLong, true, true};
    case 3:
      return Told{UdpError::kHostUnreachable};
    case 4:
      return Told{UdpError::kProtocol, true};
    default:
      return std::nullopt;
  }
}

constexpr std::uint16_t kLeastMtu6 = 1'280;  // RFC 8200 §5

}  // namespace

//= RFC1122 4.1.3.3
void Stack::Impl::on_udp_error(Arrival& a) {
  const wire::IcmpPacket& p = a.frame.icmp;
  const bool v4 = a.frame.kind == wire::Kind::kIcmp4;
  const auto told = v4 ? error_v4(p.type, p.code) : error_v6(p.type, p.code);
  if (!told) return drop(a.buf, counters.drop_icmp_ignored);
  std::uint32_t mtu = 0;
  if (told->too_big) {
    mtu = v4 ? p.rest & 0xffffU : p.rest;
    // The packet would have passed: a forgery (RFC 5927 §7), or an old one.
    if (mtu >= config.mtu || p.inner_len <= mtu) return drop(a.buf, counters.drop_icmp_forged);
    mtu = std::max<std::uint32_t>(mtu, v4 ? config.tcp.min_pmtu : kLeastMtu6);
  }
  if (!tell_udp(p.inner, told->error, told->hard, mtu)) {
    return drop(a.buf, counters.drop_icmp_ignored);
  }
  counters.icmp_errors_in.add();
  consume(a.buf);
}

// The socket that sent on `flow`, if it wants to hear of it. A path's MTU is kept by a connected
// socket alone: of others nothing is known about where they will write to.
bool Stack::Impl::tell_udp(const FlowKey& flow, UdpError error, bool hard, std::uint32_t mtu) {
  const std::uint64_t hash = hash_of(flow);
  const std::uint32_t index = udp.find(flow, hash);
  if (index == kNoIndex) return false;
  UdpSocket& s = udp[index];
  if (mtu != 0 && s.connected) {
    s.mtu = static_cast<std::uint16_t>(mtu);
    s.mtu_until = now + config.tcp.mtu_expires;
  }
  const bool wanted =
      s.errors == UdpErrors::kAll || (s.connected && (hard || s.errors == UdpErrors::kConnected));
  if (!wanted) return false;
  s.error = error;
  udp.note(index, kUdpError);
  return true;
}

// Its next hop did not answer.
void Stack::Impl::fail_datagram(Buf* frame) {
  wire::Frame f;
  wire::parse_frame({frame->data, frame->len}, frame->len, {true, true}, f);
  WEIR_ASSERT(f.kind == wire::Kind::kUdp);  // made here
  const FlowKey flow{f.src, f.dst, f.udp.src_port, f.udp.dst_port};
  (void)tell_udp(flow, UdpError::kHostUnreachable, false, 0);
  drop(frame, counters.drop_neigh_failed);
}

}  // namespace weir::stack
