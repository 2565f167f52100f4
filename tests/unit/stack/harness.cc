#include "harness.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "tcp/tx_frame.h"
#include "wire/checksum.h"
#include "wire/octets.h"
#include "wire/udp.h"

namespace weir::stack::test {
namespace {

constexpr unsigned kTimes = 10'000;  // iterations at one instant: more is a live lock

// The `len` octets from `offset` octets behind the start of `*b`, across its chain.
std::string gather(const Buf* b, std::uint32_t offset, std::uint32_t len) {
  std::string out;
  for (; len > 0; b = b->next) {
    WEIR_ASSERT(b != nullptr);  // the segment claims more text than its buffers hold
    if (offset >= b->len) {
      offset -= b->len;
      continue;
    }
    const std::uint32_t n = std::min(len, b->len - offset);
    out += text_of({b->data + offset, n});
    len -= n;
    offset = 0;
  }
  return out;
}

Octets tcp_frame(const wire::TcpFrame& f, std::string_view text) {
  Octets frame(wire::kMaxTcpFrameHeader);
  const Octets payload = octets_of(text);
  const wire::Piece piece{payload.data(), static_cast<std::uint32_t>(payload.size())};
  frame.resize(wire::write_tcp_frame(frame, f, wire::TxChecksum::kSoftware, {&piece, 1}));
  frame.insert(frame.end(), payload.begin(), payload.end());
  if (frame.size() < wire::kMinFrame) frame.resize(wire::kMinFrame);
  return frame;
}

Secrets fixed_secrets() {
  Secrets s;
  s.isn = {1, 2};
  s.table = {3, 4};
  s.ports = {5, 6};
  s.cookies = {10, 11};
  s.seed = 9;
  return s;
}

}  // namespace

MacAddr mac_of(const IpAddr& addr) {
  if (addr == kHost || addr == kHost6 || addr == kHostLocal6) return kHostMac;
  if (addr.is_multicast() && !addr.is_v4()) return wire::multicast_mac(addr);
  const auto& o = addr.octets();
  return {{2, 1, o[12], o[13], o[14], o[15]}};
}

Config small_config() {
  Config c;
  // Connections are at rest whenever nothing is under way: nothing that a test sees may differ.
  if (std::getenv("WEIR_REST") != nullptr) c.rest_after = 0s;
  c.mac = kHostMac;
  c.addrs = {{kHost, 24}};
  c.gateway = kGateway;
  c.max_connections = 64;
  c.max_neighbours = 32;
  c.tcp.max_syn_backlog = 64;
  c.tcp.max_tw_buckets = 64;
  c.tcp.quickacks = 0;  // an ACK of its own is then one that the test is about
  return c;
}

Config config6() {
  Config c = small_config();
  c.addrs.push_back({kHost6, 64});
  c.gateway6 = kGateway6;
  c.dad_transmits = 0;
  return c;
}

Octets octets_of(std::string_view text) {
  Octets o(text.size());
  std::transform(text.begin(), text.end(), o.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return o;
}

std::string text_of(std::span<const std::byte> octets) {
  std::string s(octets.size(), '\0');
  std::transform(octets.begin(), octets.end(), s.begin(),
                 [](std::byte b) { return static_cast<char>(b); });
  return s;
}

std::string pattern(std::size_t n, unsigned seed) {
  std::string s(n, '\0');
  std::uint32_t x = seed * 2'654'435'761U + 1;
  for (char& c : s) {
    x = x * 1'664'525U + 1'013'904'223U;
    c = static_cast<char>('!' + (x >> 24U) % 90);  // so that a failure can be read
  }
  return s;
}

wire::Frame parse(const Octets& frame) {
  wire::Frame f;
  wire::parse_frame(frame, frame.size(), {}, f);
  return f;
}

// -- Frames ----------------------------------------------------------------------------------

void mend_ipv4(Octets& frame) {
  const std::size_t header = std::size_t{wire::load8(&frame[14]) & 15U} * 4;
  wire::store16(&frame[24], 0);
  wire::store16(&frame[24], wire::checksum(std::span{frame}.subspan(14, header)));
}

Octets ipv4_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t protocol, const Octets& l4) {
  Octets f(34 + l4.size());
  const MacAddr to = mac_of(dst);
  const MacAddr from = mac_of(src);
  std::copy_n(std::as_bytes(std::span{to.octets}).begin(), 6, f.begin());
  std::copy_n(std::as_bytes(std::span{from.octets}).begin(), 6, f.begin() + 6);
  wire::store16(&f[12], 0x0800);
  wire::store8(&f[14], 0x45);
  wire::store16(&f[16], static_cast<std::uint16_t>(20 + l4.size()));
  wire::store8(&f[22], 64);
  wire::store8(&f[23], protocol);
  wire::store32(&f[26], src.v4_value());
  wire::store32(&f[30], dst.v4_value());
  std::copy(l4.begin(), l4.end(), f.begin() + 34);
  mend_ipv4(f);
  if (f.size() < wire::kMinFrame) f.resize(wire::kMinFrame);
  return f;
}

Octets udp_frame(const IpAddr& src, const IpAddr& dst, std::string_view text) {
  Octets l4(8);
  wire::store16(&l4[0], 5'353);
  wire::store16(&l4[2], 53);
  wire::store16(&l4[4], static_cast<std::uint16_t>(8 + text.size()));
  const Octets body = octets_of(text);
  l4.insert(l4.end(), body.begin(), body.end());
  return ipv4_frame(src, dst, 17, l4);
}

Octets udp_frame(const Endpoint& from, const Endpoint& to, std::string_view text) {
  wire::UdpFrame f;
  f.src_mac = mac_of(from.addr);
  f.dst_mac = mac_of(to.addr);
  f.flow = {from.addr, to.addr, from.port, to.port};
  f.payload_len = static_cast<std::uint32_t>(text.size());
  const Octets body = octets_of(text);
  const wire::Piece piece{body.data(), f.payload_len};
  Octets frame(wire::kMaxUdpFrameHeader);
  frame.resize(wire::write_udp_frame(frame, f, {&piece, 1}));
  frame.insert(frame.end(), body.begin(), body.end());
  if (frame.size() < wire::kMinFrame) frame.resize(wire::kMinFrame);
  return frame;
}

Octets icmp_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t type, std::uint8_t code,
                  std::uint32_t rest, const Octets& body) {
  Octets l4(8);
  wire::store8(&l4[0], type);
  wire::store8(&l4[1], code);
  wire::store32(&l4[4], rest);
  l4.insert(l4.end(), body.begin(), body.end());
  wire::store16(&l4[2], wire::checksum(l4));
  return ipv4_frame(src, dst, 1, l4);
}

Octets arp_frame(std::uint16_t op, const IpAddr& sender, const MacAddr& sender_mac,
                 const IpAddr& target, const MacAddr& dst_mac) {
  Octets f(wire::kMinFrame);
  wire::ArpPacket arp;
  arp.op = op;
  arp.sender_mac = sender_mac;
  arp.sender_ip = sender;
  arp.target_ip = target;
  if (op == 2) arp.target_mac = dst_mac;
  wire::write_arp_frame(f, sender_mac, dst_mac, arp);
  return f;
}

Octets nd_frame(const wire::NdPacket& nd, const IpAddr& src, const IpAddr& dst,
                const MacAddr& dst_mac) {
  Octets f(wire::kMaxNdFrame);
  f.resize(wire::write_nd_frame(f, {nd.lladdr, dst_mac, src, dst}, nd));
  return f;
}

Octets solicitation(const IpAddr& asker, const IpAddr& target) {
  wire::NdPacket nd;
  nd.target = target;
  nd.has_lladdr = !asker.is_unspecified();
  nd.lladdr = mac_of(asker);
  const IpAddr group = wire::solicited_node(target);
  return nd_frame(nd, asker, group, mac_of(group));
}

Octets advertisement(const IpAddr& target, const MacAddr& mac, const IpAddr& dst, bool solicited,
                     bool override_flag) {
  wire::NdPacket nd;
  nd.advertisement = nd.has_lladdr = true;
  nd.solicited = solicited;
  nd.override_flag = override_flag;
  nd.target = target;
  nd.lladdr = mac;
  return nd_frame(nd, target, dst, mac_of(dst));
}

Octets ipv6_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t next_header,
                  const Octets& behind) {
  Octets f(54);
  const MacAddr to = mac_of(dst);
  const MacAddr from = mac_of(src);
  std::copy_n(std::as_bytes(std::span{to.octets}).begin(), 6, f.begin());
  std::copy_n(std::as_bytes(std::span{from.octets}).begin(), 6, f.begin() + 6);
  wire::store16(&f[12], 0x86dd);
  wire::store8(&f[14], 0x60);
  wire::store16(&f[18], static_cast<std::uint16_t>(behind.size()));
  wire::store8(&f[20], next_header);
  wire::store8(&f[21], 64);
  std::copy_n(std::as_bytes(std::span{src.octets()}).begin(), 16, f.begin() + 22);
  std::copy_n(std::as_bytes(std::span{dst.octets()}).begin(), 16, f.begin() + 38);
  f.insert(f.end(), behind.begin(), behind.end());
  return f;
}

