// The command line of `weir bench`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "bench.h"
#include "bench_memory.h"
#include "bench_time_wait.h"

namespace weir::app {

class BenchFlags {
 public:
  explicit BenchFlags(CLI::App& app);

  [[nodiscard]] bool parsed() const { return command_->parsed(); }
  // The exit code; a bad command line is one line on stderr and 2.
  [[nodiscard]] int execute();

 private:
  void add_mode(BenchMode mode, const char* name, const char* about);

  void add_messages(BenchMode mode, const char* name, const char* about);
  void add_common(CLI::App& mode);
  void add_memory();
  void add_time_wait();

  CLI::App* command_;
  CLI::App* memory_command_ = nullptr;
  CLI::App* time_wait_command_ = nullptr;
  BenchConfig config_;
  MemoryConfig memory_;
  TimeWaitConfig time_wait_;
  double seconds_ = 2;
  std::string role_, close_, profile_;
};

}  // namespace weir::app
