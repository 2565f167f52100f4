#include "config.h"

#include <sched.h>

#include "config_tables.h"
#include "text_file.h"
#include "toml_reader.h"

namespace weir::app {

std::string_view name_of(Command command) {
  for (const CommandInfo& c : kCommands) {
    if (c.command == command) return c.name;
  }
  return "";
}

Machine this_machine() {
  Machine m;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) m.cores.insert(i);
    }
  }
  return m;
}

namespace {

void merge(toml::table& into, toml::table&& from) {
  for (auto i = from.begin(); i != from.end(); ++i) {
    const toml::key& key = i->first;
    toml::table* there = into[key].as_table();
    toml::table* here = i->second.as_table();
    if (there != nullptr && here != nullptr) {
      merge(*there, std::move(*here));
    } else {
      i->second.visit([&](auto& node) { into.insert_or_assign(key, std::move(node)); });
    }
  }
}

// What was said in flags; an error in it names no line.
void apply_flags(toml::table& root, const std::string& text, Problem& problem) {
  toml::parse_result parsed = toml::parse(text, std::string("command line"));
  if (!parsed) return problem.report(std::string(parsed.error().description()));
  merge(root, std::move(parsed).table());
}

// "port.mtu=9000" laid over the file; a value that is no TOML is taken as a string.
void apply_override(toml::table& root, const std::string& text, Problem& problem) {
  const std::string name = "--set " + text;
  const toml::source_region where{{}, {}, std::make_shared<const std::string>(name)};
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || text.find('\n') != std::string::npos) {
    return problem.report(where, "not KEY=VALUE; write it like --set port.mtu=1500");
  }
  toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    const std::string key = text.substr(0, equals);
    parsed = toml::parse(key + " = '" + text.substr(equals + 1) + "'", name);
  }
  if (!parsed) return problem.report(where, std::string(parsed.error().description()));
  merge(root, std::move(parsed).table());
}

}  // namespace

Result<Config, std::string> parse_config(const std::string& text, const std::string& path,
                                         const LoadOptions& options, const Machine& machine) {
  Problem problem(path);
  if (!path.empty() && !plausible_text(text, kMaxConfigBytes, problem)) return problem.line();
  toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    problem.report(parsed.error().source(), std::string(parsed.error().description()));
    return problem.line();
  }
  toml::table root = std::move(parsed).table();
  if (!options.flags.empty()) apply_flags(root, options.flags, problem);
  for (const std::string& o : options.overrides) apply_override(root, o, problem);
  Config config;
  config.command = options.command;
  config.path = path;
  if (!problem.any()) read_tables(root, machine, config, problem);
  if (problem.any()) return problem.line();
  return config;
}

Result<Config, std::string> load_config(const std::string& path, const LoadOptions& options,
                                        const Machine& machine) {
  Problem problem(path);
  if (path.empty() && options.flags.empty()) {
    return std::string("--config: empty; name a TOML file");
  }
  if (path.empty()) return parse_config("", path, options, machine);
  const auto text = read_text_file(path, kMaxConfigBytes, problem);
  if (!text) return problem.line();
  return parse_config(*text, path, options, machine);
}

}  // namespace weir::app
