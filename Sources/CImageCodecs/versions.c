#include "image_codecs.h"

#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/decode.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

const char *image_jpeg_version(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return TEXT(LIBJPEG_TURBO_VERSION);
#else
  return TEXT(JPEG_LIB_VERSION);
#endif
}

const char *image_png_version(void) { return png_get_libpng_ver(NULL); }

int image_webp_version(void) { return WebPGetDecoderVersion(); }
