// One worker's share of a port: the driver of its stack (the concept `Driver` of socket/worker.h).
//
// Belongs to a Port and is used by one thread at a time. Received Bufs belong to the caller until
// they come back through release, transmit (frames) or hand_over.
#pragma once

#include <cstdint>
#include <span>

#include "base/buf.h"
#include "base/time.h"
#include "tcp/core.h"
#include "telemetry/counters.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

namespace weir::dpdk {

// What the port does by itself; the rest is done here in software.
struct Offloads {
  bool rx_checksum = false;
  bool tx_ip_checksum = false;
  bool tx_tcp_checksum = false;
  bool multi_seg = false;      // frames of several mbufs; without it payload is copied
  std::uint16_t max_segs = 1;  // mbufs a frame, header included
  std::uint32_t tso_max = 0;   // octets of text a frame; 0: no TSO
};

class Queue {
 public:
  // What a Port tells its queues. Pools and rings belong to the Port.
  struct Setup {
    std::uint16_t port_id = 0;
    std::uint16_t index = 0;  // of the worker, and of the transmit queue
    bool receives = false;    // false: the port has fewer receive queues than workers
    Offloads offloads;
    rte_mempool* payload = nullptr;
    rte_mempool* header = nullptr;
    rte_mempool* indirect = nullptr;
    std::span<rte_ring* const> inboxes;  // one a worker: frames from the others
  };
  explicit Queue(const Setup& setup) : s_(setup) {}

  // The system's monotonic clock, in microseconds: the same for all workers.
  [[nodiscard]] static Instant now();

  // Frames handed over by other workers first, then the port's. Pre: at most 64 asked for.
  unsigned rx_burst(std::span<Buf*> out);

  // Headers are written into fresh mbufs; text is attached where the port gathers, else copied, and
  // its octets are never written to. Frames are given to the port as they are.
  void transmit(std::span<const tcp::TxPacket> packets, BufChain frames, telemetry::Counters& c);

  // Frames of flows that other workers own, to their inboxes.
  void hand_over(std::span<const tcp::HandOver> frames, telemetry::Counters& c);

  void release(BufChain chain);  // back to their pools

  [[nodiscard]] BufSource source();  // fresh Bufs for the stack's own text; valid as long as this

 private:
  struct TxBurst;
  static unsigned take(void* self, Buf** out, unsigned n);
  unsigned rx_port(std::span<Buf*> out);
  [[nodiscard]] std::uint8_t scarcity(rte_mempool* pool, unsigned received);
  Buf* to_bufs(rte_mbuf* m) const;
  unsigned take_headers(std::span<rte_mbuf*> out);
  bool build(rte_mbuf* m, const tcp::TxPacket& p);
  bool add_text(rte_mbuf* m, const tcp::TxSegment& seg, std::byte* tcp, bool sums);
  bool add_copied(rte_mbuf* head, const tcp::TxSegment& seg);
  bool add_attached(rte_mbuf* head, const tcp::TxSegment& seg);
  [[nodiscard]] bool must_copy(const tcp::TxSegment& seg) const;
  static void pad(rte_mbuf* m);
  void add(TxBurst& burst, rte_mbuf* m, telemetry::Counters& c);
  void flush(TxBurst& burst, telemetry::Counters& c);

  Setup s_;
  unsigned most_free_ = 0;   // buffers of the receive pool
  unsigned look_after_ = 0;  // frames
};

}  // namespace weir::dpdk
