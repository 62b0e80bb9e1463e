// Products with quantised weights. Weights have a scale per output (and in int4 an integer multiplier per 32 inputs), activations a scale per row,
// found as they come; sums are 32-bit integers, so they are exact and the same in any order, on any instruction set, in any company (law 2 to the bit).
//
// Activations are stored as q + 128, because vpdpbusd multiplies unsigned by signed bytes: Σ (q + 128) w = Σ q w + 128 Σ w, and Σ w is known.
#include <stdlib.h>
#include <string.h>

#include "int8.h"
#include "pool.h"
#include "table.h"

// A task multiplies some panels with rows whose activations (a block of 512 inputs of each) stay in a second-level cache.
// Tall tasks read the weights less often; where they would be too few to share out evenly, tasks are half as high.
enum { ROWS_PER_TASK = 288, PANELS_PER_TASK = 4, TASKS_PER_THREAD = 16 };

// Results from this size on have left the caches before the next operation reads them, and would only drive out weights and activations on the way:
// they go past them (a feed-forward of 272 and 1088 rows 2 to 3 % faster, LOG.md). Results that are added to what is there have to be read anyway.
enum { PAST_CACHES_BYTES = 1 << 24 };

struct product {
  const struct kernel_table *table;  // the calling thread's choice
  const struct kernel_quantised *w;
  size_t T, strip, stride, activation_bytes;  // stride: activations of a row, filled up
  size_t panels, panels_per_task, panel_bytes, chunks, rows_per_task;
  int8_sums *sums;
  const float *x, *bias;
  const struct kernel_norm *norm;
  enum kernel_then then;
  uint8_t *quantised;  // strips
  float *row_scales;   // [T]
  float *out;
  bool past_caches;
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t quotient_up(size_t a, size_t b) { return (a + b - 1) / b; }

// Quantises row `row`, each 32 inputs `stride` bytes behind those before. A norm's result stays in the first-level cache on its way.
static void quantise_row(const struct product *c, size_t row, uint8_t *bytes, size_t stride) {
  size_t K = c->w->K;
  const float *x = c->x + row * K;
  if (c->norm) {
    float *normed = pool_scratch(1, K);
    if (normed == NULL) abort();
    if (c->norm->b) c->table->layernorm(1, K, x, c->norm->w, c->norm->b, c->norm->epsilon, normed);
    else c->table->rmsnorm(1, K, x, c->norm->w, c->norm->epsilon, normed);
    x = normed;
  }
  c->row_scales[row] = c->table->quantise(K, x, bytes, stride);
}

// Quantises the rows of a strip into their places.
static void quantise_strip(void *context, size_t index) {
  const struct product *c = context;
  size_t K = c->w->K, first = index * c->strip, height = smaller(c->strip, c->T - first);
  uint8_t *strip = c->quantised + first * c->stride * c->activation_bytes;
  if (c->activation_bytes == 1) {
    for (size_t row = 0; row < height; row++) {
      uint8_t *bytes = strip + row * INT8_BLOCK;
      quantise_row(c, first + row, bytes, height * INT8_BLOCK);
      memset(bytes + K / INT8_BLOCK * height * INT8_BLOCK + K % INT8_BLOCK, INT8_OFFSET, c->stride - K);
    }
    return;
  }
  uint8_t *bytes = (uint8_t *)pool_scratch(2, c->stride / 4);
  if (bytes == NULL) abort();
  for (size_t row = 0; row < height; row++) {
    quantise_row(c, first + row, bytes, INT8_BLOCK);
    memset(bytes + K, INT8_OFFSET, c->stride - K);
    uint16_t *wide = (uint16_t *)strip + row * INT8_BLOCK;
    for (size_t k = 0; k < c->stride; k += INT8_BLOCK, wide += height * INT8_BLOCK)
      for (size_t i = 0; i < INT8_BLOCK; i++) wide[i] = bytes[k + i];
  }
}

// Rows first_row..<+rows of panel `panel`: from sums to outputs.
static void finish(const struct product *c, size_t first_row, size_t rows, size_t panel, const int32_t *sums) {
  size_t outputs = c->then == KERNEL_GEGLU ? INT8_PANEL / 2 : INT8_PANEL, first = panel * outputs;
  struct int8_finish f = {
      .rows = rows, .width = smaller(outputs, c->w->N - first), .sums = sums, .row_scales = c->row_scales + first_row,
      .scales = c->w->scales + panel * INT8_PANEL, .bias = c->bias ? c->bias + first : NULL, .weight_sums = c->w->sums + panel * INT8_PANEL,
      .then = c->then, .out = c->out + first_row * c->w->N + first, .out_stride = c->w->N, .past_caches = c->past_caches};
  c->table->finish(&f);
}

static void run(void *context, size_t index) {
  const struct product *c = context;
  size_t first_row = index / c->chunks * c->rows_per_task, rows = smaller(c->rows_per_task, c->T - first_row);
  size_t panel = index % c->chunks * c->panels_per_task, panels = smaller(c->panels_per_task, c->panels - panel);
  int32_t *sums = (int32_t *)pool_scratch(1, panels * rows * INT8_PANEL);
  if (sums == NULL) abort();
  c->sums(
      rows, c->strip, c->stride / INT8_GROUP, c->quantised + first_row * c->stride * c->activation_bytes, panels, c->panel_bytes,
      c->w->packed + panel * c->panel_bytes, sums);
  for (size_t p = 0; p < panels; p++) finish(c, first_row, rows, panel + p, sums + p * rows * INT8_PANEL);
#if defined(__x86_64__)
  if (c->past_caches) __builtin_ia32_sfence();  // such stores are seen late else, even behind the pool's atomics
#endif
}

void kernel_linear_quantised_f32(
    size_t T, const struct kernel_quantised *w, const float *x, const struct kernel_norm *norm, const float *bias, enum kernel_then then,
    float *out) {
  if (T == 0 || w->N == 0) return;
  const struct kernel_table *table = kernel_table_current();
  struct product c = {
      .table = table, .w = w, .T = T, .strip = quotient_up(T, quotient_up(T, table->strip_rows)), .stride = int8_blocks(w->K) * INT8_BLOCK,
      .activation_bytes = w->bits == 8 ? table->activation_bytes : 1,
      .panels = kernel_quantised_rows(w->N, then == KERNEL_GEGLU) / INT8_PANEL, .panels_per_task = PANELS_PER_TASK,
      .panel_bytes = w->bits == 8 ? int8_panel_bytes(w->K) : int4_panel_bytes(w->K), .sums = w->bits == 8 ? table->int8_sums : table->int4_sums,
      .x = x, .norm = norm, .bias = bias, .then = then, .out = out,
      .past_caches = then != KERNEL_ADD && T * w->N * sizeof(float) >= PAST_CACHES_BYTES && (uintptr_t)out % 64 == 0 && w->N % 16 == 0};
  // Scratch of the calling thread: activations of all rows, then their scales.
  float *scratch = pool_scratch(0, T * c.stride * c.activation_bytes / 4 + 16 + T);
  if (scratch == NULL) abort();
  c.quantised = (uint8_t *)scratch;
  c.row_scales = scratch + (T * c.stride * c.activation_bytes / 4 + 15) / 16 * 16;
  // Strips of about equal heights, and equal shares of rows, whole strips each.
  c.chunks = quotient_up(c.panels, c.panels_per_task);
  size_t most = quotient_up(T, ROWS_PER_TASK) * c.chunks < TASKS_PER_THREAD * (size_t)kernels_threads() ? ROWS_PER_TASK / 2 : ROWS_PER_TASK;
  c.rows_per_task = quotient_up(quotient_up(T, quotient_up(T, most)), c.strip) * c.strip;
  pool_run(quotient_up(T, c.strip), quantise_strip, &c);
  pool_run(quotient_up(T, c.rows_per_task) * c.chunks, run, &c);
}
