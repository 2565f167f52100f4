#include "player.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace weir::differential {
namespace {

thread_local volatile std::sig_atomic_t sigpipes = 0;

void on_sigpipe(int) {
  sigpipes = sigpipes + 1;
}

// What is to be told of octets: how many, which.
std::string text_of_octets(const unsigned char* p, std::size_t n) {
  std::uint32_t hash = 2'166'136'261U;
  for (std::size_t i = 0; i < n; ++i) hash = (hash ^ p[i]) * 16'777'619U;
  char out[32];
  std::snprintf(out, sizeof out, "%zu:%08x", n, hash);
  return out;
}

std::string hex(const unsigned char* p, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    char two[4];
    std::snprintf(two, sizeof two, "%02x", p[i]);
    out += two;
  }
  return out;
}

// Values that no two hosts share: of those only that there is one.
std::string value_text(int level, int name, const unsigned char* p, socklen_t n) {
  if (level == SOL_SOCKET && (name == SO_COOKIE || name == SO_INCOMING_CPU))
    return "(not compared)";
  if (level == SOL_SOCKET && name == SO_MEMINFO) return "(figures not compared)";
  if (level == IPPROTO_TCP && name == TCP_INFO) {
    return n == 0 ? "" : "state " + std::to_string(p[0]) + " (figures not compared)";
  }
  if (level == IPPROTO_TCP && name == TCP_CC_INFO) return "(not compared)";
  if (n != sizeof(int)) return hex(p, n);
  int v = 0;
  std::memcpy(&v, p, sizeof v);
  return std::to_string(v);
}

}  // namespace

void count_sigpipe() {
  struct sigaction a {};
  a.sa_handler = on_sigpipe;
  sigaction(SIGPIPE, &a, nullptr);
}

Player::~Player() {
  const struct linger hard { 1, 0 };
  for (const int fd : fds_) {
    if (fd < 0) continue;
    (void)s_.setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    (void)s_.close(fd);
  }
}

// -- Names -------------------------------------------------------------------------------------

std::uint16_t Player::port_of(const Port& p) {
  if (p.kind == Port::kZero) return 0;
  if (p.kind == Port::kFixed) return static_cast<std::uint16_t>(first_port_ + p.index);
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  if (s_.getsockname(fd(p.index), reinterpret_cast<sockaddr*>(&a), &n) != 0) return first_port_;
  std::uint16_t port = 0;
  std::memcpy(&port, reinterpret_cast<const char*>(&a) + offsetof(sockaddr_in, sin_port), 2);
  return port == 0 ? first_port_ : ntohs(port);
}

std::string Player::port_text(std::uint16_t port) {
  if (port == 0) return "0";
  if (port >= first_port_ && port < first_port_ + kFixedPorts) {
    return "P" + std::to_string(port - first_port_);
  }
  const auto [at, fresh] = chosen_.try_emplace(port, static_cast<int>(chosen_.size()));
  return "E" + std::to_string(at->second);
}

socklen_t Player::address(const Call& c, sockaddr_storage& out) {
  int family = c.family == AF_INET6 ? AF_INET6 : AF_INET;
  if (c.where == Where::kOtherFamily) family = family == AF_INET6 ? AF_INET : AF_INET6;
  const bool mapped =
      family == AF_INET6 && (c.where == Where::kMappedSelf || c.where == Where::kMappedAny);
  const bool any = c.where == Where::kAny || c.where == Where::kMappedAny;
  std::string text =
      any ? (family == AF_INET6 && !mapped ? "::" : "0.0.0.0") : s_.self(mapped ? AF_INET : family);
  if (c.where == Where::kForeign) text = family == AF_INET6 ? "2001:db8:ffff::9" : "198.51.100.9";
  if (mapped) text = "::ffff:" + text;
  out = {};
  const std::uint16_t port = htons(port_of(c.port));
  if (family == AF_INET6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = port;
    inet_pton(AF_INET6, text.c_str(), &in.sin6_addr);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = port;
  inet_pton(AF_INET, text.c_str(), &in.sin_addr);
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

// What was written of a name, `given` octets of room, and how long it is said to be.
std::string Player::name(const sockaddr_storage& a, socklen_t given, socklen_t told) {
  const std::string length = " len " + std::to_string(told);
  char text[INET6_ADDRSTRLEN] = "";
  std::uint16_t port = 0;
  if (given >= sizeof(sockaddr_in6) && told == sizeof(sockaddr_in6) && a.ss_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &a, sizeof in);
    port = ntohs(in.sin6_port);
    inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
  } else if (given >= sizeof(sockaddr_in) && told == sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, &a, sizeof in);
    port = ntohs(in.sin_port);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
  } else {
    return "cut" + length;  // of what is there, the address is the host's
  }
  std::string addr = text;
  for (const int family : {AF_INET, AF_INET6}) {
    const std::string own = s_.self(family);
    if (addr == own) addr = family == AF_INET ? "H4" : "H6";
    if (addr == "::ffff:" + own) addr = "M4";
  }
  return addr + ":" + port_text(port) + length;
}

