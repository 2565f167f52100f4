// One core's connections to backends, for HTTP: those that carry an exchange and those that wait
// for the next one.
//
// Idle connections are kept for each backend, the last one used first, up to a number and for a
// time; one on which anything comes while it is idle is closed. Records live in a slab: when it is
// full, an idle connection gives way. Knows nothing of requests: whoever parks a connection says by
// that that nothing of its last exchange is under way.
#pragma once

#include <cstdint>
#include <vector>

#include "base/slab.h"
#include "lb/lb.h"
#include "lb/pool.h"
#include "socket/socket.h"

namespace weir::lb::http {

struct Backend {
  Connection conn;
  BufChain in;                                     // received, not passed on yet
  std::uint32_t parsed = 0;                        // octets of it that a Framer has seen
  std::uint32_t pool = 0, pick = 0;                // which backend
  std::uint32_t session = kNoIndex;                // whose exchange it carries; none while idle
  std::uint32_t next = kNoIndex, prev = kNoIndex;  // in the list of the idle
  std::uint64_t last_unacked = 0;
  Instant last_moved;
  bool live = false;
  bool connected = false;
  bool parked = false;  // in the list of the idle
  bool reused = false;  // it has carried an exchange before this one
  bool spoke = false;   // an octet of this exchange's response has come
  bool fin = false;     // it sends nothing more
  bool lost = false;    // the connection is gone, by a reset or by silence
};

class Backends {
 public:
  Backends(stack::Stack& s, const Config& config, const std::vector<Pool>& pools);

  [[nodiscard]] Backend& operator[](std::uint32_t index) { return slab_[index]; }
  // A new record for `conn`; kNoIndex when every one carries an exchange.
  [[nodiscard]] std::uint32_t add(Connection conn, std::uint32_t pool, std::uint32_t pick);
  // One that waits, or kNoIndex.
  [[nodiscard]] std::uint32_t take_idle(std::uint32_t pool, std::uint32_t pick);
  void park(std::uint32_t index);
  void remove(std::uint32_t index);  // the record only: the connection is gone, or another's
  void abort(std::uint32_t index);   // both; a RST
  void close(std::uint32_t index);   // both; a FIN
  void close_idle();                 // every one that waits
  void abort_all();
  [[nodiscard]] std::uint32_t idle() const { return idle_; }

  static std::uint64_t user_of(std::uint32_t index) { return std::uint64_t{index} * 4 + 3; }

 private:
  struct List {
    std::uint32_t head = kNoIndex;
    std::uint32_t count = 0;
  };
  [[nodiscard]] List& list_of(const Backend& b) { return lists_[first_[b.pool] + b.pick]; }
  void unlink(Backend& b, std::uint32_t index);

  stack::Stack& stack_;
  std::uint32_t max_idle_;
  Duration timeout_;
  Slab<Backend> slab_;
  std::vector<std::uint32_t> first_;  // by pool: its first list
  std::vector<List> lists_;           // by pool and backend
  std::uint32_t idle_ = 0;
  std::uint32_t high_water_ = 0;
};

}  // namespace weir::lb::http
