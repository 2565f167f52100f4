#include "preload/real.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace weir::preload {
namespace {

template <class F>
void find(F*& function, const char* name) {
  void* const symbol = dlsym(RTLD_NEXT, name);
  if (symbol == nullptr) abort();  // a libc without sockets: nothing can go on
  function = reinterpret_cast<F*>(symbol);
}

Real look_up() {
  Real r{};
  find(r.socket, "socket");
  find(r.bind, "bind");
  find(r.listen, "listen");
  find(r.connect, "connect");
  find(r.accept4, "accept4");
  find(r.getsockname, "getsockname");
  find(r.getpeername, "getpeername");
  find(r.getsockopt, "getsockopt");
  find(r.setsockopt, "setsockopt");
  find(r.ioctl, "ioctl");
  find(r.epoll_ctl, "epoll_ctl");
  find(r.poll, "poll");
  find(r.ppoll, "ppoll");
  find(r.select, "select");
  find(r.pselect, "pselect");
  find(r.pthread_create, "pthread_create");
  find(r.exit_at_once, "_exit");
  return r;
}

}  // namespace

const Real& real() {
  static const Real r = look_up();
  return r;
}

}  // namespace weir::preload