void Player::keep(int slot, int fd) {
  int& at = fds_[static_cast<std::size_t>(slot)];
  if (fd < 0) return;
  if (at >= 0) (void)s_.close(at);
  at = fd;
}

int Player::state_of(int slot) {
  tcp_info info{};
  socklen_t n = sizeof info;
  if (fd(slot) < 0) return 0;
  const int was = errno;
  const bool ok = s_.getsockopt(fd(slot), IPPROTO_TCP, TCP_INFO, &info, &n) == 0;
  errno = was;
  return ok ? info.tcpi_state : -1;
}

// -- After each call ---------------------------------------------------------------------------

// Octets that were sent and not acknowledged; those that are held are not.
int Player::in_flight(int fd) {
  int all = 0, held = 0;
  if (s_.ioctl(fd, SIOCOUTQ, &all) != 0 || s_.ioctl(fd, SIOCOUTQNSD, &held) != 0) return 0;
  return std::max(all - held, 0);
}

// Until everything that was sent has been acknowledged, or for 60 ms: a delayed ACK takes 40.
void Player::settle() {
  constexpr int kClose = 7;  // TCP_CLOSE: SIOCOUTQ tells nothing there
  constexpr unsigned kStep = 1'000, kMost = 60'000;
  if (closed_open_) s_.pass(45'000);
  closed_open_ = false;
  for (unsigned waited = 0; waited < kMost; waited += kStep) {
    int flying = 0;
    for (int i = 0; i < kSlots; ++i)
      flying += state_of(i) <= 0 || state_of(i) == kClose ? 0 : in_flight(fd(i));
    if (flying == 0 && waited > 0) return;
    s_.pass(flying == 0 ? 50 : kStep);
  }
}

void Player::look(Outcome& o) {
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (fds_[i] < 0) continue;
    pollfd p{fds_[i], static_cast<short>(0x3fff), 0};
    (void)s_.poll(&p, 1);
    int unread = 0;
    const bool has = s_.ioctl(fds_[i], SIOCINQ, &unread) == 0;
    o.ready[i] = event_bits(static_cast<std::uint16_t>(p.revents));
    if (has && unread > 0) o.ready[i] += " inq " + std::to_string(unread);
  }
}

Outcome Player::play(const Call& c) {
  Outcome o;
  ++calls_;
  const int before = sigpipes;
  errno = 0;
  perform(c, o);
  o.error = o.result < 0 ? errno : 0;
  if (sigpipes != before) o.detail += " SIGPIPE";
  settle();
  look(o);
  return o;
}

