// Control blocks: how they are made, what follows from each event, and how they go.
#include <algorithm>
#include <bit>

#include "stack/impl.h"
#include "tcp/isn.h"

namespace weir::stack {

tcp::OpenArgs Stack::Impl::open_args(const FlowKey& f, const tcp::Numbers& first) const {
  tcp::OpenArgs args;
  args.iss = first.iss;
  args.ts_offset = first.ts_offset;
  args.mtu = config.mtu;
  args.ipv6 = !f.local.is_v4();
  return args;
}

Conn* Stack::Impl::find(ConnId id) {
  if (id.index >= generations.size() || generations[id.index] != id.generation) return nullptr;
  if ((id.generation & 1U) == 0) return nullptr;
  Conn& c = awake(id.index);
  return c.user_gone ? nullptr : &c;
}

void Stack::Impl::mark_ready(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.in_ready || c.waits_accept || c.user_gone) return;
  c.in_ready = true;
  ready.push(conns, index);
}

void Stack::Impl::mark_output(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.in_output) return;
  c.in_output = true;
  output.push(conns, index);
}

void Stack::Impl::collect_notices(Conn& c) {
  const std::uint8_t n = std::exchange(c.tcb.notices, std::uint8_t{0});
  const auto note = [&c](Event e) { c.events = static_cast<std::uint16_t>(c.events | e); };
  if ((n & tcp::kNoticeConnected) != 0 && c.tcb.ecn_has(tcp::kEcnSend)) counters.ecn_opens.add();
  if ((n & tcp::kNoticeConnected) != 0 && !c.tcb.has(tcp::kPassive)) note(kConnected);
  if ((n & tcp::kNoticeReadable) != 0) note(kReadable);
  if ((n & tcp::kNoticeWritable) != 0) note(kWritable);
  if ((n & tcp::kNoticePeerClosed) != 0) note(kPeerClosed);
  if ((n & tcp::kNoticeUrgent) != 0) note(kUrgent);
  if ((n & tcp::kNoticeSoftError) != 0) note(kSoftError);
  if ((n & tcp::kNoticeClosed) != 0) {
    note(kClosed);
    const bool in_table = table.erase(c.hash, handle_of(Kind::kConn, conns.index_of(c)));
    WEIR_ASSERT(in_table);
  }
}

void Stack::Impl::count_established(Conn& c) {
  const bool is = c.tcb.state >= tcp::State::kEstablished && c.tcb.state != tcp::State::kTimeWait;
  if (is == c.counted) return;
  c.counted = is;
  if (c.tcb.state == tcp::State::kTimeWait) counters.time_wait_entered.add();
  established += is ? 1U : ~0U;
}

// The part of settle that cannot wait for poll_output: what the application is told in between.
void Stack::Impl::tell(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.tcb.notices != 0) collect_notices(c);
  if (c.events != 0) mark_ready(index);
}

// What follows from any event: the application is told, the timer is armed, the dead are buried.
void Stack::Impl::settle(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.tcb.path_news != 0) tell_neighbour(c);
  if (c.tcb.notices != 0) collect_notices(c);
  count_established(c);
  note_close_wait(index);
  if (c.tcb.state == tcp::State::kClosed && c.user_gone) return let_go(index);
  if (c.tcb.state == tcp::State::kTimeWait && c.user_gone) {
    mark_output(index);  // poll_output puts a record in its place
  }
  if (c.events != 0) mark_ready(index);
  wheel.arm(index, deadline_of(c));
}

// The user has let go: no more events. What ends by a RST needs a place among this iteration's
// packets, as nothing would send it again; when they are full, poll_output comes back to it.
void Stack::Impl::leave(std::uint32_t index, Leaving how) {
  Conn& c = conns[index];
  c.user_gone = true;
  c.events = 0;
  c.user_deadline = c.retry_deadline = kNever;
  c.leaving = tx.room() < kOneCall ? how : Leaving::kNot;
  if (c.leaving != Leaving::kNot) return mark_output(index);
  if (how == Leaving::kAbort) {
    tcp::user_abort(c.tcb, now, outbox);
  } else {
    tcp::user_close(c.tcb, now, outbox);
    mark_output(index);
  }
  flush(index);
  // What goes on is settled by poll_output, for which it is marked.
  if (c.tcb.state == tcp::State::kClosed) settle(index);
}

// Pre: no longer in the table. The record is freed now, or when the lists have passed it.
void Stack::Impl::let_go(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.doomed) return;
  c.doomed = true;
  note_close_wait(index);  // it may have ended since it was settled
  c.user_gone = true;
  if (c.counted) {
    c.counted = false;
    --established;
  }
  tcp::release_buffers(c.tcb, outbox);
  released.append(std::move(outbox.release));
  wheel.cancel(index);
  free_if_unlisted(index);
}

