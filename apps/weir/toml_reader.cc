#include "toml_reader.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <numeric>
#include <sstream>

namespace weir::app {

void Problem::report(const toml::source_region& where, const std::string& what) {
  if (any()) return;
  const bool elsewhere = where.path != nullptr && *where.path != file_;
  line_ = printable(elsewhere ? *where.path : file_, 256);
  if (line_.empty()) line_ = "command line";  // there is no file
  if (where.begin.line > 0 && !elsewhere) line_ += ":" + std::to_string(where.begin.line);
  line_ += ": " + printable(what, 400);
}

std::string printable(std::string_view text, std::size_t max) {
  std::string out;
  for (const char c : text) {
    if (out.size() >= max) {
      // Do not cut a UTF-8 sequence in two.
      while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0U) == 0x80U) {
        out.pop_back();
      }
      if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0U) out.pop_back();
      return out + "...";
    }
    const auto u = static_cast<unsigned char>(c);
    out += u < 0x20 || u == 0x7f ? '?' : c;
  }
  return out;
}

std::string value_text(const toml::node& node) {
  if (const auto* s = node.as_string()) return "\"" + printable(s->get(), 80) + "\"";
  if (const auto* i = node.as_integer()) return std::to_string(i->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  if (node.is_array()) return "[...]";
  if (node.is_table()) return "{...}";
  std::ostringstream out;
  if (const auto* f = node.as_floating_point()) out << f->get();
  if (const auto* d = node.as_date()) out << d->get();
  if (const auto* t = node.as_time()) out << t->get();
  if (const auto* t = node.as_date_time()) out << t->get();
  return out.str();
}

namespace {

// Levenshtein's distance, with a swap of neighbours counted once.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

std::string type_text(const toml::node& node) {
  if (node.is_integer()) return "an integer";
  if (node.is_floating_point()) return "a fraction";
  if (node.is_boolean()) return "a boolean";
  if (node.is_string()) return "a string";
  if (node.is_array()) return node.is_array_of_tables() ? "a list of tables" : "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

std::string wrong_type(const toml::node& node, std::string_view want, std::string_view example) {
  std::string what = "is " + type_text(node) + ", not " + std::string(want);
  if (!example.empty()) what += "; write " + std::string(example);
  return what;
}

}  // namespace

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  if (word.size() > 64) return std::nullopt;
  std::size_t best = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::optional<std::string> found;
  for (const std::string& c : candidates) {
    if (const std::size_t d = distance(word, c); d < best) {
      best = d;
      found = c;
    }
  }
  return found;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto addr = parse_ip(host);
  if (!addr || bracketed == (host.find(':') == std::string_view::npos)) return std::nullopt;
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0 ||
      port.starts_with('0')) {
    return std::nullopt;
  }
  return Endpoint{*addr, number};
}

bool endpoint_of(const toml::node& node, const std::string& name, Problem& problem, Endpoint& out) {
  const auto* s = node.as_string();
  if (s == nullptr) {
    problem.report(node.source(), name + " = " + value_text(node) + ": " +
                                      wrong_type(node, "a string", "\"10.99.0.10:80\""));
    return false;
  }
  const auto parsed = parse_endpoint(s->get());
  if (!parsed) {
    problem.report(node.source(), name + " = " + value_text(node) +
                                      ": not an ADDRESS:PORT; write it like \"10.99.0.10:80\" or "
                                      "\"[2001:db8::1]:80\", with a port in 1..65535");
    return false;
  }
  out = *parsed;
  return true;
}

