#include "lb/http_framing.h"

#include <algorithm>
#include <cstring>

#include "lb/http_route.h"

namespace weir::lb::http {
namespace {

constexpr std::uint32_t kMaxSizeLine = 256;   // a chunk's size with its extensions
constexpr std::uint32_t kMaxSizeDigits = 15;  // hexadecimal
constexpr std::uint32_t kMaxTrailers = 4096;  // octets

constexpr bool is_text(unsigned char c) {
  return c >= 0x20 && c < 0x7f;
}
constexpr bool is_value(unsigned char c) {
  return is_text(c) || c == '\t' || c >= 0x80;
}

constexpr int hex_of(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What a backend must not learn behind the body (RFC 9110 §6.5.1): framing, routing, what is ours.
bool may_trail(std::string_view name) {
  for (const std::string_view n :
       {"content-length", "transfer-encoding", "host", "connection", "upgrade", "te", "trailer",
        "expect", "authorization", "cookie", "x-forwarded-for", "weir-tag"}) {
    if (name == n) return false;
  }
  return true;
}

}  // namespace

// What llhttp calls.
struct Framer::Callbacks {
  static Framer& framer(llhttp_t* p) { return *static_cast<Framer*>(p->data); }

  static int on_method(llhttp_t* p, const char* at, std::size_t n) {
    Framer& f = framer(p);
    if (f.routing_ != nullptr) f.routing_->on_method(at, n);
    return 0;
  }
  static int on_url(llhttp_t* p, const char* at, std::size_t n) {
    Framer& f = framer(p);
    if (f.routing_ != nullptr) f.routing_->on_target(at, n);
    return 0;
  }
  static int on_url_done(llhttp_t* p) {
    Framer& f = framer(p);
    if (f.routing_ != nullptr) f.routing_->on_target_end();
    return 0;
  }
  static int on_name(llhttp_t* p, const char* at, std::size_t n) {
    Framer& f = framer(p);
    if (f.state_ != State::kHead) return 0;
    if (f.name_size_ == 0) f.name_at_ = f.piece_at_ + static_cast<std::uint32_t>(at - f.piece_);
    f.name_size_ += static_cast<std::uint32_t>(n);
    return 0;
  }
  static int on_name_done(llhttp_t* p) {
    Framer& f = framer(p);
    if (f.state_ != State::kHead) return 0;
    if (f.routing_ != nullptr) f.routing_->on_field({f.block_.data() + f.name_at_, f.name_size_});
    f.name_size_ = 0;
    return 0;
  }
  static int on_value(llhttp_t* p, const char* at, std::size_t n) {
    Framer& f = framer(p);
    if (f.state_ != State::kHead || f.routing_ == nullptr) return 0;
    f.routing_->on_value(at, n, f.block_.data() + f.piece_at_ + (at - f.piece_));
    return 0;
  }
  static int on_value_done(llhttp_t* p) {
    Framer& f = framer(p);
    if (f.state_ == State::kHead && f.routing_ != nullptr) f.routing_->on_value_end();
    return 0;
  }
  static int on_head(llhttp_t* p) {
    Framer& f = framer(p);
    f.parser_head_ = true;
    return f.no_body_ ? 1 : 0;
  }
  static int on_complete(llhttp_t* p) {
    framer(p).parser_done_ = true;
    return 0;
  }
  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t s = [] {
      llhttp_settings_t t;
      llhttp_settings_init(&t);
      t.on_method = on_method;
      t.on_url = on_url;
      t.on_url_complete = on_url_done;
      t.on_header_field = on_name;
      t.on_header_field_complete = on_name_done;
      t.on_header_value = on_value;
      t.on_header_value_complete = on_value_done;
      t.on_headers_complete = on_head;
      t.on_message_complete = on_complete;
      return t;
    }();
    return &s;
  }
};

void Framer::begin(std::span<char> block, llhttp_type_t type) {
  llhttp_init(&parser_, type, Callbacks::settings());
  parser_.data = this;
  response_ = type == HTTP_RESPONSE;
  routing_ = nullptr;
  block_ = block;
  facts_ = {};
  name_size_ = head_size_ = line_octets_ = 0;
  left_ = body_octets_ = 0;
  state_ = State::kHead;
  at_ = At::kStart;
  fault_ = parser_fault_ = Fault::kNone;
  in_trailers_ = no_body_ = parser_head_ = parser_done_ = false;
  trailer_size_ = 0;
}

void Framer::begin_request(std::span<char> block, Routing* routing) {
  begin(block, HTTP_REQUEST);
  routing_ = routing;
}

void Framer::begin_response(std::span<char> block, const Facts& request) {
  begin(block, HTTP_RESPONSE);
  request_ = request;
}

bool Framer::fail(Fault fault) {
  state_ = State::kFault;
  if (fault_ == Fault::kNone) fault_ = fault;
  return false;
}

Run Framer::feed(const char* text, std::uint32_t n) {
  if (n == 0 || state_ == State::kDone || state_ == State::kFault) return {};
  if (state_ == State::kHead) return feed_head(text, n);
  if (facts_.framing == Framing::kChunked) return feed_chunked(text, n);
  return feed_plain(text, n);
}

// False once llhttp has found fault, or has ended the message where we do not.
bool Framer::run_parser(const char* text, std::uint32_t n) {
  const llhttp_errno_t e = llhttp_execute(&parser_, text, n);
  if (e == HPE_OK) return true;
  // The end of a request for another protocol; what follows is not this message's.
  return e == HPE_PAUSED_UPGRADE && parser_done_ && llhttp_get_error_pos(&parser_) == text + n;
}

// -- The head -------------------------------------------------------------------------------

bool Framer::step_line(unsigned char c) {
  switch (at_) {
    case At::kStart:
      if (c == '\r') {
        at_ = At::kStartLf;  // RFC 9112 §2.2: one empty line before a message
        return !response_;
      }
      [[fallthrough]];
    case At::kFirst:
      at_ = At::kLine;
      return is_text(c) && c != ' ';
    case At::kStartLf:
      at_ = At::kFirst;
      return c == '\n';
    case At::kLine:
      if (c == '\r') {
        at_ = At::kLineLf;
        return true;
      }
      return response_ ? is_value(c) : is_text(c);
    default:  // kLineLf
      at_ = At::kFieldStart;
      return c == '\n';
  }
}

// Of a head or of trailers. RFC 9112 §5: no white space around a name, no folding, no bare CR or
// LF.
bool Framer::step_field(unsigned char c) {
  switch (at_) {
    case At::kFieldStart:
      if (c == '\r') {
        at_ = At::kEndLf;
        return true;
      }
      at_ = At::kName;
      return is_token_octet(c);
    case At::kName:
      if (c == ':') at_ = At::kValue;
      return c == ':' || is_token_octet(c);
    case At::kValue:
      if (c == '\r') at_ = At::kValueLf;
      return c == '\r' || is_value(c);
    case At::kValueLf:
      at_ = At::kFieldStart;
      return c == '\n';
    default:  // kEndLf
      at_ = At::kEnd;
      return c == '\n';
  }
}

Run Framer::feed_head(const char* text, std::uint32_t n) {
  std::uint32_t used = 0;
  while (used < n && at_ != At::kEnd) {
    if (head_size_ + used == block_.size()) {
      fail(Fault::kHeadTooLong);
      break;
    }
    const auto c = static_cast<unsigned char>(text[used]);
    const bool line = at_ <= At::kLineLf;
    block_[head_size_ + used] = text[used];
    ++used;
    if (!(line ? step_line(c) : step_field(c))) {
      fail(Fault::kMalformed);
      break;
    }
  }
  piece_ = text;
  piece_at_ = head_size_;
  head_size_ += used;
  if (state_ == State::kFault) return {used, Run::kHead};
  if (at_ == At::kEnd) on_head_end();
  if (state_ == State::kFault) return {used, Run::kHead};
  // What llhttp finds wrong is said at the end of the head, behind what we find: so that it does
  // not matter in which pieces the head came.
  if (parser_fault_ == Fault::kNone && !run_parser(text, used)) {
    const bool method = llhttp_get_errno(&parser_) == HPE_INVALID_METHOD;
    parser_fault_ = method ? Fault::kMethod : Fault::kMalformed;
  }
  if (at_ != At::kEnd) {
    if (parser_head_) parser_fault_ = Fault::kMalformed;  // it sees an end where there is none
    return {used, Run::kHead};
  }
  if (parser_fault_ != Fault::kNone) {
    fail(parser_fault_);
    return {used, Run::kHead};
  }
  const bool empty = facts_.framing == Framing::kNone;
  if (!parser_head_ || parser_done_ != empty) {
    fail(Fault::kMalformed);
  } else {
    state_ = empty ? State::kDone : State::kBody;
  }
  return {used, Run::kHead};
}

void Framer::on_head_end() {
  const Fault fault =
      response_ ? read_response(head(), request_, facts_) : read_request(head(), facts_);
  if (fault != Fault::kNone) {
    fail(fault);
    return;
  }
  no_body_ = response_ && facts_.framing == Framing::kNone;
  left_ = facts_.framing == Framing::kLength ? facts_.length : 0;
  if (facts_.framing == Framing::kChunked) at_ = At::kEnd;
}

// -- Bodies ---------------------------------------------------------------------------------

Run Framer::feed_plain(const char* text, std::uint32_t n) {
  const bool counted = facts_.framing == Framing::kLength;
  const auto used = counted ? static_cast<std::uint32_t>(std::min<std::uint64_t>(n, left_)) : n;
  body_octets_ += used;
  if (!run_parser(text, used)) {
    fail(Fault::kMalformed);
    return {used, Run::kData};
  }
  if (counted) left_ -= used;
  const bool end = counted && left_ == 0;
  if (parser_done_ != end) {
    fail(Fault::kMalformed);
  } else if (end) {
    state_ = State::kDone;
  }
  return {used, Run::kData};
}

// RFC 9112 §7.1. Digits, perhaps an extension, CR LF: no white space, no sign, no prefix.
bool Framer::step_size(unsigned char c) {
  if (++line_octets_ > kMaxSizeLine) return false;
  if (c == '\r' && at_ != At::kSizeFirst) {
    at_ = At::kSizeLf;
    return true;
  }
  if (at_ == At::kExtension) return is_text(c) || c == '\t';
  if (c == ';' && at_ == At::kSize) {
    at_ = At::kExtension;
    return true;
  }
  const int digit = hex_of(c);
  if (digit < 0 || line_octets_ > kMaxSizeDigits) return false;
  left_ = left_ << 4U | static_cast<unsigned>(digit);
  at_ = At::kSize;
  return true;
}

bool Framer::on_trailer_octet(unsigned char c) {
  if (++line_octets_ > kMaxTrailers) return false;
  if (at_ == At::kFieldStart) trailer_size_ = 0;
  const bool name = at_ == At::kFieldStart || at_ == At::kName;
  if (name && c == ':') return may_trail({trailer_, trailer_size_});
  if (name && trailer_size_ < sizeof trailer_) {
    const bool upper = c >= 'A' && c <= 'Z';
    const char l = c == '_' ? '-' : static_cast<char>(upper ? c + ('a' - 'A') : c);
    trailer_[trailer_size_++] = l;
  }
  return true;
}

bool Framer::step_chunk(unsigned char c) {
  if (in_trailers_) return on_trailer_octet(c) && step_field(c);
  switch (at_) {
    case At::kEnd:  // behind the head, or behind a chunk
      at_ = At::kSizeFirst;
      line_octets_ = 0;
      left_ = 0;
      return step_size(c);
    case At::kSizeLf:
      line_octets_ = 0;
      in_trailers_ = left_ == 0;
      at_ = in_trailers_ ? At::kFieldStart : At::kData;
      return c == '\n';
    case At::kDataCr:
      at_ = At::kDataLf;
      return c == '\r';
    case At::kDataLf:
      at_ = At::kEnd;
      return c == '\n';
    default:
      return step_size(c);
  }
}

// Framing octets up to the next data or the end. llhttp gets the size lines without their
// extensions, of which it takes fewer than RFC 9112 §7.1.1 allows; step_size has judged them.
bool Framer::feed_chunk_lines(const char* text, std::uint32_t n, Run& run) {
  std::uint32_t fed = 0;
  while (run.octets < n && at_ != At::kData) {
    const bool extension = at_ == At::kExtension;
    if (!step_chunk(static_cast<unsigned char>(text[run.octets]))) return fail(Fault::kMalformed);
    if (!extension && at_ == At::kExtension) {
      if (!run_parser(text + fed, run.octets - fed)) return fail(Fault::kMalformed);
      fed = run.octets;
    }
    if (extension || at_ == At::kExtension) fed = run.octets + (at_ == At::kExtension ? 1 : 0);
    ++run.octets;
    if (in_trailers_ && at_ == At::kEnd) {
      state_ = State::kDone;
      break;
    }
  }
  return run_parser(text + fed, run.octets - fed) || fail(Fault::kMalformed);
}

Run Framer::feed_chunked(const char* text, std::uint32_t n) {
  Run run{0, at_ == At::kData ? Run::kData : Run::kFraming};
  if (run.kind == Run::kFraming) {
    if (!feed_chunk_lines(text, n, run)) return run;
  } else {
    run.octets = static_cast<std::uint32_t>(std::min<std::uint64_t>(n, left_));
    left_ -= run.octets;
    body_octets_ += run.octets;
    if (left_ == 0) at_ = At::kDataCr;
    if (!run_parser(text, run.octets)) fail(Fault::kMalformed);
  }
  if (parser_done_ != done()) fail(Fault::kMalformed);
  return run;
}

void Framer::finish() {
  if (state_ == State::kDone || state_ == State::kFault) return;
  const bool whole = state_ == State::kBody && facts_.framing == Framing::kUntilClose;
  if (whole && llhttp_finish(&parser_) == HPE_OK && parser_done_) {
    state_ = State::kDone;
  } else {
    fail(Fault::kMalformed);
  }
}

}  // namespace weir::lb::http
