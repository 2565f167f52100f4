/* A C99 program of somebody else's, built with what pkg-config says: two stacks of one process on a
 * wire that loses the first SYN, in virtual time. Exit code 0 when all is as it should be. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

static uint64_t now = 1000000;
static unsigned sent = 0;

static weir_stack *host(const char *address, uint64_t seed) {
  char error[256];
  struct weir_setting setting = {"rto_initial", "2s"};
  struct weir_config config;
  weir_config_init(&config);
  config.addresses = &address;
  config.address_count = 1;
  config.seed = seed;
  config.now = now;
  config.settings = &setting;
  config.setting_count = 1;
  weir_stack *stack = weir_stack_create(&config, error, sizeof error);
  if (stack == NULL) fprintf(stderr, "%s\n", error);
  return stack;
}

static int carry(weir_stack *from, weir_stack *to) {
  static unsigned char packet[65536];
  size_t length;
  int n = 0;
  while (weir_stack_output(from, packet, sizeof packet, &length, NULL) == 1) {
    if (sent++ > 0) weir_stack_input(to, packet, length, now);
    ++n;
  }
  return n;
}

static void run(weir_stack *a, weir_stack *b) {
  while (carry(a, b) + carry(b, a) > 0) {
  }
}

int main(void) {
  weir_stack *a = host("192.0.2.1/24", 1), *b = host("192.0.2.2/24", 2);
  if (a == NULL || b == NULL) return 1;
  struct sockaddr_in at;
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_port = htons(7);
  at.sin_addr.s_addr = inet_addr("192.0.2.2");
  const int listener = weir_socket(b, AF_INET, SOCK_STREAM, 0);
  if (weir_bind(b, listener, (struct sockaddr *)&at, sizeof at) != 0) return 2;
  if (weir_listen(b, listener, 8) != 0) return 3;
  const int fd = weir_socket(a, AF_INET, SOCK_STREAM, 0);
  if (weir_connect(a, fd, (struct sockaddr *)&at, sizeof at) != -1 || errno != EINPROGRESS) return 4;
  run(a, b);
  weir_stack_advance(a, now += 1999999); /* the lost SYN's timer is not due yet */
  run(a, b);
  if (sent != 1 || weir_stack_next_deadline(a) > now + 1) return 5;
  weir_stack_advance(a, now += 1);
  run(a, b);
  const int peer = weir_accept(b, listener, NULL, NULL);
  if (peer < 0 || weir_write(a, fd, "hello", 5) != 5) return 6;
  run(a, b);
  char text[16];
  if (weir_read(b, peer, text, sizeof text) != 5 || memcmp(text, "hello", 5) != 0) return 7;
  weir_stack_destroy(a);
  weir_stack_destroy(b);
  printf("weir %s: hello\n", weir_version());
  return 0;
}
