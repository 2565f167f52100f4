#include "dpdk/eal.h"

#include <getopt.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "dpdk/device.h"
#include "dpdk/eal_log.h"

namespace weir::dpdk {
namespace {

constexpr unsigned kMinMemoryMb = 32;
constexpr unsigned kMaxWorkers = 64;

std::vector<unsigned> allowed_cpus() {
  std::vector<unsigned> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::string join(const std::vector<unsigned>& cpus) {
  std::string out;
  for (const unsigned cpu : cpus) out += (out.empty() ? "" : ",") + std::to_string(cpu);
  return out;
}

// Megabytes in free hugepages of all sizes.
std::uint64_t free_hugepages_mb() {
  std::uint64_t kb = 0;
  std::error_code ec;
  constexpr std::string_view kPrefix = "hugepages-";  // then "2048kB"
  for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", ec)) {
    const std::string name = size.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    std::uint64_t n = 0;
    std::ifstream(size.path() / "free_hugepages") >> n;
    kb += n * std::strtoull(name.c_str() + kPrefix.size(), nullptr, 10);
  }
  return kb >> 10U;
}

// Empty, or what is wrong with the hugepages for `devices`.
std::string check_hugepages(const EalConfig& config) {
  std::string needing;
  for (const std::string& text : config.devices) {
    auto device = parse_device(text);
    if (device && needs_hugepages(*device)) needing = text;
  }
  const std::string reserve =
      "sysctl -w vm.nr_hugepages=" + std::to_string((config.memory_mb + 1) / 2);
  if (!config.hugepages) {
    if (needing.empty()) return {};
    return "hugepages: off, but " + needing +
           " is behind a uio driver, which needs them: " + reserve + ", and set hugepages = true";
  }
  const std::uint64_t free = free_hugepages_mb();
  if (free >= config.memory_mb) return {};
  const std::string less = free >= kMinMemoryMb ? ", or lower memory_mb to " + std::to_string(free)
                           : needing.empty()    ? ", or set hugepages = false"
                                                : "";
  return "hugepages: " + (free == 0 ? "none is free" : std::to_string(free) + " MB are free") +
         ", memory_mb is " + std::to_string(config.memory_mb) + ": reserve some (" + reserve + ")" +
         less;
}

// Empty, or what is wrong with the config.
std::string check(const EalConfig& config, const std::vector<unsigned>& cpus) {
  if (config.cores.empty() || config.cores.size() > kMaxWorkers) {
    return "cores: " + std::to_string(config.cores.size()) + " workers: name 1 to " +
           std::to_string(kMaxWorkers) + " CPUs";
  }
  for (const unsigned cpu : config.cores) {
    if (std::find(cpus.begin(), cpus.end(), cpu) == cpus.end()) {
      return "cores: CPU " + std::to_string(cpu) +
             " is not one that this process may use: choose " + "among " + join(cpus);
    }
  }
  if (config.memory_mb < kMinMemoryMb) {
    return "memory_mb: " + std::to_string(config.memory_mb) + " is too little: at least " +
           std::to_string(kMinMemoryMb);
  }
  return check_hugepages(config);
}

// Lcore 0 is the control plane, free to run where the process may; lcore i + 1 is worker i.
std::vector<std::string> arguments(const EalConfig& config, const std::vector<unsigned>& cpus) {
  std::string lcores = "0@(" + join(cpus) + ")";
  for (std::size_t i = 0; i < config.cores.size(); ++i) {
    lcores += "," + std::to_string(i + 1) + "@" + std::to_string(config.cores[i]);
  }
  std::vector<std::string> args = {"weir",
                                   "--lcores",
                                   lcores,
                                   "--main-lcore",
                                   "0",
                                   "--no-telemetry",
                                   config.verbose ? "--log-level=*:notice" : "--log-level=*:error"};
  args.insert(args.end(), {"-m", std::to_string(config.memory_mb)});
  args.insert(args.end(),
              {"--file-prefix", config.file_prefix.empty() ? "weir-" + std::to_string(getpid())
                                                           : config.file_prefix});
  // --no-huge and --in-memory exclude each other; either way no file is left behind.
  if (config.hugepages) {
    args.emplace_back("--in-memory");
  } else {
    args.insert(args.end(), {"--no-huge", "--no-shconf"});
  }
  bool pci = false;
  for (const std::string& device : config.devices) {
    if (!is_pci_address(device)) continue;
    pci = true;
    args.insert(args.end(), {"-a", device});
  }
  if (!pci) args.emplace_back("--no-pci");
  args.insert(args.end(), config.extra_args.begin(), config.extra_args.end());
  return args;
}

// The EAL prints its usage to stdout, and getopt a line to stderr, when an argument is unknown.
class Quiet {
 public:
  explicit Quiet(bool on) : saved_(on ? dup(STDOUT_FILENO) : -1), opterr_(opterr) {
    if (!on) return;
    opterr = 0;
    std::fflush(stdout);
    if (std::freopen("/dev/null", "w", stdout) == nullptr) return;
  }
  ~Quiet() {
    opterr = opterr_;
    if (saved_ < 0) return;
    std::fflush(stdout);
    dup2(saved_, STDOUT_FILENO);
    close(saved_);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  int saved_;
  int opterr_;
};

// Why it refuses to start the EAL says twice: to its log, which ends in our one line, and with
// "EAL: FATAL:" to stderr. Takes those lines out of stderr while it lives.
class NoAlerts {
 public:
  NoAlerts() : saved_(stderr) {
    FILE* const filter = fopencookie(saved_, "w", {nullptr, &NoAlerts::pass, nullptr, nullptr});
    if (filter == nullptr) return;
    std::setvbuf(filter, nullptr, _IOLBF, BUFSIZ);
    stderr = filter;  // glibc's standard streams are variables
  }
  ~NoAlerts() {
    if (stderr != saved_) std::fclose(std::exchange(stderr, saved_));
  }
  NoAlerts(const NoAlerts&) = delete;
  NoAlerts& operator=(const NoAlerts&) = delete;

