// One control block of lib/tcp, driven by choices: segments whose fields lie near what the
// connection knows, calls of its user, time. `Source` is an Rng (random_life_test.cc) or a fuzzer's
// input (tests/fuzz/tcp_fuzz.cc); both have below, next and done.
//
// Asserts after each event what no peer and no user may break: the invariants of the control
// block; every octet sent or read is the one that stood at its sequence number; the ACKs and the
// right edge of the window never go back; nothing is sent beyond the peer's window but a probe; no
// frame is longer than the path takes; what is counted is what happened; no timer fires for ever;
// and once the user has let go, the connection ends by its own timers and every buffer comes back.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <utility>

#include "base/assert.h"
#include "script/bufs.h"
#include "script/rest.h"
#include "tcp/core.h"
#include "tcp/info.h"
#include "tcp/listen.h"
#include "tcp/tcb.h"
#include "tcp/tx_frame.h"
#include "wire/frame.h"

namespace weir::test {

// Under a sanitizer a life takes ten times as long, and one in so many is lived.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr std::uint64_t kOneLifeIn = 10;
#else
inline constexpr std::uint64_t kOneLifeIn = 1;
#endif

using namespace std::chrono_literals;

// How a life enters lib/tcp, and who looks on. header_prediction_test.cc has others.
struct UsualWay {
  static constexpr bool kCalm = false;  // most segments are the next that a sane peer would send
  static void arrives(tcp::Tcb& t, const tcp::RxSegment& s, Instant now, tcp::Outbox& out) {
    tcp::on_segment(t, s, now, out);
  }
  static void transmits(tcp::Tcb& t, Instant now, tcp::Outbox& out) {
    tcp::poll_transmit(t, now, out);
  }
  static void sees(const tcp::Tcb&, const tcp::Outbox&) {}  // after each event
};

template <class Source, class Way = UsualWay>
class RandomLife {
 public:
  // `rests`: it is frozen whenever it may be, which nothing that it does may show.
  explicit RandomLife(Source& source, bool rests = always_rests())
      : rng(source), rests_(rests), tcb_(configure()) {
    out_.counters = &counters_;
    out_.logs = logs();
    out_.owns = owns();
    out_.tso_max = rng.below(3) == 0 ? 20'000 : 0;
    open();
    settle();
  }
  RandomLife(const RandomLife&) = delete;
  RandomLife& operator=(const RandomLife&) = delete;

  void step() {
    switch (rng.below(16)) {
      case 0:
      case 1:
        send();
        break;
      case 2:
        read();
        break;
      case 3:
      case 4:
        pass_time();
        break;
      case 5:
        if (Way::kCalm && rng.below(4) == 0) hold_back();
        if (rng.below(8) == 0) user_call();
        break;
      case 6:
        if (rng.below(4) == 0) something_else();
        break;
      default:
        segment();
    }
    if (rng.below(4) != 0) {
      settle();  // else a burst: more than one event before the output
    } else {
      flush();
    }
  }

  // The user lets go, and nobody answers any more.
  void end() {
    if (!gone_) tcp::user_close(tcb_, now_, out_);
    gone_ = true;
    settle();
    for (unsigned i = 0; i < kMaxTimersToTheEnd && tcb_.state != tcp::State::kClosed; ++i) fire();
    WEIR_ASSERT(tcb_.state == tcp::State::kClosed);  // an orphan that stays for ever
    tcp::check_invariants(tcb_);
    tcp::release_buffers(tcb_, out_);
    bufs_.give_back(std::move(out_.release));
    if (withheld_ != kNoIndex) withhold_log();
    WEIR_ASSERT(bufs_.live() == 0);    // a buffer was lost
    WEIR_ASSERT(logs()->size() == 0);  // a log was not given back
    tcp::give_own(tcb_, out_);
    WEIR_ASSERT(owns()->size() == 0);  // nor a record of its own
  }

  [[nodiscard]] const tcp::Tcb& tcb() const { return tcb_; }
  [[nodiscard]] const telemetry::Counters& counters() const { return counters_; }
  [[nodiscard]] std::uint64_t octets_read() const { return octets_read_; }
  [[nodiscard]] const Way& way() const { return way_; }
  [[nodiscard]] std::uint64_t rests() const { return rests_taken_; }
  // Of all that was sent and told, and when.
  [[nodiscard]] std::uint64_t trace() const { return trace_; }

