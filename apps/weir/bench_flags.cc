#include "bench_flags.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "bench_echo.h"
#include "toml_reader.h"

namespace weir::app {
namespace {

// CLI11 says the flag's name and the value; this the range.
CLI::Validator range(std::uint64_t low, std::uint64_t high) {
  const auto check = [low, high](const std::string& text) {
    std::uint64_t n = 0;
    const bool number = CLI::detail::integral_conversion(text, n) && text[0] != '-';
    return number && n >= low && n <= high
               ? std::string{}
               : text + ": out of range " + std::to_string(low) + ".." + std::to_string(high);
  };
  return CLI::Validator(check, "");
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& w : words) list += (list.empty() ? "" : " or ") + w;
  const auto check = [words, list](const std::string& text) {
    const bool known = std::find(words.begin(), words.end(), text) != words.end();
    return known ? std::string{} : text + ": not known; " + list;
  };
  return CLI::Validator(check, "");
}

constexpr std::uint64_t kMostOpen = 1'000'000;
constexpr std::uint64_t kMostCold = 20'000'000;  // of the 28 million source ports
constexpr std::uint64_t kMostInAll = 3'500'000;  // half of the source ports that there are
constexpr std::uint64_t kMostBody = std::uint64_t{1} << 40U;
constexpr std::uint64_t kStreamBody = std::uint64_t{16} << 20U;

}  // namespace

BenchFlags::BenchFlags(CLI::App& app)
    : command_(app.add_subcommand("bench",
                                  "what a connection, a request, a stream costs, stage by stage")) {
  command_->require_subcommand(0, 1);
  command_->allow_extras();
  add_mode(BenchMode::kCps, "cps", "connections, one request each");
  add_mode(BenchMode::kRps, "rps", "requests over connections that stay open");
  add_mode(BenchMode::kStream, "stream", "large bodies, one way");
  add_messages(BenchMode::kLatency, "latency", "one message to and fro, beside a bare frame");
  add_messages(BenchMode::kCold, "cold", "messages over millions of connections, beside few");
  add_memory();
  add_time_wait();
  command_->footer(
      "Exit code: 0; 1 a connection or an answer failed, or a signal ended it; 2 a bad command "
      "line, or it could not start.");
}

void BenchFlags::add_memory() {
  memory_command_ =
      command_->add_subcommand("memory", "what connections at rest take, all counted");
  memory_command_->allow_extras(false);
  constexpr std::array kFlags{"--idle", "--half-open", "--time-wait"};
  constexpr std::array kAbout{"established, nothing under way (100000); 0: none",
                              "whose SYN was answered (100000); 0: none",
                              "in TIME-WAIT (100000); 0: none"};
  for (std::size_t i = 0; i < kResting.size(); ++i) {
    memory_command_->add_option(kFlags[i], memory_.counts[i], kAbout[i])
        ->type_name("N")
        ->check(range(0, info_of(kResting[i]).most));
  }
  memory_command_->add_flag("--json", memory_.json, "one JSON object");
}

