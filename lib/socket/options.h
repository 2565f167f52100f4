// setsockopt and getsockopt of a TCP socket: lengths, ranges and answers are Linux's.
#pragma once

#include "socket/tcp_socket.h"

namespace weir::posix {

// What is set goes to the connection that `s` has just got.
void apply_options(EmbeddedStack& e, TcpSocket& s);

// errnos, 0 for none. `value` and `length` are not null.
int set_option(EmbeddedStack& e, TcpSocket& s, int level, int name, const void* value,
               socklen_t length);
int get_option(EmbeddedStack& e, TcpSocket& s, int level, int name, void* value, socklen_t& length);

}  // namespace weir::posix
