// When PSH is set (RFC 9293 §3.9.1.2, MUST-60, MUST-61): where the text that is queued ends, which
// is in output.cc, and where Linux sets it besides, lest a peer that waits for PSH waits for long.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

// Within a long write: Linux's buffers hold whole segments up to half the largest window seen, and
// the first that ends more than that half behind the last PSH has one.
bool push_is_due(const Tcb& t, Seq end) {
  constexpr std::uint32_t kMostInBuffer = 65'215;  // its GSO size, less headers
  const std::uint32_t half = t.max_snd_wnd / 2;
  const std::uint32_t since = distance(t.pushed, end);
  if (since <= half) return false;
  std::uint32_t buffer = std::min(half, kMostInBuffer);
  buffer = std::max<std::uint32_t>(buffer - buffer % t.mss, t.mss);
  return since >= (half / buffer + 1) * buffer;
}

void push_last(Outbox& out) {
  out.tx.items().back().flags |= PSH;
}

}  // namespace

//= RFC9293 MUST-60
void push_or_not(Tcb& t, TxSegment& s) {
  const Seq end = s.seq + s.len;
  if ((s.flags & PSH) == 0 && !push_is_due(t, end)) return;
  s.flags |= PSH;
  t.pushed = end;
}

// Linux gives its port several segments in one piece, and PSH to the last of each piece, since a
// receiver that merges segments holds them until then; not when one of them goes again. What goes
// alone may go in times of congestion, where an ACK that comes later does no harm.
void push_burst(Tcb& t, Burst& b, std::uint32_t len, bool record, Outbox& out) {
  b.any = true;
  b.octets += len;
  if (record) {
    push_last(out);
    if (t.log != nullptr) t.log->mark_pushed();
  }
  if ((out.tx.items().back().flags & PSH) != 0 || t.in_mode(kUrgentOut)) {
    b.octets = 0;
  } else if (b.octets > t.mss) {
    if (b.most == 0) b.most = burst_length(t);
    if (b.octets < b.most) return;
    if (b.most > t.mss) push_last(out);
    b.octets = 0;
  }
}

void push_burst_over(Tcb& t, const Burst& b, Outbox& out) {
  if (b.octets > t.mss) push_last(out);
}

}  // namespace weir::tcp
