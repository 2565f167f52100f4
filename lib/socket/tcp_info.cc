// What a connection tells of itself: struct tcp_info, and the figures that single options tell.
#include <linux/tcp.h>

#include <algorithm>
#include <cstring>

#include "socket/options.h"

namespace weir::posix {
namespace {

// As in <netinet/tcp.h>.
int linux_state(const EmbeddedStack& e, const TcpSocket& s) {
  constexpr int kClose = 7, kListen = 10;
  if (s.phase == Phase::kListening) return kListen;
  if (s.phase == Phase::kClosed || !s.conn) return kClose;
  switch (e.tcp().state_of(*s.conn)) {
    case tcp::State::kEstablished:
      return 1;
    case tcp::State::kSynSent:
      return 2;
    case tcp::State::kSynReceived:
      return 3;
    case tcp::State::kFinWait1:
      return 4;
    case tcp::State::kFinWait2:
      return 5;
    case tcp::State::kTimeWait:
      return 6;
    case tcp::State::kCloseWait:
      return 8;
    case tcp::State::kLastAck:
      return 9;
    case tcp::State::kClosing:
      return 11;
    case tcp::State::kClosed:
    case tcp::State::kListen:
      break;
  }
  return kClose;
}

}  // namespace

int get_info(const EmbeddedStack& e, const TcpSocket& s, void* value, socklen_t& length) {
  tcp_info info{};
  info.tcpi_state = static_cast<__u8>(linux_state(e, s));
  length = static_cast<socklen_t>(std::min<std::size_t>(length, sizeof info));
  std::memcpy(value, &info, length);
  return 0;
}

int mss_of(const EmbeddedStack&, const TcpSocket&) {
  return 0;
}

int mtu_of(const EmbeddedStack& e, const TcpSocket&) {
  return e.config().mtu;
}

int receive_buffer_of(const EmbeddedStack& e, const TcpSocket& s) {
  const tcp::Config& c = e.tcp_config();
  return s.options.rcvbuf != 0 ? s.options.rcvbuf
                               : static_cast<int>(std::min(c.rmem_default, c.rmem));
}

int send_buffer_of(const EmbeddedStack& e, const TcpSocket& s) {
  return s.options.sndbuf != 0 ? s.options.sndbuf : static_cast<int>(e.tcp_config().wmem);
}

std::size_t not_sent(const EmbeddedStack&, const TcpSocket&) {
  return 0;
}

}  // namespace weir::posix
