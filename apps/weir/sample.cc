#include "sample.h"

#include <algorithm>

#include "base/assert.h"
#include "json.h"

namespace weir::app {

using telemetry::kCounterInfo;

std::uint64_t Sample::counter(std::string_view name) const {
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (kCounterInfo[i].name == name) return counters[i];
  }
  WEIR_ASSERT(name.empty());  // no counter of that name
  return 0;
}

void Sample::add(const telemetry::Counters& c) {
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    counters[i] += (c.*kCounterInfo[i].field).get();
  }
}

void Sample::add(const stack::Gauges& g) {
  gauges.connections += g.connections;
  gauges.established += g.established;
  gauges.half_open += g.half_open;
  gauges.time_wait += g.time_wait;
  gauges.neighbours += g.neighbours;
  gauges.accept_waiting += g.accept_waiting;
  gauges.close_wait += g.close_wait;
  gauges.oldest_close_wait = std::max(gauges.oldest_close_wait, g.oldest_close_wait);
}

void Sample::add(const Leak& leak) {
  for (Leak& l : leaks) {
    if (l.listener != leak.listener) continue;
    l.count += leak.count;
    if (leak.oldest > l.oldest) {
      l.oldest = leak.oldest;
      l.peer = leak.peer;
    }
    return;
  }
  leaks.push_back(leak);
}

void Sample::add(const stack::ListenerStats& l) {
  const auto same = std::ranges::find(listeners, l.local, &stack::ListenerStats::local);
  if (same == listeners.end()) return listeners.push_back(l);
  same->backlog += l.backlog;
  same->waiting += l.waiting;
  same->half_open += l.half_open;
  same->accepted += l.accepted;
  same->accept_overflows += l.accept_overflows;
  same->syn_overflows += l.syn_overflows;
}

void Sample::add(std::string_view name, const telemetry::Histogram& h) {
  for (NamedHistogram& n : latency) {
    if (n.name == name) return n.values.add(h);
  }
  latency.push_back({std::string(name), {}});
  latency.back().values.add(h);
}

void Sample::add_app(const std::vector<Field>& fields) {
  if (app.empty()) {
    app = fields;
    return;
  }
  WEIR_ASSERT(app.size() == fields.size());
  for (std::size_t i = 0; i < app.size(); ++i) app[i].value += fields[i].value;
}

std::uint64_t value_of(const std::vector<Field>& fields, std::string_view name) {
  for (const Field& f : fields) {
    if (f.name == name) return f.value;
  }
  return 0;
}

std::vector<Field> new_drops(const Sample& a, const Sample& b) {
  std::vector<Field> out;
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (!is_drop(kCounterInfo[i]) || a.counters[i] == b.counters[i]) continue;
    out.push_back({std::string(kCounterInfo[i].name.substr(5)), b.counters[i] - a.counters[i]});
  }
  for (const Field& f : b.port) {
    const std::uint64_t before = value_of(a.port, f.name);
    if (f.name.starts_with("port_drop_") && f.value > before) {
      out.push_back({"port_" + f.name.substr(10), f.value - before});
    }
  }
  return out;
}

std::string fields_json(const std::vector<Field>& fields) {
  JsonObject o;
  for (const Field& f : fields) o.number(f.name, f.value);
  return o.str();
}

double seconds(Duration d) {
  return static_cast<double>(d.count()) / 1e6;
}

double busy_share(const Sample& before, const Sample& now) {
  const double time = seconds(now.uptime - before.uptime) * now.cores;
  return time <= 0 ? 0 : std::clamp(seconds(now.busy - before.busy) / time, 0.0, 1.0);
}

