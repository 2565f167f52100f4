// weir: the command line.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "bench_flags.h"
#include "config.h"
#include "flags.h"
#include "run.h"
#include "run_program.h"
#include "toml_reader.h"
#include "version.h"

namespace weir::app {
namespace {

constexpr int kExitUsage = 2;

struct Arguments {
  std::string config;
  std::vector<std::string> sets;
  bool check = false, stats = false, json = false, verbose = false;
  double duration = 0;
  FlagValues flags;
  RunProgram program;  // of `weir run`
};

void add_config_options(CLI::App& command, Arguments& a) {
  command.add_option("-c,--config", a.config, "the TOML file; see config/ for one that works")
      ->type_name("FILE");
  command.add_option("--set", a.sets, "lay one value over the file, as in port.mtu=9000")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--check-config", a.check, "say whether the file is right, and end");
  command.add_flag("--verbose", a.verbose, "DPDK's own log on stderr");
}

void add_run_options(CLI::App& command, Arguments& a) {
  add_config_options(command, a);
  command
      .add_option("--summary", a.program.summary,
                  "each stack adds a line of its counters, JSON, when its process ends")
      ->type_name("FILE");
  command.add_option("PROGRAM", a.program.words, "behind --, with what it is called with")
      ->type_name("");
  command.footer(
      "TCP sockets whose address is on a network of the port are Weir's; the rest stay with the\n"
      "kernel, in the same poll and epoll. Listeners on every address have both. docs/run.md says\n"
      "what is covered, and what is not.\n"
      "Exit code: the program's; 2 a bad command line or config, or it could not start.");
}

void add_options(CLI::App& command, const CommandInfo& info, Arguments& a) {
  if (info.command == Command::kRun) return add_run_options(command, a);
  add_config_options(command, a);
  command.add_option("--duration", a.duration, "drain and end after this time")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 1e9).description(""));
  command.add_flag("--stats", a.stats, "a line of statistics every interval, to a pipe as well");
  command.add_flag("--json", a.json, "statistics and summary as JSON, one object a line");
  add_flags(command, info.command, a.flags);
  command.footer(
      "IPv6: port.addresses = [\"2001:db8::2/64\"], listeners and backends as [2001:db8::2]:80, "
      "[::]:80\n"
      "for both families, the router as port.gateway6; see config/ipv6.toml.\n"
      "Signals: TERM and INT drain and end (a second one ends at once), USR1 prints a summary.\n"
      "Exit code: 0; 1 ended at once, or (load) there were errors; 2 a bad command line or config, "
      "or it could not start.");
}

int complain(const std::string& line) {
  std::fprintf(stderr, "weir: %s\n", printable(line, 1'000).c_str());
  return kExitUsage;
}

int execute(Command command, const Arguments& a) {
  const auto config = load_config(a.config, {command, a.sets, toml_of(a.flags)}, this_machine());
  if (!config) return complain(config.error());
  const std::string name = a.config.empty() ? "command line" : printable(a.config, 256);
  if (const auto error = check_device_form(config.value())) return complain(name + ": " + *error);
  if (command == Command::kRun) {
    if (const auto error = refuse_for_program(config.value()))
      return complain(name + ": " + *error);
  }
  if (a.check) {
    if (std::printf("%s: ok\n", name.c_str()) < 0 || std::fflush(stdout) != 0) {
      return complain(std::string("stdout: ") + std::strerror(errno));
    }
    return 0;
  }
  if (command == Command::kRun) {
    if (a.program.words.empty()) {
      return complain("run: which program? write it behind --, as in weir run -c FILE -- curl URL");
    }
    RunProgram program = a.program;
    program.verbose = a.verbose;
    return complain(run_program(config.value(), program));
  }
  RunOptions options;
  options.config_path = name;
  options.stats = a.stats;
  options.json = a.json || config.value().stats.json;
  options.verbose = a.verbose;
  options.duration = config.value().run_duration;
  if (a.duration > 0) {
    options.duration = Duration(static_cast<std::int64_t>(a.duration * 1e6));
  }
  return run(config.value(), options);
}

// A wrong command line in words of our own: CLI11 says it in several lines.
std::string explain(const CLI::ParseError& e, int argc, char** argv) {
  std::vector<std::string> commands{"bench"};
  commands.reserve(1 + std::size(kCommands));
  for (const CommandInfo& c : kCommands) commands.emplace_back(c.name);
  const std::string first = argc > 1 ? argv[1] : "";
  const bool known = std::find(commands.begin(), commands.end(), first) != commands.end();
  if (!known && !first.empty() && first[0] != '-') {
    const auto near = nearest(first, commands);
    return first + ": unknown command" + (near ? "; did you mean " + *near + "?" : "") +
           "; --help lists them";
  }
  if (first == "run") return std::string(e.what()) + "; write the program behind --";
  return std::string(e.what()) + "; --help says more";
}

int main(int argc, char** argv) {
  CLI::App app{"weir: a TCP endpoint in user space, on DPDK", "weir"};
  app.set_version_flag("--version", "weir " WEIR_VERSION);
  app.fallthrough(false);
  app.require_subcommand(0, 1);
  Arguments a;
  std::array<CLI::App*, kCommands.size()> commands{};
  for (std::size_t i = 0; i < commands.size(); ++i) {
    commands[i] = app.add_subcommand(kCommands[i].name, kCommands[i].about);
    add_options(*commands[i], kCommands[i], a);
  }
  BenchFlags bench(app);  // has no config file
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return app.exit(e);
    return complain(explain(e, argc, argv));
  }
  if (bench.parsed()) return bench.execute();
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (!commands[i]->parsed()) continue;
    const bool file = commands[i]->count("--config") > 0;
    if (file && a.config.empty()) return complain("--config: empty; name a TOML file");
    if (!file && a.flags.empty()) {
      return complain(std::string(kCommands[i].name) +
                      " needs --config FILE; see config/ for one that works");
    }
    return execute(kCommands[i].command, a);
  }
  return complain(
      "which command? weir lb, weir serve, weir load, weir run or weir bench; --help says more");
}

}  // namespace
}  // namespace weir::app

int main(int argc, char** argv) {
  try {
    return weir::app::main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weir: %s\n", e.what());
    return 2;
  }
}
