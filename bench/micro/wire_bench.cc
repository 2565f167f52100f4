// Octets to fields and back: checksum, parsing a frame, writing a frame's headers. SYNs with their
// options as well as data segments.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "base/rng.h"
#include "meter.h"
#include "wire/checksum.h"
#include "wire/frame.h"

namespace weir::bench {
namespace {

void checksum(benchmark::State& state) {
  std::vector<std::byte> octets(static_cast<std::size_t>(state.range(0)));
  Rng rng(1);
  for (auto& octet : octets) octet = static_cast<std::byte>(rng.next() & 0xffU);
  const Meter meter(state);
  for (auto _ : state) benchmark::DoNotOptimize(wire::checksum(octets));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// A data segment with timestamps, `payload` octets of zeros.
wire::TcpFrame data_segment(std::uint32_t payload) {
  wire::TcpFrame f;
  f.flow = {.local = IpAddr::v4(10, 0, 0, 1),
            .remote = IpAddr::v4(10, 0, 0, 2),
            .local_port = 80,
            .remote_port = 40'000};
  f.tcp.flags = wire::ACK;
  f.tcp.options.has_timestamps = true;
  f.payload_len = payload;
  return f;
}

// As Linux sends it.
wire::TcpFrame syn() {
  wire::TcpFrame f = data_segment(0);
  f.tcp.flags = wire::SYN;
  f.tcp.options.mss = 1'460;
  f.tcp.options.sack_permitted = true;
  f.tcp.options.window_scale = 7;
  return f;
}

std::vector<std::byte> octets_of(const wire::TcpFrame& f) {
  std::vector<std::byte> frame(wire::kMaxTcpFrameHeader + f.payload_len);
  const std::vector<std::byte> data(f.payload_len);
  const wire::Piece piece{data.data(), f.payload_len};
  const std::size_t header =
      wire::write_tcp_frame(frame, f, wire::TxChecksum::kSoftware, {&piece, 1});
  frame.resize(header + f.payload_len);
  return frame;
}

void parse_one(benchmark::State& state, const std::vector<std::byte>& frame, bool offloaded) {
  wire::Frame out;
  const Meter meter(state);
  for (auto _ : state) {
    wire::parse_frame(frame, frame.size(), {offloaded, offloaded}, out);
    benchmark::DoNotOptimize(out);
  }
  if (out.kind != wire::Kind::kTcp) state.SkipWithError("the frame did not parse");
}

void parse(benchmark::State& state) {
  const auto payload = static_cast<std::uint32_t>(state.range(0));
  parse_one(state, octets_of(data_segment(payload)), state.range(1) != 0);
}

void parse_syn(benchmark::State& state) {
  parse_one(state, octets_of(syn()), state.range(0) != 0);
}

void write(benchmark::State& state) {
  const wire::TcpFrame f = data_segment(1'448);
  std::array<std::byte, wire::kMaxTcpFrameHeader> out;
  const Meter meter(state);
  for (auto _ : state) {
    benchmark::DoNotOptimize(wire::write_tcp_frame(out, f, wire::TxChecksum::kOffload, {}));
    benchmark::ClobberMemory();
  }
}

BENCHMARK(checksum)->Arg(20)->Arg(64)->Arg(1'460)->Arg(9'000);
BENCHMARK(parse)
    ->ArgNames({"payload", "offload"})
    ->Args({0, 1})
    ->Args({1'448, 1})
    ->Args({1'448, 0});
BENCHMARK(parse_syn)->ArgName("offload")->Arg(1)->Arg(0);
BENCHMARK(write)->Name("write_headers_offload");

}  // namespace
}  // namespace weir::bench

BENCHMARK_MAIN();
