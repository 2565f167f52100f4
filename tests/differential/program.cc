// Programs from seeds: a scene that makes sense, and then calls of all kinds on what it left, most
// of them sensible, some not.
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <climits>
#include <cstring>
#include <random>

#include "call.h"

namespace weir::differential {
namespace {

enum class Kind : std::uint8_t { kNone, kStream, kListener, kDatagram, kEpoll };
enum class Theme : std::uint8_t { kStream, kEdges, kOptions, kDatagrams, kReadiness };

struct OptionChoice {
  int level, name;
  enum Type : std::uint8_t {
    kBool,
    kInt,
    kSize,
    kSeconds,
    kTime,
    kLinger,
    kName,
    kRate,
    kReadOnly
  } type;
};

constexpr OptionChoice kOptions[] = {
    {SOL_SOCKET, SO_REUSEADDR, OptionChoice::kBool},
    {SOL_SOCKET, SO_REUSEPORT, OptionChoice::kBool},
    {SOL_SOCKET, SO_SNDBUF, OptionChoice::kSize},
    {SOL_SOCKET, SO_RCVBUF, OptionChoice::kSize},
    {SOL_SOCKET, SO_KEEPALIVE, OptionChoice::kBool},
    {SOL_SOCKET, SO_LINGER, OptionChoice::kLinger},
    {SOL_SOCKET, SO_ERROR, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_ACCEPTCONN, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_TYPE, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_DOMAIN, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_PROTOCOL, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_MEMINFO, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_COOKIE, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_INCOMING_CPU, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_SNDLOWAT, OptionChoice::kReadOnly},
    {SOL_SOCKET, SO_RCVTIMEO, OptionChoice::kTime},
    {SOL_SOCKET, SO_SNDTIMEO, OptionChoice::kTime},
    {SOL_SOCKET, SO_RCVLOWAT, OptionChoice::kInt},
    {SOL_SOCKET, SO_OOBINLINE, OptionChoice::kBool},
    {SOL_SOCKET, SO_BROADCAST, OptionChoice::kBool},
    {SOL_SOCKET, SO_TIMESTAMP, OptionChoice::kBool},
    {SOL_SOCKET, SO_DONTROUTE, OptionChoice::kBool},
    {SOL_SOCKET, SO_MAX_PACING_RATE, OptionChoice::kRate},
    {IPPROTO_TCP, TCP_NODELAY, OptionChoice::kBool},
    {IPPROTO_TCP, TCP_CORK, OptionChoice::kBool},
    {IPPROTO_TCP, TCP_MAXSEG, OptionChoice::kInt},
    {IPPROTO_TCP, TCP_KEEPIDLE, OptionChoice::kSeconds},
    {IPPROTO_TCP, TCP_KEEPINTVL, OptionChoice::kSeconds},
    {IPPROTO_TCP, TCP_KEEPCNT, OptionChoice::kInt},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, OptionChoice::kSeconds},
    {IPPROTO_TCP, TCP_SYNCNT, OptionChoice::kInt},
    {IPPROTO_TCP, TCP_LINGER2, OptionChoice::kInt},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, OptionChoice::kInt},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, OptionChoice::kSize},
    {IPPROTO_TCP, TCP_CONGESTION, OptionChoice::kName},
    {IPPROTO_TCP, TCP_QUICKACK, OptionChoice::kBool},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, OptionChoice::kSize},
    {IPPROTO_TCP, TCP_INFO, OptionChoice::kReadOnly},
    {IPPROTO_TCP, TCP_CC_INFO, OptionChoice::kReadOnly},
    {IPPROTO_TCP, TCP_INQ, OptionChoice::kInt},
    {IPPROTO_TCP, TCP_TIMESTAMP, OptionChoice::kReadOnly},
    {IPPROTO_IP, IP_TOS, OptionChoice::kInt},
    {IPPROTO_IP, IP_TTL, OptionChoice::kInt},
    {IPPROTO_IP, IP_RECVTOS, OptionChoice::kBool},
    {IPPROTO_IP, IP_RECVTTL, OptionChoice::kBool},
    {IPPROTO_IP, IP_PKTINFO, OptionChoice::kBool},
    {IPPROTO_IP, IP_MTU_DISCOVER, OptionChoice::kInt},
    {IPPROTO_IPV6, IPV6_V6ONLY, OptionChoice::kBool},
    {IPPROTO_IPV6, IPV6_TCLASS, OptionChoice::kInt},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, OptionChoice::kInt},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, OptionChoice::kBool},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, OptionChoice::kBool},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, OptionChoice::kBool},
    {IPPROTO_UDP, UDP_CORK, OptionChoice::kBool},
};

