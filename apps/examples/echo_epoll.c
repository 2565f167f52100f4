/* An echo server on a stack of this process's own, in C99: sockets and epoll, whose work is that of
 * the connections that are ready, however many are open.
 *
 *   echo_epoll DEVICE ADDRESS/LENGTH PORT      echo_epoll weir0 10.99.0.2/24 7
 *
 * docs/embedding.md goes through it line by line. */
#include <errno.h>

#include "tun.h"

enum { kMost = 64 };

/* Sends back what there is, as far as there is room: 0 when the connection is over. */
static int echo(weir_stack* stack, int fd) {
  char text[16384];
  for (;;) {
    ssize_t n = weir_recv(stack, fd, text, sizeof text, MSG_PEEK);
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return 0;
    n = weir_send(stack, fd, text, (size_t)n, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN; /* EPOLLOUT is told once there is room again */
    weir_recv(stack, fd, text, (size_t)n, 0);
  }
}

static void watch(weir_stack* stack, int epoll, int fd, uint32_t events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = events;
  event.data.fd = fd;
  weir_epoll_ctl(stack, epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "usage: echo_epoll DEVICE ADDRESS/LENGTH PORT\n"), 2;
  const int tun = tun_open(argv[1]);
  if (tun < 0) return perror(argv[1]), 1;
  weir_stack* stack = tun_stack(argv[2]);
  if (stack == NULL) return 2;
  const int listener = tun_listen(stack, argv[3]), epoll = weir_epoll_create1(stack, 0);
  if (listener < 0) return 2;
  watch(stack, epoll, listener, EPOLLIN);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event ready[kMost];
    tun_turn(stack, tun);
    for (int n = kMost; n == kMost;) { /* all that is ready: tun_turn may wait long */
      n = weir_epoll_wait(stack, epoll, ready, kMost);
      for (int i = 0; i < n; ++i) {
        int fd = ready[i].data.fd;
        if (fd != listener) {
          if (!echo(stack, fd)) weir_close(stack, fd); /* epoll forgets it */
          continue;
        }
        while ((fd = weir_accept(stack, listener, NULL, NULL)) >= 0) {
          watch(stack, epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        }
      }
    }
  }
}
