// UDP (RFC 768, RFC 1122 §4.1): datagrams in and out, and the calls of the user.
#include <algorithm>
#include <cstring>

#include "stack/impl.h"

namespace weir::stack {
namespace {

// A datagram that waits takes its record too, whatever it carries.
std::uint32_t charge_of(const Buf* b) {
  std::uint32_t octets = sizeof(WaitingDatagram);
  for (; b != nullptr; b = b->next) octets += b->len + b->room;
  return octets;
}

BufChain chain_of(Buf* b) {
  BufChain chain;
  for (Buf* next = nullptr; b != nullptr; b = next) {
    next = b->next;
    chain.push_back(b);
  }
  return chain;
}

}  // namespace

std::string_view to_string(UdpError e) {
  switch (e) {
    case UdpError::kNone:
      return "no error";
    case UdpError::kBadSocket:
      return "no such socket";
    case UdpError::kWouldBlock:
      return "no room in this turn";
    case UdpError::kNoBuffers:
      return "no buffers";
    case UdpError::kTooLong:
      return "datagram too long";
    case UdpError::kNoDestination:
      return "no destination";
    case UdpError::kInvalid:
      return "invalid destination";
    case UdpError::kNotPermitted:
      return "not permitted";
    case UdpError::kAddressNotLocal:
      return "address not available";
    case UdpError::kNetUnreachable:
      return "network unreachable";
    case UdpError::kHostUnreachable:
      return "host unreachable";
    case UdpError::kRefused:
      return "connection refused";
    case UdpError::kNoProtocol:
      return "protocol not available";
    case UdpError::kProtocol:
      return "protocol error";
    case UdpError::kNotSupported:
      return "operation not supported";
    case UdpError::kHostDown:
      return "host is down";
    case UdpError::kIsolated:
      return "not on the network";
  }
  return "unknown";
}

// -- In --------------------------------------------------------------------------------------

// An ephemeral port is one shard's, whoever writes to it: a socket that is not connected hears each
// that it wrote to. On the other ports every shard may have a socket; there a flow goes where TCP's
// would.
std::uint16_t Stack::Impl::udp_owner(const FlowKey& flow) const {
  if (config.shards == 1) return config.shard;
  const unsigned place =
      udp.is_ephemeral(flow.local_port) ? flow.local_port : config.rss->queue(flow);
  return static_cast<std::uint16_t>(place % config.shards);
}

bool Stack::Impl::admit_udp(Arrival& a) {
  const wire::Frame& f = a.frame;
  if (f.checksum_pending && !scattered_checksum_ok(a)) {
    counters.udp_in_errors.add();
    return drop(a.buf, counters.drop_udp_checksum), false;
  }
  a.flow = {f.dst, f.src, f.udp.dst_port, f.udp.src_port};
  a.hash = hash_of(a.flow);
  return stays_here(a, udp_owner(a.flow));
}

// Which limit leaves no room for it, if any. One datagram always finds room in its socket, for else
// a small rcvbuf would take none; while buffers are scarce, only what is read at once is kept.
telemetry::Counter* Stack::Impl::no_room_for(const UdpSocket& s, const Buf* b,
                                             std::uint32_t charge) {
  if (s.charged > 0 && s.charged + std::uint64_t{charge} > s.rcvbuf) {
    return &counters.drop_udp_rcvbuf;
  }
  const bool scarce =
      (b->flags & Buf::kLast) != 0 || ((b->flags & Buf::kScarce) != 0 && s.datagrams > 0);
  if (scarce || !udp.has_node() || udp.charged() + charge > config.tcp.udp_mem) {
    return &counters.drop_udp_mem;
  }
  return nullptr;
}

//= RFC768 user
//= RFC1122 4.1.3.5-a
//= RFC1122 4.1.4-b
void Stack::Impl::on_udp(Arrival& a) {
  const std::uint32_t index = udp.find(a.flow, a.hash);
  if (index == kNoIndex) return on_no_socket(a);
  UdpSocket& s = udp[index];
  const std::uint32_t charge = charge_of(a.buf);
  if (telemetry::Counter* const why = no_room_for(s, a.buf, charge)) {
    ++s.drops;
    counters.udp_in_errors.add();
    return drop(a.buf, *why);
  }
  WaitingDatagram d;
  d.from = {a.flow.remote, a.flow.remote_port};
  d.to = {a.flow.local, a.flow.local_port};
  d.at = now;
  d.len = a.frame.payload_len;
  d.charge = charge;
  d.tos = a.frame.tos;
  d.ttl = a.frame.ttl;
  d.text = take_text(a);
  udp.push(index, d);
  udp.note(index, kUdpReadable);
  counters.udp_in_datagrams.add();
}

//= RFC1122 4.1.3.1
void Stack::Impl::on_no_socket(Arrival& a) {
  counters.udp_no_ports.add();
  const bool v4 = a.frame.dst.is_v4();
  //= RFC4443 3.1
  v4 ? send_icmp_error(a, wire::kIcmp4Unreachable, 3, 0, counters.icmp_unreachables_out)
     : send_icmp_error(a, wire::kIcmp6Unreachable, 4, 0, counters.icmp_unreachables_out);
}

// -- Out -------------------------------------------------------------------------------------

// Where it goes and from where; kNone when it can go.
//= RFC1122 4.1.3.5-b
//= RFC1122 4.1.3.6-b
UdpError Stack::Impl::udp_flow(const UdpSocket& s, const UdpSend& how, FlowKey& flow,
                               IpAddr& next_hop) const {
  if (!how.to && !s.connected) return UdpError::kNoDestination;
  flow = {s.flow.local, s.flow.remote, s.flow.local_port, s.flow.remote_port};
  if (how.to) {
    flow.remote = how.to->addr;
    flow.remote_port = how.to->port;
  }
  if (flow.remote_port == 0 || flow.remote.is_unspecified()) return UdpError::kInvalid;
  if (routes.is_broadcast(flow.remote)) {
    if (!s.broadcast) return UdpError::kNotPermitted;
    return broadcast_flow(how, flow);
  }
  const bool v4 = flow.remote.is_v4();
  const bool spoken = flow.local.is_v4() ? v4 : !v4 || (flow.local.is_unspecified() && !s.v6_only);
  const auto route =
      loops(flow) ? std::optional(ip::Route{flow.remote, flow.remote}) : routes.lookup(flow.remote);
  if (!spoken || !route) return UdpError::kNetUnreachable;
  if (flow.local.is_unspecified()) flow.local = route->source;
  if (how.source) flow.local = *how.source;
  if (flow.local.is_v4() != v4 || !routes.is_local(flow.local)) return UdpError::kAddressNotLocal;
  next_hop = route->next_hop;
  return UdpError::kNone;
}

// To all on the link (RFC 1122 §3.3.6): from an address there, or the default one.
UdpError Stack::Impl::broadcast_flow(const UdpSend& how, FlowKey& flow) const {
  if (!flow.local.is_v4() && !flow.local.is_unspecified()) return UdpError::kNetUnreachable;
  if (flow.local.is_unspecified()) {
    const auto source = routes.broadcast_source(flow.remote);
    if (!source) return UdpError::kNetUnreachable;
    flow.local = *source;
  }
  if (how.source) flow.local = *how.source;
  const bool ours = flow.local.is_v4() && routes.is_local(flow.local);
  return ours ? UdpError::kNone : UdpError::kAddressNotLocal;
}

// To its remote: the link's, or what ICMP told of less for as long as that holds.
std::uint16_t Stack::Impl::path_mtu(const UdpSocket& s) const {
  return s.mtu != 0 && now < s.mtu_until ? std::min(config.mtu, s.mtu) : config.mtu;
}

// Octets of text that one datagram of this flow may carry: no fragments are sent.
//= RFC1122 4.1.4-c
std::size_t Stack::Impl::udp_limit(const UdpSocket& s, const FlowKey& flow) const {
  const bool v4 = flow.remote.is_v4();
  const std::size_t most = v4 ? wire::kMaxUdpText4 : wire::kMaxUdpText6;
  if (loops(flow)) return most;
  const std::size_t mtu = flow == s.flow ? path_mtu(s) : config.mtu;
  const std::size_t header = wire::udp_frame_header(v4) - wire::kEthHeader;
  return mtu <= header ? 0 : std::min(most, mtu - header);
}

// The frame of a datagram in as many buffers as it takes; null without them.
Buf* Stack::Impl::make_datagram(Text text, std::size_t len, wire::UdpFrame& f) {
  Buf* const head = take_buf();
  if (head == nullptr) return nullptr;
  const auto header = static_cast<std::uint32_t>(wire::udp_frame_header(f.flow.local.is_v4()));
  WEIR_ASSERT(head->room >= header);
  head->len += header;
  head->room -= header;
  Batch<wire::Piece, 64> pieces;  // 65,507 octets in buffers that hold an ICMP error each
  Buf* to = head;
  std::size_t left = pieces.room() - 1;
  for (std::span<const std::byte> from : text) {
    while (!from.empty()) {
      if (to->room == 0) {
        to->next = left > 0 ? take_buf() : nullptr;
        if (to->next == nullptr) return consume(head), nullptr;
        to = to->next;
        --left;
      }
      const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(from.size(), to->room));
      std::memcpy(to->data + to->len, from.data(), n);
      to->len += n;
      to->room -= n;
      from = from.subspan(n);
    }
  }
  for (const Buf* b = head; b != nullptr; b = b->next) {
    const std::uint32_t skip = b == head ? header : 0;
    pieces.push({b->data + skip, b->len - skip});
  }
  f.payload_len = static_cast<std::uint32_t>(len);
  wire::write_udp_frame({head->data, header}, f, pieces.items());
  return head;
}

