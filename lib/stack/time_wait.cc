// TIME-WAIT without a control block. Every record waits 2MSL, so the queue of deadlines is first
// in, first out; a record whose wait was restarted goes to the end when its turn comes, where it
// may wait up to 2MSL longer than it must.
#include "stack/impl.h"
#include "tcp/isn.h"

namespace weir::stack {
namespace {

constexpr unsigned kPerCall = 64;

}  // namespace

// Pre: the control block is in TIME-WAIT, its user is gone, its last ACK is sent.
void Stack::Impl::enter_time_wait(std::uint32_t index) {
  Conn& c = conns[index];
  const std::uint32_t record = tws.take();
  if (record == kNoIndex) {
    counters.drop_tw_full.add();
    table.erase(c.hash, handle_of(Kind::kConn, index));
    return let_go(index);
  }
  tcp::TwRecord& r = *::new (tws.slot(record)) tcp::TwRecord;
  tcp::make_tw_record(r, c.tcb, c.flow);
  tw_push(record);
  ++tw_live;
  const bool replaced =
      table.replace(c.hash, handle_of(Kind::kConn, index), handle_of(Kind::kTimeWait, record));
  WEIR_ASSERT(replaced);
  let_go(index);
}

void Stack::Impl::tw_push(std::uint32_t index) {
  tcp::TwRecord& r = tws[index];
  r.deadline_ms = ms_of(now + 2 * config.tcp.msl);
  r.next = tcp::kTwNone;
  if (tw_tail == tcp::kTwNone) {
    tw_head = index;
  } else {
    tws[tw_tail].next = index & tcp::kTwNone;
  }
  tw_tail = index;
}

void Stack::Impl::on_time_wait(std::uint32_t index, Arrival& a) {
  tcp::TwRecord& r = tws[index];
  const tcp::RxSegment seg = header_of(a);
  const auto forget = [&] {
    table.erase(a.hash, handle_of(Kind::kTimeWait, index));
    r.dead = 1;
    --tw_live;
  };
  switch (tcp::tw_arrives(r, seg, config.tcp)) {
    case tcp::TwAnswer::kDrop:
      break;
    case tcp::TwAnswer::kAckRestart:
      r.deadline_ms = ms_of(now + 2 * config.tcp.msl);
      r.restarted = 1;
      [[fallthrough]];
    case tcp::TwAnswer::kAck:
      send_stray(tcp::make_tw_ack(r, ts_clock(a.flow)), a.flow);
      break;
    case tcp::TwAnswer::kEnd:
      forget();
      break;
    case tcp::TwAnswer::kNewSyn: {
      const ListenerId id = listening.find(a.flow.local, a.flow.local_port);
      if (id == kNoIndex) break;
      if (listeners[id].waiting >= listeners[id].backlog) {  // the record stays for the next SYN
        return drop(a.buf, counters.drop_accept_queue_full);
      }
      const tcp::TwRecord old = r;
      forget();
      counters.time_wait_reused.add();
      return on_syn(a, id, &old);
    }
  }
  drop(a.buf, counters.drop_time_wait);
}

void Stack::Impl::advance_time_wait() {
  for (unsigned i = 0; i < kPerCall && tw_head != tcp::kTwNone; ++i) {
    const std::uint32_t index = tw_head;
    tcp::TwRecord& r = tws[index];
    const bool over = static_cast<std::int32_t>(r.deadline_ms - now_ms()) <= 0;
    if (!over && r.dead == 0 && r.restarted == 0) return;
    tw_head = r.next;
    if (tw_head == tcp::kTwNone) tw_tail = tcp::kTwNone;
    if (over || r.dead != 0) {
      if (r.dead == 0) {
        table.erase(hash_of(r.flow()), handle_of(Kind::kTimeWait, index));
        --tw_live;
      }
      tws.give(index);
      continue;
    }
    const std::uint32_t deadline = r.deadline_ms;  // no later than of what is pushed from now on
    tw_push(index);
    r.deadline_ms = deadline;
    r.restarted = 0;
  }
}

Instant Stack::Impl::next_tw_deadline() const {
  return tw_head == tcp::kTwNone ? kNever : instant_of(tws[tw_head].deadline_ms);
}

}  // namespace weir::stack
