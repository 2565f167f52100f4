/* A stack under a script player: blocking calls and virtual time over weir.h.
 *
 * Time moves only when the player's own thread sleeps, waits for a packet, or would block; a
 * second thread, on which a script's blocking calls are made, waits on a condition variable for
 * weir_stack_on_ready and asks again. Before time moves, those who were woken have had their turn.
 */
#include "script_player.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  kAnySocket = -1,
  kFirstDescriptor = 1000, /* above those of the kernel's pipes */
  kPatience = 900,        /* milliseconds of real time for a thread that was woken */
  kMostSettings = 64
};

struct waiter {
  int fd;
  uint64_t until;
  int woken;
  struct waiter* next;
};

struct world {
  weir_stack* stack;
  pthread_mutex_t lock; /* of all below, and of the stack */
  pthread_cond_t changed;
  pthread_t player;
  pthread_t served; /* whose call waited and has ended, and who has not been heard of since */
  int serving;
  struct waiter* waiters;
};

static void on_ready(void* context, int fd, uint32_t events) {
  struct world* w = context;
  (void)events;
  for (struct waiter* x = w->waiters; x != NULL; x = x->next) {
    if (x->fd == kAnySocket || x->fd == fd) x->woken = 1;
  }
  pthread_cond_broadcast(&w->changed);
}

/* Every call begins and ends so. */
static struct world* enter(void* userdata) {
  struct world* w = userdata;
  pthread_mutex_lock(&w->lock);
  if (w->serving && pthread_equal(w->served, pthread_self())) {
    w->serving = 0;
    pthread_cond_broadcast(&w->changed);
  }
  return w;
}

static void leave(struct world* w) {
  const int error = errno;
  pthread_mutex_unlock(&w->lock);
  errno = error;
}

static int someone_runs(const struct world* w) {
  for (const struct waiter* x = w->waiters; x != NULL; x = x->next) {
    if (x->woken) return 1;
  }
  return w->serving;
}

/* Those who were woken have their turn at this instant, and note the time. */
static void let_others_run(struct world* w) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += kPatience * 1000000L;
  until.tv_sec += until.tv_nsec / 1000000000L;
  until.tv_nsec %= 1000000000L;
  while (someone_runs(w)) {
    if (pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT) break;
  }
  w->serving = 0;
}

/* To the next instant at which something happens, or to `limit`; 0 when nothing ever does. */
static int step(struct world* w, uint64_t limit) {
  let_others_run(w);
  uint64_t next = weir_stack_next_deadline(w->stack);
  if (next > limit) next = limit;
  for (const struct waiter* x = w->waiters; x != NULL; x = x->next) {
    if (x->until < next) next = x->until;
  }
  if (next == WEIR_NEVER) return 0;
  if (next > weir_stack_now(w->stack)) weir_stack_advance(w->stack, next);
  for (struct waiter* x = w->waiters; x != NULL; x = x->next) {
    if (x->until <= next) x->woken = 1;
  }
  pthread_cond_broadcast(&w->changed);
  return 1;
}

static void move_to(struct world* w, uint64_t then) {
  while (weir_stack_now(w->stack) < then) step(w, then);
  let_others_run(w);
}

/* Until `fd` may have become ready: 1, or 0 when it is `until`. */
static int await(struct world* w, int fd, uint64_t until) {
  if (weir_stack_now(w->stack) >= until) return 0;
  if (pthread_equal(w->player, pthread_self())) return step(w, until); /* nobody else moves time */
  struct waiter me = {fd, until, 0, w->waiters};
  w->waiters = &me;
  w->serving = 0;
  pthread_cond_broadcast(&w->changed);
  while (!me.woken) pthread_cond_wait(&w->changed, &w->lock);
  struct waiter** at = &w->waiters;
  while (*at != &me) at = &(*at)->next;
  *at = me.next;
  w->served = pthread_self();
  w->serving = 1;
  return 1;
}

