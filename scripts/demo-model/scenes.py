"""Draw the demo model's pictures: coloured shapes, or a row of handwritten digits.

A scene is described once (`Scene`) and drawn from that description, so that every truth (boxes,
colours, counts, digit values) is known exactly. Coordinates are fractions of the picture: a scene
may be drawn on a canvas of any size and shape and is then squeezed to the model's square, exactly
as the reference processor does it with a user's picture.
"""

import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

SIZE = 112
SHAPES = ("circle", "square", "triangle", "star")
COLOURS = {
    "red": (215, 35, 40),
    "green": (35, 155, 60),
    "blue": (35, 75, 210),
    "yellow": (245, 215, 30),
    "orange": (245, 130, 20),
    "purple": (135, 45, 165),
}
COLOUR_NAMES = tuple(COLOURS)


@dataclass
class Item:
    """One object: `kind` is a shape's name or a digit; `box` is (y1, x1, y2, x2) in fractions."""

    kind: str
    colour: str
    box: tuple
    points: object = None
    glyph: object = None
    rgb: tuple = (0, 0, 0)
    outline: tuple | None = None

    @property
    def centre_x(self):
        return (self.box[1] + self.box[3]) / 2


@dataclass
class Scene:
    """A picture's description: canvas in pixels, background recipe, items from left to right."""

    width: int
    height: int
    digits: bool
    items: list = field(default_factory=list)
    background: dict = field(default_factory=dict)


class DigitSource:
    """scikit-learn's 8x8 handwritten digits, split by index: each fifth one is held out."""

    def __init__(self, held_out):
        data = load_digits()
        chosen = (np.arange(len(data.target)) % 5 == 0) == held_out
        images = data.images[chosen].astype(np.float32) * (255.0 / 16.0)
        self.images = np.pad(images, ((0, 0), (2, 2), (2, 2))).clip(0, 255).astype(np.uint8)
        self.labels = data.target[chosen]
        self.by_label = [np.flatnonzero(self.labels == d) for d in range(10)]

    def pick(self, rng):
        """A uniformly drawn digit value with one of its images: (label, 12x12 uint8)."""
        label = int(rng.integers(10))
        index = int(rng.choice(self.by_label[label]))
        return label, self.images[index]


def canvas_size(rng):
    """Half of all scenes are drawn at the model's own size, the others larger and oblong."""
    if rng.random() < 0.5:
        return SIZE, SIZE
    side = rng.uniform(130, 330)
    stretch = np.exp(rng.uniform(-0.25, 0.25)) if rng.random() < 0.7 else 1.0
    return int(np.clip(side * stretch, 112, 400)), int(np.clip(side / stretch, 112, 400))


def unit_polygon(kind):
    """The outline of a shape in [-1, 1]², y downwards."""
    if kind == "circle":
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        return np.stack([np.cos(angles), np.sin(angles)], 1)
    if kind == "square":
        return np.array([[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]])
    if kind == "triangle":
        return np.array([[0, -1.0], [1.05, 0.85], [-1.05, 0.85]])
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.12, 0.5)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def place_shapes(rng, width, height):
    """1–4 shapes which do not touch; centres at least 8/112 apart in x, so left-to-right is clear."""
    wanted = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.3, 0.28, 0.22]))
    unit = np.sqrt(width * height) / SIZE
    items = []
    kinds = list(SHAPES)
    favourite = str(rng.choice(kinds))
    for _ in range(60):
        if len(items) == wanted:
            break
        kind = favourite if rng.random() < 0.2 else str(rng.choice(kinds))
        turn = np.deg2rad(rng.uniform(-14, 14))
        half = rng.uniform(10.5, 21 if wanted < 3 else 17) * unit
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = unit_polygon(kind) @ spin.T * half
        low, high = points.min(0), points.max(0)
        room = np.array([width, height]) - (high - low) - 4
        if (room <= 0).any():
            continue
        points = points - low + 2 + rng.random(2) * room
        low, high = points.min(0), points.max(0)
        box = (low[1] / height, low[0] / width, high[1] / height, high[0] / width)
        if any(_collides(box, other.box) for other in items):
            continue
        name = str(rng.choice(COLOUR_NAMES))
        rgb = tuple(int(v) for v in np.clip(np.array(COLOURS[name]) + rng.normal(0, 9, 3), 0, 255))
        outline = tuple(int(v * 0.55) for v in rgb) if rng.random() < 0.2 else None
        items.append(Item(kind, name, box, points=points, rgb=rgb, outline=outline))
    return sorted(items, key=lambda item: item.centre_x)


