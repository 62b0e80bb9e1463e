// The eight ways a camera can have been held.
#include "internal.h"

// Where the pixel at (x, y) of the upright picture lies in the stored one, as three byte steps:
// `start` for (0, 0), `right` for one more x and `down` for one more y.
struct walk {
  ptrdiff_t start, right, down;
};

static struct walk walk_of(uint32_t width, uint32_t height, int32_t orientation) {
  const ptrdiff_t x = 3, y = 3 * (ptrdiff_t)width;
  const ptrdiff_t last_x = x * ((ptrdiff_t)width - 1), last_y = y * ((ptrdiff_t)height - 1);
  switch (orientation) {
    case 2: return (struct walk){last_x, -x, y};            // mirrored left to right
    case 3: return (struct walk){last_x + last_y, -x, -y};  // half a turn
    case 4: return (struct walk){last_y, x, -y};            // mirrored top to bottom
    case 5: return (struct walk){0, y, x};                  // transposed
    case 6: return (struct walk){last_y, -y, x};            // stored a quarter turn to the left
    case 7: return (struct walk){last_x + last_y, -y, -x};  // transposed over the other diagonal
    case 8: return (struct walk){last_x, y, -x};            // stored a quarter turn to the right
    default: return (struct walk){0, x, y};
  }
}

void image_orient(const uint8_t *source, uint32_t width, uint32_t height, int32_t orientation,
                  uint8_t *target) {
  const struct walk walk = walk_of(width, height, orientation);
  const bool is_turned = orientation >= 5 && orientation <= 8;
  const uint32_t target_width = is_turned ? height : width;
  const uint32_t target_height = is_turned ? width : height;
  for (uint32_t row = 0; row < target_height; row++) {
    ptrdiff_t from = walk.start + (ptrdiff_t)row * walk.down;
    for (uint32_t column = 0; column < target_width; column++) {
      target[0] = source[from];
      target[1] = source[from + 1];
      target[2] = source[from + 2];
      target += 3;
      from += walk.right;
    }
  }
}
