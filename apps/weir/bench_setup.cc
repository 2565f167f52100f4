#include "bench_setup.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

namespace weir::app {
namespace {

// RFC 2544's network for benchmarks. So many pairs of a source and a port of the server that a
// source port is hardly ever used again while its TIME-WAIT lasts.
constexpr unsigned kSources = 16;
constexpr std::uint16_t kTargets = 64;
constexpr std::uint16_t kFirstPort = 8'000;
constexpr std::uint8_t kPrefix = 16;
constexpr std::uint64_t kRateAtMost = 1'500'000;  // connections a second: what is reserved for
constexpr std::uint64_t kMostTimeWait = 64'000'000;
constexpr std::uint32_t kFewestFrames = 1'024, kMostFrames = 32'768;
constexpr int kMemifLog2 = 14;  // the driver's limit

IpAddr source(unsigned i) {
  return IpAddr::v4(198, 18, 1, static_cast<std::uint8_t>(1 + i));
}
IpAddr server() {
  return IpAddr::v4(198, 18, 0, 1);
}

// At once: a server keeps a connection a little longer than the client that is done with it.
std::uint32_t at_once(const BenchConfig& c) {
  switch (c.mode) {
    case BenchMode::kCps:
      return c.concurrency;
    case BenchMode::kLatency:
      return 1;
    case BenchMode::kCold:
      return std::max(c.window, kMostEchoConnecting);
    case BenchMode::kRps:
    case BenchMode::kStream:
      break;
  }
  return static_cast<std::uint32_t>(c.connections);
}
std::uint32_t records(const BenchConfig& c) {
  if (c.mode == BenchMode::kCold) return static_cast<std::uint32_t>(c.connections) + 4'096;
  return 2 * at_once(c) + 4'096;
}

// What a port in memory should hold: a request, an answer and their ACKs of each connection.
// A power of two.
std::uint32_t frames_under_way(const BenchConfig& c) {
  return std::clamp(std::bit_ceil(4 * std::min(at_once(c), kMostFrames)), kFewestFrames,
                    kMostFrames);
}

// The side that closes first has the TIME-WAIT; the other's table need not be made for it, and lies
// in a nearer cache.
std::uint32_t time_wait_records(const BenchConfig& c, BenchSide side) {
  const bool closes = c.client_closes == (side == BenchSide::kClient);
  std::uint64_t n = records(c);
  if (c.mode == BenchMode::kCps && closes) {
    const auto seconds = static_cast<std::uint64_t>(c.duration / 1s) + 1;
    n += c.connections > 0 ? c.connections : seconds * kRateAtMost;
  }
  return static_cast<std::uint32_t>(std::min(n, kMostTimeWait));
}

}  // namespace

std::string bench_device(const BenchConfig& c, BenchSide side, const std::string& socket) {
  const bool is_server = side == BenchSide::kServer;
  if (c.port == "ring") return is_server ? "ring:bench/b" : "ring:bench/a";
  std::string path = socket;
  const std::string_view port = c.port;
  const bool memif = port == "memif" || port.starts_with("memif:/");
  const bool vhost = port == "vhost" || port.starts_with("vhost:/");
  if (!memif && !vhost) return c.port;
  if (path.empty()) path = port.substr(port.find(':') + 1);
  if (memif) {
    const int log2 = std::countr_zero(frames_under_way(c));
    return "memif:socket=" + path + ",id=0,rsize=" + std::to_string(std::min(log2, kMemifLog2)) +
           ",role=" + (is_server ? "server" : "client");
  }
  // The rings are of virtio's side: as many descriptors as the other ports have.
  return is_server ? "vhost:" + path : "virtio-user:path=" + path + ",queue_size=1024";
}

dpdk::PortConfig bench_port(const BenchConfig& c, const std::string& device) {
  dpdk::PortConfig p;
  const std::uint32_t open = std::min<std::uint32_t>(at_once(c), 65'536);
  p.device = device;
  p.rx_descriptors = p.tx_descriptors = kFewestFrames;
  p.rx_buffers = 8'192 + open;
  if (c.port == "ring") {
    p.rx_descriptors = static_cast<std::uint16_t>(frames_under_way(c));
    p.rx_buffers += p.rx_descriptors;
  }
  p.payload_buffers = 4'096 + 2 * open;
  p.header_buffers = 8'192 + 2 * open;
  return p;
}

stack::Config bench_stack(const BenchConfig& c, BenchSide side, const dpdk::Port& port) {
  stack::Config s;
  s.mac = port.mac();
  s.mtu = port.mtu();
  if (side == BenchSide::kServer) {
    s.addrs.push_back({server(), kPrefix});
  } else {
    for (unsigned i = 0; i < kSources; ++i) s.addrs.push_back({source(i), kPrefix});
    if (c.stripped) s.tcp = stripped(s.tcp);
  }
  s.max_connections = records(c);
  s.tso_max = port.offloads().tso_max;
  s.tcp.max_tw_buckets = time_wait_records(c, side);
  s.tcp.somaxconn = s.tcp.max_syn_backlog = std::max(s.tcp.somaxconn, records(c));
  return s;
}

ServeConfig bench_serve(const BenchConfig& c) {
  ServeConfig s;
  for (std::uint16_t i = 0; i < kTargets; ++i) {
    const Endpoint e{server(), static_cast<std::uint16_t>(kFirstPort + i)};
    s.listeners.push_back({to_string(e), e, records(c)});
  }
  s.body_size = c.body;
  s.resets_end = c.stripped;
  return s;
}

LoadConfig bench_load(const BenchConfig& c) {
  LoadConfig l;
  for (std::uint16_t i = 0; i < kTargets; ++i) {
    l.targets.push_back({server(), static_cast<std::uint16_t>(kFirstPort + i)});
  }
  for (unsigned i = 0; i < kSources; ++i) l.sources.push_back(source(i));
  const bool cps = c.mode == BenchMode::kCps;
  l.mode = cps ? LoadMode::kOpen : LoadMode::kRequests;
  l.concurrency = at_once(c);
  l.connections_total = c.connections;
  l.requests = cps ? 1 : c.requests;
  l.expect_size = c.body;
  l.close = c.client_closes ? LoadClose::kFin : LoadClose::kServer;
  if (c.stripped) l.close = LoadClose::kRst;
  return l;
}

EchoConfig bench_echo(const BenchConfig& c) {
  EchoConfig e;
  const LoadConfig l = bench_load(c);
  e.targets = l.targets;
  e.sources = l.sources;
  e.connections = c.mode == BenchMode::kCold ? static_cast<std::uint32_t>(c.connections) : 1;
  e.window = c.mode == BenchMode::kCold ? c.window : 1;
  e.octets = static_cast<std::uint32_t>(c.body);
  return e;
}

std::uint32_t full_frame(const dpdk::Port& port) {
  constexpr std::uint32_t kEthernet = 14;
  return kEthernet + port.mtu();
}

std::uint32_t bench_sessions(const BenchConfig& c) {
  return records(c);
}

std::vector<std::string> peer_arguments(const BenchConfig& c, const std::string& socket) {
  constexpr std::array kModes = {"cps", "rps", "stream", "latency", "cold"};
  std::vector<std::string> a{"bench", kModes[static_cast<std::size_t>(c.mode)], "--role", "server",
                             "--controlled"};
  const auto add = [&](const char* name, const std::string& value) {
    a.emplace_back(name);
    a.push_back(value);
  };
  add("--port", c.port + ":" + socket);
  add("--cores", std::to_string(c.cores.back()));
  add(c.mode == BenchMode::kCps || c.mode == BenchMode::kRps ? "--body" : "--size",
      std::to_string(c.body));
  if (c.connections > 0 && c.mode != BenchMode::kLatency)
    add("--connections", std::to_string(c.connections));
  if (c.mode == BenchMode::kCps) {
    add("--concurrency", std::to_string(c.concurrency));
  }
  if (c.mode == BenchMode::kCold) {
    add("--window", std::to_string(c.window));
    add("--beside", std::to_string(c.beside));
  }
  add("--duration", std::to_string(static_cast<double>(c.duration.count()) / 1e6));
  if (c.client_closes) add("--close", "client");
  if (c.stripped) add("--profile", "stripped");
  if (!c.stages) a.emplace_back("--no-stages");
  if (c.hugepages) a.emplace_back("--hugepages");
  if (c.verbose) a.emplace_back("--verbose");
  return a;
}

}  // namespace weir::app
