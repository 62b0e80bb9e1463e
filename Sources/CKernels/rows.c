// Row operations shared out over the pool, and the small ones that need no table.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "table.h"

// Rows a task takes: about 16 Ki floats, so that one task is some microseconds of work.
enum { FLOATS_PER_TASK = 16384 };

struct rows {
  const struct kernel_table *table;  // the calling thread's choice
  size_t T, D, step;
  const float *x, *w, *b;
  float scalar, *out;
  void (*run)(const struct rows *c, size_t first, size_t count);
};

static void run_rows(void *context, size_t index) {
  const struct rows *c = context;
  size_t first = index * c->step, count = c->T - first < c->step ? c->T - first : c->step;
  c->run(c, first, count);
}

static void share(struct rows *c) {
  c->table = kernel_table_current();
  c->step = c->D >= FLOATS_PER_TASK ? 1 : FLOATS_PER_TASK / (c->D ? c->D : 1);
  pool_run((c->T + c->step - 1) / c->step, run_rows, c);
}

static void rmsnorm(const struct rows *c, size_t first, size_t count) {
  c->table->rmsnorm(count, c->D, c->x + first * c->D, c->w, c->scalar, c->out + first * c->D);
}
void kernel_rmsnorm_f32(size_t T, size_t D, const float *x, const float *w, float epsilon, float *out) {
  share(&(struct rows){.T = T, .D = D, .x = x, .w = w, .scalar = epsilon, .out = out, .run = rmsnorm});
}

static void layernorm(const struct rows *c, size_t first, size_t count) {
  c->table->layernorm(count, c->D, c->x + first * c->D, c->w, c->b, c->scalar, c->out + first * c->D);
}
void kernel_layernorm_f32(size_t T, size_t D, const float *x, const float *w, const float *b, float epsilon, float *out) {
  share(&(struct rows){.T = T, .D = D, .x = x, .w = w, .b = b, .scalar = epsilon, .out = out, .run = layernorm});
}

static void gelu(const struct rows *c, size_t first, size_t count) { c->table->gelu(count, c->out + first); }
void kernel_gelu_f32(size_t count, float *x) { share(&(struct rows){.T = count, .D = 1, .out = x, .run = gelu}); }

static void geglu(const struct rows *c, size_t first, size_t count) {
  c->table->geglu(count, c->D, c->x + first * 2 * c->D, c->out + first * c->D);
}
void kernel_geglu_f32(size_t T, size_t F, const float *gate_up, float *out) {
  share(&(struct rows){.T = T, .D = F, .x = gate_up, .out = out, .run = geglu});
}

static void add(const struct rows *c, size_t first, size_t count) { c->table->add(count, c->out + first, c->x + first); }
void kernel_add_f32(size_t count, float *x, const float *y) { share(&(struct rows){.T = count, .D = 1, .x = y, .out = x, .run = add}); }

void kernel_scale_f32(size_t count, const float *x, float factor, float *out) { kernel_table_current()->scale(count, x, factor, out); }

static void softmax(const struct rows *c, size_t first, size_t count) { c->table->softmax(count, c->D, c->out + first * c->D); }
void kernel_softmax_f32(size_t T, size_t S, float *x) { share(&(struct rows){.T = T, .D = S, .out = x, .run = softmax}); }

double kernel_logsumexp_f32(size_t count, const float *x) { return kernel_table_current()->logsumexp(count, x); }

size_t kernel_argmax_f32(size_t count, const float *x) {
  size_t best = 0;
  for (size_t i = 1; i < count; i++) best = x[i] > x[best] ? i : best;
  return best;
}

void kernel_rope_f32(size_t T, size_t heads, size_t E, size_t stride, const int32_t *positions, const float *inverse_frequencies, float *x) {
  size_t half = E / 2;
  float *cosines = pool_scratch(3, E), *sines = cosines + half;
  if (cosines == NULL) abort();
  for (size_t t = 0; t < T; t++) {
    for (size_t i = 0; i < half; i++) {
      float angle = (float)positions[t] * inverse_frequencies[i];
      cosines[i] = cosf(angle);
      sines[i] = sinf(angle);
    }
    for (size_t h = 0; h < heads; h++) {
      float *first = x + t * stride + h * E, *second = first + half;
      for (size_t i = 0; i < half; i++) {
        float a = first[i], b = second[i];
        first[i] = a * cosines[i] - b * sines[i];
        second[i] = b * cosines[i] + a * sines[i];
      }
    }
  }
}

void kernel_convert_bf16_f32(size_t count, const uint16_t *x, float *out) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = (uint32_t)x[i] << 16;
    memcpy(out + i, &bits, sizeof bits);
  }
}

void kernel_convert_f16_f32(size_t count, const uint16_t *x, float *out) {
  for (size_t i = 0; i < count; i++) {
    _Float16 value;
    memcpy(&value, x + i, sizeof value);
    out[i] = (float)value;
  }
}

void kernel_patches_u8_f32(size_t side, size_t patch, const uint8_t *rgb, float *out) {
  size_t across = side / patch;
  for (size_t p = 0; p < across * across; p++) {
    const uint8_t *corner = rgb + (p / across * patch * side + p % across * patch) * 3;
    for (size_t channel = 0; channel < 3; channel++)
      for (size_t row = 0; row < patch; row++)
        for (size_t column = 0; column < patch; column++) *out++ = (float)corner[(row * side + column) * 3 + channel] / 127.5f - 1.0f;
  }
}
