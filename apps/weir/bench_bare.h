// The port without a stack: what a loop carries that does nothing but move frames. What `weir bench
// latency` and `weir bench stream --bare` are held against, on the same port in the same run.
//
// Frames are of an EtherType that is nobody's (RFC 5342 §2.3.2: for experiments), from a device's
// own pools. Each function runs on its side's core until `stop`.
#pragma once

#include <atomic>
#include <cstdint>

#include "dpdk/queue.h"
#include "telemetry/histogram.h"

namespace weir::app {

struct BareCounts {
  std::atomic<std::uint64_t> frames{0}, octets{0};  // received
  std::atomic<std::uint64_t> errors{0};             // lost, or of another size than sent
};

// Everything that comes goes back, as it is. `yields`: leaves the core to others where nothing is
// there: for two sides on one.
void reflect(dpdk::Queue& queue, bool yields, const std::atomic<bool>& stop);

// One frame of `octets` at a time, to and fro; nanoseconds into `times`. What does not come back
// for a second is an error.
void ping(dpdk::Queue& queue, std::uint32_t octets, bool yields, const std::atomic<bool>& stop,
          BareCounts& counts, telemetry::Histogram& times);

// Frames of `octets`, as many as the port takes. Nothing is written into them.
void flood(dpdk::Queue& queue, std::uint32_t octets, const std::atomic<bool>& stop);

// Counts what comes and gives it back.
void sink(dpdk::Queue& queue, std::uint32_t octets, const std::atomic<bool>& stop,
          BareCounts& counts);

}  // namespace weir::app
