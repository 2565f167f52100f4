// struct sockaddr and Endpoint. An AF_INET6 socket names IPv4 addresses as IPv4-mapped ones (RFC
// 4291 §2.5.5.2), which is how Endpoint holds them anyhow.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "base/addr.h"

namespace weir::posix {

// The name a program gave to a socket of `family`; else an errno: EINVAL (too short), EAFNOSUPPORT
// (another family).
struct Name {
  Endpoint at;
  int error = 0;
};
[[nodiscard]] Name name_of(int family, const sockaddr* addr, socklen_t length);

// Of `family`: 0.0.0.0 or :: for an address that is not set. Returns its true length.
socklen_t write_name(int family, const Endpoint& at, sockaddr_storage& out);

// As Linux's move_addr_to_user: at most *length octets, and the true length to it. 0; EFAULT,
// EINVAL.
int give_name(int family, const Endpoint& at, sockaddr* addr, socklen_t* length);

[[nodiscard]] constexpr IpAddr any_of(bool v4) {
  return v4 ? IpAddr::v4(std::uint32_t{0}) : IpAddr{};
}

}  // namespace weir::posix
