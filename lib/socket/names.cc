#include "socket/names.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace weir::posix {
namespace {

constexpr socklen_t kSockaddr6Min = 24;  // RFC 2133's, without sin6_scope_id

Name name4(const sockaddr* addr, socklen_t length) {
  sockaddr_in in{};
  if (length < sizeof in) return {{}, EINVAL};
  std::memcpy(&in, addr, sizeof in);
  if (in.sin_family != AF_INET) return {{}, EAFNOSUPPORT};
  return {{IpAddr::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)}, 0};
}

Name name6(const sockaddr* addr, socklen_t length) {
  sockaddr_in6 in{};
  if (length < kSockaddr6Min) return {{}, EINVAL};
  std::memcpy(&in, addr, std::min<std::size_t>(length, sizeof in));
  if (in.sin6_family != AF_INET6) return {{}, EAFNOSUPPORT};
  std::array<std::uint8_t, 16> octets{};
  std::memcpy(octets.data(), &in.sin6_addr, octets.size());
  return {{IpAddr::v6(octets), ntohs(in.sin6_port)}, 0};
}

}  // namespace

Name name_of(int family, const sockaddr* addr, socklen_t length) {
  return family == AF_INET6 ? name6(addr, length) : name4(addr, length);
}

socklen_t write_name(int family, const Endpoint& at, sockaddr_storage& out) {
  std::memset(&out, 0, sizeof out);
  if (family == AF_INET6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(at.port);
    // 0.0.0.0 of a socket that is bound to ::ffff:0.0.0.0 is told as it was given.
    std::memcpy(&in.sin6_addr, at.addr.octets().data(), at.addr.octets().size());
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(at.port);
  in.sin_addr.s_addr = at.addr.is_v4() ? htonl(at.addr.v4_value()) : 0;
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

int give_name(int family, const Endpoint& at, sockaddr* addr, socklen_t* length) {
  if (length == nullptr) return EFAULT;
  if (static_cast<int>(*length) < 0) return EINVAL;
  if (addr == nullptr && *length > 0) return EFAULT;
  sockaddr_storage name;
  const socklen_t size = write_name(family, at, name);
  if (addr != nullptr) std::memcpy(addr, &name, std::min(*length, size));
  *length = size;
  return 0;
}

}  // namespace weir::posix
