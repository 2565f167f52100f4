// What a port carries without a stack: each UDP datagram goes back whence it came, in its own
// buffer, its addresses and ports exchanged (which leaves its checksums as they are). Everything
// else is dropped; there is no ARP, so the other end needs a permanent neighbour entry.
//
//   port_echo DEVICE CORE            each datagram once
//   port_echo DEVICE CORE --flood    the first one over and over, as fast as the port takes it
//   port_echo DEVICE CORE --poll     each once, and never asleep between two
//
// Prints `ready MAC` when the port is open; SIGTERM ends it and prints frames and turns. Exit code
// 2: a bad command line, or the port does not open.
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "dpdk/eal.h"
#include "dpdk/idle.h"
#include "dpdk/port.h"
#include "wire/frame.h"

namespace weir::bench {
namespace {

constexpr unsigned kBurst = 32;
constexpr std::uint8_t kUdp = 17;

void exchange(std::byte* a, std::byte* b, std::size_t n) {
  std::swap_ranges(a, a + n, b);
}

// False: not ours to answer.
bool turn_round(Buf& b) {
  wire::Frame f;
  wire::parse_frame({b.data, b.len}, b.len, {true, true}, f);
  if (f.kind != wire::Kind::kUdp || !f.dst.is_v4() || f.protocol != kUdp || b.next != nullptr) {
    return false;
  }
  exchange(b.data, b.data + 6, 6);
  exchange(b.data + f.l3_offset + 12, b.data + f.l3_offset + 16, 4);
  exchange(b.data + f.l4_offset, b.data + f.l4_offset + 2, 2);
  return true;
}

struct Totals {
  std::uint64_t frames = 0, bursts = 0;
};

void echo(dpdk::Queue& queue, dpdk::Idle how, const std::atomic<bool>& stop, Totals& totals) {
  dpdk::IdleWaiter idle({.mode = how});
  telemetry::Counters counters;
  std::array<Buf*, kBurst> frames{};
  while (!stop.load(std::memory_order_relaxed)) {
    const unsigned n = queue.rx_burst(frames);
    BufChain back, dropped;
    for (Buf* b : std::span(frames).first(n)) (turn_round(*b) ? back : dropped).push_back(b);
    queue.transmit({}, std::move(back), counters);
    queue.release(std::move(dropped));
    totals.frames += n;
    totals.bursts += n > 0 ? 1 : 0;
    idle.after(n, dpdk::Queue::now(), kNever);
  }
}

// Copies of `frame` until the end, 32 at a time; they come back to the pool once they are sent.
void flood(dpdk::Queue& queue, const Buf& frame, const std::atomic<bool>& stop, Totals& totals) {
  const BufSource source = queue.source();
  telemetry::Counters counters;
  std::array<Buf*, kBurst> copies{};
  while (!stop.load(std::memory_order_relaxed)) {
    const unsigned n = source.take(source.context, copies.data(), kBurst);
    BufChain out;
    for (Buf* b : std::span(copies).first(n)) {
      std::copy_n(frame.data, frame.len, b->data);
      b->len = frame.len;
      b->room -= frame.len;
      out.push_back(b);
    }
    queue.transmit({}, std::move(out), counters);
    queue.release({});
    totals.frames += n;
    ++totals.bursts;
  }
}

// Waits for the frame to flood with.
void echo_once_and_flood(dpdk::Queue& queue, const std::atomic<bool>& stop, Totals& totals) {
  std::array<Buf*, kBurst> frames{};
  Buf* first = nullptr;
  while (first == nullptr && !stop.load(std::memory_order_relaxed)) {
    const unsigned n = queue.rx_burst(frames);
    BufChain dropped;
    for (Buf* b : std::span(frames).first(n)) {
      if (first == nullptr && turn_round(*b)) {
        first = b;
      } else {
        dropped.push_back(b);
      }
    }
    queue.release(std::move(dropped));
  }
  if (first == nullptr) return;
  flood(queue, *first, stop, totals);
  BufChain last;
  last.push_back(first);
  queue.release(std::move(last));
}

int complain(const std::string& what) {
  std::fprintf(stderr, "port_echo: %s\n", what.c_str());
  return 2;
}

int main(int argc, char** argv) {
  const bool floods = argc == 4 && std::string_view(argv[3]) == "--flood";
  const bool polls = argc == 4 && std::string_view(argv[3]) == "--poll";
  if (argc != 3 && !floods && !polls) {
    return complain("usage: port_echo DEVICE CORE [--flood | --poll], as in port_echo tap:echo0 1");
  }
  const std::string_view text = argv[2];
  unsigned core = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), core);
  if (error != std::errc() || end != text.data() + text.size()) {
    return complain("CORE = " + std::string(text) + ": the number of a CPU");
  }
  const auto device = dpdk::parse_device(argv[1]);
  if (!device) return complain(device.error());
  sigset_t signals;
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT}) sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  dpdk::EalConfig ec;
  ec.cores = {core};
  ec.devices = {argv[1]};
  auto eal = dpdk::Eal::init(ec);
  if (!eal) return complain(eal.error());
  dpdk::PortConfig pc;
  pc.device = argv[1];
  auto port = dpdk::Port::open(**eal, pc);
  if (!port) return complain(port.error());
  std::atomic<bool> stop{false};
  Totals totals;
  (*eal)->launch(0, [&] {
    floods ? echo_once_and_flood((*port)->queue(0), stop, totals)
           : echo((*port)->queue(0), polls ? dpdk::Idle::kPoll : dpdk::Idle::kSleep, stop, totals);
  });
  std::printf("ready %s\n", to_string((*port)->mac()).c_str());
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  stop = true;
  (*eal)->join(0);
  std::printf("{\"frames\":%llu,\"bursts\":%llu}\n", static_cast<unsigned long long>(totals.frames),
              static_cast<unsigned long long>(totals.bursts));
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  return weir::bench::main(argc, argv);
}
