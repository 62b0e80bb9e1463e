// One row of a picture to one row of a narrower or wider one: plain C, AVX2 and AVX-512 (VNNI), with the same bits.
//
// A target pixel is three sums of pixels times weights. Vectors hold the sums of four target pixels of a channel at a time, so that
// adding up a vector's numbers, rounding and clipping are done once for four.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "resample.h"

// Sum of pixels times weights; unsigned, because `low` alone may wrap where the whole does not.
static inline uint32_t weighted_sum(const int16_t *restrict pixels, const int16_t *restrict high,
                                    const int16_t *restrict low, uint32_t count) {
  uint32_t high_sum = 0, low_sum = 0;
  for (uint32_t i = 0; i < count; i++) {
    high_sum += (uint32_t)((int32_t)pixels[i] * high[i]);
    low_sum += (uint32_t)((int32_t)pixels[i] * low[i]);
  }
  return (high_sum << LOW_BITS) + low_sum;
}

// One row, [width, 3] to [columns.count, 3]. `planes` has room for [3, pitch].
static void resample_row_portable(const struct columns *columns, const uint8_t *row,
                                  uint32_t width, size_t pitch, int16_t *planes, uint8_t *out) {
  for (uint32_t x = 0; x < width; x++) {
    planes[x] = row[3 * (size_t)x];
    planes[pitch + x] = row[3 * (size_t)x + 1];
    planes[2 * pitch + x] = row[3 * (size_t)x + 2];
  }
  for (uint32_t x = 0; x < columns->count; x++) {
    const struct window window = columns->windows[x];
    const size_t offset = (size_t)x * columns->stride;
    for (uint32_t channel = 0; channel < 3; channel++) {
      const uint32_t sum =
          weighted_sum(planes + channel * pitch + window.first, columns->high + offset,
                       columns->low + offset, window.count);
      out[3 * (size_t)x + channel] = resample_round((int32_t)(HALF + sum));
    }
  }
}

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

enum { QUAD = 4 };

