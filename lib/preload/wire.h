// Where a stack thread's frames come from and go to: a port, or a test's other end.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace weir::preload {

class Wire {
 public:
  virtual ~Wire() = default;
  static constexpr std::size_t kBurst = 64;
  // Up to kBurst frames that have come; each is valid until the next call. With so many there may
  // be more, of which event_fd() does not tell again.
  virtual std::span<const std::span<const std::byte>> receive() = 0;
  virtual void send(std::span<const std::byte> frame) = 0;
  virtual void flush() = 0;  // what was sent goes out
  // Readable when frames have come; -1 when it has to be asked.
  [[nodiscard]] virtual int event_fd() const = 0;
};

}  // namespace weir::preload
