// Stacks of a program's other processes on the same TAP: which of them a frame reaches the kernel
// chooses by a hash, and it chooses anew when one comes or goes. What is another's is passed on.
//
// Each holds a slot, a UNIX datagram socket with a name of its own in this network namespace. A
// frame that a stack knows nothing of goes from slot to slot, until one knows or the last one
// answers it; what all must hear (answers to ARP and neighbour solicitations) goes to each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir::preload {

class Siblings {
 public:
  static constexpr unsigned kSlots = 16;
  static constexpr std::size_t kMaxFrame = 65'600;  // of any size

  ~Siblings();
  Siblings() = default;
  Siblings(const Siblings&) = delete;
  Siblings& operator=(const Siblings&) = delete;

  // Takes the lowest free slot of those who say `key`: the port and its addresses. False: none is
  // left, or errno says what is wrong.
  [[nodiscard]] bool join(std::string_view key);
  [[nodiscard]] unsigned slot() const { return slot_; }
  [[nodiscard]] int fd() const { return fd_; }

  // A frame that is for none of this stack's connections; `visited`: a bit for each slot that has
  // said so, this one's included. False: nobody is left to ask. One whose queue is full loses it,
  // as a link does: whose it is nobody else may say.
  bool pass_on(std::span<const std::byte> frame, std::uint32_t visited, std::uint64_t now_us);
  // To every other.
  void tell_all(std::span<const std::byte> frame, std::uint64_t now_us);

  struct Passed {
    std::span<const std::byte> frame;  // empty: nothing has come. Valid until the next call
    std::uint32_t visited = 0;         // kEverybody: nobody else is to be asked
  };
  static constexpr std::uint32_t kEverybody = ~std::uint32_t{0};
  // From processes that may trace this one; what others send is dropped (protocol.h's may_trace).
  [[nodiscard]] Passed take();

  // Whether all stacks of a link must hear this frame.
  [[nodiscard]] static bool concerns_all(std::span<const std::byte> frame);

 private:
  bool send(unsigned slot, std::span<const std::byte> frame, std::uint32_t visited) const;
  void look_around(std::uint64_t now_us);
  [[nodiscard]] long receive();  // as recv; 0: it does not count

  std::uint64_t key_ = 0;
  unsigned slot_ = 0;
  int fd_ = -1;
  std::uint32_t others_ = 0;  // a bit for each slot that was there when it was looked for last
  std::uint64_t looked_us_ = 0;
  std::array<std::byte, kMaxFrame + sizeof(std::uint32_t)> room_;
};

// The part of the range of local ports that the stack of a slot takes, so that two never connect
// from the same one: the first has the lower half, each of the others a part of the upper.
struct PortRange {
  std::uint16_t low, high;
};
[[nodiscard]] PortRange share_of(PortRange all, unsigned slot);

}  // namespace weir::preload
