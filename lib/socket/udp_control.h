// Control messages that go with a datagram: what the program says of one alone.
#pragma once

#include <sys/socket.h>

#include "stack/udp.h"

namespace weir::posix {

// What `m` says, into `how`, for a destination of IPv4 (of a socket of IPv6 as well, with `six`) or
// of IPv6. 0, or EINVAL for what is not known, out of range or cut.
int read_control(const msghdr& m, bool v4, bool six, stack::UdpSend& how);

}  // namespace weir::posix
