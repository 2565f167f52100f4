#include "preload/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "preload/real.h"

namespace weir::preload {
namespace {

int knock(std::uint64_t stack) {
  sockaddr_storage address;
  const socklen_t length = write_door(stack, address);
  const int fd = real().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  while (real().connect(fd, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno == EINTR) continue;
    close(fd);
    errno = ENETDOWN;
    return -1;
  }
  return fd;
}

}  // namespace

long receive_with(int from, void* data, std::size_t size, int flags, int& fd) {
  iovec iov{data, size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  fd = -1;
  const ssize_t n = recvmsg(from, &message, flags);
  if (n < 0) return n;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    }
  }
  return n;
}

int ask(std::uint64_t stack, const Request& request, Reply& reply, int* fd) {
  const int to = knock(stack);
  if (to < 0) return errno;
  long n = 0;
  int got = -1;
  do {
    n = send(to, &request, sizeof request, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof request) {
    do {
      n = receive_with(to, &reply, sizeof reply, MSG_CMSG_CLOEXEC, got);
    } while (n < 0 && errno == EINTR);
  }
  close(to);
  if (n != sizeof reply) return ENETDOWN;
  if (fd != nullptr) {
    *fd = got;
  } else if (got >= 0) {
    close(got);
  }
  return reply.error;
}

void finish(std::uint64_t stack, int patience_ms) {
  const int to = knock(stack);
  if (to < 0) return;
  Request request;
  request.op = Op::kFinish;
  pollfd done{to, POLLIN, 0};
  if (send(to, &request, sizeof request, MSG_NOSIGNAL) == sizeof request) {
    (void)real().poll(&done, 1, patience_ms);  // hangs up when all is over
  }
  close(to);
}

void set_for_stand_in(int fd, int name, const void* value, socklen_t size) {
  if (name != SO_RCVTIMEO && name != SO_SNDTIMEO) return;
  (void)real().setsockopt(fd, SOL_SOCKET, name, value, size);
}

int take_arrival(int gate, int flags, Arrival& arrival) {
  const int spare = fcntl(gate, F_DUPFD_CLOEXEC, 0);  // for want of one recvmsg loses it
  if (spare < 0) return -1;
  close(spare);
  int made = -1;
  const long n = receive_with(gate, &arrival, sizeof arrival,
                              (flags & SOCK_CLOEXEC) != 0 ? MSG_CMSG_CLOEXEC : 0, made);
  if (n > 0 && made >= 0) return made;
  if (n >= 0) errno = n == 0 ? EINVAL : EMFILE;  // EINVAL: no longer listening
  return -1;
}

bool name_of(int fd, Name& name) {
  const int before = errno;
  sockaddr_storage address;
  socklen_t length = sizeof address;
  const bool is = real().getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
                  read_name(address, length, name);
  errno = before;
  return is;
}

}  // namespace weir::preload
