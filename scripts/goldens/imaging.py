"""Writes Tests/ImagingTests/Fixtures: encoded pictures, and what Pillow makes of them.

Run from anywhere: `python scripts/goldens/imaging.py` (needs pillow and numpy). Pictures are stored
as base64 in JSON with the FNV-1a hash and the first bytes of the RGB that is expected, so that the
folder stays small. The sources of the resizing cases are made by a generator that the tests repeat.
"""

import base64
import io
import json
import pathlib
import struct

import numpy as np
import PIL
from PIL import Image, ImageOps

import imaging_png

OUT = pathlib.Path(__file__).resolve().parents[2] / "Tests/ImagingTests/Fixtures"
MASK = (1 << 64) - 1


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MASK
    return f"{value:016x}"


def exif(orientation, big_endian=True, kind=3):
    """A TIFF structure with another tag before the orientation."""
    e = ">" if big_endian else "<"
    value = struct.pack(e + "HH", orientation, 0) if kind == 3 else struct.pack(e + "I", orientation)
    return ((b"MM" if big_endian else b"II") + struct.pack(e + "HIH", 42, 8, 2)
            + struct.pack(e + "HHI", 0x0100, 3, 1) + struct.pack(e + "HH", 9, 0)
            + struct.pack(e + "HHI", 0x0112, kind, 1) + value + struct.pack(e + "I", 0))


