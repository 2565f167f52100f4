#include "socket/tcp_socket.h"

#include <cerrno>
#include <utility>

#include "base/assert.h"

namespace weir::posix {
namespace {

// The number of its descriptor plus one: 0 is nobody's.
std::uint64_t user_of(const TcpSocket& s) {
  return static_cast<std::uint64_t>(s.fd) + 1;
}

void on_closed(EmbeddedStack& e, TcpSocket& s, tcp::CloseReason reason) {
  // RFC 9293 §3.10.7.4 tells of a reset; Linux says EPIPE where the peer's FIN came before it.
  const bool half_closed = s.fin_seen && !s.fin_out;
  const int error = reason == tcp::CloseReason::kReset && half_closed ? EPIPE : errno_of(reason);
  if (error != 0) s.error = error;
  if (reason == tcp::CloseReason::kAborted) s.fin_seen = false;  // text before it is gone: no end
  s.phase = Phase::kClosed;
  s.shut_read = s.shut_write = true;
  s.port_back = !s.bound_port;
  forget_if_over(e, s);
}

// Linux: text that comes once our FIN is out and nobody reads answers a reset (RFC 1122 §4.2.2.13),
// though a FIN came with it.
bool text_for_nobody(const EmbeddedStack& e, const TcpSocket& s) {
  const tcp::State state = e.tcp().state_of(*s.conn);
  if (state == tcp::State::kEstablished) return false;  // shut before it was connected
  return s.shut_read && s.shut_write && !s.fin_seen && e.tcp().readable(*s.conn) > 0;
}

}  // namespace

int errno_of(stack::Error e) {
  switch (e) {
    case stack::Error::kAddressInUse:
      return EADDRINUSE;
    case stack::Error::kAddressNotLocal:
    case stack::Error::kNoPort:
      return EADDRNOTAVAIL;
    case stack::Error::kInvalidRemote:
    case stack::Error::kNoRoute:
      return ENETUNREACH;
    case stack::Error::kFull:
      return ENOBUFS;
  }
  return EINVAL;
}

int errno_of(tcp::CloseReason r) {
  switch (r) {
    case tcp::CloseReason::kNone:
    case tcp::CloseReason::kNormal:
      return 0;
    case tcp::CloseReason::kReset:
      return ECONNRESET;
    case tcp::CloseReason::kRefused:
      return ECONNREFUSED;
    case tcp::CloseReason::kTimedOut:
      return ETIMEDOUT;
    case tcp::CloseReason::kUnreachable:
      return EHOSTUNREACH;
    case tcp::CloseReason::kAborted:
      return ECONNABORTED;
    case tcp::CloseReason::kNetUnreachable:
      return ENETUNREACH;
    case tcp::CloseReason::kProtocol:
      return EPROTO;
  }
  return ECONNABORTED;
}

void attach(EmbeddedStack& e, TcpSocket& s, stack::ConnId id) {
  s.conn = id;
  s.port_back = s.fin_out = false;
  e.tcp().set_user(id, user_of(s));
  const FlowKey flow = e.tcp().flow_of(id);
  s.local = {flow.local, flow.local_port};
  s.peer = {flow.remote, flow.remote_port};
}

void detach(EmbeddedStack& e, TcpSocket& s, bool abort) {
  if (!s.conn) return;
  s.last = e.tcp().info(*s.conn);
  const bool waits = e.tcp().state_of(*s.conn) == tcp::State::kTimeWait;  // no reset ends it
  if (abort && !waits) {
    e.tcp().abort(*s.conn);
  } else {
    e.tcp().close(*s.conn);
  }
  s.conn.reset();
}

std::size_t unread(const EmbeddedStack& e, const TcpSocket& s) {
  return s.conn ? e.tcp().readable(*s.conn) : 0;
}

void forget_if_over(EmbeddedStack& e, TcpSocket& s) {
  if (!s.conn) return;
  // TIME-WAIT needs no socket: Linux ends it there too, and a record of its own takes the place.
  const bool over = s.phase == Phase::kClosed || e.tcp().state_of(*s.conn) == tcp::State::kTimeWait;
  if (!over) return;
  if (s.phase != Phase::kClosed) {
    s.phase = Phase::kClosed;
    s.shut_read = s.shut_write = true;
    s.port_back = !s.bound_port;
  }
  if (unread(e, s) > 0) return;
  detach(e, s, false);
}

int take_error(TcpSocket& s) {
  return std::exchange(s.error, 0);
}

void on_reset(EmbeddedStack& e, TcpSocket& s) {
  if (!s.conn) return;
  s.last = e.tcp().info(*s.conn);
  e.tcp().abort(*s.conn);  // with a RST in TIME-WAIT too: there is text that nobody has read
  s.conn.reset();
  on_closed(e, s, tcp::CloseReason::kReset);
  e.changed(s);
}

namespace {

// The bits that Linux wakes sleepers with (sock_def_readable, sk_stream_write_space; all else wakes
// whoever sleeps). A soft error wakes nobody.
std::uint32_t reason_of(std::uint16_t events) {
  if ((events & (stack::kConnected | stack::kPeerClosed | stack::kClosed)) != 0) return kAnyReason;
  std::uint32_t why = 0;
  if ((events & (stack::kReadable | stack::kUrgent)) != 0) {
    why |= EPOLLIN | EPOLLRDNORM | EPOLLPRI | EPOLLRDBAND;
  }
  if ((events & stack::kWritable) != 0) why |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
  return why;
}

}  // namespace

void on_event(EmbeddedStack& e, const stack::Ready& r) {
  const std::uint64_t user = e.tcp().user_of(r.conn);
  Descriptor* d = user == 0 ? nullptr : e.descriptors().find(static_cast<int>(user - 1));
  if (d == nullptr || d->kind != Kind::kTcp) return;
  auto& s = static_cast<TcpSocket&>(*d);
  if (!s.conn || *s.conn != r.conn) return;
  const auto has = [&r](stack::Event what) { return (r.events & what) != 0; };
  if (has(stack::kConnected)) s.phase = Phase::kOpen;
  if (has(stack::kSoftError)) s.soft_error = errno_of(e.tcp().soft_error(r.conn));
  if (has(stack::kReadable) && text_for_nobody(e, s)) {
    on_reset(e, s);
    return;
  }
  if (has(stack::kPeerClosed)) s.shut_read = s.fin_seen = true;
  if (has(stack::kWritable) && (ready_of(e, s) & EPOLLOUT) == 0) e.tcp().want_room(r.conn);
  if (has(stack::kClosed)) {
    on_closed(e, s, r.reason);
  } else {
    forget_if_over(e, s);
  }
  // Text below the low-water mark wakes nobody (tcp_data_ready).
  const bool below = has(stack::kReadable) && !readable(e, s);
  const auto events = static_cast<std::uint16_t>(below ? r.events & ~stack::kReadable : r.events);
  if (const std::uint32_t why = reason_of(events); why != 0) e.changed(s, why);
}

}  // namespace weir::posix
