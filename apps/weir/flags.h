// Flags that stand for keys of the config: `--rate 1000` is `load.rate = 1000`. They are checked
// where the file's keys are.
#pragma once

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

#include "config.h"

namespace weir::app {

using FlagValues = std::map<std::string, std::vector<std::string>>;  // by key

void add_flags(CLI::App& command, Command which, FlagValues& values);
[[nodiscard]] std::string toml_of(const FlagValues& values);

}  // namespace weir::app
