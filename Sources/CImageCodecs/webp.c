// WebP to RGB8 by libwebp. Alpha is dropped, not composited, as Pillow's convert("RGB") does. Of an
// animation the first frame is taken, as Pillow does.
#include <webp/decode.h>

#include "internal.h"

enum { RIFF_HEADER = 12, CHUNK_HEADER = 8, FRAME_HEADER = 16 };

struct chunk {
  const uint8_t *payload;
  size_t byte_count;
};

// The first chunk of this name after the RIFF header, or one without payload.
static struct chunk find_chunk(const uint8_t *bytes, size_t byte_count, const char *name) {
  size_t offset = RIFF_HEADER;
  while (offset < byte_count && byte_count - offset >= CHUNK_HEADER) {
    const size_t length = read_le32(bytes + offset + 4);
    if (length > byte_count - offset - CHUNK_HEADER) break;
    if (memcmp(bytes + offset, name, 4) == 0) {
      return (struct chunk){bytes + offset + CHUNK_HEADER, length};
    }
    offset += CHUNK_HEADER + length + (length & 1);
  }
  return (struct chunk){NULL, 0};
}

static int32_t status_of(VP8StatusCode code, struct image_report *report) {
  switch (code) {
    case VP8_STATUS_OK: return IMAGE_OK;
    case VP8_STATUS_OUT_OF_MEMORY:
      return image_fail(report, IMAGE_OUT_OF_MEMORY, "libwebp ran out of memory");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return image_fail(report, IMAGE_UNSUPPORTED, "a WebP feature that libwebp does not read");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return image_fail(report, IMAGE_TRUNCATED, "image file is truncated");
    default: return image_fail(report, IMAGE_CORRUPT, "the WebP bit stream is not valid");
  }
}

int32_t webp_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                   struct image_report *report) {
  // libwebp alone would decode some cut files, with grey where the bytes are missing.
  const uint64_t riff_end = (uint64_t)read_le32(bytes + 4) + 8;
  if (riff_end > byte_count) {
    return image_fail(report, IMAGE_TRUNCATED, "image file is truncated");
  }
  WebPBitstreamFeatures features;
  const int32_t status = status_of(WebPGetFeatures(bytes, byte_count, &features), report);
  if (status != IMAGE_OK) return status;
  info->width = (uint32_t)features.width;
  info->height = (uint32_t)features.height;
  const struct chunk exif = find_chunk(bytes, (size_t)riff_end, "EXIF");
  if (exif.payload != NULL) info->orientation = exif_orientation(exif.payload, exif.byte_count);
  return IMAGE_OK;
}

// Decodes one bit stream of exactly `width` by `height` pixels to rows `stride` bytes apart.
static int32_t decode_stream(struct chunk stream, uint32_t width, uint32_t height, uint8_t *rgb,
                             size_t stride, struct image_report *report) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) {
    return image_fail(report, IMAGE_UNSUPPORTED, "libwebp is not the version we were built for");
  }
  int32_t status = status_of(WebPGetFeatures(stream.payload, stream.byte_count, &config.input),
                             report);
  if (status != IMAGE_OK) return status;
  if ((uint32_t)config.input.width != width || (uint32_t)config.input.height != height) {
    return image_fail(report, IMAGE_CORRUPT, "two headers disagree on the size");
  }
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = rgb;
  config.output.u.RGBA.stride = (int)stride;
  config.output.u.RGBA.size = stride * (height - 1) + 3 * (size_t)width;
  status = status_of(WebPDecode(stream.payload, stream.byte_count, &config), report);
  WebPFreeDecBuffer(&config.output);
  return status;
}

// A frame stands at a place on the canvas; what it does not cover is black.
static int32_t decode_first_frame(const uint8_t *bytes, size_t byte_count,
                                  const struct image_info *info, uint8_t *rgb,
                                  struct image_report *report) {
  const struct chunk frame = find_chunk(bytes, byte_count, "ANMF");
  if (frame.byte_count <= FRAME_HEADER) {
    return image_fail(report, IMAGE_CORRUPT, "a WebP animation without frames");
  }
  const uint32_t left = 2 * read_le24(frame.payload), top = 2 * read_le24(frame.payload + 3);
  const uint32_t width = read_le24(frame.payload + 6) + 1;
  const uint32_t height = read_le24(frame.payload + 9) + 1;
  if (left > info->width || width > info->width - left || top > info->height ||
      height > info->height - top) {
    return image_fail(report, IMAGE_CORRUPT, "a WebP frame outside its canvas");
  }
  const size_t stride = 3 * (size_t)info->width;
  if (width != info->width || height != info->height) memset(rgb, 0, stride * info->height);
  const struct chunk stream = {frame.payload + FRAME_HEADER, frame.byte_count - FRAME_HEADER};
  return decode_stream(stream, width, height, rgb + top * stride + 3 * (size_t)left, stride,
                       report);
}

int32_t webp_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                    uint8_t *rgb, struct image_report *report) {
  WebPBitstreamFeatures features;
  const int32_t status = status_of(WebPGetFeatures(bytes, byte_count, &features), report);
  if (status != IMAGE_OK) return status;
  if (features.has_animation) {
    return decode_first_frame(bytes, byte_count, info, rgb, report);
  }
  const struct chunk whole = {bytes, byte_count};
  return decode_stream(whole, info->width, info->height, rgb, 3 * (size_t)info->width, report);
}
