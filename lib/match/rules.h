// Rules over the parts of an HTTP request: which pool answers it, or that nobody does.
//
// A RuleSet is compiled once, into one streaming database, and shared by all cores. A Scan is one
// request's walk through it: the parts of the request are fed in the pieces they arrived in, in any
// number of them, and verdict() says which rule decides. Text is never copied and never kept. Knows
// nothing of HTTP's syntax: who feeds it says which part is which. Owns the streams it opens.
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

// What of a request a rule looks at. Each is scanned by itself: `^` and `$` are its ends. A part
// that a request does not have is not fed, and no pattern matches it, not even an empty one.
enum class Subject : std::uint8_t {
  kMethod,  // case matters (RFC 9110 §9.1)
  kHost,    // without its port; the case of letters never matters, whatever the rule says
  kPath,    // the request target as it came, with its query
  kHeader,  // the value of one field line, without the white space around it
  kBody,    // the content, without the framing of chunks
};

enum class Action : std::uint8_t {
  kPool,  // the pool of this index answers
  kDeny,  // an error of this status answers
  kTag,   // marks the request, and later rules go on to decide
};

struct Rule {
  std::string name;
  Subject subject = Subject::kPath;
  std::string header;   // with kHeader: its name, in any case
  std::string pattern;  // PCRE's syntax, as far as Hyperscan takes it; it may match empty text
  bool caseless = false;
  Action action = Action::kPool;
  std::uint32_t pool = 0;      // with kPool
  std::uint16_t status = 403;  // with kDeny
  std::uint32_t line = 0;      // of the pattern in its file, for messages
};

inline constexpr std::size_t kMaxRules = 65'535;

class RuleSet {
 public:
  // Pre: 1..kMaxRules rules. `cache_dir`: where compiled databases are kept (match/cache.h); empty:
  // nowhere. A cache that cannot be read or written is as good as none; cache_note() says why.
  [[nodiscard]] static Result<RuleSet, CompileError> compile(std::vector<Rule> rules,
                                                             const std::string& cache_dir);

  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }
  [[nodiscard]] const Database& database() const { return *database_; }
  [[nodiscard]] bool looks_at(Subject s) const { return (subjects_ & bit(s)) != 0; }
  // Whether a rule looks at this header; `name` in any case.
  [[nodiscard]] bool looks_at_header(std::string_view name) const;
  [[nodiscard]] bool from_cache() const { return from_cache_; }
  [[nodiscard]] const std::string& cache_note() const { return cache_note_; }  // empty: all well

 private:
  friend class Scan;
  // A part as rules tell them apart: a subject, or one header among those that rules name.
  using Part = std::uint16_t;
  static constexpr Part kFirstHeader = 4;
  static constexpr Part kNoPart = UINT16_MAX;
  static constexpr std::uint32_t kNoRule = UINT32_MAX;

  static constexpr std::uint8_t bit(Subject s) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(s));
  }
  void index_rules();
  [[nodiscard]] Part part_of(Subject subject, std::string_view header) const;

  // What a match costs to judge: small and apart from the rules' texts.
  struct Target {
    Part part = 0;
    bool tag = false;
  };

  std::vector<Rule> rules_;
  std::vector<Target> targets_;                 // by rule
  std::vector<std::string> headers_;            // in lower case, by length; kFirstHeader + index
  std::vector<std::uint32_t> first_of_part_;    // its first rule, or kNoRule
  std::uint32_t first_body_decider_ = kNoRule;  // the first body rule that is no tag
  std::uint64_t header_lengths_ = 0;            // bit n: a name of n octets (63: or more)
  std::unique_ptr<Database> database_;
  std::uint8_t subjects_ = 0;
  bool from_cache_ = false;
  std::string cache_note_;
};

// One request. The rule set (where it is now: it must not move) and the scratch (one a core)
// outlive it. Opens a Hyperscan stream when it is made, closes it when it goes; throws
// std::bad_alloc when there is no memory for it, and allocates nothing after.
class Scan {
 public:
  Scan(const RuleSet& rules, const Scratch& scratch);
  ~Scan();
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  // Forgets what was fed: the next request.
  void restart();

  // One part of the request: begin, any number of feeds, end. Parts may come in any order, a header
  // any number of times. begin() is false when nothing in this part can change verdict() or tags()
  // any more; what is fed of it then is not looked at.
  bool begin(Subject subject, std::string_view header = {});
  void feed(const char* text, std::size_t n);
  void end();

  // The first pool or deny rule in file order that matched so far: an index into rules().
  [[nodiscard]] std::optional<std::uint32_t> verdict() const {
    if (verdict_ == RuleSet::kNoRule) return std::nullopt;
    return verdict_;
  }
  // The tag rules before it (all, where there is no verdict) that matched, in file order; appended.
  void tags(std::vector<std::uint32_t>& out) const;
  // Whether a pool or deny rule on the body that has not matched stands before the verdict: what is
  // still to come of the body could change it.
  [[nodiscard]] bool body_may_decide() const { return rules_.first_body_decider_ < verdict_; }

 private:
  static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void* self);
  [[nodiscard]] bool wanted() const {
    return part_ != RuleSet::kNoPart && rules_.first_of_part_[part_] < verdict_;
  }

  const RuleSet& rules_;
  hs_stream* stream_ = nullptr;
  hs_scratch* scratch_;
  RuleSet::Part part_ = RuleSet::kNoPart;  // being fed
  bool dirty_ = false;                     // the stream has seen text of this part
  bool tagged_ = false;
  std::uint32_t verdict_ = RuleSet::kNoRule;
  std::vector<std::uint64_t> tags_;  // a bit a rule, up to the last tag rule
};

}  // namespace weir::match