namespace {

// Who leaves most connections open that their peers have closed.
const Leak* worst_leak(const Sample& s) {
  const auto less = [](const Leak& a, const Leak& b) { return a.count < b.count; };
  const auto it = std::max_element(s.leaks.begin(), s.leaks.end(), less);
  return it == s.leaks.end() || it->count == 0 ? nullptr : &*it;
}

std::string leaks_json(const Sample& s) {
  JsonObject o;
  for (const Leak& l : s.leaks) {
    JsonObject one;
    one.number("close_wait", l.count);
    one.real("oldest", seconds(l.oldest));
    if (!l.peer.empty()) one.text("oldest_peer", l.peer);
    o.raw(l.listener, one.str());
  }
  return o.str();
}

struct Rates {
  double seconds, conns, rx_pps, tx_pps, rx_mbit, tx_mbit;
};

Rates rates(const Sample& a, const Sample& b) {
  const double s = std::max(1e-6, static_cast<double>((b.uptime - a.uptime).count()) / 1e6);
  const auto per_second = [&](std::string_view name) {
    return static_cast<double>(b.counter(name) - a.counter(name)) / s;
  };
  return {s,
          per_second("passive_opens"),
          per_second("rx_frames"),
          per_second("tx_frames"),
          per_second("rx_bytes") * 8 / 1e6,
          per_second("tx_bytes") * 8 / 1e6};
}

using ull = unsigned long long;

std::string gauges_json(const stack::Gauges& g) {
  JsonObject o;
  o.number("connections", g.connections);
  o.number("established", g.established);
  o.number("half_open", g.half_open);
  o.number("time_wait", g.time_wait);
  o.number("neighbours", g.neighbours);
  o.number("accept_waiting", g.accept_waiting);
  o.number("close_wait", g.close_wait);
  o.real("oldest_close_wait", seconds(g.oldest_close_wait));
  return o.str();
}

std::string pools_json(const std::vector<PoolUse>& pools) {
  JsonObject o;
  for (const PoolUse& p : pools) {
    JsonObject one;
    one.number("in_use", p.in_use);
    one.number("size", p.size);
    o.raw(p.name, one.str());
  }
  return o.str();
}

std::string queues_json(const std::vector<stack::ListenerStats>& listeners) {
  std::string all;
  for (const stack::ListenerStats& l : listeners) {
    JsonObject o;
    o.text("address", to_string(l.local));
    o.number("backlog", l.backlog);
    o.number("waiting", l.waiting);
    o.number("half_open", l.half_open);
    o.number("accepted", l.accepted);
    o.number("accept_overflows", l.accept_overflows);
    o.number("syn_overflows", l.syn_overflows);
    all += (all.empty() ? "" : ",") + o.str();
  }
  return "[" + all + "]";
}

// Of those whose queues need somebody's eye: connections that wait, or that found no room.
std::string queues_text(const Sample& before, const Sample& now) {
  std::string out;
  for (const stack::ListenerStats& l : now.listeners) {
    stack::ListenerStats old;
    const auto found = std::ranges::find(before.listeners, l.local, &stack::ListenerStats::local);
    if (found != before.listeners.end()) old = *found;
    const std::uint64_t accepts = l.accept_overflows - old.accept_overflows;
    const std::uint64_t syns = l.syn_overflows - old.syn_overflows;
    if (l.waiting == 0 && accepts == 0 && syns == 0) continue;
    out += format("  queue %s %u/%u", to_string(l.local).c_str(), l.waiting, l.backlog);
    if (accepts > 0) out += format(" full %llu", static_cast<ull>(accepts));
    if (syns > 0) out += format(" syn-full %llu", static_cast<ull>(syns));
  }
  return out;
}

}  // namespace

std::string stats_line(const Sample& before, const Sample& now) {
  const Rates r = rates(before, now);
  std::uint64_t in_use = 0;
  for (const PoolUse& p : now.pools) in_use += p.in_use;
  std::string line = format(
      "%6.1fs  conn/s %.0f  open %u  half-open %u  tw %u  rx %.0f pps %.1f Mbit/s  tx %.0f pps "
      "%.1f Mbit/s  retrans %llu  mbufs %llu  busy %.0f%%",
      seconds(now.uptime), r.conns, now.gauges.established, now.gauges.half_open,
      now.gauges.time_wait, r.rx_pps, r.rx_mbit, r.tx_pps, r.tx_mbit,
      static_cast<ull>(now.counter("retrans_segs") - before.counter("retrans_segs")),
      static_cast<ull>(in_use), busy_share(before, now) * 100);
  if (const std::uint64_t requests = value_of(now.app, "http_requests"); requests > 0) {
    const auto fresh = static_cast<double>(requests - value_of(before.app, "http_requests"));
    line += format("  req/s %.0f", fresh / r.seconds);
  }
  if (now.gauges.close_wait > 0) {
    line += format("  close-wait %u oldest %.0fs", now.gauges.close_wait,
                   seconds(now.gauges.oldest_close_wait));
    if (const Leak* worst = worst_leak(now)) line += " worst " + worst->listener;
  }
  line += queues_text(before, now);
  const auto drops = new_drops(before, now);
  if (!drops.empty()) line += "  drops";
  for (const Field& d : drops) line += " " + d.name + " " + std::to_string(d.value);
  return line;
}

