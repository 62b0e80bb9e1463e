// JPEG to RGB8 by libjpeg-turbo, with its defaults (integer DCT, fancy upsampling) and Pillow's
// choices around it, so that the pixels are Pillow's.
#include <setjmp.h>
#include <stdio.h>  // jpeglib.h does not include what it uses
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

#include "internal.h"

// Progressive pictures are held as coefficients: 2 bytes for each of up to 4 components of a pixel,
// 800 MB at the 100 million pixels that Imaging lets through. Past this the file is lying.
enum { MEMORY_MAX = 1 << 30 };
// A progressive file has about ten scans. Each scan, however short, costs a pass over the whole
// picture, so that a small file with thousands of scans would keep a core busy for hours.
enum { SCANS_MAX = 100 };

struct decoder {
  struct jpeg_error_mgr errors;  // first, so that libjpeg's pointer to it is a pointer to us
  struct jpeg_progress_mgr progress;
  struct jpeg_source_mgr source;
  struct jpeg_decompress_struct codec;
  struct image_report *report;
  uint8_t *cmyk_row;  // [4 * width], only for four-component pictures
  int32_t status;
  jmp_buf failed;
};

static int32_t status_of_message(int code) {
  switch (code) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE: return IMAGE_OUT_OF_MEMORY;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_SOF_UNSUPPORTED: return IMAGE_UNSUPPORTED;
    default: return IMAGE_CORRUPT;
  }
}

static void on_error(j_common_ptr codec) {
  struct decoder *decoder = (struct decoder *)codec->err;
  char text[JMSG_LENGTH_MAX];
  codec->err->format_message(codec, text);
  decoder->status =
      image_fail(decoder->report, status_of_message(codec->err->msg_code), text);
  longjmp(decoder->failed, 1);
}

static void on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;  // a trace
  char text[JMSG_LENGTH_MAX];
  codec->err->format_message(codec, text);
  image_warn(((struct decoder *)codec->err)->report, text);
}

static void on_progress(j_common_ptr codec) {
  struct decoder *decoder = (struct decoder *)codec->err;
  if (decoder->codec.input_scan_number <= SCANS_MAX) return;
  decoder->status = image_fail(decoder->report, IMAGE_CORRUPT, "more scans than a picture needs");
  longjmp(decoder->failed, 1);
}

static void nothing(j_decompress_ptr codec) { (void)codec; }

// All bytes are in memory, so asking for more means that the file is cut short. Saying "not now"
// lets libjpeg hand over what it has, and the caller see that it was not all.
static boolean no_more_bytes(j_decompress_ptr codec) {
  (void)codec;
  return FALSE;
}

static void skip_bytes(j_decompress_ptr codec, long count) {
  if (count <= 0) return;
  struct jpeg_source_mgr *source = codec->src;
  const size_t skipped =
      (size_t)count < source->bytes_in_buffer ? (size_t)count : source->bytes_in_buffer;
  source->next_input_byte += skipped;
  source->bytes_in_buffer -= skipped;
}

static int32_t truncated(struct decoder *decoder) {
  return image_fail(decoder->report, IMAGE_TRUNCATED, "image file is truncated");
}

// Adobe writes CMYK inverted, and Pillow takes every four-component JPEG for Adobe's. The
// arithmetic is Pillow's: r = w - c*w/255, where w = 255 - k and the product is rounded.
static void row_from_inverted_cmyk(const uint8_t *cmyk, uint32_t width, uint8_t *rgb) {
  for (uint32_t x = 0; x < width; x++) {
    const int32_t white = cmyk[4 * x + 3];
    for (int channel = 0; channel < 3; channel++) {
      const int32_t product = (255 - cmyk[4 * x + channel]) * white + 128;
      rgb[3 * x + channel] = (uint8_t)(white - ((product + (product >> 8)) >> 8));
    }
  }
}

static int32_t read_rows(struct decoder *decoder, uint8_t *rgb) {
  struct jpeg_decompress_struct *codec = &decoder->codec;
  while (codec->output_scanline < codec->output_height) {
    uint8_t *row = rgb + 3 * (size_t)codec->output_width * codec->output_scanline;
    JSAMPROW into = decoder->cmyk_row != NULL ? decoder->cmyk_row : row;
    if (jpeg_read_scanlines(codec, &into, 1) != 1) return truncated(decoder);
    if (decoder->cmyk_row != NULL) row_from_inverted_cmyk(into, codec->output_width, row);
  }
  // The picture is complete; a missing end marker is not worth an error (nor is it to Pillow).
  jpeg_finish_decompress(codec);
  return IMAGE_OK;
}

