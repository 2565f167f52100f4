#include "config_rules.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string_view>
#include <utility>

#include "text_file.h"
#include "toml_reader.h"

namespace weir::app {
namespace {

constexpr std::string_view kHeaderPrefix = "header:";
constexpr std::size_t kMaxHeaderName = 128;
constexpr const char* kMatchChoice =
    R"(write "host", "path", "method", "body" or "header:NAME", as in "header:user-agent")";
constexpr const char* kActionChoice =
    R"(write "pool NAME", "deny STATUS" with a status in 400..599, or "tag")";

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// RFC 9110 §5.6.2
bool is_token(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
    return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// The name goes into a header field and into counters.
bool is_name(std::string_view s) {
  return !s.empty() && s.size() <= kMaxRuleName && std::all_of(s.begin(), s.end(), [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == '.';
  });
}

struct Reader {
  const std::vector<std::string>& pools;
  Problem& problem;
  std::vector<match::Rule> rules;
  std::set<std::string, std::less<>> names;

  void read_rule(const toml::table& table, std::size_t index);
  void read_name(TableReader& t, match::Rule& rule);
  void read_match(TableReader& t, match::Rule& rule);
  void read_pattern(TableReader& t, match::Rule& rule);
  void read_action(TableReader& t, match::Rule& rule);
  void pool_action(TableReader& t, std::string_view name, match::Rule& rule);
};

void Reader::read_name(TableReader& t, match::Rule& rule) {
  if (!t.string("name", rule.name)) return t.missing("name", "name = \"admin\"");
  if (!is_name(rule.name)) {
    return t.report("name", "not a name; write 1.." + std::to_string(kMaxRuleName) +
                                " letters, digits, \"-\", \"_\" and \".\"");
  }
  if (!names.insert(rule.name).second) t.report("name", "two rules bear it; rename one");
}

void Reader::read_match(TableReader& t, match::Rule& rule) {
  std::string what;
  if (!t.string("match", what)) return t.missing("match", "match = \"path\"");
  static const std::vector<std::pair<std::string_view, match::Subject>> kSubjects = {
      {"host", match::Subject::kHost},
      {"path", match::Subject::kPath},
      {"method", match::Subject::kMethod},
      {"body", match::Subject::kBody}};
  for (const auto& [word, subject] : kSubjects) {
    if (what != word) continue;
    rule.subject = subject;
    return;
  }
  if (!what.starts_with(kHeaderPrefix)) {
    return t.report("match", std::string("not a part of a request; ") + kMatchChoice);
  }
  rule.subject = match::Subject::kHeader;
  rule.header = what.substr(kHeaderPrefix.size());
  if (!is_token(rule.header) || rule.header.size() > kMaxHeaderName) {
    t.report("match", "not a header's name; write 1.." + std::to_string(kMaxHeaderName) +
                          " characters of a token, as in \"header:user-agent\"");
  }
}

void Reader::read_pattern(TableReader& t, match::Rule& rule) {
  if (!t.string("pattern", rule.pattern)) return t.missing("pattern", "pattern = '^/api/'");
  t.boolean("caseless", rule.caseless);
  if (problem.any()) return;
  if (rule.pattern.size() > kMaxPatternBytes) {
    return t.report("pattern", std::to_string(rule.pattern.size()) + " octets, more than " +
                                   std::to_string(kMaxPatternBytes) + "; split it into rules");
  }
  rule.line = t.node("pattern")->source().begin.line;
  if (const auto why = match::check({.expression = rule.pattern, .caseless = rule.caseless})) {
    t.report("pattern", "Hyperscan: " + *why);
  }
}

void Reader::pool_action(TableReader& t, std::string_view name, match::Rule& rule) {
  const auto found = std::find(pools.begin(), pools.end(), name);
  if (found != pools.end()) {
    rule.action = match::Action::kPool;
    rule.pool = static_cast<std::uint32_t>(found - pools.begin());
    return;
  }
  constexpr std::size_t kShown = 8;
  std::string known;
  for (std::size_t i = 0; i < std::min(pools.size(), kShown); ++i) {
    known += (i == 0 ? " " : ", ") + printable(pools[i], 32);
  }
  if (pools.size() > kShown) known += ", ...";
  const auto near = nearest(name, pools);
  t.report("action", "no such pool; " + (near ? "did you mean \"pool " + *near + "\"? " : "") +
                         "the pools are" + (known.empty() ? " none" : known));
}

void Reader::read_action(TableReader& t, match::Rule& rule) {
  std::string text;
  if (!t.string("action", text)) return t.missing("action", "action = \"pool NAME\"");
  if (text == "tag") {
    rule.action = match::Action::kTag;
  } else if (text.starts_with("pool ")) {
    pool_action(t, std::string_view(text).substr(5), rule);
  } else if (text.starts_with("deny ")) {
    const std::string_view status = std::string_view(text).substr(5);
    const bool number = status.size() == 3 && std::all_of(status.begin(), status.end(), [](char c) {
                          return c >= '0' && c <= '9';
                        });
    const int value = number ? std::atoi(std::string(status).c_str()) : 0;
    if (value < 400 || value > 599) {
      return t.report("action", "not a status in 400..599; 403 says Forbidden");
    }
    rule.action = match::Action::kDeny;
    rule.status = static_cast<std::uint16_t>(value);
  } else {
    t.report("action", std::string("not an action; ") + kActionChoice);
  }
}

void Reader::read_rule(const toml::table& table, std::size_t index) {
  // Messages call the rule by its name, where it has one.
  const auto name = table["name"].value<std::string>();
  const std::string path =
      name && is_name(*name) ? "rule \"" + *name + "\"" : "rule[" + std::to_string(index) + "]";
  TableReader t(&table, path, problem);
  match::Rule rule;
  read_name(t, rule);
  if (!problem.any()) read_match(t, rule);
  if (!problem.any()) read_action(t, rule);
  if (!problem.any()) read_pattern(t, rule);
  t.finish();
  rules.push_back(std::move(rule));
}

void read_rules(const toml::table& root, Reader& reader) {
  TableReader t(&root, "", reader.problem);
  const toml::array* list = t.array("rule", "a table [[rule]]");
  t.finish();
  if (reader.problem.any()) return;
  if (list == nullptr || list->empty()) {
    return reader.problem.report(
        "[[rule]]: missing; write one with name, match, pattern and action");
  }
  if (list->size() > match::kMaxRules) {
    return reader.problem.report(std::to_string(list->size()) + " rules, more than " +
                                 std::to_string(match::kMaxRules) + "; join some by \"|\"");
  }
  reader.rules.reserve(list->size());
  for (std::size_t i = 0; i < list->size() && !reader.problem.any(); ++i) {
    const toml::table* rule = list->get(i)->as_table();
    if (rule == nullptr) {
      return reader.problem.report(list->get(i)->source(),
                                   "rule[" + std::to_string(i) + "]: not a table; write [[rule]]");
    }
    reader.read_rule(*rule, i);
  }
}

}  // namespace

Result<std::vector<match::Rule>, std::string> parse_rules(const std::string& text,
                                                          const std::string& path,
                                                          const std::vector<std::string>& pools) {
  Problem problem(path);
  if (!plausible_text(text, kMaxRulesBytes, problem)) return problem.line();
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    problem.report(parsed.error().source(), std::string(parsed.error().description()));
    return problem.line();
  }
  Reader reader{.pools = pools, .problem = problem, .rules = {}, .names = {}};
  read_rules(parsed.table(), reader);
  if (problem.any()) return problem.line();
  return std::move(reader.rules);
}

Result<std::vector<match::Rule>, std::string> load_rules(const std::string& path,
                                                         const std::vector<std::string>& pools) {
  Problem problem(path);
  const auto text = read_text_file(path, kMaxRulesBytes, problem);
  if (!text) return problem.line();
  return parse_rules(*text, path, pools);
}

Result<match::RuleSet, std::string> compile_rules(std::vector<match::Rule> rules,
                                                  const std::string& path,
                                                  const std::string& cache_dir) {
  std::vector<std::pair<std::string, std::uint32_t>> places;  // the set takes the rules
  places.reserve(rules.size());
  for (const match::Rule& r : rules) places.emplace_back(r.name, r.line);
  auto set = match::RuleSet::compile(std::move(rules), cache_dir);
  if (set) return std::move(set.value());
  const match::CompileError& why = set.error();
  Problem problem(path);
  if (why.pattern) {
    toml::source_region where;
    where.begin.line = places[*why.pattern].second;
    problem.report(where,
                   "rule \"" + places[*why.pattern].first + "\".pattern: Hyperscan: " + why.reason);
  } else {
    problem.report("the rules together: Hyperscan: " + why.reason);
  }
  return problem.line();
}

std::string default_rules_cache() {
  const char* home = std::getenv("XDG_CACHE_HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/weir";
  return "/var/cache/weir";
}

}  // namespace weir::app
