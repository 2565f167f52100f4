#include "script/script.h"

#include <algorithm>
#include <array>

#include "script/rest.h"

namespace weir::test {
namespace {

// The script's time 0. Far from the epoch, so that nothing works by being 0.
constexpr Instant kStart{1h};
// Makes the timestamp clock read 0 there.
constexpr std::uint32_t kTsOffset =
    0U - static_cast<std::uint32_t>(std::chrono::milliseconds(1h).count());
constexpr int kMaxTimersAtOnce = 100;

tcp::Config config_of(const Established& e) {
  tcp::Config c;
  c.quickacks = 0;  // a script sees the delayed ones, unless it is about these
  if (e.tune != nullptr) e.tune(c);
  c.timestamps = e.ts.has_value();
  c.window_scaling = e.wscale.has_value();
  c.sack = e.sack;
  return c;
}

tcp::Config config_of(const SynSent& e) {
  tcp::Config c;
  c.quickacks = 0;
  if (e.tune != nullptr) e.tune(c);
  c.timestamps = e.timestamps;
  c.window_scaling = e.window_scaling;
  c.sack = e.sack;
  return c;
}

std::string flag_names(std::uint8_t flags) {
  constexpr std::array<const char*, 8> kNames = {"F", "S", "R", "P", ".", "U", "E", "W"};
  std::string s;
  for (unsigned i = 0; i < kNames.size(); ++i) {
    if ((flags >> i & 1U) != 0) s += kNames[i];
  }
  return s;
}

}  // namespace

Script::Script(const Established& e)
    : config_(config_of(e)),
      tcb_(config_),
      tx_base_(e.iss + 1),
      rx_base_(e.irs + 1),
      app_next_(e.iss + 1),
      read_next_(e.irs + 1),
      rx_room_(e.rx_room),
      now_(kStart) {
  out_.counters = &counters_;
  out_.logs = &logs_;
  out_.owns = &owns_;
  const auto option_octets = static_cast<std::uint16_t>(e.ts ? 12 : 0);
  tcp::RxSegment syn;
  syn.seq = e.irs;
  syn.flags = e.ecn ? SYN | ECE | CWR : SYN;
  syn.options.mss = static_cast<std::uint16_t>(e.mss + option_octets);
  syn.options.has_timestamps = e.ts.has_value();
  syn.options.ts_val = e.ts.value_or(Ts{}).val;
  syn.options.sack_permitted = e.sack;
  syn.options.window_scale = e.wscale.value_or(wire::kNoWindowScale);
  tcp::SynEntry entry;
  const FlowKey flow{IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
  tcp::open_syn_entry(entry, syn, flow, e.iss, config_);
  const auto mtu = static_cast<std::uint16_t>(e.mss + option_octets + (e.ipv6 ? 60 : 40));
  if (e.counted) static_cast<void>(tcp::lend_own(tcb_, out_));
  tcp::open_passive(tcb_, entry, {.iss = e.iss, .ts_offset = kTsOffset, .mtu = mtu, .ipv6 = e.ipv6},
                    now_);
  if (e.no_delay) tcb_.set(tcp::kNoDelay);
  receives({.wnd = e.wnd, .ts = e.ts});
  quiet().state(kEstablished).notices(tcp::kNoticeConnected);
}

Script::Script(const SynSent& e)
    : config_(config_of(e)),
      tcb_(config_),
      tx_base_(e.iss),
      rx_base_(e.irs),
      app_next_(e.iss + 1),
      read_next_(e.irs + 1),
      now_(kStart) {
  out_.counters = &counters_;
  out_.logs = &logs_;
  out_.owns = &owns_;
  tcp::user_open(tcb_, {.iss = e.iss, .ts_offset = kTsOffset, .mtu = e.mtu, .ipv6 = e.ipv6}, now_);
  if (e.counted) static_cast<void>(tcp::lend_own(tcb_, out_));
  settle();
}

Script::~Script() {
  quiet();
  tcp::release_buffers(tcb_, out_);
  bufs_.give_back(std::move(out_.release));
  EXPECT_EQ(bufs_.live(), 0) << "buffers not given back";
  EXPECT_EQ(logs_.size(), 0U) << "log not given back";
  tcp::give_own(tcb_, out_);
  EXPECT_EQ(owns_.size(), 0U) << "record of its own not given back";
  const auto& c = counters_;
  EXPECT_EQ(c.out_rsts.get(), resets_);
  EXPECT_EQ(c.out_segs.get() + c.retrans_segs.get() + c.out_rsts.get() + c.persist_probes.get() +
                c.keepalive_probes.get(),
            emitted_);
}

// One timer. False when the core keeps asking for the same instant.
bool Script::fire(Instant due, int& same, const char* file, int line) {
  same = due <= now_ ? same + 1 : 0;
  if (same > kMaxTimersAtOnce) {
    ADD_FAILURE_AT(file, line) << "a timer fires for ever " << when();
    return false;
  }
  if (due > now_) quiet(file, line);
  now_ = std::max(now_, due);
  tcp::on_timeout(tcb_, now_, out_);
  settle();
  return true;
}

Script& Script::at(Duration t, const char* file, int line) {
  const Instant until = kStart + t;
  int same = 0;
  for (Instant due = tcp::next_deadline(tcb_); due <= until; due = tcp::next_deadline(tcb_)) {
    if (!fire(due, same, file, line)) return *this;
  }
  if (now_ != until) quiet(file, line);
  now_ = until;
  return *this;
}

Script& Script::runs_until(Duration t) {
  const Instant until = kStart + t;
  int same = 0;
  for (Instant due = tcp::next_deadline(tcb_); due <= until; due = tcp::next_deadline(tcb_)) {
    if (!skip().fire(due, same, __FILE__, __LINE__)) return *this;
  }
  now_ = until;
  return skip();
}

void Script::feed(const Peer& p) {
  tcp::RxSegment seg;
  seg.seq = rx_base_ + p.seq;
  seg.ack = tx_base_ + p.ack;
  seg.len = p.len;
  seg.flags = p.flags;
  seg.wnd = p.wnd;
  seg.tos = p.tos;
  seg.urgent = p.urgent;
  seg.options.mss = p.mss;
  seg.options.window_scale = p.wscale;
  if (p.ts) {
    seg.options.has_timestamps = true;
    seg.options.ts_val = p.ts->val;
    seg.options.ts_ecr = p.ts->ecr;
  }
  seg.options.sack_permitted = p.sack_permitted;
  for (const Block& b : p.sack) {
    seg.options.sack[seg.options.sack_count++] = {tx_base_ + b.left, tx_base_ + b.right};
  }
  BufChain text;
  Seq s = seg.seq + ((p.flags & SYN) != 0 ? 1U : 0U);
  for (std::uint32_t left = p.len; left > 0;) {
    const std::uint32_t n = std::min(left, p.chunk);
    text.push_back(bufs_.make(Side::kTheirs, s, n, rx_room_));
    s += n;
    left -= n;
  }
  seg.buf = text.head();  // the core's from here on
  tcp::on_segment(tcb_, seg, now_, out_);
  flush();
}

Script& Script::receives(const Peer& p) {
  feed(p);
  return settle();
}

Script& Script::icmp(const Icmp& e, tcp::IcmpVerdict want, const char* file, int line) {
  const auto got = tcp::on_icmp_error(
      tcb_, {.what = e.what, .seq = tx_base_ + e.seq, .mtu = e.mtu, .packet = e.packet}, now_,
      out_);
  if (got != want) {
    ADD_FAILURE_AT(file, line) << "ICMP: want verdict " << static_cast<int>(want) << ", got "
                               << static_cast<int>(got) << ' ' << when();
  }
  return settle();
}

Script& Script::receives_burst(const std::vector<Peer>& burst) {
  for (const Peer& p : burst) feed(p);
  return settle();
}

Script& Script::app_send(std::uint32_t octets, std::uint32_t chunk) {
  BufChain text;
  while (octets > 0) {
    const std::uint32_t n = std::min(octets, chunk);
    text.push_back(bufs_.make(Side::kOurs, app_next_, n));
    app_next_ += n;
    octets -= n;
  }
  tcp::user_send(tcb_, std::move(text));
  return settle();
}

Script& Script::app_reads(std::uint32_t octets, const char* file, int line) {
  BufChain loan = tcp::user_receive(tcb_, octets);
  if (loan.bytes() != octets) {
    ADD_FAILURE_AT(file, line) << "read " << loan.bytes() << " octets, want " << octets << ' '
                               << when();
  }
  for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
    for (std::uint32_t i = 0; i < b->len; ++i, read_next_ += 1) {
      if (b->data[i] != pattern(Side::kTheirs, read_next_)) {
        ADD_FAILURE_AT(file, line)
            << "octet " << distance(rx_base_, read_next_) << " was not what the peer sent";
        i = b->len - 1;
      }
    }
  }
  bufs_.give_back(std::move(loan));
  return settle();
}

void Script::check_copy(const std::vector<std::byte>& got, Seq from, const char* file, int line) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == pattern(Side::kTheirs, from + static_cast<std::uint32_t>(i))) continue;
    ADD_FAILURE_AT(file, line) << "octet " << i << " was not what the peer sent " << when();
    return;
  }
}

