// The command line of `weir bench`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "bench.h"

namespace weir::app {

class BenchFlags {
 public:
  explicit BenchFlags(CLI::App& app);

  [[nodiscard]] bool parsed() const { return command_->parsed(); }
  // The exit code; a bad command line is one line on stderr and 2.
  [[nodiscard]] int execute();

 private:
  void add_mode(BenchMode mode, const char* name, const char* about);

  CLI::App* command_;
  BenchConfig config_;
  double seconds_ = 2;
  std::string role_, close_;
};

}  // namespace weir::app
