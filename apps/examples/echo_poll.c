/* An echo server on a stack of this process's own, in C99: sockets and poll.
 *
 *   echo_poll DEVICE ADDRESS/LENGTH PORT      echo_poll weir0 10.99.0.2/24 7
 *
 * Then `ip addr add 10.99.0.1/24 dev weir0; ip link set weir0 up; nc 10.99.0.2 7`.
 * docs/embedding.md goes through it line by line. */
#include <errno.h>

#include "tun.h"

enum { kMost = 256 };

/* Sends back what there is, as far as there is room: 0 when the connection is over. */
static int echo(weir_stack* stack, int fd) {
  char text[16384];
  for (;;) {
    ssize_t n = weir_recv(stack, fd, text, sizeof text, MSG_PEEK);
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return 0;
    n = weir_send(stack, fd, text, (size_t)n, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN; /* what was not sent stays to be read: the peer waits */
    weir_recv(stack, fd, text, (size_t)n, 0);
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return fprintf(stderr, "usage: echo_poll DEVICE ADDRESS/LENGTH PORT\n"), 2;
  const int tun = tun_open(argv[1]);
  if (tun < 0) return perror(argv[1]), 1;
  weir_stack* stack = tun_stack(argv[2]);
  if (stack == NULL) return 2;
  struct pollfd sockets[kMost];
  nfds_t count = 1;
  sockets[0].fd = tun_listen(stack, argv[3]);
  sockets[0].events = POLLIN;
  if (sockets[0].fd < 0) return 2;
  puts("ready");
  fflush(stdout);
  for (;;) {
    tun_turn(stack, tun);
    weir_poll(stack, sockets, count);
    for (nfds_t i = count; i-- > 1;) { /* from the end: the last takes the place of one that goes */
      if (sockets[i].revents == 0 || echo(stack, sockets[i].fd)) continue;
      weir_close(stack, sockets[i].fd);
      sockets[i] = sockets[--count];
    }
    while (count < kMost && (sockets[0].revents & POLLIN) != 0) {
      const int fd = weir_accept(stack, sockets[0].fd, NULL, NULL);
      if (fd < 0) break;
      sockets[count].fd = fd;
      sockets[count++].events = POLLIN;
    }
  }
}
