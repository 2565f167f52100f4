// From a socket that waits to one that the stack has: opened, listening or connecting.
#pragma once

#include "preload/waiting.h"

namespace weir::preload {

// Each returns 0 or an errno, starts the stack thread if there is none, and is called with the
// waiting room locked. `w` is no more where a stand-in took its place.
[[nodiscard]] int open_socket(Waiting& w);
[[nodiscard]] int start_listening(Waiting& w, int fd);
[[nodiscard]] int start_connecting(Waiting& w, int fd, const sockaddr_storage& to,
                                   socklen_t length);
// The kernel has it from now on: bound there, if the program did.
[[nodiscard]] int leave_to_kernel(const Waiting& w, int fd);

// Where a program is about to wait for connections on `fd`: the time to start the stack.
[[nodiscard]] int listen_if_waiting(int fd);

}  // namespace weir::preload
