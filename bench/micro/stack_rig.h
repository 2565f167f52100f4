// One Stack without a port, for benchmarks: frames go in as octets in blocks, decisions come out.
//
// Blocks are taken from and given back to a fixed stack of them, so that what is measured is the
// Stack and not an allocator; their checksums count as verified by the port, and remote hosts stand
// behind one gateway. Only run() takes time that counts; making frames and looking at what came
// out does not. Time is virtual.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "meter.h"
#include "stack/stack.h"
#include "wire/frame.h"

namespace weir::bench {

inline constexpr unsigned kFrames = 32;  // of one burst

class FramePool {
 public:
  static constexpr std::uint32_t kRoom = 2'048;

  explicit FramePool(std::uint32_t blocks);
  [[nodiscard]] Buf* take();  // null when none is left
  void give(Buf* b);
  void give(BufChain&& chain);
  [[nodiscard]] BufSource source();
  [[nodiscard]] std::size_t out() const { return size_ - free_.size(); }

 private:
  struct alignas(64) Block {
    Buf buf;  // first: a Buf's address is its block's
    alignas(64) std::array<std::byte, kRoom> octets;
  };
  std::unique_ptr<Block[]> blocks_;
  std::size_t size_;
  std::vector<Block*> free_;
};

// A remote end of one connection.
struct Remote {
  FlowKey flow;  // as the stack sees it
  Seq snd_nxt{5'000}, rcv_nxt;
  std::uint32_t ts_ecr = 0;
  stack::ConnId conn;
};

class StackRig {
 public:
  struct Sizes {
    std::uint32_t connections = 1'024;
    std::uint32_t half_open = 4'096;
  };
  explicit StackRig(const Sizes& sizes);

  // The flow of remote host and port number `i`, to the one listener; no two alike below 2^30.
  [[nodiscard]] static FlowKey flow(std::uint32_t i);

  // Adds a frame to the burst.
  void add(const Remote& from, unsigned flags, std::uint32_t text = 0);
  // One iteration over the burst as a worker makes it, events and text to a user who reads
  // everything. The ticks it took; what came out stands in tx() until settle().
  std::uint64_t run();
  [[nodiscard]] std::span<const tcp::TxPacket> tx() const { return stack_->tx_packets(); }
  [[nodiscard]] const std::vector<stack::ConnId>& accepted() const { return accepted_; }
  void settle();  // clears the above, answers ARP, moves the clock

  void establish(std::vector<Remote>& remotes);  // the handshake of each, accepted

  stack::Stack& stack() { return *stack_; }
  [[nodiscard]] std::uint64_t read() const { return read_; }  // octets of text
  [[nodiscard]] std::size_t blocks_out() const { return pool_.out(); }
  Duration step = 5us;  // of the clock, a burst

 private:
  void meet_gateway();
  void handle_events();

  FramePool pool_;
  Instant now_{1'000s};
  std::unique_ptr<stack::Stack> stack_;
  std::array<Buf*, kFrames> burst_{};
  unsigned count_ = 0;
  std::uint64_t read_ = 0;
  std::vector<stack::ConnId> accepted_;
};

}  // namespace weir::bench
