// What the files of this target share. Not visible to Swift.
#ifndef PALISADE_IMAGE_INTERNAL_H
#define PALISADE_IMAGE_INTERNAL_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "image_codecs.h"

static inline uint32_t read_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t read_be32(const uint8_t *p) { return read_be16(p) << 16 | read_be16(p + 2); }
static inline uint32_t read_le16(const uint8_t *p) { return (uint32_t)p[1] << 8 | p[0]; }
static inline uint32_t read_le24(const uint8_t *p) { return (uint32_t)p[2] << 16 | read_le16(p); }
static inline uint32_t read_le32(const uint8_t *p) { return read_le16(p + 2) << 16 | read_le16(p); }

static inline int32_t image_fail(struct image_report *report, int32_t status, const char *cause) {
  snprintf(report->error, sizeof report->error, "%s", cause);
  return status;
}

static inline void image_warn(struct image_report *report, const char *warning) {
  if (report->warning_count == 0) {
    snprintf(report->warning, sizeof report->warning, "%s", warning);
  }
  if (report->warning_count < UINT32_MAX) report->warning_count += 1;
}

// The orientation in a TIFF structure, with or without "Exif\0\0" before it; 1 when there is none.
int32_t exif_orientation(const uint8_t *bytes, size_t byte_count);

int32_t jpeg_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                   struct image_report *report);
int32_t jpeg_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                    uint8_t *rgb, struct image_report *report);
int32_t png_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                  struct image_report *report);
int32_t png_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                   uint8_t *rgb, struct image_report *report);
int32_t webp_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                   struct image_report *report);
int32_t webp_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                    uint8_t *rgb, struct image_report *report);

#endif
