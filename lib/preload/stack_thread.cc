#include "preload/stack_thread.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "preload/host.h"
#include "preload/port_wire.h"
#include "preload/settings.h"
#include "preload/siblings.h"

namespace weir::preload {
namespace {

// From the text: DPDK's part, and what a weir_config points at.
struct Settings {
  dpdk::EalConfig eal;
  dpdk::PortConfig port;
  std::vector<std::string> addresses, names, values;
  std::string gateway, gateway6, summary, shared;  // shared: the key of Siblings; empty: none
  PortRange ports{32'768, 60'999};                 // Linux's ip_local_port_range
  std::uint32_t max_connections = 65'536;
  std::uint32_t buffers = 65'536;
  std::uint32_t dad_transmits = 1;
  std::uint64_t patience_us = 5'000'000;
};

template <class T>
void number(std::string_view text, T& out) {
  (void)std::from_chars(text.data(), text.data() + text.size(), out);
}

Settings read(const char* text) {
  Settings s;
  const auto port = [&s](std::string_view key, const std::string& value) {
    if (key == "device") s.port.device = value;
    if (key == "mtu") number(value, s.port.mtu);
    if (key == "mac") s.port.mac = parse_mac(value);
    if (key == "rx_descriptors") number(value, s.port.rx_descriptors);
    if (key == "tx_descriptors") number(value, s.port.tx_descriptors);
    if (key == "address") s.addresses.push_back(value);
    if (key == "gateway") s.gateway = value;
    if (key == "gateway6") s.gateway6 = value;
    if (key == "dad_transmits") number(value, s.dad_transmits);
  };
  for_each_setting(text, [&](std::string_view key, std::string_view v) {
    const std::string value(v);
    port(key, value);
    if (key == "memory_mb") number(value, s.eal.memory_mb);
    if (key == "hugepages") s.eal.hugepages = value == "1";
    if (key == "verbose") s.eal.verbose = value == "1";
    if (key == "max_connections") number(value, s.max_connections);
    if (key == "buffers") number(value, s.buffers);
    if (key == "patience_us") number(value, s.patience_us);
    if (key == "summary") s.summary = value;
    if (key == "shared") s.shared = value;
    if (key == "tcp.ip_local_port_range") {
      const std::size_t between = value.find_first_of(" \t");
      number(std::string_view(value).substr(0, between), s.ports.low);
      number(std::string_view(value).substr(between + 1), s.ports.high);
      return;
    }
    if (!key.starts_with("tcp.")) return;
    s.names.emplace_back(key.substr(4));
    s.values.push_back(value);
  });
  s.port.multicast = std::any_of(s.addresses.begin(), s.addresses.end(), [](const std::string& a) {
    return a.find(':') != std::string::npos;
  });
  return s;
}

// A table of descriptors of this thread alone: the standard ones, stderr kept for a last word, and
// `keep`, which comes back with the number that it has there.
bool own_descriptors(int& keep) {
  if (unshare(CLONE_FILES) != 0) return false;
  const int low = 3;
  if (keep != low && dup2(keep, low) != low) return false;
  keep = low;
  if (close_range(low + 1, ~0U, 0) != 0) return false;
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return false;
  (void)dup2(null, 0);
  (void)dup2(null, 1);
  close(null);
  return true;
}

unsigned any_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) return i;
    }
  }
  return 0;
}

