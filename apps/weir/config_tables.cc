#include "config_tables.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace weir::app {
namespace {

constexpr std::int64_t kMbufBytes = 2'560;  // a 2 KiB room with its headers, rounded up

void read_cores(TableReader& t, const Machine& machine, EalConfig& eal, Problem& problem) {
  const toml::array* cores = t.array("cores", "0");
  if (cores == nullptr) return;
  if (cores->empty() || cores->size() > 64) {
    return t.report("cores", "needs 1..64 cores; write the numbers, like [0, 1]");
  }
  eal.cores.clear();
  for (const toml::node& n : *cores) {
    const std::string what = t.full("cores") + ": " + value_text(n) + ": ";
    const auto* i = n.as_integer();
    if (i == nullptr || i->get() < 0 || i->get() > 1'023) {
      return problem.report(n.source(),
                            what + "not a core number in 0..1023; write it like [0, 1]");
    }
    const auto core = static_cast<unsigned>(i->get());
    if (std::find(eal.cores.begin(), eal.cores.end(), core) != eal.cores.end()) {
      return problem.report(n.source(), what + "named twice; remove one");
    }
    if (!machine.cores.contains(core)) {
      return problem.report(n.source(), what + "no such core for this process; choose from " +
                                            core_list(machine.cores));
    }
    eal.cores.push_back(core);
  }
}

std::optional<stack::IpPrefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto addr = parse_ip(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  std::uint8_t len = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), len);
  if (!addr || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (len == 0 || len > (addr->is_v4() ? 32 : 128)) return std::nullopt;
  if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
  return stack::IpPrefix{*addr, len};
}

void read_address(const toml::node& n, PortConfig& port, Problem& problem) {
  const std::string what = "port.addresses: " + value_text(n);
  const auto* s = n.as_string();
  const auto prefix = s == nullptr ? std::nullopt : parse_prefix(s->get());
  if (!prefix) {
    return problem.report(n.source(), what +
                                          ": not an ADDRESS/LENGTH; write it like "
                                          "\"10.99.0.2/24\" or \"2001:db8::2/64\"");
  }
  if (!check_host_address(prefix->addr, s->get(), n, what, problem)) return;
  if (is_network_or_broadcast(*prefix, prefix->addr)) {
    return problem.report(n.source(), what +
                                          ": is the network's own or its broadcast address; "
                                          "choose a host of that network");
  }
  for (const stack::IpPrefix& p : port.addresses) {
    if (p.addr == prefix->addr) return problem.report(n.source(), what + ": twice; remove one");
  }
  port.addresses.push_back(*prefix);
}

void read_addresses(TableReader& t, PortConfig& port, Problem& problem) {
  const toml::array* list = t.array("addresses", "\"10.99.0.2/24\"");
  if (list != nullptr && !list->empty()) {
    if (list->size() > 64) return t.report("addresses", "more than 64");
    for (const toml::node& n : *list) read_address(n, port, problem);
    return;
  }
  if (!problem.any()) t.missing("addresses", "addresses = [\"10.99.0.2/24\"]");
}

// `key` is "gateway" or "gateway6"; both have the same checks.
void read_gateway(TableReader& t, const std::string& key, bool v4, PortConfig& port,
                  Problem& problem) {
  const char* const example = v4 ? "10.99.0.1" : "fe80::1";
  std::string text;
  if (!t.string(key, text)) return;
  const toml::node& n = *t.node(key);
  const std::string what = "port." + key + " = " + value_text(n);
  const auto addr = parse_ip(text);
  if (!addr) {
    return problem.report(n.source(),
                          what + ": not an IP address; write it like \"" + example + "\"");
  }
  if (!check_host_address(*addr, text, n, what, problem)) return;
  if (addr->is_v4() != v4) {
    return problem.report(n.source(), what + ": of the other family; write it as port." +
                                          (v4 ? "gateway6" : "gateway"));
  }
  for (const stack::IpPrefix& p : port.addresses) {
    if (p.addr == *addr) {
      return problem.report(n.source(), what + ": is this port's own address; name the router's");
    }
    if (is_network_or_broadcast(p, *addr)) {
      return problem.report(n.source(), what +
                                            ": is a network's own or its broadcast address; "
                                            "name the router's");
    }
  }
  if (!on_link(port, *addr)) {
    return problem.report(n.source(), what +
                                          ": on no network of port.addresses; choose one that "
                                          "is, or widen the prefix");
  }
  (v4 ? port.gateway : port.gateway6) = *addr;
}

