// A Host on a thread of its own, as in a program, whose wire is the other end's stack: 10.0.0.2 is
// the program's, 10.0.0.1 the peer's. Real time; every wait ends by itself.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "preload/channel.h"
#include "preload/host.h"

namespace weir::preload::test {

inline constexpr int kPatience = 10'000;  // ms, that only a hang takes

[[nodiscard]] sockaddr_storage address(const char* ip, std::uint16_t port);
inline constexpr const char* kProgram = "10.0.0.2";
inline constexpr const char* kPeerIp = "10.0.0.1";

// An Ethernet stack at `ip`/24.
[[nodiscard]] weir_stack* make_stack(const char* ip, std::uint8_t mac);

// The peer: a stack whose calls take its lock; it moves when the Host's thread looks at the wire.
class PeerWire final : public Wire {
 public:
  PeerWire() : stack_(make_stack(kPeerIp, 1)) {}
  ~PeerWire() override { weir_stack_destroy(stack_); }
  PeerWire(const PeerWire&) = delete;
  PeerWire& operator=(const PeerWire&) = delete;

  std::span<const std::span<const std::byte>> receive() override;
  void send(std::span<const std::byte> frame) override;
  void flush() override {}
  [[nodiscard]] int event_fd() const override { return -1; }
  // Called with the peer's stack, on the Host's thread, after each look.
  void at_each_look(std::function<void(weir_stack*)> f) {
    const std::lock_guard lock(mutex_);
    at_look_ = std::move(f);
  }

  // The next FIN from the Host gets lost.
  void lose_fin() {
    const std::lock_guard lock(mutex_);
    lose_fin_ = true;
  }

  // f(stack), alone.
  template <class F>
  auto with(F&& f) {
    const std::lock_guard lock(mutex_);
    (void)weir_stack_advance(stack_, Host::clock_us());
    return f(stack_);
  }
  // Until f(stack) is true, or time is over.
  template <class F>
  bool until(F&& f) {
    for (int i = 0; i < kPatience; ++i) {
      if (with(f)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

 private:
  std::mutex mutex_;
  std::function<void(weir_stack*)> at_look_;
  bool lose_fin_ = false;
  weir_stack* stack_;
  std::vector<std::vector<std::byte>> frames_;
  std::vector<std::span<const std::byte>> spans_;
};

class HostTest : public ::testing::Test {
 protected:
  explicit HostTest(bool shared = false);
  ~HostTest() override;

  // -- The program's side, by requests as lib/preload makes them
  std::uint64_t open(const char* ip, std::uint16_t port,
                     int* error = nullptr);                                 // bound, if ip is set
  int listen(std::uint64_t id, int backlog = 8);                            // a gate, or -1
  int connect(std::uint64_t id, std::uint16_t port, int* error = nullptr);  // a stand-in
  int accept(int gate, ShortAddress* peer = nullptr);                       // blocks
  int option(std::uint64_t id, int level, int name, int* error = nullptr);
  int set_option(std::uint64_t id, int level, int name, const void* value, std::uint32_t size);
  // -- The peer's
  int peer_listens(std::uint16_t port);
  int peer_connects(std::uint16_t port);
  int peer_accepts(int listener);                      // waits
  std::string peer_reads(int fd, std::size_t octets);  // waits; shorter at the end of text
  bool peer_ready(int fd, std::uint32_t events);       // waits
  // A program and a peer, connected.
  struct Both {
    int fd = -1, peer = -1;
    std::uint64_t id = 0;
  };
  Both connected(std::uint16_t port);

  void finish();  // the program ends; returns when the thread has

  PeerWire wire_;
  weir_stack* stack_;
  std::uint64_t token_;
  std::string key_;  // of the Siblings, if it is shared
  Siblings siblings_;
  std::unique_ptr<Host> host_;
  std::thread thread_;
};

// While it lives, `free` more descriptors can be had, and no others.
class FewDescriptors {
 public:
  explicit FewDescriptors(unsigned free);
  ~FewDescriptors();
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit was_{};
};

// What poll says within the time, of these events.
[[nodiscard]] short ready(int fd, short events, int ms = kPatience);
[[nodiscard]] std::string read_all(int fd, std::size_t octets);

}  // namespace weir::preload::test