void Stack::Impl::free_if_unlisted(std::uint32_t index) {
  Conn& c = conns[index];
  if (c.in_ready || c.in_output || c.waits_accept) return;
  tcp::give_own(c.tcb, outbox);
  c.~Conn();
  ++generations[index];
  conns.give(index);
}

void Stack::Impl::on_timer(std::uint32_t index) {
  if (sleeps_on(index)) return;
  Conn& c = awake(index);
  if (c.doomed) return;
  if (now >= c.user_deadline) {
    c.user_deadline = kNever;
    c.events = static_cast<std::uint16_t>(c.events | kTimer);
  }
  if (now >= c.retry_deadline) {
    c.retry_deadline = kNever;
    c.tcb.clear(tcp::kWantWritable);
    c.events = static_cast<std::uint16_t>(c.events | kWritable);
  }
  if (now >= tcp::next_deadline(c.tcb)) {
    tcp::on_timeout(c.tcb, now, outbox);
    flush(index);
  }
  settle(index);
}

// As lib/tcp tells of it: a third of the send buffer.
bool Stack::Impl::has_room(const tcp::Tcb& t) {
  const std::uint32_t room = tcp::send_room(t);
  return room >= (room + t.sndq.bytes()) / 3;
}

// The send buffers have become larger: who waits for room is told, some at a time.
void Stack::Impl::advance_room() {
  constexpr unsigned kSlotsPerCall = 1'024;
  for (unsigned slots = kSlotsPerCall; slots > 0 && room_cursor < generations.size(); --slots) {
    const std::uint32_t index = room_cursor++;
    if (!busy(index)) continue;
    Conn& c = conns[index];
    if (!c.tcb.has(tcp::kWantWritable) || !has_room(c.tcb)) continue;
    c.tcb.clear(tcp::kWantWritable);
    c.events = static_cast<std::uint16_t>(c.events | kWritable);
    mark_ready(index);
  }
}

bool Stack::Impl::may_accept() const {
  return accept_waiting > 0 && std::ranges::any_of(listeners, [](const Listener& l) {
           return !l.paused && !l.accept_queue.empty();
         });
}

// The oldest that waits, kNoIndex when none does.
std::uint32_t Stack::Impl::pop_accepted(Listener& l) {
  while (!l.accept_queue.empty()) {
    const std::uint32_t index = l.accept_queue.pop(conns);
    conns[index].waits_accept = false;
    --l.waiting;
    --accept_waiting;
    if (!conns[index].doomed) return index;
    free_if_unlisted(index);
  }
  return kNoIndex;
}

// Oldest first, one listener after the other, passing over those that died while they waited.
bool Stack::Impl::next_accepted(Ready& out) {
  if (accept_waiting == 0) return false;
  for (std::size_t word = 0; word < accepting.size(); ++word) {
    while (accepting[word] != 0) {
      const auto bit = static_cast<unsigned>(std::countr_zero(accepting[word]));
      Listener& l = listeners[word * kWordBits + bit];
      const std::uint32_t index = l.paused ? kNoIndex : pop_accepted(l);
      if (index == kNoIndex) {
        accepting[word] &= accepting[word] - 1;
        continue;
      }
      Conn& c = conns[index];
      if (c.tcb.state == tcp::State::kClosed) {
        let_go(index);
        continue;
      }
      ++l.accepted;
      out = {id_of(index), static_cast<std::uint16_t>(c.events | kAccepted), c.tcb.close_reason,
             c.listener};
      c.events = 0;
      mark_output(index);
      return true;
    }
  }
  return false;
}

bool Stack::Impl::next_ready(Ready& out) {
  if (next_accepted(out)) return true;
  while (!ready.empty()) {
    const std::uint32_t index = ready.pop(conns);
    Conn& c = conns[index];
    c.in_ready = false;
    if (c.doomed) {
      free_if_unlisted(index);
      continue;
    }
    if (c.user_gone || c.events == 0) continue;
    out = {id_of(index), std::exchange(c.events, std::uint16_t{0}), c.tcb.close_reason, c.listener};
    mark_output(index);
    return true;
  }
  return false;
}

// ARP found nobody: a connection that is still opening has failed (EHOSTUNREACH); another goes on
// trying, and remembers.
void Stack::Impl::close_unreachable(const FlowKey& flow) {
  const std::uint32_t handle =
      table.find(hash_of(flow), [&](std::uint32_t h) { return same_flow(h, flow); });
  if (handle == kNoIndex || kind_of(handle) != Kind::kConn) return;
  const std::uint32_t index = index_of(handle);
  Conn& c = awake(index);
  mark_output(index);  // whose packet met this still holds the record: it is freed by poll_output
  // Where the next hop was known and R1 was reached, R2 decides (RFC 9293 §3.8.3).
  const bool doubted = c.tcb.soft_error != tcp::CloseReason::kNone;
  if (c.tcb.state != tcp::State::kSynSent || doubted) {
    tcp::note_soft_error(c.tcb, tcp::CloseReason::kUnreachable);
    return settle(index);
  }
  counters.attempt_fails.add();
  tcp::fail_open(c.tcb, tcp::CloseReason::kUnreachable, outbox);
  released.append(std::move(outbox.release));
  settle(index);
}

