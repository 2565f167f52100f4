#include "run.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>

#include "dpdk/device.h"
#include "dpdk/eal.h"
#include "dpdk/port.h"
#include "entropy.h"
#include "flow/toeplitz.h"
#include "json.h"
#include "last_words.h"
#include "match/rules.h"
#include "programs.h"
#include "toml_reader.h"
#include "version.h"

namespace weir::app {
namespace {

constexpr Duration kPoll = 50ms;  // how often a drain looks, and who waits for a link
constexpr Duration kLinkPatience = 60s;
constexpr Duration kAbortGrace = 2s;  // for the resets of a drain's end to go out
constexpr Duration kAbortPoll = 5ms;
constexpr Duration kSameBreath = 300ms;
constexpr Duration kSettlePoll = 10ms;  // who waits for addresses looks as often
constexpr int kExitSignal = 1, kExitErrors = 1, kExitStart = 2;

int fail(const RunOptions& options, const std::string& what, int code = kExitStart) {
  std::fprintf(stderr, "weir: %s: %s\n", options.config_path.c_str(), what.c_str());
  return code;
}

dpdk::EalConfig eal_config(const Config& c, const RunOptions& options) {
  dpdk::EalConfig e;
  e.cores = c.eal.cores;
  e.hugepages = c.eal.hugepages;
  e.memory_mb = c.eal.memory_mb;
  e.file_prefix = c.eal.file_prefix;
  e.devices = {c.port.device};
  e.verbose = options.verbose;
  return e;
}

dpdk::PortConfig port_config(const Config& c) {
  dpdk::PortConfig p;
  const auto cores = static_cast<std::uint32_t>(c.eal.cores.size());
  p.device = c.port.device;
  p.mtu = c.port.mtu;
  p.workers = static_cast<std::uint16_t>(cores);
  p.rx_descriptors = c.port.rx_descriptors;
  p.tx_descriptors = c.port.tx_descriptors;
  p.rx_buffers = c.limits.mbufs * cores;
  p.payload_buffers = c.limits.payload_mbufs * cores;
  p.header_buffers = c.limits.header_mbufs * cores;
  p.mac = c.port.mac;
  p.offloads = static_cast<dpdk::OffloadUse>(c.port.offloads);
  return p;
}

// The port's addresses, then each listener's that is not among them.
std::vector<stack::IpPrefix> stack_addresses(const Config& c, const Program& program) {
  std::vector<stack::IpPrefix> out = c.port.addresses;
  for (const Endpoint& e : program.listens_on()) {
    if (e.addr.is_unspecified()) continue;
    const auto same = [&](const stack::IpPrefix& p) { return p.addr == e.addr; };
    if (std::any_of(out.begin(), out.end(), same)) continue;
    out.push_back({e.addr, static_cast<std::uint8_t>(e.addr.is_v4() ? 32 : 128)});
  }
  return out;
}

bool has_ipv6(const std::vector<stack::IpPrefix>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [](const stack::IpPrefix& p) { return !p.addr.is_v4(); });
}

std::int64_t steady_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

sigset_t control_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, s);
  return set;
}

