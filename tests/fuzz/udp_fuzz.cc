// libFuzzer: UDP sockets under a user and a network, every call and datagram a choice of the input.
// The World asserts what must hold: invariants after each iteration, every block back at the end.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "fuzz/choices.h"
#include "harness.h"
#include "wire/octets.h"

namespace weir::stack::test {
namespace {

constexpr unsigned kMostSteps = 2'000;  // of one input: it must not look like a hang
constexpr IpAddr kSilent = IpAddr::v4(10, 0, 0, 99);
constexpr std::uint16_t kLow = 40'000;

Config fuzz_config() {
  Config c = config6();
  c.max_udp_sockets = 12;
  c.max_udp_datagrams = 40;
  c.tcp.udp_mem = 30'000;
  c.tcp.rmem_default = 8'000;
  c.tcp.port_low = kLow;
  c.tcp.port_high = kLow + 9;
  return c;
}

struct Life {
  explicit Life(weir::test::Choices& choices) : c(choices), w(fuzz_config()) {
    w.silent.insert(kSilent);
  }

  IpAddr local() {
    static constexpr std::array kAll{IpAddr{}, IpAddr::v4(0, 0, 0, 0), kHost, kHost6, kPeer};
    return kAll[c.below(kAll.size())];
  }
  Endpoint remote() {
    static constexpr std::array kAll{kPeer,    kPeer6,
                                     kHost,    kHost6,
                                     kSilent,  IpAddr::v4(10, 0, 0, 255),
                                     IpAddr{}, IpAddr::v4(224, 0, 0, 1)};
    return {kAll[c.below(kAll.size())], port()};
  }
  std::uint16_t port() {
    return static_cast<std::uint16_t>(c.below(2) == 0 ? 50 + c.below(4) : kLow + c.below(10));
  }
  UdpId some() {
    return ids.empty() ? UdpId{} : ids[c.below(static_cast<std::uint32_t>(ids.size()))];
  }
  void bind() {
    UdpOptions o;
    o.reuse_addr = c.below(2) == 0;
    o.reuse_port = c.below(2) == 0;
    if (c.below(2) == 0) o.v6_only = c.below(2) == 0;
    o.errors = static_cast<UdpErrors>(c.below(3));
    o.rcvbuf = c.below(3) * 2'000;
    const auto id = w.stack->udp_bind({local(), c.below(2) == 0 ? std::uint16_t{0} : port()}, o);
    if (!id.ok()) return;
    ids.push_back(id.value());
    if (ids.size() > 20) ids.erase(ids.begin());
  }
  void send() {
    UdpSend how;
    if (c.below(2) == 0) how.to = remote();
    if (c.below(4) == 0) how.source = local();
    if (c.below(4) == 0) how.ttl = static_cast<std::uint8_t>(c.below(256));
    const Octets text(c.below(4) == 0 ? c.below(70'000) : c.below(1'500));
    for (unsigned n = c.below(8) == 0 ? 600 : 1; n > 0; --n) {
      const UdpError e = w.stack->udp_send(some(), text, how);
      WEIR_ASSERT(!to_string(e).empty());
      if (e != UdpError::kNone) break;
    }
  }
  void receive() {
    const UdpId id = some();
    const auto view = w.stack->udp_peek(id);
    auto d = w.stack->udp_receive(id);
    WEIR_ASSERT(view.has_value() == d.has_value());
    if (!d) return;
    WEIR_ASSERT(view->len == d->text.bytes() && view->from == d->from && view->to == d->to);
    w.stack->release(std::move(d->text));
  }
  void user_call() {
    switch (c.below(10)) {
      case 0:
        return bind();
      case 1:
        static_cast<void>(w.stack->udp_connect(some(), remote()));
        return;
      case 2:
        return w.stack->udp_disconnect(some());
      case 3:
        return w.stack->udp_close(some());
      case 4:
        static_cast<void>(w.stack->udp_take_error(some()));
        return w.stack->set_udp_rcvbuf(some(), c.below(5'000));
      case 5:
        return w.stack->set_udp_errors(some(), static_cast<UdpErrors>(c.below(3)));
      case 6:
      case 7:
        return send();
      default:
        return receive();
    }
  }

  Octets frame() {
    const bool v4 = c.below(2) == 0;
    const Endpoint from{v4 ? kPeer : kPeer6, port()}, to{v4 ? kHost : kHost6, port()};
    return udp_frame(from, to, std::string(c.below(1'400), 'x'));
  }
  Octets icmp_error() {  // about something it sent of late
    if (sent.empty()) return frame();
    const Octets& culprit = sent[c.below(static_cast<std::uint32_t>(sent.size()))];
    const bool v4 = wire::load16(&culprit[12]) == 0x0800;
    Octets quote(culprit.begin() + 14, culprit.begin() + (v4 ? 42 : 62));
    if (c.below(3) == 0) {
      const std::uint32_t at = c.below(static_cast<std::uint32_t>(quote.size()));
      wire::store8(&quote[at], static_cast<std::uint8_t>(c.below(256)));
    }
    const auto type = static_cast<std::uint8_t>(c.below(13)),
               code = static_cast<std::uint8_t>(c.below(16));
    return v4 ? icmp_frame(kGateway, kHost, type, code, c.below(2'000), quote)
              : icmp6_frame(kPeer6, kHost6, type, code, c.below(2'000), quote);
  }
  void step() {
    std::vector<Buf*> bufs;
    for (unsigned n = c.below(4); n > 0; --n) {
      Octets f = c.below(4) == 0 ? icmp_error() : frame();
      for (unsigned breaks = c.below(8) == 0 ? 1 + c.below(3) : 0; breaks > 0; --breaks) {
        const std::uint32_t at = c.below(static_cast<std::uint32_t>(f.size()));
        wire::store8(&f[at], static_cast<std::uint8_t>(c.below(256)));
      }
      Buf* const b = w.pool.take_copy(f);
      if (b == nullptr) continue;
      if (c.below(2) == 0) b->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
      if (c.below(8) == 0) b->flags |= c.below(2) == 0 ? Buf::kScarce : Buf::kLast;
      bufs.push_back(b);
    }
    for (unsigned n = c.below(5); n > 0; --n) user_call();
    w.iterate_bufs(bufs);
    for (const Sent& s : w.udp) sent.push_back(s.octets);
    if (sent.size() > 20) sent.erase(sent.begin(), sent.end() - 20);
    w.udp.clear();
    w.icmp.clear();
    w.arp.clear();
    w.nd.clear();
    w.udp_events.clear();
    if (c.below(50) == 0) w.pool.set_limit(w.pool.outstanding() + 100);
    w.run_for(c.below(20) == 0 ? 2s : Duration{c.below(2'000)});
  }

  weir::test::Choices& c;
  World w;
  std::vector<UdpId> ids;
  std::vector<Octets> sent;
};

}  // namespace
}  // namespace weir::stack::test

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  GTEST_FLAG_SET(break_on_failure, true);  // an EXPECT that fails is a finding
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weir::test::Choices choices(data, size);
  weir::stack::test::Life life(choices);
  for (unsigned n = 0; !choices.done() && n < weir::stack::test::kMostSteps; ++n) life.step();
  life.w.pool.set_limit(weir::sim::BlockPool::kNoLimit);
  return 0;
}
