// Who may bind what: Linux's rules for SO_REUSEADDR and SO_REUSEPORT
// (net/ipv4/inet_connection_sock.c).
#include <array>
#include <cerrno>
#include <span>

#include "socket/names.h"
#include "socket/tcp_socket.h"

namespace weir::posix {
namespace {

// Whether what is for `other` could be for `s`, bound to `bound`.
bool takes(const TcpSocket& s, const IpAddr& bound, const IpAddr& other) {
  if (bound == other) return true;
  if (!bound.is_unspecified()) return false;
  if (bound.is_v4()) return other.is_v4() || other.is_unspecified();
  return !other.is_v4() || s.options.v6_only == 0;
}

// Whether some segment could be for both.
bool overlap(const TcpSocket& a, const IpAddr& at, const TcpSocket& b) {
  if (at.is_v4() != b.local.addr.is_v4()) {
    const TcpSocket& six = at.is_v4() ? b : a;
    if (six.options.v6_only) return false;
  }
  return takes(a, at, b.local.addr) || takes(b, b.local.addr, at);
}

// `strict`: a port that is to be chosen is one that nobody has at all.
bool conflict(const TcpSocket& s, const IpAddr& at, const TcpSocket& other, bool strict) {
  if (!overlap(s, at, other)) return false;
  if (strict) return true;
  if (s.options.reuse_addr && other.options.reuse_addr && other.phase != Phase::kListening) {
    return false;
  }
  return !(s.options.reuse_port && other.options.reuse_port);
}

bool free_for(const EmbeddedStack& e, const TcpSocket& s, const Endpoint& at, bool strict) {
  bool free = true;
  e.descriptors().each([&](const Descriptor& d) {
    if (!free || d.kind != Kind::kTcp || &d == &s) return;
    const auto& other = static_cast<const TcpSocket&>(d);
    if (other.port_held() != at.port || at.port == 0) return;
    free = !conflict(s, at.addr, other, strict);
  });
  return free;
}

// Connections that their programs have closed, TIME-WAIT included, hold the place still, but for a
// socket with SO_REUSEADDR. (Linux asks for it of the one that was closed, too.)
bool held_by_the_closed(const EmbeddedStack& e, const TcpSocket& s, const Endpoint& at) {
  if (s.options.reuse_addr != 0) return false;
  std::array<stack::ConnSnapshot, 32> some;
  for (stack::SnapshotCursor from; !stack::Stack::at_end(from);) {
    const std::size_t n = e.tcp().each_connection(from, some);
    for (const stack::ConnSnapshot& c : std::span(some).first(n)) {
      const bool closed = c.orphan || c.state == tcp::State::kTimeWait;
      if (!closed || c.flow.local_port != at.port) continue;
      if (c.flow.local == at.addr || takes(s, at.addr, c.flow.local)) return true;
    }
  }
  return false;
}

}  // namespace

PortRange port_range(const EmbeddedStack& e, const TcpSocket& s) {
  PortRange r{e.tcp_config().port_low, e.tcp_config().port_high};
  const auto own = static_cast<std::uint32_t>(s.options.port_range);
  const auto low = static_cast<std::uint16_t>(own), high = static_cast<std::uint16_t>(own >> 16);
  const PortRange all = r;
  if (low >= all.low && low <= all.high) r.low = low;
  if (high >= all.low && high <= all.high) r.high = high;
  return r;
}

int claim_port(EmbeddedStack& e, TcpSocket& s, const Endpoint& at) {
  if (at.port != 0) {
    if (!free_for(e, s, at, false) || held_by_the_closed(e, s, at)) return EADDRINUSE;
    s.local = at;
    s.port_back = false;
    return 0;
  }
  const PortRange c = port_range(e, s);
  const std::uint32_t range = std::uint32_t{c.high} - c.low + 1;
  const auto start = static_cast<std::uint32_t>(e.draw() % range);
  for (std::uint32_t i = 0; i < range; ++i) {
    const auto port = static_cast<std::uint16_t>(c.low + (start + i) % range);
    if (!free_for(e, s, {at.addr, port}, true)) continue;
    s.local = {at.addr, port};
    s.port_back = false;
    return 0;
  }
  return EADDRINUSE;
}

bool may_listen(const EmbeddedStack& e, const TcpSocket& s) {
  return free_for(e, s, s.local, false) && !held_by_the_closed(e, s, s.local);
}

}  // namespace weir::posix
