// Attention over a request's own positions: blocks of prefix rows as two small products with packed keys and values, single rows through the table.
// Each sum is one chain over its own request, so the numbers don't depend on threads, on the other rows or on other requests.
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "table.h"

// Query rows of a task: their scores (for 272 positions 55 KB) stay in a second-level cache.
enum { QUERY_BLOCK = 48 };

struct attend_all {
  const struct kernel_table *table;  // the calling thread's choice
  size_t T, S, H, G, E, q_stride, kv_stride, out_stride, blocks;
  const float *q, *keys, *values;
  float scale, *out;
  // Per group: keys as [panels of positions][E][32], then values as [panels of E][S][32].
  float *packed;
  size_t key_panels, group_size;
};

// Packs 32 positions of one group.
static void pack(void *context, size_t index) {
  const struct attend_all *c = context;
  size_t group = index / c->key_panels, first = index % c->key_panels * PANEL_WIDTH, E = c->E;
  size_t count = c->S - first < PANEL_WIDTH ? c->S - first : PANEL_WIDTH;
  float *keys = c->packed + group * c->group_size + first * E, *values = c->packed + group * c->group_size + c->key_panels * PANEL_WIDTH * E;
  for (size_t s = 0; s < count; s++) {
    const float *key = c->keys + (first + s) * c->kv_stride + group * E, *value = c->values + (first + s) * c->kv_stride + group * E;
    for (size_t i = 0; i < E; i++) keys[i * PANEL_WIDTH + s] = key[i];
    for (size_t i = 0; i < E; i += PANEL_WIDTH)
      memcpy(values + i * c->S + (first + s) * PANEL_WIDTH, value + i, (E - i < PANEL_WIDTH ? E - i : PANEL_WIDTH) * sizeof(float));
  }
  // Places without a position are multiplied too, though nobody reads the results: no strange numbers there, which may be slow.
  for (size_t i = 0; i < E; i++) memset(keys + i * PANEL_WIDTH + count, 0, (PANEL_WIDTH - count) * sizeof(float));
}

static void attend_block(void *context, size_t index) {
  const struct attend_all *c = context;
  size_t head = index / c->blocks, first = index % c->blocks * QUERY_BLOCK;
  size_t rows = c->T - first < QUERY_BLOCK ? c->T - first : QUERY_BLOCK, stride = c->key_panels * PANEL_WIDTH;
  const float *keys = c->packed + head / (c->H / c->G) * c->group_size, *values = keys + stride * c->E;
  const float *q = c->q + first * c->q_stride + head * c->E;
  float *out = c->out + first * c->out_stride + head * c->E, factors[QUERY_BLOCK];
  float *scores = pool_scratch(2, rows * stride);
  if (scores == NULL) abort();
  for (size_t r = 0; r < rows; r++) factors[r] = c->scale;
  for (size_t p = 0; p < c->key_panels; p++)
    c->table->product(rows, c->E, q, c->q_stride, keys + p * c->E * PANEL_WIDTH, PANEL_WIDTH, factors, scores + p * PANEL_WIDTH, stride);
  c->table->exponentials(rows, c->S, scores, stride, factors);
  for (size_t i = 0; i < c->E; i += PANEL_WIDTH)
    c->table->product(
        rows, c->S, scores, stride, values + i * c->S, c->E - i < PANEL_WIDTH ? c->E - i : PANEL_WIDTH, factors, out + i, c->out_stride);
}

void kernel_attend_all_f32(
    size_t T, size_t S, size_t H, size_t G, size_t E, const float *q, size_t q_stride, const float *keys, const float *values, size_t kv_stride,
    float scale, float *out, size_t out_stride) {
  struct attend_all c = {
      .table = kernel_table_current(), .T = T, .S = S, .H = H, .G = G, .E = E, .q_stride = q_stride, .kv_stride = kv_stride, .out_stride = out_stride,
      .blocks = (T + QUERY_BLOCK - 1) / QUERY_BLOCK, .q = q, .keys = keys, .values = values, .scale = scale, .out = out,
      .key_panels = (S + PANEL_WIDTH - 1) / PANEL_WIDTH};
  c.group_size = (c.key_panels * E + (E + PANEL_WIDTH - 1) / PANEL_WIDTH * S) * PANEL_WIDTH;
  c.packed = pool_scratch(0, G * c.group_size);
  if (c.packed == NULL) abort();
  pool_run(G * c.key_panels, pack, &c);
  pool_run(c.blocks * H, attend_block, &c);
}

struct attend_rows {
  const struct kernel_table *table;
  const struct kernel_decode_row *rows;
  size_t kv_stride, heads, G, E;  // heads of one group
  float scale;
};

static void attend_row(void *context, size_t index) {
  const struct attend_rows *c = context;
  const struct kernel_decode_row *row = &c->rows[index / c->G];
  size_t group = index % c->G, first = group * c->heads * c->E;
  float *scores = pool_scratch(2, c->heads * row->S);
  if (scores == NULL) abort();
  c->table->attend_row(
      row->S, c->heads, c->E, row->q + first, row->keys + group * c->E, row->values + group * c->E, c->kv_stride, c->scale, scores, row->out + first);
}

void kernel_attend_rows_f32(const struct kernel_decode_row *rows, size_t row_count, size_t kv_stride, size_t H, size_t G, size_t E, float scale) {
  struct attend_rows c = {.table = kernel_table_current(), .rows = rows, .kv_stride = kv_stride, .heads = H / G, .G = G, .E = E, .scale = scale};
  pool_run(row_count * G, attend_row, &c);
}
