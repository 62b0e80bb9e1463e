// The operations that exist once per instruction set. Each works on the calling thread; rows.c and attention.c share them out.
#ifndef PALISADE_TABLE_H
#define PALISADE_TABLE_H

#include "include/kernels.h"
#include "int8.h"

enum { PANEL_WIDTH = 32 };  // columns of a panel of f32: two zmm registers

struct kernel_table {
  const char *isa;
  void (*rmsnorm)(size_t T, size_t D, const float *x, const float *w, float epsilon, float *out);
  void (*layernorm)(size_t T, size_t D, const float *x, const float *w, const float *b, float epsilon, float *out);
  void (*gelu)(size_t count, float *x);
  void (*geglu)(size_t T, size_t F, const float *gate_up, float *out);
  void (*add)(size_t count, float *x, const float *y);
  void (*scale)(size_t count, const float *x, float factor, float *out);
  void (*softmax)(size_t T, size_t S, float *x);
  // x = exp(x − max x) over the first S of each row of x, rows `stride` apart; inverse[t] = 1 / their sum.
  void (*exponentials)(size_t T, size_t S, float *x, size_t stride, float *inverse);
  // out[t, 0..<width] = factors[t] · Σ_d a[t, d] · panel[d, 0..<width]: one chain of multiply-adds each, so the same bits for any number of rows.
  // A panel has PANEL_WIDTH columns; width is at most that.
  void (*product)(
      size_t rows, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out, size_t out_stride);
  // One row, one group of `heads` query heads that share the key/value head at `keys`; scores has room for heads × S.
  void (*attend_row)(
      size_t S, size_t heads, size_t E, const float *q, const float *keys, const float *values, size_t kv_stride, float scale, float *scores, float *out);
  double (*logsumexp)(size_t count, const float *x);
  // q_i = round(127 x_i / max |x|) + 128, each 32 of them `stride` bytes behind those before; returns max |x| / 127.
  float (*quantise)(size_t count, const float *x, uint8_t *out, size_t stride);
  // 32 weights to −8...7 of the multiplier in 1...15 (returned) whose steps of multiplier · unit leave the least squared error.
  int (*quantise4)(const float *w, float unit, int8_t *values);
  // The integer products, all that an instruction for them has to bring (AMX: dispatch.c says how).
  // How int8 activations are laid out for int8_sums: rows of the highest strip, and bytes of one activation (int8.h). int4_sums takes bytes.
  size_t strip_rows, activation_bytes;
  int8_sums *int8_sums, *int4_sums;
  void (*finish)(const struct int8_finish *c);
};

extern const struct kernel_table kernel_table_scalar;    // the specification
extern const struct kernel_table kernel_table_portable;  // 16 lanes, whatever the compiler makes of them
#if defined(__x86_64__)
extern const struct kernel_table kernel_table_avx2;
extern const struct kernel_table kernel_table_avx512;
extern const struct kernel_table kernel_table_avxvnni;
extern const struct kernel_table kernel_table_avx512vnni;
#endif

/// AVX-512 F/BW/DQ/VL, and AVX2 with FMA: what the tables need, and what OpenBLAS's core types do.
bool cpu_has_avx512(void);
bool cpu_has_avx2(void);

/// The table in use; chosen at the first call.
const struct kernel_table *kernel_table_current(void);

#endif
