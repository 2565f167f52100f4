// Header prediction against the way that every other segment goes: the same lives on both, and
// after each event the control block, its log, the counters and what is sent must be the same,
// octet by octet. WEIR_LIFE_SEED=S replays one, which a failure prints.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "script/random_life.h"
#include "script/script.h"
#include "tcp/internal.h"

namespace weir::test {
namespace {

constexpr std::uint64_t kLives = 2'000 / kOneLifeIn;
constexpr unsigned kEvents = 400;

template <class T>
void add(std::string& image, const T& value) {
  image.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::uint32_t place_of(const Buf* b, const BufChain& in) {
  std::uint32_t i = 0;
  for (const Buf* p = in.head(); p != nullptr && p != b; p = p->next) ++i;
  return b == nullptr ? kNoIndex : i;
}

// All of it, with addresses replaced by what they lead to.
void add_tcb(std::string& image, const tcp::Tcb& t) {
  const std::size_t at = image.size();
  add(image, t);
  const auto blot = [&](const void* field, std::size_t octets) {
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(field) -
                                                 reinterpret_cast<const std::byte*>(&t));
    std::memset(image.data() + at + offset, 0, octets);
  };
  constexpr std::size_t kPointer = sizeof(void*);
  for (const BufChain* c : {&t.sndq, &t.rcvq}) blot(c, 2 * kPointer);
  blot(&t.rto, kPointer);
  blot(&t.log, kPointer);
  blot(&t.own, kPointer);
  blot(&t.nxt_buf, kPointer);
  blot(&t.ofo_head, kPointer);
  blot(&t.ofo_tail, kPointer);
  blot(&t.config, kPointer);
  for (const Buf* b = t.rcvq.head(); b != nullptr; b = b->next)
    add(image, b->len), add(image, b->seq);
  for (const Buf* b = t.ofo_head; b != nullptr; b = b->next) add(image, b->len), add(image, b->seq);
  add(image, place_of(t.nxt_buf, t.sndq));
  add(image, t.log != nullptr);
  add(image, t.own != nullptr);
}

void add_log(std::string& image, const tcp::SentLog& l) {
  add(image, l.una());
  add(image, l.sacked());
  add(image, l.lost());
  add(image, l.excused());
  for (const std::uint32_t v :
       {l.rack.sent_us, l.rack.rtt_us, l.rack.end.raw(), l.rack.fack.raw(),
        std::uint32_t{l.rack.any}, l.prr.delivered, l.prr.sent, l.prr.flight,
        l.hystart.window_end.raw(), l.hystart.last_us, l.hystart.current_us, l.hystart.baseline_us,
        std::uint32_t{l.hystart.samples}, std::uint32_t{l.hystart.css_rounds},
        std::uint32_t{l.hystart.running}, std::uint32_t{l.hystart.css}, std::uint32_t{l.stale},
        std::uint32_t{l.first_due}}) {
    add(image, v);
  }
  for (unsigned i = 0; i < l.size(); ++i) {
    add(image, l[i].end_raw);
    add(image, l[i].sent_us);
    add(image, l[i].flags);
  }
}

void add_segment(std::string& image, const tcp::TxSegment& s, const tcp::Tcb& t) {
  for (const std::uint32_t v :
       {s.seq.raw(), s.ack.raw(), s.len, s.payload_offset, std::uint32_t{s.wnd},
        std::uint32_t{s.mss}, std::uint32_t{s.urgent}, std::uint32_t{s.flags}, std::uint32_t{s.ecn},
        s.options.ts_val, s.options.ts_ecr, std::uint32_t{s.options.mss},
        std::uint32_t{s.options.window_scale}, std::uint32_t{s.options.sack_permitted},
        std::uint32_t{s.options.has_timestamps}}) {
    add(image, v);
  }
  add(image, place_of(s.payload, t.sndq));
  for (unsigned i = 0; i < s.options.sack_count; ++i) add(image, s.options.sack[i]);
}

struct Recorded {
  static constexpr bool kCalm = true;
  std::vector<std::string> images;
  std::array<std::uint64_t, tcp::kStates> arrivals{};  // that went the short way, by state
  std::uint64_t outputs = 0;

