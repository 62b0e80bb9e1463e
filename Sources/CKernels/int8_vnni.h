// Exact int8 products with vpdpbusd, for 512-bit and 256-bit registers. Included by a table's file, which defines
//   VEC, VEC_ZERO, VEC_LOAD(p), VEC_STORE(p, v), VEC_ADD(a, b), VEC_ALL(int32), VEC_DOT(sum, bytes, weights), STRIP_ROWS (6 or 12).
// A tile is STRIP_ROWS rows by two registers of outputs: 24 sums of 32 zmm, or 12 of 16 ymm. Two registers of weights and a broadcast of four
// inputs feed it: 14 loads for 24 products, so that with two product ports the load ports have slack.
#include <stdbool.h>

enum { VNNI_OUTPUTS = 2 * sizeof(VEC) / 4, VNNI_BLOCK_GROUPS = 128 };  // a block of a panel is 16 KB: half of a first-level cache

// sums[r][...] (+)= Σ x[r] · w. UNROLL groups go to sums of their own, so that few rows don't wait for the latency of one sum.
#define TILE(ROWS, UNROLL)                                                                                                  \
  static void tile_##ROWS(size_t groups, const uint8_t *x, const uint8_t *w, const uint8_t *ahead, bool more, int32_t *sums) { \
    VEC sum[UNROLL][ROWS][2];                                                                                               \
    for (int u = 0; u < UNROLL; u++)                                                                                        \
      for (int r = 0; r < ROWS; r++) sum[u][r][0] = sum[u][r][1] = VEC_ZERO;                                                \
    for (size_t g = 0; g < groups; g += UNROLL)                                                                             \
      for (int u = 0; u < UNROLL; u++, x += ROWS * INT8_GROUP, w += INT8_GROUP_BYTES, ahead += INT8_GROUP_BYTES) {          \
        _mm_prefetch((const char *)ahead, _MM_HINT_T0);                                                                     \
        if (sizeof(VEC) == 64) _mm_prefetch((const char *)ahead + 64, _MM_HINT_T0);                                         \
        VEC w0 = VEC_LOAD(w), w1 = VEC_LOAD(w + sizeof(VEC));                                                               \
        for (int r = 0; r < ROWS; r++) {                                                                                    \
          int32_t four;                                                                                                     \
          memcpy(&four, x + r * INT8_GROUP, 4);                                                                             \
          VEC v = VEC_ALL(four);                                                                                            \
          sum[u][r][0] = VEC_DOT(sum[u][r][0], v, w0);                                                                      \
          sum[u][r][1] = VEC_DOT(sum[u][r][1], v, w1);                                                                      \
        }                                                                                                                   \
      }                                                                                                                     \
    for (int r = 0; r < ROWS; r++)                                                                                          \
      for (int j = 0; j < 2; j++) {                                                                                         \
        VEC s = sum[0][r][j];                                                                                               \
        for (int u = 1; u < UNROLL; u++) s = VEC_ADD(s, sum[u][r][j]);                                                      \
        int32_t *out = sums + r * INT8_PANEL + j * VNNI_OUTPUTS / 2;                                                        \
        VEC_STORE(out, more ? VEC_ADD(s, VEC_LOAD(out)) : s);                                                               \
      }                                                                                                                     \
  }
TILE(1, 4) TILE(2, 2) TILE(3, 2) TILE(4, 1) TILE(5, 1) TILE(6, 1)
#if STRIP_ROWS == 12
TILE(7, 1) TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1)
#endif

typedef void tile(size_t groups, const uint8_t *x, const uint8_t *w, const uint8_t *ahead, bool more, int32_t *sums);
static tile *const tiles[STRIP_ROWS] = {
    tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#if STRIP_ROWS == 12
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12,
#endif
};

// All rows times one block of one panel, whose bytes stay in the first-level cache; `ahead` is fetched meanwhile.
static void add_block(
    size_t rows, size_t groups, size_t first, size_t count, const uint8_t *x, const uint8_t *w, const uint8_t *ahead, int32_t *sums) {
  for (size_t row = 0; row < rows; row += STRIP_ROWS) {
    size_t height = rows - row < STRIP_ROWS ? rows - row : STRIP_ROWS;
    for (size_t n = 0; n < INT8_PANEL; n += VNNI_OUTPUTS)
      tiles[height - 1](
          count, x + (row * groups + first * height) * INT8_GROUP, w + n * INT8_GROUP, ahead + n * INT8_GROUP, first > 0,
          sums + row * INT8_PANEL + n);
  }
}

static void int8_sums_vnni(
    size_t rows, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  for (size_t first = 0; first < groups; first += VNNI_BLOCK_GROUPS) {
    size_t count = groups - first < VNNI_BLOCK_GROUPS ? groups - first : VNNI_BLOCK_GROUPS;
    for (size_t p = 0; p < panels; p++) {
      const uint8_t *w = panel + p * panel_bytes + first * INT8_GROUP_BYTES;
      add_block(rows, groups, first, count, x, w, w + 4096, sums + p * rows * INT8_PANEL);
    }
  }
}

// The weights of a block become int8 first: for many rows that costs little, for few it keeps pace with memory.
static void int4_sums_vnni(
    size_t rows, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  _Alignas(64) int8_t bytes[VNNI_BLOCK_GROUPS * INT8_GROUP_BYTES];
  for (size_t first = 0; first < groups; first += VNNI_BLOCK_GROUPS) {
    size_t count = groups - first < VNNI_BLOCK_GROUPS ? groups - first : VNNI_BLOCK_GROUPS;
    for (size_t p = 0; p < panels; p++) {
      const uint8_t *block = panel + p * panel_bytes + first / INT8_BLOCK_GROUPS * INT4_BLOCK_BYTES;
      for (size_t b = 0; b < count / INT8_BLOCK_GROUPS; b++, block += INT4_BLOCK_BYTES) {
        for (size_t line = 0; line < INT4_BLOCK_BYTES; line += 64) _mm_prefetch((const char *)block + 4096 + line, _MM_HINT_T0);
        int4_expand(block, bytes + b * INT8_BLOCK_GROUPS * INT8_GROUP_BYTES);
      }
      add_block(rows, groups, first, count, x, (const uint8_t *)bytes, (const uint8_t *)bytes, sums + p * rows * INT8_PANEL);
    }
  }
}
