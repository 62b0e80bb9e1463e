// Sixteen lanes compiled for AVX2 and FMA (Haswell, Zen and later): two ymm registers each.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define STRIP_ROWS 6
#define ACTIVATION_BYTES 2
#define INT8_SUMS int8_sums_avx2
#define INT4_SUMS int4_sums_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "lanes_table.h"
#pragma clang attribute pop

LANES_TABLE(kernel_table_avx2, "avx2");
#endif
