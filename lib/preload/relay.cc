// Text both ways between a connection and the stand-in that its program holds.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "preload/host.h"

namespace weir::preload {
namespace {

constexpr int kRounds = 4;                  // of kRoom octets, then the others have their turn
constexpr std::size_t kErrorsKept = 4'096;  // of connections that nobody has asked about yet

int take_error(weir_stack* stack, int weir) {
  int error = 0;
  socklen_t length = sizeof error;
  return weir_getsockopt(stack, weir, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace

// A line of an open socket gets its stand-in; `theirs` is the program's end.
bool Host::relay(Line& line, int& theirs, const Name& name, bool connecting) {
  if (!StandIn::make(name, connecting, line.stand_in, theirs)) return false;
  line.what = Line::What::kRelay;
  line.fd = line.stand_in.fd;
  line.connecting = connecting;
  epoll_event e{EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&line}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, line.fd, &e) != 0) {
    const int why = errno;
    close(std::exchange(theirs, -1));
    errno = why;
    return false;
  }
  ++connections_;
  queue(line);
  return true;
}

void Host::close_socket(Line& line, bool reset) {
  if (line.weir < 0) return;
  if (reset) {
    const linger at_once{1, 0};
    (void)weir_setsockopt(stack_, line.weir, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  const int weir = std::exchange(line.weir, -1);
  by_weir_[static_cast<std::size_t>(weir)] = nullptr;
  (void)weir_close(stack_, weir);
}

// The connection is no more, for a reason that getsockopt(SO_ERROR) tells once.
void Host::fail(Line& line, int error) {
  errors_[line.id] = error;
  told_.push_back(line.id);
  if (told_.size() > kErrorsKept) {
    errors_.erase(told_.front());
    told_.pop_front();
  }
  close_socket(line, false);
  line.stand_in.break_off();
  line.fd = -1;
  forget(line);
}

void Host::connected(Line& line) {
  const std::uint32_t ready = weir_ready(stack_, line.weir);
  if ((ready & (EPOLLERR | EPOLLHUP)) != 0) {
    const int error = take_error(stack_, line.weir);
    if (error != 0) return fail(line, error);
  }
  if ((ready & EPOLLOUT) == 0) return;
  line.connecting = false;
  line.stand_in.settle();
}

bool Host::move_out(Line& line) {
  for (int round = 0; round < kRounds; ++round) {
    const std::span<const std::byte> text = line.stand_in.look(room_);
    if (text.empty()) return false;
    const ssize_t n =
        weir_send(stack_, line.weir, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno != EAGAIN && errno != ENOBUFS) fail(line, errno == EPIPE ? ECONNRESET : errno);
      return false;
    }
    line.stand_in.take(static_cast<std::size_t>(n), room_);
    if (static_cast<std::size_t>(n) < text.size()) return false;  // on_ready tells of room
  }
  return true;
}

bool Host::move_in(Line& line) {
  for (int round = 0; round < kRounds; ++round) {
    const ssize_t n =
        weir_recv(stack_, line.weir, room_.data(), room_.size(), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0) {
      fail(line, errno);
      return false;
    }
    if (n == 0) {
      if (!line.text_ended) line.stand_in.end_of_text();
      line.text_ended = true;
      return false;
    }
    const auto octets = static_cast<std::size_t>(n);
    long given = line.stand_in.give({room_.data(), octets});
    if (given < 0 && errno == EAGAIN) return false;  // epoll tells of room
    if (given < 0) given = n;                        // nobody reads: shutdown(SHUT_RD)
    (void)weir_recv(stack_, line.weir, room_.data(), static_cast<std::size_t>(given),
                    MSG_TRUNC | MSG_DONTWAIT);
    if (given < n) return false;
  }
  return true;
}

void Host::move(Line& line) {
  if (line.broken &&
      line.program_gone) {  // RFC 9293 §3.10.4 with unread text: RST, as Linux has it
    close_socket(line, true);
    return forget(line);
  }
  if (line.connecting) connected(line);
  if (line.gone) return;
  if (line.connecting) {
    if (!line.program_gone) return;
    close_socket(line, true);
    return forget(line);
  }
  const bool more_out = move_out(line);
  if (line.gone) return;
  const bool all_out = !more_out && line.stand_in.look(room_).empty();
  if (all_out && line.program_gone) {
    // Or it lives, and both sides have said their end: then it reads to that end.
    close_socket(line, false);
    line.stand_in.close_down();
    line.fd = -1;
    return forget(line);
  }
  if (all_out && line.program_shut && !line.fin_sent) {
    line.fin_sent = true;
    (void)weir_shutdown(stack_, line.weir, SHUT_WR);
  }
  const bool more_in = !line.program_gone && move_in(line);
  if (line.gone) return;
  if (line.text_ended && line.fin_sent && (weir_ready(stack_, line.weir) & EPOLLERR) != 0) {
    const int error = take_error(stack_, line.weir);
    if (error != 0) return fail(line, error);
  }
  if (more_out || more_in) queue(line);
}

}  // namespace weir::preload
