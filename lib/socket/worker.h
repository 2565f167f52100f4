// One core's loop: driver, stack, handler, joined. The one place where all three meet.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <span>

#include "socket/socket.h"

namespace weir {

// What a driver of a stack offers. `now` is monotonic; rx_burst hands over whole frames.
template <class D>
concept Driver = requires(D& d, std::span<Buf*> in, std::span<const tcp::TxPacket> packets,
                          BufChain chain, std::span<const tcp::HandOver> other) {
  { d.now() } -> std::same_as<Instant>;
  { d.rx_burst(in) } -> std::convertible_to<unsigned>;
  d.transmit(packets, std::move(chain), std::declval<telemetry::Counters&>());
  d.hand_over(other, std::declval<telemetry::Counters&>());
  d.release(std::move(chain));
};

// A Handler that does things of its own accord: it is called once a turn, after the connections
// that were ready, and says how much it did and when it wants to be called again at the latest. Not
// before the stack's addresses are known to be free: it could not send from them.
template <class H>
concept HasTurns = requires(H& h, Instant now) {
  { h.on_turn(now) } -> std::convertible_to<unsigned>;
  { h.next_turn() } -> std::same_as<Instant>;
};

template <Driver D, Handler H>
class Worker {
 public:
  static constexpr unsigned kBurst = 32;

  Worker(D& driver, stack::Stack& s, H& handler) : driver_(driver), stack_(s), handler_(handler) {}

  // Marks the stages of each iteration from here on; outlives the stack.
  void set_meter(telemetry::StageMeter* meter) {
    meter_ = meter;
    stack_.set_meter(meter);
  }

  // Frames received plus connections handled: 0 says that there was nothing to do.
  unsigned run_once() {
    using enum telemetry::Stage;
    if (meter_ != nullptr) meter_->begin();
    const Instant now = driver_.now();
    std::array<Buf*, kBurst> frames;
    const unsigned n = driver_.rx_burst(frames);
    mark(kRx);
    stack_.receive({frames.data(), n}, now);
    stack_.advance(now);
    mark(kTimers);
    unsigned ready = dispatch(stack_, handler_);
    if constexpr (HasTurns<H>) {
      if (stack_.addresses_settled()) ready += handler_.on_turn(now);
    }
    mark(kApplication);
    stack_.poll_output(now);
    mark(kTcp);
    const bool sends = !stack_.tx_packets().empty();
    flush();
    mark(kTx);
    const unsigned work = n + ready + (stack_.has_pending_output() ? 1U : 0U);
    if (meter_ != nullptr) meter_->end(work != 0 || sends);
    return work;
  }

  // Nothing happens before this instant unless a frame arrives.
  [[nodiscard]] Instant next_deadline() const {
    if constexpr (HasTurns<H>) {
      if (stack_.addresses_settled()) return std::min(stack_.next_deadline(), handler_.next_turn());
    }
    return stack_.next_deadline();
  }

 private:
  void mark(telemetry::Stage ended) {
    if (meter_ != nullptr) meter_->mark(ended);
  }
  void flush() {
    driver_.transmit(stack_.tx_packets(), stack_.take_tx_frames(), stack_.counters());
    driver_.hand_over(stack_.hand_over(), stack_.counters());
    stack_.clear_hand_over();
    stack_.clear_tx();
    driver_.release(stack_.take_released());  // after transmit: packets point into these
  }

  D& driver_;
  stack::Stack& stack_;
  H& handler_;
  telemetry::StageMeter* meter_ = nullptr;
};

}  // namespace weir
