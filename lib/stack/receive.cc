// Frames in: all are parsed, then all looked up with the misses overlapped, then each delivered.
#include <algorithm>

#include "stack/impl.h"
#include "tcp/reset.h"
#include "wire/plain.h"

namespace weir::stack {
namespace {

constexpr std::uint8_t kUdpProtocol = 17;

telemetry::Counter& counter_of(telemetry::Counters& c, wire::Fault fault) {
  using enum wire::Fault;
  switch (fault) {
    case kShortFrame:
      return c.drop_short_frame;
    case kIpVersion:
      return c.drop_ip_version;
    case kIpHeaderLength:
      return c.drop_ip_header_length;
    case kIpTotalLength:
      return c.drop_ip_total_length;
    case kIpChecksum:
      return c.drop_ip_checksum;
    case kFragmentLength:
      return c.drop_frag_length;
    case kFragmentChain:
      return c.drop_frag_chain;
    case kIpSourceRoute:
      return c.drop_ip_source_route;
    case kIpExtension:
      return c.drop_ip_extension;
    case kTcpHeader:
      return c.drop_tcp_header;
    case kTcpChecksum:
      return c.drop_tcp_checksum;
    case kUdpLength:
      return c.drop_udp_length;
    case kUdpChecksum:
      return c.drop_udp_checksum;
    case kArpMalformed:
      return c.drop_arp_malformed;
    case kIcmpMalformed:
      return c.drop_icmp_malformed;
    case kIcmpChecksum:
      return c.drop_icmp_checksum;
    case kNdMalformed:
      return c.drop_nd_malformed;
    case kNone:
      break;
  }
  return c.drop_other_protocol;
}

std::uint32_t chain_len(const Buf* b) {
  std::uint32_t n = 0;
  for (; b != nullptr; b = b->next) n += b->len;
  return n;
}

bool is_udp(wire::Fault f) {
  return f == wire::Fault::kUdpLength || f == wire::Fault::kUdpChecksum;
}

bool is_ip(wire::Kind k) {
  return k != wire::Kind::kArp && k != wire::Kind::kMalformed && k != wire::Kind::kOther;
}

}  // namespace

// A frame scattered over several buffers whose checksum the port did not verify.
bool Stack::Impl::scattered_checksum_ok(const Arrival& a) {
  constexpr unsigned kMaxPieces = 64;  // no port scatters a frame further
  std::array<wire::Piece, kMaxPieces> rest;
  unsigned n = 0;
  for (const Buf* p = a.buf->next; p != nullptr; p = p->next) {
    if (n == kMaxPieces) return false;
    rest[n++] = {p->data, p->len};
  }
  return wire::l4_checksum_ok({a.buf->data, a.buf->len}, a.frame, {rest.data(), n});
}

void Stack::Impl::drop(Buf* b, telemetry::Counter& why) {
  why.add();
  consume(b);
}

void Stack::Impl::consume(Buf* b) {
  for (Buf* next = nullptr; b != nullptr; b = next) {
    next = b->next;
    released.push_back(b);
  }
}

void Stack::Impl::receive(std::span<Buf* const> frames) {
  if (frames.empty()) return;
  WEIR_ASSERT(frames.size() <= kMaxFrames);
  const unsigned n = parse(frames, false);
  mark(telemetry::Stage::kParse);
  for (unsigned i = 0; i < n; ++i) look_up(arrivals[i]);
  for (unsigned i = 0; i < n; ++i) fetch(arrivals[i]);
  mark(telemetry::Stage::kLookup);
  for (unsigned i = 0; i < n; ++i) deliver(arrivals[i]);
  mark(telemetry::Stage::kTcp);
}

// The rest of it for frames whose stages nobody measures.
void Stack::Impl::receive_parsed(unsigned n) {
  for (unsigned i = 0; i < n; ++i) look_up(arrivals[i]);
  for (unsigned i = 0; i < n; ++i) fetch(arrivals[i]);
  for (unsigned i = 0; i < n; ++i) deliver(arrivals[i]);
}

// Those that are admitted, to `arrivals`; how many.
unsigned Stack::Impl::parse(std::span<Buf* const> frames, bool looped_back) {
  unsigned n = 0;
  std::uint64_t octets = 0;
  unsigned flags = 0;
  for (Buf* b : frames) {
    Arrival& a = arrivals[n];
    a.buf = b;
    a.looped = looped_back;
    const std::uint32_t len = b->next == nullptr ? b->len : chain_len(b);
    octets += len;
    flags |= b->flags;
    wire::ParseOptions verified;
    verified.ip_checksum_verified = (b->flags & Buf::kIpChecksumOk) != 0;
    verified.l4_checksum_verified = (b->flags & Buf::kL4ChecksumOk) != 0;
    const std::span<const std::byte> first{b->data, b->len};
    if (b->next == nullptr && wire::parse_plain(first, verified, a.frame, a.flow)) {
      n += admit_plain(a) ? 1U : 0U;
    } else {
      wire::parse_frame(first, len, verified, a.frame);
      n += admit(a) ? 1U : 0U;
    }
  }
  if (!looped_back) {  // those only repeat what a port's frame said of scarcity
    counters.rx_frames.add(frames.size());
    counters.rx_bytes.add(octets);
    if ((flags & Buf::kScarce) != 0) note_pressure(static_cast<std::uint8_t>(flags));
  }
  return n;
}

// admit for what parse_plain took, its flow known: nearly all of it is from a host like any other,
// for an address of ours.
inline bool Stack::Impl::admit_plain(Arrival& a) {
  const bool plain = a.frame.dst_mac == config.mac && routes.is_local(a.flow.local) &&
                     routes.is_other_host(a.flow.remote) &&
                     (a.buf->flags & Buf::kChecksumBad) == 0 && config.shards == 1;
  if (!plain) return admit(a);
  admit_flow(a);
  return true;
}

inline void Stack::Impl::admit_flow(Arrival& a) {
  a.hash = siphash13_inline(secrets.table, a.flow);
  table.prefetch(a.hash);
}

// What is for this host and this shard, with addresses that may be. Consumes the rest.
bool Stack::Impl::admit(Arrival& a) {
  const wire::Frame& f = a.frame;
  if (f.kind == wire::Kind::kMalformed) {
    if (f.problem.due) tell_problem(a);
    if (is_udp(f.fault)) counters.udp_in_errors.add();
    return drop(a.buf, counter_of(counters, f.fault)), false;
  }
  if ((a.buf->flags & Buf::kChecksumBad) != 0 ||
      (f.kind == wire::Kind::kTcp && f.checksum_pending && !scattered_checksum_ok(a))) {
    const bool udp_too = f.kind == wire::Kind::kUdp;
    if (udp_too) counters.udp_in_errors.add();
    return drop(a.buf, udp_too ? counters.drop_udp_checksum : counters.drop_tcp_checksum), false;
  }
  if (f.kind == wire::Kind::kOther) return drop(a.buf, counters.drop_other_protocol), false;
  if (f.kind == wire::Kind::kArp) {
    const bool ours = f.dst_mac == config.mac || f.dst_mac.is_multicast();
    if (!ours) drop(a.buf, counters.drop_not_for_us);
    return ours;
  }
  if (f.kind == wire::Kind::kNd) return admit_nd(a);
  //= RFC4443 4.2-b
  const bool group_echo = f.kind == wire::Kind::kIcmp6 && f.icmp.type == wire::kIcmp6Echo &&
                          f.dst_mac.is_multicast() && routes.is_our_group(f.dst);
  //= RFC9293 MUST-57
  if (is_ip(f.kind) && !group_echo && (f.dst_mac != config.mac || !routes.is_local(f.dst))) {
    return drop(a.buf, counters.drop_not_for_us), false;
  }
  //= RFC9293 MUST-63
  //= RFC1122 4.1.3.6-a
  const bool ours = a.looped || (a.buf->flags & Buf::kHandedOver) != 0;  // from this very host
  if (!f.src.is_unicast() || routes.is_broadcast(f.src) || (routes.is_ours(f.src) && !ours)) {
    return drop(a.buf, counters.drop_bad_source), false;
  }
  if (f.kind == wire::Kind::kFragment) return on_fragment(a);
  const bool error =
      f.icmp.has_inner && (f.kind == wire::Kind::kIcmp4 || f.kind == wire::Kind::kIcmp6);
  if (f.kind == wire::Kind::kTcp) {
    a.flow = {f.dst, f.src, f.tcp.dst_port, f.tcp.src_port};
  } else if (f.kind == wire::Kind::kUdp) {
    return admit_udp(a);
  } else if (error && f.icmp.inner_protocol == kUdpProtocol) {
    return stays_here(a, udp_owner(f.icmp.inner));
  } else if (error) {
    a.flow = f.icmp.inner;
  } else {
    return true;
  }
  if (!is_own(a, a.flow)) return false;
  admit_flow(a);
  return true;
}

// Whether `flow` is this shard's. If not, the frame goes to the one whose it is.
bool Stack::Impl::is_own(Arrival& a, const FlowKey& flow) {
  if (config.shards == 1) return true;
  return stays_here(a, static_cast<std::uint16_t>(config.rss->queue(flow) % config.shards));
}

bool Stack::Impl::stays_here(Arrival& a, std::uint16_t owner) {
  if (owner == config.shard) return true;
  if (handed.room() == 0) return drop(a.buf, counters.drop_handover_full), false;
  if (a.looped) a.buf->flags |= Buf::kHandedOver;
  handed.push({owner, a.buf});
  counters.handed_over.add();
  return false;
}

void Stack::Impl::look_up(Arrival& a) {
  a.seat = kNoIndex;
  if (a.frame.kind != wire::Kind::kTcp) return;
  const std::uint32_t handle = table.candidate(a.hash);
  if (handle == kNoIndex) return;
  const void* record = nullptr;
  switch (kind_of(handle)) {
    case Kind::kConn:
      a.seat = index_of(handle);
      return __builtin_prefetch(conns.seat_slot(a.seat));
    case Kind::kSyn:
      record = syns.slot(index_of(handle));
      break;
    case Kind::kTimeWait:
      record = tws.slot(index_of(handle));
      break;
    case Kind::kTimeWait6:
      record = tws6.slot(index_of(handle));
      break;
  }
  __builtin_prefetch(record);
  __builtin_prefetch(static_cast<const std::byte*>(record) + 64);
}

// Its seat says where the rest of a connection is.
void Stack::Impl::fetch(const Arrival& a) {
  if (a.seat == kNoIndex) return;
  const void* const seat = conns.seat_slot(a.seat);
  const auto line = [](const void* of, std::size_t i) {
    __builtin_prefetch(static_cast<const std::byte*>(of) + 64 * i);
  };
  if (!conns.resting(a.seat)) {
    for (const std::size_t i : {0U, 1U, 2U}) line(conns.slot(a.seat), i);
    return;
  }
  for (const std::size_t i : {1U, 2U, 3U}) line(seat, i);
  __builtin_prefetch(&generations[a.seat]);
  wheel.prefetch(a.seat);
}

void Stack::Impl::deliver(Arrival& a) {
  switch (a.frame.kind) {
    case wire::Kind::kTcp:
      return on_tcp(a);
    case wire::Kind::kArp:
      return on_arp(a);
    case wire::Kind::kIcmp4:
    case wire::Kind::kIcmp6:
      return on_icmp(a);
    case wire::Kind::kNd:
      return on_nd(a);
    case wire::Kind::kUdp:
      return on_udp(a);
    case wire::Kind::kOtherIp:
      return on_other_protocol(a);
    default:
      return drop(a.buf, counters.drop_other_protocol);
  }
}

// For those who judge a segment by its header and never look at its text.
tcp::RxSegment Stack::Impl::header_of(const Arrival& a) {
  const wire::TcpHeader& h = a.frame.tcp;
  tcp::RxSegment s;
  s.seq = h.seq;
  s.ack = h.ack;
  s.wnd = h.wnd;
  s.len = a.frame.payload_len;
  s.urgent = h.urgent;
  s.flags = h.flags;
  s.tos = a.frame.tos;
  s.options = h.options;
  return s;
}

tcp::RxSegment Stack::Impl::to_segment(Arrival& a) {
  tcp::RxSegment s = header_of(a);
  s.buf = take_text(a);
  return s;
}

// The views are cut to the text: no header in front, no padding behind.
Buf* Stack::Impl::take_text(Arrival& a) {
  std::uint32_t skip = a.frame.payload_offset;
  std::uint32_t want = a.frame.payload_len;
  Buf* text = nullptr;
  Buf** link = &text;
  for (Buf *b = a.buf, *next = nullptr; b != nullptr; b = next) {
    next = b->next;
    const std::uint32_t cut = std::min(skip, b->len);
    b->trim_front(cut);
    skip -= cut;
    if (b->len > want) b->trim_back(b->len - want);
    want -= b->len;
    if (b->len == 0) {
      released.push_back(b);
      continue;
    }
    b->next = nullptr;
    *link = b;
    link = &b->next;
  }
  a.buf = nullptr;
  return text;
}

bool Stack::Impl::same_flow(std::uint32_t handle, const FlowKey& f) const {
  switch (kind_of(handle)) {
    case Kind::kConn:
      return conns.seat(index_of(handle)).flow == f;
    case Kind::kSyn:
      return syns[index_of(handle)].flow == f;
    case Kind::kTimeWait:
      return tws[index_of(handle)].flow() == f;
    case Kind::kTimeWait6:
      return tws6[index_of(handle)].flow() == f;
  }
  return false;
}

void Stack::Impl::on_tcp(Arrival& a) {
  counters.in_segs.add();
  if ((a.frame.tos & 3U) != 0) count_ecn(a.frame.tos);
  const std::uint32_t handle =
      table.find(a.hash, [&](std::uint32_t h) { return same_flow(h, a.flow); });
  if (handle == kNoIndex) return on_no_connection(a);
  switch (kind_of(handle)) {
    case Kind::kConn:
      return on_conn(index_of(handle), a);
    case Kind::kSyn:
      return on_syn_entry(index_of(handle), a);
    case Kind::kTimeWait:
      return on_time_wait(tws, Kind::kTimeWait, index_of(handle), a);
    case Kind::kTimeWait6:
      return on_time_wait(tws6, Kind::kTimeWait6, index_of(handle), a);
  }
}

void Stack::Impl::count_ecn(std::uint8_t tos) {
  const unsigned codepoint = tos & 3U;
  (codepoint == 3   ? counters.in_ce_pkts
   : codepoint == 2 ? counters.in_ect0_pkts
                    : counters.in_ect1_pkts)
      .add();
}

void Stack::Impl::on_conn(std::uint32_t index, Arrival& a) {
  Conn& c = awake(index);
  const std::uint8_t flags = a.frame.tcp.flags;
  if ((flags & (tcp::SYN | tcp::ACK | tcp::RST)) == tcp::SYN && reopens(index, a)) return;
  const tcp::RxSegment seg = to_segment(a);
  const bool waited = !c.tcb.rcvq.empty();
  const Seq una = c.tcb.snd_una;
  tcp::on_segment(c.tcb, seg, now, outbox);
  if (!waited) c.read_ms = now_ms();
  if (c.tcb.snd_una != una) c.acked_ms = now_ms();
  flush(index);
  mark_output(index);
  tell(index);
}

//= RFC3360 2.1
// CLOSED and LISTEN (RFC 9293 §3.10.7.1-2).
void Stack::Impl::on_no_connection(Arrival& a) {
  const ListenerId id = listener_for(a.flow, a.hash);
  const tcp::RxSegment seg = header_of(a);
  if (id == kNoIndex) {
    if (hand_to_sibling(a)) return;
    if ((seg.flags & tcp::RST) != 0) return drop(a.buf, counters.drop_closed_rst);
    send_reset(a);
    return drop(a.buf, counters.drop_no_listener);
  }
  switch (tcp::listen_arrives(seg)) {
    case tcp::ListenAnswer::kDrop:
      if (hand_to_sibling(a)) return;
      return drop(a.buf, counters.drop_listen_bad);
    case tcp::ListenAnswer::kReset:
      if (on_cookie(id, a, seg) || hand_to_sibling(a)) return;
      send_reset(a);
      return drop(a.buf, counters.drop_listen_bad);
    case tcp::ListenAnswer::kSyn:
      return on_syn(a, id, std::nullopt);
  }
}

// Another process's stack may know it. A datagram that came in parts is not whole in its buffer.
bool Stack::Impl::hand_to_sibling(Arrival& a) {
  if (!has_siblings || a.looped || (a.buf->flags & Buf::kHandedOver) != 0 ||
      a.buf->next != nullptr || handed.room() == 0) {
    return false;
  }
  handed.push({kSibling, a.buf});
  counters.handed_over.add();
  return true;
}

void Stack::Impl::on_icmp(Arrival& a) {
  const wire::Frame& f = a.frame;
  const bool v4 = f.kind == wire::Kind::kIcmp4;
  const std::uint8_t echo_request = v4 ? 8 : 128;
  // A reply that would need fragments is not sent: Weir makes none.
  const std::size_t reply = f.l4_len + (v4 ? wire::kIpv4MinHeader : wire::kIpv6Header);
  if (f.icmp.type == echo_request && f.icmp.code == 0 && reply <= config.mtu &&
      a.buf->next == nullptr) {
    //= RFC4443 2.2
    //= RFC4443 4.2-a
    // To a group's question an address of the asker's own scope answers (RFC 4443 §4.2).
    const auto route = routes.is_local(f.dst) ? std::nullopt : routes.lookup(f.src);
    if (!routes.is_local(f.dst) && !route) return drop(a.buf, counters.drop_no_route);
    if (!may_answer_icmp()) return drop(a.buf, counters.drop_icmp_rate);
    const std::size_t len = wire::make_echo_reply({a.buf->data, a.buf->len}, f, config.mac,
                                                  route ? route->source : f.dst);
    a.buf->len = static_cast<std::uint32_t>(len);
    counters.icmp_echo_replies.add();
    tx_frames.push_back(a.buf);
    return;
  }
  on_icmp_error(a);
}

// Protocol unreachable (RFC 1122 §3.2.2.1); a parameter problem that points at the Next Header
// field (RFC 4443 §3.4, RFC 8200 §4).
//= RFC4443 3.4-a
//= RFC1122 3.2.2.1-a
void Stack::Impl::on_other_protocol(Arrival& a) {
  constexpr std::uint8_t kNoNextHeader = 59, kUnknownNextHeader = 1, kProtocol = 2;
  counters.drop_other_protocol.add();
  if (a.frame.dst.is_v4()) {
    return send_icmp_error(a, wire::kIcmp4Unreachable, kProtocol, 0,
                           counters.icmp_unreachables_out);
  }
  if (a.frame.protocol == kNoNextHeader) return consume(a.buf);
  send_icmp_error(a, wire::kIcmp6ParameterProblem, kUnknownNextHeader, a.frame.next_header_at,
                  counters.icmp_param_problems_out);
}

// Consumes what it is about. Pre: that was sent to one address of ours by another unicast address,
// and is no ICMP error itself (RFC 4443 §2.4 (e)).
//= RFC4443 2.4-e
//= RFC4443 2.4-f
//= RFC1122 3.2.2-a
//= RFC6633 3-a
void Stack::Impl::send_icmp_error(const Arrival& about, std::uint8_t type, std::uint8_t code,
                                  std::uint32_t rest, telemetry::Counter& sent) {
  send_icmp_error({about.buf->data, about.buf->len}, about.frame, about.frame.dst,
                  {type, code, rest}, sent);
  consume(about.buf);
}

}  // namespace weir::stack
