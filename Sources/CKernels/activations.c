// Rows of activations in fewer bytes, for the way from one stage to the next.
#include <float.h>
#include <math.h>
#include <string.h>

#include "table.h"

// Below it 127 / max |x| may be infinite; such a row is zeros for every purpose but this division.
#define LEAST_LARGEST 1e-30f

static bool has_scale(size_t count, const float *x) {
  float largest = 0;
  unsigned odd = 0;
  for (size_t i = 0; i < count; i++) {
    unsigned bits;
    memcpy(&bits, x + i, sizeof bits);
    odd |= (bits & 0x7F800000u) == 0x7F800000u;  // an infinity, or no number
    largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  }
  return !odd && (largest == 0 || largest >= LEAST_LARGEST);
}

bool kernel_encode_int8_rows(size_t T, size_t D, const float *x, uint8_t *out) {
  const struct kernel_table *table = kernel_table_current();
  for (size_t t = 0; t < T; t++, x += D, out += D + sizeof(float)) {
    if (!has_scale(D, x)) return false;
    float scale = table->quantise(D, x, out + sizeof scale, INT8_BLOCK);
    memcpy(out, &scale, sizeof scale);
  }
  return true;
}

bool kernel_decode_int8_rows(size_t T, size_t D, const uint8_t *x, float *out) {
  for (size_t t = 0; t < T; t++, x += D + sizeof(float), out += D) {
    float scale;
    memcpy(&scale, x, sizeof scale);
    // Every product below is finite then; a negative or a missing number fails too.
    if (!(scale >= 0 && scale <= FLT_MAX / 128)) return false;
    for (size_t i = 0; i < D; i++) out[i] = (float)(x[sizeof scale + i] - 128) * scale;
  }
  return true;
}
