// From the port to the stack: receive, hand over between workers, and give back.
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/assert.h"
#include "dpdk/mbuf.h"
#include "dpdk/queue.h"

namespace weir::dpdk {
namespace {

constexpr unsigned kBurst = 64;

// The port's verdict. "None" is virtio's word for data that never left memory: no checksum was
// computed, the content is good.
std::uint8_t checksum_flags(std::uint64_t ol_flags) {
  const std::uint64_t ip = ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  const std::uint64_t l4 = ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  unsigned flags = 0;
  if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD) {
    flags |= Buf::kChecksumBad;
  }
  if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD || ip == RTE_MBUF_F_RX_IP_CKSUM_NONE) {
    flags |= Buf::kIpChecksumOk;
  }
  if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE) {
    flags |= Buf::kL4ChecksumOk;
  }
  return static_cast<std::uint8_t>(flags);
}

// mbufs of one pool, on their way back to it.
class Gathered {
 public:
  void add(rte_mbuf* m) {
    if (n_ == mbufs_.size() || (n_ > 0 && m->pool != mbufs_[0]->pool)) give_back();
    mbufs_[n_++] = m;
  }
  void give_back() {
    if (n_ == 0) return;
    rte_mempool_put_bulk(mbufs_[0]->pool, reinterpret_cast<void**>(mbufs_.data()), n_);
    n_ = 0;
  }

 private:
  std::array<rte_mbuf*, kBurst> mbufs_;
  unsigned n_ = 0;
};

}  // namespace

Instant Queue::now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds{t.tv_sec} + Duration{t.tv_nsec / 1'000}};
}

// A port whose pool is empty is deaf: no ACK comes in that would free what waits to be sent. So the
// last of the pool is for frames that are read and given back; the stack keeps no text of them.
// Looks again before the rest that is not scarce can have been received by all workers together.
std::uint8_t Queue::scarcity(rte_mempool* pool, unsigned received) {
  if (received < look_after_) {
    look_after_ -= received;
    return 0;
  }
  unsigned free = rte_mempool_avail_count(pool);
  for (unsigned lcore = 0; lcore < rte_lcore_count(); ++lcore) {  // what the others keep at hand
    const rte_mempool_cache* const cache = rte_mempool_default_cache(pool, lcore);
    if (lcore != rte_lcore_id() && cache != nullptr) free -= std::min(free, cache->len);
  }
  most_free_ = std::max(most_free_, free);
  look_after_ = free > most_free_ / 4 ? (free - most_free_ / 4) / 16 : 0;
  unsigned flags = 0;
  if (free < most_free_ / 4) flags |= Buf::kScarce;
  if (free < most_free_ / 8) flags |= Buf::kLast;
  return static_cast<std::uint8_t>(flags);
}

// A frame's mbufs become a chain of Bufs, each again an mbuf of its own.
Buf* Queue::to_bufs(rte_mbuf* m) const {
  Buf* const first = make_buf(m);
  if (s_.offloads.rx_checksum) first->flags = checksum_flags(m->ol_flags);
  Buf* last = first;
  while (m->next != nullptr) {
    rte_mbuf* const rest = m->next;
    m->next = nullptr;
    m->nb_segs = 1;
    m->pkt_len = m->data_len;
    m = rest;
    last = last->next = make_buf(m);
  }
  m->nb_segs = 1;
  m->pkt_len = m->data_len;
  return first;
}

unsigned Queue::rx_port(std::span<Buf*> out) {
  std::array<rte_mbuf*, kBurst> mbufs;
  const auto want = static_cast<std::uint16_t>(std::min<std::size_t>(out.size(), kBurst));
  const unsigned n = rte_eth_rx_burst(s_.port_id, s_.index, mbufs.data(), want);
  if (n == 0) return 0;
  const std::uint8_t scarce = scarcity(mbufs[0]->pool, n);
  for (unsigned i = 0; i < n; ++i) {
    if (i + 4 < n) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + 4], void*));
    out[i] = to_bufs(mbufs[i]);
    if (scarce == 0) continue;
    for (Buf* b = out[i]; b != nullptr; b = b->next) {
      b->flags = static_cast<std::uint8_t>(b->flags | scarce);
    }
  }
  return n;
}

unsigned Queue::rx_burst(std::span<Buf*> out) {
  unsigned n = 0;
  if (!s_.inboxes.empty()) {
    // Half at most, so that a flood from the others does not keep the port's own frames waiting.
    const auto half = static_cast<unsigned>(s_.receives ? out.size() / 2 : out.size());
    n = rte_ring_sc_dequeue_burst(s_.inboxes[s_.index], reinterpret_cast<void**>(out.data()), half,
                                  nullptr);
  }
  return s_.receives ? n + rx_port(out.subspan(n)) : n;
}

void Queue::hand_over(std::span<const tcp::HandOver> frames, telemetry::Counters& c) {
  for (const tcp::HandOver& h : frames) {
    WEIR_ASSERT(h.shard < s_.inboxes.size() && h.shard != s_.index);
    if (rte_ring_mp_enqueue(s_.inboxes[h.shard], h.frame) == 0) {
      c.handed_over.add();
      continue;
    }
    c.drop_handover_full.add();
    for (Buf* b = h.frame; b != nullptr;) {
      Buf* const next = b->next;
      rte_pktmbuf_free_seg(mbuf_of(b));
      b = next;
    }
  }
}

// Received frames and text of the stack's own go to different pools, and come back mixed: each kind
// gathers, so that a pool is given many at once.
void Queue::release(BufChain chain) {
  Gathered text, others;
  for (const Buf* b = chain.head(); b != nullptr;) {
    const Buf* const next = b->next;
    rte_mbuf* const m = rte_pktmbuf_prefree_seg(mbuf_of(b));
    if (m != nullptr) (m->pool == s_.payload ? text : others).add(m);
    b = next;
  }
  text.give_back();
  others.give_back();
}

unsigned Queue::take(void* self, Buf** out, unsigned n) {
  rte_mempool* const pool = static_cast<Queue*>(self)->s_.payload;
  std::array<rte_mbuf*, kBurst> mbufs;
  unsigned got = 0;
  while (got < n) {
    const unsigned want = std::min(n - got, kBurst);
    // All or none; a pool that is almost empty gives one by one what it has.
    unsigned have = rte_pktmbuf_alloc_bulk(pool, mbufs.data(), want) == 0 ? want : 0;
    while (have < want && (mbufs[have] = rte_pktmbuf_alloc(pool)) != nullptr) ++have;
    for (unsigned i = 0; i < have; ++i) out[got + i] = make_buf(mbufs[i]);
    got += have;
    if (have < want) break;
  }
  return got;
}

BufSource Queue::source() {
  return {this, &Queue::take};
}

}  // namespace weir::dpdk
