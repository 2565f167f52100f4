// `weir run`: a program that nobody rebuilt, with its sockets on Weir. Checks what can be checked,
// then becomes that program with lib/preload in front of its libc.
#pragma once

#include <string>
#include <vector>

#include "config.h"

namespace weir::app {

struct RunProgram {
  std::vector<std::string> words;  // the program, and what it is called with
  std::string summary;             // a file that gets a line when a stack ends; empty: none
  bool verbose = false;            // DPDK's own log on stderr
};

// What of a config of `weir run` has no meaning there: one line, or nothing.
[[nodiscard]] std::optional<std::string> refuse_for_program(const Config& config);

// What the library is told: text of lib/preload/settings.h.
[[nodiscard]] std::string program_settings(const Config& config, const RunProgram& run);

// Returns only when it could not become that program: one line of why.
[[nodiscard]] std::string run_program(const Config& config, const RunProgram& run);

}  // namespace weir::app