 private:
  static ssize_t pass(void* to, const char* data, std::size_t size) {
    if (!std::string_view(data, size).starts_with("EAL: FATAL:")) {
      std::fwrite(data, 1, size, static_cast<FILE*>(to));
    }
    return static_cast<ssize_t>(size);
  }

  FILE* saved_;
};

}  // namespace

Result<std::unique_ptr<Eal>, std::string> Eal::init(const EalConfig& config) {
  static bool done = false;
  if (done) return std::string("dpdk: the EAL is brought up once per process");
  const std::vector<unsigned> cpus = allowed_cpus();
  if (std::string wrong = check(config, cpus); !wrong.empty()) return wrong;
  std::vector<std::string> args = arguments(config, cpus);
  std::vector<char*> argv;
  argv.reserve(args.size());
  for (std::string& a : args) argv.push_back(a.data());
  eal_log::install(config.verbose);
  eal_log::forget();
  {
    const Quiet quiet(!config.extra_args.empty());
    const NoAlerts no_alerts;
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
      return "dpdk: the EAL refused to start: " + eal_log::said(rte_strerror(rte_errno));
    }
  }
  done = true;
  eal_log::keep_start();
  return std::unique_ptr<Eal>(new Eal(config));
}

Eal::~Eal() {
  for (unsigned w = 0; w < workers(); ++w) join(w);
  // Not rte_eal_cleanup: it unmaps all memory under the EAL's interrupt thread, which may still be
  // ending a connection of memif or vhost. The kernel takes the memory back; the directory made for
  // this process is empty.
  rmdir(rte_eal_get_runtime_dir());
}

int Eal::run(void* job) {
  prctl(PR_SET_TIMERSLACK, 1'000UL, 0UL, 0UL, 0UL);  // ns: an idle worker's short sleeps stay short
  (*static_cast<std::function<void()>*>(job))();
  return 0;
}

void Eal::launch(unsigned worker, std::function<void()> job) {
  WEIR_ASSERT(worker < workers());
  WEIR_ASSERT(rte_eal_get_lcore_state(worker + 1) == WAIT);
  jobs_[worker] = std::move(job);
  WEIR_ASSERT(rte_eal_remote_launch(&Eal::run, &jobs_[worker], worker + 1) == 0);
}

void Eal::join(unsigned worker) {
  WEIR_ASSERT(worker < workers());
  rte_eal_wait_lcore(worker + 1);
}

}  // namespace weir::dpdk
