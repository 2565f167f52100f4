// Whose a datagram is (RFC 1122 §4.1.3.5-6), ports nobody can guess (RFC 6056 §3.3.1), and queues.
#include "stack/udp_sockets.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/assert.h"

namespace weir::stack {

UdpSockets::UdpSockets(std::uint32_t sockets, std::uint32_t datagrams, const Ports& ports,
                       const SipKey& key)
    : sockets_(sockets),
      nodes_(datagrams),
      generations_(sockets),
      unconnected_(kBuckets, kNoIndex),
      connected_(kBuckets, kNoIndex),
      by_flow_(kBuckets, kNoIndex),
      ports_(ports),
      low_(ports.low),
      high_(ports.high),
      key_(key) {}

void UdpSockets::set_range(std::uint16_t low, std::uint16_t high) {
  if (ports_.shards > 1) {
    low = std::max(low, ports_.low);
    high = std::min(high, ports_.high);
  }
  const bool none = low > high;
  low_ = none ? ports_.low : low;
  high_ = none ? ports_.high : high;
}

// -- Bound and connected ---------------------------------------------------------------------

// Whether one of them could be sent what the other is bound for.
bool UdpSockets::overlap(const UdpSocket& s, const IpAddr& addr, bool v6_only) {
  const IpAddr& other = s.flow.local;
  const auto takes_v4 = [](const IpAddr& a, bool only6) {
    return a.is_v4() || (a == IpAddr{} && !only6);
  };
  const bool both4 = takes_v4(other, s.v6_only) && takes_v4(addr, v6_only);
  const bool both6 = !other.is_v4() && !addr.is_v4();
  if (!both4 && !both6) return false;
  return other.is_unspecified() || addr.is_unspecified() || other == addr;
}

bool UdpSockets::conflicts(const Endpoint& local, const UdpOptions& options, bool v6_only) const {
  for (const Buckets* table : {&unconnected_, &connected_}) {
    std::uint32_t i = (*table)[bucket_of(local.port)];
    for (; i != kNoIndex; i = sockets_[i].port_next) {
      const UdpSocket& s = sockets_[i];
      if (s.flow.local_port != local.port || !overlap(s, local.addr, v6_only)) continue;
      const bool shared =
          (s.reuse_addr && options.reuse_addr) || (s.reuse_port && options.reuse_port);
      if (!shared) return true;
    }
  }
  return false;
}

// A port drawn for each socket anew: who has seen one must not know the next, as a resolver's
// questions are kept from forged answers by little else (RFC 5452 §9.2).
//= RFC6056 3.3-udp
std::optional<std::uint16_t> UdpSockets::choose_port(const IpAddr& addr, bool v6_only) {
  const std::uint64_t draw = siphash24(key_, std::as_bytes(std::span{&draws_, 1}));
  ++draws_;
  const std::uint32_t range = high_ - low_ + 1U;
  auto at = static_cast<std::uint32_t>(draw % range);
  for (std::uint32_t tried = 0; tried < range; ++tried, at = at + 1 == range ? 0 : at + 1) {
    const auto port = static_cast<std::uint16_t>(low_ + at);
    if (port % ports_.shards != ports_.shard) continue;
    if (!conflicts({addr, port}, {}, v6_only)) return port;
  }
  return std::nullopt;
}

std::uint32_t UdpSockets::add(const Endpoint& local, const UdpOptions& options, bool v6_only) {
  const std::uint32_t index = sockets_.take();
  if (index == kNoIndex) return kNoIndex;
  UdpSocket& s = *::new (sockets_.slot(index)) UdpSocket;
  ++generations_[index];
  s.bound = local;
  s.flow.local = local.addr;
  s.flow.local_port = local.port;
  s.reuse_addr = options.reuse_addr;
  s.reuse_port = options.reuse_port;
  s.rcvbuf = options.rcvbuf;
  s.errors = options.errors;
  s.broadcast = options.broadcast;
  s.v6_only = v6_only;
  std::uint32_t& head = unconnected_[bucket_of(local.port)];
  s.port_next = std::exchange(head, index);
  return index;
}

void UdpSockets::unlink(std::uint32_t& head, std::uint32_t UdpSocket::*next, std::uint32_t index) {
  std::uint32_t* link = &head;
  while (*link != index) {
    WEIR_ASSERT(*link != kNoIndex);
    link = &(sockets_[*link].*next);
  }
  *link = sockets_[index].*next;
}

// Pre: `flow` is not only one address family's wildcard.
void UdpSockets::connect(std::uint32_t index, const FlowKey& flow, std::uint64_t hash) {
  disconnect(index);
  UdpSocket& s = sockets_[index];
  const unsigned bucket = bucket_of(s.flow.local_port);
  unlink(unconnected_[bucket], &UdpSocket::port_next, index);
  s.port_next = std::exchange(connected_[bucket], index);
  s.flow = flow;
  s.hash = hash;
  s.connected = true;
  s.flow_next = std::exchange(by_flow_[bucket_of(hash)], index);
}

// What came before stays to be received, as Linux has it.
void UdpSockets::disconnect(std::uint32_t index) {
  UdpSocket& s = sockets_[index];
  if (!s.connected) return;
  const unsigned bucket = bucket_of(s.flow.local_port);
  unlink(by_flow_[bucket_of(s.hash)], &UdpSocket::flow_next, index);
  unlink(connected_[bucket], &UdpSocket::port_next, index);
  s.port_next = std::exchange(unconnected_[bucket], index);
  s.flow = {s.bound.addr, {}, s.bound.port, 0};
  s.connected = false;
  s.mtu = 0;
}

void UdpSockets::remove(std::uint32_t index, BufChain& release) {
  disconnect(index);
  UdpSocket& s = sockets_[index];
  unlink(unconnected_[bucket_of(s.flow.local_port)], &UdpSocket::port_next, index);
  while (s.head != kNoIndex) give_back_first(s, release);
  if (s.ready.in) take_out(ready_, &UdpSocket::ready, index);
  if (s.blocked.in) take_out(blocked_, &UdpSocket::blocked, index);
  s.~UdpSocket();
  ++generations_[index];
  sockets_.give(index);
}

// How well an unconnected socket fits: 3 its very address, 2 IPv4's wildcard, 1 that of both; 0 not
// at all.
unsigned UdpSockets::score(const UdpSocket& s, const FlowKey& flow) {
  if (s.flow.local_port != flow.local_port) return 0;
  if (s.flow.local == flow.local) return 3;
  if (s.flow.local == IpAddr{}) return flow.local.is_v4() && s.v6_only ? 0 : 1;
  return s.flow.local.is_unspecified() && flow.local.is_v4() ? 2 : 0;
}

std::uint32_t UdpSockets::find_connected(const FlowKey& flow, std::uint64_t hash) const {
  std::uint32_t i = by_flow_[bucket_of(hash)];
  while (i != kNoIndex && sockets_[i].flow != flow) i = sockets_[i].flow_next;
  return i;
}

std::uint32_t UdpSockets::find(const FlowKey& flow, std::uint64_t hash) const {
  const std::uint32_t connected = find_connected(flow, hash);
  if (connected != kNoIndex) return connected;
  std::uint32_t best = kNoIndex;
  unsigned most = 0;
  for (std::uint32_t i = unconnected_[bucket_of(flow.local_port)]; i != kNoIndex;
       i = sockets_[i].port_next) {
    const unsigned fit = score(sockets_[i], flow);
    if (fit <= most) continue;  // of equals the one that was bound last
    most = fit;
    best = i;
  }
  return best == kNoIndex || !sockets_[best].reuse_port ? best : member(best, flow, hash);
}

// Of the group that shares the address and port of `first`, its front, and takes this family: the
// same one for a flow as long as the group stays the same.
std::uint32_t UdpSockets::member(std::uint32_t first, const FlowKey& flow,
                                 std::uint64_t hash) const {
  const unsigned fit = score(sockets_[first], flow);
  const auto of_group = [&](std::uint32_t i) {
    return sockets_[i].reuse_port && score(sockets_[i], flow) == fit;
  };
  std::uint32_t count = 0;
  for (std::uint32_t i = first; i != kNoIndex; i = sockets_[i].port_next) count += of_group(i);
  auto skip = static_cast<std::uint32_t>((hash >> 40U) % count);
  std::uint32_t i = first;
  while (!of_group(i) || skip-- > 0) i = sockets_[i].port_next;
  return i;
}

const UdpSocket* UdpSockets::get(UdpId id) const {
  if (id.index >= generations_.size() || generations_[id.index] != id.generation) return nullptr;
  return (id.generation & 1U) == 0 ? nullptr : &sockets_[id.index];
}

std::uint32_t UdpSockets::next_alive(std::uint32_t from) const {
  for (; from < sockets_.used(); ++from) {
    if ((generations_[from] & 1U) != 0) return from;
  }
  return kNoIndex;
}

UdpSocket* UdpSockets::get(UdpId id) {
  return const_cast<UdpSocket*>(std::as_const(*this).get(id));
}

// -- Datagrams that wait ---------------------------------------------------------------------

void UdpSockets::push(std::uint32_t index, const WaitingDatagram& d) {
  const std::uint32_t node = nodes_.take();
  WEIR_ASSERT(node != kNoIndex);
  ::new (nodes_.slot(node)) WaitingDatagram(d);
  nodes_[node].next = kNoIndex;
  UdpSocket& s = sockets_[index];
  (s.head == kNoIndex ? s.head : nodes_[s.tail].next) = node;
  s.tail = node;
  ++s.datagrams;
  s.octets += d.len;
  s.charged += d.charge;
  charged_ += d.charge;
}

WaitingDatagram UdpSockets::pop(UdpSocket& s) {
  WEIR_ASSERT(s.head != kNoIndex);
  const WaitingDatagram d = nodes_[s.head];
  nodes_.give(s.head);
  s.head = d.next;
  --s.datagrams;
  s.octets -= d.len;
  s.charged -= d.charge;
  charged_ -= d.charge;
  return d;
}

void UdpSockets::give_back_first(UdpSocket& s, BufChain& release) {
  const WaitingDatagram d = pop(s);
  for (Buf *b = d.text, *next = nullptr; b != nullptr; b = next) {
    next = b->next;
    release.push_back(b);
  }
}

unsigned UdpSockets::give_back_older(Instant than, BufChain& release) {
  unsigned n = 0;
  for (std::uint32_t i = 0; charged_ > 0 && (i = next_alive(i)) != kNoIndex; ++i) {
    UdpSocket& s = sockets_[i];
    for (; s.head != kNoIndex && nodes_[s.head].at < than; ++n) give_back_first(s, release);
  }
  return n;
}

// -- Lists of sockets ------------------------------------------------------------------------

void UdpSockets::append(List& list, UdpLink UdpSocket::*link, std::uint32_t index) {
  UdpLink& l = sockets_[index].*link;
  if (l.in) return;
  l = {list.tail, kNoIndex, true};
  (list.tail == kNoIndex ? list.head : (sockets_[list.tail].*link).next) = index;
  list.tail = index;
}

void UdpSockets::take_out(List& list, UdpLink UdpSocket::*link, std::uint32_t index) {
  UdpLink& l = sockets_[index].*link;
  (l.prev == kNoIndex ? list.head : (sockets_[l.prev].*link).next) = l.next;
  (l.next == kNoIndex ? list.tail : (sockets_[l.next].*link).prev) = l.prev;
  l = {};
}

void UdpSockets::note(std::uint32_t index, UdpEvent event) {
  UdpSocket& s = sockets_[index];
  s.events = static_cast<std::uint16_t>(s.events | event);
  append(ready_, &UdpSocket::ready, index);
}

bool UdpSockets::next_ready(UdpReady& out) {
  const std::uint32_t index = ready_.head;
  if (index == kNoIndex) return false;
  take_out(ready_, &UdpSocket::ready, index);
  out = {id_of(index), std::exchange(sockets_[index].events, std::uint16_t{0})};
  return true;
}

void UdpSockets::block(std::uint32_t index) {
  append(blocked_, &UdpSocket::blocked, index);
}

void UdpSockets::unblock_all() {
  while (blocked_.head != kNoIndex) {
    const std::uint32_t index = blocked_.head;
    take_out(blocked_, &UdpSocket::blocked, index);
    note(index, kUdpWritable);
  }
}

void UdpSockets::check_invariants() const {
  std::uint32_t alive = 0, nodes = 0;
  std::uint64_t charged = 0;
  for (std::uint32_t i = 0; (i = next_alive(i)) != kNoIndex; ++i) {
    ++alive;
    const UdpSocket& s = sockets_[i];
    std::uint32_t n = 0, octets = 0, charge = 0;
    for (std::uint32_t d = s.head; d != kNoIndex; d = nodes_[d].next, ++n) {
      octets += nodes_[d].len;
      charge += nodes_[d].charge;
    }
    WEIR_ASSERT(n == s.datagrams && octets == s.octets && charge == s.charged);
    WEIR_ASSERT(s.flow.local_port != 0 && (s.events == 0 || s.ready.in));
    WEIR_ASSERT(s.connected == (s.flow.remote_port != 0));
    if (s.connected) WEIR_ASSERT(find_connected(s.flow, s.hash) != kNoIndex);
    nodes += n;
    charged += charge;
  }
  WEIR_ASSERT(alive == sockets_.size() && nodes == nodes_.size() && charged == charged_);
}

}  // namespace weir::stack