void read_mac(TableReader& t, const char* key, std::optional<MacAddr>& out) {
  std::string text;
  if (!t.string(key, text)) return;
  const auto mac = parse_mac(text);
  if (!mac) return t.report(key, "not a MAC address; write it like \"02:00:00:00:00:01\"");
  if (mac->is_multicast() || mac->is_zero()) {
    return t.report(key, "is a group address or zero; clear the lowest bit of the first octet");
  }
  out = *mac;
}

// The gateways' MAC addresses, where they are pinned, and the tests of this port's own addresses.
void read_neighbours(TableReader& t, PortConfig& port) {
  read_mac(t, "gateway_mac", port.gateway_mac);
  read_mac(t, "gateway6_mac", port.gateway6_mac);
  if (port.gateway_mac && !port.gateway)
    t.report("gateway_mac", "there is no port.gateway; set it");
  if (port.gateway6_mac && !port.gateway6) {
    t.report("gateway6_mac", "there is no port.gateway6; set it");
  }
  t.integer("dad_transmits", port.dad_transmits, 0, 10, "0 tests no IPv6 address");
  t.integer("arp_probes", port.arp_probes, 0, 10, "3 are RFC 5227's, 0 tests no IPv4 address");
}

// RFC 8200 §5: IPv6 needs links that carry 1280 octets.
void check_mtu(TableReader& t, const PortConfig& port) {
  const auto is_v6 = [](const stack::IpPrefix& p) { return !p.addr.is_v4(); };
  if (port.mtu >= 1'280 || std::none_of(port.addresses.begin(), port.addresses.end(), is_v6))
    return;
  t.report("mtu", "below IPv6's least of 1280; raise it, or remove the IPv6 addresses");
}

void read_device(TableReader& t, PortConfig& port) {
  if (!t.string("device", port.device)) {
    if (t.node("device") == nullptr) {
      t.missing("device", "device = \"tap:weir0\" (or af_packet:IFACE, a PCI address, ...)");
    }
    return;
  }
  const std::size_t colon = port.device.find(':');
  const std::string kind = port.device.substr(0, colon);
  if (kind == "tap" || kind == "af_packet" || kind == "af_xdp") {
    const std::string name = colon == std::string::npos ? "" : port.device.substr(colon + 1);
    if (name.empty() || name.size() > 15 || name.find_first_of("/ \t,:") != std::string::npos) {
      t.report("device",
               "an interface name has 1..15 characters without space, '/', ',' or ':'; "
               "write it like \"" +
                   kind + ":weir0\"");
    }
  }
  if (port.device.size() > 255) t.report("device", "longer than 255 characters");
}

}  // namespace

std::string core_list(const std::set<unsigned>& cores) {
  std::string out;
  for (auto i = cores.begin(); i != cores.end();) {
    unsigned last = *i;
    out += (out.empty() ? "" : ",") + std::to_string(*i);
    const unsigned first = *i;
    while (++i != cores.end() && *i == last + 1) last = *i;
    if (last != first) out += "-" + std::to_string(last);
  }
  return out.empty() ? "none" : out;
}

bool check_host_address(const IpAddr& addr, std::string_view text, const toml::node& node,
                        const std::string& what, Problem& problem) {
  if (addr.is_v4() && text.find("::") != std::string_view::npos) {
    problem.report(node.source(), what + ": an IPv4 address in IPv6's form; write it plainly");
  } else if (!addr.is_unicast()) {
    problem.report(node.source(), what +
                                      ": unspecified, loopback, multicast, broadcast or "
                                      "reserved; choose an address that a host may have");
  }
  return !problem.any();
}

bool on_network(const stack::IpPrefix& prefix, const IpAddr& addr) {
  if (prefix.addr.is_v4() != addr.is_v4()) return false;
  const unsigned bits = prefix.prefix_len + (addr.is_v4() ? 96U : 0U);
  for (unsigned i = 0; i < bits; ++i) {
    const auto mask = static_cast<std::uint8_t>(0x80U >> (i % 8));
    if (((prefix.addr.octets()[i / 8] ^ addr.octets()[i / 8]) & mask) != 0) return false;
  }
  return true;
}