//= RFC768 fields
//= RFC1122 4.1.4-a
UdpError Stack::Impl::udp_send(std::uint32_t index, Text text, const UdpSend& how) {
  const UdpSocket& s = udp[index];
  wire::UdpFrame f;
  IpAddr next_hop;
  const UdpError wrong = udp_flow(s, how, f.flow, next_hop);
  if (wrong != UdpError::kNone) return wrong;
  std::size_t len = 0;
  for (const auto& piece : text) len += piece.size();
  if (len > udp_limit(s, f.flow)) return UdpError::kTooLong;
  const bool looping = loops(f.flow);
  // Some room is left to TCP's segments to ourselves, which share it.
  if (looping ? looped.room() <= kTxBatch / 4 : udp_tx >= kTxBatch) {
    udp.block(index);
    return UdpError::kWouldBlock;
  }
  f.src_mac = f.dst_mac = config.mac;
  f.tos = how.tos.value_or(s.tos);
  const std::uint8_t own_ttl = s.ttl != 0 ? s.ttl : config.tcp.ttl;
  f.ttl = how.ttl.value_or(0) != 0 ? *how.ttl : own_ttl;  // none goes with 0 (RFC 1122 §3.2.1.7)
  Buf* const frame = make_datagram(text, len, f);
  if (frame == nullptr) return UdpError::kNoBuffers;
  if (!looping && frame->next != nullptr) return consume(frame), UdpError::kTooLong;
  counters.udp_out_datagrams.add();
  if (looping) {
    loop_frame(frame);
  } else if (routes.is_broadcast(f.flow.remote)) {
    wire::set_destination_mac({frame->data, frame->len}, MacAddr::broadcast());
    ++udp_tx;
    tx_frames.push_back(frame);
  } else {
    send_datagram(frame, neighbours.lookup_or_create(next_hop));
  }
  return UdpError::kNone;
}

