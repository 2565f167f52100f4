// From this host to itself (RFC 1122 §3.2.1.5, §3.3.4.2): such a segment never reaches the port. It
// is made a frame, text copied, since the sender keeps its own to send again, and comes in with the
// next `advance` like any other. From outside, our own address as a source stays forbidden (LAND).
#include <cstring>

#include "stack/impl.h"
#include "tcp/tx_frame.h"

namespace weir::stack {
namespace {

// Octets of text from `offset` on behind `from`, copied to the room behind `to`: how many.
std::uint32_t copy_some(const Buf*& from, std::uint32_t& offset, Buf* to, std::uint32_t want) {
  while (from != nullptr && offset >= from->len) {
    offset -= from->len;
    from = from->next;
  }
  if (from == nullptr) return 0;
  const std::uint32_t n = std::min({want, from->len - offset, to->room});
  std::memcpy(to->data + to->len, from->data + offset, n);
  to->len += n;
  to->room -= n;
  offset += n;
  return n;
}

}  // namespace

void Stack::Impl::loop_back(const tcp::TxSegment& seg, const FlowKey& flow, std::uint8_t tos) {
  if (looped.room() == 0) return counters.drop_loop_full.add();  // TCP sends it again
  Buf* const head = take_buf();
  if (head == nullptr) return;
  tcp::TxPacket packet;
  packet.seg = seg;
  packet.flow = flow;
  packet.src_mac = packet.dst_mac = config.mac;
  packet.tos = static_cast<std::uint8_t>(tos | seg.ecn);
  packet.ttl = config.tcp.ttl;
  head->len = static_cast<std::uint32_t>(wire::write_tcp_frame(
      {head->data, head->room}, tcp::to_frame(packet), wire::TxChecksum::kOffload, {}));
  head->room -= head->len;
  head->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;  // it was on no wire
  // Its buffers are the port's too: it counts as received in the same need.
  const unsigned scarce = now >= pressure.until ? 0U
                          : pressure.last       ? Buf::kScarce | Buf::kLast
                                                : +Buf::kScarce;
  head->flags = static_cast<std::uint8_t>(head->flags | scarce);
  const Buf* from = seg.payload;
  std::uint32_t offset = seg.payload_offset;
  Buf* to = head;
  for (std::uint32_t left = seg.len; left > 0;) {
    if (to->room == 0) {
      to->next = take_buf();
      if (to->next == nullptr) return consume(head);
      to = to->next;
    }
    const std::uint32_t n = copy_some(from, offset, to, left);
    WEIR_ASSERT(n > 0);
    left -= n;
  }
  looped.push(head);
  counters.looped_back.add();
}

// One that is whole, made here.
void Stack::Impl::loop_frame(Buf* frame) {
  if (looped.room() == 0) return drop(frame, counters.drop_loop_full);
  frame->flags = Buf::kIpChecksumOk | Buf::kL4ChecksumOk;
  looped.push(frame);
  counters.looped_back.add();
}

// What they draw in answer is looped back in its turn, and waits for the next iteration.
void Stack::Impl::receive_looped() {
  if (looped.empty()) return;
  const Batch<Buf*, kTxBatch> mine = looped;
  looped.clear();
  std::span<Buf* const> rest = mine.items();
  while (!rest.empty()) {
    const std::size_t n = std::min<std::size_t>(rest.size(), kMaxFrames);
    receive_parsed(parse(rest.first(n), true));
    rest = rest.subspan(n);
  }
}

}  // namespace weir::stack
