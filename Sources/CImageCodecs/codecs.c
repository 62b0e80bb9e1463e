// Picks the codec by the first bytes; a file name or a claimed media type is never asked.
#include <stdlib.h>

#include "internal.h"

static int32_t format_of(const uint8_t *bytes, size_t byte_count) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (byte_count >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff) {
    return IMAGE_JPEG;
  }
  if (byte_count >= sizeof png && memcmp(bytes, png, sizeof png) == 0) return IMAGE_PNG;
  if (byte_count >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) {
    return IMAGE_WEBP;
  }
  return IMAGE_NONE;
}

int32_t image_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                    struct image_report *report) {
  *report = (struct image_report){0};
  *info = (struct image_info){.format = format_of(bytes, byte_count), .orientation = 1};
  int32_t status;
  switch (info->format) {
    case IMAGE_JPEG: status = jpeg_probe(bytes, byte_count, info, report); break;
    case IMAGE_PNG: status = png_probe(bytes, byte_count, info, report); break;
    case IMAGE_WEBP: status = webp_probe(bytes, byte_count, info, report); break;
    default: return image_fail(report, IMAGE_UNSUPPORTED, "not a JPEG, PNG or WebP picture");
  }
  if (status == IMAGE_OK && (info->width == 0 || info->height == 0)) {
    return image_fail(report, IMAGE_CORRUPT, "a side of the picture has no pixels");
  }
  return status;
}

int32_t image_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                     uint8_t *rgb, struct image_report *report) {
  *report = (struct image_report){0};
  switch (info->format) {
    case IMAGE_JPEG: return jpeg_decode(bytes, byte_count, info, rgb, report);
    case IMAGE_PNG: return png_decode(bytes, byte_count, info, rgb, report);
    case IMAGE_WEBP: return webp_decode(bytes, byte_count, info, rgb, report);
    default: return image_fail(report, IMAGE_UNSUPPORTED, "not a JPEG, PNG or WebP picture");
  }
}

void image_free(uint8_t *encoded) { free(encoded); }

// Chosen at run time: the binary runs on machines without them, with the same bits.
enum image_vectors image_vectors(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")) {
    return IMAGE_AVX512;
  }
  if (__builtin_cpu_supports("avx2")) return IMAGE_AVX2;
#endif
  return IMAGE_PORTABLE;
}