Octets icmp6_frame(const IpAddr& src, const IpAddr& dst, std::uint8_t type, std::uint8_t code,
                   std::uint32_t rest, const Octets& body) {
  Octets l4(8);
  wire::store8(&l4[0], type);
  wire::store8(&l4[1], code);
  wire::store32(&l4[4], rest);
  l4.insert(l4.end(), body.begin(), body.end());
  wire::Checksum sum;
  sum.add_pseudo_header(src, dst, 58, static_cast<std::uint32_t>(l4.size()));
  sum.add(l4);
  wire::store16(&l4[2], sum.finish());
  return ipv6_frame(src, dst, 58, l4);
}

// -- The world -------------------------------------------------------------------------------

World::World(const Config& config, sim::BlockPool* shared)
    : pool(shared != nullptr ? *shared : own_pool),
      stack(std::make_unique<Stack>(config, fixed_secrets(), pool.source(), kStart)) {}

World::~World() {
  finish();
}

void World::iterate(const std::vector<Octets>& frames) {
  std::vector<Buf*> bufs;
  bufs.reserve(frames.size());
  for (const Octets& f : frames) bufs.push_back(pool.take_copy(f));
  iterate_bufs(bufs);
}

void World::iterate_bufs(std::span<Buf* const> frames) {
  do {
    const std::size_t n = std::min<std::size_t>(frames.size(), frames_per_receive);
    step(frames.first(n));
    frames = frames.subspan(n);
  } while (!frames.empty());
  unsigned times = 0;
  while (stack->has_pending_output() || !arp_answers_.empty()) {
    ASSERT_LT(++times, kTimes);
    answer_arp();
  }
}

