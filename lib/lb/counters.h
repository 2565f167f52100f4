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

// What listeners of mode http count besides.
struct HttpCounters {
  Gauge sessions;          // clients now
  Gauge idle_backends;     // connections that wait for a request, now
  Counter sessions_total;  // accepted
  Counter requests;        // whose heads were read
  Counter responses[5];    // of backends, by the status's first digit; [0]: 1xx
  Counter answers_400, answers_404, answers_408, answers_413, answers_431;
  Counter answers_501, answers_502, answers_503, answers_504, answers_505;  // of our own
  Counter denied;             // answered as a rule says
  Counter tagged;             // tags that requests were given
  Counter tags_over;          // tags for which a request had no room
  Counter smuggling_rejects;  // of the 400s: lengths, codings, hosts that do not agree
  Counter backend_malformed;  // responses that are not HTTP/1.1 as RFC 9112 has it
  Counter backend_fresh;      // exchanges on a new connection
  Counter backend_reused;     // exchanges on one that was idle
  Counter request_retries;    // sent again, as the connection had died while it was idle
  Counter backend_retries;    // went on to another backend before anything was sent
  Counter unsolicited;        // idle connections closed for text that nobody asked for
  Counter no_backend;         // 503s, as no backend took the connection
  Counter connect_errors;     // connects that this host could not make
  Counter held;               // requests that waited for rules on their bodies
  Counter cut;                // ended in the middle of a response
  Counter upgrades;           // connections that became tunnels
  Counter client_resets;
  Counter backend_resets;
  Counter idle_timeouts;
  Counter aborted;           // ended by this host: limit of a drain
  Counter refused;           // clients reset, as every session record was in use
  Counter bytes_to_backend;  // octets of bodies
  Counter bytes_to_client;
};

}  // namespace weir::lb
