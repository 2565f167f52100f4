// What a program and the stack thread say to each other (README.md): requests of one packet each
// over a UNIX socket, and the name that every stand-in carries.
//
// Both sides are built together and run on one host: octets as they lie in memory.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::preload {

enum class Op : std::uint32_t {
  kOpen,       // family, options, address to bind (or none) -> id
  kListen,     // id, argument: the backlog -> a gate
  kConnect,    // id, address -> a stand-in that is writable once it is connected
  kSetOption,  // id, level, name, data
  kGetOption,  // id, level, name, argument: room -> data
  kAbandon,    // id: opened, and neither listening nor connected
  kLocal,      // id -> address
  kOutQueue,   // id, name: SIOCOUTQ or SIOCOUTQNSD -> data: an int
  kFinish,     // the program ends: sends what is left, closes all, ends the thread
};

inline constexpr std::size_t kMaxData = 2'048;

struct Request {
  Op op{};
  std::uint32_t family = 0;
  std::uint64_t id = 0;
  std::int32_t level = 0, name = 0;
  std::int32_t argument = 0;
  socklen_t address_length = 0;
  sockaddr_storage address{};
  std::uint32_t size = 0;  // of data
  std::array<std::byte, kMaxData> data{};
};

struct Reply {
  std::int32_t error = 0;  // an errno
  std::uint64_t id = 0;
  socklen_t address_length = 0;
  sockaddr_storage address{};
  std::uint32_t size = 0;
  std::array<std::byte, kMaxData> data{};
};

// One option in Request::data, `size` octets behind it, the next at a multiple of four.
struct OptionHead {
  std::int32_t level, name;
  std::uint32_t size;
};

// An address in a name: of sockaddr_in or sockaddr_in6, or none (family 0).
struct ShortAddress {
  std::uint16_t family = 0;
  std::uint16_t port = 0;  // network order
  std::array<std::uint8_t, 16> octets{};
  std::uint32_t scope = 0;
};

enum class Kind : std::uint32_t { kStream, kGate };

// The abstract name that the program's end of a stand-in is bound to. It goes where the descriptor
// goes: through dup, fork, exec and SCM_RIGHTS.
struct Name {
  std::uint64_t stack = 0;  // which stack thread
  std::uint64_t id = 0;     // which of its sockets
  Kind kind = Kind::kStream;
  ShortAddress local, peer;
};

// What comes with a connection through a gate, beside its descriptor.
struct Arrival {
  ShortAddress peer;
};

[[nodiscard]] ShortAddress shorten(const sockaddr_storage& address);
// Its length; 0 when there is none.
socklen_t lengthen(const ShortAddress& address, sockaddr_storage& out);

// sockaddr_un of a name, and of a stack thread's door: the length.
socklen_t write_name(const Name& name, sockaddr_storage& out);
[[nodiscard]] bool read_name(const sockaddr_storage& address, socklen_t length, Name& name);
socklen_t write_door(std::uint64_t stack, sockaddr_storage& out);

// A message to a UNIX socket, with the descriptor `fd` unless that is -1. False: errno says why,
// and EAGAIN that there is no room.
[[nodiscard]] bool send_with(int to, const void* data, std::size_t size, int fd);

// Whether a process of this user could as well trace this one: the stack listens to no other.
[[nodiscard]] bool may_trace(uid_t user);

}  // namespace weir::preload