void World::answer_arp() {
  std::vector<Buf*> bufs;
  for (const Octets& f : std::exchange(arp_answers_, {})) bufs.push_back(pool.take_copy(f));
  step(std::span{bufs}.first(std::min<std::size_t>(bufs.size(), 64)));
}

void World::step(std::span<Buf* const> frames) {
  stack->receive(frames, now);
  stack->advance(now);
  take_events();
  stack->poll_output(now);
  collect();
  if (check) stack->check_invariants();
}

void World::take_events() {
  Ready r;
  while (stack->next_ready(r)) {
    if ((r.events & kAccepted) != 0) known_.push_back(r.conn);
    on_ready ? on_ready(r) : events.push_back(r);
    if (close_at_end && (r.events & kClosed) != 0) stack->close(r.conn);
  }
  UdpReady u;
  while (stack->next_udp_ready(u)) udp_events.push_back(u);
}

void World::collect() {
  for (const tcp::TxPacket& p : stack->tx_packets()) {
    Sent s;
    s.at = now;
    s.text = gather(p.seg.payload, p.seg.payload_offset, p.seg.len);
    s.octets = tcp_frame(tcp::to_frame(p), s.text);
    s.frame = parse(s.octets);
    EXPECT_EQ(s.frame.kind, wire::Kind::kTcp);
    tcp.push_back(std::move(s));
  }
  BufChain frames = stack->take_tx_frames();
  while (Buf* b = frames.pop_front()) {
    Sent s;
    s.at = now;
    s.octets.assign(b->data, b->data + b->len);
    s.frame = parse(s.octets);
    // An error about a malformed packet quotes it, which makes it one that Weir would not take.
    EXPECT_TRUE(s.frame.fault == wire::Fault::kNone || s.frame.fault == wire::Fault::kIcmpMalformed)
        << "fault " << static_cast<int>(s.frame.fault);
    answer_arp_or_nd(s);
    if (s.frame.kind == wire::Kind::kUdp) {
      s.text = text_of(std::span{s.octets}.subspan(s.frame.payload_offset, s.frame.payload_len));
    }
    (s.frame.kind == wire::Kind::kArp   ? arp
     : s.frame.kind == wire::Kind::kNd  ? nd
     : s.frame.kind == wire::Kind::kUdp ? udp
                                        : icmp)
        .push_back(std::move(s));
    pool.give(b);
  }
  for (const tcp::HandOver& h : stack->hand_over()) handed.push_back(h);
  stack->clear_hand_over();
  stack->clear_tx();
  pool.give(stack->take_released());
}

