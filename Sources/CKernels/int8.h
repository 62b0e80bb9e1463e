// The form of quantised weights and activations, shared by the tables, int8.c and int4.c.
//
// Weights stand in panels of 32 outputs. In int8 a panel is a chain of groups, each 32 outputs × 4 inputs (128 bytes). In int4 it is a chain of
// blocks of 32 inputs: 32 multipliers (a byte per output, 1...15), then 512 bytes of nibbles (value + 8); byte i of group pair j holds byte i
// of group 2j in its low half and of group 2j + 1 in its high half. An int4 weight *is* the int8 weight multiplier · value, at most 120 in size.
//
// Activations are q + 128 as unsigned bytes (or 16 bits wide, where that is faster), in strips of some rows: block by block, row by row, 32 inputs.
#ifndef PALISADE_INT8_H
#define PALISADE_INT8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/kernels.h"

enum {
  INT8_PANEL = 32,  // outputs side by side: two zmm registers of 16 sums, or four ymm
  INT8_GROUP = 4,   // inputs that one vpdpbusd multiplies and adds
  INT8_GROUP_BYTES = INT8_PANEL * INT8_GROUP,
  INT8_BLOCK = 32,  // inputs are filled up with zeros to whole blocks; in int4 a block has one multiplier per output
  INT8_BLOCK_GROUPS = INT8_BLOCK / INT8_GROUP,
  INT8_OFFSET = 128,      // what is added to activations to make them unsigned
  INT8_STRIP_MAXIMUM = 12,  // rows of the tallest tile of any table
  INT4_BLOCK_BYTES = INT8_PANEL + INT8_PANEL * INT8_BLOCK / 2,
  INT4_MULTIPLIER_MAXIMUM = 15,
};

static inline size_t int8_blocks(size_t K) { return (K + INT8_BLOCK - 1) / INT8_BLOCK; }
static inline size_t int8_groups(size_t K) { return int8_blocks(K) * INT8_BLOCK_GROUPS; }
static inline size_t int8_panels(size_t N) { return (N + INT8_PANEL - 1) / INT8_PANEL; }
/// Bytes of one panel.
static inline size_t int8_panel_bytes(size_t K) { return int8_groups(K) * INT8_GROUP_BYTES; }
static inline size_t int4_panel_bytes(size_t K) { return int8_blocks(K) * INT4_BLOCK_BYTES; }

/// sums[p][r][n] = Σ_k x[r, k] · w[p · 32 + n, k] for `rows` rows and `panels` panels, panel_bytes apart; exact 32-bit integers. The rows stand in
/// strips of `strip`, the last one of what is left.
typedef void int8_sums(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums);

/// From sums to outputs, for `rows` rows of one panel: v = (sum − 128 Σw) · (scale of row · scale of output) + bias, then what `then` says.
struct int8_finish {
  size_t rows, width;  // width: outputs of this panel that exist; for KERNEL_GEGLU at most 16, gates before ups
  const int32_t *sums;  // [rows, 32]
  const float *row_scales, *scales, *bias;
  const int32_t *weight_sums;
  enum kernel_then then;
  float *out;
  size_t out_stride;
  bool past_caches;  // whether outputs may go past the caches; rows are at multiples of 64 bytes then
};

// AVX2's products, which the AVX-512 table without VNNI takes too (int8_avx2.c). Activations are 16 bits wide, strips have 6 rows.
int8_sums int8_sums_avx2, int4_sums_avx2;
#endif
