#include "dpdk/eal_log.h"

#include <rte_log.h>

#include <cstdio>
#include <mutex>
#include <string_view>
#include <vector>

namespace weir::dpdk::eal_log {
namespace {

constexpr std::size_t kKept =
    1'024;  // octets: the first lines tell the cause, later ones repeat it

struct Sink {
  std::mutex mutex;  // the EAL's interrupt thread logs too
  std::string text;
  std::string start;
  bool verbose = false;
};

Sink& sink() {
  static Sink s;
  return s;
}

ssize_t write_line(void* /*cookie*/, const char* data, std::size_t size) {
  Sink& s = sink();
  const std::scoped_lock lock(s.mutex);
  if (s.verbose) std::fwrite(data, 1, size, stderr);
  if (s.text.size() < kKept) s.text.append(data, size);
  return static_cast<ssize_t>(size);
}

}  // namespace

void install(bool verbose) {
  sink().verbose = verbose;
  static FILE* const stream = [] {
    FILE* f = fopencookie(nullptr, "w", {nullptr, write_line, nullptr, nullptr});
    if (f != nullptr) std::setvbuf(f, nullptr, _IOLBF, BUFSIZ);
    return f;
  }();
  if (stream != nullptr) rte_openlog_stream(stream);
}

void forget() {
  Sink& s = sink();
  const std::scoped_lock lock(s.mutex);
  s.text.clear();
}

std::string said(const char* otherwise) {
  Sink& s = sink();
  const std::scoped_lock lock(s.mutex);
  std::vector<std::string_view> lines;  // the driver's own, then what the EAL adds to them
  std::vector<std::string_view> general;
  for (std::string_view rest = s.text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (!line.empty()) (line.starts_with("EAL:") ? general : lines).push_back(line);
  }
  if (lines.empty()) lines = general;
  if (lines.empty()) return otherwise;
  std::string out(lines.size() > 1 ? lines[lines.size() - 2] : std::string_view{});
  if (!out.empty()) out += "; ";
  return out.append(lines.back());
}

void keep_start() {
  Sink& s = sink();
  const std::scoped_lock lock(s.mutex);
  s.start = s.text;
}

std::string said_at_start() {
  Sink& s = sink();
  const std::scoped_lock lock(s.mutex);
  return s.start.substr(0, s.start.find('\n'));
}

}  // namespace weir::dpdk::eal_log
