// An embedded stack under a player of packet scripts (apps/examples/script_player.c): the player's
// thread moves time and packets, blocking calls wait on a second one.
#include "script_player.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "wire/frame.h"

namespace weir::posix::test {
namespace {

using namespace std::chrono_literals;
using enum wire::TcpFlags;
using Octets = std::vector<std::byte>;

constexpr IpAddr kHost = IpAddr::v4(192, 168, 0, 1), kPeer = IpAddr::v4(192, 0, 2, 1);
constexpr std::uint16_t kPort = 8'080;

sockaddr_in name(const IpAddr& addr, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(addr.v4_value());
  return in;
}

struct Sent {
  wire::Frame frame;
  std::string text;
  long long at = 0;  // microseconds since the scene began
  [[nodiscard]] unsigned flags() const { return frame.tcp.flags; }
};

// A call on the second thread, and when it ended: as a player measures both.
struct Blocked {
  std::thread thread;
  long result = 0;
  int error = 0;
  long long at = 0;
};

// As players do: the call has begun, and waits.
void wait_until_asleep(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  for (int i = 0; i < 5'000; ++i) {
    std::ifstream stat(path);
    std::string text;
    std::getline(stat, text);
    const std::size_t at = text.rfind(')');
    if (at == std::string::npos || text.compare(at, 3, ") S") == 0) return;
    std::this_thread::sleep_for(1ms);
  }
  ADD_FAILURE() << "the call neither ends nor waits";
}

struct ScriptPlayer : testing::Test {
  script_player p{};
  long long begin = 0;
  std::uint32_t iss = 0;            // of the host
  std::uint16_t host_port = kPort;  // of the host's end

  explicit ScriptPlayer(const char* flags = "") {
    packetdrill_interface_init(flags, &p);
    begin = clock();
  }
  ~ScriptPlayer() override { p.free(p.userdata); }
  ScriptPlayer(const ScriptPlayer&) = delete;
  ScriptPlayer& operator=(const ScriptPlayer&) = delete;

