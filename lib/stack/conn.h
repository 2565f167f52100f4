// What a stack keeps for one connection around its control block, and the handles that the
// connection table maps to.
#pragma once

#include <cstdint>

#include "base/addr.h"
#include "base/slab.h"
#include "stack/stack.h"
#include "tcp/tcb.h"

namespace weir::stack {

// How its user lets go of a connection.
enum class Leaving : std::uint8_t { kNot, kClose, kAbort };

struct alignas(64) Conn {
  explicit Conn(const tcp::Config& c) : tcb(c) {}

  tcp::Tcb tcb;
  FlowKey flow;
  IpAddr next_hop;
  std::uint32_t neighbour = kNoIndex;  // a hint: valid while its address is next_hop
  std::uint64_t hash = 0;
  std::uint64_t user = 0;
  Instant user_deadline = kNever;
  Instant retry_deadline = kNever;      // kWritable then: buffers had run out, not room
  std::uint32_t ready_next = kNoIndex;  // ready list, or its listener's accept queue
  std::uint32_t output_next = kNoIndex;
  ListenerId listener = 0;
  // On the stack's millisecond clock: since when text waits to be read, or to be acknowledged.
  std::uint32_t read_ms = 0, acked_ms = 0;
  std::uint32_t close_wait_ms = 0;  // since when in CLOSE-WAIT
  std::uint32_t close_wait_prev = kNoIndex, close_wait_next = kNoIndex;
  bool in_close_wait = false;  // in the list of these
  std::uint16_t events = 0;    // Event, not yet told
  std::uint8_t tos = 0;        // DSCP of what is sent; its ECN bits are 0
  std::uint8_t ttl = 0;        // of what is sent; 0: the Config's
  bool in_ready = false, in_output = false;
  bool waits_accept = false;        // in the accept queue: events are kept back
  bool user_gone = false;           // closed by its user: no more events
  Leaving leaving = Leaving::kNot;  // to be done by poll_output
  bool doomed = false;              // to be freed once no list holds it
  bool counted = false;             // in Gauges::established
};

// What the connection table maps a flow to.
enum class Kind : std::uint32_t { kConn = 0, kSyn = 1, kTimeWait = 2, kTimeWait6 = 3 };
inline constexpr std::uint32_t kIndexMask = (1U << 30U) - 1;
[[nodiscard]] constexpr std::uint32_t handle_of(Kind k, std::uint32_t index) {
  return static_cast<std::uint32_t>(k) << 30U | index;
}
[[nodiscard]] constexpr Kind kind_of(std::uint32_t handle) {
  return static_cast<Kind>(handle >> 30U);
}
[[nodiscard]] constexpr std::uint32_t index_of(std::uint32_t handle) {
  return handle & kIndexMask;
}

}  // namespace weir::stack
