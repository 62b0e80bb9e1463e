// Frames of video, as decoders leave them, to RGB.
//
// Nearly all video is 4:2:0: brightness (Y') for each pixel, two differences of colour (Cb, Cr) for each four. ffmpeg's
// swscale makes RGB of it exactly but slowly (13.6 ms a frame of 720p on Zen 3), or quickly with chroma repeated and
// everything a step too dark. This takes chroma between its samples, rounds to nearest, and has the same bits on every
// machine, in 2 ms:
//   - chroma between its samples: 3/4 of the nearer row and 1/4 of the other; along the row, where samples sit at every
//     second pixel (video), these or the mean of two; where they sit in the middle (JPEG's full range), 3/4 and 1/4;
//   - R = Y + 2 (1 - Kr) Cr, B = Y + 2 (1 - Kb) Cb, and G what makes Kr R + Kg G + Kb B = Y, in 16 fractional bits.
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "internal.h"

enum { YUV_BITS = 16 };

// In units of 2^-16; those of chroma for values that were multiplied by 16 between the samples.
struct yuv_factors {
  int32_t offset, luma, red, green_blue, green_red, blue;
};

static struct yuv_factors make_factors(double red_weight, double blue_weight, bool is_full_range) {
  const double green_weight = 1 - red_weight - blue_weight;
  const double luma = is_full_range ? 1.0 : 255.0 / 219;
  const double chroma = (is_full_range ? 1.0 : 255.0 / 224) / 16;
  const double red = 2 * (1 - red_weight) * chroma, blue = 2 * (1 - blue_weight) * chroma;
  const double one = 1 << YUV_BITS;
  return (struct yuv_factors){
      .offset = is_full_range ? 0 : 16,
      .luma = (int32_t)(luma * one + 0.5),
      .red = (int32_t)(red * one + 0.5),
      .green_blue = (int32_t)(blue * blue_weight / green_weight * one + 0.5),
      .green_red = (int32_t)(red * red_weight / green_weight * one + 0.5),
      .blue = (int32_t)(blue * one + 0.5)};
}

// One row's chroma, [(width + 1) / 2] twice, to [width] in sixteenths, 0 in the middle.
static inline __attribute__((always_inline)) void spread_chroma(
    const uint8_t *restrict near, const uint8_t *restrict far, uint32_t count, bool is_centred,
    int16_t *restrict between, int16_t *restrict out) {
  // With a copy of its ends at either end.
  for (uint32_t i = 0; i < count; i++) between[i + 1] = (int16_t)(3 * near[i] + far[i] - 512);
  between[0] = between[1];
  between[count + 1] = between[count];
  if (is_centred) {
    for (uint32_t i = 0; i < count; i++) {
      out[2 * i] = (int16_t)(3 * between[i + 1] + between[i]);
      out[2 * i + 1] = (int16_t)(3 * between[i + 1] + between[i + 2]);
    }
  } else {
    for (uint32_t i = 0; i < count; i++) {
      out[2 * i] = (int16_t)(4 * between[i + 1]);
      out[2 * i + 1] = (int16_t)(2 * (between[i + 1] + between[i + 2]));
    }
  }
}