static int waits(struct world* w, int fd, int flags) {
  return errno == EAGAIN && (flags & MSG_DONTWAIT) == 0 &&
         (weir_fcntl(w->stack, fd, F_GETFL, 0) & O_NONBLOCK) == 0;
}

/* When a call that begins now gives up: SO_RCVTIMEO or SO_SNDTIMEO. */
static uint64_t limit_of(struct world* w, int fd, int option) {
  struct timeval tv = {0, 0};
  socklen_t length = sizeof tv;
  const int error = errno;
  const int got = weir_getsockopt(w->stack, fd, SOL_SOCKET, option, &tv, &length);
  errno = error;
  if (got != 0 || (tv.tv_sec == 0 && tv.tv_usec == 0)) return WEIR_NEVER;
  return weir_stack_now(w->stack) + (uint64_t)tv.tv_sec * 1000000U + (uint64_t)tv.tv_usec;
}

/* `call` again and again until it need not wait. */
#define WAITING(w, fd, flags, option, call)                                          \
  do {                                                                               \
    const uint64_t until = limit_of(w, fd, option);                                  \
    while ((n = (call)) < 0 && waits(w, fd, flags) && await(w, fd, until)) continue; \
  } while (0)

/* -- Sockets --------------------------------------------------------------------------------- */

static int player_socket(void* u, int domain, int type, int protocol) {
  struct world* w = enter(u);
  const int fd = weir_socket(w->stack, domain, type, protocol);
  leave(w);
  return fd;
}

static int player_bind(void* u, int fd, const struct sockaddr* addr, socklen_t length) {
  struct world* w = enter(u);
  const int n = weir_bind(w->stack, fd, addr, length);
  leave(w);
  return n;
}

static int player_listen(void* u, int fd, int backlog) {
  struct world* w = enter(u);
  const int n = weir_listen(w->stack, fd, backlog);
  leave(w);
  return n;
}

static int player_accept(void* u, int fd, struct sockaddr* addr, socklen_t* length) {
  struct world* w = enter(u);
  int n;
  WAITING(w, fd, 0, SO_RCVTIMEO, weir_accept(w->stack, fd, addr, length));
  leave(w);
  return n;
}

static int player_connect(void* u, int fd, const struct sockaddr* addr, socklen_t length) {
  struct world* w = enter(u);
  int n = weir_connect(w->stack, fd, addr, length);
  if (n < 0 && errno == EINPROGRESS && (weir_fcntl(w->stack, fd, F_GETFL, 0) & O_NONBLOCK) == 0) {
    const uint64_t until = limit_of(w, fd, SO_SNDTIMEO);
    while (n < 0 && (errno == EINPROGRESS || errno == EALREADY) && await(w, fd, until)) {
      n = weir_connect(w->stack, fd, addr, length);
    }
    if (n < 0 && errno == EALREADY) errno = EINPROGRESS;
  }
  leave(w);
  return n;
}

static ssize_t player_recvmsg(void* u, int fd, struct msghdr* message, int flags) {
  struct world* w = enter(u);
  ssize_t n;
  WAITING(w, fd, flags, SO_RCVTIMEO, weir_recvmsg(w->stack, fd, message, flags));
  leave(w);
  return n;
}

static ssize_t player_recvfrom(void* u, int fd, void* buf, size_t count, int flags,
                               struct sockaddr* addr, socklen_t* length) {
  struct world* w = enter(u);
  ssize_t n;
  WAITING(w, fd, flags, SO_RCVTIMEO, weir_recvfrom(w->stack, fd, buf, count, flags, addr, length));
  leave(w);
  return n;
}

static ssize_t player_recv(void* u, int fd, void* buf, size_t count, int flags) {
  return player_recvfrom(u, fd, buf, count, flags, NULL, NULL);
}

