// Where DPDK's log goes: the last lines are kept in memory, for the one-line errors of this module.
#pragma once

#include <string>

namespace weir::dpdk::eal_log {

void install(bool verbose);  // before rte_eal_init; verbose: to stderr as well
void forget();               // drops the lines kept
// The last two lines since `forget`, joined: the driver's if it said anything, else the EAL's;
// `otherwise` when there is none.
[[nodiscard]] std::string said(const char* otherwise);

void keep_start();  // what was said since `forget` is of the EAL's start
// The first line of the start: the cause, where a device that was named was not taken. Empty: none.
[[nodiscard]] std::string said_at_start();

}  // namespace weir::dpdk::eal_log
