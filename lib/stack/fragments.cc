// Fragments in (RFC 791 §3.2, RFC 8200 §4.5), and the ICMP errors about what cannot be taken.
#include "stack/impl.h"

namespace weir::stack {

// The one shard that puts a pair of hosts' datagrams together is found without ports, which later
// parts do not have. A port that spreads fragments by their addresses picks the same: Toeplitz over
// ports of zero adds nothing. What is whole then goes to the shard that owns its flow, as any
// frame.
bool Stack::Impl::on_fragment(Arrival& a) {
  if (config.tcp.ipfrag_high_thresh == 0) return drop(a.buf, counters.drop_ip_fragment), false;
  if (!is_own(a, {a.frame.dst, a.frame.src, 0, 0})) return false;
  counters.reasm_reqds.add();
  if ((a.buf->flags & (Buf::kScarce | Buf::kLast)) != 0) {  // kept only where it soon moves on
    counters.drop_frag_memory.add(fragments.give_up_oldest(released));
    return drop(a.buf, counters.drop_frag_memory), false;
  }
  const ip::Fragments::Outcome outcome = fragments.add(a.buf, a.frame, now, released);
  count_fragments(outcome);
  return outcome.fate == ip::Fragments::Fate::kWhole && make_whole(a, outcome.id);
}

void Stack::Impl::count_fragments(const ip::Fragments::Outcome& o) {
  using enum ip::Fragments::Fate;
  counters.drop_frag_memory.add(o.made_room);
  switch (o.fate) {
    case kHeld:
    case kWhole:
      return;
    case kDuplicate:
      return counters.drop_frag_duplicate.add(o.given_up);
    case kOverlap:
      return counters.drop_frag_overlap.add(o.given_up);
    case kEcn:
      return counters.drop_frag_ecn.add(o.given_up);
    case kTooMany:
    case kNoRoom:
      return counters.drop_frag_memory.add(o.given_up);
  }
}

// In the place of its last part stands the whole, parsed and judged as if it had come so. An atomic
// fragment never comes here (RFC 6946 §4).
//= RFC6946 4-b
bool Stack::Impl::make_whole(Arrival& a, std::uint32_t id) {
  a.buf = fragments.assemble(id, take_buf(), released);
  if (a.buf == nullptr) return counters.drop_frag_length.add(), false;
  counters.reasm_oks.add();
  std::uint32_t len = 0;
  for (const Buf* b = a.buf; b != nullptr; b = b->next) len += b->len;
  wire::ParseOptions verified;
  verified.ip_checksum_verified = true;  // of each part; of the whole it was made here
  verified.put_together = true;
  wire::parse_frame({a.buf->data, a.buf->len}, len, verified, a.frame);
  // A part within a whole: no sender makes such, and one could hold the next for ever.
  if (a.frame.kind == wire::Kind::kFragment) return drop(a.buf, counters.drop_ip_extension), false;
  return admit(a);
}

//= RFC1122 3.3.2-c
void Stack::Impl::expire_fragments() {
  ip::Fragments::Expired expired;
  for (unsigned left = kTimersPerCall; left > 0; --left) {
    if (!fragments.expire(now, expired, released)) return;
    counters.drop_frag_timeout.add(expired.parts);
    if (expired.first == nullptr) continue;
    tell_timeout(expired.first);
    consume(expired.first);
  }
}

void Stack::Impl::tell_timeout(const Buf* first) {
  constexpr std::uint8_t kReassembly = 1;
  constexpr std::size_t kAnyLength = 65'535 + wire::kEthHeader;  // the rest of it is elsewhere
  const std::span<const std::byte> octets{first->data, first->len};
  wire::Frame f;
  wire::parse_frame(octets, std::max(octets.size(), kAnyLength), {true, true}, f);
  if (f.kind != wire::Kind::kFragment || wire::carries_icmp_error(octets, f)) return;
  const std::uint8_t type = f.src.is_v4() ? wire::kIcmp4TimeExceeded : wire::kIcmp6TimeExceeded;
  send_icmp_error(octets, f, f.dst, {type, kReassembly, 0}, counters.icmp_time_exceeded_out);
}

// RFC 4443 §2.4e: not to a source that is none, and about what went to a group only what RFC 8200
// §4.2 wants said even then.
//= RFC7112 5-b
//= RFC8200 4.2-e
void Stack::Impl::tell_problem(const Arrival& a) {
  const wire::Frame& f = a.frame;
  if (!f.src.is_unicast() || routes.is_ours(f.src)) return;
  const bool ours = f.dst_mac == config.mac && routes.is_local(f.dst);
  const bool group = f.dst_mac.is_multicast() && routes.is_our_group(f.dst);
  if (!ours && !(group && f.problem.even_to_multicast)) return;
  const auto route = routes.lookup(f.src);
  if (group && !route) return;
  send_icmp_error({a.buf->data, a.buf->len}, f, group ? route->source : f.dst,
                  {wire::kIcmp6ParameterProblem, f.problem.code, f.problem.pointer},
                  counters.icmp_param_problems_out);
}

void Stack::Impl::send_icmp_error(std::span<const std::byte> offender, const wire::Frame& f,
                                  const IpAddr& from, const IcmpError& error,
                                  telemetry::Counter& sent) {
  Buf* const reply = may_answer_icmp() ? take_buf() : nullptr;
  if (reply == nullptr) return counters.drop_icmp_rate.add();
  const std::size_t len = wire::write_icmp_error({reply->data, reply->room}, config.mac, from,
                                                 error.type, error.code, offender, f, error.rest);
  reply->len = static_cast<std::uint32_t>(len);
  reply->room -= reply->len;
  sent.add();
  if (routes.is_local(f.src)) return loop_frame(reply);  // about a datagram to ourselves
  tx_frames.push_back(reply);
}

}  // namespace weir::stack
