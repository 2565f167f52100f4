// The table of knobs, DESIGN's list and more, and their values as text.
#include "tcp/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>

#include "base/duration_text.h"

namespace weir::tcp {
namespace {

constexpr bool kLive = true;
constexpr bool kFixed = false;  // sizes of tables, and what orders queues of deadlines
constexpr std::array<std::string_view, 2> kCongestion{"reno", "cubic"};
constexpr std::uint32_t kLeastFragments = 524'288;  // a source's quarter holds a datagram of 64 KiB

template <class T>
constexpr bool kIsTime = requires {
  typename T::period;
};

template <auto Member>
std::int64_t get_member(const Config& c) {
  const auto& v = c.*Member;
  if constexpr (kIsTime<std::remove_cvref_t<decltype(v)>>) {
    return Duration(v).count();
  } else {
    return static_cast<std::int64_t>(v);
  }
}

template <auto Member>
void set_member(Config& c, std::int64_t v) {
  using T = std::remove_cvref_t<decltype(c.*Member)>;
  if constexpr (kIsTime<T>) {
    c.*Member = std::chrono::duration_cast<T>(Duration(v));
  } else {
    c.*Member = static_cast<T>(v);
  }
}

template <auto Member>
constexpr Setting boolean(std::string_view name) {
  return {
      name, SettingKind::kBoolean, kLive, 0, 1, {}, {}, {}, get_member<Member>, set_member<Member>};
}
template <auto Member>
constexpr Setting integer(std::string_view name, bool live, std::int64_t least, std::int64_t most,
                          std::string_view cure = {}) {
  return {name,
          SettingKind::kInteger,
          live,
          least,
          most,
          {},
          cure,
          {},
          get_member<Member>,
          set_member<Member>};
}
template <auto Member>
constexpr Setting time(std::string_view name, bool live, Duration unit, Duration least,
                       Duration most) {
  return {name,
          SettingKind::kTime,
          live,
          least.count(),
          most.count(),
          unit,
          {},
          {},
          get_member<Member>,
          set_member<Member>};
}

// Lower than delack_min takes that along; the next in the table may say otherwise.
void set_delack_max(Config& c, std::int64_t v) {
  set_member<&Config::delack_max>(c, v);
  c.delack_min = std::min(c.delack_min, c.delack_max);
}

//= RFC5961 7-b
// Linux's challenge_ack_limit counts the whole host, which CVE-2016-5696 reads; here each
// connection has its own count, and N a second is one every 1/N of it.
constexpr std::int64_t kNoLimit = 2'147'483'647;
std::int64_t get_challenge_acks(const Config& c) {
  if (c.challenge_ack_interval <= Duration::zero()) return kNoLimit;
  return std::max<std::int64_t>(1, Duration(1s) / c.challenge_ack_interval);
}
void set_challenge_acks(Config& c, std::int64_t v) {
  c.challenge_ack_interval = Duration(1s) / v;
}

std::int64_t get_ports(const Config& c) {
  return std::int64_t{c.port_low} << 16 | c.port_high;
}
void set_ports(Config& c, std::int64_t v) {
  c.port_low = static_cast<std::uint16_t>(v >> 16);
  c.port_high = static_cast<std::uint16_t>(v & 0xffff);
}

constexpr std::int64_t kMostBuffer = 1'073'725'440;  // 65535 << 14, RFC 7323 §2.3

constexpr auto kSettings = std::to_array<Setting>({
    integer<&Config::syn_retries>("syn_retries", kLive, 1, 127),
    integer<&Config::synack_retries>("synack_retries", kLive, 0, 127),
    integer<&Config::orphan_retries>("orphan_retries", kLive, 0, 127),
    integer<&Config::retries1>("retries1", kLive, 3, 127,
                               "RFC 9293 wants 3 retransmissions at least"),
    integer<&Config::retries2>("retries2", kLive, 1, 127),
    time<&Config::user_timeout>("user_timeout", kLive, 1ms, 0ms, 24h),
    boolean<&Config::keepalive>("keepalive"),
    time<&Config::keepalive_time>("keepalive_time", kLive, 1s, 1s, 32'767s),
    time<&Config::keepalive_intvl>("keepalive_intvl", kLive, 1s, 1s, 32'767s),
    integer<&Config::keepalive_probes>("keepalive_probes", kLive, 1, 127),
    time<&Config::fin_timeout>("fin_timeout", kLive, 1s, 1s, 3'600s),
    time<&Config::msl>("msl", kFixed, 1s, 1s, 120s),

    integer<&Config::somaxconn>("somaxconn", kLive, 1, 16'777'216),
    integer<&Config::max_syn_backlog>("max_syn_backlog", kFixed, 1, 16'777'214),
    integer<&Config::max_tw_buckets>("max_tw_buckets", kFixed, 0, 100'000'000),
    integer<&Config::tw_reuse>("tw_reuse", kLive, 0, 2,
                               "0 never, 1 by connect, 2 by connect to this host itself"),
    time<&Config::tw_reuse_delay>("tw_reuse_delay", kLive, 1ms, 1ms, 60s),
    // The window scale that a SYN-ACK told of follows from it.
    integer<&Config::rmem>("rmem", kFixed, 4'096, kMostBuffer),
    integer<&Config::rmem_default>("rmem_default", kFixed, 4'096, kMostBuffer),
    boolean<&Config::moderate_rcvbuf>("moderate_rcvbuf"),
    integer<&Config::wmem>("wmem", kLive, 4'096, kMostBuffer),
    integer<&Config::syncookies>("syncookies", kLive, 0, 2,
                                 "0 never, 1 when the SYN queue is full, 2 always"),
    boolean<&Config::abort_on_overflow>("abort_on_overflow"),
    boolean<&Config::bindv6only>("bindv6only"),

    boolean<&Config::timestamps>("timestamps"),
    boolean<&Config::timestamps_required>("timestamps_required"),
    boolean<&Config::window_scaling>("window_scaling"),
    boolean<&Config::sack>("sack"),
    boolean<&Config::dsack>("dsack"),
    boolean<&Config::recovery>("recovery"),
    integer<&Config::ecn>("ecn", kLive, 0, 2, "0 off, 1 asked for and accepted, 2 accepted only"),
    boolean<&Config::ecn_fallback>("ecn_fallback"),
    integer<&Config::tos>("tos", kLive, 0, 252),
    boolean<&Config::rfc1337>("rfc1337"),
    boolean<&Config::slow_start_after_idle>("slow_start_after_idle"),
    integer<&Config::initial_cwnd>("initial_cwnd", kLive, 1, 10,
                                   "RFC 6928 allows 10 segments at most"),
    integer<&Config::ttl>("ttl", kLive, 1, 255),
    {"challenge_ack_limit",
     SettingKind::kInteger,
     kLive,
     1,
     kNoLimit,
     {},
     "of one connection in a second",
     {},
     get_challenge_acks,
     set_challenge_acks},
    time<&Config::challenge_ack_interval>("challenge_ack_interval", kLive, 1ms, 0ms, 60s),

    time<&Config::rto_min>("rto_min", kLive, 1ms, 5ms, 120s),
    time<&Config::rto_max>("rto_max", kFixed, 1ms, 1s, 120s),
    time<&Config::rto_initial>("rto_initial", kFixed, 1ms, 5ms, 120s),
    // RFC 9293 MUST-40: an ACK is delayed by less than 0.5 s.
    {"delack_max",
     SettingKind::kTime,
     kLive,
     1'000,
     499'000,
     1ms,
     {},
     {},
     get_member<&Config::delack_max>,
     set_delack_max},
    time<&Config::delack_min>("delack_min", kLive, 1ms, 1ms, 499ms),
    integer<&Config::quickacks>("quickacks", kLive, 0, 16, "0 never, 16 as Linux"),

    {"congestion_control",
     SettingKind::kWord,
     kLive,
     0,
     1,
     {},
     {},
     kCongestion,
     get_member<&Config::congestion_control>,
     set_member<&Config::congestion_control>},
    boolean<&Config::hystart>("hystart"),
    integer<&Config::slow_start_limit>("slow_start_limit", kLive, 0, 64,
                                       "0 all that an ACK acknowledges, 8 as RFC 9406 has it"),
    boolean<&Config::frto>("frto"),
    integer<&Config::reordering>("reordering", kLive, 3, 127,
                                 "RFC 5681 asks for 3 duplicate ACKs at least"),
    time<&Config::min_rtt_wlen>("min_rtt_wlen", kLive, 1s, 1s, 86'400s),
    boolean<&Config::pacing>("pacing"),
    integer<&Config::min_tso_segs>("min_tso_segs", kLive, 1, 65'535),
    integer<&Config::pacing_ss_ratio>("pacing_ss_ratio", kLive, 100, 1'000),
    integer<&Config::pacing_ca_ratio>("pacing_ca_ratio", kLive, 100, 1'000),

    time<&Config::ipfrag_time>("ipfrag_time", kFixed, 1s, 1s, 120s),
    integer<&Config::ipfrag_high_thresh>(
        "ipfrag_high_thresh", kFixed, 0,
        1'073'741'824, "octets a worker may hold in fragments; 0 drops fragments"),
    integer<&Config::udp_mem>("udp_mem", kLive, 65'536, 1'073'741'824,
                              "octets a worker's UDP sockets may hold, buffers counted"),

    integer<&Config::mtu_probing>("mtu_probing", kLive, 0, 2,
                                  "0 never, 1 once a path swallows large packets, 2 always"),
    integer<&Config::base_mss>("base_mss", kLive, 88, 65'475),
    integer<&Config::min_pmtu>("min_pmtu", kLive, 128, 65'535),
    // RFC 1191 §6.3: not within 5 minutes of the message that made it smaller.
    time<&Config::mtu_expires>("mtu_expires", kLive, 1s, 300s, 86'400s),
    integer<&Config::probe_threshold>("probe_threshold", kLive, 1, 255),

    {"ip_local_port_range",
     SettingKind::kPorts,
     kLive,
     std::int64_t{1'024} << 16 | 1'025,
     std::int64_t{65'534} << 16 | 65'535,
     {},
     {},
     {},
     get_ports,
     set_ports},
});

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t n = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, n);
  if (error != std::errc() || stop != end) return std::nullopt;
  return n;
}

std::optional<std::int64_t> boolean_of(std::string_view text) {
  if (text == "1" || text == "true") return 1;
  if (text == "0" || text == "false") return 0;
  return std::nullopt;
}

std::optional<std::int64_t> time_of(std::string_view text, Duration unit) {
  if (const auto d = parse_duration(text)) return d->count();
  const auto n = number(text);
  constexpr std::int64_t kMost = 1'000'000'000'000;  // of any unit; beyond all limits
  if (!n) return std::nullopt;
  return std::clamp(*n, -kMost, kMost) * unit.count();
}

std::optional<std::int64_t> word_of(std::string_view text, const Setting& s) {
  const auto found = std::find(s.words.begin(), s.words.end(), text);
  if (found == s.words.end()) return std::nullopt;
  return found - s.words.begin();
}

std::optional<std::int64_t> ports_of(std::string_view text) {
  const std::size_t gap = text.find_first_not_of("0123456789");
  if (gap == std::string_view::npos) return std::nullopt;
  const std::size_t second = text.find_first_not_of(" \t,-", gap);
  if (second == std::string_view::npos) return std::nullopt;
  const auto low = number(text.substr(0, gap));
  const auto high = number(text.substr(second));
  if (!low || !high || *low < 1'024 || *high > 65'535 || *low >= *high) return std::nullopt;
  return *low << 16 | *high;
}

std::string range_text(const Setting& s) {
  if (s.kind == SettingKind::kTime) {
    return duration_text(Duration(s.least)) + ".." + duration_text(Duration(s.most));
  }
  return std::to_string(s.least) + ".." + std::to_string(s.most);
}

// What is wrong with a text that is none of the kind.
std::string misread(const Setting& s) {
  switch (s.kind) {
    case SettingKind::kBoolean:
      return "not a boolean; write true or false";
    case SettingKind::kInteger:
      return "not an integer; write a number in " + range_text(s);
    case SettingKind::kTime:
      return "not a duration; write a number of " + duration_text(s.unit) +
             " units, or one like 200ms (us, ms, s, m, h)";
    case SettingKind::kWord: {
      std::string list;
      for (const std::string_view w : s.words)
        list += (list.empty() ? "" : " or ") + std::string(w);
      return "not known; write " + list;
    }
    case SettingKind::kPorts:
      return "needs two ports in 1024..65535, low before high; write 32768 60999";
  }
  return "not known";
}

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

const Setting* find_setting(std::string_view name) {
  const auto* found = std::find_if(kSettings.begin(), kSettings.end(),
                                   [&](const Setting& s) { return s.name == name; });
  return found == kSettings.end() ? nullptr : found;
}

std::optional<std::string> set_by_text(Config& config, const Setting& s, std::string_view text) {
  std::optional<std::int64_t> v;
  switch (s.kind) {
    case SettingKind::kBoolean:
      v = boolean_of(text);
      break;
    case SettingKind::kInteger:
      v = number(text);
      break;
    case SettingKind::kTime:
      v = time_of(text, s.unit);
      break;
    case SettingKind::kWord:
      v = word_of(text, s);
      break;
    case SettingKind::kPorts:
      v = ports_of(text);
      break;
  }
  if (!v) return misread(s);
  if (*v < s.least || *v > s.most) {
    std::string cure(s.cure.empty() ? "choose a value in it" : s.cure);
    if (s.kind == SettingKind::kTime)
      cure = "a bare number counts units of " + duration_text(s.unit);
    return "out of range " + range_text(s) + "; " + cure;
  }
  s.set(config, *v);
  return std::nullopt;
}

std::string value_text(const Config& config, const Setting& s) {
  const std::int64_t v = s.get(config);
  switch (s.kind) {
    case SettingKind::kBoolean:
    case SettingKind::kInteger:
      break;
    case SettingKind::kTime:
      return duration_text(Duration(v));
    case SettingKind::kWord:
      return std::string(s.words[static_cast<std::size_t>(v)]);
    case SettingKind::kPorts:
      return std::to_string(v >> 16) + " " + std::to_string(v & 0xffff);
  }
  return std::to_string(v);
}

std::optional<Misfit> misfit(const Config& c) {
  if ((c.tos & 3U) != 0) {
    return Misfit{"tos", "its lower two bits are ECN's; write DSCP times 4, a multiple of 4"};
  }
  if (c.delack_min > c.delack_max) {
    return Misfit{"delack_min", "above delack_max = " + duration_text(c.delack_max) + "; lower it"};
  }
  if (c.rto_min > c.rto_max) {
    return Misfit{"rto_min", "above rto_max = " + duration_text(c.rto_max) + "; lower it"};
  }
  if (c.rto_initial < c.rto_min || c.rto_initial > c.rto_max) {
    return Misfit{"rto_initial", "outside rto_min..rto_max = " + duration_text(c.rto_min) + ".." +
                                     duration_text(c.rto_max) + "; choose one between"};
  }
  if (c.ipfrag_high_thresh != 0 && c.ipfrag_high_thresh < kLeastFragments) {
    return Misfit{"ipfrag_high_thresh",
                  "below 524288, too little for one datagram of 65535 octets from "
                  "each of 4 sources; write 0 to drop fragments, or 524288 or more"};
  }
  return std::nullopt;
}

void take_live(Config& running, const Config& wanted) {
  for (const Setting& s : kSettings) {
    if (s.live) s.set(running, s.get(wanted));
  }
}

}  // namespace weir::tcp
