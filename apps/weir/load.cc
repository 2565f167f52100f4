#include "load.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "pattern.h"
#include "plain_http.h"

namespace weir::app {
namespace {

constexpr unsigned kPerTurn = 64;              // connections, and requests, begun in one iteration
constexpr std::uint32_t kMaxConnecting = 256;  // where no rate says how fast to open
constexpr Duration kBackOff = 10ms;            // after a connect that this host could not make
constexpr Duration kProbeLimit = 1s;           // what the first connections may hold up the rest
constexpr std::uint32_t kReadAtOnce = 65'536;

std::uint32_t part(std::uint64_t whole, LoadHandler::Share share) {
  const std::uint64_t n = whole / share.of + (share.index < whole % share.of ? 1 : 0);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, kNoIndex - 1));
}

std::uint64_t micros(Instant from, Instant to) {
  return to <= from ? 0 : static_cast<std::uint64_t>((to - from).count());
}

}  // namespace

std::uint64_t LoadCounters::connect_errors() const {
  return connect_refused.get() + connect_timeouts.get() + connect_unreachable.get() +
         connect_no_port.get() + connect_full.get() + connect_no_route.get();
}

std::uint64_t LoadCounters::answer_errors() const {
  return wrong_status.get() + wrong_size.get() + wrong_body.get() + wrong_framing.get() +
         cut_short.get() + resets.get() + request_timeouts.get() + lost.get() + unfinished.get();
}

std::uint32_t LoadHandler::record_octets() {
  return sizeof(Client);
}

// What llhttp calls. 0 goes on; HPE_PAUSED stops behind the answer.
struct LoadHandler::Callbacks {
  static Reader& reader(llhttp_t* p) { return *static_cast<Reader*>(p->data); }

  static int on_begin(llhttp_t* p) {
    reader(p).answer = {};
    return 0;
  }
  static int on_body(llhttp_t* p, const char* at, std::size_t n) {
    Answer& a = reader(p).answer;
    if (reader(p).owner->config_.expect_pattern && a.right_body) {
      a.right_body = matches_pattern(std::as_bytes(std::span(at, n)), a.size);
    }
    a.size += n;
    return 0;
  }
  static int on_complete(llhttp_t* p) {
    const bool interim = p->status_code >= 100 && p->status_code < 200 && p->status_code != 101;
    if (interim) return 0;  // RFC 9110 §15.2: the answer follows
    Reader& r = reader(p);
    r.complete = true;
    r.answer.status = p->status_code;
    r.answer.keep_alive = llhttp_should_keep_alive(p) != 0;
    return HPE_PAUSED;
  }
  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t s = [] {
      llhttp_settings_t t;
      llhttp_settings_init(&t);
      t.on_message_begin = on_begin;
      t.on_body = on_body;
      t.on_message_complete = on_complete;
      return t;
    }();
    return &s;
  }
};

LoadHandler::LoadHandler(stack::Stack& s, const LoadConfig& config, Share share)
    : stack_(s),
      config_(config),
      requests_(config, share.index),
      schedule_{config.rate_from, config.rate_to, static_cast<double>(config.ramp.count()) / 1e6,
                share},
      limit_(part(config.concurrency, share)),
      total_(config.connections_total == 0 ? std::numeric_limits<std::uint64_t>::max()
                                           : part(config.connections_total, share)),
      clients_(limit_),
      readers_(limit_),
      blocked_until_(std::max<std::size_t>(1, config.sources.size()) * config.targets.size()),
      pair_(share.index) {
  WEIR_ASSERT(!config.targets.empty());
  // Made before the first request or answer.
  if (config.expect_pattern || !config.body_sizes.empty()) (void)pattern_octets();
}

// -- The pace -----------------------------------------------------------------------------------

// The integral of the rate reaches g: from·t + (to - from)·t²/2·ramp = g, then straight on.
Instant LoadHandler::Schedule::due(Instant start, std::uint64_t n) const {
  const double g = static_cast<double>(n) * share.of + share.index;
  const double in_ramp = (from + to) / 2 * ramp;
  double t = 0;
  if (g >= in_ramp) {
    if (to <= 0) return kNever;
    t = ramp + (g - in_ramp) / to;
  } else {
    const double root = std::sqrt(from * from + 2 * (to - from) / ramp * g);
    t = g == 0 ? 0 : 2 * g / (from + root);
  }
  return start + Duration(static_cast<std::int64_t>(t * 1e6));
}

