// epoll, after Linux's fs/eventpoll.c (no RFC).
#include "socket/epoll.h"

#include <algorithm>
#include <cerrno>

#include "socket/tcp_socket.h"

namespace weir::posix {
namespace {

constexpr std::uint32_t kPrivate = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
constexpr std::uint32_t kAlways = EPOLLERR | EPOLLHUP;
constexpr std::uint32_t kWithExclusive =
    EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
constexpr unsigned kMaxNests = 4;  // EP_MAX_NESTS: epolls below the outermost

void list(Watch& w) {
  if (w.listed) return;
  Epoll& ep = *w.epoll;
  w.listed = true;
  w.prev = ep.tail;
  w.next = nullptr;
  (ep.tail == nullptr ? ep.head : ep.tail->next) = &w;
  ep.tail = &w;
  ++ep.listed;
}

void unlist(Watch& w) {
  if (!w.listed) return;
  Epoll& ep = *w.epoll;
  (w.prev == nullptr ? ep.head : w.prev->next) = w.next;
  (w.next == nullptr ? ep.tail : w.next->prev) = w.prev;
  w.prev = w.next = nullptr;
  w.listed = false;
  --ep.listed;
}

std::uint32_t ready_bits(const EmbeddedStack& e, const Watch& w) {
  if ((w.events & ~kPrivate) == 0) return 0;  // a one-shot that was told
  return ready_of(e, *w.target) & w.events & ~kPrivate;
}

// Epolls that lie below, this one included; more than any allowed number where `sought` is one.
unsigned depth_below(const Epoll& ep, const Epoll& sought, unsigned left) {
  constexpr unsigned kTooDeep = 100;
  if (&ep == &sought || left == 0) return kTooDeep;
  unsigned deepest = 0;
  for (const auto& [fd, w] : ep.watches) {
    if (w->target->kind != Kind::kEpoll) continue;
    const auto& inner = static_cast<const Epoll&>(*w->target);
    deepest = std::max(deepest, depth_below(inner, sought, left - 1));
  }
  return deepest + 1;
}

unsigned depth_above(const Epoll& ep, unsigned left) {
  unsigned highest = 0;
  for (const Watch* w : ep.watchers) {
    if (left > 0) highest = std::max(highest, 1 + depth_above(*w->epoll, left - 1));
  }
  return highest;
}

bool loops(const Epoll& outer, const Epoll& inner) {
  const unsigned below = depth_below(inner, outer, kMaxNests + 2);
  return below + depth_above(outer, kMaxNests + 2) > kMaxNests;
}

// A watch that begins, or asks for something else, may find its descriptor ready already.
void look(EmbeddedStack& e, Watch& w) {
  if (ready_bits(e, w) == 0) return;
  list(w);
  e.changed(*w.epoll, EPOLLIN);
}

int add(EmbeddedStack& e, Epoll& ep, Descriptor& target, const epoll_event& event) {
  if (target.kind == Kind::kEpoll && loops(ep, static_cast<Epoll&>(target))) return ELOOP;
  if (ep.watches.contains(target.fd)) return EEXIST;
  auto made = std::make_unique<Watch>();
  Watch& w = *made;
  w.epoll = &ep;
  w.target = &target;
  w.events = event.events | kAlways;
  w.data = event.data;
  ep.watches.emplace(target.fd, std::move(made));
  try {
    // As waiters are queued: who came last is told first, but for those who share a wake-up.
    const bool shares = (event.events & EPOLLEXCLUSIVE) != 0;
    target.watchers.insert(shares ? target.watchers.end() : target.watchers.begin(), &w);
  } catch (...) {
    ep.watches.erase(target.fd);
    throw;
  }
  look(e, w);
  return 0;
}

int modify(EmbeddedStack& e, Watch& w, const epoll_event& event) {
  if ((w.events & EPOLLEXCLUSIVE) != 0) return EINVAL;
  w.events = event.events | kAlways;
  w.data = event.data;
  look(e, w);
  return 0;
}

void forget(Watch& w) {
  unlist(w);
  std::erase(w.target->watchers, &w);
  w.epoll->watches.erase(w.target->fd);
}

}  // namespace

Epoll::~Epoll() {
  for (const auto& [fd, w] : watches) std::erase(w->target->watchers, w.get());
}

void forget_watches_of(Descriptor& d) {
  while (!d.watchers.empty()) forget(*d.watchers.back());
}

int epoll_control(EmbeddedStack& e, Epoll& ep, int op, Descriptor& target,
                  const epoll_event* event) {
  if (&ep == &target) return EINVAL;
  if (op != EPOLL_CTL_DEL && (event->events & EPOLLEXCLUSIVE) != 0) {
    if (op == EPOLL_CTL_MOD) return EINVAL;
    const bool allowed = target.kind != Kind::kEpoll && (event->events & ~kWithExclusive) == 0;
    if (op == EPOLL_CTL_ADD && !allowed) return EINVAL;
  }
  if (op == EPOLL_CTL_ADD) return add(e, ep, target, *event);
  if (op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL) return EINVAL;
  const auto found = ep.watches.find(target.fd);
  if (found == ep.watches.end()) return ENOENT;
  if (op == EPOLL_CTL_MOD) return modify(e, *found->second, *event);
  forget(*found->second);
  return 0;
}

std::size_t epoll_collect(EmbeddedStack& e, Epoll& ep, std::span<epoll_event> out) {
  std::size_t n = 0;
  for (std::size_t left = ep.listed; left > 0 && n < out.size(); --left) {
    Watch& w = *ep.head;
    unlist(w);
    const std::uint32_t bits = ready_bits(e, w);
    if (bits == 0) continue;
    out[n].events = bits;
    out[n].data = w.data;
    ++n;
    if ((w.events & EPOLLONESHOT) != 0) {
      w.events &= kPrivate;
    } else if ((w.events & EPOLLET) == 0) {
      list(w);  // at the end: the others have their turn first
    }
  }
  return n;
}

std::uint32_t ready_of(const EmbeddedStack& e, const Epoll& ep) {
  while (Watch* w = ep.head) {
    if (ready_bits(e, *w) != 0) return EPOLLIN | EPOLLRDNORM;
    unlist(*w);  // its turn comes when it is woken (ep_poll's scan)
  }
  return 0;
}

void wake_watchers(EmbeddedStack& e, Descriptor& d, std::uint32_t why) {
  Watch* exclusive = nullptr;  // the one of these that is told
  for (Watch* w : d.watchers) {
    if ((w->events & ~kPrivate) == 0) continue;
    if (why != 0 && (why & w->events) == 0) continue;
    list(*w);
    const bool shares = (w->events & EPOLLEXCLUSIVE) != 0;
    if (shares && exclusive != nullptr) continue;
    if (shares) exclusive = w;
    if (ready_bits(e, *w) != 0) e.changed(*w->epoll, EPOLLIN);
  }
  if (exclusive == nullptr) return;
  std::erase(d.watchers, exclusive);  // another the next time
  d.watchers.push_back(exclusive);
}

}  // namespace weir::posix
