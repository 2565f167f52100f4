// OPEN, SEND, RECEIVE, CLOSE, ABORT (RFC 9293 §3.10.1-6), and how a connection ends.
#include <algorithm>
#include <cstring>

#include "tcp/internal.h"

namespace weir::tcp {

void user_open(Tcb& t, const OpenArgs& args, Instant now) {
  const Config& c = *t.config;
  t.iss = args.iss;
  t.snd_una = t.snd_nxt = t.iss;
  t.ts_offset = args.ts_offset;
  //= RFC9293 MUST-67
  //= RFC1191 3.1
  //= RFC9293 SHLD-6
  t.mss = t.full_mss = t.rcv_mss = offered_mss(args.mtu, args.ipv6);
  if (args.ipv6) t.set(kIpv6);
  if (c.timestamps) t.set(kTimestamps);
  if (c.sack) t.set(kSack);
  if (c.window_scaling) {
    t.set(kScaling);
    t.rcv_wscale = window_scale_for(c.rmem);
  }
  fit_window(t);
  ecn_open(t);
  t.last_received = now;
  t.set(kSynDue);
  transition(t, Trigger::kActiveOpen);
}

void user_send(Tcb& t, BufChain&& text) {
  t.sndq.append(std::move(text));
}

void user_end_record(Tcb& t) {
  Buf* last = t.sndq.tail();
  if (last == nullptr) return;  // all of it is acknowledged
  last->flags = static_cast<std::uint8_t>(last->flags | Buf::kEndOfRecord);
  t.records = true;
}

bool may_send(const Tcb& t) {
  const bool open = t.state == State::kSynSent || t.state == State::kSynReceived ||
                    t.state == State::kEstablished || t.state == State::kCloseWait;
  return open && !t.has(kFinQueued);
}

std::uint32_t send_room(const Tcb& t) {
  if (!may_send(t)) return 0;
  const std::uint32_t all = send_buffer(t);
  const std::uint32_t room = all > t.sndq.bytes() ? all - t.sndq.bytes() : 0;
  if (!t.in_mode(kLowat)) return room;
  const std::uint32_t mark = t.own->set.notsent_lowat, waits = unsent_octets(t);
  return mark > waits ? std::min(room, mark - waits) : 0;
}

namespace {

// The application has read.
void after_receive(Tcb& t) {
  urgent_read(t);
  if (takes_text(t.state) && window_update_due(t)) t.set(kAckNow);
}

}  // namespace

BufChain user_receive(Tcb& t, std::uint32_t max) {
  if (t.rcvq.bytes() <= max) {
    BufChain all = std::move(t.rcvq);
    if (!all.empty()) after_receive(t);
    return all;
  }
  BufChain loan;
  while (t.rcvq.head() != nullptr && (loan.empty() || loan.bytes() + t.rcvq.head()->len <= max)) {
    loan.push_back(t.rcvq.pop_front());
  }
  if (!loan.empty()) after_receive(t);
  return loan;
}

std::uint32_t user_receive_copy(Tcb& t, std::span<std::byte> into, Outbox& out) {
  std::uint32_t done = 0;
  while (done < into.size() && t.rcvq.head() != nullptr) {
    const Buf* head = t.rcvq.head();
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(head->len, into.size() - done));
    std::memcpy(into.data() + done, head->data, n);
    done += n;
    if (n == head->len) {
      out.release.push_back(t.rcvq.pop_front());
    } else {
      t.rcvq.trim_head(n);
    }
  }
  if (done > 0) after_receive(t);
  return done;
}

std::uint32_t user_peek(const Tcb& t, std::uint32_t offset, std::span<std::byte> into) {
  std::uint32_t done = 0;
  for (const Buf* b = t.rcvq.head(); b != nullptr && done < into.size(); b = b->next) {
    if (offset >= b->len) {
      offset -= b->len;
      continue;
    }
    const auto n =
        static_cast<std::uint32_t>(std::min<std::size_t>(b->len - offset, into.size() - done));
    std::memcpy(into.data() + done, b->data + offset, n);
    done += n;
    offset = 0;
  }
  return done;
}

void user_shutdown(Tcb& t) {
  if (t.has(kFinQueued)) return;
  switch (t.state) {
    case State::kEstablished:
    case State::kCloseWait:
      t.set(kFinQueued);
      transition(t, Trigger::kClose);
      break;
    case State::kSynSent:
    case State::kSynReceived:
      t.set(kFinQueued);  // establish() goes on from here
      break;
    default:
      break;
  }
}

