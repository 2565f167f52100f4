// Asking a stack thread: one request, one answer.
#pragma once

#include "preload/protocol.h"

namespace weir::preload {

// 0, or an errno: of the request, or ENETDOWN when that stack thread is no more. `fd`, unless null,
// gets the descriptor that came with the answer, close-on-exec, or -1.
[[nodiscard]] int ask(std::uint64_t stack, const Request& request, Reply& reply, int* fd = nullptr);

// Says that the program ends, and returns when the stack thread is done, or after `patience_ms`.
// May be called in a signal's handler.
void finish(std::uint64_t stack, int patience_ms);

// The name of the stand-in that `fd` is; false when it is none. Leaves errno.
[[nodiscard]] bool name_of(int fd, Name& name);

// A message with a descriptor, from a gate or an answer: what recvmsg returns.
[[nodiscard]] long receive_with(int from, void* data, std::size_t size, int flags, int& fd);

}  // namespace weir::preload
