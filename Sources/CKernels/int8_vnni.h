// Exact int8 products with vpdpbusd, for 512-bit and 256-bit registers. Included by a table's file, which defines
//   VEC, VEC_ZERO, VEC_LOAD(p), VEC_STORE(p, v), VEC_ADD(a, b), VEC_ALL(int32), VEC_DOT(sum, bytes, weights), STRIP_ROWS (6 or 12).
// A tile is up to STRIP_ROWS rows by two registers of outputs: 24 sums of 32 zmm, or 12 of 16 ymm. Two registers of weights and a broadcast of
// four inputs feed it: 14 loads for 24 products, so that with two product ports the load ports have slack.
#include <stdbool.h>
#include <stdlib.h>

#include "pool.h"

enum {
  VNNI_OUTPUTS = 2 * sizeof(VEC) / 4,
  VNNI_BLOCK_GROUPS = 128,  // a block of a panel is 16 KB: a third of a first-level cache, the next one comes meanwhile
  VNNI_AHEAD = 4096,        // bytes that are asked for ahead where weights stream through once
};

// sums[r][...] (+)= Σ x[r] · w over whole blocks of 32 inputs. Few rows have UNROLL sums each, so that they don't wait for the latency of one.
// Sixteen times a block the cache is asked for the next `step` bytes at `ahead`.
#define TILE(ROWS, UNROLL)                                                                                                      \
  static void tile_##ROWS(                                                                                                      \
      size_t blocks, const uint8_t *x, const uint8_t *w, const uint8_t *ahead, size_t step, bool more, int32_t *sums) {         \
    VEC sum[UNROLL][ROWS][2];                                                                                                   \
    for (int u = 0; u < UNROLL; u++)                                                                                            \
      for (int r = 0; r < ROWS; r++) sum[u][r][0] = sum[u][r][1] = VEC_ZERO;                                                    \
    for (size_t b = 0; b < blocks; b++, x += ROWS * INT8_BLOCK, w += INT8_BLOCK_GROUPS * INT8_GROUP_BYTES) {                    \
      _Pragma("unroll") for (int g = 0; g < INT8_BLOCK_GROUPS; g++) {                                                           \
        _mm_prefetch((const char *)ahead, _MM_HINT_T0);                                                                         \
        if (sizeof(VEC) == 64) _mm_prefetch((const char *)ahead + step, _MM_HINT_T0);                                           \
        ahead += 2 * step;                                                                                                      \
        VEC w0 = VEC_LOAD(w + g * INT8_GROUP_BYTES), w1 = VEC_LOAD(w + g * INT8_GROUP_BYTES + sizeof(VEC));                     \
        for (int r = 0; r < ROWS; r++) {                                                                                        \
          int32_t four;                                                                                                         \
          memcpy(&four, x + r * INT8_BLOCK + g * INT8_GROUP, 4);                                                                \
          VEC v = VEC_ALL(four);                                                                                                \
          sum[g % UNROLL][r][0] = VEC_DOT(sum[g % UNROLL][r][0], v, w0);                                                        \
          sum[g % UNROLL][r][1] = VEC_DOT(sum[g % UNROLL][r][1], v, w1);                                                        \
        }                                                                                                                       \
      }                                                                                                                         \
    }                                                                                                                           \
    for (int r = 0; r < ROWS; r++)                                                                                              \
      for (int j = 0; j < 2; j++) {                                                                                             \
        VEC s = sum[0][r][j];                                                                                                   \
        for (int u = 1; u < UNROLL; u++) s = VEC_ADD(s, sum[u][r][j]);                                                          \
        int32_t *out = sums + r * INT8_PANEL + j * VNNI_OUTPUTS / 2;                                                            \
        VEC_STORE(out, more ? VEC_ADD(s, VEC_LOAD(out)) : s);                                                                   \
      }                                                                                                                         \
  }
TILE(1, 4) TILE(2, 4) TILE(3, 2) TILE(4, 2) TILE(5, 1) TILE(6, 1)
#if STRIP_ROWS == 12
TILE(7, 1) TILE(8, 1) TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1)
#endif

typedef void tile(size_t blocks, const uint8_t *x, const uint8_t *w, const uint8_t *ahead, size_t step, bool more, int32_t *sums);
static tile *const tiles[STRIP_ROWS] = {
    tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#if STRIP_ROWS == 12
    tile_7, tile_8, tile_9, tile_10, tile_11, tile_12,
#endif
};

