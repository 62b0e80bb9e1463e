// Exact int8 products in AVX2. vpmaddubsw would saturate at 255 · 127 + 255 · 127, so both factors are widened to 16 bits and vpmaddwd
// multiplies: 16 products an instruction, half of what saturation would have allowed, none of them wrong.
#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "int8.h"
#include "table.h"

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

enum {
  STRIP = 6,          // rows of a tile: 6 × 2 registers of sums, 2 of weights, 2 to work with
  BLOCK_GROUPS = 128,  // inputs / 4 multiplied at a time: a panel's block is 16 KB, half of a first-level cache
  HALF = INT8_PANEL / 2,
};

// Four outputs × 4 inputs to 16 bits.
#define WIDEN(w) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w)))

// sums[r][0..<8] (+)= Σ x[r] · w over `groups` groups; a register of sums holds 4 outputs, each in two parts.
#define TILE(ROWS)                                                                                          \
  static void tile_##ROWS(                                                                                  \
      size_t groups, const uint16_t *x, const uint8_t *w, const uint8_t *ahead, bool more, int32_t *sums) { \
    __m256i sum[ROWS][2];                                                                                   \
    for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256();                          \
    for (size_t g = 0; g < groups; x += ROWS * INT8_BLOCK)                                                  \
      for (size_t i = 0; i < INT8_BLOCK_GROUPS; i++, g++, w += INT8_GROUP_BYTES) {                          \
        if (ahead) _mm_prefetch((const char *)ahead + 32 * g, _MM_HINT_T0);                                 \
        __m256i w0 = WIDEN(w), w1 = WIDEN(w + 16);                                                          \
        for (int r = 0; r < ROWS; r++) {                                                                    \
          int64_t four;                                                                                     \
          memcpy(&four, x + r * INT8_BLOCK + i * INT8_GROUP, 8);                                            \
          __m256i v = _mm256_set1_epi64x(four);                                                             \
          sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(v, w0));                                \
          sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(v, w1));                                \
        }                                                                                                   \
      }                                                                                                     \
    for (int r = 0; r < ROWS; r++) {                                                                        \
      __m256i *out = (__m256i *)(sums + r * INT8_PANEL);                                                    \
      __m256i s = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][0], sum[r][1]), 0xD8);                  \
      _mm256_storeu_si256(out, more ? _mm256_add_epi32(s, _mm256_loadu_si256(out)) : s);                    \
    }                                                                                                       \
  }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)

typedef void tile(size_t groups, const uint16_t *x, const uint8_t *w, const uint8_t *ahead, bool more, int32_t *sums);
static tile *const tiles[STRIP] = {tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

// Block by block of inputs, so that a block of all rows stays in the second-level cache while all panels are multiplied with it, and a panel's
// block in the first-level cache. Weights are widened as they come: the unit that widens is idle otherwise, and a widened copy was slower.
void int8_sums_avx2(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  for (size_t first = 0; first < groups; first += BLOCK_GROUPS) {
    size_t count = groups - first < BLOCK_GROUPS ? groups - first : BLOCK_GROUPS;
    for (size_t p = 0; p < panels; p++) {
      const uint8_t *w = panel + p * panel_bytes + first * INT8_GROUP_BYTES;
      for (size_t row = 0; row < rows; row += strip) {
        size_t height = rows - row < strip ? rows - row : strip;
        const uint16_t *strip = (const uint16_t *)x + (row * groups + first * height) * INT8_GROUP;
        for (size_t quarter = 0; quarter < 4; quarter++) {
          // The memory behind this block is asked for while its first strip is multiplied.
          const uint8_t *ahead = row > 0 ? NULL : w + (BLOCK_GROUPS + quarter * count / 4) * INT8_GROUP_BYTES;
          tiles[height - 1](count, strip, w + quarter * 32, ahead, first > 0, sums + (p * rows + row) * INT8_PANEL + quarter * 8);
        }
      }
    }
  }
}

// ---- int4 ----
// Values of 4 bits are small enough for vpmaddubsw: eight of its sums, at most 8 · 2 · 255 · 8 = 32640, fit in 16 bits, and the vpmaddwd
// that widens them multiplies by the block's multipliers on the way. Nearly twice the products per instruction of int8.

enum { BLOCKS = BLOCK_GROUPS / INT8_BLOCK_GROUPS, HALF_GROUP = HALF * INT8_GROUP };

// Blocks of a panel as bytes, a half of 16 outputs after the other, and their multipliers as pairs of 16 bits.
struct nibbles {
  _Alignas(64) int8_t values[2][BLOCK_GROUPS * HALF_GROUP];
  _Alignas(64) int16_t multipliers[2][BLOCKS * 2 * HALF];
};

static void spread(size_t blocks, const uint8_t *block, struct nibbles *out) {
  const __m256i low = _mm256_set1_epi8(15), eight = _mm256_set1_epi8(8);
  for (size_t b = 0; b < blocks; b++, block += INT4_BLOCK_BYTES) {
    for (size_t line = 0; line < INT4_BLOCK_BYTES; line += 64) _mm_prefetch((const char *)block + 4096 + line, _MM_HINT_T0);
    for (size_t part = 0; part < 4; part++) {
      __m128i m = _mm_loadl_epi64((const __m128i *)(block + part * 8));
      _mm256_store_si256((__m256i *)(out->multipliers[part / 2] + (2 * b + part % 2) * HALF), _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(m, m)));
      for (size_t pair = 0; pair < INT8_BLOCK_GROUPS / 2; pair++) {
        __m256i both = _mm256_loadu_si256((const __m256i *)(block + INT8_PANEL + pair * INT8_GROUP_BYTES + part * 32));
        int8_t *place = out->values[part / 2] + (b * INT8_BLOCK_GROUPS + 2 * pair) * HALF_GROUP + part % 2 * 32;
        _mm256_store_si256((__m256i *)place, _mm256_sub_epi8(_mm256_and_si256(both, low), eight));
        _mm256_store_si256(
            (__m256i *)(place + HALF_GROUP), _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16(both, 4), low), eight));
      }
    }
  }
}

