// Reads a TOML table strictly: every key has a type and a range, a key that nobody asked for is an
// error with a suggestion. The first error is kept and makes every later call do nothing.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.h"
#include "base/duration_text.h"
#include "base/time.h"

#ifndef TOML_EXCEPTIONS
#define TOML_EXCEPTIONS 0
#endif
// Debian's toml++ asserts of the operator's text what it then checks, "[!" for one: without its
// assertions that is an error with a line number. Not by NDEBUG, which would make them assumptions.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>

namespace weir::app {

// The first thing found wrong, as one line.
class Problem {
 public:
  explicit Problem(std::string file) : file_(std::move(file)) {}

  [[nodiscard]] bool any() const { return !line_.empty(); }
  [[nodiscard]] const std::string& line() const { return line_; }
  void report(const toml::source_region& where, const std::string& what);
  void report(const std::string& what) { report(toml::source_region{}, what); }
  // A line about another file, complete.
  void adopt(const std::string& line) {
    if (line_.empty()) line_ = line;
  }

 private:
  std::string file_;
  std::string line_;
};

// Makes text safe for one line of a terminal: control characters and long tails go.
[[nodiscard]] std::string printable(std::string_view text, std::size_t max = 120);
[[nodiscard]] std::string value_text(const toml::node& node);
// The candidate nearest to `word`, if it is near.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 const std::vector<std::string>& candidates);
using weir::duration_text;
using weir::parse_duration;
// "10.0.0.1:80", "[fe80::1]:80".
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text);

class TableReader {
 public:
  // `table` may be null: every key is then absent. `path` is how messages name the table: "port".
  TableReader(const toml::table* table, std::string path, Problem& problem)
      : table_(table), path_(std::move(path)), problem_(problem) {}

  // Each leaves `out` as it is when the key is absent; the return value says whether it was there
  // and right.
  template <class T>
  bool integer(std::string_view key, T& out, std::int64_t low, std::int64_t high,
               std::string_view cure = {}) {
    std::int64_t v = 0;
    if (!read_integer(key, v, low, high, cure)) return false;
    out = static_cast<T>(v);
    return true;
  }
  bool boolean(std::string_view key, bool& out);
  bool string(std::string_view key, std::string& out);
  // A number in `unit`s, or a string with its unit.
  template <class D>
  bool duration(std::string_view key, D& out, Duration unit, Duration low, Duration high) {
    Duration v{};
    if (!read_duration(key, v, unit, low, high)) return false;
    out = std::chrono::duration_cast<D>(v);
    return true;
  }
  bool endpoint(std::string_view key, Endpoint& out);
  // One of `words`; `out` is its index.
  bool word(std::string_view key, unsigned& out, const std::vector<std::string>& words);

  const toml::array* array(std::string_view key, std::string_view of_what);
  const toml::table* table(std::string_view key);
  const toml::node* node(std::string_view key);  // marks the key as known
  // The key is well known and means nothing here: says so rather than "unknown key".
  void refuse(std::string_view key, const std::string& what);

  // Last: a key that nobody asked for is an error.
  void finish();

  void report(std::string_view key, const std::string& what);      // "path.key = value: what"
  void missing(std::string_view key, const std::string& example);  // "path.key: missing; ..."
  [[nodiscard]] std::string full(std::string_view key) const;
  [[nodiscard]] bool present() const { return table_ != nullptr; }

 private:
  bool read_integer(std::string_view key, std::int64_t& out, std::int64_t low, std::int64_t high,
                    std::string_view cure);
  bool read_duration(std::string_view key, Duration& out, Duration unit, Duration low,
                     Duration high);

  const toml::table* table_;
  std::string path_;
  Problem& problem_;
  std::set<std::string, std::less<>> known_;
};

// "what = value: out of range low..high".
[[nodiscard]] bool endpoint_of(const toml::node& node, const std::string& name, Problem& problem,
                               Endpoint& out);

}  // namespace weir::app
