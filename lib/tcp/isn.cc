// RFC 6528.
#include "tcp/isn.h"

namespace weir::tcp {

//= RFC9293 MUST-8
//= RFC9293 MUST-9
//= RFC9293 SHLD-1
//= RFC6528 3-a
//= RFC6528 3-b
//= RFC6528 3-c
Seq initial_sequence(const SipKey& key, const FlowKey& flow, Instant now) {
  const auto clock = static_cast<std::uint64_t>(now.time_since_epoch().count()) / 4;
  return Seq{static_cast<std::uint32_t>(clock + siphash24(key, flow))};
}

//= RFC6191 3
std::uint32_t timestamp_offset(const SipKey& key, const FlowKey& flow) {
  return static_cast<std::uint32_t>(siphash24(key, flow));
}

}  // namespace weir::tcp