void LoadHandler::begin_probes(Instant now) {
  begun_ = true;
  probes_end_ = now + kProbeLimit;
  for (std::size_t i = 0; i < config_.targets.size() && wants_more(); ++i) {
    (void)open_one(now, now, true);
  }
}

void LoadHandler::begin_schedule(Instant now) {
  start_ = now;
  measure_from_ = now + config_.warmup;
  if (config_.paced()) next_due_ = schedule_.due(start_, 0);
}

void LoadHandler::set_rate(double per_second, Instant now) {
  WEIR_ASSERT(config_.paced());
  schedule_.from = schedule_.to = per_second;
  schedule_.ramp = 0;
  if (start_ == kNever) return;  // the schedule has yet to begin
  start_ = now;
  paced_ = 0;
  next_due_ = schedule_.due(start_, 0);
}

void LoadHandler::take_due() {
  next_due_ = schedule_.due(start_, ++paced_);
}

bool LoadHandler::wants_more() const {
  return !draining_ && clients_.size() < limit_ && opened_ < total_;
}

unsigned LoadHandler::on_turn(Instant now) {
  if (draining_) return 0;
  if (!begun_) begin_probes(now);
  if (start_ == kNever) {
    if (probes_ > 0 && now < probes_end_) return 0;
    begin_schedule(now);
  }
  return open_due(now) + ask_due(now);
}

Instant LoadHandler::next_turn() const {
  if (draining_) return kNever;
  if (start_ == kNever) return probes_ > 0 ? probes_end_ : Instant{};
  Instant next = kNever;
  if (wants_more()) {
    if (opens_paced()) {
      next = std::max(resume_at_, next_due_);
    } else if (counters_.connecting.get() < kMaxConnecting) {
      next = std::max(resume_at_, start_);
    }
  }
  return idle_head_ == kNoIndex ? next : std::min(next, next_due_);
}

unsigned LoadHandler::open_due(Instant now) {
  const bool paced = opens_paced();
  unsigned n = 0;
  for (; n < kPerTurn && wants_more() && now >= resume_at_; ++n) {
    if (paced ? next_due_ > now : counters_.connecting.get() >= kMaxConnecting) break;
    if (!open_one(paced ? next_due_ : now, now, false)) break;
    if (paced) take_due();
  }
  return n;
}

// Requests that are due, each on the connection that has been idle longest.
unsigned LoadHandler::ask_due(Instant now) {
  unsigned n = 0;
  for (; n < kPerTurn && idle_head_ != kNoIndex && next_due_ <= now; ++n) {
    const std::uint32_t index = idle_head_;
    WEIR_ASSERT(clients_[index].live && clients_[index].idle_listed);
    unlist_idle(index);
    ask(index, next_due_);
    take_due();
  }
  return n;
}

bool LoadHandler::finished() const {
  return begun_ && opened_ >= total_ && clients_.size() == 0;
}

// -- Connecting ---------------------------------------------------------------------------------

// A pair of source and target that is not short of ports; kNoIndex, and a time to try again.
std::uint32_t LoadHandler::next_pair(Instant now) {
  const auto n = static_cast<std::uint32_t>(blocked_until_.size());
  Instant earliest = kNever;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t p = pair_ % n;
    pair_ = (p + 1) % n;
    if (blocked_until_[p] <= now) return p;
    earliest = std::min(earliest, blocked_until_[p]);
  }
  resume_at_ = earliest;
  return kNoIndex;
}

bool LoadHandler::open_one(Instant due, Instant now, bool probe) {
  const std::uint32_t pair = next_pair(now);
  if (pair == kNoIndex) return false;
  const auto targets = static_cast<std::uint32_t>(config_.targets.size());
  std::optional<IpAddr> source;
  if (!config_.sources.empty()) source = config_.sources[pair / targets];
  const auto id = stack_.connect(config_.targets[pair % targets], source, now);
  if (!id) {
    count_refusal(id.error(), pair, now);
    return false;
  }
  const std::uint32_t index = clients_.take();
  WEIR_ASSERT(index != kNoIndex);
  high_water_ = std::max(high_water_, index + 1);
  auto& c = *::new (clients_.slot(index)) Client{};
  c.id = id.value();
  c.due = due;
  c.probe = probe;
  if (probe) ++probes_;
  Connection opened(stack_, c.id);
  opened.set_user(index);
  opened.set_nodelay(true);
  opened.set_timer(now + config_.connect_timeout);
  ++opened_;
  counters_.opened.add();
  counters_.connecting.up();
  return true;
}

