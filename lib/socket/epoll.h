// epoll: who watches which descriptors of a stack, and which of them may be ready (Linux's
// fs/eventpoll.c, whose rules these are; no RFC).
//
// A watch enters its epoll's ready list when its descriptor is woken, and is asked whether it is
// ready only when it is collected: the work is that of the list, not of all that is watched. No
// call waits here. An epoll owns its watches; they leave with it or with what they watch.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>

#include "socket/descriptors.h"
#include "socket/embedded_stack.h"

namespace weir::posix {

struct Epoll;

// One descriptor of one epoll.
struct Watch {
  Epoll* epoll = nullptr;
  Descriptor* target = nullptr;
  std::uint32_t events = 0;  // asked for, ERR and HUP always; a one-shot that was told has none
  epoll_data_t data{};
  Watch *prev = nullptr, *next = nullptr;  // of the ready list
  bool listed = false;
};

struct Epoll : Descriptor {
  Epoll() : Descriptor(Kind::kEpoll) {}
  ~Epoll() override;

  std::unordered_map<int, std::unique_ptr<Watch>> watches;
  Watch *head = nullptr, *tail = nullptr;  // the ready list, in the order of being woken
  std::size_t listed = 0;
};

// epoll_ctl of something that is a descriptor: 0, or EINVAL, EEXIST, ENOENT, ELOOP. `event` may be
// null with EPOLL_CTL_DEL.
[[nodiscard]] int epoll_control(EmbeddedStack& e, Epoll& ep, int op, Descriptor& target,
                                const epoll_event* event);
// Up to out.size() that are ready; how many. What is level-triggered stays in the list, at its end.
[[nodiscard]] std::size_t epoll_collect(EmbeddedStack& e, Epoll& ep, std::span<epoll_event> out);
// EPOLLIN when epoll_collect would find any.
[[nodiscard]] std::uint32_t ready_of(const EmbeddedStack& e, const Epoll& ep);
// `d` was woken with the bits `why`, or with all when 0: those who watch it take note.
void wake_watchers(EmbeddedStack& e, Descriptor& d, std::uint32_t why);

}  // namespace weir::posix
