// The operations of table.h in sixteen lanes. Included by one file per instruction set, which sets the target and names the table.
#include "int8.h"
#include "lanes.h"
#include "table.h"

// Runs `body` for each full vector at i, then once more for the tail with `count` < 16 floats left.
#define FOR_LANES(total) for (size_t i = 0; i + LANES <= (total); i += LANES)
#define TAIL(total) size_t i = (total) & ~(size_t)(LANES - 1), count = (total) - i

static float sum_of_squares(size_t D, const float *x, float shift) {
  lanes sum = lanes_all(0), by = lanes_all(shift);
  FOR_LANES(D) {
    lanes v = lanes_load(x + i) - by;
    sum = lanes_fma(v, v, sum);
  }
  TAIL(D);
  if (count) {
    lanes v = lanes_load_tail(x + i, count, shift) - by;
    sum = lanes_fma(v, v, sum);
  }
  return lanes_sum(sum);
}

static float sum_of(size_t D, const float *x) {
  lanes sum = lanes_all(0);
  FOR_LANES(D) sum += lanes_load(x + i);
  TAIL(D);
  if (count) sum += lanes_load_tail(x + i, count, 0);
  return lanes_sum(sum);
}

static void rmsnorm(size_t T, size_t D, const float *x, const float *w, float epsilon, float *out) {
  for (size_t t = 0; t < T; t++, x += D, out += D) {
    float factor = 1 / sqrtf(sum_of_squares(D, x, 0) / (float)D + epsilon);
    lanes f = lanes_all(factor), one = lanes_all(1);
    FOR_LANES(D) lanes_store(out + i, lanes_load(x + i) * f * (one + lanes_load(w + i)));
    TAIL(D);
    if (count) lanes_store_tail(out + i, lanes_load_tail(x + i, count, 0) * f * (one + lanes_load_tail(w + i, count, 0)), count);
  }
}

static void layernorm(size_t T, size_t D, const float *x, const float *w, const float *b, float epsilon, float *out) {
  for (size_t t = 0; t < T; t++, x += D, out += D) {
    float mean = sum_of(D, x) / (float)D;
    float factor = 1 / sqrtf(sum_of_squares(D, x, mean) / (float)D + epsilon);
    lanes m = lanes_all(mean), f = lanes_all(factor);
    FOR_LANES(D) lanes_store(out + i, lanes_fma((lanes_load(x + i) - m) * f, lanes_load(w + i), lanes_load(b + i)));
    TAIL(D);
    if (count) {
      lanes v = (lanes_load_tail(x + i, count, 0) - m) * f;
      lanes_store_tail(out + i, lanes_fma(v, lanes_load_tail(w + i, count, 0), lanes_load_tail(b + i, count, 0)), count);
    }
  }
}

static void gelu(size_t total, float *x) {
  FOR_LANES(total) lanes_store(x + i, lanes_gelu(lanes_load(x + i)));
  TAIL(total);
  if (count) lanes_store_tail(x + i, lanes_gelu(lanes_load_tail(x + i, count, 0)), count);
}

static void geglu(size_t T, size_t F, const float *gate_up, float *out) {
  for (size_t t = 0; t < T; t++, gate_up += 2 * F, out += F) {
    const float *up = gate_up + F;
    FOR_LANES(F) lanes_store(out + i, lanes_gelu(lanes_load(gate_up + i)) * lanes_load(up + i));
    TAIL(F);
    if (count) lanes_store_tail(out + i, lanes_gelu(lanes_load_tail(gate_up + i, count, 0)) * lanes_load_tail(up + i, count, 0), count);
  }
}

static void add(size_t total, float *x, const float *y) {
  for (size_t i = 0; i < total; i++) x[i] += y[i];
}

static void scale(size_t total, const float *x, float factor, float *out) {
  for (size_t i = 0; i < total; i++) out[i] = x[i] * factor;
}

static float largest_of(size_t S, const float *x) {
  lanes largest = lanes_all(-INFINITY);
  FOR_LANES(S) largest = lanes_max(largest, lanes_load(x + i));
  TAIL(S);
  if (count) largest = lanes_max(largest, lanes_load_tail(x + i, count, -INFINITY));
  return lanes_largest(largest);
}

