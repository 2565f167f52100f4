// Stands in for config_http.cc in a build without Hyperscan or llhttp.
#include "config_tables.h"

namespace weir::app {

void attach_rules(Config& config, std::size_t index, const std::string&,
                  const std::vector<std::string>&, const std::optional<std::string>&,
                  std::vector<bool>&, Problem& problem) {
  if (config.lb.listeners[index].mode != lb::Mode::kHttp) return;
  problem.report("listener[" + std::to_string(index) +
                 "].mode = \"http\": this weir was built without Hyperscan or llhttp; use \"tcp\"");
}

}  // namespace weir::app
