// Calls of the kernel's that would take a program's sockets past the library of `weir run`:
// refused.
#pragma once

#include <string>

namespace weir::app {

// For this process, its children, and what they exec: io_uring_setup says EPERM, as where io_uring
// is switched off; sends with MSG_FASTOPEN, which connect without connect(), say EOPNOTSUPP.
// Without CAP_SYS_ADMIN no program started from here gains rights by set-user-ID any more
// (prctl(2), PR_SET_NO_NEW_PRIVS). Empty, or one line of why it cannot be.
[[nodiscard]] std::string refuse_calls();

}  // namespace weir::app
