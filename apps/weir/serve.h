// A small HTTP/1.1 server (RFC 9112) for trials and benchmarks: a socket Handler.
//
// Every path answers body_size octets, /bytes/N answers N; PUT and POST are read, counted and
// thrown away, to /sha256 their digest is told. A body is the octets of pattern.h, sent from
// one block of memory without a copy. One request at a time: what a client pipelines
// waits in its receive queue while an answer has no room, so a connection holds one receive and one
// send buffer at most.
#pragma once

#include <llhttp/llhttp.h>
#include <sha2.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/slab.h"
#include "config.h"
#include "lb/counters.h"
#include "pattern.h"
#include "socket/socket.h"

namespace weir::app {

struct ServeCounters {
  lb::Gauge sessions;
  lb::Counter sessions_total;
  lb::Counter requests;
  lb::Counter bad_requests;    // answered by 4xx or 5xx
  lb::Counter body_bytes_in;   // of PUT and POST
  lb::Counter body_bytes_out;  // queued for sending
  lb::Counter idle_timeouts;
  lb::Counter resets;   // connections ended by the client's RST or silence
  lb::Counter refused;  // reset, as every record was in use
  lb::Counter aborted;  // ended by the limit of a drain
};

class ServeHandler {
 public:
  ServeHandler(stack::Stack& s, const ServeConfig& config, std::uint32_t max_sessions);

  [[nodiscard]] Result<std::uint32_t, lb::Handler::ListenError> start();
  void stop_accepting();  // each connection ends with the answer under way
  void abort_all();
  [[nodiscard]] const ServeCounters& counters() const { return counters_; }
  [[nodiscard]] std::uint32_t sessions() const { return counters_.sessions.get(); }

  void on_accept(Connection c, ListenerId listener);
  void on_connected(Connection, std::uint64_t) {}
  void on_readable(Connection, std::uint64_t user) { serve(static_cast<std::uint32_t>(user)); }
  void on_writable(Connection, std::uint64_t user) { serve(static_cast<std::uint32_t>(user)); }
  void on_peer_closed(Connection c, std::uint64_t user);
  void on_timer(Connection c, std::uint64_t user);
  void on_closed(Connection c, std::uint64_t user, CloseReason reason);

  [[nodiscard]] static std::uint32_t record_octets();  // of one connection

 private:
  static constexpr std::uint32_t kMaxHead = 16'384;
  static constexpr std::uint32_t kReadAtOnce = 65'536;

  struct Client {
    Connection conn;
    llhttp_t parser{};
    ServeHandler* owner = nullptr;
    BufChain rest;  // received, not parsed yet
    std::array<char, 384> out{};
    std::uint32_t out_size = 0, out_sent = 0;
    std::uint64_t body_left = 0;  // of the answer under way
    std::uint32_t body_at = 0;    // the next octet's place in the pattern
    std::uint64_t received = 0;   // octets of the request's body
    SHA2_CTX sha256{};            // of those, when `digest`
    std::uint32_t head_size = 0;
    std::array<char, 64> target{};
    std::uint32_t target_size = 0;
    std::array<char, 8> field{};
    std::uint32_t field_size = 0;
    bool live = false, in_head = false, complete = false, expects_continue = false;
    bool digest = false;
    bool close_after = false, lingering = false, peer_closed = false, retry = false;
    std::uint64_t last_unacked = 0;
    Instant last_active;
  };
  struct Callbacks;

  void serve(std::uint32_t index);
  [[nodiscard]] bool flush(Client& c);
  void parse(Client& c);
  void discard_front(Client& c, std::uint32_t n);
  void on_parse_error(Client& c);
  void answer(Client& c);
  void answer_upload(Client& c);
  void answer_status(Client& c, const char* status, bool close);
  void put_head(Client& c, const char* status, std::uint64_t length, const char* type);
  void linger(Client& c);
  void end(std::uint32_t index);
  [[nodiscard]] bool idle(const Client& c) const;

  stack::Stack& stack_;
  ServeConfig config_;
  std::vector<ListenerId> listeners_;
  Slab<Client> clients_;
  std::uint32_t high_water_ = 0;
  bool draining_ = false;
  bool paused_ = false;
  ServeCounters counters_;
};

}  // namespace weir::app
