// What programs ask of the stack thread: one packet, one answer, and a descriptor with it at times.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "preload/host.h"

namespace weir::preload {
namespace {

constexpr int kDraws = 16;

sockaddr* generic(sockaddr_storage& address) {
  return reinterpret_cast<sockaddr*>(&address);
}
const sockaddr* generic(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

bool may_ask(int fd) {
  ucred who{};
  socklen_t length = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && may_trace(who.uid);
}

}  // namespace

void Host::open_door(Line& door) {
  for (;;) {
    const int fd = accept4(door.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && errno == EAGAIN) return;
    if (fd < 0) return starve(door);  // whoever knocks waits
    if (!may_ask(fd)) {
      close(fd);
      continue;
    }
    Line* const caller = add(Line::What::kCaller, fd, EPOLLIN | EPOLLRDHUP);
    if (caller == nullptr) {
      close(fd);
    } else {
      asking_.push_back(caller);  // most have asked by now
    }
  }
}

// Those who asked in an earlier turn: what their program did before, epoll has told since. A
// program that closes a listener and binds its port again finds it free.
void Host::hear_callers(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) hear_caller(*asking_[i]);
  asking_.erase(asking_.begin(), asking_.begin() + static_cast<std::ptrdiff_t>(count));
}

void Host::hear_caller(Line& line) {
  if (line.gone) return;
  Request request;
  const ssize_t n = recv(line.fd, &request, sizeof request, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n != sizeof request || request.size > kMaxData) return forget(line);
  if (request.op == Op::kFinish) {
    (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, line.fd, nullptr);
    finishing_.push_back(std::exchange(line.fd, -1));  // hung up when all is over
    begin_end();
    return forget(line);
  }
  Reply reply;
  int fd = -1;
  reply.error = answer(request, reply, fd);
  (void)send_with(line.fd, &reply, sizeof reply, fd);
  if (fd >= 0) close(fd);
}

int Host::answer(const Request& request, Reply& reply, int& fd) {
  if (ending_) return ENETDOWN;
  switch (request.op) {
    case Op::kOpen:
      return do_open(request, reply);
    case Op::kListen:
      return do_listen(request, reply, fd);
    case Op::kConnect:
      return do_connect(request, reply, fd);
    case Op::kSetOption:
    case Op::kGetOption:
      return do_option(request, reply);
    case Op::kLocal: {
      const Line* const line = find(request.id);
      if (line == nullptr) return EBADF;
      reply.address_length = sizeof reply.address;
      return weir_getsockname(stack_, line->weir, generic(reply.address), &reply.address_length) ==
                     0
                 ? 0
                 : errno;
    }
    case Op::kOutQueue:
      return do_out_queue(request, reply);
    case Op::kAbandon: {
      Line* const line = find(request.id);
      if (line == nullptr || line->what != Line::What::kOpened) return EBADF;
      close_socket(*line, false);
      forget(*line);
      return 0;
    }
    case Op::kFinish:
      break;
  }
  return EINVAL;
}

Line* Host::find(std::uint64_t id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

Line* Host::opened(int weir) {
  Line* const line = add(Line::What::kOpened, -1, 0);
  line->weir = weir;
  line->id = next_id_++;
  by_id_[line->id] = line;
  const auto at = static_cast<std::size_t>(weir);
  if (at >= by_weir_.size()) by_weir_.resize(std::max<std::size_t>(at + 1, by_weir_.size() * 2));
  by_weir_[at] = line;
  return line;
}

Name Host::name_of(const Line& line) {
  Name name;
  name.stack = token_;
  name.id = line.id;
  sockaddr_storage local{};
  socklen_t length = sizeof local;
  if (weir_getsockname(stack_, line.weir, generic(local), &length) == 0)
    name.local = shorten(local);
  return name;
}

// Without these a connection is another than the program asked for; the rest it can do without.
bool must_be_known(int level, int name) {
  if (level == SOL_SOCKET) {
    return name == SO_BINDTODEVICE || name == SO_ZEROCOPY || name == SO_ATTACH_FILTER ||
           name == SO_ATTACH_BPF || name == SO_ATTACH_REUSEPORT_CBPF ||
           name == SO_ATTACH_REUSEPORT_EBPF;
  }
  if (level == IPPROTO_TCP) return name == TCP_MD5SIG || name == TCP_MD5SIG_EXT || name == TCP_ULP;
  return (level == IPPROTO_IP && name == IP_TRANSPARENT) ||
         (level == IPPROTO_IPV6 && name == IPV6_TRANSPARENT);
}

// What the program set before the stack had its socket, when the kernel's took it.
int Host::apply_options(int weir, std::span<const std::byte> options) {
  while (options.size() >= sizeof(OptionHead)) {
    OptionHead head;
    std::memcpy(&head, options.data(), sizeof head);
    options = options.subspan(sizeof head);
    if (head.size > options.size()) return EINVAL;
    if (weir_setsockopt(stack_, weir, head.level, head.name, options.data(), head.size) != 0 &&
        (errno != ENOPROTOOPT || must_be_known(head.level, head.name))) {
      return errno;
    }
    options = options.subspan(std::min<std::size_t>((head.size + 3U) & ~3U, options.size()));
  }
  return 0;
}

// A port that the stack draws for every address is to be free in the kernel as well.
int Host::do_open(const Request& request, Reply& reply) {
  int weir = -1;
  int error = open_one(request, weir);
  for (int drawn = 1; error == 0 && drawn < kDraws && is_taken(request, weir); ++drawn) {
    (void)weir_close(stack_, weir);
    error = open_one(request, weir);
  }
  if (error != 0) return error;
  Line* const line = opened(weir);
  line->bound = request.address;
  line->bound_length = request.address_length;
  reply.id = line->id;
  return 0;
}

bool Host::is_taken(const Request& request, int weir) {
  if (request.address_length == 0 || shorten(request.address).port != 0) return false;
  sockaddr_storage bound{};
  socklen_t length = sizeof bound;
  return weir_getsockname(stack_, weir, generic(bound), &length) == 0 &&
         !free_in_kernel(bound, length);
}

int Host::open_one(const Request& request, int& weir) {
  weir = weir_socket(stack_, static_cast<int>(request.family), SOCK_STREAM, 0);
  if (weir < 0) return errno;
  int error = apply_options(weir, std::span(request.data).first(request.size));
  if (error == 0 && request.address_length > 0 &&
      weir_bind(stack_, weir, generic(request.address), request.address_length) != 0) {
    error = errno;
  }
  if (error != 0) (void)weir_close(stack_, weir);
  return error;
}

int Host::do_listen(const Request& request, Reply& reply, int& fd) {
  Line* const line = find(request.id);
  if (line == nullptr) return EBADF;
  if (weir_listen(stack_, line->weir, request.argument) != 0) return errno;
  if (line->what != Line::What::kOpened) return 0;  // again, with another backlog
  line->bound_length = sizeof line->bound;
  (void)weir_getsockname(stack_, line->weir, generic(line->bound), &line->bound_length);
  if (!listen_in_kernel(*line, request.argument) || !gate(*line, fd)) {
    const int why = errno;
    if (line->kernel_line != nullptr) forget(*std::exchange(line->kernel_line, nullptr));
    close_socket(*line, false);
    forget(*line);
    return why;
  }
  reply.id = line->id;
  return 0;
}

int Host::do_connect(const Request& request, Reply& reply, int& fd) {
  Line* const line = find(request.id);
  if (line == nullptr) return EBADF;
  if (line->what == Line::What::kRelay) return line->connecting ? EALREADY : EISCONN;
  if (line->what == Line::What::kGate) return EISCONN;
  int error = descriptors_left() ? 0 : EMFILE;
  if (error == 0 &&
      weir_connect(stack_, line->weir, generic(request.address), request.address_length) != 0 &&
      errno != EINPROGRESS) {
    error = errno;
  }
  Name name = name_of(*line);
  name.peer = shorten(request.address);
  if (error == 0 && !relay(*line, fd, name, true)) error = errno;
  reply.id = line->id;
  if (error == 0) return 0;
  close_socket(*line, false);
  forget(*line);
  return error;
}

// What is not acknowledged, or not sent, with what the stack had no room for yet.
int Host::do_out_queue(const Request& request, Reply& reply) {
  Line* const line = find(request.id);
  if (line != nullptr && line->what == Line::What::kRelay) move(*line);
  int octets = 0;
  if (line != nullptr && !line->gone && line->weir >= 0) {
    if (weir_ioctl(stack_, line->weir, static_cast<unsigned long>(request.name), &octets) != 0) {
      return errno;
    }
    if (line->what == Line::What::kRelay && !line->connecting) {
      octets += static_cast<int>(line->stand_in.look(room_).size());
    }
  }
  reply.size = sizeof octets;
  std::memcpy(reply.data.data(), &octets, sizeof octets);
  return 0;
}

int Host::do_option(const Request& request, Reply& reply) {
  Line* const line = find(request.id);
  const bool get = request.op == Op::kGetOption;
  if (line == nullptr || line->weir < 0) {
    // Ended: why is told once, and nothing else is known any more.
    if (!get || request.level != SOL_SOCKET || request.name != SO_ERROR) return get ? ENOTCONN : 0;
    int error = 0;
    if (const auto found = errors_.find(request.id); found != errors_.end()) {
      error = found->second;
      errors_.erase(found);
    }
    reply.size = sizeof error;
    std::memcpy(reply.data.data(), &error, sizeof error);
    return 0;
  }
  if (line->what == Line::What::kRelay) move(*line);  // what was written before comes before
  if (line->gone) return do_option(request, reply);
  if (get) {
    reply.size =
        static_cast<std::uint32_t>(std::clamp<std::int32_t>(request.argument, 0, kMaxData));
    return weir_getsockopt(stack_, line->weir, request.level, request.name, reply.data.data(),
                           &reply.size) == 0
               ? 0
               : errno;
  }
  return weir_setsockopt(stack_, line->weir, request.level, request.name, request.data.data(),
                         request.size) == 0
             ? 0
             : errno;
}

}  // namespace weir::preload
