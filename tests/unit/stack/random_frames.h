// A stack with connections in every state under random and broken frames, while a random user calls
// whatever it can. Each choice is drawn from `Source`: an Rng (fuzz_test.cc) or a fuzzer's input
// (tests/fuzz/stack_fuzz.cc). The World asserts what must hold: invariants after every iteration,
// every block back at the end, every connection ended by its own timers.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <vector>

#include "harness.h"
#include "wire/octets.h"

namespace weir::stack::test {

inline Config random_frames_config() {
  Config c = small_config();
  c.max_connections = 48;
  c.max_neighbours = 16;
  c.tcp.max_syn_backlog = 12;
  c.tcp.max_tw_buckets = 3;
  c.tcp.somaxconn = 8;
  c.tcp.rmem = c.tcp.wmem = 30'000;
  c.tcp.msl = 10s;
  c.tcp.fin_timeout = 2s;
  c.tcp.retries2 = 4;
  c.tcp.orphan_retries = 2;
  c.tcp.syn_retries = 2;
  c.tcp.synack_retries = 3;
  c.tcp.keepalive = true;
  c.tcp.keepalive_time = 3s;
  c.tcp.keepalive_intvl = 500ms;
  c.tcp.keepalive_probes = 2;
  return c;
}

inline constexpr std::uint16_t kFlows = 48;
inline constexpr std::uint32_t kActive = 12;  // of those: opened by connect

// What the far end of one flow knows: enough to be right as often as wrong.
struct Far {
  Peer::Where at;
  Seq snd_nxt{1}, rcv_nxt;
  Seq acked;  // last
  std::uint32_t ts_val = 1, ts_ecr = 0;
  bool stamped = false;
  std::uint16_t wnd = 65'535;
};

template <class Source>
struct RandomFrames {
  explicit RandomFrames(Source& source) : rng(source), w(random_frames_config()) {
    listener = w.listen(80, 8);
    for (std::uint16_t i = 0; i < kFlows; ++i) {
      Far f;
      f.at.addr = i % 4 == 0 ? IpAddr::v4(192, 0, 2, static_cast<std::uint8_t>(i)) : kPeer;
      f.at.port = static_cast<std::uint16_t>(1'000 + i);
      f.stamped = i % 3 == 0;
      flows.push_back(f);
    }
    w.silent.insert(IpAddr::v4(10, 0, 0, 99));
    w.on_ready = [this](const Ready& r) { on_ready(r); };
  }

  // -- The network
  std::uint32_t near(std::uint32_t range) {  // 0 most often, else within +-range
    if (rng.below(3) != 0) return 0;
    return rng.below(2 * range) - range;
  }
  unsigned random_flags() {
    if (rng.below(40) == 0) return rng.below(2) == 0 ? RST : RST | ACK;
    static constexpr std::array<unsigned, 11> kUsual = {
        SYN, SYN, SYN | ACK, ACK, ACK, ACK, ACK, ACK | PSH, ACK | PSH, FIN | ACK, FIN | ACK};
    return rng.below(40) == 0 ? rng.below(256)
                              : kUsual[rng.below(static_cast<std::uint32_t>(kUsual.size()))];
  }
  std::uint32_t random_length(unsigned flags) {
    if ((flags & (SYN | RST)) != 0 && rng.below(8) != 0) return 0;
    switch (rng.below(4)) {
      case 0:
        return 0;
      case 1:
        return 1 + rng.below(20);
      default:
        return rng.below(1'400);
    }
  }
  Octets segment() {
    Far& f = flows[rng.below(static_cast<std::uint32_t>(flows.size()))];
    Peer p(w, f.at);
    const unsigned flags = random_flags();
    const std::uint32_t len = random_length(flags);
    p.stamped = f.stamped != (rng.below(20) == 0);
    p.ts_val = f.ts_val += rng.below(3);
    if (rng.below(30) == 0) p.ts_val -= 1'000;
    p.ts_ecr = f.ts_ecr;
    if (rng.below(8) == 0) {
      f.wnd = static_cast<std::uint16_t>(rng.below(4) == 0 ? rng.below(3) : rng.below(65'536));
    }
    p.wnd = f.wnd;
    p.syn_options.mss = static_cast<std::uint16_t>(rng.below(3) == 0 ? rng.below(65'536) : 1'460);
    p.syn_options.window_scale =
        rng.below(2) == 0 ? wire::kNoWindowScale : static_cast<std::uint8_t>(rng.below(15));
    const std::uint32_t off = near(2'000);
    const Seq seq = f.snd_nxt + off;
    const Seq ack = f.rcv_nxt + near(3'000);
    if (at_or_before(ack, f.rcv_nxt)) f.acked = ack;
    const Octets frame = p.make(flags, seq, ack, std::string(len, 'x'));
    if (off == 0 && (flags & RST) == 0) {  // it is the next one: count it
      f.snd_nxt = seq + len + ((flags & SYN) != 0 ? 1U : 0U) + ((flags & FIN) != 0 ? 1U : 0U);
    }
    return frame;
  }
  Octets duplicate_ack(Far& f) {
    Peer p(w, f.at);
    p.stamped = f.stamped;
    p.ts_val = f.ts_val;
    p.ts_ecr = f.ts_ecr;
    p.wnd = f.wnd;
    return p.make(ACK, f.snd_nxt, f.acked);
  }
  Octets other_frame() {
    const IpAddr from = IpAddr::v4(10, 0, 0, static_cast<std::uint8_t>(rng.below(256)));
    switch (rng.below(5)) {
      case 0:
        return udp_frame(from, kHost, "?");
      case 1:
        return icmp_frame(from, kHost, 8, 0, rng.below(9), Octets(rng.below(100)));
      case 2:
        return arp_frame(static_cast<std::uint16_t>(1 + rng.below(2)), from, mac_of(from),
                         rng.below(2) == 0 ? kHost : from,
                         rng.below(2) == 0 ? kHostMac : MacAddr::broadcast());
      default:
        return icmp_error();
    }
  }
  Octets icmp_error() {  // about something it sent of late
    if (last_sent.empty()) return Octets(60);
    const Octets& culprit = last_sent[rng.below(static_cast<std::uint32_t>(last_sent.size()))];
    Octets quote(culprit.begin() + 14, culprit.begin() + 42);
    if (rng.below(3) == 0)
      wire::store8(&quote[rng.below(28)], static_cast<std::uint8_t>(rng.next()));
    return icmp_frame(kGateway, kHost, rng.below(4) == 0 ? std::uint8_t{11} : std::uint8_t{3},
                      static_cast<std::uint8_t>(rng.below(16)), rng.below(1'600), quote);
  }
  Octets random_frame() {
    Octets f = rng.below(12) == 0 ? other_frame() : segment();
    if (rng.below(15) != 0) return f;
    for (unsigned n = 1 + rng.below(4); n > 0; --n) {
      const auto at = rng.below(static_cast<std::uint32_t>(f.size()));
      wire::store8(&f[at], static_cast<std::uint8_t>(rng.next()));
    }
    if (rng.below(4) == 0) f.resize(rng.below(static_cast<std::uint32_t>(f.size())));
    return f;
  }
  // Half of the broken ones must not fall to their checksums.
  Buf* block(const Octets& f) {
    Buf* b = nullptr;
    if (rng.below(10) == 0 && f.size() > 100) {
      b = w.pool.take_copy(std::span{f}.first(80));
      b->next = w.pool.take_copy(std::span{f}.subspan(80));
    } else {
      b = w.pool.take(static_cast<std::uint32_t>(f.size()) + rng.below(2) * 500);
      std::copy(f.begin(), f.end(), b->data);
      b->len = static_cast<std::uint32_t>(f.size());
      b->room -= b->len;
    }
    if (rng.below(2) == 0) b->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
    return b;
  }

  // -- The user
  ConnId some_conn() {
    return conns.empty() ? ConnId{} : conns[rng.below(static_cast<std::uint32_t>(conns.size()))];
  }
  void on_ready(const Ready& r) {
    seen[static_cast<unsigned>(w.stack->state_of(r.conn))] = true;
    if ((r.events & kAccepted) != 0) remember(r.conn);
    if (rng.below(3) == 0) user_call(r.conn);
    if (rng.below(6) == 0) user_call(some_conn());
  }
  void remember(ConnId c) {
    conns.push_back(c);
    if (conns.size() > 60) conns.erase(conns.begin());
  }
  void user_call(ConnId c) {
    Stack& s = *w.stack;
    switch (rng.below(16)) {
      case 0:
      case 1:
        s.send_copy(c, octets_of(std::string(rng.below(5'000), 'y')));
        break;
      case 2:
        s.send_borrowed(c, {kStatic.data(), rng.below(3'000)});
        break;
      case 3:
        s.send_buffers(c, s.receive_buffers(some_conn(), 1 + rng.below(4'000)));
        break;
      case 4:
      case 5:
        s.release(s.receive_buffers(c, rng.below(20'000)));
        break;
      case 6:
        loans.push_back(s.receive_buffers(c, 2'000));
        if (loans.size() > 8) {
          for (BufChain& l : loans) s.release(std::move(l));
          loans.clear();
        }
        break;
      case 7:
        s.shutdown_send(c);
        break;
      case 8:
        s.close(c);
        break;
      case 9:
        if (rng.below(3) == 0) s.abort(c);
        break;
      case 10:
        s.set_timer(c, rng.below(4) == 0 ? kNever : w.now + rng.below(900) * 1ms);
        break;
      case 11:
        s.want_writable(c);
        s.set_nodelay(c, rng.below(2) == 0);
        break;
      case 12:
        s.configure(c, some_options());
        s.set_quickack(c, rng.below(2) == 0);
        break;
      case 13: {
        std::array<std::byte, 3'000> into{};
        const std::size_t n = s.peek(c, rng.below(2'000), into);
        WEIR_ASSERT(n <= s.readable(c));
        WEIR_ASSERT(s.receive_copy(c, std::span(into).first(rng.below(3'000))) <= into.size());
        break;
      }
      default:
        connect();
    }
  }
  ConnOptions some_options() {
    constexpr std::array<std::uint32_t, 4> kSizes = {0, 1, 6'000, 200'000};
    const auto size = [&] { return kSizes[rng.below(4)]; };
    ConnOptions o;
    if (rng.below(4) == 0) return o;
    o.tcp.rcvbuf = size();
    o.tcp.sndbuf = size();
    o.tcp.window_clamp = size();
    o.tcp.notsent_lowat = size();
    o.tcp.user_mss = static_cast<std::uint16_t>(rng.below(3) * 500);
    o.tcp.fin_timeout_s = static_cast<std::int16_t>(static_cast<int>(rng.below(4)) - 1);
    o.tcp.congestion_control = static_cast<tcp::OwnSettings::Algorithm>(rng.below(3));
    o.tcp.no_delay = rng.below(2) == 0;
    o.ttl = static_cast<std::uint8_t>(rng.below(3));
    return o;
  }
  // Everything there is to see, in pages; as many as the gauges say.
  void look() {
    const Gauges g = w.stack->gauges();
    std::array<ConnSnapshot, 5> page;
    SnapshotCursor at;
    std::uint32_t conns_seen = 0, half_open = 0, time_wait = 0;
    for (unsigned calls = 0; calls < 1'000 && !Stack::at_end(at); ++calls) {
      const std::size_t n = w.stack->each_connection(at, page);
      for (std::size_t i = 0; i < n; ++i) {
        const bool half = !page[i].index && page[i].state == tcp::State::kSynReceived;
        ++(page[i].index ? conns_seen : half ? half_open : time_wait);
      }
    }
    WEIR_ASSERT(Stack::at_end(at));
    WEIR_ASSERT(conns_seen <= g.connections && half_open == g.half_open);
    WEIR_ASSERT(time_wait == g.time_wait);
    const auto info = w.stack->info(some_conn());
    WEIR_ASSERT(!info || info->sacked + info->lost <= info->unacked);
  }
  void connect() {
    const IpAddr to = rng.below(10) == 0 ? IpAddr::v4(10, 0, 0, 99) : kPeer;
    const auto c = w.stack->connect({to, 8'080}, {}, w.now);
    if (!c.ok()) return;
    remember(c.value());
    w.end_later(c.value());
    Far& f = flows[rng.below(kActive)];  // in place of an earlier one
    f.at = {to, 8'080, w.stack->flow_of(c.value()).local_port, kHost};
  }
  void listeners() {
    if (rng.below(4) == 0) {
      w.stack->stop_listening(listener);
      listener = w.listen(80, 1 + rng.below(8));
    } else if (rng.below(3) == 0) {
      w.stack->configure(listener, some_options());
      w.stack->set_defer_accept(listener, rng.below(3) * 1s);
    } else {
      w.stack->pause_accept(listener, rng.below(3) == 0);
    }
  }

  // -- Both
  void learn() {
    for (const Sent& s : w.tcp) {
      last_sent.push_back(s.octets);
      for (Far& f : flows) {
        if (f.at.addr != s.frame.dst || f.at.port != s.tcp().dst_port ||
            f.at.local_port != s.tcp().src_port) {
          continue;
        }
        f.rcv_nxt = s.tcp().seq + static_cast<std::uint32_t>(s.text.size()) +
                    ((s.tcp().flags & (SYN | FIN)) != 0 ? 1U : 0U);
        if ((s.tcp().flags & ACK) != 0) f.snd_nxt = s.tcp().ack;
        if (s.tcp().options.has_timestamps) f.ts_ecr = s.tcp().options.ts_val;
      }
    }
    if (last_sent.size() > 40) last_sent.erase(last_sent.begin(), last_sent.end() - 40);
    w.tcp.clear();
    w.icmp.clear();
    w.arp.clear();
  }
  void step() {
    std::vector<Buf*> bufs;
    for (unsigned n = 1 + rng.below(rng.below(20) == 0 ? 64 : 6); n > 0; --n) {
      bufs.push_back(block(random_frame()));
      ++frames;
    }
    if (rng.below(10) == 0) {
      Far& f = flows[rng.below(kFlows)];
      for (unsigned n = 0; n < 4; ++n) bufs.push_back(w.pool.take_copy(duplicate_ack(f)));
    }
    w.iterate_bufs(bufs);
    if (rng.below(4) == 0) user_call(some_conn());
    if (rng.below(200) == 0) listeners();
    if (rng.below(50) == 0) look();
    if (rng.below(500) == 0) w.pool.set_limit(w.pool.outstanding() + 200);
    for (const ConnId c : conns) seen[static_cast<unsigned>(w.stack->state_of(c))] = true;
    if (w.stack->gauges().time_wait > 0) seen[static_cast<unsigned>(tcp::State::kTimeWait)] = true;
    learn();
    const std::uint32_t t = rng.below(100);
    w.run_for(t == 0 ? 2s : t < 10 ? rng.below(200) * 1ms : rng.below(2'000) * 1us);
    learn();
  }
  void end() {
    w.pool.set_limit(sim::BlockPool::kNoLimit);
    for (BufChain& l : loans) w.stack->release(std::move(l));
    w.on_ready = nullptr;
    w.iterate();
  }

  Source& rng;
  World w;
  ListenerId listener = 0;
  std::vector<Far> flows;
  std::vector<ConnId> conns;
  std::vector<BufChain> loans;
  std::vector<Octets> last_sent;
  std::bitset<tcp::kStates> seen;
  unsigned frames = 0;
  static constexpr std::array<std::byte, 3'000> kStatic{};
};

}  // namespace weir::stack::test
