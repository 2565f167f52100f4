#include "bench_time_wait.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <new>
#include <span>
#include <vector>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/assert.h"
#include "bench_segment.h"
#include "json.h"
#include "socket/packet_pool.h"
#include "stack/stack.h"
#include "wire/frame.h"

namespace weir::app {
namespace {

using enum wire::TcpFlags;
using telemetry::Stage;
using telemetry::StageMeter;

constexpr unsigned kGroup = 10;  // connections that begin in one turn: 30 frames, a port's burst
constexpr unsigned kUnderWay = 4 * kGroup;
constexpr std::uint32_t kSample = 200'000;  // connections a second without records
constexpr std::uint32_t kBlocks = 2'048;
constexpr std::uint32_t kRecords = 1'024;  // control blocks and half-open ones
constexpr std::uint64_t kOtherMemory = std::uint64_t{64} << 20U;
constexpr std::uint16_t kPort = 80, kFirstPort = 1'024;
constexpr std::uint32_t kFirstHost = 0x0b00'0000U;
constexpr unsigned kPortBits = 14;
constexpr std::array<std::byte, 64> kRequest{};
constexpr std::array<std::byte, 128> kAnswer{};

std::uint64_t tick() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

// Ticks a second, of 20 ms.
double measure_ticks() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point from = Clock::now();
  const std::uint64_t ticks = tick();
  while (Clock::now() - from < 20ms) {
  }
  const std::chrono::duration<double> took = Clock::now() - from;
  return static_cast<double>(tick() - ticks) / took.count();
}

// The sum of some lines of a file of the kernel's, octets.
std::uint64_t octets_in(const char* path, std::span<const std::string_view> names) {
  std::ifstream in(path);
  std::uint64_t kb = 0;
  for (std::string line; std::getline(in, line);) {
    for (const std::string_view name : names) {
      if (line.starts_with(name)) kb += std::stoull(line.substr(name.size()));
    }
  }
  return kb << 10U;
}
std::uint64_t resident() {
  constexpr std::array<std::string_view, 2> kNames{"VmRSS:", "VmPTE:"};
  return octets_in("/proc/self/status", kNames);
}
std::uint64_t available() {
  constexpr std::array<std::string_view, 1> kNames{"MemAvailable:"};
  return octets_in("/proc/meminfo", kNames);
}

std::uint32_t plateau(const TimeWaitConfig& c) {
  return c.rate * c.wait;
}
// Expiry comes up to a millisecond and a turn late.
std::uint32_t places(const TimeWaitConfig& c) {
  return plateau(c) + c.rate / 50 + 10'000;
}

// A host that answers each request and closes, and its peers. In every turn one group of
// connections begins, the one before it asks, the one before that ends.
class Closer {
 public:
  Closer(const TimeWaitConfig& c, bool keeps, double ticks_per_second)
      : meter_(&tick, {true, static_cast<std::uint64_t>(ticks_per_second / 1'000)}),
        stack_(config_of(c, keeps), stack::Secrets{{1, 2}, {3, 4}, {5, 6}, {10, 11}, 9},
               pool_.source(), now_) {
    const auto listener = stack_.listen({kHost, kPort}, {.backlog = 1U << 30U});
    WEIR_ASSERT(listener.ok());
    stack_.set_meter(&meter_);
    frames_.reserve(3 * kGroup);
  }

  ~Closer() {
    stack_.release_all();
    pool_.give(stack_.take_tx_frames());
    pool_.give(stack_.take_released());
  }
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  // So many connections in the stack's next second; what one cost.
  TimeWaitCost second(std::uint32_t n);
  [[nodiscard]] std::uint64_t connections() const { return begun_; }
  [[nodiscard]] std::uint64_t entered() const { return stack_.counters().time_wait_entered.get(); }
  [[nodiscard]] std::uint64_t not_kept() const { return stack_.counters().drop_tw_full.get(); }
  [[nodiscard]] std::uint64_t records() const { return stack_.gauges().time_wait; }

 private:
  struct Peer {
    Seq snd_nxt, rcv_nxt;
    std::uint32_t ts_ecr = 0;
  };
  static stack::Config config_of(const TimeWaitConfig& c, bool keeps);
  [[nodiscard]] static FlowKey flow_of(std::uint64_t index) {
    return {.local = kHost,
            .remote = IpAddr::v4(kFirstHost + static_cast<std::uint32_t>(index >> kPortBits)),
            .local_port = kPort,
            .remote_port = static_cast<std::uint16_t>(kFirstPort + index % (1U << kPortBits))};
  }
  [[nodiscard]] Peer& peer(std::uint64_t index) { return peers_[index % kUnderWay]; }
  void send(std::uint64_t index, unsigned flags, std::span<const std::byte> text);
  void turn(unsigned n);
  void hear();
  void serve();

  posix::PacketPool pool_{kBlocks};
  Instant now_{1'000s};
  StageMeter meter_;
  stack::Stack stack_;
  std::uint64_t begun_ = 0;
  std::uint64_t asked_ = 0, ended_ = 0;  // connections below these have
  std::array<Peer, kUnderWay> peers_;
  std::vector<Buf*> frames_;
};

stack::Config Closer::config_of(const TimeWaitConfig& wanted, bool keeps) {
  stack::Config c;
  c.mac = kHostMac;
  c.addrs = {{kHost, 24}};
  c.gateway = kGateway;
  c.gateway_mac = kGatewayMac;
  c.max_connections = c.tcp.max_syn_backlog = c.tcp.somaxconn = kRecords;
  c.tcp.max_tw_buckets = keeps ? places(wanted) : 0;
  c.tcp.msl = Duration(1s) * wanted.wait / 2;
  return c;
}

void Closer::send(std::uint64_t index, unsigned flags, std::span<const std::byte> text) {
  Peer& p = peer(index);
  wire::TcpFrame f = peer_segment(flow_of(index), p.snd_nxt, p.rcv_nxt, p.ts_ecr, flags);
  f.payload_len = static_cast<std::uint32_t>(text.size());
  std::array<std::byte, wire::kMaxTcpFrameHeader + kRequest.size()> octets{};
  const std::size_t head = wire::write_tcp_frame(octets, f, wire::TxChecksum::kOffload, {});
  std::copy(text.begin(), text.end(), octets.begin() + static_cast<std::ptrdiff_t>(head));
  const std::size_t size = std::max(head + text.size(), wire::kMinFrame);
  Buf* const b = pool_.take_copy(0, std::span(octets).first(size));
  WEIR_ASSERT(b != nullptr);
  b->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
  frames_.push_back(b);
  p.snd_nxt += static_cast<std::uint32_t>(text.size()) + ((flags & (SYN | FIN)) != 0 ? 1 : 0);
}

// Peers learn of what was sent to them.
void Closer::hear() {
  for (const tcp::TxPacket& p : stack_.tx_packets()) {
    const std::uint64_t host = p.flow.remote.v4_value() - kFirstHost;
    Peer& to = peer(host << kPortBits | (p.flow.remote_port - kFirstPort));
    to.rcv_nxt = p.seg.seq + p.seg.len + ((p.seg.flags & (SYN | FIN)) != 0 ? 1 : 0);
    to.ts_ecr = p.seg.options.ts_val;
  }
}

void Closer::serve() {
  stack::Ready r;
  while (stack_.next_ready(r)) {
    if ((r.events & stack::kReadable) == 0) continue;
    stack_.release(stack_.receive_buffers(r.conn, kRequest.size()));
    (void)stack_.send_copy(r.conn, kAnswer);
    stack_.close(r.conn);
  }
}

// One iteration, in which `n` connections begin.
void Closer::turn(unsigned n) {
  const std::uint64_t began = begun_;
  for (; ended_ < asked_; ++ended_) send(ended_, FIN | ACK, {});
  for (; asked_ < began; ++asked_) send(asked_, ACK | PSH, kRequest);
  for (unsigned i = 0; i < n; ++i, ++begun_) {
    peer(begun_) = {};
    peer(begun_).snd_nxt = Seq{5'000};
    send(begun_, SYN, {});
  }
  meter_.begin();
  stack_.receive(frames_, now_);
  stack_.advance(now_);
  meter_.mark(Stage::kTimers);
  serve();
  meter_.mark(Stage::kApplication);
  stack_.poll_output(now_);
  meter_.mark(Stage::kTcp);
  meter_.end(true);
  frames_.clear();
  hear();
  pool_.give(stack_.take_tx_frames());
  stack_.clear_tx();
  pool_.give(stack_.take_released());
}

TimeWaitCost Closer::second(std::uint32_t n) {
  const StageMeter::Sums before = meter_.sums();
  const Instant from = now_;
  for (std::uint32_t done = 0; done < n;) {
    const unsigned some = std::min(n - done, kGroup);
    done += some;
    now_ = from + Duration(1s) * done / n;
    turn(some);
  }
  const StageMeter::Sums& m = meter_.sums();
  const auto turns = static_cast<double>(m.busy_iterations - before.busy_iterations);
  const auto long_ones =
      static_cast<double>(m.interrupted_iterations - before.interrupted_iterations);
  // Turns that were interrupted count as the mean of the others.
  const double each = turns > 0 ? (1 + long_ones / turns) / n : 0;
  TimeWaitCost cost;
  cost.total = static_cast<double>(m.busy - before.busy) * each;
  for (std::size_t i = 0; i < cost.stages.size(); ++i) {
    cost.stages[i] = static_cast<double>(m.stages[i] - before.stages[i]) * each;
  }
  return cost;
}

double middle(std::vector<double> v) {
  if (v.empty()) return 0;
  const auto at = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), at, v.end());
  return *at;
}

TimeWaitCost median(std::span<const TimeWaitCost> seconds) {
  const auto of = [seconds](auto&& value) {
    std::vector<double> v;
    for (const TimeWaitCost& s : seconds) v.push_back(value(s));
    return middle(std::move(v));
  };
  TimeWaitCost out;
  out.total = of([](const TimeWaitCost& s) { return s.total; });
  for (std::size_t i = 0; i < out.stages.size(); ++i) {
    out.stages[i] = of([i](const TimeWaitCost& s) { return s.stages[i]; });
  }
  return out;
}

double share(double more, double of) {
  return of > 0 ? 100 * (more / of - 1) : 0;
}

void print_json(const TimeWaitConfig& c, const TimeWaitFigures& f) {
  const auto cost = [](const TimeWaitCost& of) {
    JsonObject o;
    for (std::size_t i = 0; i < of.stages.size(); ++i) {
      if (of.stages[i] > 0) o.real(telemetry::kStageNames[i], of.stages[i]);
    }
    o.real("total", of.total);
    return o.str();
  };
  JsonObject o;
  o.text("event", "time_wait");
  o.number("rate", c.rate);
  o.number("wait_seconds", c.wait);
  o.number("seconds_beyond", c.seconds);
  o.number("records", f.records);
  o.number("octets", f.octets);
  o.real("octets_each", static_cast<double>(f.octets) / static_cast<double>(f.records));
  o.number("connections", f.connections);
  o.number("failed", f.failed);
  o.real("ticks_per_second", f.ticks_per_second);
  o.raw("off", cost(f.off));
  o.raw("first", cost(f.first));
  o.raw("standing", cost(f.standing));
  o.raw("turnover", cost(f.turnover));
  o.real("life_cycles", f.turnover.total - f.off.total);
  o.real("percent_more", share(f.turnover.total, f.off.total));
  std::printf("%s\n", o.str().c_str());
}

void print_text(const TimeWaitConfig& c, const TimeWaitFigures& f) {
  std::printf(
      "weir bench time-wait: %u connections closed a second of the stack's, 2MSL %u s; the stack's "
      "own\ncycles, by connection: no port, no program but one answer and close\n\n"
      "  %-24s %12s %12s %12s %12s\n",
      c.rate, c.wait, "", "no record", "first second", "standing", "turnover");
  const std::array<const TimeWaitCost*, 4> columns{&f.off, &f.first, &f.standing, &f.turnover};
  const auto row = [&](std::string_view name, auto&& value) {
    std::printf("  %-24s", std::string(name).c_str());
    for (const TimeWaitCost* of : columns) std::printf(" %12.0f", value(*of));
    std::printf("\n");
  };
  for (const Stage s :
       {Stage::kParse, Stage::kLookup, Stage::kTcp, Stage::kTimers, Stage::kApplication}) {
    const auto i = static_cast<std::size_t>(s);
    row(telemetry::kStageNames[i], [i](const TimeWaitCost& x) { return x.stages[i]; });
  }
  row("total", [](const TimeWaitCost& x) { return x.total; });
  row("connections/s",
      [&f](const TimeWaitCost& x) { return x.total > 0 ? f.ticks_per_second / x.total : 0; });
  std::printf(
      "\n  %llu records at the plateau, %.1f octets each, everything counted\n"
      "  a record's life, entered and ended: %.0f cycles, %.1f %% more a connection (budget 15)\n"
      "  %llu connections, %llu failed\n",
      static_cast<unsigned long long>(f.records),
      static_cast<double>(f.octets) / static_cast<double>(std::max<std::uint64_t>(f.records, 1)),
      f.turnover.total - f.off.total, share(f.turnover.total, f.off.total),
      static_cast<unsigned long long>(f.connections), static_cast<unsigned long long>(f.failed));
}

}  // namespace

std::uint64_t time_wait_memory(const TimeWaitConfig& c) {
  const std::uint64_t each = stack::Stack::footprint().time_wait + 2;  // 2: page tables, rounding
  return std::uint64_t{places(c)} * each + kOtherMemory;
}

std::optional<std::string> complaint(const TimeWaitConfig& c) {
  if (c.wait % 2 != 0)
    return "--wait " + std::to_string(c.wait) + ": twice the MSL: an even number";
  const std::uint64_t wants = time_wait_memory(c), has = available();
  if (wants <= has || has == 0) return std::nullopt;
  return format("%u records need %llu MiB, %llu are free; lower --rate or --wait", plateau(c),
                static_cast<unsigned long long>(wants >> 20U),
                static_cast<unsigned long long>(has >> 20U));
}

TimeWaitFigures measure_time_wait(const TimeWaitConfig& c, std::FILE* progress) {
  TimeWaitFigures f;
  f.ticks_per_second = measure_ticks();
  const std::uint64_t before = resident();
  Closer on(c, true, f.ticks_per_second), off(c, false, f.ticks_per_second);
  const std::uint32_t sample = std::min(c.rate, kSample);
  std::vector<TimeWaitCost> with, without;
  for (std::uint32_t s = 1; s <= c.wait + c.seconds; ++s) {
    with.push_back(on.second(c.rate));
    without.push_back(off.second(sample));
    if (s == c.wait) {
      f.records = on.records();
      const std::uint64_t after = resident();
      f.octets = after > before ? after - before : 0;
    }
    if (progress == nullptr) continue;
    std::fprintf(progress,
                 "  second %u of %u: %llu in TIME-WAIT, %.0f cycles a connection, %.0f without\n",
                 s, c.wait + c.seconds, static_cast<unsigned long long>(on.records()),
                 with.back().total, without.back().total);
    std::fflush(progress);
  }
  const std::span all = with;
  const std::uint32_t some = std::min(c.wait, std::max(c.seconds, 1U));
  f.off = median(without);
  f.first = with.front();
  f.standing = median(all.subspan(c.wait - some, some));
  f.turnover = c.seconds > 0 ? median(all.subspan(c.wait)) : f.standing;
  f.connections = on.connections();
  // The last two groups have not ended.
  f.failed = on.connections() - std::min(on.connections(), on.entered() + 2 * kGroup) +
             on.not_kept() + off.connections() -
             std::min(off.connections(), off.entered() + 2 * kGroup);
  return f;
}

int run_time_wait(const TimeWaitConfig& config) {
  if (const auto wrong = complaint(config)) {
    std::fprintf(stderr, "weir: bench: time-wait: %s\n", wrong->c_str());
    return 2;
  }
  try {
    const TimeWaitFigures f = measure_time_wait(config, stderr);
    config.json ? print_json(config, f) : print_text(config, f);
    return f.failed == 0 ? 0 : 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "weir: bench: time-wait: not enough memory; lower --rate or --wait\n");
    return 2;
  }
}

}  // namespace weir::app
