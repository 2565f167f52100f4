// A small HTTP/1.1 server (RFC 9112) for trials and benchmarks: a socket Handler.
//
// Every path answers body_size octets, /bytes/N answers N; PUT and POST are read, counted and
// thrown away, to /sha256 their digest is told. A body is the octets of pattern.h, sent from
// one block of memory without a copy. One request at a time: what a client pipelines
// waits in its receive queue while an answer has no room, so a connection holds one receive and one
// send buffer at most.
//
// A connection has a small record. A request that comes whole is read where it lies and answered at
// once (plain_http.h); what a parser keeps, and an answer without room, are lent to the connection
// only as long as there is such a thing.
#pragma once

#include <llhttp/llhttp.h>
#include <sha2.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "base/result.h"
#include "base/slab.h"
#include "config.h"
#include "lb/counters.h"
#include "pattern.h"
#include "plain_http.h"
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
  static constexpr std::uint32_t kCopied = 256;  // a body of so many octets goes with its head

  struct Client {
    stack::ConnId id;
    Instant last_active;
    std::uint32_t work = kNoIndex;
    std::uint32_t last_unacked = 0;
    bool live = true;
    bool close_after = false;
    bool lingering = false;
    bool peer_closed = false;
    bool retry = false;
  };
  static_assert(sizeof(Client) <= 32);

  // The text of an answer: its head, and a body that is short.
  struct Text {
    std::array<char, 384 + kCopied> octets;
    std::uint32_t size = 0;
    [[nodiscard]] std::string_view view() const { return {octets.data(), size}; }
    void add(std::string_view text) {
      WEIR_ASSERT(size + text.size() <= octets.size());
      std::memcpy(octets.data() + size, text.data(), text.size());
      size += static_cast<std::uint32_t>(text.size());
    }
    void add(std::uint64_t number);
  };

  // What a connection is lent: a request that is not whole, or an answer that is not queued.
  struct Work {
    ServeHandler* owner = nullptr;
    BufChain rest;  // received, not parsed yet
    Text out;
    std::uint32_t out_sent = 0;
    std::uint32_t body_at = 0;    // the next octet's place in the pattern
    std::uint64_t body_left = 0;  // of the answer under way
    // From here on of the request under way, as long as it has `begun`.
    llhttp_t parser;
    std::uint64_t received;  // octets of its body
    SHA2_CTX sha256;         // of those, when `digest`
    std::uint32_t head_size;
    std::array<char, 64> target;
    std::uint32_t target_size;
    std::array<char, 8> field;
    std::uint32_t field_size;
    bool begun = false;
    bool in_head, complete, expects_continue, digest;
  };
  struct Callbacks;

  [[nodiscard]] Connection conn(const Client& c) { return {stack_, c.id}; }
  void serve(std::uint32_t index);
  [[nodiscard]] bool flush(Client& c);
  [[nodiscard]] std::uint64_t send_body(const Client& c, std::uint32_t at, std::uint64_t left);
  [[nodiscard]] bool read(Client& c);
  void parse(Client& c, Work& w);
  void discard_front(Work& w, std::uint32_t n);
  void on_parse_error(Client& c, Work& w);
  void answer(Client& c, Work& w);
  void answer_plain(Client& c, const PlainRequest& request);
  void answer_get(Client& c, std::string_view target, bool head);
  void answer_upload(Client& c, Work& w);
  void answer_status(Client& c, std::string_view status, bool close, bool head);
  static void put_head(Text& t, std::string_view status, std::uint64_t length,
                       std::string_view type, bool close);
  static void put_answer(Text& t, std::uint64_t length, bool close);
  void send(Client& c, std::string_view text, std::uint64_t body);
  void linger(Client& c);
  void end(std::uint32_t index);
  [[nodiscard]] Work& work_of(Client& c);
  void give_back(Client& c);
  // Between two requests, with nothing to send.
  [[nodiscard]] static bool idle(const Client& c) { return c.work == kNoIndex; }
  [[nodiscard]] bool half_asked(const Client& c) const {
    return c.work != kNoIndex && works_[c.work].begun;
  }

  stack::Stack& stack_;
  ServeConfig config_;
  std::vector<ListenerId> listeners_;
  Slab<Client> clients_;
  Slab<Work> works_;
  std::uint32_t high_water_ = 0;
  bool draining_ = false;
  bool paused_ = false;
  ServeCounters counters_;
  std::array<Text, 2> usual_;  // to a GET of any path but /bytes/N; [1]: "Connection: close"
};

}  // namespace weir::app
