// Connections at rest (RFC 9293 §3.3.1 says what must be kept of one; tcp/frozen.h how): who goes
// to rest, and what each event makes of one that rests.
//
// A hand goes round over the records that are lent, a few of them in a turn, and puts to rest what
// has done nothing for `rest_after`. No timer is set and no segment pays for it. While more are
// lent than a share of all, a sixteenth of that time is enough. What comes to a connection at rest
// wakes it, but for what would only find that it has nothing to do.
#include <sys/mman.h>

#include <algorithm>
#include <memory>

#include "stack/impl.h"

namespace weir::stack {
namespace {

constexpr Duration kTurn = 100us;     // of the hand, at least
constexpr std::uint32_t kLooks = 64;  // records in a turn, at most
constexpr std::uint32_t kManyLent = 32'768, kShare = 32;
constexpr int kHaste = 16;

bool within_reach(Instant t, Instant now) {
  return t == kNever || (t < now + tcp::Moment::kReach / 2 && t > now - tcp::Moment::kReach / 2);
}

// So that a connection of a large table costs one miss of the TLB at most. Where the kernel says no
// all works the same.
void prefer_huge_pages(void* from, std::size_t octets) {
  constexpr std::size_t kPage = std::size_t{2} << 20U, kWorthIt = 16 * kPage;
  if (octets < kWorthIt) return;
  const auto begin = (reinterpret_cast<std::uintptr_t>(from) + kPage - 1) & ~(kPage - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(from) + octets) & ~(kPage - 1);
  static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE));
}

}  // namespace

Conns::Conns(std::uint32_t capacity) : seats_(capacity), lent_(capacity), owners_(capacity) {
  prefer_huge_pages(seats_.slot(0), std::size_t{capacity} * sizeof(Seat));
  prefer_huge_pages(lent_.slot(0), std::size_t{capacity} * sizeof(Conn));
}

bool Stack::Impl::may_rest(const Conn& c) const {
  return !c.in_ready && !c.in_output && !c.waits_accept && !c.user_gone && !c.doomed && c.counted &&
         !c.in_close_wait && c.events == 0 && c.leaving == Leaving::kNot &&
         c.retry_deadline == kNever && within_reach(c.user_deadline, now) &&
         tcp::may_freeze(c.tcb, now);
}

void Stack::Impl::rest(std::uint32_t index) {
  Conn& c = conns[index];
  Seat& s = conns.seat(index);
  s.neighbour = c.neighbour;
  s.user = c.user;
  s.listener = static_cast<std::uint16_t>(c.listener);
  s.tos = c.tos;
  s.ttl = c.ttl;
  s.has_user_deadline = c.user_deadline != kNever;
  s.has_life_deadline = c.tcb.life_deadline != kNever;
  s.user_deadline = tcp::Moment(c.user_deadline);
  s.frozen = tcp::freeze(c.tcb);
  std::destroy_at(&c);
  conns.take_back(index);
}

// `c` was just constructed.
void Stack::Impl::restore(Conn& c, std::uint32_t index) const {
  const Seat& s = conns.seat(index);
  tcp::thaw(c.tcb, s.frozen, now);
  c.flow = s.flow;
  c.hash = hash_of(s.flow);
  const auto route = loops(s.flow) ? std::nullopt : routes.lookup(s.flow.remote);
  c.next_hop = route ? route->next_hop : s.flow.remote;
  c.neighbour = s.neighbour;
  c.user = s.user;
  c.listener = s.listener;
  c.tos = s.tos;
  c.ttl = s.ttl;
  if (s.has_user_deadline) c.user_deadline = s.user_deadline.near(now);
  c.read_ms = c.acked_ms = now_ms();
  c.counted = true;
}

void Stack::Impl::wake(std::uint32_t index) {
  conns.lend(index);
  restore(*::new (conns.slot(index)) Conn(config.tcp), index);
}

// The node may stand where a deadline was that has moved since: then nobody is woken.
bool Stack::Impl::sleeps_on(std::uint32_t index) {
  if (!conns.resting(index)) return false;
  const Seat& s = conns.seat(index);
  if (!s.has_user_deadline && !s.has_life_deadline) return true;
  Instant due = s.has_user_deadline ? s.user_deadline.near(now) : kNever;
  due = std::min(due, tcp::life_deadline(s.frozen, now));
  if (due <= now) return false;
  wheel.arm(index, due);
  return true;
}

void Stack::Impl::advance_rest() {
  const bool many = conns.lent() > std::max(kManyLent, conns.capacity() / kShare);
  const Duration patience = many ? config.rest_after / kHaste : config.rest_after;
  const Duration passed = now - hand.turned;
  if (passed < kTurn && patience > Duration::zero()) return;
  hand.turned = now;
  const std::uint32_t end = conns.lent_end();
  std::uint32_t looks = end;  // all that there are, where nothing is waited for
  if (patience > Duration::zero()) {
    const std::uint64_t due =
        std::uint64_t{end} * static_cast<std::uint64_t>(std::min<Duration>(passed, 1s).count());
    const std::uint64_t turns = due / static_cast<std::uint64_t>(patience.count()) + 1;
    looks = static_cast<std::uint32_t>(std::min<std::uint64_t>({turns, kLooks, end}));
  }
  for (; looks > 0; --looks) {
    const std::uint32_t at = hand.at < end ? hand.at : 0;
    hand.at = at + 1;
    fetch_for_hand(at, patience);
    const std::uint32_t index = conns.owner(at);
    if (index == kNoIndex) continue;
    const Conn& c = conns[index];
    if (idle_for(c) >= patience && may_rest(c)) rest(index);
  }
}

// Records that the hand comes to were last used long ago: their lines are asked for in time.
void Stack::Impl::fetch_for_hand(std::uint32_t at, Duration patience) const {
  constexpr std::uint32_t kFar = 8, kNear = 3;
  if (at + kFar < conns.lent_end()) conns.prefetch_activity(at + kFar);
  const std::uint32_t near = at + kNear;
  if (near >= conns.lent_end() || conns.owner(near) == kNoIndex) return;
  if (idle_for(conns.lent_at(near)) >= patience) conns.prefetch_whole(near);
}

}  // namespace weir::stack
