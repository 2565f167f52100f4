/* What an embedded stack needs of a system, at its least: a TUN device for its packets and a clock.
 * Each example includes it once. */
#ifndef WEIR_EXAMPLES_TUN_H
#define WEIR_EXAMPLES_TUN_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <weir/weir.h>

/* The device `name`, made if it is not there, as a descriptor of the kernel's; -1 and errno. */
static int tun_open(const char* name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tun >= 0 && ioctl(tun, TUNSETIFF, &request) == 0) return tun;
  if (tun >= 0) close(tun);
  return -1;
}

/* Microseconds that never go back. */
static uint64_t tun_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

/* A stack with one address, "10.99.0.2/24", whose secrets nobody can foresee; NULL, and says why.
 */
static weir_stack* tun_stack(const char* address) {
  char error[256];
  struct weir_config config;
  weir_config_init(&config);
  config.addresses = &address;
  config.address_count = 1;
  config.now = tun_now();
  if (getrandom(&config.seed, sizeof config.seed, 0) != sizeof config.seed) return NULL;
  weir_stack* stack = weir_stack_create(&config, error, sizeof error);
  if (stack == NULL) fprintf(stderr, "%s\n", error);
  return stack;
}

/* A listener on every address of the stack; -1 and a line on stderr where there can be none. */
static int tun_listen(weir_stack* stack, const char* port) {
  char* end = NULL;
  const long number = strtol(port, &end, 10);
  if (end == port || *end != 0 || number < 1 || number > 65535) {
    fprintf(stderr, "PORT = \"%s\": must be a number from 1 to 65535, as 7\n", port);
    return -1;
  }
  struct sockaddr_in at;
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_port = htons((uint16_t)number);
  const int fd = weir_socket(stack, AF_INET, SOCK_STREAM, 0);
  if (weir_bind(stack, fd, (struct sockaddr*)&at, sizeof at) == 0 &&
      weir_listen(stack, fd, 128) == 0) {
    return fd;
  }
  perror(port);
  return -1;
}

/* One turn: what is to be sent is sent, then a packet or the next timer is waited for. */
static void tun_turn(weir_stack* stack, int tun) {
  static unsigned char packet[65536];
  size_t length;
  while (weir_stack_output(stack, packet, sizeof packet, &length, NULL) == 1) {
    if (write(tun, packet, length) < 0) break; /* lost, as packets are: TCP sends it again */
  }
  const uint64_t now = tun_now(), then = weir_stack_next_deadline(stack);
  const uint64_t wait = then <= now ? 0 : (then - now) / 1000U + 1;
  struct pollfd p = {tun, POLLIN, 0};
  poll(&p, 1, wait > 60000U ? 60000 : (int)wait);
  for (int i = 0; i < 64; ++i) { /* then the timers have their turn */
    const ssize_t n = read(tun, packet, sizeof packet);
    if (n <= 0) break;
    weir_stack_input(stack, packet, (size_t)n, tun_now());
  }
  weir_stack_advance(stack, tun_now());
}

#endif