static int32_t run(struct decoder *decoder, const struct image_info *info, uint8_t *rgb) {
  struct jpeg_decompress_struct *codec = &decoder->codec;
  int header;
  do {
    header = jpeg_read_header(codec, FALSE);
  } while (header == JPEG_HEADER_TABLES_ONLY);
  if (header == JPEG_SUSPENDED) return truncated(decoder);
  if (codec->image_width != info->width || codec->image_height != info->height) {
    return image_fail(decoder->report, IMAGE_CORRUPT, "two frame headers disagree on the size");
  }
  switch (codec->num_components) {
    case 1:
    case 3: codec->out_color_space = JCS_RGB; break;
    case 4:
      codec->out_color_space = JCS_CMYK;
      decoder->cmyk_row = malloc(4 * (size_t)info->width);
      if (decoder->cmyk_row == NULL) {
        return image_fail(decoder->report, IMAGE_OUT_OF_MEMORY, "no memory for a row");
      }
      break;
    default:
      return image_fail(decoder->report, IMAGE_UNSUPPORTED,
                        "JPEG with neither 1, 3 nor 4 components");
  }
  if (!jpeg_start_decompress(codec)) return truncated(decoder);
  return read_rows(decoder, rgb);
}

int32_t jpeg_decode(const uint8_t *bytes, size_t byte_count, const struct image_info *info,
                    uint8_t *rgb, struct image_report *report) {
  // On the heap: automatic variables changed between setjmp and longjmp would be indeterminate.
  struct decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) return image_fail(report, IMAGE_OUT_OF_MEMORY, "no memory for a decoder");
  decoder->report = report;
  decoder->codec.err = jpeg_std_error(&decoder->errors);
  decoder->errors.error_exit = on_error;
  decoder->errors.emit_message = on_message;
  if (setjmp(decoder->failed) == 0) {
    jpeg_create_decompress(&decoder->codec);
    decoder->progress.progress_monitor = on_progress;
    decoder->codec.progress = &decoder->progress;
    decoder->codec.mem->max_memory_to_use = MEMORY_MAX;
    decoder->source = (struct jpeg_source_mgr){.next_input_byte = bytes,
                                               .bytes_in_buffer = byte_count,
                                               .init_source = nothing,
                                               .fill_input_buffer = no_more_bytes,
                                               .skip_input_data = skip_bytes,
                                               .resync_to_restart = jpeg_resync_to_restart,
                                               .term_source = nothing};
    decoder->codec.src = &decoder->source;
    decoder->status = run(decoder, info, rgb);
  }
  const int32_t status = decoder->status;
  jpeg_destroy_decompress(&decoder->codec);
  free(decoder->cmyk_row);
  free(decoder);
  return status;
}

static bool is_frame_header(uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

// Walks the marker segments up to the first scan, where the headers end.
int32_t jpeg_probe(const uint8_t *bytes, size_t byte_count, struct image_info *info,
                   struct image_report *report) {
  size_t offset = 2;
  bool has_exif = false;  // the first one counts
  while (offset < byte_count) {
    if (bytes[offset] != 0xff) {  // stray bytes between segments are skipped, as libjpeg does
      offset += 1;
      continue;
    }
    while (offset < byte_count && bytes[offset] == 0xff) offset += 1;
    if (offset == byte_count) break;
    const uint8_t marker = bytes[offset++];
    // No segment follows: a stuffed zero, TEM, a restart marker, a second start of image.
    if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    if (marker == 0xd9) break;  // the end of the picture, before any scan
    if (byte_count - offset < 2) break;
    const size_t length = read_be16(bytes + offset);
    if (length < 2) return image_fail(report, IMAGE_CORRUPT, "JPEG segment without a length");
    if (byte_count - offset < length) break;
    const uint8_t *segment = bytes + offset + 2;
    if (is_frame_header(marker)) {
      if (length < 8) return image_fail(report, IMAGE_CORRUPT, "JPEG frame header too short");
      info->height = read_be16(segment + 1);
      info->width = read_be16(segment + 3);
    } else if (marker == 0xe1 && !has_exif && length >= 8 &&
               memcmp(segment, "Exif\0\0", 6) == 0) {
      has_exif = true;
      info->orientation = exif_orientation(segment, length - 2);
    } else if (marker == 0xda) {
      if (info->width != 0 && info->height != 0) return IMAGE_OK;
      return image_fail(report, IMAGE_CORRUPT, "JPEG scan without a frame header");
    }
    offset += length;
  }
  return image_fail(report, IMAGE_TRUNCATED, "image file is truncated in its headers");
}
