// What the stack tells of its connections: one by one (Linux's TCP_INFO), all of them in pages
// (`ss`), and who listens. Reads only; bounded for each call, however many there are.
#include "stack/snapshot.h"

#include <array>

#include "stack/impl.h"
#include "tcp/info.h"

namespace weir::stack {
namespace {

constexpr std::uint32_t kLooks = 4'096;  // records that one call looks at, at most

Duration left_until(Instant due, Instant now) {
  return due > now ? due - now : Duration::zero();
}

TimerKind life_timer(const tcp::Tcb& t) {
  if (t.state == tcp::State::kTimeWait) return TimerKind::kTimeWait;
  if (!t.has(tcp::kUserClosed)) return TimerKind::kKeepalive;
  return t.state == tcp::State::kFinWait2 ? TimerKind::kFinWait2 : TimerKind::kLinger;
}

void describe_timer(const tcp::Tcb& t, Instant now, ConnSnapshot& out) {
  const Instant due = tcp::next_deadline(t);
  if (due == kNever) return;
  out.timer_left = left_until(due, now);
  if (due == t.rtx_deadline) {
    out.timer = t.has(tcp::kPersisting) ? TimerKind::kPersist : TimerKind::kRetransmit;
  } else if (due == t.probe_deadline) {
    out.timer = TimerKind::kProbe;
  } else if (due == t.life_deadline) {
    out.timer = life_timer(t);
  } else if (due == t.delack_deadline) {
    out.timer = TimerKind::kDelayedAck;
  } else {
    out.timer = due == t.cork_deadline ? TimerKind::kCork : TimerKind::kPace;
  }
}

}  // namespace

void Stack::Impl::describe(std::uint32_t index, const Conn& c, ConnSnapshot& out) const {
  out.flow = c.flow;
  out.state = c.tcb.state;
  describe_timer(c.tcb, now, out);
  out.rcvq = c.tcb.rcvq.bytes();
  out.sndq = c.tcb.sndq.bytes();
  out.notsent = tcp::unsent_octets(c.tcb);
  out.retransmits = c.tcb.retries;
  out.orphan = c.user_gone;
  out.waits_accept = c.waits_accept;
  if (c.tcb.has(tcp::kPassive)) out.listener = c.listener;
  out.index = index;
  out.generation = generations[index];
  out.user = c.user;
}

bool Stack::Impl::describe_half_open(std::uint32_t index, ConnSnapshot& out) const {
  const tcp::SynEntry& e = syns[index];
  if (!in_table(e.flow, handle_of(Kind::kSyn, index))) return false;
  out = {.flow = e.flow,
         .state = tcp::State::kSynReceived,
         .timer = TimerKind::kRetransmit,
         .timer_left = left_until(instant_of(e.deadline_ms), now),
         .retransmits = e.retries(),
         .listener = static_cast<std::uint32_t>(e.listener)};
  return true;
}

template <class Record>
bool Stack::Impl::describe_time_wait(const Fifo<Record>& of, Kind kind, std::uint32_t index,
                                     ConnSnapshot& out) const {
  const Record& r = of[index];
  const FlowKey flow = r.flow();
  if (!in_table(flow, handle_of(kind, index))) return false;
  out = {.flow = flow,
         .state = tcp::State::kTimeWait,
         .timer = TimerKind::kTimeWait,
         .timer_left = left_until(deadline_of(r), now),
         .orphan = true};
  return true;
}

// A record that was given back is in no bucket of the table, whatever is left of it.
bool Stack::Impl::in_table(const FlowKey& flow, std::uint32_t handle) const {
  return table.find(hash_of(flow), [handle](std::uint32_t h) { return h == handle; }) != kNoIndex;
}

bool Stack::Impl::describe(Kind kind, std::uint32_t index, ConnSnapshot& out) const {
  switch (kind) {
    case Kind::kConn:
      if (!alive(index) || (!conns.resting(index) && conns[index].doomed)) return false;
      look_at(index, [&](const Conn& c) { describe(index, c, out); });
      return true;
    case Kind::kSyn:
      return describe_half_open(index, out);
    case Kind::kTimeWait:
      return describe_time_wait(tws, kind, index, out);
    case Kind::kTimeWait6:
      return describe_time_wait(tws6, kind, index, out);
  }
  return false;
}

std::uint32_t Stack::Impl::records_of(Kind kind) const {
  const std::array<std::uint32_t, 4> used = {static_cast<std::uint32_t>(generations.size()),
                                             syns.used(), tws.used(), tws6.used()};
  return used[static_cast<unsigned>(kind)];
}

std::size_t Stack::each_connection(SnapshotCursor& from, std::span<ConnSnapshot> out) const {
  const Impl& s = *impl_;
  std::size_t n = 0;
  for (std::uint32_t looks = kLooks; looks > 0 && n < out.size() && !at_end(from); --looks) {
    const auto kind = static_cast<Kind>(from.kind);
    if (from.index >= s.records_of(kind)) {
      from = {static_cast<std::uint8_t>(from.kind + 1U), 0};
      continue;
    }
    out[n] = {};
    if (s.describe(kind, from.index++, out[n])) ++n;
  }
  return n;
}

bool Stack::at_end(const SnapshotCursor& cursor) {
  return cursor.kind > static_cast<std::uint8_t>(Kind::kTimeWait6);
}

std::optional<tcp::Info> Stack::info(ConnId id) const {
  if (!impl_->alive(id)) return std::nullopt;
  tcp::Info i;
  impl_->look_at(id.index, [this, &i](const Conn& c) {
    i = tcp::info_of(c.tcb, impl_->now);
    // What the peer or the program keeps small says nothing of the path.
    if (c.tcb.mss >= c.tcb.full_mss || !c.tcb.synchronized()) i.pmtu = impl_->config.mtu;
  });
  return i;
}

std::size_t Stack::listeners(ListenerId from, std::span<ListenerId> out) const {
  std::size_t n = 0;
  for (ListenerId id = from; id < impl_->listeners.size() && n < out.size(); ++id) {
    if (impl_->listeners[id].used) out[n++] = id;
  }
  return n;
}

}  // namespace weir::stack
