#include "preload/process.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "preload/channel.h"
#include "preload/real.h"
#include "preload/settings.h"
#include "preload/waiting.h"

namespace weir::preload {
namespace {

constexpr int kStartPatience = 60'000;  // ms
constexpr int kEndPatience = 30'000;    // beyond what the stack thread grants itself

struct Process {
  const char* settings = nullptr;
  const Routes* routes = nullptr;
  pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
  std::uint64_t stack = 0;  // of this process, or of the parent that had it
  pid_t owner = 0;          // whose it is
  bool failed = false;
  int ready = -1;  // the thread's end of the pipe
};
Process process;

// On the stack thread, and on those that it makes (DPDK's), every call is the system's: they are
// what the program's threads wait for.
thread_local bool on_stack_thread = false;

struct Start {
  void* (*function)(void*);
  void* argument;
};

void* start_aside(void* start) {
  on_stack_thread = true;
  const Start s = *static_cast<Start*>(start);
  delete static_cast<Start*>(start);
  return s.function(s.argument);
}

void complain(const char* line) {
  std::array<char, 1'024> text;
  const int n = std::snprintf(text.data(), text.size(), "weir run: %s\n", line);
  (void)!write(STDERR_FILENO, text.data(), static_cast<std::size_t>(n));
}

// Once; what comes to its end meanwhile on another thread does not wait.
void end() {
  static std::atomic<bool> ended{false};
  if (process.stack == 0 || process.owner != getpid() || ended.exchange(true)) return;
  finish(process.stack, kEndPatience);
}

// A signal that would end the process at once, had nobody asked for another way: no peer is left
// with a connection that nobody will ever answer for.
void last_words(int signal) {
  end();
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  (void)sigaction(signal, &usual, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  (void)raise(signal);
}

void arm_last_words() {
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV,
                           SIGTERM, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU}) {
    struct sigaction now {};
    if (sigaction(signal, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 ||
        now.sa_handler != SIG_DFL) {
      continue;
    }
    struct sigaction ours {};
    ours.sa_handler = &last_words;
    (void)sigaction(signal, &ours, nullptr);
  }
}

// libweir-stack.so lies beside this library. Not RTLD_DEEPBIND: the program may have a malloc of
// its own, and what one module allocates another frees.
void* load() {
  Dl_info self{};
  std::array<char, PATH_MAX> path{};
  if (dladdr(reinterpret_cast<void*>(&load), &self) == 0 || self.dli_fname == nullptr)
    return nullptr;
  const char* const slash = std::strrchr(self.dli_fname, '/');
  if (slash == nullptr) return nullptr;
  const int n = std::snprintf(path.data(), path.size(), "%.*s/libweir-stack.so",
                              static_cast<int>(slash - self.dli_fname), self.dli_fname);
  if (n <= 0 || static_cast<std::size_t>(n) >= path.size()) return nullptr;
  return dlopen(path.data(), RTLD_NOW | RTLD_LOCAL);
}

using ThreadMain = void(const char*, std::uint64_t, int);

void* thread_main(void* function) {
  on_stack_thread = true;
  reinterpret_cast<ThreadMain*>(function)(process.settings, process.stack, process.ready);
  return nullptr;
}

// The line that the thread writes when it runs, or when it cannot.
bool wait_ready(int fd) {
  std::array<char, 900> line{};
  pollfd p{fd, POLLIN, 0};
  int n = 0;
  do {
    n = real().poll(&p, 1, kStartPatience);
  } while (n < 0 && errno == EINTR);
  const ssize_t got = n == 1 ? read(fd, line.data(), line.size() - 1) : -1;
  if (got == 2 && std::strcmp(line.data(), "ok") == 0) return true;
  complain(got > 0 ? line.data() : "the stack thread did not start");
  return false;
}

bool start() {
  void* const library = load();
  void* const function = library == nullptr ? nullptr : dlsym(library, "weir_stack_thread");
  if (function == nullptr) {
    const char* const why = dlerror();
    complain(why == nullptr ? "libweir-stack.so is not beside libweir-preload.so" : why);
    return false;
  }
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0 ||
      getrandom(&process.stack, sizeof process.stack, 0) != sizeof process.stack) {
    complain("no descriptors or no entropy for the stack thread");
    return false;
  }
  process.ready = ends[1];
  process.owner = getpid();
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the program's signals are its own threads'
  pthread_t thread{};
  const int failed = pthread_create(&thread, nullptr, &thread_main, function);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed == 0) pthread_detach(thread);
  const bool good = failed == 0 && wait_ready(ends[0]);
  close(ends[0]);
  close(ends[1]);
  if (good) arm_last_words();
  return good;
}

// A child has what is locked for ever if a thread that it has not got held it. The stack thread
// waits for nobody, since the one that holds them may wait for it.
void before_fork() {
  if (on_stack_thread) return;
  waiting_room().lock();
  pthread_mutex_lock(&process.starting);
}

void in_parent() {
  if (on_stack_thread) return;
  pthread_mutex_unlock(&process.starting);
  waiting_room().unlock();
}

void in_child() {
  if (on_stack_thread) return;
  waiting_room().after_fork();
  in_parent();
}

__attribute__((constructor)) void begin() {
  const char* const text = std::getenv(kEnvironment);
  if (text == nullptr || process.routes != nullptr) return;
  process.settings = strdup(text);
  static const Routes routes(process.settings);
  process.routes = &routes;
  (void)pthread_atfork(&before_fork, &in_parent, &in_child);
  (void)std::atexit(&end);
  (void)at_quick_exit(&end);
}

}  // namespace

void end_of_process() {
  end();
}

int create_thread(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                  void* argument) {
  if (!on_stack_thread) return real().pthread_create(thread, attributes, function, argument);
  auto* const start = new Start{function, argument};
  const int r = real().pthread_create(thread, attributes, &start_aside, start);
  if (r != 0) delete start;
  return r;
}

const Routes* routes() {
  return on_stack_thread ? nullptr : process.routes;
}

std::uint64_t running_stack() {
  return process.stack;
}

std::uint64_t stack() {
  pthread_mutex_lock(&process.starting);
  if (process.stack == 0 && !process.failed && !start()) {
    process.failed = true;
    process.stack = 0;
  }
  const std::uint64_t out = process.stack;
  pthread_mutex_unlock(&process.starting);
  if (out == 0) errno = ENETDOWN;
  return out;
}

}  // namespace weir::preload
