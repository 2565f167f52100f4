// The UNIX socket that a program holds in place of a connection: readable, writable, ended and
// broken as the connection is, for the kernel's own read, write, poll and epoll.
//
// Of its two ends the program has one and the stack thread the other, `fd`. In the thread's receive
// queue there is always one octet left, the anchor, which has been handed on already: a UNIX socket
// tells its peer ECONNRESET only when it is closed over octets that were not read. A stand-in whose
// connection is not established yet is filled with padding, for it must not be writable.
#pragma once

#include <cstddef>
#include <span>

#include "preload/protocol.h"

namespace weir::preload {

class StandIn {
 public:
  // Both ends; `filled`: not writable before settle(). The program's end is `theirs`, nonblocking
  // as sockets are made: not. False: errno says why.
  [[nodiscard]] static bool make(const Name& name, bool filled, StandIn& out, int& theirs);

  // Takes the padding out: the connection is established.
  void settle();

  // What the program has written and was not taken yet, into `room`; empty when there is nothing.
  [[nodiscard]] std::span<const std::byte> look(std::span<std::byte> room);
  // Takes `octets` of what look() showed, at least one. `room`: at least as many.
  void take(std::size_t octets, std::span<std::byte> room);
  // The program wrote with MSG_OOB: such text comes in its place, with no mark (RFC 6093 §4).
  void urgent() { marked_ = true; }

  // Octets that the program's end took; -1 with EAGAIN, or EPIPE when nobody can read them.
  [[nodiscard]] long give(std::span<const std::byte> text) const;
  void end_of_text() const;  // the program reads no more than what was given

  // The program's end is told ECONNRESET, and all is over.
  void break_off();
  // The program's end reads to its end, then finds the connection gone.
  void close_down();

  [[nodiscard]] bool unread() const;  // the program has not read all that was given

  int fd = -1;

 private:
  // Reading stops in front of an octet that MSG_OOB marked, though it is to be read as any other.
  bool pass_mark();

  std::size_t padding_ = 0;
  bool marked_ = false;  // such an octet may be there
  bool bare_ = false;    // the anchor was read to get at it: all that is there is text
};

}  // namespace weir::preload
