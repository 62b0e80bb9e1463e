// Sixteen lanes for AVX-512 with VNNI (Ice Lake, Zen 4 and later): as avx512.c, and vpdpbusd for int8.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LANES_ARE_ZMM
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"))), apply_to = function)
#define VEC __m512i
#define VEC_ZERO _mm512_setzero_si512()
#define VEC_LOAD(p) _mm512_loadu_si512(p)
#define VEC_STORE(p, v) _mm512_storeu_si512(p, v)
#define VEC_ADD(a, b) _mm512_add_epi32(a, b)
#define VEC_ALL(x) _mm512_set1_epi32(x)
#define VEC_DOT(sum, x, w) _mm512_dpbusd_epi32(sum, x, w)
#define STRIP_ROWS 12
#define ACTIVATION_BYTES 1
#define INT8_SUMS int8_sums_vnni
#define INT4_SUMS int4_sums_vnni
#include "lanes_table.h"

#include "int8_vnni.h"
#pragma clang attribute pop

LANES_TABLE(kernel_table_avx512vnni, "avx512vnni");
#endif
