// What int8.c needs of a table, in sixteen lanes. A file that has better sums defines INT8_SUMS and INT4_SUMS (and how it wants its activations)
// before it includes lanes_table.h; the others get the plain loops here.

// One int4 block as the bytes of eight int8 groups: multiplier · value.
__attribute__((unused)) static void int4_expand(const uint8_t *block, int8_t *out) {
  int8_t multipliers[INT8_GROUP_BYTES];
  for (size_t i = 0; i < INT8_GROUP_BYTES; i++) multipliers[i] = (int8_t)block[i / INT8_GROUP];
  const uint8_t *nibbles = block + INT8_PANEL;
  for (size_t pair = 0; pair < INT8_BLOCK_GROUPS / 2; pair++, nibbles += INT8_GROUP_BYTES, out += 2 * INT8_GROUP_BYTES)
    for (size_t i = 0; i < INT8_GROUP_BYTES; i++) {
      out[i] = (int8_t)(multipliers[i] * ((nibbles[i] & 15) - 8));
      out[INT8_GROUP_BYTES + i] = (int8_t)(multipliers[i] * ((nibbles[i] >> 4) - 8));
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
    size_t rows, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  memset(sums, 0, panels * rows * INT8_PANEL * sizeof(int32_t));
  for (size_t p = 0; p < panels; p++, panel += panel_bytes)
    for (size_t r = 0; r < rows; r++, sums += INT8_PANEL)
      add_groups(groups, (const uint8_t *)x + r * groups * INT8_GROUP, (const int8_t *)panel, sums);
}

static void int4_sums_lanes(
    size_t rows, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
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

// Sixteen outputs of one row, before `then`.
INLINE lanes finish_lanes(const struct int8_finish *c, const int32_t *sums, lanes row_scale, size_t n) {
  ilanes sum, weight_sums;
  memcpy(&sum, sums + n, sizeof sum);
  memcpy(&weight_sums, c->weight_sums + n, sizeof weight_sums);
  lanes v = __builtin_convertvector(sum - weight_sums * INT8_OFFSET, lanes) * (row_scale * lanes_load(c->scales + n));
  size_t left = c->width > n ? c->width - n : 0;
  lanes bias = c->bias == NULL ? lanes_all(0) : left >= LANES ? lanes_load(c->bias + n) : lanes_load_tail(c->bias + n, left, 0);
  return v + bias;
}

static void finish(const struct int8_finish *c) {
  for (size_t r = 0; r < c->rows; r++) {
    lanes row_scale = lanes_all(c->row_scales[r]), v[2];
    float *out = c->out + r * c->out_stride;
    for (size_t j = 0; j < 2; j++) v[j] = finish_lanes(c, c->sums + r * INT8_PANEL, row_scale, j * LANES);
    size_t parts = c->then == KERNEL_GEGLU ? 1 : 2;
    if (c->then == KERNEL_GEGLU) v[0] = lanes_gelu(v[0]) * v[1];
    for (size_t j = 0; j < parts && j * LANES < c->width; j++) {
      size_t left = c->width - j * LANES;
      float *place = out + j * LANES;
      if (c->then == KERNEL_GELU) v[j] = lanes_gelu(v[j]);
      if (c->then == KERNEL_ADD) v[j] = (left >= LANES ? lanes_load(place) : lanes_load_tail(place, left, 0)) + v[j];
      if (left >= LANES) lanes_store(place, v[j]);
      else lanes_store_tail(place, v[j], left);
    }
  }
}
