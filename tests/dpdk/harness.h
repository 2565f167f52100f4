// What the tests of ports share: the process's EAL, text to send, frames taken apart.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dpdk/eal.h"
#include "dpdk/port.h"
#include "tcp/core.h"
#include "telemetry/counters.h"
#include "wire/frame.h"

namespace weir::dpdk::test {

Eal& eal();                        // made by main
bool has_own_network_namespace();  // false: no right to make one, tests of interfaces are skipped

// A port that must open, with pools small enough for many of them.
PortConfig small(std::string device);
std::unique_ptr<Port> open_or_fail(const PortConfig& config);

// Text in pieces of these lengths, each in a Buf of its own; octet i of the whole is i * 7 + 3.
BufChain text(Queue& from, const std::vector<std::uint32_t>& lengths);
std::byte octet(std::size_t i);

tcp::TxPacket packet(const BufChain& text, std::uint32_t offset, std::uint32_t len,
                     bool v6 = false);

// Polls a bounded number of times for `n` frames; fails when they do not come.
std::vector<Buf*> receive(Queue& q, std::size_t n);
// The octets of a received frame, which goes back to its pool.
std::vector<std::byte> take_octets(Queue& q, Buf* frame);

struct Parsed {
  std::vector<std::byte> octets;
  wire::Frame frame;
  [[nodiscard]] std::span<const std::byte> payload() const {
    return std::span(octets).subspan(frame.payload_offset, frame.payload_len);
  }
};
// Parsed without help from the port: both checksums are computed.
Parsed parse(Queue& q, Buf* frame);

// Octets of the pools that are out, once the port had time to give back what it sent.
std::uint32_t in_use(const Port& port);

}  // namespace weir::dpdk::test
