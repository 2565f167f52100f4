// The file of `weir load --csv`: a header, then a row for every interval. Its columns are in
// docs/load.md; scripts/plot draws it.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "load_config.h"
#include "sample.h"

namespace weir::app {

[[nodiscard]] std::string load_csv_header();
// `target`: the rate that was asked for at the end of the interval; none: a closed loop.
[[nodiscard]] std::string load_csv_row(const LoadConfig& config, std::optional<double> target,
                                       const Sample& before, const Sample& now);

class LoadCsv {
 public:
  // `config` outlives it.
  explicit LoadCsv(const LoadConfig& config) : config_(config) {}
  // Makes the file, or empties it. One line where that fails.
  [[nodiscard]] std::optional<std::string> open();
  // After a rate was set by hand.
  void set_target(double per_second) { target_ = per_second; }
  // One line where the file takes no more; from then on it does nothing.
  // A row of less than `least` is left out.
  [[nodiscard]] std::optional<std::string> add(const Sample& now, Duration least = {});

 private:
  [[nodiscard]] std::optional<std::string> write(const std::string& line);
  struct Close {
    void operator()(std::FILE* f) const { (void)std::fclose(f); }
  };
  const LoadConfig& config_;
  std::optional<double> target_;
  Sample last_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace weir::app
