#include "preload/siblings.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/siphash.h"
#include "preload/protocol.h"

namespace weir::preload {
namespace {

constexpr std::uint64_t kLookAgain = 50'000;  // us
constexpr int kBurst = 64;                    // that a call looks at

socklen_t write_slot(std::uint64_t key, unsigned slot, sockaddr_un& out) {
  out = {};
  out.sun_family = AF_UNIX;
  const int n = std::snprintf(out.sun_path + 1, sizeof out.sun_path - 1, "weir-slot/%016llx/%u",
                              static_cast<unsigned long long>(key), slot);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<unsigned>(n));
}

unsigned octet(std::span<const std::byte> frame, std::size_t at) {
  return std::to_integer<unsigned>(frame[at]);
}

}  // namespace

Siblings::~Siblings() {
  if (fd_ >= 0) close(fd_);
}

bool Siblings::join(std::string_view key) {
  key_ = siphash24({}, std::as_bytes(std::span(key)));  // no secret: a name
  fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  if (fd_ < 0 || setsockopt(fd_, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return false;
  for (slot_ = 0; slot_ < kSlots; ++slot_) {
    sockaddr_un name;
    const socklen_t length = write_slot(key_, slot_, name);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&name), length) == 0) return true;
    if (errno != EADDRINUSE) return false;
  }
  return false;
}

bool Siblings::send(unsigned slot, std::span<const std::byte> frame, std::uint32_t visited) const {
  sockaddr_un name;
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = write_slot(key_, slot, name);
  std::array<iovec, 2> parts{iovec{&visited, sizeof visited},
                             iovec{const_cast<std::byte*>(frame.data()), frame.size()}};
  message.msg_iov = parts.data();
  message.msg_iovlen = frame.empty() ? 0 : parts.size();
  return sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

// Who is there is looked for now and then: most stacks are alone.
void Siblings::look_around(std::uint64_t now_us) {
  if (looked_us_ != 0 && now_us - looked_us_ < kLookAgain) return;
  looked_us_ = now_us;
  others_ = 0;
  for (unsigned s = 0; s < kSlots; ++s) {
    if (s != slot_ && (send(s, {}, 0) || errno == EAGAIN)) others_ |= 1U << s;
  }
}

bool Siblings::pass_on(std::span<const std::byte> frame, std::uint32_t visited,
                       std::uint64_t now_us) {
  if (visited == kEverybody || frame.size() > kMaxFrame) return false;
  look_around(now_us);
  visited |= 1U << slot_;
  for (unsigned s = 0; s < kSlots; ++s) {
    if ((others_ & ~visited & 1U << s) == 0) continue;
    if (send(s, frame, visited) || errno == EAGAIN) return true;
  }
  return false;
}

void Siblings::tell_all(std::span<const std::byte> frame, std::uint64_t now_us) {
  if (frame.size() > kMaxFrame) return;
  look_around(now_us);
  for (unsigned s = 0; s < kSlots; ++s) {
    if ((others_ & 1U << s) != 0) (void)send(s, frame, kEverybody);
  }
}

long Siblings::receive() {
  iovec iov{room_.data(), room_.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred))> control{};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return -1;
  const cmsghdr* const c = CMSG_FIRSTHDR(&message);
  if (c == nullptr || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS) return 0;
  ucred who{};
  std::memcpy(&who, CMSG_DATA(c), sizeof who);
  return may_trace(who.uid) ? n : 0;
}

Siblings::Passed Siblings::take() {
  for (int i = 0; i < kBurst; ++i) {
    const long n = receive();
    if (n < 0) return {};
    Passed out;
    if (static_cast<std::size_t>(n) <= sizeof out.visited) continue;  // somebody looked around
    std::memcpy(&out.visited, room_.data(), sizeof out.visited);
    out.frame = std::span(room_).subspan(sizeof out.visited,
                                         static_cast<std::size_t>(n) - sizeof out.visited);
    return out;
  }
  return {};
}

bool Siblings::concerns_all(std::span<const std::byte> frame) {
  constexpr std::size_t kArp = 42, kNd = 78;  // octets of the shortest
  constexpr unsigned kIcmp6 = 58, kAdvertisement = 136;
  if (frame.size() < kArp) return false;
  const unsigned type = octet(frame, 12) << 8U | octet(frame, 13);
  if (type == 0x0806) return octet(frame, 21) == 2;  // RFC 826: a reply
  return type == 0x86dd && frame.size() >= kNd && octet(frame, 20) == kIcmp6 &&
         octet(frame, 54) == kAdvertisement;  // RFC 4861 §4.4
}

PortRange share_of(PortRange all, unsigned slot) {
  const unsigned ports = all.high - all.low + 1U;
  const unsigned half = ports / 2, part = (ports - half) / (Siblings::kSlots - 1);
  if (half == 0 || part == 0) return all;  // too few to share
  const unsigned low = slot == 0 ? all.low : all.low + half + (slot - 1) * part;
  const unsigned high = low + (slot == 0 ? half : part) - 1;
  return {static_cast<std::uint16_t>(low), static_cast<std::uint16_t>(high)};
}

}  // namespace weir::preload