  long long clock() {
    timeval tv{};
    EXPECT_EQ(0, p.gettimeofday(p.userdata, &tv, nullptr));
    return static_cast<long long>(tv.tv_sec) * 1'000'000 + tv.tv_usec - begin;
  }
  // As players do: most of the way at once, then by looking at the clock.
  void until(long long at) {
    if (const long long left = at - clock(); left > 20) {
      EXPECT_EQ(0, p.usleep(p.userdata, static_cast<useconds_t>(left - 20)));
    }
    while (clock() < at) {
    }
  }
  int tcp() { return p.socket(p.userdata, AF_INET, SOCK_STREAM, 0); }
  int connect(int fd) {
    const sockaddr_in at = name(kPeer, kPort);
    return p.connect(p.userdata, fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
  }
  int listener() {
    const int fd = tcp();
    const sockaddr_in at = name(kHost, kPort);
    EXPECT_EQ(0, p.bind(p.userdata, fd, reinterpret_cast<const sockaddr*>(&at), sizeof at));
    EXPECT_EQ(0, p.listen(p.userdata, fd, 8));
    return fd;
  }

  void inject(std::uint32_t seq, std::uint32_t ack, unsigned flags, const std::string& text = {},
              std::uint16_t wnd = 32'768);
  Sent sniff();  // the next packet out, however long it takes

  // The host's SYN is taken and answered.
  void answer() {
    const Sent syn = sniff();
    EXPECT_EQ(unsigned{SYN}, syn.flags());
    inject(0, 1, SYN | ACK);
    EXPECT_EQ(unsigned{ACK}, sniff().flags());
  }
  int established() {
    const int l = listener();
    inject(0, 0, SYN);
    EXPECT_EQ(unsigned{SYN | ACK}, sniff().flags());
    inject(1, 1, ACK);
    const int fd = p.accept(p.userdata, l, nullptr, nullptr);
    EXPECT_GE(fd, 0);
    return fd;
  }

  void start(Blocked& b, std::function<long()> call) {
    std::atomic<pid_t> thread = 0;
    b.thread = std::thread([this, &b, &thread, call = std::move(call)] {
      thread = gettid();
      errno = 0;
      b.result = call();
      b.error = errno;
      std::this_thread::sleep_for(2ms);  // however slow it is, time waits for it to look at it
      b.at = clock();
    });
    while (thread == 0) std::this_thread::yield();
    wait_until_asleep(thread);
  }
  static void end(Blocked& b) { b.thread.join(); }
};

void ScriptPlayer::inject(std::uint32_t seq, std::uint32_t ack, unsigned flags,
                          const std::string& text, std::uint16_t wnd) {
  wire::TcpFrame f;
  f.flow = {kPeer, kHost, kPort, host_port};
  f.tcp.seq = Seq{seq};
  f.tcp.ack = Seq{(flags & ACK) != 0 ? iss + ack : 0};
  f.tcp.flags = static_cast<std::uint8_t>(flags);
  f.tcp.wnd = wnd;
  if ((flags & SYN) != 0) f.tcp.options.mss = 1'460;
  f.payload_len = static_cast<std::uint32_t>(text.size());
  std::array<std::byte, wire::kMaxTcpFrameHeader> header;
  const auto* octets = reinterpret_cast<const std::byte*>(text.data());
  const wire::Piece piece{octets, f.payload_len};
  const std::size_t n = wire::write_tcp_frame(header, f, wire::TxChecksum::kSoftware, {&piece, 1});
  Octets packet(header.data() + wire::kEthHeader, header.data() + n);
  packet.insert(packet.end(), octets, octets + text.size());
  EXPECT_EQ(0, p.netdev_send(p.userdata, packet.data(), packet.size()));
}

Sent ScriptPlayer::sniff() {
  Sent s;
  Octets frame(wire::kEthHeader + 65'536);
  frame[12] = std::byte{0x08};
  std::size_t length = 65'536;
  if (p.netdev_receive(p.userdata, frame.data() + wire::kEthHeader, &length, &s.at) != 0) {
    ADD_FAILURE() << "nothing comes out any more";
    std::abort();  // a thread waits for what will never be
  }
  s.at -= begin;
  frame.resize(wire::kEthHeader + length);
  wire::parse_frame(frame, frame.size(), {}, s.frame);
  EXPECT_EQ(wire::Kind::kTcp, s.frame.kind);
  s.text.assign(reinterpret_cast<const char*>(frame.data()) + s.frame.payload_offset,
                s.frame.payload_len);
  if ((s.flags() & SYN) != 0) {
    iss = distance(Seq{0}, s.frame.tcp.seq);
    host_port = s.frame.tcp.src_port;
  }
  return s;
}

// A clock that was looked at is a few microseconds on.
void expect_near(long long wanted, long long got) {
  EXPECT_GE(got, wanted);
  EXPECT_LE(got, wanted + 100);
}

TEST_F(ScriptPlayer, AConnectWaitsWhileItsSynsAreLost) {
  const auto began = std::chrono::steady_clock::now();
  const int fd = tcp();
  Blocked b;
  start(b, [&] { return connect(fd); });
  long long first = 0;
  for (const long long at : {0, 1'000'000, 3'000'000, 7'000'000}) {
    const Sent syn = sniff();
    EXPECT_EQ(unsigned{SYN}, syn.flags());
    if (at == 0) first = syn.at;
    EXPECT_EQ(at, syn.at - first);
  }
  inject(0, 1, SYN | ACK);
  end(b);
  EXPECT_EQ(0, b.result) << b.error;
  expect_near(first + 7'000'000, b.at);
  EXPECT_EQ(unsigned{ACK}, sniff().flags());
  const auto took = std::chrono::steady_clock::now() - began;
  RecordProperty("microseconds", std::to_string(took / 1us));
  EXPECT_LT(took, 5s) << "7 s were waited for in earnest";
}

TEST_F(ScriptPlayer, AConnectIsRefused) {
  const int fd = tcp();
  Blocked b;
  start(b, [&] { return connect(fd); });
  (void)sniff();
  inject(0, 1, RST | ACK);
  end(b);
  EXPECT_EQ(-1, b.result);
  EXPECT_EQ(ECONNREFUSED, b.error);
}

struct FewRetries : ScriptPlayer {
  FewRetries() : ScriptPlayer("syn_retries=2,rto_initial=500ms") {}
};
TEST_F(FewRetries, AConnectGivesUp) {
  const int fd = tcp();
  Blocked b;
  start(b, [&] { return connect(fd); });
  const long long first = sniff().at;
  until(first + 5'000'000);
  end(b);
  EXPECT_EQ(-1, b.result);
  EXPECT_EQ(ETIMEDOUT, b.error);
  expect_near(first + 3'500'000, b.at);
}

TEST_F(ScriptPlayer, AConnectThatMayNotWaitDoesNot) {
  const int fd = tcp();
  EXPECT_EQ(0, p.fcntl(p.userdata, fd, F_SETFL, O_NONBLOCK));
  EXPECT_EQ(-1, connect(fd));
  EXPECT_EQ(EINPROGRESS, errno);
  answer();
  EXPECT_EQ(0, connect(fd));
}

TEST_F(ScriptPlayer, AnAcceptWaitsForAConnection) {
  const int l = listener();
  Blocked b;
  start(b, [&] { return p.accept(p.userdata, l, nullptr, nullptr); });
  until(2'000'000);
  inject(0, 0, SYN);
  EXPECT_EQ(unsigned{SYN | ACK}, sniff().flags());
  until(2'100'000);
  inject(1, 1, ACK);
  until(2'200'000);
  end(b);
  EXPECT_GE(b.result, 0);
  expect_near(2'100'000, b.at);
}

TEST_F(ScriptPlayer, AReadWaitsForText) {
  const int fd = established();
  char text[16];
  Blocked b;
  start(b, [&] { return p.read(p.userdata, fd, text, sizeof text); });
  until(500'000);
  inject(1, 1, ACK | PSH, "hello");
  until(600'000);
  end(b);
  EXPECT_EQ(5, b.result);
  expect_near(500'000, b.at);
}

TEST_F(ScriptPlayer, AReadEndsWithThePeersEndOrItsReset) {
  const int fd = established();
  char text[16];
  Blocked b;
  start(b, [&] { return p.recv(p.userdata, fd, text, sizeof text, 0); });
  inject(1, 1, FIN | ACK);
  until(10'000);
  end(b);
  EXPECT_EQ(0, b.result);
  EXPECT_EQ(0, p.close(p.userdata, fd));
}

TEST_F(ScriptPlayer, AReadEndsWithAReset) {
  const int fd = established();
  char text[16];
  Blocked b;
  start(b, [&] { return p.recv(p.userdata, fd, text, sizeof text, 0); });
  inject(1, 1, RST | ACK);
  end(b);
  EXPECT_EQ(-1, b.result);
  EXPECT_EQ(ECONNRESET, b.error);
}

struct SmallBuffer : ScriptPlayer {
  SmallBuffer() : ScriptPlayer("wmem=8192") {}
};
TEST_F(SmallBuffer, AWriteWaitsForRoomForAllOfIt) {
  const int fd = established();
  const std::string text(50'000, 'x');
  Blocked b;
  start(b, [&] { return p.write(p.userdata, fd, text.data(), text.size()); });
  std::uint32_t acked = 1;
  while (acked < 1 + text.size()) {
    const Sent s = sniff();
    if (HasFailure()) break;
    acked += static_cast<std::uint32_t>(s.text.size());
    inject(1, acked, ACK);
  }
  end(b);
  EXPECT_EQ(50'000, b.result);
}

TEST_F(ScriptPlayer, APollWaitsItsTimeOrUntilSomethingComes) {
  const int fd = established();
  pollfd one{fd, POLLIN, 0};
  const long long from = clock();
  EXPECT_EQ(0, p.poll(p.userdata, &one, 1, 250));  // on the player's thread: time moves by itself
  expect_near(from + 250'000, clock());
  Blocked b;
  start(b, [&] { return p.poll(p.userdata, &one, 1, 10'000); });
  until(from + 1'000'000);
  inject(1, 1, ACK | PSH, "a");
  until(from + 1'100'000);
  end(b);
  EXPECT_EQ(1, b.result);
  EXPECT_EQ(POLLIN, one.revents);
  expect_near(from + 1'000'000, b.at);
}

TEST_F(ScriptPlayer, APollOnTheSecondThreadEndsAtItsTime) {
  pollfd one{tcp(), POLLIN, 0};
  one.fd = listener();
  Blocked b;
  const long long from = clock();
  start(b, [&] { return p.poll(p.userdata, &one, 1, 300); });
  until(from + 2'000'000);
  end(b);
  EXPECT_EQ(0, b.result);
  expect_near(from + 300'000, b.at);
}

TEST_F(ScriptPlayer, AnEpollWaits) {
  const int fd = established();
  const int ep = p.epoll_create(p.userdata, 1);
  epoll_event ev{};
  ev.events = EPOLLIN | EPOLLET;
  ev.data.fd = fd;
  EXPECT_EQ(0, p.epoll_ctl(p.userdata, ep, EPOLL_CTL_ADD, fd, &ev));
  epoll_event out{};
  Blocked b;
  start(b, [&] { return p.epoll_wait(p.userdata, ep, &out, 1, -1); });
  until(40'000);
  inject(1, 1, ACK | PSH, "a");
  until(50'000);
  end(b);
  EXPECT_EQ(1, b.result);
  EXPECT_EQ(fd, out.data.fd);
  EXPECT_EQ(std::uint32_t{EPOLLIN}, out.events);
  EXPECT_EQ(-1, p.epoll_create(p.userdata, 0));
  EXPECT_EQ(EINVAL, errno);
}

TEST_F(ScriptPlayer, ADelayedAckComesAtItsInstantThoughNobodyLooked) {
  const int fd = established();
  for (std::uint32_t i = 0; i < 20; ++i) {  // past the quick ones
    inject(1 + i, 1, ACK | PSH, "a");
    (void)sniff();
  }
  const long long from = clock();
  inject(21, 1, ACK | PSH, "b");
  until(from + 500'000);
  const Sent ack = sniff();
  EXPECT_EQ(unsigned{ACK}, ack.flags());
  EXPECT_GT(ack.at, from);
  EXPECT_LE(ack.at, from + 41'000);
  EXPECT_EQ(0, p.close(p.userdata, fd));
}

TEST_F(ScriptPlayer, WhatIsSplicedGoesThroughAPipe) {
  const int fd = established();
  int ends[2];
  ASSERT_EQ(0, p.pipe(p.userdata, ends));
  EXPECT_EQ(5, p.write(p.userdata, ends[1], "hello", 5));
  EXPECT_EQ(5, p.splice(p.userdata, ends[0], nullptr, fd, nullptr, 100, 0));
  EXPECT_EQ("hello", sniff().text);
  inject(1, 6, ACK | PSH, "world");
  EXPECT_EQ(5, p.splice(p.userdata, fd, nullptr, ends[1], nullptr, 100, 0));
  char text[8];
  EXPECT_EQ(5, p.read(p.userdata, ends[0], text, sizeof text));
  EXPECT_EQ("world", std::string(text, 5));
  for (const int end : ends) EXPECT_EQ(0, p.close(p.userdata, end));
}

}  // namespace
}  // namespace weir::posix::test