Script& Script::app_copies(std::uint32_t octets, std::uint32_t left, const char* file, int line) {
  std::vector<std::byte> into(octets);
  const std::uint32_t n = tcp::user_receive_copy(tcb_, into, out_);
  if (n != octets || tcb_.rcvq.bytes() != left) {
    ADD_FAILURE_AT(file, line) << "copied " << n << " octets, want " << octets << "; left "
                               << tcb_.rcvq.bytes() << ' ' << when();
  }
  into.resize(std::min(n, octets));
  check_copy(into, read_next_, file, line);
  read_next_ += n;
  return settle();
}

Script& Script::app_peeks(std::uint32_t offset, std::uint32_t octets, const char* file, int line) {
  std::vector<std::byte> into(octets);
  const std::uint32_t before = tcb_.rcvq.bytes();
  const std::uint32_t n = tcp::user_peek(tcb_, offset, into);
  if (n != octets || tcb_.rcvq.bytes() != before) {
    ADD_FAILURE_AT(file, line) << "peeked at " << n << " octets, want " << octets << ' ' << when();
  }
  check_copy(into, read_next_ + offset, file, line);
  return settle();
}

Script& Script::app_urgent(std::uint32_t octets) {
  BufChain text;
  text.push_back(bufs_.make(Side::kOurs, app_next_, octets));
  app_next_ += octets;
  tcp::user_send(tcb_, std::move(text));
  tcp::user_urgent(tcb_);
  return settle();
}
Script& Script::app_nodelay(bool on) {
  tcp::user_nodelay(tcb_, on);
  return settle();
}
Script& Script::app_cork(bool on) {
  tcp::user_cork(tcb_, on);
  return settle();
}
Script& Script::app_shutdown() {
  tcp::user_shutdown(tcb_);
  return settle();
}
Script& Script::app_close() {
  tcp::user_close(tcb_, now_, out_);
  return settle();
}
Script& Script::app_abort() {
  tcp::user_abort(tcb_, now_, out_);
  return settle();
}

