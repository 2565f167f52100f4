// The functions of weir.h about readiness: poll, select, epoll, without their time-outs. Pointers
// are looked at, descriptors found, errnos set.
#include <poll.h>
#include <sys/select.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>

#include "socket/epoll.h"
#include "socket/include/weir/weir.h"
#include "socket/tcp_socket.h"

namespace {

using namespace weir;         // NOLINT(google-build-using-namespace): C names none
using namespace weir::posix;  // NOLINT(google-build-using-namespace): C names none

static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLPRI == EPOLLPRI);
static_assert(POLLERR == EPOLLERR && POLLHUP == EPOLLHUP && POLLRDHUP == EPOLLRDHUP);
static_assert(POLLRDNORM == EPOLLRDNORM && POLLWRNORM == EPOLLWRNORM);

int answer(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

// As fs/select.c has them.
constexpr std::uint32_t kSelectRead = EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t kSelectWrite = EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR;
constexpr std::uint32_t kSelectExcept = EPOLLPRI;

struct SelectSet {
  fd_set* asked;
  std::uint32_t bits;
  fd_set ready;
  [[nodiscard]] bool wants(int fd) const { return asked != nullptr && FD_ISSET(fd, asked); }
};

// The epoll `epfd`, or null and errno.
Epoll* epoll_of(weir_stack* stack, int epfd) {
  Descriptor* d = stack->descriptors().find(epfd);
  if (d != nullptr && d->kind == Kind::kEpoll) return static_cast<Epoll*>(d);
  errno = d == nullptr ? EBADF : EINVAL;
  return nullptr;
}

}  // namespace

extern "C" {

int weir_poll(weir_stack* stack, struct pollfd* fds, nfds_t count) {
  if (stack == nullptr) return answer(EFAULT);
  if (count > INT_MAX) return answer(EINVAL);
  if (fds == nullptr && count > 0) return answer(EFAULT);
  int n = 0;
  for (nfds_t i = 0; i < count; ++i) {
    pollfd& p = fds[i];
    p.revents = 0;
    if (p.fd < 0) continue;
    const auto asked = static_cast<std::uint16_t>(p.events) | POLLERR | POLLHUP | POLLNVAL;
    p.revents = static_cast<short>(weir_ready(stack, p.fd) & static_cast<unsigned>(asked));
    if (p.revents != 0) ++n;
  }
  return n;
}

int weir_select(weir_stack* stack, int count, fd_set* read, fd_set* write, fd_set* except) {
  if (stack == nullptr) return answer(EFAULT);
  if (count < 0) return answer(EINVAL);
  SelectSet sets[] = {
      {read, kSelectRead, {}}, {write, kSelectWrite, {}}, {except, kSelectExcept, {}}};
  int n = 0;
  for (int fd = 0; fd < std::min(count, FD_SETSIZE); ++fd) {
    if (!std::any_of(sets, sets + 3, [fd](const SelectSet& s) { return s.wants(fd); })) continue;
    const Descriptor* d = stack->descriptors().find(fd);
    if (d == nullptr) return answer(EBADF);
    const std::uint32_t bits = ready_of(*stack, *d);
    for (SelectSet& s : sets) {
      if (!s.wants(fd) || (bits & s.bits) == 0) continue;
      FD_SET(fd, &s.ready);
      ++n;
    }
  }
  for (SelectSet& s : sets) {
    if (s.asked != nullptr) *s.asked = s.ready;
  }
  return n;
}

int weir_epoll_create1(weir_stack* stack, int flags) {
  if (stack == nullptr) return answer(EFAULT);
  if ((flags & ~EPOLL_CLOEXEC) != 0) return answer(EINVAL);
  std::unique_ptr<Descriptor> d(new (std::nothrow) Epoll);
  if (d == nullptr) return answer(ENOMEM);
  d->cloexec = (flags & EPOLL_CLOEXEC) != 0;
  const Descriptor* added = stack->descriptors().add(d);
  return added == nullptr ? answer(EMFILE) : added->fd;
}

int weir_epoll_ctl(weir_stack* stack, int epfd, int op, int fd, struct epoll_event* event) {
  if (stack == nullptr) return answer(EFAULT);
  if (event == nullptr && op != EPOLL_CTL_DEL) return answer(EFAULT);
  Descriptor* target = stack->descriptors().find(fd);
  if (stack->descriptors().find(epfd) == nullptr || target == nullptr) return answer(EBADF);
  Epoll* ep = epoll_of(stack, epfd);
  if (ep == nullptr) return -1;
  try {
    return answer(epoll_control(*stack, *ep, op, *target, event));
  } catch (const std::bad_alloc&) {
    return answer(ENOMEM);
  }
}

int weir_epoll_wait(weir_stack* stack, int epfd, struct epoll_event* events, int count) {
  if (stack == nullptr) return answer(EFAULT);
  constexpr int kMost = INT_MAX / static_cast<int>(sizeof(epoll_event));
  if (count <= 0 || count > kMost) return answer(EINVAL);
  if (events == nullptr) return answer(EFAULT);
  Epoll* ep = epoll_of(stack, epfd);
  if (ep == nullptr) return -1;
  return static_cast<int>(epoll_collect(*stack, *ep, {events, static_cast<std::size_t>(count)}));
}

}  // extern "C"
