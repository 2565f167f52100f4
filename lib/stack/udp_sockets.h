// The UDP sockets of one stack: who is bound where, whose a datagram is, what waits to be received.
//
// Tables and lists only: knows no wire, no routes, no clock. Fixed in size; nothing is allocated
// once it is made. Sockets are found by their 4-tuple where they are connected, else by their port,
// the most specific address first. The hash of a flow is the caller's and keyed; the lists by port
// hold what this host's programs bound. Owns the buffers of the datagrams that wait, and gives them
// back through the chain that a call takes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/addr.h"
#include "base/buf.h"
#include "base/siphash.h"
#include "base/slab.h"
#include "base/time.h"
#include "stack/udp.h"

namespace weir::stack {

// A datagram that waits in a socket's queue.
struct WaitingDatagram {
  Endpoint from, to;
  Instant at;
  Buf* text = nullptr;  // its views, cut to the text
  std::uint32_t len = 0;
  std::uint32_t charge = 0;  // octets with buffers
  std::uint32_t next = kNoIndex;
  std::uint8_t tos = 0, ttl = 0;
};

struct UdpLink {  // of a list that a socket may be in
  std::uint32_t prev = kNoIndex, next = kNoIndex;
  bool in = false;
};

struct UdpSocket {
  Endpoint bound;  // as it was bound, the port chosen
  FlowKey flow;    // what it is now; the remote only when connected
  std::uint64_t hash = 0;
  std::uint64_t user = 0;
  std::uint64_t drops = 0;
  Instant mtu_until = kNever;
  std::uint32_t port_next = kNoIndex, flow_next = kNoIndex;
  std::uint32_t head = kNoIndex, tail = kNoIndex;  // datagrams, the oldest first
  std::uint32_t datagrams = 0, octets = 0, charged = 0, rcvbuf = 0;
  UdpLink ready, blocked;
  std::uint16_t events = 0;
  std::uint16_t mtu = 0;          // of the path, where ICMP told of less than the link's; else 0
  std::uint8_t tos = 0, ttl = 0;  // ttl 0: as the Config says
  UdpError error = UdpError::kNone;
  UdpErrors errors = UdpErrors::kConnected;
  bool reuse_addr = false, reuse_port = false, v6_only = false, connected = false;
  bool broadcast = false;
};

class UdpSockets {
 public:
  // Where ephemeral ports lie. With several shards each takes those whose remainder is its number,
  // so that what comes back to one finds the shard it belongs to.
  struct Ports {
    std::uint16_t low = 0, high = 0;
    std::uint16_t shard = 0, shards = 1;
  };

  UdpSockets(std::uint32_t sockets, std::uint32_t datagrams, const Ports& ports, const SipKey& key);

  // -- Bound and connected
  // A socket on `local`, its port chosen when 0 (RFC 6056 §3.3.1). kNoIndex when there is no room;
  // see conflicts() and choose_port() for the rest. Pre: nothing conflicts.
  std::uint32_t add(const Endpoint& local, const UdpOptions& options, bool v6_only);
  [[nodiscard]] bool conflicts(const Endpoint& local, const UdpOptions& options,
                               bool v6_only) const;
  // One that is free on `addr`.
  [[nodiscard]] std::optional<std::uint16_t> choose_port(const IpAddr& addr, bool v6_only);
  void connect(std::uint32_t index, const FlowKey& flow, std::uint64_t hash);
  void disconnect(std::uint32_t index);
  void remove(std::uint32_t index, BufChain& release);
  // The socket for what comes on `flow`; kNoIndex when there is none.
  [[nodiscard]] std::uint32_t find(const FlowKey& flow, std::uint64_t hash) const;
  [[nodiscard]] std::uint32_t find_connected(const FlowKey& flow, std::uint64_t hash) const;
  [[nodiscard]] UdpSocket* get(UdpId id);
  [[nodiscard]] const UdpSocket* get(UdpId id) const;
  [[nodiscard]] UdpId id_of(std::uint32_t index) const { return {index, generations_[index]}; }
  UdpSocket& operator[](std::uint32_t index) { return sockets_[index]; }
  const UdpSocket& operator[](std::uint32_t index) const { return sockets_[index]; }
  // The first that is open from that record on; kNoIndex when there is none.
  [[nodiscard]] std::uint32_t next_alive(std::uint32_t from) const;

  // -- Datagrams that wait
  [[nodiscard]] bool has_node() const { return !nodes_.full(); }
  void push(std::uint32_t index, const WaitingDatagram& d);  // Pre: has_node()
  [[nodiscard]] const WaitingDatagram* front(const UdpSocket& s) const {
    return s.head == kNoIndex ? nullptr : &nodes_[s.head];
  }
  WaitingDatagram pop(UdpSocket& s);  // Pre: front() is there
  // What came before that instant, of all sockets; how many that were.
  unsigned give_back_older(Instant than, BufChain& release);
  [[nodiscard]] std::uint64_t charged() const { return charged_; }  // of all sockets

  // -- Sockets with something to tell; sockets that wait for room to send
  void note(std::uint32_t index, UdpEvent event);
  [[nodiscard]] bool next_ready(UdpReady& out);
  [[nodiscard]] bool any_ready() const { return ready_.head != kNoIndex; }
  void block(std::uint32_t index);
  [[nodiscard]] bool any_blocked() const { return blocked_.head != kNoIndex; }
  void unblock_all();  // each becomes writable

  [[nodiscard]] std::uint32_t size() const { return sockets_.size(); }
  [[nodiscard]] bool full() const { return sockets_.full(); }
  // What choose_port draws from here on. With several shards only what was ephemeral from the
  // beginning: whose a port is must not change under those who have one. If that is nothing, all of
  // it.
  void set_range(std::uint16_t low, std::uint16_t high);
  [[nodiscard]] bool is_ephemeral(std::uint16_t port) const {  // of the range it was made with
    return port >= ports_.low && port <= ports_.high;
  }
  void check_invariants() const;  // walks everything: for tests

 private:
  static constexpr unsigned kBuckets = 1'024;
  using Buckets = std::vector<std::uint32_t>;  // heads of lists through port_next or flow_next
  struct List {
    std::uint32_t head = kNoIndex, tail = kNoIndex;
  };

  [[nodiscard]] static unsigned bucket_of(std::uint16_t port) { return port % kBuckets; }
  [[nodiscard]] static unsigned bucket_of(std::uint64_t hash) {
    return static_cast<unsigned>(hash >> 20U) % kBuckets;
  }
  [[nodiscard]] static bool overlap(const UdpSocket& s, const IpAddr& addr, bool v6_only);
  [[nodiscard]] static unsigned score(const UdpSocket& s, const FlowKey& flow);
  [[nodiscard]] std::uint32_t member(std::uint32_t first, const FlowKey& flow,
                                     std::uint64_t hash) const;
  void give_back_first(UdpSocket& s, BufChain& release);
  void unlink(std::uint32_t& head, std::uint32_t UdpSocket::*next, std::uint32_t index);
  void append(List& list, UdpLink UdpSocket::*link, std::uint32_t index);
  void take_out(List& list, UdpLink UdpSocket::*link, std::uint32_t index);

  Slab<UdpSocket> sockets_;
  Slab<WaitingDatagram> nodes_;
  std::vector<std::uint32_t> generations_;  // odd while alive
  Buckets unconnected_, connected_, by_flow_;
  List ready_, blocked_;
  Ports ports_;
  std::uint16_t low_, high_;  // of these, what choose_port draws from
  SipKey key_;
  std::uint64_t draws_ = 0;
  std::uint64_t charged_ = 0;
};

}  // namespace weir::stack