// Takes `frame` over: it goes, or waits for its next hop as TCP's packets do.
void Stack::Impl::send_datagram(Buf* frame, std::uint32_t neighbour) {
  if (neighbour == kNoIndex) return drop(frame, counters.drop_neigh_table_full);
  switch (neighbours.use(neighbour, now)) {
    case ip::Neighbours::Use::kReady:
      wire::set_destination_mac({frame->data, frame->len}, *neighbours.mac(neighbour));
      ++udp_tx;
      return tx_frames.push_back(frame);
    case ip::Neighbours::Use::kWait: {
      if (udp_held == kMaxHeld) return drop(frame, counters.drop_neigh_queue);
      ++udp_held;
      HeldPacket held;
      held.datagram = frame;
      held.neighbour = neighbour;
      if (const auto displaced = neighbours.hold(neighbour, held)) {
        forget_held(*displaced, counters.drop_neigh_queue);
      }
      return;
    }
    case ip::Neighbours::Use::kFailed:
      return fail_datagram(frame);
  }
}

void Stack::Impl::forget_held(const HeldPacket& held, telemetry::Counter& why) {
  if (held.datagram == nullptr) return why.add();
  --udp_held;
  drop(held.datagram, why);
}

// -- Calls of the user -----------------------------------------------------------------------

