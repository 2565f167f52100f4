// Sockets that a program has made and that are nobody's yet: neither bound nor connected where it
// shows whether they are Weir's, or Weir's but listening with no stack started so far.
//
// The kernel's socket stands for them. By inode, so that descriptors may come and go unseen; what
// is gone is found out when its number or its inode comes again.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::preload {

struct Watch {
  int epfd;
  epoll_event event;
};

struct Waiting {
  std::uint64_t inode = 0;
  int fd = -1;  // where it was seen last
  int domain = 0;
  bool bound = false;      // to `address`, which the kernel was not told
  bool listening = false;  // with `backlog`, and not at the gate yet
  int backlog = 0;
  sockaddr_storage address{};
  socklen_t length = 0;
  std::uint64_t id = 0;            // of its socket in the stack, if it has one
  bool inherited = false;          // from before a fork: the parent has it too
  std::vector<std::byte> options;  // protocol.h's OptionHead and what follows
  std::vector<Watch> watches;      // epoll's, to be told again
};

// All functions may be called from any thread. A Waiting is used between lock() and unlock().
class WaitingRoom {
 public:
  void lock();
  void unlock();
  void add(int fd, int domain);
  [[nodiscard]] Waiting* find(int fd);  // null when it is none
  void remove(const Waiting& w);
  // Those whose descriptor was closed, with the ids of their sockets in the stack.
  [[nodiscard]] std::vector<std::uint64_t> sweep();
  // Whether it is time for that: inodes do not come again soon, and a program may go on making
  // sockets that it closes as they are.
  [[nodiscard]] bool crowded() const { return count_.load(std::memory_order_relaxed) >= crowd_; }
  // In a child: what its parent opened in the stack is not the child's to let go of.
  void after_fork();
  // Without a lock: whether there is any that listens, or any at all.
  [[nodiscard]] bool any() const { return count_.load(std::memory_order_relaxed) != 0; }
  [[nodiscard]] bool any_listening() const {
    return listening_.load(std::memory_order_relaxed) != 0;
  }
  void listens(Waiting& w, int backlog);

 private:
  static constexpr std::uint32_t kCrowd = 256;
  std::atomic<std::uint32_t> count_{0}, listening_{0};
  std::uint32_t crowd_ = kCrowd;  // twice what the last sweep left
};

[[nodiscard]] WaitingRoom& waiting_room();

}  // namespace weir::preload
