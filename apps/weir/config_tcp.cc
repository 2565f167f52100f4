// [tcp]: the protocol's knobs under Linux's names, in Linux's units.
#include <algorithm>

#include "config_tables.h"

namespace weir::app {
namespace {

void read_retries(TableReader& t, tcp::Config& c) {
  t.integer("syn_retries", c.syn_retries, 1, 127);
  t.integer("synack_retries", c.synack_retries, 0, 127);
  t.integer("orphan_retries", c.orphan_retries, 0, 127);
  t.integer("retries1", c.retries1, 3, 127, "RFC 9293 wants 3 retransmissions at least");
  t.integer("retries2", c.retries2, 1, 127);
  t.duration("user_timeout", c.user_timeout, 1ms, 0ms, 24h);
  t.boolean("keepalive", c.keepalive);
  t.duration("keepalive_time", c.keepalive_time, 1s, 1s, 32'767s);
  t.duration("keepalive_intvl", c.keepalive_intvl, 1s, 1s, 32'767s);
  t.integer("keepalive_probes", c.keepalive_probes, 1, 127);
  t.duration("fin_timeout", c.fin_timeout, 1s, 1s, 3'600s);
  t.duration("msl", c.msl, 1s, 1s, 120s);
}

void read_tables_sizes(TableReader& t, tcp::Config& c) {
  t.integer("somaxconn", c.somaxconn, 1, 16'777'216);
  t.integer("max_syn_backlog", c.max_syn_backlog, 1, 16'777'214);
  t.integer("max_tw_buckets", c.max_tw_buckets, 0, 100'000'000);
  t.integer("tw_reuse", c.tw_reuse, 0, 2,
            "0 never, 1 by connect, 2 by connect to this host itself");
  t.integer("rmem", c.rmem, 4'096, 1'073'725'440);  // 65535 << 14, RFC 7323 §2.3
  t.integer("rmem_default", c.rmem_default, 4'096, 1'073'725'440);
  t.boolean("moderate_rcvbuf", c.moderate_rcvbuf);
  t.integer("wmem", c.wmem, 4'096, 1'073'725'440);
  t.integer("syncookies", c.syncookies, 0, 2, "0 never, 1 when the SYN queue is full, 2 always");
  t.boolean("abort_on_overflow", c.abort_on_overflow);
  t.boolean("bindv6only", c.bindv6only);
}

//= RFC5961 7-b
// Linux's challenge_ack_limit counts the whole host, which CVE-2016-5696 reads; here each
// connection has its own count, and N a second is one every 1/N of it.
void read_challenge_acks(TableReader& t, tcp::Config& c) {
  constexpr std::uint32_t kNotSet = 0;
  std::uint32_t limit = kNotSet;
  t.integer("challenge_ack_limit", limit, 1, 2'147'483'647, "of one connection in a second");
  if (limit != kNotSet) c.challenge_ack_interval = Duration(1s) / limit;
  t.duration("challenge_ack_interval", c.challenge_ack_interval, 1ms, 0ms, 60s);
}

void read_options(TableReader& t, tcp::Config& c) {
  t.boolean("timestamps", c.timestamps);
  t.boolean("window_scaling", c.window_scaling);
  t.boolean("sack", c.sack);
  t.boolean("dsack", c.dsack);
  t.boolean("recovery", c.recovery);
  t.integer("ecn", c.ecn, 0, 2, "0 off, 1 asked for and accepted, 2 accepted only");
  t.boolean("ecn_fallback", c.ecn_fallback);
  t.integer("tos", c.tos, 0, 252);
  if ((c.tos & 3U) != 0) {
    t.report("tos", "its lower two bits are ECN's; write DSCP times 4, a multiple of 4");
  }
  t.boolean("rfc1337", c.rfc1337);
  t.boolean("slow_start_after_idle", c.slow_start_after_idle);
  t.integer("initial_cwnd", c.initial_cwnd, 1, 10, "RFC 6928 allows 10 segments at most");
  t.integer("ttl", c.ttl, 1, 255);
  read_challenge_acks(t, c);
  if (!c.window_scaling && c.rmem > 65'535) c.rmem = 65'535;
}

void read_timers(TableReader& t, tcp::Config& c) {
  t.duration("rto_min", c.rto_min, 1ms, 5ms, 120s);
  t.duration("rto_max", c.rto_max, 1ms, 1s, 120s);
  t.duration("rto_initial", c.rto_initial, 1ms, 5ms, 120s);
  // RFC 9293 MUST-40: an ACK is delayed by less than 0.5 s.
  t.duration("delack_max", c.delack_max, 1ms, 1ms, 499ms);
  c.delack_min = std::min(c.delack_min, c.delack_max);
  t.duration("delack_min", c.delack_min, 1ms, 1ms, 499ms);
  if (c.delack_min > c.delack_max) {
    t.report("delack_min", "above delack_max = " + duration_text(c.delack_max) + "; lower it");
  }
  t.integer("quickacks", c.quickacks, 0, 16, "0 never, 16 as Linux");
  if (c.rto_min > c.rto_max) {
    t.report("rto_min", "above rto_max = " + duration_text(c.rto_max) + "; lower it");
  }
  if (c.rto_initial < c.rto_min || c.rto_initial > c.rto_max) {
    t.report("rto_initial", "outside rto_min..rto_max = " + duration_text(c.rto_min) + ".." +
                                duration_text(c.rto_max) + "; choose one between");
  }
}

void read_congestion(TableReader& t, tcp::Config& c) {
  auto algorithm = static_cast<unsigned>(c.congestion_control);
  t.word("congestion_control", algorithm, {"reno", "cubic"});
  c.congestion_control = static_cast<tcp::CongestionControl>(algorithm);
  t.boolean("hystart", c.hystart);
  t.boolean("frto", c.frto);
  t.integer("reordering", c.reordering, 3, 127, "RFC 5681 asks for 3 duplicate ACKs at least");
  t.duration("min_rtt_wlen", c.min_rtt_wlen, 1s, 1s, 86'400s);
  t.boolean("pacing", c.pacing);
  t.integer("pacing_ss_ratio", c.pacing_ss_ratio, 100, 1'000);
  t.integer("pacing_ca_ratio", c.pacing_ca_ratio, 100, 1'000);
}

void read_fragments(TableReader& t, tcp::Config& c) {
  constexpr std::uint32_t kLeast = 524'288;  // a source's quarter holds one datagram of 64 KiB
  t.duration("ipfrag_time", c.ipfrag_time, 1s, 1s, 120s);
  t.integer("ipfrag_high_thresh", c.ipfrag_high_thresh, 0, 1'073'741'824,
            "octets a worker may hold in fragments; 0 drops fragments");
  if (c.ipfrag_high_thresh != 0 && c.ipfrag_high_thresh < kLeast) {
    t.report("ipfrag_high_thresh",
             "below 524288, too little for one datagram of 65535 octets from "
             "each of 4 sources; write 0 to drop fragments, or 524288 or more");
  }
}

void read_path(TableReader& t, tcp::Config& c) {
  t.integer("mtu_probing", c.mtu_probing, 0, 2,
            "0 never, 1 once a path swallows large packets, 2 always");
  t.integer("base_mss", c.base_mss, 88, 65'475);
  t.integer("min_pmtu", c.min_pmtu, 128, 65'535);
  // RFC 1191 §6.3: not within 5 minutes of the message that made it smaller.
  t.duration("mtu_expires", c.mtu_expires, 1s, 300s, 86'400s);
  t.integer("probe_threshold", c.probe_threshold, 1, 255);
}

void read_port_range(TableReader& t, tcp::Config& c) {
  const toml::array* range = t.array("ip_local_port_range", "32768, 60999");
  if (range == nullptr) return;
  std::int64_t ends[2] = {0, 0};
  for (std::size_t i = 0; i < 2 && range->size() == 2; ++i) {
    const auto* n = range->get(i)->as_integer();
    ends[i] = n == nullptr ? 0 : n->get();
  }
  if (range->size() != 2 || ends[0] < 1'024 || ends[1] > 65'535 || ends[0] >= ends[1]) {
    return t.report("ip_local_port_range",
                    "needs two ports in 1024..65535, low before high; write [32768, 60999]");
  }
  c.port_low = static_cast<std::uint16_t>(ends[0]);
  c.port_high = static_cast<std::uint16_t>(ends[1]);
}

}  // namespace

void read_tcp(TableReader t, tcp::Config& c) {
  read_retries(t, c);
  read_tables_sizes(t, c);
  read_options(t, c);
  read_timers(t, c);
  read_congestion(t, c);
  read_fragments(t, c);
  read_path(t, c);
  read_port_range(t, c);
  t.finish();
}

}  // namespace weir::app