void Player::perform(const Call& c, Outcome& o) {
  switch (c.op) {
    case Op::kRead:
    case Op::kReadv:
    case Op::kRecv:
    case Op::kRecvfrom:
    case Op::kRecvmsg:
      return receive(c, o);
    case Op::kWrite:
    case Op::kWritev:
    case Op::kSend:
    case Op::kSendto:
    case Op::kSendmsg:
      return send(c, o);
    case Op::kBind:
    case Op::kConnect:
    case Op::kDisconnect:
    case Op::kGetsockname:
    case Op::kGetpeername:
      return names(c, o);
    case Op::kGetsockopt:
    case Op::kSetsockopt:
      return options(c, o);
    case Op::kFlags:
    case Op::kBlocking:
    case Op::kIoctl:
      return flags(c, o);
    case Op::kPoll:
    case Op::kSelect:
      return readiness(c, o);
    case Op::kEpollCreate:
    case Op::kEpollCtl:
    case Op::kEpollWait:
      return epolls(c, o);
    default:
      return streams(c, o);
  }
}

// -- The calls ---------------------------------------------------------------------------------

void Player::streams(const Call& c, Outcome& o) {
  switch (c.op) {
    case Op::kSocket: {
      const int made = s_.socket(c.family, c.a | SOCK_NONBLOCK, c.b);
      keep(c.other, made);
      o.result = made < 0 ? -1 : 0;
      return;
    }
    case Op::kListen:
      o.result = s_.listen(fd(c.slot), c.a);
      return;
    case Op::kAccept: {
      sockaddr_storage a{};
      socklen_t n = c.null ? 0 : static_cast<socklen_t>(static_cast<int>(sizeof a) + c.length_off);
      const socklen_t given = n;
      const int made =
          s_.accept4(fd(c.slot), c.null ? nullptr : reinterpret_cast<sockaddr*>(&a), &n, c.a);
      o.result = made < 0 ? -1 : 0;
      if (made < 0) return;
      if (!c.null) o.detail = name(a, given, n);
      o.detail += " flags " + std::to_string(s_.fcntl(made, F_GETFL, 0));
      (void)s_.fcntl(made, F_SETFL, O_RDWR | O_NONBLOCK);
      keep(c.other, made);
      return;
    }
    case Op::kShutdown:
      o.result = s_.shutdown(fd(c.slot), c.a);
      return;
    case Op::kClose: {
      int& at = fds_[static_cast<std::size_t>(c.slot)];
      const int state = state_of(c.slot);
      closed_open_ = state == 1 || state == 8;  // ESTABLISHED, CLOSE-WAIT
      errno = 0;
      o.result = s_.close(at);
      at = -1;
      return;
    }
    default:
      s_.pass(static_cast<std::uint64_t>(c.a) * 1'000);
      return;
  }
}

void Player::receive(const Call& c, Outcome& o) {
  std::size_t total = 0;
  for (const int n : c.lengths) total += n < 0 ? 0 : static_cast<std::size_t>(n);
  buffer_.assign(total + 1, 0xee);
  std::vector<iovec> pieces;
  std::size_t at = 0;
  for (const int n : c.lengths) {
    if (n < 0) {
      pieces.push_back({nullptr, 16});
    } else {
      pieces.push_back({buffer_.data() + at, static_cast<std::size_t>(n)});
      at += static_cast<std::size_t>(n);
    }
  }
  const iovec first = pieces.empty() ? iovec{} : pieces[0];
  const int count = static_cast<int>(pieces.size());
  sockaddr_storage from{};
  socklen_t n = static_cast<socklen_t>(static_cast<int>(sizeof from) + c.length_off);
  const socklen_t given = n;
  alignas(cmsghdr) char control[256] = {};
  msghdr m{};
  switch (c.op) {
    case Op::kRead:
      o.result = s_.read(fd(c.slot), first.iov_base, first.iov_len);
      break;
    case Op::kReadv:
      o.result = s_.readv(fd(c.slot), pieces.data(), count);
      break;
    case Op::kRecv:
      o.result = s_.recv(fd(c.slot), first.iov_base, first.iov_len, c.a);
      break;
    case Op::kRecvfrom:
      o.result = s_.recvfrom(fd(c.slot), first.iov_base, first.iov_len, c.a,
                             reinterpret_cast<sockaddr*>(&from), &n);
      if (o.result >= 0) o.detail = (n == 0 ? "no name" : name(from, given, n)) + " ";
      break;
    default:
      m.msg_iov = pieces.data();
      m.msg_iovlen = pieces.size();
      m.msg_name = &from;
      m.msg_namelen = given;
      m.msg_control = control;
      m.msg_controllen = static_cast<std::size_t>(c.b);
      o.result = s_.recvmsg(fd(c.slot), &m, c.a);
      if (o.result < 0) break;
      o.detail = (m.msg_namelen == 0 ? "no name" : name(from, given, m.msg_namelen)) + " flags " +
                 std::to_string(m.msg_flags & ~MSG_CMSG_CLOEXEC);
      for (cmsghdr* h = CMSG_FIRSTHDR(&m); h != nullptr; h = CMSG_NXTHDR(&m, h)) {
        const std::size_t size = h->cmsg_len - CMSG_LEN(0);
        o.detail += " [" + std::to_string(h->cmsg_level) + "," + std::to_string(h->cmsg_type) +
                    " len " + std::to_string(h->cmsg_len);
        const bool info = h->cmsg_type == IP_PKTINFO || h->cmsg_type == IPV6_PKTINFO;
        const bool clock = h->cmsg_level == SOL_SOCKET;
        const bool small = size <= 4 && !info &&
                           !clock;  // a pktinfo has the host's address, a timestamp its clock
        o.detail += small ? " " + hex(CMSG_DATA(h), size) + "]" : "]";
      }
      o.detail += " ";
  }
  if (o.result < 0) return;
  o.detail += text_of_octets(buffer_.data(), total);  // what was left alone counts, too
}

namespace {

template <class T>
std::vector<unsigned char> control(int level, int type, const T& value, std::size_t short_by = 0) {
  std::vector<unsigned char> out(CMSG_SPACE(sizeof value));
  cmsghdr h{};
  h.cmsg_level = level;
  h.cmsg_type = type;
  h.cmsg_len = CMSG_LEN(sizeof value) - short_by;
  std::memcpy(out.data(), &h, sizeof h);
  std::memcpy(out.data() + CMSG_LEN(0), &value, sizeof value);
  return out;
}

}  // namespace

// Call::c of sendmsg: 0 for none.
std::vector<unsigned char> Player::control_of(int which) const {
  in_pktinfo four{};
  in6_pktinfo six{}, mapped{};
  inet_pton(AF_INET, s_.self(AF_INET).c_str(), &four.ipi_spec_dst);
  inet_pton(AF_INET6, s_.self(AF_INET6).c_str(), &six.ipi6_addr);
  inet_pton(AF_INET6, ("::ffff:" + s_.self(AF_INET)).c_str(), &mapped.ipi6_addr);
  in_pktinfo foreign{};
  in6_pktinfo foreign6{};
  inet_pton(AF_INET, "198.51.100.9", &foreign.ipi_spec_dst);
  inet_pton(AF_INET6, "2001:db8:ffff::9", &foreign6.ipi6_addr);
  switch (which) {
    case 1:
      return control(IPPROTO_IP, IP_TTL, 7);
    case 2:
      return control(IPPROTO_IP, IP_TTL, 0);
    case 3:
      return control(IPPROTO_IP, IP_TOS, static_cast<unsigned char>(0x20));
    case 4:
      return control(IPPROTO_IP, IP_TOS, 0x28);
    case 5:
      return control(IPPROTO_IP, IP_PKTINFO, in_pktinfo{});
    case 6:
      return control(IPPROTO_IP, IP_PKTINFO, four);
    case 7:
      return control(IPPROTO_IP, IP_PKTINFO, foreign);
    case 8:
      return control(IPPROTO_IPV6, IPV6_HOPLIMIT, 9);
    case 9:
      return control(IPPROTO_IPV6, IPV6_TCLASS, 0x20);
    case 10:
      return control(IPPROTO_IPV6, IPV6_PKTINFO, six);
    case 11:
      return control(IPPROTO_IPV6, IPV6_PKTINFO, foreign6);
    case 12:
      return control(IPPROTO_IPV6, IPV6_PKTINFO, mapped);
    case 13:
      return control(IPPROTO_IP, 99, 1);
    case 14:
      return control(IPPROTO_IPV6, 199, 1);
    case 15:
      return control(IPPROTO_IP, IP_TTL, 7, 2);
    case 16:
      return control(IPPROTO_IPV6, IPV6_HOPLIMIT, 256);
    default:
      return {};
  }
}

void Player::send(const Call& c, Outcome& o) {
  std::size_t total = 0;
  for (const int n : c.lengths) total += n < 0 ? 0 : static_cast<std::size_t>(n);
  buffer_.resize(total + 1);
  for (std::size_t i = 0; i < total; ++i) {
    buffer_[i] = static_cast<unsigned char>(calls_ * 31 + i * 7);
  }
  std::vector<iovec> pieces;
  std::size_t at = 0;
  for (const int n : c.lengths) {
    if (n < 0) {
      pieces.push_back({nullptr, 16});
    } else {
      pieces.push_back({buffer_.data() + at, static_cast<std::size_t>(n)});
      at += static_cast<std::size_t>(n);
    }
  }
  const iovec first = pieces.empty() ? iovec{} : pieces[0];
  std::vector<unsigned char> control = control_of(c.c);
  sockaddr_storage to{};
  const socklen_t full = address(c, to);
  const socklen_t n = static_cast<socklen_t>(static_cast<int>(full) + c.length_off);
  errno = 0;
  msghdr m{};
  switch (c.op) {
    case Op::kWrite:
      o.result = s_.write(fd(c.slot), first.iov_base, first.iov_len);
      return;
    case Op::kWritev:
      o.result = s_.writev(fd(c.slot), pieces.data(), static_cast<int>(pieces.size()));
      return;
    case Op::kSend:
      o.result = s_.send(fd(c.slot), first.iov_base, first.iov_len, c.a);
      return;
    case Op::kSendto:
      o.result = s_.sendto(fd(c.slot), first.iov_base, first.iov_len, c.a,
                           reinterpret_cast<const sockaddr*>(&to), n);
      return;
    default:
      m.msg_iov = pieces.data();
      m.msg_iovlen = pieces.size();
      if (!c.null) {
        m.msg_name = &to;
        m.msg_namelen = n;
      }
      m.msg_control = control.data();
      m.msg_controllen = control.size();
      o.result = s_.sendmsg(fd(c.slot), &m, c.a);
      return;
  }
}

void Player::names(const Call& c, Outcome& o) {
  sockaddr_storage a{};
  if (c.op == Op::kDisconnect) {
    o.result = s_.connect(fd(c.slot), reinterpret_cast<const sockaddr*>(&a), sizeof(sockaddr));
    return;
  }
  if (c.op == Op::kBind || c.op == Op::kConnect) {
    const auto n = static_cast<socklen_t>(static_cast<int>(address(c, a)) + c.length_off);
    const auto* name = c.null ? nullptr : reinterpret_cast<const sockaddr*>(&a);
    errno = 0;
    o.result = c.op == Op::kBind ? s_.bind(fd(c.slot), name, n) : s_.connect(fd(c.slot), name, n);
    return;
  }
  socklen_t n = static_cast<socklen_t>(static_cast<int>(sizeof a) + c.length_off);
  const socklen_t given = n;
  auto* into = c.null ? nullptr : reinterpret_cast<sockaddr*>(&a);
  o.result = c.op == Op::kGetsockname ? s_.getsockname(fd(c.slot), into, &n)
                                      : s_.getpeername(fd(c.slot), into, &n);
  if (o.result == 0) o.detail = name(a, given, n);
}

void Player::options(const Call& c, Outcome& o) {
  if (c.op == Op::kSetsockopt) {
    const auto n = static_cast<socklen_t>(static_cast<int>(c.value.size()) + c.length_off);
    std::vector<unsigned char> value = c.value;
    value.resize(value.size() + 64);
    o.result = s_.setsockopt(fd(c.slot), c.a, c.b, c.null ? nullptr : value.data(), n);
    return;
  }
  unsigned char value[512];
  std::memset(value, 0xee, sizeof value);
  auto n = static_cast<socklen_t>(c.c);
  o.result = s_.getsockopt(fd(c.slot), c.a, c.b, c.null ? nullptr : value, &n);
  if (o.result != 0) return;
  const bool own_length = c.a == IPPROTO_TCP && (c.b == TCP_INFO || c.b == TCP_CC_INFO);
  o.detail = value_text(c.a, c.b, value, std::min<socklen_t>(n, sizeof value));
  if (!own_length) o.detail += " len " + std::to_string(n);
}

void Player::flags(const Call& c, Outcome& o) {
  if (c.op == Op::kIoctl) {
    int value = -7;
    o.result = s_.ioctl(fd(c.slot), static_cast<unsigned long>(c.a), c.null ? nullptr : &value);
    if (o.result >= 0) o.detail = std::to_string(value);
    return;
  }
  if (c.op == Op::kBlocking) {
    int off = 0;
    o.result = c.a != 0 ? s_.ioctl(fd(c.slot), FIONBIO, &off) : s_.fcntl(fd(c.slot), F_SETFL, 0);
    const int was = errno;
    o.detail = std::to_string(s_.fcntl(fd(c.slot), F_GETFL, 0));
    (void)s_.fcntl(fd(c.slot), F_SETFL, O_NONBLOCK);
    errno = was;
    return;
  }
  o.result = s_.fcntl(fd(c.slot), F_GETFL, 0);
  const int was = errno;
  o.detail = std::to_string(s_.fcntl(fd(c.slot), F_GETFD, 0));
  errno = was;
}

void Player::readiness(const Call& c, Outcome& o) {
  if (c.op == Op::kPoll) {
    std::vector<pollfd> asked;
    for (std::size_t i = 0; i < kSlots; ++i) {
      if (c.masks[i] >= 0) asked.push_back({fds_[i], static_cast<short>(c.masks[i]), 0});
    }
    o.result = s_.poll(asked.data(), asked.size());
    for (const pollfd& p : asked) {
      o.detail += event_bits(static_cast<std::uint16_t>(p.revents)) + " ";
    }
    return;
  }
  fd_set sets[3];
  int most = 0;
  for (fd_set& f : sets) FD_ZERO(&f);
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (c.masks[i] < 0 || fds_[i] < 0 || fds_[i] >= FD_SETSIZE) continue;
    for (int k = 0; k < 3; ++k) {
      if ((c.masks[i] >> k & 1) != 0) FD_SET(fds_[i], &sets[k]);
    }
    most = std::max(most, fds_[i] + 1);
  }
  o.result = s_.select(most, &sets[0], &sets[1], &sets[2]);
  for (std::size_t i = 0; i < kSlots && o.result >= 0; ++i) {
    if (fds_[i] < 0 || fds_[i] >= FD_SETSIZE) continue;
    for (fd_set& f : sets) o.detail += FD_ISSET(fds_[i], &f) ? '1' : '0';
    o.detail += ' ';
  }
}

void Player::epolls(const Call& c, Outcome& o) {
  if (c.op == Op::kEpollCreate) {
    const int made = s_.epoll_create1(c.a);
    keep(c.other, made);
    o.result = made < 0 ? -1 : 0;
    return;
  }
  if (c.op == Op::kEpollCtl) {
    epoll_event e{};
    e.events = static_cast<std::uint32_t>(c.b);
    e.data.u64 = static_cast<std::uint64_t>(c.other) + 100 * calls_;
    o.result = s_.epoll_ctl(fd(c.slot), c.a, fd(c.other), c.null ? nullptr : &e);
    return;
  }
  epoll_event events[kSlots + 2];
  o.result = s_.epoll_wait(fd(c.slot), c.null ? nullptr : events, c.a);
  for (long i = 0; i < o.result; ++i) {
    o.detail += std::to_string(events[i].data.u64) + "=" + event_bits(events[i].events) + " ";
  }
}

}  // namespace weir::differential
