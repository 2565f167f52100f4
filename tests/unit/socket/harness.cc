#include "harness.h"

#include <algorithm>
#include <array>

namespace weir::posix::test {

Name::Name(const IpAddr& addr, std::uint16_t port, bool six) {
  if (addr.is_v4() && !six) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(addr.v4_value());
    std::memcpy(&storage, &in, sizeof in);
    length = sizeof in;
    return;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, addr.octets().data(), 16);
  std::memcpy(&storage, &in, sizeof in);
  length = sizeof in;
}

Endpoint Name::endpoint() const {
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return {IpAddr::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &storage, sizeof in);
  std::array<std::uint8_t, 16> octets{};
  std::memcpy(octets.data(), &in.sin6_addr, 16);
  return {IpAddr::v6(octets), ntohs(in.sin6_port)};
}

Host::Host(const HostOptions& o) {
  weir_config c;
  weir_config_init(&c);
  std::vector<const char*> addresses;
  for (const std::string& a : o.addresses) addresses.push_back(a.c_str());
  c.addresses = addresses.data();
  c.address_count = addresses.size();
  c.mtu = o.mtu;
  c.seed = o.seed;
  c.now = kStart;
  c.max_sockets = o.max_sockets;
  c.max_connections = o.max_connections;
  c.max_packet_buffers = o.max_packet_buffers;
  std::vector<weir_setting> settings;
  for (const auto& [name, value] : o.settings) settings.push_back({name.c_str(), value.c_str()});
  c.settings = settings.data();
  c.setting_count = settings.size();
  char error[256] = "";
  stack_ = weir_stack_create(&c, error, sizeof error);
  if (stack_ == nullptr) ADD_FAILURE() << error;
}

std::optional<Sent> Host::output() {
  std::array<std::byte, 65'536> packet;
  std::size_t length = 0;
  Sent s;
  if (weir_stack_output(stack_, packet.data(), packet.size(), &length, &s.when) != 1) {
    return std::nullopt;
  }
  s.octets.assign(packet.data(), packet.data() + length);
  Octets frame(wire::kEthHeader);
  const bool v6 = std::to_integer<unsigned>(packet[0]) >> 4U == 6;
  frame[12] = v6 ? std::byte{0x86} : std::byte{0x08};
  frame[13] = v6 ? std::byte{0xdd} : std::byte{0x00};
  frame.insert(frame.end(), s.octets.begin(), s.octets.end());
  wire::parse_frame(frame, frame.size(), {}, s.frame);
  EXPECT_NE(wire::Kind::kMalformed, s.frame.kind);
  if (s.frame.kind == wire::Kind::kTcp) {
    const char* text = reinterpret_cast<const char*>(frame.data()) + s.frame.payload_offset;
    s.text.assign(text, s.frame.payload_len);
  }
  return s;
}

std::vector<Sent> Host::drain() {
  std::vector<Sent> all;
  while (auto s = output()) all.push_back(std::move(*s));
  return all;
}

int Host::listener(std::uint16_t port, int backlog, int family) {
  const int fd = tcp(family);
  const bool six = family == AF_INET6;
  EXPECT_EQ(0, bind(fd, six ? IpAddr{} : kHost, port, six));
  EXPECT_EQ(0, weir_listen(stack_, fd, backlog));
  return fd;
}

std::string Host::read(int fd, std::size_t most, int flags) {
  std::string text(most, '\0');
  const ssize_t n = weir_recv(stack_, fd, text.data(), most, flags);
  if (n < 0) return "!" + std::to_string(errno);
  text.resize(std::min(most, static_cast<std::size_t>(n)));
  return text;
}

Endpoint Host::local(int fd) {
  Name n;
  EXPECT_EQ(0, weir_getsockname(stack_, fd, n.get(), &n.length));
  return n.endpoint();
}

Endpoint Host::peer(int fd) {
  Name n;
  return weir_getpeername(stack_, fd, n.get(), &n.length) == 0 ? n.endpoint() : Endpoint{};
}

