// weir_stack_sockets: first what has a descriptor, then the connections that have none (closed by
// their programs, half open, TIME-WAIT). In pages, each bounded.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "socket/include/weir/weir.h"
#include "socket/names.h"
#include "socket/tcp_socket.h"
#include "socket/udp_socket.h"

namespace weir::posix {
namespace {

// What *cursor says: which part, and where in it.
struct Place {
  enum Part : std::uint8_t { kSockets, kConnections, kEnd } part = kSockets;
  std::uint8_t kind = 0;  // kConnections: of the stack's cursor
  std::uint32_t index = 0;

  static Place of(std::uint64_t cursor) {
    Place p;
    p.part = static_cast<Part>(std::min<std::uint64_t>(cursor >> 40U, kEnd));
    p.kind = static_cast<std::uint8_t>(cursor >> 32U);
    p.index = static_cast<std::uint32_t>(cursor);
    return p;
  }
  [[nodiscard]] std::uint64_t cursor() const {
    return std::uint64_t{part} << 40U | std::uint64_t{kind} << 32U | index;
  }
};

// As in <netinet/tcp.h>.
std::uint8_t linux_state(tcp::State s) {
  switch (s) {
    case tcp::State::kClosed:
      return TCP_CLOSE;
    case tcp::State::kListen:
      return TCP_LISTEN;
    case tcp::State::kSynSent:
      return TCP_SYN_SENT;
    case tcp::State::kSynReceived:
      return TCP_SYN_RECV;
    case tcp::State::kEstablished:
      return TCP_ESTABLISHED;
    case tcp::State::kFinWait1:
      return TCP_FIN_WAIT1;
    case tcp::State::kFinWait2:
      return TCP_FIN_WAIT2;
    case tcp::State::kCloseWait:
      return TCP_CLOSE_WAIT;
    case tcp::State::kClosing:
      return TCP_CLOSING;
    case tcp::State::kLastAck:
      return TCP_LAST_ACK;
    case tcp::State::kTimeWait:
      return TCP_TIME_WAIT;
  }
  return TCP_CLOSE;
}

// Those that inet_diag tells of; FIN-WAIT-2 and linger share a timer with keepalives there.
weir_timer linux_timer(stack::TimerKind t) {
  switch (t) {
    case stack::TimerKind::kRetransmit:
    case stack::TimerKind::kProbe:
      return WEIR_TIMER_ON;
    case stack::TimerKind::kPersist:
      return WEIR_TIMER_PERSIST;
    case stack::TimerKind::kKeepalive:
    case stack::TimerKind::kFinWait2:
    case stack::TimerKind::kLinger:
      return WEIR_TIMER_KEEPALIVE;
    case stack::TimerKind::kTimeWait:
      return WEIR_TIMER_TIMEWAIT;
    default:
      return WEIR_TIMER_OFF;
  }
}

weir_socket_info begin(int fd, int family, int type, std::uint64_t user) {
  weir_socket_info out;
  std::memset(&out, 0, sizeof out);
  out.fd = fd;
  out.family = static_cast<std::uint8_t>(family);
  out.type = static_cast<std::uint8_t>(type);
  out.state = TCP_CLOSE;
  out.user = user;
  return out;
}

void give_names(weir_socket_info& out, const Endpoint& local, const Endpoint& peer) {
  (void)write_name(out.family, local, out.local);
  (void)write_name(out.family, peer, out.peer);
}

void give_connection(weir_socket_info& out, const stack::ConnSnapshot& c) {
  out.state = linux_state(c.state);
  out.timer = static_cast<std::uint8_t>(linux_timer(c.timer));
  if (out.timer != WEIR_TIMER_OFF) out.timer_us = static_cast<std::uint64_t>(c.timer_left.count());
  out.receive_queue = c.rcvq;
  out.send_queue = c.sndq;
  out.not_sent = c.notsent;
  out.retransmits = c.retransmits;
  give_names(out, {c.flow.local, c.flow.local_port}, {c.flow.remote, c.flow.remote_port});
}

void give_tcp(const EmbeddedStack& e, const TcpSocket& s, weir_socket_info& out) {
  give_names(out, s.local, s.peer);
  if (s.phase == Phase::kListening) {
    const auto stats = e.tcp().listener_stats(s.listener);
    out.state = TCP_LISTEN;
    out.receive_queue = stats ? stats->waiting : 0;
    out.send_queue = s.backlog;
  }
  if (!s.conn) return;
  stack::SnapshotCursor at{0, s.conn->index};
  stack::ConnSnapshot c;
  const bool found = e.tcp().each_connection(at, {&c, 1}) == 1 && c.index == s.conn->index;
  if (found && c.generation == s.conn->generation) give_connection(out, c);
}

void give_udp(const EmbeddedStack& e, const UdpSocket& s, weir_socket_info& out) {
  const auto stats = s.id ? e.tcp().udp_stats(*s.id) : std::nullopt;
  const Endpoint none{any_of(s.family == AF_INET), 0};
  give_names(out, udp_local(e, s), udp_peer(e, s).value_or(none));
  out.state = s.connected ? TCP_ESTABLISHED : TCP_CLOSE;
  out.receive_queue = stats ? stats->octets : 0;
}

bool give_socket(const EmbeddedStack& e, const Descriptor* d, weir_socket_info& out) {
  if (d == nullptr || d->kind == Kind::kEpoll) return false;
  const bool tcp = d->kind == Kind::kTcp;
  out = begin(d->fd, d->family, tcp ? SOCK_STREAM : SOCK_DGRAM, d->user);
  if (tcp) {
    give_tcp(e, static_cast<const TcpSocket&>(*d), out);
  } else {
    give_udp(e, static_cast<const UdpSocket&>(*d), out);
  }
  return true;
}

// Told of already, with its descriptor.
bool has_socket(const EmbeddedStack& e, const stack::ConnSnapshot& c) {
  if (c.user == 0 || !c.index) return false;
  const Descriptor* d = e.descriptors().find(static_cast<int>(c.user - 1));
  if (d == nullptr || d->kind != Kind::kTcp) return false;
  const auto& conn = static_cast<const TcpSocket&>(*d).conn;
  return conn && conn->index == *c.index && conn->generation == c.generation;
}

std::size_t give_connections(const EmbeddedStack& e, Place& place, weir_socket_info* out,
                             std::size_t count) {
  std::size_t n = 0;
  stack::SnapshotCursor at{place.kind, place.index};
  while (n < count && !stack::Stack::at_end(at)) {
    stack::ConnSnapshot c;
    if (e.tcp().each_connection(at, {&c, 1}) == 0 || has_socket(e, c)) continue;
    const int family = c.flow.local.is_v4() ? AF_INET : AF_INET6;
    out[n] = begin(-1, family, SOCK_STREAM, 0);
    give_connection(out[n++], c);
  }
  place.kind = at.kind;
  place.index = at.index;
  if (stack::Stack::at_end(at)) place.part = Place::kEnd;
  return n;
}

}  // namespace
}  // namespace weir::posix

extern "C" size_t weir_stack_sockets(const weir_stack* stack, uint64_t* cursor,
                                     struct weir_socket_info* out, size_t count) {
  using namespace weir::posix;  // NOLINT(google-build-using-namespace): C names none
  if (stack == nullptr || cursor == nullptr || (out == nullptr && count > 0)) return 0;
  Place place = Place::of(*cursor);
  std::size_t n = 0;
  const Descriptors& all = stack->descriptors();
  while (place.part == Place::kSockets && n < count) {
    if (place.index >= all.slots()) {
      place = Place{Place::kConnections, 0, 0};
    } else if (give_socket(*stack, all.at(place.index++), out[n])) {
      ++n;
    }
  }
  if (place.part == Place::kConnections) n += give_connections(*stack, place, out + n, count - n);
  *cursor = place.cursor();
  return n;
}
