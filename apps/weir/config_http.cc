// The rules of listeners with mode = "http". config_no_http.cc stands in where Hyperscan is not.
#include <memory>
#include <utility>

#include "config_rules.h"
#include "config_tables.h"

namespace weir::app {
namespace {

std::string beside(const std::string& config_path, const std::string& file) {
  if (file.starts_with('/')) return file;
  const std::size_t slash = config_path.rfind('/');
  return slash == std::string::npos ? file : config_path.substr(0, slash + 1) + file;
}

}  // namespace

void attach_rules(Config& config, std::size_t index, const std::string& file,
                  const std::vector<std::string>& pools, const std::optional<std::string>& cache,
                  std::vector<bool>& ruled, Problem& problem) {
  if (file.empty()) return;
  const std::string path = beside(config.path, file);
  auto rules = load_rules(path, pools);
  if (!rules) return problem.adopt(rules.error());
  for (const match::Rule& r : *rules) {
    if (r.action == match::Action::kPool) ruled[r.pool] = true;
  }
  auto set = compile_rules(std::move(*rules), path, cache.value_or(default_rules_cache()));
  if (!set) return problem.adopt(set.error());
  config.lb.listeners[index].rules = std::make_shared<const match::RuleSet>(std::move(set.value()));
}

}  // namespace weir::app