Octets Peer::packet_of(const Segment& s) const {
  wire::TcpFrame f;
  f.flow = flow_;
  f.tcp.seq = Seq{s.seq};
  f.tcp.ack = (s.flags & ACK) != 0 ? iss_ + s.ack : Seq{};
  f.tcp.flags = s.flags;
  f.tcp.wnd = s.wnd;
  f.tcp.urgent = s.urgent;
  f.tcp.options = s.options;
  f.payload_len = static_cast<std::uint32_t>(s.text.size());
  std::array<std::byte, wire::kMaxTcpFrameHeader> header;
  const auto* text = reinterpret_cast<const std::byte*>(s.text.data());
  const wire::Piece piece{text, f.payload_len};
  const std::size_t n = wire::write_tcp_frame(header, f, wire::TxChecksum::kSoftware, {&piece, 1});
  Octets packet(header.data() + wire::kEthHeader, header.data() + n);
  packet.insert(packet.end(), text, text + s.text.size());
  return packet;
}

void Peer::send(const Segment& s) {
  host_.input(packet_of(s));
}

void Peer::learn(const Sent& s) {
  if ((s.flags() & SYN) != 0) iss_ = s.frame.tcp.seq;
  last_ = s.octets;
}

Sent Peer::expect() {
  auto s = host_.output();
  EXPECT_TRUE(s.has_value()) << "no packet came out";
  if (!s) return {};
  learn(*s);
  return *s;
}

void Peer::expect_none() {
  const auto s = host_.output();
  EXPECT_FALSE(s.has_value()) << "flags " << static_cast<int>(s ? s->flags() : 0);
}

void Peer::open(const wire::TcpOptions& options) {
  send({.seq = 0, .flags = SYN, .options = options});
  const Sent s = expect();
  EXPECT_EQ(SYN | ACK, s.flags());
  send({.seq = 1, .ack = 1});
}

void Peer::answer(const wire::TcpOptions& options) {
  const Sent s = expect();
  EXPECT_EQ(SYN, s.flags() & SYN);
  flow_.remote_port = s.frame.tcp.src_port;
  send({.seq = 0, .ack = 1, .flags = SYN | ACK, .options = options});
  EXPECT_EQ(ACK, expect().flags());
}

void Peer::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  Octets frame(wire::kEthHeader);
  frame[12] = flow_.local.is_v4() ? std::byte{0x08} : std::byte{0x86};
  frame[13] = flow_.local.is_v4() ? std::byte{0x00} : std::byte{0xdd};
  frame.insert(frame.end(), last_.begin(), last_.end());
  wire::Frame parsed;
  wire::parse_frame(frame, frame.size(), {}, parsed);
  std::array<std::byte, wire::kMaxIcmpErrorFrame> out;
  const std::size_t n =
      wire::write_icmp_error(out, MacAddr{}, flow_.local, type, code, frame, parsed, rest);
  host_.input(Octets(out.data() + wire::kEthHeader, out.data() + n));
}

void Wire::collect() {
  std::array<std::byte, 65'536> packet;
  for (int from = 0; from < 2; ++from) {
    std::size_t length = 0;
    std::uint64_t when = 0;
    while (weir_stack_output(*ends_[from], packet.data(), packet.size(), &length, &when) == 1) {
      if (drop_ && drop_(count_++)) continue;
      air_.push_back({when + delay_, 1 - from, Octets(packet.data(), packet.data() + length)});
    }
  }
}

bool Wire::run(const std::function<bool()>& done, std::uint64_t most) {
  const std::uint64_t end = std::max(ends_[0]->now(), ends_[1]->now()) + most;
  for (;;) {
    collect();
    if (done()) return true;
    std::uint64_t next =
        std::min(weir_stack_next_deadline(*ends_[0]), weir_stack_next_deadline(*ends_[1]));
    if (!air_.empty()) next = std::min(next, air_.front().due);
    if (next > end) return done();
    for (Host* h : ends_) {
      if (next <= h->now()) continue;
      EXPECT_EQ(0, weir_stack_advance(*h, next));
    }
    while (!air_.empty() && air_.front().due <= next) {
      const InFlight p = std::move(air_.front());
      air_.pop_front();
      ends_[p.to]->input(p.octets);
    }
  }
}

}  // namespace weir::posix::test
