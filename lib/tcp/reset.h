// The RST that answers a segment no connection takes (RFC 9293 §3.5.2, §3.10.7.1).
#pragma once

#include "tcp/core.h"

namespace weir::tcp {

// Pre: `seg` has no RST.
[[nodiscard]] inline TxSegment reset_for(const RxSegment& seg) {
  TxSegment rst;
  if ((seg.flags & ACK) != 0) {
    rst.seq = seg.ack;
    rst.flags = RST;
  } else {
    rst.ack =
        seg.seq + seg.len + ((seg.flags & SYN) != 0 ? 1U : 0U) + ((seg.flags & FIN) != 0 ? 1U : 0U);
    rst.flags = RST | ACK;
  }
  return rst;
}

}  // namespace weir::tcp
