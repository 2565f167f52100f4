// What a connection tells of itself: struct tcp_info, and the figures that single options tell.
#include <linux/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>

#include "socket/options.h"

namespace weir::posix {
namespace {

// As in <netinet/tcp.h>.
int linux_state(const EmbeddedStack& e, const TcpSocket& s) {
  constexpr int kClose = 7, kListen = 10;
  if (s.phase == Phase::kListening) return kListen;
  if (s.phase == Phase::kClosed || !s.conn) return kClose;
  switch (e.tcp().state_of(*s.conn)) {
    case tcp::State::kEstablished:
      return 1;
    case tcp::State::kSynSent:
      return 2;
    case tcp::State::kSynReceived:
      return 3;
    case tcp::State::kFinWait1:
      return 4;
    case tcp::State::kFinWait2:
      return 5;
    case tcp::State::kTimeWait:
      return 6;
    case tcp::State::kCloseWait:
      return 8;
    case tcp::State::kLastAck:
      return 9;
    case tcp::State::kClosing:
      return 11;
    case tcp::State::kClosed:
    case tcp::State::kListen:
      break;
  }
  return kClose;
}

// What Linux has added behind the structure of older headers.
struct TcpInfo {
  tcp_info base{};
  __u32 rcv_wnd = 0, rehash = 0;
  __u16 total_rto = 0, total_rto_recoveries = 0;
  __u32 total_rto_time = 0;
  __u32 accurate_ecn[8] = {};  // RFC 9768 is not spoken
};
constexpr std::size_t kBase = offsetof(tcp_info, tcpi_snd_wnd) + sizeof(__u32);
static_assert(sizeof(tcp_info) == kBase, "the header has grown: name what is new");
static_assert(sizeof(TcpInfo) == 280);

__u32 us(Duration d) {
  return static_cast<__u32>(std::clamp<Duration::rep>(d.count(), 0, 0xffff'ffffLL));
}
__u32 ms(Duration d) {
  return us(d / 1'000);
}
__u64 us64(Duration d) {
  return static_cast<__u64>(d.count());
}

void fill_times(const tcp::Info& i, tcp_info& t) {
  t.tcpi_rto = us(i.rto);
  t.tcpi_ato = us(i.ato);
  t.tcpi_last_data_sent = ms(i.last_data_sent);
  t.tcpi_last_data_recv = ms(i.last_data_recv);
  t.tcpi_last_ack_recv = ms(i.last_ack_recv);
  t.tcpi_rtt = us(i.rtt);
  t.tcpi_rttvar = us(i.rttvar);
  t.tcpi_rcv_rtt = us(i.rcv_rtt);
  t.tcpi_min_rtt = i.min_rtt ? us(*i.min_rtt) : ~__u32{0};
  t.tcpi_busy_time = us64(i.busy_time);
  t.tcpi_rwnd_limited = us64(i.rwnd_limited);
  t.tcpi_sndbuf_limited = us64(i.sndbuf_limited);
}

void fill_windows(const tcp::Info& i, tcp_info& t) {
  t.tcpi_snd_wscale = i.snd_wscale & 0xfU;
  t.tcpi_rcv_wscale = i.rcv_wscale & 0xfU;
  t.tcpi_snd_mss = i.snd_mss;
  t.tcpi_rcv_mss = i.rcv_mss;
  t.tcpi_advmss = i.advmss;
  t.tcpi_pmtu = i.pmtu;
  t.tcpi_rcv_ssthresh = i.rcv_ssthresh;
  t.tcpi_snd_ssthresh = i.snd_ssthresh;
  t.tcpi_snd_cwnd = i.snd_cwnd;
  t.tcpi_rcv_space = i.rcv_space;
  t.tcpi_snd_wnd = i.snd_wnd;
  t.tcpi_pacing_rate = i.pacing_rate;
  t.tcpi_max_pacing_rate = i.max_pacing_rate;
  t.tcpi_notsent_bytes = i.notsent_bytes;
}

void fill_recovery(const tcp::Info& i, tcp_info& t) {
  t.tcpi_ca_state = static_cast<__u8>(i.ca_state);
  t.tcpi_retransmits = i.retransmits;
  t.tcpi_probes = i.probes;
  t.tcpi_backoff = i.backoff;
  t.tcpi_options = i.options;
  t.tcpi_unacked = i.unacked;
  t.tcpi_sacked = i.sacked;
  t.tcpi_lost = i.lost;
  t.tcpi_retrans = i.retrans;
  t.tcpi_reordering = i.reordering;
  t.tcpi_total_retrans = i.total_retrans;
  t.tcpi_dsack_dups = i.dsack_dups;
  t.tcpi_reord_seen = i.reord_seen;
  t.tcpi_rcv_ooopack = i.rcv_ooopack;
}

void fill_counts(const tcp::Info& i, tcp_info& t) {
  t.tcpi_bytes_acked = i.bytes_acked;
  t.tcpi_bytes_received = i.bytes_received;
  t.tcpi_bytes_sent = i.bytes_sent;
  t.tcpi_bytes_retrans = i.bytes_retrans;
  t.tcpi_segs_out = i.segs_out;
  t.tcpi_segs_in = i.segs_in;
  t.tcpi_data_segs_in = i.data_segs_in;
  t.tcpi_data_segs_out = i.data_segs_out;
  t.tcpi_delivery_rate = i.delivery_rate;
  t.tcpi_delivery_rate_app_limited = i.delivery_rate_app_limited ? 1 : 0;
  t.tcpi_delivered = i.delivered;
  t.tcpi_delivered_ce = i.delivered_ce;
}

// Of the connection there is, or else of the last one.
std::optional<tcp::Info> info_of(const EmbeddedStack& e, const TcpSocket& s) {
  return s.conn ? e.tcp().info(*s.conn) : s.last;
}

}  // namespace

int get_info(const EmbeddedStack& e, const TcpSocket& s, void* value, socklen_t& length) {
  TcpInfo info;
  if (s.phase == Phase::kListening) {
    if (const auto stats = e.tcp().listener_stats(s.listener)) {
      info.base.tcpi_unacked = stats->waiting;
      info.base.tcpi_sacked = s.backlog;
    }
  } else if (const auto i = info_of(e, s)) {
    fill_times(*i, info.base);
    fill_windows(*i, info.base);
    fill_recovery(*i, info.base);
    fill_counts(*i, info.base);
    info.rcv_wnd = i->rcv_wnd;
    info.total_rto = i->total_rto;
    info.total_rto_recoveries = i->total_rto_recoveries;
    info.total_rto_time = ms(i->total_rto_time);
  }
  info.base.tcpi_state = static_cast<__u8>(linux_state(e, s));
  length = static_cast<socklen_t>(std::min<std::size_t>(length, sizeof info));
  if (length > 0 && value == nullptr) return EFAULT;
  std::memcpy(value, &info, length);
  return 0;
}

int mss_of(const EmbeddedStack& e, const TcpSocket& s) {
  const auto i = s.conn ? e.tcp().info(*s.conn) : std::nullopt;
  return i ? static_cast<int>(i->snd_mss) : 0;
}

int mtu_of(const EmbeddedStack& e, const TcpSocket& s) {
  const auto i = s.conn ? e.tcp().info(*s.conn) : std::nullopt;
  return i ? static_cast<int>(i->pmtu) : e.config().mtu;
}

int receive_buffer_of(const EmbeddedStack& e, const TcpSocket& s) {
  const tcp::Config& c = e.tcp_config();
  return s.options.rcvbuf != 0 ? s.options.rcvbuf
                               : static_cast<int>(std::min(c.rmem_default, c.rmem));
}

int send_buffer_of(const EmbeddedStack& e, const TcpSocket& s) {
  return s.options.sndbuf != 0 ? s.options.sndbuf : static_cast<int>(e.tcp_config().wmem);
}

std::size_t not_sent(const EmbeddedStack& e, const TcpSocket& s) {
  const auto i = s.conn ? e.tcp().info(*s.conn) : std::nullopt;
  return i ? i->notsent_bytes : 0;
}

}  // namespace weir::posix
