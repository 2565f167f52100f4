// From the stack to the port: a TxPacket becomes a header mbuf with the text copied or attached.
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "dpdk/mbuf.h"
#include "dpdk/queue.h"
#include "tcp/tx_frame.h"
#include "wire/checksum.h"
#include "wire/frame.h"
#include "wire/sum.h"
#include "wire/write_tcp4.h"

namespace weir::dpdk {
namespace {

constexpr unsigned kBurst = 64;
constexpr unsigned kTries = 4;             // calls of tx_burst before the rest is dropped
constexpr std::uint32_t kCopyLimit = 256;  // octets of text that cost less to copy than to attach
constexpr std::size_t kMaxPieces = 64;     // a frame of text in more pieces than this is copied
constexpr std::size_t kIpv4Header = wire::kIpv4MinHeader;

// The pieces of a segment's text, in order, straight from the send queue's Bufs.
class TextWalk {
 public:
  explicit TextWalk(const tcp::TxSegment& seg)
      : buf_(seg.payload), offset_(seg.payload_offset), left_(seg.len) {}

  // False at the end of the text.
  bool next(wire::Piece& piece, const Buf*& of) {
    while (left_ > 0) {
      WEIR_ASSERT(buf_ != nullptr && offset_ <= buf_->len);
      const std::uint32_t n = std::min(buf_->len - offset_, left_);
      piece = {buf_->data + offset_, n};
      of = buf_;
      left_ -= n;
      offset_ = 0;
      buf_ = buf_->next;
      if (n > 0) return true;
    }
    return false;
  }

 private:
  const Buf* buf_;
  std::uint32_t offset_;
  std::uint32_t left_;
};

void append(rte_mbuf* head, rte_mbuf* tail, rte_mbuf* m) {
  tail->next = m;
  head->nb_segs = static_cast<std::uint16_t>(head->nb_segs + 1);
}

wire::TxChecksum checksum_mode(const Offloads& o, bool v4, bool tso) {
  if (tso) return wire::TxChecksum::kOffloadTso;
  if (!o.tx_tcp_checksum) return wire::TxChecksum::kSoftware;
  return o.tx_ip_checksum || !v4 ? wire::TxChecksum::kOffload : wire::TxChecksum::kIpSoftware;
}

// Tells the port what `how` leaves to it, and where the headers lie.
void set_offload(rte_mbuf* m, wire::TxChecksum how, bool v4, std::size_t header,
                 std::uint16_t mss) {
  if (how == wire::TxChecksum::kSoftware) return;
  std::uint64_t flags = RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
  if (v4 && how != wire::TxChecksum::kIpSoftware) flags |= RTE_MBUF_F_TX_IP_CKSUM;
  if (how == wire::TxChecksum::kOffloadTso) {
    flags |= RTE_MBUF_F_TX_TCP_SEG;
    m->tso_segsz = mss;
  }
  m->ol_flags |= flags;
  const std::size_t ip = v4 ? kIpv4Header : wire::kIpv6Header;
  m->l2_len = wire::kEthHeader;
  m->l3_len = ip & 0x1ffU;                               // 9 bits wide
  m->l4_len = (header - wire::kEthHeader - ip) & 0xffU;  // 8 bits wide
}

// Of a segment's text, for a checksum in software. A piece of odd length shifts what follows.
std::uint64_t sum_of(const tcp::TxSegment& seg) {
  wire::Checksum sum;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) sum.add({piece.data, piece.len});
  return __builtin_bswap16(sum.sum());
}

// A whole frame in its own Buf, made an mbuf again.
rte_mbuf* frame_mbuf(const Buf* b) {
  rte_mbuf* const m = mbuf_of(b);
  m->data_off = offset_in(m, b->data);
  m->data_len = static_cast<std::uint16_t>(b->len);
  m->pkt_len = b->len;
  m->next = nullptr;
  m->nb_segs = 1;
  m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
  return m;
}

}  // namespace

