// The calls of a program that `weir run` started, in front of the system's: they find out whose a
// socket is. What moves text (read, write, send, recv, sendfile, poll, epoll_wait) is not here: it
// is the kernel's, on stand-ins (stand_in.h).
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "preload/channel.h"
#include "preload/process.h"
#include "preload/promote.h"
#include "preload/real.h"
#include "preload/waiting.h"

#define WEIR_CALL extern "C" __attribute__((visibility("default")))

namespace weir::preload {
namespace {

int answer(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

// With the room locked while it lives.
class Locked {
 public:
  Locked() { waiting_room().lock(); }
  ~Locked() { waiting_room().unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
};

bool is_ip(const sockaddr* address, socklen_t length) {
  if (address == nullptr) return false;
  return (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) ||
         (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6));
}

sockaddr_storage copy_of(const sockaddr* address, socklen_t length) {
  sockaddr_storage out{};
  std::memcpy(&out, address, std::min<std::size_t>(length, sizeof out));
  return out;
}

void give_address(const sockaddr_storage& from, socklen_t size, sockaddr* to, socklen_t* length) {
  if (to == nullptr || length == nullptr) return;
  std::memcpy(to, &from, std::min(size, *length));
  *length = size;
}

int give_short(const ShortAddress& from, sockaddr* to, socklen_t* length) {
  sockaddr_storage whole;
  const socklen_t size = lengthen(from, whole);
  if (size == 0) return answer(ENOTCONN);
  if (to == nullptr || length == nullptr) return answer(EFAULT);
  give_address(whole, size, to, length);
  return 0;
}

short ready_now(int fd, short events) {
  pollfd p{fd, events, 0};
  return real().poll(&p, 1, 0) == 1 ? p.revents : short{0};
}

// What a connection ended with; 0 when it goes on.
int error_of(const Name& name) {
  Request request;
  request.op = Op::kGetOption;
  request.id = name.id;
  request.level = SOL_SOCKET;
  request.name = SO_ERROR;
  request.argument = sizeof(int);
  Reply reply;
  int error = 0;
  if (ask(name.stack, request, reply) == 0) std::memcpy(&error, reply.data.data(), sizeof error);
  return error;
}

// A blocking connect waits as the kernel's does: until SO_SNDTIMEO is over, or a signal comes.
int wait_connected(int fd) {
  timeval limit{};
  socklen_t length = sizeof limit;
  (void)real().getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length);
  const long ms = limit.tv_sec * 1'000 + limit.tv_usec / 1'000;
  pollfd p{fd, POLLOUT, 0};
  const int n = real().poll(&p, 1, ms > 0 ? static_cast<int>(std::min(ms, 1'000'000'000L)) : -1);
  if (n < 0) return -1;
  if (n == 0) return answer(EINPROGRESS);
  if ((p.revents & (POLLERR | POLLHUP)) == 0) return 0;
  Name name;
  const int error = name_of(fd, name) ? error_of(name) : 0;
  return answer(error == 0 ? ECONNREFUSED : error);
}

// connect on what has become a stand-in already.
int connect_again(int fd, const Name& name) {
  if (name.kind == Kind::kGate) return answer(EISCONN);
  const short ready = ready_now(fd, POLLOUT);
  if (ready == 0) return answer(EALREADY);
  if ((ready & (POLLERR | POLLHUP)) == 0) return answer(EISCONN);
  const int error = error_of(name);
  return answer(error == 0 ? ECONNABORTED : error);
}

int connect_weir(int fd, const sockaddr* address, socklen_t length) {
  const sockaddr_storage to = copy_of(address, length);
  {
    const Locked lock;
    Waiting* const w = waiting_room().find(fd);
    if (w == nullptr) {
      Name name;
      if (name_of(fd, name)) return connect_again(fd, name);
      return real().connect(fd, address, length);
    }
    if (w->listening) return answer(EISCONN);
    if (routes()->of_peer(to) == Where::kKernel) {
      if (const int error = leave_to_kernel(*w, fd); error != 0) return answer(error);
      return real().connect(fd, address, length);
    }
    if (const int error = start_connecting(*w, fd, to, length); error != 0) return answer(error);
  }
  if ((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) return answer(EINPROGRESS);
  return wait_connected(fd);
}

// Sockets that were closed while they waited: the stack lets go of theirs.
void forget_closed() {
  for (const std::uint64_t id : waiting_room().sweep()) {
    Request request;
    request.op = Op::kAbandon;
    request.id = id;
    Reply reply;
    if (running_stack() != 0) (void)ask(running_stack(), request, reply);
  }
}

int bind_weir(int fd, const sockaddr* address, socklen_t length) {
  const Locked lock;
  Waiting* w = waiting_room().find(fd);
  if (w == nullptr) {
    Name name;
    return name_of(fd, name) ? answer(EINVAL) : real().bind(fd, address, length);
  }
  if (w->bound) return answer(EINVAL);
  const sockaddr_storage local = copy_of(address, length);
  if (routes()->of_local(local) == Where::kKernel) {
    if (const int error = leave_to_kernel(*w, fd); error != 0) return answer(error);
    return real().bind(fd, address, length);
  }
  forget_closed();
  w->address = local;
  w->length = std::min<socklen_t>(length, sizeof w->address);
  w->bound = true;
  if (running_stack() == 0) return 0;
  const int error = open_socket(*w);
  w->bound = error == 0;
  return answer(error);
}

int listen_weir(int fd, int backlog) {
  const Locked lock;
  Waiting* const w = waiting_room().find(fd);
  if (w == nullptr) {
    Name name;
    if (!name_of(fd, name)) return real().listen(fd, backlog);
    if (name.kind != Kind::kGate) return answer(EINVAL);
    Request request;
    request.op = Op::kListen;
    request.id = name.id;
    request.argument = backlog;
    Reply reply;
    return answer(ask(name.stack, request, reply));
  }
  if (!w->bound) {
    (void)leave_to_kernel(*w, fd);
    return real().listen(fd, backlog);
  }
  waiting_room().listens(*w, backlog);
  return running_stack() == 0 ? 0 : answer(start_listening(*w, fd));
}

int accept_at_gate(int fd, sockaddr* address, socklen_t* length, int flags) {
  if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) != 0) return answer(EINVAL);
  Arrival arrival;
  const int made = take_arrival(fd, flags, arrival);
  if (made < 0) return -1;
  if ((flags & SOCK_NONBLOCK) != 0) (void)fcntl(made, F_SETFL, O_NONBLOCK);
  sockaddr_storage peer;
  const socklen_t size = lengthen(arrival.peer, peer);
  give_address(peer, size, address, length);
  return made;
}

int accept_weir(int fd, sockaddr* address, socklen_t* length, int flags) {
  const int made = real().accept4(fd, address, length, flags);
  if (made >= 0 || errno != EINVAL || routes() == nullptr) return made;
  if (const int error = listen_if_waiting(fd); error != 0) return answer(error);
  Name name;
  if (!name_of(fd, name) || name.kind != Kind::kGate) return answer(EINVAL);
  return accept_at_gate(fd, address, length, flags);
}

// Kept by the kernel's own calls on the stand-in.
bool is_stand_ins(int level, int name) {
  return level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO);
}

int set_option(int fd, int level, int option, const void* value, socklen_t length) {
  const Locked lock;
  Waiting* const w = waiting_room().find(fd);
  Name name;
  const bool stand_in = w == nullptr && name_of(fd, name);
  if (!stand_in) {
    const int r = real().setsockopt(fd, level, option, value, length);
    if (r != 0 || w == nullptr || length > kMaxData / 2) return r;
    const OptionHead head{level, option, length};
    const std::size_t at = w->options.size();
    w->options.resize(at + sizeof head + ((length + 3U) & ~3U));
    std::memcpy(w->options.data() + at, &head, sizeof head);
    std::memcpy(w->options.data() + at + sizeof head, value, length);
    if (w->id == 0) return 0;
  } else if (is_stand_ins(level, option)) {
    return real().setsockopt(fd, level, option, value, length);
  }
  if (value == nullptr) return answer(EFAULT);
  if (length > kMaxData) return answer(EINVAL);
  Request request;
  request.op = Op::kSetOption;
  request.id = stand_in ? name.id : w->id;
  request.level = level;
  request.name = option;
  request.size = length;
  std::memcpy(request.data.data(), value, length);
  Reply reply;
  const int error = ask(stand_in ? name.stack : running_stack(), request, reply);
  return !stand_in && error == ENOPROTOOPT ? 0 : answer(error);
}

int get_option(int fd, int level, int option, void* value, socklen_t* length) {
  Name name;
  {
    const Locked lock;
    const Waiting* const w = waiting_room().find(fd);
    if (w != nullptr && w->id != 0) {
      name.id = w->id;
      name.stack = running_stack();
    } else if (w != nullptr || !name_of(fd, name) || is_stand_ins(level, option)) {
      return real().getsockopt(fd, level, option, value, length);
    }
  }
  if (value == nullptr || length == nullptr) return answer(EFAULT);
  Request request;
  request.op = Op::kGetOption;
  request.id = name.id;
  request.level = level;
  request.name = option;
  request.argument = static_cast<std::int32_t>(std::min<std::size_t>(*length, kMaxData));
  Reply reply;
  if (const int error = ask(name.stack, request, reply); error != 0) return answer(error);
  *length = std::min(*length, static_cast<socklen_t>(reply.size));
  std::memcpy(value, reply.data.data(), *length);
  return 0;
}

int out_queue(const Name& name, unsigned long what, void* octets) {
  if (name.kind == Kind::kGate) return answer(EINVAL);
  Request request;
  request.op = Op::kOutQueue;
  request.id = name.id;
  request.name = static_cast<std::int32_t>(what);
  Reply reply;
  if (const int error = ask(name.stack, request, reply); error != 0) return answer(error);
  std::memcpy(octets, reply.data.data(), sizeof(int));
  return 0;
}

int local_name(int fd, sockaddr* address, socklen_t* length) {
  {
    const Locked lock;
    Waiting* const w = waiting_room().find(fd);
    if (w != nullptr && w->bound) {
      if (shorten(w->address).port != 0) {
        give_address(w->address, w->length, address, length);
        return 0;
      }
      if (const int error = open_socket(*w); error != 0) return answer(error);
      Request request;
      request.op = Op::kLocal;
      request.id = w->id;
      Reply reply;
      if (const int error = ask(running_stack(), request, reply); error != 0) return answer(error);
      give_address(reply.address, reply.address_length, address, length);
      return 0;
    }
  }
  Name name;
  if (!name_of(fd, name)) return real().getsockname(fd, address, length);
  return give_short(name.local, address, length);
}

void listen_if_any_waits(pollfd* fds, nfds_t count) {
  if (routes() == nullptr || !waiting_room().any_listening() || fds == nullptr) return;
  for (nfds_t i = 0; i < count; ++i) {
    if (fds[i].fd >= 0) (void)listen_if_waiting(fds[i].fd);
  }
}

void listen_if_any_waits(const fd_set* set, int count) {
  if (routes() == nullptr || !waiting_room().any_listening() || set == nullptr) return;
  for (int fd = 0; fd < std::min<int>(count, FD_SETSIZE); ++fd) {
    if (FD_ISSET(fd, set)) (void)listen_if_waiting(fd);
  }
}

// A socket that a program watches before it is clear whose it is: told again on its stand-in.
void note_watch(int epfd, int op, int fd, const epoll_event* event) {
  const Locked lock;
  Waiting* const w = waiting_room().find(fd);
  if (w == nullptr) return;
  std::erase_if(w->watches, [epfd](const Watch& watch) { return watch.epfd == epfd; });
  if (op != EPOLL_CTL_DEL && event != nullptr) w->watches.push_back({epfd, *event});
}

}  // namespace
}  // namespace weir::preload

using namespace weir::preload;  // NOLINT(google-build-using-namespace): C names none

WEIR_CALL int socket(int domain, int type, int protocol) noexcept {
  const int fd = real().socket(domain, type, protocol);
  if (fd < 0 || routes() == nullptr) return fd;
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  if ((domain != AF_INET && domain != AF_INET6) || (type & ~kFlags) != SOCK_STREAM ||
      (protocol != 0 && protocol != IPPROTO_TCP)) {
    return fd;
  }
  const Locked lock;
  if (waiting_room().crowded()) forget_closed();
  waiting_room().add(fd, domain);
  return fd;
}

WEIR_CALL int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  if (routes() == nullptr || !is_ip(address, length)) return real().bind(fd, address, length);
  return bind_weir(fd, address, length);
}

