// `weir bench`: the generator of `weir load` against the endpoint of `weir serve`, joined by a port
// in memory, and what a connection costs on each side, stage by stage.
//
// Both sides run in one process over rings, or in two over memif or vhost-user; then one command
// starts the other by itself, or each is started by hand with a role.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir::app {

enum class BenchMode : std::uint8_t {
  kCps,      // connections, one request each
  kRps,      // requests over connections that stay open
  kStream,   // large bodies, one way
  kLatency,  // one message to and fro, beside a bare frame
  kCold,     // messages over many connections, each in its turn, beside few
};
enum class BenchRole : std::uint8_t { kBoth, kServer, kClient };

struct BenchConfig {
  BenchMode mode = BenchMode::kCps;
  BenchRole role = BenchRole::kBoth;
  std::string port = "ring";  // ring, memif, vhost; with a role: memif:PATH, vhost:PATH, a device
  std::uint64_t connections = 0;   // cps: in all, 0: until the time is up; else: held open
  std::uint32_t concurrency = 64;  // cps: open at once
  std::uint64_t requests = 0;      // of one connection, not cps; 0: until the time is up
  std::uint64_t body = 64;         // octets of an answer's body; latency, cold: of a message
  std::uint64_t beside = 100;      // cold: connections of the hot case
  std::uint32_t window = 64;       // cold: messages under way at one time
  unsigned pairs = 0;           // cps: that many pairs of both sides, each on a core; 0: one pair
  bool bare = false;            // stream: what the port alone carries, after each round
  Duration duration = 2s;       // of a round, where no number ends it
  unsigned repeat = 3;          // rounds
  std::vector<unsigned> cores;  // the client's, the server's; empty: chosen
  bool stripped = false;        // cps: the client's SYN has no option but MSS, and it ends by RST
  bool client_closes = false;   // and has the TIME-WAIT; else the server
  bool stages = true;
  bool hugepages = false;
  bool json = false;
  bool verbose = false;
  bool controlled =
      false;  // a server that another weir started: orders on stdin, figures on stdout
};

// Ends by connections or requests, not by the clock.
[[nodiscard]] bool is_counted(const BenchConfig& config);

// What is wrong with it, as one line; fills in what was left to be chosen.
[[nodiscard]] std::optional<std::string> complete_bench(BenchConfig& config);

// The exit code: 0; 1 when a connection or an answer failed, or a signal ended it; 2 when it could
// not start, with one line on stderr.
[[nodiscard]] int run_bench(const BenchConfig& config);

}  // namespace weir::app
