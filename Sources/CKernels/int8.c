// Products with int8 weights. Weights have a scale per output, activations one per row, found as they come; sums are 32-bit integers, so they are
// exact and the same in any order, on any instruction set, in any company (law 2 to the bit).
//
// Activations are stored as q + 128, because vpdpbusd multiplies unsigned by signed bytes: Σ (q + 128) w = Σ q w + 128 Σ w, and Σ w is known.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "int8.h"
#include "pool.h"
#include "table.h"

enum { ROWS_PER_TASK = 96, OFFSET = 128, LARGEST = 127 };

size_t kernel_int8_packed_bytes(size_t N, size_t K) { return int8_panels(N) * INT8_PANEL * int8_groups(K) * INT8_GROUP; }

// ---- Weights ----

struct packing {
  size_t first, rows, N, K;
  const float *w;
  int8_t *packed;
  float *scales;
  int32_t *sums;
};

static float largest_of(size_t count, const float *x) {
  float largest = 0;
  for (size_t i = 0; i < count; i++) largest = fmaxf(largest, fabsf(x[i]));
  return largest;
}

// Row n of the weights to its place: panel n / 64, then group by group, 64 outputs × 4 inputs.
static void pack_row(void *context, size_t index) {
  const struct packing *c = context;
  size_t n = c->first + index;
  const float *w = c->w + index * c->K;
  float largest = largest_of(c->K, w), factor = largest > 0 ? LARGEST / largest : 0;
  int8_t *panel = c->packed + n / INT8_PANEL * INT8_PANEL * int8_groups(c->K) * INT8_GROUP + n % INT8_PANEL * INT8_GROUP;
  int32_t sum = 0;
  for (size_t k = 0; k < c->K; k++) {
    int8_t q = (int8_t)lrintf(w[k] * factor);
    panel[k / INT8_GROUP * INT8_PANEL * INT8_GROUP + k % INT8_GROUP] = q;
    sum += q;
  }
  c->scales[n] = largest / LARGEST;
  c->sums[n] = sum;
}

void kernel_int8_pack_f32(size_t first, size_t rows, size_t N, size_t K, const float *w, int8_t *packed, float *scales, int32_t *sums) {
  struct packing c = {.first = first, .rows = rows, .N = N, .K = K, .w = w, .packed = packed, .scales = scales, .sums = sums};
  pool_run(rows, pack_row, &c);
}

// ---- Products ----

struct product {
  const struct kernel_table *table;  // the calling thread's choice
  size_t T, N, K, panels;
  const float *x;
  const int8_t *packed;
  const float *scales, *bias;
  const int32_t *sums;
  uint8_t *quantised;  // [T, groups · 4]
  float *row_scales;   // [T]
  float *out;
};

static void quantise_row(void *context, size_t t) {
  const struct product *c = context;
  size_t stride = int8_groups(c->K) * INT8_GROUP;
  c->row_scales[t] = c->table->quantise(c->K, c->x + t * c->K, c->quantised + t * stride);
  memset(c->quantised + t * stride + c->K, OFFSET, stride - c->K);
}

// sums · scale of row · scale of output + bias, for one tile.
static void finish(const struct product *c, size_t t, size_t rows, size_t first, const int32_t *sums) {
  size_t width = c->N - first < INT8_PANEL ? c->N - first : INT8_PANEL;
  for (size_t r = 0; r < rows; r++) {
    float *out = c->out + (t + r) * c->N + first, scale = c->row_scales[t + r];
    for (size_t n = 0; n < width; n++)
      out[n] = (float)(sums[r * INT8_PANEL + n] - OFFSET * c->sums[first + n]) * (scale * c->scales[first + n]) + (c->bias ? c->bias[first + n] : 0);
  }
}

static void run(void *context, size_t index) {
  const struct product *c = context;
  size_t panel = index % c->panels, first_row = index / c->panels * ROWS_PER_TASK;
  size_t last = first_row + ROWS_PER_TASK < c->T ? first_row + ROWS_PER_TASK : c->T;
  size_t groups = int8_groups(c->K), stride = groups * INT8_GROUP;
  _Alignas(64) int32_t sums[INT8_ROWS * INT8_PANEL];
  for (size_t t = first_row; t < last; t += INT8_ROWS) {
    size_t rows = last - t < INT8_ROWS ? last - t : INT8_ROWS;
    c->table->int8_tile(rows, groups, c->quantised + t * stride, stride, c->packed + panel * INT8_PANEL * stride, sums);
    finish(c, t, rows, panel * INT8_PANEL, sums);
  }
}

void kernel_linear_int8_f32(
    size_t T, size_t N, size_t K, const float *x, const int8_t *packed, const float *scales, const int32_t *sums, const float *bias, float *out) {
  if (T == 0 || N == 0) return;
  size_t stride = int8_groups(K) * INT8_GROUP;
  // Scratch of the calling thread: bytes of all rows, then their scales.
  float *scratch = pool_scratch(0, (T * stride + 3) / 4 + T);
  if (scratch == NULL) abort();
  struct product c = {
      .table = kernel_table_current(), .T = T, .N = N, .K = K, .panels = int8_panels(N), .x = x, .packed = packed, .scales = scales, .bias = bias,
      .sums = sums, .quantised = (uint8_t *)(scratch + T), .row_scales = scratch, .out = out};
  pool_run(T, quantise_row, &c);
  pool_run((T + ROWS_PER_TASK - 1) / ROWS_PER_TASK * c.panels, run, &c);
}