 private:
  static constexpr unsigned kMaxTimersAtOnce = 100, kMaxTimersToTheEnd = 3'000,
                            kMaxTimersOfAStep = 200;

  static tcp::SentLogs* logs() {
    static tcp::SentLogs all(1);
    return &all;
  }

  static tcp::Owns* owns() {
    static tcp::Owns all(1);
    return &all;
  }

  template <class T, std::size_t N>
  T one_of(const std::array<T, N>& values) {
    return values[rng.below(static_cast<std::uint32_t>(N))];
  }

  // -- The settings and the handshake ----------------------------------------------------------
  const tcp::Config& configure() {
    constexpr std::array<std::uint32_t, 5> kSizes = {262'144, 65'535, 16'384, 4'096, 1'000'000};
    tcp::Config& c = config_;
    c.mtu_probing = static_cast<std::uint8_t>(rng.below(3));
    c.rmem = one_of(kSizes);
    c.wmem = one_of(kSizes);
    const unsigned bits = rng.below(256);
    c.timestamps = (bits & 1U) == 0;
    c.sack = (bits & 2U) == 0;
    c.window_scaling = (bits & 4U) == 0;
    c.recovery = (bits & 24U) != 24;
    c.dsack = (bits & 32U) == 0;
    c.keepalive = (bits & 64U) != 0;
    c.rfc1337 = (bits & 128U) == 0;
    c.keepalive_time = 3s;
    c.keepalive_intvl = 500ms;
    c.keepalive_probes = 3;
    c.syn_retries = c.synack_retries = 3;
    c.retries2 = 5;
    c.orphan_retries = 4;
    c.fin_timeout = 5s;
    c.msl = 10s;
    mtu_ = one_of<std::uint16_t, 5>({1'500, 1'280, 576, 9'000, 1'501});
    ipv6_ = rng.below(4) == 0 && mtu_ >= 1'280;
    return c;
  }

