// Path MTU discovery (RFC 1191 §6.4, RFC 8201 §5.4; floors as Linux's min_pmtu and IPv6's 1280).
// The caller has checked that the message quotes what is in flight (RFC 5927 §4.1).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {

void on_packet_too_big(Tcb& t, std::uint32_t mtu) {
  if (!t.synchronized()) return;
  const bool ipv6 = t.has(kIpv6);
  const std::uint32_t floor = ipv6 ? 1280 : 552;
  const std::uint32_t headers = (ipv6 ? 60U : 40U) + (t.has(kTimestamps) ? 12U : 0U);
  const std::uint32_t mss = std::max(mtu, floor) - headers;
  if (mss >= t.mss) return;
  t.mss = static_cast<std::uint16_t>(mss);
  t.cwnd = std::max<std::uint32_t>(t.cwnd, t.mss);
  if (t.log != nullptr) t.log->stale = true;
  if (t.snd_una == t.snd_nxt) return;
  t.rtx_nxt =
      t.snd_una;  // what was too big never arrived: again at once, and no sign of congestion
  t.rtx_end = t.snd_nxt;
  if (t.recovery == Recovery::kRto) t.recover = t.snd_nxt;
  t.frto = Frto::kOff;
}

}  // namespace weir::tcp
