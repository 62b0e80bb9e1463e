// Random f32 numbers in bulk, and the two roundings that store them: what synthesized checkpoints are made of.
#include <string.h>

#include "include/kernels.h"

enum { PER_BLOCK = 8, ROUNDS = 10 };

// Eight 16-bit draws: one Philox4x32-10 block. The multipliers and key steps are the paper's.
static void philox(uint64_t seed, uint64_t stream, uint64_t block, uint16_t draws[PER_BLOCK]) {
  uint32_t x = (uint32_t)block, y = (uint32_t)(block >> 32), z = (uint32_t)stream, w = (uint32_t)(stream >> 32);
  uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t first = (uint64_t)x * 0xD2511F53u, second = (uint64_t)z * 0xCD9E8D57u;
    x = (uint32_t)(second >> 32) ^ y ^ key0;
    y = (uint32_t)second;
    z = (uint32_t)(first >> 32) ^ w ^ key1;
    w = (uint32_t)first;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  const uint32_t words[4] = {x, y, z, w};
  for (int i = 0; i < PER_BLOCK; i++) draws[i] = (uint16_t)(words[i / 2] >> (16 * (i % 2)));
}

void kernel_random_f32(uint64_t seed, uint64_t stream, uint64_t first, size_t count, float centre, float half_width, float *out) {
  for (size_t done = 0; done < count;) {
    uint64_t index = first + done;
    uint16_t draws[PER_BLOCK];
    philox(seed, stream, index / PER_BLOCK, draws);
    // The middle of the draw's cell: never 0 or ±1, and symmetric.
    for (size_t i = index % PER_BLOCK; i < PER_BLOCK && done < count; i++, done++)
      out[done] = centre + half_width * (((float)draws[i] - 32767.5f) * (1.0f / 32768.0f));
  }
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

void kernel_convert_f32_bf16(size_t count, const float *x, uint16_t *out) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = bits_of(x[i]), is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
    out[i] = (uint16_t)(is_nan ? bits >> 16 | 0x40u : rounded);
  }
}

void kernel_convert_f32_f16(size_t count, const float *x, uint16_t *out) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits = bits_of(x[i]), sign = bits >> 16 & 0x8000u, size = bits & 0x7FFFFFFFu, half;
    if (size > 0x7F800000u) {
      half = 0x7E00u;
    } else if (size >= 0x47800000u) {  // 65536 and more
      half = 0x7C00u;
    } else if (size >= 0x38800000u) {  // normal halves, from 2^-14; rounding may carry into infinity, as it should
      half = (size + 0xFFFu + (size >> 13 & 1) - 0x38000000u) >> 13;
    } else {  // subnormal halves: adding 0.5 puts their unit, 2^-24, at f32's last place, where the FPU rounds
      float magnitude;
      memcpy(&magnitude, &size, sizeof magnitude);
      half = bits_of(magnitude + 0.5f) - 0x3F000000u;
    }
    out[i] = (uint16_t)(sign | half);
  }
}
