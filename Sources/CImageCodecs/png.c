// PNG to RGB8 by libpng. Alpha is dropped, not composited, and colour profiles and gamma are not
// applied: that is what Pillow's convert("RGB") does, and what the model was trained on.
#include <png.h>
#include <stdlib.h>

#include "internal.h"

struct decoder {
  png_structp codec;
  png_infop header;
  const uint8_t *bytes;
  size_t byte_count;
  size_t offset;
  struct image_report *report;
  int32_t status;
};

static void on_error(png_structp codec, png_const_charp text) {
  struct decoder *decoder = png_get_error_ptr(codec);
  // on_read has already said that the bytes ran out.
  if (decoder->status == IMAGE_OK) {
    const int32_t status = strstr(text, "memory") != NULL ? IMAGE_OUT_OF_MEMORY : IMAGE_CORRUPT;
    decoder->status = image_fail(decoder->report, status, text);
  }
  png_longjmp(codec, 1);
}

static void on_warning(png_structp codec, png_const_charp text) {
  image_warn(((struct decoder *)png_get_error_ptr(codec))->report, text);
}

static void on_read(png_structp codec, png_bytep into, size_t count) {
  struct decoder *decoder = png_get_io_ptr(codec);
  if (count > decoder->byte_count - decoder->offset) {
    decoder->status = image_fail(decoder->report, IMAGE_TRUNCATED, "image file is truncated");
    png_error(codec, "truncated");
  }
  memcpy(into, decoder->bytes + decoder->offset, count);
  decoder->offset += count;
}

// Everything that is not pixels is skipped unread: transparency, because alpha is dropped; text and
// profiles, because they are compressed and would be unpacked only to be thrown away.
static void skip_ancillary_chunks(png_structp codec) {
  static const png_byte names[] =
      "tRNS\0bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0"
      "sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt";
  png_set_keep_unknown_chunks(codec, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  png_set_keep_unknown_chunks(codec, PNG_HANDLE_CHUNK_NEVER, names, sizeof names / 5);
}

static void ask_for_rgb8(struct decoder *decoder) {
  png_structp codec = decoder->codec;
  const png_byte type = png_get_color_type(codec, decoder->header);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(codec);
  if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(codec);
  // The high byte. For 16-bit grey Pillow 13 clips at 255 instead, which turns nearly every such
  // picture white; for 16-bit RGB it takes the high byte too, so we do so everywhere.
  png_set_strip_16(codec);
  png_set_strip_alpha(codec);
  if ((type & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(codec);
}

static int32_t run(struct decoder *decoder, const struct image_info *info, uint8_t *rgb) {
  png_structp codec = decoder->codec;
  png_set_read_fn(codec, decoder, on_read);
  skip_ancillary_chunks(codec);
  png_read_info(codec, decoder->header);
  if (png_get_image_width(codec, decoder->header) != info->width ||
      png_get_image_height(codec, decoder->header) != info->height) {
    return image_fail(decoder->report, IMAGE_CORRUPT, "two headers disagree on the size");
  }
  ask_for_rgb8(decoder);
  const int pass_count = png_set_interlace_handling(codec);
  png_read_update_info(codec, decoder->header);
  const size_t row_bytes = 3 * (size_t)info->width;
  if (png_get_rowbytes(codec, decoder->header) != row_bytes) {
    return image_fail(decoder->report, IMAGE_UNSUPPORTED, "PNG that does not convert to RGB");
  }
  for (int pass = 0; pass < pass_count; pass++) {
    for (uint32_t y = 0; y < info->height; y++) png_read_row(codec, rgb + y * row_bytes, NULL);
  }
  return IMAGE_OK;  // what follows the pixels is not read: nothing in it could change them
}

// The only frame that longjmp may return to; it changes no variable of its own after setjmp.
static void run_caught(struct decoder *decoder, const struct image_info *info, uint8_t *rgb) {
  if (setjmp(png_jmpbuf(decoder->codec)) != 0) return;
  decoder->status = run(decoder, info, rgb);
}

int32_t png_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                   uint8_t *rgb, struct image_report *report) {
  struct decoder decoder = {.bytes = bytes, .byte_count = byte_count, .report = report};
  decoder.codec = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
  if (decoder.codec != NULL) decoder.header = png_create_info_struct(decoder.codec);
  if (decoder.header == NULL) {
    decoder.status = image_fail(report, IMAGE_OUT_OF_MEMORY, "no memory for a decoder");
  } else {
    run_caught(&decoder, info, rgb);
  }
  png_destroy_read_struct(&decoder.codec, &decoder.header, NULL);
  return decoder.status;
}

// Size from the first chunk; orientation from an eXIf chunk, which may also follow the pixels.
int32_t png_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                  struct image_report *report) {
  enum { HEADER_END = 8 + 8 + 13 + 4 };
  if (byte_count < HEADER_END) {
    return image_fail(report, IMAGE_TRUNCATED, "image file is truncated in its headers");
  }
  if (read_be32(bytes + 8) != 13 || memcmp(bytes + 12, "IHDR", 4) != 0) {
    return image_fail(report, IMAGE_CORRUPT, "PNG does not begin with its header");
  }
  info->width = read_be32(bytes + 16);
  info->height = read_be32(bytes + 20);
  size_t offset = HEADER_END;
  while (byte_count - offset >= 12) {  // length, name and checksum of an empty chunk
    const size_t length = read_be32(bytes + offset);
    if (length > byte_count - offset - 12) break;
    if (memcmp(bytes + offset + 4, "eXIf", 4) == 0) {
      info->orientation = exif_orientation(bytes + offset + 8, length);
    }
    offset += 12 + length;
  }
  return IMAGE_OK;
}
