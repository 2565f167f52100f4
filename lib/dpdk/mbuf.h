// Where a Buf lives under DPDK: in the private area of its mbuf. Conversions are arithmetic.
//
// Every pool of this module reserves that area, the header and indirect ones too: a port that hands
// mbufs on as they are (net_ring) gives them to a receiver that puts Bufs into them.
#pragma once

#include <rte_mbuf.h>

#include <new>

#include "base/buf.h"

namespace weir::dpdk {

inline constexpr std::uint16_t kPrivSize =
    (sizeof(Buf) + RTE_MBUF_PRIV_ALIGN - 1) / RTE_MBUF_PRIV_ALIGN * RTE_MBUF_PRIV_ALIGN;
static_assert(alignof(Buf) <= RTE_MBUF_PRIV_ALIGN);

[[nodiscard]] inline rte_mbuf* mbuf_of(const Buf* b) {
  auto* at = reinterpret_cast<std::byte*>(const_cast<Buf*>(b));
  return reinterpret_cast<rte_mbuf*>(at - sizeof(rte_mbuf));
}

// A fresh Buf over what the mbuf holds.
[[nodiscard]] inline Buf* make_buf(rte_mbuf* m) {
  Buf* b = ::new (rte_mbuf_to_priv(m)) Buf{};
  b->data = rte_pktmbuf_mtod(m, std::byte*);
  b->len = m->data_len;
  b->room = rte_pktmbuf_tailroom(m);
  return b;
}

// Offset of `at` in the mbuf's block. Pre: it lies there, behind the block's first octet.
[[nodiscard]] inline std::uint16_t offset_in(const rte_mbuf* m, const std::byte* at) {
  return static_cast<std::uint16_t>(at - static_cast<const std::byte*>(m->buf_addr));
}

}  // namespace weir::dpdk
