// SOCK_DGRAM, after Linux's net/ipv4/udp.c and net/core/datagram.c (RFC 768, RFC 1122 §4.1).
#include "socket/udp_socket.h"

#include <netinet/in.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "socket/names.h"
#include "socket/tcp_socket.h"
#include "socket/udp_control.h"

namespace weir::posix {
namespace {

constexpr std::uint32_t kIn = EPOLLIN | EPOLLRDNORM;
constexpr std::uint32_t kOut = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;

int errno_of_bind(stack::Error e) {
  return e == stack::Error::kNoPort ? EADDRINUSE : errno_of(e);
}

// Which ICMP errors a socket hears of.
stack::UdpErrors errors_of(const UdpSocket& s) {
  const bool all = s.options.recverr != 0 || s.options.recverr6 != 0;
  return all ? stack::UdpErrors::kAll : stack::UdpErrors::kHard;
}

int bind_to(EmbeddedStack& e, UdpSocket& s, const Endpoint& at) {
  stack::UdpOptions options;
  options.reuse_addr = s.options.reuse_addr != 0;
  options.reuse_port = s.options.reuse_port != 0;
  options.v6_only = s.options.v6_only != 0;
  options.rcvbuf = static_cast<std::uint32_t>(s.options.rcvbuf);
  options.errors = errors_of(s);
  options.broadcast = s.options.broadcast != 0;
  auto id = e.tcp().udp_bind(at, options);
  if (!id) return errno_of_bind(id.error());
  s.id = *id;
  e.tcp().set_udp_user(*id, static_cast<std::uint64_t>(s.fd) + 1);
  return 0;
}

int bind_if_not(EmbeddedStack& e, UdpSocket& s) {
  return s.id ? 0 : bind_to(e, s, {s.bound.addr, 0});
}

std::size_t total(std::span<const iovec> pieces) {
  std::size_t n = 0;
  for (const iovec& v : pieces) n += v.iov_len;
  return n;
}

// As far as there is room for it; octets.
std::size_t copy_out(const Buf* text, std::span<const iovec> to) {
  std::size_t done = 0;
  std::size_t piece = 0;
  std::size_t at = 0;  // in that piece
  for (const Buf* b = text; b != nullptr; b = b->next) {
    for (std::size_t from = 0; from < b->len && piece < to.size();) {
      const std::size_t n = std::min<std::size_t>(b->len - from, to[piece].iov_len - at);
      if (n > 0) std::memcpy(static_cast<std::byte*>(to[piece].iov_base) + at, b->data + from, n);
      done += n;
      from += n;
      at += n;
      if (at == to[piece].iov_len) {
        ++piece;
        at = 0;
      }
    }
  }
  return done;
}

// sock_error(): what ICMP told, once.
int take_error(EmbeddedStack& e, const UdpSocket& s) {
  return s.id ? errno_of(e.tcp().udp_take_error(*s.id)) : 0;
}

// Linux gives a port back that bind has not asked for; here it is kept while datagrams wait, which
// would go with it.
void disconnect(EmbeddedStack& e, UdpSocket& s) {
  s.connected = false;
  if (!s.id) return;
  e.tcp().udp_disconnect(*s.id);
  const bool waits = e.tcp().udp_peek(*s.id) || e.tcp().udp_error(*s.id) != stack::UdpError::kNone;
  if (s.bound.port == 0 && !waits) udp_close(e, s);
}

// The socket's own TOS and TTL, by the family of who it is for.
stack::UdpSend how_of(const UdpSocket& s, const IpAddr& to) {
  stack::UdpSend how;
  const int tos = to.is_v4() ? s.options.tos : s.options.tclass;
  const int ttl = to.is_v4() ? s.options.ttl : s.options.hops;
  how.tos = static_cast<std::uint8_t>(tos);
  if (ttl >= 0) how.ttl = static_cast<std::uint8_t>(ttl);
  return how;
}

// 0.0.0.0 and :: are this host; of the family that the socket is bound in.
Endpoint self_if_any(const EmbeddedStack& e, const UdpSocket& s, Endpoint at) {
  if (!at.addr.is_unspecified()) return at;
  const bool v4 = s.family == AF_INET || at.addr.is_v4() || udp_local(e, s).addr.is_v4();
  if (const auto self = e.tcp().default_source(v4)) at.addr = *self;
  return at;
}

// Whom a datagram is for; none: the peer. A socket of IPv6 takes IPv4's names too (udpv6_sendmsg).
int destination_of(const EmbeddedStack& e, const UdpSocket& s, const sockaddr* addr,
                   socklen_t length, std::optional<Endpoint>& to) {
  if (addr == nullptr) return 0;
  sa_family_t family = AF_UNSPEC;
  const bool six = s.family == AF_INET6;
  if (length < (six ? sizeof family : sizeof(sockaddr_in))) return EINVAL;
  std::memcpy(&family, addr, sizeof family);
  if (family == AF_UNSPEC && six) return 0;
  if (six && family == AF_INET && s.options.v6_only != 0) return ENETUNREACH;
  sockaddr_in in{};
  Name name;
  if (family == AF_INET6 || (family != AF_INET && family != AF_UNSPEC)) {
    name = name_of(s.family, addr, length);
    if (six && name.error == EAFNOSUPPORT) name.error = EINVAL;
  } else if (length < sizeof in) {
    name.error = EINVAL;
  } else {
    std::memcpy(&in, addr, sizeof in);
    in.sin_family = AF_INET;
    name = name_of(AF_INET, reinterpret_cast<const sockaddr*>(&in), sizeof in);
  }
  if (name.error != 0) return name.error;
  if (six && name.at.addr.is_v4() && s.options.v6_only != 0) return ENETUNREACH;
  to = self_if_any(e, s, name.at);
  if (to->port == 0 && !to->addr.is_v4()) return EINVAL;
  return six && !to->addr.is_v4() && udp_local(e, s).addr.is_v4() ? EAFNOSUPPORT : 0;
}

using Pieces = std::vector<std::span<const std::byte>>;

// What is held, if anything is, and these behind it, as one datagram.
int send_all(EmbeddedStack& e, UdpSocket& s, Pieces& pieces) {
  if (s.holding) pieces.insert(pieces.begin(), std::span<const std::byte>(s.held));
  const stack::UdpError error = e.tcp().udp_send_pieces(*s.id, pieces, s.held_how);
  s.holding = false;
  s.held.clear();
  if (error != stack::UdpError::kNone) return errno_of(error);
  e.changed(s, kOut);  // it leaves: room again (sock_wfree), before anybody has it
  e.settle();
  return 0;
}

// The beginning of a datagram, or more of it. One that gets too long is forgotten, as on Linux.
int hold(UdpSocket& s, const Pieces& pieces, std::size_t octets) {
  constexpr std::size_t kMost = 0xffff;
  const bool fits = s.held.size() + octets <= kMost;
  s.holding = fits;
  if (!fits) {
    s.held.clear();
    return EMSGSIZE;
  }
  for (const auto& piece : pieces) s.held.insert(s.held.end(), piece.begin(), piece.end());
  return 0;
}

}  // namespace

UdpSocket::UdpSocket(int address_family) : Descriptor(Kind::kUdp) {
  family = address_family;
  bound.addr = any_of(family == AF_INET);
}

int errno_of(stack::UdpError error) {
  using enum stack::UdpError;
  switch (error) {
    case kNone:
      return 0;
    case kBadSocket:
      return EBADF;
    case kWouldBlock:
      return EAGAIN;
    case kNoBuffers:
      return ENOBUFS;
    case kTooLong:
      return EMSGSIZE;
    case kNoDestination:
      return EDESTADDRREQ;
    case kInvalid:
      return EINVAL;
    case kNotPermitted:
      return EACCES;
    case kAddressNotLocal:
      return EADDRNOTAVAIL;
    case kNetUnreachable:
      return ENETUNREACH;
    case kHostUnreachable:
      return EHOSTUNREACH;
    case kRefused:
      return ECONNREFUSED;
    case kNoProtocol:
      return ENOPROTOOPT;
    case kProtocol:
      return EPROTO;
    case kNotSupported:
      return EOPNOTSUPP;
    case kHostDown:
      return EHOSTDOWN;
    case kIsolated:
      return ENONET;
  }
  return EINVAL;
}

int udp_bind(EmbeddedStack& e, UdpSocket& s, const sockaddr* addr, socklen_t length) {
  const Name name = name_of(s.family, addr, length);
  if (name.error != 0) return name.error;
  const bool four = s.family == AF_INET6 && name.at.addr.is_v4();
  if (s.family == AF_INET6 && (s.id || (four && s.options.v6_only != 0))) return EINVAL;
  if (!name.at.addr.is_unspecified() && !e.tcp().is_local(name.at.addr)) return EADDRNOTAVAIL;
  if (s.id) return EINVAL;
  const int v6_only = s.options.v6_only;
  if (s.family == AF_INET6 && !name.at.addr.is_v4() && !name.at.addr.is_unspecified()) {
    s.options.v6_only = 1;
  }
  if (const int fault = bind_to(e, s, name.at)) {
    s.options.v6_only = v6_only;
    return fault;
  }
  s.bound = name.at;
  return 0;
}

int udp_connect(EmbeddedStack& e, UdpSocket& s, const sockaddr* addr, socklen_t length) {
  sa_family_t family = AF_UNSPEC;
  if (length < sizeof family) return EINVAL;
  std::memcpy(&family, addr, sizeof family);
  if (family == AF_UNSPEC) {
    disconnect(e, s);
    return 0;
  }
  if (const int fault = bind_if_not(e, s)) return fault == EADDRINUSE ? EAGAIN : fault;
  const bool four = s.family == AF_INET6 && family == AF_INET;
  if (four && s.options.v6_only != 0) return EAFNOSUPPORT;
  const Name name = name_of(four ? AF_INET : s.family, addr, length);
  if (name.error != 0) return name.error;
  const Endpoint to = self_if_any(e, s, name.at);
  if (s.family == AF_INET6 && !to.addr.is_v4() && udp_local(e, s).addr.is_v4()) return EAFNOSUPPORT;
  if (const auto why = e.tcp().udp_connect(*s.id, to)) {
    return *why == stack::Error::kInvalidRemote ? EACCES : errno_of(*why);
  }
  s.connected = true;
  return 0;
}

// Without a peer it is done and an error both: Linux wakes who polls an unconnected socket so.
int udp_shutdown(UdpSocket& s, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return EINVAL;
  s.shut_read = s.shut_read || how != SHUT_WR;
  s.shut_write = s.shut_write || how != SHUT_RD;
  return s.connected ? 0 : ENOTCONN;
}

void udp_close(EmbeddedStack& e, UdpSocket& s) {
  if (s.id) e.tcp().udp_close(*s.id);
  s.id.reset();
  s.holding = false;
  s.held.clear();
}

Endpoint udp_local(const EmbeddedStack& e, const UdpSocket& s) {
  const auto stats = s.id ? e.tcp().udp_stats(*s.id) : std::nullopt;
  return stats ? stats->local : Endpoint{s.bound.addr, 0};
}

std::optional<Endpoint> udp_peer(const EmbeddedStack& e, const UdpSocket& s) {
  const auto stats = s.id ? e.tcp().udp_stats(*s.id) : std::nullopt;
  return stats ? stats->remote : std::nullopt;
}

std::size_t udp_next_size(const EmbeddedStack& e, const UdpSocket& s) {
  const auto next = s.id ? e.tcp().udp_peek(*s.id) : std::nullopt;
  return next ? next->len : 0;
}

ssize_t udp_send(EmbeddedStack& e, UdpSocket& s, std::span<const iovec> from, int flags,
                 const sockaddr* addr, socklen_t length, const msghdr* control) {
  constexpr std::size_t kMost = 0xffff;
  const std::size_t octets = total(from);
  if (const int fault = bind_if_not(e, s)) return -(fault == EADDRINUSE ? EAGAIN : fault);
  if (s.family == AF_INET) {  // udpv6_sendmsg asks for it later, or not at all
    if (octets > kMost) return -EMSGSIZE;
    if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  }
  std::optional<Endpoint> to;
  if (s.holding) addr = nullptr;  // one datagram, one destination
  if (const int fault = destination_of(e, s, addr, length, to)) return -fault;
  const auto peer = to ? to : udp_peer(e, s);
  if (!peer && !s.holding) return -EDESTADDRREQ;
  if (peer && peer->addr.is_v4() && s.family == AF_INET6) {
    if (octets > kMost) return -EMSGSIZE;
    if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  }
  if (to && to->port == 0) return -EINVAL;
  stack::UdpSend how = how_of(s, peer ? peer->addr : IpAddr{});
  if (control != nullptr && !s.holding) {
    const bool six = s.family == AF_INET6;
    if (const int fault = read_control(*control, peer->addr.is_v4(), six, how)) return -fault;
    if (how.source && !e.tcp().is_local(*how.source)) return -EINVAL;
  }
  if (const int error = take_error(e, s)) return -error;
  if (s.shut_write && !s.holding) return -EPIPE;  // what was begun is still added to
  if (octets > kMost) return -EMSGSIZE;
  if (nowhere_within(from, octets)) {
    e.changed(s, kOut);  // Linux: room that was taken for it is given back
    return -EFAULT;
  }
  std::vector<std::span<const std::byte>> pieces;
  pieces.reserve(from.size() + 1);
  for (const iovec& v : from) {
    pieces.emplace_back(static_cast<const std::byte*>(v.iov_base), v.iov_len);
  }
  if (!s.holding) {
    s.held_how = how;
    s.held_how.to = to;
  }
  const bool more = (flags & MSG_MORE) != 0 || s.options.cork != 0;
  const int fault = more ? hold(s, pieces, octets) : send_all(e, s, pieces);
  return fault != 0 ? -fault : static_cast<ssize_t>(octets);
}

int udp_flush(EmbeddedStack& e, UdpSocket& s) {
  std::vector<std::span<const std::byte>> none;
  return s.holding ? send_all(e, s, none) : 0;
}

ssize_t udp_receive(EmbeddedStack& e, UdpSocket& s, std::span<const iovec> to, int flags,
                    UdpArrival& arrival) {
  if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;
  if (const int error = take_error(e, s)) return -error;
  const auto next = s.id ? e.tcp().udp_peek(*s.id) : std::nullopt;
  // Linux: the end is for those who would wait.
  if (!next) return s.shut_read && !s.nonblock && (flags & MSG_DONTWAIT) == 0 ? 0 : -EAGAIN;
  arrival = {next->from, next->to, next->tos, next->ttl, next->at, false};
  const std::size_t whole = next->len;
  const bool nowhere = nowhere_within(to, whole);  // Linux: it is gone all the same
  const std::size_t done = nowhere ? 0 : copy_out(next->text, to);
  arrival.cut = done < whole;
  if ((flags & MSG_PEEK) == 0) {
    if (auto taken = e.tcp().udp_receive(*s.id)) e.tcp().release(std::move(taken->text));
    e.settle();  // its buffers go back
  }
  if (nowhere) return -EFAULT;
  return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? whole : done);
}