void LoadHandler::count_refusal(stack::Error e, std::uint32_t pair, Instant now) {
  switch (e) {
    case stack::Error::kAddressInUse:
    case stack::Error::kAddressNotLocal:
    case stack::Error::kNoPort:
      counters_.connect_no_port.add();
      blocked_until_[pair] = now + kBackOff;  // others may have ports left
      return;
    case stack::Error::kFull:
      counters_.connect_full.add();
      break;
    case stack::Error::kInvalidRemote:
    case stack::Error::kNoRoute:
      counters_.connect_no_route.add();
      break;
  }
  resume_at_ = now + kBackOff;
}

void LoadHandler::on_connected(Connection, std::uint64_t user) {
  const auto index = static_cast<std::uint32_t>(user);
  Client& c = clients_[index];
  WEIR_ASSERT(c.live && c.phase == Phase::kConnecting);
  c.phase = Phase::kIdle;
  counters_.connecting.down();
  counters_.open.up();
  counters_.connected.add();
  if (c.probe) --probes_;
  if (measured(c)) latency_.connect.record(micros(c.due, now()));
  if (!draining_) return rest(index);
  if (config_.mode != LoadMode::kOpen) return leave(index);
  ask(index, now());
}

// -- Asking -------------------------------------------------------------------------------------

// Connected, and nothing is asked: what comes next.
void LoadHandler::rest(std::uint32_t index) {
  Client& c = clients_[index];
  c.phase = Phase::kIdle;
  if (config_.mode == LoadMode::kHold) {
    const bool asks = config_.interval > Duration::zero();
    return conn(c).set_timer(asks ? now() + config_.interval : kNever);
  }
  if (config_.mode != LoadMode::kRequests || !config_.paced()) return ask(index, now());
  conn(c).set_timer(kNever);
  list_idle(index);
}

void LoadHandler::ask(std::uint32_t index, Instant due) {
  Client& c = clients_[index];
  ++c.requests;
  c.last = draining_ || (config_.requests > 0 && c.requests >= config_.requests);
  c.phase = Phase::kWaiting;
  c.due = due;
  c.out_sent = 0;
  c.began = false;
  c.request = requests_.draw();
  counters_.requests.add();
  c.asking = true;
  counters_.asking.up();
  conn(c).set_timer(now() + config_.timeout);
  push(c);
}

void LoadHandler::push(Client& c) {
  const bool closes = c.last && config_.close == LoadClose::kServer;
  const std::string_view head = requests_.head(c.request, closes);
  const std::size_t all = head.size() + c.request.body;
  while (c.out_sent < all) {
    std::span<const std::byte> text;
    if (c.out_sent < head.size()) {
      text = std::as_bytes(std::span(head).subspan(c.out_sent));
    } else {
      text = pattern_octets().subspan((c.out_sent - head.size()) % kPatternSize);
      text = text.first(std::min(text.size(), all - c.out_sent));
    }
    const std::size_t n = conn(c).send(text);
    c.out_sent += static_cast<std::uint32_t>(n);
    counters_.bytes_out.add(n);
    if (n < text.size()) return conn(c).want_writable();
  }
}

void LoadHandler::on_writable(Connection, std::uint64_t user) {
  Client& c = clients_[static_cast<std::uint32_t>(user)];
  if (c.phase == Phase::kWaiting) push(c);
}

// -- Answers ------------------------------------------------------------------------------------

void LoadHandler::read(std::uint32_t index) {
  Client& c = clients_[index];
  while (c.live) {
    const std::size_t n = conn(c).readable();
    if (n == 0) return;
    BufChain loan = conn(c).receive(std::min<std::size_t>(n, kReadAtOnce));
    if (loan.empty()) return;
    counters_.bytes_in.add(loan.bytes());
    for (const Buf* b = loan.head(); b != nullptr && c.live; b = b->next) {
      if (b->len > 0) feed(index, *b);
    }
    stack_.release(std::move(loan));
  }
}

