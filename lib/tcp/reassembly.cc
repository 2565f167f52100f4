// Receiving text in order (RFC 9293 §3.10.7.4, seventh): what comes early waits in a sorted list of
// disjoint pieces. Bounded: a peer that sends holes costs it room, not us time.
#include <algorithm>
#include <cstring>

#include "tcp/internal.h"

namespace weir::tcp {
namespace {

constexpr std::uint16_t kMaxPieces = 256;  // out-of-order pieces of one connection, at most
constexpr std::uint32_t kCopyLimit = 256;  // octets worth copying to save a buffer

Seq end_of(const Buf* b) {
  return b->seq + b->len;
}

void release_one(Buf* b, Outbox& out) {
  out.release.push_back(b);
}

// Small text moves into the buffer before it, so that a peer who sends octet by octet does not hold
// a buffer for each; any text, once a connection holds much. Then two buffers in a row are more
// than full together, and what is held stays below twice what is counted.
bool worth_copying(const Tcb& t, const Buf* into, const Buf* b) {
  if (into == nullptr || into->room < b->len || (into->flags & Buf::kBorrowed) != 0) return false;
  return b->len <= kCopyLimit || holds_much(t);
}

void append_to_queue(Tcb& t, Buf* b, Outbox& out) {
  Buf* tail = t.rcvq.tail();
  std::memcpy(tail->data + tail->len, b->data, b->len);
  t.rcvq.grow_tail(b->len);
  out.counters->rcv_collapsed.add();
  release_one(b, out);
}

}  // namespace

void append_in_order(Tcb& t, Buf* b, Outbox& out) {
  t.rcv_nxt += b->len;
  if (worth_copying(t, t.rcvq.tail(), b)) return append_to_queue(t, b, out);
  t.rcvq.push_back(b);
}

namespace {

// The same out of order. False: it must wait in a buffer of its own.
bool append_early(Tcb& t, Buf* prev, Buf* b, Outbox& out) {
  if (prev == nullptr || end_of(prev) != b->seq || !worth_copying(t, prev, b)) return false;
  std::memcpy(prev->data + prev->len, b->data, b->len);
  prev->len += b->len;
  prev->room -= b->len;
  out.counters->rcv_collapsed.add();
  out.counters->ofo_queued.add();
  release_one(b, out);
  return true;
}

void unlink_after(Tcb& t, Buf* prev, Outbox& out) {
  Buf*& link = prev == nullptr ? t.ofo_head : prev->next;
  Buf* gone = link;
  link = gone->next;
  if (t.ofo_tail == gone) t.ofo_tail = prev;
  --t.ofo_count;
  release_one(gone, out);
}

// The last piece that begins at or before `s`, or null.
Buf* piece_before(const Tcb& t, Seq s) {
  if (t.ofo_tail != nullptr && at_or_before(t.ofo_tail->seq, s)) return t.ofo_tail;
  Buf* prev = nullptr;
  for (Buf* p = t.ofo_head; p != nullptr && at_or_before(p->seq, s); p = p->next) prev = p;
  return prev;
}

// What already waits wins over the newcomer where they overlap.
[[gnu::noinline]] void insert_early(Tcb& t, Buf* b, Outbox& out) {
  Buf* prev = piece_before(t, b->seq);
  if (prev != nullptr && after(end_of(prev), b->seq)) {
    const std::uint32_t overlap = distance(b->seq, end_of(prev));
    note_twice(t, b->seq, b->seq + std::min(overlap, b->len));
    if (overlap >= b->len) return release_one(b, out);
    b->trim_front(overlap);
  }
  Buf* next = prev == nullptr ? t.ofo_head : prev->next;
  while (next != nullptr && at_or_before(end_of(next), end_of(b))) {  // swallowed whole
    Buf* after_next = next->next;
    unlink_after(t, prev, out);
    next = after_next;
  }
  if (next != nullptr && before(next->seq, end_of(b))) {
    b->trim_back(distance(next->seq, end_of(b)));
    if (b->len == 0) return release_one(b, out);
  }
  if (append_early(t, prev, b, out)) return;
  if (t.ofo_count >= kMaxPieces || !may_hold_early(t)) {
    out.counters->drop_ofo_limit.add();
    return release_one(b, out);
  }
  b->next = next;
  (prev == nullptr ? t.ofo_head : prev->next) = b;
  if (next == nullptr) t.ofo_tail = b;
  ++t.ofo_count;
  out.counters->ofo_queued.add();
}

// Of a newcomer that covers several pieces the first is told of (RFC 2883 §4.1), as Linux does.
//= RFC2883 4.1.2
void note_covered(Tcb& t, Seq left, Seq right) {
  if (!t.has(kDsackDue) || t.dsack_right == left) note_twice(t, left, right);
}

// Pieces that RCV.NXT has reached become text in order.
[[gnu::noinline]] void collect_ready(Tcb& t, Outbox& out) {
  while (t.ofo_head != nullptr && at_or_before(t.ofo_head->seq, t.rcv_nxt)) {
    Buf* b = t.ofo_head;
    t.ofo_head = b->next;
    if (t.ofo_head == nullptr) t.ofo_tail = nullptr;
    --t.ofo_count;
    const std::uint32_t old = distance(b->seq, t.rcv_nxt);
    if (old > 0) note_covered(t, b->seq, b->seq + std::min(old, b->len));
    if (old >= b->len) {
      release_one(b, out);
    } else {
      b->trim_front(old);
      append_in_order(t, b, out);
    }
  }
}

// Of text whose front the collected pieces have covered already.
[[gnu::noinline]] void take_rest(Tcb& t, Buf* b, Outbox& out) {
  const std::uint32_t old = distance(b->seq, t.rcv_nxt);
  note_covered(t, b->seq, b->seq + std::min(old, b->len));
  if (old >= b->len) return release_one(b, out);
  b->trim_front(old);
  append_in_order(t, b, out);
  collect_ready(t, out);
}

}  // namespace

void drop_early(Tcb& t, Outbox& out) {
  while (t.ofo_head != nullptr) unlink_after(t, nullptr, out);
}

void shrink_receive_queue(Tcb& t, bool early_too, Outbox& out) {
  BufChain all = std::move(t.rcvq);
  while (Buf* b = all.pop_front()) {
    const Buf* tail = t.rcvq.tail();
    if (tail != nullptr && tail->room >= b->len && (tail->flags & Buf::kBorrowed) == 0) {
      append_to_queue(t, b, out);
    } else {
      t.rcvq.push_back(b);
    }
  }
  if (!early_too) return;
  out.counters->ofo_pruned.add(t.ofo_count);
  drop_early(t, out);
}

//= RFC9293 SHLD-31
void receive_text(Tcb& t, BufChain&& text, Outbox& out) {
  while (Buf* b = text.pop_front()) {
    if (b->len == 0) {
      release_one(b, out);
    } else if (b->seq == t.rcv_nxt) {
      append_in_order(t, b, out);
      if (t.ofo_head != nullptr) collect_ready(t, out);
    } else if (after(b->seq, t.rcv_nxt)) {
      insert_early(t, b, out);
    } else {
      take_rest(t, b, out);
    }
  }
}

}  // namespace weir::tcp