Script& Script::settle() {
  flush();
  for (bool more = true; more;) {
    tcp::poll_transmit(tcb_, now_, out_);
    more = out_.tx.room() <= 1;
    flush();
  }
  if (always_rests()) (void)rest(tcb_, now_);
  tcp::check_invariants(tcb_);
  return *this;
}

// As a driver does: transmit first, then free.
void Script::flush() {
  for (const tcp::TxSegment& s : out_.tx.items()) {
    if (tcb_.own != nullptr) tcp::count_sent(*tcb_.own, s);
    check_text(s);
    ++emitted_;
    if ((s.flags & RST) != 0) ++resets_;
    sent_.push_back(s);
  }
  out_.tx.clear();
  bufs_.give_back(std::move(out_.release));
}

void Script::check_text(const tcp::TxSegment& s) {
  const Buf* b = s.payload;
  std::uint32_t offset = s.payload_offset;
  for (std::uint32_t i = 0; i < s.len; ++i, ++offset) {
    while (b != nullptr && offset >= b->len) {
      offset -= b->len;
      b = b->next;
    }
    if (b == nullptr || b->data[offset] != pattern(Side::kOurs, s.seq + i)) {
      ADD_FAILURE() << (b == nullptr ? "no octet " : "wrong octet ") << i << " in " << describe(s)
                    << ' ' << when();
      return;
    }
  }
}

template <class T>
void Script::check(const std::optional<T>& want, T got, const char* field, const tcp::TxSegment& s,
                   const char* file, int line) {
  if (want && *want != got) {
    ADD_FAILURE_AT(file, line) << field << ": want " << +*want << ", got " << +got << " in "
                               << describe(s) << ' ' << when();
  }
}

Script& Script::sends(const Want& want, const char* file, int line) {
  if (sent_.empty()) {
    ADD_FAILURE_AT(file, line) << "nothing was sent " << when();
    return *this;
  }
  const tcp::TxSegment s = sent_.front();
  sent_.pop_front();
  if (want.flags && *want.flags != s.flags) {
    ADD_FAILURE_AT(file, line) << "flags: want " << flag_names(*want.flags) << ", got "
                               << describe(s) << ' ' << when();
  }
  check(want.seq, distance(tx_base_, s.seq), "seq", s, file, line);
  check(want.ack, distance(rx_base_, s.ack), "ack", s, file, line);
  check(want.len, s.len, "len", s, file, line);
  check(want.wnd, std::uint32_t{s.wnd}, "wnd", s, file, line);
  check(want.mss, s.options.mss, "mss option", s, file, line);
  check(want.wscale, s.options.window_scale, "window scale option", s, file, line);
  check(want.has_ts, s.options.has_timestamps, "timestamps option", s, file, line);
  if (want.ts) {
    check({want.ts->val}, s.options.ts_val, "TSval", s, file, line);
    check({want.ts->ecr}, s.options.ts_ecr, "TSecr", s, file, line);
  }
  check(want.ecn, s.ecn, "ECN codepoint", s, file, line);
  check(want.urgent, s.urgent, "urgent pointer", s, file, line);
  check_sack(want, s, file, line);
  return *this;
}

