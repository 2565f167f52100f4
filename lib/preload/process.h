// What this process knows of Weir: its settings, its stack thread, once there is one.
#pragma once

#include <pthread.h>

#include <cstdint>

#include "preload/routes.h"

namespace weir::preload {

// Null when the program was not started by `weir run`, and on the stack thread: then every call is
// the system's.
[[nodiscard]] const Routes* routes();

// The stack thread that serves this process, started now if there is none: a child's is its
// parent's, when that was there before the fork. 0 when it cannot be: errno is ENETDOWN, and why
// was said on stderr, once.
[[nodiscard]] std::uint64_t stack();
// The same, or 0 when none runs yet.
[[nodiscard]] std::uint64_t running_stack();

// What the program has sent goes out, its connections end, the port closes. Whoever owns no stack
// thread does nothing.
void end_of_process();

// pthread_create, which tells a thread of the stack thread's that it is one.
int create_thread(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                  void* argument);

}  // namespace weir::preload
