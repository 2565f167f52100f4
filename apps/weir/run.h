// Runs a command: brings up the EAL, the port and one shard a core, then is the control plane until
// a signal or the end of --duration, drains, and says what happened.
#pragma once

#include <optional>
#include <string>

#include "config.h"

namespace weir::app {

struct RunOptions {
  std::string config_path;  // for messages
  bool stats = false;       // a line every interval even if stdout is no terminal
  bool json = false;
  bool verbose = false;  // DPDK's own log
  std::optional<Duration> duration;
};

// What can be said against the port's device and its memory before anything starts; one line.
[[nodiscard]] std::optional<std::string> check_device_form(const Config& config);

// The exit code: 0; 1 when ended by a second signal or for want of entropy; 2 when it could not
// start, with one line on stderr.
[[nodiscard]] int run(const Config& config, const RunOptions& options);

}  // namespace weir::app