void LoadHandler::feed(std::uint32_t index, const Buf& b) {
  Client& c = clients_[index];
  if (c.phase != Phase::kWaiting) return fail(index, counters_.wrong_framing);
  const std::string_view text(reinterpret_cast<const char*>(b.data), b.len);
  if (c.began) return parse(index, text);
  c.began = true;
  if (measured(c)) latency_.first_byte.record(micros(c.due, now()));
  const auto plain = read_plain_answer(text);
  if (!plain) return parse(index, text);
  const auto octets = std::as_bytes(std::span(plain->body));
  const bool right = !config_.expect_pattern || matches_pattern(octets, 0);
  on_answer(index, {plain->status, plain->body.size(), right, plain->keep_alive});
}

void LoadHandler::parse(std::uint32_t index, std::string_view text) {
  Client& c = clients_[index];
  if (c.reader == kNoIndex) {
    c.reader = readers_.take();
    WEIR_ASSERT(c.reader != kNoIndex);  // there is one for each
    Reader& fresh = *::new (readers_.slot(c.reader)) Reader;
    llhttp_init(&fresh.parser, HTTP_RESPONSE, Callbacks::settings());
    fresh.parser.data = &fresh;
    fresh.owner = this;
  }
  Reader& r = readers_[c.reader];
  const llhttp_errno_t e = llhttp_execute(&r.parser, text.data(), text.size());
  if (!r.complete) {
    if (e != HPE_OK) fail(index, counters_.wrong_framing);
    return;
  }
  // Nothing is asked ahead, so nothing may follow.
  if (llhttp_get_error_pos(&r.parser) != text.data() + text.size()) {
    return fail(index, counters_.wrong_framing);
  }
  const Answer answer = r.answer;
  give_reader(c);
  on_answer(index, answer);
}

void LoadHandler::give_reader(Client& c) {
  if (c.reader != kNoIndex) readers_.give(std::exchange(c.reader, kNoIndex));
}

void LoadHandler::on_answer(std::uint32_t index, const Answer& answer) {
  judge(clients_[index], answer);
  next_step(index, answer.keep_alive);
}

void LoadHandler::judge(Client& c, const Answer& answer) {
  counters_.answers.add();
  answered(c);
  if (measured(c)) latency_.request.record(micros(c.due, now()));
  const bool right_size = requests_.draws_sizes()
                              ? answer.size == c.request.size
                              : config_.expect_size.value_or(answer.size) == answer.size;
  if (answer.status != config_.expect_status) {
    counters_.wrong_status.add();
  } else if (!right_size) {
    counters_.wrong_size.add();
  } else if (!answer.right_body) {
    counters_.wrong_body.add();
  }
}

void LoadHandler::next_step(std::uint32_t index, bool keep_alive) {
  Client& c = clients_[index];
  const bool done = c.last || draining_;
  if (!done && keep_alive) return rest(index);
  if (keep_alive || (c.last && config_.close != LoadClose::kServer)) return leave(index);
  c.phase = Phase::kLeaving;  // the server closes
  conn(c).set_timer(now() + config_.timeout);
}

// -- The end of a connection --------------------------------------------------------------------

void LoadHandler::leave(std::uint32_t index) {
  Client& c = clients_[index];
  counters_.completed.add();
  if (config_.close == LoadClose::kRst) {
    conn(c).abort();
  } else {
    conn(c).close();
  }
  end(index);
}

void LoadHandler::fail(std::uint32_t index, lb::Counter& counter) {
  counter.add();
  conn(clients_[index]).abort();
  end(index);
}

// The end of the connection was the end of the answer.
bool LoadHandler::finishes(Client& c) {
  if (c.reader == kNoIndex) return false;
  Reader& r = readers_[c.reader];
  (void)llhttp_finish(&r.parser);
  return r.complete;
}

void LoadHandler::on_peer_closed(Connection from, std::uint64_t user) {
  const auto index = static_cast<std::uint32_t>(user);
  Client& c = clients_[index];
  switch (c.phase) {
    case Phase::kWaiting:
      // An answer without a length ends here (RFC 9112 §6.3).
      if (!finishes(c)) break;
      judge(c, readers_[c.reader].answer);
      [[fallthrough]];
    case Phase::kLeaving:
      counters_.completed.add();
      from.close();
      return end(index);
    case Phase::kConnecting:
    case Phase::kIdle: {
      const bool held = config_.mode == LoadMode::kHold;
      (held ? counters_.lost : counters_.server_closed).add();
      from.close();
      return end(index);
    }
  }
  fail(index, counters_.cut_short);
}

