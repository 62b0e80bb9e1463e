// Encoded pictures to RGB8 and back, and the byte arithmetic on RGB8 that must be fast.
//
// Knows JPEG, PNG and WebP and nothing of models or Swift. Bytes from outside are input, never
// truth: every function checks what it reads against the byte count it was given. `longjmp`, which
// libjpeg and libpng use for errors, never leaves this target. Nothing here prints, keeps a global
// or is tied to a thread. RGB8 is row-major, three bytes a pixel, no padding between rows.
#ifndef PALISADE_IMAGE_CODECS_H
#define PALISADE_IMAGE_CODECS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_status {
  IMAGE_OK = 0,
  IMAGE_UNSUPPORTED = 1,   // not one of the formats, or a variant of one that we do not read
  IMAGE_TRUNCATED = 2,     // the bytes end before the picture does
  IMAGE_CORRUPT = 3,       // the bytes contradict the format
  IMAGE_OUT_OF_MEMORY = 4  // an allocation failed
};

enum image_format { IMAGE_NONE = 0, IMAGE_JPEG = 1, IMAGE_PNG = 2, IMAGE_WEBP = 3 };

struct image_info {
  int32_t format;       // enum image_format
  uint32_t width;       // as stored, before the orientation is applied; at least 1
  uint32_t height;      // likewise
  int32_t orientation;  // EXIF tag 0x0112, 1 to 8; 1 when absent or invalid
};

// What a codec had to say: the cause of a failure, and the first of the warnings.
struct image_report {
  char error[208];
  char warning[208];
  uint32_t warning_count;
};

// Reads format, size and orientation from the headers; decodes and allocates nothing.
// Returns IMAGE_OK, IMAGE_UNSUPPORTED, IMAGE_TRUNCATED or IMAGE_CORRUPT.
int32_t image_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                    struct image_report *report);

// Decodes into `rgb`, which holds 3 * info->width * info->height bytes; `info` is what image_probe
// said of the same bytes. The orientation is not applied. On failure `rgb` may be partly written.
int32_t image_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                     uint8_t *rgb, struct image_report *report);

// Turns a stored picture `source` [height, width, 3] upright, as PIL.ImageOps.exif_transpose does.
// For orientations 5 to 8 `target` is [width, height, 3]. The two must not overlap.
void image_orient(const uint8_t *source, uint32_t width, uint32_t height, int32_t orientation,
                  uint8_t *target);

// Resamples [height, width, 3] to [target_height, target_width, 3], bicubic exactly as Pillow does
// it (see resample.c). No size may be 0; widths and heights are at most 65,535.
// Returns IMAGE_OK or IMAGE_OUT_OF_MEMORY.
int32_t image_resample_bicubic(const uint8_t *source, uint32_t width, uint32_t height,
                               uint8_t *target, uint32_t target_width, uint32_t target_height);

// Vector instructions that the conversions below and above use, each with the same bits.
enum image_vectors {
  IMAGE_PORTABLE,
  IMAGE_AVX2,
  IMAGE_AVX512,  // F, BW, VL and VNNI
};
// The widest that this CPU has; those before it in the list it has too.
enum image_vectors image_vectors(void);
// The same with given ones, for tests.
int32_t image_resample_bicubic_on(enum image_vectors vectors, const uint8_t *source,
                                  uint32_t width, uint32_t height, uint8_t *target, uint32_t target_width,
                                  uint32_t target_height);

// Turns a video's frame into `rgb` [height, width, 3]: planes of Y' [height, width], Cb and Cr, these of the same size, or
// with both sides halved and rounded up (4:2:0). The weights are the matrix's Kr and Kb; see yuv.c.
// Returns IMAGE_OK or IMAGE_OUT_OF_MEMORY.
int32_t image_from_yuv(const uint8_t *planes, uint32_t width, uint32_t height, bool is_halved,
                       double red_weight, double blue_weight, bool is_full_range, uint8_t *rgb);
// The same with given vector instructions, for tests.
int32_t image_from_yuv_on(enum image_vectors vectors, const uint8_t *planes, uint32_t width,
                          uint32_t height, bool is_halved, double red_weight, double blue_weight,
                          bool is_full_range, uint8_t *rgb);

// Encode to a buffer of *encoded_byte_count bytes that the caller gives to image_free.
// JPEG is baseline 4:2:0, quality 1 to 100; PNG has 8-bit samples: RGB with 3 channels, grey with 1.
int32_t image_encode_png(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                         uint8_t **encoded, size_t *encoded_byte_count,
                         struct image_report *report);
int32_t image_encode_jpeg(const uint8_t *rgb, uint32_t width, uint32_t height, int32_t quality,
                          uint8_t **encoded, size_t *encoded_byte_count,
                          struct image_report *report);
void image_free(uint8_t *encoded);

// libjpeg-turbo's version as compiled against: it does not say at run time.
const char *image_jpeg_version(void);
// libpng's version, at run time.
const char *image_png_version(void);
// libwebp's version, at run time: major, minor and revision in the three lower bytes.
int image_webp_version(void);

#endif
