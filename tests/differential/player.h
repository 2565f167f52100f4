// Plays a program on one kind of sockets.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "call.h"
#include "sockets.h"

namespace weir::differential {

class Player {
 public:
  // The seed's own ports are `first_port` and those that follow.
  Player(Sockets& sockets, std::uint16_t first_port) : s_(sockets), first_port_(first_port) {
    fds_.fill(-1);
  }
  ~Player();
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  Outcome play(const Call& c);
  // TCP's state of the socket in a slot by Linux's number; 0 for none, -1 for a datagram socket.
  [[nodiscard]] int state_of(int slot);

 private:
  void perform(const Call& c, Outcome& o);
  void streams(const Call& c, Outcome& o);
  void receive(const Call& c, Outcome& o);
  void send(const Call& c, Outcome& o);
  std::vector<unsigned char> control_of(int which) const;
  void names(const Call& c, Outcome& o);
  void options(const Call& c, Outcome& o);
  void flags(const Call& c, Outcome& o);
  void readiness(const Call& c, Outcome& o);
  void epolls(const Call& c, Outcome& o);

  void keep(int slot, int fd);
  void settle();
  [[nodiscard]] int in_flight(int fd);
  void look(Outcome& o);
  socklen_t address(const Call& c, sockaddr_storage& out);
  [[nodiscard]] std::uint16_t port_of(const Port& p);
  [[nodiscard]] std::string name(const sockaddr_storage& a, socklen_t given, socklen_t told);
  [[nodiscard]] std::string port_text(std::uint16_t port);
  [[nodiscard]] int fd(int slot) const { return fds_[static_cast<std::size_t>(slot)]; }

  Sockets& s_;
  std::uint16_t first_port_;
  std::array<int, kSlots> fds_{};
  std::map<std::uint16_t, int> chosen_;  // ports that were chosen for us, in the order seen
  std::vector<unsigned char> buffer_;
  unsigned calls_ = 0;
  bool closed_open_ = false;
};

// SIGPIPE of this thread is counted, not fatal. Once, before any player.
void count_sigpipe();

}  // namespace weir::differential
