// Rules in one line each, and requests as lists of parts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "match/rules.h"

namespace weir::match {

using S = Subject;
using Ids = std::vector<std::uint32_t>;

inline Rule pool(Subject s, std::string pattern, std::uint32_t to, std::string header = {}) {
  return {
      .name = pattern, .subject = s, .header = std::move(header), .pattern = pattern, .pool = to};
}
inline Rule deny(Subject s, std::string pattern, std::string header = {}) {
  Rule r = pool(s, std::move(pattern), 0, std::move(header));
  r.action = Action::kDeny;
  return r;
}
inline Rule tag(Subject s, std::string pattern, std::string header = {}) {
  Rule r = pool(s, std::move(pattern), 0, std::move(header));
  r.action = Action::kTag;
  return r;
}
inline Rule caseless(Rule r) {
  r.caseless = true;
  return r;
}

struct Part {
  Subject subject;
  std::string text;
  std::string header = {};
};

inline constexpr std::size_t kWhole = 1'000'000;

inline void feed(Scan& scan, const Part& p, std::size_t step = kWhole) {
  scan.begin(p.subject, p.header);
  for (std::size_t at = 0; at < p.text.size(); at += step) {
    scan.feed(p.text.data() + at, std::min(step, p.text.size() - at));
  }
  scan.end();
}

// A rule set, a scratch and one scan, opened once and used for every request.
struct Rig {
  explicit Rig(std::vector<Rule> rules, const std::string& cache = "")
      : set(std::move(RuleSet::compile(std::move(rules), cache).value())),
        scratch(set.database()),
        scan(set, scratch) {}

  int verdict(const std::vector<Part>& request, std::size_t step = kWhole) {
    scan.restart();
    for (const Part& p : request) feed(scan, p, step);
    return verdict();
  }
  [[nodiscard]] int verdict() const {
    const auto v = scan.verdict();
    return v ? static_cast<int>(*v) : -1;
  }
  [[nodiscard]] Ids tags() const {
    Ids out;
    scan.tags(out);
    return out;
  }

  RuleSet set;
  Scratch scratch;
  Scan scan;
};

}  // namespace weir::match
