// RFC 791 §3.2, RFC 815, RFC 8200 §4.5, RFC 5722: reassembly.
#include "ip/fragments.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "wire/checksum.h"
#include "wire/octets.h"

namespace weir::ip {
namespace {

// What a buffer costs beside its octets: no port's are smaller, and each has its descriptor.
constexpr std::uint32_t kLeastBlock = 2'048;
constexpr std::uint32_t kDescriptor = 256;
constexpr std::uint32_t kMaxDatagram = 65'535;  // RFC 791 §3.1; RFC 8200 §3: payload
constexpr unsigned kMaxEvictions = 8;           // to make room for one part
constexpr std::uint8_t kEcnMask = 3;            // RFC 3168 §5
constexpr std::uint8_t kCe = 3;

std::uint32_t charge_of(const Buf* b) {
  return std::max(b->len + b->room, kLeastBlock) + kDescriptor;
}

// Cuts a frame to the text that f describes. The first part's headers stay readable in front of it.
// What is left empty is released. Null when nothing is left.
Buf* cut_to_text(Buf* frame, const wire::Frame& f, BufChain& release) {
  std::uint32_t skip = f.l4_offset;
  std::uint32_t want = f.l4_len;
  std::uint32_t at = f.fragment.offset;
  Buf* head = nullptr;
  Buf** link = &head;
  for (Buf *b = frame, *next = nullptr; b != nullptr; b = next) {
    next = b->next;
    const std::uint32_t cut = std::min(skip, b->len);
    b->trim_front(cut);
    skip -= cut;
    if (b->len > want) b->trim_back(b->len - want);
    want -= b->len;
    if (b->len == 0) {
      release.push_back(b);
      continue;
    }
    b->next = nullptr;
    b->seq = Seq{at};
    at += b->len;
    *link = b;
    link = &b->next;
  }
  return head;
}

std::uint32_t release_all(Buf* b, BufChain& release) {
  std::uint32_t n = 0;
  for (Buf* next = nullptr; b != nullptr; b = next, ++n) {
    next = b->next;
    release.push_back(b);
  }
  return n;
}

std::uint32_t place(const Buf* b) {
  return distance(Seq{0}, b->seq);
}

// The same octets at the same place in the same pieces: a copy that the network made (RFC 8200
// §4.5). Anything else that meets what is held overlaps it.
bool is_copy(const Buf* held, const Buf* part) {
  for (; part != nullptr; part = part->next, held = held->next) {
    if (held == nullptr || held->seq != part->seq || held->len != part->len) return false;
    if (std::memcmp(held->data, part->data, part->len) != 0) return false;
  }
  return true;
}

// Not-ECT beside another field is no packet's (RFC 3168 §5.3; Linux drops the same).
bool ecn_agrees(unsigned seen) {
  return (seen & 1U) == 0 || seen == 1U;
}

}  // namespace

Fragments::Fragments(const FragmentConfig& config)
    : config_(config),
      datagrams_(std::clamp(config.high_thresh / kLeastBlock, 16U, 65'536U)),
      buckets_(std::bit_ceil(datagrams_.capacity()), kNoIndex),
      shares_(kShares) {}

std::uint32_t& Fragments::bucket(const wire::Frame& f) {
  const FlowKey key{f.dst, f.src, static_cast<std::uint16_t>(f.fragment.id),
                    static_cast<std::uint16_t>(f.fragment.id >> 16U)};
  return buckets_[siphash13(config_.key, key) & (buckets_.size() - 1)];
}

void Fragments::charge(Datagram& d, std::uint32_t octets) {
  d.charge += octets;
  shares_[d.share].octets += octets;
  octets_ += octets;
}

void Fragments::discharge(Datagram& d, std::uint32_t octets) {
  WEIR_ASSERT(d.charge >= octets && shares_[d.share].octets >= octets && octets_ >= octets);
  d.charge -= octets;
  shares_[d.share].octets -= octets;
  octets_ -= octets;
}

std::uint16_t Fragments::share_of(const IpAddr& src) const {
  FlowKey source;
  source.remote = src;
  return static_cast<std::uint16_t>(siphash13(config_.key, source) % kShares);
}

std::uint32_t Fragments::oldest() const {
  const std::uint32_t a = ages_[0].head;
  const std::uint32_t b = ages_[1].head;
  if (a == kNoIndex || b == kNoIndex) return a == kNoIndex ? b : a;
  return datagrams_[b].since < datagrams_[a].since ? b : a;
}

void Fragments::link(Ends& ends, Links Datagram::*in, std::uint32_t id) {
  (datagrams_[id].*in).prev = ends.tail;
  (ends.tail == kNoIndex ? ends.head : (datagrams_[ends.tail].*in).next) = id;
  ends.tail = id;
}

void Fragments::unlink(Ends& ends, Links Datagram::*in, std::uint32_t id) {
  const Links at = datagrams_[id].*in;
  (at.prev == kNoIndex ? ends.head : (datagrams_[at.prev].*in).next) = at.next;
  (at.next == kNoIndex ? ends.tail : (datagrams_[at.next].*in).prev) = at.prev;
}

void Fragments::forget(std::uint32_t id) {
  const Datagram& d = datagrams_[id];
  unlink(ages_[d.src.is_v4() ? 0 : 1], &Datagram::family, id);
  unlink(shares_[d.share].ages, &Datagram::own, id);
  --shares_[d.share].datagrams;
  wire::Frame key;
  key.src = d.src;
  key.dst = d.dst;
  key.fragment.id = d.id;
  std::uint32_t* link = &bucket(key);
  while (*link != id) link = &datagrams_[*link].hash_next;
  *link = d.hash_next;
}

std::uint32_t Fragments::drop_parts(Datagram& d, BufChain& release) {
  const std::uint32_t parts = d.parts;
  release_all(d.head, release);
  discharge(d, d.charge - kDescriptor);
  d.head = nullptr;
  d.have = d.end = 0;
  d.parts = 0;
  d.bufs = 0;
  return parts;
}

std::uint32_t Fragments::remove(std::uint32_t id, BufChain& release) {
  Datagram& d = datagrams_[id];
  const std::uint32_t parts = drop_parts(d, release);
  discharge(d, d.charge);
  forget(id);
  datagrams_.give(id);
  return parts;
}

// RFC 5722 §4: of an IPv6 datagram nothing is taken any more, not what comes later either. The
// identification of IPv4 comes round too soon for that.
//= RFC5722 4-b
std::uint32_t Fragments::give_up(std::uint32_t id, BufChain& release) {
  Datagram& d = datagrams_[id];
  if (d.src.is_v4() || octets_ > config_.high_thresh) return remove(id, release);
  d.given_up = true;
  return drop_parts(d, release);
}

//= RFC815 6-a
std::uint32_t Fragments::give_up_oldest(BufChain& release) {
  const std::uint32_t id = oldest();
  return id == kNoIndex ? 0 : remove(id, release);
}

//= RFC791 3.2-b
//= RFC6864 4.2
//= RFC8200 4.5-b
std::uint32_t Fragments::find_or_create(const wire::Frame& f, Instant now, BufChain& release,
                                        Outcome& out) {
  const bool v4 = f.src.is_v4();
  const std::uint8_t protocol = v4 ? f.protocol : std::uint8_t{0};
  std::uint32_t& head = bucket(f);
  for (std::uint32_t id = head; id != kNoIndex; id = datagrams_[id].hash_next) {
    const Datagram& d = datagrams_[id];
    if (d.id == f.fragment.id && d.src == f.src && d.dst == f.dst && d.protocol == protocol) {
      return id;
    }
  }
  // One source does not drive out the others' with datagrams that hold nothing any more: but its
  // own.
  const std::uint16_t share = share_of(f.src);
  Share& own = shares_[share];
  if (own.datagrams >= datagrams_.capacity() / kShare) {
    out.made_room += remove(own.ages.head, release);
  }
  if (datagrams_.full()) out.made_room += give_up_oldest(release);
  const std::uint32_t id = datagrams_.take();
  Datagram& d = *::new (datagrams_.slot(id)) Datagram;
  d.src = f.src;
  d.dst = f.dst;
  d.id = f.fragment.id;
  d.protocol = protocol;
  d.since = now;
  //= RFC1122 3.3.2-b
  //= RFC8200 4.5-d
  d.deadline = now + (v4 ? config_.ipv4_time : kIpv6Time);
  d.share = share;
  ++own.datagrams;
  std::uint32_t& first = bucket(f);  // as the eviction left it
  d.hash_next = first;
  first = id;
  link(ages_[v4 ? 0 : 1], &Datagram::family, id);
  link(own.ages, &Datagram::own, id);
  charge(d, kDescriptor);
  return id;
}

// Older datagrams make room for newer ones: under a flood none of them may live long, but what is
// whole within a moment gets through. A source that has its share full drives out its own.
//= RFC8200 4.5-a
//= RFC1122 3.3.2-a
bool Fragments::make_room(std::uint32_t id, std::uint32_t octets, BufChain& release, Outcome& out) {
  const Share& own = shares_[datagrams_[id].share];
  for (unsigned i = 0; own.octets + octets > config_.high_thresh / kShare; ++i) {
    if (i == kMaxEvictions || own.ages.head == id) return false;
    out.made_room += remove(own.ages.head, release);
  }
  for (unsigned i = 0; i < kMaxEvictions; ++i) {
    if (octets_ + octets <= config_.high_thresh) return true;
    if (oldest() == id) return false;
    out.made_room += give_up_oldest(release);
  }
  return octets_ + octets <= config_.high_thresh;
}

bool Fragments::end_agrees(const Datagram& d, std::uint32_t end, bool more) {
  if (d.end != 0) return more ? end < d.end : end == d.end;
  if (more) return true;
  const Buf* last = d.head;
  while (last != nullptr && last->next != nullptr) last = last->next;
  return last == nullptr || place(last) + last->len <= end;
}

// Bounded by kMaxBufs. RFC 815's list of holes, turned round: what is held, in order.
//= RFC815 3
//= RFC5722 4-a
//= RFC8200 4.5-h
Fragments::Place Fragments::place_of(Datagram& d, const Buf* part, std::uint32_t offset,
                                     std::uint32_t len) {
  Buf** link = &d.head;
  while (*link != nullptr && place(*link) + (*link)->len <= offset) link = &(*link)->next;
  const Buf* const behind = *link;
  if (behind == nullptr || place(behind) >= offset + len) return {Fate::kHeld, link};
  return {is_copy(behind, part) ? Fate::kDuplicate : Fate::kOverlap, nullptr};
}

// What can be said of a part before its place is known.
Fragments::Fate Fragments::judge(const Datagram& d, const wire::Frame& f, unsigned bufs) {
  if (!end_agrees(d, f.fragment.offset + f.l4_len, f.fragment.more)) return Fate::kOverlap;
  const unsigned seen = d.ecn_seen | 1U << (f.tos & kEcnMask);
  if (!ecn_agrees(seen)) return Fate::kEcn;
  if (d.bufs + bufs > kMaxBufs) return Fate::kTooMany;
  return Fate::kHeld;
}

void Fragments::keep(Datagram& d, const wire::Frame& f, Buf* part, Buf** link, unsigned bufs,
                     std::uint32_t octets) {
  Buf* last = part;
  while (last->next != nullptr) last = last->next;
  last->next = *link;
  *link = part;
  charge(d, octets);
  d.have += f.l4_len;
  d.bufs = static_cast<std::uint8_t>(d.bufs + bufs);
  ++d.parts;
  d.ecn_seen = static_cast<std::uint8_t>(d.ecn_seen | 1U << (f.tos & kEcnMask));
  if (!f.fragment.more) d.end = f.fragment.offset + f.l4_len;
  if (f.fragment.offset != 0) return;
  d.header = f.l4_offset;
  d.fragment_header = f.fragment.header;
  d.named_at = f.fragment.named_at;
}

Fragments::Outcome Fragments::add(Buf* frame, const wire::Frame& f, Instant now,
                                  BufChain& release) {
  Outcome out;
  const std::uint32_t id = find_or_create(f, now, release, out);
  Datagram& d = datagrams_[id];
  const Buf* const headers = frame;  // in the first Buf, where text must follow them to keep it
  Buf* const part = cut_to_text(frame, f, release);
  out.given_up = 1;
  if (part == nullptr || (f.fragment.offset == 0 && part != headers) || d.given_up) {
    release_all(part, release);
    out.fate = d.given_up ? Fate::kOverlap : Fate::kNoRoom;
    if (d.parts == 0 && !d.given_up) remove(id, release);
    return out;
  }
  unsigned bufs = 0;
  std::uint32_t octets = 0;
  for (const Buf* b = part; b != nullptr; b = b->next, ++bufs) octets += charge_of(b);
  const Place place = place_of(d, part, f.fragment.offset, f.l4_len);
  out.fate = place.fate == Fate::kHeld ? judge(d, f, bufs) : place.fate;
  if (out.fate == Fate::kHeld && !make_room(id, octets, release, out)) out.fate = Fate::kNoRoom;
  if (out.fate != Fate::kHeld) {
    release_all(part, release);
    if (out.fate == Fate::kNoRoom && d.parts == 0) remove(id, release);
    if (out.fate != Fate::kNoRoom && out.fate != Fate::kDuplicate) {
      out.given_up += give_up(id, release);
    }
    return out;
  }
  out.given_up = 0;
  keep(d, f, part, place.link, bufs, octets);
  if (d.end == 0 || d.have != d.end) return out;
  out.fate = Fate::kWhole;
  out.id = id;
  return out;
}

// Any CE makes CE of the whole (RFC 3168 §5.3); otherwise the first part's field stands.
//= RFC791 3.2-c
//= RFC8200 4.5-c
void Fragments::write_headers(const Datagram& d, std::byte* at, std::uint32_t header) {
  using namespace wire;  // NOLINT: octets
  const bool ce = (d.ecn_seen >> kCe & 1U) != 0;
  std::byte* const ip = at + kEthHeader;
  if (d.src.is_v4()) {
    const std::uint32_t ihl = header - static_cast<std::uint32_t>(kEthHeader);
    if (ce) store8(ip + 1, static_cast<std::uint8_t>(load8(ip + 1) | kCe));
    store16(ip + 2, static_cast<std::uint16_t>(ihl + d.end));
    store16(ip + 6, 0);
    store16(ip + 10, 0);
    store16(ip + 10, checksum({ip, ihl}));
    return;
  }
  if (ce) store8(ip + 1, static_cast<std::uint8_t>(load8(ip + 1) | kCe << 4U));
  const auto unfragmentable = static_cast<std::uint32_t>(header - kEthHeader - kIpv6Header);
  store16(ip + 4, static_cast<std::uint16_t>(unfragmentable + d.end));
}

Buf* Fragments::assemble(std::uint32_t id, Buf* into, BufChain& release) {
  Datagram& d = datagrams_[id];
  WEIR_ASSERT(d.end != 0 && d.have == d.end);
  const bool v4 = d.src.is_v4();
  // Without the Fragment header, which the one before it names no longer.
  const std::uint32_t header = v4 ? d.header : d.fragment_header;
  const std::uint32_t counted = header - static_cast<std::uint32_t>(wire::kEthHeader) -
                                (v4 ? 0U : static_cast<std::uint32_t>(wire::kIpv6Header));
  if (into == nullptr || into->room < d.header || counted + d.end > kMaxDatagram) {
    if (into != nullptr) release.push_back(into);
    remove(id, release);
    return nullptr;
  }
  std::byte* const at = into->data;
  std::memcpy(at, d.head->data - d.header, d.header);
  if (!v4) at[d.named_at] = at[d.fragment_header];
  write_headers(d, at, header);
  into->len = header;
  into->room -= header;
  Buf* b = d.head;
  discharge(d, d.charge - kDescriptor);
  d.head = nullptr;
  while (b != nullptr) {  // what has room; then the rest as it is
    const std::uint32_t n = std::min(into->room, b->len);
    std::memcpy(at + into->len, b->data, n);
    into->len += n;
    into->room -= n;
    b->trim_front(n);
    if (b->len > 0) break;
    Buf* const next = b->next;
    release.push_back(b);
    b = next;
  }
  into->next = b;
  remove(id, release);
  return into;
}

bool Fragments::expire(Instant now, Expired& out, BufChain& release) {
  for (const Ends& ends : ages_) {
    const std::uint32_t id = ends.head;
    if (id == kNoIndex || datagrams_[id].deadline > now) continue;
    Datagram& d = datagrams_[id];
    out = {};
    //= RFC791 3.2-d
    //= RFC8200 4.5-e
    if (d.head != nullptr && place(d.head) == 0) {
      out.first = d.head;
      discharge(d, charge_of(d.head));
      d.head = d.head->next;
      out.first->next = nullptr;
      out.first->data -= d.header;
      out.first->len += d.header;
    }
    out.parts = remove(id, release);
    return true;
  }
  return false;
}

Instant Fragments::next_deadline() const {
  Instant first = kNever;
  for (const Ends& ends : ages_) {
    if (ends.head != kNoIndex) first = std::min(first, datagrams_[ends.head].deadline);
  }
  return first;
}

void Fragments::check_invariants() const {
  std::uint32_t octets = 0;
  std::uint32_t datagrams = 0;
  std::uint32_t shared = 0;
  for (const Share& s : shares_) {
    std::uint32_t in_share = 0;
    for (std::uint32_t id = s.ages.head; id != kNoIndex; id = datagrams_[id].own.next) {
      WEIR_ASSERT(&shares_[datagrams_[id].share] == &s);
      ++in_share;
    }
    WEIR_ASSERT(in_share == s.datagrams);
    shared += in_share;
  }
  WEIR_ASSERT(shared == datagrams_.size());
  for (const Ends& ends : ages_) {
    Instant before = Instant::min();
    for (std::uint32_t id = ends.head; id != kNoIndex; id = datagrams_[id].family.next) {
      ++datagrams;
      const Datagram& d = datagrams_[id];
      WEIR_ASSERT(d.since >= before);
      before = d.since;
      std::uint32_t have = 0, end = 0, bufs = 0, charge = kDescriptor;
      for (const Buf* b = d.head; b != nullptr; b = b->next, ++bufs) {
        WEIR_ASSERT(b->len > 0 && place(b) >= end);
        end = place(b) + b->len;
        have += b->len;
        charge += charge_of(b);
      }
      WEIR_ASSERT(have == d.have && bufs == d.bufs && charge == d.charge);
      WEIR_ASSERT(d.end == 0 || end <= d.end);
      WEIR_ASSERT(!d.given_up || d.head == nullptr);
      octets += d.charge;
    }
  }
  WEIR_ASSERT(datagrams == datagrams_.size() && octets == octets_);
  WEIR_ASSERT(octets_ <= config_.high_thresh);
}

}  // namespace weir::ip