// The signal that came within `wait`, or 0.
int wait_signal(Duration wait) {
  const sigset_t set = control_signals();
  const timespec t{wait.count() / 1'000'000, wait.count() % 1'000'000 * 1'000};
  const int s = sigtimedwait(&set, nullptr, &t);
  return s < 0 ? 0 : s;
}

// Everything that runs. Torn down in the right order: workers, shards, port, EAL.
class Runner {
 public:
  Runner(const Config& config, const RunOptions& options)
      : config_(config), options_(options), program_(make_program(config)) {}
  ~Runner() { stop(); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  [[nodiscard]] int start();  // 0, or the exit code
  [[nodiscard]] int control();

 private:
  [[nodiscard]] int make_shard(unsigned core, const stack::Secrets& secrets);
  [[nodiscard]] int wait_link() const;
  [[nodiscard]] int wait_addresses();
  void tell_conflicts();
  void map_rss();
  void announce() const;
  [[nodiscard]] int drain(const char* why);
  void order(Order o);
  [[nodiscard]] bool at_rest() const;
  [[nodiscard]] bool finished() const;
  [[nodiscard]] Sample sample() const;
  void print_stats();
  void add_row(const Sample& now, Duration least = {}) const;
  [[nodiscard]] bool conduct();
  void print_summary() const;
  void stop();

  const Config& config_;
  const RunOptions& options_;
  std::unique_ptr<Program> program_;
  std::unique_ptr<dpdk::Eal> eal_;
  std::unique_ptr<dpdk::Port> port_;
  std::unique_ptr<flow::RssMap> rss_;
  std::vector<std::unique_ptr<Shard>> shards_;
  bool launched_ = false;
  std::int64_t started_us_ = 0;
  Sample last_;
  Sample first_;  // of the end of a warm-up; else of nothing
  std::size_t conflicts_told_ = 0;
};

int Runner::start() {
  if (LoadCsv* csv = program_->csv()) {
    if (const auto wrong = csv->open()) return fail(options_, *wrong);
  }
  auto eal = dpdk::Eal::init(eal_config(config_, options_));
  if (!eal) return fail(options_, eal.error());
  eal_ = std::move(*eal);
  dpdk::PortConfig pc = port_config(config_);
  pc.multicast = has_ipv6(stack_addresses(config_, *program_));
  if (!draw(pc.rss_key)) return fail(options_, "getrandom gives nothing; refusing to start", 1);
  auto port = dpdk::Port::open(*eal_, pc);
  if (!port) return fail(options_, "port.device = " + port.error());
  port_ = std::move(*port);
  if (const int code = wait_link(); code != 0) return code;
  map_rss();
  // Flows are hashed alike on every shard, so all share one set of secrets.
  stack::Secrets secrets;
  if (!draw_secrets(secrets))
    return fail(options_, "getrandom gives nothing; refusing to start", 1);
  for (unsigned core = 0; core < config_.eal.cores.size(); ++core) {
    if (const int code = make_shard(core, secrets); code != 0) return code;
  }
  launched_ = true;
  for (unsigned core = 0; core < shards_.size(); ++core) {
    eal_->launch(core, [shard = shards_[core].get()] {
      enter_thread(shard);
      shard->run();
    });
  }
  enter_thread(nullptr);
  arm_last_words(shards_);
  if (const int code = wait_addresses(); code != 0) return code;
  started_us_ = steady_us();
  announce();
  return 0;
}

// On a terminal the last line may be of the progress: the next takes its place.
bool progress_shown = false;

void say(const std::string& text) {
  // A closed or full stdout ends nothing.
  if (std::exchange(progress_shown, false)) (void)std::fputs("\r\033[K", stdout);
  (void)std::fputs(text.c_str(), stdout);
  (void)std::fflush(stdout);
  clearerr(stdout);
}

// A NIC's link takes seconds to come up; a vhost or memif port has none until the other side is
// there.
int Runner::wait_link() const {
  if (!program_->needs_link()) return 0;
  const std::int64_t limit = steady_us() + kLinkPatience.count();
  bool told = options_.json;
  while (!port_->stats().link_up) {
    if (!std::exchange(told, true)) say("weir: " + config_.port.device + ": waiting for a link\n");
    if (steady_us() >= limit) {
      return fail(options_, "port.device = " + config_.port.device + ": no link within " +
                                std::to_string(kLinkPatience / 1s) +
                                " s: start the other side, or look at its cable");
    }
    const int s = wait_signal(kPoll);
    if (s == SIGTERM || s == SIGINT) return kExitSignal;
  }
  return 0;
}

// Until every address is known to be free, or taken: what is announced can be reached.
int Runner::wait_addresses() {
  const auto settled = [](const auto& s) { return s->addresses_settled(); };
  while (!std::all_of(shards_.begin(), shards_.end(), settled)) {
    const int s = wait_signal(kSettlePoll);
    if (s == SIGTERM || s == SIGINT) return kExitSignal;
  }
  tell_conflicts();
  return 0;
}

// All shards hear of the same: the first one's word is enough.
void Runner::tell_conflicts() {
  for (const std::size_t n = shards_.front()->conflicts(); conflicts_told_ < n; ++conflicts_told_) {
    const stack::AddressConflict& c = shards_.front()->conflict(conflicts_told_);
    std::fprintf(stderr, "weir: %s: %s: %s\n", config_.port.device.c_str(),
                 to_string(c.addr).c_str(),
                 c.in_use ? ("claimed by " + to_string(c.other) +
                             " as well; kept: give one of the two another address")
                                .c_str()
                          : ("is the address of " + to_string(c.other) +
                             "; not used: remove it, or take it from that host and restart")
                                .c_str());
  }
}

void Runner::map_rss() {
  if (config_.eal.cores.size() == 1) return;
  const dpdk::RssInfo& info = port_->rss();
  rss_ = std::make_unique<flow::RssMap>(flow::RssMap{flow::RssHash(info.key), info.reta});
}

int Runner::make_shard(unsigned core, const stack::Secrets& secrets) {
  stack::Config sc;
  sc.mac = port_->mac();
  sc.mtu = port_->mtu();
  sc.addrs = stack_addresses(config_, *program_);
  sc.gateway = config_.port.gateway;
  sc.gateway6 = config_.port.gateway6;
  sc.gateway_mac = config_.port.gateway_mac;
  sc.gateway6_mac = config_.port.gateway6_mac;
  sc.dad_transmits = config_.port.dad_transmits;
  sc.arp_probes = config_.port.arp_probes;
  sc.max_connections = config_.limits.max_connections;
  sc.max_neighbours = config_.limits.max_neighbours;
  sc.tso_max = port_->offloads().tso_max;
  sc.tcp = config_.tcp;
  sc.shard = static_cast<std::uint16_t>(core);
  sc.shards = static_cast<std::uint16_t>(config_.eal.cores.size());
  sc.rss = rss_.get();
  const dpdk::IdleConfig idle{.mode = static_cast<dpdk::Idle>(config_.eal.idle),
                              .max_sleep = config_.eal.idle_sleep};
  try {
    shards_.push_back(program_->make_shard({port_->queue(core), sc, secrets, idle}));
  } catch (const std::bad_alloc&) {
    return fail(options_, "limits: not enough memory for the tables; lower max_connections");
  }
  if (const auto error = shards_.back()->start()) return fail(options_, *error);
  return 0;
}

// A cache that cannot be used costs seconds at each start: worth a line.
void warn_of_cache(const lb::Config& lb) {
  for (const lb::ListenerConfig& l : lb.listeners) {
    if (l.rules == nullptr || l.rules->cache_note().empty()) continue;
    const std::string note = printable(l.rules->cache_note(), 400);
    std::fprintf(stderr, "weir: compiled rules: %s\n", note.c_str());
  }
}

void Runner::announce() const {
  warn_of_cache(config_.lb);
  const std::string name(name_of(config_.command));
  if (options_.json) {
    say("{\"event\":\"ready\",\"version\":\"" WEIR_VERSION "\",\"command\":\"" + name +
        "\",\"device\":" + json_string(config_.port.device) + ",\"mac\":\"" +
        to_string(port_->mac()) + "\"," + program_->announcement_json() + "}\n");
    return;
  }
  say("weir " WEIR_VERSION ": " + name + " on " + config_.port.device + " (" +
      std::string(port_->driver()) + ", " + to_string(port_->mac()) + ", " +
      std::to_string(shards_.size()) + " core" + (shards_.size() == 1 ? "" : "s") + "), " +
      program_->announcement() + "\n");
}

void Runner::order(Order o) {
  for (const auto& s : shards_) s->order(o);
}

bool Runner::at_rest() const {
  for (const auto& s : shards_) {
    if (!s->at_rest()) return false;
  }
  return true;
}

bool Runner::finished() const {
  return std::all_of(shards_.begin(), shards_.end(), [](const auto& s) { return s->finished(); });
}

Sample Runner::sample() const {
  Sample s;
  s.uptime = Duration(steady_us() - started_us_);
  for (const auto& shard : shards_) shard->collect(s);
  const dpdk::PortStats p = port_->stats();
  s.port = {{"port_rx_frames", p.rx_frames},      {"port_tx_frames", p.tx_frames},
            {"port_drop_rx_missed", p.rx_missed}, {"port_drop_rx_no_buffer", p.rx_no_buffer},
            {"port_drop_rx_errors", p.rx_errors}, {"port_drop_tx_errors", p.tx_errors}};
  for (const dpdk::PoolStats& pool : port_->pool_stats()) {
    s.pools.push_back({std::string(pool.name), pool.in_use, pool.size});
  }
  return s;
}

// Where a terminal shows it: how far a timed run has come.
void show_progress(std::int64_t now, std::int64_t started, std::int64_t end) {
  const auto whole = [](std::int64_t us) { return std::to_string((us + 500'000) / 1'000'000); };
  say(whole(now - started) + " s of " + whole(end - started) + " s, " +
      whole(std::max<std::int64_t>(0, end - now)) + " s to go");
  progress_shown = true;
}

bool shows_progress(const RunOptions& options) {
  const char* term = std::getenv("TERM");
  return options.duration && !options.json && isatty(STDOUT_FILENO) != 0 && term != nullptr &&
         std::string_view(term) != "dumb";
}

void Runner::print_stats() {
  Sample now = sample();
  say(program_->line(last_, now, options_.json) + "\n");
  last_ = std::move(now);
}

void Runner::add_row(const Sample& now, Duration least) const {
  if (LoadCsv* csv = program_->csv()) {
    if (const auto wrong = csv->add(now, least)) std::fprintf(stderr, "weir: %s\n", wrong->c_str());
  }
}

// A step of a search. False when it is over.
bool Runner::conduct() {
  RateFinder& finder = *program_->finder();
  const RateFinder::Turn turn = finder.poll(sample(), options_.json);
  if (turn.rate) {
    for (const auto& s : shards_) s->pace(*turn.rate);
    if (LoadCsv* csv = program_->csv(); csv != nullptr && !finder.finished()) {
      csv->set_target(*turn.rate);
    }
  }
  if (!turn.line.empty()) say(turn.line + "\n");
  return !finder.finished();
}

void Runner::print_summary() const {
  const Sample now = sample();
  say(program_->summary({first_, now, now}, options_.json));
}

// Until a signal, the end of the time given, or nothing is left to do. Lines of statistics keep to
// the interval's grid.
int Runner::control() {
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  const RateFinder* finder = program_->finder();
  const bool lines =
      options_.stats || options_.json || (isatty(STDOUT_FILENO) != 0 && finder == nullptr);
  const std::int64_t interval = config_.stats.interval.count();
  std::int64_t next = started_us_ + interval;
  const std::int64_t warmup = program_->warmup().count();
  std::int64_t warm = warmup > 0 ? started_us_ + warmup : kNone;
  const std::int64_t end =
      options_.duration ? started_us_ + warmup + options_.duration->count() : kNone;
  const bool progress = shows_progress(options_);
  last_ = sample();
  for (;;) {
    const std::int64_t now = steady_us();
    std::int64_t step = finder != nullptr ? started_us_ + finder->due().count() : kNone;
    if (now >= step) {
      if (!conduct()) return drain("the search is over");
      step = started_us_ + finder->due().count();
    }
    if (now >= warm) {
      first_ = sample();
      warm = kNone;
    }
    if (now >= end) return drain("--duration");
    if (finished()) return drain("done");
    if (now >= next) {
      tell_conflicts();
      add_row(sample());
      if (lines) print_stats();
      if (progress) show_progress(now, started_us_, end);
      next += (1 + (now - next) / interval) * interval;
    }
    const std::int64_t wait =
        std::max<std::int64_t>(0, std::min({next, end, warm, step}) - steady_us());
    switch (
        wait_signal(program_->may_finish() ? std::min(Duration(wait), kPoll) : Duration(wait))) {
      case SIGTERM:
        return drain("SIGTERM");
      case SIGINT:
        return drain("SIGINT");
      case SIGUSR1:
        print_summary();
        break;
      case SIGHUP:
        std::fputs("weir: SIGHUP: the config is read at the start only; restart to change it\n",
                   stderr);
        break;
      default:
        break;
    }
  }
}

// Stops accepting, waits for what is open, resets what is left at the limit. The exit code.
int Runner::drain(const char* why) {
  if (!options_.json) {
    say("weir: " + std::string(why) + ": no new connections; " +
        std::to_string(sample().gauges.connections) + " open\n");
  }
  last_ = sample();                             // rates are of the time before
  add_row(last_, config_.stats.interval / 10);  // rates of less than that are noise
  order(Order::kDrain);
  const std::int64_t began = steady_us();
  const std::int64_t limit = began + config_.drain_timeout.count();
  bool aborting = false;
  while (!at_rest()) {
    const std::int64_t now = steady_us();
    if (now >= limit && !aborting) {
      aborting = true;
      order(Order::kAbort);
    } else if (now >= limit + kAbortGrace.count()) {
      break;
    }
    const int s = wait_signal(kPoll);
    // timeout(1) and terminals may say it twice in one breath.
    const bool again = (s == SIGTERM || s == SIGINT) && now >= began + kSameBreath.count();
    if (again) return kExitSignal;
  }
  stop();
  const Sample end = sample();
  say(program_->summary({first_, last_, end}, options_.json));
  if (const RateFinder* finder = program_->finder()) say(finder->result(options_.json));
  return program_->went_well(end) ? 0 : kExitErrors;
}

void Runner::stop() {
  if (!launched_) return;
  launched_ = false;
  // Whatever the reason: no peer is left with a connection that nobody will ever answer for.
  if (!at_rest()) {
    order(Order::kAbort);
    const std::int64_t limit = steady_us() + kAbortGrace.count();
    while (!at_rest() && steady_us() < limit) (void)wait_signal(kAbortPoll);
  }
  order(Order::kQuit);
  for (unsigned core = 0; core < shards_.size(); ++core) eal_->join(core);
  disarm_last_words();
}

}  // namespace

std::optional<std::string> check_device_form(const Config& config) {
  const auto device = dpdk::parse_device(config.port.device);
  if (!device) return "port.device = " + device.error();
  const unsigned need = dpdk::Port::memory_mb(port_config(config));
  if (need > config.eal.memory_mb) {
    return "eal.memory_mb = " + std::to_string(config.eal.memory_mb) +
           ": the buffers of limits.* need " + std::to_string(need) + "; raise it or lower those";
  }
  return std::nullopt;
}

int run(const Config& config, const RunOptions& options) {
  if (const auto error = check_device_form(config)) return fail(options, *error);
  const auto device = dpdk::parse_device(config.port.device);
  if (const std::string wrong = dpdk::check_device(device.value()); !wrong.empty()) {
    return fail(options, "port.device = " + wrong);
  }
  // Blocked before any thread is made: workers never see them, and none is lost while starting.
  const sigset_t set = control_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  Runner runner(config, options);
  if (const int code = runner.start(); code != 0) return code;
  return runner.control();
}

}  // namespace weir::app
