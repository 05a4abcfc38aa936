/* 256 lanes, for processors with AVX2. tac.c asks before it calls. */

#if defined(__x86_64__)
#pragma GCC target("avx2")
#define LANE_WORDS 4
#define CHECK_LANES check_avx2
#include "lanes.h"
#else
typedef int no_such_processor;
#endif
