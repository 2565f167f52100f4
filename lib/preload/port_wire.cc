#include "preload/port_wire.h"

#include <cstring>
#include <utility>

namespace weir::preload {

Result<std::unique_ptr<PortWire>, std::string> PortWire::open(const dpdk::EalConfig& eal,
                                                              const dpdk::PortConfig& port) {
  auto e = dpdk::Eal::init(eal);
  if (!e) return e.error();
  auto p = dpdk::Port::open(*e.value(), port);
  if (!p) return p.error();
  return std::unique_ptr<PortWire>(new PortWire(std::move(e.value()), std::move(p.value())));
}

PortWire::PortWire(std::unique_ptr<dpdk::Eal> eal, std::unique_ptr<dpdk::Port> port)
    : eal_(std::move(eal)),
      port_(std::move(port)),
      queue_(port_->queue(0)),
      source_(queue_.source()),
      event_fd_(port_->wake_this_thread(0)) {}

PortWire::~PortWire() {
  flush();
  give_back();
}

void PortWire::give_back() {
  BufChain chain;
  for (unsigned i = 0; i < count_; ++i) chain.push_back(received_[i]);
  count_ = 0;
  if (!chain.empty()) queue_.release(std::move(chain));
}

std::span<const std::span<const std::byte>> PortWire::receive() {
  give_back();
  count_ = queue_.rx_burst(received_);
  for (unsigned i = 0; i < count_; ++i) frames_[i] = {received_[i]->data, received_[i]->len};
  return std::span(frames_).first(count_);
}

// A frame for which there is no buffer is lost, as on any link.
void PortWire::send(std::span<const std::byte> frame) {
  Buf* b = nullptr;
  if (source_.take(source_.context, &b, 1) != 1) return;
  if (b->room < frame.size())
    return queue_.release([b] {
      BufChain c;
      c.push_back(b);
      return c;
    }());
  std::memcpy(b->data, frame.data(), frame.size());
  b->len = static_cast<std::uint32_t>(frame.size());
  b->room -= b->len;
  out_.push_back(b);
  if (++waiting_ == kBurst) flush();
}

void PortWire::flush() {
  if (out_.empty()) return;
  waiting_ = 0;
  queue_.transmit({}, std::move(out_), counters_);
}

}  // namespace weir::preload
