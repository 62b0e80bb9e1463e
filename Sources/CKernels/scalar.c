// The specification: each operation as its formula says, in double, for reading. Every other table is tested against this one.
#include <math.h>

#include "int8.h"
#include "table.h"

// out_i = x_i / sqrt(mean(x²) + ε) · (1 + w_i)
static void rmsnorm(size_t T, size_t D, const float *x, const float *w, float epsilon, float *out) {
  for (size_t t = 0; t < T; t++, x += D, out += D) {
    double sum = 0;
    for (size_t i = 0; i < D; i++) sum += (double)x[i] * x[i];
    double factor = 1 / sqrt(sum / (double)D + epsilon);
    for (size_t i = 0; i < D; i++) out[i] = (float)(x[i] * factor * (1 + (double)w[i]));
  }
}

// out_i = (x_i − μ) / sqrt(σ² + ε) · w_i + b_i
static void layernorm(size_t T, size_t D, const float *x, const float *w, const float *b, float epsilon, float *out) {
  for (size_t t = 0; t < T; t++, x += D, out += D) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < D; i++) mean += x[i];
    mean /= (double)D;
    for (size_t i = 0; i < D; i++) variance += (x[i] - mean) * (x[i] - mean);
    double factor = 1 / sqrt(variance / (double)D + epsilon);
    for (size_t i = 0; i < D; i++) out[i] = (float)((x[i] - mean) * factor * w[i] + b[i]);
  }
}

// gelu(x) = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))
static double gelu_of(double x) { return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

static void gelu(size_t count, float *x) {
  for (size_t i = 0; i < count; i++) x[i] = (float)gelu_of(x[i]);
}

static void geglu(size_t T, size_t F, const float *gate_up, float *out) {
  for (size_t t = 0; t < T; t++, gate_up += 2 * F, out += F)
    for (size_t i = 0; i < F; i++) out[i] = (float)(gelu_of(gate_up[i]) * gate_up[F + i]);
}

static void add(size_t count, float *x, const float *y) {
  for (size_t i = 0; i < count; i++) x[i] += y[i];
}

static void scale(size_t count, const float *x, float factor, float *out) {
  for (size_t i = 0; i < count; i++) out[i] = x[i] * factor;
}

// softmax(x)_i = exp(x_i − max) / Σ exp(x_j − max)
static void softmax(size_t T, size_t S, float *x) {
  for (size_t t = 0; t < T; t++, x += S) {
    double largest = x[0], sum = 0;
    for (size_t i = 1; i < S; i++) largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < S; i++) sum += exp(x[i] - largest);
    for (size_t i = 0; i < S; i++) x[i] = (float)(exp(x[i] - largest) / sum);
  }
}

static void exponentials(size_t T, size_t S, float *x, size_t stride, float *inverse) {
  for (size_t t = 0; t < T; t++, x += stride) {
    double largest = x[0], sum = 0;
    for (size_t i = 1; i < S; i++) largest = x[i] > largest ? x[i] : largest;
    for (size_t i = 0; i < S; i++) {
      double e = exp(x[i] - largest);
      x[i] = (float)e;
      sum += e;
    }
    inverse[t] = (float)(1 / sum);
  }
}

static void product(
    size_t rows, size_t depth, const float *a, size_t a_stride, const float *panel, size_t width, const float *factors, float *out, size_t out_stride) {
  for (size_t r = 0; r < rows; r++)
    for (size_t n = 0; n < width; n++) {
      double sum = 0;
      for (size_t d = 0; d < depth; d++) sum += (double)a[r * a_stride + d] * panel[d * PANEL_WIDTH + n];
      out[r * out_stride + n] = (float)(sum * factors[r]);
    }
}

// out_h = Σ_s softmax_s(scale · q_h · k_s) v_s
static void attend_row(
    size_t S, size_t heads, size_t E, const float *q, const float *keys, const float *values, size_t kv_stride, float scale, float *scores, float *out) {
  for (size_t h = 0; h < heads; h++, q += E, out += E) {
    for (size_t s = 0; s < S; s++) {
      double dot = 0;
      for (size_t i = 0; i < E; i++) dot += (double)q[i] * keys[s * kv_stride + i];
      scores[s] = (float)(dot * scale);
    }
    softmax(1, S, scores);
    for (size_t i = 0; i < E; i++) {
      double sum = 0;
      for (size_t s = 0; s < S; s++) sum += (double)scores[s] * values[s * kv_stride + i];
      out[i] = (float)sum;
    }
  }
}

static double logsumexp(size_t count, const float *x) {
  double largest = x[0], sum = 0;
  for (size_t i = 1; i < count; i++) largest = x[i] > largest ? x[i] : largest;
  for (size_t i = 0; i < count; i++) sum += exp(x[i] - largest);
  return largest + log(sum);
}