Result<UdpId, Error> Stack::Impl::udp_bind(const Endpoint& local, UdpOptions options) {
  if (!local.addr.is_unspecified() && !routes.is_ours(local.addr)) return Error::kAddressNotLocal;
  if (udp.full()) return Error::kFull;
  const bool v6_only = options.v6_only.value_or(config.tcp.bindv6only);
  if (options.rcvbuf == 0) options.rcvbuf = config.tcp.rmem_default;
  Endpoint at = local;
  if (at.port == 0) {
    const auto port = udp.choose_port(at.addr, v6_only);
    if (!port) return Error::kNoPort;
    at.port = *port;
  } else if (udp.conflicts(at, options, v6_only)) {
    return Error::kAddressInUse;
  }
  const std::uint32_t index = udp.add(at, options, v6_only);
  udp[index].tos = config.tcp.tos;
  return udp.id_of(index);
}

std::optional<Error> Stack::Impl::udp_connect(std::uint32_t index, const Endpoint& remote) {
  UdpSend how;
  how.to = remote;
  UdpSocket bound = udp[index];
  bound.flow.local = bound.bound.addr;  // it may be connected elsewhere
  FlowKey flow;
  IpAddr next_hop;
  switch (udp_flow(bound, how, flow, next_hop)) {
    case UdpError::kNone:
      break;
    case UdpError::kNetUnreachable:
      return Error::kNoRoute;
    case UdpError::kAddressNotLocal:
      return Error::kAddressNotLocal;
    default:
      return Error::kInvalidRemote;
  }
  if (udp_owner(flow) != config.shard) return Error::kNoPort;
  udp.connect(index, flow, hash_of(flow));
  return std::nullopt;
}

Result<UdpId, Error> Stack::udp_bind(const Endpoint& local, const UdpOptions& options) {
  return impl_->udp_bind(local, options);
}

std::optional<Error> Stack::udp_connect(UdpId id, const Endpoint& remote) {
  if (!udp_alive(id)) return std::nullopt;
  return impl_->udp_connect(id.index, remote);
}

void Stack::udp_disconnect(UdpId id) {
  if (udp_alive(id)) impl_->udp.disconnect(id.index);
}

void Stack::udp_close(UdpId id) {
  if (udp_alive(id)) impl_->udp.remove(id.index, impl_->released);
}

UdpError Stack::udp_send(UdpId id, std::span<const std::byte> octets, const UdpSend& how) {
  return udp_send_pieces(id, {&octets, 1}, how);
}

UdpError Stack::udp_send_pieces(UdpId id, std::span<const std::span<const std::byte>> octets,
                                const UdpSend& how) {
  return udp_alive(id) ? impl_->udp_send(id.index, octets, how) : UdpError::kBadSocket;
}

