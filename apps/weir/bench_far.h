// The server's side of the modes that need no HTTP: sends messages back, reflects bare frames, or
// floods the port with them. In this process or in the one that it started; the same code.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench.h"
#include "bench_task.h"
#include "dpdk/port.h"

namespace weir::app {

enum class FarTask : std::uint8_t { kEcho, kReflect, kFlood };

// As one word of an order, and back.
[[nodiscard]] std::string_view word_of(FarTask t);
[[nodiscard]] std::optional<FarTask> parse_far_task(std::string_view word);

class FarSide {
 public:
  FarSide(dpdk::Eal& eal, unsigned worker, dpdk::Port& port) : port_(port), task_(eal, worker) {}

  // The error is one line. Throws std::bad_alloc.
  [[nodiscard]] std::optional<std::string> begin(FarTask t, const BenchConfig& c, bool yields);
  // Of the task that runs, as of now; none: it hangs.
  [[nodiscard]] std::optional<SideFigures> figures();
  void end();

 private:
  dpdk::Port& port_;
  std::unique_ptr<EchoLoop<EchoServer>> echo_;
  BenchTask task_;  // after what it runs
};

}  // namespace weir::app
