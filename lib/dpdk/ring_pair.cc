#include "dpdk/ring_pair.h"

#include <rte_common.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <map>
#include <vector>

namespace weir::dpdk {
namespace {

constexpr unsigned kLeastSlots = 1'024;

struct Wire {
  std::vector<rte_ring*> to_a, to_b;  // one a queue; a loop uses to_a both ways
  unsigned ends = 0;
};

// Control plane only, one thread.
std::map<std::string, Wire>& wires() {
  static std::map<std::string, Wire> w;
  return w;
}

bool extend(std::vector<rte_ring*>& rings, const std::string& prefix, unsigned queues,
            unsigned slots) {
  const unsigned size = rte_align32pow2(std::max(slots, kLeastSlots));
  while (rings.size() < queues) {
    const std::string name = prefix + std::to_string(rings.size());
    rte_ring* const r =
        rte_ring_create(name.c_str(), size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (r == nullptr) return false;
    rings.push_back(r);
  }
  return true;
}

void drain(rte_ring* r) {
  void* m = nullptr;
  while (rte_ring_sc_dequeue(r, &m) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(m));
}

std::string wire_name(const std::string& target) {
  return target.substr(0, target.find('/'));
}
char side_of(const std::string& target) {
  return target.find('/') == std::string::npos ? '\0' : target.back();
}

}  // namespace

int open_ring_port(const std::string& target, unsigned queues, unsigned slots) {
  const std::string name = wire_name(target);
  const char side = side_of(target);
  Wire& w = wires()[name];
  ++w.ends;
  if (!extend(w.to_a, "weir_" + name + "_a", queues, slots) ||
      !extend(w.to_b, "weir_" + name + "_b", queues, slots)) {
    close_ring_port(target);
    return -1;
  }
  std::vector<rte_ring*>& rx = side == 'b' ? w.to_b : w.to_a;
  std::vector<rte_ring*>& tx = side == 'a' ? w.to_b : w.to_a;
  const std::string port = "weir_" + name + (side == '\0' ? "" : std::string("_") + side);
  const int id = rte_eth_from_rings(port.c_str(), rx.data(), queues, tx.data(), queues, 0);
  if (id < 0) close_ring_port(target);
  return id;
}

void close_ring_port(const std::string& target) {
  const auto it = wires().find(wire_name(target));
  if (it == wires().end()) return;
  Wire& w = it->second;
  // What this end sent and nobody took is of this end's pools.
  for (rte_ring* r : side_of(target) == 'a' ? w.to_b : w.to_a) drain(r);
  if (--w.ends > 0) return;
  for (std::vector<rte_ring*>* rings : {&w.to_a, &w.to_b}) {
    for (rte_ring* r : *rings) {
      drain(r);
      rte_ring_free(r);
    }
  }
  wires().erase(it);
}

}  // namespace weir::dpdk
