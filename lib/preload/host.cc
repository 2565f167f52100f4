#include "preload/host.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "socket/embedded_stack.h"

namespace weir::preload {
namespace {

constexpr std::uint64_t kLongest = 1'000'000;  // us that it sleeps at most
constexpr std::uint64_t kAskAgain = 100;       // us, of a wire that cannot wake it up
constexpr std::uint64_t kFeedAgain = 100'000;  // us, when descriptors were lacking
constexpr std::size_t kEvents = 256;
constexpr int kPassedOn = 64;

timespec span_of(std::uint64_t us) {
  return {static_cast<time_t>(us / 1'000'000), static_cast<long>(us % 1'000'000 * 1'000)};
}

// States whose FIN the peer has not acknowledged.
bool owes_fin(std::uint8_t state) {
  return state == TCP_FIN_WAIT1 || state == TCP_CLOSING || state == TCP_LAST_ACK;
}

}  // namespace

std::uint64_t Host::clock_us() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(t.tv_nsec) / 1'000;
}

Host::Host(weir_stack* stack, Wire& wire, Siblings* siblings, std::uint64_t token)
    : stack_(stack), wire_(wire), siblings_(siblings), token_(token) {
  weir_stack_on_ready(stack_, &Host::on_ready, this);
  if (siblings_ != nullptr) stack_->on_stray(&Host::on_stray, this);
}

Host::~Host() {
  for (auto& [key, line] : lines_) {
    const bool others = line->what == Line::What::kWire || line->what == Line::What::kSiblings;
    if (line->fd >= 0 && !others) close(line->fd);
  }
  for (const int fd : finishing_) close(fd);  // the callers read that it is done
  if (epoll_ >= 0) close(epoll_);
}

bool Host::open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (epoll_ < 0 || door < 0) return false;
  sockaddr_storage address;
  const socklen_t length = write_door(token_, address);
  if (bind(door, reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      listen(door, SOMAXCONN) != 0 || add(Line::What::kDoor, door, EPOLLIN) == nullptr) {
    close(door);
    return false;
  }
  if (siblings_ != nullptr && add(Line::What::kSiblings, siblings_->fd(), EPOLLIN) == nullptr) {
    return false;
  }
  const int wire = wire_.event_fd();
  return wire < 0 || add(Line::What::kWire, wire, EPOLLIN | EPOLLET) != nullptr;
}

Line* Host::add(Line::What what, int fd, std::uint32_t events) {
  auto line = std::make_unique<Line>();
  line->what = what;
  line->fd = fd;
  epoll_event e{events, {line.get()}};
  if (fd >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) return nullptr;
  Line* const out = line.get();
  lines_.emplace(out, std::move(line));
  return out;
}

// Events of this turn may still name it: it goes when the turn is over.
void Host::forget(Line& line) {
  if (line.gone) return;
  line.gone = true;
  if (line.id != 0) by_id_.erase(line.id);
  if (line.weir >= 0) by_weir_[static_cast<std::size_t>(line.weir)] = nullptr;
  if (line.fd >= 0) close(std::exchange(line.fd, -1));
  gone_.push_back(&line);
}

// What is queued for the next turn goes after that.
void Host::sweep() {
  const std::size_t freed = std::erase_if(gone_, [this](Line* line) {
    if (line->queued) return false;
    if (!starved_.empty()) std::erase(starved_, line);
    lines_.erase(line);
    return true;
  });
  if (!starved_.empty() && (freed > 0 || clock_us() >= feed_us_)) feed();
}

// There is no descriptor for what waits at a gate or the door: it waits until one comes back, or
// for a while, for there may be more.
void Host::starve(Line& line) {
  if (line.what == Line::What::kDoor) {
    epoll_event e{0, {&line}};
    (void)epoll_ctl(epoll_, EPOLL_CTL_MOD, line.fd, &e);
  }
  starved_.push_back(&line);
  feed_us_ = clock_us() + kFeedAgain;
}

void Host::feed() {
  for (Line* line : std::exchange(starved_, {})) {
    epoll_event e{EPOLLIN, {line}};
    if (line->what == Line::What::kDoor) {
      (void)epoll_ctl(epoll_, EPOLL_CTL_MOD, line->fd, &e);
    } else {
      queue(*line);
    }
  }
}

void Host::queue(Line& line) {
  if (line.queued || line.gone) return;
  line.queued = true;
  queued_.push_back(&line);
}

void Host::on_ready(void* self, int fd, std::uint32_t /*events*/) {
  auto* const host = static_cast<Host*>(self);
  const auto at = static_cast<std::size_t>(fd);
  if (at < host->by_weir_.size() && host->by_weir_[at] != nullptr) {
    host->queue(*host->by_weir_[at]);
  }
}

void Host::hear(Line& line, std::uint32_t events) {
  if (line.gone) return;
  switch (line.what) {
    case Line::What::kWire:
    case Line::What::kOpened:
      return;
    case Line::What::kSiblings:
      return receive_passed_on();
    case Line::What::kDoor:
      return open_door(line);
    case Line::What::kCaller:
      if (std::find(asking_.begin(), asking_.end(), &line) == asking_.end()) {
        asking_.push_back(&line);
      }
      return;
    case Line::What::kRelay:
      line.program_shut |= (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
      line.program_gone |= (events & EPOLLHUP) != 0;
      line.broken |= (events & EPOLLERR) != 0;
      if ((events & EPOLLPRI) != 0) line.stand_in.urgent();
      return queue(line);
    case Line::What::kGate:
      line.program_gone |= (events & (EPOLLHUP | EPOLLRDHUP)) != 0;
      return queue(line);
    case Line::What::kKernel:
      return pass_on_kernels(*line.gate);
  }
}

void Host::receive() {
  const std::uint64_t now = clock_us();
  const auto frames = wire_.receive();
  more_frames_ = frames.size() >= Wire::kBurst;
  for (const std::span<const std::byte> frame : frames) {
    visited_ = 0;
    (void)weir_stack_input(stack_, frame.data(), frame.size(), now);  // what fails, it counts
    if (siblings_ != nullptr && Siblings::concerns_all(frame)) siblings_->tell_all(frame, now);
  }
  (void)weir_stack_advance(stack_, now);
}

// From a sibling. What nobody knows the last one answers, as if there were one stack.
void Host::receive_passed_on() {
  for (int i = 0; i < kPassedOn; ++i) {  // the others have their turn, too: epoll tells again
    const Siblings::Passed passed = siblings_->take();
    if (passed.frame.empty()) return;
    visited_ = passed.visited;
    (void)weir_stack_input(stack_, passed.frame.data(), passed.frame.size(), clock_us());
  }
}

void Host::on_stray(void* self, std::span<const std::byte> frame) {
  auto* const host = static_cast<Host*>(self);
  if (host->siblings_->pass_on(frame, host->visited_, clock_us())) return;
  host->unanswered_.emplace_back(frame.begin(), frame.end());
}

// What one connection does may make others ready: those are looked at in the next turn.
void Host::look_at_queued() {
  std::swap(queued_, queued_next_);
  for (Line* line : queued_next_) {
    line->queued = false;
    if (line->gone) continue;
    if (line->what == Line::What::kRelay) move(*line);
    if (line->what == Line::What::kGate) pass_on(*line);
  }
  queued_next_.clear();
}

void Host::answer_strays() {
  for (const std::vector<std::byte>& frame : std::exchange(unanswered_, {})) {
    const Instant now{Duration(static_cast<std::int64_t>(clock_us()))};
    (void)stack_->input(frame, posix::Link::kEthernet, now, true);
  }
}

void Host::transmit() {
  std::size_t length = 0;
  while (weir_stack_output(stack_, room_.data(), room_.size(), &length, nullptr) == 1) {
    wire_.send({room_.data(), length});
  }
  wire_.flush();
}

std::uint64_t Host::wait_for(std::uint64_t most) const {
  if (!queued_.empty() || !asking_.empty() || more_frames_) return 0;
  if (wire_.event_fd() < 0) most = std::min(most, kAskAgain);
  if (!starved_.empty()) most = std::min(most, kFeedAgain);
  const std::uint64_t next = weir_stack_next_deadline(stack_);
  const std::uint64_t now = clock_us();
  return next <= now ? 0 : std::min(most, next - now);
}

bool Host::turn(std::uint64_t wait_us) {
  std::array<epoll_event, kEvents> events;
  const std::size_t asked = asking_.size();
  const timespec wait = span_of(wait_for(wait_us));
  const int n = epoll_pwait2(epoll_, events.data(), kEvents, &wait, nullptr);
  (void)weir_stack_advance(stack_, clock_us());
  for (int i = 0; i < n; ++i) {
    const epoll_event& e = events[static_cast<std::size_t>(i)];
    hear(*static_cast<Line*>(e.data.ptr), e.events);
  }
  receive();
  answer_strays();
  look_at_queued();
  hear_callers(asked);
  transmit();
  sweep();
  return !ending_ || !at_rest();
}

void Host::run(std::uint64_t patience_us) {
  std::uint64_t limit = WEIR_NEVER;
  while (turn(ending_ ? 1'000 : kLongest)) {
    if (!ending_) continue;
    const std::uint64_t now = clock_us();
    if (limit == WEIR_NEVER) limit = now + patience_us;
    if (now < limit) continue;
    weir_stack_reset_all(stack_);
    transmit();
    return;
  }
}

// The program ends: what it wrote is sent, what it did not read is lost, as when a process exits.
void Host::begin_end() {
  if (ending_) return;
  ending_ = true;
  std::vector<Line*> all;
  for (auto& [key, line] : lines_) all.push_back(key);
  for (Line* line : all) {
    if (line->gone) continue;
    if (line->what == Line::What::kRelay) {
      line->program_shut = line->program_gone = true;
      line->broken |= line->stand_in.unread();
      queue(*line);
    } else if (line->what == Line::What::kGate) {
      line->program_gone = true;
      queue(*line);
    } else if (line->what == Line::What::kOpened) {
      close_socket(*line, false);
      forget(*line);
    }
  }
}

// Nothing is left that a peer waits for: all is sent and acknowledged, its end included.
bool Host::at_rest() {
  for (const auto& [key, line] : lines_) {
    if (line->what == Line::What::kRelay) return false;
  }
  std::array<weir_socket_info, 64> infos;
  std::uint64_t cursor = 0;
  while (const std::size_t n = weir_stack_sockets(stack_, &cursor, infos.data(), infos.size())) {
    for (std::size_t i = 0; i < n; ++i) {
      if (infos[i].type != SOCK_STREAM || infos[i].state == TCP_LISTEN) continue;
      if (infos[i].send_queue != 0 || owes_fin(infos[i].state)) return false;
    }
  }
  return true;
}

}  // namespace weir::preload