std::optional<Datagram> Stack::udp_receive(UdpId id) {
  UdpSocket* const s = impl_->udp.get(id);
  if (s == nullptr || s->datagrams == 0) return std::nullopt;
  const WaitingDatagram d = impl_->udp.pop(*s);
  return Datagram{d.from, d.to, chain_of(d.text), d.tos, d.ttl, d.at};
}

std::optional<DatagramView> Stack::udp_peek(UdpId id) const {
  const UdpSocket* const s = impl_->udp.get(id);
  const WaitingDatagram* const d = s == nullptr ? nullptr : impl_->udp.front(*s);
  if (d == nullptr) return std::nullopt;
  return DatagramView{d->from, d->to, d->text, d->len, d->tos, d->ttl, d->at};
}

UdpError Stack::udp_error(UdpId id) const {
  const UdpSocket* const s = impl_->udp.get(id);
  return s == nullptr ? UdpError::kNone : s->error;
}

UdpError Stack::udp_take_error(UdpId id) {
  UdpSocket* const s = impl_->udp.get(id);
  return s == nullptr ? UdpError::kNone : std::exchange(s->error, UdpError::kNone);
}

bool Stack::next_udp_ready(UdpReady& out) {
  return impl_->udp.next_ready(out);
}

bool Stack::udp_alive(UdpId id) const {
  return impl_->udp.get(id) != nullptr;
}

void Stack::set_udp_user(UdpId id, std::uint64_t user) {
  if (UdpSocket* const s = impl_->udp.get(id)) s->user = user;
}

std::uint64_t Stack::udp_user_of(UdpId id) const {
  const UdpSocket* const s = impl_->udp.get(id);
  return s == nullptr ? 0 : s->user;
}

void Stack::set_udp_rcvbuf(UdpId id, std::uint32_t octets) {
  if (UdpSocket* const s = impl_->udp.get(id)) s->rcvbuf = octets;
}

void Stack::set_udp_tos(UdpId id, std::uint8_t tos) {
  if (UdpSocket* const s = impl_->udp.get(id)) s->tos = tos;
}

void Stack::set_udp_ttl(UdpId id, std::uint8_t ttl) {
  if (UdpSocket* const s = impl_->udp.get(id)) s->ttl = ttl;
}

void Stack::set_udp_errors(UdpId id, UdpErrors errors) {
  if (UdpSocket* const s = impl_->udp.get(id)) s->errors = errors;
}

void Stack::set_udp_broadcast(UdpId id, bool allowed) {
  if (UdpSocket* const s = impl_->udp.get(id)) s->broadcast = allowed;
}

UdpStats Stack::Impl::describe_udp(std::uint32_t index) const {
  const UdpSocket& s = udp[index];
  UdpStats out;
  out.socket = udp.id_of(index);
  out.user = s.user;
  out.local = {s.flow.local, s.flow.local_port};
  if (s.connected) out.remote = Endpoint{s.flow.remote, s.flow.remote_port};
  out.datagrams = s.datagrams;
  out.octets = s.octets;
  out.charged = s.charged;
  out.rcvbuf = s.rcvbuf;
  out.drops = s.drops;
  out.mtu = path_mtu(s);
  return out;
}

std::optional<UdpStats> Stack::udp_stats(UdpId id) const {
  return udp_alive(id) ? std::optional(impl_->describe_udp(id.index)) : std::nullopt;
}

std::size_t Stack::each_udp_socket(std::uint32_t& from, std::span<UdpStats> out) const {
  std::size_t n = 0;
  for (; n < out.size() && (from = impl_->udp.next_alive(from)) != kNoIndex; ++from) {
    out[n++] = impl_->describe_udp(from);
  }
  return n;
}

std::uint32_t Stack::udp_sockets() const {
  return impl_->udp.size();
}

}  // namespace weir::stack