WEIR_CALL int listen(int fd, int backlog) noexcept {
  return routes() == nullptr ? real().listen(fd, backlog) : listen_weir(fd, backlog);
}

WEIR_CALL int connect(int fd, const sockaddr* address, socklen_t length) {
  if (routes() == nullptr || !is_ip(address, length)) return real().connect(fd, address, length);
  return connect_weir(fd, address, length);
}

WEIR_CALL int accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return accept_weir(fd, address, length, flags);
}

WEIR_CALL int accept(int fd, sockaddr* address, socklen_t* length) {
  return accept_weir(fd, address, length, 0);
}

WEIR_CALL int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
  if (routes() == nullptr) return real().getsockname(fd, address, length);
  return local_name(fd, address, length);
}

WEIR_CALL int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  Name name;
  if (routes() == nullptr || !name_of(fd, name)) return real().getpeername(fd, address, length);
  if (name.kind == Kind::kGate || ready_now(fd, POLLOUT | POLLIN) == 0) return answer(ENOTCONN);
  return give_short(name.peer, address, length);
}

WEIR_CALL int setsockopt(int fd, int level, int option, const void* value,
                         socklen_t length) noexcept {
  if (routes() == nullptr) return real().setsockopt(fd, level, option, value, length);
  return set_option(fd, level, option, value, length);
}