class Author {
 public:
  Author(std::uint64_t seed, bool ipv6) : rng_(seed), ipv6_(ipv6) {}

  std::vector<Call> write() {
    const unsigned theme = below(20);
    theme_ = theme < 7    ? Theme::kStream
             : theme < 10 ? Theme::kEdges
             : theme < 13 ? Theme::kOptions
             : theme < 16 ? Theme::kDatagrams
                          : Theme::kReadiness;
    family_ = ipv6_ && chance(35) ? AF_INET6 : AF_INET;
    const std::size_t most = 10 + below(51);
    if (theme_ == Theme::kDatagrams) {
      two_datagrams();
    } else if (theme_ != Theme::kEdges || chance(50)) {
      listener_and_client();
    }
    if (theme_ == Theme::kReadiness) epoll_of(3);
    while (calls_.size() < most) any();
    return std::move(calls_);
  }

 private:
  unsigned below(unsigned n) { return static_cast<unsigned>(rng_() % n); }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <std::size_t N>
  int one_of(const int (&of)[N]) {
    return of[below(N)];
  }

  Kind kind(int slot) const { return kinds_[static_cast<std::size_t>(slot)]; }
  void set(int slot, Kind k, int family) {
    kinds_[static_cast<std::size_t>(slot)] = k;
    families_[static_cast<std::size_t>(slot)] = family;
  }
  int family(int slot) const { return families_[static_cast<std::size_t>(slot)]; }
  int slot_of(bool (*fits)(Kind)) {
    for (int n = 0; n < 20; ++n) {
      const int at = static_cast<int>(below(kSlots));
      if (fits(kind(at))) return at;
    }
    return static_cast<int>(below(kSlots));
  }
  int any_slot() {
    if (chance(3)) return static_cast<int>(below(kSlots));
    return slot_of([](Kind k) { return k != Kind::kNone; });
  }
  int stream_slot() {
    if (chance(6)) return any_slot();
    return slot_of([](Kind k) { return k == Kind::kStream; });
  }
  int data_slot() {
    if (chance(6)) return any_slot();
    return slot_of([](Kind k) { return k == Kind::kStream || k == Kind::kDatagram; });
  }
  int empty_slot() {
    return slot_of([](Kind k) { return k == Kind::kNone; });
  }

  Call& add(Op op, int slot) {
    Call c;
    c.op = op;
    c.slot = slot;
    c.family = family(slot);
    calls_.push_back(c);
    return calls_.back();
  }

