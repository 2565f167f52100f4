// [[listener]], [pool.NAME] and [lb].
#include <algorithm>

#include "config_tables.h"

namespace weir::app {
namespace {

// The VIPs and the port's addresses: nothing that is ours can be a backend.
bool is_ours(const Config& config, const IpAddr& addr) {
  for (const stack::IpPrefix& p : config.port.addresses) {
    if (p.addr == addr) return true;
  }
  return std::any_of(config.lb.listeners.begin(), config.lb.listeners.end(),
                     [&](const lb::ListenerConfig& l) { return l.address.addr == addr; });
}

void read_backend(const toml::node& n, const std::string& name, const Config& config,
                  lb::PoolConfig& pool, Problem& problem) {
  Endpoint e;
  if (!endpoint_of(n, name, problem, e)) return;
  const std::string what = name + ": " + value_text(n);
  const auto* s = n.as_string();
  if (!check_host_address(e.addr, s->get(), n, what, problem)) return;
  if (is_ours(config, e.addr)) {
    return problem.report(n.source(), what + ": is an address of weir itself; name another host");
  }
  if (std::find(pool.backends.begin(), pool.backends.end(), e) != pool.backends.end()) {
    return problem.report(n.source(), what + ": twice in this pool; remove one");
  }
  for (const stack::IpPrefix& p : config.port.addresses) {
    if (!is_network_or_broadcast(p, e.addr)) continue;
    return problem.report(n.source(), what + ": is a network's own or its broadcast address");
  }
  if (!has_route(config.port, e.addr)) {
    return problem.report(n.source(), what +
                                          ": on no network of port.addresses and there is no "
                                          "port.gateway; set one");
  }
  pool.backends.push_back(e);
}

void read_pool(TableReader t, const Config& config, lb::PoolConfig& pool, Problem& problem) {
  unsigned balance = 0;
  if (t.word("balance", balance, {"round_robin", "least_connections"})) {
    pool.balance = static_cast<lb::Balance>(balance);
  }
  const toml::array* list = t.array("backends", "\"10.99.0.1:8081\"");
  if (list == nullptr) {
    if (!problem.any()) t.missing("backends", "backends = [\"10.99.0.1:8081\"]");
    return;
  }
  if (list->empty() || list->size() > lb::kMaxBackends) {
    return t.report("backends", "needs 1.." + std::to_string(lb::kMaxBackends) + " entries");
  }
  for (const toml::node& n : *list) read_backend(n, t.full("backends"), config, pool, problem);
  t.duration("connect_timeout", pool.connect_timeout, 3s, 10ms, 127s);
  t.integer("retries", pool.retries, 0, lb::kMaxBackends);
  t.duration("put_aside_min", pool.put_aside_min, 1s, 10ms, 1h);
  t.duration("put_aside_max", pool.put_aside_max, 1s, 10ms, 24h);
  if (pool.put_aside_max < pool.put_aside_min) {
    t.report("put_aside_max",
             "below put_aside_min = " + duration_text(pool.put_aside_min) + "; raise it");
  }
  t.finish();
}

// A pool by its name; reports one that is not there.
std::uint32_t find_pool(TableReader& t, const std::string& pool, const toml::table& pools) {
  const auto found = pools.find(pool);
  if (found != pools.end()) return static_cast<std::uint32_t>(std::distance(pools.begin(), found));
  std::vector<std::string> names;
  for (const auto& [key, value] : pools) names.emplace_back(key.str());
  const auto near = nearest(pool, names);
  t.report("pool", "no such pool; " + (near ? "did you mean \"" + *near + "\"?"
                                            : "add a table [pool." + pool + "]"));
  return lb::kNoPool;
}

constexpr std::uint32_t kLargestHead = 65'536;

// What means something with mode = "http" only. The rules file is read by the caller.
void read_http_keys(TableReader& t, lb::ListenerConfig& l, std::string& rules) {
  if (l.mode != lb::Mode::kHttp) {
    for (const char* key : {"rules", "max_head", "max_body", "inspect_body"}) {
      t.refuse(key, "means something with mode = \"http\" only; remove it or set the mode");
    }
    return;
  }
  t.string("rules", rules);
  t.integer("max_head", l.max_head, 1'024, kLargestHead);
  t.integer("max_body", l.max_body, 0, std::int64_t{1} << 50);
  t.integer("inspect_body", l.inspect_body, 0, 1'048'576);
}

void read_listener(TableReader t, const toml::table& pools, Config& config, std::string& rules,
                   Problem& problem) {
  lb::ListenerConfig l;
  if (!t.string("name", l.name)) t.missing("name", "name = \"web\"");
  if (!t.endpoint("address", l.address)) t.missing("address", "address = \"10.99.0.10:80\"");
  unsigned mode = 0;
  t.word("mode", mode, {"tcp", "http"});
  l.mode = static_cast<lb::Mode>(mode);
  t.integer("backlog", l.backlog, 1, 16'777'216);
  read_http_keys(t, l, rules);
  std::string pool;
  const bool named = t.string("pool", pool);
  if (!named && rules.empty()) t.missing("pool", "pool = \"NAME\" with a table [pool.NAME]");
  t.finish();
  if (problem.any()) return;
  if (!check_listen_address(l.address, *t.node("address"), t.full("address"), config.port,
                            problem)) {
    return;
  }
  for (const lb::ListenerConfig& other : config.lb.listeners) {
    if (other.address == l.address) {
      return t.report("address",
                      "listener \"" + printable(other.name) + "\" has it already; change one");
    }
    if (other.name == l.name) return t.report("name", "two listeners bear it; rename one");
  }
  l.pool = named ? find_pool(t, pool, pools) : lb::kNoPool;
  if (!problem.any()) config.lb.listeners.push_back(std::move(l));
}

// `rules`: the file that each listener names, or nothing.
void read_listeners(TableReader& root, const toml::table& pools, Config& config,
                    std::vector<std::string>& rules, Problem& problem) {
  const toml::array* list = root.array("listener", "a table [[listener]]");
  if (list == nullptr || list->empty()) {
    if (!problem.any()) {
      problem.report("[[listener]]: missing; write one with name, address and pool");
    }
    return;
  }
  if (list->size() > 256) return root.report("listener", "more than 256");
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string name = "listener[" + std::to_string(i) + "]";
    const toml::table* t = list->get(i)->as_table();
    if (t == nullptr) {
      return problem.report(list->get(i)->source(), name + ": not a table; write [[listener]]");
    }
    rules.emplace_back();
    read_listener(TableReader(t, name, problem), pools, config, rules.back(), problem);
    if (problem.any()) return;
  }
}

// `ruled`: by pool, whether a rule names it.
void read_pools(const toml::table& pools, const std::vector<bool>& ruled, Config& config,
                Problem& problem) {
  for (const auto& [key, value] : pools) {
    const std::string name = "pool." + printable(key.str(), 64);
    const toml::table* t = value.as_table();
    if (t == nullptr || key.str().empty()) {
      return problem.report(value.source(), name + ": not a table with a name; write [pool.web]");
    }
    const auto index = static_cast<std::uint32_t>(config.lb.pools.size());
    const bool used =
        ruled[index] || std::any_of(config.lb.listeners.begin(), config.lb.listeners.end(),
                                    [&](const lb::ListenerConfig& l) { return l.pool == index; });
    if (!used) {
      return problem.report(value.source(), "[" + name +
                                                "]: no listener uses it; remove it or "
                                                "name it in one");
    }
    lb::PoolConfig pool;
    pool.name = std::string(key.str());
    read_pool(TableReader(t, name, problem), config, pool, problem);
    config.lb.pools.push_back(std::move(pool));
  }
}

}  // namespace

void read_lb_tables(TableReader& root, Config& config, Problem& problem) {
  const toml::table* pools = root.table("pool");
  if (pools == nullptr || pools->empty()) {
    if (!problem.any()) problem.report("[pool.NAME]: missing; write one with backends");
    return;
  }
  std::vector<std::string> rules;  // by listener
  read_listeners(root, *pools, config, rules, problem);
  TableReader t(root.table("lb"), "lb", problem);
  t.duration("idle_timeout", config.lb.idle_timeout, 1s, 1s, 24h);
  t.duration("drain_timeout", config.drain_timeout, 1s, 0s, 24h);
  t.duration("request_timeout", config.lb.request_timeout, 1s, 100ms, 1h);
  t.duration("response_timeout", config.lb.response_timeout, 1s, 100ms, 24h);
  t.integer("idle_backends", config.lb.idle_backends, 0, 65'536);
  t.duration("idle_backend_timeout", config.lb.idle_backend_timeout, 1s, 100ms, 24h);
  std::optional<std::string> cache;
  if (std::string dir; t.string("rules_cache", dir)) {
    cache = dir == "off" ? "" : dir;
    if (!cache->empty() && !cache->starts_with('/')) {
      t.report("rules_cache", "neither \"off\" nor a folder's path from the root; write it so");
    }
  }
  t.finish();
  config.lb.max_sessions = config.limits.max_sessions;
  if (problem.any()) return;
  std::vector<std::string> names;
  for (const auto& [key, value] : *pools) names.emplace_back(key.str());
  std::vector<bool> ruled(names.size());
  for (std::size_t i = 0; i < rules.size() && !problem.any(); ++i) {
    attach_rules(config, i, rules[i], names, cache, ruled, problem);
  }
  if (!problem.any()) read_pools(*pools, ruled, config, problem);
}

}  // namespace weir::app
