#include "socket/options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::posix {

void apply_options(EmbeddedStack& e, TcpSocket& s) {
  if (!s.conn) return;
  if (s.options.nodelay) e.tcp().set_nodelay(*s.conn, true);
  if (s.options.cork) e.tcp().set_cork(*s.conn, true);
}

int set_option(EmbeddedStack& e, TcpSocket& s, int level, int name, const void* value,
               socklen_t length) {
  int v = 0;
  if (length < sizeof v) return EINVAL;
  std::memcpy(&v, value, sizeof v);
  if (level == SOL_SOCKET && name == SO_REUSEADDR) return s.options.reuse_addr = v != 0, 0;
  if (level == SOL_SOCKET && name == SO_REUSEPORT) return s.options.reuse_port = v != 0, 0;
  if (level == IPPROTO_TCP && name == TCP_NODELAY) {
    s.options.nodelay = v != 0;
    if (s.conn) e.tcp().set_nodelay(*s.conn, v != 0);
    e.settle();
    return 0;
  }
  return ENOPROTOOPT;
}

int get_option(EmbeddedStack&, TcpSocket& s, int level, int name, void* value, socklen_t& length) {
  if (level != SOL_SOCKET || name != SO_ERROR) return ENOPROTOOPT;
  int v = take_error(s);
  if (v == 0) v = std::exchange(s.soft_error, 0);
  length = std::min<socklen_t>(length, sizeof v);
  std::memcpy(value, &v, length);
  return 0;
}

}  // namespace weir::posix
