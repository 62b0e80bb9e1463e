// What int8.c needs of a table, in sixteen lanes. A file that has better sums defines INT8_SUMS and INT4_SUMS (and how it wants its activations)
// before it includes lanes_table.h; the others get the plain loops here.

// One int4 block as the bytes of eight int8 groups, multiplier · value. Two products of 8 bits, at most 15 · 15, in each 16-bit multiplication.
__attribute__((unused)) static void int4_expand(const uint8_t *block, int8_t *out) {
  typedef uint8_t few __attribute__((vector_size(16)));
  typedef uint8_t bytes __attribute__((vector_size(64)));
  typedef uint16_t pairs __attribute__((vector_size(64)));
  for (size_t half = 0; half < 2; half++) {
    few multipliers;
    memcpy(&multipliers, block + half * 16, sizeof multipliers);
    pairs m = __builtin_convertvector(
        __builtin_shufflevector(
            multipliers, multipliers, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15),
        pairs);
    bytes eight = (bytes)(m * 0x0808);
    const uint8_t *nibbles = block + INT8_PANEL + half * 64;
    int8_t *place = out + half * 64;
    for (size_t pair = 0; pair < INT8_BLOCK_GROUPS / 2; pair++, nibbles += INT8_GROUP_BYTES, place += 2 * INT8_GROUP_BYTES) {
      pairs both, other;
      memcpy(&both, nibbles, sizeof both);
      other = both >> 4;
      bytes first = (bytes)((both & 0x000F) * m + (both & 0x0F00) * m) - eight, second = (bytes)((other & 0x000F) * m + (other & 0x0F00) * m) - eight;
      memcpy(place, &first, sizeof first);
      memcpy(place + INT8_GROUP_BYTES, &second, sizeof second);
    }
  }
}

#ifndef INT8_SUMS
#define STRIP_ROWS 1
#define ACTIVATION_BYTES 1
#define INT8_SUMS int8_sums_lanes
#define INT4_SUMS int4_sums_lanes

// row[n] += Σ x · w over `groups` groups, in 16 bits × 16 bits, since the 8-bit instructions without VNNI saturate.
static void add_groups(size_t groups, const uint8_t *x, const int8_t *w, int32_t *row) {
  for (size_t g = 0; g < groups; g++, x += INT8_GROUP, w += INT8_GROUP_BYTES) {
    int16_t a = x[0], b = x[1], c = x[2], d = x[3];
    for (size_t n = 0; n < INT8_PANEL; n++) row[n] += a * w[4 * n] + b * w[4 * n + 1] + c * w[4 * n + 2] + d * w[4 * n + 3];
  }
}

static void int8_sums_lanes(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  (void)strip;
  memset(sums, 0, panels * rows * INT8_PANEL * sizeof(int32_t));
  for (size_t p = 0; p < panels; p++, panel += panel_bytes)
    for (size_t r = 0; r < rows; r++, sums += INT8_PANEL)
      add_groups(groups, (const uint8_t *)x + r * groups * INT8_GROUP, (const int8_t *)panel, sums);
}

static void int4_sums_lanes(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  (void)strip;
  int8_t bytes[INT8_BLOCK_GROUPS * INT8_GROUP_BYTES];
  memset(sums, 0, panels * rows * INT8_PANEL * sizeof(int32_t));
  for (size_t p = 0; p < panels; p++, panel += panel_bytes, sums += rows * INT8_PANEL)
    for (size_t b = 0; b < groups / INT8_BLOCK_GROUPS; b++) {
      int4_expand(panel + b * INT4_BLOCK_BYTES, bytes);
      for (size_t r = 0; r < rows; r++)
        add_groups(INT8_BLOCK_GROUPS, (const uint8_t *)x + r * groups * INT8_GROUP + b * INT8_BLOCK, bytes, sums + r * INT8_PANEL);
    }
}
#endif

// The value nearest to v steps.
INLINE lanes value4(lanes v) { return lanes_min(lanes_max(__builtin_elementwise_rint(v), lanes_all(-8)), lanes_all(7)); }

