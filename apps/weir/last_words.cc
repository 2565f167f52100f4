#include "last_words.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <ctime>

namespace weir::app {
namespace {

// All that ends a process by default, but what run.cc waits for, SIGPIPE (ignored) and SIGKILL.
constexpr std::array kSignals = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,   SIGBUS,   SIGFPE,
                                 SIGSEGV, SIGSYS,  SIGXCPU, SIGXFSZ,   SIGALRM,  SIGUSR2,
                                 SIGPROF, SIGPOLL, SIGPWR,  SIGVTALRM, SIGSTKFLT};
constexpr std::size_t kMaxShards = 64;
constexpr std::size_t kStack = 65'536;  // octets of a handler's stack
constexpr unsigned kLimit = 3;          // s: then SIGALRM ends it
constexpr unsigned kPatience = 1'000;   // ms for the shards that still run
constexpr unsigned kOnTheWire = 20;     // ms for a port that sends by itself

std::array<Shard*, kMaxShards> shards;
std::atomic<std::size_t> shard_count{0};
std::atomic<bool> speaking{false};
thread_local Shard* own_shard = nullptr;
thread_local bool own_words = false;
static_assert(std::atomic<bool>::is_always_lock_free &&
              std::atomic<std::size_t>::is_always_lock_free);

void sleep_ms(unsigned ms) {
  const timespec t{ms / 1'000, static_cast<long>(ms % 1'000) * 1'000'000L};
  nanosleep(&t, nullptr);
}

void die_of(int signal_number) {
  signal(signal_number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal_number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  raise(signal_number);
}

bool others_at_rest(std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    if (shards[i] != own_shard && !shards[i]->at_rest()) return false;
  }
  return true;
}

extern "C" void on_fatal_signal(int signal_number) {
  if (own_words) return die_of(signal_number);  // a second fault, of what follows
  if (speaking.exchange(true)) {                // another thread is at it, and ends the process
    sleep_ms(kLimit * 1'000);
    return die_of(signal_number);
  }
  own_words = true;
  signal(SIGALRM, SIG_DFL);
  alarm(kLimit);
  const std::size_t n = shard_count.load();
  for (std::size_t i = 0; i < n; ++i) shards[i]->order(Order::kAbort);
  for (unsigned ms = 0; ms < kPatience && !others_at_rest(n); ++ms) sleep_ms(1);
  // Last, as nothing of it is sure: this thread was in the midst of something.
  if (own_shard != nullptr) own_shard->last_words();
  sleep_ms(kOnTheWire);
  die_of(signal_number);
}

}  // namespace

void enter_thread(Shard* shard) {
  own_shard = shard;
  void* const memory =
      mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;  // the thread's own will do
  stack_t s{};
  s.ss_sp = memory;
  s.ss_size = kStack;
  sigaltstack(&s, nullptr);
}

void arm_last_words(const std::vector<std::unique_ptr<Shard>>& all) {
  std::size_t n = 0;
  for (const auto& s : all) {
    if (n < kMaxShards) shards[n++] = s.get();
  }
  shard_count = n;
  struct sigaction action {};
  action.sa_handler = on_fatal_signal;
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (const int s : kSignals) sigaction(s, &action, nullptr);
}

void disarm_last_words() {
  for (const int s : kSignals) signal(s, SIG_DFL);
  shard_count = 0;
}

}  // namespace weir::app
