// A packet script: one control block of lib/tcp, its user and its peer, on one virtual clock.
//
// Time only moves in `at`. Every segment the core emits must be claimed by a `sends` at the same
// instant; an unclaimed one fails the test. Unset fields of a template match anything. Sequence
// numbers are relative: on an Established connection 0 is the first octet of text on either side,
// on SynSent 0 is the SYN. Both initial numbers lie just below the wrap. Every octet sent or read
// is checked against the pattern of its sequence number, the control block's invariants after
// every event; when the script ends every buffer must be back and every segment counted.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "script/bufs.h"
#include "tcp/core.h"
#include "tcp/info.h"
#include "tcp/listen.h"
#include "tcp/tcb.h"

namespace weir::test {

using namespace std::chrono_literals;
using tcp::ACK;
using tcp::CloseReason;
using tcp::CWR;
using tcp::ECE;
using tcp::FIN;
using tcp::PSH;
using tcp::RST;
using tcp::State;
using tcp::SYN;
using tcp::URG;
using enum tcp::State;

struct Ts {  // a timestamps option
  std::uint32_t val = 0, ecr = 0;
  friend bool operator==(const Ts&, const Ts&) = default;
};

struct Block {  // of a SACK option: [left, right)
  std::uint32_t left = 0, right = 0;
  friend bool operator==(const Block&, const Block&) = default;
};

// Opened by a listener, the last ACK just taken: no round-trip sample yet, so RTO is 1 s.
struct Established {
  Seq iss{0xffff'fe00};
  Seq irs{0xffff'ff00};
  std::uint16_t mss = 1'000;             // of text, both ways, when options are subtracted
  std::uint32_t wnd = 65'535;            // the peer's, as on the wire
  std::optional<Ts> ts{};                // negotiated; val is the peer's clock on its SYN
  std::optional<std::uint8_t> wscale{};  // the peer's shift; ours follows from rmem
  bool sack = false;                     // negotiated
  bool ecn = false;                      // negotiated
  bool no_delay = false;
  bool ipv6 = false;
  std::uint32_t rx_room = 0;             // spare octets behind received text
  bool counted = false;                  // has a record of its own from the beginning
  void (*tune)(tcp::Config&) = nullptr;  // changes settings from their defaults
};

struct SynSent {  // active OPEN called, nothing sent yet
  Seq iss{0xffff'fe00};
  Seq irs{0xffff'ff00};
  std::uint16_t mtu = 1'500;
  bool ipv6 = false;
  bool timestamps = false;
  bool window_scaling = false;
  bool sack = false;
  bool counted = false;                  // has a record of its own from the beginning
  void (*tune)(tcp::Config&) = nullptr;  // changes settings from their defaults
};

struct Want {  // a partial template for an emitted segment
  std::optional<std::uint32_t> seq{}, ack{}, len{};
  std::optional<std::uint8_t> flags{};
  std::optional<std::uint32_t> wnd{};  // as on the wire
  std::optional<std::uint16_t> mss{};
  std::optional<std::uint8_t> wscale{};
  std::optional<bool> has_ts{};
  std::optional<Ts> ts{};  // val in milliseconds since the script began
  std::optional<bool> sack_permitted{};
  std::optional<std::vector<Block>> sack{};  // as they stand in the option, in order
  std::optional<std::uint8_t> ecn{};         // the codepoint of its IP header
  std::optional<std::uint16_t> urgent{};     // the pointer's field
};

struct Peer {  // what the remote end puts on the wire
  std::uint32_t seq = 0, ack = 0, len = 0;
  std::uint8_t flags = ACK;
  std::uint32_t wnd = 65'535;
  std::optional<Ts> ts{};
  std::uint16_t mss = 0;
  std::uint8_t wscale = wire::kNoWindowScale;
  bool sack_permitted = false;
  std::vector<Block> sack{};
  std::uint32_t chunk = 600;  // octets of text in one buffer
  std::uint8_t tos = 0;
  std::uint16_t urgent = 0;
};

inline constexpr std::uint8_t kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3;  // RFC 3168 §5
struct Icmp {  // an error about a segment that was sent
  tcp::PathError what = tcp::PathError::kTooBig;
  std::uint32_t seq = 0;  // that it quotes
  std::uint32_t mtu = 0;
  std::uint32_t packet = 0;
};

inline constexpr std::uint32_t kBefore0 = 0xffff'ffff;  // the relative number before 0

class Script {
 public:
  explicit Script(const Established& e);
  explicit Script(const SynSent& e);
  ~Script();
  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;

  // Runs the connection up to `t` after the script's beginning, firing its timers on the way.
  Script& at(Duration t, const char* file = __builtin_FILE(), int line = __builtin_LINE());

  // The same, and what is sent on the way is of no interest.
  Script& runs_until(Duration t);

  // -- The peer ------------------------------------------------------------------------------
  Script& receives(const Peer& p);
  Script& icmp(const Icmp& e, tcp::IcmpVerdict want = tcp::IcmpVerdict::kTaken,
               const char* file = __builtin_FILE(), int line = __builtin_LINE());
  Script& receives_burst(const std::vector<Peer>& burst);  // all of them before one poll

  // -- The user ------------------------------------------------------------------------------
  Script& app_send(std::uint32_t octets, std::uint32_t chunk = 700);
  // Reads exactly `octets`; fails when there are fewer, or when buffers do not end there.
  Script& app_reads(std::uint32_t octets, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE());
  // Copies so many octets out, of as many as there are; `left` of them then are.
  Script& app_copies(std::uint32_t octets, std::uint32_t left, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE());
  // Looks at `octets` from `offset` on.
  Script& app_peeks(std::uint32_t offset, std::uint32_t octets, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE());
  Script& app_urgent(std::uint32_t octets);  // as app_send, and the text is urgent
  Script& app_nodelay(bool on);
  Script& app_cork(bool on);
  Script& app_shutdown();
  Script& app_close();
  Script& app_abort();
  template <class Call>  // any other: call(tcb, now, outbox)
  Script& app(Call call) {
    call(tcb_, now_, out_);
    return settle();
  }

  // -- What must follow ----------------------------------------------------------------------
  Script& sends(const Want& want, const char* file = __builtin_FILE(), int line = __builtin_LINE());
  Script& skip();  // whatever was sent is of no interest here
  Script& quiet(const char* file = __builtin_FILE(), int line = __builtin_LINE());
  Script& notices(std::uint8_t want, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE());  // all since the last call
  Script& state(State want, const char* file = __builtin_FILE(), int line = __builtin_LINE());
  Script& closed(CloseReason want, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE());
  Script& cwnd(std::uint32_t want, const char* file = __builtin_FILE(),
               int line = __builtin_LINE());
  Script& ssthresh(std::uint32_t want, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());
  Script& urgent(std::uint32_t octets, bool more, const char* file = __builtin_FILE(),
                 int line = __builtin_LINE());  // of the unread text
  Script& next_timer(Duration want, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE());  // since the script's beginning; max(): none

  tcp::Tcb& tcb() { return tcb_; }
  [[nodiscard]] tcp::Info info() const { return tcp::info_of(tcb_, now_); }
  [[nodiscard]] const telemetry::Counters& counters() const { return counters_; }
  [[nodiscard]] std::size_t pending() const { return sent_.size(); }

 private:
  void feed(const Peer& p);
  Script& settle();
  bool fire(Instant due, int& same, const char* file, int line);
  void flush();
  void check_text(const tcp::TxSegment& s);
  void check_copy(const std::vector<std::byte>& got, Seq from, const char* file, int line);
  void print_sent(const char* file, int line);
  [[nodiscard]] std::string describe(const tcp::TxSegment& s) const;
  [[nodiscard]] std::string when() const;
  void check_sack(const Want& want, const tcp::TxSegment& s, const char* file, int line);
  template <class T>
  void check(const std::optional<T>& want, T got, const char* field, const tcp::TxSegment& s,
             const char* file, int line);

  tcp::Config config_;
  tcp::Tcb tcb_;
  telemetry::Counters counters_;
  tcp::Outbox out_;
  Bufs bufs_;
  tcp::SentLogs logs_{4};
  tcp::Owns owns_{2};
  Seq tx_base_, rx_base_;  // relative 0, ours and theirs
  Seq app_next_;           // of the next octet the user sends
  Seq read_next_;          // of the next octet the user reads
  std::uint32_t rx_room_ = 0;
  Instant now_;
  std::uint64_t emitted_ = 0, resets_ = 0;  // segments; of these RSTs
  std::deque<tcp::TxSegment> sent_;
};

}  // namespace weir::test