std::string TableReader::full(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void TableReader::report(std::string_view key, const std::string& what) {
  const toml::node* n = table_ == nullptr ? nullptr : table_->get(key);
  if (n == nullptr) return problem_.report(full(key) + ": " + what);
  problem_.report(n->source(), full(key) + " = " + value_text(*n) + ": " + what);
}

void TableReader::missing(std::string_view key, const std::string& example) {
  const std::string what = full(key) + ": missing; write " + example;
  if (table_ == nullptr) return problem_.report(what);
  problem_.report(table_->source(), what);
}

const toml::node* TableReader::node(std::string_view key) {
  known_.emplace(key);
  if (table_ == nullptr || problem_.any()) return nullptr;
  return table_->get(key);
}

bool TableReader::read_integer(std::string_view key, std::int64_t& out, std::int64_t low,
                               std::int64_t high, std::string_view cure) {
  const toml::node* n = node(key);
  if (n == nullptr) return false;
  const auto* i = n->as_integer();
  const std::string range = std::to_string(low) + ".." + std::to_string(high);
  if (i == nullptr) {
    report(key, wrong_type(*n, "an integer", "a number in " + range + " without quotes"));
    return false;
  }
  if (i->get() < low || i->get() > high) {
    report(key, "out of range " + range + "; " +
                    (cure.empty() ? "choose a value in it" : std::string(cure)));
    return false;
  }
  out = i->get();
  return true;
}

bool TableReader::boolean(std::string_view key, bool& out) {
  const toml::node* n = node(key);
  if (n == nullptr) return false;
  const auto* b = n->as_boolean();
  if (b == nullptr) {
    report(key, wrong_type(*n, "a boolean", "true or false without quotes"));
    return false;
  }
  out = b->get();
  return true;
}

bool TableReader::string(std::string_view key, std::string& out) {
  const toml::node* n = node(key);
  if (n == nullptr) return false;
  const auto* s = n->as_string();
  if (s == nullptr) {
    report(key, wrong_type(*n, "a string", "it in quotes"));
    return false;
  }
  if (s->get().empty() ||
      s->get().find_first_of(std::string_view("\0\n\r", 3)) != std::string::npos) {
    report(key, s->get().empty() ? "empty; give it a value or remove the line"
                                 : "holds a NUL or a line end; remove it");
    return false;
  }
  out = s->get();
  return true;
}

bool TableReader::read_duration(std::string_view key, Duration& out, Duration unit, Duration low,
                                Duration high) {
  const toml::node* n = node(key);
  if (n == nullptr) return false;
  std::optional<Duration> v;
  const std::string range = duration_text(low) + ".." + duration_text(high);
  if (const auto* s = n->as_string()) {
    v = parse_duration(s->get());
    if (!v) {
      report(key, "not a duration; write a number of " + duration_text(unit) +
                      " units, or a string like \"200ms\" (us, ms, s, m, h)");
      return false;
    }
  } else if (const auto* i = n->as_integer()) {
    const std::int64_t limit = std::numeric_limits<std::int64_t>::max() / unit.count();
    v = Duration(std::clamp(i->get(), -limit, limit) * unit.count());
  } else {
    report(key, wrong_type(*n, "a duration",
                           "a number of " + duration_text(unit) + " units or a string like " +
                               "\"200ms\""));
    return false;
  }
  if (*v < low || *v > high) {
    report(key, "out of range " + range + "; a bare number counts units of " + duration_text(unit));
    return false;
  }
  out = *v;
  return true;
}

bool TableReader::endpoint(std::string_view key, Endpoint& out) {
  const toml::node* n = node(key);
  return n != nullptr && endpoint_of(*n, full(key), problem_, out);
}

bool TableReader::word(std::string_view key, unsigned& out, const std::vector<std::string>& words) {
  std::string text;
  if (!string(key, text)) return false;
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) {
    std::string list;
    for (const std::string& w : words) list += (list.empty() ? "\"" : " or \"") + w + "\"";
    report(key, "not known; write " + list);
    return false;
  }
  out = static_cast<unsigned>(found - words.begin());
  return true;
}

const toml::array* TableReader::array(std::string_view key, std::string_view of_what) {
  const toml::node* n = node(key);
  if (n == nullptr) return nullptr;
  const auto* a = n->as_array();
  if (a == nullptr) report(key, wrong_type(*n, "a list", "[" + std::string(of_what) + "]"));
  return a;
}

const toml::table* TableReader::table(std::string_view key) {
  const toml::node* n = node(key);
  if (n == nullptr) return nullptr;
  const auto* t = n->as_table();
  if (t == nullptr) report(key, wrong_type(*n, "a table", "[" + full(key) + "]"));
  return t;
}

void TableReader::refuse(std::string_view key, const std::string& what) {
  if (node(key) != nullptr) report(key, what);
}

void TableReader::finish() {
  if (table_ == nullptr) return;
  const std::vector<std::string> known(known_.begin(), known_.end());
  for (const auto& [key, value] : *table_) {
    if (problem_.any() || known_.contains(key.str())) continue;
    const std::string name = key.str().empty() ? "\"\"" : std::string(key.str());
    std::string what = "unknown key";
    if (const auto near = nearest(key.str(), known)) {
      what += "; did you mean " + full(*near) + "?";
    } else {
      what += "; remove it";
    }
    problem_.report(value.source(), full(name) + ": " + what);
  }
}

}  // namespace weir::app
