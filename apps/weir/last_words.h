// What a process says before a signal ends it: every signal that would, and still leaves it running
// code, has each shard reset its connections first, so that no peer waits for one that is gone.
//
// Works with what a signal handler may do: stores to atomics, sleeping, and packets through a port
// that is polled. Bounded in time; a second fault on the way ends the process at once. The exit
// status and the core dump are those of the signal.
#pragma once

#include <memory>
#include <vector>

#include "shard.h"

namespace weir::app {

// `shards` stay where they are, and run, until disarm. From one thread.
void arm_last_words(const std::vector<std::unique_ptr<Shard>>& shards);
void disarm_last_words();

// First on each thread that runs a shard, and with null on others: whose work a fault there breaks
// off, and a stack for the handler, as the thread's own may be what has run out.
void enter_thread(Shard* shard);

}  // namespace weir::app
