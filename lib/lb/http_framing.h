// Where an HTTP/1.1 message begins, where its head and its body end (RFC 9112): one message, one
// direction, fed in whatever pieces it arrives in.
//
// Two parsers look at every octet of framing and must agree: llhttp, and a strict reader of our own
// that takes only what RFC 9112 lets a sender write. What they do not agree on is malformed, since
// a backend could take it either way. The head is copied into a block that the caller lends; a body
// is only measured. Allocates nothing; never reads beyond what it is fed.
#pragma once

#include <llhttp/llhttp.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "lb/http_head.h"

namespace weir::lb::http {

class Routing;

// Octets of one kind at the front of what was fed.
struct Run {
  enum Kind : std::uint8_t { kHead, kFraming, kData };
  std::uint32_t octets = 0;
  Kind kind = kHead;
};

class Framer {
 public:
  enum class State : std::uint8_t { kHead, kBody, kDone, kFault };

  // The next message. `block` holds its head, and stays until the head is no longer asked for.
  // `routing` may be null; it sees the parts of a request as they come.
  void begin_request(std::span<char> block, Routing* routing);
  void begin_response(std::span<char> block, const Facts& request);

  // Takes some of the `n` octets: up to the end of the head, of a run, of the message, or none
  // after a fault. Call again for the rest.
  Run feed(const char* text, std::uint32_t n);
  // The peer sends nothing more: the end of a body that is framed by that, else a fault.
  void finish();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool done() const { return state_ == State::kDone; }
  [[nodiscard]] Fault fault() const { return fault_; }
  [[nodiscard]] bool begun() const { return head_size_ > 0; }
  [[nodiscard]] const Facts& facts() const { return facts_; }  // from the end of the head on
  [[nodiscard]] std::string_view head() const { return {block_.data(), head_size_}; }
  [[nodiscard]] std::uint64_t body_octets() const { return body_octets_; }  // data seen so far

 private:
  // Where in the grammar the next octet stands.
  enum class At : std::uint8_t {
    kStart,
    kStartLf,
    kFirst,
    kLine,
    kLineLf,
    kFieldStart,
    kName,
    kValue,
    kValueLf,
    kEndLf,
    kEnd,
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
  };
  struct Callbacks;

  void begin(std::span<char> block, llhttp_type_t type);
  Run feed_head(const char* text, std::uint32_t n);
  void on_head_end();
  Run feed_plain(const char* text, std::uint32_t n);
  Run feed_chunked(const char* text, std::uint32_t n);
  bool feed_chunk_lines(const char* text, std::uint32_t n, Run& run);
  // Each takes one octet; false: malformed.
  bool step_line(unsigned char c);
  bool step_field(unsigned char c);
  bool step_chunk(unsigned char c);
  bool step_size(unsigned char c);
  bool on_trailer_octet(unsigned char c);
  bool run_parser(const char* text, std::uint32_t n);
  bool fail(Fault fault);

  llhttp_t parser_;
  Routing* routing_ = nullptr;
  std::span<char> block_;
  Facts request_;  // of a response: what it answers
  Facts facts_;
  const char* piece_ = nullptr;  // what llhttp is looking at: names are found in the block by it
  std::uint32_t piece_at_ = 0;   // where that lies in the block
  std::uint32_t name_at_ = 0, name_size_ = 0;
  std::uint32_t head_size_ = 0;
  std::uint32_t line_octets_ = 0;  // of a chunk's size line, or of the trailers
  std::uint64_t left_ = 0;         // of a length, or of a chunk
  std::uint64_t body_octets_ = 0;
  State state_ = State::kHead;
  At at_ = At::kStart;
  Fault fault_ = Fault::kNone;
  Fault parser_fault_ = Fault::kNone;  // of llhttp, while the head is not whole
  bool response_ = false;
  bool in_trailers_ = false;
  bool no_body_ = false;
  bool parser_head_ = false, parser_done_ = false;  // what llhttp has come to
  std::uint8_t trailer_size_ = 0;
  char trailer_[24];  // the name under way, in lower case, as far as it fits
};

}  // namespace weir::lb::http
