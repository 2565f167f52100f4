// libFuzzer: an HTTP message in one piece and in many, from exact-size heap buffers, must come out
// the same; and what is written anew must read as what was read. The first octet of the input
// chooses request or response, the second one the pieces.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "lb/http_framing.h"

using namespace weir;
using namespace weir::lb::http;

namespace {

constexpr std::size_t kBlock = 2048;

struct Outcome {
  Framer::State state = Framer::State::kHead;
  Fault fault = Fault::kNone;
  std::string head, data;
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
};

void rewrite(const Framer& framer) {
  char out[kBlock + kHeadSlack];
  const std::size_t n = write_request(
      out, framer.head(), framer.facts(),
      {.client = IpAddr::v4(192, 0, 2, 1), .backend = {IpAddr::v4(192, 0, 2, 2), 80}, .tags = {}});
  char block[kBlock + kHeadSlack];
  Framer again;
  again.begin_request(block, nullptr);
  const Run run = again.feed(out, static_cast<std::uint32_t>(n));
  // A head of many fields grows by one: it may pass the limit on them, nothing else.
  if (again.fault() == Fault::kHeadTooLong) return;
  WEIR_ASSERT(again.state() == framer.state() || framer.state() == Framer::State::kDone);
  WEIR_ASSERT(again.state() != Framer::State::kFault && run.octets == n);
  WEIR_ASSERT(again.facts().framing == framer.facts().framing);
  WEIR_ASSERT(again.facts().length == framer.facts().length);
  WEIR_ASSERT(again.facts().method == framer.facts().method);
  WEIR_ASSERT(again.facts().target == framer.facts().target);
}

Outcome frame(bool response, std::string_view text, unsigned step) {
  const auto block = std::make_unique<char[]>(kBlock);
  Framer f;
  if (response) {
    f.begin_response({block.get(), kBlock}, {});
  } else {
    f.begin_request({block.get(), kBlock}, nullptr);
  }
  Outcome out;
  bool was_head = true;
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t n = std::min<std::size_t>(step, text.size() - from);
    const auto exact = std::make_unique<char[]>(n);
    std::memcpy(exact.get(), text.data() + from, n);
    std::size_t at = 0;
    while (at < n && (f.state() == Framer::State::kHead || f.state() == Framer::State::kBody)) {
      const Run run = f.feed(exact.get() + at, static_cast<std::uint32_t>(n - at));
      WEIR_ASSERT(run.octets <= n - at && (run.octets > 0 || f.state() == Framer::State::kFault));
      if (run.kind == Run::kData) out.data.append(exact.get() + at, run.octets);
      at += run.octets;
      const bool head_ended = was_head && f.state() != Framer::State::kHead;
      if (head_ended && !response && f.state() != Framer::State::kFault) rewrite(f);
      was_head = f.state() == Framer::State::kHead;
    }
    from += n;
  }
  out.state = f.state();
  out.fault = f.fault();
  out.head = f.head();
  out.framing = f.facts().framing;
  out.length = f.facts().length;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const bool response = (data[0] & 1U) != 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Outcome whole = frame(response, text, static_cast<unsigned>(text.size()));
  const Outcome pieces = frame(response, text, 1U + data[1] % 32U);
  WEIR_ASSERT(whole.state == pieces.state && whole.fault == pieces.fault);
  if (whole.state == Framer::State::kFault) return 0;
  WEIR_ASSERT(whole.head == pieces.head && whole.data == pieces.data);
  WEIR_ASSERT(whole.framing == pieces.framing && whole.length == pieces.length);
  return 0;
}
