#include "preload/protocol.h"

#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace weir::preload {
namespace {

constexpr std::array<char, 8> kMark = {'\0', 'w', 'e', 'i', 'r', '/', '1', '/'};
constexpr socklen_t kNameLength =
    static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kMark.size() + sizeof(Name));
static_assert(sizeof(sockaddr_un::sun_path) >= kMark.size() + sizeof(Name));

}  // namespace

ShortAddress shorten(const sockaddr_storage& address) {
  ShortAddress out;
  if (address.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &address, sizeof in);
    out.family = AF_INET;
    out.port = in.sin_port;
    std::memcpy(out.octets.data(), &in.sin_addr, sizeof in.sin_addr);
  } else if (address.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &address, sizeof in);
    out.family = AF_INET6;
    out.port = in.sin6_port;
    out.scope = in.sin6_scope_id;
    std::memcpy(out.octets.data(), &in.sin6_addr, sizeof in.sin6_addr);
  }
  return out;
}

socklen_t lengthen(const ShortAddress& address, sockaddr_storage& out) {
  out = {};
  if (address.family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = address.port;
    std::memcpy(&in.sin_addr, address.octets.data(), sizeof in.sin_addr);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  if (address.family == AF_INET6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = address.port;
    in.sin6_scope_id = address.scope;
    std::memcpy(&in.sin6_addr, address.octets.data(), sizeof in.sin6_addr);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  return 0;
}

socklen_t write_name(const Name& name, sockaddr_storage& out) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, kMark.data(), kMark.size());
  std::memcpy(un.sun_path + kMark.size(), &name, sizeof name);
  out = {};
  std::memcpy(&out, &un, sizeof un);
  return kNameLength;
}

bool read_name(const sockaddr_storage& address, socklen_t length, Name& name) {
  if (address.ss_family != AF_UNIX || length != kNameLength) return false;
  sockaddr_un un;
  std::memcpy(&un, &address, sizeof un);
  if (std::memcmp(un.sun_path, kMark.data(), kMark.size()) != 0) return false;
  std::memcpy(&name, un.sun_path + kMark.size(), sizeof name);
  return true;
}

socklen_t write_door(std::uint64_t stack, sockaddr_storage& out) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const int n = std::snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "weir-stack/%016llx",
                              static_cast<unsigned long long>(stack));
  out = {};
  std::memcpy(&out, &un, sizeof un);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<unsigned>(n));
}

bool may_trace(uid_t user) {
  return user == 0 || user == geteuid() || user == getuid();
}

bool send_with(int to, const void* data, std::size_t size, int fd) {
  iovec iov{const_cast<void*>(data), size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  return sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace weir::preload
