// Delayed acknowledgments (RFC 9293 §3.8.6.3, RFC 5681 §4.2).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {

//= RFC9293 MUST-40
//= RFC9293 SHLD-18
//= RFC9293 SHLD-19
//= RFC5681 4.2-a
void on_text_received(Tcb& t, std::uint32_t octets, std::uint32_t in_segment, Instant now) {
  t.unacked_in += octets;
  // What a port has merged is longer than any segment was.
  const std::uint32_t longest = t.rcv_mss - (t.has(kTimestamps) ? 12U : 0U);
  const std::uint32_t full = std::min(in_segment, longest);
  t.peer_seg = static_cast<std::uint16_t>(std::max<std::uint32_t>(t.peer_seg, full));
  if (t.unacked_in >= 2 * std::uint32_t{t.peer_seg}) {
    t.set(kAckNow);
  } else if (t.delack_deadline == kNever) {
    t.delack_deadline = now + t.config->delack_max;
  }
}

}  // namespace weir::tcp