static void exponentials(size_t T, size_t S, float *x, size_t stride, float *inverse) {
  for (size_t t = 0; t < T; t++, x += stride) {
    lanes m = lanes_all(largest_of(S, x)), sum = lanes_all(0);
    FOR_LANES(S) {
      lanes e = lanes_exp(lanes_load(x + i) - m);
      lanes_store(x + i, e);
      sum += e;
    }
    TAIL(S);
    if (count) {
      lanes e = lanes_exp(lanes_load_tail(x + i, count, 0) - m);
      lanes_store_tail(x + i, e, count);
      sum += lanes_load_tail(x + i, count, 0);
    }
    inverse[t] = 1 / lanes_sum(sum);
  }
}

static void softmax(size_t T, size_t S, float *x) {
  for (size_t t = 0; t < T; t++, x += S) {
    float inverse;
    exponentials(1, S, x, S, &inverse);
    scale(S, x, inverse, x);
  }
}

// Rows of a tile: 24 sums of 32 zmm, or 12 of 16 ymm.
#ifdef LANES_ARE_ZMM
#define PRODUCT_ROWS 12
#else
#define PRODUCT_ROWS 3
#endif

// `rows` and `parts` (registers of columns) are constants.
INLINE void product_tile(
    size_t rows, size_t parts, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out,
    size_t out_stride) {
  lanes sum[PRODUCT_ROWS][2];
  for (size_t r = 0; r < rows; r++) sum[r][0] = sum[r][1] = lanes_all(0);
  for (size_t d = 0; d < depth; d++, panel += PANEL_WIDTH) {
    lanes column[2];
    for (size_t j = 0; j < parts; j++) column[j] = lanes_load(panel + j * LANES);
    for (size_t r = 0; r < rows; r++) {
      lanes v = lanes_all(a[r * a_stride + d]);
      for (size_t j = 0; j < parts; j++) sum[r][j] = lanes_fma(v, column[j], sum[r][j]);
    }
  }
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < parts; j++) {
      size_t left = width - j * LANES;
      lanes v = sum[r][j] * lanes_all(factors[r]);
      if (left >= LANES) lanes_store(out + r * out_stride + j * LANES, v);
      else lanes_store_tail(out + r * out_stride + j * LANES, v, left);
    }
}

