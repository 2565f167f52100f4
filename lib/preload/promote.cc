#include "preload/promote.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "preload/channel.h"
#include "preload/process.h"
#include "preload/real.h"

namespace weir::preload {
namespace {

void replay(const std::vector<std::byte>& options, int fd) {
  std::size_t at = 0;
  while (at + sizeof(OptionHead) <= options.size()) {
    OptionHead head;
    std::memcpy(&head, options.data() + at, sizeof head);
    at += sizeof head;
    if (head.level == SOL_SOCKET) {
      set_for_stand_in(fd, head.name, options.data() + at, head.size);
    }
    at += (head.size + 3U) & ~3U;
  }
}

// `made` takes the place of the kernel's socket `fd`, with its flags, and where epoll watched it.
int take_place(Waiting& w, int fd, int made) {
  const int status = fcntl(fd, F_GETFL);
  const int flags = fcntl(fd, F_GETFD);
  if (status >= 0) (void)fcntl(made, F_SETFL, status & O_NONBLOCK);
  replay(w.options, made);
  const int r = dup3(made, fd, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
  const int why = errno;
  close(made);
  if (r < 0) return why;
  for (Watch& watch : w.watches) {
    (void)real().epoll_ctl(watch.epfd, EPOLL_CTL_ADD, fd, &watch.event);
  }
  waiting_room().remove(w);
  return 0;
}

}  // namespace

int open_socket(Waiting& w) {
  if (w.id != 0) return 0;
  const std::uint64_t to = stack();
  if (to == 0) return errno;
  Request request;
  request.op = Op::kOpen;
  request.family = static_cast<std::uint32_t>(w.domain);
  if (w.options.size() > request.data.size()) return ENOBUFS;
  std::copy(w.options.begin(), w.options.end(), request.data.begin());
  request.size = static_cast<std::uint32_t>(w.options.size());
  if (w.bound) {
    request.address = w.address;
    request.address_length = w.length;
  }
  Reply reply;
  const int error = ask(to, request, reply);
  if (error == 0) w.id = reply.id;
  return error;
}

int start_listening(Waiting& w, int fd) {
  if (const int error = open_socket(w); error != 0) return error;
  Request request;
  request.op = Op::kListen;
  request.id = w.id;
  request.argument = w.backlog;
  Reply reply;
  int made = -1;
  if (const int error = ask(stack(), request, reply, &made); error != 0) return error;
  return made < 0 ? ENETDOWN : take_place(w, fd, made);
}

int start_connecting(Waiting& w, int fd, const sockaddr_storage& to, socklen_t length) {
  if (const int error = open_socket(w); error != 0) return error;
  Request request;
  request.op = Op::kConnect;
  request.id = w.id;
  request.address = to;
  request.address_length = length;
  Reply reply;
  int made = -1;
  const int error = ask(stack(), request, reply, &made);
  if (error != 0) {
    w.id = 0;  // the stack has closed it
    return error;
  }
  return made < 0 ? ENETDOWN : take_place(w, fd, made);
}

int leave_to_kernel(const Waiting& w, int fd) {
  int error = 0;
  if (w.bound && real().bind(fd, reinterpret_cast<const sockaddr*>(&w.address), w.length) != 0) {
    error = errno;
  }
  if (w.id != 0) {
    Request request;
    request.op = Op::kAbandon;
    request.id = w.id;
    Reply reply;
    (void)ask(running_stack(), request, reply);
  }
  waiting_room().remove(w);
  return error;
}

int listen_if_waiting(int fd) {
  WaitingRoom& room = waiting_room();
  if (!room.any_listening()) return 0;
  room.lock();
  Waiting* const w = room.find(fd);
  const int error = w != nullptr && w->listening ? start_listening(*w, fd) : 0;
  room.unlock();
  return error;
}

}  // namespace weir::preload
