// What a load balancer counts on one core: one thread writes, anyone may read.
#pragma once

#include <atomic>
#include <cstdint>

#include "telemetry/counters.h"

namespace weir::lb {

using telemetry::Counter;

// A number that goes up and down: stores by its one writer, loads by readers.
class Gauge {
 public:
  void up() { set(get() + 1); }
  void down() { set(get() - 1); }
  void set(std::uint32_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> value_{0};
};

struct BackendCounters {
  Gauge active;    // sessions on it, connecting ones included
  Counter total;   // sessions that it was connected for
  Counter failed;  // connects that were refused, unreachable or not answered in time
};

struct Counters {
  Gauge sessions;            // now
  Counter sessions_total;    // accepted
  Counter backend_retries;   // sessions moved on to another backend before the client saw anything
  Counter no_backend;        // clients reset, as no backend took them
  Counter connect_errors;    // connects that this host could not make (no port, table full)
  Counter client_resets;     // sessions ended by the client's RST or by its silence
  Counter backend_resets;    // sessions ended by the backend's RST or by its silence
  Counter idle_timeouts;     // sessions ended by idle_timeout
  Counter aborted;           // sessions ended by this host: limit of a drain
  Counter refused;           // clients reset, as every session record was in use
  Counter bytes_to_backend;  // octets of text
  Counter bytes_to_client;
};

}  // namespace weir::lb