//= RFC9293 MAY-1
void user_close(Tcb& t, Instant now, Outbox& out) {
  t.set(kUserClosed);
  if (t.state == State::kClosed || t.state == State::kTimeWait) {
    out.release.append(std::move(t.rcvq));
    return;
  }
  if (t.state == State::kSynSent) return close_now(t, CloseReason::kAborted, out);
  //= RFC9293 SHLD-3
  const std::uint16_t linger = t.own != nullptr ? t.own->set.linger_s : OwnSettings::kNoLinger;
  if (!t.rcvq.empty() || linger == 0) return user_abort(t, now, out);
  user_shutdown(t);
  if (t.state == State::kFinWait2) {
    begin_fin_wait_2(t, now, out);
  } else if (linger != OwnSettings::kNoLinger) {
    t.life_deadline = now + std::chrono::seconds(linger);
  }
}

bool user_set_linger(Tcb& t, std::optional<Duration> linger, Outbox& out) {
  constexpr Duration kMost = std::chrono::seconds(OwnSettings::kNoLinger - 1);
  if (lend_own(t, out) == nullptr) return false;
  std::uint16_t& own = t.own->set.linger_s;
  own = OwnSettings::kNoLinger;
  if (!linger) return true;
  const Duration d = std::clamp(*linger, Duration::zero(), kMost);
  own = static_cast<std::uint16_t>(std::chrono::ceil<std::chrono::seconds>(d).count());
  return true;
}

void end_stalled(Tcb& t, Instant now, Outbox& out) {
  if (t.state != State::kTimeWait && t.state > State::kListen) send_reset(t, now, out);
  if (t.state != State::kClosed) close_now(t, CloseReason::kAborted, out);
}

namespace {

// §3.10.5: where both ends have sent all and their FINs there is nothing to reset. But a peer whose
// text nobody has read is told, in whatever state (SHLD-3).
bool abort_resets(const Tcb& t) {
  if (t.state <= State::kListen) return false;
  if (!t.rcvq.empty()) return true;
  const bool done = t.state == State::kClosing || t.state == State::kLastAck;
  return t.state != State::kTimeWait && !(done && t.fin_sent());
}

}  // namespace

//= RFC6429 4-b
void user_abort(Tcb& t, Instant now, Outbox& out) {
  t.set(kUserClosed);
  if (abort_resets(t)) send_reset(t, now, out);
  if (t.state != State::kClosed) close_now(t, CloseReason::kAborted, out);
  out.release.append(std::move(t.rcvq));
}

void fail_open(Tcb& t, CloseReason reason, Outbox& out) {
  WEIR_ASSERT(t.state == State::kSynSent);
  close_now(t, reason, out);
}

void enter_time_wait(Tcb& t, Instant now) {
  t.rtx_deadline = t.probe_deadline = kNever;
  t.life_deadline = now + 2 * t.config->msl;  //= RFC9293 MUST-13
}

void close_now(Tcb& t, CloseReason reason, Outbox& out) {
  if (t.state != State::kClosed) transition(t, Trigger::kReset);
  const bool why = reason == CloseReason::kTimedOut && t.soft_error != CloseReason::kNone;
  t.close_reason = why ? t.soft_error : reason;
  t.rtx_deadline = t.probe_deadline = t.delack_deadline = t.life_deadline = kNever;
  t.cork_deadline = kNever;
  t.pace_waits = false;
  t.clear(kAckNow | kSynDue | kFinQueued | kPersisting | kTiming | kPeerFinKnown);
  t.snd_nxt = t.rtx_nxt = t.rtx_end = t.snd_una;
  BufChain unread = std::move(t.rcvq);
  release_buffers(t, out);
  if (reason == CloseReason::kAborted) {
    out.release.append(std::move(unread));
  } else {
    t.rcvq = std::move(unread);  // what came in order may still be read, as on Linux: a reset too
  }
  t.note(kNoticeClosed);
}

void release_buffers(Tcb& t, Outbox& out) {
  log_end(t, out);
  out.release.append(std::move(t.sndq));
  out.release.append(std::move(t.rcvq));
  drop_early(t, out);
  t.nxt_buf = nullptr;
  t.nxt_offset = 0;
}

}  // namespace weir::tcp
