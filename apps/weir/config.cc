#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config_tables.h"
#include "toml_reader.h"

namespace weir::app {

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

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

// The whole file, or why not. O_NONBLOCK: opening a FIFO must not hang.
std::optional<std::string> read_file(const std::string& path, Problem& problem) {
  const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st {};
  if (file.fd() < 0 || fstat(file.fd(), &st) != 0) {
    problem.report(std::string("cannot be read: ") + std::strerror(errno) +
                   "; check the path and its permissions");
    return std::nullopt;
  }
  if (!S_ISREG(st.st_mode)) {
    problem.report(S_ISDIR(st.st_mode) ? "is a directory; name the file in it"
                                       : "is not a regular file; name a TOML file");
    return std::nullopt;
  }
  std::string text(kMaxConfigBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.fd(), text.data() + size, text.size() - size);
    if (n < 0) {
      problem.report(std::string("cannot be read: ") + std::strerror(errno));
      return std::nullopt;
    }
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  return text;
}

// What toml++ either takes in silence or words badly.
bool plausible_text(const std::string& text, Problem& problem) {
  if (text.size() > kMaxConfigBytes) {
    problem.report("larger than 1 MiB; this is not a config of weir");
  } else if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    problem.report("empty; start from an example in config/");
  } else if (text.starts_with("\xef\xbb\xbf") || text.starts_with("\xff\xfe") ||
             text.starts_with("\xfe\xff")) {
    problem.report("begins with a byte-order mark; save it as UTF-8 without one");
  } else if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    problem.report("holds a NUL at octet " + std::to_string(nul) + "; this is not a text file");
  }
  return !problem.any();
}

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
  if (!plausible_text(text, problem)) return problem.line();
  toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    problem.report(parsed.error().source(), std::string(parsed.error().description()));
    return problem.line();
  }
  toml::table root = std::move(parsed).table();
  for (const std::string& o : options.overrides) apply_override(root, o, problem);
  Config config;
  config.command = options.command;
  if (!problem.any()) read_tables(root, machine, config, problem);
  if (problem.any()) return problem.line();
  return config;
}

Result<Config, std::string> load_config(const std::string& path, const LoadOptions& options,
                                        const Machine& machine) {
  Problem problem(path);
  if (path.empty()) return std::string("--config: empty; name a TOML file");
  const auto text = read_file(path, problem);
  if (!text) return problem.line();
  return parse_config(*text, path, options, machine);
}

}  // namespace weir::app