// All rows times one block of one panel, whose bytes stay in the first-level cache, while `fetch` bytes at `ahead` come into it.
static void add_block(
    size_t rows, size_t strip, size_t groups, size_t first, size_t count, const uint8_t *x, const uint8_t *w, const uint8_t *ahead, size_t fetch,
    int32_t *sums) {
  size_t blocks = count / INT8_BLOCK_GROUPS, calls = (rows + strip - 1) / strip * (INT8_PANEL / VNNI_OUTPUTS);
  size_t step = fetch / (calls * blocks * 2 * INT8_BLOCK_GROUPS);
  for (size_t row = 0; row < rows; row += strip) {
    size_t height = rows - row < strip ? rows - row : strip;
    for (size_t n = 0; n < INT8_PANEL; n += VNNI_OUTPUTS, ahead += fetch / calls)
      tiles[height - 1](
          blocks, x + (row * groups + first * height) * INT8_GROUP, w + n * INT8_GROUP, ahead, step, first > 0, sums + row * INT8_PANEL + n);
  }
}

// Block by block of inputs and panel by panel. One strip has nothing to keep weights for: they stream through in the order they stand in.
static void int8_sums_vnni(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  size_t most = rows <= strip ? groups : VNNI_BLOCK_GROUPS;
  for (size_t first = 0; first < groups; first += most) {
    size_t count = groups - first < most ? groups - first : most;
    for (size_t p = 0; p < panels; p++) {
      const uint8_t *w = panel + p * panel_bytes + first * INT8_GROUP_BYTES;
      const uint8_t *next = rows <= strip ? w + VNNI_AHEAD : p + 1 < panels ? w + panel_bytes : panel + (first + count) * INT8_GROUP_BYTES;
      add_block(rows, strip, groups, first, count, x, w, next, count * INT8_GROUP_BYTES, sums + p * rows * INT8_PANEL);
    }
  }
}

// ---- int4 ----
// Few rows: nibbles (0...15, eight more than the values) are multiplied as they come, and each block's sums by the multipliers. Sums start at
// −8 Σ x, which takes the eight back. Many rows: a block becomes int8 first, which costs as much as the products of some rows.

typedef int32_t words __attribute__((vector_size(sizeof(VEC))));
typedef uint16_t halves __attribute__((vector_size(sizeof(VEC))));
typedef uint8_t quarter __attribute__((vector_size(sizeof(VEC) / 4)));

enum { NIBBLE_ROWS = sizeof(VEC) == 64 ? 6 : 2, NIBBLE_LIMIT = sizeof(VEC) == 64 ? 12 : 4, NIBBLE_AHEAD = 4096 };

// Multipliers of a register of outputs.
INLINE words multipliers_of(const uint8_t *m) {
  quarter bytes;
  memcpy(&bytes, m, sizeof bytes);
  return __builtin_convertvector(bytes, words);
}

// sums[r][...] = Σ multiplier · Σ x[r] · value over `blocks` blocks; rows of x stand in a strip of `height`; starts[b · height + r] = −8 Σ x.
#define NIBBLES(ROWS)                                                                                                             \
  static void nibbles_##ROWS(                                                                                                     \
      size_t blocks, size_t height, const uint8_t *x, const int32_t *starts, const uint8_t *block, size_t n, int32_t *sums) {     \
    words total[ROWS][2];                                                                                                         \
    for (int r = 0; r < ROWS; r++) total[r][0] = total[r][1] = (words)VEC_ZERO;                                                   \
    for (size_t b = 0; b < blocks; b++, x += height * INT8_BLOCK, starts += height, block += INT4_BLOCK_BYTES) {                  \
      VEC sum[ROWS][2];                                                                                                           \
      for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = VEC_ALL(starts[r]);                                                  \
      const uint8_t *w = block + INT8_PANEL + n * INT8_GROUP;                                                                     \
      _Pragma("unroll") for (int pair = 0; pair < INT8_BLOCK_GROUPS / 2; pair++, w += INT8_GROUP_BYTES) {                         \
        _mm_prefetch((const char *)w + NIBBLE_AHEAD, _MM_HINT_T0);                                                                \
        if (sizeof(VEC) == 64) _mm_prefetch((const char *)w + NIBBLE_AHEAD + 64, _MM_HINT_T0);                                    \
        halves w0 = (halves)VEC_LOAD(w), w1 = (halves)VEC_LOAD(w + sizeof(VEC));                                                  \
        VEC low0 = (VEC)(w0 & 0x0F0F), low1 = (VEC)(w1 & 0x0F0F), high0 = (VEC)(w0 >> 4 & 0x0F0F), high1 = (VEC)(w1 >> 4 & 0x0F0F); \
        for (int r = 0; r < ROWS; r++) {                                                                                          \
          int32_t four[2];                                                                                                        \
          memcpy(four, x + r * INT8_BLOCK + pair * 2 * INT8_GROUP, 8);                                                            \
          VEC even = VEC_ALL(four[0]), odd = VEC_ALL(four[1]);                                                                    \
          sum[r][0] = VEC_DOT(VEC_DOT(sum[r][0], even, low0), odd, high0);                                                        \
          sum[r][1] = VEC_DOT(VEC_DOT(sum[r][1], even, low1), odd, high1);                                                        \
        }                                                                                                                         \
      }                                                                                                                           \
      words m0 = multipliers_of(block + n), m1 = multipliers_of(block + n + VNNI_OUTPUTS / 2);                                    \
      for (int r = 0; r < ROWS; r++) {                                                                                            \
        total[r][0] += (words)sum[r][0] * m0;                                                                                     \
        total[r][1] += (words)sum[r][1] * m1;                                                                                     \
      }                                                                                                                           \
    }                                                                                                                             \
    for (int r = 0; r < ROWS; r++)                                                                                                \
      for (int j = 0; j < 2; j++) VEC_STORE(sums + r * INT8_PANEL + j * VNNI_OUTPUTS / 2, (VEC)total[r][j]);                      \
  }