//= RFC6056 3.1
// Nobody has this 4-tuple, or a TIME-WAIT that may be ended.
bool Stack::Impl::tuple_free(const FlowKey& flow, Place& at) {
  const Ahead& told = ahead_of(flow);
  at.hash = told.flow == flow ? told.hash : hash_of(flow);
  at.old = table.find(at.hash, [&](std::uint32_t x) { return same_flow(x, flow); });
  if (at.old == kNoIndex) return true;
  const tcp::TwState* old = tw_of(at.old);
  return old != nullptr && tw_reusable(*old, flow);
}

// Its place in the table is far from all others', and in a large one in no cache: it is fetched
// before the next connection to the same remote asks for it. A guess: with several shards most
// ports are another's, and nothing is told ahead.
void Stack::Impl::look_ahead(FlowKey flow) {
  if (config.shards > 1) return;
  flow.local_port = ports.first(flow.local, {flow.remote, flow.remote_port});
  const std::uint64_t hash = hash_of(flow);
  ahead_of(flow) = {flow, hash};
  table.prefetch(hash);
}

// Sets flow.local_port, or finds fault with the one that is asked for. Answers must come back to
// this core (ADR 5).
std::optional<Error> Stack::Impl::choose_port(FlowKey& flow, Place& at) {
  const auto comes_here = [&] {
    return config.shards == 1 || config.rss->queue(flow) % config.shards == config.shard;
  };
  if (flow.local_port != 0) {
    if (!comes_here()) return Error::kNoPort;
    return tuple_free(flow, at) ? std::nullopt : std::optional(Error::kAddressInUse);
  }
  const auto usable = [&](std::uint16_t port) {
    flow.local_port = port;
    const bool listened_on = listening.find(flow.local, port) != kNoIndex;
    return !listened_on && comes_here() && tuple_free(flow, at);
  };
  const auto port = ports.pick(flow.local, {flow.remote, flow.remote_port}, usable);
  if (!port) return Error::kNoPort;
  flow.local_port = *port;
  return std::nullopt;
}

Result<ConnId, Error> Stack::Impl::connect(const Endpoint& remote, std::optional<IpAddr> local,
                                           std::uint16_t local_port, const ConnOptions* own) {
  //= RFC9293 MUST-46
  if (!remote.addr.is_unicast() || routes.is_broadcast(remote.addr) || remote.port == 0) {
    return Error::kInvalidRemote;
  }
  const auto route = routes.is_local(remote.addr)
                         ? std::optional(ip::Route{remote.addr, remote.addr})
                         : routes.lookup(remote.addr);
  if (!route) return Error::kNoRoute;
  //= RFC9293 MUST-43
  //= RFC9293 MUST-44
  FlowKey flow{local.value_or(route->source), remote.addr, local_port, remote.port};
  const bool one_family = flow.local.is_v4() == flow.remote.is_v4();
  if (!one_family || !routes.is_local(flow.local)) return Error::kAddressNotLocal;
  if (conns.full()) return Error::kFull;
  Place at;
  if (const auto fault = choose_port(flow, at)) return *fault;
  if (local_port == 0) look_ahead(flow);
  tcp::Numbers first = tcp::first_numbers(secrets.isn, flow, now);
  if (at.old != kNoIndex) {
    tcp::TwState& r = *tw_of(at.old);
    if (!after(first.iss, r.snd_nxt)) first.iss = r.snd_nxt + 0x1'0000;  // RFC 9293 §3.6.1
    tw_forget(r, at.hash, at.old);
    counters.time_wait_recycled.add();
  }
  const std::uint32_t index = conns.take(flow);
  if (!table.insert(at.hash, handle_of(Kind::kConn, index))) {
    conns.give(index);
    return Error::kFull;
  }
  Conn& c = *::new (conns.slot(index)) Conn(config.tcp);
  ++generations[index];
  //= RFC9293 MUST-45
  c.flow = flow;
  c.hash = at.hash;
  c.next_hop = route->next_hop;
  c.read_ms = c.acked_ms = now_ms();
  c.tos = config.tcp.tos;
  tcp::user_open(c.tcb, open_args(flow, first), now);
  if (config.socket_info) (void)tcp::lend_own(c.tcb, outbox);  // there is one for each
  if (own != nullptr) (void)configure(c, *own);
  counters.active_opens.add();
  // Earlier than the SYN's time-out: what follows the handshake finds the node where it may stay.
  wheel.arm(index, now + config.tcp.rto_min);
  mark_output(index);
  return id_of(index);
}

}  // namespace weir::stack
