// SYN cookies (RFC 4987 §3.6): a half-open connection that is kept in the peer's answer instead of
// here. Used when the SYN queue is full, or always; the setting is Linux's `syncookies`.
//
// The cookie is the initial sequence number of the SYN-ACK: the age, the MSS and a keyed hash over
// these, the flow, the peer's initial number and the options, hidden under another keyed hash. The
// window scale, SACK-permitted and ECN travel in the low bits of the SYN-ACK's timestamp; without
// timestamps the connection does without all three.
#pragma once

#include "base/siphash.h"
#include "tcp/listen.h"

namespace weir::tcp {

inline constexpr Duration kCookieStep = 64s;
inline constexpr Duration kCookieLife = 2 * kCookieStep;  // at most; at least half of it

// Makes `e`, filled by open_syn_entry, what a cookie can say of it: its iss is the cookie. `scale`:
// what its SYN-ACK tells of our window. Returns the timestamp for the SYN-ACK: `ts_now` or a little
// older.
std::uint32_t make_cookie(const SipKey& key, SynEntry& e, std::uint8_t scale, std::uint32_t ts_now,
                          Instant now);

// Fills `e` from the segment that answers a cookie. False when it answers none of ours, or too
// late, or one that told of another scale than `scale`.
[[nodiscard]] bool open_cookie(const SipKey& key, SynEntry& e, const FlowKey& flow,
                               const RxSegment& seg, std::uint8_t scale, const Config& config,
                               Instant now);

}  // namespace weir::tcp
