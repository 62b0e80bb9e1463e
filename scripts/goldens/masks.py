"""Writes Tests/ImagingTests/Fixtures/masks.json: masks, and what pycocotools makes of them.

Run from anywhere: `python scripts/goldens/masks.py` (needs pycocotools and numpy). The bits come from
the generator of `imaging.py`, which the tests repeat: `blob` masks are a threshold on a soft wave of
whole numbers, so that no rounding is in them.
"""

import json

import numpy as np
from importlib.metadata import version
from pycocotools import mask as coco

from imaging import OUT, pixels


def blob(width, height, seed):
    """Discs of random middles and radii; whole-number arithmetic only."""
    draws = pixels(12, seed).astype(int)
    y, x = np.mgrid[0:height, 0:width]
    bits = np.zeros((height, width), dtype=bool)
    for middle_x, middle_y, radius in draws.reshape(4, 3):
        distance = (x * 256 - middle_x * width) ** 2 + (y * 256 - middle_y * height) ** 2
        bits |= distance < (radius * min(width, height) // 2) ** 2
    return bits


def noise(width, height, seed):
    return pixels(width * height, seed).reshape(height, width) > 127


def cases():
    sizes = [(1, 1), (1, 9), (9, 1), (2, 2), (7, 5), (31, 33), (64, 64), (100, 80), (640, 480)]
    for width, height in sizes:
        yield "empty", width, height, 0, np.zeros((height, width), dtype=bool)
        yield "full", width, height, 0, np.ones((height, width), dtype=bool)
    for seed in range(40):
        width, height = (int(side) % 60 + 1 for side in pixels(2, 1000 + seed))
        yield "noise", width, height, seed, noise(width, height, seed)
        width, height = 3 * width, 2 * height
        yield "blob", width, height, seed, blob(width, height, seed)
    for seed in (100,):
        yield "blob", 1600, 1200, seed, blob(1600, 1200, seed)


def main():
    lines = []
    with np.errstate(over="ignore"):
        for kind, width, height, seed, bits in cases():
            rle = coco.encode(np.asfortranarray(bits.astype(np.uint8)))
            other = coco.encode(np.asfortranarray(blob(width, height, seed + 1).astype(np.uint8)))
            lines.append(json.dumps({
                "kind": kind, "width": width, "height": height, "seed": seed,
                "counts": rle["counts"].decode(), "area": int(coco.area(rle)),
                "other": other["counts"].decode(),
                # Two empty masks: not-a-number there, 0 here.
                "iou": float(np.nan_to_num(coco.iou([rle], [other], [0])[0, 0])),
            }))
    text = ",\n".join(lines)
    (OUT / "masks.json").write_text(f'{{"pycocotools": "{version("pycocotools")}", "cases": [\n{text}\n]}}\n')


if __name__ == "__main__":
    main()
