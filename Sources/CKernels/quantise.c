// Weights to their packed form, int8 and int4 (int8.h).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "int8.h"
#include "pool.h"
#include "table.h"

enum { LARGEST = 127 };

size_t kernel_quantised_rows(size_t N, bool paired) {
  return (paired ? (N + INT8_PANEL / 2 - 1) / (INT8_PANEL / 2) : int8_panels(N)) * INT8_PANEL;
}

size_t kernel_quantised_bytes(int bits, size_t rows, size_t K) {
  return int8_panels(rows) * (bits == 8 ? int8_panel_bytes(K) : int4_panel_bytes(K));
}

struct packing {
  int bits;
  enum kernel_place place;
  size_t first, K;
  const float *w;
  uint8_t *packed;
  float *scales;
  int32_t *sums;
};

static float largest_of(size_t count, const float *x) {
  float largest = 0;
  for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(x[i]));
  return largest;
}

// q = round(127 w / max |w|), its scale max |w| / 127.
static void pack8(const struct packing *c, const float *w, size_t row) {
  float largest = largest_of(c->K, w), factor = largest > 0 ? LARGEST / largest : 0;
  uint8_t *panel = c->packed + row / INT8_PANEL * int8_panel_bytes(c->K) + row % INT8_PANEL * INT8_GROUP;
  int32_t sum = 0;
  for (size_t k = 0; k < c->K; k++) {
    int8_t q = (int8_t)lrintf(w[k] * factor);
    panel[k / INT8_GROUP * INT8_GROUP_BYTES + k % INT8_GROUP] = (uint8_t)q;
    sum += q;
  }
  c->scales[row] = largest / LARGEST;
  c->sums[row] = sum;
}

static int value4(float w, float step) {
  int q = step > 0 ? (int)lrintf(w / step) : 0;
  return q < -8 ? -8 : q > 7 ? 7 : q;
}

// The multiplier in 1...15 with the least squared error for these weights in steps of multiplier · unit.
static int best_multiplier(size_t count, const float *w, float unit) {
  int best = 1;
  float least = INFINITY;
  for (int m = 1; m <= INT4_MULTIPLIER_MAXIMUM; m++) {
    float error = 0;
    for (size_t i = 0; i < count; i++) {
      float d = w[i] - (float)(value4(w[i], unit * (float)m) * m) * unit;
      error += d * d;
    }
    if (error < least) {
      least = error;
      best = m;
    }
  }
  return best;
}

// The largest weight is 7.5 steps of the largest multiplier; each block of 32 takes the multiplier that fits it best.
static void pack4(const struct packing *c, const float *w, size_t row) {
  float unit = largest_of(c->K, w) / (INT4_MULTIPLIER_MAXIMUM * 7.5f);
  uint8_t *block = c->packed + row / INT8_PANEL * int4_panel_bytes(c->K);
  size_t n = row % INT8_PANEL;
  int32_t sum = 0;
  for (size_t first = 0; first < c->K; first += INT8_BLOCK, block += INT4_BLOCK_BYTES) {
    size_t count = c->K - first < INT8_BLOCK ? c->K - first : INT8_BLOCK;
    int m = best_multiplier(count, w + first, unit);
    block[n] = (uint8_t)m;
    for (size_t i = 0; i < count; i++) {
      int q = value4(w[first + i], unit * (float)m);
      size_t group = i / INT8_GROUP;
      uint8_t *byte = block + INT8_PANEL + group / 2 * INT8_GROUP_BYTES + n * INT8_GROUP + i % INT8_GROUP;
      *byte = (uint8_t)(group % 2 ? (*byte & 15) | (q + 8) << 4 : (*byte & 0xF0) | (q + 8));
      sum += q * m;
    }
  }
  c->scales[row] = unit;
  c->sums[row] = sum;
}

static void pack_row(void *context, size_t index) {
  const struct packing *c = context;
  size_t row = c->first + index, half = INT8_PANEL / 2;
  if (c->place != KERNEL_PLAIN) row = row / half * INT8_PANEL + row % half + (c->place == KERNEL_UP ? half : 0);
  (c->bits == 8 ? pack8 : pack4)(c, c->w + index * c->K, row);
}

void kernel_quantise_f32(
    int bits, enum kernel_place place, size_t first, size_t rows, size_t K, const float *w, uint8_t *packed, float *scales, int32_t *sums) {
  struct packing c = {.bits = bits, .place = place, .first = first, .K = K, .w = w, .packed = packed, .scales = scales, .sums = sums};
  pool_run(rows, pack_row, &c);
}

void kernel_quantise_clear(int bits, size_t rows, size_t K, uint8_t *packed, float *scales, int32_t *sums) {
  // A nibble of 8 is the value 0.
  memset(packed, bits == 8 ? 0 : 0x88, kernel_quantised_bytes(bits, rows, K));
  memset(scales, 0, rows * sizeof *scales);
  memset(sums, 0, rows * sizeof *sums);
}
