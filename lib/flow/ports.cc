// Ephemeral local ports (RFC 6056). See ports.h.
#include "flow/ports.h"

#include <span>

#include "base/assert.h"

namespace weir::flow {

PortPicker::PortPicker(std::uint16_t low, std::uint16_t high, SipKey key)
    : low_(low),
      range_(std::uint32_t{high} - low + 1U),
      tuple_key_(key),
      step_key_{key[0] ^ 0x5bd1e9955bd1e995U, ~key[1]} {
  WEIR_ASSERT(low > 0 && low <= high);
  // §3.3.4: "initialized with random values". They only need to differ from one key to the next.
  for (std::uint32_t& counter : counters_) {
    counter = static_cast<std::uint32_t>(
        siphash24(step_key_, std::as_bytes(std::span{&steps_, 1})) >> 32U);
    ++steps_;
  }
}

void PortPicker::set_range(std::uint16_t low, std::uint16_t high) {
  WEIR_ASSERT(low > 0 && low <= high);
  low_ = low;
  range_ = std::uint32_t{high} - low + 1U;
}

//= RFC6056 3.3.4-a
//= RFC6056 3.3.4-b
//= RFC6056 3.3.4-c
PortPicker::Start PortPicker::start_for(const IpAddr& local, const Endpoint& remote) const {
  // One hash gives both F and G of §3.3.4: the halves of a pseudorandom value are independent.
  const std::uint64_t hash = siphash24(
      tuple_key_, FlowKey{.local = local, .remote = remote.addr, .remote_port = remote.port});
  const auto counter = static_cast<std::uint32_t>(hash >> 32U) % kCounters;
  const std::uint32_t offset = (static_cast<std::uint32_t>(hash) + counters_[counter]) % range_;
  return {offset, counter};
}

//= RFC6056 3.3.5
std::uint32_t PortPicker::increment() {
  const std::uint64_t random = siphash24(step_key_, std::as_bytes(std::span{&steps_, 1}));
  ++steps_;
  return 1 + static_cast<std::uint32_t>(random % kMaxIncrement);
}

}  // namespace weir::flow