static int quantise4(const float *w, float unit, int8_t *values) {
  lanes a = lanes_load(w), b = lanes_load(w + LANES);
  int best = 1;
  float least = INFINITY;
  for (int m = 1; unit > 0 && m <= INT4_MULTIPLIER_MAXIMUM; m++) {
    lanes step = lanes_all(unit * (float)m), inverse = lanes_all(1 / (unit * (float)m));
    lanes c = a - value4(a * inverse) * step, d = b - value4(b * inverse) * step;
    float error = lanes_sum(lanes_fma(c, c, d * d));
    if (error < least) {
      least = error;
      best = m;
    }
  }
  lanes inverse = lanes_all(unit > 0 ? 1 / (unit * (float)best) : 0);
  typedef int8_t bytes __attribute__((vector_size(LANES)));
  bytes first = __builtin_convertvector(value4(a * inverse), bytes), second = __builtin_convertvector(value4(b * inverse), bytes);
  memcpy(values, &first, LANES);
  memcpy(values + LANES, &second, LANES);
  return best;
}

// Outputs of rows of one panel; `then`, `whole` (32 outputs, or 16 pairs) and `has_bias` are constants, so that nothing is asked row by row.
INLINE void finish_rows(const struct int8_finish *c, enum kernel_then then, bool whole, bool has_bias) {
  ilanes correction[2];
  lanes scales[2], bias[2] = {lanes_all(0), lanes_all(0)};
  size_t parts = then == KERNEL_GEGLU ? 1 : 2;
  for (size_t j = 0; j < 2; j++) {
    memcpy(&correction[j], c->weight_sums + j * LANES, sizeof correction[j]);
    correction[j] *= INT8_OFFSET;
    scales[j] = lanes_load(c->scales + j * LANES);
    size_t left = c->width > j * LANES ? c->width - j * LANES : 0;
    if (has_bias) bias[j] = whole && then != KERNEL_GEGLU ? lanes_load(c->bias + j * LANES) : lanes_load_tail(c->bias + j * LANES, left < LANES ? left : LANES, 0);
  }
  size_t rows = c->rows, width = c->width, stride = c->out_stride;
  bool past_caches = c->past_caches;
  const int32_t *sums = c->sums;
  const float *row_scales = c->row_scales;
  float *out = c->out;
  for (size_t r = 0; r < rows; r++, sums += INT8_PANEL, out += stride) {
    lanes row_scale = lanes_all(row_scales[r]), v[2];
    for (size_t j = 0; j < 2; j++) {
      ilanes sum;
      memcpy(&sum, sums + j * LANES, sizeof sum);
      v[j] = __builtin_convertvector(sum - correction[j], lanes) * (row_scale * scales[j]) + bias[j];
    }
    if (then == KERNEL_GEGLU) v[0] = lanes_gelu(v[0]) * v[1];
    for (size_t j = 0; j < parts && (whole || j * LANES < width); j++) {
      size_t left = whole ? LANES : width - j * LANES;
      float *place = out + j * LANES;
      if (then == KERNEL_GELU) v[j] = lanes_gelu(v[j]);
      if (then == KERNEL_ADD) v[j] = (left >= LANES ? lanes_load(place) : lanes_load_tail(place, left, 0)) + v[j];
      if (left >= LANES && past_caches) lanes_stream(place, v[j]);
      else if (left >= LANES) lanes_store(place, v[j]);
      else lanes_store_tail(place, v[j], left);
    }
  }
}

static void finish(const struct int8_finish *c) {
  bool whole = c->width == (c->then == KERNEL_GEGLU ? LANES : 2 * LANES), has_bias = c->bias != NULL;
#define FINISH(then)                                               \
  case then:                                                       \
    if (whole && has_bias) finish_rows(c, then, true, true);       \
    else if (whole) finish_rows(c, then, true, false);             \
    else if (has_bias) finish_rows(c, then, false, true);          \
    else finish_rows(c, then, false, false);                       \
    break;
  switch (c->then) { FINISH(KERNEL_STORE) FINISH(KERNEL_ADD) FINISH(KERNEL_GELU) FINISH(KERNEL_GEGLU) }
#undef FINISH
}
