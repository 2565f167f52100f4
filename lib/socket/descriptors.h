// The sockets of one embedded stack by their numbers: the lowest free one first, as POSIX says.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace weir::posix {

struct Watch;
struct Descriptor;
void forget_watches_of(Descriptor& d);  // epoll.cc

enum class Kind : std::uint8_t { kTcp, kUdp, kEpoll };

// What every descriptor has. What it is says `kind`: whoever asks casts.
struct Descriptor {
  explicit Descriptor(Kind k) : kind(k) {}
  virtual ~Descriptor() {
    if (!watchers.empty()) forget_watches_of(*this);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  Kind kind;
  bool nonblock = false, cloexec = false;
  int fd = -1;
  int family = 0;                // AF_INET, AF_INET6; 0: no socket
  std::uint64_t user = 0;        // weir_set_user
  std::uint64_t cookie = 0;      // SO_COOKIE; 0: nobody has asked yet
  std::vector<Watch*> watchers;  // of the epolls that watch it, which own them
};

// Whether one of the first `octets` of these pieces lies at a null pointer (calls.cc).
[[nodiscard]] bool nowhere_within(std::span<const iovec> pieces, std::size_t octets);

class Descriptors {
 public:
  // Numbers first .. first + most - 1.
  Descriptors(std::uint32_t first, std::uint32_t most) : first_(first), most_(most) {}

  // Gives `d` a number and owns it from here on; null, and `d` as it was, when all are in use.
  Descriptor* add(std::unique_ptr<Descriptor>& d);
  [[nodiscard]] bool full() const { return count_ == most_; }
  [[nodiscard]] Descriptor* find(int fd) const {
    const auto at = static_cast<std::size_t>(fd) - first_;  // one below first_ is far beyond
    return fd < 0 || at >= slots_.size() ? nullptr : slots_[at].get();
  }
  // Out of the table, its number free again; null when there is none.
  std::unique_ptr<Descriptor> remove(int fd);

  // By place, to go through all: null where a number is free.
  [[nodiscard]] std::size_t slots() const { return slots_.size(); }
  [[nodiscard]] const Descriptor* at(std::size_t slot) const { return slots_[slot].get(); }

  [[nodiscard]] std::uint32_t count() const { return count_; }
  template <class Fn>
  void each(Fn&& fn) const {
    for (const auto& d : slots_) {
      if (d != nullptr) fn(*d);
    }
  }

 private:
  std::uint32_t first_, most_;
  std::uint32_t count_ = 0;
  std::size_t lowest_ = 0;  // no slot below it is free
  std::vector<std::unique_ptr<Descriptor>> slots_;
};

}  // namespace weir::posix
