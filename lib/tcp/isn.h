// Initial sequence numbers (RFC 6528, RFC 9293 §3.4.1) and timestamp offsets (RFC 7323 §5.4).
#pragma once

#include "base/addr.h"
#include "base/seq.h"
#include "base/siphash.h"
#include "base/time.h"

namespace weir::tcp {

// M + F(localip, localport, remoteip, remoteport, secretkey), M a clock of 4 microseconds, F
// SipHash-2-4: known to nobody without the key (MUST-8, MUST-9, SHLD-1).
[[nodiscard]] Seq initial_sequence(const SipKey& key, const FlowKey& flow, Instant now);

// What is added to the millisecond clock of one connection.
[[nodiscard]] std::uint32_t timestamp_offset(const SipKey& key, const FlowKey& flow);

// Both, from one hash: F is its low half, the offset its high half. The halves of a pseudorandom
// value are independent: who sees one of them, in any number of connections, knows as much of the
// other as who sees none.
struct Numbers {
  Seq iss;
  std::uint32_t ts_offset = 0;
};
[[nodiscard]] Numbers first_numbers(const SipKey& key, const FlowKey& flow, Instant now);

}  // namespace weir::tcp
