// The one number we want from EXIF: which way is up.
//
// EXIF is a TIFF structure: byte order, the offset of a directory, and in it 12-byte entries of
// tag, type, count and value. Camera makers nest much more; all of it is skipped. Anything that
// does not fit the bytes means "no orientation", never an error: the picture itself may be fine.
#include "internal.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12 };

int32_t exif_orientation(const uint8_t *bytes, size_t byte_count) {
  // Some writers put the JPEG prefix before the TIFF structure in PNG and WebP too, or put it twice.
  for (int i = 0; i < 2 && byte_count >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0; i++) {
    bytes += 6;
    byte_count -= 6;
  }
  if (byte_count < 8) return 1;
  const bool is_little = bytes[0] == 'I' && bytes[1] == 'I';
  if (!is_little && !(bytes[0] == 'M' && bytes[1] == 'M')) return 1;
  uint32_t (*read16)(const uint8_t *) = is_little ? read_le16 : read_be16;
  uint32_t (*read32)(const uint8_t *) = is_little ? read_le32 : read_be32;
  if (read16(bytes + 2) != 42) return 1;

  const size_t directory = read32(bytes + 4);
  if (directory > byte_count || byte_count - directory < 2) return 1;
  const size_t entry_count = read16(bytes + directory);
  int32_t orientation = 1;
  size_t offset = directory + 2;
  for (size_t i = 0; i < entry_count && byte_count - offset >= ENTRY_BYTES; i++) {
    const uint8_t *entry = bytes + offset;
    const uint32_t type = read16(entry + 2);
    if (read16(entry) == TAG_ORIENTATION && read32(entry + 4) == 1 &&
        (type == TYPE_SHORT || type == TYPE_LONG)) {
      const uint32_t value = type == TYPE_SHORT ? read16(entry + 8) : read32(entry + 8);
      orientation = value >= 1 && value <= 8 ? (int32_t)value : 1;
    }
    offset += ENTRY_BYTES;
  }
  return orientation;
}
