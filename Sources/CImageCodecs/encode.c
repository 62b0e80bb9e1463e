// RGB8 (and grey) to PNG and baseline JPEG, in memory.
#include <png.h>
#include <setjmp.h>
#include <stdio.h>  // jpeglib.h does not include what it uses
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

#include "internal.h"

struct png_output {
  uint8_t *bytes;
  size_t byte_count;
  size_t capacity;
  struct image_report *report;
  int32_t status;
};

static void on_png_error(png_structp codec, png_const_charp text) {
  struct png_output *output = png_get_error_ptr(codec);
  if (output->status == IMAGE_OK) output->status = image_fail(output->report, IMAGE_UNSUPPORTED, text);
  png_longjmp(codec, 1);
}

static void on_png_warning(png_structp codec, png_const_charp text) {
  image_warn(((struct png_output *)png_get_error_ptr(codec))->report, text);
}

static void on_png_write(png_structp codec, png_bytep from, size_t count) {
  struct png_output *output = png_get_io_ptr(codec);
  if (count > output->capacity - output->byte_count) {
    // Grown by half: at most a third of the buffer is waste.
    const size_t capacity = output->byte_count + count + output->capacity / 2 + 4096;
    uint8_t *grown = capacity > output->byte_count ? realloc(output->bytes, capacity) : NULL;
    if (grown == NULL) {
      output->status = image_fail(output->report, IMAGE_OUT_OF_MEMORY, "no memory for the PNG");
      png_error(codec, "out of memory");
    }
    output->bytes = grown;
    output->capacity = capacity;
  }
  memcpy(output->bytes + output->byte_count, from, count);
  output->byte_count += count;
}

static void on_png_flush(png_structp codec) { (void)codec; }

// The only frame that longjmp may return to; it changes no variable of its own after setjmp.
static void write_png(png_structp codec, png_infop header, const uint8_t *pixels, uint32_t width,
                      uint32_t height, uint32_t channels, struct png_output *output) {
  if (setjmp(png_jmpbuf(codec)) != 0) return;
  png_set_write_fn(codec, output, on_png_write, on_png_flush);
  png_set_IHDR(codec, header, width, height, 8,
               channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(codec, header);
  for (uint32_t y = 0; y < height; y++) {
    png_write_row(codec, pixels + channels * (size_t)width * y);
  }
  png_write_end(codec, header);
}

int32_t image_encode_png(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
                         uint8_t **encoded, size_t *encoded_byte_count,
                         struct image_report *report) {
  *report = (struct image_report){0};
  struct png_output output = {.report = report};
  png_infop header = NULL;
  png_structp codec =
      png_create_write_struct(PNG_LIBPNG_VER_STRING, &output, on_png_error, on_png_warning);
  if (codec != NULL) header = png_create_info_struct(codec);
  if (header == NULL) {
    output.status = image_fail(report, IMAGE_OUT_OF_MEMORY, "no memory for an encoder");
  } else {
    write_png(codec, header, pixels, width, height, channels, &output);
  }
  png_destroy_write_struct(&codec, &header);
  if (output.status != IMAGE_OK) {
    free(output.bytes);
    return output.status;
  }
  *encoded = output.bytes;
  *encoded_byte_count = output.byte_count;
  return IMAGE_OK;
}

struct jpeg_encoder {
  struct jpeg_error_mgr errors;  // first, so that libjpeg's pointer to it is a pointer to us
  struct jpeg_compress_struct codec;
  struct image_report *report;
  unsigned char *bytes;
  unsigned long byte_count;
  int32_t status;
  jmp_buf failed;
};

static void on_jpeg_error(j_common_ptr codec) {
  struct jpeg_encoder *encoder = (struct jpeg_encoder *)codec->err;
  char text[JMSG_LENGTH_MAX];
  codec->err->format_message(codec, text);
  const bool has_no_memory = codec->err->msg_code == JERR_OUT_OF_MEMORY;
  encoder->status =
      image_fail(encoder->report, has_no_memory ? IMAGE_OUT_OF_MEMORY : IMAGE_UNSUPPORTED, text);
  longjmp(encoder->failed, 1);
}

static void on_jpeg_message(j_common_ptr codec, int level) {
  (void)codec;
  (void)level;
}

static void write_jpeg(struct jpeg_encoder *encoder, const uint8_t *rgb, uint32_t width,
                       uint32_t height, int32_t quality) {
  struct jpeg_compress_struct *codec = &encoder->codec;
  jpeg_mem_dest(codec, &encoder->bytes, &encoder->byte_count);
  codec->image_width = width;
  codec->image_height = height;
  codec->input_components = 3;
  codec->in_color_space = JCS_RGB;
  jpeg_set_defaults(codec);
  jpeg_set_quality(codec, quality, TRUE);
  jpeg_start_compress(codec, TRUE);
  while (codec->next_scanline < height) {
    // libjpeg's rows are not const, but it only reads them.
    JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + 3 * (size_t)width * codec->next_scanline);
    jpeg_write_scanlines(codec, &row, 1);
  }
  jpeg_finish_compress(codec);
}

int32_t image_encode_jpeg(const uint8_t *rgb, uint32_t width, uint32_t height, int32_t quality,
                          uint8_t **encoded, size_t *encoded_byte_count,
                          struct image_report *report) {
  *report = (struct image_report){0};
  // On the heap: automatic variables changed between setjmp and longjmp would be indeterminate.
  struct jpeg_encoder *encoder = calloc(1, sizeof *encoder);
  if (encoder == NULL) return image_fail(report, IMAGE_OUT_OF_MEMORY, "no memory for an encoder");
  encoder->report = report;
  encoder->codec.err = jpeg_std_error(&encoder->errors);
  encoder->errors.error_exit = on_jpeg_error;
  encoder->errors.emit_message = on_jpeg_message;
  if (setjmp(encoder->failed) == 0) {
    jpeg_create_compress(&encoder->codec);
    write_jpeg(encoder, rgb, width, height, quality);
  }
  const int32_t status = encoder->status;
  jpeg_destroy_compress(&encoder->codec);
  if (status == IMAGE_OK) {
    *encoded = encoder->bytes;
    *encoded_byte_count = encoder->byte_count;
  } else {
    free(encoder->bytes);
  }
  free(encoder);
  return status;
}