weir_stack* make_stack(const Settings& s, const PortWire& wire, std::string& error) {
  weir_config c;
  weir_config_init(&c);
  c.link = WEIR_LINK_ETHERNET;
  c.mtu = wire.mtu();
  std::copy_n(wire.mac().octets.begin(), sizeof c.mac, c.mac);
  if (getrandom(&c.seed, sizeof c.seed, 0) != sizeof c.seed) {
    error = "getrandom: no entropy for the stack's secrets";
    return nullptr;
  }
  std::vector<const char*> addresses;
  std::vector<weir_setting> settings;
  for (const std::string& a : s.addresses) addresses.push_back(a.c_str());
  for (std::size_t i = 0; i < s.names.size(); ++i) {
    settings.push_back({s.names[i].c_str(), s.values[i].c_str()});
  }
  c.now = Host::clock_us();
  c.addresses = addresses.data();
  c.address_count = addresses.size();
  c.gateway = s.gateway.empty() ? nullptr : s.gateway.c_str();
  c.gateway6 = s.gateway6.empty() ? nullptr : s.gateway6.c_str();
  c.max_connections = s.max_connections;
  c.max_sockets = s.max_connections;
  c.first_descriptor = 0;
  c.max_packet_buffers = s.buffers;
  c.dad_transmits = s.dad_transmits;
  c.settings = settings.data();
  c.setting_count = settings.size();
  std::string line(512, '\0');
  weir_stack* const stack = weir_stack_create(&c, line.data(), line.size());
  if (stack == nullptr) error = line.c_str();
  return stack;
}

void say(int fd, const std::string& line) {
  if (fd < 0) return;
  (void)!write(fd, line.data(), line.size());
  close(fd);
}

// One line, for who wants to see that the program's connections were Weir's.
void sum_up(const Settings& s, const weir_stack* stack, std::uint64_t connections) {
  if (s.summary.empty()) return;
  const int fd = open(s.summary.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return;
  std::string line = "{\"event\":\"weir_run\",\"pid\":" + std::to_string(getpid()) +
                     ",\"connections\":" + std::to_string(connections) + ",\"counters\":{";
  bool first = true;
  for (std::size_t i = 0; weir_counter_name(i) != nullptr; ++i) {
    std::uint64_t value = 0;
    if (weir_stack_counter(stack, weir_counter_name(i), &value) != 0 || value == 0) continue;
    line +=
        std::string(first ? "\"" : ",\"") + weir_counter_name(i) + "\":" + std::to_string(value);
    first = false;
  }
  say(fd, line + "}}\n");
}

// `ready` is -1 when the word is said.
void run(const char* text, std::uint64_t token, int& ready) {
  Settings s = read(text);
  Siblings siblings;
  if (!s.shared.empty()) {
    if (!siblings.join(s.shared)) {
      return say(ready, "siblings: more than " + std::to_string(Siblings::kSlots) +
                            " processes have a stack on this TAP; run fewer workers");
    }
    const PortRange mine = share_of(s.ports, siblings.slot());
    s.names.emplace_back("ip_local_port_range");
    s.values.push_back(std::to_string(mine.low) + " " + std::to_string(mine.high));
  }
  s.eal.cores = {any_cpu()};
  s.eal.devices = {s.port.device};
  s.port.wakeable = true;
  auto wire = PortWire::open(s.eal, s.port);
  if (!wire) return say(ready, wire.error());
  std::string error;
  weir_stack* const stack = make_stack(s, *wire.value(), error);
  if (stack == nullptr) return say(ready, error);
  auto host =
      std::make_unique<Host>(stack, *wire.value(), s.shared.empty() ? nullptr : &siblings, token);
  if (!host->open()) return say(ready, std::string("the stack's door: ") + std::strerror(errno));
  say(std::exchange(ready, -1), "ok");
  host->run(s.patience_us);
  sum_up(s, stack, host->connections());
  weir_stack_on_ready(stack, nullptr, nullptr);
  weir_stack_destroy(stack);
  wire.value().reset();
  host.reset();  // who waits for the end is told now
}

}  // namespace
}  // namespace weir::preload

void weir_stack_thread(const char* settings, std::uint64_t token, int ready_fd) {
  int ready = ready_fd;
  if (!weir::preload::own_descriptors(ready)) {
    return weir::preload::say(ready, std::string("descriptors: ") + std::strerror(errno));
  }
  prctl(PR_SET_TIMERSLACK, 1'000UL, 0UL, 0UL, 0UL);  // ns
  prctl(PR_SET_NAME, "weir-stack", 0UL, 0UL, 0UL);
  try {
    weir::preload::run(settings, token, ready);
  } catch (const std::exception& e) {
    weir::preload::say(ready, e.what());
  }
}