// q = round(x · 127 / max |x|) + 128; the same f32 arithmetic as in lanes, because a rounding that differs would be another number.
static float quantise(size_t count, const float *x, uint8_t *out, size_t stride) {
  float largest = 0;
  for (size_t i = 0; i < count; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  float factor = largest > 0 ? 127 / largest : 0;
  for (size_t i = 0; i < count; i++) out[i / INT8_BLOCK * stride + i % INT8_BLOCK] = (uint8_t)(rintf(x[i] * factor) + 128);
  return largest / 127;
}

static float value4(float v) {
  float q = rintf(v);
  return q < -8 ? -8 : q > 7 ? 7 : q;
}

// The squared error of 32 weights in steps of `step`, summed as sixteen lanes sum, since the least of errors must be the same everywhere.
static float error4(const float *w, float step) {
  float squares[16];
  for (size_t i = 0; i < 16; i++) {
    float c = w[i] - value4(w[i] * (1 / step)) * step, d = w[i + 16] - value4(w[i + 16] * (1 / step)) * step;
    squares[i] = fmaf(c, c, d * d);
  }
  for (size_t half = 8; half > 0; half /= 2)
    for (size_t i = 0; i < half; i++) squares[i] += squares[i + half];
  return squares[0];
}

// m = argmin Σ (w_i − m · unit · q_i)², q_i = the nearest of −8...7
static int quantise4(const float *w, float unit, int8_t *values) {
  int best = 1;
  for (int m = 2; unit > 0 && m <= INT4_MULTIPLIER_MAXIMUM; m++)
    if (error4(w, unit * (float)m) < error4(w, unit * (float)best)) best = m;
  for (size_t i = 0; i < INT8_BLOCK; i++) values[i] = unit > 0 ? (int8_t)value4(w[i] * (1 / (unit * (float)best))) : 0;
  return best;
}

// The weight of output n and input k in an int8 panel, and in an int4 one.
static int32_t weight8(const uint8_t *panel, size_t n, size_t k) {
  return (int8_t)panel[k / INT8_GROUP * INT8_GROUP_BYTES + n * INT8_GROUP + k % INT8_GROUP];
}
static int32_t weight4(const uint8_t *panel, size_t n, size_t k) {
  const uint8_t *block = panel + k / INT8_BLOCK * INT4_BLOCK_BYTES;
  size_t group = k % INT8_BLOCK / INT8_GROUP;
  uint8_t both = block[INT8_PANEL + group / 2 * INT8_GROUP_BYTES + n * INT8_GROUP + k % INT8_GROUP];
  return block[n] * ((group % 2 ? both >> 4 : both & 15) - 8);
}

// sums[p, r, n] = Σ_k x[r, k] · w[n, k]
static void sums_of(
    int32_t (*weight)(const uint8_t *, size_t, size_t), size_t rows, size_t groups, const uint8_t *x, size_t panels, size_t panel_bytes,
    const uint8_t *panel, int32_t *sums) {
  for (size_t p = 0; p < panels; p++, panel += panel_bytes)
    for (size_t r = 0; r < rows; r++)
      for (size_t n = 0; n < INT8_PANEL; n++) {
        int32_t sum = 0;
        for (size_t k = 0; k < groups * INT8_GROUP; k++) sum += x[r * groups * INT8_GROUP + k] * weight(panel, n, k);
        *sums++ = sum;
      }
}
static void int8_sums_scalar(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  (void)strip;
  sums_of(weight8, rows, groups, x, panels, panel_bytes, panel, sums);
}
static void int4_sums_scalar(
    size_t rows, size_t strip, size_t groups, const void *x, size_t panels, size_t panel_bytes, const uint8_t *panel, int32_t *sums) {
  (void)strip;
  sums_of(weight4, rows, groups, x, panels, panel_bytes, panel, sums);
}

static void finish(const struct int8_finish *c) {
  size_t up = INT8_PANEL / 2;
  for (size_t r = 0; r < c->rows; r++) {
    float v[INT8_PANEL], *out = c->out + r * c->out_stride;
    for (size_t n = 0; n < INT8_PANEL; n++) {
      int32_t sum = c->sums[r * INT8_PANEL + n] - INT8_OFFSET * c->weight_sums[n];
      v[n] = (float)sum * (c->row_scales[r] * c->scales[n]) + (c->bias && n < c->width ? c->bias[n] : 0);
    }
    for (size_t n = 0; n < c->width; n++) {
      if (c->then == KERNEL_STORE) out[n] = v[n];
      if (c->then == KERNEL_ADD) out[n] += v[n];
      if (c->then == KERNEL_GELU) out[n] = (float)gelu_of(v[n]);
      if (c->then == KERNEL_GEGLU) out[n] = (float)(gelu_of(v[n]) * v[n + up]);
    }
  }
}

const struct kernel_table kernel_table_scalar = {
    .isa = "scalar", .rmsnorm = rmsnorm, .layernorm = layernorm, .gelu = gelu, .geglu = geglu, .add = add, .scale = scale,
    .softmax = softmax, .exponentials = exponentials, .product = product, .attend_row = attend_row, .logsumexp = logsumexp, .quantise = quantise,
    .strip_rows = 1, .activation_bytes = 1, .int8_sums = int8_sums_scalar, .int4_sums = int4_sums_scalar, .finish = finish, .quantise4 = quantise4,
};
