// What sets one command apart from another once its config is read: its handler, what it says when
// it is ready, its lines and its exit code. Everything else is run.cc, the same for all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "load_csv.h"
#include "rate_finder.h"
#include "sample.h"
#include "shard.h"

namespace weir::app {

struct ShardSetup {
  dpdk::Queue& queue;
  const stack::Config& stack;
  const stack::Secrets& secrets;
  dpdk::IdleConfig idle;
};

// What a summary is of: rates of what was measured, from `first` to `last`; errors of all, to
// `end`, which is after the drain.
struct Measured {
  const Sample& first;
  const Sample& last;
  const Sample& end;
};

class Program {
 public:
  Program() = default;
  virtual ~Program() = default;
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Throws std::bad_alloc.
  [[nodiscard]] virtual std::unique_ptr<Shard> make_shard(const ShardSetup& setup) const = 0;
  [[nodiscard]] virtual std::vector<Endpoint> listens_on() const { return {}; }
  // "listening on 10.99.0.10:80", and the same as members of a JSON object.
  [[nodiscard]] virtual std::string announcement() const = 0;
  [[nodiscard]] virtual std::string announcement_json() const = 0;
  // One line for what happened between two samples.
  [[nodiscard]] virtual std::string line(const Sample& before, const Sample& now, bool json) const;
  // One line if JSON; ends with a newline.
  [[nodiscard]] virtual std::string summary(const Measured& span, bool json) const;
  [[nodiscard]] virtual Duration warmup() const { return Duration::zero(); }
  // It begins things by itself, and is not to begin before the port has a link.
  [[nodiscard]] virtual bool needs_link() const { return false; }
  // It may come to an end by itself, before a signal or the end of its time.
  [[nodiscard]] virtual bool may_finish() const { return false; }
  // A search that sets the rate, and a file of rows; null: none.
  [[nodiscard]] virtual RateFinder* finder() { return nullptr; }
  [[nodiscard]] virtual LoadCsv* csv() { return nullptr; }
  // False: the exit code says that there were errors.
  [[nodiscard]] virtual bool went_well(const Sample&) const { return true; }
};

// `config` outlives it.
[[nodiscard]] std::unique_ptr<Program> make_program(const Config& config);

}  // namespace weir::app
