// Weir's connection table, filled with the common workload, and a lookup as a worker makes it.
#pragma once

#include <memory>

#include "base/assert.h"
#include "flow/table.h"
#include "flow_workload.h"

namespace weir::bench {

struct TableSetup {
  explicit TableSetup(FlowWorkload& w)
      : work(w), table(static_cast<std::uint32_t>(w.records.size())) {
    for (std::uint32_t i = 0; i < work.records.size(); ++i) {
      WEIR_ASSERT(table.insert(siphash13(kKey, work.records[i].flow), i));
    }
  }
  // The record, its key confirmed.
  [[nodiscard]] std::uint32_t find(const Lookup& l) const {
    const FlowKey key = flow_of(l.index);
    return table.find(l.hash, [&](std::uint32_t h) { return work.records[h].flow == key; });
  }
  // All buckets, then all records, then all lookups.
  template <class Use>
  void find_burst(const Lookup* burst, Use&& use) const {
    for (unsigned i = 0; i < kBurst; ++i) table.prefetch(burst[i].hash);
    for (unsigned i = 0; i < kBurst; ++i) {
      const std::uint32_t h = table.candidate(burst[i].hash);
      if (h != kNoIndex) __builtin_prefetch(&work.records[h]);
    }
    for (unsigned i = 0; i < kBurst; ++i) use(find(burst[i]));
  }

  FlowWorkload& work;
  flow::Table table;
};

// Kept from one benchmark to the next of the same size: ten million insertions are slow to repeat.
template <class Setup>
Setup& kept_setup(std::uint32_t n) {
  static std::unique_ptr<Setup> kept;
  if (kept == nullptr || kept->work.records.size() != n) {
    kept.reset();
    kept = std::make_unique<Setup>(n);
  }
  return *kept;
}

}  // namespace weir::bench
