// Whether what `weir bench` is asked for fits together, before anything is opened.
#include <array>
#include <set>

#include "bench.h"
#include "bench_near.h"
#include "bench_setup.h"
#include "config_tables.h"
#include "dpdk/device.h"

namespace weir::app {

bool is_counted(const BenchConfig& c) {
  return c.mode == BenchMode::kCps ? c.connections > 0 : c.requests > 0;
}

std::optional<std::string> complete_bench(BenchConfig& c) {
  if (c.mode != BenchMode::kCps && c.connections == 0) {
    constexpr std::array<std::uint64_t, 5> kUsual = {0, 64, 4, 1, 1'000'000};
    c.connections = kUsual[static_cast<std::size_t>(c.mode)];
  }
  if (c.mode >= BenchMode::kLatency && c.role == BenchRole::kClient) {
    return "--role client: this mode needs both ends, or the server's alone";
  }
  if (c.bare && c.role != BenchRole::kBoth) return "--bare: needs both ends: leave out --role";
  if (c.mode == BenchMode::kCold) {
    if (c.beside > c.connections) return "--beside: more than --connections";
    if (c.role == BenchRole::kBoth) {
      if (auto lack = lacks_memory(c.connections)) return lack;
    }
  }
  const bool two_processes = c.port == "memif" || c.port == "vhost";
  if (c.role == BenchRole::kBoth && c.port != "ring" && !two_processes) {
    return "--port " + c.port + ": one of ring, memif, vhost; any other needs --role as well";
  }
  if (c.role != BenchRole::kBoth && (c.port == "ring" || two_processes)) {
    return "--port " + c.port +
           ": with --role name where both meet, as in memif:/run/bench.sock, " +
           "vhost:/run/bench.sock or a device";
  }
  const std::set<unsigned> may = this_machine().cores;
  if (c.pairs > 0 && c.stripped) return "--profile stripped: not together with --cores-each";
  if (c.pairs > 0 && (c.port != "ring" || c.role != BenchRole::kBoth)) {
    return "--cores-each: over rings, and both sides in this process";
  }
  std::size_t sides = c.role == BenchRole::kBoth ? 2 : 1;
  if (c.pairs > 0) sides = c.pairs;
  if (c.pairs > may.size()) {
    return "--cores-each " + std::to_string(c.pairs) + ": this process may use " + core_list(may);
  }
  if (c.cores.empty()) {
    for (const unsigned core : may) {
      if (c.cores.size() < sides) c.cores.push_back(core);
    }
    while (!c.cores.empty() && c.cores.size() < sides) c.cores.push_back(c.cores.front());
  }
  if (c.cores.size() != sides) {
    return "--cores: names " + std::to_string(c.cores.size()) + " CPUs, wanted " +
           (sides == 2 ? "2, as in 0,1" : std::to_string(sides));
  }
  for (const unsigned core : c.cores) {
    if (may.count(core) == 0) {
      return "--cores: " + std::to_string(core) + ": no such CPU; this process may use " +
             core_list(may);
    }
  }
  if (c.role == BenchRole::kBoth) return std::nullopt;
  const BenchSide side = c.role == BenchRole::kServer ? BenchSide::kServer : BenchSide::kClient;
  const auto device = dpdk::parse_device(bench_device(c, side, ""));
  if (!device) return "--port " + device.error();
  const std::string wrong = dpdk::check_device(device.value());
  return wrong.empty() ? std::nullopt : std::optional("--port " + wrong);
}

}  // namespace weir::app
