// What is counted of one connection, where something is (RFC 4898; Linux's struct tcp_info).
#include "tcp/internal.h"

namespace weir::tcp {
namespace {

std::uint32_t pieces(const TxSegment& s) {  // what the port makes of it
  return s.mss == 0 || s.len <= s.mss ? 1 : (s.len + s.mss - 1) / s.mss;
}

}  // namespace

void count_sent(Own& own, std::span<const TxSegment> segments) {
  Statistics& st = own.stats;
  for (const TxSegment& s : segments) {
    const std::uint32_t n = pieces(s);
    const Seq end = s.seq + s.len + ((s.flags & (SYN | FIN)) != 0 ? 1U : 0U);
    const bool counts = s.len > 0 || (s.flags & (SYN | FIN)) != 0;
    st.segs_out += n;
    if (s.len > 0) st.data_segs_out += n;
    st.bytes_sent += s.len;
    if (counts && at_or_before(end, st.sent_high)) {
      st.total_retrans += n;
      st.bytes_retrans += s.len;
    } else if (counts) {
      st.sent_high = end;
    }
  }
}

}  // namespace weir::tcp
