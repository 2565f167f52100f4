// One EAL for all tests of ports, in a network namespace that nobody else sees.
#include <sched.h>

#include <cstdio>
#include <cstdlib>

#include "harness.h"

namespace weir::dpdk::test {
namespace {

std::unique_ptr<Eal>& the_eal() {
  static std::unique_ptr<Eal> eal;
  return eal;
}
bool own_namespace = false;

unsigned first_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  unsigned cpu = 0;
  while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &set)) ++cpu;
  return cpu;
}

}  // namespace

Eal& eal() {
  return *the_eal();
}
bool has_own_network_namespace() {
  return own_namespace;
}

PortConfig small(std::string device) {
  PortConfig c;
  c.device = std::move(device);
  c.rx_descriptors = c.tx_descriptors = 256;
  c.rx_buffers = 2'047;
  c.payload_buffers = 511;
  c.header_buffers = 511;
  return c;
}

std::unique_ptr<Port> open_or_fail(const PortConfig& config) {
  Result<std::unique_ptr<Port>, std::string> port = Port::open(eal(), config);
  if (port) return std::move(*port);
  ADD_FAILURE() << port.error();
  return nullptr;
}

std::byte octet(std::size_t i) {
  return static_cast<std::byte>(i * 7 + 3);
}

BufChain text(Queue& from, const std::vector<std::uint32_t>& lengths) {
  BufChain chain;
  const BufSource source = from.source();
  std::size_t at = 0;
  for (const std::uint32_t len : lengths) {
    Buf* b = nullptr;
    if (source.take(source.context, &b, 1) != 1 || b->room < len) {
      ADD_FAILURE() << "no buffer for " << len << " octets";
      return chain;
    }
    for (std::uint32_t i = 0; i < len; ++i) b->data[i] = octet(at++);
    b->len = len;
    b->room -= len;
    chain.push_back(b);
  }
  return chain;
}

tcp::TxPacket packet(const BufChain& text, std::uint32_t offset, std::uint32_t len, bool v6) {
  tcp::TxPacket p;
  p.src_mac = MacAddr{{2, 0, 0, 0, 0, 1}};
  p.dst_mac = MacAddr{{2, 0, 0, 0, 0, 2}};
  p.flow.local = v6 ? *parse_ip("fd00::1") : IpAddr::v4(10, 0, 0, 1);
  p.flow.remote = v6 ? *parse_ip("fd00::2") : IpAddr::v4(10, 0, 0, 2);
  p.flow.local_port = 80;
  p.flow.remote_port = 40'000;
  p.ip_id = 7;
  p.seg.seq = Seq{0xffff'ff00U};
  p.seg.ack = Seq{17};
  p.seg.wnd = 1'000;
  p.seg.mss = 1'448;
  p.seg.flags = wire::ACK | wire::PSH;
  p.seg.options.has_timestamps = true;
  p.seg.options.ts_val = 5;
  p.seg.len = len;
  p.seg.payload_offset = offset;
  p.seg.payload = text.head();
  return p;
}

std::vector<Buf*> receive(Queue& q, std::size_t n) {
  std::vector<Buf*> got;
  std::array<Buf*, 32> burst{};
  const Instant until = Queue::now() + 5s;
  while (got.size() < n && Queue::now() < until) {
    const unsigned k = q.rx_burst(burst);
    got.insert(got.end(), burst.begin(), burst.begin() + k);
  }
  EXPECT_EQ(got.size(), n);
  return got;
}

std::vector<std::byte> take_octets(Queue& q, Buf* frame) {
  std::vector<std::byte> octets;
  BufChain chain;
  for (Buf* b = frame; b != nullptr;) {
    Buf* const next = b->next;
    octets.insert(octets.end(), b->data, b->data + b->len);
    chain.push_back(b);
    b = next;
  }
  q.release(std::move(chain));
  return octets;
}

Parsed parse(Queue& q, Buf* frame) {
  Parsed p;
  p.octets = take_octets(q, frame);
  wire::parse_frame(p.octets, p.octets.size(), {}, p.frame);
  return p;
}

std::uint32_t in_use(const Port& port) {
  std::uint32_t n = 0;
  for (const PoolStats& p : port.pool_stats()) n += p.in_use;
  return n;
}

}  // namespace weir::dpdk::test

// libxdp's umem outlives its socket in DPDK 22.11.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:xsk_umem__create\n";
}

int main(int argc, char** argv) {
  using namespace weir::dpdk;
  ::testing::InitGoogleTest(&argc, argv);
  test::own_namespace = unshare(CLONE_NEWNET) == 0;
  const unsigned cpu = test::first_cpu();
  auto eal = Eal::init(
      {.cores = {cpu, cpu}, .memory_mb = 256, .verbose = std::getenv("WEIR_VERBOSE") != nullptr});
  if (!eal) {
    std::fprintf(stderr, "%s\n", eal.error().c_str());
    return 1;
  }
  test::the_eal() = std::move(*eal);
  const int result = RUN_ALL_TESTS();
  test::the_eal().reset();
  return result;
}