NIBBLES(1) NIBBLES(2)
#if STRIP_ROWS == 12
NIBBLES(3) NIBBLES(4) NIBBLES(5) NIBBLES(6)
#endif

typedef void nibbles(
    size_t blocks, size_t height, const uint8_t *x, const int32_t *starts, const uint8_t *block, size_t n, int32_t *sums);
static nibbles *const of_nibbles[NIBBLE_ROWS] = {
    nibbles_1, nibbles_2,
#if STRIP_ROWS == 12
    nibbles_3, nibbles_4, nibbles_5, nibbles_6,
#endif
};

// starts[i] = −8 Σ of the i-th 32 bytes.
static void starts_of(size_t count, const uint8_t *x, int32_t *starts) {
  for (size_t i = 0; i < count; i++, x += INT8_BLOCK) {
    int32_t sum = 0;
    for (size_t k = 0; k < INT8_BLOCK; k++) sum += x[k];
    starts[i] = -8 * sum;
  }
}

static void few_rows(
    size_t rows, size_t strip, size_t groups, const uint8_t *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  size_t blocks = groups / INT8_BLOCK_GROUPS;
  int32_t *starts = (int32_t *)pool_scratch(3, rows * blocks);
  if (starts == NULL) abort();
  starts_of(rows * blocks, x, starts);
  for (size_t p = 0; p < panels; p++)
    for (size_t row = 0; row < rows; row += strip) {
      size_t height = rows - row < strip ? rows - row : strip;
      for (size_t r = 0; r < height; r += NIBBLE_ROWS)
        for (size_t n = 0; n < INT8_PANEL; n += VNNI_OUTPUTS)
          of_nibbles[(height - r < NIBBLE_ROWS ? height - r : NIBBLE_ROWS) - 1](
              blocks, height, x + (row * blocks + r) * INT8_BLOCK, starts + row * blocks + r, panel + p * panel_bytes, n,
              sums + (p * rows + row + r) * INT8_PANEL + n);
    }
}

static void int4_sums_vnni(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  if (rows <= NIBBLE_LIMIT) {
    few_rows(rows, strip, groups, x, panels, panel_bytes, panel, sums);
    return;
  }
  _Alignas(64) int8_t bytes[VNNI_BLOCK_GROUPS * INT8_GROUP_BYTES];
  for (size_t first = 0; first < groups; first += VNNI_BLOCK_GROUPS) {
    size_t count = groups - first < VNNI_BLOCK_GROUPS ? groups - first : VNNI_BLOCK_GROUPS, blocks = count / INT8_BLOCK_GROUPS;
    for (size_t p = 0; p < panels; p++) {
      const uint8_t *block = panel + p * panel_bytes + first / INT8_BLOCK_GROUPS * INT4_BLOCK_BYTES;
      const uint8_t *next = p + 1 < panels ? block + panel_bytes : panel + (first + count) / INT8_BLOCK_GROUPS * INT4_BLOCK_BYTES;
      for (size_t b = 0; b < blocks; b++) int4_expand(block + b * INT4_BLOCK_BYTES, bytes + b * INT8_BLOCK_GROUPS * INT8_GROUP_BYTES);
      add_block(
          rows, strip, groups, first, count, x, (const uint8_t *)bytes, next, blocks * INT4_BLOCK_BYTES, sums + p * rows * INT8_PANEL);
    }
  }
}
