// [load].
#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "config_tables.h"

namespace weir::app {
namespace {

constexpr std::int64_t kMaxRate = 100'000'000;
constexpr double kFirstRate = 1'000;  // of a search
constexpr std::size_t kMaxTargets = 64, kMaxSources = 64;
constexpr std::size_t kMaxMix = 64;  // paths, or sizes, to draw from
constexpr std::uint32_t kMaxWeight = 1'000'000, kMaxSize = 1'000'000'000;

// A target must be a host on a network of the port itself, not behind a gateway: the load goes no
// further than the wire that the operator named.
void read_target(const toml::node& n, const std::string& name, const PortConfig& port,
                 LoadConfig& load, Problem& problem) {
  Endpoint e;
  if (!endpoint_of(n, name, problem, e)) return;
  const std::string what = name + ": " + value_text(n);
  if (!check_host_address(e.addr, n.as_string()->get(), n, what, problem)) return;
  for (const stack::IpPrefix& p : port.addresses) {
    if (p.addr == e.addr) {
      return problem.report(n.source(), what + ": is an address of weir itself; name another host");
    }
    if (is_network_or_broadcast(p, e.addr)) {
      return problem.report(n.source(), what + ": is a network's own or its broadcast address");
    }
  }
  if (!on_link(port, e.addr)) {
    return problem.report(n.source(), what +
                                          ": on no network of port.addresses; load is sent to "
                                          "the port's own networks only, through no gateway");
  }
  if (std::find(load.targets.begin(), load.targets.end(), e) != load.targets.end()) {
    return problem.report(n.source(), what + ": twice; remove one");
  }
  load.targets.push_back(e);
}

void read_targets(TableReader& t, const PortConfig& port, LoadConfig& load, Problem& problem) {
  const toml::array* list = t.array("targets", "\"10.99.0.1:8081\"");
  if (list == nullptr || list->empty()) {
    if (!problem.any()) {
      t.missing("targets", "targets = [\"10.99.0.1:8081\"], or --target 10.99.0.1:8081");
    }
    return;
  }
  if (list->size() > kMaxTargets) {
    return t.report("targets", "more than " + std::to_string(kMaxTargets));
  }
  for (const toml::node& n : *list) read_target(n, t.full("targets"), port, load, problem);
}

// "10.99.0.2-10.99.0.9": more addresses of the port, on the network of its first of IPv4.
void read_sources(TableReader& t, PortConfig& port) {
  std::string text;
  if (!t.string("sources", text) || port.addresses.empty()) return;
  const std::size_t dash = text.find('-');
  const auto low = parse_ip(std::string_view(text).substr(0, dash));
  const auto high =
      dash == std::string::npos ? low : parse_ip(std::string_view(text).substr(dash + 1));
  if (!low || !high || !low->is_v4() || !high->is_v4() || *high < *low) {
    return t.report("sources", "not FIRST-LAST; write it like \"10.99.0.2-10.99.0.9\"");
  }
  const auto v4 = std::find_if(port.addresses.begin(), port.addresses.end(),
                               [](const stack::IpPrefix& p) { return p.addr.is_v4(); });
  if (v4 == port.addresses.end()) {
    return t.report("sources",
                    "are IPv4 addresses, and the port has none; name them in "
                    "port.addresses");
  }
  const stack::IpPrefix first = *v4;
  if (high->v4_value() - low->v4_value() >= kMaxSources) {
    return t.report("sources", "more than " + std::to_string(kMaxSources) + " addresses");
  }
  for (std::uint32_t i = low->v4_value(); i <= high->v4_value(); ++i) {
    const IpAddr a = IpAddr::v4(i);
    if (!a.is_unicast() || !on_network(first, a) || is_network_or_broadcast(first, a)) {
      return t.report("sources", to_string(a) + " is no host on the network of the port's first " +
                                     "IPv4 address; choose from that");
    }
    if (port.gateway == a)
      return t.report("sources", to_string(a) + " is the gateway; leave it out");
    const auto same = [&](const stack::IpPrefix& p) { return p.addr == a; };
    if (std::none_of(port.addresses.begin(), port.addresses.end(), same)) {
      port.addresses.push_back({a, first.prefix_len});
    }
  }
}

void read_mode(TableReader& t, const LimitsConfig& limits, std::size_t cores, LoadConfig& load) {
  const std::int64_t most =
      static_cast<std::int64_t>(limits.max_connections) * static_cast<std::int64_t>(cores);
  const std::string cure = "or raise limits.max_connections, which is of one core";
  std::uint32_t hold = 0, connections = 0;
  const bool holds = t.integer("hold", hold, 1, most, cure);
  const bool keeps = t.integer("connections", connections, 1, most, cure);
  if (holds && keeps) return t.report("hold", "not together with load.connections; remove one");
  bool paced = t.integer("rate", load.rate_to, 1, kMaxRate);
  load.rate_from = load.rate_to;
  bool finds = false;
  t.boolean("find_rate", finds);
  if (t.node("rate_from") != nullptr || t.node("rate_to") != nullptr || t.node("ramp") != nullptr) {
    if (paced) return t.report("rate", "not together with rate_from, rate_to or ramp; remove one");
    load.rate_from = 0;
    t.integer("rate_from", load.rate_from, 0, kMaxRate);
    if (!t.integer("rate_to", load.rate_to, 1, kMaxRate)) t.missing("rate_to", "rate_to = 10000");
    if (!t.duration("ramp", load.ramp, 1s, 1ms, 24h)) t.missing("ramp", "ramp = \"30s\"");
    paced = true;
  }
  if (holds || keeps) {
    load.mode = holds ? LoadMode::kHold : LoadMode::kRequests;
    load.concurrency = holds ? hold : connections;
    load.requests = 0;
    t.refuse("concurrency", "load.hold and load.connections say it already; remove it");
  } else {
    if (paced || finds)
      load.concurrency = static_cast<std::uint32_t>(std::min<std::int64_t>(most, 1 << 30));
    t.integer("concurrency", load.concurrency, 1, most, cure);
  }
  t.integer("requests", load.requests, 0, std::int64_t{1} << 40);
  t.integer("connections_total", load.connections_total, 0, 0xffff'0000);
  if (t.duration("interval", load.interval, 1s, 1ms, 24h) && !holds) {
    t.report("interval", "is of held connections; set load.hold, or remove it");
  }
}

// Digits only, `low` to `high`.
std::optional<std::uint32_t> number_of(std::string_view text, std::uint32_t low,
                                       std::uint32_t high) {
  std::uint32_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < low || n > high) {
    return std::nullopt;
  }
  return n;
}

bool plain(const std::string& s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// "/a" or "/a 3": a path has no space.
bool read_path(const std::string& text, LoadPath& out) {
  const std::size_t space = text.find(' ');
  out.path = text.substr(0, space);
  if (space != std::string::npos) {
    const auto weight = number_of(std::string_view(text).substr(space + 1), 1, kMaxWeight);
    if (!weight) return false;
    out.weight = *weight;
  }
  return out.path.starts_with('/') && plain(out.path) && out.path.size() <= 1'024;
}

// One path, or a list of them to draw from.
void read_paths(TableReader& t, LoadConfig& load, Problem& problem) {
  const toml::node* n = t.node("path");
  if (n == nullptr) return;
  const char* const how =
      "begins with '/' and has printable ASCII without space, 1,024 octets at most; behind a space "
      "may be its weight, 1..1000000, as in \"/a 3\"";
  std::vector<std::string> texts;
  if (const toml::array* list = n->as_array()) {
    if (list->empty() || list->size() > kMaxMix) {
      return t.report("path", "a list of 1.." + std::to_string(kMaxMix) + " paths");
    }
    for (const toml::node& item : *list) {
      if (!item.is_string()) {
        return problem.report(item.source(), t.full("path") + ": " + value_text(item) + ": " + how);
      }
      texts.push_back(item.as_string()->get());
    }
  } else if (std::string one; t.string("path", one)) {
    texts.push_back(one);
  }
  load.paths.clear();
  for (const std::string& text : texts) {
    if (!read_path(text, load.paths.emplace_back())) {
      return problem.report(n->source(), t.full("path") + " = \"" + printable(text) + "\": " + how);
    }
  }
}

// "100", "1-1000" or either with ":WEIGHT".
bool read_size(std::string_view text, LoadSize& out) {
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto weight = number_of(text.substr(colon + 1), 1, kMaxWeight);
    if (!weight) return false;
    out.weight = *weight;
    text = text.substr(0, colon);
  }
  const std::size_t dash = text.find('-');
  const auto low = number_of(text.substr(0, dash), 0, kMaxSize);
  const auto high =
      dash == std::string_view::npos ? low : number_of(text.substr(dash + 1), 0, kMaxSize);
  if (!low || !high || *high < *low) return false;
  out.low = *low;
  out.high = *high;
  return true;
}

bool read_sizes(TableReader& t, std::string_view key, std::vector<LoadSize>& out) {
  std::string text;
  if (!t.string(key, text)) return false;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (out.size() == kMaxMix) {
      t.report(key, "more than " + std::to_string(kMaxMix) + " sizes");
      return false;
    }
    if (!read_size(std::string_view(text).substr(at, comma - at), out.emplace_back())) {
      t.report(
          key,
          "each is SIZE or LOW-HIGH, 0..1000000000 octets, and may have a :WEIGHT, 1..1000000; "
          "write it like \"1,100:3,2000-9000:2\"");
      return false;
    }
    at = comma + 1;
  }
  return true;
}

// What is asked, and what goes into a request's head as it is.
void read_request(TableReader& t, LoadConfig& load, Problem& problem) {
  read_paths(t, load, problem);
  if (t.string("host", load.host) && (!plain(load.host) || load.host.size() > 255)) {
    t.report("host", "has printable ASCII without space, 255 octets at most");
  }
  t.integer("expect_status", load.expect_status, 200, 599);
  std::uint64_t size = 0;
  if (t.integer("expect_size", size, 0, std::int64_t{1} << 50)) load.expect_size = size;
  t.boolean("expect_pattern", load.expect_pattern);
  t.integer("seed", load.seed, 0, std::numeric_limits<std::int64_t>::max());
  const bool posts = read_sizes(t, "body_sizes", load.body_sizes);
  if (!read_sizes(t, "sizes", load.sizes)) return;
  const std::string asks = "asks /bytes/N of weir serve and expects N octets; ";
  if (t.node("path") != nullptr) t.report("sizes", asks + "remove load.path");
  if (load.expect_size) t.report("sizes", asks + "remove load.expect_size");
  if (posts) t.report("sizes", asks + "an answer to POST has another size: remove one of the two");
}

// The search has its own pace and end.
void read_find_rate(TableReader& t, LoadConfig& load) {
  bool find = false;
  t.boolean("find_rate", find);
  FindRate f;
  const bool step = t.duration("step_duration", f.step, 1s, 100ms, 1h);
  const bool settle = t.duration("settle", f.settle, 1s, 0s, 1h);
  Duration most{};
  const bool latency = t.duration("max_latency", most, 1s, 1us, 1h);
  if (!find) {
    const char* const why = "is of load.find_rate; set that too (--find-rate), or remove this";
    if (step) t.report("step_duration", why);
    if (settle) t.report("settle", why);
    if (latency) t.report("max_latency", why);
    return;
  }
  if (latency) f.max_latency = most;
  t.refuse("rate_to", "load.find_rate looks for the rate itself; begin with load.rate");
  t.refuse("hold", "not together with load.find_rate; remove one");
  t.refuse("connections_total", "not together with load.find_rate, which has its own end");
  t.refuse("warmup", "load.find_rate measures nothing before load.settle; remove it");
  if (load.rate_to <= 0) load.rate_from = load.rate_to = kFirstRate;
  load.find_rate = f;
}

void read_profile(TableReader& t, Config& config) {
  unsigned profile = 0;
  LoadConfig& load = config.load;
  t.word("profile", profile, {"conformant", "stripped"});
  if (profile == 0) return;
  load.stripped = true;
  if (t.node("close") != nullptr && load.close != LoadClose::kRst) {
    return t.report("profile", "closes by RST; remove load.close, or write \"conformant\"");
  }
  load.close = LoadClose::kRst;
  config.tcp = stripped(config.tcp);
}

}  // namespace

