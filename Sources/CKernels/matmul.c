// The f32 product through OpenBLAS, the only file that calls it.
//
// Why panels: OpenBLAS itself runs on one thread here, and our pool hands it panels of a fixed width, so that neither the number of threads nor
// the number of rows changes how one output element is summed. One habit of its AVX-512 core types would still change it, found by experiment
// (LOG.md): a product with rows · outputs <= 1200 takes another kernel ("small matrix"). Such products get rows of zeros, whose results are
// thrown away. Its AVX2 core types sum a row by its place in a group of 12; there a row's numbers depend on its company in the last bits
// (law 2 allows 1e-5 in f32).
#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "table.h"

enum { PANEL = 256, ROWS_PER_TASK = 192, SMALL_MATRIX = 1200 };

struct linear {
  const struct kernel_table *table;  // the calling thread's choice
  size_t T, N, K, panels;
  size_t whole;  // rows that need no padding
  size_t padded;  // rows of the padded tail, 0 when there is none
  const float *x, *w, *bias, *tail;
  const uint16_t *halves;  // the weights, where they are in bf16
  float *out;
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/// Rows a product of `rows` by `width` outputs must have so that its bits don't depend on `rows`.
static size_t padded_rows(size_t rows, size_t width) {
  size_t least = SMALL_MATRIX / width + 1;
  return rows < least && kernels_rows_are_exact() ? least : rows;
}

static void gemm(size_t T, size_t N, size_t K, const float *x, const float *w, float *out, size_t out_stride) {
  cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, (int)T, (int)N, (int)K, 1, x, (int)K, w, (int)K, 0, out, (int)out_stride);
}

// A panel of bf16 weights in f32.
static const float *expanded(const struct linear *c, size_t first_output, size_t width) {
  float *w = pool_scratch(3, width * c->K);
  if (w == NULL) abort();
  kernel_convert_bf16_f32(width * c->K, c->halves + first_output * c->K, w);
  return w;
}

static void run(void *context, size_t index) {
  const struct linear *c = context;
  size_t first_output = index % c->panels * PANEL, first_row = index / c->panels * ROWS_PER_TASK;
  size_t width = smaller(PANEL, c->N - first_output);
  const float *w = c->halves ? expanded(c, first_output, width) : c->w + first_output * c->K;
  float *out = c->out + first_row * c->N + first_output;
  size_t rows;
  if (first_row < c->whole) {
    rows = smaller(ROWS_PER_TASK, c->whole - first_row);
    gemm(rows, width, c->K, c->x + first_row * c->K, w, out, c->N);
  } else {
    rows = c->T - c->whole;
    float *result = pool_scratch(1, c->padded * width);
    if (result == NULL) abort();
    gemm(c->padded, width, c->K, c->tail, w, result, width);
    for (size_t t = 0; t < rows; t++) memcpy(out + t * c->N, result + t * width, width * sizeof(float));
  }
  if (c->bias == NULL) return;
  for (size_t t = 0; t < rows; t++) c->table->add(width, out + t * c->N, c->bias + first_output);
}

static void multiply(struct linear c) {
  size_t T = c.T, N = c.N, K = c.K;
  if (T == 0 || N == 0) return;
  c.table = kernel_table_current();
  c.panels = (N + PANEL - 1) / PANEL;
  // The narrowest panel decides, so that all panels see the same rows.
  size_t width = N % PANEL ? N % PANEL : PANEL, tail = T % ROWS_PER_TASK;
  size_t padded = tail ? padded_rows(tail, width) : 0;
  if (padded == tail) {
    c.whole = T;
  } else {
    c.whole = T - tail;
    c.padded = padded;
    float *rows = pool_scratch(0, padded * K);
    if (rows == NULL) abort();
    memcpy(rows, c.x + c.whole * K, tail * K * sizeof(float));
    memset(rows + tail * K, 0, (padded - tail) * K * sizeof(float));
    c.tail = rows;
  }
  pool_run((T + ROWS_PER_TASK - 1) / ROWS_PER_TASK * c.panels, run, &c);
}

void kernel_linear_f32(size_t T, size_t N, size_t K, const float *x, const float *w, const float *bias, float *out) {
  multiply((struct linear){.T = T, .N = N, .K = K, .x = x, .w = w, .bias = bias, .out = out});
}

void kernel_linear_bf16(size_t T, size_t N, size_t K, const float *x, const uint16_t *w, const float *bias, float *out) {
  multiply((struct linear){.T = T, .N = N, .K = K, .x = x, .halves = w, .bias = bias, .out = out});
}