  void open() {
    const tcp::OpenArgs args{iss_, static_cast<std::uint32_t>(rng.below(65'536)) << 16U, mtu_,
                             ipv6_};
    if (rng.below(3) == 0) {
      tcp::user_open(tcb_, args, now_);
      lend_early();
      if (rng.below(3) == 0) setting();
      return;
    }
    lend_early();
    tcp::RxSegment syn;
    syn.seq = irs_;
    syn.flags = tcp::SYN;
    if (Way::kCalm && rng.below(2) == 0) syn.flags |= tcp::ECE | tcp::CWR;
    syn.wnd = rng.below(65'536);
    syn_options(syn);
    tcp::SynEntry entry;
    const FlowKey flow{IpAddr::v4(0x0a00'0001), IpAddr::v4(0x0a00'0002), 80, 12'345};
    tcp::open_syn_entry(entry, syn, flow, iss_, config_);
    tcp::RxSegment last;  // the third of the handshake, or text in its place
    last.flags = rng.below(16) == 0 ? tcp::FIN | tcp::ACK : tcp::ACK;
    last.seq = rng.below(16) == 0 ? irs_ + 1 + rng.below(3'000) : irs_ + 1;
    last.ack = iss_ + 1;
    last.wnd = wnd_ = rng.below(8) == 0 ? 0 : rng.below(65'536);
    if (rng.below(8) == 0) last.len = rng.below(1'461);
    if (syn.options.has_timestamps) stamp(last);
    if (tcp::syn_entry_arrives(entry, last, config_, 1'500) != tcp::SynAnswer::kEstablish) {
      last.seq = irs_ + 1;
      last.options.ts_val = peer_clock_;
    }
    tcp::open_passive(tcb_, entry, args, now_);
    if (Way::kCalm && rng.below(16) == 0) {
      tcp::user_close(tcb_, now_, out_);
      gone_ = true;
    }
    take(last);
  }

  // Counted from its beginning, or from a first setting on.
  void lend_early() {
    if (rng.below(3) != 0) return;
    counted_ = true;
    (void)tcp::lend_own(tcb_, out_);
  }

  void syn_options(tcp::RxSegment& s) {
    s.options.mss = one_of<std::uint16_t, 6>({1'460, 0, 536, 8'960, 65'535, 1});
    if (s.options.mss == 1) s.options.mss = static_cast<std::uint16_t>(rng.below(1'500));
    s.options.window_scale =
        rng.below(2) == 0 ? wire::kNoWindowScale : static_cast<std::uint8_t>(rng.below(15));
    s.options.sack_permitted = rng.below(4) != 0;
    if (rng.below(4) != 0) stamp(s);
  }

  // -- The peer --------------------------------------------------------------------------------
  [[nodiscard]] bool opening() const { return tcb_.state == tcp::State::kSynSent; }

  std::uint8_t some_flags() {
    using enum wire::TcpFlags;
    if (rng.below(64) == 0) return static_cast<std::uint8_t>(rng.below(256));
    if (rng.below(200) == 0) return rng.below(2) == 0 ? RST : RST | ACK;
    if (opening() && rng.below(4) != 0) return rng.below(3) == 0 ? SYN : SYN | ACK;
    if (rng.below(40) == 0) return FIN | ACK;
    return rng.below(4) == 0 ? ACK | PSH : ACK;
  }

  Seq some_seq() {
    const Seq next = opening() ? irs_ : tcb_.rcv_nxt;
    switch (rng.below(8)) {
      case 0:
        return next - (1 + rng.below(4'000));
      case 1:
        return next + (1 + rng.below(4'000));
      case 2:
        return next + 1'000 * rng.below(64);
      case 3:
        return tcb_.rcv_adv - 1'000 + rng.below(2'000);
      case 4:
        return rng.below(16) == 0 ? Seq{static_cast<std::uint32_t>(rng.next())} : next - 1;
      default:
        return next;
    }
  }

  Seq some_ack() {
    const std::uint32_t out = distance(tcb_.snd_una, tcb_.snd_nxt);
    switch (rng.below(8)) {
      case 0:
      case 1:
        return tcb_.snd_una;
      case 2:
      case 3:
        return tcb_.snd_una + (out == 0 ? 0 : rng.below(out + 1));
      case 4:
        return rng.below(4) == 0 ? tcb_.snd_nxt + 1 + rng.below(3'000)
                                 : tcb_.snd_una - rng.below(70'000);
      case 5:
        return rng.below(32) == 0 ? Seq{static_cast<std::uint32_t>(rng.next())} : tcb_.snd_nxt;
      default:
        return tcb_.snd_nxt;
    }
  }

  // Blocks of what is in flight, and now and then of what is not.
  void sack_blocks(tcp::RxSegment& s) {
    const std::uint32_t out = distance(tcb_.snd_una, tcb_.snd_nxt);
    for (unsigned n = rng.below(5); n > 0; --n) {
      wire::SackBlock& b = s.options.sack[s.options.sack_count++];
      const std::uint32_t mss = std::max<std::uint32_t>(1, tcb_.mss);
      switch (rng.below(6)) {
        case 0:  // what came twice
          b.left = s.ack - (1 + rng.below(3'000));
          b.right = b.left + 1 + rng.below(2'000);
          break;
        case 1:  // anything
          b.left = tcb_.snd_una + rng.below(70'000) - 2'000;
          b.right = b.left + rng.below(70'000) - 1'000;
          break;
        default:
          b.left = tcb_.snd_una + std::min(out, mss * rng.below(24));
          b.right = b.left + std::min(distance(b.left, tcb_.snd_nxt), mss * (1 + rng.below(4)));
      }
    }
  }

  // Text in order, an ACK of some or all, or both.
  void next_segment() {
    tcp::RxSegment s;
    const std::uint32_t out = distance(tcb_.snd_una, tcb_.snd_nxt);
    s.flags = rng.below(2) == 0 ? tcp::ACK | tcp::PSH : tcp::ACK;
    s.seq = tcb_.rcv_nxt;
    s.ack = rng.below(3) != 0 ? tcb_.snd_nxt : tcb_.snd_una + rng.below(out + 1);
    s.wnd = wnd_ = rng.below(4) == 0 ? 1 + rng.below(65'535) : rng.below(16) == 0 ? 0 : wnd_;
    if (rng.below(3) != 0) s.len = 1 + rng.below(1'460);
    if (rng.below(80) == 0) s.flags |= tcp::FIN;
    if (rng.below(8) == 0) s.tos = static_cast<std::uint8_t>(rng.below(4));
    if (tcb_.has(tcp::kTimestamps)) stamp(s);
    take(s);
  }

  void segment() {
    if (Way::kCalm && tcb_.synchronized() && rng.below(8) != 0) return next_segment();
    tcp::RxSegment s;
    s.flags = some_flags();
    s.seq = some_seq();
    s.ack = some_ack();
    if (rng.below(6) == 0) wnd_ = rng.below(3) == 0 ? rng.below(4) : rng.below(65'536);
    s.wnd = wnd_;
    const unsigned size = rng.below(8);
    if (size >= 4) s.len = size < 6 ? rng.below(1'461) : size == 6 ? rng.below(12) : 1'000;
    if ((s.flags & (tcp::SYN | tcp::RST)) != 0 && rng.below(8) != 0) s.len = 0;
    if ((s.flags & wire::URG) != 0) s.urgent = static_cast<std::uint16_t>(rng.below(65'536));
    if (rng.below(16) == 0) s.tos = static_cast<std::uint8_t>(rng.below(256));
    if ((s.flags & tcp::SYN) != 0) syn_options(s);
    if (tcb_.has(tcp::kTimestamps) ? rng.below(24) != 0 : rng.below(24) == 0) stamp(s);
    if (tcb_.has(tcp::kSack) && rng.below(3) == 0) sack_blocks(s);
    take(s);
  }

  void stamp(tcp::RxSegment& s) {
    s.options.has_timestamps = true;
    peer_clock_ += rng.below(4);
    s.options.ts_val = rng.below(16) == 0 ? peer_clock_ - rng.below(65'536) : peer_clock_;
    s.options.ts_ecr = rng.below(8) == 0 ? our_clock_ - rng.below(5'000) : our_clock_;
  }

  void take(tcp::RxSegment& s) {
    BufChain text;
    const std::uint32_t chunk = s.len > 0 && rng.below(3) == 0 ? 1 + rng.below(700) : s.len;
    const std::uint32_t room = s.len > 0 && rng.below(4) == 0 ? 500 : 0;
    Seq at = s.seq + ((s.flags & tcp::SYN) != 0 ? 1U : 0U);
    for (std::uint32_t left = s.len; left > 0;) {
      const std::uint32_t n = std::min(left, chunk);
      text.push_back(bufs_.make(Side::kTheirs, at, n, room));
      at += n;
      left -= n;
    }
    s.buf = text.head();
    way_.arrives(tcb_, s, now_, out_);
  }

  // -- The user --------------------------------------------------------------------------------
  void send() {
    const std::uint32_t room = gone_ ? 0 : tcp::send_room(tcb_);
    if (room == 0) return;
    std::uint32_t n = rng.below(3) == 0 ? rng.below(8) : rng.below(12'000);
    n = std::min(n, room);
    const std::uint32_t chunk = rng.below(3) == 0 ? 1 + rng.below(300) : 2'048;
    BufChain text;
    while (n > 0) {
      const std::uint32_t part = std::min(n, chunk);
      text.push_back(bufs_.make(Side::kOurs, app_next_, part));
      app_next_ += part;
      n -= part;
    }
    if (!text.empty()) tcp::user_send(tcb_, std::move(text));
  }

  void read() {
    if (gone_) return;
    if (rng.below(3) == 0) return read_copy();
    BufChain loan = tcp::user_receive(tcb_, rng.below(40'000));
    if (!loan.empty() && octets_read_ == 0) read_next_ = tcb_.irs + 1;
    for (const Buf* b = loan.head(); b != nullptr; b = b->next) {
      for (std::uint32_t i = 0; i < b->len; ++i, read_next_ += 1) {
        WEIR_ASSERT(b->data[i] == pattern(Side::kTheirs, read_next_));
      }
    }
    octets_read_ += loan.bytes();
    bufs_.give_back(std::move(loan));
  }

  void read_copy() {
    static std::array<std::byte, 20'000> into, seen;
    const std::uint32_t most = rng.below(4) == 0 ? rng.below(4) : rng.below(20'000);
    const std::uint32_t offset = rng.below(3) * rng.below(3'000);
    const std::uint32_t all = tcb_.rcvq.bytes();
    const std::uint32_t ahead = tcp::user_peek(tcb_, offset, std::span(seen).first(most));
    WEIR_ASSERT(ahead == std::min(most, all > offset ? all - offset : 0U));
    const std::uint32_t n = tcp::user_receive_copy(tcb_, std::span(into).first(most), out_);
    WEIR_ASSERT(n == std::min(most, all) && tcb_.rcvq.bytes() == all - n);
    if (n > 0 && octets_read_ == 0) read_next_ = tcb_.irs + 1;
    for (std::uint32_t i = 0; i < n; ++i) {
      WEIR_ASSERT(into[i] == pattern(Side::kTheirs, read_next_ + i));
    }
    for (std::uint32_t i = 0; n > 0 && i < ahead; ++i) {
      WEIR_ASSERT(seen[i] == pattern(Side::kTheirs, read_next_ + offset + i));
    }
    read_next_ += n;
    octets_read_ += n;
  }

  void setting() {
    constexpr std::array<std::uint32_t, 6> kSizes = {0, 1, 1'500, 10'000, 70'000, 3'000'000};
    const std::uint32_t size = one_of(kSizes);
    switch (rng.below(9)) {
      case 0:
        (void)tcp::user_set_receive_buffer(tcb_, size, out_);
        break;
      case 1:
        (void)tcp::user_set_send_buffer(tcb_, size, out_);
        break;
      case 2:
        (void)tcp::user_set_window_clamp(tcb_, size, out_);
        break;
      case 3:
        (void)tcp::user_set_notsent_lowat(tcb_, size, out_);
        break;
      case 4:
        (void)tcp::user_set_mss(tcb_, static_cast<std::uint16_t>(rng.below(2'000)), out_);
        break;
      case 5:
        tcp::user_set_congestion_control(tcb_, static_cast<tcp::CongestionControl>(rng.below(2)));
        break;
      case 6:
        tcp::user_quickack(tcb_, rng.below(2) == 0);
        break;
      case 7:
        (void)tcp::user_set_fin_timeout(tcb_, std::chrono::seconds(rng.below(5)) - 2s, out_);
        break;
      default:
        (void)tcp::user_set_linger(tcb_, std::chrono::seconds(rng.below(4)), out_);
    }
  }

  // Corks, urgent text, a flight without a log: what leads a calm life off its way for a while.
  void hold_back() {
    if (gone_) return;
    switch (rng.below(6)) {
      case 0:
        return tcp::user_cork(tcb_, rng.below(2) == 0);
      case 1:
        return tcp::user_more(tcb_, rng.below(2) == 0);
      case 2:
        return tcp::user_nodelay(tcb_, rng.below(2) == 0);
      case 3:
        if (!tcb_.sndq.empty()) tcp::user_urgent(tcb_);
        return;
      default:
        withhold_log();
    }
  }

  void user_call() {
    if (gone_) return;
    if (rng.below(2) == 0) return setting();
    switch (rng.below(8)) {
      case 0:
        tcp::user_abort(tcb_, now_, out_);
        gone_ = true;
        break;
      case 1:
        tcp::user_close(tcb_, now_, out_);
        gone_ = true;
        break;
      case 2:
        tcb_.set(tcp::kNoDelay);
        break;
      case 3:
        tcb_.set(tcp::kWantWritable);
        break;
      default:
        tcp::user_shutdown(tcb_);
    }
  }

  // About something that is under way, most often.
  void network_error() {
    const auto what = static_cast<tcp::PathError>(rng.below(5));
    const Seq seq = tcb_.snd_una + rng.below(distance(tcb_.snd_una, tcb_.snd_nxt) + 2);
    const std::uint32_t mtu = rng.below(4) == 0 ? 0 : rng.below(2'000);
    if (what == tcp::PathError::kPortUnreachable && rng.below(4) != 0) return;
    tcp::on_icmp_error(tcb_, {what, seq, mtu, rng.below(1'600)}, now_, out_);
  }

  void something_else() {
    switch (rng.below(3)) {
      case 0:
        network_error();
        break;
      case 1:
        if (opening() && rng.below(4) == 0) {
          tcp::fail_open(tcb_, tcp::CloseReason::kUnreachable, out_);
        }
        break;
      default:
        withhold_log();
    }
  }

  // None is left for a while: other connections have them.
  void withhold_log() {
    if (withheld_ != kNoIndex) {
      logs()->give(std::exchange(withheld_, kNoIndex));
    } else {
      withheld_ = logs()->take();
    }
  }

  // -- Time ------------------------------------------------------------------------------------
  void pass_time() {
    switch (rng.below(8)) {
      case 0:
      case 1:
        if (tcp::next_deadline(tcb_) != kNever) fire();
        return;
      case 2:
        return advance(Duration{rng.below(60'000)} * 1'000);
      case 3:
        if (rng.below(16) == 0) return advance(std::chrono::hours(24 * 25));
        [[fallthrough]];
      default:
        return advance(Duration{rng.below(4'000)});
    }
  }

  void advance(Duration by) {
    const Instant until = now_ + by;
    for (unsigned i = 0; i < kMaxTimersOfAStep && tcp::next_deadline(tcb_) <= until; ++i) fire();
    now_ = until;  // a driver may be late
  }

  void fire() {
    const Instant due = tcp::next_deadline(tcb_);
    WEIR_ASSERT(due != kNever);  // nothing will ever happen again
    same_ = due <= now_ ? same_ + 1 : 0;
    WEIR_ASSERT(same_ < kMaxTimersAtOnce);  // a timer fires for ever
    now_ = std::max(now_, due);
    tcp::on_timeout(tcb_, now_, out_);
    settle();
  }

  // -- What must hold --------------------------------------------------------------------------
  void settle() {
    flush();
    for (bool more = true; more;) {
      way_.transmits(tcb_, now_, out_);
      more = out_.tx.room() <= 1;
      flush();
    }
  }

  void flush() {
    way_.sees(tcb_, out_);
    note_window();
    for (const tcp::TxSegment& s : out_.tx.items()) check(s);
    for (const tcp::TxSegment& s : out_.tx.items()) {
      if (tcb_.own != nullptr) tcp::count_sent(*tcb_.own, s);
    }
    check_info();
    out_.tx.clear();
    bufs_.give_back(std::move(out_.release));
    tcb_.notices = 0;
    if (rests_ && rest(tcb_, now_)) ++rests_taken_;
    tcp::check_invariants(tcb_);
  }

  void trace(std::uint64_t n) { trace_ = (trace_ ^ n) * 0x0000'0100'0000'01b3U; }  // FNV-1a
  void trace(const tcp::TxSegment& s) {
    trace(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    trace(std::uint64_t{s.seq.raw()} << 32U | s.ack.raw());
    trace(std::uint64_t{s.len} << 32U | std::uint64_t{s.wnd} << 16U | s.urgent);
    trace(std::uint64_t{s.flags} << 32U | std::uint64_t{s.ecn} << 16U | s.mss);
    trace(std::uint64_t{s.options.ts_val} << 32U | s.options.ts_ecr);
    for (unsigned i = 0; i < s.options.sack_count; ++i) {
      trace(std::uint64_t{s.options.sack[i].left.raw()} << 32U | s.options.sack[i].right.raw());
    }
  }

  void check_info() {
    const tcp::Info i = tcp::info_of(tcb_, now_);
    WEIR_ASSERT(i.sacked + i.lost <= i.unacked && i.bytes_retrans <= i.bytes_sent);
    WEIR_ASSERT(i.rwnd_limited + i.sndbuf_limited <= i.busy_time);
    WEIR_ASSERT(i.rcv_wnd <= 0xffffU << tcb_.rcv_wscale);
    if (!counted_ || !tcb_.synchronized()) return;
    const bool passive = tcb_.has(tcp::kPassive);
    WEIR_ASSERT(i.bytes_acked == distance(iss_ + (passive ? 1U : 0U), tcb_.snd_una));
    WEIR_ASSERT(i.bytes_received == distance(tcb_.irs + 1, tcb_.rcv_nxt));
    WEIR_ASSERT(i.bytes_sent - i.bytes_retrans + 1 >= distance(iss_ + 1, tcb_.snd_nxt));
  }

  void note_window() {
    trace(std::uint64_t{tcb_.notices} << 32U | static_cast<std::uint64_t>(tcb_.state));
    if (!tcb_.synchronized()) return;
    const Seq edge = tcb_.snd_una + tcb_.snd_wnd;
    peer_edge_ = have_edge_ ? later_of(peer_edge_, edge) : edge;
    have_edge_ = true;
  }

  void check(const tcp::TxSegment& s) {
    trace(s);
    check_text(s);
    check_frame(s);
    check_sack(s);
    if (s.options.has_timestamps) our_clock_ = s.options.ts_val;
    if ((s.flags & (tcp::SYN | tcp::RST)) != 0 || (s.flags & tcp::ACK) == 0) return;
    WEIR_ASSERT(!have_ack_ || at_or_before(last_ack_, s.ack));
    last_ack_ = s.ack;
    // SHLD-14. Scaled, a window that text has filled in part may lose less than one unit.
    const Seq edge = s.ack + (std::uint32_t{s.wnd} << tcb_.rcv_wscale);
    const std::uint32_t unit = 1U << tcb_.rcv_wscale;
    WEIR_ASSERT(!have_ack_ || before(our_edge_, edge + unit));
    our_edge_ = have_ack_ ? later_of(our_edge_, edge) : edge;
    have_ack_ = true;
    // A probe is one octet beyond the window, a FIN takes none of it.
    if (s.len > 0) WEIR_ASSERT(at_or_before(s.seq + s.len, peer_edge_ + 1));
  }

  void check_text(const tcp::TxSegment& s) {
    const Buf* b = s.payload;
    std::uint32_t offset = s.payload_offset;
    for (std::uint32_t i = 0; i < s.len; ++i, ++offset) {
      while (b != nullptr && offset >= b->len) {
        offset -= b->len;
        b = b->next;
      }
      WEIR_ASSERT(b != nullptr);  // it claims more text than there is
      WEIR_ASSERT(b->data[offset] == pattern(Side::kOurs, s.seq + i));
    }
  }

  // RFC 2018 §4: each block is a run of what waits out of order, whole, and none stands twice; but
  // the first may tell of what came twice (RFC 2883): below the ACK, or within the second.
  void check_sack(const tcp::TxSegment& s) {
    const std::span blocks{s.options.sack.data(), s.options.sack_count};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const wire::SackBlock& b = blocks[i];
      WEIR_ASSERT(before(b.left, b.right));
      bool run = false;
      for (const Buf* p = tcb_.ofo_head; p != nullptr && !run;) {
        const Seq left = p->seq;
        Seq right = left;
        for (; p != nullptr && p->seq == right; p = p->next) right += p->len;
        run = b.left == left && b.right == right;
      }
      const bool twice = i == 0 && config_.dsack;
      WEIR_ASSERT(run || twice);
      for (std::size_t j = config_.dsack ? 1 : 0; j < i; ++j) {
        WEIR_ASSERT(at_or_before(b.right, blocks[j].left) || at_or_before(blocks[j].right, b.left));
      }
    }
  }

  // As a port would write it, the longest piece that it cuts.
  void check_frame(const tcp::TxSegment& s) {
    const auto header = std::make_unique<std::byte[]>(wire::kMaxTcpFrameHeader);
    tcp::TxPacket p;
    p.seg = s;
    const IpAddr a = IpAddr::v4(10, 0, 0, 1), b = IpAddr::v4(10, 0, 0, 2);
    p.flow = ipv6_ ? FlowKey{IpAddr{}, IpAddr{}, 80, 81} : FlowKey{a, b, 80, 81};
    const std::uint32_t len = s.mss > 0 ? std::min<std::uint32_t>(s.len, s.mss) : s.len;
    wire::TcpFrame frame = tcp::to_frame(p);
    frame.payload_len = len;
    const std::size_t n = wire::write_tcp_frame({header.get(), wire::kMaxTcpFrameHeader}, frame,
                                                wire::TxChecksum::kOffload, {});
    WEIR_ASSERT(n + len <= wire::kEthHeader + std::size_t{mtu_});
    WEIR_ASSERT(s.len <= std::max<std::uint32_t>(s.mss, out_.tso_max) || s.len <= 1);
  }

  Source& rng;
  Way way_;
  bool rests_;
  std::uint64_t rests_taken_ = 0, trace_ = 0xcbf2'9ce4'8422'2325U;
  tcp::Config config_;
  std::uint16_t mtu_ = 1'500;
  bool ipv6_ = false;
  tcp::Tcb tcb_;
  telemetry::Counters counters_;
  tcp::Outbox out_;
  Bufs bufs_;
  Seq iss_{0xffff'f000}, irs_{0xffff'f800};
  Seq app_next_ = iss_ + 1, read_next_;
  Instant now_{std::chrono::hours(1'193)};  // the millisecond clock wraps soon
  std::uint32_t wnd_ = 65'535;
  std::uint32_t peer_clock_ = 0xffff'f000, our_clock_ = 0;
  std::uint64_t octets_read_ = 0;
  unsigned same_ = 0;
  bool counted_ = false;  // from the beginning
  bool gone_ = false, have_ack_ = false, have_edge_ = false;
  Seq last_ack_, our_edge_, peer_edge_;
  std::uint32_t withheld_ = kNoIndex;  // of logs()
};

}  // namespace weir::test