void BenchFlags::add_time_wait() {
  CLI::App* const m = command_->add_subcommand(
      "time-wait", "a steady rate of closes, 2MSL long and beyond: what TIME-WAIT costs");
  time_wait_command_ = m;
  m->allow_extras(false);
  m->add_option("--rate", time_wait_.rate,
                "connections closed in a second of the stack's (1000000)")
      ->check(range(1'000, kMostRate));
  m->add_option("--wait", time_wait_.wait, "how long TIME-WAIT lasts: 2MSL (60)")
      ->type_name("SECONDS")
      ->check(range(2, kMostWait));
  m->add_option("--seconds", time_wait_.seconds, "beyond that (10)")
      ->type_name("SECONDS")
      ->check(range(0, 3'600));
  m->add_flag("--json", time_wait_.json, "one JSON object");
  m->footer(
      "No port, in virtual time: a second of the stack's takes as long as the machine needs. "
      "Progress on stderr. 60,000,000 records take 2.2 GiB.");
}

void BenchFlags::add_mode(BenchMode mode, const char* name, const char* about) {
  CLI::App* const m = command_->add_subcommand(name, about);
  m->allow_extras(false);
  m->callback([this, mode] { config_.mode = mode; });
  BenchConfig& c = config_;
  if (mode == BenchMode::kCps) {
    m->add_option("--connections", c.connections, "in all; else as many as the time allows")
        ->check(range(1, kMostInAll));
    m->add_option("--concurrency", c.concurrency, "open at once (64)")->check(range(1, kMostOpen));
    m->add_option("--cores-each", c.pairs,
                  "so many cores, each with a server and its generator: alone, then all at once")
        ->check(range(2, 64));
    m->add_option("--profile", profile_,
                  "of the client: conformant, or stripped: no TCP options but MSS, closed by RST")
        ->check(one_of({"conformant", "stripped"}));
  } else {
    m->add_option("--connections", c.connections,
                  mode == BenchMode::kRps ? "open at once (64)" : "open at once (4)")
        ->check(range(1, kMostOpen));
    m->add_option("--requests", c.requests, "of each connection; else as many as the time allows")
        ->check(range(1, 1'000'000'000));
  }
  if (mode == BenchMode::kStream) {
    m->add_flag("--bare", c.bare, "after each round, what the port alone carries; and the ratio");
    m->add_option("--size", c.body, "octets of a body (16777216)")->check(range(0, kMostBody));
  } else {
    m->add_option("--body", c.body, "octets of an answer's body (64)")->check(range(0, kMostBody));
  }
  m->add_option("--close", close_, "who closes, and has the TIME-WAIT: client or server (server)")
      ->check(one_of({"client", "server"}));
  add_common(*m);
}

void BenchFlags::add_messages(BenchMode mode, const char* name, const char* about) {
  CLI::App* const m = command_->add_subcommand(name, about);
  m->allow_extras(false);
  m->callback([this, mode] { config_.mode = mode; });
  BenchConfig& c = config_;
  m->add_option("--size", c.body, "octets of a message (64)")->check(range(4, kMostEchoOctets));
  if (mode == BenchMode::kCold) {
    m->add_option("--connections", c.connections, "open in the cold case (1000000)")
        ->check(range(1, kMostCold));
    m->add_option("--beside", c.beside, "open in the hot case (100)")->check(range(1, 10'000));
    m->add_option("--window", c.window, "messages under way at one time (64)")
        ->check(range(1, 4'096));
  }
  add_common(*m);
}

void BenchFlags::add_common(CLI::App& mode) {
  CLI::App* const m = &mode;
  BenchConfig& c = config_;
  m->add_option("--duration", seconds_, "of a round, where no number ends it (2)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 3'600.0).description(""));
  m->add_option("--repeat", c.repeat, "rounds; the median is printed (3)")->check(range(1, 99));
  m->add_option("--port", c.port,
                "ring (in one process), memif or vhost (in two); with --role where both meet: "
                "memif:PATH, vhost:PATH, or any device");
  m->add_option("--role", role_, "this process is one side only: client or server")
      ->check(one_of({"client", "server"}));
  m->add_option("--cores", c.cores, "CPUs of the client and of the server, as in 0,1")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(range(0, 1'023));
  m->add_flag_function(
      "--no-stages", [&c](std::int64_t) { c.stages = false; },
      "do not tell the stages apart: shows what the marks cost");
  m->add_flag("--hugepages", c.hugepages, "buffers in hugepages");
  m->add_flag("--json", c.json, "one JSON object");
  m->add_flag("--verbose", c.verbose, "DPDK's own log on stderr");
  m->add_flag("--controlled", c.controlled)->group("");
}

int BenchFlags::execute() {
  const auto complain = [](const std::string& what) {
    std::fprintf(stderr, "weir: bench: %s\n", printable(what, 1'000).c_str());
    return 2;
  };
  const std::vector<std::string> rest = command_->remaining();
  if (!rest.empty())
    return complain(rest[0] +
                    ": unknown mode; cps, rps, stream, latency, cold, memory or time-wait");
  if (command_->get_subcommands().empty()) {
    return complain(
        "which mode? cps, rps, stream, latency, cold, memory or time-wait; --help says more");
  }
  if (memory_command_->parsed()) return run_memory(memory_);
  if (time_wait_command_->parsed()) return run_time_wait(time_wait_);
  if (role_ == "client") config_.role = BenchRole::kClient;
  if (role_ == "server") config_.role = BenchRole::kServer;
  config_.client_closes = close_ == "client";
  config_.stripped = profile_ == "stripped";
  if (config_.stripped && !close_.empty()) {
    return complain("--profile stripped: closes by RST; leave out --close");
  }
  config_.duration = Duration(static_cast<std::int64_t>(seconds_ * 1e6));
  const CLI::App& mode = *command_->get_subcommands()[0];
  if (config_.mode == BenchMode::kStream && mode.count("--size") == 0) config_.body = kStreamBody;
  if (const auto wrong = complete_bench(config_)) return complain(*wrong);
  return run_bench(config_);
}

}  // namespace weir::app