// As the host that is asked would, unless it is silent; nobody answers an address test.
void World::answer_arp_or_nd(const Sent& s) {
  const wire::ArpPacket& a = s.frame.arp;
  const wire::NdPacket& n = s.frame.nd;
  if (s.frame.kind == wire::Kind::kArp && a.op == 1 && a.sender_ip != a.target_ip &&
      !a.sender_ip.is_unspecified() && !silent.contains(a.target_ip)) {
    arp_answers_.push_back(
        arp_frame(2, a.target_ip, mac_of(a.target_ip), a.sender_ip, a.sender_mac));
  }
  if (s.frame.kind == wire::Kind::kNd && !n.advertisement && !s.frame.src.is_unspecified() &&
      !silent.contains(n.target)) {
    arp_answers_.push_back(advertisement(n.target, mac_of(n.target), s.frame.src));
  }
}

void World::run_to(Duration since_start) {
  const Instant until = kStart + since_start;
  unsigned times = 0;
  while (stack->next_deadline() <= until) {
    const Instant due = std::max(now, stack->next_deadline());
    times = due == now ? times + 1 : 0;
    ASSERT_LT(times, kTimes) << "a deadline that never passes";
    now = due;
    iterate();
  }
  now = until;
  iterate();
}

void World::meet(const IpAddr& host) {
  feed(arp_frame(1, host, mac_of(host), kHost, MacAddr::broadcast()));
  arp.clear();
}

// What is left ends as a program's end would end it; then every timer runs out.
void World::finish() {
  on_ready = nullptr;
  check = true;
  for (const ListenerId l : listeners_) {
    stack->pause_accept(l, false);
    stack->stop_listening(l);
  }
  iterate();
  for (const ConnId c : known_) stack->abort(c);
  for (unsigned i = 0; i < 200 && stack->gauges().time_wait > 0; ++i) run_for(1s);
  run_for(30min);
  const Gauges g = stack->gauges();
  EXPECT_EQ(g.connections, 0U);
  EXPECT_EQ(g.established, 0U);
  EXPECT_EQ(g.half_open, 0U);
  EXPECT_EQ(g.time_wait, 0U);
  for (const tcp::HandOver& h : std::exchange(handed, {})) pool.give(h.frame);
  stack->release_spare();
  pool.give(stack->take_released());
  if (&pool == &own_pool) {
    EXPECT_EQ(pool.outstanding(), 0U) << "blocks leaked";
  }
}

ListenerId World::listen(std::uint16_t port, std::uint32_t backlog) {
  const auto id = stack->listen({IpAddr{}, port}, {backlog});
  EXPECT_TRUE(id.ok());
  if (!id.ok()) return 0;
  listeners_.push_back(id.value());
  return id.value();
}

ConnId World::connect(const Endpoint& to) {
  const auto id = stack->connect(to, std::nullopt, now);
  EXPECT_TRUE(id.ok());
  if (!id.ok()) return {};
  known_.push_back(id.value());
  iterate();
  return id.value();
}

std::optional<Ready> World::next_event() {
  if (events.empty()) return std::nullopt;
  const Ready r = events.front();
  events.pop_front();
  return r;
}

Ready World::expect_event(ConnId conn, unsigned want, const char* file, int line) {
  const auto r = next_event();
  if (!r) {
    ADD_FAILURE_AT(file, line) << "no event";
    return {};
  }
  if (r->conn != conn || r->events != want) {
    ADD_FAILURE_AT(file, line) << "want events " << want << " of " << conn.index << "/"
                               << conn.generation << ", got " << +r->events << " of "
                               << r->conn.index << "/" << r->conn.generation;
  }
  return *r;
}

void World::expect_no_event(const char* file, int line) {
  if (!events.empty()) ADD_FAILURE_AT(file, line) << "event " << +events.front().events;
  events.clear();
}

std::size_t World::send(ConnId conn, std::string_view text) {
  const std::size_t n = stack->send_copy(conn, octets_of(text));
  iterate();
  return n;
}

std::string World::read(ConnId conn, std::size_t max) {
  BufChain loan = stack->receive_buffers(conn, max);
  std::string text;
  for (const Buf* b = loan.head(); b != nullptr; b = b->next) text += text_of({b->data, b->len});
  stack->release(std::move(loan));
  iterate();
  return text;
}

