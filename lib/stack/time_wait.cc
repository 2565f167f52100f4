// TIME-WAIT without a control block. Every record waits 2MSL, so they stand in a queue, first in,
// first out; a record whose wait was restarted goes to the end when its turn comes, where it may
// wait up to 2MSL longer than it must. IPv4 and IPv6 have records and queues of their own, and
// max_tw_buckets together.
#include "stack/impl.h"
#include "tcp/isn.h"

namespace weir::stack {
namespace {

constexpr unsigned kPerCall = 64;

}  // namespace

// Pre: the control block is in TIME-WAIT, its user is gone, its last ACK is sent.
void Stack::Impl::enter_time_wait(std::uint32_t index) {
  if (conns[index].flow.local.is_v4()) {
    make_time_wait(tws, Kind::kTimeWait, index);
  } else {
    make_time_wait(tws6, Kind::kTimeWait6, index);
  }
  let_go(index);
}

template <class Record>
void Stack::Impl::make_time_wait(Fifo<Record>& of, Kind kind, std::uint32_t conn) {
  const Conn& c = conns[conn];
  const bool room = tws.size() + tws6.size() < config.tcp.max_tw_buckets;
  const std::uint32_t record = room ? of.push() : kNoIndex;
  if (record == kNoIndex) {
    counters.drop_tw_full.add();
    table.erase(c.hash, handle_of(Kind::kConn, conn));
    return;
  }
  Record& r = *::new (of.slot(record)) Record;
  tcp::make_tw_state(r, c.tcb, c.flow);
  r.set_addresses(c.flow);
  r.set_deadline(ms_of(now + 2 * config.tcp.msl));
  ++tw_live;
  const bool replaced =
      table.replace(c.hash, handle_of(Kind::kConn, conn), handle_of(kind, record));
  WEIR_ASSERT(replaced);
}

// Out of the table; the queue frees it in its turn.
void Stack::Impl::tw_forget(tcp::TwState& r, std::uint64_t hash, std::uint32_t handle) {
  table.erase(hash, handle);
  r.dead = 1;
  --tw_live;
}

template <class Record>
void Stack::Impl::on_time_wait(Fifo<Record>& of, Kind kind, std::uint32_t index, Arrival& a) {
  tcp::TwState& r = of[index];
  const tcp::RxSegment seg = header_of(a);
  switch (tcp::tw_arrives(r, seg, config.tcp)) {
    case tcp::TwAnswer::kDrop:
      break;
    case tcp::TwAnswer::kAckRestart:
      r.set_deadline(ms_of(now + 2 * config.tcp.msl));
      r.restarted = 1;
      [[fallthrough]];
    case tcp::TwAnswer::kAck:
      send_made(a.flow, default_fields(), [&] { return tcp::make_tw_ack(r, ts_clock(a.flow)); });
      break;
    case tcp::TwAnswer::kEnd:
      tw_forget(r, a.hash, handle_of(kind, index));
      break;
    case tcp::TwAnswer::kNewSyn: {
      const ListenerId id = listener_for(a.flow, a.hash);
      if (id == kNoIndex) break;
      if (accept_queue_full(listeners[id])) {  // the record stays for the next SYN
        return drop(a.buf, counters.drop_accept_queue_full);
      }
      const Seq beyond = r.snd_nxt;
      tw_forget(r, a.hash, handle_of(kind, index));
      counters.time_wait_reused.add();
      return on_syn(a, id, beyond);
    }
  }
  drop(a.buf, counters.drop_time_wait);
}

template void Stack::Impl::on_time_wait(Fifo<tcp::TwRecord>&, Kind, std::uint32_t, Arrival&);
template void Stack::Impl::on_time_wait(Fifo<tcp::TwRecord6>&, Kind, std::uint32_t, Arrival&);

// The same for a connection in TIME-WAIT that its user still holds: it ends as it would have at
// 2MSL, and the SYN opens another. True when that was done.
//= RFC6191 2-a
bool Stack::Impl::reopens(std::uint32_t index, Arrival& a) {
  Conn& c = conns[index];
  if (c.tcb.state != tcp::State::kTimeWait || c.doomed) return false;
  tcp::TwState r;
  tcp::make_tw_state(r, c.tcb, c.flow);
  if (tcp::tw_arrives(r, header_of(a), config.tcp) != tcp::TwAnswer::kNewSyn) return false;
  const ListenerId id = listener_for(a.flow, a.hash);
  if (id == kNoIndex || accept_queue_full(listeners[id])) return false;
  tcp::end_time_wait(c.tcb, outbox);
  flush(index);
  settle(index);
  counters.time_wait_reused.add();
  on_syn(a, id, r.snd_nxt);
  return true;
}

tcp::TwState* Stack::Impl::tw_of(std::uint32_t handle) {
  if (kind_of(handle) == Kind::kTimeWait) return &tws[index_of(handle)];
  if (kind_of(handle) == Kind::kTimeWait6) return &tws6[index_of(handle)];
  return nullptr;
}

// RFC 6191's reasoning from the other end, as Linux's tcp_tw_reuse: our SYN will carry a timestamp
// that is newer than any of the old connection, and a sequence number beyond what it used.
bool Stack::Impl::tw_reusable(const tcp::TwState& r, const FlowKey& flow) const {
  const std::uint8_t reuse = config.tcp.tw_reuse;
  if (reuse == 0 || (reuse == 2 && !loops(flow))) return false;
  if (r.has_timestamps == 0 || !config.tcp.timestamps) return false;
  const Duration left = deadline_of(r) - now;
  return left <= 2 * config.tcp.msl - config.tcp.tw_reuse_delay;
}

// The first of the queue, whose turn has come: its wait is over, or it is dead, or it goes to the
// end.
template <class Record>
void Stack::Impl::expire_time_wait(Fifo<Record>& of, Kind kind, std::uint64_t hash) {
  const std::uint32_t index = of.first();
  Record r = of[index];
  of.pop();
  if (r.dead != 0) return;
  if (r.left_ms(now_ms()) <= 0) return tw_forget(r, hash, handle_of(kind, index));
  r.restarted = 0;
  const std::uint32_t last = of.push();
  ::new (of.slot(last)) Record(r);
  const bool replaced = table.replace(hash, handle_of(kind, index), handle_of(kind, last));
  WEIR_ASSERT(replaced);
}

// Their lines of the table are fetched all at once: each is as cold as its connection has been.
template <class Record>
void Stack::Impl::advance_time_wait(Fifo<Record>& of, Kind kind) {
  std::array<std::uint64_t, kPerCall> hashes;
  unsigned n = 0;
  for (std::uint32_t i = of.first(); i != kNoIndex && n < kPerCall; i = of.following(i)) {
    const Record& r = of[i];
    if (r.left_ms(now_ms()) > 0 && r.dead == 0 && r.restarted == 0) break;
    hashes[n] = r.dead != 0 ? 0 : hash_of(r.flow());
    table.prefetch(hashes[n++]);
  }
  for (unsigned i = 0; i < n; ++i) expire_time_wait(of, kind, hashes[i]);
}

void Stack::Impl::advance_time_wait() {
  advance_time_wait(tws, Kind::kTimeWait);
  advance_time_wait(tws6, Kind::kTimeWait6);
}

Instant Stack::Impl::next_tw_deadline() const {
  const auto of = [this](const auto& t) {
    return t.first() == kNoIndex ? kNever : this->deadline_of(t[t.first()]);
  };
  return std::min(of(tws), of(tws6));
}

}  // namespace weir::stack
