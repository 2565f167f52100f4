// A driver of a stack in virtual time: the Driver of socket/worker.h over a simulated wire.
//
// Turns TxPackets into octets, checksums in software, and cuts what is longer than its MSS as a
// port with TSO would. Asserts what a stack owes its port: no frame beyond the MTU, no segment
// whose payload is not there. Frames that arrive wait, by value, until rx_burst puts each into a
// block of its own. Owns its receive queue; the blocks are the pool's.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/buf.h"
#include "base/time.h"
#include "sim/block_pool.h"
#include "sim/event_loop.h"
#include "sim/link.h"
#include "sim/pcap_writer.h"
#include "tcp/core.h"

namespace weir::sim {

class SimDriver {
 public:
  // `mtu` in IP octets. `loop` and `pool` outlive the driver.
  SimDriver(EventLoop& loop, BlockPool& pool, Sink wire, std::uint16_t mtu = 1500)
      : loop_(loop), pool_(pool), wire_(std::move(wire)), mtu_(mtu) {}
  ~SimDriver();
  SimDriver(const SimDriver&) = delete;
  SimDriver& operator=(const SimDriver&) = delete;

  // What Worker calls.
  [[nodiscard]] Instant now() const { return loop_.now(); }
  unsigned rx_burst(std::span<Buf*> out);
  void transmit(std::span<const tcp::TxPacket> packets, BufChain frames,
                telemetry::Counters& counters);
  void hand_over(std::span<const tcp::HandOver> frames, telemetry::Counters& counters);
  void release(BufChain chain) { pool_.give(std::move(chain)); }

  // What the wire calls.
  void deliver(Octets&& frame) { rx_.push_back(std::move(frame)); }

  [[nodiscard]] bool has_frames() const { return !rx_.empty() || !handed_.empty(); }
  // Puts a received TCP frame into blocks of this many octets behind the first, which holds the
  // headers, as a port with small buffers would (and no more than some 30); 0: each in one block.
  void set_scatter(std::uint32_t piece) { scatter_ = piece; }
  void set_capture(PcapWriter* capture) { capture_ = capture; }  // null: none
  // The drivers of all shards of one port, by number; all of one pool.
  void set_shards(std::vector<SimDriver*> shards) { shards_ = std::move(shards); }
  [[nodiscard]] std::uint64_t rx_no_block() const { return rx_no_block_; }

 private:
  void send_packet(const tcp::TxPacket& packet, telemetry::Counters& counters);
  void put_on_wire(Octets&& frame, telemetry::Counters& counters);
  [[nodiscard]] std::uint8_t scarcity() const;
  [[nodiscard]] Buf* to_blocks(const Octets& frame);

  EventLoop& loop_;
  BlockPool& pool_;
  Sink wire_;
  std::uint16_t mtu_;
  std::deque<Octets> rx_;
  std::deque<Buf*> handed_;  // from other shards
  std::vector<SimDriver*> shards_;
  PcapWriter* capture_ = nullptr;
  std::uint32_t scatter_ = 0;
  std::uint64_t rx_no_block_ = 0;  // frames lost as the pool was empty
};

}  // namespace weir::sim
