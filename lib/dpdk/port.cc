#include "dpdk/port.h"

#include <fcntl.h>
#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <semaphore>

#include "base/assert.h"
#include "dpdk/eal_log.h"
#include "dpdk/mbuf.h"
#include "dpdk/pools.h"
#include "dpdk/ring_pair.h"
#include "wire/frame.h"

namespace weir::dpdk {
namespace {

constexpr unsigned kVlanTag = 4;        // a tag may come although Weir sends none
constexpr std::uint16_t kMinMtu = 576;  // RFC 1122 §3.3.2: what any host takes
constexpr std::uint16_t kMaxMtu = 9'600;
constexpr std::size_t kSoftwareReta = 128;
constexpr std::uint16_t kMaxSegs = 40;
constexpr std::uint32_t kTsoLimit = 65'000;  // IP's 16-bit length, headers taken off
constexpr std::uint64_t kRssTcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

unsigned frame_size(const PortConfig& c) {
  return static_cast<unsigned>(wire::kEthHeader) + kVlanTag + c.mtu;
}

std::string number(std::uint64_t n) {
  return std::to_string(n);
}

// Empty, or what is wrong with the numbers of the config.
std::string check(const PortConfig& c) {
  if (c.mtu < kMinMtu || c.mtu > kMaxMtu) {
    return "mtu " + number(c.mtu) + " is out of range: " + number(kMinMtu) + " to " +
           number(kMaxMtu);
  }
  if (c.workers == 0 || c.workers > RTE_MAX_QUEUES_PER_PORT) {
    return "workers " + number(c.workers) + " is out of range: at least 1";
  }
  constexpr std::uint32_t kLeast = 64;
  for (const std::uint32_t n : {c.rx_buffers, c.payload_buffers, c.header_buffers}) {
    if (n < kLeast) return "a pool of " + number(n) + " buffers is too small: at least 64";
  }
  if (c.handover_slots < 2 || c.handover_slots > 1U << 20U) {
    return "handover_slots " + number(c.handover_slots) + " is out of range: 2 to 1048576";
  }
  return {};
}

// Drivers that compute checksums and cut segments on this very core, in a second pass over the
// data.
bool offloads_in_software(std::string_view driver) {
  return driver.starts_with("net_tap") || driver.starts_with("net_pcap") ||
         driver.starts_with("net_af_packet");
}

// A hash over addresses alone is of no use: the owner of a flow is a matter of all four.
bool spreads_tcp(const rte_eth_dev_info& info) {
  return info.max_rx_queues > 1 && info.reta_size > 0 &&
         (info.flow_type_rss_offloads & kRssTcp) != 0;
}

// Runs `job` on the EAL's interrupt thread, and waits. memif ends its connections there, without a
// lock: closed from another thread, a port whose peer leaves at that moment frees them twice.
template <class Job>
void on_interrupt_thread(const Job& job) {
  struct Call {
    const Job& job;
    std::binary_semaphore done{0};
  } call{job};
  const auto run = [](void* arg) {
    auto* const c = static_cast<Call*>(arg);
    c->job();
    c->done.release();
  };
  if (rte_eal_alarm_set(1, run, &call) != 0) return job();
  call.done.acquire();
}

}  // namespace

struct Port::Impl {
  PortConfig config;
  Device device;
  int id = -1;
  bool started = false;
  rte_eth_dev_info info{};
  std::uint16_t rx_queues = 0;
  std::uint64_t rx_offloads = 0, tx_offloads = 0;
  Offloads offloads;
  RssInfo rss;
  MacAddr mac;
  Pools pools;
  std::vector<rte_ring*> inboxes;
  std::vector<std::unique_ptr<Queue>> queues;

  ~Impl();
  [[nodiscard]] std::uint16_t port() const { return static_cast<std::uint16_t>(id); }
  [[nodiscard]] std::string failed(std::string_view what, int error) const {
    return std::string(what) + " failed: " + eal_log::said(rte_strerror(error));
  }

  // Octets of IP that the device says it takes; the ethdev layer holds us to it.
  [[nodiscard]] std::uint32_t max_mtu() const {
    constexpr std::uint32_t kOverhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    const bool stated = info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu;
    const std::uint32_t overhead = stated ? info.max_rx_pktlen - info.max_mtu : kOverhead;
    return std::min<std::uint32_t>(info.max_mtu, info.max_rx_pktlen - overhead);
  }

