// What the operator asks for: a TOML file turned into checked values, or one line that says what is
// wrong with it. Starts nothing and opens nothing but that file; knows no DPDK.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "base/result.h"
#include "lb/lb.h"
#include "load_config.h"
#include "stack/stack.h"

namespace weir::app {

enum class Command : std::uint8_t { kLb, kServe, kLoad, kRun };
struct CommandInfo {
  Command command;
  const char* name;
  const char* about;
};
inline constexpr std::array kCommands{
    CommandInfo{Command::kLb, "lb", "balance TCP connections over backends"},
    CommandInfo{Command::kServe, "serve", "answer HTTP, for trials and benchmarks"},
    CommandInfo{Command::kLoad, "load", "open connections and ask over HTTP; check and measure"},
    CommandInfo{Command::kRun, "run", "run a program that nobody rebuilt, with its sockets here"}};
[[nodiscard]] std::string_view name_of(Command command);

// What a worker does while there is nothing to do.
enum class IdleMode : std::uint8_t { kPoll, kYield, kSleep };
enum class OffloadUse : std::uint8_t { kAuto, kOff, kAll };

struct EalConfig {
  std::vector<unsigned> cores{0};  // one shard each
  bool hugepages = false;
  std::uint32_t memory_mb = 512;  // what the EAL may take in all
  std::string file_prefix;        // empty: one of its own per process
  IdleMode idle = IdleMode::kSleep;
  Duration idle_sleep = 100us;  // the longest sleep: what a frame may wait for
};

struct PortConfig {
  std::string device;
  std::vector<stack::IpPrefix> addresses;
  std::optional<IpAddr> gateway, gateway6;
  std::optional<MacAddr> gateway_mac, gateway6_mac;  // pinned; none: asked for
  std::optional<MacAddr> mac;                        // none: the port's own
  std::uint8_t dad_transmits = 1;  // tests of an IPv6 address before it is used (RFC 4862)
  std::uint8_t arp_probes = 0;     // the same for IPv4 (RFC 5227)
  std::uint16_t mtu = 1500;
  std::uint16_t rx_descriptors = 512;
  std::uint16_t tx_descriptors = 512;
  OffloadUse offloads = OffloadUse::kAuto;
};

struct LimitsConfig {
  std::uint32_t max_connections = 65'536;  // of one core
  std::uint32_t max_neighbours = 1'024;
  std::uint32_t max_sessions = 16'384;  // of one core
  // Buffers of one core: for received frames (text that passes through the balancer stays in
  // them), for text of Weir's own, and for headers.
  std::uint32_t mbufs = 32'768;
  std::uint32_t payload_mbufs = 4'096;
  std::uint32_t header_mbufs = 4'096;
};

struct ServeListener {
  std::string name;
  Endpoint address;
  std::uint32_t backlog = 4096;
};

struct ServeConfig {
  std::vector<ServeListener> listeners;
  std::uint64_t body_size = 1'024;
  std::uint64_t max_body_size = std::uint64_t{1} << 40U;  // of /bytes/N
  Duration idle_timeout = 60s;
  // A client's RST between two requests is an end like any other, and not counted as a reset.
  bool resets_end = false;
};

struct StatsConfig {
  Duration interval = 1s;
  bool json = false;
};

struct Config {
  Command command = Command::kLb;
  std::string path;  // of the file: what it names is relative to its folder
  EalConfig eal;
  PortConfig port;
  LimitsConfig limits;
  tcp::Config tcp;
  lb::Config lb;      // of `weir lb`
  ServeConfig serve;  // of `weir serve`
  LoadConfig load;    // of `weir load`
  Duration drain_timeout = 30s;
  std::optional<Duration> run_duration;  // drain then; none: until a signal
  StatsConfig stats;
};

// What the config is checked against; a test makes one up.
struct Machine {
  std::set<unsigned> cores;  // that this process may run on
};
[[nodiscard]] Machine this_machine();

struct LoadOptions {
  Command command = Command::kLb;
  std::vector<std::string> overrides;  // "port.mtu=9000"
  std::string flags = {};              // TOML, laid over the file, below the overrides
};

inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20U;

// With an empty path there is no file, only flags. The error is one line, without "weir: " and
// without a newline: "FILE:LINE: key = value: what; cure".
[[nodiscard]] Result<Config, std::string> load_config(const std::string& path,
                                                      const LoadOptions& options,
                                                      const Machine& machine);
// The same from text in memory; `path` is for messages.
[[nodiscard]] Result<Config, std::string> parse_config(const std::string& text,
                                                       const std::string& path,
                                                       const LoadOptions& options,
                                                       const Machine& machine);

}  // namespace weir::app
