// The version, which the build sets.
#pragma once

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif
