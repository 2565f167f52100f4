#include "bench_memory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "bench_segment.h"
#include "socket/packet_pool.h"
#include "stack/stack.h"
#include "wire/frame.h"

namespace weir::app {
namespace {

using enum wire::TcpFlags;
using Clock = std::chrono::steady_clock;

constexpr unsigned kBurst = 32;
// Idle ones come at 100,000 a second, in two turns each, so that they go to rest meanwhile.
// Half-open ones and those in TIME-WAIT stand still: they would be resent, or end.
constexpr Duration kTurn = kBurst * 10us / 2;
constexpr std::uint32_t kBlocks = 1'024;  // some bursts of frames, in and out
constexpr std::uint16_t kPort = 80;

// VmRSS and VmPTE, octets.
std::uint64_t resident() {
  std::ifstream status("/proc/self/status");
  std::uint64_t kb = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:") || line.starts_with("VmPTE:")) {
      kb += std::stoull(line.substr(6));
    }
  }
  return kb << 10U;
}

// A host with one listener, and the peers' segments.
class Resters {
 public:
  Resters(Resting kind, std::uint32_t count);

  // Makes the next `n` of them; nanoseconds that the stack took.
  std::uint64_t make(std::uint32_t n);
  [[nodiscard]] std::uint64_t there() const;

 private:
  struct Peer {
    FlowKey flow;
    Seq snd_nxt{5'000}, rcv_nxt;
    std::uint32_t ts_ecr = 0;
  };
  static stack::Config config_of(Resting kind, std::uint32_t count);
  void send(const Peer& p, unsigned flags);
  std::uint64_t turn(std::span<Peer> peers);

