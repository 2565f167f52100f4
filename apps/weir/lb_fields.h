// What `weir lb` counts, by name.
#pragma once

#include <vector>

#include "lb/front.h"
#include "sample.h"

namespace weir::app {

[[nodiscard]] std::vector<Field> lb_fields(const lb::Front& front);

}  // namespace weir::app