def _collides(a, b):
    gap = 3.0 / SIZE
    apart = a[0] > b[2] + gap or b[0] > a[2] + gap or a[1] > b[3] + gap or b[1] > a[3] + gap
    centres = abs((a[1] + a[3]) - (b[1] + b[3])) / 2
    return not apart or centres < 8.0 / SIZE


def place_digits(rng, source, width, height, ink):
    """A row of 1–4 digits, cells 24–42/112 wide."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.22, 0.26, 0.27, 0.25]))
    pitch = rng.uniform(0.9, 1.02)
    cell = min(rng.uniform(25, 42), 108 / (1 + pitch * (count - 1)))
    tall = min(cell * rng.uniform(1.1, 1.5), 58)
    left = rng.uniform(1, max(1.01, 111 - cell * (1 + pitch * (count - 1))))
    top = rng.uniform(3, 109 - tall)
    items = []
    for index in range(count):
        label, glyph = source.pick(rng)
        x = left + index * pitch * cell
        y = float(np.clip(top + rng.normal(0, 1.2), 1, 111 - tall))
        box = (y / SIZE, x / SIZE, (y + tall) / SIZE, (x + cell) / SIZE)
        items.append(Item(str(label), "", box, glyph=_warp(rng, glyph), rgb=ink))
    return items


def _warp(rng, glyph):
    """A light random slant, turn and scaling of a glyph: the 12x12 source and its 6 affine numbers."""
    turn, slant = np.deg2rad(rng.uniform(-9, 9)), rng.uniform(-0.18, 0.18)
    scale = rng.uniform(0.9, 1.1, 2)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array([[1, slant], [0, 1]]) @ np.diag(scale)
    return glyph, matrix, rng.uniform(1.0, 1.3)


def background_recipe(rng, dark=None):
    """Muted colours (shapes are saturated): plain, gradient, stripes, checks or soft blotches."""
    if dark is None:
        dark = rng.random() < 0.35
    level = rng.uniform(15, 75) if dark else rng.uniform(150, 250)
    base = np.clip(level + rng.normal(0, 9, 3), 0, 255)
    kind = str(rng.choice(["plain", "gradient", "stripes", "checks", "blotches"]))
    other = np.clip(base + rng.uniform(-28, 28) + rng.normal(0, 5, 3), 0, 255)
    return {
        "kind": kind, "base": base, "other": other, "angle": rng.uniform(0, 2 * np.pi),
        "period": rng.uniform(0.08, 0.4), "noise": rng.uniform(0, 7) if rng.random() < 0.5 else 0,
        "seed": int(rng.integers(1 << 31)),
    }


def sample_scene(rng, source, digits):
    """Draw a scene's description; `digits` chooses between a digit row and shapes."""
    width, height = canvas_size(rng)
    dark = bool(rng.random() < 0.35)
    recipe = background_recipe(rng, dark)
    scene = Scene(width, height, digits, background=recipe)
    if not digits:
        scene.items = place_shapes(rng, width, height)
        return scene
    if rng.random() < 0.3:
        ink = np.array(COLOURS[str(rng.choice(COLOUR_NAMES))], dtype=float)
        ink = ink * 0.5 + 120 if dark else ink * 0.6
    else:
        ink = np.full(3, rng.uniform(190, 255) if dark else rng.uniform(0, 60))
    scene.items = place_digits(rng, source, width, height, tuple(int(v) for v in ink))
    return scene


