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

// What the program set of its socket before the stand-in `fd` took its place, as far as the
// kernel's own calls look at it there: time-outs. Not buffers, which are the connection's: with
// more room it would be writable before it is connected, and with less never again, for the octet
// that always stays in it is charged with all that was written with it.
void set_for_stand_in(int fd, int name, const void* value, socklen_t size);

// One connection out of a gate: its descriptor, or -1 and errno as accept has it. Without a
// descriptor to be had it stays there (EMFILE). `flags`: SOCK_CLOEXEC.
[[nodiscard]] int take_arrival(int gate, int flags, Arrival& arrival);

// A message with a descriptor, from a gate or an answer: what recvmsg returns.
[[nodiscard]] long receive_with(int from, void* data, std::size_t size, int flags, int& fd);

}  // namespace weir::preload