struct Queue::TxBurst {
  std::array<rte_mbuf*, kBurst> mbufs;
  std::array<std::uint32_t, kBurst> octets;
  std::uint16_t n = 0;
};

bool Queue::must_copy(const tcp::TxSegment& seg) const {
  if (!s_.offloads.multi_seg || seg.len <= kCopyLimit) return true;
  const std::size_t limit = std::min<std::size_t>(s_.offloads.max_segs - 1U, kMaxPieces);
  std::size_t pieces = 0;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) {
    if ((of->flags & Buf::kBorrowed) != 0 || ++pieces > limit) return true;
  }
  return false;
}

// Copies the text behind the header, into further header mbufs when the first is full (TSO only).
bool Queue::add_copied(rte_mbuf* head, const tcp::TxSegment& seg) {
  rte_mbuf* tail = head;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) {
    while (piece.len > 0) {
      const std::uint32_t n = std::min<std::uint32_t>(piece.len, rte_pktmbuf_tailroom(tail));
      std::memcpy(rte_pktmbuf_mtod_offset(tail, std::byte*, tail->data_len), piece.data, n);
      tail->data_len = static_cast<std::uint16_t>(tail->data_len + n);
      head->pkt_len += n;
      piece = {piece.data + n, piece.len - n};
      if (piece.len == 0) break;
      rte_mbuf* const m = rte_pktmbuf_alloc(s_.header);
      if (m == nullptr) return false;
      append(head, tail, m);
      tail = m;
    }
  }
  return true;
}

// Attaches each piece of the text through an indirect mbuf: the block lives until the port is done
// with it, whoever gives it back before.
bool Queue::add_attached(rte_mbuf* head, const tcp::TxSegment& seg) {
  rte_mbuf* tail = head;
  TextWalk walk(seg);
  wire::Piece piece{};
  for (const Buf* of = nullptr; walk.next(piece, of);) {
    rte_mbuf* const m = rte_pktmbuf_alloc(s_.indirect);
    if (m == nullptr) return false;
    rte_pktmbuf_attach(m, mbuf_of(of));
    m->data_off = offset_in(m, piece.data);
    m->data_len = static_cast<std::uint16_t>(piece.len);
    m->pkt_len = piece.len;
    append(head, tail, m);
    tail = m;
    head->pkt_len += piece.len;
  }
  return true;
}

// The text behind the headers in `m`; false when a pool is empty. Nearly all short text lies in one
// piece: copied and summed at once.
bool Queue::add_text(rte_mbuf* m, const tcp::TxSegment& seg, std::byte* tcp, bool sums) {
  const bool one_piece = seg.len <= kCopyLimit && seg.len <= rte_pktmbuf_tailroom(m) &&
                         seg.payload_offset + seg.len <= seg.payload->len;
  if (one_piece) {
    auto* const to = rte_pktmbuf_mtod_offset(m, std::byte*, m->data_len);
    const std::byte* const from = seg.payload->data + seg.payload_offset;
    if (sums) {
      wire::add_text_sum(tcp, wire::copy_and_sum(to, from, seg.len));
    } else {
      std::memcpy(to, from, seg.len);
    }
    m->data_len = static_cast<std::uint16_t>(m->data_len + seg.len);
    m->pkt_len += seg.len;
    return true;
  }
  if (!(must_copy(seg) ? add_copied(m, seg) : add_attached(m, seg))) return false;
  if (sums) wire::add_text_sum(tcp, sum_of(seg));
  return true;
}

// Into a fresh header mbuf. False when a pool is empty.
bool Queue::build(rte_mbuf* m, const tcp::TxPacket& p) {
  const bool v4 = p.flow.local.is_v4();
  const bool tso = p.seg.mss != 0 && p.seg.len > p.seg.mss;
  WEIR_ASSERT(!tso || s_.offloads.tso_max >= p.seg.len);
  const wire::TxChecksum how = checksum_mode(s_.offloads, v4, tso);
  auto* const at = rte_pktmbuf_mtod(m, std::byte*);
  const std::size_t header = tcp::write_headers({at, wire::kMaxTcpFrameHeader}, p, how);
  m->data_len = static_cast<std::uint16_t>(header);
  m->pkt_len = static_cast<std::uint32_t>(header);
  set_offload(m, how, v4, header, p.seg.mss);
  const bool sums = how == wire::TxChecksum::kSoftware;
  return p.seg.len == 0 || add_text(m, p.seg, at + wire::tcp_offset(v4), sums);
}

