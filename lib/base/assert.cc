#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace weir::detail {

void assert_failed(const char* what, const char* file, int line) noexcept {
  std::fprintf(stderr, "weir: bug: %s does not hold at %s:%d\n", what, file, line);
  std::abort();
}

}  // namespace weir::detail