WEIR_CALL int getsockopt(int fd, int level, int option, void* value, socklen_t* length) noexcept {
  if (routes() == nullptr) return real().getsockopt(fd, level, option, value, length);
  return get_option(fd, level, option, value, length);
}

// Of all requests, those that a stand-in would answer wrongly.
WEIR_CALL int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list rest;
  va_start(rest, request);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  if ((request == SIOCOUTQ || request == SIOCOUTQNSD) && routes() != nullptr) {
    Name name;
    if (name_of(fd, name) && argument != nullptr) return out_queue(name, request, argument);
  }
  return real().ioctl(fd, request, argument);
}

WEIR_CALL int epoll_ctl(int epfd, int op, int fd, epoll_event* event) noexcept {
  if (routes() != nullptr && waiting_room().any()) {
    if (op == EPOLL_CTL_ADD) {
      if (const int error = listen_if_waiting(fd); error != 0) return answer(error);
    }
    note_watch(epfd, op, fd, event);
  }
  return real().epoll_ctl(epfd, op, fd, event);
}

WEIR_CALL int poll(pollfd* fds, nfds_t count, int timeout) {
  listen_if_any_waits(fds, count);
  return real().poll(fds, count, timeout);
}

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): as glibc calls them
WEIR_CALL int __poll_chk(pollfd* fds, nfds_t count, int timeout, std::size_t /*size*/) {
  listen_if_any_waits(fds, count);
  return real().poll(fds, count, timeout);
}

WEIR_CALL int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  listen_if_any_waits(fds, count);
  return real().ppoll(fds, count, timeout, mask);
}

WEIR_CALL int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                          std::size_t /*size*/) {
  listen_if_any_waits(fds, count);
  return real().ppoll(fds, count, timeout, mask);
}

// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

WEIR_CALL int select(int count, fd_set* in, fd_set* out, fd_set* except, timeval* timeout) {
  listen_if_any_waits(in, count);
  return real().select(count, in, out, except, timeout);
}

WEIR_CALL int pselect(int count, fd_set* in, fd_set* out, fd_set* except, const timespec* timeout,
                      const sigset_t* mask) {
  listen_if_any_waits(in, count);
  return real().pselect(count, in, out, except, timeout, mask);
}

WEIR_CALL int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                             void* (*function)(void*), void* argument) noexcept {
  return create_thread(thread, attributes, function, argument);
}

WEIR_CALL __attribute__((noreturn)) void _exit(int code) {
  end_of_process();
  real().exit_at_once(code);
  __builtin_unreachable();
}

WEIR_CALL __attribute__((noreturn)) void _Exit(int code) noexcept {
  _exit(code);
}