// One channel of 16 pixels of three bytes.
static inline __m128i channel_of(const uint8_t *row, uint32_t channel) {
  // Where the bytes of each channel are in each third of the 48; -1 is none.
  static const int8_t places[3][3][16] = {
      {{0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
       {-1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1},
       {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13}},
      {{1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
       {-1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1},
       {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14}},
      {{2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1},
       {-1, -1, -1, -1, -1, 1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1},
       {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 3, 6, 9, 12, 15}}};
  __m128i bytes = _mm_setzero_si128();
  for (uint32_t third = 0; third < 3; third++) {
    const __m128i part = _mm_loadu_si128((const __m128i *)(row + 16 * third));
    const __m128i place = _mm_loadu_si128((const __m128i *)places[channel][third]);
    bytes = _mm_or_si128(bytes, _mm_shuffle_epi8(part, place));
  }
  return bytes;
}

// A row as three planes of 16-bit numbers.
static inline void split_row(const uint8_t *row, uint32_t width, size_t pitch, int16_t *planes) {
  const uint32_t whole = width / 16 * 16;
  for (uint32_t x = 0; x < whole; x += 16) {
    for (uint32_t channel = 0; channel < 3; channel++) {
      const __m128i bytes = channel_of(row + 3 * (size_t)x, channel);
      _mm256_storeu_si256((__m256i *)(planes + channel * pitch + x), _mm256_cvtepu8_epi16(bytes));
    }
  }
  for (uint32_t x = whole; x < width; x++) {
    for (uint32_t channel = 0; channel < 3; channel++) {
      planes[channel * pitch + x] = row[3 * (size_t)x + channel];
    }
  }
}

// The sums of four vectors' numbers.
static inline __m128i add_up(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

// Rounds and clips the sums of `count` pixels (at most four) by channel, and writes them.
static inline void write_pixels(const __m128i sums[3], uint32_t count, uint8_t *out) {
  const __m128i half = _mm_set1_epi32(HALF);
  __m128i rounded[3];
  for (uint32_t channel = 0; channel < 3; channel++) {
    rounded[channel] = _mm_srai_epi32(_mm_add_epi32(sums[channel], half), FRACTION_BITS);
  }
  // Both packings clip, the second to 0...255: a sum of 32 bits is within 16 after the shift.
  const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(rounded[0], rounded[1]),
                                         _mm_packs_epi32(rounded[2], rounded[2]));
  const __m128i order = _mm_setr_epi8(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1);
  uint8_t pixels[16];
  _mm_storeu_si128((__m128i *)pixels, _mm_shuffle_epi8(bytes, order));
  if (count == QUAD) {
    memcpy(out, pixels, 3 * QUAD);
  } else {
    memcpy(out, pixels, 3 * (size_t)count);
  }
}

// The same sums as weighted_sum of three planes, each in eight parts: whole numbers have them in any order. Reads up to a vector too far, times 0.
static inline void weighted_sums_avx2(const struct columns *columns, uint32_t target,
                                      const int16_t *planes, size_t pitch, __m256i sums[3]) {
  const struct window window = columns->windows[target];
  const int16_t *pixels = planes + window.first;
  const int16_t *high = columns->high + (size_t)target * columns->stride;
  const int16_t *low = columns->low + (size_t)target * columns->stride;
  __m256i high_sums[3], low_sums[3];
  for (uint32_t c = 0; c < 3; c++) high_sums[c] = low_sums[c] = _mm256_setzero_si256();
  for (uint32_t i = 0; i < window.count; i += 16) {
    const __m256i a = _mm256_loadu_si256((const __m256i *)(high + i));
    const __m256i b = _mm256_loadu_si256((const __m256i *)(low + i));
    for (uint32_t c = 0; c < 3; c++) {
      const __m256i pixel = _mm256_loadu_si256((const __m256i *)(pixels + c * pitch + i));
      high_sums[c] = _mm256_add_epi32(high_sums[c], _mm256_madd_epi16(pixel, a));
      low_sums[c] = _mm256_add_epi32(low_sums[c], _mm256_madd_epi16(pixel, b));
    }
  }
  for (uint32_t c = 0; c < 3; c++) {
    sums[c] = _mm256_add_epi32(_mm256_slli_epi32(high_sums[c], LOW_BITS), low_sums[c]);
  }
}

// Four target pixels at a time; SUMS gives those of one.
#define RESAMPLE_QUADS(SUMS, PLANES)                                                              \
  for (uint32_t x = 0; x < columns->count; x += QUAD) {                                           \
    const uint32_t count = columns->count - x < QUAD ? columns->count - x : QUAD;                 \
    __m256i sums[QUAD][3];                                                                        \
    for (uint32_t i = 0; i < QUAD; i++) {                                                         \
      SUMS(columns, x + (i < count ? i : count - 1), PLANES, pitch, sums[i]);                     \
    }                                                                                             \
    __m128i pixels[3];                                                                            \
    for (uint32_t c = 0; c < 3; c++) {                                                            \
      pixels[c] = add_up(sums[0][c], sums[1][c], sums[2][c], sums[3][c]);                         \
    }                                                                                             \
    write_pixels(pixels, count, out + 3 * (size_t)x);                                             \
  }

static void resample_row_avx2(const struct columns *columns, const uint8_t *row, uint32_t width,
                              size_t pitch, int16_t *planes, uint8_t *out) {
  split_row(row, width, pitch, planes);
  RESAMPLE_QUADS(weighted_sums_avx2, planes)
}

#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni"))), apply_to = function)

// A row as three planes of bytes.
static inline void split_bytes(const uint8_t *row, uint32_t width, size_t pitch, uint8_t *planes) {
  const uint32_t whole = width / 16 * 16;
  for (uint32_t x = 0; x < whole; x += 16) {
    for (uint32_t channel = 0; channel < 3; channel++) {
      const __m128i bytes = channel_of(row + 3 * (size_t)x, channel);
      _mm_storeu_si128((__m128i *)(planes + channel * pitch + x), bytes);
    }
  }
  for (uint32_t x = whole; x < width; x++) {
    for (uint32_t channel = 0; channel < 3; channel++) {
      planes[channel * pitch + x] = row[3 * (size_t)x + channel];
    }
  }
}

// The same sums by the weights' three digits, each of one byte: 64 products and their sums in one instruction.
static inline void weighted_sums_avx512(const struct columns *columns, uint32_t target,
                                        const uint8_t *planes, size_t pitch, __m256i sums[3]) {
  const struct window window = columns->windows[target];
  const uint8_t *pixels = planes + window.first;
  const int8_t *digits = columns->digits + 3 * (size_t)target * columns->stride;
  __m512i parts[3][3];
  for (uint32_t c = 0; c < 3; c++) parts[c][0] = parts[c][1] = parts[c][2] = _mm512_setzero_si512();
  uint32_t i = 0;
  do {
    const __m512i first = _mm512_load_si512(digits + i);
    const __m512i second = _mm512_load_si512(digits + columns->stride + i);
    const __m512i third = _mm512_load_si512(digits + 2 * (size_t)columns->stride + i);
    for (uint32_t c = 0; c < 3; c++) {
      const __m512i bytes = _mm512_loadu_si512(pixels + c * pitch + i);
      parts[c][0] = _mm512_dpbusd_epi32(parts[c][0], bytes, first);
      parts[c][1] = _mm512_dpbusd_epi32(parts[c][1], bytes, second);
      parts[c][2] = _mm512_dpbusd_epi32(parts[c][2], bytes, third);
    }
    i += 64;
  } while (i < window.count);
  for (uint32_t c = 0; c < 3; c++) {
    const __m512i upper = _mm512_add_epi32(_mm512_slli_epi32(parts[c][0], 8), parts[c][1]);
    const __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), parts[c][2]);
    sums[c] = _mm256_add_epi32(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
  }
}

static void resample_row_avx512(const struct columns *columns, const uint8_t *row, uint32_t width,
                                size_t pitch, int16_t *planes, uint8_t *out) {
  uint8_t *bytes = (uint8_t *)planes;
  split_bytes(row, width, pitch, bytes);
  RESAMPLE_QUADS(weighted_sums_avx512, bytes)
}

#pragma clang attribute pop
#endif

row_resampler *resample_row_on(enum image_vectors vectors) {
#if defined(__x86_64__)
  if (vectors == IMAGE_AVX512) return resample_row_avx512;
  if (vectors == IMAGE_AVX2) return resample_row_avx2;
#else
  (void)vectors;
#endif
  return resample_row_portable;
}
