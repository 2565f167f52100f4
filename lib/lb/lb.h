// The load balancer of one core: a socket Handler that joins each accepted client with a backend.
//
// Both legs of a session live on this core's stack. Text passes from the receive queue of one to
// the send queue of the other without a copy, as far as that one has room: what a slow reader does
// not take stays in the receive queue of the other leg, whose window closes, so a session holds
// one receive and one send buffer each way at most. A half-close passes through after the text
// before it; a reset on one leg resets the other.
//
// Sessions live in a slab sized at start. Reads no clock; everything but the counters belongs to
// the thread that drives the stack.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "base/slab.h"
#include "lb/counters.h"
#include "lb/pool.h"
#include "socket/socket.h"

namespace weir::match {
class RuleSet;
}

namespace weir::lb {

enum class Mode : std::uint8_t { kTcp, kHttp };
inline constexpr std::uint32_t kNoPool = 0xffff'ffffU;

struct ListenerConfig {
  std::string name;
  Endpoint address;
  std::uint32_t pool = 0;  // index into Config::pools; kNoPool where rules alone decide (kHttp)
  std::uint32_t backlog = 4096;
  Mode mode = Mode::kTcp;
  // With kHttp:
  std::shared_ptr<const match::RuleSet> rules = nullptr;  // null: every request goes to `pool`
  std::uint32_t max_head = 16'384;                        // octets of a request's head
  std::uint64_t max_body = std::uint64_t{1} << 30U;       // octets of a request's body
  std::uint32_t inspect_body = 16'384;  // octets held at most until rules on the body are judged
};

struct Config {
  std::vector<ListenerConfig> listeners;
  std::vector<PoolConfig> pools;
  std::uint32_t max_sessions = 16'384;
  Duration idle_timeout = 60s;  // nothing moved and nothing was acknowledged either way
  // Of kHttp listeners:
  Duration request_timeout = 10s;       // for a head, from its first octet on
  Duration response_timeout = 60s;      // a backend says nothing though it has the whole request
  std::uint32_t idle_backends = 1024;   // idle connections kept to one backend
  Duration idle_backend_timeout = 30s;  // how long one is kept
};

class Handler {
 public:
  Handler(stack::Stack& s, const Config& config);

  struct ListenError {
    std::uint32_t listener;
    stack::Error error;
  };
  // Opens every listener of mode kTcp; the number opened.
  [[nodiscard]] Result<std::uint32_t, ListenError> start();
  void stop_accepting();  // sessions go on
  void abort_all();       // resets both legs of every session

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const std::vector<Pool>& pools() const { return pools_; }
  [[nodiscard]] std::vector<Pool>& pools() { return pools_; }

  // Two connections that are to be joined from here on, with what came on each and was not passed
  // on yet; the pick of `backend` comes with them. False, and nothing taken, when sessions are
  // full.
  struct Adopted {
    Connection client, backend;
    BufChain from_client, from_backend;
    bool client_fin = false, backend_fin = false;
    std::uint32_t pool = 0, pick = kNoBackend;
  };
  [[nodiscard]] bool adopt(Adopted& a);

  void on_accept(Connection c, ListenerId listener);
  void on_connected(Connection c, std::uint64_t user);
  void on_readable(Connection c, std::uint64_t user);
  void on_writable(Connection c, std::uint64_t user);
  void on_peer_closed(Connection c, std::uint64_t user);
  void on_timer(Connection c, std::uint64_t user);
  void on_closed(Connection c, std::uint64_t user, CloseReason reason);

 private:
  enum Side : unsigned { kClient, kBackend };
  static constexpr Side other(Side s) { return s == kClient ? kBackend : kClient; }

  struct Leg {
    Connection conn;
    bool open = false;     // a backend's: from the connect on
    bool fin_in = false;   // the peer sends nothing more
    bool fin_out = false;  // we do not
  };
  struct Session {
    Leg legs[2];
    std::uint32_t pool = 0;
    std::uint32_t backend = kNoBackend;  // holds a pick of the pool
    std::uint32_t tries = 0;
    bool live = false;
    bool connected = false;
    Instant last_moved;
    std::uint64_t last_unacked = 0;
    BackendSet tried;
  };
  struct Open {
    ListenerId id;
    std::uint32_t config;  // index
  };

  static std::uint64_t user_of(std::uint32_t index, Side side) {
    return std::uint64_t{index} * 4 + side;  // bit 1 tells others' connections apart
  }
  [[nodiscard]] Session& session_of(std::uint64_t user);
  static std::uint32_t index_of(std::uint64_t user) { return static_cast<std::uint32_t>(user / 4); }
  static Side side_of(std::uint64_t user) { return static_cast<Side>(user & 1U); }

  [[nodiscard]] std::uint32_t take_session();
  void try_backend(std::uint32_t index);
  void on_backend_failed(std::uint32_t index);
  void release_backend(Session& s);
  void move(Session& s, Side from);
  void move_rest(Session& s, Side from);
  void pass_fin(Session& s, Side from);
  void check_idle(std::uint32_t index);
  void watch(Session& s, Side side);
  void settle(std::uint32_t index);
  void on_leg_done(std::uint32_t index, Side side);
  void end(std::uint32_t index);  // aborts what is still open
  void pause(bool paused);

  stack::Stack& stack_;
  Config config_;
  std::vector<Pool> pools_;
  std::vector<Open> open_;
  Slab<Session> sessions_;
  std::uint32_t high_water_ = 0;  // records below it were used at least once
  bool paused_ = false;
  Counters counters_;
};

}  // namespace weir::lb
