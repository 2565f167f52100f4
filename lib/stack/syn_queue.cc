// Half-open connections: 64-byte entries in the connection table, and their SYN-ACKs. All entries
// resent equally often wait equally long, so each such class is a queue in deadline order, and no
// entry needs a place in the wheel.
#include <algorithm>

#include "stack/impl.h"
#include "tcp/isn.h"
#include "tcp/reset.h"

namespace weir::stack {
namespace {

constexpr unsigned kPerCall = 64;
constexpr unsigned kListenerMask = 1'023;  // an entry holds 10 bits of it

}  // namespace

bool Stack::Impl::accept_queue_full(Listener& l) {
  if (l.waiting < l.backlog) return false;
  ++l.accept_overflows;
  return true;
}

//= RFC4987 3.4-b
void Stack::Impl::on_syn(Arrival& a, ListenerId listener, std::optional<Seq> beyond) {
  Listener& l = listeners[listener];
  if (!beyond && accept_queue_full(l)) return drop(a.buf, counters.drop_accept_queue_full);
  if (syns.full()) ++l.syn_overflows;
  if (!beyond && cookie_due()) return send_cookie(a, listener);
  if (syns.full()) evict_oldest_syn();
  const std::uint32_t index = syns.take();
  if (index == kNoIndex) return drop(a.buf, counters.drop_syn_queue_full);
  if (!table.insert(a.hash, handle_of(Kind::kSyn, index))) {
    syns.give(index);
    return drop(a.buf, counters.drop_conn_table_full);
  }
  tcp::SynEntry& e = *::new (syns.slot(index)) tcp::SynEntry;
  tcp::Numbers first = tcp::first_numbers(secrets.isn, a.flow, now);
  if (beyond && !after(first.iss, *beyond)) {
    first.iss = *beyond + 0x1'0000;  // RFC 9293 §3.6.1: beyond what the old one used
  }
  tcp::open_syn_entry(e, header_of(a), a.flow, first.iss, config.tcp);
  e.listener = listener & kListenerMask;
  e.sent_64ths = static_cast<unsigned>((now.time_since_epoch() % 1ms).count() * 64 / 1'000) & 63U;
  ++l.half_open;
  syn_link(index);
  send_syn_ack(e, now_ms() + first.ts_offset);
  counters.out_segs.add();
  consume(a.buf);  // text on a SYN comes again
}

void Stack::Impl::send_syn_ack(const tcp::SynEntry& e, std::uint32_t ts_now) {
  const ListenerId id = e.listener;
  send_made(e.flow, fields_of(id),
            [&] { return tcp::make_syn_ack(e, config.tcp, config.mtu, ts_now, settings_of(id)); });
}

void Stack::Impl::resend_syn_ack(tcp::SynEntry& e) {
  e.add_resent();
  send_syn_ack(e, ts_clock(e.flow));
  counters.retrans_segs.add();
}

void Stack::Impl::on_syn_entry(std::uint32_t index, Arrival& a) {
  tcp::SynEntry& e = syns[index];
  const tcp::RxSegment seg = header_of(a);
  switch (tcp::syn_entry_arrives(e, seg, config.tcp, config.mtu, settings_of(e.listener))) {
    case tcp::SynAnswer::kDrop:
      return drop(a.buf, counters.drop_listen_bad);
    case tcp::SynAnswer::kResendSynAck:
      tcp::syn_came_again(e, seg);
      resend_syn_ack(e);
      break;
    case tcp::SynAnswer::kChallenge:
      challenge_half_open(e);
      break;
    case tcp::SynAnswer::kReset:
      send_reset(a);
      break;
    case tcp::SynAnswer::kAbandon:
      counters.attempt_fails.add();
      syn_free(index, true);
      break;
    case tcp::SynAnswer::kEstablish:
      if (!defers(e, seg)) return promote(index, a);
      break;
  }
  consume(a.buf);
}

// One for each SYN-ACK sent, by a bit of the entry: nothing is shared that another peer could read.
//= RFC5961 7-a
void Stack::Impl::challenge_half_open(tcp::SynEntry& e) {
  if ((e.bits & tcp::SynEntry::kChallenged) != 0) return counters.drop_challenge_rate.add();
  e.bits |= tcp::SynEntry::kChallenged;
  tcp::TxSegment ack =
      tcp::make_syn_ack(e, config.tcp, config.mtu, ts_clock(e.flow), settings_of(e.listener));
  ack.seq = e.iss + 1;
  ack.flags = tcp::ACK;
  ack.options.mss = 0;  //= RFC9293 MUST-65
  ack.options.window_scale = wire::kNoWindowScale;
  ack.options.sack_permitted = false;
  counters.challenge_acks.add();
  send_stray(ack, e.flow, fields_of(e.listener));
}

// TCP_DEFER_ACCEPT, as Linux does it: a bare ACK is noted, the entry stays, and its SYN-ACK is sent
// again only at the end of the time, so that the peer's answer to it opens the connection after
// all.
bool Stack::Impl::defers(tcp::SynEntry& e, const tcp::RxSegment& seg) const {
  if (tcp::seg_len(seg) > 0 || e.retries() >= listeners[e.listener].defer_retries) return false;
  e.bits |= tcp::SynEntry::kAnswered;
  return true;
}

// The last ACK: a control block takes the entry's place in the table.
void Stack::Impl::promote(std::uint32_t index, Arrival& a) {
  const ListenerId id = syns[index].listener;
  if (telemetry::Counter* why = no_room_to_accept(listeners[id])) {
    syns[index].bits |= tcp::SynEntry::kAnswered;
    if (config.tcp.abort_on_overflow) {
      send_reset(a);
      syn_free(index, true);
    }
    return drop(a.buf, *why);
  }
  const std::uint32_t conn = conns.take(a.flow);
  make_passive(conn, syns[index], id, a);
  const bool replaced =
      table.replace(a.hash, handle_of(Kind::kSyn, index), handle_of(Kind::kConn, conn));
  WEIR_ASSERT(replaced);
  syn_free(index, false);
  on_conn(conn, a);
}

// Null when there is room.
telemetry::Counter* Stack::Impl::no_room_to_accept(Listener& l) {
  if (conns.full()) return &counters.drop_conn_table_full;
  return accept_queue_full(l) ? &counters.drop_accept_queue_full : nullptr;
}

// Makes `conn` the control block of a handshake that is complete, in its listener's accept queue.
void Stack::Impl::make_passive(std::uint32_t conn, const tcp::SynEntry& e, ListenerId id,
                               const Arrival& a) {
  Listener& l = listeners[id];
  Conn& c = *::new (conns.slot(conn)) Conn(config.tcp);
  ++generations[conn];
  c.flow = a.flow;
  c.hash = a.hash;
  c.listener = id;
  c.waits_accept = true;
  c.read_ms = c.acked_ms = now_ms();
  c.tos = config.tcp.tos;
  const IpAddr* const next_hop = routes.next_hop(a.flow.remote);
  c.next_hop = next_hop != nullptr ? *next_hop : a.flow.remote;
  if (config.socket_info) (void)tcp::lend_own(c.tcb, outbox);  // there is one for each
  if (l.has_own) (void)configure(c, l.conn);
  tcp::OpenArgs args = open_args(a.flow, {e.iss, tcp::timestamp_offset(secrets.isn, a.flow)});
  if (e.retries() == 0 && e.deadline_ms != 0) args.syn_ack_sent = syn_ack_sent(e);
  tcp::open_passive(c.tcb, e, args, now);
  counters.passive_opens.add();
  ++l.waiting;
  ++accept_waiting;
  l.accept_queue.push(conns, conn);
  note_waiting(id);
}

Duration Stack::Impl::syn_ack_wait(unsigned level) const {
  return std::min<Duration>(Duration(config.tcp.rto_initial) * (1U << level), config.tcp.rto_max);
}

// Pre: it was not resent.
Instant Stack::Impl::syn_ack_sent(const tcp::SynEntry& e) const {
  const Instant due = instant_of(e.deadline_ms);
  return due - due.time_since_epoch() % 1ms - syn_ack_wait(0) + Duration(1ms) * e.sent_64ths / 64;
}

void Stack::Impl::syn_link(std::uint32_t index) {
  tcp::SynEntry& e = syns[index];
  const unsigned level = std::min<unsigned>(e.retries(), kSynLevels - 1);
  e.deadline_ms = ms_of(now + syn_ack_wait(level));
  SynQueue& q = syn_queues[level];
  e.prev = q.tail & tcp::kSynNone;
  e.next = tcp::kSynNone;
  if (q.tail == tcp::kSynNone) {
    q.head = index;
  } else {
    syns[q.tail].next = index & tcp::kSynNone;
  }
  q.tail = index;
}

void Stack::Impl::syn_unlink(std::uint32_t index) {
  const tcp::SynEntry& e = syns[index];
  SynQueue& q = syn_queues[std::min<unsigned>(e.retries(), kSynLevels - 1)];
  if (e.prev == tcp::kSynNone) {
    q.head = e.next;
  } else {
    syns[e.prev].next = e.next;
  }
  if (e.next == tcp::kSynNone) {
    q.tail = e.prev;
  } else {
    syns[e.next].prev = e.prev;
  }
}

void Stack::Impl::syn_free(std::uint32_t index, bool erase_from_table) {
  const tcp::SynEntry& e = syns[index];
  if (erase_from_table) table.erase(hash_of(e.flow), handle_of(Kind::kSyn, index));
  --listeners[e.listener].half_open;
  syn_unlink(index);
  syns.give(index);
}

// RFC 4987 §3.2: the one that has had the most time to answer gives way.
//= RFC4987 3.2
void Stack::Impl::evict_oldest_syn() {
  for (unsigned level = kSynLevels; level-- > 0;) {
    if (syn_queues[level].head == tcp::kSynNone) continue;
    counters.drop_syn_evicted.add();
    return syn_free(syn_queues[level].head, true);
  }
}

// Those of a listener that is gone go to another that would have had them, if any; else, should
// their last ACK come, it is answered by a RST.
void Stack::Impl::forget_unwanted_syns() {
  for (SynQueue& q : syn_queues) {
    for (std::uint32_t i = q.head, next = tcp::kSynNone; i != tcp::kSynNone; i = next) {
      tcp::SynEntry& e = syns[i];
      next = e.next;
      if (listeners[e.listener].used) continue;
      const ListenerId heir = listener_for(e.flow, hash_of(e.flow));
      if (heir == kNoIndex ||
          window_scale(listeners[heir]) != window_scale(listeners[e.listener])) {
        syn_free(i, true);
        continue;
      }
      --listeners[e.listener].half_open;
      e.listener = heir & kListenerMask;
      ++listeners[heir].half_open;
    }
  }
}

void Stack::Impl::advance_syns() {
  unsigned left = kPerCall;
  for (SynQueue& q : syn_queues) {
    while (q.head != tcp::kSynNone && left > 0 && tx.room() > kOneCall) {
      const std::uint32_t index = q.head;
      tcp::SynEntry& e = syns[index];
      if (static_cast<std::int32_t>(e.deadline_ms - now_ms()) > 0) break;
      --left;
      const bool answered = (e.bits & tcp::SynEntry::kAnswered) != 0;
      const std::uint8_t deferred =
          answered ? listeners[e.listener].defer_retries : std::uint8_t{0};
      if (e.retries() >= std::max(tcp::synack_limit(e, config.tcp), deferred)) {
        counters.drop_synack_retries.add();
        counters.attempt_fails.add();
        syn_free(index, true);
        continue;
      }
      syn_unlink(index);
      e.add_retry();
      e.bits = static_cast<std::uint8_t>(e.bits & ~unsigned{tcp::SynEntry::kChallenged});
      syn_link(index);
      if (e.retries() < deferred) continue;
      resend_syn_ack(e);
    }
  }
}

Instant Stack::Impl::next_syn_deadline() const {
  Instant first = kNever;
  for (const SynQueue& q : syn_queues) {
    if (q.head != tcp::kSynNone) first = std::min(first, instant_of(syns[q.head].deadline_ms));
  }
  return first;
}

}  // namespace weir::stack
