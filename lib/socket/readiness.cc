// What poll says of a socket (Linux's tcp_poll, inet_csk_listen_poll), and who is told.
#include <sys/epoll.h>

#include <algorithm>

#include "socket/epoll.h"
#include "socket/options.h"
#include "socket/tcp_socket.h"
#include "socket/udp_socket.h"

namespace weir::posix {
namespace {

constexpr std::uint32_t kIn = EPOLLIN | EPOLLRDNORM, kOut = EPOLLOUT | EPOLLWRNORM;

// At least a third of the send buffer is free, and of TCP_NOTSENT_LOWAT more than half
// (sk_stream_is_writeable).
bool writable(const EmbeddedStack& e, const TcpSocket& s) {
  if (!s.conn || s.shut_write) return true;
  const auto told = static_cast<std::size_t>(send_buffer_of(e, s));
  const std::size_t all = s.options.sndbuf != 0 ? told / 2 : told;  // Linux tells twice what is set
  const std::size_t used = e.tcp().unacked(*s.conn);
  if (used > all || all - used < all / 3) return false;
  const auto lowat = static_cast<std::uint32_t>(s.options.notsent_lowat);
  return lowat == 0 || not_sent(e, s) < (std::size_t{lowat} + 1) / 2;
}

}  // namespace

bool readable(const EmbeddedStack& e, const TcpSocket& s) {
  const int most = std::max(receive_buffer_of(e, s) / 2, 1);
  const auto mark = static_cast<std::size_t>(std::min(s.options.rcvlowat, most));
  return unread(e, s) >= mark;
}

namespace {

std::uint32_t ready_of_listener(const EmbeddedStack& e, const TcpSocket& s) {
  const auto stats = e.tcp().listener_stats(s.listener);
  return stats && stats->waiting > 0 ? kIn : 0U;
}

}  // namespace

std::uint32_t ready_of(const EmbeddedStack& e, const TcpSocket& s) {
  if (s.phase == Phase::kListening) return ready_of_listener(e, s);
  std::uint32_t bits = 0;
  if ((s.shut_read && s.shut_write) || s.phase == Phase::kClosed) bits |= EPOLLHUP;
  if (s.shut_read) bits |= kIn | EPOLLRDHUP;
  if (s.phase != Phase::kOpening) {
    if (readable(e, s)) bits |= kIn;
    if (writable(e, s)) bits |= kOut;
    if (s.conn && e.tcp().urgent(*s.conn).octets > 0) bits |= EPOLLPRI;
  }
  if (s.error != 0) bits |= EPOLLERR;
  return bits;
}

std::uint32_t ready_of(const EmbeddedStack& e, const Descriptor& d) {
  switch (d.kind) {
    case Kind::kTcp:
      return ready_of(e, static_cast<const TcpSocket&>(d));
    case Kind::kEpoll:
      return ready_of(e, static_cast<const Epoll&>(d));
    case Kind::kUdp:
      return ready_of(e, static_cast<const UdpSocket&>(d));
  }
  return 0;
}

void EmbeddedStack::changed(Descriptor& d, std::uint32_t why) {
  if (d.fd < 0) return;
  const std::uint32_t bits = ready_fn_ == nullptr ? 0 : ready_of(*this, d);
  if (bits != 0) ready_fn_(ready_context_, d.fd, bits);
  if (!d.watchers.empty()) wake_watchers(*this, d, why);
}

}  // namespace weir::posix
