#include "bench_far.h"

#include <array>

#include "bench_bare.h"
#include "bench_setup.h"
#include "entropy.h"

namespace weir::app {
namespace {

constexpr std::array<std::string_view, 3> kWords = {"echo", "reflect", "flood"};

}  // namespace

std::string_view word_of(FarTask t) {
  return kWords[static_cast<std::size_t>(t)];
}

std::optional<FarTask> parse_far_task(std::string_view word) {
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    if (kWords[i] == word) return static_cast<FarTask>(i);
  }
  return std::nullopt;
}

std::optional<std::string> FarSide::begin(FarTask t, const BenchConfig& c, bool yields) {
  end();
  dpdk::Queue& queue = port_.queue(0);
  switch (t) {
    case FarTask::kReflect:
      task_.begin([&queue, yields](const auto& stop) { reflect(queue, yields, stop); });
      return std::nullopt;
    case FarTask::kFlood:
      task_.begin([&queue, n = full_frame(port_)](const auto& stop) { flood(queue, n, stop); });
      return std::nullopt;
    case FarTask::kEcho:
      break;
  }
  stack::Secrets secrets;
  if (!draw_secrets(secrets)) return "getrandom gives nothing; refusing to start";
  echo_ = std::make_unique<EchoLoop<EchoServer>>(queue, bench_stack(c, BenchSide::kServer, port_),
                                                 secrets, bench_echo(c), c.stages);
  if (!echo_->handler().start()) return "the server cannot listen";
  task_.begin([this, yields](const auto& stop) { echo_->run(yields, stop); });
  return std::nullopt;
}

std::optional<SideFigures> FarSide::figures() {
  return echo_ ? echo_->figures() : SideFigures{};
}

void FarSide::end() {
  task_.end();
  echo_.reset();
}

}  // namespace weir::app
