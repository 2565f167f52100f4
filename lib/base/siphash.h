// SipHash (Aumasson and Bernstein, 2012): a keyed pseudorandom function of short inputs.
// SipHash-2-4 where the output faces the network (initial sequence numbers, RFC 6528), SipHash-1-3
// for hash tables, whose output never leaves the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/addr.h"

namespace weir {

using SipKey = std::array<std::uint64_t, 2>;

[[nodiscard]] std::uint64_t siphash24(const SipKey& key, std::span<const std::byte> in);
[[nodiscard]] std::uint64_t siphash13(const SipKey& key, std::span<const std::byte> in);

// Over the 36 octets of the 4-tuple; an IPv4 flow costs less, having fewer octets that vary.
[[nodiscard]] std::uint64_t siphash24(const SipKey& key, const FlowKey& flow);
[[nodiscard]] std::uint64_t siphash13(const SipKey& key, const FlowKey& flow);

}  // namespace weir
