"""Questions and answers about a scene, and the dense targets of the vision stage."""

import numpy as np

from scenes import COLOUR_NAMES, SHAPES

GRID = 8
NUMBER_WORDS = ("no", "a single", "two", "three", "four")
CLASSES = ("background",) + SHAPES + tuple(str(d) for d in range(10))


def loc(value):
    """A fraction of the picture as PaliGemma's location token."""
    return f"<loc{min(1023, max(0, int(round(value * 1024)))):04d}>"


def named(item):
    return f"{item.colour} {item.kind}"


def caption(scene):
    """Items from left to right, or the length of the digit row."""
    if scene.digits:
        count = len(scene.items)
        return "a single digit" if count == 1 else f"a row of {NUMBER_WORDS[count]} digits"
    parts = [("an " if n[0] == "o" else "a ") + n for n in map(named, scene.items)]
    if len(parts) == 1:
        return parts[0]
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def detect(scene, colour, kind):
    """All matching items from left to right; empty when there is none."""
    label = f"{colour} {kind}" if colour else kind
    found = [i for i in scene.items if i.kind == kind and colour in ("", i.colour)]
    return " ; ".join("".join(loc(v) for v in item.box) + " " + label for item in found)


def ask_detect(rng, scene, present=False):
    """`detect` for something in the picture, seldom for something that is not."""
    if not present and rng.random() < 0.06:
        colour, kind = str(rng.choice(COLOUR_NAMES)), str(rng.choice(SHAPES))
    else:
        item = scene.items[int(rng.integers(len(scene.items)))]
        colour, kind = item.colour, item.kind
        if not present and rng.random() < 0.15:
            colour = ""
    label = f"{colour} {kind}" if colour else kind
    return f"detect {label}", detect(scene, colour, kind)


def ask_count(rng, scene, words=SHAPES):
    """`count <shape>s`, sometimes `count shapes`; half of the time a shape that is there."""
    kind = str(rng.choice(words))
    if scene.items and not scene.digits and rng.random() < 0.5:
        kind = scene.items[int(rng.integers(len(scene.items)))].kind
    return f"count {kind}s", str(sum(i.kind == kind for i in scene.items))


def ask_colour(rng, scene):
    """The colour of a shape that occurs exactly once, or None."""
    once = [i for i in scene.items if sum(j.kind == i.kind for j in scene.items) == 1]
    if not once:
        return None
    item = once[int(rng.integers(len(once)))]
    return f"answer en what color is the {item.kind}?", item.colour


def digit_row(scene):
    return "".join(item.kind for item in scene.items)


def training_questions(rng, scene):
    """Several (task, prompt, answer) of one picture, which share its vision pass."""
    if scene.digits:
        asked = [("ocr", "ocr", digit_row(scene))]
        draw = rng.random()
        if draw < 0.12:
            asked.append(("caption", "caption en", caption(scene)))
        elif draw < 0.24:
            asked.append(("count", "count digits", str(len(scene.items))))
        elif draw < 0.28:
            asked.append(("count", f"count {rng.choice(SHAPES)}s", "0"))
        return asked
    asked = [("caption", "caption en", caption(scene)), ("detect", *ask_detect(rng, scene)),
             ("count", *ask_count(rng, scene))]
    colour = ask_colour(rng, scene)
    draw = rng.random()
    if colour and draw < 0.6:
        asked.append(("colour", *colour))
    elif draw < 0.75:
        asked.append(("detect", *ask_detect(rng, scene)))
    elif draw < 0.85:
        asked.append(("count", "count shapes", str(len(scene.items))))
    else:
        asked.append(("count", *ask_count(rng, scene)))
    return asked


def dense_targets(scene):
    """Per patch of the 8x8 grid: class, colour, rank from the left, rank within its kind, box.

    Integers are -1 where they do not apply; a patch belongs to the item covering most of it
    (at least a tenth), else to the background.
    """
    labels = np.zeros((4, GRID, GRID), dtype=np.int64)
    labels[1:] = -1
    boxes = np.zeros((GRID, GRID, 4), dtype=np.float32)
    best = np.full((GRID, GRID), 0.1)
    edges = np.arange(GRID + 1) / GRID
    seen = {}
    for rank, item in enumerate(scene.items):
        y1, x1, y2, x2 = item.box
        tall = np.clip(np.minimum(edges[1:], y2) - np.maximum(edges[:-1], y1), 0, 1) * GRID
        wide = np.clip(np.minimum(edges[1:], x2) - np.maximum(edges[:-1], x1), 0, 1) * GRID
        cover = tall[:, None] * wide[None, :]
        mine = cover > best
        best = np.where(mine, cover, best)
        labels[0][mine] = CLASSES.index(item.kind)
        labels[1][mine] = COLOUR_NAMES.index(item.colour) if item.colour else -1
        labels[2][mine] = rank
        labels[3][mine] = rank if scene.digits else seen.get(item.kind, 0)
        boxes[mine] = item.box
        seen[item.kind] = seen.get(item.kind, 0) + 1
    return labels.reshape(4, -1), boxes.reshape(-1, 4)
