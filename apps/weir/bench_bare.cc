#include "bench_bare.h"

#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "dpdk/cycles.h"
#include "dpdk/idle.h"

namespace weir::app {
namespace {

constexpr unsigned kBurst = 32;
constexpr std::size_t kEtherType = 12;  // where it stands
constexpr std::array<std::byte, 2> kExperiment{std::byte{0x88}, std::byte{0xb5}};

template <class Each>
void take_apart(std::span<Buf*> frames, BufChain& chain, Each&& each) {
  for (Buf* b : frames) {
    each(*b);
    for (Buf* next = nullptr; b != nullptr; b = next) {
      next = b->next;
      chain.push_back(b);
    }
  }
}

void add(std::atomic<std::uint64_t>& n, std::uint64_t by) {
  n.store(n.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

dpdk::IdleWaiter waiter(bool yields) {
  return dpdk::IdleWaiter({.mode = yields ? dpdk::Idle::kYield : dpdk::Idle::kPoll});
}

// Up to n new frames; nothing where the pool has none.
BufChain fresh(const BufSource& source, std::uint32_t octets, unsigned n) {
  std::array<Buf*, kBurst> bufs{};
  const unsigned got = source.take(source.context, bufs.data(), n);
  BufChain out;
  for (Buf* b : std::span(bufs).first(got)) {
    std::memcpy(b->data + kEtherType, kExperiment.data(), kExperiment.size());
    b->len = octets;
    b->room -= octets;
    out.push_back(b);
  }
  return out;
}

}  // namespace

void reflect(dpdk::Queue& queue, bool yields, const std::atomic<bool>& stop) {
  telemetry::Counters counters;
  dpdk::IdleWaiter idle = waiter(yields);
  std::array<Buf*, kBurst> frames{};
  while (!stop.load(std::memory_order_relaxed)) {
    const unsigned n = queue.rx_burst(frames);
    BufChain back;
    take_apart(std::span(frames).first(n), back, [](const Buf&) {});
    if (n > 0) queue.transmit({}, std::move(back), counters);
    idle.after(n, {}, kNever);
  }
}

void ping(dpdk::Queue& queue, std::uint32_t octets, bool yields, const std::atomic<bool>& stop,
          BareCounts& counts, telemetry::Histogram& times) {
  telemetry::Counters counters;
  const BufSource source = queue.source();
  const auto hz = static_cast<double>(dpdk::cycles_hz());
  dpdk::IdleWaiter idle = waiter(yields);
  std::array<Buf*, kBurst> frames{};
  while (!stop.load(std::memory_order_relaxed)) {
    const std::uint64_t began = dpdk::cycles();
    queue.transmit({}, fresh(source, octets, 1), counters);
    bool back = false;
    while (!back && !stop.load(std::memory_order_relaxed)) {
      const unsigned n = queue.rx_burst(frames);
      idle.after(n, {}, kNever);
      const std::uint64_t took = dpdk::cycles() - began;
      BufChain done;
      take_apart(std::span(frames).first(n), done, [&](const Buf& b) {
        back = b.len == octets;
        add(back ? counts.frames : counts.errors, 1);
      });
      if (n > 0) queue.release(std::move(done));
      const double ns = static_cast<double>(took) * 1e9 / hz;
      if (back) times.record(static_cast<std::uint64_t>(ns));
      if (ns > 1e9) break;
    }
    if (!back && !stop.load(std::memory_order_relaxed)) add(counts.errors, 1);
  }
}

void flood(dpdk::Queue& queue, std::uint32_t octets, const std::atomic<bool>& stop) {
  telemetry::Counters counters;
  const BufSource source = queue.source();
  while (!stop.load(std::memory_order_relaxed)) {
    queue.transmit({}, fresh(source, octets, kBurst), counters);
    queue.release({});
  }
}

void sink(dpdk::Queue& queue, std::uint32_t octets, const std::atomic<bool>& stop,
          BareCounts& counts) {
  std::array<Buf*, kBurst> frames{};
  while (!stop.load(std::memory_order_relaxed)) {
    const unsigned n = queue.rx_burst(frames);
    if (n == 0) continue;
    BufChain done;
    std::uint64_t sum = 0, wrong = 0;
    take_apart(std::span(frames).first(n), done, [&](const Buf& b) {
      sum += b.len;
      wrong += b.len == octets ? 0 : 1;
    });
    queue.release(std::move(done));
    add(counts.frames, n);
    add(counts.octets, sum);
    add(counts.errors, wrong);
  }
}

}  // namespace weir::app
