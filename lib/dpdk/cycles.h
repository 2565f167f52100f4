// The processor's time-stamp counter: what a stretch of code cost, never what time it is.
#pragma once

#include <cstdint>

namespace weir::dpdk {

[[nodiscard]] std::uint64_t cycles();
// How many a second. Pre: the EAL is up; it measures them once.
[[nodiscard]] std::uint64_t cycles_hz();

}  // namespace weir::dpdk
