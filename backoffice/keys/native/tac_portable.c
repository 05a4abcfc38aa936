/* 128 lanes: a vector register of every x86-64 and arm64; elsewhere gcc makes words of them. */

#define LANE_WORDS 2
#define CHECK_LANES check_portable
#include "lanes.h"