  // -- Scenes
  int socket(int type, int slot) {
    Call& c = add(Op::kSocket, slot);
    c.other = slot;
    c.family = family_;
    c.a = type;
    set(slot, type == SOCK_STREAM ? Kind::kStream : Kind::kDatagram, family_);
    return slot;
  }
  void bind(int slot, Port port, Where where) {
    Call& c = add(Op::kBind, slot);
    c.port = port;
    c.where = where;
  }
  void connect(int slot, Port port) {
    Call& c = add(Op::kConnect, slot);
    c.port = port;
    if (family_ == AF_INET6 && mapped_) c.where = Where::kMappedSelf;
  }
  void noise() {
    if (chance(15)) any();
  }
  void listener_and_client() {
    mapped_ = family_ == AF_INET6 && chance(25);
    socket(SOCK_STREAM, 0);
    if (chance(40)) option_of(0, SOL_SOCKET, SO_REUSEADDR, 1);
    urgent_ = chance(15);
    if (urgent_ && chance(85)) option_of(0, SOL_SOCKET, SO_OOBINLINE, 1);
    noise();
    const Where at = mapped_ ? Where::kAny : chance(40) ? Where::kAny : Where::kSelf;
    bind(0, {chance(60) ? Port::kFixed : Port::kZero, 0}, at);
    noise();
    add(Op::kListen, 0).a = one_of({0, 1, 2, 5, 128, -1});
    set(0, Kind::kListener, family_);
    socket(SOCK_STREAM, 1);
    if (urgent_ && chance(85)) option_of(1, SOL_SOCKET, SO_OOBINLINE, 1);
    noise();
    connect(1, {Port::kOfSlot, 0});
    noise();
    accept(0, 2);
  }
  void two_datagrams() {
    mapped_ = family_ == AF_INET6 && chance(25);
    for (int slot = 0; slot < 2; ++slot) {
      socket(SOCK_DGRAM, slot);
      if (chance(75)) {
        bind(slot, {chance(60) ? Port::kFixed : Port::kZero, slot},
             mapped_ || chance(40) ? Where::kAny : Where::kSelf);
      }
      noise();
    }
    if (chance(70)) connect(0, {Port::kOfSlot, 1});
    if (chance(50)) connect(1, {Port::kOfSlot, 0});
    if (chance(40)) {  // what comes along is told
      for (int slot = 0; slot < 2; ++slot) {
        for (const int name : {IP_RECVTTL, IP_RECVTOS, IP_PKTINFO}) {
          if (chance(70)) option_of(slot, IPPROTO_IP, name, 1);
        }
        for (const int name : {IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVPKTINFO}) {
          if (family_ == AF_INET6 && chance(70)) option_of(slot, IPPROTO_IPV6, name, 1);
        }
      }
    }
    if (chance(35)) epoll_of(2);
  }
  void accept(int from, int to) {
    Call& c = add(Op::kAccept, from);
    c.other = to;
    c.a = one_of({0, SOCK_NONBLOCK, SOCK_NONBLOCK, SOCK_CLOEXEC});
    c.null = chance(40);
    set(to, Kind::kStream, family(from));
  }
  void epoll_of(int slots) {
    add(Op::kEpollCreate, 6).other = 6;
    set(6, Kind::kEpoll, 0);
    for (int slot = 0; slot < slots; ++slot) epoll_add(6, slot);
    if (chance(30)) {
      add(Op::kEpollCreate, 7).other = 7;
      set(7, Kind::kEpoll, 0);
      epoll_add(7, static_cast<int>(below(3)));
    }
  }
  int interest() {
    unsigned bits = chance(85) ? unsigned{EPOLLIN} : 0;
    if (chance(40)) bits |= EPOLLOUT;
    if (chance(40)) bits |= EPOLLRDHUP;
    if (chance(15)) bits |= EPOLLPRI;
    if (chance(35)) bits |= EPOLLET;
    if (chance(15)) bits |= EPOLLONESHOT;
    if (chance(6)) bits |= EPOLLEXCLUSIVE;
    return static_cast<int>(bits);
  }
  void epoll_add(int ep, int slot) {
    Call& c = add(Op::kEpollCtl, ep);
    c.other = slot;
    c.a = EPOLL_CTL_ADD;
    c.b = interest();
  }

  // -- Single calls
  void any() {
    switch (theme_) {
      case Theme::kStream:
        return pick(45, 20, 10, 10, 15);
      case Theme::kEdges:
        return pick(25, 50, 10, 5, 10);
      case Theme::kOptions:
        return pick(20, 15, 60, 5, 5);
      case Theme::kDatagrams:
        return pick(50, 22, 15, kind(6) == Kind::kEpoll ? 20 : 5, 8);
      case Theme::kReadiness:
        return pick(30, 15, 8, 37, 10);
    }
  }
  void pick(unsigned text, unsigned life, unsigned options, unsigned ready, unsigned small) {
    unsigned n = below(text + life + options + ready + small);
    if (n < text) return chance(52) ? send() : receive();
    n -= text;
    if (n < life) return life_call();
    n -= life;
    if (n < options) return option();
    n -= options;
    if (n < ready) return readiness();
    small_call();
  }

