"""Writes PNG variants that Pillow cannot write: every depth, Adam7, chosen chunks."""

import struct
import zlib

import numpy as np

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pack_rows(samples, depth):
    """[height, width, channels] samples to filter-0 rows."""
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if depth == 16:
        packed = flat.astype(">u2").view(np.uint8)
    elif depth == 8:
        packed = flat.astype(np.uint8)
    else:
        bits = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
        packed = np.packbits(bits.reshape(height, -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def write(samples, depth, colour_type, interlaced=False, before=b"", after=b"", end=True):
    height, width, channels = samples.shape
    assert channels == CHANNELS[colour_type]
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        raw = b"".join(pack_rows(part, depth) for part in passes if part.size)
    else:
        raw = pack_rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    tail = chunk(b"IEND", b"") if end else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before
            + chunk(b"IDAT", zlib.compress(raw, 9)) + after + tail)


def variants(rng, plain, exif):
    """Yields (name, bytes, note) for a [height, width, 3] uint8 picture."""
    height, width, _ = plain.shape
    grey = plain[..., :1]
    noise = lambda depth, count: rng.integers(0, 1 << depth, (height, width, count))
    palette = lambda depth: chunk(b"PLTE", rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes())
    rgba = np.concatenate([plain, noise(8, 1)], axis=2)
    wide = noise(16, 4)
    for interlaced in (False, True):
        tag = "-adam7" if interlaced else ""
        for depth in (1, 2, 4):
            yield f"png-grey{depth}{tag}", write(noise(depth, 1), depth, 0, interlaced)
            yield f"png-palette{depth}{tag}", write(noise(depth, 1), depth, 3, interlaced, palette(depth))
        yield f"png-palette8{tag}", write(noise(8, 1), 8, 3, interlaced, palette(8))
        yield f"png-grey8{tag}", write(grey, 8, 0, interlaced)
        yield f"png-grey16{tag}", write(wide[..., :1], 16, 0, interlaced)
        yield f"png-greyalpha8{tag}", write(rgba[..., 2:], 8, 4, interlaced)
        yield f"png-greyalpha16{tag}", write(wide[..., :2], 16, 4, interlaced)
        yield f"png-rgb8{tag}", write(plain, 8, 2, interlaced)
        yield f"png-rgb16{tag}", write(wide[..., :3], 16, 2, interlaced)
        yield f"png-rgba8{tag}", write(rgba, 8, 6, interlaced)
        yield f"png-rgba16{tag}", write(wide, 16, 6, interlaced)
    alphas = chunk(b"tRNS", rng.integers(0, 256, 16, dtype=np.uint8).tobytes())
    yield "png-palette4-trns", write(noise(4, 1), 4, 3, False, palette(4) + alphas)
    yield "png-palette8-short", write(noise(8, 1), 8, 3, False, palette(4))
    yield "png-grey8-trns", write(grey, 8, 0, False, chunk(b"tRNS", b"\0\x80"))
    yield "png-rgb8-trns", write(plain, 8, 2, False, chunk(b"tRNS", bytes(plain[0, 0][[0, 0, 0]]) * 2))
    yield "png-gamma", write(plain, 8, 2, False, chunk(b"gAMA", struct.pack(">I", 100000)))
    yield "png-exif-before", write(plain, 8, 2, False, chunk(b"eXIf", exif(6)))
    yield "png-exif-after", write(plain, 8, 2, False, b"", chunk(b"eXIf", exif(8)))
    yield "png-no-end", write(plain, 8, 2, end=False)
    yield "png-1x1", write(plain[:1, :1], 8, 2)
