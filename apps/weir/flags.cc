#include "flags.h"

#include <array>
#include <string_view>

namespace weir::app {
namespace {

enum class Kind : std::uint8_t { kText, kNumber, kList, kNumbers, kSwitch };

struct Flag {
  const char* flag;
  const char* key;
  Kind kind;
  const char* type;
  const char* help;
};

constexpr std::array kLoadFlags{
    Flag{"--device", "port.device", Kind::kText, "DEVICE", "the port, as tap:weir0"},
    Flag{"--address", "port.addresses", Kind::kList, "ADDRESS/LENGTH",
         "of the port, IPv4 or IPv6; may be said again"},
    Flag{"--cores", "eal.cores", Kind::kNumbers, "N,...", "one event loop on each"},
    Flag{"--idle", "eal.idle", Kind::kText, "HOW",
         "poll, yield or sleep when there is nothing to do"},
    Flag{"--sources", "load.sources", Kind::kText, "FIRST-LAST", "more addresses to connect from"},
    Flag{"--target", "load.targets", Kind::kList, "ADDRESS:PORT",
         "on the port's network, as 10.99.0.1:80 or [2001:db8::1]:80; may be said again"},
    Flag{"--rate", "load.rate", Kind::kNumber, "N",
         "connections a second; with --connections, requests"},
    Flag{"--rate-from", "load.rate_from", Kind::kNumber, "N",
         "with --rate-to and --ramp: a rate that changes"},
    Flag{"--rate-to", "load.rate_to", Kind::kNumber, "N",
         "the rate at the end of --ramp, and from then on"},
    Flag{"--ramp", "load.ramp", Kind::kNumber, "SECONDS",
         "the time from the one rate to the other"},
    Flag{"--concurrency", "load.concurrency", Kind::kNumber, "N",
         "connections open at once, at most"},
    Flag{"--hold", "load.hold", Kind::kNumber, "N", "open N connections and keep them"},
    Flag{"--interval", "load.interval", Kind::kNumber, "SECONDS",
         "with --hold: between two requests of one"},
    Flag{"--connections", "load.connections", Kind::kNumber, "N",
         "keep-alive: N connections, asked over and over"},
    Flag{"--requests", "load.requests", Kind::kNumber, "N",
         "of one connection, which is then closed; 0: no end"},
    Flag{"--connections-total", "load.connections_total", Kind::kNumber, "N",
         "end after so many connections"},
    Flag{"--path", "load.path", Kind::kList, "PATH",
         "what to ask for; may be said again, as '/a 3' with a weight"},
    Flag{"--sizes", "load.sizes", Kind::kText, "SIZE,...",
         "ask /bytes/N of weir serve, N drawn from 100, 1-1000, either with :WEIGHT"},
    Flag{"--body-sizes", "load.body_sizes", Kind::kText, "SIZE,...",
         "POST, with bodies of such sizes"},
    Flag{"--seed", "load.seed", Kind::kNumber, "N", "of what is drawn; 1"},
    Flag{"--host", "load.host", Kind::kText, "NAME", "of the Host field"},
    Flag{"--expect-status", "load.expect_status", Kind::kNumber, "N", "another is an error; 200"},
    Flag{"--expect-size", "load.expect_size", Kind::kNumber, "OCTETS",
         "of the body; another is an error"},
    Flag{"--expect-pattern", "load.expect_pattern", Kind::kSwitch, "",
         "the body must be that of weir serve"},
    Flag{"--close", "load.close", Kind::kText, "WHO", "server, or this side by fin or rst"},
    Flag{"--connect-timeout", "load.connect_timeout", Kind::kNumber, "SECONDS",
         "until a connect is an error"},
    Flag{"--timeout", "load.timeout", Kind::kNumber, "SECONDS", "until a request is an error"},
    Flag{"--warmup", "load.warmup", Kind::kNumber, "SECONDS", "measure nothing before"},
    Flag{"--find-rate", "load.find_rate", Kind::kSwitch, "",
         "find the highest rate that is served, from --rate (1000) on"},
    Flag{"--step-duration", "load.step_duration", Kind::kNumber, "SECONDS",
         "with --find-rate: each rate is measured for so long; 2"},
    Flag{"--settle", "load.settle", Kind::kNumber, "SECONDS", "... after so long; 1"},
    Flag{"--max-latency", "load.max_latency", Kind::kNumber, "SECONDS",
         "... and its p99 must not be above this, as in 5ms"},
    Flag{"--csv", "load.csv", Kind::kText, "FILE",
         "a row an interval, for scripts/plot; overwrites the file"},
    Flag{"--profile", "load.profile", Kind::kText, "WHICH",
         "conformant, or stripped: no TCP options but MSS, closed by RST"},
};

const Flag* flag_of(std::string_view key) {
  for (const Flag& f : kLoadFlags) {
    if (f.key == key) return &f;
  }
  return nullptr;
}

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out + "\"";
}

// A number as it is; else a string, which may be a duration or is refused with the key's own words.
std::string number_or_text(const std::string& text) {
  const std::string_view digits = std::string_view(text).substr(text.starts_with('-') ? 1 : 0);
  const bool number = !digits.empty() && digits.size() < 19 && digits[0] != '0' &&
                      digits.find_first_not_of("0123456789") == std::string_view::npos;
  return number || text == "0" ? text : toml_text(text);
}

std::string value_of(Kind kind, const std::vector<std::string>& said) {
  std::string out;
  switch (kind) {
    case Kind::kText:
      return toml_text(said.back());
    case Kind::kNumber:
      return number_or_text(said.back());
    case Kind::kSwitch:
      return "true";
    case Kind::kList:
    case Kind::kNumbers:
      for (const std::string& s : said) {
        out += (out.empty() ? "" : ", ") + (kind == Kind::kList ? toml_text(s) : number_or_text(s));
      }
      return "[" + out + "]";
  }
  return out;
}

}  // namespace

void add_flags(CLI::App& command, Command which, FlagValues& values) {
  if (which != Command::kLoad) return;
  for (const Flag& f : kLoadFlags) {
    const std::string key = f.key;
    if (f.kind == Kind::kSwitch) {
      command.add_flag_function(
          f.flag, [&values, key](std::int64_t) { values[key] = {"true"}; }, f.help);
      continue;
    }
    const auto take = [&values, key](const std::vector<std::string>& said) { values[key] = said; };
    auto* option = command.add_option_function<std::vector<std::string>>(f.flag, take, f.help);
    option->type_name(f.type)->allow_extra_args(false);
    if (f.kind == Kind::kNumbers) option->delimiter(',');
  }
}

std::string toml_of(const FlagValues& values) {
  std::string out;
  for (const auto& [key, said] : values) {
    const Flag* f = flag_of(key);
    if (f != nullptr && !said.empty()) out += key + " = " + value_of(f->kind, said) + "\n";
  }
  return out;
}

}  // namespace weir::app
