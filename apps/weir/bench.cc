#include "bench.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <new>
#include <string_view>

#include "bench_cores.h"
#include "bench_far.h"
#include "bench_figures.h"
#include "bench_near.h"
#include "bench_peer.h"
#include "bench_setup.h"
#include "bench_side.h"
#include "entropy.h"

namespace weir::app {
namespace {

constexpr Duration kLook = 10ms;
constexpr Duration kPeerStarts = 30s;
constexpr Duration kLink = 20s;
constexpr Duration kStall = 20s;  // without an answer: it hangs
constexpr Duration kComesToRest = 20s;
constexpr int kExitWrong = 1, kExitStart = 2;

using Client = LocalSide<LoadHandler>;
using Server = LocalSide<ServeHandler>;

Duration steady() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

int fail(const std::string& what, int code = kExitStart) {
  std::fprintf(stderr, "weir: bench: %s\n", what.c_str());
  return code;
}

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t at = line.find(": ");
    if (at != std::string::npos) return line.substr(at + 2);
  }
  return "a processor without a name";
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

// Whether this process is asked to end; waits so long at most.
bool asked_to_end(Duration wait) {
  const sigset_t set = ending_signals();
  const timespec t{wait.count() / 1'000'000, wait.count() % 1'000'000 * 1'000};
  return sigtimedwait(&set, nullptr, &t) > 0;
}

std::string doubts(const BenchConfig& c) {
  std::string out;
  if (c.cores.size() == 2 && c.cores[0] == c.cores[1]) {
    out = "both sides share CPU " + std::to_string(c.cores[0]) +
          ": they wait for each other, and a stage's cycles may hold such a wait";
  }
  double load = 0;
  if (!c.controlled && getloadavg(&load, 1) == 1 && load > 0.5) {
    char text[96];
    std::snprintf(text, sizeof text, "other work ran beside: load average %.1f at the start", load);
    out += (out.empty() ? "" : "; ") + std::string(text);
  }
  return out;
}

// Everything that runs, in one process.
class Bench {
 public:
  explicit Bench(const BenchConfig& c) : config_(c) { report_.config = c; }

  [[nodiscard]] int run();

 private:
  [[nodiscard]] std::optional<std::string> start();
  [[nodiscard]] std::optional<std::string> start_peer();
  [[nodiscard]] std::optional<std::string> open_sides();
  [[nodiscard]] std::optional<std::string> wait_link(dpdk::Port& port);
  [[nodiscard]] bool has_own(BenchSide side) const;

  [[nodiscard]] std::optional<std::string> round();
  [[nodiscard]] std::optional<std::string> begin_server();
  [[nodiscard]] Result<SideFigures, std::string> end_server();
  [[nodiscard]] std::optional<std::string> drive_client();
  template <class Side>
  void come_to_rest(Side& side);
  void watch();
  [[nodiscard]] std::optional<std::string> ask_peer(const std::string& order,
                                                    const std::string& answer, std::string& rest);

  // The modes beside cps, rps and stream, and the bare port (bench_near.h).
  [[nodiscard]] bool speaks_http() const { return config_.mode < BenchMode::kLatency; }
  [[nodiscard]] std::optional<std::string> round_of_messages();
  [[nodiscard]] std::optional<std::string> bare_round();
  [[nodiscard]] BenchEnds ends();
  [[nodiscard]] bool pause(Duration d);
  [[nodiscard]] std::optional<std::string> begin_far(FarTask t, bool yields);
  [[nodiscard]] Result<SideFigures, std::string> look_far();
  [[nodiscard]] std::optional<std::string> end_far();
  [[nodiscard]] bool obey_far(const std::string& line);

  [[nodiscard]] int obey();       // a server that another weir started
  [[nodiscard]] int serve_all();  // a server started by hand
  [[nodiscard]] int serve_messages();
  [[nodiscard]] int print() const;

  const BenchConfig& config_;
  BenchReport report_;
  std::optional<ScratchDir> scratch_;  // where this process started the other
  std::unique_ptr<BenchPeer> peer_;    // after the scratch directory: it uses it
  std::unique_ptr<dpdk::Eal> eal_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<FarSide> far_;  // after the server's side: it uses its port
  bool ended_ = false;            // by a signal
};

bool Bench::has_own(BenchSide side) const {
  if (config_.role == BenchRole::kBoth) return side == BenchSide::kClient || !peer_;
  return (config_.role == BenchRole::kServer) == (side == BenchSide::kServer);
}

// -- Starting -------------------------------------------------------------------------------------

std::optional<std::string> Bench::start_peer() {
  scratch_.emplace();
  if (scratch_->path().empty()) return "TMPDIR: no directory for a socket can be made there";
  auto peer = BenchPeer::start(peer_arguments(config_, scratch_->path() + "/port"));
  if (!peer) return peer.error();
  peer_ = std::move(*peer);
  std::string rest;
  return ask_peer("", "ready", rest);
}

std::optional<std::string> Bench::open_sides() {
  struct Wanted {
    BenchSide side;
    std::string device;
  };
  const std::string socket = peer_ ? scratch_->path() + "/port" : "";
  std::vector<Wanted> wanted;
  dpdk::EalConfig e;
  e.cores.clear();
  e.memory_mb = 64;
  e.hugepages = config_.hugepages;
  e.verbose = config_.verbose;
  for (const BenchSide side : {BenchSide::kClient, BenchSide::kServer}) {
    if (!has_own(side)) continue;
    const std::string device = bench_device(config_, side, socket);
    wanted.push_back({side, device});
    e.cores.push_back(side == BenchSide::kClient ? config_.cores.front() : config_.cores.back());
    // Twice: without hugepages a buffer that would cross a page leaves the rest of it unused.
    e.memory_mb += 2 * dpdk::Port::memory_mb(bench_port(config_, device));
    e.devices.push_back(device);
  }
  auto eal = dpdk::Eal::init(e);
  if (!eal) return eal.error();
  eal_ = std::move(*eal);
  unsigned worker = 0;
  for (const Wanted& w : wanted) {
    auto port = dpdk::Port::open(*eal_, bench_port(config_, w.device));
    if (!port) return "--port " + port.error();
    if (w.side == BenchSide::kClient) {
      client_ = std::make_unique<Client>(*eal_, std::move(*port), worker++);
    } else {
      server_ = std::make_unique<Server>(*eal_, std::move(*port), worker++);
    }
  }
  return std::nullopt;
}

// The ports whose other end is a process that may come later.
std::optional<std::string> Bench::wait_link(dpdk::Port& port) {
  const std::string_view driver = port.driver();
  if (driver.find("memif") == driver.npos && driver.find("virtio") == driver.npos) {
    return std::nullopt;
  }
  for (const Duration limit = steady() + kLink; !port.stats().link_up;) {
    if (asked_to_end(kLook)) return ended_ = true, "ended by a signal";
    if (steady() >= limit) return "--port " + config_.port + ": nobody at the other end";
  }
  return std::nullopt;
}

std::optional<std::string> Bench::start() {
  const bool alone = config_.role == BenchRole::kBoth && config_.port != "ring";
  if (alone) {
    if (auto error = start_peer()) return error;
  }
  if (auto error = open_sides()) return error;
  report_.tsc_hz = dpdk::cycles_hz();
  report_.cpu = cpu_name();
  report_.time_wait = 2 * stack::Config{}.tcp.msl;
  const bool joins = client_ && (peer_ || config_.role == BenchRole::kClient);
  return joins ? wait_link(client_->port()) : std::nullopt;
}

// -- One round ------------------------------------------------------------------------------------

// "" asks nothing: the answer comes by itself.
std::optional<std::string> Bench::ask_peer(const std::string& order, const std::string& answer,
                                           std::string& rest) {
  if (!order.empty()) peer_->say(order);
  for (const Duration limit = steady() + kPeerStarts; steady() < limit;) {
    if (asked_to_end({})) return ended_ = true, "ended by a signal";
    watch();
    std::string line;
    switch (peer_->hear(line, kLook)) {
      case LineReader::Got::kNothing:
        continue;
      case LineReader::Got::kEnd:
        return "the server has ended by itself";
      case LineReader::Got::kLine:
        if (!line.starts_with(answer)) return "the server says: " + line;
        rest = line.substr(std::min(line.size(), answer.size() + 1));
        return std::nullopt;
    }
  }
  return "the server does not answer";
}

std::optional<std::string> Bench::begin_server() {
  if (peer_) {
    std::string rest;
    return ask_peer("begin", "running", rest);
  }
  if (!server_) return std::nullopt;  // somebody else started it
  stack::Secrets secrets;
  if (!draw_secrets(secrets)) return "getrandom gives nothing; refusing to start";
  server_->prepare(bench_stack(config_, BenchSide::kServer, server_->port()), secrets,
                   config_.stages, bench_serve(config_), bench_sessions(config_));
  if (!server_->handler().start()) return "the server cannot listen";
  server_->launch();
  return std::nullopt;
}

void Bench::watch() {
  if (client_) client_->watch();
  if (server_) server_->watch();
}

// Bounded: what does not end is reset, and counts as an error.
template <class Side>
void Bench::come_to_rest(Side& side) {
  using Order = typename Side::Order;
  for (const Order o : {Order::kDrain, Order::kAbort}) {
    side.order(ended_ ? Order::kAbort : o);
    for (const Duration limit = steady() + (ended_ ? 1s : kComesToRest); !side.rests();) {
      if (steady() >= limit) break;
      ended_ = asked_to_end(kLook) || ended_;
      watch();
    }
    if (side.rests()) return;
  }
}

Result<SideFigures, std::string> Bench::end_server() {
  if (peer_) {
    std::string line;
    if (auto error = ask_peer("end", "figures", line)) return *error;
    const auto figures = parse_figures(line);
    if (!figures) return std::string("the server's figures cannot be read");
    return *figures;
  }
  come_to_rest(*server_);
  server_->quit();
  return server_->take_figures();
}

// Until all that was asked for is done, or the time is up, or nothing moves any more.
std::optional<std::string> Bench::drive_client() {
  using Order = Client::Order;
  const Duration started = steady();
  Duration moved = started;
  std::uint64_t seen = 0;
  const LoadCounters& c = client_->handler().counters();
  bool draining = false;
  while (!client_->rests()) {
    watch();
    ended_ = asked_to_end(kLook) || ended_;
    const Duration now = steady();
    const std::uint64_t progress = c.answers.get() + c.completed.get() + c.bytes_in.get();
    if (progress != seen) moved = now;
    seen = progress;
    if (ended_ || now - moved > kStall) {
      come_to_rest(*client_);
      return ended_ ? "ended by a signal" : "no answer for 20 s";
    }
    if (!draining && !is_counted(config_) && now - started >= config_.duration) {
      draining = true;
      client_->order(Order::kDrain);
    }
  }
  return std::nullopt;
}

std::optional<std::string> Bench::round() {
  BenchRound r;
  if (auto error = begin_server()) return error;
  stack::Secrets secrets;
  if (!draw_secrets(secrets)) return "getrandom gives nothing; refusing to start";
  client_->prepare(bench_stack(config_, BenchSide::kClient, client_->port()), secrets,
                   config_.stages, bench_load(config_), LoadHandler::Share{});
  client_->launch();
  auto wrong = drive_client();
  if (config_.role == BenchRole::kBoth) {
    auto figures = end_server();
    if (!figures) {
      client_->quit();
      return wrong ? *wrong : figures.error();
    }
    r.server = *figures;
  }
  client_->quit();
  r.client = client_->take_figures();
  if (!wrong) report_.rounds.push_back(r);
  return wrong;
}

// -- Without HTTP ---------------------------------------------------------------------------------

void say(const std::string& line) {
  (void)std::fputs((line + "\n").c_str(), stdout);
  (void)std::fflush(stdout);
}

std::optional<std::string> Bench::begin_far(FarTask t, bool yields) {
  if (peer_) {
    std::string rest;
    return ask_peer("do " + std::string(word_of(t)) + (yields ? " yielding" : ""), "doing", rest);
  }
  if (!far_) far_ = std::make_unique<FarSide>(*eal_, server_->worker(), server_->port());
  far_->end();
  server_->swallow();
  return far_->begin(t, config_, yields);
}

Result<SideFigures, std::string> Bench::look_far() {
  std::optional<SideFigures> figures;
  if (peer_) {
    std::string line;
    if (auto error = ask_peer("look", "figures", line)) return *error;
    figures = parse_figures(line);
  } else {
    figures = far_->figures();
  }
  if (!figures) return std::string("the server gives no figures");
  return *figures;
}

std::optional<std::string> Bench::end_far() {
  std::string rest;
  if (peer_) return ask_peer("stop", "stopped", rest);
  if (far_) far_->end();
  return std::nullopt;
}

// False: no such order.
bool Bench::obey_far(const std::string& line) {
  if (line.starts_with("do ")) {
    const std::string word = line.substr(3, line.find(' ', 3) - 3);
    const auto task = parse_far_task(word);
    if (!task) return false;
    const auto error = begin_far(*task, line.ends_with(" yielding"));
    say(error ? *error : "doing");
  } else if (line == "look" && far_) {
    const auto figures = look_far();
    say(figures ? "figures " + to_line(figures.value()) : figures.error());
  } else if (line == "stop") {
    (void)end_far();
    say("stopped");
  } else {
    return false;
  }
  return true;
}

BenchEnds Bench::ends() {
  const bool yields = config_.cores.front() == config_.cores.back();
  return {.eal = *eal_,
          .worker = client_->worker(),
          .port = client_->port(),
          .swallow = [this] { client_->swallow(); },
          .begin_far = [this, yields](FarTask t) { return begin_far(t, yields); },
          .look_far = [this] { return look_far(); },
          .end_far = [this] { return end_far(); },
          .pause = [this](Duration d) { return pause(d); }};
}

// True: a signal came.
bool Bench::pause(Duration d) {
  for (const Duration end = steady() + d; !ended_ && steady() < end;) {
    ended_ = asked_to_end(std::min(kLook, end - steady()));
  }
  return ended_;
}

std::optional<std::string> Bench::round_of_messages() {
  if (config_.mode == BenchMode::kLatency) {
    auto r = latency_round(config_, ends());
    if (!r) return r.error();
    report_.latency.push_back(r.value());
    return std::nullopt;
  }
  auto r = cold_round(config_, ends());
  if (!r) return r.error();
  report_.cold.push_back(r.value());
  return std::nullopt;
}

std::optional<std::string> Bench::bare_round() {
  if (!config_.bare) return std::nullopt;
  auto r = bare_rate(config_, ends());
  if (!r) return r.error();
  report_.bare.push_back(r.value());
  return std::nullopt;
}

// -- Roles ----------------------------------------------------------------------------------------

int Bench::obey() {
  LineReader orders(STDIN_FILENO);
  say("ready");
  std::string line;
  for (bool running = false;;) {
    const LineReader::Got got = orders.read(line, kLook);
    if (asked_to_end({}) || got == LineReader::Got::kEnd) return 0;
    if (got == LineReader::Got::kNothing) {
      if (running) watch();
    } else if (line == "begin" && !running) {
      if (const auto error = begin_server()) return fail(*error);
      running = true;
      say("running");
    } else if (line == "end" && running) {
      const auto figures = end_server();
      running = false;
      say("figures " + to_line(figures.value()));
    } else if (!running) {
      (void)obey_far(line);
    }
  }
}

// Until a signal, or until --connections have come and gone.
int Bench::serve_all() {
  if (!speaks_http()) return serve_messages();
  if (const auto error = begin_server()) return fail(*error);
  if (!config_.json) say("weir: bench: serving on " + config_.port + "; Ctrl-C ends it");
  const ServeCounters& c = server_->handler().counters();
  const std::uint64_t wanted = config_.mode == BenchMode::kCps ? config_.connections : 0;
  while (!asked_to_end(kLook)) {
    watch();
    if (wanted > 0 && c.sessions_total.get() >= wanted && c.sessions.get() == 0) break;
  }
  auto figures = end_server();
  report_.rounds.push_back({std::nullopt, *figures});
  return print();
}

// Sends back what comes, to whoever connects, until a signal.
int Bench::serve_messages() {
  if (const auto error = begin_far(FarTask::kEcho, false)) return fail(*error);
  say("weir: bench: serving on " + config_.port + "; Ctrl-C ends it");
  while (!asked_to_end(kLook)) {
  }
  return end_far() ? kExitWrong : 0;
}

int Bench::print() const {
  const std::string text = config_.json ? report_json(report_) + "\n" : report_text(report_);
  (void)std::fputs(text.c_str(), stdout);
  (void)std::fflush(stdout);
  const auto wrong = complaint(report_);
  return wrong ? fail(*wrong, kExitWrong) : 0;
}

int Bench::run() {
  report_.note = doubts(config_);
  if (config_.pairs > 0) {
    report_.cpu = cpu_name();
    return run_cores(config_, report_);
  }
  if (auto error = start()) return fail(*error, ended_ ? kExitWrong : kExitStart);
  if (config_.controlled) return obey();
  if (config_.role == BenchRole::kServer) return serve_all();
  for (unsigned i = 0; i < config_.repeat; ++i) {
    auto error = speaks_http() ? round() : round_of_messages();
    if (!error) error = bare_round();
    if (error) return fail(*error, kExitWrong);
  }
  if (client_ && server_) {  // rings: they hold no buffer of their own
    client_->swallow();
    server_->swallow();
    report_.buffers_left = client_->buffers_in_use() + server_->buffers_in_use();
  }
  return print();
}

}  // namespace

int run_bench(const BenchConfig& config) {
  // Blocked before any thread is made: workers never see them.
  const sigset_t set = ending_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  try {
    return Bench(config).run();
  } catch (const std::bad_alloc&) {
    return fail("not enough memory for the tables; lower --connections or --concurrency");
  }
}

}  // namespace weir::app