  int some_length() {
    if (theme_ == Theme::kOptions) return one_of({0, 1, 5, 40});
    return one_of({0, 1, 2, 5, 17, 100, 100, 500, 1'000});
  }
  void send() {
    static constexpr int kMore[] = {
        0, 0, 0, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_NOSIGNAL, MSG_MORE, MSG_OOB, MSG_EOR};
    const int slot = data_slot();
    Call& c = add(Op::kSend, slot);
    const bool datagram = kind(slot) == Kind::kDatagram;
    const unsigned how = below(10);
    c.op = how < 4   ? Op::kSend
           : how < 6 ? Op::kWrite
           : how < 7 ? Op::kWritev
           : how < 8 ? Op::kSendmsg
                     : Op::kSendto;
    if (datagram && chance(50)) c.op = Op::kSendto;
    if (c.op == Op::kSend || c.op == Op::kSendto || c.op == Op::kSendmsg) c.a = one_of(kMore);
    if (c.a == MSG_OOB && !urgent_ && !datagram && chance(95)) c.a = 0;
    c.null = c.op == Op::kSendmsg && (!datagram || chance(50));
    if (c.op == Op::kSendmsg && datagram && chance(60))
      c.c = 1 + static_cast<int>(below(kControls));
    destination(c, datagram);
    pieces(c, c.op == Op::kWritev || c.op == Op::kSendmsg);
    if (c.a == MSG_MORE) {  // followed at once: what is held goes by itself after a time
      Call next = c;
      next.a = 0;
      calls_.push_back(next);
    }
  }
  void destination(Call& c, bool datagram) {
    c.port = datagram && chance(85) ? Port{Port::kOfSlot, 1 - c.slot % 2}
                                    : Port{chance(80) ? Port::kFixed : Port::kZero,
                                           static_cast<int>(below(kFixedPorts))};
    if (mapped_ && chance(80)) c.where = Where::kMappedSelf;
    if (chance(4)) c.where = Where::kOtherFamily;
    if (chance(4)) c.where = Where::kAny;
    if (chance(4)) c.length_off = one_of({-1, -8, -14, -16, 4, 1'000});
  }
  void pieces(Call& c, bool several) {
    const int n = several ? static_cast<int>(below(4)) : 1;
    for (int i = 0; i < n; ++i) c.lengths.push_back(chance(3) ? -1 : some_length());
  }
  void receive() {
    static constexpr int kHow[] = {0,
                                   0,
                                   0,
                                   0,
                                   MSG_PEEK,
                                   MSG_PEEK,
                                   MSG_DONTWAIT,
                                   MSG_TRUNC,
                                   MSG_TRUNC | MSG_PEEK,
                                   MSG_WAITALL,
                                   MSG_OOB,
                                   MSG_ERRQUEUE};
    const int slot = data_slot();
    Call& c = add(Op::kRecv, slot);
    const unsigned how = below(10);
    c.op = how < 3   ? Op::kRecv
           : how < 5 ? Op::kRead
           : how < 6 ? Op::kReadv
           : how < 8 ? Op::kRecvmsg
                     : Op::kRecvfrom;
    if (c.op != Op::kRead && c.op != Op::kReadv) c.a = one_of(kHow);
    if (c.op == Op::kRecvmsg) c.b = one_of({0, 8, 16, 20, 64, 256});
    if (chance(5)) c.length_off = one_of({-1, -100, -120, -127, -128});
    const int n = c.op == Op::kReadv || c.op == Op::kRecvmsg ? static_cast<int>(below(4)) : 1;
    for (int i = 0; i < n; ++i) {
      c.lengths.push_back(chance(3) ? -1 : one_of({0, 1, 5, 100, 100, 2'000, 2'000, 5'000}));
    }
  }

  void life_call() {
    const unsigned n = below(100);
    if (n < 14) return new_socket();
    if (n < 28) return any_bind();
    if (n < 36) {
      const int slot = chance(80) ? stream_slot() : any_slot();
      add(Op::kListen, slot).a = one_of({0, 1, 2, 5, 128, -1});
      if (kind(slot) == Kind::kStream && chance(30)) set(slot, Kind::kListener, family(slot));
      return;
    }
    if (n < 50) return any_connect();
    if (n < 56) {
      const int slot = any_slot();
      add(Op::kDisconnect, slot);
      return;
    }
    if (n < 70) {
      const int from =
          chance(85) ? slot_of([](Kind k) { return k == Kind::kListener; }) : any_slot();
      const int to = empty_slot();
      if (to == from) return;
      accept(from, to);
      if (chance(5)) calls_.back().length_off = one_of({-1, -120, -128});
      return;
    }
    if (n < 86) {
      add(Op::kShutdown, data_slot()).a = one_of({SHUT_RD, SHUT_WR, SHUT_RDWR, SHUT_WR, 3, -1});
      return;
    }
    const int slot = any_slot();
    add(Op::kClose, slot);
    set(slot, Kind::kNone, 0);
  }
  void new_socket() {
    const int slot = empty_slot();
    Call& c = add(Op::kSocket, slot);
    c.other = slot;
    c.family = chance(85) ? family_ : ipv6_ && chance(80) ? AF_INET6 : AF_INET;
    c.a = chance(65) ? SOCK_STREAM : SOCK_DGRAM;
    const Kind made = c.a == SOCK_STREAM ? Kind::kStream : Kind::kDatagram;
    if (chance(12)) {  // most of these cannot be
      c.a = one_of({SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RDM, 0, 11, 15});
      c.b = one_of({0, IPPROTO_TCP, IPPROTO_UDP, 300, -1, IPPROTO_SCTP});
      if (chance(20)) c.family = one_of({AF_UNSPEC, AF_MAX, 100});
      return;
    }
    set(slot, made, c.family);
  }
  void any_bind() {
    Call& c = add(Op::kBind, chance(85) ? data_slot() : any_slot());
    c.port = {chance(70) ? Port::kFixed : Port::kZero, static_cast<int>(below(kFixedPorts))};
    if (chance(15)) c.port = {Port::kOfSlot, static_cast<int>(below(kSlots))};
    const unsigned n = below(20);
    c.where = n < 8    ? Where::kSelf
              : n < 14 ? Where::kAny
              : n < 15 ? Where::kForeign
              : n < 17 ? Where::kMappedSelf
              : n < 19 ? Where::kMappedAny
                       : Where::kOtherFamily;
    if (chance(6)) c.length_off = one_of({-1, -4, -8, -12, -14, -15, -16, 4, 100, 112, 113, 1'000});
    c.null = chance(2);
  }
  void any_connect() {
    Call& c = add(Op::kConnect, chance(90) ? data_slot() : any_slot());
    c.port = {Port::kOfSlot, static_cast<int>(below(4))};
    if (chance(30)) c.port = {Port::kFixed, static_cast<int>(below(kFixedPorts))};
    if (chance(2)) c.port = {Port::kZero, 0};
    const unsigned n = below(20);
    c.where = n < 13   ? Where::kSelf
              : n < 15 ? Where::kAny
              : n < 18 ? Where::kMappedSelf
              : n < 19 ? Where::kMappedAny
                       : Where::kOtherFamily;
    if (chance(4)) c.length_off = one_of({-1, -8, -12, -14, -15, -16, 4, 112, 113});
    c.null = chance(2);
  }

  // -- Options
  void option_of(int slot, int level, int name, int v) {
    Call& c = add(Op::kSetsockopt, slot);
    c.a = level;
    c.b = name;
    c.value.resize(sizeof v);
    std::memcpy(c.value.data(), &v, sizeof v);
  }
  template <class T>
  static void give(Call& c, const T& v) {
    c.value.resize(sizeof v);
    std::memcpy(c.value.data(), &v, sizeof v);
  }
  void option() {
    const int slot = chance(92) ? data_slot() : any_slot();
    const OptionChoice& o = kOptions[below(std::size(kOptions))];
    const bool read = o.type == OptionChoice::kReadOnly ? chance(90) : chance(50);
    if (read) {
      Call& c = add(Op::kGetsockopt, slot);
      c.a = o.level;
      c.b = o.name;
      c.c = chance(80) ? natural_length(o) : one_of({0, 1, 2, 3, 4, 5, 8, 16, 300, -1});
      c.null = chance(1);
      return;
    }
    Call& c = add(Op::kSetsockopt, slot);
    c.a = o.level;
    c.b = o.name;
    value_for(c, o);
    if (chance(12)) c.length_off = one_of({-1, -2, -3, -4, -8, 1, 4, 12, 60});
    c.null = chance(1);
    if (o.level == IPPROTO_TCP && o.name == TCP_CORK) {  // not for long
      option_of(slot, IPPROTO_TCP, TCP_CORK, 0);
    }
  }
  static int natural_length(const OptionChoice& o) {
    switch (o.type) {
      case OptionChoice::kTime:
        return sizeof(timeval);
      case OptionChoice::kLinger:
        return sizeof(linger);
      case OptionChoice::kName:
        return 16;
      case OptionChoice::kReadOnly:
        if (o.name == TCP_INFO && o.level == IPPROTO_TCP) return sizeof(tcp_info);
        if (o.name == SO_MEMINFO && o.level == SOL_SOCKET) return 36;
        return o.name == SO_COOKIE && o.level == SOL_SOCKET ? 8 : 4;
      default:
        return sizeof(int);
    }
  }
  void value_for(Call& c, const OptionChoice& o) {
    switch (o.type) {
      case OptionChoice::kLinger:
        return give(c, linger{one_of({0, 1, 1, 2}), one_of({0, 0, 1, -1})});
      case OptionChoice::kTime:
        return give(c, timeval{one_of({0, 1, 3, -1}), one_of({0, 0, 1'000'000, -1})});
      case OptionChoice::kName: {
        static constexpr const char* kNames[] = {"reno", "cubic", "nonesuch", ""};
        const std::string name = kNames[below(4)];
        c.value.assign(name.begin(), name.end());
        return;
      }
      case OptionChoice::kSize:  // small ones would stop the text of the other themes
        if (theme_ == Theme::kOptions && chance(50)) {
          return give(c, one_of({0, 1, 2'000, 2'304, 4'608, 10'000}));
        }
        return give(c, one_of({65'536, 100'000, 1 << 20, INT_MAX, -1, INT_MIN}));
      case OptionChoice::kRate:  // none that could be felt
        return give(c, one_of({1 << 26, 1 << 30, INT_MAX, -1}));
      case OptionChoice::kSeconds:
        return give(c, one_of({0, 10'000, 20'000, 32'767, 32'768, 1 << 20, -1, INT_MAX}));
      case OptionChoice::kBool:
        return give(c, one_of({0, 1, 1, 1, 2, -1}));
      default:
        return give(c, one_of({0, 1, 2, 10, 60, 88, 127, 128, 255, 256, 1'000, 40'000, -1, -2,
                               INT_MAX, INT_MIN}));
    }
  }

  // -- Readiness
  void readiness() {
    const unsigned n = below(10);
    const int ep = slot_of([](Kind k) { return k == Kind::kEpoll; });
    if (n < 4) {
      Call& c = add(Op::kEpollWait, chance(95) ? ep : any_slot());
      c.a = one_of({1, 1, 2, 8, 8, 8, 0, -1});
      if (c.a < 1 && chance(60)) c.a = 8;
      c.null = false;
      return;
    }
    if (n < 7) {
      Call& c = add(Op::kEpollCtl, chance(95) ? ep : any_slot());
      c.other = any_slot();
      c.a = one_of({EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, 0, 4});
      if (c.a == 0 || c.a == 4) c.a = chance(20) ? c.a : EPOLL_CTL_MOD;
      c.b = interest();
      c.null = chance(3);
      return;
    }
    if (n < 8 && kind(6) == Kind::kNone) {
      add(Op::kEpollCreate, 6).other = 6;
      set(6, Kind::kEpoll, 0);
      return;
    }
    Call& c = add(chance(60) ? Op::kPoll : Op::kSelect, 0);
    for (int& mask : c.masks) {
      mask =
          chance(50) ? -1
          : c.op == Op::kPoll
              ? one_of({POLLIN, POLLOUT, POLLIN | POLLOUT, POLLPRI, POLLRDHUP | POLLIN, 0, 0x3ff})
              : static_cast<int>(below(8));
    }
  }

  void small_call() {
    switch (below(6)) {
      case 0:
      case 1: {
        Call& c = add(chance(50) ? Op::kGetsockname : Op::kGetpeername, any_slot());
        if (chance(15)) c.length_off = one_of({-1, -100, -112, -113, -127, -128, -129});
        c.null = chance(3);
        return;
      }
      case 2:
      case 3: {
        Call& c = add(Op::kIoctl, any_slot());
        c.a = one_of({SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, 0x1234});
        c.null = chance(3);
        return;
      }
      case 4:
        add(Op::kFlags, any_slot());
        return;
      default:
        add(Op::kBlocking, any_slot()).a = chance(50) ? 1 : 0;
        return;
    }
  }

  std::mt19937_64 rng_;
  bool ipv6_, mapped_ = false, urgent_ = false;
  Theme theme_ = Theme::kStream;
  int family_ = AF_INET;
  std::array<Kind, kSlots> kinds_{};
  std::array<int, kSlots> families_{};
  std::vector<Call> calls_;
};

}  // namespace

std::vector<Call> program_of(std::uint64_t seed, bool ipv6) {
  return Author(seed, ipv6).write();
}

}  // namespace weir::differential