// datagram_poll().
std::uint32_t ready_of(const EmbeddedStack& e, const UdpSocket& s) {
  std::uint32_t bits = kOut;
  if (s.id && e.tcp().udp_error(*s.id) != stack::UdpError::kNone) bits |= EPOLLERR;
  if (s.shut_read) bits |= kIn | EPOLLRDHUP;
  if (s.shut_read && s.shut_write) bits |= EPOLLHUP;
  if (s.id && e.tcp().udp_peek(*s.id)) bits |= kIn;
  return bits;
}

void on_udp_event(EmbeddedStack& e, const stack::UdpReady& r) {
  const std::uint64_t user = e.tcp().udp_user_of(r.socket);
  Descriptor* d = user == 0 ? nullptr : e.descriptors().find(static_cast<int>(user - 1));
  if (d == nullptr || d->kind != Kind::kUdp) return;
  if (const auto& s = static_cast<UdpSocket&>(*d); !s.id || *s.id != r.socket) return;
  std::uint32_t why = 0;
  if ((r.events & stack::kUdpReadable) != 0) why |= kIn | EPOLLPRI | EPOLLRDBAND;
  if ((r.events & stack::kUdpWritable) != 0) why |= kOut;
  if ((r.events & stack::kUdpError) != 0) why |= EPOLLERR;
  if (why != 0) e.changed(*d, why);
}

}  // namespace weir::posix
