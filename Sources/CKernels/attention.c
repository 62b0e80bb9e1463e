// Attention over a request's own positions: blocks of prefix rows through OpenBLAS, single rows through the table.
// The blocks are fixed, so the numbers depend on the request alone, not on threads or on other requests.
#include <cblas.h>
#include <stdlib.h>

#include "pool.h"
#include "table.h"

enum { QUERY_BLOCK = 64 };

struct attend_all {
  const struct kernel_table *table;  // the calling thread's choice
  size_t T, S, H, G, E, q_stride, kv_stride, out_stride, blocks;
  const float *q, *keys, *values;
  float scale, *out;
};

static void attend_block(void *context, size_t index) {
  const struct attend_all *c = context;
  size_t head = index / c->blocks, first = index % c->blocks * QUERY_BLOCK;
  size_t rows = c->T - first < QUERY_BLOCK ? c->T - first : QUERY_BLOCK;
  size_t group = head / (c->H / c->G);
  float *scores = pool_scratch(2, rows * c->S);
  if (scores == NULL) abort();
  cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)c->S, (int)c->E, c->scale, c->q + first * c->q_stride + head * c->E, (int)c->q_stride,
      c->keys + group * c->E, (int)c->kv_stride, 0, scores, (int)c->S);
  c->table->softmax(rows, c->S, scores);
  cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)c->E, (int)c->S, 1, scores, (int)c->S, c->values + group * c->E, (int)c->kv_stride, 0,
      c->out + first * c->out_stride + head * c->E, (int)c->out_stride);
}

void kernel_attend_all_f32(
    size_t T, size_t S, size_t H, size_t G, size_t E, const float *q, size_t q_stride, const float *keys, const float *values, size_t kv_stride,
    float scale, float *out, size_t out_stride) {
  struct attend_all c = {
      .table = kernel_table_current(), .T = T, .S = S, .H = H, .G = G, .E = E, .q_stride = q_stride, .kv_stride = kv_stride, .out_stride = out_stride,
      .blocks = (T + QUERY_BLOCK - 1) / QUERY_BLOCK, .q = q, .keys = keys, .values = values, .scale = scale, .out = out};
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
