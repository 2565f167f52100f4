// Heads of HTTP/1.1 messages (RFC 9110, RFC 9112): what one says about its message, and how it is
// written anew for the other leg.
//
// Works on a whole head, from its start line to the empty line, whose lines Framer has checked
// octet by octet. Keeps views into it, copies nothing, allocates nothing. What frames a message is
// never passed on as it was written: it is read into numbers and written from those.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/addr.h"

namespace weir::lb::http {

inline constexpr std::uint32_t kMaxFields = 128;    // of one head
inline constexpr std::uint32_t kMaxNominated = 16;  // names that Connection lists
inline constexpr std::uint32_t kMaxTags = 8;        // of one request
inline constexpr std::uint32_t kMaxTagOctets = 64;  // of one tag's name, in Weir-Tag
inline constexpr std::uint32_t kHeadSlack = 2048;   // what writing anew may add to a head
inline constexpr std::string_view kTagField = "weir-tag";

enum class Fault : std::uint8_t {
  kNone,
  kMalformed,    // not the grammar of RFC 9112
  kLength,       // more than one length, or one that is none: how requests are smuggled
  kHost,         // missing, repeated, malformed, or not the target's
  kHeadTooLong,  // octets or fields
  kVersion,      // neither HTTP/1.0 nor HTTP/1.1
  kMethod,       // CONNECT, or one that the parser does not know
};

enum class Framing : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

// What a head says. Views point into the head.
struct Facts {
  Framing framing = Framing::kNone;
  bool http10 = false;
  bool keep_alive = false;  // the connection may carry another message
  bool upgrade = false;     // a request that asks for, a response that grants another protocol
  bool expects_continue = false;
  bool head = false;        // a request by HEAD
  bool idempotent = false;  // by its method (RFC 9110 §9.2.2)
  std::uint16_t status = 0;
  std::uint64_t length = 0;  // with kLength, or what a response without a body announces
  bool has_length = false;   // `length` was given
  std::string_view method;
  std::string_view target;  // in origin form
  std::string_view host;
};

// One field after the other, behind the start line.
class Fields {
 public:
  explicit Fields(std::string_view head);
  // False behind the last. Values are without the white space around them.
  bool next(std::string_view& name, std::string_view& value);

 private:
  std::string_view rest_;
};

[[nodiscard]] bool same_name(std::string_view a, std::string_view b);  // in any case
[[nodiscard]] bool is_token_octet(unsigned char c);

[[nodiscard]] Fault read_request(std::string_view head, Facts& facts);
// `request`: what is answered.
[[nodiscard]] Fault read_response(std::string_view head, const Facts& request, Facts& facts);

struct RequestExtras {
  IpAddr client;
  Endpoint backend;  // for a request that names no host
  std::span<const std::string_view> tags;
  bool continued = false;  // 100 was answered already: nothing is expected any more
};
struct ResponseExtras {
  bool close = false;                // the client's connection ends with this response
  bool say_keep_alive = false;       // HTTP/1.0 needs to be told
  Framing framing = Framing::kNone;  // towards the client
};

// Each writes a whole head and returns its octets. Pre: `out` has room for the head and kHeadSlack.
[[nodiscard]] std::size_t write_request(std::span<char> out, std::string_view head,
                                        const Facts& facts, const RequestExtras& extras);
[[nodiscard]] std::size_t write_response(std::span<char> out, std::string_view head,
                                         const Facts& facts, const ResponseExtras& extras);
// An answer of our own, with a short body unless it answers HEAD.
[[nodiscard]] std::size_t write_answer(std::span<char> out, std::uint16_t status, bool head,
                                       bool close);
[[nodiscard]] std::string_view reason_of(std::uint16_t status);

}  // namespace weir::lb::http
