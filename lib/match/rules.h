// Rules over the parts of an HTTP request: which pool answers it, or that nobody does.
//
// A RuleSet is compiled once, into one streaming database, and shared by all cores. A Scan is one
// request's walk through it: the parts of the request are fed in the pieces they arrived in, in any
// number of them, and verdict() says which rule decides. Text is never copied and never kept.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "match/match.h"

namespace weir::match {

// What of a request a rule looks at. Each is scanned by itself: `^` and `$` are its ends.
enum class Subject : std::uint8_t { kMethod, kHost, kPath, kHeader, kBody };

enum class Action : std::uint8_t {
  kPool,  // the pool of this index answers
  kDeny,  // an error of this status answers
  kTag,   // marks the request, and later rules go on to decide
};

struct Rule {
  std::string name;
  Subject subject = Subject::kPath;
  std::string header;   // with kHeader: its name in lower case
  std::string pattern;  // PCRE's syntax, as far as Hyperscan takes it
  bool caseless = false;
  Action action = Action::kPool;
  std::uint32_t pool = 0;      // with kPool
  std::uint16_t status = 403;  // with kDeny
  std::uint32_t line = 0;      // of the pattern in its file, for messages
};

class RuleSet {
 public:
  // Pre: 1..65535 rules. `cache_dir`: where compiled databases are kept by hash; empty: nowhere.
  // A cache that cannot be read or written is as good as none.
  [[nodiscard]] static Result<RuleSet, CompileError> compile(std::vector<Rule> rules,
                                                             const std::string& cache_dir);

  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }
  [[nodiscard]] const Database& database() const { return *database_; }
  [[nodiscard]] bool looks_at(Subject s) const { return (subjects_ & bit(s)) != 0; }
  // Whether a rule looks at this header; `name` in any case.
  [[nodiscard]] bool looks_at_header(std::string_view name) const;
  [[nodiscard]] bool from_cache() const { return from_cache_; }

 private:
  friend class Scan;
  static constexpr std::uint8_t bit(Subject s) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(s));
  }

  std::vector<Rule> rules_;
  std::unique_ptr<Database> database_;
  std::uint8_t subjects_ = 0;
  bool from_cache_ = false;
};

// One request. The rule set and the scratch (one a core) outlive it. Opens a Hyperscan stream when
// it is made, closes it when it goes.
class Scan {
 public:
  Scan(const RuleSet& rules, const Scratch& scratch);

  // One part of the request: begin, any number of feeds, end. Parts may come in any order, a header
  // any number of times.
  void begin(Subject subject, std::string_view header = {});
  void feed(const char* text, std::size_t n);
  void end();

  // The first pool or deny rule in file order that matched so far: an index into rules().
  [[nodiscard]] std::optional<std::uint32_t> verdict() const;
  // The tag rules before it (all, where there is no verdict) that matched, in file order.
  void tags(std::vector<std::uint32_t>& out) const;
  // Whether a body rule that has not matched stands before the verdict: what is still to come of
  // the body could change it.
  [[nodiscard]] bool body_may_decide() const;
};

}  // namespace weir::match
