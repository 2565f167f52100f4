#include "load_report.h"

#include <array>

#include "json.h"

namespace weir::app {
namespace {

using ull = unsigned long long;

// Every way to go wrong, and what helps where that is not plain.
struct ErrorInfo {
  const char* name;
  lb::Counter LoadCounters::*field;
  bool connect;
  const char* help;
};
constexpr std::array kErrors{
    ErrorInfo{"connect_refused", &LoadCounters::connect_refused, true, "RST in answer to the SYN"},
    ErrorInfo{"connect_timeouts", &LoadCounters::connect_timeouts, true,
              "no answer to the SYN within load.connect_timeout"},
    ErrorInfo{"connect_unreachable", &LoadCounters::connect_unreachable, true,
              "no answer to ARP, or ICMP said so"},
    ErrorInfo{"connect_no_port", &LoadCounters::connect_no_port, true,
              "no source port was left: add --sources or targets, widen "
              "tcp.ip_local_port_range, or let another close (--close server or rst)"},
    ErrorInfo{"connect_full", &LoadCounters::connect_full, true, "raise limits.max_connections"},
    ErrorInfo{"connect_no_route", &LoadCounters::connect_no_route, true, ""},
    ErrorInfo{"wrong_status", &LoadCounters::wrong_status, false,
              "answers of another status than load.expect_status"},
    ErrorInfo{"wrong_size", &LoadCounters::wrong_size, false,
              "bodies of another size than load.expect_size"},
    ErrorInfo{"wrong_body", &LoadCounters::wrong_body, false,
              "bodies of other octets than those of weir serve"},
    ErrorInfo{"wrong_framing", &LoadCounters::wrong_framing, false,
              "what is no HTTP, or text that nobody asked for"},
    ErrorInfo{"cut_short", &LoadCounters::cut_short, false, "FIN before the answer was complete"},
    ErrorInfo{"resets", &LoadCounters::resets, false, "RST before the answer was complete"},
    ErrorInfo{"request_timeouts", &LoadCounters::request_timeouts, false,
              "no complete answer within load.timeout"},
    ErrorInfo{"lost", &LoadCounters::lost, false, "held connections that the server ended"},
    ErrorInfo{"unfinished", &LoadCounters::unfinished, false,
              "still under way at the end of run.drain_timeout"}};

struct Share {
  const char* name;
  double share;
};
constexpr std::array kShares{Share{"p50", 0.5}, Share{"p90", 0.9}, Share{"p99", 0.99},
                             Share{"p999", 0.999}};
constexpr std::array kLatencies{"connect", "first_byte", "request"};

const telemetry::HistogramSnapshot* latency_of(const Sample& s, std::string_view name) {
  for (const NamedHistogram& h : s.latency) {
    if (h.name == name) return &h.values;
  }
  return nullptr;
}

std::uint64_t grown(const Sample& a, const Sample& b, std::string_view name) {
  return value_of(b.app, name) - value_of(a.app, name);
}

// The errors that moved, by name.
std::vector<Field> new_errors(const Sample& a, const Sample& b, bool connect) {
  std::vector<Field> out;
  for (const ErrorInfo& e : kErrors) {
    const std::uint64_t n = grown(a, b, e.name);
    if (e.connect == connect && n > 0) out.push_back({e.name, n});
  }
  return out;
}

// What the percentiles are of: with a rate, of all that was due (no coordinated omission).
const char* loop_text(const LoadConfig& c) {
  if (!c.paced()) {
    return "closed loop: each begins when one before it ends, and latency counts from there; a "
           "server that stands still is asked less meanwhile";
  }
  switch (c.mode) {
    case LoadMode::kOpen:
      return "open loop: connect latency from the due time; requests from when their connection "
             "is open";
    case LoadMode::kRequests:
      return "open loop: latency from the due time of the request";
    case LoadMode::kHold:
      return "open loop for connects: latency from the due time; closed for requests, each an "
             "interval after the answer before";
  }
  return "";
}

void conduct_json(JsonObject& o, const LoadConfig& c) {
  o.text("profile", load_profile(c));
  o.text("loop", c.paced() ? "open" : "closed");
  o.text("latency_from", c.paced() ? "due" : "begun");
}

std::uint64_t sum(const std::vector<Field>& fields) {
  std::uint64_t n = 0;
  for (const Field& f : fields) n += f.value;
  return n;
}

struct Rates {
  double seconds = 0, opened = 0, completed = 0, requests = 0, answers = 0, in = 0, out = 0;
};

Rates rates(const Sample& a, const Sample& b) {
  const double s = std::max(1e-6, seconds(b.uptime - a.uptime));
  const auto per_second = [&](std::string_view name) {
    return static_cast<double>(grown(a, b, name)) / s;
  };
  return {s,
          per_second("connected"),
          per_second("completed"),
          per_second("requests"),
          per_second("answers"),
          per_second("bytes_in"),
          per_second("bytes_out")};
}

std::string listed(const char* title, const std::vector<Field>& fields) {
  if (fields.empty()) return "";
  std::string out = std::string("  ") + title;
  for (const Field& f : fields) out += " " + f.name + " " + std::to_string(f.value);
  return out;
}

std::string latency_json(const telemetry::HistogramSnapshot& h) {
  JsonObject o;
  o.number("count", h.count());
  for (const Share& s : kShares) o.number(s.name, h.percentile(s.share));
  o.number("max", h.max());
  return o.str();
}

std::uint64_t retransmitted(const Sample& a, const Sample& b) {
  return b.counter("retrans_segs") - a.counter("retrans_segs");
}

void rates_json(JsonObject& o, const Sample& a, const Sample& b) {
  const Rates r = rates(a, b);
  o.real("seconds", r.seconds);
  o.real("opened_per_second", r.opened);
  o.real("completed_per_second", r.completed);
  o.real("requests_per_second", r.requests);
  o.real("answers_per_second", r.answers);
  o.real("bytes_in_per_second", r.in);
  o.real("bytes_out_per_second", r.out);
  o.real("busy", busy_share(a, b));
  o.number("open", value_of(b.app, "open"));
  o.number("connecting", value_of(b.app, "connecting"));
}

void errors_json(JsonObject& o, const Sample& a, const Sample& b) {
  const auto connect = new_errors(a, b, true), answer = new_errors(a, b, false);
  o.number("connect_errors", sum(connect));
  o.number("answer_errors", sum(answer));
  std::vector<Field> all = connect;
  all.insert(all.end(), answer.begin(), answer.end());
  o.raw("errors", fields_json(all));
  o.number("retrans", retransmitted(a, b));
  o.raw("drops", fields_json(new_drops(a, b)));
}

void latencies_json(JsonObject& o, const Sample& a, const Sample& b) {
  for (const char* name : kLatencies) {
    o.raw(std::string(name) + "_us", latency_json(load_latency(a, b, name)));
  }
}

}  // namespace

const char* load_profile(const LoadConfig& config) {
  return config.stripped ? "stripped" : "conformant";
}

const char* load_label(const LoadConfig& config) {
  return config.stripped ? "  [STRIPPED]" : "";
}

std::vector<Field> load_new_errors(const Sample& a, const Sample& b, bool all) {
  std::vector<Field> out;
  for (const ErrorInfo& e : kErrors) {
    const std::uint64_t n = grown(a, b, e.name);
    if (all || n > 0) out.push_back({e.name, n});
  }
  return out;
}

std::string load_error_names(const Sample& a, const Sample& b) {
  std::string out;
  for (const Field& f : load_new_errors(a, b, false)) {
    out += (out.empty() ? "" : ", ") + f.name + " " + std::to_string(f.value);
  }
  return out;
}

telemetry::HistogramSnapshot load_latency(const Sample& a, const Sample& b, std::string_view name) {
  telemetry::HistogramSnapshot out;
  if (const auto* now = latency_of(b, name)) out.add(*now);
  if (const auto* before = latency_of(a, name)) out.subtract(*before);
  return out;
}

std::uint64_t load_under_way(const Sample& s, const LoadConfig& config) {
  const bool requests = config.mode == LoadMode::kRequests;
  return value_of(s.app, requests ? "asking" : "open") + value_of(s.app, "connecting");
}

std::vector<Field> load_fields(const LoadHandler& h) {
  const LoadCounters& c = h.counters();
  std::vector<Field> out{{"connecting", c.connecting.get(), true},
                         {"open", c.open.get(), true},
                         {"asking", c.asking.get(), true},
                         {"opened", c.opened.get()},
                         {"connected", c.connected.get()},
                         {"completed", c.completed.get()},
                         {"server_closed", c.server_closed.get()},
                         {"requests", c.requests.get()},
                         {"answers", c.answers.get()},
                         {"bytes_in", c.bytes_in.get()},
                         {"bytes_out", c.bytes_out.get()}};
  for (const ErrorInfo& e : kErrors) out.push_back({e.name, (c.*e.field).get()});
  return out;
}

std::uint64_t load_errors(const Sample& s) {
  std::uint64_t n = 0;
  for (const ErrorInfo& e : kErrors) n += value_of(s.app, e.name);
  return n;
}

std::string load_line(const LoadConfig& config, const Sample& before, const Sample& now) {
  const Rates r = rates(before, now);
  const auto connect = load_latency(before, now, "connect");
  const auto first = load_latency(before, now, "first_byte");
  const auto us = [](const telemetry::HistogramSnapshot& h, double share) {
    return static_cast<ull>(h.percentile(share));
  };
  std::string line = format(
      "%6.1fs  conn/s %.0f  done/s %.0f  req/s %.0f  open %llu  connect p50 %llu p99 %llu us  "
      "first byte p50 %llu p99 %llu us  in %.2f out %.2f MB/s  retrans %llu  busy %.0f%%",
      seconds(now.uptime), r.opened, r.completed, r.answers,
      static_cast<ull>(value_of(now.app, "open")), us(connect, 0.5), us(connect, 0.99),
      us(first, 0.5), us(first, 0.99), r.in / 1e6, r.out / 1e6,
      static_cast<ull>(retransmitted(before, now)), busy_share(before, now) * 100);
  line += listed("connect errors", new_errors(before, now, true));
  line += listed("errors", new_errors(before, now, false));
  line += listed("drops", new_drops(before, now));
  return line + load_label(config);
}

std::string load_stats_json(const LoadConfig& config, const Sample& before, const Sample& now) {
  JsonObject o;
  o.text("event", "stats");
  conduct_json(o, config);
  o.real("uptime", seconds(now.uptime));
  rates_json(o, before, now);
  errors_json(o, before, now);
  latencies_json(o, before, now);
  return o.str();
}

std::string load_summary(const LoadConfig& config, const Sample& first, const Sample& last,
                         const Sample& now) {
  const Rates r = rates(first, last);
  std::string out = format("summary of %.1f s\n  ", r.seconds) + loop_text(config) + "\n";
  if (config.stripped) {
    out +=
        "  [STRIPPED] no TCP options but MSS, closed by RST, no TIME-WAIT: no figure of a "
        "conformant "
        "TCP\n";
  }
  const auto line = [&](const char* name, const char* field, double rate) {
    out += format("  %-22s %12llu  %10.1f/s\n", name, static_cast<ull>(grown(first, now, field)),
                  rate);
  };
  line("connections opened", "connected", r.opened);
  line("connections completed", "completed", r.completed);
  line("requests", "requests", r.requests);
  line("answers", "answers", r.answers);
  line("octets in", "bytes_in", r.in);
  line("octets out", "bytes_out", r.out);
  out += format("  %-22s %11.0f%%  of %u core%s\n", "busy", busy_share(first, last) * 100,
                last.cores, last.cores == 1 ? "" : "s");
  out += format("  %-22s %12llu\n", "retransmitted", static_cast<ull>(retransmitted(first, now)));
  out += format("  %-12s %9s %9s %9s %9s %9s %10s  microseconds\n", "latency", "50%", "90%", "99%",
                "99.9%", "max", "count");
  for (const char* name : kLatencies) {
    const auto h = load_latency(first, now, name);
    out += format("  %-12s %9llu %9llu %9llu %9llu %9llu %10llu\n", name,
                  static_cast<ull>(h.percentile(0.5)), static_cast<ull>(h.percentile(0.9)),
                  static_cast<ull>(h.percentile(0.99)), static_cast<ull>(h.percentile(0.999)),
                  static_cast<ull>(h.max()), static_cast<ull>(h.count()));
  }
  for (const ErrorInfo& e : kErrors) {
    const std::uint64_t n = value_of(now.app, e.name);
    if (n == 0) continue;
    out += format("  error %-20s %8llu  %s\n", e.name, static_cast<ull>(n), e.help);
  }
  for (const Field& d : new_drops({}, now)) {
    out += format("  drop %-21s %8llu\n", d.name.c_str(), static_cast<ull>(d.value));
  }
  return out;
}

std::string load_summary_json(const LoadConfig& config, const Sample& first, const Sample& last,
                              const Sample& now) {
  JsonObject o;
  o.text("event", "summary");
  conduct_json(o, config);
  o.real("uptime", seconds(now.uptime));
  rates_json(o, first, last);
  for (const char* name : {"opened", "connected", "completed", "server_closed", "requests",
                           "answers", "bytes_in", "bytes_out"}) {
    o.number(name, grown(first, now, name));
  }
  errors_json(o, {}, now);
  latencies_json(o, first, now);
  return o.str();
}

}  // namespace weir::app
