// libFuzzer: SYN cookies. What a cookie was made of comes back out of the segment that answers it,
// within its life; and a segment of the fuzzer's own never does, nor breaks anything.
#include <cstdint>

#include "base/assert.h"
#include "fuzz/choices.h"
#include "tcp/syn_cookies.h"

using namespace weir;
using namespace weir::tcp;

namespace {

constexpr SipKey kKey{0x0123456789abcdef, 0xfedcba9876543210};

RxSegment some_syn(test::Choices& c) {
  RxSegment s;
  s.seq = Seq{static_cast<std::uint32_t>(c.next())};
  s.flags = SYN;
  s.wnd = c.below(65'536);
  s.options.mss = static_cast<std::uint16_t>(c.below(65'536));
  s.options.window_scale =
      c.below(3) == 0 ? wire::kNoWindowScale : static_cast<std::uint8_t>(c.below(256));
  s.options.sack_permitted = c.below(2) != 0;
  s.options.has_timestamps = c.below(3) != 0;
  s.options.ts_val = static_cast<std::uint32_t>(c.next());
  return s;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  test::Choices c(data, size);
  Config config;
  config.timestamps = c.below(4) != 0;
  config.sack = c.below(4) != 0;
  config.window_scaling = c.below(4) != 0;
  const FlowKey flow{IpAddr::v4(static_cast<std::uint32_t>(c.next())),
                     IpAddr::v4(static_cast<std::uint32_t>(c.next())),
                     static_cast<std::uint16_t>(c.below(65'536)),
                     static_cast<std::uint16_t>(c.below(65'536))};
  const Instant made{Duration{c.next() >> 16U}};
  const auto ts_now = static_cast<std::uint32_t>(c.next());
  const RxSegment syn = some_syn(c);
  const auto scale = static_cast<std::uint8_t>(c.below(15));
  SynEntry sent;
  open_syn_entry(sent, syn, flow, Seq{}, config);
  const std::uint32_t stamp = make_cookie(kKey, sent, scale, ts_now, made);
  const bool stamped = (sent.bits & SynEntry::kTimestampsOffered) != 0;
  WEIR_ASSERT(!stamped || ts_now - stamp < 1'000);  // "a little older"

  RxSegment answer;
  answer.flags = ACK;
  answer.seq = syn.seq + 1;
  answer.ack = sent.iss + 1;
  answer.wnd = c.below(65'536);
  answer.options.has_timestamps = stamped;
  answer.options.ts_val = syn.options.ts_val + c.below(1'000);
  answer.options.ts_ecr = stamp;
  SynEntry got;
  const Instant in_time = made + Duration{c.below(60'000'000)};  // half of kCookieLife is 67 s
  WEIR_ASSERT(open_cookie(kKey, got, flow, answer, scale, config, in_time));
  WEIR_ASSERT(got.iss == sent.iss && got.irs == sent.irs);
  WEIR_ASSERT(got.mss <= sent.mss || sent.mss < 88);
  WEIR_ASSERT(got.scale() == sent.scale() && got.bits == sent.bits);

  SynEntry none;
  WEIR_ASSERT(!open_cookie(kKey, none, flow, answer, scale, config, made + kCookieLife + 1s));
  RxSegment forged = answer;  // a guess at 32 bits: it must not hit but by the fuzzer's knowledge
  forged.ack = Seq{static_cast<std::uint32_t>(c.next())};
  forged.seq = Seq{static_cast<std::uint32_t>(c.next())};
  forged.options.ts_ecr = static_cast<std::uint32_t>(c.next());
  forged.options.has_timestamps = c.below(2) != 0;
  SynEntry out;
  (void)open_cookie(kKey, out, flow, forged, scale, config, in_time);
  return 0;
}
