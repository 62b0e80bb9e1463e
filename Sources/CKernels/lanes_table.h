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

// A tile's rows and registers of columns: 24 sums of 32 zmm, or 12 of 16 ymm.
#ifdef LANES_ARE_ZMM
enum { PRODUCT_ROWS = 12, PRODUCT_PARTS = 2 };
#else
enum { PRODUCT_ROWS = 6, PRODUCT_PARTS = 1 };
#endif

// `rows` and `parts` (registers of columns) are constants.
INLINE void product_tile(
    size_t rows, size_t parts, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out,
    size_t out_stride) {
  lanes sum[PRODUCT_ROWS][PRODUCT_PARTS];
  for (size_t r = 0; r < rows; r++)
    for (size_t j = 0; j < parts; j++) sum[r][j] = lanes_all(0);
  for (size_t d = 0; d < depth; d++, panel += PANEL_WIDTH) {
    lanes column[PRODUCT_PARTS];
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

// Rows of one tile times `width` columns, at most PRODUCT_PARTS registers of them.
static void product_rows(
    size_t rows, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out, size_t out_stride) {
#define HEIGHT(n)                                                                                                        \
  case n:                                                                                                                \
    if (width > LANES) product_tile(n, PRODUCT_PARTS, depth, a, a_stride, panel, width, factors, out, out_stride);       \
    else product_tile(n, 1, depth, a, a_stride, panel, width, factors, out, out_stride);                                 \
    break;
  switch (rows) {
    HEIGHT(1) HEIGHT(2) HEIGHT(3) HEIGHT(4) HEIGHT(5) HEIGHT(6)
#ifdef LANES_ARE_ZMM
    HEIGHT(7) HEIGHT(8) HEIGHT(9) HEIGHT(10) HEIGHT(11) HEIGHT(12)
#endif
  }
#undef HEIGHT
}

static void product(
    size_t rows, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out, size_t out_stride) {
  size_t strips = (rows + PRODUCT_ROWS - 1) / PRODUCT_ROWS;
  for (size_t first = 0; first < width; first += PRODUCT_PARTS * LANES)
    for (size_t strip = 0; strip < strips; strip++) {
      size_t row = strip * rows / strips, height = (strip + 1) * rows / strips - row, left = width - first;
      product_rows(
          height, depth, a + row * a_stride, a_stride, panel + first, left < PRODUCT_PARTS * LANES ? left : PRODUCT_PARTS * LANES, factors + row,
          out + row * out_stride + first, out_stride);
    }
}

// Heads that share the loads of a key or a value, positions whose dot products are reduced together, and registers of a value's width taken at a
// time: sixteen sums in zmm, four (eight registers) in ymm.
#ifdef LANES_ARE_ZMM
enum { HEADS = 4, POSITIONS = 4, PARTS = 4, KEYS_AHEAD = 8 };
#else
enum { HEADS = 4, POSITIONS = 1, PARTS = 1, KEYS_AHEAD = 8 };
#endif

// One level of sixteen lanes_sum at once: a's and b's parts of 2 · half lanes to parts of `half`, each the sum of its two halves.
#define FOLD(a, b, ...) (__builtin_shufflevector(a, b, __VA_ARGS__))
INLINE lanes fold8(lanes a, lanes b) {
  return FOLD(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) + FOLD(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
INLINE lanes fold4(lanes a, lanes b) {
  return FOLD(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) + FOLD(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
INLINE lanes fold2(lanes a, lanes b) {
  return FOLD(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) + FOLD(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}
INLINE lanes fold1(lanes a, lanes b) {
  return FOLD(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) + FOLD(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
// lanes_sum of each, with the same additions.
INLINE lanes lanes_sums(const lanes v[16]) {
  lanes a[8], b[4], c[2];
  for (int i = 0; i < 8; i++) a[i] = fold8(v[2 * i], v[2 * i + 1]);
  for (int i = 0; i < 4; i++) b[i] = fold4(a[2 * i], a[2 * i + 1]);
  for (int i = 0; i < 2; i++) c[i] = fold2(b[2 * i], b[2 * i + 1]);
  return fold1(c[0], c[1]);
}

// out[h · stride + s] = q_h · key_s · factor, for `heads` heads and `positions` keys, both constants. As many rows at `ahead` are asked for.
INLINE void dots(
    size_t heads, size_t positions, size_t E, const float *q, const float *keys, size_t kv_stride, const float *ahead, float factor, float *out,
    size_t stride) {
  lanes sum[HEADS * POSITIONS];
  for (size_t i = 0; i < heads * positions; i++) sum[i] = lanes_all(0);
  for (size_t i = 0; i < E; i += LANES) {
    size_t count = E - i < LANES ? E - i : LANES;
    lanes k[POSITIONS];
    for (size_t s = 0; s < positions; s++) __builtin_prefetch(ahead + s * kv_stride + i);
    for (size_t s = 0; s < positions; s++) k[s] = count == LANES ? lanes_load(keys + s * kv_stride + i) : lanes_load_tail(keys + s * kv_stride + i, count, 0);
    for (size_t h = 0; h < heads; h++) {
      lanes v = count == LANES ? lanes_load(q + h * E + i) : lanes_load_tail(q + h * E + i, count, 0);
      for (size_t s = 0; s < positions; s++) sum[h * positions + s] = lanes_fma(v, k[s], sum[h * positions + s]);
    }
  }
  if (heads * positions == LANES) {
    lanes all = lanes_sums(sum) * lanes_all(factor);
    for (size_t h = 0; h < heads; h++) memcpy(out + h * stride, (float *)&all + h * positions, positions * sizeof(float));
    return;
  }
  for (size_t h = 0; h < heads; h++)
    for (size_t s = 0; s < positions; s++) out[h * stride + s] = lanes_sum(sum[h * positions + s]) * factor;
}

// out_h = Σ_s scores[h, s] · v_s over `parts` registers of the width, for `heads` heads, both constants; sums stay in registers over all positions.
INLINE void mix(size_t heads, size_t parts, size_t S, size_t E, const float *scores, const float *values, size_t kv_stride, size_t count, float *out) {
  lanes sum[HEADS][PARTS];
  for (size_t h = 0; h < heads; h++)
    for (size_t j = 0; j < parts; j++) sum[h][j] = lanes_all(0);
  for (size_t s = 0; s < S; s++) {
    lanes v[PARTS];
    for (size_t j = 0; j < parts; j++)
      v[j] = count == LANES ? lanes_load(values + s * kv_stride + j * LANES) : lanes_load_tail(values + s * kv_stride + j * LANES, count, 0);
    for (size_t h = 0; h < heads; h++) {
      lanes weight = lanes_all(scores[h * S + s]);
      for (size_t j = 0; j < parts; j++) sum[h][j] = lanes_fma(weight, v[j], sum[h][j]);
    }
  }
  for (size_t h = 0; h < heads; h++)
    for (size_t j = 0; j < parts; j++) lanes_store_tail(out + h * E + j * LANES, sum[h][j], count);
}

INLINE void mix_width(size_t heads, size_t S, size_t E, const float *scores, const float *values, size_t kv_stride, float *out) {
  size_t i = 0;
  for (; i + PARTS * LANES <= E; i += PARTS * LANES) mix(heads, PARTS, S, E, scores, values + i, kv_stride, LANES, out + i);
  for (; i < E; i += LANES) mix(heads, 1, S, E, scores, values + i, kv_stride, E - i < LANES ? E - i : LANES, out + i);
}

static void attend_row(
    size_t S, size_t heads, size_t E, const float *q, const float *keys, const float *values, size_t kv_stride, float factor, float *scores, float *out) {
  // The cache is read once for four heads, not once per head; values come while keys are multiplied.
  size_t whole = heads - heads % HEADS, s = 0;
  for (; s + POSITIONS <= S; s += POSITIONS) {
    const float *key = keys + s * kv_stride, *value = values + s * kv_stride, *later = key + KEYS_AHEAD * kv_stride;
    for (size_t h = 0; h < whole; h += HEADS) dots(HEADS, POSITIONS, E, q + h * E, key, kv_stride, h == 0 ? value : later, factor, scores + h * S + s, S);
    for (size_t h = whole; h < heads; h++) dots(1, POSITIONS, E, q + h * E, key, kv_stride, h == 0 ? value : later, factor, scores + h * S + s, S);
  }
  for (; s < S; s++)
    for (size_t h = 0; h < heads; h++) dots(1, 1, E, q + h * E, keys + s * kv_stride, kv_stride, values + s * kv_stride, factor, scores + h * S + s, S);
  softmax(heads, S, scores);
  for (size_t h = 0; h < whole; h += HEADS) mix_width(HEADS, S, E, scores + h * S, values, kv_stride, out + h * E);
  for (size_t h = whole; h < heads; h++) mix_width(1, S, E, scores + h * S, values, kv_stride, out + h * E);
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
