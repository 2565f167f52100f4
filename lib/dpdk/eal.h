// DPDK's environment (EAL): memory, worker threads and the log, brought up once per process.
//
// The calling thread becomes the control plane and is not pinned; each worker is a thread pinned to
// one CPU of the config. DPDK's log is captured, never printed unless asked for: its lines appear
// in the one-line errors of this module. Leaves hugepages as they are found.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::dpdk {

struct EalConfig {
  std::vector<unsigned> cores = {0};   // a CPU for each worker; one may be named more than once
  bool hugepages = false;              // false: ordinary memory, for virtual ports
  unsigned memory_mb = 512;            // for all pools of all ports; touched as it is used
  std::string file_prefix{};           // empty: by process id
  std::vector<std::string> devices{};  // of the ports to come: PCI is scanned only for those named
  std::vector<std::string> extra_args{};  // handed to the EAL as they are
  bool verbose = false;                   // DPDK's log goes to stderr as well
};

class Eal {
 public:
  // Once per process, from the thread that stays the control plane. The error is one line.
  static Result<std::unique_ptr<Eal>, std::string> init(const EalConfig& config);
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  [[nodiscard]] unsigned workers() const { return static_cast<unsigned>(jobs_.size()); }
  // Starts `job` on worker `worker`'s thread. Pre: it is not running one.
  void launch(unsigned worker, std::function<void()> job);
  void join(unsigned worker);  // returns when its job has

 private:
  explicit Eal(const EalConfig& config) : jobs_(config.cores.size()) {}
  static int run(void* job);

  std::vector<std::function<void()>> jobs_;
};

}  // namespace weir::dpdk