static ssize_t player_readv(void* u, int fd, const struct iovec* iov, int count) {
  struct world* w = enter(u);
  ssize_t n;
  WAITING(w, fd, 0, SO_RCVTIMEO, weir_readv(w->stack, fd, iov, count));
  leave(w);
  return n;
}

static ssize_t player_read(void* u, int fd, void* buf, size_t count) {
  if (fd < kFirstDescriptor) return read(fd, buf, count);
  return player_recvfrom(u, fd, buf, count, 0, NULL, NULL);
}

/* All of it, unless an error or a time-out comes between. */
static ssize_t player_sendmsg(void* u, int fd, const struct msghdr* message, int flags) {
  struct world* w = enter(u);
  struct msghdr m = *message;
  struct iovec iov[1024];
  const size_t pieces = m.msg_iovlen < 1024 ? m.msg_iovlen : 1024;
  memcpy(iov, m.msg_iov, pieces * sizeof *iov);
  m.msg_iov = iov;
  size_t left = 0;
  for (size_t i = 0; i < pieces; ++i) left += iov[i].iov_len;
  ssize_t n, done = 0;
  do {
    WAITING(w, fd, flags, SO_SNDTIMEO, weir_sendmsg(w->stack, fd, &m, flags));
    if (n < 0) break;
    done += n;
    left -= (size_t)n;
    for (size_t taken = (size_t)n; taken > 0;) {
      const size_t some = taken < m.msg_iov->iov_len ? taken : m.msg_iov->iov_len;
      m.msg_iov->iov_base = (char*)m.msg_iov->iov_base + some;
      m.msg_iov->iov_len -= some;
      taken -= some;
      if (m.msg_iov->iov_len == 0 && m.msg_iovlen > 1) ++m.msg_iov, --m.msg_iovlen;
    }
    errno = EAGAIN; /* a stream that took a part waits for room for the rest */
  } while (left > 0 && waits(w, fd, flags) && n > 0);
  leave(w);
  return done > 0 ? done : n;
}

static ssize_t player_writev(void* u, int fd, const struct iovec* iov, int count) {
  struct msghdr m;
  memset(&m, 0, sizeof m);
  m.msg_iov = (struct iovec*)iov;
  m.msg_iovlen = (size_t)count;
  return player_sendmsg(u, fd, &m, 0);
}

static ssize_t player_sendto(void* u, int fd, const void* buf, size_t count, int flags,
                             const struct sockaddr* addr, socklen_t length) {
  struct iovec one = {(void*)buf, count};
  struct msghdr m;
  memset(&m, 0, sizeof m);
  m.msg_iov = &one;
  m.msg_iovlen = 1;
  m.msg_name = (void*)addr;
  m.msg_namelen = length;
  return player_sendmsg(u, fd, &m, flags);
}

static ssize_t player_send(void* u, int fd, const void* buf, size_t count, int flags) {
  return player_sendto(u, fd, buf, count, flags, NULL, 0);
}

static ssize_t player_write(void* u, int fd, const void* buf, size_t count) {
  if (fd < kFirstDescriptor) return write(fd, buf, count);
  return player_sendto(u, fd, buf, count, 0, NULL, 0);
}

static int player_fcntl(void* u, int fd, int command, ...) {
  va_list list;
  va_start(list, command);
  const int argument = command == F_SETFL || command == F_SETFD ? va_arg(list, int) : 0;
  va_end(list);
  struct world* w = enter(u);
  const int n = weir_fcntl(w->stack, fd, command, argument);
  leave(w);
  return n;
}

static int player_ioctl(void* u, int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  struct world* w = enter(u);
  const int n = weir_ioctl(w->stack, fd, request, argument);
  leave(w);
  return n;
}

static int player_close(void* u, int fd) {
  if (fd < kFirstDescriptor) return close(fd);
  struct world* w = enter(u);
  const int n = weir_close(w->stack, fd);
  leave(w);
  return n;
}