bool is_network_or_broadcast(const stack::IpPrefix& prefix, const IpAddr& addr) {
  if (!addr.is_v4() || !on_network(prefix, addr) || prefix.prefix_len > 30) return false;
  const std::uint32_t host = 0xffff'ffffU >> prefix.prefix_len;
  const std::uint32_t part = addr.v4_value() & host;
  return part == 0 || part == host;
}

bool on_link(const PortConfig& port, const IpAddr& addr) {
  return std::any_of(port.addresses.begin(), port.addresses.end(), [&](const stack::IpPrefix& p) {
    return on_network(p, addr) || (!p.addr.is_v4() && addr.is_link_local6());
  });
}

bool has_route(const PortConfig& port, const IpAddr& addr) {
  const bool gateway = addr.is_v4() ? port.gateway.has_value() : port.gateway6.has_value();
  return on_link(port, addr) || (gateway && !addr.is_link_local6());
}

bool check_listen_address(const Endpoint& e, const toml::node& node, const std::string& name,
                          const PortConfig& port, Problem& problem) {
  const std::string what = name + " = " + value_text(node);
  const auto* s = node.as_string();
  if (e.addr.is_unspecified()) return true;  // every address
  if (!check_host_address(e.addr, s == nullptr ? "" : s->get(), node, what, problem)) return false;
  if (port.gateway == e.addr || port.gateway6 == e.addr) {
    problem.report(node.source(), what + ": is the gateway's address; choose another");
    return false;
  }
  for (const stack::IpPrefix& p : port.addresses) {
    if (!is_network_or_broadcast(p, e.addr)) continue;
    problem.report(node.source(), what +
                                      ": is a network's own or its broadcast address; choose "
                                      "another");
    return false;
  }
  return true;
}

void read_eal(TableReader t, const Machine& machine, EalConfig& eal, Problem& problem) {
  read_cores(t, machine, eal, problem);
  t.boolean("hugepages", eal.hugepages);
  t.integer("memory_mb", eal.memory_mb, 32, 1'048'576);
  unsigned idle = 0;
  if (t.word("idle", idle, {"poll", "yield", "sleep"})) eal.idle = static_cast<IdleMode>(idle);
  t.duration("idle_sleep", eal.idle_sleep, 1us, 10us, 10ms);
  if (t.string("file_prefix", eal.file_prefix)) {
    constexpr std::string_view kAllowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (eal.file_prefix.size() > 32 ||
        eal.file_prefix.find_first_not_of(kAllowed) != std::string::npos) {
      t.report("file_prefix", "needs 1..32 letters, digits, '-' or '_'");
    }
  }
  t.finish();
}

