// What resample.c and its row kernels (resample_rows.c) share.
#ifndef PALISADE_RESAMPLE_H
#define PALISADE_RESAMPLE_H

#include "internal.h"

// A byte times a weight (below 2 with its sign) must fit a signed 32-bit sum: 32 - 8 - 2.
enum { FRACTION_BITS = 22, HALF = 1 << (FRACTION_BITS - 1) };
// A weight is split for multiplying as two signed 16-bit numbers, high * 2^11 + low, because SSE2
// and NEON multiply and add those eight at a time, but 32-bit numbers slowly or not at all.
enum { LOW_BITS = 11, LOW_MASK = (1 << LOW_BITS) - 1 };
// Numbers that are multiplied at once, at most: 64 bytes of AVX-512, 16 numbers of 16 bits of AVX2.
enum { RESAMPLE_VECTOR = 64 };

// Which source positions make up one target position, and with which weights.
struct window {
  uint32_t first, count;
};

// The windows of all columns, with split weights; row `x` of each table has `stride` entries, whole
// vectors: behind a window's own weights are zeros.
struct columns {
  uint32_t count, stride;
  struct window *windows;
  int16_t *high, *low;
  int8_t *digits;  // [count, 3, stride]: weight = (digit 0 * 256 + digit 1) * 256 + digit 2, for AVX-512
};

// One row, [width, 3] to [columns.count, 3]. `planes` has room for [3, pitch], pitch a vector wider than
// the row; what stands behind the row is multiplied by 0.
typedef void row_resampler(const struct columns *columns, const uint8_t *row, uint32_t width,
                           size_t pitch, int16_t *planes, uint8_t *out);

// The same bits from each.
row_resampler *resample_row_on(enum image_vectors vectors);

static inline uint8_t resample_round(int32_t sum) {
  // An arithmetic shift, as every compiler we use makes of it: rounds towards minus infinity.
  const int32_t value = sum >> FRACTION_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

#endif