def _paint_background(recipe, width, height):
    u = (np.arange(width, dtype=np.float32) / width)[None, :]
    v = (np.arange(height, dtype=np.float32) / height)[:, None]
    along = u * np.float32(np.cos(recipe["angle"])) + v * np.float32(np.sin(recipe["angle"]))
    kind = recipe["kind"]
    if kind == "plain":
        mix = 0
    elif kind == "gradient":
        mix = (along - along.min()) / max(float(np.ptp(along)), 1e-6)
    elif kind == "stripes":
        mix = (np.floor(along / recipe["period"]) % 2).astype(np.float32)
    elif kind == "checks":
        squares = np.floor(u / recipe["period"]) + np.floor(v / recipe["period"])
        mix = (squares % 2).astype(np.float32)
    else:
        grid = np.random.default_rng(recipe["seed"]).random((5, 5)).astype(np.float32)
        mix = np.asarray(Image.fromarray(grid).resize((width, height), Image.BICUBIC)).clip(0, 1)
    base = recipe["base"].astype(np.float32)
    if kind == "plain":
        image = np.broadcast_to(base, (height, width, 3))
    else:
        image = base + (recipe["other"].astype(np.float32) - base) * mix[..., None]
    if recipe["noise"]:
        rng = np.random.default_rng(recipe["seed"])
        image = image + rng.standard_normal((height, width, 1), dtype=np.float32) * recipe["noise"]
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def render(scene, cover=None):
    """The scene as a Pillow RGB image at its own canvas size.

    `cover`, an "L" image of that size, receives the items' opacity if given.
    """
    image = _paint_background(scene.background, scene.width, scene.height)
    for item in scene.items:
        paint = _paint_digit if scene.digits else _paint_shape
        origin, mask = paint(image, item, scene)
        if cover is not None:
            cover.paste(255, origin, mask)
    return image


def _paint_shape(image, item, _):
    fine = 3
    low = np.floor(item.points.min(0)).astype(int) - 1
    high = np.ceil(item.points.max(0)).astype(int) + 1
    mask = Image.new("L", tuple(int(v) for v in (high - low) * fine), 0)
    outline = [tuple(p) for p in ((item.points - low) * fine)]
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    origin = tuple(int(v) for v in low)
    whole = mask.reduce(fine)
    image.paste(item.outline or item.rgb, origin, whole)
    if item.outline:
        centre = item.points.mean(0)
        inner = [tuple(p) for p in ((item.points * 0.86 + centre * 0.14 - low) * fine)]
        mask = Image.new("L", mask.size, 0)
        ImageDraw.Draw(mask).polygon(inner, fill=255)
        image.paste(item.rgb, origin, mask.reduce(fine))
    return origin, whole


def _paint_digit(image, item, scene):
    y1, x1, y2, x2 = item.box
    left, top = round(x1 * scene.width), round(y1 * scene.height)
    width = max(4, round((x2 - x1) * scene.width))
    height = max(4, round((y2 - y1) * scene.height))
    glyph, matrix, gain = item.glyph
    # The middle 9.6 of the 12 glyph pixels fill the cell; target pixel -> source pixel.
    linear = matrix @ np.diag([9.6 / width, 9.6 / height])
    shift = np.array([6.0, 6.0]) - linear @ np.array([width / 2, height / 2])
    numbers = (linear[0, 0], linear[0, 1], shift[0], linear[1, 0], linear[1, 1], shift[1])
    mask = Image.fromarray(glyph).transform(
        (width, height), Image.AFFINE, numbers, resample=Image.BICUBIC)
    mask = mask.point([min(255, int(v * gain)) for v in range(256)])
    image.paste(item.rgb, (left, top), mask)
    return (left, top), mask


def to_model_square(image):
    """RGB, straight to 112x112 with Pillow's bicubic: what the reference processor does. uint8."""
    if image.size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def jpeg_round_trip(image, quality):
    """The picture after JPEG compression, so that the model has seen its artefacts."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    stream.seek(0)
    return Image.open(stream).convert("RGB")