void Script::check_sack(const Want& want, const tcp::TxSegment& s, const char* file, int line) {
  check(want.sack_permitted, s.options.sack_permitted, "SACK-permitted option", s, file, line);
  if (!want.sack) return;
  std::vector<Block> got;
  for (std::size_t i = 0; i < s.options.sack_count; ++i) {
    const wire::SackBlock& b = s.options.sack[i];
    got.push_back({distance(rx_base_, b.left), distance(rx_base_, b.right)});
  }
  if (got == *want.sack) return;
  std::string text;
  for (const Block& b : got) {
    text += " " + std::to_string(b.left) + "-" + std::to_string(b.right);
  }
  ADD_FAILURE_AT(file, line) << "SACK blocks: got" << text << " in " << describe(s) << ' '
                             << when();
}

Script& Script::skip() {
  sent_.clear();
  return *this;
}

Script& Script::quiet(const char* file, int line) {
  if (!sent_.empty()) print_sent(file, line);
  sent_.clear();
  return *this;
}

void Script::print_sent(const char* file, int line) {
  std::string all;
  for (std::size_t i = 0; i < std::min<std::size_t>(sent_.size(), 5); ++i) {
    all += "\n  " + describe(sent_[i]);
  }
  ADD_FAILURE_AT(file, line) << sent_.size() << " unclaimed segment(s) " << when() << all;
}

Script& Script::notices(std::uint8_t want, const char* file, int line) {
  if (tcb_.notices != want) {
    ADD_FAILURE_AT(file, line) << "notices: want " << +want << ", got " << +tcb_.notices << ' '
                               << when();
  }
  tcb_.notices = 0;
  return *this;
}

Script& Script::state(State want, const char* file, int line) {
  if (tcb_.state != want) {
    ADD_FAILURE_AT(file, line) << "state: want " << to_string(want) << ", got "
                               << to_string(tcb_.state) << ' ' << when();
  }
  return *this;
}

Script& Script::closed(CloseReason want, const char* file, int line) {
  state(kClosed, file, line);
  if (tcb_.close_reason != want) {
    ADD_FAILURE_AT(file, line) << "closed: want " << to_string(want) << ", got "
                               << to_string(tcb_.close_reason) << ' ' << when();
  }
  return *this;
}

Script& Script::cwnd(std::uint32_t want, const char* file, int line) {
  if (tcb_.cwnd != want) {
    ADD_FAILURE_AT(file, line) << "cwnd: want " << want << ", got " << tcb_.cwnd << ' ' << when();
  }
  return *this;
}

Script& Script::ssthresh(std::uint32_t want, const char* file, int line) {
  if (tcb_.ssthresh != want) {
    ADD_FAILURE_AT(file, line) << "ssthresh: want " << want << ", got " << tcb_.ssthresh << ' '
                               << when();
  }
  return *this;
}

Script& Script::urgent(std::uint32_t octets, bool more, const char* file, int line) {
  const tcp::Urgent got = tcp::urgent_unread(tcb_);
  if (got.octets != octets || got.more != more) {
    ADD_FAILURE_AT(file, line) << "urgent: want " << octets << (more ? " and more" : "") << ", got "
                               << got.octets << (got.more ? " and more " : " ") << when();
  }
  return *this;
}

Script& Script::next_timer(Duration want, const char* file, int line) {
  const Instant due = tcp::next_deadline(tcb_);
  const Instant expected = want == Duration::max() ? kNever : kStart + want;
  if (due != expected) {
    ADD_FAILURE_AT(file, line) << "next timer: want " << (expected - kStart).count() << "us, got "
                               << (due - kStart).count() << "us " << when();
  }
  return *this;
}

std::string Script::describe(const tcp::TxSegment& s) const {
  return "<seq " + std::to_string(static_cast<std::int32_t>(distance(tx_base_, s.seq))) + " ack " +
         std::to_string(static_cast<std::int32_t>(distance(rx_base_, s.ack))) + " len " +
         std::to_string(s.len) + " wnd " + std::to_string(s.wnd) + ' ' + flag_names(s.flags) + '>';
}

std::string Script::when() const {
  return "at " + std::to_string((now_ - kStart).count()) + "us in " +
         std::string(to_string(tcb_.state));
}

}  // namespace weir::test
