#include "dpdk/cycles.h"

#include <rte_cycles.h>

namespace weir::dpdk {

std::uint64_t cycles() {
  return rte_rdtsc();
}

std::uint64_t cycles_hz() {
  return rte_get_tsc_hz();
}

}  // namespace weir::dpdk
