"""Writes the goldens of the mask decoder: big_vision's VQ-VAE decoder, computed with JAX.

Run from anywhere: `python scripts/goldens/mask_decoder.py` (needs jax, numpy and pillow).
- Tests/PaliGemmaTests/Fixtures/mask-decoder/{small,small-stored}.npz: a decoder of the published layout
  with few channels, deflated and stored, with arrays of an encoder beside it;
- scores.npz there: what the small one, and one of the published size (128 channels, 512 numbers per code
  word), make of some code words. The weights come from the generator of `imaging.py`, which the tests
  repeat;
- Tests/ImagingTests/Fixtures/scores.json: scores resized with Pillow and cut at 0.

Layout and order of operations follow big_vision/evaluators/proj/paligemma/transfers/segmentation.py.
"""

import json
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from PIL import Image
from pycocotools import mask as coco

from imaging import OUT, fnv1a, pixels

FOLDER = OUT.parents[1] / "PaliGemmaTests/Fixtures/mask-decoder"
NAMES = ("NHWC", "HWIO", "NHWC")


def layout(channels, code_width):
    """Names and shapes, as PyTorch stores them."""
    shapes = {"_vq_vae._embedding": (128, code_width)}

    def layer(name, *shape, outputs):
        shapes[f"decoder.{name}.weight"] = shape
        shapes[f"decoder.{name}.bias"] = (outputs,)

    layer("0", channels, code_width, 1, 1, outputs=channels)
    for block in (2, 3):
        for index, kernel in ((0, 3), (2, 3), (4, 1)):
            layer(f"{block}.net.{index}", channels, channels, kernel, kernel, outputs=channels)
    inputs = channels
    for step, index in enumerate((4, 6, 8, 10)):
        layer(index, inputs, channels >> step, 4, 4, outputs=channels >> step)
        inputs = channels >> step
    layer(12, 1, inputs, 1, 1, outputs=1)
    return shapes


def weights(channels, code_width):
    """Whole numbers of one byte, times a factor of f32 for each array: the same in every language."""
    arrays = {}
    for name, shape in layout(channels, code_width).items():
        seed = int(fnv1a(name.encode()), 16)
        draws = pixels(int(np.prod(shape)), seed).astype(np.float32) - np.float32(127.5)
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        # Transposed convolutions meet four taps of sixteen in each pixel, and add up inputs.
        if len(shape) == 4 and shape[2] == 4:
            fan_in = 4 * shape[0]
        size = 0.1 if len(shape) == 1 else 1.6 / np.sqrt(fan_in) if len(shape) == 4 else 1.0
        arrays[name] = (draws * np.float32(size / 74)).reshape(shape)
    return arrays


def decode(arrays, codes):
    """[64, 64] scores, after segmentation.py with its Flax layers written out."""
    kernel = lambda name: jnp.transpose(arrays[f"decoder.{name}.weight"], (2, 3, 1, 0))
    bias = lambda name: arrays[f"decoder.{name}.bias"]

    def convolution(x, name, padding):
        pads = ((padding, padding), (padding, padding))
        return lax.conv_general_dilated(x, kernel(name), (1, 1), pads, dimension_numbers=NAMES) + bias(name)

    x = jnp.take(arrays["_vq_vae._embedding"], np.array(codes), axis=0).reshape(1, 4, 4, -1)
    x = jax.nn.relu(convolution(x, "0", 0))
    for block in (2, 3):
        y = jax.nn.relu(convolution(x, f"{block}.net.0", 1))
        y = jax.nn.relu(convolution(y, f"{block}.net.2", 1))
        x = x + convolution(y, f"{block}.net.4", 0)
    for name in ("4", "6", "8", "10"):
        y = lax.conv_transpose(
            x, kernel(name), (2, 2), ((2, 2), (2, 2)), transpose_kernel=True, dimension_numbers=NAMES)
        x = jax.nn.relu(y + bias(name))
    return np.asarray(convolution(x, "12", 0))[0, :, :, 0]


def code_words(seed):
    return [int(draw) % 128 for draw in pixels(16, seed)]


def decoders():
    FOLDER.mkdir(parents=True, exist_ok=True)
    scores = {}
    for name, channels, code_width in (("small", 8, 6), ("published", 128, 512)):
        arrays = weights(channels, code_width)
        for seed in (1, 2):
            scores[f"{name}.{seed}"] = decode(arrays, code_words(seed))
        if name == "small":
            encoder = {"encoder.0.weight": np.zeros((2, 3), np.float64), "count": np.int64(7)}
            np.savez_compressed(FOLDER / "small.npz", **arrays, **encoder)
            turned = {key: np.asfortranarray(value) for key, value in arrays.items()}
            np.savez(FOLDER / "small-stored.npz", **turned)
    np.savez_compressed(FOLDER / "scores.npz", **scores)


def resized():
    for seed in range(60):
        draws = [int(draw) for draw in pixels(8, 500 + seed)]
        score_width, score_height = (64, 64) if seed % 2 else (draws[0] % 20 + 1, draws[1] % 20 + 1)
        width, height = draws[2] + 1, draws[3] + 1
        left, right = sorted((draws[4] % (width + 1), draws[5] % (width + 1)))
        top, bottom = sorted((draws[6] % (height + 1), draws[7] % (height + 1)))
        raw = pixels(score_width * score_height, seed).astype(np.float32)
        scores = ((raw - 127.5) / 128).reshape(score_height, score_width)
        mask = np.zeros((height, width), np.uint8)
        if right > left and bottom > top:
            size = (right - left, bottom - top)
            mask[top:bottom, left:right] = np.asarray(Image.fromarray(scores).resize(size, Image.BILINEAR)) > 0
        yield {"scores": [score_width, score_height], "box": [left, top, right, bottom],
               "size": [width, height], "seed": seed,
               "counts": coco.encode(np.asfortranarray(mask))["counts"].decode()}


def main():
    with np.errstate(over="ignore"):
        decoders()
        cases = ",\n".join(json.dumps(case) for case in resized())
    versions = json.dumps({name: version(name) for name in ("jax", "pillow")})[1:-1]
    (OUT / "scores.json").write_text(f'{{{versions}, "cases": [\n{cases}\n]}}\n')


if __name__ == "__main__":
    main()
