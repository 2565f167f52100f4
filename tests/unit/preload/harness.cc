#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace weir::preload::test {

sockaddr_storage address(const char* ip, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  EXPECT_EQ(1, inet_pton(AF_INET, ip, &in.sin_addr));
  sockaddr_storage out{};
  std::memcpy(&out, &in, sizeof in);
  return out;
}

weir_stack* make_stack(const char* ip, std::uint8_t mac) {
  const std::string prefix = std::string(ip) + "/24";
  const char* const list = prefix.c_str();
  weir_config c;
  weir_config_init(&c);
  c.link = WEIR_LINK_ETHERNET;
  c.mac[0] = 2;
  c.mac[5] = mac;
  c.seed = mac;
  c.now = Host::clock_us();
  c.addresses = &list;
  c.address_count = 1;
  c.max_connections = c.max_sockets = 256;
  c.first_descriptor = 0;
  char error[256];
  weir_stack* const s = weir_stack_create(&c, error, sizeof error);
  EXPECT_NE(nullptr, s) << error;
  return s;
}

std::span<const std::span<const std::byte>> PeerWire::receive() {
  const std::lock_guard lock(mutex_);
  frames_.clear();
  spans_.clear();
  (void)weir_stack_advance(stack_, Host::clock_us());
  std::vector<std::byte> frame(2'048);
  std::size_t length = 0;
  while (frames_.size() < 64 &&
         weir_stack_output(stack_, frame.data(), frame.size(), &length, nullptr) == 1) {
    frames_.emplace_back(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
  }
  for (const auto& f : frames_) spans_.emplace_back(f);
  if (at_look_) at_look_(stack_);
  return spans_;
}

void PeerWire::send(std::span<const std::byte> frame) {
  constexpr std::size_t kFlags = 47;  // of TCP over IPv4, without IP options
  const std::lock_guard lock(mutex_);
  if (lose_fin_ && frame.size() > kFlags && (frame[kFlags] & std::byte{1}) != std::byte{0}) {
    lose_fin_ = false;
    return;
  }
  (void)weir_stack_input(stack_, frame.data(), frame.size(), Host::clock_us());
}

HostTest::HostTest(bool shared) : stack_(make_stack(kProgram, 2)) {
  static std::atomic<std::uint64_t> number{0};
  token_ = static_cast<std::uint64_t>(getpid()) << 32U | ++number;
  key_ = "unit-" + std::to_string(token_);
  EXPECT_TRUE(!shared || siblings_.join(key_));
  host_ = std::make_unique<Host>(stack_, wire_, shared ? &siblings_ : nullptr, token_);
  EXPECT_TRUE(host_->open());
  thread_ = std::thread([this] { host_->run(2'000'000); });
}

HostTest::~HostTest() {
  finish();
  weir_stack_on_ready(stack_, nullptr, nullptr);
  host_.reset();
  weir_stack_destroy(stack_);
}

void HostTest::finish() {
  if (!thread_.joinable()) return;
  preload::finish(token_, 0);
  thread_.join();
}

std::uint64_t HostTest::open(const char* ip, std::uint16_t port, int* error) {
  Request r;
  r.op = Op::kOpen;
  r.family = AF_INET;
  if (ip != nullptr) {
    r.address = address(ip, port);
    r.address_length = sizeof(sockaddr_in);
  }
  Reply reply;
  const int e = ask(token_, r, reply);
  if (error != nullptr) *error = e;
  return reply.id;
}

int HostTest::listen(std::uint64_t id, int backlog) {
  Request r;
  r.op = Op::kListen;
  r.id = id;
  r.argument = backlog;
  Reply reply;
  int fd = -1;
  EXPECT_EQ(0, ask(token_, r, reply, &fd));
  return fd;
}

int HostTest::connect(std::uint64_t id, std::uint16_t port, int* error) {
  Request r;
  r.op = Op::kConnect;
  r.id = id;
  r.address = address(kPeerIp, port);
  r.address_length = sizeof(sockaddr_in);
  Reply reply;
  int fd = -1;
  const int e = ask(token_, r, reply, &fd);
  if (error != nullptr) *error = e;
  return fd;
}

int HostTest::accept(int gate, ShortAddress* peer) {
  if ((ready(gate, POLLIN) & POLLIN) == 0) return -1;
  Arrival arrival;
  int fd = -1;
  if (receive_with(gate, &arrival, sizeof arrival, MSG_CMSG_CLOEXEC, fd) != sizeof arrival) {
    return -1;
  }
  if (peer != nullptr) *peer = arrival.peer;
  return fd;
}

int HostTest::option(std::uint64_t id, int level, int name, int* error) {
  Request r;
  r.op = Op::kGetOption;
  r.id = id;
  r.level = level;
  r.name = name;
  r.argument = sizeof(int);
  Reply reply;
  const int e = ask(token_, r, reply);
  if (error != nullptr) *error = e;
  int value = -1;
  if (e == 0) std::memcpy(&value, reply.data.data(), sizeof value);
  return value;
}

int HostTest::set_option(std::uint64_t id, int level, int name, const void* value,
                         std::uint32_t size) {
  Request r;
  r.op = Op::kSetOption;
  r.id = id;
  r.level = level;
  r.name = name;
  r.size = size;
  std::memcpy(r.data.data(), value, size);
  Reply reply;
  return ask(token_, r, reply);
}

int HostTest::peer_listens(std::uint16_t port) {
  return wire_.with([&](weir_stack* s) {
    const int fd = weir_socket(s, AF_INET, SOCK_STREAM, 0);
    const sockaddr_storage a = address(kPeerIp, port);
    EXPECT_EQ(0, weir_bind(s, fd, reinterpret_cast<const sockaddr*>(&a), sizeof(sockaddr_in)));
    EXPECT_EQ(0, weir_listen(s, fd, 16));
    return fd;
  });
}

int HostTest::peer_connects(std::uint16_t port) {
  return wire_.with([&](weir_stack* s) {
    const int fd = weir_socket(s, AF_INET, SOCK_STREAM, 0);
    const sockaddr_storage a = address(kProgram, port);
    EXPECT_EQ(-1, weir_connect(s, fd, reinterpret_cast<const sockaddr*>(&a), sizeof(sockaddr_in)));
    return fd;
  });
}

int HostTest::peer_accepts(int listener) {
  int fd = -1;
  EXPECT_TRUE(wire_.until([&](weir_stack* s) {
    fd = weir_accept(s, listener, nullptr, nullptr);
    return fd >= 0;
  }));
  return fd;
}

std::string HostTest::peer_reads(int fd, std::size_t octets) {
  std::string out;
  std::string room(65'536, '\0');
  (void)wire_.until([&](weir_stack* s) {
    const ssize_t n = weir_read(s, fd, room.data(), room.size());
    if (n < 0) return errno != EAGAIN;
    out.append(room, 0, static_cast<std::size_t>(n));
    return n == 0 || out.size() >= octets;
  });
  return out;
}

bool HostTest::peer_ready(int fd, std::uint32_t events) {
  return wire_.until([&](weir_stack* s) { return (weir_ready(s, fd) & events) == events; });
}

HostTest::Both HostTest::connected(std::uint16_t port) {
  Both b;
  const int listener = peer_listens(port);
  b.id = open(nullptr, 0);
  b.fd = connect(b.id, port);
  EXPECT_NE(0, ready(b.fd, POLLOUT) & POLLOUT);
  b.peer = peer_accepts(listener);
  return b;
}

FewDescriptors::FewDescriptors(unsigned free) {
  std::vector<int> taken;
  for (unsigned i = 0; i < free; ++i) taken.push_back(dup(STDERR_FILENO));
  const int last = dup(STDERR_FILENO);
  close(last);
  for (const int fd : taken) close(fd);
  EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &was_));
  const rlimit now{static_cast<rlim_t>(last), was_.rlim_max};
  EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &now));
}

FewDescriptors::~FewDescriptors() {
  EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &was_));
}

short ready(int fd, short events, int ms) {
  pollfd p{fd, events, 0};
  return poll(&p, 1, ms) == 1 ? p.revents : short{0};
}

std::string read_all(int fd, std::size_t octets) {
  std::string out;
  std::string room(65'536, '\0');
  while (out.size() < octets && ready(fd, POLLIN) != 0) {
    const ssize_t n = read(fd, room.data(), room.size());
    if (n <= 0) break;
    out.append(room, 0, static_cast<std::size_t>(n));
  }
  return out;
}

}  // namespace weir::preload::test