def photo(rng, height, width):
    """Soft waves with some noise: all colours, and compresses like a photograph."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 7 + k) + np.cos(y / 5 - k) + np.sin((x + y) / 11 * (k + 1)) for k in range(3)]
    return np.clip(127 + 50 * np.stack(waves, 2) + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def save(picture, kind, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(out, kind, **options)
    return out.getvalue()


def jpegs(rng, plain):
    jpeg = lambda **options: save(plain, "JPEG", **options)
    app1 = lambda tiff: b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
    base = jpeg(quality=85)
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"jpeg-{name}", jpeg(quality=90, subsampling=sampling)
    yield "jpeg-low", jpeg(quality=10)
    yield "jpeg-progressive", jpeg(progressive=True, quality=80)
    yield "jpeg-progressive-444", jpeg(progressive=True, quality=95, subsampling=0)
    yield "jpeg-restart", jpeg(restart_marker_blocks=2)
    yield "jpeg-keep-rgb", jpeg(keep_rgb=True, subsampling=0)
    yield "jpeg-grey", save(plain, "JPEG", "L")
    yield "jpeg-grey-progressive", save(plain, "JPEG", "L", progressive=True)
    cmyk = save(plain, "JPEG", "CMYK")
    adobe = cmyk.index(b"Adobe")
    yield "jpeg-cmyk", cmyk
    yield "jpeg-cmyk-progressive", save(plain, "JPEG", "CMYK", progressive=True)
    yield "jpeg-ycck", cmyk[: adobe + 11] + b"\x02" + cmyk[adobe + 12 :]
    yield "jpeg-cmyk-no-adobe", cmyk[: adobe - 4] + cmyk[adobe + 12 :]
    for orientation in range(1, 9):
        yield f"jpeg-exif{orientation}", base[:2] + app1(exif(orientation, orientation % 2 == 0)) + base[2:]
    yield "jpeg-exif-long", base[:2] + app1(exif(6, kind=4)) + base[2:]
    yield "jpeg-exif-invalid", base[:2] + app1(exif(9)) + base[2:]
    yield "jpeg-exif-two", base[:2] + app1(exif(3)) + app1(exif(6)) + base[2:]
    tables = base.index(b"\xff\xdb")
    yield "jpeg-stray-bytes", base[:tables] + b"\x12\x34\x56" + base[tables:]
    yield "jpeg-early-end", base[:-500] + base[-2:]
    for height, width in ((1, 1), (1, 17), (17, 1), (2, 3), (8, 9)):
        yield f"jpeg-{width}x{height}", save(plain[:height, :width], "JPEG")
    middle = len(base) - 300
    yield "jpeg-bad-data", base[:middle] + rng.integers(0, 255, 40, dtype=np.uint8).tobytes() + base[middle + 40 :]


def webps(rng, plain):
    height, width, _ = plain.shape
    rgba = np.concatenate([plain, rng.integers(0, 256, (height, width, 1), dtype=np.uint8)], axis=2)
    yield "webp-lossy", save(plain, "WEBP", quality=80)
    yield "webp-lossless", save(plain, "WEBP", lossless=True)
    yield "webp-alpha", save(rgba, "WEBP", "RGBA", quality=80)
    yield "webp-lossless-alpha", save(rgba, "WEBP", "RGBA", lossless=True, exact=True)
    yield "webp-exif5", save(plain, "WEBP", lossless=True, exif=exif(5))
    yield "webp-exif7", save(plain, "WEBP", quality=50, exif=b"Exif\0\0" + exif(7, False))
    yield "webp-1x1", save(plain[:1, :1], "WEBP", quality=80)
    frames = [Image.fromarray(plain), Image.fromarray(255 - plain)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], duration=100, quality=60)
    yield "webp-animated", out.getvalue()
    small = bytearray(out.getvalue())  # the same frames on a larger canvas, 2 down and 4 right
    small[24:30] = (width + 9).to_bytes(3, "little") + (height + 5).to_bytes(3, "little")
    frame = small.index(b"ANMF") + 8
    small[frame : frame + 6] = (2).to_bytes(3, "little") + (1).to_bytes(3, "little")
    yield "webp-animated-offset", bytes(small)


def expected(name, data):
    image = Image.open(io.BytesIO(data))
    if name.startswith("png-grey16"):  # Pillow's own answer clips at 255; ours is the high byte
        samples = np.asarray(image)
        return np.repeat((samples >> 8).astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def pillow_accepts(data):
    try:
        Image.open(io.BytesIO(data)).convert("RGB")
        return True
    except Exception:
        return False


def sizes(rng):
    named = [(1, 1, 224, 224), (1, 1, 1, 7), (640, 480, 224, 224), (480, 640, 224, 224), (100, 80, 448, 448),
             (37, 53, 224, 224), (224, 224, 448, 448), (448, 448, 224, 224), (1000, 3, 224, 224), (3, 1000, 224, 224),
             (224, 500, 224, 224), (500, 224, 224, 224), (300, 650, 63, 63), (540, 1200, 224, 224), (2, 2, 3, 5),
             (4000, 1, 1, 1), (1, 4000, 1, 1), (1, 4000, 5, 3), (333, 1, 500, 2)]
    yield from named
    for _ in range(60):
        yield tuple(int(side) for side in rng.integers(1, 120, 4))


def pixels(count, seed):
    """SplitMix64, one byte a draw; ImagingTests/Fixtures.swift has the same."""
    step = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (step ^ (step >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z >> np.uint64(56)).astype(np.uint8)


def resizing(rng):
    for seed, (width, height, new_width, new_height) in enumerate(sizes(rng)):
        source = pixels(3 * width * height, seed).reshape(height, width, 3)
        if seed % 3 == 1:
            source = (source >> 7) * np.uint8(255)  # black and white: the filter overshoots
        result = Image.fromarray(source).resize((new_width, new_height), Image.BICUBIC).tobytes()
        yield {"from": [width, height], "to": [new_width, new_height], "seed": seed,
               "isHard": seed % 3 == 1, "hash": fnv1a(result), "start": list(result[:12])}


def main():
    rng = np.random.default_rng(20261123)
    plain = photo(rng, 37, 53)
    decoding = []
    with np.errstate(over="ignore"):
        for name, data in [*jpegs(rng, plain), *imaging_png.variants(rng, plain[:19, :23], exif), *webps(rng, plain)]:
            rgb = expected(name, data)
            decoding.append({"name": name, "width": rgb.shape[1], "height": rgb.shape[0], "hash": fnv1a(rgb.tobytes()),
                             "start": list(rgb.tobytes()[:12]), "bytes": base64.b64encode(data).decode()})
            if name in ("jpeg-420", "jpeg-progressive", "jpeg-grey", "webp-lossy", "webp-lossless", "png-rgb8"):
                decoding[-1]["acceptedCuts"] = [n for n in range(len(data)) if pillow_accepts(data[:n])]
        resized = list(resizing(rng))
    OUT.mkdir(parents=True, exist_ok=True)
    for name, cases in (("decoding", decoding), ("resizing", resized)):
        lines = ",\n".join(json.dumps(case) for case in cases)
        (OUT / f"{name}.json").write_text(f'{{"pillow": "{PIL.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
