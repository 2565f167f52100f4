// The send queue: text from SND.UNA on, in the buffers it was given in. Bytes are never edited once
// queued, since a retransmission may find them under DMA.
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {

void drop_acked(Tcb& t, std::uint32_t octets, Outbox& out) {
  while (octets > 0) {
    Buf* head = t.sndq.head();
    WEIR_ASSERT(head != nullptr);
    if (head->len > octets) {
      t.sndq.trim_head(octets);
      if (t.nxt_buf == head) {
        WEIR_ASSERT(t.nxt_offset >= octets);
        t.nxt_offset -= octets;
      }
      return;
    }
    octets -= head->len;
    if (t.nxt_buf == head) {
      t.nxt_buf = nullptr;
      t.nxt_offset = 0;
    }
    out.release.push_back(t.sndq.pop_front());
  }
  if (t.records && t.sndq.empty()) t.records = false;
}

namespace {

// Moves (buf, offset) forward by `n`, never resting at the end of a Buf that has a successor.
void walk(const Buf*& buf, std::uint32_t& offset, std::uint32_t n) {
  offset += n;
  while (buf != nullptr && offset >= buf->len && buf->next != nullptr) {
    offset -= buf->len;
    buf = buf->next;
  }
}

}  // namespace

void attach_text(const Tcb& t, Seq seq, TxSegment& seg) {
  const bool fresh = seq == t.snd_nxt && t.nxt_buf != nullptr;
  seg.payload = fresh ? t.nxt_buf : t.sndq.head();
  seg.payload_offset = fresh ? t.nxt_offset : 0;
  walk(seg.payload, seg.payload_offset, fresh ? 0 : distance(t.snd_una, seq));
}

std::uint32_t record_length(const Tcb& t, Seq seq, std::uint32_t len) {
  if (!t.records) return len;
  TxSegment from;
  attach_text(t, seq, from);
  const Buf* buf = from.payload;
  std::uint32_t offset = from.payload_offset;
  std::uint32_t n = 0;
  for (; buf != nullptr && n < len; buf = buf->next) {
    n += buf->len - offset;
    offset = 0;
    if (n > 0 && (buf->flags & Buf::kEndOfRecord) != 0) break;
  }
  return std::min(n, len);
}

void advance_cursor(Tcb& t, std::uint32_t octets) {
  if (t.nxt_buf == nullptr) {
    t.nxt_buf = t.sndq.head();
    t.nxt_offset = 0;
  }
  walk(t.nxt_buf, t.nxt_offset, octets);
}

}  // namespace weir::tcp