  // The steps of opening, in order. Each returns nothing, or what is wrong.
  std::string attach();
  [[nodiscard]] std::string not_taken() const;
  std::string plan_queues();
  std::string plan_buffers();
  std::string plan_offloads();
  std::string configure();
  std::string set_mtu();
  std::string set_up_queues();
  std::string set_mac();
  std::string start();
  std::string open_to_groups();
  std::string read_rss();
  std::string make_queues();
};

Port::Impl::~Impl() {
  for (rte_ring* r : inboxes) {
    void* b = nullptr;
    while (rte_ring_sc_dequeue(r, &b) == 0) {
      for (const Buf* at = static_cast<const Buf*>(b); at != nullptr;) {
        const Buf* const next = at->next;
        rte_pktmbuf_free_seg(mbuf_of(at));
        at = next;
      }
    }
    rte_ring_free(r);
  }
  if (id < 0) return;
  const auto close = [this] {
    if (started) rte_eth_dev_stop(port());
    rte_eth_dev_close(port());
  };
  device.driver.starts_with("net_memif") ? on_interrupt_thread(close) : close();
  if (device.kind != DeviceKind::kPci && info.device != nullptr) rte_dev_remove(info.device);
  if (device.kind == DeviceKind::kRing) close_ring_port(device.target);
}

std::string Port::Impl::not_taken() const {
  const std::string said = eal_log::said_at_start();
  return "no driver of DPDK took the device: " +
         (said.empty() ? "is its driver's package installed (for virtio librte-net-virtio23)?"
                       : said) +
         "; --verbose shows DPDK's own words";
}

// DPDK takes the device: a virtual one is made now, a PCI one was found when the EAL came up.
std::string Port::Impl::attach() {
  std::string name = device.target;
  if (device.kind == DeviceKind::kRing) {
    id = open_ring_port(device.target, config.workers, config.rx_descriptors);
    if (id < 0) return failed("net_ring", rte_errno);
  } else if (device.kind != DeviceKind::kPci) {
    static unsigned serial = 0;
    name = device.kind == DeviceKind::kRaw ? device.driver
                                           : device.driver + "_weir" + number(serial++);
    const std::string args = vdev_args(device, config.workers, frame_size(config));
    const int r = rte_eal_hotplug_add("vdev", name.c_str(), args.c_str());
    if (r < 0) return failed("driver " + name, -r);
  }
  std::uint16_t found = 0;
  if (id < 0) {
    if (rte_eth_dev_get_port_by_name(name.c_str(), &found) != 0) {
      return device.kind == DeviceKind::kPci ? not_taken() : "driver " + name + " made no port";
    }
    id = found;
  }
  const int r = rte_eth_dev_info_get(port(), &info);
  return r == 0 ? std::string{} : failed("reading its properties", -r);
}

std::string Port::Impl::plan_queues() {
  if (config.mtu > max_mtu()) {
    return "mtu " + number(config.mtu) + " is more than the port takes: " + number(kMinMtu) +
           " to " + number(max_mtu());
  }
  if (info.max_tx_queues < config.workers) {
    return number(config.workers) + " workers, but the port has " + number(info.max_tx_queues) +
           " transmit queues: give it as many, or name fewer cores";
  }
  // Workers without a receive queue of their own are fed by the others, through hand_over.
  rx_queues = std::min(config.workers, info.max_rx_queues);
  if (rx_queues == 0) return "the port has no receive queue";
  rss.hardware = rx_queues > 1 && rx_queues == config.workers && spreads_tcp(info);
  // TAP takes a descriptor for an mbuf that a single frame may be scattered over. AF_XDP has a ring
  // of its own size, whatever it is told.
  const std::string_view driver = info.driver_name == nullptr ? "" : info.driver_name;
  if (driver == "net_tap") config.rx_descriptors = 1;
  if (driver == "net_af_xdp") config.rx_descriptors = 2'048;
  const int r =
      rte_eth_dev_adjust_nb_rx_tx_desc(port(), &config.rx_descriptors, &config.tx_descriptors);
  return r == 0 ? std::string{} : failed("setting the number of descriptors", -r);
}

std::string Port::Impl::plan_buffers() {
  const std::uint32_t least = std::uint32_t{rx_queues} * config.rx_descriptors + 128U * rx_queues;
  if (config.rx_buffers < least) {
    return "rx_buffers " + number(config.rx_buffers) + " is too few for " + number(rx_queues) +
           " queues of " + number(config.rx_descriptors) + " descriptors: at least " +
           number(least);
  }
  const PoolSizes sizes = pool_sizes(config, rx_buffer_size(device, frame_size(config)));
  std::string wrong = pools.create(sizes, rte_eth_dev_socket_id(port()));
  if (!wrong.empty()) {
    wrong += ": this port takes about " + number(Port::memory_mb(config)) +
             " MB: raise memory_mb, or lower the number of buffers";
  }
  return wrong;
}

std::string Port::Impl::plan_offloads() {
  const std::string_view driver = info.driver_name == nullptr ? "" : info.driver_name;
  const bool use = config.offloads == OffloadUse::kAll ||
                   (config.offloads == OffloadUse::kAuto && !offloads_in_software(driver));
  const std::uint64_t rx = info.rx_offload_capa;
  const std::uint64_t tx = info.tx_offload_capa;
  constexpr std::uint64_t kRx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
  constexpr std::uint64_t kTso = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
                                 RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  offloads.multi_seg = (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
  const std::uint16_t segs = info.tx_desc_lim.nb_mtu_seg_max;
  offloads.max_segs = !offloads.multi_seg ? std::uint16_t{1}
                      : segs == 0         ? kMaxSegs
                                          : std::min(segs, kMaxSegs);
  if (offloads.multi_seg) tx_offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if (!use) return {};
  offloads.rx_checksum = (rx & kRx) != 0;  // virtio has TCP's alone: the verdicts say which
  offloads.tx_ip_checksum = (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  offloads.tx_tcp_checksum = (tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
  // A frame of text in 1 kB pieces must not need more mbufs than the port takes.
  if ((tx & kTso) == kTso) {
    offloads.tso_max = std::min<std::uint32_t>(kTsoLimit, (offloads.max_segs - 1U) * 1'024U);
  }
  rx_offloads |= rx & kRx;
  tx_offloads |=
      tx &
      (offloads.tso_max > 0 ? kTso : RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
  return {};
}

// Never "fast free": text lies in mbufs of several pools, with several owners.
std::string Port::Impl::configure() {
  rte_eth_conf conf{};
  conf.rxmode.mtu = config.mtu;
  conf.rxmode.offloads = rx_offloads;
  conf.txmode.offloads = tx_offloads;
  conf.intr_conf.rxq = config.wakeable ? 1 : 0;
  if (rss.hardware) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kRssTcp;
    conf.rx_adv_conf.rss_conf.rss_key = reinterpret_cast<std::uint8_t*>(config.rss_key.data());
    const std::uint8_t size = info.hash_key_size == 0 ? std::uint8_t{40} : info.hash_key_size;
    conf.rx_adv_conf.rss_conf.rss_key_len =
        std::min(size, static_cast<std::uint8_t>(config.rss_key.size()));
  }
  const int r = rte_eth_dev_configure(port(), rx_queues, config.workers, &conf);
  return r == 0 ? std::string{} : failed("configuring " + number(rx_queues) + " queues", -r);
}

std::string Port::Impl::set_up_queues() {
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(port()));
  rte_eth_rxconf rx = info.default_rxconf;
  rx.offloads = rx_offloads & info.rx_queue_offload_capa;
  rte_eth_txconf tx = info.default_txconf;
  tx.offloads = tx_offloads & info.tx_queue_offload_capa;
  for (std::uint16_t q = 0; q < rx_queues; ++q) {
    const int r = rte_eth_rx_queue_setup(port(), q, config.rx_descriptors, socket, &rx, pools.rx());
    if (r != 0) return failed("receive queue " + number(q), -r);
  }
  for (std::uint16_t q = 0; q < config.workers; ++q) {
    const int r = rte_eth_tx_queue_setup(port(), q, config.tx_descriptors, socket, &tx);
    if (r != 0) return failed("transmit queue " + number(q), -r);
  }
  return {};
}

std::string Port::Impl::set_mtu() {
  const int r = rte_eth_dev_set_mtu(port(), config.mtu);
  // A device that cannot be told carries what its buffers hold: that was seen to.
  if (r == 0 || r == -ENOTSUP) return {};
  return failed("setting the mtu to " + number(config.mtu), -r);
}

std::string Port::Impl::set_mac() {
  rte_ether_addr own{};
  rte_eth_macaddr_get(port(), &own);
  if (rte_is_zero_ether_addr(&own) != 0) rte_eth_random_addr(own.addr_bytes);
  std::copy_n(own.addr_bytes, mac.octets.size(), mac.octets.begin());
  if (device.driver.starts_with("net_tap")) {
    // DPDK gives the kernel's end of a TAP this very address. Everything the kernel sends there
    // arrives here, so this end takes another, and the two are hosts like any others.
    mac = config.mac.value_or(
        MacAddr{{mac.octets[0], mac.octets[1], mac.octets[2], mac.octets[3], mac.octets[4],
                 static_cast<std::uint8_t>(mac.octets[5] ^ 1U)}});
    return {};
  }
  if (!config.mac || *config.mac == mac) return {};
  mac = *config.mac;
  rte_ether_addr wanted{};
  std::copy_n(mac.octets.begin(), mac.octets.size(), wanted.addr_bytes);
  const int r = rte_eth_dev_default_mac_addr_set(port(), &wanted);
  if (r == 0) return {};
  const int p = rte_eth_promiscuous_enable(port());
  if (p == 0 || (r == -ENOTSUP && p == -ENOTSUP)) return {};  // neither: nothing filters there
  return "mac " + to_string(mac) + " is refused (" + rte_strerror(-r) +
         "): leave it out to use the device's own";
}

std::string Port::Impl::start() {
  const int r = rte_eth_dev_start(port());
  started = r == 0;
  return started ? std::string{} : failed("starting", -r);
}

// All groups rather than ours: the stack drops the others, and few drivers filter by group. A
// driver that knows neither mode filters nothing.
//= RFC4862 5.4.2-c
std::string Port::Impl::open_to_groups() {
  if (!config.multicast) return {};
  const int groups = rte_eth_allmulticast_enable(port());
  if (groups == 0) return {};
  const int all = rte_eth_promiscuous_enable(port());
  if (all == 0 || (groups == -ENOTSUP && all == -ENOTSUP)) return {};
  return "receiving multicast is refused (" + eal_log::said(rte_strerror(-groups)) +
         "), and IPv6 needs it: remove the IPv6 addresses, or use another port";
}

// What the port does is what it reports, not what it was told.
std::string Port::Impl::read_rss() {
  const std::uint8_t size = info.hash_key_size == 0 ? std::uint8_t{40} : info.hash_key_size;
  rss.key.assign(config.rss_key.begin(), config.rss_key.end());
  if (rss.hardware) {
    std::vector<std::byte> key(std::max<std::size_t>(size, rss.key.size()));
    rte_eth_rss_conf conf{};
    conf.rss_key = reinterpret_cast<std::uint8_t*>(key.data());
    conf.rss_key_len = size;
    std::vector<rte_eth_rss_reta_entry64> table((info.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1U) /
                                                RTE_ETH_RETA_GROUP_SIZE);
    for (rte_eth_rss_reta_entry64& group : table) group.mask = ~std::uint64_t{0};
    rss.hardware = rte_eth_dev_rss_hash_conf_get(port(), &conf) == 0 &&
                   rte_eth_dev_rss_reta_query(port(), table.data(), info.reta_size) == 0;
    if (rss.hardware) {
      key.resize(size);
      rss.key = key;
      for (std::size_t i = 0; i < info.reta_size; ++i) {
        rss.reta.push_back(table[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE]);
      }
    }
  }
  if (rss.hardware) return {};
  for (std::size_t i = 0; i < kSoftwareReta; ++i) {
    rss.reta.push_back(static_cast<std::uint16_t>(i % config.workers));
  }
  return {};
}

std::string Port::Impl::make_queues() {
  for (unsigned w = 0; config.workers > 1 && w < config.workers; ++w) {
    const std::string name = "weir_in_" + number(port()) + "_" + number(w);
    rte_ring* const r = rte_ring_create(name.c_str(), rte_align32pow2(config.handover_slots),
                                        rte_eth_dev_socket_id(port()), RING_F_SC_DEQ);
    if (r == nullptr) return failed("the ring between workers", rte_errno);
    inboxes.push_back(r);
  }
  for (std::uint16_t w = 0; w < config.workers; ++w) {
    queues.push_back(std::make_unique<Queue>(Queue::Setup{
        .port_id = port(),
        .index = w,
        .receives = w < rx_queues,
        .offloads = offloads,
        .payload = pools.payload(),
        .header = pools.header(),
        .indirect = pools.indirect(),
        .inboxes = inboxes,
    }));
  }
  return {};
}

Result<std::unique_ptr<Port>, std::string> Port::open(const Eal& /*eal*/,
                                                      const PortConfig& config) {
  Result<Device, std::string> device = parse_device(config.device);
  if (!device) return device.error();
  if (std::string wrong = check(config); !wrong.empty()) return device->refuse(wrong);
  if (std::string wrong = check_device(*device); !wrong.empty()) return wrong;
  auto impl = std::make_unique<Impl>();
  impl->config = config;
  impl->device = *device;
  constexpr std::array kSteps = {&Impl::attach,         &Impl::plan_queues, &Impl::plan_buffers,
                                 &Impl::plan_offloads,  &Impl::configure,   &Impl::set_mtu,
                                 &Impl::set_up_queues,  &Impl::set_mac,     &Impl::start,
                                 &Impl::open_to_groups, &Impl::read_rss,    &Impl::make_queues};
  for (const auto step : kSteps) {
    eal_log::forget();  // what DPDK says of an earlier step explains nothing of this one
    if (std::string wrong = (impl.get()->*step)(); !wrong.empty()) return device->refuse(wrong);
  }
  return std::unique_ptr<Port>(new Port(std::move(impl)));
}

unsigned Port::memory_mb(const PortConfig& config) {
  Result<Device, std::string> device = parse_device(config.device);
  const unsigned frame = frame_size(config);
  const PoolSizes sizes = pool_sizes(config, device ? rx_buffer_size(*device, frame) : frame);
  constexpr std::uint64_t kOverhead = sizeof(rte_mbuf) + kPrivSize + 64 + 8;  // mempool's own
  std::uint64_t octets = 4U << 20U;  // rings, queues, the driver's own
  for (const PoolSizes::One& one : sizes.of) octets += one.count * (one.room + kOverhead);
  return static_cast<unsigned>((octets >> 20U) + 1);
}

Port::Port(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Port::~Port() = default;

Queue& Port::queue(unsigned worker) {
  WEIR_ASSERT(worker < impl_->queues.size());
  return *impl_->queues[worker];
}
unsigned Port::workers() const {
  return impl_->config.workers;
}
unsigned Port::rx_queues() const {
  return impl_->rx_queues;
}
MacAddr Port::mac() const {
  return impl_->mac;
}
std::uint16_t Port::mtu() const {
  return impl_->config.mtu;
}
const Offloads& Port::offloads() const {
  return impl_->offloads;
}
const RssInfo& Port::rss() const {
  return impl_->rss;
}
std::string_view Port::driver() const {
  return impl_->info.driver_name;
}
std::array<PoolStats, 4> Port::pool_stats() const {
  return impl_->pools.stats();
}

int Port::wake_this_thread(unsigned worker) {
  WEIR_ASSERT(impl_->config.wakeable && worker < impl_->queues.size());
  if (worker >= impl_->rx_queues) return -1;
  const int fd =
      rte_eth_dev_rx_intr_ctl_q_get_fd(impl_->port(), static_cast<std::uint16_t>(worker));
  if (fd < 0) return -1;
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ASYNC) == 0) return fd;
  const int signal = fcntl(fd, F_GETSIG);
  const f_owner_ex self{F_OWNER_TID, gettid()};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal > 0 ? signal : SIGIO);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return fcntl(fd, F_SETOWN_EX, &self) == 0 ? fd : -1;
}

PortStats Port::stats() const {
  PortStats out;
  rte_eth_stats s{};
  if (rte_eth_stats_get(impl_->port(), &s) == 0) {
    out = {.rx_frames = s.ipackets,
           .rx_missed = s.imissed,
           .rx_no_buffer = s.rx_nombuf,
           .rx_errors = s.ierrors,
           .tx_frames = s.opackets,
           .tx_errors = s.oerrors};
  }
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(impl_->port(), &link) == 0) {
    out.link_up = link.link_status == RTE_ETH_LINK_UP;
  }
  return out;
}

}  // namespace weir::dpdk
