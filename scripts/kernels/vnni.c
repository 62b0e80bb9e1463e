// The VNNI tiles (Sources/CKernels/int8_vnni.h), compiled against SIMDe's emulation of vpdpbusd, against the scalar specification: every height
// of strip, sums over several blocks, extremes included. For machines without VNNI; scripts/check-vnni builds it once for 512 and once for 256 bits.
#include <immintrin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <simde/x86/avx512.h>

#if BITS == 512
#define VEC simde__m512i
#define VEC_ZERO simde_mm512_setzero_si512()
#define VEC_LOAD(p) simde_mm512_loadu_si512(p)
#define VEC_STORE(p, v) simde_mm512_storeu_si512(p, v)
#define VEC_ADD(a, b) simde_mm512_add_epi32(a, b)
#define VEC_ALL(x) simde_mm512_set1_epi32(x)
#define VEC_DOT(sum, x, w) simde_mm512_dpbusd_epi32(sum, x, w)
#define STRIP_ROWS 12
#else
#define VEC simde__m256i
#define VEC_ZERO simde_mm256_setzero_si256()
#define VEC_LOAD(p) simde_mm256_loadu_si256((const simde__m256i *)(p))
#define VEC_STORE(p, v) simde_mm256_storeu_si256((simde__m256i *)(p), v)
#define VEC_ADD(a, b) simde_mm256_add_epi32(a, b)
#define VEC_ALL(x) simde_mm256_set1_epi32(x)
#define VEC_DOT(sum, x, w) simde_mm256_dpbusd_epi32(sum, x, w)
#define STRIP_ROWS 6
#endif
#define ACTIVATION_BYTES 1
#define INT8_SUMS int8_sums_vnni
#define INT4_SUMS int4_sums_vnni
#include "int8.h"
#include "lanes.h"
#include "table.h"

#include "int8_lanes.h"

#include "int8_vnni.h"

// Rows to strips, as int8.c lays them out.
static void strips(size_t rows, size_t most, size_t stride, const uint8_t *x, uint8_t *out) {
  for (size_t t = 0; t < rows; t++) {
    size_t row = t % most, first = t - row, height = rows - first < most ? rows - first : most;
    for (size_t k = 0; k < stride; k++) out[first * stride + (k / INT8_BLOCK * height + row) * INT8_BLOCK + k % INT8_BLOCK] = x[t * stride + k];
  }
}

// How many sums differ from the specification's.
static size_t differences(int bits, size_t rows, size_t blocks, size_t panels, bool extreme) {
  size_t stride = blocks * INT8_BLOCK, groups = stride / INT8_GROUP, panel_bytes = bits == 8 ? int8_panel_bytes(stride) : int4_panel_bytes(stride);
  uint8_t *x = malloc(rows * stride), *strip = malloc(rows * stride), *w = malloc(panels * panel_bytes + 8192);
  int32_t *sums = malloc(panels * rows * 128), *expected = malloc(panels * rows * 128);
  for (size_t i = 0; i < rows * stride; i++) x[i] = extreme ? 255 : (uint8_t)(1 + rand() % 255);
  for (size_t i = 0; i < panels * panel_bytes; i++) w[i] = extreme ? (bits == 8 ? 0x81 : 0) : (uint8_t)(rand() % 255 - 127);
  for (size_t b = 0; bits == 4 && b < panels * blocks; b++)
    for (size_t n = 0; n < INT8_PANEL; n++) w[b * INT4_BLOCK_BYTES + n] = extreme ? 15 : (uint8_t)(1 + rand() % 15);
  size_t count = 0, most = (rows + (rows + STRIP_ROWS - 1) / STRIP_ROWS - 1) / ((rows + STRIP_ROWS - 1) / STRIP_ROWS);
  strips(rows, most, stride, x, strip);
  (bits == 8 ? kernel_table_scalar.int8_sums : kernel_table_scalar.int4_sums)(rows, 1, groups, x, panels, panel_bytes, w, expected);
  (bits == 8 ? int8_sums_vnni : int4_sums_vnni)(rows, most, groups, strip, panels, panel_bytes, w, sums);
  for (size_t i = 0; i < panels * rows * INT8_PANEL; i++) count += sums[i] != expected[i];
  free(x), free(strip), free(w), free(sums), free(expected);
  return count;
}

int main(void) {
  size_t wrong = 0, cases = 0;
  (void)finish;
  for (int bits = 4; bits <= 8; bits += 4)
    for (size_t rows = 1; rows <= 26; rows++)
      for (size_t blocks = 1; blocks <= 35; blocks += rows < 14 ? 17 : 34)
        for (int extreme = 0; extreme < 2; extreme++, cases++) wrong += differences(bits, rows, blocks, 1 + rows % 3, extreme) > 0;
  printf("%d bits: %zu of %zu cases differ from the specification\n", BITS, wrong, cases);
  return wrong > 0;
}
