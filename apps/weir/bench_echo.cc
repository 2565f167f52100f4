#include "bench_echo.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "base/assert.h"

namespace weir::app {
namespace {

constexpr std::uint32_t kPerTurn = 64;  // connects, and messages, begun in one iteration
constexpr unsigned kPiecesAtOnce = 64;  // of one connection's text

}  // namespace

EchoServer::EchoServer(stack::Stack& s, const EchoConfig& config) : stack_(s), config_(config) {}

bool EchoServer::start() {
  for (const Endpoint& e : config_.targets) {
    stack::ListenOptions o;
    o.backlog = 65'535;
    if (!stack_.listen(e, o)) return false;
  }
  return true;
}

void EchoServer::on_readable(Connection c, std::uint64_t) {
  std::array<std::byte, kMostEchoOctets> text;
  for (unsigned i = 0; i < kPiecesAtOnce; ++i) {
    const std::size_t n = c.receive_copy(text);
    if (n == 0) return;
    if (c.send(std::span(text).first(n)) != n) count(errors_);
    count(answers_);
  }
}

EchoClient::EchoClient(stack::Stack& s, const EchoConfig& config)
    : stack_(s),
      config_(config),
      peers_(config.connections),
      message_(config.octets),
      ns_per_cycle_(1e9 / static_cast<double>(dpdk::cycles_hz())) {
  WEIR_ASSERT(config.octets >= sizeof(std::uint32_t) && config.octets <= kMostEchoOctets);
  for (std::size_t i = 0; i < message_.size(); ++i) message_[i] = static_cast<std::byte>(i * 7);
}

unsigned EchoClient::on_turn(Instant now) {
  return open_some(now) + ask_some();
}

// Source and port of the server in turn: as many pairs as there are, each with as many connections.
unsigned EchoClient::open_some(Instant now) {
  const std::uint32_t wanted = wanted_.load(std::memory_order_acquire);
  unsigned n = 0;
  for (; n < kPerTurn && begun_ < wanted && connecting_ < kMostEchoConnecting; ++n) {
    const std::size_t targets = config_.targets.size();
    const Endpoint& to = config_.targets[begun_ % targets];
    const IpAddr& from = config_.sources[begun_ / targets % config_.sources.size()];
    const auto id = stack_.connect(to, from, now);
    if (!id) {
      count(errors_);
      peers_[begun_++].got = kGone;
      continue;
    }
    peers_[begun_].conn = id.value();
    stack_.set_user(id.value(), begun_);
    ++begun_;
    ++connecting_;
  }
  return n;
}

void EchoClient::on_connected(Connection, std::uint64_t user) {
  peers_[user].got = kResting;
  --connecting_;
  count(open_);
}

// Neighbours in time are far apart in memory: a step of about the golden section, without a common
// divisor.
void EchoClient::choose(std::uint32_t among) {
  chosen_ = among;
  cursor_ = 0;
  stride_ = std::max(1U, static_cast<std::uint32_t>(among * 0.6180339887));
  while (std::gcd(stride_, among) != 1) ++stride_;
}

unsigned EchoClient::ask_some() {
  const std::uint32_t among = among_.load(std::memory_order_acquire);
  if (among == 0) return 0;
  if (among != chosen_) choose(among);
  unsigned n = 0;
  for (unsigned tries = 0; tries < kPerTurn && under_way() < config_.window; ++tries) {
    cursor_ = static_cast<std::uint32_t>((std::uint64_t{cursor_} + stride_) % among);
    if (peers_[cursor_].got != kResting) continue;
    send(cursor_);
    ++n;
  }
  return n;
}

void EchoClient::send(std::uint32_t index) {
  Peer& p = peers_[index];
  std::memcpy(message_.data(), &index, sizeof index);
  p.got = 0;
  count(under_way_);
  sent_at_ = dpdk::cycles();
  if (stack_.send_copy(p.conn, message_) != message_.size()) count(errors_);
}

void EchoClient::on_readable(Connection c, std::uint64_t user) {
  Peer& p = peers_[user];
  std::array<std::byte, kMostEchoOctets> text;
  for (unsigned i = 0; i < kPiecesAtOnce; ++i) {
    const std::size_t n = c.receive_copy(text);
    if (n == 0) return;
    if (p.got >= kGone ||
        !is_echo(static_cast<std::uint32_t>(user), message_, p.got, std::span(text).first(n))) {
      count(errors_);
      return;
    }
    p.got += static_cast<std::uint32_t>(n);
    if (p.got < config_.octets) continue;
    if (config_.window == 1) {
      const auto took = static_cast<double>(dpdk::cycles() - sent_at_) * ns_per_cycle_;
      times_.record(static_cast<std::uint64_t>(took));
    }
    p.got = kResting;
    under_way_.store(under_way() - 1, kRelaxed);
    count(answers_);
  }
}

void EchoClient::on_closed(Connection, std::uint64_t user, CloseReason) {
  Peer& p = peers_[user];
  if (p.got == kConnecting) --connecting_;
  if (p.got < kGone) under_way_.store(under_way() - 1, kRelaxed);
  p.got = kGone;
  count(errors_);
}

}  // namespace weir::app
