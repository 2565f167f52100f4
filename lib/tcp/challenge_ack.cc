// Challenge ACKs (RFC 5961 §3-5, §7): throttled by the connection's own clock and nothing shared,
// so that one connection's replies say nothing about another's (CVE-2016-5696).
#include "tcp/internal.h"

namespace weir::tcp {

//= RFC5961 7-a
void challenge_ack(Tcb& t, Instant now, Outbox& out) {
  const auto ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
  const auto interval = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(t.config->challenge_ack_interval)
          .count());
  if (t.challenge_ms != 0 && ms - t.challenge_ms < interval) {
    out.counters->drop_challenge_rate.add();
    return;
  }
  t.challenge_ms = ms == 0 ? 1 : ms;
  t.set(kAckNow);
  out.counters->challenge_acks.add();
}

}  // namespace weir::tcp
