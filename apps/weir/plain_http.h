// HTTP/1.1 messages of the usual shape (RFC 9112), read in one pass: a GET without a body, an
// answer with a Content-Length, each whole in one piece of memory.
//
// Whatever is not of that shape, or might be read in two ways, is told by nothing: llhttp reads it
// then, from its first octet. What is told is what llhttp would tell. Keeps views into the text,
// copies and allocates nothing, has no state.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::app {

struct PlainRequest {  // GET
  std::string_view target;
  std::uint32_t octets = 0;  // of the request; others may follow
  bool keep_alive = false;
};
[[nodiscard]] std::optional<PlainRequest> read_plain_request(std::string_view text);

struct PlainAnswer {
  unsigned status = 0;    // 200 to 599, and none that has no body by itself
  std::string_view body;  // to the end of the text
  bool keep_alive = false;
};
[[nodiscard]] std::optional<PlainAnswer> read_plain_answer(std::string_view text);

}  // namespace weir::app
