// One core's counters: plain integers that one thread writes and anyone may read.
//
// Every drop has a name. Names follow RFC 4898 and Linux's nstat where those have one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::telemetry {

#define WEIR_COUNTERS(X)                                                          \
  /* packets */                                                                   \
  X(rx_frames, "frames taken from the port")                                      \
  X(rx_bytes, "octets of those frames")                                           \
  X(tx_frames, "frames given to the port")                                        \
  X(tx_bytes, "octets of those frames")                                           \
  /* TCP */                                                                       \
  X(active_opens, "connections opened by connect")                                \
  X(passive_opens, "connections opened by a listener")                            \
  X(attempt_fails, "connections that failed before ESTABLISHED")                  \
  X(estab_resets, "connections reset from ESTABLISHED or CLOSE-WAIT")             \
  X(in_segs, "segments received, those in error included")                        \
  X(out_segs, "segments sent, retransmitted ones excluded")                       \
  X(retrans_segs, "segments retransmitted")                                       \
  X(out_rsts, "segments sent with RST")                                           \
  X(fast_retransmits, "recoveries entered by duplicate ACKs")                     \
  X(rto_timeouts, "retransmission timer expiries")                                \
  X(spurious_rtos, "time-outs found spurious (RFC 5682, RFC 3522)")               \
  X(spurious_recoveries, "fast recoveries undone (RFC 3522)")                     \
  X(persist_probes, "zero-window probes sent")                                    \
  X(delayed_acks, "ACKs sent by the delayed-ACK timer")                           \
  X(syncookies_sent, "SYNs answered by a cookie (RFC 4987)")                      \
  X(syncookies_recv, "cookies that came back: connections")                       \
  X(challenge_acks, "challenge ACKs sent (RFC 5961)")                             \
  X(tlp_probes, "tail loss probes sent (RFC 8985)")                               \
  X(dsacks_in, "ACKs that told of a duplicate (RFC 2883)")                        \
  X(sack_reneged, "peers that went back on a SACK (RFC 2018 8)")                  \
  X(dup_acks_in, "duplicate ACKs received")                                       \
  X(ofo_queued, "segments queued out of order")                                   \
  X(in_ect0_pkts, "segments that came as ECT(0) (RFC 3168)")                      \
  X(in_ect1_pkts, "segments that came as ECT(1)")                                 \
  X(in_ce_pkts, "segments that came marked: congestion experienced")              \
  X(ecn_opens, "connections on which ECN was agreed")                             \
  X(ecn_fallbacks, "SYNs resent without asking for ECN")                          \
  X(ecn_cuts, "windows cut as the peer told of congestion (ECE)")                 \
  X(urgent_in, "urgent pointers that told of more urgent text")                   \
  X(cork_flushes, "segments below the MSS sent by the cork's timer")              \
  X(time_wait_entered, "connections that entered TIME-WAIT")                      \
  X(time_wait_reused, "TIME-WAIT records ended by a new SYN (RFC 6191)")          \
  X(time_wait_recycled, "TIME-WAIT records ended by a connect (tw_reuse)")        \
  X(probes_in, "window and keepalive probes of peers, answered")                  \
  X(keepalive_probes, "keepalive probes sent")                                    \
  X(rcv_collapsed, "received segments copied into the buffer of the one before")  \
  X(ofo_pruned, "out-of-order segments given back, as buffers ran short")         \
  X(pressure_resets, "stalled connections reset, as buffers ran short")           \
  X(linger_resets, "connections reset as their linger time was over")             \
  X(udp_in_datagrams, "UDP datagrams that a socket took (RFC 4113)")              \
  X(udp_no_ports, "UDP datagrams to ports that no socket is bound to")            \
  X(udp_in_errors, "UDP datagrams dropped for any other reason")                  \
  X(udp_out_datagrams, "UDP datagrams sent")                                      \
  X(arp_requests_out, "ARP requests sent")                                        \
  X(arp_replies_out, "ARP replies sent")                                          \
  X(nd_solicits_out, "neighbour solicitations sent")                              \
  X(nd_adverts_out, "neighbour advertisements sent")                              \
  X(address_conflicts, "packets of others that claim an address of ours")         \
  X(icmp_echo_replies, "echo requests answered")                                  \
  X(icmp_unreachables_out, "destination unreachables sent")                       \
  X(icmp_param_problems_out, "ICMPv6 parameter problems sent")                    \
  X(icmp_errors_in, "ICMP errors accepted for a connection")                      \
  X(icmp_time_exceeded_out, "ICMP errors sent: reassembly took too long")         \
  X(reasm_reqds, "fragments received")                                            \
  X(reasm_oks, "datagrams put together from fragments")                           \
  X(pmtu_lowered, "connections whose segments an ICMP error made smaller")        \
  X(mtu_black_holes, "paths that swallowed large segments (RFC 4821)")            \
  X(mtup_success, "path MTU probes that arrived (RFC 4821)")                      \
  X(mtup_fail, "path MTU probes that were lost")                                  \
  X(r1_reached, "segments resent retries1 times: the path is doubted")            \
  X(handed_over, "frames passed to the core that owns their flow")                \
  X(looped_back, "segments to an address of this host, not sent but received")    \
  /* drops */                                                                     \
  X(drop_short_frame, "no room for the headers the frame claims")                 \
  X(drop_ip_version, "IP version is not the EtherType's")                         \
  X(drop_ip_header_length, "IHL below 5 or beyond the packet")                    \
  X(drop_ip_total_length, "total length below the header or beyond the frame")    \
  X(drop_ip_checksum, "IP header checksum")                                       \
  X(drop_ip_fragment, "IP fragment, as ipfrag_high_thresh is 0")                  \
  X(drop_frag_length, "fragment of an impossible length, or of too long a whole") \
  X(drop_frag_chain, "first IPv6 fragment without all headers (RFC 7112)")        \
  X(drop_frag_overlap, "fragments that overlapped, and their datagram's others")  \
  X(drop_frag_duplicate, "fragment that had come before")                         \
  X(drop_frag_ecn, "fragments whose ECN fields disagree (RFC 3168 5.3)")          \
  X(drop_frag_memory, "fragments for which ipfrag_high_thresh left no room")      \
  X(drop_frag_timeout, "fragments of a datagram that never was whole")            \
  X(drop_ip_source_route, "IP source route option")                               \
  X(drop_ip_extension, "IPv6 extension header chain")                             \
  X(drop_tcp_header, "TCP data offset")                                           \
  X(drop_tcp_checksum, "TCP checksum")                                            \
  X(drop_udp_length, "UDP length below its header or beyond the packet")          \
  X(drop_udp_checksum, "UDP checksum, or none in IPv6")                           \
  X(drop_udp_rcvbuf, "UDP datagram, as its socket's receive queue was full")      \
  X(drop_udp_mem, "UDP datagram, as all sockets' queues or buffers were full")    \
  X(drop_arp_malformed, "ARP packet")                                             \
  X(drop_icmp_malformed, "ICMP packet")                                           \
  X(drop_icmp_checksum, "ICMP checksum")                                          \
  X(drop_nd_malformed, "neighbour discovery packet (RFC 4861 7.1, RFC 6980)")     \
  X(drop_not_for_us, "destination MAC or IP address is not ours")                 \
  X(drop_bad_source, "source address that no segment may have")                   \
  X(drop_other_protocol, "EtherType or IP protocol not spoken")                   \
  X(drop_icmp_ignored, "ICMP message that nothing waits for")                     \
  X(drop_icmp_forged, "ICMP error that quotes nothing under way (RFC 5927)")      \
  X(drop_icmp_rate, "ICMP reply withheld by the rate limit")                      \
  X(drop_no_listener, "no connection and no listener (answered by RST)")          \
  X(drop_closed_rst, "RST that belongs to no connection")                         \
  X(drop_listen_bad, "segment a listener does not take")                          \
  X(drop_syncookie_bad, "ACK to a listener that answers no cookie of ours")       \
  X(drop_syn_queue_full, "SYN, as the SYN queue was full")                        \
  X(drop_syn_evicted, "oldest half-open connection, for a newer SYN")             \
  X(drop_accept_queue_full, "last ACK, as the accept queue was full")             \
  X(drop_synack_retries, "half-open connection that never answered")              \
  X(drop_conn_table_full, "no room for another connection")                       \
  X(drop_tw_full, "TIME-WAIT record not kept, table full")                        \
  X(drop_paws, "old timestamp (RFC 7323 PAWS)")                                   \
  X(drop_no_timestamp, "segment without the negotiated timestamp")                \
  X(drop_duplicate, "text that had come before")                                  \
  X(drop_out_of_window, "segment outside the receive window")                     \
  X(drop_old_ack, "ACK outside SND.UNA - MAX.SND.WND (RFC 5961 5.2)")             \
  X(drop_future_ack, "ACK of data never sent")                                    \
  X(drop_no_ack_flag, "segment without ACK in a synchronized state")              \
  X(drop_bad_rst, "RST not exactly at RCV.NXT")                                   \
  X(drop_syn_in_window, "SYN in a synchronized state")                            \
  X(drop_challenge_rate, "challenge ACK withheld by the rate limit")              \
  X(drop_ofo_limit, "out-of-order segment beyond the limit")                      \
  X(drop_data_after_close, "data for a closed receiver")                          \
  X(drop_time_wait, "segment in TIME-WAIT")                                       \
  X(drop_neigh_queue, "packet, as the queue of an unresolved neighbour was full") \
  X(drop_neigh_failed, "packet for a neighbour that did not answer")              \
  X(drop_neigh_table_full, "no room for another neighbour")                       \
  X(drop_no_route, "no route to the destination")                                 \
  X(drop_no_buffer, "no free buffer")                                             \
  X(drop_tx_full, "packet the port did not take")                                 \
  X(drop_loop_full, "segment to this host, as too many were on their way")        \
  X(drop_handover_full, "packet for another core, ring full")

// A counter: relaxed stores by its one writer, relaxed loads by readers.
class Counter {
 public:
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
#define WEIR_COUNTER_FIELD(name, help) Counter name;
  WEIR_COUNTERS(WEIR_COUNTER_FIELD)
#undef WEIR_COUNTER_FIELD
};

struct CounterInfo {
  std::string_view name;
  std::string_view help;
  Counter Counters::*field;
};

inline constexpr std::array kCounterInfo = {
#define WEIR_COUNTER_INFO(name, help) CounterInfo{#name, help, &Counters::name},
    WEIR_COUNTERS(WEIR_COUNTER_INFO)
#undef WEIR_COUNTER_INFO
};

[[nodiscard]] constexpr bool is_drop(const CounterInfo& info) {
  return info.name.starts_with("drop_");
}

}  // namespace weir::telemetry
