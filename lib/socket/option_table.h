// Options that are one int each: where it is kept, what is allowed, which error says that it is
// not.
#pragma once

#include "socket/tcp_options.h"

namespace weir::posix {

struct IntOption {
  int level, name;
  int TcpOptions::*value;
  bool boolean = false;  // any int: 0 or 1 is kept
  int least = 0, most = 0x7fff'ffff;
};

// Null for an option that is more than an int of its own.
[[nodiscard]] const IntOption* int_option(int level, int name);

}  // namespace weir::posix