  Resting kind_;
  posix::PacketPool pool_{kBlocks};
  Instant now_{1'000s};
  std::unique_ptr<stack::Stack> stack_;
  std::uint32_t next_ = 0;
  std::vector<Buf*> frames_;
};

stack::Config Resters::config_of(Resting kind, std::uint32_t count) {
  constexpr std::uint32_t kMoving = 1'024;  // on their way to where they rest
  stack::Config c;
  c.mac = kHostMac;
  c.addrs = {{kHost, 24}};
  c.gateway = kGateway;
  c.gateway_mac = kGatewayMac;
  c.max_connections = kind == Resting::kIdle ? count : kMoving;
  c.tcp.max_syn_backlog = kind == Resting::kHalfOpen ? count : kMoving;
  c.tcp.max_tw_buckets = kind == Resting::kTimeWait ? count : kMoving;
  c.tcp.somaxconn = std::max(c.max_connections, c.tcp.max_syn_backlog);
  c.tcp.syncookies = 0;
  return c;
}

Resters::Resters(Resting kind, std::uint32_t count)
    : kind_(kind),
      stack_(std::make_unique<stack::Stack>(config_of(kind, count),
                                            stack::Secrets{{1, 2}, {3, 4}, {5, 6}, {10, 11}, 9},
                                            pool_.source(), now_)) {
  const auto listener = stack_->listen({kHost, kPort}, {.backlog = 1U << 30U});
  WEIR_ASSERT(listener.ok());
  frames_.reserve(kBurst);
}

void Resters::send(const Peer& p, unsigned flags) {
  const wire::TcpFrame f = peer_segment(p.flow, p.snd_nxt, p.rcv_nxt, p.ts_ecr, flags);
  std::array<std::byte, wire::kMaxTcpFrameHeader> octets{};
  const std::size_t size = wire::write_tcp_frame(octets, f, wire::TxChecksum::kOffload, {});
  Buf* const b = pool_.take_copy(0, std::span(octets).first(std::max(size, wire::kMinFrame)));
  WEIR_ASSERT(b != nullptr);
  b->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
  frames_.push_back(b);
}

// One iteration with what was sent; the peers hear of what came back, in the order of `peers`.
std::uint64_t Resters::turn(std::span<Peer> peers) {
  if (kind_ == Resting::kIdle) now_ += kTurn;
  const auto start = Clock::now();
  stack_->receive(frames_, now_);
  stack_->advance(now_);
  stack::Ready r;
  while (stack_->next_ready(r)) {
    const bool close = (r.events & (stack::kAccepted | stack::kClosed)) != 0;
    if (close && kind_ == Resting::kTimeWait) stack_->close(r.conn);
  }
  stack_->poll_output(now_);
  const auto end = Clock::now();
  frames_.clear();
  for (std::size_t i = 0; i < std::min(peers.size(), stack_->tx_packets().size()); ++i) {
    const tcp::TxPacket& p = stack_->tx_packets()[i];
    WEIR_ASSERT(p.flow == peers[i].flow);
    peers[i].rcv_nxt = p.seg.seq + ((p.seg.flags & (SYN | FIN)) != 0 ? 1 : 0);
    peers[i].ts_ecr = p.seg.options.ts_val;
  }
  pool_.give(stack_->take_tx_frames());
  stack_->clear_tx();
  pool_.give(stack_->take_released());
  return static_cast<std::uint64_t>((end - start).count());
}

std::uint64_t Resters::make(std::uint32_t n) {
  constexpr std::uint32_t kPortsAHost = 1U << 14U;
  std::array<Peer, kBurst> peers;
  std::uint64_t ns = 0;
  while (n > 0) {
    const std::span<Peer> some = std::span(peers).first(std::min(n, kBurst));
    for (Peer& p : some) {
      p = {};
      p.flow = {.local = kHost,
                .remote = IpAddr::v4(0x0b00'0000U + next_ / kPortsAHost),
                .local_port = kPort,
                .remote_port = static_cast<std::uint16_t>(1'024 + next_ % kPortsAHost)};
      ++next_;
      send(p, SYN);
    }
    ns += turn(some);
    for (Peer& p : some) p.snd_nxt += 1;
    if (kind_ != Resting::kHalfOpen) {
      for (const Peer& p : some) send(p, ACK);
      ns += turn(some);
    }
    if (kind_ == Resting::kTimeWait) {  // its FIN is out: the peer's, and the ACK of both
      for (const Peer& p : some) send(p, FIN | ACK);
      ns += turn({});
    }
    n -= static_cast<std::uint32_t>(some.size());
  }
  return ns;
}

std::uint64_t Resters::there() const {
  const stack::Gauges g = stack_->gauges();
  switch (kind_) {
    case Resting::kIdle:
      return g.established;
    case Resting::kHalfOpen:
      return g.half_open;
    case Resting::kTimeWait:
      return g.time_wait;
  }
  return 0;
}

// In a child, so that each kind begins with nothing. False: it ended without an answer.
bool measure(Resting kind, std::uint32_t count, MemoryFigures& out) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return false;
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const MemoryFigures f = make_resting(kind, count);
    const bool told = write(ends[1], &f, sizeof f) == sizeof f;
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  const bool got = child > 0 && read(ends[0], &out, sizeof out) == sizeof out;
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return got;
}

std::string grouped(std::uint64_t n) {
  std::string s = std::to_string(n);
  for (std::size_t at = s.size(); at > 3; at -= 3) s.insert(at - 3, ",");
  return s;
}

void print_row(Resting kind, const MemoryFigures& f, bool json) {
  const RestingInfo info = info_of(kind);
  const double each = static_cast<double>(f.octets) / static_cast<double>(f.count);
  if (json) {
    std::printf(
        ",\"%s\":{\"count\":%llu,\"octets\":%llu,\"octets_each\":%.1f,\"budget\":%u,"
        "\"first_ns\":%.0f,\"last_ns\":%.0f}",
        info.name, static_cast<unsigned long long>(f.count),
        static_cast<unsigned long long>(f.octets), each, info.budget, f.first_ns, f.last_ns);
    return;
  }
  std::printf("  %-12s %12s %14s MiB %13.1f %8u %14.0f ns %10.2f\n", info.name,
              grouped(f.count).c_str(), grouped(f.octets >> 20U).c_str(), each, info.budget,
              f.first_ns, f.last_ns / f.first_ns);
  std::fflush(stdout);
}

}  // namespace

RestingInfo info_of(Resting kind) {
  switch (kind) {
    case Resting::kIdle:
      return {"idle", 256, 16'000'000};
    case Resting::kHalfOpen:
      return {"half_open", 64, 16'000'000};
    case Resting::kTimeWait:
      return {"time_wait", 32, 100'000'000};
  }
  return {};
}

MemoryFigures make_resting(Resting kind, std::uint32_t count) {
  WEIR_ASSERT(count > 0);
  const std::uint64_t before = resident();
  Resters resters(kind, count);
  const std::uint32_t tenth = std::max(count / 10, 1U);
  MemoryFigures f;
  f.first_ns = static_cast<double>(resters.make(tenth)) / tenth;
  if (count > 2 * tenth) (void)resters.make(count - 2 * tenth);
  f.last_ns = count > tenth ? static_cast<double>(resters.make(tenth)) / tenth : f.first_ns;
  f.count = resters.there();
  const std::uint64_t after = resident();
  f.octets = after > before ? after - before : 0;
  return f;
}

int run_memory(const MemoryConfig& config) {
  if (config.json) {
    std::printf("{\"event\":\"memory\"");
  } else {
    std::printf(
        "weir bench memory: resident memory and page tables of one stack, by what rests in it\n\n"
        "  %-12s %12s %18s %13s %8s %17s %10s\n",
        "", "count", "in all", "octets each", "budget", "the first took", "the last");
  }
  int code = 0;
  for (std::size_t i = 0; i < kResting.size(); ++i) {
    const std::uint32_t count = config.counts[i];
    if (count == 0) continue;
    MemoryFigures f;
    if (!measure(kResting[i], count, f) || f.count == 0) {
      std::fprintf(stderr, "weir: bench: %s of %s: memory ran out on the way; ask for fewer\n",
                   grouped(count).c_str(), info_of(kResting[i]).name);
      code = 1;
      continue;
    }
    print_row(kResting[i], f, config.json);
    if (f.count != count) code = 1;
  }
  if (config.json) {
    std::printf("}\n");
  } else {
    std::printf(
        "\n  octets each: records, tables, timers, pools and page tables, divided by the count.\n"
        "  the last: what one of the last tenth took to make, in times of one of the first "
        "tenth.\n");
  }
  return code;
}

}  // namespace weir::app
