// Weights to their packed form, int8 and int4 (int8.h).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "int8.h"
#include "pool.h"
#include "table.h"

size_t kernel_quantised_rows(size_t N, bool paired) {
  return (paired ? (N + INT8_PANEL / 2 - 1) / (INT8_PANEL / 2) : int8_panels(N)) * INT8_PANEL;
}

size_t kernel_quantised_bytes(int bits, size_t rows, size_t K) {
  return int8_panels(rows) * (bits == 8 ? int8_panel_bytes(K) : int4_panel_bytes(K));
}

struct packing {
  const struct kernel_table *table;  // the calling thread's choice
  int bits;
  enum kernel_place place;
  size_t first, K;
  const float *w;
  uint8_t *packed;
  float *scales;
  int32_t *sums;
};

// q = round(127 w / max |w|), its scale max |w| / 127: as activations are quantised, without the 128.
static void pack8(const struct packing *c, const float *w, size_t row) {
  uint8_t *bytes = (uint8_t *)pool_scratch(2, c->K / 4 + 1);
  if (bytes == NULL) abort();
  uint8_t *panel = c->packed + row / INT8_PANEL * int8_panel_bytes(c->K) + row % INT8_PANEL * INT8_GROUP;
  c->scales[row] = c->table->quantise(c->K, w, bytes, INT8_BLOCK);
  int32_t sum = 0;
  for (size_t k = 0; k < c->K; k++) {
    bytes[k] = (uint8_t)(bytes[k] - INT8_OFFSET);
    sum += (int8_t)bytes[k];
  }
  c->sums[row] = sum;
  for (size_t k = 0; k < c->K; k += INT8_GROUP)
    memcpy(panel + k / INT8_GROUP * INT8_GROUP_BYTES, bytes + k, c->K - k < INT8_GROUP ? c->K - k : INT8_GROUP);
}

// The largest weight is 7.5 steps of the largest multiplier; each block of 32 takes the multiplier that fits it best.
static void pack4(const struct packing *c, const float *w, size_t row) {
  float largest = 0;
  for (size_t k = 0; k < c->K; k++) largest = fabsf(w[k]) > largest ? fabsf(w[k]) : largest;
  float unit = largest / (INT4_MULTIPLIER_MAXIMUM * 7.5f);
  uint8_t *block = c->packed + row / INT8_PANEL * int4_panel_bytes(c->K);
  size_t n = row % INT8_PANEL;
  int32_t sum = 0;
  for (size_t first = 0; first < c->K; first += INT8_BLOCK, block += INT4_BLOCK_BYTES) {
    float weights[INT8_BLOCK] = {0};
    int8_t values[INT8_BLOCK];
    memcpy(weights, w + first, (c->K - first < INT8_BLOCK ? c->K - first : INT8_BLOCK) * sizeof(float));
    int multiplier = c->table->quantise4(weights, unit, values);
    block[n] = (uint8_t)multiplier;
    for (size_t i = 0; i < INT8_BLOCK; i++) {
      size_t group = i / INT8_GROUP;
      uint8_t *byte = block + INT8_PANEL + group / 2 * INT8_GROUP_BYTES + n * INT8_GROUP + i % INT8_GROUP;
      *byte = (uint8_t)(group % 2 ? (*byte & 15) | (values[i] + 8) << 4 : (*byte & 0xF0) | (values[i] + 8));
      sum += values[i] * multiplier;
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
  struct packing c = {
      .table = kernel_table_current(), .bits = bits, .place = place, .first = first, .K = K, .w = w, .packed = packed, .scales = scales, .sums = sums};
  pool_run(rows, pack_row, &c);
}

enum { CLEAR_BYTES = 1 << 21 };  // a huge page

struct clearing {
  uint8_t *packed;
  size_t bytes;
  int value;
};

static void clear_piece(void *context, size_t index) {
  const struct clearing *c = context;
  size_t first = index * CLEAR_BYTES, left = c->bytes - first;
  memset(c->packed + first, c->value, left < CLEAR_BYTES ? left : CLEAR_BYTES);
}

void kernel_quantise_clear(int bits, size_t rows, size_t K, uint8_t *packed, float *scales, int32_t *sums) {
  // A nibble of 8 is the value 0. All threads clear, so that on a machine with several memories each has a share of the weights.
  struct clearing c = {.packed = packed, .bytes = kernel_quantised_bytes(bits, rows, K), .value = bits == 8 ? 0 : 0x88};
  pool_run((c.bytes + CLEAR_BYTES - 1) / CLEAR_BYTES, clear_piece, &c);
  memset(scales, 0, rows * sizeof *scales);
  memset(sums, 0, rows * sizeof *sums);
}
