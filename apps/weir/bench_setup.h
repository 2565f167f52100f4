// From what a benchmark is asked for to what its parts are told: devices, stacks, both programs.
#pragma once

#include <string>

#include "bench.h"
#include "bench_echo.h"
#include "config.h"
#include "dpdk/port.h"
#include "load_config.h"

namespace weir::app {

enum class BenchSide : std::uint8_t { kClient, kServer };

// The device of one side. `socket`: the path that both processes know.
[[nodiscard]] std::string bench_device(const BenchConfig& c, BenchSide side,
                                       const std::string& socket);
[[nodiscard]] dpdk::PortConfig bench_port(const BenchConfig& c, const std::string& device);
[[nodiscard]] stack::Config bench_stack(const BenchConfig& c, BenchSide side,
                                        const dpdk::Port& port);
[[nodiscard]] ServeConfig bench_serve(const BenchConfig& c);
[[nodiscard]] LoadConfig bench_load(const BenchConfig& c);
[[nodiscard]] EchoConfig bench_echo(const BenchConfig& c);
[[nodiscard]] std::uint32_t full_frame(const dpdk::Port& port);    // octets, without its checksum
[[nodiscard]] std::uint32_t bench_sessions(const BenchConfig& c);  // records of a server
// What starts the other half as the server.
[[nodiscard]] std::vector<std::string> peer_arguments(const BenchConfig& c,
                                                      const std::string& socket);

}  // namespace weir::app
