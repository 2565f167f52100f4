// The wire of a stack thread that stands on a DPDK port.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/buf.h"
#include "base/result.h"
#include "dpdk/eal.h"
#include "dpdk/port.h"
#include "preload/wire.h"
#include "telemetry/counters.h"

namespace weir::preload {

class PortWire final : public Wire {
 public:
  // From the thread that will use it. The error is one line.
  static Result<std::unique_ptr<PortWire>, std::string> open(const dpdk::EalConfig& eal,
                                                             const dpdk::PortConfig& port);
  ~PortWire() override;
  PortWire(const PortWire&) = delete;
  PortWire& operator=(const PortWire&) = delete;

  std::span<const std::span<const std::byte>> receive() override;
  void send(std::span<const std::byte> frame) override;
  void flush() override;
  [[nodiscard]] int event_fd() const override { return event_fd_; }

  [[nodiscard]] MacAddr mac() const { return port_->mac(); }
  [[nodiscard]] std::uint16_t mtu() const { return port_->mtu(); }

 private:
  PortWire(std::unique_ptr<dpdk::Eal> eal, std::unique_ptr<dpdk::Port> port);
  void give_back();

  std::unique_ptr<dpdk::Eal> eal_;
  std::unique_ptr<dpdk::Port> port_;
  dpdk::Queue& queue_;
  BufSource source_;
  int event_fd_;
  telemetry::Counters counters_;
  std::array<Buf*, kBurst> received_{};
  unsigned count_ = 0;
  std::array<std::span<const std::byte>, kBurst> frames_{};
  BufChain out_;
  unsigned waiting_ = 0;
};

}  // namespace weir::preload