static int player_shutdown(void* u, int fd, int how) {
  struct world* w = enter(u);
  const int n = weir_shutdown(w->stack, fd, how);
  leave(w);
  return n;
}

static int player_getsockopt(void* u, int fd, int level, int name, void* value, socklen_t* length) {
  struct world* w = enter(u);
  const int n = weir_getsockopt(w->stack, fd, level, name, value, length);
  leave(w);
  return n;
}

static int player_setsockopt(void* u, int fd, int level, int name, const void* value,
                             socklen_t length) {
  struct world* w = enter(u);
  const int n = weir_setsockopt(w->stack, fd, level, name, value, length);
  leave(w);
  return n;
}

/* -- Readiness ----------------------------------------------------------------------------- */

static uint64_t after(struct world* w, int milliseconds) {
  if (milliseconds < 0) return WEIR_NEVER;
  return weir_stack_now(w->stack) + (uint64_t)milliseconds * 1000U;
}

static int player_poll(void* u, struct pollfd* fds, nfds_t count, int milliseconds) {
  struct world* w = enter(u);
  const uint64_t until = after(w, milliseconds);
  int n = weir_poll(w->stack, fds, count);
  while (n == 0 && await(w, kAnySocket, until)) n = weir_poll(w->stack, fds, count);
  leave(w);
  return n;
}

static int player_epoll_create(void* u, int size) {
  struct world* w = enter(u);
  const int fd = size > 0 ? weir_epoll_create1(w->stack, 0) : -1;
  if (size <= 0) errno = EINVAL;
  leave(w);
  return fd;
}

static int player_epoll_ctl(void* u, int epfd, int op, int fd, struct epoll_event* event) {
  struct world* w = enter(u);
  const int n = weir_epoll_ctl(w->stack, epfd, op, fd, event);
  leave(w);
  return n;
}

static int player_epoll_wait(void* u, int epfd, struct epoll_event* events, int count,
                             int milliseconds) {
  struct world* w = enter(u);
  const uint64_t until = after(w, milliseconds);
  int n = weir_epoll_wait(w->stack, epfd, events, count);
  while (n == 0 && await(w, kAnySocket, until)) {
    n = weir_epoll_wait(w->stack, epfd, events, count);
  }
  leave(w);
  return n;
}

/* -- Pipes: the kernel's; what is spliced is copied ----------------------------------------- */

static int player_pipe(void* u, int fds[2]) {
  (void)u;
  return pipe(fds);
}

static ssize_t player_splice(void* u, int in, off_t* in_at, int out, off_t* out_at, size_t count,
                             unsigned flags) {
  char text[65536];
  (void)flags;
  if (in_at != NULL || out_at != NULL) return errno = ESPIPE, -1;
  if (count > sizeof text) count = sizeof text;
  if (in < kFirstDescriptor) {
    const ssize_t n = read(in, text, count);
    return n <= 0 ? n : player_write(u, out, text, (size_t)n);
  }
  const ssize_t n = player_recv(u, in, text, count, MSG_PEEK);
  const ssize_t taken = n <= 0 ? n : write(out, text, (size_t)n);
  return taken <= 0 ? taken : player_recv(u, in, text, (size_t)taken, 0);
}

/* -- Packets and time ------------------------------------------------------------------------ */

static int player_netdev_send(void* u, const void* packet, size_t length) {
  struct world* w = enter(u);
  const int n = weir_stack_input(w->stack, packet, length, weir_stack_now(w->stack));
  leave(w);
  return n;
}

static int player_netdev_receive(void* u, void* packet, size_t* length, long long* microseconds) {
  struct world* w = enter(u);
  const size_t capacity = *length;
  uint64_t when = 0;
  int n = 0;
  do {
    let_others_run(w); /* it may be one of them who sends */
    n = weir_stack_output(w->stack, packet, capacity, length, &when);
  } while (n == 0 && step(w, WEIR_NEVER));
  if (n != 1) *length = 0;
  *microseconds = (long long)when;
  leave(w);
  return n == 1 ? 0 : -1;
}

