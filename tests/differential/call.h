// A call of a program under test, with everything it is given; and what came of it. A program names
// its descriptors by slots, its ports by symbols: it is the same on the kernel and on Weir.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace weir::differential {

inline constexpr int kSlots = 8;
inline constexpr int kFixedPorts = 4;
inline constexpr unsigned kControls = 16;  // control messages that sendmsg is given (player.cc)

enum class Op : std::uint8_t {
  kSocket,
  kBind,
  kListen,
  kAccept,
  kConnect,
  kDisconnect,  // connect to AF_UNSPEC
  kRead,
  kReadv,
  kRecv,
  kRecvfrom,
  kRecvmsg,
  kWrite,
  kWritev,
  kSend,
  kSendto,
  kSendmsg,
  kShutdown,
  kClose,
  kGetsockname,
  kGetpeername,
  kGetsockopt,
  kSetsockopt,
  kFlags,     // F_GETFL, F_GETFD
  kBlocking,  // O_NONBLOCK off (fcntl or FIONBIO), told, and on again
  kIoctl,
  kPoll,
  kSelect,
  kEpollCreate,
  kEpollCtl,
  kEpollWait,
  kWait,  // time passes
};

enum class Where : std::uint8_t { kSelf, kAny, kForeign, kMappedSelf, kMappedAny, kOtherFamily };

// A port: one of the seed's own, none, or the local one of a slot.
struct Port {
  enum Kind : std::uint8_t { kFixed, kZero, kOfSlot } kind = kZero;
  int index = 0;
};

struct Call {
  Op op = Op::kWait;
  int slot = 0;    // what it is about
  int other = 0;   // accept, socket: where the result goes; epoll_ctl: the target
  int family = 0;  // of the slot, as the program believes
  int a = 0, b = 0, c = 0;
  Where where = Where::kSelf;
  Port port;
  int length_off = 0;                // of a sockaddr or an option, from what it should be
  bool null = false;                 // the pointer is null
  std::vector<int> lengths;          // of the pieces of text; -1: of 16 octets, at a null pointer
  std::vector<unsigned char> value;  // of setsockopt
  std::array<int, kSlots> masks{};   // poll, select; -1: not asked for
};

// A program: calls from a seed.
std::vector<Call> program_of(std::uint64_t seed, bool ipv6);

[[nodiscard]] std::string text_of(const Call& c);
[[nodiscard]] std::string option_name(int level, int name);
[[nodiscard]] std::string event_bits(std::uint32_t bits);

// What a call gave, and how all that is open stands after it.
struct Outcome {
  long result = 0;
  int error = 0;
  std::string detail;                      // octets, addresses, values
  std::array<std::string, kSlots> ready;   // of each slot: poll's bits, and what it has to read
  [[nodiscard]] std::string text() const;  // the first three
};

}  // namespace weir::differential