// Fresh header mbufs, at most as many as asked for: all at once, or what an almost empty pool has.
unsigned Queue::take_headers(std::span<rte_mbuf*> out) {
  const auto want = static_cast<unsigned>(out.size());
  if (rte_pktmbuf_alloc_bulk(s_.header, out.data(), want) == 0) return want;
  unsigned have = 0;
  while (have < want && (out[have] = rte_pktmbuf_alloc(s_.header)) != nullptr) ++have;
  return have;
}

// Ports in memory send a frame as short as it is, and some NICs pad it with what their buffer held
// before (CVE-2003-0001): so the padding is made here, of zeros.
void Queue::pad(rte_mbuf* m) {
  if (m->pkt_len >= wire::kMinFrame || m->nb_segs != 1) return;
  const auto missing = static_cast<std::uint16_t>(wire::kMinFrame - m->pkt_len);
  if (rte_pktmbuf_tailroom(m) < missing) return;
  std::memset(rte_pktmbuf_mtod_offset(m, std::byte*, m->data_len), 0, missing);
  m->data_len = static_cast<std::uint16_t>(m->data_len + missing);
  m->pkt_len += missing;
}

void Queue::add(TxBurst& burst, rte_mbuf* m, telemetry::Counters& c) {
  pad(m);
  if (burst.n == kBurst) flush(burst, c);
  burst.octets[burst.n] = m->pkt_len;
  burst.mbufs[burst.n++] = m;
}

void Queue::flush(TxBurst& burst, telemetry::Counters& c) {
  if (burst.n == 0) return;
  std::uint16_t ready = burst.n;
  if (s_.offloads.tx_tcp_checksum || s_.offloads.tso_max > 0) {
    ready = rte_eth_tx_prepare(s_.port_id, s_.index, burst.mbufs.data(), burst.n);
  }
  std::uint16_t sent = 0;
  for (unsigned i = 0; i < kTries && sent < ready; ++i) {
    sent = static_cast<std::uint16_t>(
        sent + rte_eth_tx_burst(s_.port_id, s_.index, burst.mbufs.data() + sent,
                                static_cast<std::uint16_t>(ready - sent)));
  }
  std::uint64_t octets = 0;
  for (unsigned i = 0; i < sent; ++i) octets += burst.octets[i];
  c.tx_frames.add(sent);
  c.tx_bytes.add(octets);
  if (sent < burst.n) {
    c.drop_tx_full.add(burst.n - static_cast<unsigned>(sent));
    rte_pktmbuf_free_bulk(burst.mbufs.data() + sent, burst.n - static_cast<unsigned>(sent));
  }
  burst.n = 0;
}

void Queue::transmit(std::span<const tcp::TxPacket> packets, BufChain frames,
                     telemetry::Counters& c) {
  TxBurst burst;
  std::array<rte_mbuf*, kBurst> fresh;
  while (!packets.empty()) {
    const std::size_t n = std::min<std::size_t>(packets.size(), kBurst);
    const unsigned have = take_headers(std::span(fresh).first(n));
    for (unsigned i = 0; i < have; ++i) {
      if (build(fresh[i], packets[i])) {
        add(burst, fresh[i], c);
      } else {
        rte_pktmbuf_free(fresh[i]);
        c.drop_no_buffer.add();
      }
    }
    if (have < n) c.drop_no_buffer.add(n - have);
    packets = packets.subspan(n);
  }
  while (const Buf* b = frames.pop_front()) add(burst, frame_mbuf(b), c);
  flush(burst, c);
}

}  // namespace weir::dpdk