static int player_usleep(void* u, useconds_t microseconds) {
  struct world* w = enter(u);
  move_to(w, weir_stack_now(w->stack) + microseconds);
  leave(w);
  return 0;
}

/* A player that waits for a moment may ask for the time again and again: it passes meanwhile. */
static int player_gettimeofday(void* u, struct timeval* tv, struct timezone* tz) {
  struct world* w = enter(u);
  (void)tz;
  if (pthread_equal(w->player, pthread_self())) {
    weir_stack_advance(w->stack, weir_stack_now(w->stack) + 1);
  }
  const uint64_t now = weir_stack_now(w->stack);
  tv->tv_sec = (time_t)(now / 1000000U);
  tv->tv_usec = (suseconds_t)(now % 1000000U);
  leave(w);
  return 0;
}

/* -- The beginning and the end --------------------------------------------------------------- */

static void player_free(void* u) {
  struct world* w = u;
  weir_stack_destroy(w->stack);
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

static weir_stack* stack_of(char* flags) {
  char error[256] = "";
  const char* addresses[8] = {"192.168.0.1/16", "fd3d:fa7b:d17d::1/48"};
  struct weir_setting settings[kMostSettings];
  size_t given = 0;
  struct weir_config config;
  weir_config_init(&config);
  config.addresses = addresses;
  config.address_count = 2;
  config.settings = settings;
  config.now = 1000000000; /* far from 0, which players take for "no time" */
  config.first_descriptor = kFirstDescriptor;
  char* rest = NULL;
  for (char* key = strtok_r(flags, ",", &rest); key; key = strtok_r(NULL, ",", &rest)) {
    char* value = strchr(key, '=');
    if (value != NULL) *value++ = '\0';
    if (value != NULL && strcmp(key, "ip") == 0 && given < 8) {
      addresses[given++] = value;
      config.address_count = given;
    } else if (value != NULL && strcmp(key, "mtu") == 0) {
      config.mtu = (uint32_t)strtoul(value, NULL, 10);
    } else if (value != NULL && strcmp(key, "seed") == 0) {
      config.seed = strtoull(value, NULL, 10);
    } else if (config.setting_count < kMostSettings) {
      settings[config.setting_count].name = key;
      settings[config.setting_count++].value = value == NULL ? "" : value;
    }
  }
  weir_stack* stack = weir_stack_create(&config, error, sizeof error);
  if (stack == NULL) fprintf(stderr, "script player: %s\n", error);
  return stack;
}

void packetdrill_interface_init(const char* flags, struct script_player* player) {
  struct world* w = calloc(1, sizeof *w);
  char* copy = strdup(flags == NULL ? "" : flags);
  if (w == NULL || copy == NULL || (w->stack = stack_of(copy)) == NULL) exit(1);
  free(copy);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->changed, NULL);
  w->player = pthread_self();
  weir_stack_on_ready(w->stack, on_ready, w);
  const struct script_player all = {w,
                                    player_free,
                                    player_socket,
                                    player_bind,
                                    player_listen,
                                    player_accept,
                                    player_connect,
                                    player_read,
                                    player_readv,
                                    player_recv,
                                    player_recvfrom,
                                    player_recvmsg,
                                    player_write,
                                    player_writev,
                                    player_send,
                                    player_sendto,
                                    player_sendmsg,
                                    player_fcntl,
                                    player_ioctl,
                                    player_close,
                                    player_shutdown,
                                    player_getsockopt,
                                    player_setsockopt,
                                    player_poll,
                                    player_netdev_send,
                                    player_netdev_receive,
                                    player_usleep,
                                    player_gettimeofday,
                                    player_epoll_create,
                                    player_epoll_ctl,
                                    player_epoll_wait,
                                    player_pipe,
                                    player_splice};
  *player = all;
}
