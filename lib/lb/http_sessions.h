// The clients of HTTP listeners on one core: each request is read, routed by itself, passed on, and
// its response passed back, one at a time for each client, in order (RFC 9112 §9.3).
//
// Bodies pass from the receive queue of one leg to the send queue of the other by relinking their
// buffers, as far as that one has room; what has none stays in the receive queue, whose window
// closes. Heads pass through a block of memory that a session borrows from the first octet of a
// request to the first of its response, and again for the response's head. A backend's connection
// that is not known to stand between two exchanges is never used again.
//
// Everything but the counters belongs to the thread that drives the stack. Reads no clock.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/slab.h"
#include "lb/counters.h"
#include "lb/http_backends.h"
#include "lb/http_framing.h"
#include "lb/http_route.h"
#include "lb/lb.h"
#include "lb/pool.h"
#include "socket/socket.h"

namespace weir::lb::http {

// Blocks for heads, of one size, taken and given back by index. As many as sessions: never empty.
class HeadBlocks {
 public:
  HeadBlocks(std::uint32_t count, std::uint32_t size);
  ~HeadBlocks();
  HeadBlocks(const HeadBlocks&) = delete;
  HeadBlocks& operator=(const HeadBlocks&) = delete;
  [[nodiscard]] std::uint32_t take();
  void give(std::uint32_t index) { free_.push_back(index); }
  [[nodiscard]] std::span<char> operator[](std::uint32_t index) {
    return {base_ + std::size_t{index} * size_, size_};
  }

 private:
  std::uint32_t count_, size_;
  std::uint32_t fresh_ = 0;  // blocks below it were used at least once
  char* base_ = nullptr;
  std::vector<std::uint32_t> free_;
};

class Sessions {
 public:
  // `tunnels` takes over what an upgrade leaves; its pools are shared. Throws std::bad_alloc.
  Sessions(stack::Stack& s, const Config& config, Handler& tunnels);

  // Opens every listener of mode kHttp; the number opened.
  [[nodiscard]] Result<std::uint32_t, Handler::ListenError> start();
  [[nodiscard]] bool owns(ListenerId id) const;
  void stop_accepting();  // requests under way go on, and are the last of their connections
  void abort_all();
  [[nodiscard]] const HttpCounters& counters() const { return counters_; }
  // A connection whose user word is this module's.
  [[nodiscard]] static bool is_ours(std::uint64_t user) { return (user & 2U) != 0; }

  void on_accept(Connection c, ListenerId listener);
  void on_connected(Connection c, std::uint64_t user);
  void on_readable(Connection c, std::uint64_t user);
  void on_writable(Connection c, std::uint64_t user);
  void on_peer_closed(Connection c, std::uint64_t user);
  void on_timer(Connection c, std::uint64_t user);
  void on_closed(Connection c, std::uint64_t user, CloseReason reason);

 private:
  enum class State : std::uint8_t {
    kHead,      // between requests, or in the head of one
    kHold,      // until the rules on its body are judged
    kConnect,   // until a backend takes it
    kExchange,  // request out, response back
    kAnswer,    // an answer of our own goes out
    kLinger,    // our FIN is out: what still comes is thrown away (RFC 9112 §9.6)
  };
  // What is being written to the client besides a body.
  enum class Writing : std::uint8_t { kNothing, kResponseHead, kContinue, kAnswer };

  struct Session {
    Connection client;
    BufChain in;               // received, not passed on yet
    std::uint32_t parsed = 0;  // octets of it that `request` has seen
    Framer request, response;
    Routing routing;
    std::uint32_t listener = 0;
    std::uint32_t block = kNoIndex;
    std::uint32_t backend = kNoIndex;  // a record of Backends
    std::uint32_t pool = 0;
    std::uint32_t pick = kNoBackend;  // holds a pick of the pool
    std::uint32_t tries = 0;
    std::uint32_t to_backend = 0;  // octets of the request's head that are queued
    std::uint32_t to_client = 0;   // of what is being written
    std::uint32_t tag_count = 0;
    std::uint32_t tags[kMaxTags];
    std::uint32_t interims = 0;  // 1xx responses to this request
    std::uint16_t status = 0;    // of an answer of our own
    State state = State::kHead;
    Writing writing = Writing::kNothing;
    bool live = true;
    bool begun = false;     // the first octet of the request has come
    bool head_out = false;  // the request's head is queued whole
    bool reading_response = false;
    bool responded = false;   // the client has seen some of the response
    bool continued = false;   // we have said 100 ourselves
    bool dechunk = false;     // the client knows no chunks
    bool fresh_only = false;  // a reused connection has failed this request already
    bool close_after = false;
    bool client_fin = false;
    BackendSet tried;
    Instant last_moved, head_began, timer = kNever;
    std::uint64_t last_unacked = 0;
  };
  struct Open {
    ListenerId id;
    std::uint32_t config;  // index
  };