std::string stats_json(const Sample& before, const Sample& now) {
  const Rates r = rates(before, now);
  JsonObject o;
  o.text("event", "stats");
  o.real("uptime", seconds(now.uptime));
  o.real("seconds", r.seconds);
  o.real("conns_per_second", r.conns);
  o.real("rx_pps", r.rx_pps);
  o.real("rx_mbit", r.rx_mbit);
  o.real("tx_pps", r.tx_pps);
  o.real("tx_mbit", r.tx_mbit);
  o.number("retrans", now.counter("retrans_segs") - before.counter("retrans_segs"));
  o.real("busy", busy_share(before, now));
  o.raw("gauges", gauges_json(now.gauges));
  o.raw("listeners", leaks_json(now));
  o.raw("queues", queues_json(now.listeners));
  o.raw("app", fields_json(now.app));
  o.raw("pools", pools_json(now.pools));
  o.raw("drops", fields_json(new_drops(before, now)));
  return o.str();
}

std::string summary_text(const Sample& s) {
  std::string out = format("summary after %.1f s\n", seconds(s.uptime));
  const auto line = [&](const std::string& name, std::uint64_t value, std::string_view help) {
    out += format("  %-34s %14llu  ", name.c_str(), static_cast<ull>(value)) + std::string(help);
    while (out.ends_with(' ')) out.pop_back();
    out += '\n';
  };
  line("connections", s.gauges.connections, "now, in whatever state but TIME-WAIT records");
  line("established", s.gauges.established, "now");
  line("half_open", s.gauges.half_open, "now");
  line("time_wait", s.gauges.time_wait, "now");
  line("close_wait", s.gauges.close_wait, "now; closed by the peer, not by the program");
  for (const Leak& l : s.leaks) {
    if (l.count == 0) continue;
    line("close_wait " + l.listener, l.count,
         format("now; the oldest for %.0f s, with ", seconds(l.oldest)) + l.peer);
  }
  for (const Field& f : s.app) {
    if (f.value != 0 || f.gauge) line(f.name, f.value, f.gauge ? "now" : "");
  }
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (s.counters[i] == 0) continue;
    line(std::string(kCounterInfo[i].name), s.counters[i], kCounterInfo[i].help);
  }
  for (const Field& f : s.port) {
    if (f.value != 0) line(f.name, f.value, "as the port counts");
  }
  for (const stack::ListenerStats& l : s.listeners) {
    out += format("  listener %s accepted %llu, accept queue full %llu, SYN queue full %llu\n",
                  to_string(l.local).c_str(), static_cast<ull>(l.accepted),
                  static_cast<ull>(l.accept_overflows), static_cast<ull>(l.syn_overflows));
  }
  for (const PoolUse& p : s.pools) {
    out += format("  pool %-12s %u of %u mbufs in use\n", p.name.c_str(), p.in_use, p.size);
  }
  return out;
}

std::string summary_json(const Sample& s) {
  JsonObject o;
  o.text("event", "summary");
  o.real("uptime", seconds(s.uptime));
  o.raw("gauges", gauges_json(s.gauges));
  o.raw("listeners", leaks_json(s));
  o.raw("queues", queues_json(s.listeners));
  o.raw("app", fields_json(s.app));
  std::vector<Field> counters;
  for (std::size_t i = 0; i < kCounterInfo.size(); ++i) {
    if (s.counters[i] != 0) counters.push_back({std::string(kCounterInfo[i].name), s.counters[i]});
  }
  o.raw("counters", fields_json(counters));
  o.raw("port", fields_json(s.port));
  o.raw("pools", pools_json(s.pools));
  return o.str();
}

}  // namespace weir::app
