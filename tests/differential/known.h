// Where Weir and Linux are meant to differ, each with its reason: by the call and the state that it
// met, never by a seed.
#pragma once

#include <span>
#include <string>

#include "call.h"

namespace weir::differential {

// What a rule may look at: the call, both answers, and TCP's state of its slot before it. One that
// does not go on may end a program where both agree still.
struct Met {
  const Call& call;
  const Outcome& kernel;
  const Outcome& weir;
  int kernel_state, weir_state;
  bool differ;                      // in any way
  const std::vector<Call>& before;  // the program up to this call
};

struct Known {
  const char* name;
  const char* reason;
  bool (*is)(const Met& m);
  bool goes_on;  // the two are in the same state afterwards
};

[[nodiscard]] std::span<const Known> known_differences();

}  // namespace weir::differential
