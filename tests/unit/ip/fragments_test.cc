// Reassembly of parts (RFC 791, RFC 8200 §4.5, RFC 5722), and its naive twin: a
// map of octets.
#include "ip/fragments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/rng.h"
#include "wire/checksum.h"
#include "wire/octets.h"

namespace weir::ip {
namespace {

using namespace std::chrono_literals;
using Fate = Fragments::Fate;
using Octets = std::vector<std::byte>;

constexpr Instant kStart{1'000s};
constexpr IpAddr kUs = IpAddr::v4(10, 0, 0, 1);
constexpr IpAddr kThem = IpAddr::v4(10, 0, 0, 2);
constexpr IpAddr kUs6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
constexpr IpAddr kThem6 = IpAddr::v6({0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});

constexpr std::uint8_t kSctp = 132;  // whose text nobody here looks at

struct Part {
  std::uint32_t offset = 0;
  std::string text;
  bool more = true;
  std::uint32_t id = 7;
  IpAddr src = kThem;
  std::uint8_t protocol = kSctp;
  std::uint8_t tos = 0;
};

// A block with room of its own, its Buf at the head as a driver's.
struct Pool {
  struct Block {
    Buf buf;
    std::unique_ptr<std::byte[]> memory;
  };
  Buf* take(std::uint32_t room = 2'048) {
    auto b = std::make_unique<Block>();
    b->memory = std::make_unique<std::byte[]>(room);
    b->buf.data = b->memory.get();
    b->buf.room = room;
    Buf* const buf = &b->buf;
    blocks[buf] = std::move(b);
    return buf;
  }
  void give(Buf* b) { ASSERT_EQ(blocks.erase(b), 1U) << "given back twice"; }
  std::map<Buf*, std::unique_ptr<Block>> blocks;
};

// The frame of a part: Ethernet, IPv4 or IPv6 with a Fragment header, text, and
// padding.
Octets frame_of(const Part& p) {
  using namespace wire;
  const bool v4 = p.src.is_v4();
  Octets f(kEthHeader + (v4 ? kIpv4MinHeader : kIpv6Header + 8));
  store16(&f[12], v4 ? 0x0800 : 0x86dd);
  const auto len = static_cast<std::uint16_t>(p.text.size());
  if (v4) {
    store16(&f[14], static_cast<std::uint16_t>(0x4500 | p.tos));
    store16(&f[16], static_cast<std::uint16_t>(20 + len));
    store16(&f[18], static_cast<std::uint16_t>(p.id));
    store16(&f[20], static_cast<std::uint16_t>(p.offset / 8 | (p.more ? 0x2000U : 0U)));
    store8(&f[23], p.protocol);
    store32(&f[26], p.src.v4_value());
    store32(&f[30], kUs.v4_value());
    store16(&f[24], checksum(std::span(f).subspan(14)));
  } else {
    store32(&f[14], 6U << 28U | std::uint32_t{p.tos} << 20U);
    store16(&f[18], static_cast<std::uint16_t>(8 + len));
    store8(&f[20], 44);
    std::memcpy(&f[22], p.src.octets().data(), 16);
    std::memcpy(&f[38], kUs6.octets().data(), 16);
    store8(&f[54], p.protocol);
    store16(&f[56], static_cast<std::uint16_t>(p.offset | (p.more ? 1U : 0U)));
    store32(&f[58], p.id);
  }
  for (const char c : p.text) f.push_back(static_cast<std::byte>(c));
  f.resize(f.size() + 5, std::byte{0xee});  // padding that belongs to nobody
  return f;
}

std::string text(std::size_t n, unsigned seed = 0) {
  std::string s(n, ' ');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>('a' + (i * 7 + i / 26 + seed) % 26);
  return s;
}

struct FragmentsTest : testing::Test {
  explicit FragmentsTest(FragmentConfig c = {}) : config(c), f(c) {}
  ~FragmentsTest() override {
    Fragments::Expired e;
    while (f.expire(now + 10min, e, release)) {
      if (e.first != nullptr) release.push_back(e.first);
    }
    collect();
    EXPECT_EQ(f.size(), 0U);
    EXPECT_EQ(f.octets(), 0U);
    EXPECT_TRUE(pool.blocks.empty()) << "leaked";
  }
  void collect() {
    while (Buf* b = release.pop_front()) pool.give(b);
  }
  // `pieces`: Bufs the frame lies in, the headers in the first.
  Fate add(const Part& p, unsigned pieces = 1) {
    const Octets octets = frame_of(p);
    Buf* head = nullptr;
    Buf** link = &head;
    std::size_t at = 0;
    for (unsigned i = 0; i < pieces; ++i) {
      const std::size_t end = i + 1 == pieces ? octets.size() : 100 + 100 * i;
      Buf* b = pool.take(static_cast<std::uint32_t>(std::max<std::size_t>(2'048, end - at)));
      std::copy(octets.begin() + static_cast<std::ptrdiff_t>(at),
                octets.begin() + static_cast<std::ptrdiff_t>(end), b->data);
      b->len = static_cast<std::uint32_t>(end - at);
      b->room -= b->len;
      *link = b;
      link = &b->next;
      at = end;
    }
    wire::Frame parsed;
    wire::parse_frame({head->data, head->len}, octets.size(), {}, parsed);
    EXPECT_EQ(parsed.kind, wire::Kind::kFragment) << static_cast<int>(parsed.fault);
    last = f.add(head, parsed, now, release);
    if (last.fate == Fate::kWhole) take_whole();
    f.check_invariants();
    collect();
    return last.fate;
  }
  void take_whole() {
    Buf* const into = room == 0 ? nullptr : pool.take(room);
    Buf* b = f.assemble(last.id, into, release);
    whole.reset();
    if (b == nullptr) return;
    whole.emplace();
    Octets octets;
    for (Buf* next = nullptr; b != nullptr; b = next) {
      next = b->next;
      if (octets.empty()) first_len = b->len;
      octets.insert(octets.end(), b->data, b->data + b->len);
      release.push_back(b);
    }
    wire::parse_frame(octets, octets.size(), {}, whole_frame);
    EXPECT_EQ(whole_frame.fault, wire::Fault::kNone);
    EXPECT_NE(whole_frame.kind, wire::Kind::kFragment);
    EXPECT_EQ(whole_frame.l4_offset + whole_frame.l4_len, octets.size());
    for (std::size_t i = whole_frame.l4_offset; i < octets.size(); ++i) {
      whole->push_back(static_cast<char>(octets[i]));
    }
  }

  FragmentConfig config;
  Fragments f;
  Pool pool;
  BufChain release;
  Instant now = kStart;
  std::uint32_t room = 2'048;
  Fragments::Outcome last;
  std::optional<std::string> whole;
  wire::Frame whole_frame;
  std::uint32_t first_len = 0;
};

const std::string kA = text(16, 1), kB = text(24, 2), kC = text(11, 3);

//= RFC791 3.2-b type=test
//= RFC791 3.2-c type=test
//= RFC815 3 type=test
TEST_F(FragmentsTest, EveryOrderOfThreeParts) {
  const Part parts[] = {{0, kA, true}, {16, kB, true}, {40, kC, false}};
  int order[] = {0, 1, 2};
  do {
    EXPECT_EQ(add(parts[order[0]]), Fate::kHeld);
    EXPECT_EQ(add(parts[order[1]]), Fate::kHeld);
    EXPECT_EQ(add(parts[order[2]]), Fate::kWhole);
    ASSERT_TRUE(whole);
    EXPECT_EQ(*whole, kA + kB + kC);
    EXPECT_EQ(whole_frame.protocol, kSctp);
    EXPECT_EQ(whole_frame.src, kThem);
    EXPECT_EQ(f.size(), 0U);
  } while (std::next_permutation(std::begin(order), std::end(order)));
}

//= RFC8200 4.5-b type=test
//= RFC8200 4.5-c type=test
TEST_F(FragmentsTest, Ipv6InEveryOrder) {
  const Part parts[] = {{0, kA, true, 0x01020304, kThem6},
                        {16, kB, true, 0x01020304, kThem6},
                        {40, kC, false, 0x01020304, kThem6}};
  int order[] = {0, 1, 2};
  do {
    for (const int i : order) add(parts[i]);
    ASSERT_TRUE(whole);
    EXPECT_EQ(*whole, kA + kB + kC);
    EXPECT_EQ(whole_frame.protocol, kSctp);
    EXPECT_FALSE(whole_frame.had_fragment_header);
  } while (std::next_permutation(std::begin(order), std::end(order)));
}

// The Next Header of the first part counts, not that of the others (RFC 8200
// §4.5).
TEST_F(FragmentsTest, Ipv6TakesItsProtocolFromTheFirst) {
  add({16, kC, false, 9, kThem6, 99});
  EXPECT_EQ(add({0, kA, true, 9, kThem6, kSctp}), Fate::kWhole);
  EXPECT_EQ(whole_frame.protocol, kSctp);
}

//= RFC791 3.2-b type=test
//= RFC6864 4.2 type=test
TEST_F(FragmentsTest, PartsOfDifferentDatagramsDoNotMix) {
  add({0, kA, true});
  EXPECT_EQ(add({16, kC, false, 8}), Fate::kHeld);  // identification
  EXPECT_EQ(add({16, kC, false, 7, IpAddr::v4(10, 0, 0, 3)}),
            Fate::kHeld);                                     // source
  EXPECT_EQ(add({16, kC, false, 7, kThem, 6}), Fate::kHeld);  // protocol
  EXPECT_EQ(f.size(), 4U);
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
  EXPECT_EQ(*whole, kA + kC);
}

TEST_F(FragmentsTest, ACopyIsDroppedAndTheDatagramWaitsOn) {
  add({0, kA, true});
  EXPECT_EQ(add({0, kA, true}), Fate::kDuplicate);
  EXPECT_EQ(last.given_up, 1U);
  add({16, kB, true});
  EXPECT_EQ(add({16, kB, true}), Fate::kDuplicate);
  EXPECT_EQ(add({40, kC, false}), Fate::kWhole);
  EXPECT_EQ(*whole, kA + kB + kC);
}

// Same place and length but other octets is no copy: whoever sent it wants to
// be the one believed.
//= RFC5722 4-a type=test
//= RFC8200 4.5-h type=test
TEST_F(FragmentsTest, OverlapsGiveUpTheDatagram) {
  const Part bad[] = {
      {0, text(16, 5), true},  // other octets
      {8, text(8, 1), true},   // within
      {0, text(24, 1), true},  // beyond
      {8, text(16, 1), true},  // across the end
      {0, text(8, 1), true},   // the start of it
  };
  for (const IpAddr& src : {kThem, kThem6}) {
    std::uint32_t id = 100;
    for (Part p : bad) {
      p.src = src;
      p.id = ++id;
      add({0, kA, true, id, src});
      add({40, kC, false, id, src});
      EXPECT_EQ(add(p), Fate::kOverlap) << id;
      EXPECT_EQ(last.given_up, 3U);
      EXPECT_TRUE(pool.blocks.empty());
    }
  }
}

TEST_F(FragmentsTest, OverlapWithALaterPart) {
  add({16, kB, true});
  EXPECT_EQ(add({0, text(24, 1), true}), Fate::kOverlap);
  EXPECT_EQ(last.given_up, 2U);
}

// Not those yet to come either (RFC 5722 §4); the 16 bits of IPv4 are wanted
// again.
//= RFC5722 4-b type=test
TEST_F(FragmentsTest, WhatComesAfterAnOverlap) {
  add({0, kA, true, 7, kThem6});
  add({8, kA, true, 7, kThem6});
  EXPECT_EQ(add({0, kA, true, 7, kThem6}), Fate::kOverlap);
  EXPECT_EQ(add({16, kC, false, 7, kThem6}), Fate::kOverlap);
  EXPECT_EQ(f.size(), 1U);  // remembered
  add({0, kA, true});
  add({8, kA, true});
  EXPECT_EQ(add({0, kA, true}), Fate::kHeld);
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
  now += 60s;
  Fragments::Expired e;
  ASSERT_TRUE(f.expire(now, e, release));
  EXPECT_EQ(e.first, nullptr);  // nothing to tell of it
  EXPECT_EQ(add({0, kA, true, 7, kThem6}), Fate::kHeld);
}

TEST_F(FragmentsTest, PartsThatDisagreeOnTheEnd) {
  add({40, kC, false});
  EXPECT_EQ(add({64, kA, true}), Fate::kOverlap);  // beyond the end
  add({40, kC, false});
  EXPECT_EQ(add({24, text(8), false}), Fate::kOverlap);  // another end
  add({40, text(16), true});
  EXPECT_EQ(add({16, text(8), false}),
            Fate::kOverlap);  // an end before what is held
  add({40, text(16), false});
  EXPECT_EQ(add({32, text(24), true}), Fate::kOverlap);  // more behind the end
  EXPECT_EQ(f.size(), 0U);
}

TEST_F(FragmentsTest, Ecn) {
  struct Case {
    unsigned first, second;
    int whole;  // -1: dropped
  };
  const Case cases[] = {{0, 0, 0},  {1, 1, 1},  {2, 2, 2}, {3, 3, 3}, {2, 3, 3},
                        {3, 2, 3},  {1, 3, 3},  {1, 2, 1}, {2, 1, 2}, {0, 3, -1},
                        {3, 0, -1}, {0, 2, -1}, {1, 0, -1}};
  for (const IpAddr& src : {kThem, kThem6}) {
    std::uint32_t id = 0;
    for (const Case& c : cases) {
      const auto tos = [](unsigned ecn) { return static_cast<std::uint8_t>(0xb8 | ecn); };
      add({0, kA, true, ++id, src, kSctp, tos(c.first)});
      const Fate fate = add({16, kC, false, id, src, kSctp, tos(c.second)});
      EXPECT_EQ(fate, c.whole < 0 ? Fate::kEcn : Fate::kWhole) << c.first << c.second;
      if (c.whole >= 0) {
        EXPECT_EQ(whole_frame.tos, 0xb8 | c.whole) << c.first << c.second;
      }
    }
  }
}

//= RFC1122 3.3.2-a type=test
//= RFC8200 4.5-a type=test
TEST_F(FragmentsTest, TheLargestDatagram) {
  for (const IpAddr& src : {kThem, kThem6}) {
    const std::uint32_t most = src.is_v4() ? 65'515 : 65'535;
    const std::string all = text(most);
    for (std::uint32_t at = 0; at < most; at += 1'480) {
      add({at, all.substr(at, 1'480), at + 1'480 < most, 7, src});
    }
    ASSERT_EQ(last.fate, Fate::kWhole);
    EXPECT_EQ(*whole, all);
    EXPECT_EQ(first_len, 2'048U);  // headers and text as far as one buffer has
                                   // room; the rest as is
  }
}

TEST_F(FragmentsTest, ScatteredParts) {
  const std::string all = text(3'000);
  add({1'480, all.substr(1'480), false}, 4);
  EXPECT_EQ(add({0, all.substr(0, 1'480), true}, 3), Fate::kWhole);
  EXPECT_EQ(*whole, all);
}

TEST_F(FragmentsTest, TooManyParts) {
  for (std::uint32_t i = 0; i < Fragments::kMaxBufs; ++i) {
    ASSERT_EQ(add({8 * i, text(8, i), true}), Fate::kHeld);
  }
  EXPECT_EQ(add({8 * Fragments::kMaxBufs, text(8), false}), Fate::kTooMany);
  EXPECT_EQ(last.given_up, Fragments::kMaxBufs + 1);
  EXPECT_EQ(f.octets(), 0U);
}

// The most parts there may be, in the worst order.
TEST_F(FragmentsTest, SixtyTinyPartsFromTheBack) {
  std::string all;
  for (std::uint32_t i = 0; i < Fragments::kMaxBufs; ++i) all += text(8, i);
  for (std::uint32_t i = Fragments::kMaxBufs; i-- > 0;) {
    add({8 * i, all.substr(8 * i, 8), i + 1 != Fragments::kMaxBufs});
  }
  ASSERT_EQ(last.fate, Fate::kWhole);
  EXPECT_EQ(*whole, all);
}

TEST_F(FragmentsTest, WithoutABufferTheDatagramIsGivenUp) {
  room = 0;
  add({0, kA, true});
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
  EXPECT_FALSE(whole);
  room = 20;  // too small for the headers
  add({0, kA, true});
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
  EXPECT_FALSE(whole);
}

// A header with options that only the first part has: the whole would be longer
// than can be said.
TEST_F(FragmentsTest, AWholeOfMoreThan65535) {
  const std::string all = text(65'515);
  for (std::uint32_t at = 1'480; at < all.size(); at += 1'480) {
    add({at, all.substr(at, 1'480), at + 1'480 < all.size()});
  }
  Part p{0, all.substr(0, 1'480), true};
  Octets octets = frame_of(p);
  octets.insert(octets.begin() + 34, 4, std::byte{1});  // NOPs
  wire::store8(&octets[14], 0x46);
  wire::store16(&octets[16], static_cast<std::uint16_t>(24 + p.text.size()));
  wire::store16(&octets[24], 0);
  wire::store16(&octets[24], wire::checksum(std::span(octets).subspan(14, 24)));
  Buf* b = pool.take(2'048);
  std::copy(octets.begin(), octets.end(), b->data);
  b->len = static_cast<std::uint32_t>(octets.size());
  b->room -= b->len;
  wire::Frame parsed;
  wire::parse_frame({b->data, b->len}, b->len, {}, parsed);
  ASSERT_EQ(parsed.kind, wire::Kind::kFragment);
  last = f.add(b, parsed, now, release);
  ASSERT_EQ(last.fate, Fate::kWhole);
  take_whole();
  EXPECT_FALSE(whole);
  collect();
}

//= RFC1122 3.3.2-b type=test
//= RFC8200 4.5-d type=test
TEST_F(FragmentsTest, TimeRunsFromTheFirstToArriveAndIsNotExtended) {
  for (const IpAddr& src : {kThem, kThem6}) {
    add({16, kB, true, 7, src});
    const Instant due = now + 60s;
    EXPECT_EQ(f.next_deadline(), due);
    now += 59s;
    add({0, kA, true, 7, src});
    EXPECT_EQ(f.next_deadline(), due);
    Fragments::Expired e;
    EXPECT_FALSE(f.expire(now + 999ms, e, release));
    now += 1s;
    ASSERT_TRUE(f.expire(now, e, release));
    EXPECT_EQ(e.parts, 2U);
    // The first is given back as the frame it was.
    ASSERT_NE(e.first, nullptr);
    const Octets was = frame_of({0, kA, true, 7, src});
    EXPECT_TRUE(std::equal(e.first->data, e.first->data + e.first->len, was.begin()));
    EXPECT_EQ(e.first->len, was.size() - 5);  // without the padding
    release.push_back(e.first);
    EXPECT_FALSE(f.expire(now, e, release));
    EXPECT_EQ(f.next_deadline(), kNever);
    collect();
  }
}

TEST_F(FragmentsTest, NothingToQuoteWithoutTheFirst) {
  add({16, kB, true});
  Fragments::Expired e;
  ASSERT_TRUE(f.expire(now + 60s, e, release));
  EXPECT_EQ(e.parts, 1U);
  EXPECT_EQ(e.first, nullptr);
  collect();
}

// Enough of them that many share a place in the table.
TEST_F(FragmentsTest, ManyIdentificationsAtOnce) {
  constexpr std::uint32_t kMany = 350;
  for (std::uint32_t id = 0; id < kMany; ++id) {
    ASSERT_EQ(add({0, text(16, id), true, id}), Fate::kHeld);
  }
  for (std::uint32_t id = 0; id < kMany; ++id) {
    ASSERT_EQ(add({16, text(9, id), false, id}), Fate::kWhole);
    EXPECT_EQ(*whole, text(16, id) + text(9, id));
  }
}

struct ShortTime : FragmentsTest {
  ShortTime() : FragmentsTest({.ipv4_time = 30s}) {}
};

TEST_F(ShortTime, IsAnIpv4SettingAlone) {
  add({0, kA, true, 7, kThem6});
  add({0, kA, true});
  EXPECT_EQ(f.next_deadline(), now + 30s);
  Fragments::Expired e;
  ASSERT_TRUE(f.expire(now + 30s, e, release));
  release.push_back(e.first);
  EXPECT_EQ(f.next_deadline(), now + 60s);
}

const IpAddr kFlood = IpAddr::v4(10, 9, 9, 9);

struct SmallMemory : FragmentsTest {
  SmallMemory() : FragmentsTest({.high_thresh = 600'000}) {}
};

// FragmentSmack (CVE-2018-5391): first parts without end.
//= RFC8200 4.5-a type=test
TEST_F(SmallMemory, AFloodOfFirstPartsFromEverywhere) {
  std::uint32_t most = 0;
  std::uint64_t given_back = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const IpAddr src = IpAddr::v4(0x0b00'0000U + i);
    add({0, kA, true, i, src});
    given_back += last.made_room;
    most = std::max(most, f.octets());
  }
  EXPECT_LE(most, 600'000U);
  EXPECT_EQ(given_back + pool.blocks.size(), 100'000U);
  EXPECT_LE(pool.blocks.size(), 600'000U / 2'304);
  // One whose parts come together is put together all the same.
  add({0, kA, true});
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
}

TEST_F(SmallMemory, OneSourceHoldsItsShareAndDrivesOutNobody) {
  add({0, kA, true});
  std::uint32_t gone = 0;
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    EXPECT_EQ(add({0, kA, true, i, kFlood}), Fate::kHeld);  // in place of its own oldest
    gone += last.made_room;
  }
  EXPECT_EQ(gone, 1'001 - f.size());
  EXPECT_LE(f.octets(), 600'000U / 4 + 3'000);
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
  EXPECT_EQ(*whole, kA + kC);
  // The youngest of its own are there, those before them are not.
  EXPECT_EQ(add({16, kC, false, 999, kFlood}), Fate::kWhole);
  EXPECT_EQ(add({16, kC, false, 0, kFlood}), Fate::kHeld);
}

// One whose parts come together gets through a flood in its own name.
TEST_F(SmallMemory, AForgedFloodShutsNobodyOut) {
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    add({0, kA, true, 10'000 + i});  // somebody else, as this source
    if (i % 100 != 0) continue;
    EXPECT_EQ(add({0, kA, true, i}), Fate::kHeld);
    EXPECT_EQ(add({16, kC, false, i}), Fate::kWhole);
  }
}

struct TinyMemory : FragmentsTest {
  TinyMemory() : FragmentsTest({.high_thresh = 300'000}) {}
};

// A datagram that is all of its source's share has nothing else to give.
TEST_F(TinyMemory, OneDatagramHoldsNoMoreThanItsShare) {
  add({0, kA, true, 1, kFlood});
  std::uint32_t parts = 0;
  while (parts < 50 && add({16 * parts, kA, true, 2, kFlood}) == Fate::kHeld) ++parts;
  EXPECT_EQ(parts, (75'000U - 256) / (2'048 + 256));
  EXPECT_EQ(last.fate, Fate::kNoRoom);
  EXPECT_EQ(last.given_up, 1U);
  EXPECT_EQ(f.size(), 1U);  // the older one went
}

TEST_F(SmallMemory, OverlapsInIpv6LeaveNoUnboundedMemory) {
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    auto octets = kThem6.octets();
    octets[13] = static_cast<std::uint8_t>(i >> 16U);
    octets[14] = static_cast<std::uint8_t>(i >> 8U);
    octets[15] = static_cast<std::uint8_t>(i);
    const IpAddr src = IpAddr::v6(octets);
    add({0, kA, true, i, src});
    add({8, kA, true, i, src});
    ASSERT_LE(f.octets(), 600'000U);
  }
  EXPECT_TRUE(pool.blocks.empty());
}

// Datagrams given up hold no octets, but are remembered for 60 s: a source of many has its part of
// these places, and others' older datagrams stay.
TEST_F(SmallMemory, OneSourcesOverlapsDriveOutNobody) {
  add({0, kA, true});
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    add({0, kA, true, i, kThem6});
    add({8, kA, true, i, kThem6});
    ASSERT_EQ(last.made_room, 0U) << i;
  }
  EXPECT_EQ(last.fate, Fate::kOverlap);
  EXPECT_LE(f.size(), 600'000U / 2'048 / 4 + 1);
  EXPECT_EQ(add({16, kC, false}), Fate::kWhole);
  Fragments::Expired e;
  now += 60s;
  while (f.expire(now, e, release)) {
  }
  EXPECT_EQ(add({0, kA, true, 7, kThem6}), Fate::kHeld);  // its places are free again
}

// The oldest would have to make room for itself.
TEST_F(SmallMemory, ThePartForWhichItsOwnDatagramIsInTheWay) {
  add({0, kA, true});
  for (std::uint32_t i = 0; i < 1'000 && f.octets() < 600'000 - 2'304 - 256; ++i) {
    add({0, kA, true, i, IpAddr::v4(0x0b00'0000U + i)});
  }
  EXPECT_EQ(add({16, kB, true}), Fate::kNoRoom);
  EXPECT_EQ(last.given_up, 1U);
  EXPECT_EQ(last.made_room, 0U);
  Fragments::Expired e;
  ASSERT_TRUE(f.expire(now + 60s, e, release));
  EXPECT_EQ(e.parts, 1U);  // it is there as it was
  release.push_back(e.first);
}

//= RFC815 6-a type=test
TEST_F(SmallMemory, TheOldestGoesFirst) {
  EXPECT_EQ(f.give_up_oldest(release), 0U);
  add({0, kA, true, 1, kThem6});
  now += 1s;
  add({0, kA, true, 2});
  add({16, kB, true, 2});
  EXPECT_EQ(f.give_up_oldest(release), 1U);
  EXPECT_EQ(f.give_up_oldest(release), 2U);
  collect();
  EXPECT_TRUE(pool.blocks.empty());
}

// The twin: octets in a map, overlaps seen octet by octet. Parts in random
// order, some twice, some that overlap; both must agree on every fate and on
// every whole.
TEST_F(FragmentsTest, TwinOfOctets) {
  Rng rng(42);
  for (unsigned round = 0; round < 3'000; ++round) {
    const std::uint32_t id = round % 7 == 0 ? round : 40'000 + round;
    const IpAddr src = round % 2 == 0 ? kThem : kThem6;
    const std::uint32_t len = 8 * (1 + rng.below(30)) + rng.below(8);
    const std::string all = text(len, round);
    std::vector<Part> parts;
    for (std::uint32_t at = 0; at < len;) {
      const std::uint32_t n = std::min(len - at, 8 * (1 + rng.below(6)));
      parts.push_back({at, all.substr(at, n), at + n < len, id, src});
      at += n;
    }
    if (parts.size() < 2) continue;
    if (rng.below(3) == 0)
      parts.push_back(parts[rng.below(static_cast<std::uint32_t>(parts.size()))]);
    if (rng.below(4) == 0) {
      Part odd = parts[rng.below(static_cast<std::uint32_t>(parts.size()))];
      odd.offset += 8 * rng.below(2);
      if (odd.more && odd.text.size() > 8 && rng.below(2) == 0) odd.text.resize(8);
      parts.push_back(odd);
    }
    for (std::size_t i = parts.size(); i > 1; --i) {
      std::swap(parts[i - 1], parts[rng.below(static_cast<std::uint32_t>(i))]);
    }
    std::map<std::uint32_t, char> octets;
    std::vector<Part> kept;
    std::uint32_t end = 0;
    bool dead = false;
    for (const Part& p : parts) {
      const auto stop = static_cast<std::uint32_t>(p.offset + p.text.size());
      const bool copy = std::any_of(kept.begin(), kept.end(), [&](const Part& k) {
        return k.offset == p.offset && k.text == p.text;
      });
      bool clash = false;
      for (std::uint32_t i = p.offset; i < stop; ++i) clash = clash || octets.contains(i);
      if (!copy && !clash) {
        if (end != 0 && (p.more ? stop >= end : stop != end)) clash = true;
        if (!p.more && !octets.empty() && octets.rbegin()->first >= stop) clash = true;
      }
      Fate want = Fate::kHeld;
      if (dead) {
        want = Fate::kOverlap;
      } else if (copy) {
        want = Fate::kDuplicate;
      } else if (clash) {
        want = Fate::kOverlap;
        dead = true;
      } else {
        for (std::uint32_t i = p.offset; i < stop; ++i) octets[i] = p.text[i - p.offset];
        kept.push_back(p);
        if (!p.more) end = stop;
        if (end != 0 && octets.size() == end) want = Fate::kWhole;
      }
      ASSERT_EQ(add(p), want) << "round " << round;
      if (want == Fate::kWhole) {
        std::string s;
        for (const auto& [at, c] : octets) s += c;
        EXPECT_EQ(*whole, s);
      }
      if (want == Fate::kWhole || (dead && src.is_v4())) break;
    }
    Fragments::Expired e;
    while (f.expire(now + 10min, e, release)) {
      if (e.first != nullptr) release.push_back(e.first);
    }
    collect();
  }
}

}  // namespace
}  // namespace weir::ip
