// Embedded stacks between a test's hands. A Host is one weir_stack at 192.0.2.1 and 2001:db8::1
// with its clock; a Peer is one remote end that makes IP packets and reads those that come out; a
// Wire joins two Hosts. Time is virtual: microseconds from kStart on.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/addr.h"
#include "socket/include/weir/weir.h"
#include "wire/frame.h"

namespace weir::posix::test {

using Octets = std::vector<std::byte>;
using enum wire::TcpFlags;

inline constexpr std::uint64_t kStart = 1'000'000'000;
inline constexpr std::uint64_t kMs = 1'000, kS = 1'000'000;

inline constexpr IpAddr kHost = IpAddr::v4(192, 0, 2, 1), kPeer = IpAddr::v4(192, 0, 2, 2);
inline constexpr IpAddr kHost6 =
    IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
inline constexpr IpAddr kPeer6 =
    IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});

// A socket address of the family that `addr` is of, or, with `six`, of AF_INET6 in any case.
struct Name {
  sockaddr_storage storage{};
  socklen_t length = 0;
  Name() : length(sizeof(sockaddr_storage)) {}
  explicit Name(const IpAddr& addr, std::uint16_t port, bool six = false);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] Endpoint endpoint() const;
};

struct HostOptions {
  std::vector<std::string> addresses{"192.0.2.1/24", "2001:db8::1/64"};
  std::uint32_t mtu = 1'500;
  std::uint64_t seed = 1;
  std::uint32_t max_sockets = 64, max_connections = 64, max_packet_buffers = 4'096;
  std::vector<std::pair<std::string, std::string>> settings{};
};

// A packet that came out, parsed.
struct Sent {
  wire::Frame frame;
  Octets octets;  // of the IP packet
  std::string text;
  std::uint64_t when = 0;
  [[nodiscard]] std::uint8_t flags() const { return frame.tcp.flags; }
};

class Host {
 public:
  explicit Host(const HostOptions& options = {});
  ~Host() { weir_stack_destroy(stack_); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] weir_stack* get() const { return stack_; }
  operator weir_stack*() const { return stack_; }  // NOLINT: every call's first argument
  [[nodiscard]] std::uint64_t now() const { return weir_stack_now(stack_); }
  void at(std::uint64_t us) { ASSERT_EQ(0, weir_stack_advance(stack_, kStart + us)); }
  void pass(std::uint64_t us) { ASSERT_EQ(0, weir_stack_advance(stack_, now() + us)); }
  void input(const Octets& packet) {
    ASSERT_EQ(0, weir_stack_input(stack_, packet.data(), packet.size(), now()));
  }
  [[nodiscard]] std::optional<Sent> output();
  [[nodiscard]] std::vector<Sent> drain();

  // -- Calls as they are mostly made
  int tcp(int family = AF_INET) { return weir_socket(stack_, family, SOCK_STREAM, 0); }
  int bind(int fd, const IpAddr& addr, std::uint16_t port, bool six = false) {
    const Name n(addr, port, six);
    return weir_bind(stack_, fd, n.get(), n.length);
  }
  int connect(int fd, const IpAddr& addr, std::uint16_t port, bool six = false) {
    const Name n(addr, port, six);
    return weir_connect(stack_, fd, n.get(), n.length);
  }
  // Bound to 192.0.2.1 (or ::) and listening.
  int listener(std::uint16_t port, int backlog = 8, int family = AF_INET);
  int accept(int fd) { return weir_accept(stack_, fd, nullptr, nullptr); }
  ssize_t write(int fd, const std::string& text) {
    return weir_write(stack_, fd, text.data(), text.size());
  }
  // What one read gives; "!N" for errno N.
  std::string read(int fd, std::size_t most = 65'536, int flags = 0);
  int set(int fd, int level, int name, int value) {
    return weir_setsockopt(stack_, fd, level, name, &value, sizeof value);
  }
  int get(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return weir_getsockopt(stack_, fd, level, name, &value, &length) < 0 ? -errno : value;
  }
  int error_of(int fd) { return get(fd, SOL_SOCKET, SO_ERROR); }
  Endpoint local(int fd);
  Endpoint peer(int fd);

 private:
  weir_stack* stack_ = nullptr;
};

// One remote end of one connection with `host`. Sequence numbers are from 0, its ISN;
// acknowledgment numbers from the host's ISN.
class Peer {
 public:
  Peer(Host& host, const IpAddr& local, std::uint16_t local_port, const IpAddr& remote,
       std::uint16_t remote_port)
      : host_(host), flow_{local, remote, local_port, remote_port} {}

  struct Segment {
    std::uint32_t seq = 0, ack = 0;
    std::uint8_t flags = ACK;
    std::string text{};
    std::uint16_t wnd = 65'535;
    wire::TcpOptions options{};
    std::uint16_t urgent = 0;
  };
  void send(const Segment& s);
  [[nodiscard]] Octets packet_of(const Segment& s) const;
  // The next packet that came out; fails the test when there is none.
  Sent expect();
  void expect_none();
  // Opens to a listener: SYN, SYN-ACK, ACK.
  void open(const wire::TcpOptions& options = {.mss = 1'460});
  // Answers the SYN that a connect has sent.
  void answer(const wire::TcpOptions& options = {.mss = 1'460});
  // ICMP about the last SYN or text that this peer took.
  void icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);

  [[nodiscard]] Seq iss() const { return iss_; }  // the host's
  void learn(const Sent& s);
  [[nodiscard]] const FlowKey& flow() const { return flow_; }
  void set_host_port(std::uint16_t port) { flow_.remote_port = port; }

 private:
  Host& host_;
  FlowKey flow_;  // as the peer sees it
  Seq iss_;
  Octets last_;
};

// Two hosts back to back. `drop(n)`: whether packet number n is lost.
class Wire {
 public:
  Wire(Host& a, Host& b, std::uint64_t delay = 5 * kMs) : ends_{&a, &b}, delay_(delay) {}
  void drop(std::function<bool(std::uint64_t)> fn) { drop_ = std::move(fn); }
  // Until `done` or that much later; true when done.
  bool run(const std::function<bool()>& done, std::uint64_t most = 600 * kS);
  [[nodiscard]] std::uint64_t packets() const { return count_; }

 private:
  struct InFlight {
    std::uint64_t due;
    int to;
    Octets octets;
  };
  void collect();

  Host* ends_[2];
  std::uint64_t delay_;
  std::function<bool(std::uint64_t)> drop_;
  std::deque<InFlight> air_;
  std::uint64_t count_ = 0;
};

}  // namespace weir::posix::test
