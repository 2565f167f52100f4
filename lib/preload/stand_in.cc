#include "preload/stand_in.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace weir::preload {
namespace {

constexpr std::size_t kPiece = 16'384;  // of padding
constexpr std::array<std::byte, kPiece> kPadding{};

bool writable(int fd) {
  pollfd p{fd, POLLOUT, 0};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

}  // namespace

bool StandIn::make(const Name& name, bool filled, StandIn& out, int& theirs) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  out.fd = ends[0];
  theirs = ends[1];
  out.padding_ = 0;
  sockaddr_storage address;
  const socklen_t length = write_name(name, address);
  const int on = 1;  // urgent text is text: what a program sends with MSG_OOB arrives in its place
  (void)setsockopt(out.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  bool good = bind(theirs, reinterpret_cast<const sockaddr*>(&address), length) == 0 &&
              send(theirs, kPadding.data(), 1, MSG_DONTWAIT) == 1;  // the anchor
  while (good && filled && writable(theirs)) {
    const ssize_t n = send(theirs, kPadding.data(), kPadding.size(), MSG_DONTWAIT);
    if (n <= 0) break;
    out.padding_ += static_cast<std::size_t>(n);
  }
  if (good) return true;
  const int why = errno;
  close(std::exchange(out.fd, -1));
  close(std::exchange(theirs, -1));
  errno = why;
  return false;
}

void StandIn::settle() {
  std::array<std::byte, kPiece> sink;
  while (padding_ > 0) {
    const ssize_t n = recv(fd, sink.data(), std::min(padding_, sink.size()), MSG_DONTWAIT);
    if (n <= 0) return;
    padding_ -= static_cast<std::size_t>(n);
  }
}

bool StandIn::pass_mark() {
  int octets = 0;
  std::byte anchor;
  if (ioctl(fd, FIONREAD, &octets) != 0) return false;
  marked_ = octets > 1;
  bare_ = marked_ && recv(fd, &anchor, 1, MSG_DONTWAIT) == 1;
  return bare_;
}

std::span<const std::byte> StandIn::look(std::span<std::byte> room) {
  const std::size_t anchor = bare_ ? 0 : 1;
  const ssize_t n = recv(fd, room.data(), room.size(), MSG_PEEK | MSG_DONTWAIT);
  if (n == 1 && marked_ && !bare_ && pass_mark()) return look(room);
  if (n <= static_cast<ssize_t>(anchor)) return {};
  return room.subspan(anchor, static_cast<std::size_t>(n) - anchor);
}

void StandIn::take(std::size_t octets, std::span<std::byte> room) {
  if (bare_) --octets;  // the last of them is the anchor now
  bare_ = false;
  while (octets > 0) {
    const ssize_t n = recv(fd, room.data(), octets, MSG_DONTWAIT);
    if (n <= 0) return;
    octets -= static_cast<std::size_t>(n);
  }
}

long StandIn::give(std::span<const std::byte> text) const {
  return send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void StandIn::end_of_text() const {
  shutdown(fd, SHUT_WR);
}

void StandIn::break_off() {
  if (fd >= 0) close(std::exchange(fd, -1));
}

void StandIn::close_down() {
  if (fd < 0) return;
  std::array<std::byte, kPiece> sink;
  while (recv(fd, sink.data(), sink.size(), MSG_DONTWAIT) > 0) {
  }
  close(std::exchange(fd, -1));
}

bool StandIn::unread() const {
  int octets = 0;
  return ioctl(fd, SIOCOUTQ, &octets) == 0 && octets > 0;
}

}  // namespace weir::preload
