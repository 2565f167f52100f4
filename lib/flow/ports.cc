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
  known_.fill({{}, {}, hash_of({}, {})});
}

void PortPicker::set_range(std::uint16_t low, std::uint16_t high) {
  WEIR_ASSERT(low > 0 && low <= high);
  low_ = low;
  range_ = std::uint32_t{high} - low + 1U;
}

//= RFC6056 3.3.4-a
//= RFC6056 3.3.4-b
//= RFC6056 3.3.4-c
PortPicker::Start PortPicker::start_for(const IpAddr& local, const Endpoint& remote) {
  Known& known = known_[(remote.addr.octets()[15] ^ remote.port) % kKnown];
  if (known.local != local || known.remote != remote) {
    known = {local, remote, hash_of(local, remote)};
  }
  // One hash gives both F and G of §3.3.4: the halves of a pseudorandom value are independent.
  const auto counter = static_cast<std::uint32_t>(known.hash >> 32U) % kCounters;
  const auto f = static_cast<std::uint32_t>(known.hash);
  return {(f + counters_[counter]) % range_, counter};
}

std::uint64_t PortPicker::hash_of(const IpAddr& local, const Endpoint& remote) const {
  return siphash24(tuple_key_,
                   FlowKey{.local = local, .remote = remote.addr, .remote_port = remote.port});
}

//= RFC6056 3.3.5
std::uint32_t PortPicker::increment() {
  static_assert(kMaxIncrement == 8, "three bits each");
  if (draws_left_ == 0) {
    draws_ = siphash24(step_key_, std::as_bytes(std::span{&steps_, 1}));
    ++steps_;
    draws_left_ = 64 / 3;
  }
  --draws_left_;
  const auto random = static_cast<std::uint32_t>(draws_ % kMaxIncrement);
  draws_ /= kMaxIncrement;
  return 1 + random;
}

}  // namespace weir::flow
