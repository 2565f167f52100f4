// The one function of libweir-stack.so: a stack, its port and its loop, in the calling thread.
#pragma once

#include <cstdint>

extern "C" {
// `settings`: text of settings.h. Makes the thread's descriptors its own: what the program opens
// and closes is no matter to it. Writes "ok" or one line of what is wrong to `ready_fd`, and closes
// it. Returns when the program has said that it ends.
__attribute__((visibility("default"))) void weir_stack_thread(const char* settings,
                                                              std::uint64_t token, int ready_fd);
}
