#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire_support.h"

uint64_t wire_checksum(const void *bytes, size_t byte_count) {
  return XXH3_64bits(bytes, byte_count);
}
