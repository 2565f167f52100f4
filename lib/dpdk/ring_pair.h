// Ports made of rings in this process: "ring:NAME" is a loop, "ring:NAME/a" and "ring:NAME/b" are
// the two ends of a wire. An mbuf crosses as it is, so both ends must be closed together.
#pragma once

#include <string>

struct rte_device;

namespace weir::dpdk {

// Makes the port named by `target` (NAME, NAME/a, NAME/b). A ring holds `slots` frames, at least
// 1,024; the end that comes first decides. Returns its id, or -1.
[[nodiscard]] int open_ring_port(const std::string& target, unsigned queues, unsigned slots);
// After the port is closed: frees what waits for nobody, and the rings with the last end.
void close_ring_port(const std::string& target);

}  // namespace weir::dpdk
