// Sixteen f32 lanes in the compiler's generic vectors: one zmm register, two ymm, or four xmm, with the same bits from each, because every
// product-sum is an explicit fused multiply-add and every reduction adds lanes in one fixed order.
#ifndef PALISADE_LANES_H
#define PALISADE_LANES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
typedef float lanes __attribute__((vector_size(64)));
typedef int32_t ilanes __attribute__((vector_size(64)));

#define INLINE static inline __attribute__((always_inline))

INLINE lanes lanes_load(const float *x) {
  lanes v;
  memcpy(&v, x, sizeof v);
  return v;
}
INLINE void lanes_store(float *x, lanes v) { memcpy(x, &v, sizeof v); }
// Past the caches, to a multiple of 64 bytes.
INLINE void lanes_stream(float *x, lanes v) { __builtin_nontemporal_store(v, (lanes *)x); }
// The first `count` (< 16) floats, the others `fill`.
INLINE lanes lanes_load_tail(const float *x, size_t count, float fill) {
  float buffer[LANES];
  for (size_t i = 0; i < LANES; i++) buffer[i] = fill;
  memcpy(buffer, x, count * sizeof(float));
  return lanes_load(buffer);
}
INLINE void lanes_store_tail(float *x, lanes v, size_t count) { memcpy(x, &v, count * sizeof(float)); }
INLINE lanes lanes_all(float x) { return (lanes){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return __builtin_elementwise_fma(a, b, c); }
INLINE lanes lanes_max(lanes a, lanes b) { return __builtin_elementwise_max(a, b); }
INLINE lanes lanes_min(lanes a, lanes b) { return __builtin_elementwise_min(a, b); }

INLINE float lanes_sum(lanes v) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v[i] += v[i + half];
  return v[0];
}
// NaNs aside, the same in any order.
INLINE float lanes_largest(lanes v) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v[i] = v[i + half] > v[i] ? v[i + half] : v[i];
  return v[0];
}

// exp, relative error below 2.5e-7 on [-87, 88] (measured over all floats there by KernelsTests); clamped outside.
// Range reduction by Cody & Waite (1980) with ln 2 in two parts, then the Taylor polynomial of degree 7 on |r| <= ln 2 / 2.
INLINE lanes lanes_exp(lanes x) {
  x = lanes_min(lanes_max(x, lanes_all(-87.0f)), lanes_all(88.0f));
  const lanes magic = lanes_all(12582912.0f);  // 1.5 · 2²³: adding it rounds to the nearest integer
  lanes n = (lanes_fma(x, lanes_all(1.44269504f), magic)) - magic;
  lanes r = lanes_fma(n, lanes_all(-0.693359375f), x);
  r = lanes_fma(n, lanes_all(2.12194440e-4f), r);
  lanes p = lanes_all(1.98412698e-4f);
  p = lanes_fma(p, r, lanes_all(1.38888889e-3f));
  p = lanes_fma(p, r, lanes_all(8.33333333e-3f));
  p = lanes_fma(p, r, lanes_all(4.16666667e-2f));
  p = lanes_fma(p, r, lanes_all(1.66666667e-1f));
  p = lanes_fma(p, r, lanes_all(0.5f));
  p = lanes_fma(p, r, lanes_all(1.0f));
  p = lanes_fma(p, r, lanes_all(1.0f));
  ilanes exponent = __builtin_convertvector(n, ilanes) << 23;
  return (lanes)((ilanes)p + exponent);
}

// gelu(x) = x / (1 + exp(−2u)), u = √(2/π)(x + 0.044715x³): the tanh form without a tanh.
INLINE lanes lanes_gelu(lanes x) {
  lanes square = x * x;
  lanes inner = lanes_fma(square * lanes_all(0.044715f), x, x);
  return x / (lanes_all(1.0f) + lanes_exp(inner * lanes_all(-1.5957691216057308f)));
}

#endif
