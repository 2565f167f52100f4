// The generator of `weir load` on one core: a socket Handler that opens connections, asks over
// HTTP/1.1 and checks the answers.
//
// Its pace comes from on_turn, called once per iteration with the stack's time: it reads no clock
// and needs no DPDK, so it runs in virtual time as it ships. One request at a time on a connection.
// With a rate, what was due waits for nobody: latencies count from the instant at which the
// connection or the request was due, not from when it could be begun, so that a server (or a
// generator) that stands still is seen (no coordinated omission). At first one connection is opened
// to each target and answered, so that ARP has been done when the schedule begins; these are
// counted, but not measured.
//
// Owns the connections it opens. Nothing is allocated once it is made.
#pragma once

#include <llhttp/llhttp.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/slab.h"
#include "lb/counters.h"
#include "load_config.h"
#include "load_request.h"
#include "socket/socket.h"
#include "telemetry/histogram.h"

namespace weir::app {

struct LoadCounters {
  lb::Gauge connecting;         // now
  lb::Gauge open;               // now: connected, not ended
  lb::Gauge asking;             // now: of those, the ones that wait for an answer
  lb::Counter opened;           // connects begun
  lb::Counter connected;        // connects that succeeded
  lb::Counter completed;        // connections that ended as they were meant to
  lb::Counter server_closed;    // ended by the server's FIN while nothing was asked: no error
  lb::Counter requests;         // sent
  lb::Counter answers;          // complete, right or wrong
  lb::Counter bytes_in;         // octets of text
  lb::Counter bytes_out;        // octets of text
  lb::Counter connect_refused;  // RST in answer to the SYN
  lb::Counter connect_timeouts;
  lb::Counter connect_unreachable;
  lb::Counter connect_no_port;   // no source port is left for a target: tried again
  lb::Counter connect_full;      // no connection record is left: tried again
  lb::Counter connect_no_route;  // or a target that nobody may connect to
  lb::Counter wrong_status;      // answers of another status than expect_status
  lb::Counter wrong_size;        // of another size than expect_size
  lb::Counter wrong_body;        // of other octets than expect_pattern
  lb::Counter wrong_framing;     // what is no HTTP, or text that nobody asked for
  lb::Counter cut_short;         // FIN before the answer was complete
  lb::Counter resets;            // RST, or silence, before the answer was complete
  lb::Counter request_timeouts;  // no complete answer within `timeout`
  lb::Counter lost;              // held connections that the server ended
  lb::Counter unfinished;        // cut by the limit of a drain
  [[nodiscard]] std::uint64_t connect_errors() const;
  [[nodiscard]] std::uint64_t answer_errors() const;  // all other errors
};

// In microseconds.
struct LoadLatency {
  telemetry::Histogram connect;     // until ESTABLISHED
  telemetry::Histogram first_byte;  // from the request to the answer's first octet
  telemetry::Histogram request;     // ... to its last
};

class LoadHandler {
 public:
  // This core's part of the whole: rates, concurrency and totals are divided by `of`.
  struct Share {
    std::uint32_t index = 0, of = 1;
  };
  // Throws std::bad_alloc. `config` is copied.
  LoadHandler(stack::Stack& s, const LoadConfig& config, Share share);

  // Opens and asks what is due. Returns how many it did.
  unsigned on_turn(Instant now);
  // When on_turn has something to do again, if nothing else happens before.
  [[nodiscard]] Instant next_turn() const;

  // From now on so many a second, of what LoadConfig paces; 0: none. What was due and has not begun
  // is forgotten. Pre: config.paced().
  void set_rate(double per_second, Instant now);
  void stop_accepting();  // opens no more; each connection ends with the answer under way
  void abort_all();
  // connections_total is reached and every one has ended.
  [[nodiscard]] bool finished() const;
  [[nodiscard]] const LoadCounters& counters() const { return counters_; }
  [[nodiscard]] const LoadLatency& latency() const { return latency_; }

  // Asserts what must hold between two iterations. Walks everything: for tests.
  void check_invariants() const;

  void on_accept(Connection c, ListenerId) { c.abort(); }
  void on_connected(Connection c, std::uint64_t user);
  void on_readable(Connection, std::uint64_t user) { read(static_cast<std::uint32_t>(user)); }
  void on_writable(Connection, std::uint64_t user);
  void on_peer_closed(Connection c, std::uint64_t user);
  void on_timer(Connection c, std::uint64_t user);
  void on_closed(Connection c, std::uint64_t user, CloseReason reason);