void World::expect_quiet(const char* file, int line) {
  if (!tcp.empty()) {
    ADD_FAILURE_AT(file, line) << tcp.size() << " segments nobody took, the first with flags "
                               << +tcp.front().tcp().flags;
  }
  if (!icmp.empty()) ADD_FAILURE_AT(file, line) << icmp.size() << " ICMP packets nobody took";
  if (!udp.empty()) ADD_FAILURE_AT(file, line) << udp.size() << " datagrams nobody took";
  udp.clear();
  tcp.clear();
  icmp.clear();
}

// -- A remote end ----------------------------------------------------------------------------

Octets Peer::make(unsigned flags, Seq seq, Seq ack, std::string_view text) const {
  wire::TcpFrame f;
  f.src_mac = mac_of(at.addr);
  f.dst_mac = mac_of(at.local);
  f.flow = flow().reversed();
  f.tcp.seq = seq;
  f.tcp.ack = (flags & ACK) != 0 ? ack : Seq{};
  f.tcp.wnd = wnd;
  f.tos = tos;
  f.tcp.urgent = urgent;
  f.tcp.flags = static_cast<std::uint8_t>(flags);
  f.payload_len = static_cast<std::uint32_t>(text.size());
  if ((flags & SYN) != 0) f.tcp.options = syn_options;
  if (stamped) {
    f.tcp.options.has_timestamps = true;
    f.tcp.options.ts_val = ts_val;
    f.tcp.options.ts_ecr = ts_ecr;
  }
  return tcp_frame(f, text);
}

Octets Peer::next(unsigned flags, std::string_view text) {
  Octets f = make(flags, text);
  snd_nxt += static_cast<std::uint32_t>(text.size()) + ((flags & SYN) != 0 ? 1U : 0U) +
             ((flags & FIN) != 0 ? 1U : 0U);
  return f;
}

std::optional<Sent> Peer::take() {
  const auto mine = [this](const Sent& s) {
    return s.frame.dst == at.addr && s.frame.src == at.local && s.tcp().dst_port == at.port &&
           s.tcp().src_port == at.local_port;
  };
  const auto it = std::find_if(w.tcp.begin(), w.tcp.end(), mine);
  if (it == w.tcp.end()) return std::nullopt;
  Sent s = std::move(*it);
  w.tcp.erase(it);
  const wire::TcpHeader& h = s.tcp();
  if (h.options.has_timestamps) ts_ecr = h.options.ts_val;
  if ((h.flags & RST) != 0) return s;
  const Seq end = h.seq + static_cast<std::uint32_t>(s.text.size()) +
                  ((h.flags & SYN) != 0 ? 1U : 0U) + ((h.flags & FIN) != 0 ? 1U : 0U);
  if ((h.flags & SYN) != 0 || after(end, rcv_nxt)) rcv_nxt = end;
  return s;
}

Sent Peer::expect(unsigned flags, const char* file, int line) {
  auto s = take();
  if (!s) {
    ADD_FAILURE_AT(file, line) << "nothing was sent";
    return {};
  }
  constexpr auto kNoPsh = static_cast<std::uint8_t>(~PSH);
  if ((s->tcp().flags & kNoPsh) != (flags & kNoPsh)) {
    ADD_FAILURE_AT(file, line) << "want flags " << flags << ", got " << +s->tcp().flags;
  }
  return std::move(*s);
}

std::string Peer::take_text() {
  std::string text;
  while (auto s = take()) text += s->text;
  return text;
}

void Peer::expect_quiet(const char* file, int line) {
  if (auto s = take()) {
    ADD_FAILURE_AT(file, line) << "segment with flags " << +s->tcp().flags << " and "
                               << s->text.size() << " octets";
  }
}

void Peer::syn() {
  send(SYN);
  expect(SYN | ACK);
}

ConnId Peer::open() {
  syn();
  send(ACK);
  const auto r = w.next_event();
  EXPECT_TRUE(r && r->events == kAccepted);
  return r ? r->conn : ConnId{};
}

void Peer::answer(ConnId conn) {
  at.local_port = w.stack->flow_of(conn).local_port;
  expect(SYN);
  send(SYN | ACK);
  expect(ACK);
  w.expect_event(conn, kConnected);
}

void Peer::close_after_stack(ConnId conn) {
  w.stack->close(conn);
  w.iterate();
  expect(FIN | ACK);
  send(FIN | ACK);
  expect(ACK);
}

}  // namespace weir::stack::test
