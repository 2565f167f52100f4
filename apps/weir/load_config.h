// What `weir load` is asked to do: checked values, see config_load.cc for their keys.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/time.h"
#include "tcp/config.h"

namespace weir::app {

enum class LoadMode : std::uint8_t {
  kOpen,      // open, ask `requests` times, close; over and over
  kHold,      // open `concurrency` connections and keep them
  kRequests,  // keep-alive: `concurrency` connections, and it is the requests that are paced
};

// Who closes a connection that has done its work, and how.
enum class LoadClose : std::uint8_t {
  kServer,  // "Connection: close" in the last request: the server has the TIME-WAIT
  kFin,     // this side, by FIN: the TIME-WAIT, and with it the port, is here
  kRst,     // this side, by RST: no TIME-WAIT anywhere
};

// What is asked for: drawn for each request, in the proportion of the weights.
struct LoadPath {
  std::string path = "/";
  std::uint32_t weight = 1;
};
struct LoadSize {  // octets, each size from `low` to `high` alike
  std::uint32_t low = 0, high = 0, weight = 1;
};

// The search for the highest rate that is served (rate_finder.h); rate_to is where it begins.
struct FindRate {
  Duration step = 2s, settle = 1s;      // each step is measured for the one, after the other
  std::optional<Duration> max_latency;  // of its p99
};

struct LoadConfig {
  std::vector<Endpoint> targets;  // taken in turn
  std::vector<IpAddr> sources;    // the stack's own addresses, taken in turn; none: by route
  LoadMode mode = LoadMode::kOpen;
  // Per second, of connections or (kRequests) requests; it goes from the one to the other in
  // `ramp`. Both 0: the next begins when one has ended.
  double rate_from = 0, rate_to = 0;
  Duration ramp{};
  std::uint32_t concurrency = 64;       // connections open at once, at most; kHold: to be held
  std::uint64_t connections_total = 0;  // 0: no end
  std::uint64_t requests = 1;           // of one connection; 0: no end
  Duration interval{};                  // kHold: between two requests; 0: none are sent
  std::vector<LoadPath> paths{LoadPath{}};
  std::vector<LoadSize> sizes;       // not empty: "/bytes/N" instead, whose answer has N octets
  std::vector<LoadSize> body_sizes;  // not empty: POST, with so many octets
  std::uint64_t seed = 1;            // of what is drawn; each core draws its own
  std::string host;                  // empty: the first target
  unsigned expect_status = 200;
  std::optional<std::uint64_t> expect_size;  // octets of the body
  bool expect_pattern = false;               // the body is that of `weir serve`
  LoadClose close = LoadClose::kServer;
  Duration connect_timeout = 10s;
  Duration timeout = 30s;  // from a request to the end of its answer
  Duration warmup{};       // nothing is measured before
  std::optional<FindRate> find_rate;
  std::string csv;        // a file with a row an interval; empty: none
  bool stripped = false;  // no TCP options but MSS, closed by RST: every figure says so

  // An open loop: what is due waits for nobody.
  [[nodiscard]] bool paced() const { return rate_from > 0 || rate_to > 0; }
};

// Less than TCP asks for: a bundle of settings, each of which can be had alone.
[[nodiscard]] inline tcp::Config stripped(tcp::Config c) {
  c.timestamps = c.sack = c.dsack = c.window_scaling = false;
  c.rmem = std::min<decltype(c.rmem)>(c.rmem, 65'535);
  return c;
}

}  // namespace weir::app
