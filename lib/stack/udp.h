// What a program sees of UDP (RFC 768, RFC 1122 §4.1) on a stack: the types of Stack's udp_ calls.
//
// A socket is bound to an address and port, and may be connected to one remote: then it hears that
// one alone, and of ICMP errors about what it sent there. TCP's ports are another space: both may
// use one number. Owns nothing; datagrams that were received are on loan until they are released.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/addr.h"
#include "base/buf.h"
#include "base/time.h"

namespace weir::stack {

struct UdpId {
  std::uint32_t index = 0xffff'ffffU;
  std::uint32_t generation = 0;
  friend constexpr bool operator==(UdpId, UdpId) = default;
};

// Which ICMP errors a socket is told of.
enum class UdpErrors : std::uint8_t {
  kHard,       // connected, and of those that Linux tells without IP_RECVERR
  kConnected,  // connected: all of them (RFC 1122 §4.1.3.3)
  kAll,        // connected or not: all of them (IP_RECVERR)
};

struct UdpOptions {
  // Both sockets of an address and port must say so. With reuse_addr the one that was bound last
  // gets what comes; with reuse_port each flow goes to one of them.
  bool reuse_addr = false;
  bool reuse_port = false;
  // Of a socket on ::, IPV6_V6ONLY: takes no IPv4. None: as tcp::Config::bindv6only says.
  std::optional<bool> v6_only = std::nullopt;
  std::uint32_t rcvbuf = 0;  // octets that may wait, with the buffers they lie in; 0: rmem_default
  UdpErrors errors = UdpErrors::kConnected;
  bool broadcast = false;  // SO_BROADCAST: may send to broadcast addresses
};

// Why a datagram was not sent, or what an ICMP error said of an earlier one.
enum class UdpError : std::uint8_t {
  kNone,
  kBadSocket,      // EBADF: closed, or never bound
  kWouldBlock,     // EAGAIN: too many in this iteration; kUdpWritable follows in the next
  kNoBuffers,      // ENOBUFS
  kTooLong,        // EMSGSIZE: beyond UDP's limit or the path's MTU (Weir makes no fragments)
  kNoDestination,  // EDESTADDRREQ: not connected, and no `to`
  kInvalid,        // EINVAL: to port 0 or the unspecified address
  kNotPermitted,   // EACCES: a broadcast address without UdpOptions::broadcast; ICMPv6: prohibited
  kAddressNotLocal,  // EADDRNOTAVAIL: `source` is no usable address of this stack
  kNetUnreachable,   // ENETUNREACH: no route here or, by ICMP, on the way
  kHostUnreachable,  // EHOSTUNREACH: the next hop does not answer, or ICMP
  kRefused,          // ECONNREFUSED: port unreachable
  kNoProtocol,       // ENOPROTOOPT: protocol unreachable
  kProtocol,         // EPROTO: parameter problem, or an ICMPv6 code that is not known
  kNotSupported,     // EOPNOTSUPP: a source route failed
  kHostDown,         // EHOSTDOWN: the destination host is not known
  kIsolated,         // ENONET: the source host is isolated
};
[[nodiscard]] std::string_view to_string(UdpError e);

enum UdpEvent : std::uint16_t {
  kUdpReadable = 1,  // a datagram came: an edge, told once however many did
  kUdpWritable = 2,  // after kWouldBlock
  kUdpError = 4,     // see udp_take_error
};

struct UdpReady {
  UdpId socket;
  std::uint16_t events = 0;  // UdpEvent
};

// How one datagram goes; what is left out is as the socket has it.
struct UdpSend {
  std::optional<Endpoint> to;
  std::optional<IpAddr> source;     // one of this stack's addresses (IP_PKTINFO)
  std::optional<std::uint8_t> tos;  // DSCP and ECN
  std::optional<std::uint8_t> ttl;
};

struct Datagram {
  Endpoint from, to;
  BufChain text;  // on loan; empty when the datagram is
  std::uint8_t tos = 0, ttl = 0;
  Instant at;  // of its arrival
};

// One that still waits.
struct DatagramView {
  Endpoint from, to;
  const Buf* text = nullptr;  // linked by Buf::next; null when it is empty
  std::uint32_t len = 0;      // octets of it
  std::uint8_t tos = 0, ttl = 0;
  Instant at;
};

struct UdpStats {
  UdpId socket;
  std::uint64_t user = 0;
  Endpoint local;
  std::optional<Endpoint> remote;
  std::uint32_t datagrams = 0;  // that wait to be received
  std::uint32_t octets = 0;     // of their text
  std::uint32_t charged = 0;    // the same with buffers: what rcvbuf limits
  std::uint32_t rcvbuf = 0;
  std::uint64_t drops = 0;  // datagrams that found no room
  std::uint16_t mtu = 0;    // IP octets that the path takes, as far as is known (IP_MTU)
};

}  // namespace weir::stack
