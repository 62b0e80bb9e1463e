// Bicubic resampling with the bits of Pillow's Image.resize(size, BICUBIC) on an RGB picture.
//
// The model was trained on pictures that Pillow had resized, and its reference processor still
// resizes with Pillow, so "nearly the same" would be a difference in every token. What fixes the
// bits (found in Pillow's Resample.c, and proven against it by ImagingTests):
//   - Keys' kernel with a = -0.5, stretched by the scale when shrinking (antialiasing): support
//     2 * max(scale, 1) source pixels to each side of the centre;
//   - weights summed and normalised in double, then rounded to 22 fractional bits;
//   - one pass along the rows and one along the columns; each rounds to 8 bits and clips; a pass
//     that would not change the size is left out;
//   - the order of the passes. Along the rows first, in Pillow up to 12 always. Since Pillow 13
//     (its pull request 9549) down the columns first when the height shrinks by more than twice as
//     many pixels as the width: tall screenshots differ by one step here and there. The rule was
//     measured on Pillow 13.0.0, the reference of our goldens, and we follow it.
// Pillow makes a whole picture between the passes. Here every source row is used once and added at
// once to the sums of the (few) target rows that it takes part in, so that memory depends on the
// width and the target, not on the height. Integer sums have the same bits in any order.
#include <math.h>
#include <stdlib.h>

#include "internal.h"
#include "resample.h"

// Pillow's wheels are built without fused multiply-add on x86-64; keep it out on every host.
#pragma STDC FP_CONTRACT OFF

