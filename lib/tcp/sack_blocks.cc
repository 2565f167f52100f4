// What a receiver tells of text that came early or twice (RFC 2018 §4, RFC 2883).
#include <algorithm>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr unsigned kMaxBlocks = 4;
constexpr std::uint32_t kHead = 4, kEach = 8;  // octets: two NOPs, kind and length; a block

struct Ranked {
  wire::SackBlock block;
  unsigned rank = 0;  // 0: it holds the latest arrival
};

unsigned rank_of(const Tcb& t, const wire::SackBlock& b) {
  unsigned i = 0;
  while (i < t.early.size() && !in_window(t.early[i], b.left, distance(b.left, b.right))) ++i;
  return i;
}

// The blocks of the queue, those told least long ago first (§4). Adjacent pieces are one block.
//= RFC2018 4-a
//= RFC2018 4-c
//= RFC2018 4-d
unsigned rank_blocks(const Tcb& t, std::array<Ranked, kMaxBlocks>& best) {
  unsigned n = 0;
  for (const Buf* p = t.ofo_head; p != nullptr;) {
    Ranked r{{p->seq, p->seq + p->len}, 0};
    for (p = p->next; p != nullptr && p->seq == r.block.right; p = p->next) r.block.right += p->len;
    r.rank = rank_of(t, r.block);
    unsigned at = n;
    while (at > 0 && best[at - 1].rank > r.rank) --at;
    if (at == kMaxBlocks) continue;
    n = std::min(n + 1, kMaxBlocks);
    for (unsigned i = n - 1; i > at; --i) best[i] = best[i - 1];
    best[at] = r;
  }
  return n;
}

}  // namespace

void note_early(Tcb& t, Seq begin) {
  std::copy_backward(t.early.begin(), t.early.end() - 1, t.early.end());
  t.early[0] = begin;
}

//= RFC2883 4.1.2
void note_twice(Tcb& t, Seq left, Seq right) {
  if (!t.has(kSack) || !t.config->dsack) return;
  const bool goes_on = t.has(kDsackDue) && t.dsack_right == left;  // the same segment's next buffer
  t.set(kDsackDue);
  if (!goes_on) t.dsack_left = left;
  t.dsack_right = right;
}

//= RFC2018 3-b
//= RFC2018 4-b
void add_sack_blocks(Tcb& t, TxOptions& o, std::uint32_t room) {
  if (!t.has(kSack) || (t.ofo_head == nullptr && !t.has(kDsackDue))) return;
  const std::uint32_t options = 40 - (t.has(kTimestamps) ? 12U : 0U);  // all that a header holds
  room = std::min(room, options);
  if (room < kHead + kEach) return;
  const unsigned limit = std::min(kMaxBlocks, (room - kHead) / kEach);
  unsigned n = 0;
  //= RFC2883 4-a
  //= RFC2883 4-b
  //= RFC2883 4-c
  if (t.has(kDsackDue)) {  // first, and once (RFC 2883 §4)
    t.clear(kDsackDue);
    o.sack[n++] = {t.dsack_left, t.dsack_right};
  }
  std::array<Ranked, kMaxBlocks> best;
  const unsigned blocks = rank_blocks(t, best);
  for (unsigned i = 0; i < blocks && n < limit; ++i) o.sack[n++] = best[i].block;
  o.sack_count = static_cast<std::uint8_t>(n);
}

}  // namespace weir::tcp
