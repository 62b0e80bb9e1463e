// Sixteen lanes for AVX-512 with VNNI (Ice Lake, Zen 4 and later): as avx512.c, and vpdpbusd for int8.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"))), apply_to = function)
#define HAS_INT8_TILE
#include "lanes_table.h"

// One tile of ROWS rows by 64 outputs: 4 · ROWS registers of sums, 4 of weights, one broadcast group of inputs.
#define TILE(ROWS)                                                                                                          \
  static void tile_##ROWS(size_t groups, const uint8_t *x, size_t stride, const int8_t *panel, int32_t *sums) {             \
    __m512i sum[ROWS][4];                                                                                                   \
    for (int r = 0; r < ROWS; r++)                                                                                          \
      for (int j = 0; j < 4; j++) sum[r][j] = _mm512_setzero_si512();                                                       \
    for (size_t g = 0; g < groups; g++, panel += INT8_PANEL * INT8_GROUP) {                                                 \
      _mm_prefetch((const char *)panel + 4096, _MM_HINT_T0);                                                                \
      _mm_prefetch((const char *)panel + 4096 + 64, _MM_HINT_T0);                                                           \
      _mm_prefetch((const char *)panel + 4096 + 128, _MM_HINT_T0);                                                          \
      _mm_prefetch((const char *)panel + 4096 + 192, _MM_HINT_T0);                                                          \
      __m512i w0 = _mm512_loadu_si512(panel), w1 = _mm512_loadu_si512(panel + 64);                                          \
      __m512i w2 = _mm512_loadu_si512(panel + 128), w3 = _mm512_loadu_si512(panel + 192);                                   \
      for (int r = 0; r < ROWS; r++) {                                                                                      \
        int32_t four;                                                                                                       \
        memcpy(&four, x + (size_t)r * stride + 4 * g, 4);                                                                   \
        __m512i v = _mm512_set1_epi32(four);                                                                                \
        sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], v, w0);                                                                  \
        sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], v, w1);                                                                  \
        sum[r][2] = _mm512_dpbusd_epi32(sum[r][2], v, w2);                                                                  \
        sum[r][3] = _mm512_dpbusd_epi32(sum[r][3], v, w3);                                                                  \
      }                                                                                                                     \
    }                                                                                                                       \
    for (int r = 0; r < ROWS; r++)                                                                                          \
      for (int j = 0; j < 4; j++) _mm512_storeu_si512(sums + r * INT8_PANEL + j * 16, sum[r][j]);                           \
  }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

static void int8_tile(size_t rows, size_t groups, const uint8_t *x, size_t stride, const int8_t *panel, int32_t *sums) {
  switch (rows) {
    case 1: tile_1(groups, x, stride, panel, sums); break;
    case 2: tile_2(groups, x, stride, panel, sums); break;
    case 3: tile_3(groups, x, stride, panel, sums); break;
    case 4: tile_4(groups, x, stride, panel, sums); break;
    case 5: tile_5(groups, x, stride, panel, sums); break;
    default: tile_6(groups, x, stride, panel, sums); break;
  }
}
#pragma clang attribute pop

LANES_TABLE(kernel_table_avx512vnni, "avx512vnni");
#endif