static double keys_kernel(double x) {
  const double a = -0.5;
  if (x < 0.0) x = -x;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// The most weights a window can have, for this pair of sizes.
static uint32_t weights_max(uint32_t source_size, uint32_t target_size) {
  const double scale = fmax((double)source_size / target_size, 1.0);
  return (uint32_t)ceil(2.0 * scale) * 2 + 1;
}

// Fills `weights` (room for weights_max) for one target position; `scratch` has the same room.
static struct window make_window(uint32_t source_size, uint32_t target_size, uint32_t position,
                                 int32_t *weights, double *scratch) {
  const double scale = (double)source_size / target_size;
  const double stretch = scale < 1.0 ? 1.0 : scale;
  const double support = 2.0 * stretch, squeeze = 1.0 / stretch;
  const double centre = (position + 0.5) * scale;
  const int64_t left = (int64_t)(centre - support + 0.5);
  const int64_t right = (int64_t)(centre + support + 0.5);
  const uint32_t first = left < 0 ? 0 : (uint32_t)left;
  const uint32_t end = right > source_size ? source_size : (uint32_t)right;
  double sum = 0.0;
  for (uint32_t i = first; i < end; i++) {
    // Left to right in double, as Pillow's mixture of int and double is evaluated.
    scratch[i - first] = keys_kernel(((double)i - centre + 0.5) * squeeze);
    sum += scratch[i - first];
  }
  for (uint32_t i = 0; i < end - first; i++) {
    const double weight = sum != 0.0 ? scratch[i] / sum : scratch[i];
    const double scaled = weight * (1 << FRACTION_BITS);
    weights[i] = (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
  }
  return (struct window){first, end - first};
}

static void free_columns(struct columns *columns) {
  free(columns->windows);
  free(columns->high);
  free(columns->low);
  free(columns->digits);
}

static bool make_columns(struct columns *columns, uint32_t source_size, uint32_t target_size) {
  // Whole vectors, with weights of 0 behind a window's own.
  const uint32_t stride =
      (weights_max(source_size, target_size) + RESAMPLE_VECTOR - 1) / RESAMPLE_VECTOR *
      RESAMPLE_VECTOR;
  *columns = (struct columns){.count = target_size, .stride = stride};
  columns->windows = calloc(target_size, sizeof *columns->windows);
  columns->high = calloc((size_t)target_size * stride, sizeof *columns->high);
  columns->low = calloc((size_t)target_size * stride, sizeof *columns->low);
  columns->digits = aligned_alloc(RESAMPLE_VECTOR, 3 * (size_t)target_size * stride);
  int32_t *weights = malloc(stride * sizeof *weights);
  double *scratch = malloc(stride * sizeof *scratch);
  const bool has_memory = columns->windows != NULL && columns->high != NULL &&
                          columns->low != NULL && columns->digits != NULL && weights != NULL &&
                          scratch != NULL;
  if (has_memory) memset(columns->digits, 0, 3 * (size_t)target_size * stride);
  for (uint32_t x = 0; has_memory && x < target_size; x++) {
    const struct window window = make_window(source_size, target_size, x, weights, scratch);
    columns->windows[x] = window;
    for (uint32_t i = 0; i < window.count; i++) {
      const int32_t low = weights[i] & LOW_MASK;
      columns->low[(size_t)x * stride + i] = (int16_t)low;
      columns->high[(size_t)x * stride + i] = (int16_t)((weights[i] - low) / (1 << LOW_BITS));
      // Digits of -128...127, the last first.
      int32_t rest = weights[i];
      for (int digit = 2; digit >= 0; digit--) {
        const int8_t value = (int8_t)(rest & 0xff);
        columns->digits[(3 * (size_t)x + (size_t)digit) * stride + i] = value;
        rest = (rest - value) / 256;
      }
    }
  }
  free(weights);
  free(scratch);
  return has_memory;
}

// Everything one resampling needs. `middle` is the width between the passes.
struct resampler {
  uint32_t width, height, target_width, target_height, middle;
  struct columns columns;  // unused where the widths are equal
  size_t pitch;            // of a plane: the width, and room for a vector that begins at its end
  int16_t *planes;         // [3, pitch]
  row_resampler *resample_row;
  uint8_t *row;            // [middle, 3]: a row after the first of two passes
  struct window *windows;  // [target_height]; unused, as what follows, where the heights are equal
  int32_t *weights;        // [target_height, stride]
  double *scratch;         // [stride]
  int32_t *sums;           // [open_count, 3 * middle]; target row t has slot t % open_count
  uint32_t stride, open_count;
};

// How many windows are open at once at most: begun, and not ended.
static uint32_t open_windows_max(const struct window *windows, uint32_t count) {
  uint32_t oldest = 0, most = 1;
  for (uint32_t t = 0; t < count; t++) {
    while (windows[oldest].first + windows[oldest].count <= windows[t].first) oldest += 1;
    if (t - oldest + 1 > most) most = t - oldest + 1;
  }
  return most;
}

static bool make_rows(struct resampler *resampler) {
  const uint32_t stride = weights_max(resampler->height, resampler->target_height);
  const size_t count = resampler->target_height;
  resampler->stride = stride;
  resampler->windows = calloc(count, sizeof *resampler->windows);
  resampler->weights = calloc(count * stride, sizeof *resampler->weights);
  resampler->scratch = malloc(stride * sizeof *resampler->scratch);
  if (resampler->windows == NULL || resampler->weights == NULL || resampler->scratch == NULL) {
    return false;
  }
  for (uint32_t t = 0; t < count; t++) {
    resampler->windows[t] =
        make_window(resampler->height, resampler->target_height, t,
                    resampler->weights + (size_t)t * stride, resampler->scratch);
  }
  resampler->open_count = open_windows_max(resampler->windows, resampler->target_height);
  const size_t sum_count = 3 * (size_t)resampler->middle * resampler->open_count;
  resampler->sums = calloc(sum_count, sizeof *resampler->sums);
  return resampler->sums != NULL;
}

// The order of the passes; see the head of this file.
static bool is_vertical_first(const struct resampler *r) {
  return r->target_height < r->height &&
         (int64_t)r->height - r->target_height > 2 * ((int64_t)r->width - r->target_width);
}

static bool make_resampler(struct resampler *r) {
  r->middle = is_vertical_first(r) ? r->width : r->target_width;
  if (r->width != r->target_width) {
    r->pitch = (size_t)r->width + RESAMPLE_VECTOR;
    // Zeros behind each row, which meet weights of 0.
    r->planes = calloc(3 * r->pitch, sizeof *r->planes);
    r->row = malloc(3 * (size_t)r->middle);
    if (r->planes == NULL || r->row == NULL ||
        !make_columns(&r->columns, r->width, r->target_width)) {
      return false;
    }
  }
  return r->height == r->target_height || make_rows(r);
}

static void free_resampler(struct resampler *r) {
  free_columns(&r->columns);
  free(r->planes);
  free(r->row);
  free(r->windows);
  free(r->weights);
  free(r->scratch);
  free(r->sums);
}

static void add_row(int32_t *restrict sums, const uint8_t *restrict row, int32_t weight,
                    size_t count) {
  for (size_t i = 0; i < count; i++) sums[i] += row[i] * weight;
}

static void resample_row(const struct resampler *r, const uint8_t *row, uint8_t *out) {
  r->resample_row(&r->columns, row, r->width, r->pitch, r->planes, out);
}

// Target row `t` has all its source rows: round it, and do the other pass if that is still due.
static void finish_row(const struct resampler *r, uint32_t t, int32_t *sums, uint8_t *target) {
  const bool is_last_pass = r->middle == r->target_width;
  uint8_t *target_row = target + 3 * (size_t)r->target_width * t;
  uint8_t *out = is_last_pass ? target_row : r->row;
  const size_t count = 3 * (size_t)r->middle;
  for (size_t i = 0; i < count; i++) out[i] = resample_round(HALF + sums[i]);
  memset(sums, 0, count * sizeof *sums);  // for the next row in this slot
  if (!is_last_pass) resample_row(r, out, target_row);
}

// Gives source row `y` to every target row that it takes part in, and finishes those for which it
// was the last. `done` target rows were finished before; returns how many are now.
static uint32_t spread_row(const struct resampler *r, const uint8_t *row, uint32_t y,
                           uint32_t done, uint8_t *target) {
  const size_t count = 3 * (size_t)r->middle;
  // Windows begin and end in the order of their rows, so those that hold `y` are neighbours.
  for (uint32_t t = done; t < r->target_height && r->windows[t].first <= y; t++) {
    const uint32_t i = y - r->windows[t].first;
    int32_t *sums = r->sums + count * (t % r->open_count);
    add_row(sums, row, r->weights[(size_t)t * r->stride + i], count);
    if (i + 1 < r->windows[t].count) continue;
    finish_row(r, t, sums, target);
    done = t + 1;
  }
  return done;
}

static void run(const struct resampler *r, const uint8_t *source, uint8_t *target) {
  const bool is_horizontal_first =
      r->width != r->target_width && r->middle == r->target_width;
  uint32_t done = 0;
  for (uint32_t y = 0; y < r->height; y++) {
    const uint8_t *row = source + 3 * (size_t)r->width * y;
    if (is_horizontal_first) {
      const bool is_last_pass = r->height == r->target_height;
      uint8_t *out = is_last_pass ? target + 3 * (size_t)r->target_width * y : r->row;
      resample_row(r, row, out);
      row = out;
    }
    if (r->height != r->target_height) done = spread_row(r, row, y, done, target);
  }
}

int32_t image_resample_bicubic(const uint8_t *source, uint32_t width, uint32_t height,
                               uint8_t *target, uint32_t target_width, uint32_t target_height) {
  return image_resample_bicubic_on(image_vectors(), source, width, height, target, target_width,
                                   target_height);
}

int32_t image_resample_bicubic_on(enum image_vectors vectors, const uint8_t *source,
                                  uint32_t width, uint32_t height, uint8_t *target, uint32_t target_width,
                                  uint32_t target_height) {
  if (width == target_width && height == target_height) {
    memcpy(target, source, 3 * (size_t)width * height);
    return IMAGE_OK;
  }
  struct resampler resampler = {.width = width, .height = height, .target_width = target_width,
                                .target_height = target_height,
                                .resample_row = resample_row_on(vectors)};
  const bool has_memory = make_resampler(&resampler);
  if (has_memory) run(&resampler, source, target);
  free_resampler(&resampler);
  return has_memory ? IMAGE_OK : IMAGE_OUT_OF_MEMORY;
}
