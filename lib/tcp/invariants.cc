// What must hold of a control block between two events (house rule 11).
#include "tcp/internal.h"

namespace weir::tcp {
namespace {

void check_log(const Tcb& t) {
  const SentLog& log = *t.log;
  WEIR_ASSERT(log.una() == t.snd_una && log.end() == t.snd_nxt && t.snd_una != t.snd_nxt);
  std::uint32_t sacked = 0, lost = 0;
  for (unsigned i = 0; i < log.size(); ++i) {
    const std::uint32_t n = log.length_of(i);
    WEIR_ASSERT(n > 0 &&
                (n <= t.mss + 1U || n <= t.mtu_probe || log[i].is(kSentSacked) || log.stale));
    WEIR_ASSERT(!(log[i].is(kSentSacked) && log[i].is(kSentLost)));
    if (log[i].is(kSentSacked)) sacked += n;
    if (log[i].is(kSentLost)) lost += n;
  }
  WEIR_ASSERT(sacked == log.sacked() && lost == log.lost());
}

void check_send_side(const Tcb& t) {
  const std::uint32_t out = distance(t.snd_una, t.snd_nxt);
  WEIR_ASSERT(out <= t.sndq.bytes() + 1);
  WEIR_ASSERT(out <= t.sndq.bytes() || t.has(kFinQueued));
  if (t.snd_una != t.snd_nxt && t.state != State::kTimeWait) {
    WEIR_ASSERT(t.rtx_deadline != kNever);
  }
  WEIR_ASSERT(t.cwnd >= t.mss);
  WEIR_ASSERT(t.frto == Frto::kOff || t.recovery == Recovery::kRto);
  if (t.nxt_buf != nullptr) WEIR_ASSERT(t.nxt_offset <= t.nxt_buf->len);
  if (t.log != nullptr) check_log(t);
}

void check_receive_side(const Tcb& t) {
  std::uint32_t n = 0;
  const Buf* last = nullptr;
  for (const Buf* b = t.ofo_head; b != nullptr; b = b->next, ++n) {
    WEIR_ASSERT(b->len > 0 && after(b->seq, t.rcv_nxt));
    if (last != nullptr) WEIR_ASSERT(at_or_before(last->seq + last->len, b->seq));
    last = b;
  }
  WEIR_ASSERT(last == t.ofo_tail && n == t.ofo_count);
}

}  // namespace

void check_invariants(const Tcb& t) {
  std::uint32_t bytes = 0;
  for (const Buf* b = t.sndq.head(); b != nullptr; b = b->next) bytes += b->len;
  WEIR_ASSERT(bytes == t.sndq.bytes());
  if (t.state == State::kClosed) {
    WEIR_ASSERT(next_deadline(t) == kNever && t.sndq.empty() && t.ofo_head == nullptr);
    return;
  }
  if (t.synchronized()) check_send_side(t);
  check_receive_side(t);
}

}  // namespace weir::tcp