  static std::uint64_t user_of(std::uint32_t index) { return std::uint64_t{index} * 4 + 2; }
  static std::uint32_t index_of(std::uint64_t user) { return static_cast<std::uint32_t>(user / 4); }
  static bool is_backend(std::uint64_t user) { return (user & 1U) != 0; }
  [[nodiscard]] const ListenerConfig& listener(const Session& s) const {
    return config_.listeners[s.listener];
  }

  void pump(std::uint32_t index);
  // Each does what can be done now; false: nothing more, or the session is gone.
  bool step(std::uint32_t index);
  bool read_head(std::uint32_t index);
  bool hold(std::uint32_t index);
  bool exchange(std::uint32_t index);
  bool answering(std::uint32_t index);
  bool lingering(std::uint32_t index);

  // http_request.cc: the way to a backend
  void begin_head(Session& s);
  bool on_head(std::uint32_t index);
  bool decide(std::uint32_t index);
  bool route(std::uint32_t index, const Verdict& verdict);
  bool parse_request(Session& s);
  bool receive_request(Session& s, std::size_t room);
  bool scan_body(Session& s, const char* text, std::uint32_t n);
  bool connect(std::uint32_t index);
  bool use(std::uint32_t index, std::uint32_t backend);
  bool send_head(Session& s);
  bool send_request(std::uint32_t index);
  void on_connect_failed(std::uint32_t index);
  void release_pick(Session& s);

  // http_response.cc: the way back
  bool take_response(std::uint32_t index);
  bool read_response_head(std::uint32_t index);
  bool pass_response(std::uint32_t index);
  void on_first_octet(Session& s);
  bool on_response_head(std::uint32_t index);
  bool on_interim(Session& s);
  bool response_ended(std::uint32_t index);
  bool finish(std::uint32_t index);
  bool tunnel(std::uint32_t index);
  bool backend_lost(std::uint32_t index);
  bool flush(Session& s);

  bool reject(std::uint32_t index, std::uint16_t status, bool close);
  bool on_fault(std::uint32_t index, Fault fault);
  bool cut(std::uint32_t index);  // in the middle of a response: no answer can follow
  void count_answer(std::uint16_t status);
  void drop_backend(Session& s);
  void end_request(Session& s);  // gives back what is held for the request
  bool next_request(std::uint32_t index);
  bool linger(std::uint32_t index);
  void end(std::uint32_t index, bool reset);
  void pause(bool paused);
  void arm(std::uint32_t index);
  [[nodiscard]] Instant deadline(const Session& s) const;
  [[nodiscard]] bool waits_for_backend(Session& s);
  void on_client_timer(std::uint32_t index);
  void on_backend_timer(std::uint32_t backend);
  // Passes on what is parsed, as far as `out` has room. True when something moved.
  bool pass(BufChain& in, std::uint32_t& parsed, Connection out, Counter& counter);
  void drop_front(BufChain& in, std::uint32_t n);

  stack::Stack& stack_;
  Config config_;
  Handler& tunnels_;
  std::vector<Pool>& pools_;
  std::vector<Open> open_;
  std::vector<std::unique_ptr<ScanBank>> banks_;  // by listener; null without rules
  Slab<Session> sessions_;
  HeadBlocks blocks_;
  Backends backends_;
  std::vector<char> scratch_;  // a head while it is written
  std::uint32_t high_water_ = 0;
  bool paused_ = false;
  bool draining_ = false;
  HttpCounters counters_;
};

}  // namespace weir::lb::http