  void sees(const tcp::Tcb& t, const tcp::Outbox& out) {
    std::string image;
    add_tcb(image, t);
    if (t.log != nullptr) add_log(image, *t.log);
    for (const tcp::TxSegment& s : out.tx.items()) add_segment(image, s, t);
    add(image, out.release.bufs());
    add(image, out.release.bytes());
    add(image, *out.counters);
    images.push_back(std::move(image));
  }
};

struct ShortWay : Recorded {
  void arrives(tcp::Tcb& t, const tcp::RxSegment& s, Instant now, tcp::Outbox& out) {
    if (t.state != tcp::State::kClosed && tcp::predicted(t, s))
      ++arrivals[static_cast<unsigned>(t.state)];
    tcp::on_segment(t, s, now, out);
  }
  void transmits(tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    if (tcp::goes_alone(t, out)) ++outputs;
    tcp::poll_transmit(t, now, out);
  }
};

struct LongWay : Recorded {
  static void arrives(tcp::Tcb& t, const tcp::RxSegment& s, Instant now, tcp::Outbox& out) {
    tcp::segment_arrives(t, s, now, out);
  }
  static void transmits(tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    tcp::transmit(t, now, out);
    if (t.own != nullptr) tcp::count_limits(t, now);
  }
};

// In memory that was all zero, so that what lies between the fields is the same for both.
template <class Way>
Recorded live(std::uint64_t seed) {
  using Life = RandomLife<Rng, Way>;
  auto place = std::make_unique<std::byte[]>(sizeof(Life) + alignof(Life));
  void* at = place.get();
  std::size_t room = sizeof(Life) + alignof(Life);
  std::align(alignof(Life), sizeof(Life), at, room);
  Rng rng(seed);
  Life& life = *::new (at) Life(rng);
  for (unsigned i = 0; i < kEvents && life.tcb().state != tcp::State::kClosed; ++i) life.step();
  life.end();
  Recorded seen = life.way();
  life.~Life();
  return seen;
}

TEST(HeaderPrediction, LeavesBehindWhatTheOtherWayDoes) {
  const char* only = std::getenv("WEIR_LIFE_SEED");
  const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  const std::uint64_t last = only != nullptr ? first : kLives;
  std::array<std::uint64_t, tcp::kStates> arrivals{};
  std::uint64_t outputs = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const Recorded a = live<ShortWay>(seed), b = live<LongWay>(seed);
    for (unsigned s = 0; s < tcp::kStates; ++s) arrivals[s] += a.arrivals[s];
    outputs += a.outputs;
    for (std::size_t i = 0; i < std::min(a.images.size(), b.images.size()); ++i) {
      if (a.images[i] == b.images[i]) continue;
      const std::size_t n = std::min(a.images[i].size(), b.images[i].size());
      std::size_t at = 0;
      while (at < n && a.images[i][at] == b.images[i][at]) ++at;
      FAIL() << "WEIR_LIFE_SEED=" << seed << ": event " << i << ", octet " << at << " of "
             << sizeof(tcp::Tcb) << " and more";
    }
    ASSERT_EQ(a.images.size(), b.images.size()) << "WEIR_LIFE_SEED=" << seed;
  }
  if (only != nullptr) return;
  // A run that never got there would prove nothing.
  EXPECT_GT(arrivals[static_cast<unsigned>(kEstablished)], 8'000U / kOneLifeIn);
  for (const State s : {kSynReceived, kFinWait1, kFinWait2, kCloseWait, kLastAck}) {
    EXPECT_GT(arrivals[static_cast<unsigned>(s)], 3U / kOneLifeIn) << to_string(s);
  }
  EXPECT_GT(outputs, 2'000U / kOneLifeIn);
}

}  // namespace
}  // namespace weir::test