void read_port(TableReader t, PortConfig& port, Problem& problem) {
  if (!t.present()) {
    problem.report("[port]: missing; write [port] with device and addresses, as in config/");
    return;
  }
  read_device(t, port);
  read_addresses(t, port, problem);
  read_gateway(t, "gateway", true, port, problem);
  read_gateway(t, "gateway6", false, port, problem);
  read_mac(t, "mac", port.mac);
  read_neighbours(t, port);
  t.integer("mtu", port.mtu, 576, 9'216, "1500 suits Ethernet");
  check_mtu(t, port);
  t.integer("rx_descriptors", port.rx_descriptors, 64, 4'096);
  t.integer("tx_descriptors", port.tx_descriptors, 64, 4'096);
  unsigned offloads = 0;
  if (t.word("offloads", offloads, {"auto", "off", "all"})) {
    port.offloads = static_cast<OffloadUse>(offloads);
  }
  t.finish();
}

void read_limits(TableReader t, const Config& config, LimitsConfig& limits) {
  t.integer("max_connections", limits.max_connections, 16, 16'777'216);
  t.integer("max_neighbours", limits.max_neighbours, 16, 65'536);
  limits.max_sessions = limits.max_connections / 2;
  t.integer("max_sessions", limits.max_sessions, 1, 8'388'608);
  t.integer("mbufs", limits.mbufs, 1'024, 16'777'216);
  t.integer("payload_mbufs", limits.payload_mbufs, 256, 16'777'216);
  t.integer("header_mbufs", limits.header_mbufs, 256, 16'777'216);
  if (config.command == Command::kLb &&
      std::uint64_t{limits.max_sessions} * 2 > limits.max_connections) {
    t.report("max_sessions", "a session is two connections, and limits.max_connections is " +
                                 std::to_string(limits.max_connections) +
                                 "; lower this or raise that");
  }
  const std::uint32_t rings =
      std::uint32_t{config.port.rx_descriptors} + config.port.tx_descriptors;
  if (limits.mbufs < rings + 512) {
    t.report("mbufs", "too few for port.rx_descriptors + port.tx_descriptors + 512 = " +
                          std::to_string(rings + 512) + "; raise it to 4 times that or more");
  }
  const std::int64_t need = std::int64_t{limits.mbufs} *
                                static_cast<std::int64_t>(config.eal.cores.size()) * kMbufBytes /
                                1'048'576 +
                            16;
  if (need > config.eal.memory_mb) {
    t.report("mbufs", "needs about " + std::to_string(need) + " MB on " +
                          std::to_string(config.eal.cores.size()) +
                          " core(s), and eal.memory_mb is " + std::to_string(config.eal.memory_mb) +
                          "; lower this or raise that");
  }
  t.finish();
}

void read_serve(TableReader t, const Config& config, ServeConfig& serve, Problem& problem) {
  const toml::array* list = t.array("listen", "\"10.99.0.2:80\"");
  if (list == nullptr || list->empty()) {
    if (!problem.any()) t.missing("listen", "[serve] listen = [\"10.99.0.2:80\"]");
    return;
  }
  std::uint32_t backlog = 4'096;
  t.integer("backlog", backlog, 1, 16'777'216);
  for (const toml::node& n : *list) {
    Endpoint e;
    if (!endpoint_of(n, t.full("listen"), problem, e)) return;
    if (!check_listen_address(e, n, t.full("listen"), config.port, problem)) return;
    for (const ServeListener& l : serve.listeners) {
      if (l.address != e) continue;
      return problem.report(n.source(), "serve.listen: " + value_text(n) + ": twice; remove one");
    }
    serve.listeners.push_back({to_string(e), e, backlog});
  }
  t.integer("body_size", serve.body_size, 0, std::int64_t{1} << 40);
  t.integer("max_body_size", serve.max_body_size, 0, std::int64_t{1} << 40);
  t.duration("idle_timeout", serve.idle_timeout, 1s, 1s, 24h);
  t.finish();
}

// The tables of the other commands are no slips of the pen: says whose they are.
void refuse_foreign(TableReader& root, Command command) {
  struct Owned {
    const char* table;
    Command owner;
  };
  static constexpr std::array kOwned{Owned{"listener", Command::kLb}, Owned{"pool", Command::kLb},
                                     Owned{"lb", Command::kLb}, Owned{"serve", Command::kServe},
                                     Owned{"load", Command::kLoad}};
  for (const Owned& o : kOwned) {
    if (o.owner == command) continue;
    root.refuse(o.table, "belongs to `weir " + std::string(name_of(o.owner)) +
                             "`; remove it from a config of `weir " +
                             std::string(name_of(command)) + "`");
  }
}

void read_tables(const toml::table& root_table, const Machine& machine, Config& config,
                 Problem& problem) {
  TableReader root(&root_table, "", problem);
  const auto sub = [&](std::string_view name) {
    return TableReader(root.table(name), std::string(name), problem);
  };
  refuse_foreign(root, config.command);
  read_eal(sub("eal"), machine, config.eal, problem);
  read_port(sub("port"), config.port, problem);
  read_limits(sub("limits"), config, config.limits);
  read_tcp(sub("tcp"), config.tcp);
  switch (config.command) {
    case Command::kLb:
      read_lb_tables(root, config, problem);
      break;
    case Command::kServe:
      read_serve(sub("serve"), config, config.serve, problem);
      break;
    case Command::kLoad:
      config.drain_timeout = 5s;
      read_load(sub("load"), config, problem);
      break;
    case Command::kRun:
      config.drain_timeout = 5s;
      break;
  }
  TableReader run = sub("run");
  run.duration("drain_timeout", config.drain_timeout, 1s, 0s, 24h);
  run.finish();
  TableReader stats = sub("stats");
  stats.duration("interval", config.stats.interval, 1s, 100ms, 1h);
  stats.boolean("json", config.stats.json);
  stats.finish();
  root.finish();
}

}  // namespace weir::app