static inline uint8_t yuv_clip(int32_t value) {
  value >>= YUV_BITS;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

// One row to three planes of one row.
static inline __attribute__((always_inline)) void mix_row(
    const struct yuv_factors factors, const uint8_t *restrict luma, const int16_t *restrict cb,
    const int16_t *restrict cr, uint32_t width, uint8_t *restrict red, uint8_t *restrict green,
    uint8_t *restrict blue) {
  for (uint32_t x = 0; x < width; x++) {
    const int32_t bright = (luma[x] - factors.offset) * factors.luma + (1 << (YUV_BITS - 1));
    red[x] = yuv_clip(bright + cr[x] * factors.red);
    green[x] = yuv_clip(bright - cb[x] * factors.green_blue - cr[x] * factors.green_red);
    blue[x] = yuv_clip(bright + cb[x] * factors.blue);
  }
}

// What one frame needs: rows with room for an even width and a vector behind it.
struct yuv_rows {
  int16_t *between, *cb, *cr;
  uint8_t *red, *green, *blue;
};

struct yuv_frame {
  const uint8_t *luma, *cb, *cr;
  uint32_t width, height;
  struct yuv_factors factors;
  bool is_halved, is_centred;
};

static inline __attribute__((always_inline)) void convert_row(const struct yuv_frame *frame,
                                                              const struct yuv_rows *rows,
                                                              uint32_t y) {
  if (!frame->is_halved) {
    const size_t start = (size_t)y * frame->width;
    for (uint32_t x = 0; x < frame->width; x++) {
      rows->cb[x] = (int16_t)(16 * frame->cb[start + x] - 2048);
      rows->cr[x] = (int16_t)(16 * frame->cr[start + x] - 2048);
    }
    mix_row(frame->factors, frame->luma + start, rows->cb, rows->cr, frame->width, rows->red,
            rows->green, rows->blue);
    return;
  }
  const uint32_t count = (frame->width + 1) / 2, chroma_height = (frame->height + 1) / 2;
  const uint32_t near = y / 2;
  const uint32_t far = y % 2 == 0 ? (near == 0 ? 0 : near - 1)
                                  : (near + 1 == chroma_height ? near : near + 1);
  const size_t at = (size_t)near * count, beside = (size_t)far * count;
  spread_chroma(frame->cb + at, frame->cb + beside, count, frame->is_centred, rows->between,
                rows->cb);
  spread_chroma(frame->cr + at, frame->cr + beside, count, frame->is_centred, rows->between,
                rows->cr);
  mix_row(frame->factors, frame->luma + (size_t)y * frame->width, rows->cb, rows->cr, frame->width,
          rows->red, rows->green, rows->blue);
}

static void join_pixels(const struct yuv_rows *rows, uint32_t from, uint32_t width, uint8_t *out) {
  for (uint32_t x = from; x < width; x++) {
    out[3 * (size_t)x] = rows->red[x];
    out[3 * (size_t)x + 1] = rows->green[x];
    out[3 * (size_t)x + 2] = rows->blue[x];
  }
}

static void convert_portable(const struct yuv_frame *frame, const struct yuv_rows *rows,
                             uint8_t *rgb) {
  for (uint32_t y = 0; y < frame->height; y++) {
    convert_row(frame, rows, y);
    join_pixels(rows, 0, frame->width, rgb + 3 * (size_t)frame->width * y);
  }
}

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

// Three times 16 bytes to 16 pixels of three.
static inline void join_vector(const struct yuv_rows *rows, uint32_t x, uint8_t *out) {
  static const int8_t places[3][3][16] = {
      {{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
       {-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
       {-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1}},
      {{-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
       {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
       {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1}},
      {{-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1},
       {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1},
       {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}}};
  const uint8_t *planes[3] = {rows->red + x, rows->green + x, rows->blue + x};
  for (uint32_t third = 0; third < 3; third++) {
    __m128i bytes = _mm_setzero_si128();
    for (uint32_t channel = 0; channel < 3; channel++) {
      const __m128i plane = _mm_loadu_si128((const __m128i *)planes[channel]);
      const __m128i place = _mm_loadu_si128((const __m128i *)places[third][channel]);
      bytes = _mm_or_si128(bytes, _mm_shuffle_epi8(plane, place));
    }
    _mm_storeu_si128((__m128i *)(out + 16 * third), bytes);
  }
}

// All rows; the compiler makes vectors of `convert_row`'s loops, as wide as the function around it may have them.
static inline __attribute__((always_inline)) void convert_rows(const struct yuv_frame *frame,
                                                               const struct yuv_rows *rows,
                                                               uint8_t *rgb) {
  const uint32_t whole = frame->width / 16 * 16;
  for (uint32_t y = 0; y < frame->height; y++) {
    uint8_t *out = rgb + 3 * (size_t)frame->width * y;
    convert_row(frame, rows, y);
    for (uint32_t x = 0; x < whole; x += 16) join_vector(rows, x, out + 3 * (size_t)x);
    join_pixels(rows, whole, frame->width, out);
  }
}

static void convert_avx2(const struct yuv_frame *frame, const struct yuv_rows *rows,
                         uint8_t *rgb) {
  convert_rows(frame, rows, rgb);
}

#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512vl"))), apply_to = function)

static void convert_avx512(const struct yuv_frame *frame, const struct yuv_rows *rows,
                           uint8_t *rgb) {
  convert_rows(frame, rows, rgb);
}

#pragma clang attribute pop
#endif

typedef void yuv_converter(const struct yuv_frame *frame, const struct yuv_rows *rows,
                           uint8_t *rgb);

static yuv_converter *converter_on(enum image_vectors vectors) {
#if defined(__x86_64__)
  if (vectors == IMAGE_AVX512) return convert_avx512;
  if (vectors == IMAGE_AVX2) return convert_avx2;
#else
  (void)vectors;
#endif
  return convert_portable;
}

int32_t image_from_yuv(const uint8_t *planes, uint32_t width, uint32_t height, bool is_halved,
                       double red_weight, double blue_weight, bool is_full_range, uint8_t *rgb) {
  return image_from_yuv_on(image_vectors(), planes, width, height, is_halved, red_weight,
                           blue_weight, is_full_range, rgb);
}

int32_t image_from_yuv_on(enum image_vectors vectors, const uint8_t *planes, uint32_t width,
                          uint32_t height, bool is_halved, double red_weight, double blue_weight,
                          bool is_full_range, uint8_t *rgb) {
  const size_t area = (size_t)width * height;
  const size_t chroma_area =
      is_halved ? (size_t)((width + 1) / 2) * ((height + 1) / 2) : area;
  const struct yuv_frame frame = {
      .luma = planes, .cb = planes + area, .cr = planes + area + chroma_area,
      .width = width, .height = height, .is_halved = is_halved, .is_centred = is_full_range,
      .factors = make_factors(red_weight, blue_weight, is_full_range)};
  const size_t room = (size_t)width + 2;
  int16_t *numbers = malloc(3 * room * sizeof *numbers);
  uint8_t *bytes = malloc(3 * room);
  const bool has_memory = numbers != NULL && bytes != NULL;
  if (has_memory) {
    const struct yuv_rows rows = {.between = numbers, .cb = numbers + room,
                                  .cr = numbers + 2 * room, .red = bytes, .green = bytes + room,
                                  .blue = bytes + 2 * room};
    converter_on(vectors)(&frame, &rows, rgb);
  }
  free(numbers);
  free(bytes);
  return has_memory ? IMAGE_OK : IMAGE_OUT_OF_MEMORY;
}
