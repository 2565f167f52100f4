// bind, listen, accept, connect, shutdown, close of a TCP socket (RFC 9293 §3.10.1, §3.10.4-5), in
// the words of Linux's net/ipv4/af_inet.c.
#include <algorithm>
#include <cerrno>
#include <memory>

#include "socket/names.h"
#include "socket/options.h"
#include "socket/tcp_socket.h"

namespace weir::posix {
namespace {

bool is_ours(const EmbeddedStack& e, const IpAddr& addr) {
  if (e.tcp().is_local(addr)) return true;
  return addr.is_unspecified();
}

int bind_fault(const EmbeddedStack& e, const TcpSocket& s, const Name& name) {
  if (name.error != 0) return name.error;
  const int taken = s.phase != Phase::kClosed || s.port_held() != 0 ? EINVAL : 0;
  if (s.family == AF_INET6 && (taken != 0 || (name.at.addr.is_v4() && s.options.v6_only))) {
    return EINVAL;
  }
  return is_ours(e, name.at.addr) || s.options.freebind != 0 ? taken : EADDRNOTAVAIL;
}

// What a socket without a connection is again: its name goes, but for what bind gave it, and for
// the port, which is told even when it is given back.
void forget_names(TcpSocket& s) {
  s.peer = {};
  if (!s.bound_addr) s.local.addr = any_of(s.v4_only());
}

void send_fin(EmbeddedStack& e, TcpSocket& s) {
  e.tcp().shutdown_send(*s.conn);
  s.fin_out = true;
}

void stop_listening(EmbeddedStack& e, TcpSocket& s) {
  e.tcp().stop_listening(s.listener);
  e.listens_no_more(s);
  s.phase = Phase::kClosed;
  s.came = 0;
}

// tcp_disconnect(): whatever the socket was, it is as new, bound as it was bound.
void disconnect(EmbeddedStack& e, TcpSocket& s) {
  s.port_back = s.port_back || (s.phase != Phase::kClosed && !s.bound_port);
  if (s.phase == Phase::kListening) {
    stop_listening(e, s);
  } else if (s.phase != Phase::kClosed) {
    s.error = ECONNRESET;
  }
  detach(e, s, true);
  s.phase = Phase::kClosed;
  s.shut_read = s.shut_write = s.fin_seen = false;
  forget_names(s);
}

// Where connect is to go: 0.0.0.0 and :: are this host.
int remote_of(const EmbeddedStack& e, const TcpSocket& s, const sockaddr* addr, socklen_t length,
              Endpoint& remote) {
  const Name name = name_of(s.family, addr, length);
  if (name.error != 0) return name.error;
  remote = name.at;
  if (remote.addr.is_v4() && s.family == AF_INET6 && s.options.v6_only) return ENETUNREACH;
  if (remote.addr.is_unspecified()) {
    const bool v4 = s.v4_only() || remote.addr.is_v4() || s.local.addr.is_v4();
    const auto self = e.tcp().default_source(v4);
    if (!self) return ENETUNREACH;
    remote.addr = *self;
  }
  if (remote.port == 0) return ECONNREFUSED;
  return s.family == AF_INET6 && s.local.addr.is_v4() && !remote.addr.is_v4() ? EAFNOSUPPORT : 0;
}

// From the ports of the socket's own range: the first whose 4-tuple is free.
Result<stack::ConnId, stack::Error> connect_within(EmbeddedStack& e, const TcpSocket& s,
                                                   const Endpoint& remote,
                                                   const std::optional<IpAddr>& local,
                                                   const stack::ConnOptions& own) {
  const PortRange r = port_range(e, s);
  const std::uint32_t ports = std::uint32_t{r.high} - r.low + 1;
  const auto start = static_cast<std::uint32_t>(e.draw() % ports);
  for (std::uint32_t i = 0; i < ports; ++i) {
    const auto port = static_cast<std::uint16_t>(r.low + (start + i) % ports);
    const auto id = e.tcp().connect(remote, local, e.now(), port, &own);
    const bool taken = !id.ok() && (id.error() == stack::Error::kAddressInUse ||
                                    id.error() == stack::Error::kNoPort);
    if (!taken) return id;
  }
  return stack::Error::kNoPort;
}

int open_connection(EmbeddedStack& e, TcpSocket& s, const Endpoint& remote) {
  const bool any = s.local.addr.is_unspecified();
  const stack::ConnOptions own = conn_options(s, remote.addr.is_v4());
  const auto local = any ? std::nullopt : std::optional(s.local.addr);
  const bool within = s.port_held() == 0 && s.options.port_range != 0;
  const auto id = within ? connect_within(e, s, remote, local, own)
                         : e.tcp().connect(remote, local, e.now(), s.port_held(), &own);
  if (!id.ok()) {
    const int error = errno_of(id.error());
    return error == EADDRINUSE ? EADDRNOTAVAIL : error;  // of this very 4-tuple
  }
  attach(e, s, id.value());
  apply_rest(e, s);
  s.error = s.soft_error = 0;
  s.last.reset();
  s.phase = Phase::kOpening;
  s.use = Use::kConnecting;
  e.settle();
  return 0;
}

}  // namespace

int tcp_bind(EmbeddedStack& e, TcpSocket& s, const sockaddr* addr, socklen_t length) {
  Name name = name_of(s.family, addr, length);
  // Linux: AF_UNSPEC with 0.0.0.0 is AF_INET, for programs of old.
  if (name.error == EAFNOSUPPORT && s.v4_only() && addr->sa_family == AF_UNSPEC) {
    sockaddr_storage in{};
    std::copy_n(reinterpret_cast<const char*>(addr), sizeof(sockaddr),
                reinterpret_cast<char*>(&in));
    in.ss_family = AF_INET;
    const Name as4 = name_of(AF_INET, reinterpret_cast<const sockaddr*>(&in), sizeof(sockaddr));
    if (as4.at.addr.is_unspecified()) name = as4;
  }
  if (const int fault = bind_fault(e, s, name)) return fault;
  if (name.at.port == 0 && s.options.no_port != 0) {
    s.local = name.at;  // connect or listen chooses one
  } else if (const int fault = claim_port(e, s, name.at)) {
    s.local.addr = any_of(s.v4_only());  // inet_reset_saddr
    return fault;
  }
  s.bound_addr = !name.at.addr.is_unspecified() || (!s.v4_only() && name.at.addr.is_v4());
  s.bound_port = name.at.port != 0;
  if (!s.v4_only() && s.bound_addr && !name.at.addr.is_v4()) s.options.v6_only = 1;
  return 0;
}

int tcp_listen(EmbeddedStack& e, TcpSocket& s, int backlog) {
  // Linux: below 0 is without a limit, and one more than `backlog` may wait (sk_acceptq_is_full).
  const auto asked = static_cast<std::uint32_t>(backlog);
  const std::uint32_t told = std::min(asked, e.tcp_config().somaxconn);
  const std::uint32_t most = told + 1;
  if (s.phase == Phase::kListening) {
    s.backlog = told;
    e.tcp().set_backlog(s.listener, most);
    return 0;
  }
  if (s.use != Use::kUnconnected || s.phase != Phase::kClosed) return EINVAL;
  if (s.port_held() == 0) {
    if (const int fault = claim_port(e, s, {s.local.addr, 0})) return fault;
  } else if (!may_listen(e, s)) {
    return EADDRINUSE;
  }
  const stack::ListenOptions how{most, s.options.reuse_port != 0, s.options.v6_only != 0,
                                 conn_options(s, s.v4_only()),
                                 std::chrono::seconds(s.options.defer_accept)};
  const auto id = e.tcp().listen(s.local, how);
  if (!id.ok()) return errno_of(id.error());
  s.listener = id.value();
  s.backlog = told;
  e.tcp().pause_accept(s.listener, true);  // accept asks for them, one by one
  s.phase = Phase::kListening;
  e.listens(s);
  return 0;
}

TcpSocket* tcp_accept(EmbeddedStack& e, TcpSocket& s, int flags, int& error) {
  error = EINVAL;
  if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return nullptr;
  error = EMFILE;
  if (e.descriptors().full()) return nullptr;
  error = EINVAL;
  if (s.phase != Phase::kListening) return nullptr;
  error = EAGAIN;
  const auto id = e.tcp().accept_one(s.listener);
  if (!id) return nullptr;
  auto made = std::make_unique<TcpSocket>(s.family);
  TcpSocket& child = *made;
  child.options = s.options;
  child.bound_addr = s.bound_addr;
  child.shut_read = s.shut_read;
  child.shut_write = s.shut_write;
  child.nonblock = (flags & SOCK_NONBLOCK) != 0;
  child.cloexec = (flags & SOCK_CLOEXEC) != 0;
  std::unique_ptr<Descriptor> owned = std::move(made);
  (void)e.descriptors().add(owned);
  attach(e, child, *id);
  child.phase = Phase::kOpen;
  child.use = Use::kConnected;
  apply_rest(e, child);
  if (child.shut_write) send_fin(e, child);
  e.settle();  // what it did while it waited
  error = 0;
  return &child;
}

int tcp_connect(EmbeddedStack& e, TcpSocket& s, const sockaddr* addr, socklen_t length) {
  if (length < sizeof(sa_family_t)) return EINVAL;
  if (addr->sa_family == AF_UNSPEC) {
    disconnect(e, s);
    s.use = Use::kUnconnected;
    e.settle();
    e.changed(s);
    return 0;
  }
  switch (s.use) {
    case Use::kDisconnecting:
      return EINVAL;
    case Use::kConnected:
      return EISCONN;
    case Use::kConnecting:
      break;
    case Use::kUnconnected: {
      if (s.phase != Phase::kClosed || s.conn) return EISCONN;
      Endpoint remote;
      if (const int fault = remote_of(e, s, addr, length, remote)) return fault;
      const int fault = open_connection(e, s, remote);
      return fault != 0 ? fault : EINPROGRESS;  // whatever became of it meanwhile
    }
  }
  if (s.phase == Phase::kOpening) return EALREADY;
  if (s.phase == Phase::kClosed) {  // it failed
    const int error = take_error(s);
    disconnect(e, s);
    s.use = Use::kUnconnected;
    e.changed(s);
    return error != 0 ? error : ECONNABORTED;
  }
  s.use = Use::kConnected;
  return 0;
}

int tcp_shutdown(EmbeddedStack& e, TcpSocket& s, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return EINVAL;
  const bool read = how != SHUT_WR, write = how != SHUT_RD;
  if (s.use == Use::kConnecting) {
    s.use = s.phase == Phase::kOpen ? Use::kConnected : Use::kDisconnecting;
  }
  const Phase was = s.phase;
  if (was == Phase::kOpening || (was == Phase::kListening && read)) {
    disconnect(e, s);
    s.use = Use::kUnconnected;
  } else if (was != Phase::kListening) {
    s.shut_read = s.shut_read || read;
    if (write && s.conn) send_fin(e, s);  // shut before it was connected, or not
    s.shut_write = s.shut_write || write;
  }
  e.settle();
  e.changed(s);
  return was == Phase::kClosed ? ENOTCONN : 0;
}

void tcp_close(EmbeddedStack& e, TcpSocket& s) {
  if (s.phase == Phase::kListening) stop_listening(e, s);
  detach(e, s, s.options.linger != 0 && s.options.linger_s == 0);
}

}  // namespace weir::posix