static void product(
    size_t rows, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out, size_t out_stride) {
  size_t strips = (rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
  for (size_t strip = 0; strip < strips; strip++) {
    size_t first = strip * rows / strips, height = (strip + 1) * rows / strips - first;
#define HEIGHT(n)                                                                                                                    \
  case n:                                                                                                                            \
    if (width > LANES) product_tile(n, 2, depth, a + first * a_stride, a_stride, panel, width, factors + first, out + first * out_stride, out_stride); \
    else product_tile(n, 1, depth, a + first * a_stride, a_stride, panel, width, factors + first, out + first * out_stride, out_stride); \
    break;
    switch (height) {
      HEIGHT(1) HEIGHT(2) HEIGHT(3)
#if PRODUCT_ROWS == 12
      HEIGHT(4) HEIGHT(5) HEIGHT(6) HEIGHT(7) HEIGHT(8) HEIGHT(9) HEIGHT(10) HEIGHT(11) HEIGHT(12)
#endif
    }
#undef HEIGHT
  }
}

// Heads that share the loads of a key or a value: eight registers of sums in AVX2.
#define HEADS 4

// out[h · stride] = q_h · key · factor, for `heads` (a constant) heads.
INLINE void dots(size_t heads, size_t E, const float *q, const float *key, float factor, float *out, size_t stride) {
  lanes sum[HEADS];
  for (size_t h = 0; h < heads; h++) sum[h] = lanes_all(0);
  FOR_LANES(E) {
    lanes k = lanes_load(key + i);
    for (size_t h = 0; h < heads; h++) sum[h] = lanes_fma(lanes_load(q + h * E + i), k, sum[h]);
  }
  TAIL(E);
  for (size_t h = 0; count && h < heads; h++)
    sum[h] = lanes_fma(lanes_load_tail(q + h * E + i, count, 0), lanes_load_tail(key + i, count, 0), sum[h]);
  for (size_t h = 0; h < heads; h++) out[h * stride] = lanes_sum(sum[h]) * factor;
}

// out_h = Σ_s scores[h, s] · v_s, for `heads` (a constant) heads; sums stay in registers over all positions.
INLINE void mix(size_t heads, size_t S, size_t E, const float *scores, const float *values, size_t kv_stride, float *out) {
  for (size_t i = 0; i < E; i += LANES) {
    size_t count = E - i < LANES ? E - i : LANES;
    lanes sum[HEADS];
    for (size_t h = 0; h < heads; h++) sum[h] = lanes_all(0);
    for (size_t s = 0; s < S; s++) {
      lanes v = count == LANES ? lanes_load(values + s * kv_stride + i) : lanes_load_tail(values + s * kv_stride + i, count, 0);
      for (size_t h = 0; h < heads; h++) sum[h] = lanes_fma(lanes_all(scores[h * S + s]), v, sum[h]);
    }
    for (size_t h = 0; h < heads; h++) lanes_store_tail(out + h * E + i, sum[h], count);
  }
}

static void attend_row(
    size_t S, size_t heads, size_t E, const float *q, const float *keys, const float *values, size_t kv_stride, float factor, float *scores, float *out) {
  // The cache is read once for four heads, not once per head.
  size_t whole = heads - heads % HEADS;
  for (size_t s = 0; s < S; s++) {
    const float *key = keys + s * kv_stride;
    for (size_t h = 0; h < whole; h += HEADS) dots(HEADS, E, q + h * E, key, factor, scores + h * S + s, S);
    for (size_t h = whole; h < heads; h++) dots(1, E, q + h * E, key, factor, scores + h * S + s, S);
  }
  softmax(heads, S, scores);
  for (size_t h = 0; h < whole; h += HEADS) mix(HEADS, S, E, scores + h * S, values, kv_stride, out + h * E);
  for (size_t h = whole; h < heads; h++) mix(1, S, E, scores + h * S, values, kv_stride, out + h * E);
}

static double logsumexp(size_t total, const float *x) {
  float largest = largest_of(total, x);
  lanes m = lanes_all(largest);
  double sum = 0;
  FOR_LANES(total) sum += (double)lanes_sum(lanes_exp(lanes_load(x + i) - m));
  TAIL(total);
  for (size_t k = 0; k < count; k++) sum += exp((double)(x[i + k] - largest));
  return (double)largest + log(sum);
}

// The largest |x|; in any order, since a maximum is the same in all of them.
static float largest_size(size_t total, const float *x) {
  lanes most[4] = {lanes_all(0), lanes_all(0), lanes_all(0), lanes_all(0)};
  size_t i = 0;
  for (; i + 4 * LANES <= total; i += 4 * LANES)
    for (size_t j = 0; j < 4; j++) most[j] = lanes_max(most[j], __builtin_elementwise_abs(lanes_load(x + i + j * LANES)));
  for (; i < total; i += LANES) {
    lanes v = total - i < LANES ? lanes_load_tail(x + i, total - i, 0) : lanes_load(x + i);
    most[0] = lanes_max(most[0], __builtin_elementwise_abs(v));
  }
  return lanes_largest(lanes_max(lanes_max(most[0], most[1]), lanes_max(most[2], most[3])));
}

typedef uint8_t lane_bytes __attribute__((vector_size(LANES)));

INLINE lane_bytes quantised(lanes x, lanes factor) {
  return __builtin_convertvector(__builtin_convertvector(__builtin_elementwise_rint(x * factor) + lanes_all(INT8_OFFSET), ilanes), lane_bytes);
}

static float quantise(size_t total, const float *x, uint8_t *out, size_t stride) {
  float largest = largest_size(total, x);
  lanes factor = lanes_all(largest > 0 ? 127 / largest : 0);
  size_t i = 0;
  for (; i + INT8_BLOCK <= total; i += INT8_BLOCK, out += stride) {
    lane_bytes first = quantised(lanes_load(x + i), factor), second = quantised(lanes_load(x + i + LANES), factor);
    memcpy(out, &first, LANES);
    memcpy(out + LANES, &second, LANES);
  }
  for (; i < total; i += LANES, out += LANES) {
    size_t left = total - i < LANES ? total - i : LANES;
    lane_bytes q = quantised(lanes_load_tail(x + i, left, 0), factor);
    memcpy(out, &q, left);
  }
  return largest / 127;
}

#include "int8_lanes.h"

#define LANES_TABLE(name, text)                                                                                                        \
  const struct kernel_table name = {                                                                                                   \
      .isa = text, .rmsnorm = rmsnorm, .layernorm = layernorm, .gelu = gelu, .geglu = geglu, .add = add, .scale = scale,               \
      .softmax = softmax, .exponentials = exponentials, .product = product, .attend_row = attend_row, .logsumexp = logsumexp, .quantise = quantise,                           \
      .strip_rows = STRIP_ROWS, .activation_bytes = ACTIVATION_BYTES, .int8_sums = INT8_SUMS, .int4_sums = INT4_SUMS,                 \
      .finish = finish, .quantise4 = quantise4,                                                                                                              \
  }
