#include "socket/embedded_stack.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "socket/tcp_socket.h"
#include "socket/udp_socket.h"
#include "tcp/tx_frame.h"
#include "wire/frame.h"

namespace weir::posix {
namespace {

constexpr MacAddr kOtherEnd{{2, 0, 0, 0, 0, 1}};
// How often one instant may give rise to something more at the same instant: a connection of this
// host with itself sends on without end.
constexpr unsigned kTurnsPerInstant = 100'000;

std::uint64_t secret(std::uint64_t seed, std::uint64_t number) {
  const std::array<std::uint64_t, 1> in{number};
  return siphash24({seed, 0x7765'6972'7365'6564U}, std::as_bytes(std::span(in)));
}

stack::Secrets secrets_of(std::uint64_t seed) {
  std::uint64_t n = 0;
  const auto key = [&] {
    const std::uint64_t first = secret(seed, ++n);
    return SipKey{first, secret(seed, ++n)};
  };
  stack::Secrets s;
  s.isn = key();
  s.table = key();
  s.ports = key();
  s.cookies = key();
  s.seed = secret(seed, ++n);
  return s;
}

// Of what is between a socket and its peer, IP packets count: ARP has no place on an IP link.
std::uint16_t ether_type(std::span<const std::byte> frame) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(frame[12]) << 8U |
                                    std::to_integer<unsigned>(frame[13]));
}

constexpr std::uint16_t kTypeIpv4 = 0x0800, kTypeIpv6 = 0x86dd;

void write_link_header(std::byte* out, const MacAddr& dst, const MacAddr& src, bool v6) {
  std::memcpy(out, dst.octets.data(), 6);
  std::memcpy(out + 6, src.octets.data(), 6);
  const std::uint16_t type = v6 ? kTypeIpv6 : kTypeIpv4;
  out[12] = static_cast<std::byte>(type >> 8U);
  out[13] = static_cast<std::byte>(type & 0xffU);
}

bool begins_as_ipv6(std::byte first) {
  return std::to_integer<unsigned>(first) >> 4U == 6;
}

}  // namespace

EmbeddedStack::EmbeddedStack(const Setup& setup)
    : config_(setup.stack),
      pool_(setup.max_packet_buffers),
      out_(std::size_t{setup.max_packet_buffers} * PacketPool::kBlockSize),
      descriptors_(setup.first_descriptor, setup.max_sockets),
      link_(setup.link),
      peer_mac_(kOtherEnd),
      raise_sigpipe_(setup.raise_sigpipe),
      now_(setup.now),
      secret_{secret(setup.seed, 1'000), secret(setup.seed, 1'001)},
      stack_(setup.stack, secrets_of(setup.seed), pool_.source(), setup.now) {
  settle();
}

EmbeddedStack::~EmbeddedStack() {
  stack_.release_all();
  stack_.clear_tx();
  pool_.give(stack_.take_tx_frames());
  pool_.give(stack_.take_released());
}

std::uint64_t EmbeddedStack::draw() {
  const std::array<std::uint64_t, 1> in{++drawn_};
  return siphash24(secret_, std::as_bytes(std::span(in)));
}

// -- Packets in --------------------------------------------------------------------------------

void EmbeddedStack::on_stray(StrayFn* fn, void* context) {
  stray_fn_ = fn;
  stray_context_ = context;
  stack_.share_addresses(fn != nullptr);
}

void EmbeddedStack::tell_strays() {
  for (const tcp::HandOver& h : stack_.hand_over()) {
    stray_fn_(stray_context_, {h.frame->data, h.frame->len});
    pool_.give(h.frame);
  }
  stack_.clear_hand_over();
}

int EmbeddedStack::input(std::span<const std::byte> packet, Link form, Instant when,
                         bool passed_on) {
  constexpr std::size_t kMost = 65'535 + wire::kEthHeader;
  if (when < now_ || packet.empty() || packet.size() > kMost) return EINVAL;
  (void)advance(when);
  const std::size_t header = form == Link::kIp ? wire::kEthHeader : 0;
  Buf* b = pool_.take_copy(header, packet);
  if (b == nullptr) {
    stack_.counters().drop_no_buffer.add();
    return ENOBUFS;
  }
  if (header != 0) {
    write_link_header(b->data, config_.mac, peer_mac_, begins_as_ipv6(packet[0]));
  } else if (link_ == Link::kIp && packet.size() >= wire::kEthHeader) {
    // An IP link has no addresses of its own: whatever the frame says, it is for this host.
    std::memcpy(b->data, config_.mac.octets.data(), config_.mac.octets.size());
  }
  if (passed_on) b->flags |= Buf::kHandedOver;
  stack_.receive({&b, 1}, when);
  if (stray_fn_ != nullptr) tell_strays();
  turn(when);
  return 0;
}

// -- Time --------------------------------------------------------------------------------------

int EmbeddedStack::advance(Instant when) {
  if (when < now_) return EINVAL;
  // Each deadline at its own instant. Where a step is taken for nothing (a wheel's slot that only
  // spreads to finer ones) time goes on all the same.
  for (Instant due = stack_.next_deadline(); due < when; due = stack_.next_deadline()) {
    turn(std::max(due, now_ + Duration(1)));
  }
  turn(when);
  return 0;
}

void EmbeddedStack::turn(Instant when) {
  now_ = when;
  for (unsigned n = 0; n < kTurnsPerInstant; ++n) {
    turn_once(when);
    if (!stack_.has_pending_output() && stack_.next_deadline() > when) return;
  }
}

void EmbeddedStack::turn_once(Instant when) {
  stack_.advance(when);
  drain_events();
  stack_.poll_output(when);
  transmit();
  look_at_accept_queues();
}

void EmbeddedStack::drain_events() {
  stack::Ready r;
  while (stack_.next_ready(r)) on_event(*this, r);
  stack::UdpReady u;
  while (stack_.next_udp_ready(u)) on_udp_event(*this, u);
}

void EmbeddedStack::look_at_accept_queues() {
  for (TcpSocket* s : listening_) {
    const auto stats = stack_.listener_stats(s->listener);
    const std::uint32_t waiting = stats ? stats->waiting : 0;
    const std::uint64_t came = stats ? stats->accepted + waiting : 0;
    const bool more = came > s->came;
    s->came = came;
    if (more && waiting > 0) changed(*s, EPOLLIN | EPOLLRDNORM);
  }
}

// -- Packets out -------------------------------------------------------------------------------

void EmbeddedStack::transmit() {
  telemetry::Counters& counters = stack_.counters();
  for (const tcp::TxPacket& packet : stack_.tx_packets()) {
    std::uint32_t at = 0;
    do {
      const tcp::TxPacket piece = tcp::cut_segment(packet, at);
      at += piece.seg.len;
      const auto room = out_.prepare(wire::kMaxTcpFrameHeader + piece.seg.len);
      if (room.empty()) {
        counters.drop_tx_full.add();  // TCP sends it again
        continue;
      }
      out_.commit(tcp::write_frame(room, piece), now_);
      counters.tx_frames.add();
    } while (at < packet.seg.len);
  }
  stack_.clear_tx();
  BufChain frames = stack_.take_tx_frames();
  while (Buf* b = frames.pop_front()) {
    const std::span<const std::byte> frame{b->data, b->len};
    const bool fits = link_ == Link::kEthernet || is_ip(frame);
    const auto room = fits ? out_.prepare(frame.size()) : std::span<std::byte>{};
    if (room.empty()) {
      counters.drop_tx_full.add();
    } else {
      std::memcpy(room.data(), frame.data(), frame.size());
      out_.commit(frame.size(), now_);
      counters.tx_frames.add();
    }
    pool_.give(b);
  }
  pool_.give(stack_.take_released());  // after the packets: they point into these
}

bool EmbeddedStack::is_ip(std::span<const std::byte> frame) const {
  if (frame.size() <= wire::kEthHeader) return false;
  const std::uint16_t type = ether_type(frame);
  return type == kTypeIpv4 || type == kTypeIpv6;
}

int EmbeddedStack::output(std::span<std::byte> out, Link form, std::size_t& length, Instant& when) {
  length = 0;
  for (; !out_.empty(); out_.pop()) {
    std::span<const std::byte> frame = out_.front();
    if (form == Link::kIp) {
      if (!is_ip(frame)) continue;  // ARP: nothing to whoever speaks IP
      frame = frame.subspan(wire::kEthHeader);
    }
    length = frame.size();
    if (length > out.size()) return -1;
    when = out_.when();
    std::memcpy(out.data(), frame.data(), length);
    out_.pop();
    return 1;
  }
  return 0;
}

void EmbeddedStack::reset_all() {
  std::uint32_t from = 0;
  for (bool more = true; more;) {
    more = stack_.abort_all(from);
    stack_.poll_output(now_);
    transmit();
  }
  descriptors_.each([this](Descriptor& d) {
    if (d.kind == Kind::kTcp) on_reset(*this, static_cast<TcpSocket&>(d));
  });
  settle();
}

}  // namespace weir::posix
