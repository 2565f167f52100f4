// Messages that go to and fro: the least that a program can be, so that what is measured is the
// stack's. For `weir bench latency` (one connection, one message under way) and `weir bench cold`
// (millions of connections, few messages under way, each connection in its turn).
//
// Both handlers run on their side's thread; another thread gives the client its orders and reads
// the counts, through atomics. Every octet that comes back is compared with what was sent.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "dpdk/cycles.h"
#include "socket/socket.h"
#include "telemetry/histogram.h"

namespace weir::app {

inline constexpr std::uint32_t kMostEchoConnecting = 256;  // of an EchoClient at one time
inline constexpr std::uint32_t kMostEchoOctets = 1'400;  // a segment of any link, options included

struct EchoConfig {
  std::vector<Endpoint> targets;  // the server's listeners
  std::vector<IpAddr> sources;    // the client's addresses
  std::uint32_t connections = 1;  // at most
  std::uint32_t window = 1;       // messages under way at one time, at most
  std::uint32_t octets = 64;      // of a message: 4 .. kMostEchoOctets
};

// Whether `got` is what stands from octet `at` on in `message` with the connection's number for its
// first four octets.
[[nodiscard]] inline bool is_echo(std::uint32_t index, std::span<const std::byte> message,
                                  std::size_t at, std::span<const std::byte> got) {
  if (at + got.size() > message.size()) return false;
  std::array<std::byte, sizeof index> number;
  std::memcpy(number.data(), &index, sizeof index);
  for (; at < number.size() && !got.empty(); ++at, got = got.subspan(1)) {
    if (got[0] != number[at]) return false;
  }
  return got.empty() || std::memcmp(got.data(), message.data() + at, got.size()) == 0;
}

// Sends back what comes.
class EchoServer {
 public:
  EchoServer(stack::Stack& s, const EchoConfig& config);

  [[nodiscard]] bool start();  // false: it cannot listen
  [[nodiscard]] std::uint64_t accepted() const { return accepted_.load(kRelaxed); }
  [[nodiscard]] std::uint64_t answers() const { return answers_.load(kRelaxed); }
  [[nodiscard]] std::uint64_t errors() const { return errors_.load(kRelaxed); }

  void on_accept(Connection, ListenerId) { count(accepted_); }
  void on_connected(Connection, std::uint64_t) {}
  void on_readable(Connection c, std::uint64_t user);
  void on_writable(Connection, std::uint64_t) {}
  void on_peer_closed(Connection c, std::uint64_t) { c.close(); }
  void on_timer(Connection, std::uint64_t) {}
  void on_closed(Connection, std::uint64_t, CloseReason) { count(errors_); }

  static constexpr std::uint32_t record_octets() { return 0; }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  static void count(std::atomic<std::uint64_t>& n) {
    n.store(n.load(kRelaxed) + 1, kRelaxed);  // one thread writes
  }

  stack::Stack& stack_;
  EchoConfig config_;
  std::atomic<std::uint64_t> accepted_{0}, answers_{0}, errors_{0};
};

// Opens connections and sends messages over the first so many of them, in a fixed order that comes
// to each once before it comes to any again.
class EchoClient {
 public:
  EchoClient(stack::Stack& s, const EchoConfig& config);

  // Orders, from any thread. Pre: at most EchoConfig::connections.
  void open(std::uint32_t connections) { wanted_.store(connections, std::memory_order_release); }
  void ask(std::uint32_t among) { among_.store(among, std::memory_order_release); }  // 0: no more
  // Counts, for any thread.
  [[nodiscard]] std::uint64_t opened() const { return open_.load(kRelaxed); }
  [[nodiscard]] std::uint64_t answers() const { return answers_.load(kRelaxed); }
  [[nodiscard]] std::uint64_t errors() const { return errors_.load(kRelaxed); }
  [[nodiscard]] std::uint32_t under_way() const { return under_way_.load(kRelaxed); }
  // Of messages that were under way alone, from their send to their last octet: nanoseconds.
  [[nodiscard]] const telemetry::Histogram& times() const { return times_; }

  unsigned on_turn(Instant now);
  [[nodiscard]] Instant next_turn() const { return Instant{}; }

  void on_accept(Connection c, ListenerId) { c.abort(); }
  void on_connected(Connection, std::uint64_t user);
  void on_readable(Connection c, std::uint64_t user);
  void on_writable(Connection, std::uint64_t) {}
  void on_peer_closed(Connection, std::uint64_t) { count(errors_); }
  void on_timer(Connection, std::uint64_t) {}
  void on_closed(Connection, std::uint64_t user, CloseReason);

  static constexpr std::uint32_t record_octets() { return sizeof(Peer); }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
  static constexpr std::uint32_t kConnecting = ~0U, kResting = ~0U - 1, kGone = ~0U - 2;

  struct Peer {
    stack::ConnId conn;
    std::uint32_t got = kConnecting;  // octets of the answer under way, or one of the above
  };

  template <class T>
  static void count(std::atomic<T>& n) {
    n.store(n.load(kRelaxed) + 1, kRelaxed);
  }
  unsigned open_some(Instant now);
  unsigned ask_some();
  void choose(std::uint32_t among);
  void send(std::uint32_t index);

  stack::Stack& stack_;
  EchoConfig config_;
  std::vector<Peer> peers_;
  std::vector<std::byte> message_;  // but for its first four octets, the connection's number
  double ns_per_cycle_;
  std::uint32_t connecting_ = 0, begun_ = 0;
  std::uint32_t chosen_ = 0, cursor_ = 0, stride_ = 1;
  std::uint64_t sent_at_ = 0;
  std::atomic<std::uint32_t> wanted_{0}, among_{0}, under_way_{0};
  std::atomic<std::uint64_t> open_{0}, answers_{0}, errors_{0};
  telemetry::Histogram times_;
};

}  // namespace weir::app