void read_load(TableReader t, Config& config, Problem& problem) {
  LoadConfig& load = config.load;
  read_sources(t, config.port);
  read_targets(t, config.port, load, problem);
  read_mode(t, config.limits, config.eal.cores.size(), load);
  read_request(t, load, problem);
  unsigned close = 0;
  if (t.word("close", close, {"server", "fin", "rst"})) load.close = static_cast<LoadClose>(close);
  t.duration("connect_timeout", load.connect_timeout, 1s, 1ms, 127s);
  t.duration("timeout", load.timeout, 1s, 1ms, 1h);
  t.duration("warmup", load.warmup, 1s, 0s, 1h);
  read_find_rate(t, load);
  read_profile(t, config);
  t.string("csv", load.csv);
  Duration duration{};
  if (t.duration("duration", duration, 1s, 100ms, 10'000h)) {
    config.run_duration = duration;
  }
  t.finish();
  // Every address of the port on a target's network may be the source of a connection to it.
  for (const stack::IpPrefix& p : config.port.addresses) {
    const auto reaches = [&](const Endpoint& e) { return on_network(p, e.addr); };
    if (std::all_of(load.targets.begin(), load.targets.end(), reaches)) {
      load.sources.push_back(p.addr);
    }
  }
}

}  // namespace weir::app
