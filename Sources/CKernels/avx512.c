// Sixteen lanes compiled for AVX-512 F/BW/DQ/VL (Skylake-X, Zen 4 and later): one zmm register each.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define STRIP_ROWS 6
#define ACTIVATION_BYTES 2
#define INT8_SUMS int8_sums_avx2
#define INT4_SUMS int4_sums_avx2
#define LANES_ARE_ZMM
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#include "lanes_table.h"
#pragma clang attribute pop

LANES_TABLE(kernel_table_avx512, "avx512");
#endif