void LoadHandler::on_timer(Connection from, std::uint64_t user) {
  const auto index = static_cast<std::uint32_t>(user);
  switch (clients_[index].phase) {
    case Phase::kConnecting:
      return fail(index, counters_.connect_timeouts);
    case Phase::kWaiting:
      return fail(index, counters_.request_timeouts);
    case Phase::kLeaving:  // it said that it would close: all was answered, all the same
      counters_.completed.add();
      from.close();
      return end(index);
    case Phase::kIdle:
      if (config_.mode == LoadMode::kHold) ask(index, now());
  }
}

void LoadHandler::count_failed_connect(CloseReason reason) {
  switch (reason) {
    case CloseReason::kTimedOut:
      return counters_.connect_timeouts.add();
    case CloseReason::kUnreachable:
    case CloseReason::kNetUnreachable:
      return counters_.connect_unreachable.add();
    default:
      return counters_.connect_refused.add();
  }
}

void LoadHandler::on_closed(Connection, std::uint64_t user, CloseReason reason) {
  const auto index = static_cast<std::uint32_t>(user);
  const bool held = config_.mode == LoadMode::kHold;
  switch (clients_[index].phase) {
    case Phase::kConnecting:
      count_failed_connect(reason);
      break;
    case Phase::kWaiting:
      counters_.resets.add();
      break;
    case Phase::kIdle:
      (held ? counters_.lost : counters_.resets).add();
      break;
    case Phase::kLeaving:
      counters_.completed.add();
      break;
  }
  end(index);
}

void LoadHandler::end(std::uint32_t index) {
  Client& c = clients_[index];
  WEIR_ASSERT(c.live);
  if (c.phase == Phase::kConnecting) {
    counters_.connecting.down();
    if (c.probe) --probes_;
  } else {
    counters_.open.down();
  }
  unlist_idle(index);
  answered(c);
  give_reader(c);
  c.live = false;
  clients_.give(index);
}

// Or it never will be.
void LoadHandler::answered(Client& c) {
  if (std::exchange(c.asking, false)) counters_.asking.down();
}

void LoadHandler::stop_accepting() {
  draining_ = true;
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (clients_[i].live && clients_[i].phase == Phase::kIdle) leave(i);
  }
}

void LoadHandler::abort_all() {
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (clients_[i].live) fail(i, counters_.unfinished);
  }
}

// -- The list of the idle, oldest first
// ------------------------------------------------------------

void LoadHandler::list_idle(std::uint32_t index) {
  Client& c = clients_[index];
  c.idle_listed = true;
  c.prev = idle_tail_;
  c.next = kNoIndex;
  (idle_tail_ == kNoIndex ? idle_head_ : clients_[idle_tail_].next) = index;
  idle_tail_ = index;
}

void LoadHandler::unlist_idle(std::uint32_t index) {
  Client& c = clients_[index];
  if (!c.idle_listed) return;
  c.idle_listed = false;
  (c.prev == kNoIndex ? idle_head_ : clients_[c.prev].next) = c.next;
  (c.next == kNoIndex ? idle_tail_ : clients_[c.next].prev) = c.prev;
}

void LoadHandler::check_invariants() const {
  WEIR_ASSERT(clients_.size() == counters_.connecting.get() + counters_.open.get());
  WEIR_ASSERT(counters_.asking.get() <= counters_.open.get());
  std::uint32_t idle = 0;
  for (std::uint32_t i = 0; i < high_water_; ++i) {
    if (clients_[i].live && clients_[i].idle_listed) ++idle;
  }
  std::uint32_t before = kNoIndex;
  for (std::uint32_t i = idle_head_; i != kNoIndex; i = clients_[i].next) {
    const Client& c = clients_[i];
    WEIR_ASSERT(c.live && c.idle_listed && c.phase == Phase::kIdle && c.prev == before && idle > 0);
    --idle;
    before = i;
  }
  WEIR_ASSERT(idle == 0 && before == idle_tail_);
}

}  // namespace weir::app
