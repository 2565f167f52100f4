// RFC 6528.
#include "tcp/isn.h"

namespace weir::tcp {

//= RFC9293 MUST-8
//= RFC9293 MUST-9
//= RFC9293 SHLD-1
//= RFC6528 3-a
//= RFC6528 3-b
//= RFC6528 3-c
//= RFC6191 3
Numbers first_numbers(const SipKey& key, const FlowKey& flow, Instant now) {
  const std::uint64_t hash = siphash24(key, flow);
  const auto clock = static_cast<std::uint64_t>(now.time_since_epoch().count()) / 4;
  return {Seq{static_cast<std::uint32_t>(clock + hash)}, static_cast<std::uint32_t>(hash >> 32U)};
}

Seq initial_sequence(const SipKey& key, const FlowKey& flow, Instant now) {
  return first_numbers(key, flow, now).iss;
}

std::uint32_t timestamp_offset(const SipKey& key, const FlowKey& flow) {
  return first_numbers(key, flow, Instant{}).ts_offset;
}

}  // namespace weir::tcp