  [[nodiscard]] static std::uint32_t record_octets();  // of one connection

 private:
  enum class Phase : std::uint8_t {
    kConnecting,
    kIdle,     // connected; nothing is asked
    kWaiting,  // for an answer
    kLeaving,  // all is done: for the server's FIN
  };

  struct Client {
    stack::ConnId id;
    Instant due;                 // the connect's or the request's
    std::uint64_t requests = 0;  // sent
    LoadRequest request;
    std::uint32_t out_sent = 0;  // octets of the request that the stack has taken
    std::uint32_t reader = kNoIndex;
    std::uint32_t prev = kNoIndex, next = kNoIndex;  // in the list of the idle
    Phase phase = Phase::kConnecting;
    bool live = true;
    bool probe = false;
    bool idle_listed = false;
    bool asking = false;  // counted as such
    bool last = false;    // no request follows the one under way
    bool began = false;   // the answer has
  };
  static_assert(sizeof(Client) <= 64);

  // What an answer is judged by.
  struct Answer {
    unsigned status = 0;
    std::uint64_t size = 0;  // octets of its body
    bool right_body = true;  // as far as it has come
    bool keep_alive = false;
  };
  // Lent to a connection whose answer does not come in one piece, or is unusual.
  struct Reader {
    llhttp_t parser;
    LoadHandler* owner = nullptr;
    Answer answer;
    bool complete = false;
  };
  struct Callbacks;

  // When the Nth of what is paced is due.
  struct Schedule {
    double from = 0, to = 0, ramp = 0;  // per second; seconds
    Share share;
    // kNever where the rate is, or ends at, 0.
    [[nodiscard]] Instant due(Instant start, std::uint64_t n) const;
  };

  void begin_probes(Instant now);
  void begin_schedule(Instant now);
  void take_due();
  [[nodiscard]] bool wants_more() const;
  [[nodiscard]] bool opens_paced() const {
    return config_.paced() && config_.mode != LoadMode::kRequests;
  }
  unsigned open_due(Instant now);
  unsigned ask_due(Instant now);
  bool open_one(Instant due, Instant now, bool probe);
  [[nodiscard]] std::uint32_t next_pair(Instant now);
  void count_refusal(stack::Error e, std::uint32_t pair, Instant now);
  void count_failed_connect(CloseReason reason);

  void ask(std::uint32_t index, Instant due);
  void push(Client& c);
  void read(std::uint32_t index);
  void feed(std::uint32_t index, const Buf& b);
  void parse(std::uint32_t index, std::string_view text);
  void on_answer(std::uint32_t index, const Answer& answer);
  void judge(Client& c, const Answer& answer);
  void next_step(std::uint32_t index, bool keep_alive);
  void rest(std::uint32_t index);
  void leave(std::uint32_t index);
  void fail(std::uint32_t index, lb::Counter& counter);
  void end(std::uint32_t index);
  void list_idle(std::uint32_t index);
  void unlist_idle(std::uint32_t index);
  void answered(Client& c);
  [[nodiscard]] Connection conn(const Client& c) { return {stack_, c.id}; }
  void give_reader(Client& c);
  [[nodiscard]] bool finishes(Client& c);
  [[nodiscard]] bool measured(const Client& c) const { return !c.probe && now() >= measure_from_; }
  [[nodiscard]] Instant now() const { return stack_.now(); }

  stack::Stack& stack_;
  LoadConfig config_;
  LoadRequests requests_;
  Schedule schedule_;
  std::uint32_t limit_;  // connections of this core at once
  std::uint64_t total_;  // connections of this core in all
  Slab<Client> clients_;
  Slab<Reader> readers_;
  std::uint32_t high_water_ = 0;
  std::uint32_t idle_head_ = kNoIndex, idle_tail_ = kNoIndex;
  std::vector<Instant> blocked_until_;  // per pair of source and target
  std::uint32_t pair_ = 0;
  std::uint32_t probes_ = 0;  // not answered yet
  Instant start_ = kNever;    // of the schedule
  Instant probes_end_ = kNever;
  Instant measure_from_ = kNever;
  Instant resume_at_;          // no connect before
  std::uint64_t paced_ = 0;    // connections or requests of the schedule that have begun
  Instant next_due_ = kNever;  // of the next of them
  std::uint64_t opened_ = 0;
  bool begun_ = false, draining_ = false;
  LoadCounters counters_;
  LoadLatency latency_;
};

}  // namespace weir::app
