// The rules file of an HTTP listener: [[rule]] tables turned into checked rules, and those into a
// compiled set, or one line that says what is wrong. Opens that file and the folder of compiled
// sets, starts nothing. Present only where Hyperscan is.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "match/rules.h"

namespace weir::app {

inline constexpr std::size_t kMaxRulesBytes = std::size_t{16} << 20U;
inline constexpr std::size_t kMaxPatternBytes = 4'096;
inline constexpr std::size_t kMaxRuleName = 64;

// `pools`: names by index, what `action = "pool NAME"` may name. Every pattern is one that
// Hyperscan takes. The error is as load_config()'s: "FILE:LINE: rule "x".pattern = ...: what;
// cure".
[[nodiscard]] Result<std::vector<match::Rule>, std::string> load_rules(
    const std::string& path, const std::vector<std::string>& pools);
// The same from text in memory; `path` is for messages.
[[nodiscard]] Result<std::vector<match::Rule>, std::string> parse_rules(
    const std::string& text, const std::string& path, const std::vector<std::string>& pools);

// The set of these rules, from `cache_dir` if it is there ("": no cache). May take seconds when it
// is not. `path` is for messages.
[[nodiscard]] Result<match::RuleSet, std::string> compile_rules(std::vector<match::Rule> rules,
                                                                const std::string& path,
                                                                const std::string& cache_dir);

// Where compiled sets are kept unless the config says otherwise: $XDG_CACHE_HOME/weir if that is
// set to an absolute path, else /var/cache/weir.
[[nodiscard]] std::string default_rules_cache();

}  // namespace weir::app
