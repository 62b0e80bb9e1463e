// Sixteen lanes for AVX2 with AVX-VNNI (Alder Lake and later without AVX-512): as avx2.c, and a 256-bit vpdpbusd for int8.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#define VEC __m256i
#define VEC_ZERO _mm256_setzero_si256()
#define VEC_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define VEC_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define VEC_ADD(a, b) _mm256_add_epi32(a, b)
#define VEC_ALL(x) _mm256_set1_epi32(x)
#ifndef VEC_DOT  // a test emulates it
#define VEC_DOT(sum, x, w) _mm256_dpbusd_avx_epi32(sum, x, w)
#endif
#define STRIP_ROWS 6
#define ACTIVATION_BYTES 1
#define INT8_SUMS int8_sums_vnni
#define INT4_SUMS int4_sums_vnni
#include "lanes_table.h"

#include "int8_vnni.h"
#pragma clang attribute pop

LANES_TABLE(kernel_table_avxvnni, "avxvnni");
#endif