// sums[r][0..<16] (+)= Σ multiplier · Σ x[r] · value over `blocks` blocks. Unrolled eight times the loop is a tenth slower.
#define TILE4(ROWS)                                                                                                                    \
  static void nibbles_##ROWS(size_t blocks, const uint8_t *x, const int8_t *w, const int16_t *multipliers, bool more, int32_t *sums) { \
    for (int r = 0; !more && r < ROWS; r++) memset(sums + r * INT8_PANEL, 0, HALF * sizeof *sums);                                     \
    for (size_t b = 0; b < blocks; b++, x += ROWS * INT8_BLOCK, multipliers += 2 * HALF) {                                             \
      __m256i sum[ROWS][2];                                                                                                            \
      for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm256_setzero_si256();                                                   \
      _Pragma("clang loop unroll(disable)") for (size_t g = 0; g < INT8_BLOCK_GROUPS; g++, w += HALF_GROUP) {                          \
        __m256i w0 = _mm256_load_si256((const __m256i *)w), w1 = _mm256_load_si256((const __m256i *)w + 1);                            \
        for (int r = 0; r < ROWS; r++) {                                                                                               \
          int32_t four;                                                                                                                \
          memcpy(&four, x + r * INT8_BLOCK + g * INT8_GROUP, 4);                                                                       \
          __m256i v = _mm256_set1_epi32(four);                                                                                         \
          sum[r][0] = _mm256_add_epi16(sum[r][0], _mm256_maddubs_epi16(v, w0));                                                        \
          sum[r][1] = _mm256_add_epi16(sum[r][1], _mm256_maddubs_epi16(v, w1));                                                        \
        }                                                                                                                              \
      }                                                                                                                                \
      for (int r = 0; r < ROWS; r++)                                                                                                   \
        for (int j = 0; j < 2; j++) {                                                                                                  \
          __m256i *out = (__m256i *)(sums + r * INT8_PANEL) + j, m = _mm256_load_si256((const __m256i *)multipliers + j);              \
          _mm256_storeu_si256(out, _mm256_add_epi32(_mm256_loadu_si256(out), _mm256_madd_epi16(sum[r][j], m)));                        \
        }                                                                                                                              \
    }                                                                                                                                  \
  }
TILE4(1) TILE4(2) TILE4(3) TILE4(4) TILE4(5) TILE4(6)

typedef void tile4(size_t blocks, const uint8_t *x, const int8_t *w, const int16_t *multipliers, bool more, int32_t *sums);
static tile4 *const of_nibbles[STRIP] = {nibbles_1, nibbles_2, nibbles_3, nibbles_4, nibbles_5, nibbles_6};

void int4_sums_avx2(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  struct nibbles nibbles;
  for (size_t first = 0; first < groups; first += BLOCK_GROUPS) {
    size_t count = groups - first < BLOCK_GROUPS ? groups - first : BLOCK_GROUPS, blocks = count / INT8_BLOCK_GROUPS;
    for (size_t p = 0; p < panels; p++) {
      spread(blocks, panel + p * panel_bytes + first / INT8_BLOCK_GROUPS * INT4_BLOCK_BYTES, &nibbles);
      for (size_t row = 0; row < rows; row += strip) {
        size_t height = rows - row < strip ? rows - row : strip;
        const uint8_t *strip = (const uint8_t *)x + (row * groups + first * height) * INT8_GROUP;
        for (size_t half = 0; half < 2; half++)
          of_nibbles[height - 1](
              blocks, strip, nibbles.values[half], nibbles.multipliers[half], first > 0, sums + (p * rows + row) * INT8_PANEL + half * HALF);
      }
    }
  }
}
#pragma clang attribute pop
#endif
